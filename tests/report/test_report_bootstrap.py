"""The bootstrap against SciPy, one resample at a time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from nasbench_eval.report.statistics import bootstrap as module
from nasbench_eval.report.statistics.bootstrap import bootstrap, interval, no_interval, resample_indices
from nasbench_eval.report.statistics.correlation import correlate

# Few distinct values, so that ties and constant resamples are common.
rows = st.lists(st.tuples(*[st.integers(-3, 3)] * 3), min_size=3, max_size=25)


def one_by_one(measure: Any, x: np.ndarray, y: np.ndarray, resamples: int, seed: int) -> list[float]:
    found = []
    for i in resample_indices(len(x), resamples, seed):
        constant = len(set(x[i])) == 1 or len(set(y[i])) == 1
        found.append(math.nan if constant else measure(x[i], y[i]).statistic)
    return found


@given(rows, st.integers(0, 5))
@settings(max_examples=40)
def test_equals_scipy_resample_by_resample(values: list[tuple[int, int, int]], seed: int) -> None:
    a, b, y = np.array(values, dtype=float).T
    found = bootstrap([a, b], y, resamples=8, seed=seed)
    for x, taus, rhos in zip([a, b], found.taus, found.rhos, strict=True):
        scipy_taus = one_by_one(stats.kendalltau, x, y, 8, seed)
        assert taus == pytest.approx(scipy_taus, abs=1e-12, nan_ok=True)
        assert rhos == pytest.approx(one_by_one(stats.spearmanr, x, y, 8, seed), abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("decimals", [0, 1, 9])
def test_equals_scipy_at_size(decimals: int) -> None:
    rng = np.random.default_rng(decimals)
    y = np.round(rng.normal(size=500), 2)
    x = np.round(y + rng.normal(size=500), decimals)
    found = bootstrap([x, -x], y, resamples=20, seed=3)
    taus = [stats.kendalltau(x[i], y[i]).statistic for i in resample_indices(500, 20, 3)]
    assert found.taus[0].tolist() == taus  # to the bit: integers up to the same divisions
    assert found.taus[1].tolist() == [-tau for tau in taus]
    assert found.rhos[0] == pytest.approx(one_by_one(stats.spearmanr, x, y, 20, 3), abs=1e-12)
    assert (found.rhos[1] == -found.rhos[0]).all()


def test_failures_may_be_minus_infinity() -> None:
    y = np.arange(9.0)
    found = bootstrap([np.where(y < 3, -np.inf, y)], y, resamples=9)
    again = bootstrap([np.where(y < 3, -7, y)], y, resamples=9)
    assert np.array_equal(found.taus, again.taus)
    assert np.array_equal(found.rhos, again.rhos)


@pytest.mark.parametrize("chunk", [1, 60, 200])
def test_how_many_at_a_time_makes_no_difference(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = np.random.default_rng(0).integers(0, 9, (2, 30))
    expected = bootstrap([x], y, resamples=13)
    monkeypatch.setattr(module, "CHUNK", chunk)
    monkeypatch.setattr(module, "KEPT", 0)
    found = bootstrap([x], y, resamples=13)
    assert np.array_equal(found.taus, expected.taus)
    assert np.array_equal(found.rhos, expected.rhos)


def test_products_of_counts_beyond_32_bits() -> None:
    # Each of two architectures that rank in opposite orders is drawn n/2 times: n²/4 discordant pairs.
    n = 100_000
    drawn = np.array([n // 2], dtype=next(module._counts(n, 1, 0))[1].dtype)
    paths = module._paths(np.array([1, 0]), np.array([0, 1]))
    assert module._discordant(*paths, [drawn, drawn]).tolist() == [n * n // 4]
    assert next(module._counts(90_000, 1, 0))[1].dtype == np.int32


@pytest.mark.parametrize("n", [0, 1])
def test_of_fewer_than_two_there_is_none(n: int) -> None:
    found = bootstrap([np.arange(n)], np.arange(n), resamples=4)
    assert found.taus.shape == found.rhos.shape == (1, 4)
    assert np.isnan(found.taus).all()
    assert np.isnan(found.rhos).all()


def test_of_two_there_is_one_unless_constant() -> None:
    found = bootstrap([np.array([1, 0])], np.array([0, 1]), resamples=50)
    assert set(found.taus[0][np.isfinite(found.taus[0])]) == {-1.0}
    assert correlate(np.array([1, 0]), np.array([0, 1]), resamples=0).tau == -1


def test_shapes_without_scores_or_resamples() -> None:
    assert bootstrap([], np.arange(5), resamples=3).taus.shape == (0, 3)
    assert bootstrap([np.arange(5)], np.arange(5), resamples=0).rhos.shape == (1, 0)


def test_interval_leaves_out_what_is_not_finite() -> None:
    values = np.arange(101.0)
    assert interval(values, 20) == pytest.approx((2.5, 97.5))
    assert interval(np.append(values, [np.nan, np.nan]), 20) == pytest.approx((2.5, 97.5))
    assert all(math.isnan(bound) for bound in interval(np.array([np.nan]), 20))


@pytest.mark.parametrize(
    ("values", "n", "why"),
    [
        (np.arange(101.0), 19, "n < 20"),
        (np.ones(101), 5, "n < 20"),
        (np.ones(101), 500, "none"),
        (np.append(np.ones(100), 1 - 2e-16), 500, "none"),  # they agree up to rounding
        (np.array([]), 500, "no resamples"),
        (np.arange(101.0), 500, ""),
    ],
)
def test_where_resamples_say_nothing_there_is_no_interval_but_a_word(
    values: np.ndarray, n: int, why: str
) -> None:
    low, high = interval(values, n)
    assert (math.isnan(low), math.isnan(high)) == (bool(why), bool(why))
    assert no_interval(n, len(values), low) == why
