"""Kendall τ-b and Spearman ρ of two vectors."""

from __future__ import annotations

import math
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import stats

from nasbench_eval.report.statistics.bootstrap import dense_ranks

Vector: TypeAlias = npt.NDArray[Any]


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
    return rho_of_codes(dense_ranks(np.asarray(x)), dense_ranks(np.asarray(y)))


def rho_of_codes(x: npt.NDArray[np.int64], y: npt.NDArray[np.int64]) -> float:
    """Spearman ρ of dense ranks."""
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
