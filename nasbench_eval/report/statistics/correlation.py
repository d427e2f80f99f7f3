"""Rank correlation between a score and an accuracy, with bootstrap intervals over architectures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import stats

from nasbench_eval.report.statistics.bootstrap import (
    CONFIDENCE,
    bootstrap,
    dense_ranks,
    interval,
    no_interval,
    resample_indices,
)

__all__ = [
    "CONFIDENCE",
    "Correlation",
    "Failures",
    "Sample",
    "correlate",
    "judged",
    "kendall_tau",
    "resample_indices",
    "spearman_rho",
]

Failures: TypeAlias = Literal["worst", "omit"]
Vector: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True)
class Correlation:
    """How one score ranks a set of architectures.

    Attributes:
        n: architectures with a known accuracy, failed ones included.
        n_failed: of these, the ones without a finite score.
        n_tied: architectures whose score another one shares, after the failure rule was applied.
        tau, tau_low, tau_high: Kendall τ-b and its 95 % interval.
        rho, rho_low, rho_high: Spearman ρ and its 95 % interval.
        constant: the scores to rank are all equal, or none is left, so no correlation exists.
        interval: why there is no interval, in a word or two (see `no_interval`); empty if there is one.
    """

    n: int
    n_failed: int = 0
    n_tied: int = 0
    tau: float = math.nan
    tau_low: float = math.nan
    tau_high: float = math.nan
    rho: float = math.nan
    rho_low: float = math.nan
    rho_high: float = math.nan
    constant: bool = False
    interval: str = ""


@dataclass(frozen=True)
class Sample:
    """The architectures a score is judged on, after the failure rule.

    Attributes:
        n: architectures with a known accuracy, failed ones included.
        n_failed: of these, the ones without a finite score.
        codes: dense ranks of the scores from 0, failures the lowest; shape (M,), M = n, or n − n_failed where
            failures are left out.
        accuracy: shape (M,), any unit.
    """

    n: int
    n_failed: int
    codes: npt.NDArray[np.int64]
    accuracy: npt.NDArray[np.float64]

    @property
    def n_tied(self) -> int:
        """Architectures whose score another one shares."""
        shared = np.bincount(self.codes)
        return int(shared[shared > 1].sum())

    @property
    def constant(self) -> bool:
        """Whether the scores to rank are all equal, or none is left."""
        return self.n > 0 and (len(self.codes) == 0 or bool((self.codes == 0).all()))


def judged(scores: Vector, accuracy: Vector, failures: Failures = "worst") -> Sample:
    """Apply the failure rule, which is the same for every statistic of the report.

    A score that is NaN or infinite is a failure: it ranks below every finite score, tied with the other
    failures (`worst`), or is left out (`omit`). Architectures without an accuracy (NaN) are no part of the
    sample.

    Args:
        scores: one score an architecture, higher meaning better; shape (N,).
        accuracy: their accuracies in the same order; shape (N,), any unit.
        failures: `worst` or `omit`.

    Raises:
        ValueError: if the shapes differ.
    """
    scores, accuracy = np.asarray(scores, dtype=np.float64), np.asarray(accuracy, dtype=np.float64)
    if scores.shape != accuracy.shape or scores.ndim != 1:
        raise ValueError(f"scores {scores.shape} and accuracies {accuracy.shape} are not one vector each")
    known = np.isfinite(accuracy)
    scores, accuracy = scores[known], accuracy[known]
    good = np.isfinite(scores)
    n, n_failed = len(scores), int(np.count_nonzero(~good))
    if failures == "omit":
        scores, accuracy = scores[good], accuracy[good]
    else:
        scores = np.where(good, scores, -np.inf)
    return Sample(n, n_failed, dense_ranks(scores), accuracy)


def kendall_tau(x: Vector, y: Vector) -> float:
    """Kendall τ-b of two finite vectors of equal length; NaN if either is constant or shorter than 2.

    τ-b = (C − D) / √((C + D + X)(C + D + Y)) with C concordant and D discordant pairs, X and Y the pairs
    tied in x alone and in y alone (Kendall 1945).
    """
    if len(x) < 2:
        return math.nan
    # The p-value is thrown away. "asymptotic" keeps SciPy from counting permutations for small samples, and
    # divides by zero for two.
    method: Literal["asymptotic", "auto"] = "asymptotic" if len(x) > 2 else "auto"
    return float(stats.kendalltau(x, y, method=method).statistic)


def spearman_rho(x: Vector, y: Vector) -> float:
    """Spearman ρ of two finite vectors of equal length; NaN if either is constant or shorter than 2.

    Pearson's correlation of the ranks, ties sharing their mean rank.
    """
    return _rho_of_codes(dense_ranks(np.asarray(x)), dense_ranks(np.asarray(y)))


def correlate(
    scores: Vector,
    accuracy: Vector,
    *,
    failures: Failures = "worst",
    resamples: int = 1000,
    seed: int = 0,
) -> Correlation:
    """Kendall τ-b and Spearman ρ of scores and accuracies, signed, with percentile bootstrap intervals.

    The failure rule is that of `judged`. The resamples depend on `seed` and the sample size alone, so two
    scores of the same architectures are judged on the same resamples. A resample in which a vector is
    constant counts for nothing.

    Args:
        scores: one score an architecture, higher meaning better; shape (N,).
        accuracy: their accuracies in the same order; shape (N,), any unit.
        failures: `worst` or `omit`.
        resamples: bootstrap resamples of whole architectures; 0 leaves the intervals NaN.
        seed: of the resampling.

    Raises:
        ValueError: if the shapes differ.
    """
    sample = judged(scores, accuracy, failures)
    x, y = sample.codes, dense_ranks(sample.accuracy)
    [taus], [rhos] = bootstrap([x], y, resamples=resamples, seed=seed)
    tau_low, tau_high = interval(taus, len(x))
    rho_low, rho_high = interval(rhos, len(x))
    return Correlation(
        n=sample.n,
        n_failed=sample.n_failed,
        n_tied=sample.n_tied,
        tau=kendall_tau(x, y),
        tau_low=tau_low,
        tau_high=tau_high,
        rho=_rho_of_codes(x, y),
        rho_low=rho_low,
        rho_high=rho_high,
        constant=sample.constant,
        interval=no_interval(len(x), resamples, tau_low),
    )


def _rho_of_codes(x: npt.NDArray[np.int64], y: npt.NDArray[np.int64]) -> float:
    # Mean ranks by counting: twelve times as fast as scipy.stats.spearmanr, which sorts every resample anew.
    if len(x) < 2:
        return math.nan
    x_rank, y_rank = _mean_ranks(x), _mean_ranks(y)
    x_rank -= x_rank.mean()
    y_rank -= y_rank.mean()
    # Sums of products, not dot products: BLAS would start threads for them, and round by their number.
    scale = math.sqrt(float((x_rank * x_rank).sum()) * float((y_rank * y_rank).sum()))
    # Mean ranks are halves of integers and their mean (n − 1)/2 is exact: a constant gives exactly 0.
    return float((x_rank * y_rank).sum()) / scale if scale > 0 else math.nan


def _mean_ranks(codes: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    counts = np.bincount(codes)
    by_code: npt.NDArray[np.float64] = np.cumsum(counts) - (counts + 1) / 2
    return by_code[codes]
