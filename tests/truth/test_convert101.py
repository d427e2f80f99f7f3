"""Conversion of NAS-Bench-101's official file, on small files in its format."""

from __future__ import annotations

import base64
import json
import math
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_up101 import entries, entry, frame, make_table101, metrics, write

from nasbench_eval.errors import UsageError
from nasbench_eval.truth.convert101 import from_tfrecord
from nasbench_eval.truth.errors import TruthError
from nasbench_eval.truth.model_metrics import ModelMetrics
from nasbench_eval.truth.nasbench101 import check


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "nasbench_only108.tfrecord"


def silent(line: str) -> None:
    pytest.fail(f"nothing is to be said, but this was: {line}")


def convert(path: Path) -> pd.DataFrame:
    return from_tfrecord(path, silent)


def refused(path: Path, contents: list[Any], *words: str) -> None:
    write(path, contents)
    with pytest.raises(TruthError) as caught:
        convert(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert all(word in message for word in (*words, "get the official nasbench_only108.tfrecord")), message


def test_the_table_comes_back(table101: pd.DataFrame, path: Path) -> None:
    write(path, entries(table101))
    table = convert(path)
    pd.testing.assert_frame_equal(table, table101, rtol=1e-12)
    check(table)


def test_nothing_is_shown_where_there_is_no_terminal(
    table101: pd.DataFrame, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    convert(write(path, entries(table101)))
    assert capsys.readouterr() == ("", "")


def test_runs_keep_the_order_of_the_file(path: Path) -> None:
    (row,) = make_table101(1).itertuples()
    table = convert(write(path, [entry(row, run) for run in (2, 0, 1)]))
    expected = [row.cifar10_test_run2, row.cifar10_test_run0, row.cifar10_test_run1]
    found = [table[f"cifar10_test_run{k}"][0] for k in range(3)]
    assert found == pytest.approx(expected, rel=1e-12)
    assert table["cifar10_val"][0] == pytest.approx(row.cifar10_val, rel=1e-12)


def test_shorter_trainings_are_left_out_and_counted(table101: pd.DataFrame, path: Path) -> None:
    full = entries(table101)
    for epochs in (4, 12, 36):
        full += [entry(row, run, epochs=epochs) for row in table101.itertuples() for run in range(3)]
    said: list[str] = []
    table = from_tfrecord(write(path, full), said.append)
    pd.testing.assert_frame_equal(table, table101, rtol=1e-12)
    assert said == [f"left out {3 * 3 * len(table101)} records of other than 108 epochs"]


def test_lines_of_base64_may_be_broken(path: Path) -> None:
    rows = make_table101(2).itertuples()
    contents = [entry(row, run) for row in rows for run in range(3)]
    broken = [[*c[:4], base64.encodebytes(base64.b64decode(c[4])).decode()] for c in contents]
    assert "\n" in broken[0][4][:-1]
    pd.testing.assert_frame_equal(convert(write(path, broken)), convert(write(path, contents)))


def damage(raw: bytes, place: int) -> bytes:
    return raw[:place] + bytes([raw[place] ^ 0x10]) + raw[place + 1 :]


def test_damage_is_refused_with_its_place(table101: pd.DataFrame, path: Path) -> None:
    whole = write(path, entries(table101.iloc[:4])).read_bytes()
    first = len(frame(json.dumps(entries(table101.iloc[:4])[0]).encode()))
    for raw, words in (
        (damage(whole, first + 9), "a length with a wrong checksum"),
        (damage(whole, first + 40), "data with a wrong checksum"),
        (whole[: first + 5], "within its header"),
        (whole[: first + 100], "truncated"),
    ):
        path.write_bytes(raw)
        with pytest.raises(TruthError, match=rf"record 2 at byte {first} .*{words}"):
            convert(path)


@pytest.fixture
def good() -> list[list[Any]]:
    """Three records each of two cells; records 4 to 6 are of the second."""
    return [entry(row, run) for row in make_table101(2).itertuples() for run in range(3)]


def place(good: list[list[Any]], number: int) -> str:
    return f"record {number} at byte {sum(len(frame(json.dumps(e).encode())) for e in good[: number - 1])}"


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "no JSON"),
        (b"{", "no JSON"),
        (b"\xff\xfe\xfd", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"{}", "not of the form [hash, epochs"),
        (b'["hash", 108]', "not of the form"),
        (b'["hash", 108.0, "", "", ""]', "not of the form"),
        (b'["hash", true, "", "", ""]', "not of the form"),
        (b'["hash", 108, "", "", ""]', "'hash' for a hash"),
    ],
)
def test_what_is_no_record_of_the_benchmark(
    path: Path, good: list[list[Any]], data: bytes, word: str
) -> None:
    refused(path, [*good[:3], data, *good[3:]], place(good, 4), word)


def message(**changes: Any) -> str:
    """Metrics in base64 with fields of the last evaluation, or of the whole, changed or taken out."""
    found = ModelMetrics.FromString(metrics(10**6, 90, 91))
    for name, value in changes.items():
        holder = found if name == "trainable_parameters" else found.evaluation_data[-1]
        holder.ClearField(name)
        if value is not None:
            setattr(holder, name, value)
    return base64.b64encode(found.SerializeToString()).decode()


