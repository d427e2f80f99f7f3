"""Strata of accuracy, τ weighted to the top, and partial correlations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from nasbench_eval.report.statistics.correlation import judged, kendall_tau, spearman_rho
from nasbench_eval.report.statistics.partial import partial
from nasbench_eval.report.statistics.strata import best_share, deciles, weighted_tau

pairs = st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4)), min_size=3, max_size=30)


def test_deciles_are_equal_where_nothing_ties() -> None:
    accuracy = np.random.default_rng(0).permutation(200) / 3
    found = deciles(accuracy)
    assert np.bincount(found).tolist() == [0] + [20] * 10
    for d in range(1, 10):
        assert accuracy[found == d].max() < accuracy[found == d + 1].min()
    assert (best_share(accuracy) == (found == 10)).all()


def test_ties_are_not_torn_apart() -> None:
    # Ranks 1 to 20: the seven 5s share the ranks 1 to 7, the mean of which, 4, is in the second decile.
    accuracy = np.array([5.0] * 7 + list(range(6, 19)))
    assert deciles(accuracy)[:7].tolist() == [2] * 7
    assert best_share(np.array([1.0, 3.0, 3.0, 3.0])).tolist() == [False, True, True, True]
    assert best_share(np.arange(11.0)).sum() == 2  # at least a tenth
    assert best_share(np.zeros(0)).shape == deciles(np.zeros(0)).shape == (0,)


def brute_force_weighted_tau(x: np.ndarray, y: np.ndarray) -> float:
    """Σ w·sgn·sgn / √(Σ w·sgn² · Σ w·sgn²) over pairs, as Vigna 2015 has it; y gives the ranks."""
    rank = np.array([len(set(y[y > value])) for value in y])
    w = 1 / (rank[:, None] + 1) + 1 / (rank[None, :] + 1)
    np.fill_diagonal(w, 0)
    dx, dy = np.sign(x[:, None] - x[None, :]), np.sign(y[:, None] - y[None, :])
    return float((w * dx * dy).sum() / math.sqrt((w * dx**2).sum() * (w * dy**2).sum()))


@given(pairs)
def test_weighted_tau_by_its_definition(rows: list[tuple[int, int]]) -> None:
    x, y = np.array(rows, dtype=float).T
    assume(len(set(x)) > 1 and len(set(y)) > 1)
    found = weighted_tau(judged(x, y))
    assert found == pytest.approx(brute_force_weighted_tau(x, y), abs=1e-12)
    assert weighted_tau(judged(-x, y)) == pytest.approx(-found, abs=1e-12)
    assert weighted_tau(judged(np.exp(x), y**3)) == pytest.approx(found, abs=1e-12)


def test_weighted_tau_minds_the_top() -> None:
    accuracy = np.arange(50.0)
    wrong_at_top, wrong_at_bottom = accuracy.copy(), accuracy.copy()
    wrong_at_top[[49, 48, 47]] = wrong_at_top[[47, 48, 49]]
    wrong_at_bottom[[0, 1, 2]] = wrong_at_bottom[[2, 1, 0]]
    assert kendall_tau(wrong_at_top, accuracy) == kendall_tau(wrong_at_bottom, accuracy)
    assert weighted_tau(judged(wrong_at_top, accuracy)) < weighted_tau(judged(wrong_at_bottom, accuracy))


def test_weighted_tau_of_a_constant_or_of_one() -> None:
    assert math.isnan(weighted_tau(judged(np.ones(5), np.arange(5))))
    assert math.isnan(weighted_tau(judged(np.ones(1), np.ones(1))))


def residual(x: np.ndarray, z: np.ndarray) -> np.ndarray:
    x, z = x - x.mean(), z - z.mean()
    return np.asarray(x - (x @ z) / (z @ z) * z)


def test_partial_rho_is_the_correlation_of_residual_ranks() -> None:
    rng = np.random.default_rng(1)
    z, e, f = rng.normal(size=(3, 60))
    x, y = z + e, z - 0.3 * e + f
    found = partial(spearman_rho(x, y), spearman_rho(x, z), spearman_rho(y, z))
    ranks = [stats.rankdata(v) for v in (x, y, z)]
    expected = stats.pearsonr(residual(ranks[0], ranks[2]), residual(ranks[1], ranks[2])).statistic
    assert found == pytest.approx(expected, abs=1e-12)


def test_partial_tau_is_the_correlation_of_residual_signs() -> None:
    # τ-b is the cosine of the vectors of signs over all ordered pairs, so the same holds for these.
    rng = np.random.default_rng(2)
    x, y, z = rng.integers(0, 6, (3, 30)).astype(float)
    signs = [np.sign(v[:, None] - v[None, :]).ravel() for v in (x, y, z)]
    a, b = residual(signs[0], signs[2]), residual(signs[1], signs[2])
    expected = (a @ b) / math.sqrt((a @ a) * (b @ b))
    found = partial(kendall_tau(x, y), kendall_tau(x, z), kendall_tau(y, z))
    assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("measure", [kendall_tau, spearman_rho])
def test_a_control_that_explains_everything(measure: object) -> None:
    assert callable(measure)
    rng = np.random.default_rng(3)
    x, y = rng.integers(0, 40, (2, 999)).astype(float)
    for z in (x * 2 - 7, -x):
        assert np.isnan(partial(measure(x, y), measure(x, z), measure(y, z)))
        assert np.isnan(partial(measure(y, x), measure(y, z), measure(x, z)))
    # One exchange leaves something to explain.
    z = np.arange(999.0)
    z[[0, 1]] = z[[1, 0]]
    assert np.isfinite(partial(0.4, measure(np.arange(999.0), z), 0.4))


def test_a_control_without_bearing_changes_nothing() -> None:
    assert partial(0.3, 0.0, 0.0) == pytest.approx(0.3)
    assert np.isnan(partial([0.3, np.nan, 0.1], [np.nan, 0, 0], 0)).tolist() == [True, True, False]
