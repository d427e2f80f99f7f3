"""The folder of a run: parquet shards written atomically, and a `run.json` that says how they were made.

`scores/space=…/dataset=…/proxy=…/part-00000.parquet`; names with a leading dot are not yet, or no longer,
part of the run, and readers pass them over.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nasbench_eval import registry
from nasbench_eval.errors import UsageError
from nasbench_eval.files import write_whole
from nasbench_eval.worker import Row, Task

_METADATA = b"nasbench_eval"
_REPLACES = b"replaces"
_FIRST = [("index", pa.int32()), ("arch", pa.string()), ("seed", pa.int64())]
_LAST = [
    ("score", pa.float64()),
    ("seconds", pa.float64()),
    ("status", pa.string()),
    ("error", pa.string()),
    ("proxy_version", pa.int32()),
]
_FIXED = {name for name, _ in _FIRST + _LAST}
# What run.json says of a finished run, and what it says of the machinery of its last session.
_OUTCOME = ("finished", "seconds_last_session", "scores_sha256", "cells", "rows")
_MACHINERY = ("versions", "commit", "device", "device_name")
# What may come out otherwise next time: memory was short, or something broke.  A NaN stays one.
_FAILED = ("oom", "error")


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
            "proxies": {label: …}}`.  A folder may gain data sets and proxies; it never mixes two readings.
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
                _finish_compaction(partition)
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
        kept = {p.name.partition("=")[2] for p in self.scores.glob("*/proxy=*") if _parts(p)}
        proxies = {label: options for label, options in known.get("proxies", {}).items() if label in kept}
        return {**known, "proxies": proxies} if known else known

    def done(self, task: Task) -> set[int]:
        """Indices of the architectures whose row is on disk and no `oom` or `error`."""
        tables = (_read(f, columns=["index", "status"]) for f in _parts(self._partition(task)))
        return {i for t in tables for i in t.filter(pc.invert(_failed(t)))["index"].to_pylist()}

    def drop_failed(self, task: Task, indices: Collection[int]) -> None:
        """Take the `oom` and `error` rows of these architectures off the disk, for they are scored again.

        To be called before any row is added.  A crash leaves each shard as it was, or without such rows.

        Raises:
            UsageError: if a shard is damaged or cannot be written.
        """
        wanted = pa.array(indices, pa.int32())
        for file in _parts(self._partition(task)):
            if not pc.any(_failed(_read(file, columns=["status"]))).as_py():
                continue
            table = _read(file)
            dropped = pc.and_(_failed(table), pc.is_in(table["index"], value_set=wanted))
            kept = table.filter(pc.invert(dropped))
            if not kept.num_rows:
                _remove(file)
            elif kept.num_rows < table.num_rows:
                write_whole(file, _parquet(kept))

    def add(self, rows: Iterable[Row]) -> None:
        """Take rows; they reach the disk when 30 s or 2 % of the run's time (the longer) are at risk."""
        for row in rows:
            task = Task(row["dataset"], row["label"])
            if task not in self._held:
                self._held[task] = _Shard(_next_part(self._partition(task)))
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
            write_whole(shard.path, _parquet(_table(shard.rows, self.run)))
            del self._held[task]
        self._flushed = time.monotonic()

    def finish(self, record: Mapping[str, Any]) -> None:
        """Merge the shards of each partition into one, in index order, and complete `run.json`."""
        self.flush()
        for partition in sorted(self.scores.glob("*/*")):
            _compact(partition)
        self.run |= {**record, **self._held_now(), "scores_sha256": digest(self.folder)}
        self._write_run()

    def close(self) -> None:
        """Write what is held and let go of the folder."""
        try:
            self.flush()
        finally:
            self._lock.close()

    def _held_now(self) -> dict[str, Any]:
        """How much the folder holds, whichever commands it came from: `cells` in all, `rows` by partition."""
        rows: dict[str, dict[str, int]] = {}
        cells = 0
        for partition in sorted(self.scores.glob("dataset=*/proxy=*")):
            indices = [i for f in _parts(partition) for i in _read(f, columns=["index"])["index"].to_pylist()]
            if indices:
                dataset, label = (part.split("=", 1)[1] for part in partition.parts[-2:])
                rows.setdefault(dataset, {})[label] = len(indices)
                cells = max(cells, len(set(indices)))
        return {"cells": cells, "rows": rows}

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
    """SHA-256 of all scores of a run, timings left out: equal where two runs gave the same bits."""
    total = hashlib.sha256()
    for keys, frame in _frames(folder):
        kept = frame.drop(columns=["seconds", "error"])
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
        files = _parts(partition)
        if files:
            frame = pd.concat([_read(f).to_pandas() for f in files])
            keys = dict(part.split("=", 1) for part in partition.parts[-3:])
            yield keys, frame.sort_values("index")


