"""The folder of a run: parquet shards written atomically, and a `run.json` that says how they were made.

`scores/space=…/dataset=…/proxy=…/part-00000.parquet`; names with a leading dot are not yet, or no longer,
part of the run, and readers pass them over.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from nasbench_eval.errors import UsageError
from nasbench_eval.worker import Row, Task

_METADATA = b"nasbench_eval"
_FIRST = [("index", pa.int32()), ("arch", pa.string()), ("seed", pa.int64())]
_LAST = [
    ("score", pa.float64()),
    ("seconds", pa.float64()),
    ("status", pa.string()),
    ("error", pa.string()),
    ("proxy_version", pa.int32()),
]
_FIXED = {name for name, _ in _FIRST + _LAST}


class Store:
    """The one writer of a run's folder.

    Args:
        folder: the run's folder; made if absent.
        space: name of the search space.
        identity: what decides the scores: `{"space": …, "seed": …, "datasets": {name: …},
            "proxies": {label: …}}`.  A folder may gain data sets and proxies; it never mixes two readings.
        record: anything else `run.json` should hold.

    Raises:
        UsageError: if another process writes to the folder, or it holds scores of another configuration.
    """

    def __init__(
        self, folder: Path, space: str, identity: Mapping[str, Any], record: Mapping[str, Any]
    ) -> None:
        self.folder, self.scores = folder, folder / "scores" / f"space={space}"
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(folder)
        self.run_file = folder / "run.json"
        known = json.loads(self.run_file.read_text()) if self.run_file.exists() else {}
        self.run = {**known, **record, **_joined(folder, known, json.loads(json.dumps(identity)))}
        self._write_run()
        self._buffer: dict[Task, list[Row]] = {}
        self._opened = self._flushed = time.monotonic()
        for partition in self.scores.glob("*/*"):
            _finish_compaction(partition)

    def done(self, task: Task) -> set[int]:
        """Indices of the architectures whose row is on disk."""
        files = _parts(self._partition(task))
        return {i for f in files for i in pq.read_table(f, columns=["index"])["index"].to_pylist()}

    def add(self, rows: Iterable[Row]) -> None:
        """Take rows; they reach the disk when 30 s or 2 % of the run's time (the longer) are at risk."""
        for row in rows:
            self._buffer.setdefault(Task(row["dataset"], row["label"]), []).append(row)
        now = time.monotonic()
        if now - self._flushed > max(30.0, 0.02 * (now - self._opened)):
            self.flush()

    def flush(self) -> None:
        """Write what is held, one new shard a partition."""
        for task, rows in self._buffer.items():
            partition = self._partition(task)
            partition.mkdir(parents=True, exist_ok=True)
            _write_atomically(partition / _next_name(partition), _table(rows, self.run))
        self._buffer = {}
        self._flushed = time.monotonic()

    def finish(self, record: Mapping[str, Any]) -> None:
        """Merge the shards of each partition into one, in index order, and complete `run.json`."""
        self.flush()
        for partition in sorted(self.scores.glob("*/*")):
            _compact(partition)
        self.run |= {**record, "scores_sha256": digest(self.folder)}
        self._write_run()

    def close(self) -> None:
        """Write what is held and let go of the folder."""
        self.flush()
        self._lock.close()

    def _partition(self, task: Task) -> Path:
        return self.scores / f"dataset={task.dataset}" / f"proxy={task.label}"

    def _write_run(self) -> None:
        temporary = self.run_file.with_name(".run.json")
        temporary.write_text(json.dumps(self.run, indent=2, sort_keys=True) + "\n")
        os.replace(temporary, self.run_file)


