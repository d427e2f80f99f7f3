"""A table of one's own: what is read, what is refused, and the whole way from scores to a report."""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commands import scored
from hypothesis import given as for_all
from hypothesis import strategies as st

from nasbench_eval.errors import UsageError
from nasbench_eval.report.cli import main as report
from nasbench_eval.spaces import get
from nasbench_eval.spaces.open import known
from nasbench_eval.truth.given import Given, of_file

SPACE = get("nasbench201")
INDICES = [7, 3, 15624, 40, 100]


def made_up(**columns: object) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "arch": [SPACE.format(SPACE.arch(index)) for index in INDICES],
            "cifar10_test": [70.5, 60.0, 80.25, np.nan, 90.0],
            **columns,
        }
    )


def read(table: pd.DataFrame, folder: Path, ending: str = "csv") -> Given:
    path = folder / f"mine.{ending}"
    if ending == "csv":
        table.to_csv(path, index=False)
    else:
        table.to_parquet(path)
    return of_file(str(path), SPACE)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_table_of_texts(tmp_path: Path, ending: str) -> None:
    found = read(made_up(cifar100_val=[1.5, 2.5, 3.5, 4.5, 5.5], remark="x"), tmp_path, ending)
    assert found.indices == sorted(INDICES)
    assert (found.datasets, found.judged) == (("cifar10", "cifar100"), ("test", "val"))
    accuracy = found.accuracy("cifar10", "test")
    assert accuracy.shape == (15625,)
    assert accuracy[[7, 3, 15624, 100]].tolist() == [70.5, 60.0, 80.25, 90.0]
    assert np.isnan(accuracy[[0, 40]]).all()
    assert np.isnan(found.accuracy("cifar100", "test")).all()  # the table has no such column
    assert [note.partition(": ")[2] for note in found.notes] == [
        "1 of 5 architectures have no cifar10_test and are not judged by it"
    ]


def test_a_table_of_numbers(tmp_path: Path) -> None:
    found = read(made_up(index=INDICES).drop(columns="arch"), tmp_path)
    assert found.accuracy("cifar10", "test")[15624] == 80.25
    assert found.table["arch"].tolist() == [SPACE.format(SPACE.arch(i)) for i in sorted(INDICES)]


def test_runs_make_the_mean_and_the_ceiling(tmp_path: Path) -> None:
    first, second = np.array([50.0, 60, 70, 80, 90]), np.array([51.0, 59, 72, 81, 92])
    table = made_up(cifar10_test_run0=first, cifar10_test_run1=second).drop(columns="cifar10_test")
    found = read(table, tmp_path)
    np.testing.assert_allclose(found.accuracy("cifar10", "test")[INDICES], (first + second) / 2)
    assert found.runs("cifar10", "test").shape == (15625, 2)
    ceiling = found.ceiling("cifar10", "test")
    assert ceiling is not None
    with pytest.raises(UsageError, match=r"cifar10_test of '.*' is not the mean of its runs"):
        read(table.assign(cifar10_test=first + 5), tmp_path)


def test_an_open_space_is_joined_by_text(tmp_path: Path) -> None:
    space = known(get("mobilenetv2"), ())
    rng = np.random.default_rng(0)
    texts = [space.format(space.sample(rng)) for _ in range(3)]
    path = tmp_path / "open.csv"
    pd.DataFrame({"arch": texts, "imagenet1k_test": [70.0, 71, 72]}).to_csv(path, index=False)
    found = of_file(str(path), space)
    assert sorted(found.accuracy("imagenet1k", "test")) == [70, 71, 72]
    assert found.places == [0, 1, 2]
    pd.DataFrame({"index": [0], "imagenet1k_test": [70.0]}).to_csv(path, index=False)
    with pytest.raises(UsageError, match="those of mobilenetv2 have none; name them by their texts"):
        of_file(str(path), space)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cifar10_test": [0.7, 0.6, 0.8, 0.5, 0.9]}, "fractions instead of percentages"),
        ({"cifar10_test": [70.0, 60, 180, 50, 90]}, "goes from 50 to 180: no percentages"),
        ({"cifar10_test": ["a", "b", "c", "d", "e"]}, "not numbers"),
        ({"cifar10_test": [np.nan] * 5}, "the column cifar10_test has no number"),
        ({"cifar10_test": [np.inf, 60, 70, 50, 90]}, "holds an infinite number"),
        ({"arch": ["|none~0|"] * 5}, "row 1 names no architecture of nasbench201 (.*); so do 4 more rows"),
        ({"arch": [SPACE.format(SPACE.arch(3))] * 5}, "rows 1 and 2 are the same architecture"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(tmp_path: Path, change: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError) as refused:
        read(made_up(**change), tmp_path)
    assert "\n" not in str(refused.value)
    assert re.search(said.replace("(.*)", r"\(.*\)"), str(refused.value))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "cannot be read"),
        ("arch,cifar10_test\n", "has no rows"),
        ("cifar10_test\n70\n", "needs a column arch or index"),
        ("index,accuracy\n1,70\n", "no column is called <data set>_test"),
        ("index,cifar10_test\n15625,70\n", "the index 15625 is none of nasbench201's 0 to 15624"),
        ("index,cifar10_test\n1.5,70\n", "the index 1.5 is none"),
    ],
)
def test_files_that_are_no_tables(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(content)
    with pytest.raises(UsageError, match=said):
        of_file(str(path), SPACE)
    with pytest.raises(UsageError, match="there is no such file"):
        of_file(str(tmp_path / "other.csv"), SPACE)


@for_all(st.permutations(range(5)), st.lists(st.integers(0, 4), min_size=1, max_size=5, unique=True))
def test_the_order_and_number_of_rows_do_not_matter(order: list[int], kept: list[int]) -> None:
    table = made_up().fillna(10.0)
    path = Path(tempfile.mkdtemp()) / "mine.csv"
    table.iloc[order].to_csv(path, index=False)
    whole = of_file(str(path), SPACE).accuracy("cifar10", "test")
    table.iloc[kept].to_csv(path, index=False)
    part = of_file(str(path), SPACE).accuracy("cifar10", "test")
    indices = [INDICES[row] for row in kept]
    assert whole[indices].tolist() == part[indices].tolist() == table["cifar10_test"].iloc[kept].tolist()
    assert np.isfinite(part).sum() == len(kept)


def test_from_a_table_to_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`n=all` scores the architectures of the table, and the report judges by it without being told."""
    rng = np.random.default_rng(1)
    indices = rng.choice(15625, 12, replace=False)
    pd.DataFrame({"index": indices, "cifar10_val": rng.uniform(50, 90, 12)}).to_csv(
        tmp_path / "mine.csv", index=False
    )
    scored(tmp_path / "run", "truth=mine.csv", "n=all", "proxy.input=gaussian", "proxy=[params,naswot]")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["nasbench-report", "run", "--figures", "none", "--resamples", "20"])
    assert report() == 0
    assert "mine" in capsys.readouterr().out
    rows = pd.read_csv(tmp_path / "run" / "tables" / "mine.csv")
    assert set(rows["proxy"]) == {"params", "naswot"}
    assert (rows["n"] == 12).all()
    assert set(rows["split"]) == {"val"}
