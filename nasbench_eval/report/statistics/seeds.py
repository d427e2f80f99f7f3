"""How much a proxy's scores depend on the seed that its weights and inputs are drawn from.

Shapes: S seeds, N architectures.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from scipy import stats

from nasbench_eval.report.statistics.bootstrap import Floats
from nasbench_eval.report.statistics.correlation import Correlation, Failures, correlate, failed


@dataclass(frozen=True)
class SeedStability:
    """Scores of the same architectures under several seeds.

    Attributes:
        seeds: S.
        n: architectures with a known accuracy that were scored under every seed.
        n_failed: of these, the ones that failed under at least one seed.
        n_lowest: of these, the ones that did not, and had a score of −∞ under at least one.
        deviation: standard deviation over seeds of each architecture's score (divisor S − 1), by
            architecture; NaN where one is not finite.
        relative_deviation: √(mean square of `deviation`) / standard deviation over architectures of the mean
            score. Of architectures whose scores are all finite.
        icc: intraclass correlation of these scores: the share of their variance that is
            between architectures (1: the seed does not matter).
        icc_ranks: the same of the ranks under each seed, which no increasing map of the scores changes;
            failures rank by the failure rule.
        per_seed: a row a seed: the fields of `Correlation` with the accuracy.
        tau_mean, tau_sd: of τ over seeds (divisor S − 1).
        of_mean: correlation of the mean score over seeds, an architecture that failed under any being failed.
    """

    seeds: int
    n: int
    n_failed: int
    n_lowest: int
    deviation: pd.Series[float]
    relative_deviation: float
    icc: float
    icc_ranks: float
    per_seed: pd.DataFrame
    tau_mean: float
    tau_sd: float
    of_mean: Correlation


def seed_stability(
    scores: Mapping[Hashable, pd.Series[float]] | pd.DataFrame,
    accuracy: pd.Series[float],
    *,
    failures: Failures = "worst",
    resamples: int = 1000,
    seed: int = 0,
) -> SeedStability:
    """Compare one proxy's scores under S seeds, on the architectures that were scored under all of them.

    Args:
        scores: of each seed the scores by architecture; a frame has a column a seed.
        accuracy: by architecture; NaN where unknown.
        failures: `worst` or `omit`, as for `correlate`; with `omit` ranks are those of architectures that
            never failed.
        resamples: for the intervals of τ and ρ.
        seed: of the resampling.

    Raises:
        ValueError: if there is no seed.
    """
    columns = dict(scores.items())
    if not columns:
        raise ValueError("there are no scores")
    archs = accuracy.index[np.isfinite(accuracy.to_numpy(dtype=np.float64))]
    for column in columns.values():
        archs = archs[archs.isin(column.index)]
    scores_SN = np.stack([column.reindex(archs).to_numpy(dtype=np.float64) for column in columns.values()])
    truth = accuracy.reindex(archs).to_numpy(dtype=np.float64)
    fine = np.isfinite(scores_SN).all(axis=0)
    # Ratios and ranks know no unit; in one where 1 is the largest score, no square is too large for a float.
    unit = np.abs(scores_SN[:, fine]).max(initial=0.0) or 1.0
    fine_SN = scores_SN[:, fine] / unit
    deviation, mean = np.full((2, len(archs)), np.nan)
    deviation[fine], mean[fine] = _deviation(fine_SN), fine_SN.mean(axis=0)
    spread = float(_deviation(mean[fine]))
    lost = failed(scores_SN).any(axis=0)
    kept_SN = scores_SN if failures == "worst" else scores_SN[:, ~lost]
    mean[~lost & ~fine] = -np.inf  # of scores of which one is −∞

    def correlated(scores_N: Floats) -> Correlation:
        return correlate(scores_N, truth, failures=failures, resamples=resamples, seed=seed)

    per_seed = [correlated(scores_N) for scores_N in scores_SN]
    taus = np.array([found.tau for found in per_seed])
    return SeedStability(
        seeds=len(columns),
        n=len(archs),
        n_failed=int(lost.sum()),
        n_lowest=int((~lost & ~fine).sum()),
        deviation=pd.Series(deviation * unit, index=archs, name="deviation"),
        relative_deviation=float(np.sqrt((deviation[fine] ** 2).mean())) / spread if spread > 0 else np.nan,
        icc=intraclass_correlation(fine_SN),
        icc_ranks=intraclass_correlation(stats.rankdata(np.where(failed(kept_SN), -np.inf, kept_SN), axis=1)),
        per_seed=pd.DataFrame([asdict(found) for found in per_seed], index=pd.Index(columns, name="seed")),
        tau_mean=float(taus.mean()),
        tau_sd=float(_deviation(taus)),
        of_mean=correlated(mean),
    )


def intraclass_correlation(scores_SN: Floats) -> float:
    """ICC(1, 1) of S measurements of N subjects, one-way: (B − W) / (B + (S − 1)·W).

    B is the mean square between subjects, W the one within (Shrout & Fleiss 1979). It estimates the share of
    variance between subjects and may be negative. NaN for fewer than two of either, or without any variance.
    """
    seeds, n = scores_SN.shape
    if seeds < 2 or n < 2:
        return np.nan
    means = scores_SN.mean(axis=0)
    among = seeds * ((means - means.mean()) ** 2).sum() / (n - 1)
    within = ((scores_SN - means) ** 2).sum() / (n * (seeds - 1))
    total = among + (seeds - 1) * within
    return float((among - within) / total) if total > 0 else np.nan


def _deviation(values: Floats) -> Floats:
    """Standard deviation along the first axis, with divisor one less than its length; NaN if that is 0."""
    found: Floats = values.std(axis=0, ddof=1) if len(values) > 1 else np.full(values.shape[1:], np.nan)
    return found
