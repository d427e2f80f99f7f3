"""A right table is accepted; every wrong one is refused, with a sentence that says why and what to do."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nasbench_eval.registry import UnknownName
from nasbench_eval.spaces.nasbench201 import NASBench201, unique_string
from nasbench_eval.truth import nasbench201
from nasbench_eval.truth.errors import MissingTruth, TruthError
from nasbench_eval.truth.nasbench201 import COLUMNS, MEANS, RUNS, check, load, save
from nasbench_eval.truth.sources import TABLE_SOURCES, digest
from nasbench_eval.truth.tables import accuracy, load_table

DATA = os.environ.get("NASBENCH_EVAL_DATA", "")
REAL = pytest.mark.skipif(
    not (Path(DATA or "/nowhere") / nasbench201.FILE).is_file(),
    reason="NASBENCH_EVAL_DATA names no folder with nasbench201.parquet",
)
ACCURACIES = [*MEANS, *RUNS]


def refused(table: pd.DataFrame, *words: str) -> None:
    with pytest.raises(TruthError) as caught:
        check(table)
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert "nasbench-data" in message


def connected(table: pd.DataFrame) -> np.ndarray:
    return np.flatnonzero(table["cifar10_test"].to_numpy() > 11)


def test_a_lawful_table_passes_and_survives_the_disk(table: pd.DataFrame, tmp_path: Path) -> None:
    save(table, tmp_path)
    assert list(tmp_path.iterdir()) == [tmp_path / nasbench201.FILE]
    pd.testing.assert_frame_equal(load(tmp_path), table)


def test_runs_may_be_absent(table: pd.DataFrame) -> None:
    table[list(RUNS)] = np.nan
    check(table)


def test_missing_table(tmp_path: Path) -> None:
    with pytest.raises(MissingTruth, match=r"no NAS-Bench-201 table at .*nasbench-data.*NASBENCH_EVAL_DATA"):
        load(tmp_path)


def test_wrong_columns(table: pd.DataFrame) -> None:
    refused(table.drop(columns="cifar100_val"), "lacks cifar100_val")
    refused(
        table.rename(columns={"cifar10_test": "cifar10_accuracy"}),
        "lacks cifar10_test",
        "has cifar10_accuracy",
    )
    refused(table.assign(cifar10_val="high"), "cifar10_val holds")


def test_columns_in_another_order_are_put_right(table: pd.DataFrame, tmp_path: Path) -> None:
    save(table[list(reversed(COLUMNS))], tmp_path)
    assert tuple(load(tmp_path).columns) == COLUMNS


def test_truncated_rows(table: pd.DataFrame) -> None:
    refused(table.iloc[:-1], "truncated", "15624 of 15625 rows")
    refused(table.iloc[:0], "truncated", "0 of 15625 rows")
    refused(pd.concat([table, table.iloc[:1]]), "too many rows")


@pytest.mark.parametrize("kept", [0, 3, 1000, -1, -5000])
def test_truncated_bytes(table: pd.DataFrame, tmp_path: Path, kept: int) -> None:
    path = save(table, tmp_path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(TruthError, match=r"truncated or no parquet file .*nasbench-data"):
        load(tmp_path)


def test_shuffled_rows(table: pd.DataFrame) -> None:
    refused(table.sample(frac=1, random_state=0), "rows are shuffled")
    refused(table.sample(frac=1, random_state=0).assign(index=table["index"].to_numpy()), "rows are shuffled")
    swapped = table.copy()
    swapped.loc[[5, 6], "arch"] = swapped.loc[[6, 5], "arch"].to_numpy()
    refused(swapped, "rows are shuffled")
    refused(table.assign(index=table["index"].to_numpy()[::-1]), "index is shuffled")


def test_foreign_cells(table: pd.DataFrame) -> None:
    table.loc[7, "arch"] = "|conv~0|"
    refused(table, "row 7", "|conv~0|")


def test_columns_of_other_kinds(table: pd.DataFrame) -> None:
    refused(table.assign(arch=[["a", "b"]] * len(table)), "row 0 names the cell \"['a', 'b']\"")
    refused(table.assign(arch="\n" * 9), r"row 0 names the cell '\n\n")
    refused(table.assign(index=[[1, 2]] * len(table)), "index is shuffled")
    refused(table.assign(index=table["index"].astype(float)), "index is shuffled")
    refused(table.assign(cifar10_val=table["cifar10_val"].astype(np.float16)), "holds float16")
    refused(table.assign(cifar10_val=table["cifar10_val"] * 1e306), "e+307: no percentages")


def test_neither_the_folders_name_nor_what_pandas_wrote_matters(table: pd.DataFrame, tmp_path: Path) -> None:
    folder = tmp_path / "run=1"
    folder.mkdir()
    stored = pa.Table.from_pandas(table).replace_schema_metadata({"pandas": '{"columns": 3}'})
    pq.write_table(stored, folder / nasbench201.FILE)
    pd.testing.assert_frame_equal(load(folder), table)


@pytest.mark.parametrize("seed", range(3))
def test_shuffled_accuracies(table: pd.DataFrame, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(table))
    table[ACCURACIES] = table[ACCURACIES].to_numpy()[order]
    refused(table, "shuffled against the cells")


@pytest.mark.parametrize("column", MEANS)
def test_one_column_shuffled_among_connected_cells(table: pd.DataFrame, column: str) -> None:
    rows = connected(table)
    values = table[column].to_numpy(copy=True)
    values[rows] = np.random.default_rng(0).permutation(values[rows])
    refused(table.assign(**{column: values}), f"differ in {column}", "shuffled against the cells")


def test_one_row_in_ten_shuffled_among_connected_cells(table: pd.DataFrame) -> None:
    rows = connected(table)[::10]
    table.loc[rows, ACCURACIES] = table.loc[np.random.default_rng(0).permutation(rows), ACCURACIES].to_numpy()
    refused(table, "training noise", "shuffled against the cells")


def test_functions_shuffled_as_wholes(table: pd.DataFrame) -> None:
    space = NASBench201()
    names = pd.Series([unique_string(space.arch(index)) for index in range(len(space))])
    rows = connected(table)
    for column in MEANS:
        means = table[column].iloc[rows].groupby(names.iloc[rows]).mean()
        shuffled = dict(zip(means.index, np.random.default_rng(0).permutation(means.to_numpy()), strict=True))
        values = table[column].to_numpy(copy=True)
        values[rows] = names.iloc[rows].map(shuffled)
        values[np.argmax(values)] = table[column].max()
        table[column] = values
    refused(table, "number of convolutions", "shuffled against the cells")


def test_a_cell_without_a_path_cannot_learn(table: pd.DataFrame) -> None:
    dead = int(np.flatnonzero(table["cifar10_test"] == 10.0)[1])
    table.loc[dead, "cifar100_val"] = 60.0
    refused(table, f"cell {dead} has no path", "60.00 in cifar100_val")


def test_the_all_none_cell(table: pd.DataFrame) -> None:
    none = int(np.flatnonzero(table["arch"].str.count("none") == 6)[0])
    table.loc[none, "imagenet16_120_test"] = 2.0
    refused(table, "all-none cell has 2.00 in imagenet16_120_test", "chance is 0.83")


def test_runs_of_other_cells(table: pd.DataFrame) -> None:
    rows = connected(table)
    table.loc[rows, list(RUNS)] = table.loc[np.roll(rows, 1), list(RUNS)].to_numpy()
    refused(table, "not the mean of its runs")


def test_the_table_of_12_epochs(table: pd.DataFrame) -> None:
    factor = 89.16 / 94.37
    learned = table["cifar10_test"] > 11
    for column in ("cifar10_test", *RUNS):
        table.loc[learned, column] *= factor
    refused(table, "table of 12 epochs", "89.16", "200 epochs", "94.37")


def test_another_best(table: pd.DataFrame) -> None:
    table.loc[table["cifar100_test"].idxmax(), "cifar100_test"] = 73.53
    refused(table, "best of cifar100_test is 73.53", "73.51")


def test_no_percentages(table: pd.DataFrame) -> None:
    fractions = table.copy()
    fractions[ACCURACIES] /= 100
    refused(fractions, "fractions")
    refused(table.assign(cifar10_val=table["cifar10_val"] + 10), "cifar10_val", "no percentages")
    refused(table.assign(cifar10_val=table["cifar10_val"] - 20), "cifar10_val", "no percentages")


def test_holes(table: pd.DataFrame) -> None:
    table.loc[3, "imagenet16_120_val"] = np.nan
    refused(table, "imagenet16_120_val has 1 holes")


def test_a_wrong_table_is_never_written(table: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(TruthError, match="truncated"):
        save(table.iloc[:10], tmp_path)
    assert not list(tmp_path.iterdir())


def test_load_table_by_space(table: pd.DataFrame, tmp_path: Path) -> None:
    save(table, tmp_path)
    assert len(load_table("nasbench201", tmp_path)) == 15625
    with pytest.raises(UnknownName, match="did you mean nasbench201"):
        load_table("nasbench202", tmp_path)


def test_accuracy_by_data_set_and_split(table: pd.DataFrame) -> None:
    values = accuracy(table, "imagenet16_120", "val")
    np.testing.assert_array_equal(values, table["imagenet16_120_val"])
    values[:] = 0  # a copy, so that the table is safe
    assert table["imagenet16_120_val"].max() > 40
    with pytest.raises(UnknownName, match="data set 'cifar-10'; did you mean cifar10"):
        accuracy(table, "cifar-10", "test")
    with pytest.raises(UnknownName, match="split 'tests'; did you mean test"):
        accuracy(table, "cifar10", "tests")


@REAL
def test_the_real_table() -> None:
    table = load(Path(DATA))
    assert len(table) == 15625
    # The ceiling that two runs of the same cells set: Spearman's rho 0.986.
    both = table[["cifar10_test_run0", "cifar10_test_run1"]].dropna()
    assert both.rank().corr().iloc[0, 1] == pytest.approx(0.986, abs=2e-3)


@REAL
def test_the_real_table_shuffled() -> None:
    table = load(Path(DATA))
    rows = connected(table)[::20]
    table.loc[rows, ACCURACIES] = table.loc[np.random.default_rng(0).permutation(rows), ACCURACIES].to_numpy()
    table = table.assign(**dict.fromkeys(RUNS, np.nan))
    # The best cell may have moved, but every mean still has its best value: only the laws can tell.
    refused(table, "shuffled against the cells")


@REAL
def test_the_pins_are_of_the_real_table() -> None:
    table = load(Path(DATA))
    columns = {
        "cifar10": ["cifar10_val"],
        "cifar100": ["cifar100_val", "cifar100_test"],
        "imagenet16_120": ["imagenet16_120_val", "imagenet16_120_test"],
        "cifar10_runs": list(RUNS),
    }
    for name, source in TABLE_SOURCES.items():
        assert digest(table[column].to_numpy() for column in columns[name]) == source.content, name
