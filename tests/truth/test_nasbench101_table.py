"""A right table is accepted; every wrong one is refused, with a sentence that says why and what to do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up101 import facts_of, make_table101

from nasbench_eval.errors import UsageError
from nasbench_eval.registry import UnknownName
from nasbench_eval.truth import nasbench101
from nasbench_eval.truth.errors import MissingTruth, TruthError
from nasbench_eval.truth.nasbench101 import (
    ACCURACIES,
    CELLS,
    COLUMNS,
    OPTIONAL,
    TEST_RUNS,
    VAL_RUNS,
    adjacency_fault,
    check,
    load,
    operations_fault,
    save,
)
from nasbench_eval.truth.tables import accuracy, load_table, runs

DATA = os.environ.get("NASBENCH_EVAL_DATA", "")
REAL = pytest.mark.skipif(
    not (Path(DATA or "/nowhere") / nasbench101.FILE).is_file(),
    reason="NASBENCH_EVAL_DATA names no folder with nasbench101.parquet",
)


def refused(table: pd.DataFrame, *words: str) -> None:
    with pytest.raises(TruthError) as caught:
        check(table)
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert "nasbench-data --nasbench101" in message


def moved(table: pd.DataFrame, rows: np.ndarray, columns: list[str]) -> pd.DataFrame:
    """The table with some rows' accuracies dealt out anew among them."""
    table = table.copy()
    table.loc[rows, columns] = table.loc[np.random.default_rng(0).permutation(rows), columns].to_numpy()
    return table


def test_a_lawful_table_passes_and_survives_the_disk(table101: pd.DataFrame, tmp_path: Path) -> None:
    save(table101, tmp_path)
    assert list(tmp_path.iterdir()) == [tmp_path / nasbench101.FILE]
    pd.testing.assert_frame_equal(load(tmp_path, COLUMNS), table101)


def test_the_cells_are_read_on_request_only(table101: pd.DataFrame, tmp_path: Path) -> None:
    save(table101, tmp_path)
    assert list(load(tmp_path).columns) == [name for name in COLUMNS if name not in CELLS]
    assert list(load(tmp_path, ["ops", "index"]).columns) == ["ops", "index"]
    with pytest.raises(UnknownName, match=r"column of .*'opps'; did you mean ops"):
        load(tmp_path, ["opps"])


def test_what_is_optional_may_be_absent(table101: pd.DataFrame, tmp_path: Path) -> None:
    few = table101.drop(columns=[*TEST_RUNS, "cifar10_val", *VAL_RUNS[1:]])
    few.loc[few.index[200:], "cifar10_val_run0"] = np.nan
    save(few.astype({"cifar10_val_run0": np.float32}), tmp_path)
    assert list(load(tmp_path).columns)[-2:] == ["cifar10_test", "cifar10_val_run0"]
    with pytest.raises(UnknownName, match="cifar10_val_run1"):
        load(tmp_path, ["cifar10_val_run1"])
    check(table101.drop(columns=list(OPTIONAL)))


def test_missing_table(tmp_path: Path) -> None:
    with pytest.raises(
        MissingTruth, match=r"no NAS-Bench-101 table at .*nasbench-data --nasbench101.*NASBENCH_EVAL_DATA"
    ):
        load(tmp_path)


def test_wrong_columns(table101: pd.DataFrame, tmp_path: Path) -> None:
    refused(table101.drop(columns="cifar10_test"), "lacks cifar10_test")
    refused(table101.rename(columns={"cifar10_test": "test"}), "lacks cifar10_test", "has test")
    refused(table101.assign(cifar10_val="high"), "cifar10_val holds")
    refused(pd.concat([table101, table101["params"]], axis=1), "repeats some")
    with pytest.raises(TruthError, match="lacks adjacency"):
        save(table101.drop(columns="adjacency"), tmp_path)
    table101.drop(columns="ops").to_parquet(tmp_path / nasbench101.FILE)
    with pytest.raises(TruthError, match=r"nasbench101\.parquet: the columns are wrong: the table lacks ops"):
        load(tmp_path)


def test_columns_in_another_order_are_put_right(table101: pd.DataFrame, tmp_path: Path) -> None:
    save(table101[list(reversed(COLUMNS))], tmp_path)
    assert list(load(tmp_path).columns) == [name for name in COLUMNS if name not in CELLS]


def test_truncated_rows(table101: pd.DataFrame) -> None:
    refused(table101.iloc[:-1], "truncated", "599 of 600 rows")
    refused(table101.iloc[:0], "truncated", "0 of 600 rows")
    refused(pd.concat([table101, table101.iloc[:1]]), "too many rows", "601")


@pytest.mark.parametrize("kept", [0, 3, 1000, -1, -5000])
def test_truncated_bytes(table101: pd.DataFrame, tmp_path: Path, kept: int) -> None:
    path = save(table101, tmp_path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(TruthError, match=r"truncated or no parquet file .*nasbench-data"):
        load(tmp_path)


def test_damaged_bytes_are_refused_or_do_not_matter(table101: pd.DataFrame, tmp_path: Path) -> None:
    path = save(table101, tmp_path)
    whole = path.read_bytes()
    refusals = 0
    # Most of them in the footer, which says how to read the rest.
    for place in range(len(whole) - 6000, len(whole), 40):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x14]) + whole[place + 1 :])
        try:
            load(tmp_path, COLUMNS)
        except TruthError:
            refusals += 1
    assert refusals > 20


