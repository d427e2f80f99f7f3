"""All statistics of a data set: each figure is that of its own function, on the right architectures."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench_eval.report.statistics.correlation import correlate, judged, kendall_tau, spearman_rho
from nasbench_eval.report.statistics.panel import Bootstraps, panel
from nasbench_eval.report.statistics.partial import partial
from nasbench_eval.report.statistics.resampled import Resamples
from nasbench_eval.report.statistics.selection import ndcg, top_overlap, top_regret
from nasbench_eval.report.statistics.strata import deciles, weighted_tau
from nasbench_eval.report.statistics.summary import Statistics, statistics

N = 120


@pytest.fixture(scope="module")
def accuracy() -> pd.Series:
    return pd.Series(np.random.default_rng(0).normal(80, 6, N).round(1), index=range(1000, 1000 + N))


@pytest.fixture(scope="module")
def scores(accuracy: pd.Series) -> dict[str, pd.Series]:
    rng = np.random.default_rng(1)
    made = {f"p{i}": accuracy + rng.normal(0, 3 + 4 * i, N) for i in range(2)}
    made["p1"].iloc[[0, 50, 51]] = [np.nan, np.inf, -np.inf]
    made["flops"] = (accuracy + rng.normal(0, 6, N)).round(-1)
    made["part"] = made["p0"].iloc[20:100]
    made["constant"] = accuracy * 0
    return made


@pytest.fixture(scope="module")
def found(scores: dict[str, pd.Series], accuracy: pd.Series) -> Statistics:
    return statistics(scores, accuracy, resamples=50, seed=3)


@pytest.mark.parametrize("name", ["p0", "p1", "flops", "part", "constant"])
def test_a_row_is_what_correlate_says(
    name: str, found: Statistics, scores: dict[str, pd.Series], accuracy: pd.Series
) -> None:
    row = found.metrics.loc[name]
    alone = correlate(scores[name], accuracy[scores[name].index], resamples=50, seed=3)
    columns = {"tau": "kendall_tau", "rho": "spearman_rho"} | {
        f"{short}_{end}": f"{long}_{end}"
        for short, long in (("tau", "kendall"), ("rho", "spearman"))
        for end in ("low", "high")
    }
    for attribute, column in columns.items():
        assert row[column] == pytest.approx(getattr(alone, attribute), abs=0, nan_ok=True)
    for attribute in ("n", "n_failed", "n_tied", "constant"):
        assert row[attribute] == getattr(alone, attribute)


def test_selection_columns(found: Statistics, scores: dict[str, pd.Series], accuracy: pd.Series) -> None:
    sample, row = judged(scores["p1"], accuracy), found.metrics.loc["p1"]
    assert (row["k_1pct"], row["ndcg_p"]) == (2, N)  # 1.2 architectures, rounded up
    assert row["ndcg"] == ndcg(sample)
    assert row["weighted_tau"] == weighted_tau(sample)
    for label, k in (("1", 1), ("10", 10), ("100", 100), ("1pct", 2)):
        assert row[f"regret_{label}"] == top_regret(sample, k)
        assert row[f"overlap_{label}"] == top_overlap(sample, k)
    assert math.isnan(found.metrics.loc["part", "regret_100"])  # of 80 architectures


def test_partial_columns(found: Statistics, scores: dict[str, pd.Series], accuracy: pd.Series) -> None:
    within = scores["part"].index
    x, z, y = scores["part"], scores["flops"][within], accuracy[within]
    row = found.metrics.loc["part"]
    for key, measure in (("tau", kendall_tau), ("rho", spearman_rho)):
        expected = partial(measure(x, y), measure(x, z), measure(z, y))
        assert row[f"partial_{key}_given_flops"] == pytest.approx(float(expected), abs=1e-12)
        low, high = row[f"partial_{key}_given_flops_low"], row[f"partial_{key}_given_flops_high"]
        assert low < row[f"partial_{key}_given_flops"] < high
    assert row["n_given_flops"] == 80
    assert math.isnan(found.metrics.loc["flops", "partial_tau_given_flops"])
    # A control that was not scored.
    assert found.metrics["partial_rho_given_params"].isna().all()
    assert (found.metrics["n_given_params"] == 0).all()


def test_strata(found: Statistics, scores: dict[str, pd.Series], accuracy: pd.Series) -> None:
    assert len(found.strata) == 5 * 11
    chosen = deciles(accuracy.to_numpy()) == 4
    row = found.strata.loc[("p0", "decile_4")]
    alone = correlate(scores["p0"][chosen], accuracy[chosen], resamples=50, seed=3)
    assert row["kendall_tau"] == pytest.approx(alone.tau)
    assert row[["kendall_low", "kendall_high"]].isna().all()  # of twelve there is none
    assert (row["interval"], alone.interval) == ("n < 20", "n < 20")
    assert (row["n"], row["accuracy_high"]) == (chosen.sum(), accuracy[chosen].max())
    tenths = found.strata.drop(index="top_10pct", level="stratum").groupby("proxy")[["n", "n_failed"]].sum()
    assert tenths.loc["p1"].tolist() == [N, 2]
    assert tenths.loc["part"].tolist() == [80, 0]
    best = accuracy >= accuracy.sort_values().iloc[-N // 10]
    assert found.strata.loc[("p0", "top_10pct"), "n"] == best.sum()
    assert found.strata.loc[("p0", "top_10pct"), "kendall_tau"] == pytest.approx(
        kendall_tau(scores["p0"][best].to_numpy(), accuracy[best].to_numpy())
    )


def test_the_rest_is_there(found: Statistics) -> None:
    assert list(found.metrics.index) == ["p0", "p1", "flops", "part", "constant"]
    assert len(found.paired) == 5 * 4
    assert found.between.tau.shape == (5, 5)


def test_not_asked_is_no_failure(scores: dict[str, pd.Series], accuracy: pd.Series) -> None:
    asked = statistics({"part": scores["part"]}, accuracy, resamples=0).metrics.loc["part"]
    failed = statistics({"part": scores["part"].reindex(accuracy.index)}, accuracy, resamples=0).metrics
    assert (asked["n"], asked["n_failed"]) == (80, 0)
    assert (failed.loc["part", "n"], failed.loc["part", "n_failed"]) == (N, N - 80)
    # A frame says the same as its columns, each of which was asked about all rows.
    frame = pd.DataFrame({"a": scores["p0"], "b": scores["part"]})
    assert statistics(frame, accuracy, resamples=0).metrics["n_failed"].tolist() == [0, N - 80]


def test_failures_left_out(scores: dict[str, pd.Series], accuracy: pd.Series) -> None:
    row = statistics(scores, accuracy, resamples=30, failures="omit").metrics.loc["p1"]
    alone = correlate(scores["p1"], accuracy, resamples=30, failures="omit")
    assert (row["n"], row["n_failed"], row["ndcg_p"]) == (N, 2, N - 2)
    assert row["n_lowest"] == 1
    assert (row["kendall_tau"], row["spearman_high"]) == (alone.tau, alone.rho_high)


@given(st.randoms(use_true_random=False))
@settings(max_examples=5, deadline=None)
def test_orders_and_increasing_maps_change_nothing(random: object) -> None:
    rng = np.random.default_rng(random.getrandbits(32))  # type: ignore[attr-defined]
    accuracy = pd.Series(rng.integers(0, 30, 40) * 1.0)
    scores = pd.DataFrame({"a": rng.integers(0, 9, 40) * 1.0, "flops": rng.normal(size=40)})
    plain = statistics(scores, accuracy, resamples=10, top=(1, 5))
    # Resamples go by the order of the accuracies, which stays; that of the scores is of no account.
    mapped = statistics(np.exp(scores).sample(frac=1, random_state=0), accuracy, resamples=10, top=(1, 5))
    pd.testing.assert_frame_equal(mapped.metrics, plain.metrics)
    pd.testing.assert_frame_equal(mapped.strata, plain.strata)
    pd.testing.assert_frame_equal(mapped.paired, plain.paired)
    pd.testing.assert_frame_equal(mapped.between.tau, plain.between.tau)
    flipped = statistics(-scores, accuracy, resamples=10, top=(1, 5))
    signed = ["kendall_tau", "spearman_rho", "weighted_tau"]
    assert flipped.metrics[signed].to_numpy() == pytest.approx(-plain.metrics[signed].to_numpy(), abs=1e-12)


def test_architectures_without_an_accuracy_are_left_out(scores: dict[str, pd.Series]) -> None:
    accuracy = pd.Series([1.0, np.nan, 3.0], index=[1000, 1001, 7])
    aligned = panel(scores, accuracy)
    assert list(aligned.archs) == [1000]
    assert statistics(scores, accuracy, resamples=2).metrics["n"].tolist() == [1, 1, 1, 0, 1]


def test_wrong_requests() -> None:
    one = pd.Series([1.0, 2.0], index=["x", "x"])
    with pytest.raises(ValueError, match="architecture x occurs twice in proxy"):
        panel({"proxy": one}, pd.Series([1.0], index=["x"]))
    with pytest.raises(ValueError, match="occurs twice in the accuracies"):
        panel({"proxy": pd.Series([1.0], index=["x"])}, one)
    with pytest.raises(ValueError, match="there are no scores"):
        statistics({}, one)


def test_proxies_on_the_same_architectures_are_resampled_together(
    scores: dict[str, pd.Series], accuracy: pd.Series
) -> None:
    bootstraps = Bootstraps(panel(scores, accuracy), Resamples(5, 0))
    everything, part = bootstraps.panel.ranked("p0"), bootstraps.panel.ranked("part")
    bootstraps.taus("p0", everything)
    known = dict(bootstraps.known._taus)
    bootstraps.taus("flops", everything)
    assert bootstraps.known._taus.keys() == known.keys()
    assert len(bootstraps.taus("p0", part)) == 5
    # To the bit what one score alone gets, whoever is resampled beside it.
    alone = correlate(scores["p0"][part], accuracy[part], resamples=5)
    assert bootstraps.taus("p0", part).min() < alone.tau_low
