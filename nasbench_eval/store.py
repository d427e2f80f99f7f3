"""The folder of a run: parquet shards written atomically, and a `run.json` that says how they were made.

`scores/space=…/dataset=…/proxy=…/part-00000.parquet`; names with a leading dot are not yet, or no longer,
part of the run, and readers pass them over.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

import pandas as pd

from nasbench_eval import registry, shards
from nasbench_eval.errors import UsageError, first_line
from nasbench_eval.files import write_whole
from nasbench_eval.record import LATER
from nasbench_eval.worker import Row, Task

# What run.json says of a finished run, and what it says of the machinery of its last session.
_OUTCOME = ("finished", "seconds_last_session", "scores_sha256", "cells", "rows", "copied", "reused")
MACHINERY = ("versions", "commit", "device", "device_name", "processor", "sources", "images")


@dataclass
class _Shard:
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

    Raises:
        UsageError: if another process writes to the folder, it holds scores of another configuration or
            damaged files, or it cannot be written to.
    """

    def __init__(
        self, folder: Path, space: str, identity: Mapping[str, Any], record: Mapping[str, Any]
    ) -> None:
        self.folder, self.scores = folder, folder / "scores" / f"space={space}"
        self.run_file = folder / "run.json"
        self._lock = _lock(folder)
        try:
            known = self._with_scores(_read_run(folder, self.run_file))
            identity = _joined(folder, known, json.loads(json.dumps(identity)))
            known = {key: value for key, value in known.items() if key not in _OUTCOME}
            self.run = {**known, **record, **identity, "earlier": _earlier(known, record)}
            for partition in self.scores.glob("*/*"):
                shards.finish_compaction(partition)
                for leftover in partition.glob(".*.tmp"):
                    leftover.unlink()
            self._write_run()
        except BaseException:
            self._lock.close()
            raise
        self._held: dict[Task, _Shard] = {}
        self._opened = self._flushed = time.monotonic()

    def _with_scores(self, known: dict[str, Any]) -> dict[str, Any]:
        """What is known but for proxies whose scores were deleted: they may come back with other options."""
        kept = {p.name.partition("=")[2] for p in self.scores.glob("*/proxy=*") if shards.parts(p)}
        proxies = {label: options for label, options in known.get("proxies", {}).items() if label in kept}
        return {**known, "proxies": proxies} if known else known

    def done(self, task: Task) -> set[int]:
        """Indices of the architectures whose row is on disk and no `oom` or `error`."""
        return shards.done(self._partition(task))

    def scores_of(self, task: Task, cells: Iterable[int]) -> list[Row]:
        """A row for each of these architectures whose scores the folder has (see `shards.scores_of`)."""
        return [{**row, **task._asdict()} for row in shards.scores_of(self._partition(task), cells)]

    def drop_failed(self, task: Task, indices: Collection[int]) -> None:
        """Take the `oom` and `error` rows of these architectures off the disk, for they are scored again.

        To be called before any row is added.  A crash leaves each shard as it was, or without such rows.

        Raises:
            UsageError: if a shard is damaged or cannot be written.
        """
        shards.drop_failed(self._partition(task), indices)

    def add(self, rows: Iterable[Row]) -> None:
        """Take rows; they reach the disk when 30 s or 2 % of the run's time (the longer) are at risk."""
        for row in rows:
            task = Task(row["dataset"], row["label"])
            if task not in self._held:
                self._held[task] = _Shard(shards.next_part(self._partition(task)))
            self._held[task].rows.append(row)
        now = time.monotonic()
        if now - self._flushed > max(30.0, 0.02 * (now - self._opened)):
            self.flush()

    def flush(self) -> None:
        """Write what is held, one new shard a partition.

        Raises:
            UsageError: if it cannot be written; what is not on disk stays held.
        """
        for task, shard in list(self._held.items()):
            shards.write(shard.path, shard.rows, self.run)
            del self._held[task]
        self._flushed = time.monotonic()

    def finish(self, record: Mapping[str, Any]) -> None:
        """Merge the shards of each partition into one, in index order, and complete `run.json`."""
        self.flush()
        for partition in sorted(self.scores.glob("*/*")):
            shards.compact(partition)
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
            for file in shards.parts(partition):
                held = shards.read(file, ["index", *shards.MARKS]).to_pydict()
                indices.update(held["index"])
                copied += sum(origin is not None for origin in held.get("copied_from", ()))
                reused.update(run for run in held.get("reused_from", ()) if run is not None)
            if indices:
                dataset, label = (part.split("=", 1)[1] for part in partition.parts[-2:])
                rows.setdefault(dataset, {})[label] = len(indices)
                cells = max(cells, len(indices))
        return {"cells": cells, "rows": rows, "copied": copied, "reused": dict(reused)}

    def _partition(self, task: Task) -> Path:
        return self.scores / f"dataset={task.dataset}" / f"proxy={task.label}"

    def _write_run(self) -> None:
        write_whole(self.run_file, (json.dumps(self.run, indent=2, sort_keys=True) + "\n").encode())


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
        kept = frame.drop(columns=["seconds", "error", *shards.MARKS], errors="ignore")
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
        files = shards.parts(partition)
        if files:
            frame = pd.concat([shards.read(f).to_pandas() for f in files])
            keys = dict(part.split("=", 1) for part in partition.parts[-3:])
            yield keys, frame.sort_values("index")