def test_shuffled_rows(table101: pd.DataFrame) -> None:
    shuffled = table101.sample(frac=1, random_state=0)
    refused(shuffled, "rows are shuffled")
    refused(shuffled.assign(index=table101["index"].to_numpy()), "rows are shuffled")
    refused(table101.assign(index=table101["index"].to_numpy()[::-1]), "index is shuffled")


def test_hashes(table101: pd.DataFrame) -> None:
    hashes = table101["hash"].tolist()
    refused(table101.assign(hash=[hashes[1], *hashes[1:]]), "a hash more than once")
    refused(table101.assign(hash=["0" * 32, *hashes[1:]]), "not those of NAS-Bench-101's cells")
    refused(table101.assign(hash=["0", *hashes[1:]]), "other than 32 hexadecimal digits")
    refused(table101.assign(hash=[None, *hashes[1:]]), "hash has 1 holes")
    refused(table101.assign(hash=1.5), "other than 32 hexadecimal digits")


@pytest.mark.parametrize("name", ["params", "num_vertices"])
def test_facts_about_the_cells(table101: pd.DataFrame, name: str) -> None:
    values = table101[name].to_numpy()
    refused(table101.assign(**{name: values[::-1]}), f"the column {name} is not that of")
    refused(table101.assign(**{name: values + 0.5}), f"the column {name} is not that of")
    check(table101.assign(**{name: values.astype(np.int32)}))


def test_columns_of_other_kinds(table101: pd.DataFrame) -> None:
    refused(table101.assign(index=[[1, 2]] * len(table101)), "index is shuffled")
    for name in CELLS:
        refused(
            table101.assign(**{name: [[1, 2]] * len(table101)}), f"{name} holds something other than texts"
        )


def test_graphs_and_operations(table101: pd.DataFrame) -> None:
    for name, word in (("adjacency", "0101"), ("ops", "input,conv1x1-bn-relu,conv9x9,output")):
        values = table101[name].tolist()
        refused(table101.assign(**{name: [*values[:7], word, *values[8:]]}), "in row 7")
        refused(table101.assign(**{name: [*values[:7], None, *values[8:]]}), f"{name} has 1 holes")
        refused(table101.assign(**{name: values[::-1]}), f"{name} is shuffled", "another number of vertices")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "no square"),
        ("0", "no square"),
        ("01000", "no square"),
        ("0" * 64, "no square"),
        ("0200", "no square"),
        ("0110", "goes back"),
        ("1100", "goes back"),
        ("0" + "1" * 4 + "00" + "1" * 3 + "000" + "1" * 2 + "0000" + "1" + "00000", "10 edges, more than 9"),
    ],
)
def test_bits_that_are_no_graph(text: str, word: str) -> None:
    assert word in (adjacency_fault(text) or "")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "do not lead from input to output"),
        ("input", "do not lead"),
        ("output,input", "do not lead"),
        (",".join(["input", *["maxpool3x3"] * 6, "output"]), "do not lead"),
        ("input,conv3x3,output", "'conv3x3' is unknown; there are conv3x3-bn-relu"),
    ],
)
def test_operations_that_are_none(text: str, word: str) -> None:
    assert word in (operations_fault(text) or "")


def test_the_widest_cell_is_one() -> None:
    assert adjacency_fault("0111110" + "0011000" + "0000001" * 2 + "0" * 21) is None
    interior = ["conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3", "maxpool3x3", "maxpool3x3"]
    assert operations_fault(",".join(["input", *interior, "output"])) is None


@pytest.mark.parametrize("seed", range(3))
def test_shuffled_accuracies(table101: pd.DataFrame, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(table101))
    table101[list(ACCURACIES)] = table101[list(ACCURACIES)].to_numpy()[order]
    refused(table101, "number of parameters agree only", "shuffled against the cells")


def test_a_share_of_the_accuracies_shuffled(table101: pd.DataFrame) -> None:
    refused(
        moved(table101, np.arange(0, len(table101), 5), list(ACCURACIES)), "same number of parameters differ"
    )


def test_cells_moved_in_whole_groups(table101: pd.DataFrame) -> None:
    table = table101.copy()
    # The fewest parameters get the accuracies of the most and the other way round.
    table[list(ACCURACIES)] = table101.sort_values("params")[list(ACCURACIES)].to_numpy()[
        np.argsort(np.argsort(-table101["params"].to_numpy(), kind="stable"))
    ]
    refused(table, "number of parameters agree only")


def test_one_column_shuffled(table101: pd.DataFrame) -> None:
    few = table101.drop(columns=[*TEST_RUNS, "cifar10_val", *VAL_RUNS[1:]])
    refused(moved(few, np.arange(0, 600, 3), ["cifar10_val_run0"]), "cifar10_val_run0 and cifar10_test agree")
    refused(few.assign(cifar10_val_run0=90.0), "agree only to Spearman's rho nan")


