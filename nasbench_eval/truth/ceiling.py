"""The noise ceiling: how well one training run of the same architectures ranks them as another does.

A score is judged against accuracies that hold training noise, so that even one which knew every
architecture's expected accuracy would not reach a correlation of 1.  Two runs differ by the noise of both; a
mean over runs holds less, and a correlation with it can lie somewhat above this ceiling.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau, rankdata


@dataclass(frozen=True)
class Ceiling:
    """Agreement of single runs, as means over pairs of runs.

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


def noise_ceiling(runs: NDArray[np.float64]) -> Ceiling | None:
    """The noise ceiling of an array of single runs.

    Args:
        runs: accuracies, shape (architectures, runs), NaN where a run is unknown.

    Returns:
        Means over the pairs of runs, each over the architectures that both have; None if no two runs can be
        compared, because there are fewer, they share fewer than three architectures or one is constant.
    """
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
    return Ceiling(float(np.mean(taus)), float(np.mean(rhos)), len(taus), several)
