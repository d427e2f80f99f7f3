"""Proxies against each other: paired differences and how alike they rank."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from nasbench_eval.report.statistics.between import PAIRED_COLUMNS, between, paired
from nasbench_eval.report.statistics.bootstrap import resample_indices
from nasbench_eval.report.statistics.correlation import correlate
from nasbench_eval.report.statistics.panel import Bootstraps, panel
from nasbench_eval.report.statistics.resampled import Resamples

N = 40
ARCHS = [f"arch{i}" for i in range(N)]


def series(values: object, archs: list[str] = ARCHS) -> pd.Series:
    return pd.Series(values, index=archs, dtype=float)


@pytest.fixture
def accuracy() -> pd.Series:
    return series(np.random.default_rng(0).permutation(N) + 50)


@pytest.fixture
def scores(accuracy: pd.Series) -> dict[str, pd.Series]:
    rng = np.random.default_rng(1)
    noisy = {f"p{i}": series(accuracy + rng.normal(0, 3 + 8 * i, N)) for i in range(3)}
    noisy["p1"].iloc[[2, 5, 9]] = [np.nan, np.inf, -np.inf]
    # Asked about the first 30 only, in another order.
    noisy["part"] = noisy["p2"].iloc[:30].sample(frac=1, random_state=0) * 2 + 1
    return noisy


def test_a_difference_is_the_percentile_bootstrap(scores: dict, accuracy: pd.Series) -> None:
    row = paired(Bootstraps(panel(scores, accuracy), Resamples(60, 4))).loc[("p0", "p2")]
    x, z, y = (column.to_numpy() for column in (scores["p0"], scores["p2"], accuracy))
    differences = [
        stats.kendalltau(x[i], y[i]).statistic - stats.kendalltau(z[i], y[i]).statistic
        for i in resample_indices(N, 60, 4)
    ]
    assert row["difference"] == pytest.approx(
        stats.kendalltau(x, y).statistic - stats.kendalltau(z, y).statistic
    )
    assert [row["difference_low"], row["difference_high"]] == pytest.approx(
        np.quantile(differences, [0.025, 0.975])
    )
    assert row["share_above"] == pytest.approx(np.mean(np.array(differences) > 0))
    assert row["n"] == N


def test_pairs_are_antisymmetric(scores: dict, accuracy: pd.Series) -> None:
    found = paired(Bootstraps(panel(scores, accuracy), Resamples(30, 0)))
    assert list(found.columns) == PAIRED_COLUMNS
    assert len(found) == 4 * 3
    for name, other in found.index:
        one, two = found.loc[(name, other)], found.loc[(other, name)]
        assert one["difference"] == -two["difference"]
        assert [one["difference_low"]] == pytest.approx([-two["difference_high"]], abs=0, nan_ok=True)
        assert one["interval"] == two["interval"]
        assert one["share_above"] + two["share_above"] == 1
        assert (one["n"], one["n_failed"], one["n_tied"]) == (
            two["n"],
            two["n_failed_other"],
            two["n_tied_other"],
        )
    square = found["difference"].unstack()
    assert (square.fillna(0) == -square.T.fillna(0)).all(axis=None)


def test_pairs_are_judged_on_what_both_were_asked(scores: dict, accuracy: pd.Series) -> None:
    found = paired(Bootstraps(panel(scores, accuracy), Resamples(30, 2)))
    row = found.loc[("p1", "part")]
    first = accuracy.index[:30]
    assert (row["n"], row["n_failed"], row["n_failed_other"], row["n_tied"]) == (30, 3, 0, 3)
    alone = [correlate(scores[p].loc[first], accuracy[first], resamples=0).tau for p in ("p1", "part")]
    assert row["difference"] == pytest.approx(alone[0] - alone[1])
    # The same score is level with itself, on whichever architectures.
    same = found.loc[("p2", "part")]
    assert (same["difference"], same["share_above"]) == (0, 0.5)
    # All resamples agree about that, which is no interval.
    assert np.isnan(same["difference_low"])
    assert same["interval"] == "none"


def test_of_a_handful_of_architectures_nothing_is_certain(accuracy: pd.Series) -> None:
    few = accuracy.iloc[:19]
    found = paired(Bootstraps(panel({"a": few, "b": -few}, few), Resamples(30, 0))).loc[("a", "b")]
    assert found["difference"] == 2
    assert found[["difference_low", "difference_high", "share_above"]].isna().all()
    assert found["interval"] == "n < 20"


def test_failures_left_out_are_left_out_of_both(scores: dict, accuracy: pd.Series) -> None:
    row = paired(Bootstraps(panel(scores, accuracy, "omit"), Resamples(30, 2))).loc[("p0", "p1")]
    fine = np.isfinite(scores["p1"])
    taus = [correlate(scores[p][fine], accuracy[fine], resamples=0).tau for p in ("p0", "p1")]
    assert row["difference"] == pytest.approx(taus[0] - taus[1])
    assert (row["n"], row["n_failed"], row["n_failed_other"], row["n_tied_other"]) == (N, 0, 3, 0)


def test_pairs_without_a_difference(accuracy: pd.Series) -> None:
    scores = {"a": accuracy, "constant": accuracy * 0, "elsewhere": series([1.0], ["arch_unknown"])}
    found = paired(Bootstraps(panel(scores, accuracy), Resamples(9, 0)))
    assert found["difference"].isna().all()
    assert found["share_above"].isna().all()
    assert found.loc[("a", "elsewhere"), "n"] == 0
    alone = paired(Bootstraps(panel({"a": accuracy}, accuracy), Resamples(9, 0)))
    assert (len(alone), list(alone.columns)) == (0, PAIRED_COLUMNS)


def test_without_resamples_there_is_no_interval(scores: dict, accuracy: pd.Series) -> None:
    found = paired(Bootstraps(panel(scores, accuracy), Resamples(0, 0)))
    assert found["difference"].notna().all()
    assert found[["difference_low", "difference_high", "share_above"]].isna().all(axis=None)


def test_between_is_tau_in_cluster_order(accuracy: pd.Series) -> None:
    # Two that rank alike and two others that do, given in turn; and one that ranks like none.
    rng = np.random.default_rng(3)
    base = {"a": rng.normal(size=N), "b": rng.normal(size=N)}
    scores = {
        f"{name}{i}": series(base[name] + 0.1 * rng.normal(size=N)) for i in range(2) for name in ("a", "b")
    }
    scores["constant"] = series(np.ones(N))
    found = between(panel(scores, accuracy))
    order = list(found.tau.index)
    assert sorted(order) == sorted(scores)
    assert list(found.tau.columns) == list(found.n.index) == list(found.n_failed.columns) == order
    assert abs(order.index("a0") - order.index("a1")) == abs(order.index("b0") - order.index("b1")) == 1
    for one in order:
        for two in order:
            if "constant" in (one, two):
                assert math.isnan(found.tau.loc[one, two])
            else:
                expected = stats.kendalltau(scores[one], scores[two]).statistic
                assert found.tau.loc[one, two] == pytest.approx(expected, abs=1e-12)
    assert found.linkage.shape == (4, 4)
    # Average linkage at distance 1 − τ: the closest two come first; the constant one is at distance 1.
    assert found.linkage[0, 2] == pytest.approx(1 - np.sort(np.triu(found.tau.fillna(0), 1).ravel())[-1])


def test_the_opposite_way_is_farthest(accuracy: pd.Series) -> None:
    found = between(panel({"up": accuracy, "down": -accuracy}, accuracy))
    assert found.tau.loc["up", "down"] == -1
    assert found.linkage[0, 2] == 2


def test_between_counts(scores: dict, accuracy: pd.Series) -> None:
    found = between(panel(scores, accuracy))
    assert (found.n.loc["p0", "part"], found.n.loc["p0", "p1"]) == (30, N)
    assert (
        found.n_failed.loc["p0", "p1"],
        found.n_failed.loc["p1", "p1"],
        found.n_failed.loc["p0", "p0"],
    ) == (
        3,
        3,
        0,
    )
    assert between(panel({"a": accuracy}, accuracy)).tau.to_numpy().tolist() == [[1]]
