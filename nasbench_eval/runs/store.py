"""The folder of a run: parquet files, each written whole, and a `run.json` that says how they were made.

`scores/space=…/dataset=…/proxy=…/part-00000.parquet`; names with a leading dot are not yet, or no longer,
part of the run, and readers pass them over.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from nasbench_eval.errors import UsageError
from nasbench_eval.files import set_aside, write_whole
from nasbench_eval.runs import parquet
from nasbench_eval.runs.lock import lock, require_same
from nasbench_eval.runs.record import (
    OUTCOME,
    SAMPLE,
    DamagedRecord,
    changed_code,
    earlier,
    is_record,
    joined,
    known_record,
)
from nasbench_eval.runs.rows import Row, Task
from nasbench_eval.runs.split import shard_folders


@dataclass
class _Held:
    """Rows held back, and the file they go to: writing them twice leaves them once."""

    path: Path
    rows: list[Row] = field(default_factory=list)


class Store:
    """The one writer of a run's folder.

    Args:
        folder: the run's folder; made if absent.
        space: name of the search space.
        identity: what decides the scores: `{"space": …, "seed": …, "datasets": {name: …},
            "proxies": {label: …}}`, and how cells are chosen.  A folder may gain data sets and proxies; it
            never mixes two readings.
        record: anything else `run.json` should hold.
        whole: the folder of the run that this one is a shard of; what it holds already counts as held.
        save_every: seconds of work that a crash may cost.
        allow_changed_code: whether rows may join those that other code of the same version made; `mixed` in
            run.json names the proxies from then on.

    Attributes:
        mended: what was damaged and is set aside, a line each.

    Raises:
        UsageError: if another process writes to the folder, it holds scores of another configuration, or it
            cannot be written to.
    """

    def __init__(
        self,
        folder: Path,
        space: str,
        identity: Mapping[str, Any],
        record: Mapping[str, Any],
        *,
        whole: Path | None = None,
        save_every: float = 30.0,
        allow_changed_code: bool = False,
    ) -> None:
        self.folder, self.scores = folder, folder / "scores" / f"space={space}"
        self.run_file = folder / "run.json"
        self.save_every = save_every
        self.mended: list[str] = []
        self._whole = None if whole is None else whole / "scores" / f"space={space}"
        self._lock = lock(folder)
        try:
            self._clear_up()
            known = self._with_scores(self._read_run())
            _require_same_kind(folder, known, record)
            identity = json.loads(json.dumps(identity))
            if whole is not None:
                _agree_with_others(folder, whole, identity, record)
            identity = joined(folder, known, identity)
            changed = changed_code(known, record)
            if changed and not allow_changed_code:
                raise UsageError(_refusal(folder, changed))
            if mixed := sorted({*known.get("mixed", ()), *changed}):
                record = {**record, "mixed": mixed}
            known = {key: value for key, value in known.items() if key not in OUTCOME}
            self.run = {**known, **record, **identity, "earlier": earlier(known, record)}
            self._write_run()
        except BaseException:
            self._lock.close()
            raise
        self._held: dict[Task, _Held] = {}
        self._opened = self._flushed = time.monotonic()

    def _clear_up(self) -> None:
        """Finish or remove what a crash left, and set aside what cannot be read."""
        for partition in sorted(self.scores.glob("*/*")):
            for leftover in partition.glob(".*.tmp"):
                leftover.unlink()
            for file, aside in parquet.set_damaged_aside(partition).items():
                self.mended.append(
                    f"{file} is damaged: set aside as {aside.name}, its cells are scored again"
                )
            parquet.finish_compaction(partition)

    def _read_run(self) -> dict[str, Any]:
        """The record in the folder; a damaged one is made good from the files, which bear it as well."""
        try:
            return known_record(self.folder)
        except DamagedRecord as error:
            records = [parquet.record_of(parquet.read(file, ["index"])) for file in self._by_age()]
            known = next((record for record in records if record and is_record(record)), None)
            if known is None and records:
                raise
            how = "begun anew"
            if self.run_file.exists():
                how = f"set aside as {set_aside(self.run_file).name} and {how}"
            if known:
                how = how.replace("begun anew", "made good from the files of scores")
            self.mended.append(f"{error}: {how}")
            return known or {}

    def _by_age(self) -> list[Path]:
        """All files, the youngest first."""
        found = [file for partition in self.scores.glob("*/*") for file in parquet.files(partition)]
        return sorted(found, key=lambda file: file.stat().st_mtime_ns, reverse=True)

    def _with_scores(self, known: dict[str, Any]) -> dict[str, Any]:
        """What is known but for proxies whose scores were deleted: they may come back with other options."""
        kept = {p.name.partition("=")[2] for p in self.scores.glob("*/proxy=*") if parquet.files(p)}
        proxies = {label: options for label, options in known.get("proxies", {}).items() if label in kept}
        return {**known, "proxies": proxies} if known else known

    def indices(self, task: Task) -> set[int]:
        """Indices of the architectures that have a row, be it that of a failure."""
        held = parquet.indices(self._partition(task))
        if self._whole is not None:
            for table in parquet.at_one_moment(self._partition(task, self._whole), ["index"]):
                held.update(table["index"].to_pylist())
        return held

    def texts(self, tasks: Iterable[Task]) -> dict[int, str]:
        """The text of each architecture that has a row of one of these tasks, by index."""
        places = [self._partition(task, scores) for task in tasks for scores in {self.scores, self._whole}]
        return {i: text for place in places for i, text in parquet.texts(place).items()}

    def failed(self, task: Task) -> set[int]:
        """Indices of the architectures whose row on disk is an `oom` or an `error`."""
        return parquet.failed(self._partition(task))

    def scores_of(self, task: Task, cells: Iterable[int]) -> list[Row]:
        """A row for each of these architectures whose scores the folder has (see `parquet.scores_of`)."""
        return [{**row, **task._asdict()} for row in parquet.scores_of(self._partition(task), cells)]

    def drop_failed(self, task: Task, indices: Collection[int]) -> None:
        """Take the `oom` and `error` rows of these architectures off the disk, for they are scored again.

        To be called before any row is added.  A crash leaves each file as it was, or without such rows.

        Raises:
            UsageError: if a file is damaged or cannot be written.
        """
        parquet.drop_failed(self._partition(task), indices)

    def drop_copies(self, task: Task, indices: Collection[int]) -> None:
        """Take copied rows of these architectures off the disk, for they are scored themselves.

        To be called before any row is added.  A crash leaves each file as it was, or without such rows.

        Raises:
            UsageError: if a file is damaged or cannot be written.
        """
        parquet.drop_copies(self._partition(task), indices)

    def add(self, rows: Iterable[Row]) -> None:
        """Take rows; they reach the disk before `save_every` or 2 % of the run's time, if longer, is lost."""
        for row in rows:
            task = Task(row["dataset"], row["label"])
            if task not in self._held:
                self._held[task] = _Held(parquet.next_part(self._partition(task)))
            self._held[task].rows.append(row)
        now = time.monotonic()
        if now - self._flushed > max(self.save_every, 0.02 * (now - self._opened)):
            self.flush()

    def flush(self) -> None:
        """Write what is held, one new file a partition.

        Raises:
            UsageError: if it cannot be written; what is not on disk stays held.
        """
        for task, held in list(self._held.items()):
            require_same(self._lock, self.folder)
            parquet.write(held.path, held.rows, self.run)
            del self._held[task]
        self._flushed = time.monotonic()

    def finish(self, record: Mapping[str, Any]) -> None:
        """Merge the files of each partition into one, in index order, and complete `run.json`.

        Raises:
            UsageError: if a file is damaged, or the folder cannot be written or is another one by now.
        """
        self.flush()
        require_same(self._lock, self.folder)
        for partition in sorted(self.scores.glob("*/*")):
            parquet.compact(partition)
        self.run |= {**record, **self._held_now(), "scores_sha256": digest(self.folder)}
        self._write_run()

    def close(self) -> None:
        """Write what is held and let go of the folder."""
        try:
            self.flush()
        finally:
            self._lock.close()

    def _held_now(self) -> dict[str, Any]:
        """How much the folder holds, whichever commands it came from.

        `cells` in all, `rows` by partition, how many of these are `copied`, and how many `reused` by run.
        """
        rows: dict[str, dict[str, int]] = {}
        cells, copied, reused = 0, 0, Counter[str]()
        for partition in sorted(self.scores.glob("dataset=*/proxy=*")):
            indices: set[int] = set()
            for file in parquet.files(partition):
                held = parquet.read(file, ["index", *parquet.MARKS]).to_pydict()
                indices.update(held["index"])
                copied += sum(origin is not None for origin in held.get("copied_from", ()))
                reused.update(run for run in held.get("reused_from", ()) if run is not None)
            if indices:
                dataset, label = (part.split("=", 1)[1] for part in partition.parts[-2:])
                rows.setdefault(dataset, {})[label] = len(indices)
                cells = max(cells, len(indices))
        return {"cells": cells, "rows": rows, "copied": copied, "reused": dict(reused)}

    def _partition(self, task: Task, scores: Path | None = None) -> Path:
        return (scores or self.scores) / f"dataset={task.dataset}" / f"proxy={task.label}"

    def _write_run(self) -> None:
        write_whole(self.run_file, (json.dumps(self.run, indent=2, sort_keys=True) + "\n").encode())


