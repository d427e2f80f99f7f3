"""Scores and accuracies as pandas users read them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import nasbench_eval
from nasbench_eval.errors import UsageError
from nasbench_eval.registry import UnknownName
from nasbench_eval.runs.rows import Row
from nasbench_eval.runs.store import Store
from nasbench_eval.truth import tables

ROOT = Path(__file__).resolve().parents[2]


def rows(label: str, dataset: str, scores: dict[int, float]) -> list[Row]:
    def status(score: float) -> str:
        return "ok" if np.isfinite(score) else "nan" if np.isnan(score) else "inf"

    return [
        {
            "dataset": dataset, "label": label, "index": index, "arch": f"arch-{index}", "seed": 0,
            "gamma": 2 * score, "score": score, "seconds": 0.5, "status": status(score), "error": None,
            "proxy_version": 1,
        }
        for index, score in scores.items()
    ]  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Path:
    identity = {
        "space": {"name": "toy"},
        "seed": 0,
        "datasets": {"a": {}, "b": {}},
        "proxies": {"p": {"name": "p"}, "q": {"name": "q"}},
    }
    store = Store(tmp_path / "run", "toy", identity, {})
    store.add(rows("p", "a", {7: 1.0, 3: 2.0, 5: float("nan")}))
    store.add(rows("q", "a", {3: 4.0, 9: float("-inf")}))
    store.add(rows("p", "b", {3: 6.0}))
    store.finish({})
    store.close()
    return tmp_path / "run"


def test_one_data_set_has_a_column_a_proxy(run: Path) -> None:
    wide = nasbench_eval.load_scores(run, dataset="a")
    nan = float("nan")
    worst = float("-inf")
    expected = pd.DataFrame({"p": [2.0, worst, 1.0, nan], "q": [4.0, nan, nan, worst]}, index=[3, 5, 7, 9])
    pd.testing.assert_frame_equal(wide, expected, check_names=False, check_index_type=False)
    assert (wide.index.name, wide.columns.name) == ("index", "proxy")


def test_failed_lowest_and_not_asked_are_three_things(run: Path) -> None:
    wide = nasbench_eval.load_scores(run, dataset="a", failures="nan")
    nan, worst = float("nan"), float("-inf")
    expected = pd.DataFrame({"p": [2.0, nan, 1.0, nan], "q": [4.0, nan, nan, worst]}, index=[3, 5, 7, 9])
    pd.testing.assert_frame_equal(wide, expected, check_names=False, check_index_type=False)
    statuses = nasbench_eval.load_scores(run, dataset="a", value="status")
    assert statuses["p"].tolist()[:3] == ["ok", "nan", "ok"]
    assert statuses["p"].isna().tolist() == [False, False, False, True]
    with pytest.raises(UnknownName, match="rule for failures 'omit'; there are: nan, worst"):
        nasbench_eval.load_scores(run, failures="omit")  # type: ignore[arg-type]


def test_pandas_and_the_report_agree() -> None:
    """On a committed run with failures and scores of −∞: what README shows gives the report's numbers."""
    tables = ROOT / "results" / "digits" / "tables"
    reported = pd.read_csv(tables / "benchmark.csv").query("split == 'test' and n > 0").set_index("proxy")
    assert reported["n_failed"].sum() > 0
    truth = nasbench_eval.load_truth("digits")["digits_test"]
    aggregates = ["te_nas", "teg", "az_nas"]
    wide = nasbench_eval.load_scores(ROOT / "results" / "digits", aggregates=aggregates)
    taus = wide.corrwith(truth.loc[wide.index], method="kendall")
    common = taus.index.intersection(reported.index)
    assert len(common) > 18
    assert set(aggregates) < set(common)
    np.testing.assert_allclose(taus[common], reported.loc[common, "kendall_tau"], atol=1e-6)


def test_an_aggregate_whose_members_were_not_scored_is_refused(run: Path) -> None:
    with pytest.raises(UnknownName, match="member of aggregate 'te_nas'"):
        nasbench_eval.load_scores(run, aggregates=["te_nas"])


def test_several_data_sets_have_a_column_a_pair(run: Path) -> None:
    wide = nasbench_eval.load_scores(str(run))
    assert list(wide.columns) == [("a", "p"), ("a", "q"), ("b", "p")]
    assert wide["b", "p"].dropna().to_dict() == {3: 6.0}


def test_other_values(run: Path) -> None:
    assert nasbench_eval.load_scores(run, dataset="a", value="gamma")["p"][7] == 2.0
    assert (nasbench_eval.load_scores(run, dataset="b", value="seconds")["p"] == 0.5).all()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"dataset": "c"}, "unknown data set of .* 'c'"),
        ({"space": "toys"}, "unknown search space of .* 'toys'; did you mean toy"),
        ({"value": "gama"}, "unknown value of .* 'gama'; did you mean gamma"),
        ({"value": "arch"}, "unknown value"),
        ({"value": "index"}, "unknown value"),
    ],
)
def test_unknown_names(run: Path, options: dict[str, str], said: str) -> None:
    with pytest.raises(UnknownName, match=said):
        nasbench_eval.load_scores(run, **options)  # type: ignore[arg-type]


def test_no_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no run folder"):
        nasbench_eval.load_scores(tmp_path / "absent")


def test_truth_joins_scores(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = pd.DataFrame({"index": range(10), "a_test": np.arange(10.0)})
    monkeypatch.setitem(tables.TABLES, "toy", lambda folder: table)  # type: ignore[arg-type]
    truth = nasbench_eval.load_truth("toy", tmp_path)
    both = nasbench_eval.load_scores(run, dataset="a").join(truth)
    assert both["a_test"].tolist() == [3, 5, 7, 9]
    with pytest.raises(UnknownName, match="search space with ground truth 'toys'"):
        nasbench_eval.load_truth("toys", tmp_path)


def test_importing_the_package_is_cheap() -> None:
    code = "import sys, nasbench_eval; sys.exit('pandas' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    with pytest.raises(AttributeError, match="no attribute 'load_score'"):
        nasbench_eval.load_score  # noqa: B018
