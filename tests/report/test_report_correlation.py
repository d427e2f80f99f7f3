from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from nasbench_eval.report.statistics.correlation import correlate, kendall_tau, resample_indices, spearman_rho

Measure = Callable[[Any, Any], float]
both = pytest.mark.parametrize("measure", [kendall_tau, spearman_rho])

# Few distinct values, so that ties are common.
pairs = st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4)), min_size=3, max_size=40)


def unzip(rows: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.array(rows, dtype=float).T
    assume(len(set(x)) > 1 and len(set(y)) > 1)
    return x, y


def brute_force_tau(x: np.ndarray, y: np.ndarray) -> float:
    dx = np.sign(x[:, None] - x[None, :])
    dy = np.sign(y[:, None] - y[None, :])
    return float((dx * dy).sum() / math.sqrt((dx**2).sum() * (dy**2).sum()))


@given(pairs)
def test_agrees_with_definition_and_scipy(rows: list[tuple[int, int]]) -> None:
    x, y = unzip(rows)
    assert kendall_tau(x, y) == pytest.approx(brute_force_tau(x, y), abs=1e-12)
    assert spearman_rho(x, y) == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)


@both
@given(pairs)
def test_negation_flips_the_sign(measure: Measure, rows: list[tuple[int, int]]) -> None:
    x, y = unzip(rows)
    assert measure(-x, y) == pytest.approx(-measure(x, y), abs=1e-12)
    assert measure(x, y) == pytest.approx(measure(y, x), abs=1e-12)


@given(pairs)
@settings(max_examples=30)
def test_increasing_maps_change_nothing(rows: list[tuple[int, int]]) -> None:
    x, y = unzip(rows)
    plain = correlate(x, y, resamples=20)
    assert correlate(np.exp(x) * 3 - 7, y, resamples=20) == plain
    assert correlate(x, y**3, resamples=20) == plain


@both
@pytest.mark.parametrize("size", [0, 1, 2, 7])
def test_constant_or_short_gives_nan(measure: Measure, size: int) -> None:
    assert math.isnan(measure(np.full(size, 0.1), np.arange(size)))
    assert math.isnan(measure(np.arange(size), np.full(size, 0.1)))


def test_constant_score_is_said_to_be_constant() -> None:
    found = correlate(np.full(9, 2.5), np.arange(9), resamples=10)
    assert found.constant
    assert found.n_tied == 9
    assert all(math.isnan(v) for v in (found.tau, found.tau_low, found.tau_high, found.rho, found.rho_high))
    assert not correlate(np.arange(9), np.arange(9), resamples=0).constant


def test_failures_rank_worst_tied_and_are_counted() -> None:
    scores = np.array([np.nan, 3.0, np.inf, 1.0, -np.inf, 2.0, -5e300])
    accuracy = np.array([10.0, 60.0, 30.0, 40.0, 20.0, 70.0, 5.0])
    found = correlate(scores, accuracy, resamples=0)
    lowest = np.array([0.0, 4.0, 0.0, 2.0, 0.0, 3.0, 1.0])
    assert (found.n, found.n_failed, found.n_lowest, found.n_tied) == (7, 2, 1, 3)
    assert found.tau == pytest.approx(stats.kendalltau(lowest, accuracy).statistic)
    assert found.rho == pytest.approx(stats.spearmanr(lowest, accuracy).statistic)


def test_failures_can_be_left_out_and_are_still_counted() -> None:
    scores = np.array([np.nan, 3.0, np.inf, 1.0, 2.0])
    accuracy = np.array([90.0, 60.0, 80.0, 40.0, 50.0])
    found = correlate(scores, accuracy, failures="omit", resamples=0)
    assert (found.n, found.n_failed, found.n_tied) == (5, 2, 0)
    assert found.tau == found.rho == pytest.approx(1.0)
    assert math.isnan(found.tau_low)
    nothing = correlate(np.full(4, np.nan), np.arange(4), failures="omit")
    assert (nothing.n, nothing.n_failed, nothing.constant) == (4, 4, True)


def test_unknown_accuracies_are_no_part_of_the_sample() -> None:
    found = correlate(np.array([1.0, np.nan, 2.0, 3.0]), np.array([5.0, np.nan, 6.0, 4.0]), resamples=0)
    assert (found.n, found.n_failed) == (3, 0)
    assert found.tau == pytest.approx(-1 / 3)


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="one vector each"):
        correlate(np.arange(3), np.arange(4))


def test_interval_is_the_percentile_bootstrap() -> None:
    rng = np.random.default_rng(1)
    x = rng.integers(0, 20, 80).astype(float)
    y = x + rng.normal(size=80) * 8
    found = correlate(x, y, resamples=200, seed=5)
    taus = [stats.kendalltau(x[i], y[i]).statistic for i in resample_indices(80, 200, 5)]
    rhos = [stats.spearmanr(x[i], y[i]).statistic for i in resample_indices(80, 200, 5)]
    assert [found.tau_low, found.tau_high] == pytest.approx(np.quantile(taus, [0.025, 0.975]))
    assert [found.rho_low, found.rho_high] == pytest.approx(np.quantile(rhos, [0.025, 0.975]))
    assert found.tau_low < found.tau < found.tau_high


def test_resamples_depend_on_size_and_seed_alone() -> None:
    first = list(resample_indices(30, 3, 7))
    again = list(resample_indices(30, 5, 7))
    assert all((a == b).all() for a, b in zip(first, again, strict=False))
    assert (first[0] != next(resample_indices(30, 1, 8))).any()
    assert len({tuple(i) for i in first}) == 3
    assert all(i.min() >= 0 and i.max() < 30 for i in first)


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    # For a bivariate normal of correlation r, Kendall's τ is 2/π·asin(r).
    r, covered, trials = 0.6, 0, 120
    expected = 2 / math.pi * math.asin(r)
    rng = np.random.default_rng(0)
    for _ in range(trials):
        x, noise = rng.normal(size=(2, 80))
        found = correlate(x, r * x + math.sqrt(1 - r * r) * noise, resamples=100)
        covered += found.tau_low <= expected <= found.tau_high
    # 120 draws of a 95 % interval miss by more than this once in thousands of times.
    assert 0.86 <= covered / trials < 1


def test_intervals_narrow_with_the_sample() -> None:
    x, noise = np.random.default_rng(2).normal(size=(2, 1600))
    wide = correlate(x[:100], (x + noise)[:100], resamples=200)
    narrow = correlate(x, x + noise, resamples=200)
    ratio = (wide.tau_high - wide.tau_low) / (narrow.tau_high - narrow.tau_low)
    assert 2.5 < ratio < 6  # √16 = 4


def test_minus_infinity_is_a_score_and_stays_where_failures_are_left_out() -> None:
    scores = np.array([np.nan, 3.0, np.inf, 1.0, -np.inf, 2.0])
    accuracy = np.array([10.0, 60.0, 30.0, 40.0, 50.0, 70.0])
    found = correlate(scores, accuracy, failures="omit", resamples=0)
    assert (found.n, found.n_failed, found.n_lowest, found.n_tied) == (6, 2, 1, 0)
    assert found.tau == pytest.approx(stats.kendalltau([3, 1, 0, 2], accuracy[[1, 3, 4, 5]]).statistic)