def read_scores(folder: Path | str, *, dataset: str | None = None, proxy: str | None = None) -> pd.DataFrame:
    """All scores of a run (or of one data set, or one proxy) with `space`, `dataset` and `proxy` columns.

    Columns of other proxies are NaN.  One partition alone reads as well with `pandas.read_parquet`.

    Raises:
        UsageError: if the folder holds no such scores.
    """
    pattern = f"space=*/dataset={dataset or '*'}/proxy={proxy or '*'}"
    frames = []
    for partition in sorted((Path(folder) / "scores").glob(pattern)):
        files = _parts(partition)
        if files:
            frame = pd.concat([pq.read_table(f, partitioning=None).to_pandas() for f in files])
            keys = dict(part.split("=", 1) for part in partition.parts[-3:])
            frames.append(frame.assign(**keys).sort_values("index"))
    if not frames:
        raise UsageError(
            f"{folder} holds no scores{f' of {proxy}' if proxy else ''}: is it the folder of a run?"
        )
    scores: pd.DataFrame = pd.concat(frames, ignore_index=True)
    return scores


def digest(folder: Path) -> str:
    """SHA-256 of all scores of a run, timings left out: equal where two runs gave the same bits."""
    frame = read_scores(folder).drop(columns=["seconds", "error"])
    frame = frame.sort_values(["space", "dataset", "proxy", "index"])[sorted(frame.columns)]
    return hashlib.sha256(frame.map(_exact).to_csv(index=False).encode()).hexdigest()


def _exact(value: object) -> str:
    return value.hex() if isinstance(value, float) else str(value)


def _joined(folder: Path, known: Mapping[str, Any], identity: Mapping[str, Any]) -> dict[str, Any]:
    """The identity with the folder's own data sets and proxies added; refuses a contradiction."""
    joined = dict(identity)
    for key, value in identity.items():
        if key not in known:
            continue
        if key in ("datasets", "proxies"):
            for name in value.keys() & known[key].keys():
                _agree(folder, name, known[key][name], value[name])
            joined[key] = {**known[key], **value}
        else:
            _agree(folder, key, known[key], value)
    return joined


def _agree(folder: Path, what: str, old: Any, new: Any) -> None:
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        changed = sorted(k for k in old.keys() | new.keys() if old.get(k) != new.get(k))
        old, new = ({k: d.get(k) for k in changed} for d in (old, new))
    raise UsageError(
        f"{folder} holds scores of another configuration: {what} was {old}, now {new}; "
        "choose another folder with run=NAME, or delete this one"
    )


def _lock(folder: Path) -> IO[str]:
    handle = (folder / ".lock").open("w")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        handle.close()
        raise UsageError(f"another process is writing to {folder}; wait for it or choose run=NAME") from error
    return handle


def _parts(partition: Path) -> list[Path]:
    return sorted(partition.glob("part-*.parquet"))


def _next_name(partition: Path) -> str:
    numbers = [int(f.stem.split("-")[1]) for f in _parts(partition)]
    return f"part-{max(numbers, default=-1) + 1:05d}.parquet"


def _table(rows: Sequence[Row], run: Mapping[str, Any]) -> pa.Table:
    components = [k for k in rows[0] if k not in _FIXED | {"dataset", "label"}]
    schema = pa.schema(
        [*_FIRST, *((name, pa.float64()) for name in components), *_LAST],
        metadata={_METADATA: json.dumps(run, sort_keys=True).encode()},
    )
    kept = [{name: row[name] for name in schema.names} for row in sorted(rows, key=lambda row: row["index"])]
    return pa.Table.from_pylist(kept, schema=schema)


def _write_atomically(path: Path, table: pa.Table) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("wb") as file:
        pq.write_table(table, file, compression="zstd")
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def _compact(partition: Path) -> None:
    """Merge a partition's shards.  A crash at any point leaves every row on disk once."""
    parts = _parts(partition)
    if len(parts) < 2:
        return
    merged = pa.concat_tables([pq.read_table(f, partitioning=None) for f in parts]).sort_by("index")
    metadata = {**merged.schema.metadata, b"replaces": json.dumps([f.name for f in parts]).encode()}
    _write_atomically(partition / ".merged.parquet", merged.replace_schema_metadata(metadata))
    _finish_compaction(partition)


def _finish_compaction(partition: Path) -> None:
    """Swap a complete merged shard in for those it replaces; also after a crash half-way through."""
    merged = partition / ".merged.parquet"
    if not merged.exists():
        return
    replaced = json.loads(pq.read_schema(merged).metadata[b"replaces"])
    for name in replaced:
        (partition / name).unlink(missing_ok=True)
    os.replace(merged, partition / replaced[0])
