"""Rank correlation between a score and an accuracy, with bootstrap intervals over architectures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from nasbench_eval.report.statistics.bootstrap import (
    CONFIDENCE,
    dense_ranks,
    interval,
    no_interval,
    resample_indices,
)
from nasbench_eval.report.statistics.rank import kendall_tau, rho_of_codes, spearman_rho
from nasbench_eval.report.statistics.resampled import Resamples

__all__ = [
    "CONFIDENCE",
    "Correlation",
    "Failures",
    "Sample",
    "correlate",
    "failed",
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
        n: architectures with a known accuracy that were asked about, failed ones included.
        n_failed: of these, the ones without a score: NaN, +∞, or a crash.
        n_lowest: of these, the ones with a score of −∞, which is the lowest there is and no failure.
        n_tied: architectures whose score another one shares, after the failure rule was applied.
        tau, tau_low, tau_high: Kendall τ-b and its 95 % interval.
        rho, rho_low, rho_high: Spearman ρ and its 95 % interval.
        constant: the scores to rank are all equal, or none is left, so no correlation exists.
        interval: why there is no interval, in a word or two (see `no_interval`); empty if there is one.
    """

    n: int
    n_failed: int = 0
    n_lowest: int = 0
    n_tied: int = 0
    tau: float = math.nan
    tau_low: float = math.nan
    tau_high: float = math.nan
    rho: float = math.nan
    rho_low: float = math.nan
    rho_high: float = math.nan
    constant: bool = False
    interval: str = ""

    def columns(self) -> dict[str, Any]:
        """Its figures by the names that CSV files of correlations have for them, in their order."""
        return {
            "n": self.n,
            "n_failed": self.n_failed,
            "n_lowest": self.n_lowest,
            "kendall_tau": self.tau,
            "kendall_low": self.tau_low,
            "kendall_high": self.tau_high,
            "spearman_rho": self.rho,
            "spearman_low": self.rho_low,
            "spearman_high": self.rho_high,
            "interval": self.interval,
        }


@dataclass(frozen=True)
class Sample:
    """The architectures a score is judged on, after the failure rule.

    Attributes:
        n: architectures with a known accuracy, failed ones included.
        n_failed: of these, the ones without a score.
        n_lowest: of these, the ones with a score of −∞.
        codes: dense ranks of the scores from 0, failures the lowest, tied with −∞; shape (M,), M = n, or
            n − n_failed where failures are left out.
        accuracy: shape (M,), any unit.
    """

    n: int
    n_failed: int
    n_lowest: int
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

    A score that is NaN or +∞ is a failure: it ranks below every finite score, tied with the other failures
    (`worst`), or is left out (`omit`). A score of −∞ is none: a proxy gives it to an architecture that it
    thinks the worst, such as one through which no signal passes. It ranks lowest under both rules, tied with
    the failures that rank there. Architectures without an accuracy (NaN) are no part of the sample.

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
    good = ~failed(scores)
    n, n_failed = len(scores), int(np.count_nonzero(~good))
    n_lowest = int(np.count_nonzero(np.isneginf(scores)))
    if failures == "omit":
        scores, accuracy = scores[good], accuracy[good]
    else:
        scores = np.where(good, scores, -np.inf)
    return Sample(n, n_failed, n_lowest, dense_ranks(scores), accuracy)


def failed(scores: Vector) -> npt.NDArray[np.bool_]:
    """Which scores are failures: NaN, which a crash leaves too, and +∞. −∞ is a score."""
    found: npt.NDArray[np.bool_] = np.isnan(scores) | np.isposinf(scores)
    return found


def correlate(
    scores: Vector,
    accuracy: Vector,
    *,
    failures: Failures = "worst",
    resamples: int = 1000,
    seed: int = 0,
    known: Resamples | None = None,
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
        known: what is known of these resamples already; its number and seed take the place of the two above.

    Raises:
        ValueError: if the shapes differ.
    """
    known = Resamples(resamples, seed) if known is None else known
    sample = judged(scores, accuracy, failures)
    x, y = sample.codes, dense_ranks(sample.accuracy)
    [taus], [rhos] = known.taus([x], y), known.rhos([x], y)
    tau_low, tau_high = interval(taus, len(x))
    rho_low, rho_high = interval(rhos, len(x))
    return Correlation(
        n=sample.n,
        n_failed=sample.n_failed,
        n_lowest=sample.n_lowest,
        n_tied=sample.n_tied,
        tau=known.tau(x, y),
        tau_low=tau_low,
        tau_high=tau_high,
        rho=rho_of_codes(x, y),
        rho_low=rho_low,
        rho_high=rho_high,
        constant=sample.constant,
        interval=no_interval(len(x), known.resamples, tau_low),
    )
