"""The files of rows: `part-00000.parquet` and so on in the folder of a data set and a proxy, a *partition*.

Names with a leading dot are not yet, or no longer, part of it, and readers pass them over.
"""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nasbench_eval.errors import UsageError
from nasbench_eval.files import set_aside, write_whole
from nasbench_eval.runs.rows import Row
from nasbench_eval.wording import first_line, shown

if TYPE_CHECKING:
    import pandas as pd

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
# Where a row's scores come from if it was not scored itself: the architecture, and the run.  Files that are
# older than a mark lack its column.
MARKS = {"copied_from": pa.int32(), "reused_from": pa.string()}
# Of open search spaces (see `spaces.open`) these two are hashes, which take more bits.
_WIDE = ("index", "copied_from")
_FIXED = {name for name, _ in _FIRST + _LAST} | MARKS.keys()
# What a row bears besides, on its way to the disk and in frames that are read from it.
_KEYS = {"space", "dataset", "proxy", "label", "traceback"}
_KINDS = dict(_FIRST + _LAST) | MARKS
# Columns without which nothing can be made of a row.
_WHOLE = ("index", "arch", "status", "seconds")
# Numbers that rise are small as differences, and texts one behind the other compress best.
_ENCODINGS = {
    "index": "DELTA_BINARY_PACKED",
    "copied_from": "DELTA_BINARY_PACKED",
    "arch": "DELTA_LENGTH_BYTE_ARRAY",
}
_LARGEST = 2**31 - 1
_MERGED = ".merged.parquet"
_PART = re.compile(r"part-([0-9]+)\.parquet")
_AGAIN = "the command that made the run sets it aside and scores its cells again"
# How often files are read that another process swaps meanwhile.
_ATTEMPTS = 10
# What may come out otherwise next time: memory was short, or something broke.  A NaN stays one.
_FAILED = ("oom", "error")


def files(partition: Path) -> list[Path]:
    """The files of a partition, in the order in which they were begun."""
    return sorted(partition.glob("part-*.parquet"))


def next_part(partition: Path) -> Path:
    """The path of a partition's next file."""
    numbers = [int(name[1]) for f in files(partition) if (name := _PART.fullmatch(f.name))]
    return partition / f"part-{max(numbers, default=-1) + 1:05d}.parquet"


def present(partition: Path) -> list[str]:
    """The names of the files that hold rows; a merged one may not yet be in its place."""
    return sorted(file.name for file in (*files(partition), *partition.glob(_MERGED)))


def whole_files(partition: Path) -> list[Path]:
    """The files that hold each row once, also where a swap of the merged one was cut short."""
    merged = partition / _MERGED
    if not merged.exists():
        return files(partition)
    replaced = _replaced(merged)
    return [merged, *(file for file in files(partition) if file.name not in replaced)]


def at_one_moment(partition: Path, columns: Collection[str] | None = None) -> list[pa.Table]:
    """What a partition holds that another process may be writing to, a table a whole file.

    Raises:
        UsageError: if a file is damaged.
    """
    for _ in range(_ATTEMPTS):
        before = present(partition)
        try:
            tables = [read(file, columns) for file in whole_files(partition)]
        except UsageError:
            if present(partition) == before:
                raise
            continue
        if present(partition) == before:
            return tables
    raise UsageError(f"{partition} changes faster than it can be read; try again later")


def read(file: Path, columns: Collection[str] | None = None) -> pa.Table:
    """A file of rows, or those of the columns that it has.

    Raises:
        UsageError: if it cannot be read, or the columns are not those of scores.
    """
    try:
        with pq.ParquetFile(file, page_checksum_verification=True) as opened:
            fault = _fault(opened.schema_arrow, columns)
            known = opened.schema_arrow.names
            table = opened.read(None if columns is None else [name for name in columns if name in known])
            table.validate(full=True)  # the texts too: what is no UTF-8 would be found at the first use
    except Exception as error:  # Arrow's own, and whatever a damaged schema leads to
        raise UsageError(f"{file} is damaged ({first_line(error)}); {_AGAIN}") from error
    holes = [name for name in _WHOLE if not fault and name in table.column_names and table[name].null_count]
    if fault or holes:
        raise UsageError(f"{file} {fault or f'has holes in {holes[0]}'}; {_AGAIN}")
    return table


def _fault(found: pa.Schema, columns: Collection[str] | None) -> str:
    """What is wrong with a file's columns, or with those asked for; empty if nothing is."""
    names = [name for name in found.names if columns is None or name in columns]
    if len(set(names)) < len(names):
        return "has a column twice"
    wanted = _FIXED - MARKS.keys()
    if lacking := sorted((wanted if columns is None else wanted & set(columns)) - set(names)):
        return f"has no column {', '.join(lacking)}"
    wrong = [name for name in names if found.field(name).type not in _kinds(name)]
    return f"has {wrong[0]} as {found.field(wrong[0]).type}" if wrong else ""