def _read_run(folder: Path, file: Path) -> dict[str, Any]:
    try:
        known: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if any((folder / "scores").glob("*/*/*/part-*.parquet")):
            raise UsageError(
                f"{folder} holds scores, but no run.json says of what; choose another folder with run=NAME"
            ) from None
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(
            f"{file} is damaged ({first_line(error)}); choose another folder with run=NAME"
        ) from error
    if not _is_record(known):
        raise UsageError(f"{file} is no record of a run; choose another folder with run=NAME")
    return known


def _is_record(known: Any) -> bool:
    """Whether what stands in a run.json has the parts that are read here, each of its kind."""
    if not isinstance(known, dict):
        return False
    named, earlier = [known.get(key, {}) for key in ("datasets", "proxies")], known.get("earlier", [])
    if not (all(isinstance(part, dict) for part in named) and isinstance(earlier, list)):
        return False
    return all(isinstance(item, dict) for item in (*earlier, *(i for part in named for i in part.values())))


def _earlier(known: Mapping[str, Any], record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The machinery of earlier sessions, where it was not that of this one."""
    before = {key: known[key] for key in MACHINERY if key in known}
    now = {key: record[key] for key in MACHINERY if key in record}
    earlier: list[dict[str, Any]] = known.get("earlier", [])
    return earlier if before in ({}, now) or before in earlier else [*earlier, before]


def _joined(folder: Path, known: Mapping[str, Any], identity: Mapping[str, Any]) -> dict[str, Any]:
    """The identity with the folder's own data sets and proxies added; refuses a contradiction."""
    joined = dict(identity)
    if known:
        known = {**LATER, **known}
    for key, value in identity.items():
        if key not in known:
            continue
        if key in ("datasets", "proxies"):
            for name in value.keys() & known[key].keys():
                old = known[key][name] if key == "datasets" else completed(known[key][name], value[name])
                _agree(folder, name, old, value[name])
            joined[key] = {**known[key], **value}
        else:
            _agree(folder, key, known[key], value)
    return joined


def completed(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a proxy as recorded, with those that it did not have then at their defaults.

    At its default a new option leaves scores as they were, or else the proxy's version is another.
    """
    missing = new.keys() - old.keys()
    if not missing or old.get("name") != new.get("name"):
        return dict(old)
    try:
        defaults = json.loads(json.dumps(asdict(registry.find("proxies", str(new["name"]))())))
    except (UsageError, TypeError):  # another package's proxy, absent or with options that have no default
        return dict(old)
    return {**old, **{option: defaults[option] for option in missing if option in defaults}}


def _agree(folder: Path, what: str, old: Any, new: Any) -> None:
    if old == new:
        return
    old, new = (value if isinstance(value, dict) else {what: value} for value in (old, new))
    changed = sorted(k for k in old.keys() | new.keys() if old.get(k) != new.get(k))
    old, new = (", ".join(f"{k}={d.get(k)}" for k in changed) for d in (old, new))
    raise UsageError(
        f"{folder} holds scores of another configuration: {what} was made with {old}, now {new}; "
        "choose another folder with run=NAME, or delete this one"
    )


def _lock(folder: Path) -> IO[str]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = (folder / ".lock").open("w")
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        handle.close()
        raise UsageError(f"another process is writing to {folder}; wait for it or choose run=NAME") from error
    except OSError as error:
        handle.close()
        raise UsageError(
            f"cannot lock {folder} ({error.strerror}); choose a local folder with results="
        ) from error
    return handle
