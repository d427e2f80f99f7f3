"""Proxies against each other: paired differences and how alike they rank."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from nasbench_eval.report.statistics.between import PAIRED_COLUMNS, between, paired, paired_given
from nasbench_eval.report.statistics.bootstrap import resample_indices
from nasbench_eval.report.statistics.correlation import correlate
from nasbench_eval.report.statistics.panel import Bootstraps, panel
from nasbench_eval.report.statistics.partial import partial
from nasbench_eval.report.statistics.rank import kendall_tau
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
    assert (row["n"], row["n_failed"], row["n_failed_other"], row["n_tied"]) == (30, 2, 0, 3)
    assert (row["n_lowest"], row["n_lowest_other"]) == (1, 0)
    turned = found.loc[("part", "p1")]
    assert (turned["n_failed"], turned["n_failed_other"], turned["n_lowest_other"]) == (0, 2, 1)
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
    fine = ~(np.isnan(scores["p1"]) | np.isposinf(scores["p1"]))  # −∞ is a score, the lowest
    taus = [correlate(scores[p][fine], accuracy[fine], resamples=0).tau for p in ("p0", "p1")]
    assert row["difference"] == pytest.approx(taus[0] - taus[1])
    assert (row["n"], row["n_failed"], row["n_failed_other"], row["n_tied_other"]) == (N, 0, 2, 0)


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
        2,
        2,
        0,
    )
    assert between(panel({"a": accuracy}, accuracy)).tau.to_numpy().tolist() == [[1]]


def test_partial_differences_are_judged_in_the_same_resamples(scores: dict, accuracy: pd.Series) -> None:
    rng = np.random.default_rng(5)
    scores["flops"] = series(accuracy + rng.normal(0, 9, N)).round(-1)
    bootstraps = Bootstraps(panel(scores, accuracy), Resamples(60, 1))
    found = paired_given(bootstraps, ("flops", "params"))
    assert set(found.index.get_level_values("control")) == {"flops"}  # params were not scored
    assert len(found) == 4 * 3  # a control is compared with nobody
    row, turned = found.loc[("flops", "p0", "part")], found.loc[("flops", "part", "p0")]
    first = accuracy.index[:30]
    given = {
        name: [
            partial(*(kendall_tau(x[i], y[i]) for x, y in pairs))
            for i in [np.arange(30), *resample_indices(30, 60, 1)]
            for pairs in [
                [
                    (scores[name][first].to_numpy(), accuracy[first].to_numpy()),
                    (scores[name][first].to_numpy(), scores["flops"][first].to_numpy()),
                    (scores["flops"][first].to_numpy(), accuracy[first].to_numpy()),
                ]
            ]
        ]
        for name in ("p0", "part")
    }
    differences = np.array(given["p0"]) - np.array(given["part"])
    assert row["n"] == 30
    assert row["difference"] == pytest.approx(differences[0])
    assert row[["difference_low", "difference_high"]].tolist() == pytest.approx(
        np.quantile(differences[1:], [0.025, 0.975])
    )
    assert row["share_above"] == (differences[1:] > 0).mean() + 0.5 * (differences[1:] == 0).mean()
    assert turned["difference_low"] == -row["difference_high"]
    assert turned["share_above"] == pytest.approx(1 - row["share_above"])


def test_without_a_control_there_is_no_partial_difference(scores: dict, accuracy: pd.Series) -> None:
    found = paired_given(Bootstraps(panel(scores, accuracy), Resamples(5, 0)), ("flops",))
    assert len(found) == 0
    assert list(found.reset_index().columns)[:4] == ["control", "proxy", "other", "n"]