@pytest.mark.parametrize(("mean", "single"), [("cifar10_test", TEST_RUNS), ("cifar10_val", VAL_RUNS)])
def test_runs_of_other_cells(table101: pd.DataFrame, mean: str, single: tuple[str, ...]) -> None:
    table = table101.copy()
    table.loc[[4, 5], list(single)] = table101.loc[[5, 4], list(single)].to_numpy()
    refused(table, f"{mean} is not the mean of its runs in row 4")
    table.loc[4, single[0]] = np.nan
    refused(table, f"{mean} is not the mean of its runs in row 5")


def test_other_epochs(table101: pd.DataFrame) -> None:
    scaled = table101.copy()
    scaled[list(ACCURACIES)] *= 0.95
    refused(scaled, "best of cifar10_test is 88.8", "after 108 epochs", "93.50", "4, 12 or 36 epochs")


def test_no_percentages(table101: pd.DataFrame) -> None:
    fractions = table101.copy()
    fractions[list(ACCURACIES)] /= 100
    refused(fractions, "fractions")
    refused(table101.assign(cifar10_val=table101["cifar10_val"] + 10), "cifar10_val", "no percentages")
    refused(table101.assign(cifar10_val=-1.0), "cifar10_val", "no percentages")


def test_holes(table101: pd.DataFrame) -> None:
    table101.loc[3, "cifar10_test"] = np.nan
    refused(table101, "cifar10_test has 1 holes")


def test_a_wrong_table_is_never_written(table101: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(TruthError, match="truncated"):
        save(table101.iloc[:10], tmp_path)
    assert not list(tmp_path.iterdir())


def test_accuracy_and_runs(table101: pd.DataFrame, tmp_path: Path) -> None:
    save(table101, tmp_path)
    table = load_table("nasbench101", tmp_path)
    np.testing.assert_array_equal(accuracy(table, "cifar10", "test"), table101["cifar10_test"])
    np.testing.assert_array_equal(accuracy(table, "cifar10", "val"), table101["cifar10_val"])
    np.testing.assert_array_equal(runs(table, "cifar10", "test"), table101[list(TEST_RUNS)])
    for function in (accuracy, runs):
        with pytest.raises(UsageError, match="nasbench101 has accuracies on cifar10 alone, none on cifar100"):
            function(table, "cifar100", "test")
        with pytest.raises(UnknownName, match="data set 'cifar1'"):
            function(table, "cifar1", "test")
        with pytest.raises(UnknownName, match="split 'tests'"):
            function(table, "cifar10", "tests")


def test_accuracy_where_there_is_one_run(table101: pd.DataFrame) -> None:
    table = table101.drop(columns=["cifar10_val", *VAL_RUNS[1:], *TEST_RUNS])
    table.loc[5, "cifar10_val_run0"] = np.nan
    np.testing.assert_array_equal(accuracy(table, "cifar10", "val"), table["cifar10_val_run0"])
    assert runs(table, "cifar10", "val").shape == (600, 1)
    assert runs(table, "cifar10", "test").shape == (600, 0)
    with pytest.raises(UsageError, match="cifar10_val"):
        accuracy(table.drop(columns="cifar10_val_run0"), "cifar10", "val")


def test_the_facts_are_of_a_table() -> None:
    assert facts_of(make_table101(seed=1)) != facts_of(make_table101())


@REAL
def test_the_real_table() -> None:
    table = load(Path(DATA), COLUMNS[: len(nasbench101.REQUIRED)])
    assert len(table) == 423_624
    assert table["params"].agg(["min", "max"]).tolist() == [227_274, 49_979_274]
    assert table["params"][0] == 8_555_530
    assert table["hash"][0] == "00005c142e6f48ac74fdcf73e3439874"


@REAL
def test_the_real_table_with_one_row_in_400_shuffled() -> None:
    table = load(Path(DATA), ["index", "hash", "num_vertices", "params", "cifar10_test"])
    rows = np.random.default_rng(1).choice(len(table), len(table) // 400, replace=False)
    refused(moved(table, rows, ["cifar10_test"]), "same number of parameters differ")


MEASURE = """
import json, resource, sys, time
from pathlib import Path
from nasbench_eval.truth import nasbench101 as n
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 2**20)
before, start = peak(), time.process_time()
table = n.load(Path(sys.argv[1]), n.REQUIRED)
drawn = table.sample(1000, random_state=0)
cells = [(list(map(int, a)), o.split(",")) for a, o in zip(drawn["adjacency"], drawn["ops"])]
print(json.dumps({"seconds": time.process_time() - start, "MB": peak() - before}))
"""


@REAL
def test_loading_and_drawing_a_thousand_cells_is_cheap() -> None:
    done = subprocess.run([sys.executable, "-c", MEASURE, DATA], capture_output=True, text=True, check=True)
    measured = json.loads(done.stdout)
    assert measured["seconds"] < 2, measured
    assert measured["MB"] < 500