def _read_run(folder: Path, file: Path) -> dict[str, Any]:
    try:
        known: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return known
    except FileNotFoundError:
        if any((folder / "scores").glob("*/*/*/part-*.parquet")):
            raise UsageError(
                f"{folder} holds scores, but no run.json says of what; choose another folder with run=NAME"
            ) from None
        return {}
    except ValueError as error:
        raise UsageError(f"{file} is damaged ({error}); choose another folder with run=NAME") from error


def _earlier(known: Mapping[str, Any], record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The machinery of earlier sessions, where it was not that of this one."""
    before = {key: known[key] for key in _MACHINERY if key in known}
    now = {key: record[key] for key in _MACHINERY if key in record}
    earlier: list[dict[str, Any]] = known.get("earlier", [])
    return earlier if before in ({}, now) or before in earlier else [*earlier, before]


def _joined(folder: Path, known: Mapping[str, Any], identity: Mapping[str, Any]) -> dict[str, Any]:
    """The identity with the folder's own data sets and proxies added; refuses a contradiction."""
    joined = dict(identity)
    if known:  # of runs older than the option
        known = {"sampling": "uniform", **known}
    for key, value in identity.items():
        if key not in known:
            continue
        if key in ("datasets", "proxies"):
            for name in value.keys() & known[key].keys():
                old = known[key][name] if key == "datasets" else _completed(known[key][name], value[name])
                _agree(folder, name, old, value[name])
            joined[key] = {**known[key], **value}
        else:
            _agree(folder, key, known[key], value)
    return joined


def _completed(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
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


def _parts(partition: Path) -> list[Path]:
    return sorted(partition.glob("part-*.parquet"))


def _next_part(partition: Path) -> Path:
    numbers = [int(f.stem.split("-")[1]) for f in _parts(partition)]
    return partition / f"part-{max(numbers, default=-1) + 1:05d}.parquet"


def _table(rows: Sequence[Row], run: Mapping[str, Any]) -> pa.Table:
    components = [k for k in rows[0] if k not in _FIXED | {"dataset", "label"}]
    schema = pa.schema(
        [*_FIRST, *((name, pa.float64()) for name in components), *_LAST],
        metadata={_METADATA: json.dumps(run, sort_keys=True).encode()},
    )
    kept = [{name: row[name] for name in schema.names} for row in sorted(rows, key=lambda row: row["index"])]
    return pa.Table.from_pylist(kept, schema=schema)


def _read(file: Path, columns: list[str] | None = None) -> pa.Table:
    try:
        return pq.read_table(file, columns=columns, partitioning=None)
    except (OSError, pa.ArrowException) as error:
        raise UsageError(
            f"{file} is damaged ({str(error).splitlines()[0]}); delete it to have its cells scored again"
        ) from error


def _failed(table: pa.Table) -> Any:
    """Whether each row is one to be scored again."""
    return pc.is_in(table["status"], value_set=pa.array(_FAILED))


def _parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def _remove(path: Path) -> None:
    try:
        path.unlink()
    except OSError as error:
        raise UsageError(f"cannot delete {path}: {error.strerror or error}") from error


def _compact(partition: Path) -> None:
    """Merge a partition's shards.  A crash at any point leaves every row on disk once."""
    parts = _parts(partition)
    if len(parts) < 2:
        return
    merged = pa.concat_tables([_read(f) for f in parts]).sort_by("index")
    metadata = {**merged.schema.metadata, _REPLACES: json.dumps([f.name for f in parts]).encode()}
    write_whole(partition / ".merged.parquet", _parquet(merged.replace_schema_metadata(metadata)))
    _finish_compaction(partition)


def _finish_compaction(partition: Path) -> None:
    """Swap a complete merged shard in for those it replaces; also after a crash half-way through."""
    merged = partition / ".merged.parquet"
    if not merged.exists():
        return
    replaced = json.loads(_read(merged, columns=["index"]).schema.metadata[_REPLACES])
    for name in replaced:
        (partition / name).unlink(missing_ok=True)
    os.replace(merged, partition / replaced[0])
