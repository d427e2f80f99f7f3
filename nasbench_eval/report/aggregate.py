"""Scores that rank a set of architectures by several members at once.

They depend on which architectures are in the set, so they are computed here from stored scores and never
stored for an architecture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import stats

from nasbench_eval.errors import UsageError

Scores: TypeAlias = npt.NDArray[np.float64]
Members: TypeAlias = Mapping[str, Scores]


def rank_sum(members: Members, weights: Sequence[float] = ()) -> Scores:
    """Σ_j w_j·rank_j over members of shape (N,), rank N the best, ties sharing their mean rank.

    A member of −∞ ranks lowest, as an identity block's trainability should; NaN or +∞ in any member makes
    the architecture's sum NaN. No weights are weights of 1. Source: TE-NAS (Chen et al. 2021), unweighted.
    """
    return _sum_over_ranks(members, weights, lambda rank: rank)


def log_rank_sum(members: Members, weights: Sequence[float] = ()) -> Scores:
    """Σ_j w_j·log(rank_j / N), otherwise as `rank_sum`. Source: AZ-NAS (Lee & Ham 2024), unweighted."""
    return _sum_over_ranks(members, weights, lambda rank: np.log(rank / len(rank)))


def product(members: Members, weights: Sequence[float] = ()) -> Scores:
    """Π_j value_j^w_j over members of shape (N,), NaN where a member is not finite; no weights are 1 each.

    Raises:
        UsageError: if a member with a weight other than 1 has values that are not positive: whether their
            sign survives would depend on the weight being odd.
    """
    values = np.stack(list(members.values()))
    sound = np.isfinite(values)
    powers = np.asarray(weights or [1.0] * len(values), dtype=np.float64)
    for name, member, fine, power in zip(members, values, sound, powers, strict=True):
        if power != 1 and (member[fine] <= 0).any():
            raise UsageError(
                f"a product takes '{name}' to the power {power:g}, but it goes down to "
                f"{member[fine].min():g}; only positive values have powers"
            )
    # What failed is put aside as 1; what is too large for a float becomes ∞, which counts as failed.
    with np.errstate(over="ignore", invalid="ignore"):
        total = np.prod(np.where(sound, values, 1.0) ** powers[:, None], axis=0)
    return np.where(sound.all(axis=0), total, np.nan)


AGGREGATES: dict[str, Callable[[Members, Sequence[float]], Scores]] = {
    "rank_sum": rank_sum,
    "log_rank_sum": log_rank_sum,
    "product": product,
}


def _sum_over_ranks(members: Members, weights: Sequence[float], term: Callable[[Scores], Scores]) -> Scores:
    size = len(next(iter(members.values())))
    total = np.zeros(size)
    failed = np.zeros(size, dtype=bool)
    for member, weight in zip(members.values(), weights or [1.0] * len(members), strict=True):
        bad = np.isnan(member) | np.isposinf(member)
        failed |= bad
        total += weight * term(stats.rankdata(np.where(bad, -np.inf, member)))
    return np.where(failed, np.nan, total)
