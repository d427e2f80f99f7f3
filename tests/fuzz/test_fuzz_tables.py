"""Tables of accuracies and shards of scores: read as written, or refused in one line; left as they are."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fuzzing import REFUSED, cases, odd_values, own, spoiled, told, tree
from hypothesis import given
from hypothesis import strategies as st

from nasbench_eval.report.scores import read_runs
from nasbench_eval.runs import parquet
from nasbench_eval.runs.rows import Task
from nasbench_eval.runs.store import Store, read_scores
from nasbench_eval.truth import nasbench101, nasbench201
from nasbench_eval.truth.errors import TruthError


@st.composite
def wrong_columns(draw: st.DrawFn, names: tuple[str, ...], rows: int) -> Callable[[pa.Table], pa.Table]:
    """A change to a table: a column of another type or value, taken out, put in or doubled; other rows."""
    name, place = draw(st.sampled_from(names)), draw(st.integers(0, rows - 1))
    value, kind = (
        draw(odd_values),
        draw(st.sampled_from(["value", "all", "drop", "add", "twice", "cast", "rows"])),
    )
    to = draw(st.sampled_from([pa.string(), pa.float16(), pa.int64(), pa.binary(), pa.float32(), pa.null()]))
    order = draw(st.sampled_from(["reversed", "cut", "doubled", "one moved"]))

    def change(table: pa.Table) -> pa.Table:
        if name not in table.column_names:
            return table
        at, column = table.column_names.index(name), table[name]
        if kind == "drop":
            return table.remove_column(at)
        if kind in ("add", "twice"):
            return table.append_column(name if kind == "twice" else "another", column)
        if kind == "rows":
            order_of = {
                "reversed": list(range(table.num_rows))[::-1],
                "cut": list(range(table.num_rows - 1)),
                "doubled": [*range(table.num_rows), place],
                "one moved": [*range(place), *range(place + 1, table.num_rows), place],
            }
            return table.take(order_of[order])
        try:
            if kind == "cast":
                made = pa.nulls(table.num_rows, to) if to == pa.null() else column.cast(to, safe=False)
            elif kind == "all":
                made = pa.array([value] * table.num_rows)
            else:
                values = column.to_pylist()
                values[place % table.num_rows] = value
                made = pa.array(values, column.type)
        except (pa.ArrowException, OverflowError, TypeError, ValueError):
            return table  # such a column cannot be made
        return table.set_column(at, name, made)

    def storable(table: pa.Table) -> pa.Table:
        try:
            as_bytes(changed := change(table))
        except pa.ArrowNotImplementedError:
            return table
        return changed

    return storable


def as_bytes(table: pa.Table) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


@cases(40, 600)
@given(change=wrong_columns(nasbench101.COLUMNS, 60))
def test_changed_tables_of_nasbench101(
    change: Any, lawful101: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = own(tmp_path_factory)
    changed = change(pa.Table.from_pandas(lawful101))
    path = folder / nasbench101.FILE
    path.write_bytes(as_bytes(changed))
    columns = [name for name in nasbench101.COLUMNS if name in changed.column_names]
    table = told("tables of NAS-Bench-101", lambda: nasbench101.load(folder, columns), TruthError)
    if table is not REFUSED:
        assert len(table) == 60
        assert table["cifar10_test"].between(0, 100).all()
    frame = changed.to_pandas(ignore_metadata=True)
    again = told("tables to be saved", lambda: nasbench101.save(frame, folder / "saved"), ValueError)
    if again is REFUSED:
        assert not (folder / "saved").exists()
    else:
        again.unlink()
        again.parent.rmdir()


@cases(30, 800)
@given(data=st.data())
def test_damaged_tables_of_nasbench101(
    data: st.DataObject, lawful101: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = own(tmp_path_factory)
    whole = st.just(as_bytes(pa.Table.from_pandas(lawful101)))
    path = folder / nasbench101.FILE
    path.write_bytes(data.draw(spoiled(whole, st.binary(max_size=4))))
    told("damaged tables", lambda: nasbench101.load(folder), TruthError)


@cases(15, 200)
@given(change=wrong_columns(nasbench201.COLUMNS, 15625))
def test_changed_tables_of_nasbench201(
    change: Any, lawful201: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = own(tmp_path_factory)
    pq.write_table(change(pa.Table.from_pandas(lawful201)), folder / nasbench201.FILE)
    table = told("tables of NAS-Bench-201", lambda: nasbench201.load(folder), TruthError)
    if table is not REFUSED:
        assert table["arch"].tolist() == lawful201["arch"].tolist()
        assert table[list(nasbench201.MEANS)].notna().all(axis=None)


IDENTITY: dict[str, Any] = {
    "space": {"name": "nasbench201"},
    "seed": 0,
    "datasets": {"cifar10": {"num_classes": 10}},
    "proxies": {"p": {"name": "p", "version": 1}},
}
COLUMNS = (
    "index",
    "arch",
    "seed",
    "gamma",
    "score",
    "seconds",
    "status",
    "error",
    "proxy_version",
    *parquet.MARKS,
)
TASK = Task("cifar10", "p")


def row(index: int, **other: Any) -> dict[str, Any]:
    found = {
        "gamma": 0.5,
        "score": index / 7,
        "seconds": 0.1,
        "status": "ok",
        "error": None,
        "proxy_version": 1,
    }
    return {
        "dataset": "cifar10",
        "label": "p",
        "index": index,
        "arch": f"arch-{index}",
        "seed": 0,
        **found,
        **other,
    }


def make_run(folder: Path) -> Path:
    """An interrupted run with two shards, one with a failure."""
    store = Store(folder, "nasbench201", IDENTITY, {})
    for rows in ([row(0), row(1, status="error", score=math.nan)], [row(2), row(3, copied_from=2)]):
        store.add(rows)
        store.flush()
    store.close()
    return folder


def everything(folder: Path) -> set[str]:
    """All that reads or writes the shards of a run; returns what it set aside."""
    store = Store(folder, "nasbench201", IDENTITY, {})
    try:
        lacking = {0, 2} - store.indices(TASK)
        store.scores_of(TASK, [0, 2])
        assert store.failed(TASK) <= store.indices(TASK)
        store.drop_failed(TASK, [1])
        store.add([row(index) for index in sorted(lacking)])
        store.finish({})
    finally:
        store.close()
    assert {0, 2} <= set(read_scores(folder)["index"])
    again = Store(folder, "nasbench201", IDENTITY, {})
    again.close()
    assert again.mended == []
    return {str(path.relative_to(folder)) for path in folder.rglob("*.damaged*")}


def on_a_run(folder: Path, what: str, spoil: Callable[[Path], None]) -> None:
    make_run(folder)
    spoil(folder)
    before = tree(folder)
    told(f"{what}, read", lambda: read_scores(folder))
    told(f"{what}, reported", lambda: read_runs([folder]))
    assert tree(folder) == before
    set_aside = told(f"{what}, continued", lambda: everything(folder))
    after = tree(folder)
    lost = {name for name in before.keys() - after.keys() if "part-" not in name and ".merged" not in name}
    assert not lost
    if set_aside is not REFUSED:
        assert all(after[name] in before.values() for name in set_aside), "what is set aside stays as it was"


def fresh(factory: pytest.TempPathFactory) -> Path:
    return factory.mktemp("run")


@cases(40, 800)
@given(change=wrong_columns(COLUMNS, 2))
def test_changed_shards(change: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    def spoil(folder: Path) -> None:
        file = sorted(folder.rglob("part-*.parquet"))[0]
        pq.write_table(change(pq.ParquetFile(file).read()), file)

    on_a_run(fresh(tmp_path_factory), "shards", spoil)


@cases(30, 800)
@given(data=st.data())
def test_damaged_shards(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    def spoil(folder: Path) -> None:
        file = sorted(folder.rglob("part-*.parquet"))[0]
        file.write_bytes(data.draw(spoiled(st.just(file.read_bytes()), st.binary(max_size=4))))

    on_a_run(fresh(tmp_path_factory), "damaged shards", spoil)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@cases(40, 800)
@given(key=st.sampled_from([*IDENTITY, "earlier", "sampling", ""]), value=json_values, raw=st.data())
def test_records_of_runs(
    key: str, value: Any, raw: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    def spoil(folder: Path) -> None:
        file = folder / "run.json"
        text = json.dumps({**json.loads(file.read_text()), key: value} if key else value)
        pieces = st.sampled_from(["", "{", "[" * 100_000, "\udcff", "null", '"', "1e999", "\n"])
        changed = raw.draw(spoiled(st.just(text), pieces) | st.just(text))
        file.write_text(changed, errors="surrogateescape")

    on_a_run(fresh(tmp_path_factory), "records of runs", spoil)


names = st.lists(
    st.sampled_from(
        ["part-00000.parquet", "part-00001.parquet", "../../../../../kept", "/etc/none", "", ".", 3, None]
    ),
    max_size=3,
)


@cases(30, 300)
@given(said=names | json_values)
def test_merged_shards_replace_shards_alone(said: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    def spoil(folder: Path) -> None:
        (folder / "kept").touch()
        file = sorted(folder.rglob("part-*.parquet"))[0]
        merged = pq.ParquetFile(file).read().replace_schema_metadata({b"replaces": json.dumps(said).encode()})
        pq.write_table(merged, file.with_name(".merged.parquet"))

    folder = fresh(tmp_path_factory)
    on_a_run(folder, "merged shards", spoil)
    assert (folder / "kept").exists()
    assert np.all([name.startswith(("kept", "run.json", ".lock", "scores/")) for name in tree(folder)])
