"""How well training runs agree, and how high a correlation with their mean can be: the noise ceiling.

A score is judged against accuracies that hold training noise. Even one that knew every architecture's
expected accuracy would not reach a correlation of 1. Two quantities belong to this, which are not the same:

* the *agreement of two runs*: how well one training run of the same architectures ranks them as another
  does. Both hold noise.
* the *noise ceiling*: the correlation of a score without any error with the accuracies that it is judged by.
  These are means over runs and hold less noise than one run, and the score holds none. So the ceiling lies
  above the agreement, and a good score may well do so too.

The agreement is measured, the ceiling is estimated from it under an assumption: that the accuracies of a run
are, up to a monotonic map, jointly normal, an architecture's own value plus noise of the same variance for
each architecture and run. Then τ of two runs means a correlation r₁ = sin(πτ/2) between them, which is the
share of a run's variance that is not noise. The mean of k runs has the share k·r₁ / (1 + (k − 1)·r₁)
(Spearman 1910, Brown 1910), and its correlation with the value itself is the square root. Back on Kendall's
scale, the ceiling is 2/π·arcsin of this (Kruskal 1958 has these relations; for ρ they are r₁ = 2·sin(πρ/6)
and back).

Where noise differs between architectures, or their values are far from normal, the ceiling may be off by a
few hundredths.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

# Runs that agree to less than this are too noisy to tell most architectures apart.
WEAK = 0.5


@dataclass(frozen=True)
class Agreement:
    """Agreement of two single runs, as means over pairs of runs.

    Attributes:
        kendall_tau: Kendall's τ-b.
        spearman_rho: Spearman's ρ.
        pairs: how many pairs of runs the means are over.
        n: how many architectures have two runs or more, and so belong to some pair.
    """

    kendall_tau: float
    spearman_rho: float
    pairs: int
    n: int

    @property
    def weak(self) -> bool:
        """Whether the accuracies are mostly noise."""
        return self.kendall_tau < WEAK


@dataclass(frozen=True)
class Ceiling:
    """The estimated correlation of a score without any error with the accuracies it is judged by.

    Attributes:
        kendall_tau: Kendall's τ.
        spearman_rho: Spearman's ρ.
        runs: k, the runs that an accuracy averages. Where this differs between architectures, the harmonic
            mean: noise goes with 1/k, so that those with a single run weigh as much as they should.
        agreement: of two runs, what the ceiling is estimated from.
    """

    kendall_tau: float
    spearman_rho: float
    runs: float
    agreement: Agreement


def noise_ceiling(runs: NDArray[np.float64]) -> Ceiling | None:
    """The noise ceiling of the means over single runs.

    Args:
        runs: accuracies, shape (architectures, runs), NaN where a run is unknown. The accuracy that a score
            is judged by is the mean of those that are known.

    Returns:
        None if no two runs can be compared (see `agreement`).
    """
    found = agreement(runs)
    if found is None:
        return None
    known = (~np.isnan(runs)).sum(axis=1)
    k = round(float(1 / np.mean(1 / known[known > 0])), 9)
    return Ceiling(
        kendall_tau=_of_mean(found.kendall_tau, k, _pearson_of_tau, _tau_of_pearson),
        spearman_rho=_of_mean(found.spearman_rho, k, _pearson_of_rho, _rho_of_pearson),
        runs=k,
        agreement=found,
    )


def agreement(runs: NDArray[np.float64]) -> Agreement | None:
    """How well single runs agree.

    Args:
        runs: as for `noise_ceiling`.

    Returns:
        Means over the pairs of runs, each over the architectures that both have; None if no two runs can be
        compared, because there are fewer, they share fewer than three architectures or one is constant.
    """
    from scipy.stats import kendalltau, rankdata  # half a second, which commands without ceilings save

    known = ~np.isnan(runs)
    taus, rhos = [], []
    for i, j in combinations(range(runs.shape[1]), 2):
        both = known[:, i] & known[:, j]
        a, b = runs[both, i], runs[both, j]
        # Of two there is no more to say than which is better; of a constant nothing is defined.
        if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
            continue
        # `asymptotic` is about the p-value, which nobody asks for here; an exact one would take long.
        taus.append(kendalltau(a, b, method="asymptotic").statistic)
        rhos.append(np.corrcoef(rankdata(a), rankdata(b))[0, 1])
    if not taus:
        return None
    several = int((known.sum(axis=1) >= 2).sum())
    return Agreement(float(np.mean(taus)), float(np.mean(rhos)), len(taus), several)


def _of_mean(
    agreed: float, k: float, correlation: Callable[[float], float], back: Callable[[float], float]
) -> float:
    """The ceiling for means of k runs; 0 where runs do not agree at all.

    Args:
        agreed: a rank correlation of two runs.
        k: runs that are averaged.
        correlation: the correlation of normal variables with that rank correlation.
        back: its inverse.
    """
    single = min(max(correlation(agreed), 0.0), 1.0)
    reliability = k * single / (1 + (k - 1) * single)
    return back(min(math.sqrt(reliability), 1.0))


def _pearson_of_tau(tau: float) -> float:
    return math.sin(math.pi * tau / 2)


def _tau_of_pearson(r: float) -> float:
    return 2 / math.pi * math.asin(r)


def _pearson_of_rho(rho: float) -> float:
    return 2 * math.sin(math.pi * rho / 6)


def _rho_of_pearson(r: float) -> float:
    return 6 / math.pi * math.asin(r / 2)
