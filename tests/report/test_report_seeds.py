"""What the seed does to a score."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from nasbench_eval.report.statistics.correlation import correlate
from nasbench_eval.report.statistics.seeds import intraclass_correlation, seed_stability


def test_intraclass_correlation_of_shrout_and_fleiss() -> None:
    # Their example: six subjects, four judges; B = 11.24, W = 6.26, ICC(1, 1) = 0.17.
    rated = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]])
    assert intraclass_correlation(rated.T.astype(float)) == pytest.approx(0.17, abs=0.005)


def test_intraclass_correlation_estimates_the_share_of_variance() -> None:
    rng = np.random.default_rng(0)
    scores = 2 * rng.normal(size=4000) + rng.normal(size=(5, 4000))
    assert intraclass_correlation(scores) == pytest.approx(4 / 5, abs=0.02)
    assert intraclass_correlation(rng.normal(size=(5, 4000))) == pytest.approx(0, abs=0.02)


def test_intraclass_correlation_where_there_is_none() -> None:
    assert intraclass_correlation(np.tile(np.arange(4.0), (3, 1))) == 1
    assert all(math.isnan(intraclass_correlation(np.ones(shape))) for shape in ((3, 4), (1, 4), (3, 1)))


@pytest.fixture
def accuracy() -> pd.Series:
    return pd.Series(np.random.default_rng(5).permutation(50) + 40.0, index=range(100, 150))


@pytest.fixture
def scores(accuracy: pd.Series) -> pd.DataFrame:
    noise = np.random.default_rng(6).normal(size=(50, 3))
    return pd.DataFrame(accuracy.to_numpy()[:, None] + 9 * noise, index=accuracy.index, columns=[0, 1, 7])


def test_statistics_over_seeds(scores: pd.DataFrame, accuracy: pd.Series) -> None:
    found = seed_stability(scores, accuracy, resamples=40)
    taus = [stats.kendalltau(scores[seed], accuracy).statistic for seed in scores]
    assert (found.seeds, found.n, found.n_failed) == (3, 50, 0)
    assert found.per_seed["tau"].tolist() == pytest.approx(taus)
    assert list(found.per_seed.index) == [0, 1, 7]
    assert found.per_seed.loc[7, "tau_low"] == correlate(scores[7], accuracy, resamples=40).tau_low
    assert found.tau_mean == pytest.approx(np.mean(taus))
    assert found.tau_sd == pytest.approx(np.std(taus, ddof=1))
    assert found.of_mean == correlate(scores.mean(axis=1), accuracy, resamples=40)
    assert found.deviation.to_numpy() == pytest.approx(scores.std(axis=1).to_numpy())
    expected = np.sqrt((scores.std(axis=1) ** 2).mean()) / scores.mean(axis=1).std()
    assert found.relative_deviation == pytest.approx(expected)
    assert found.icc == pytest.approx(intraclass_correlation(scores.to_numpy().T))
    assert found.icc_ranks == pytest.approx(intraclass_correlation(scores.rank().to_numpy().T))


def test_units_and_increasing_maps(scores: pd.DataFrame, accuracy: pd.Series) -> None:
    plain = seed_stability(scores, accuracy, resamples=0)
    # So large that squares would overflow.
    huge = seed_stability(scores * 1e200, accuracy, resamples=0)
    assert (huge.icc, huge.relative_deviation) == pytest.approx((plain.icc, plain.relative_deviation))
    assert huge.deviation.to_numpy() == pytest.approx(plain.deviation.to_numpy() * 1e200)
    assert huge.of_mean == plain.of_mean
    mapped = seed_stability(np.exp(scores), accuracy, resamples=0)
    assert mapped.icc_ranks == pytest.approx(plain.icc_ranks)
    assert mapped.per_seed.equals(plain.per_seed)


def test_failures_and_what_was_not_asked(scores: pd.DataFrame, accuracy: pd.Series) -> None:
    scores.loc[[100, 101], 1] = [np.nan, np.inf]
    accuracy[102] = np.nan
    columns = {0: scores[0].drop(149), 1: scores[1], 7: scores[7].drop([148, 149])}
    found = seed_stability(columns, accuracy, resamples=0)
    assert (found.n, found.n_failed) == (47, 2)  # neither 102, 148 nor 149
    assert found.per_seed["n_failed"].tolist() == [0, 2, 0]
    assert found.of_mean.n_failed == 2
    assert found.deviation.isna().sum() == 2
    fine = scores.drop([100, 101, 102, 148, 149]).to_numpy().T
    assert found.icc == pytest.approx(intraclass_correlation(fine))
    kept = np.where(np.isfinite(s := scores.drop([102, 148, 149]).to_numpy().T), s, -np.inf)
    assert found.icc_ranks == pytest.approx(intraclass_correlation(stats.rankdata(kept, axis=1)))
    omitted = seed_stability(columns, accuracy, failures="omit", resamples=0)
    assert omitted.icc_ranks == pytest.approx(intraclass_correlation(stats.rankdata(fine, axis=1)))


def test_one_seed_has_no_spread(scores: pd.DataFrame, accuracy: pd.Series) -> None:
    found = seed_stability(scores[[0]], accuracy, resamples=0)
    undefined = [found.tau_sd, found.icc, found.icc_ranks, found.relative_deviation]
    assert all(math.isnan(value) for value in undefined)
    assert found.tau_mean == found.of_mean.tau == found.per_seed.loc[0, "tau"]


def test_nothing_that_did_not_fail(scores: pd.DataFrame, accuracy: pd.Series) -> None:
    found = seed_stability(scores * np.nan, accuracy, resamples=0)
    assert (found.n, found.n_failed, found.of_mean.constant) == (50, 50, True)
    assert math.isnan(found.icc)
    with pytest.raises(ValueError, match="there are no scores"):
        seed_stability({}, accuracy)