def _require_same_kind(folder: Path, known: Mapping[str, Any], record: Mapping[str, Any]) -> None:
    """Refuse scores in the folder of a search, and a search in that of scores."""
    if known and ("search" in known) != ("search" in record):
        holds = "a search" if "search" in known else "no search"
        raise UsageError(f"{folder} holds {holds}; choose another folder with run=NAME")


def _refusal(folder: Path, changed: Sequence[str]) -> str:
    """Why no rows can be added to a folder."""
    what = ["the code that all proxies share" if name == "shared" else name for name in changed]
    return (
        f"{folder} holds scores made by other code (changed since, with no new version: {', '.join(what)}); "
        "raise the version, choose another folder with run=NAME, or mix them with allow_changed_code=true"
    )


def _agree_with_others(
    folder: Path, whole: Path, identity: Mapping[str, Any], record: Mapping[str, Any]
) -> None:
    """Refuse a shard that is not of the same run as the others there, or of another split of it."""
    mine = {split.of for split, place in shard_folders(whole).items() if place == folder}
    for split, place in shard_folders(whole).items():
        if {split.of} != mine:
            raise UsageError(
                f"{whole} is split into {split.of} shards, not into {mine.pop()}; join them with "
                f"nasbench-merge {whole} --remove, or choose run=NAME"
            )
        with suppress(DamagedRecord):  # its own session makes it good
            joined(place, known_record(place), {**identity, **{key: record.get(key) for key in SAMPLE}})
    with suppress(DamagedRecord):
        joined(whole, known_record(whole), identity)