def _kinds(name: str) -> tuple[pa.DataType, ...]:
    """The types that a column may have."""
    kind = _KINDS.get(name, pa.float64())
    return (kind, pa.int64()) if name in _WIDE else (kind,)


def column_fault(components: Sequence[str]) -> str | None:
    """Why these columns of a proxy's own cannot stand in a file of rows; None if they can."""
    if odd := [name for name in components if not (isinstance(name, str) and name.isidentifier())]:
        return f"the column {shown(odd[0])} is no name; letters, digits and _ make one"
    if reserved := [name for name in components if name in _FIXED | _KEYS]:
        return f"the column {reserved[0]!r} is reserved"
    if twice := [name for name in components if components.count(name) > 1]:
        return f"the column {twice[0]!r} is there twice"
    return None


def schema(components: Iterable[str], *, wide: bool = False) -> pa.Schema:
    """The columns of a file whose score is made of these components; `wide` is for indices of open spaces."""
    columns = [*_FIRST, *((name, pa.float64()) for name in components), *_LAST, *MARKS.items()]
    return pa.schema([(name, pa.int64() if wide and name in _WIDE else kind) for name, kind in columns])


def frame(table: pa.Table) -> pd.DataFrame:
    """Rows as pandas has them, with every digit of the index of a copied row."""
    wide = "copied_from" in table.column_names and table.schema.field("copied_from").type == pa.int64()
    found: pd.DataFrame = table.to_pandas(integer_object_nulls=wide)
    return found


def record_of(table: pa.Table) -> dict[str, Any]:
    """The record of the run that wrote a file, as it was then; empty if the file bears none."""
    try:
        record = json.loads((table.schema.metadata or {}).get(_METADATA, b"{}"))
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def write(file: Path, rows: Sequence[Row], run: Mapping[str, Any]) -> None:
    """Write rows in index order, with the run's record as metadata.

    Raises:
        UsageError: if they cannot be written.
    """
    components = [k for k in rows[0] if k not in _FIXED | {"dataset", "label"}]
    wide = any(row["index"] > _LARGEST for row in rows)
    columns = schema(components, wide=wide).with_metadata(
        {_METADATA: json.dumps(run, sort_keys=True).encode()}
    )
    unmarked = dict.fromkeys(MARKS)
    kept = [{**unmarked, **row} for row in sorted(rows, key=lambda row: row["index"])]
    table = pa.Table.from_pylist(
        [{name: row[name] for name in columns.names} for row in kept], schema=columns
    )
    write_whole(file, _parquet(table))


def indices(partition: Path) -> set[int]:
    """Indices of the architectures that have a row, be it that of a failure.

    Raises:
        UsageError: if a file is damaged.
    """
    return {i for file in files(partition) for i in read(file, ["index"])["index"].to_pylist()}


def texts(partition: Path) -> dict[int, str]:
    """The text of each architecture that has a row, by index.

    Raises:
        UsageError: if a file is damaged.
    """
    tables = [table.to_pydict() for table in at_one_moment(partition, ["index", "arch"])]
    return {i: text for table in tables for i, text in zip(table["index"], table["arch"], strict=True)}


def failed(partition: Path) -> set[int]:
    """Indices of the architectures whose row is an `oom` or an `error`.

    Raises:
        UsageError: if a file is damaged.
    """
    tables = (read(file, ["index", "status"]) for file in files(partition))
    return {i for table in tables for i in table.filter(_failed(table))["index"].to_pylist()}


def set_damaged_aside(partition: Path) -> dict[Path, Path]:
    """Rename the files that cannot be read; their rows count as never written.

    Returns:
        The new paths by the old ones.

    Raises:
        UsageError: if one cannot be renamed.
    """
    found = {}
    for file in [*partition.glob(_MERGED), *files(partition)]:
        try:
            read(file)
        except UsageError:
            found[file] = set_aside(file)
    return found


def scores_of(partition: Path, cells: Iterable[int]) -> list[Row]:
    """A row for each of these architectures that a partition has the scores of, and they are no failure.

    A copy says what the architecture it was copied from scores as well as that one's own row: of several the
    row that has most seconds is taken.  `index` is that of the architecture which was scored; `arch` may be
    that of a copy.

    Raises:
        UsageError: if a file is damaged.
    """
    wanted = pa.array(cells, pa.int64())
    found: dict[int, Row] = {}
    for file in files(partition):
        brief = read(file, ["index", "status", "copied_from"])
        hits = pc.and_(pc.is_in(_scored(brief), value_set=wanted), pc.invert(_failed(brief)))
        if not pc.any(hits).as_py():  # most files of other runs: the other columns need not be read
            continue
        table = read(file).filter(hits)
        for cell, row in zip(_scored(table).to_pylist(), table.to_pylist(), strict=True):
            if cell not in found or row["seconds"] > found[cell]["seconds"]:
                found[cell] = {**row, "index": cell, "copied_from": None}
    return list(found.values())


