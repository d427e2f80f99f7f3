"""Where in the range of accuracies a proxy ranks well: among the best, by decile, or weighted to the top.

Shapes: N architectures.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from nasbench_eval.report.statistics.bootstrap import dense_ranks
from nasbench_eval.report.statistics.correlation import Sample


def best_share(accuracy: npt.NDArray[Any], share: float = 0.1) -> npt.NDArray[np.bool_]:
    """Which architectures are the best ones, at least this share of them; shape (N,).

    Those that tie with the last one belong to them too, whichever order they come in.
    """
    if len(accuracy) == 0:
        return np.zeros(0, dtype=bool)
    best: npt.NDArray[np.bool_] = accuracy >= np.sort(accuracy)[-math.ceil(share * len(accuracy))]
    return best


def deciles(accuracy: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """The decile of each architecture by accuracy, 1 the worst and 10 the best; shape (N,).

    It is the one that the mean rank falls into, so that equal accuracies are never torn apart; deciles are
    of equal size where none are equal.
    """
    ranks = stats.rankdata(accuracy)
    decile: npt.NDArray[np.int64] = np.ceil(10 * (ranks - 0.5) / len(accuracy)).astype(np.int64)
    return decile


def weighted_tau(sample: Sample) -> float:
    """Kendall's τ with pairs weighted by how accurate their members are (Vigna 2015); NaN as for τ.

    A pair weighs 1/(r + 1) + 1/(s + 1), r and s the ranks of its members by accuracy, 0 for the best
    (additive hyperbolic weights). Equal accuracies share a rank: it counts the different ones above.
    """
    if len(sample.codes) < 2:
        return math.nan
    truth = dense_ranks(sample.accuracy)
    # SciPy makes dense ranks of these, from 0 for the lowest.
    return float(stats.weightedtau(truth, sample.codes, rank=-truth).statistic)
