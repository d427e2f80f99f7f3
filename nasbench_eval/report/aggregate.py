"""Scores that rank a set of architectures by several components at once.

They depend on which architectures are in the set, so they are computed here from stored components and never
stored for an architecture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy import stats

Scores = npt.NDArray[np.float64]


def rank_sum(components: Sequence[Scores]) -> Scores:
    """Σ_j rank_j over components of shape (N,), rank N the best, ties sharing their mean rank.

    A component of −∞ ranks lowest, as an identity block's trainability should; NaN or +∞ in any component
    makes the architecture's sum NaN. Source: TE-NAS (Chen et al. 2021).
    """
    return _combine(components, lambda rank: rank)


def log_rank_sum(components: Sequence[Scores]) -> Scores:
    """Σ_j log(rank_j / N), otherwise as `rank_sum`. Source: AZ-NAS (Lee & Ham 2024)."""
    return _combine(components, lambda rank: np.log(rank / len(rank)))


AGGREGATES: dict[str, Callable[[Sequence[Scores]], Scores]] = {
    "rank_sum": rank_sum,
    "log_rank_sum": log_rank_sum,
}


def _combine(components: Sequence[Scores], term: Callable[[Scores], Scores]) -> Scores:
    total = np.zeros(len(components[0]))
    failed = np.zeros(len(components[0]), dtype=bool)
    for component in components:
        bad = np.isnan(component) | np.isposinf(component)
        failed |= bad
        total += term(stats.rankdata(np.where(bad, -np.inf, component)))
    return np.where(failed, np.nan, total)