def drop_failed(partition: Path, indices: Collection[int]) -> None:
    """Take the `oom` and `error` rows of these architectures off the disk.

    A crash leaves each file as it was, or without such rows.

    Raises:
        UsageError: if a file is damaged or cannot be written.
    """
    _drop(partition, indices, _failed)


def drop_copies(partition: Path, indices: Collection[int]) -> None:
    """Take those rows of these architectures off the disk that are copies of another one's.

    A crash leaves each file as it was, or without such rows.

    Raises:
        UsageError: if a file is damaged or cannot be written.
    """
    _drop(partition, indices, _copied)


def _drop(partition: Path, indices: Collection[int], doomed: Callable[[pa.Table], Any]) -> None:
    """Take the rows of these architectures off the disk that something is true of."""
    wanted = pa.array(indices, pa.int64())
    for file in files(partition):
        if not pc.any(doomed(read(file, ["index", "status", *MARKS]))).as_py():
            continue
        table = read(file)
        dropped = pc.and_(doomed(table), pc.is_in(table["index"].cast(pa.int64()), value_set=wanted))
        kept = table.filter(pc.invert(dropped))
        if not kept.num_rows:
            _remove(file)
        elif kept.num_rows < table.num_rows:
            write_whole(file, _parquet(kept))


def compact(partition: Path) -> None:
    """Merge a partition's files into one, in index order.  A crash leaves every row on disk once.

    Raises:
        UsageError: if a file is damaged or cannot be written.
    """
    several = files(partition)
    if len(several) < 2:
        return
    merged = together([read(f) for f in several]).sort_by("index")
    metadata = {**merged.schema.metadata, _REPLACES: json.dumps([f.name for f in several]).encode()}
    write_whole(partition / _MERGED, _parquet(merged.replace_schema_metadata(metadata)))
    finish_compaction(partition)


def together(tables: Sequence[pa.Table]) -> pa.Table:
    """The rows of several files; columns that older ones lack are null there."""
    return pa.concat_tables(tables, promote_options="permissive")


def replace(partition: Path, table: pa.Table, run: Mapping[str, Any]) -> None:
    """Put rows in the place of all that a partition holds.  A crash leaves the former ones or these.

    Raises:
        UsageError: if they cannot be written.
    """
    replaced = [file.name for file in files(partition)] or [next_part(partition).name]
    metadata = {
        _METADATA: json.dumps(run, sort_keys=True).encode(),
        _REPLACES: json.dumps(replaced).encode(),
    }
    write_whole(partition / _MERGED, _parquet(table.replace_schema_metadata(metadata)))
    finish_compaction(partition)


def finish_compaction(partition: Path) -> None:
    """Swap a complete merged file in for those it replaces; also after a crash half-way through."""
    merged = partition / _MERGED
    if not merged.exists():
        return
    replaced = _replaced(merged)
    for name in replaced:
        (partition / name).unlink(missing_ok=True)
    os.replace(merged, partition / replaced[0])


def _replaced(merged: Path) -> list[str]:
    """The files that a merged one says it replaces.

    They are deleted, so that only files' own names are believed: any other might lead out of the folder.

    Raises:
        UsageError: if it says nothing of the kind.
    """
    metadata = read(merged, ["index"]).schema.metadata or {}
    try:
        names = json.loads(metadata[_REPLACES])
    except (KeyError, ValueError, RecursionError):
        names = None
    if isinstance(names, list) and names and all(isinstance(n, str) and _PART.fullmatch(n) for n in names):
        return names
    raise UsageError(f"{merged} does not say which files it replaces; delete it")


def _scored(table: pa.Table) -> Any:
    """Which architecture was scored for each row."""
    own = table["index"].cast(pa.int64())
    if "copied_from" not in table.column_names:
        return own
    return pc.coalesce(table["copied_from"].cast(pa.int64()), own)


def _failed(table: pa.Table) -> Any:
    """Whether each row is one to be scored again."""
    return pc.is_in(table["status"], value_set=pa.array(_FAILED))


def _parquet(table: pa.Table) -> bytes:
    """The table as a file: 0.4 of the bytes of PyArrow's defaults, in 0.15 s for 15,625 rows."""
    encodings = {name: _ENCODINGS[name] for name in table.column_names if name in _ENCODINGS}
    repeated = [
        field.name
        for field in table.schema
        if field.name not in encodings and not pa.types.is_floating(field.type)
    ]
    buffer = io.BytesIO()
    pq.write_table(
        table,
        buffer,
        compression="zstd",
        compression_level=15,
        use_dictionary=repeated,
        column_encoding=encodings,
        write_page_checksum=True,
    )
    return buffer.getvalue()


def _remove(path: Path) -> None:
    try:
        path.unlink()
    except OSError as error:
        raise UsageError(f"cannot delete {path}: {error.strerror or error}") from error


def _copied(table: pa.Table) -> Any:
    """Whether each row bears another architecture's scores."""
    return pc.not_equal(_scored(table), table["index"].cast(pa.int64()))