def read_scores(folder: Path | str, *, dataset: str | None = None, proxy: str | None = None) -> pd.DataFrame:
    """All scores of a run (or of one data set, or one proxy) with `space`, `dataset` and `proxy` columns.

    Columns of other proxies are NaN.  `pandas.read_parquet` reads `scores/` as well, with the columns of
    the first partition it meets; those of a run that was interrupted may be incomplete.

    Raises:
        UsageError: if the folder holds no such scores, or a file of them is damaged.
    """
    frames = [frame.assign(**keys) for keys, frame in _frames(Path(folder), dataset=dataset, proxy=proxy)]
    if not frames:
        raise UsageError(
            f"{folder} holds no scores{f' of {proxy}' if proxy else ''}: is it the folder of a run?"
        )
    scores: pd.DataFrame = pd.concat(frames, ignore_index=True)
    return scores


def digest(folder: Path) -> str:
    """SHA-256 of all scores of a run: equal where two runs gave the same bits.

    Left out is how they came about: timings, and from where a score was copied or taken over.
    """
    total = hashlib.sha256()
    for keys, frame in _frames(folder):
        kept = frame.drop(columns=["seconds", "error", *parquet.MARKS], errors="ignore")
        total.update(json.dumps(keys).encode())
        total.update(kept[sorted(kept.columns)].map(_exact).to_csv(index=False).encode())
    return total.hexdigest()


def _exact(value: object) -> str:
    return value.hex() if isinstance(value, float) else str(value)


def _frames(
    folder: Path, *, dataset: str | None = None, proxy: str | None = None
) -> Iterable[tuple[dict[str, str], pd.DataFrame]]:
    """Each partition's space, data set and proxy with its rows in index order."""
    pattern = f"space=*/dataset={dataset or '*'}/proxy={proxy or '*'}"
    for partition in sorted((folder / "scores").glob(pattern)):
        files = parquet.files(partition)
        if files:
            frame = pd.concat([parquet.frame(parquet.read(f)) for f in files])
            keys = dict(part.split("=", 1) for part in partition.parts[-3:])
            yield keys, frame.sort_values("index")