@pytest.mark.parametrize(
    ("raw", "word"),
    [
        ("not base64!", "no base64"),
        ("AAA", "no base64"),
        ("äöü", "no base64"),
        (base64.b64encode(b"\x0a\xff").decode(), "no protobuf message"),
        (base64.b64encode(metrics(1, 90, 91)[:-40]).decode(), "no protobuf message"),
        ("", "without parameters or without evaluations"),
        (base64.b64encode(ModelMetrics(trainable_parameters=1).SerializeToString()).decode(), "evaluations"),
        (message(trainable_parameters=None), "without parameters"),
        (message(current_epoch=54.0), "after 54 epochs, not 108"),
        (message(current_epoch=None), "after 0 epochs, not 108"),
        (message(current_epoch=math.nan), "after nan epochs, not 108"),
        (message(test_accuracy=None), "nan for a test accuracy"),
        (message(validation_accuracy=None), "nan for a validation accuracy"),
        (message(test_accuracy=93.5), "93.5 for a test accuracy, not a fraction"),
        (message(validation_accuracy=math.inf), "inf for a validation accuracy"),
    ],
)
def test_metrics_that_are_wrong(path: Path, good: list[list[Any]], raw: str, word: str) -> None:
    good[3][4] = raw
    refused(path, good, place(good, 4), word)


def test_an_epoch_may_be_off_by_steps(path: Path, good: list[list[Any]]) -> None:
    for entry_ in good[:3]:
        entry_[4] = message(current_epoch=107.98)
    assert len(convert(write(path, good))) == 2


@pytest.mark.parametrize(
    ("position", "value", "word"),
    [
        (2, "0110", "goes back"),
        (2, "", "no square"),
        (3, "input,conv5x5-bn-relu,output", "'conv5x5-bn-relu' is unknown"),
        (3, "output", "do not lead from input to output"),
    ],
)
def test_what_is_no_cell(path: Path, good: list[list[Any]], position: int, value: str, word: str) -> None:
    good[4][position] = value
    refused(path, good, place(good, 5), "is of no cell", word)


def test_vertices_that_differ(path: Path, good: list[list[Any]]) -> None:
    good[3][2:4] = "0100", "input,maxpool3x3,output"
    refused(path, good, place(good, 4), "different numbers of vertices")


@pytest.mark.parametrize(
    ("position", "value", "word"),
    [
        (2, "011001000", "adjacency"),
        (3, "input,output", "operations"),
        (4, message(trainable_parameters=1), "number of parameters"),
    ],
)
def test_runs_of_a_cell_that_contradict(
    path: Path, good: list[list[Any]], position: int, value: Any, word: str
) -> None:
    if good[4][position] == value:
        value = "0100" if position == 2 else "input,maxpool3x3,output"
    good[4][position] = value
    refused(path, good, place(good, 5), f"contradicts {place(good, 4)}, of the same cell, in its {word}")


def test_cells_without_three_runs(path: Path, good: list[list[Any]]) -> None:
    refused(path, good[:-1], f"the cell {good[3][0]} of {place(good, 4)} has 2 of 3 runs of 108 epochs")
    refused(path, [*good, good[3]], place([*good, good[3]], 7), f"is run 4 of the cell {good[3][0]}")


def test_a_file_without_108_epochs(path: Path) -> None:
    refused(path, [], "holds no record of 108 epochs")
    rows = make_table101(2).itertuples()
    write(path, [entry(row, epochs=36) for row in rows])
    with pytest.raises(TruthError, match="holds no record of 108 epochs"):
        from_tfrecord(path, lambda line: None)


def test_what_is_no_file(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UsageError, match=r"--nasbench101 names .*, which is no file"):
            convert(path)


def test_a_part_of_the_benchmark_is_converted_but_refused_as_a_table(path: Path) -> None:
    table = convert(write(path, entries(make_table101(5))))
    with pytest.raises(TruthError, match="truncated: it has 5 of 423624"):
        check(table)


def test_memory_does_not_grow_with_the_file(path: Path) -> None:
    cells, padding = 200, "x" * 50_000
    contents = entries(make_table101(cells))
    # Long paths of checkpoints, which nobody needs, make the file large without more cells.
    for content in contents:
        found = ModelMetrics.FromString(base64.b64decode(content[4]))
        found.evaluation_data[0].checkpoint_path = padding
        content[4] = base64.b64encode(found.SerializeToString()).decode()
    write(path, contents)
    del contents
    assert path.stat().st_size > 30e6
    tracemalloc.start()
    try:
        table = convert(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(table) == cells
    assert peak < 4e6  # a buffer of 1 MB, and a record in its four forms


def test_memory_per_cell_is_small(path: Path) -> None:
    cells = 4000
    write(path, entries(make_table101(cells)))
    tracemalloc.start()
    try:
        table = convert(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert np.isfinite(table["cifar10_val"]).all()
    # 423,624 cells at this rate stay below 1 GB by far.
    assert (peak - 2e6) / cells < 1000
