"""How an algorithm takes what it is told of architectures: one number, or several that are ranked in a set.

Shape legend: K architectures that are compared, S seeds, V values told of an architecture, T steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from nasbench_eval.search.history import Values


class Judge(Protocol):
    """Compares architectures by what was told of them.

    Attributes:
        values: names of the numbers that are told, in the order of V.
    """

    values: tuple[str, ...]

    def fitness(self, told_KSV: Values) -> Values:
        """How good each of K architectures is among them, shape (K, S); higher is better, a failure −inf."""
        ...

    @property
    def absolute(self) -> bool:
        """Whether an architecture's fitness does not depend on which others it is compared with."""
        ...

    @property
    def percent(self) -> bool:
        """Whether what is told is one accuracy in percent."""
        ...


@dataclass(frozen=True)
class ByValue:
    """One number, higher is better; NaN ranks lowest.

    Attributes:
        percent: whether it is an accuracy in percent, and so has a scale of its own.
    """

    values: tuple[str, ...]
    percent: bool = False

    def __post_init__(self) -> None:
        if len(self.values) != 1:
            raise ValueError(f"one value is compared as it is; got {', '.join(self.values)}")

    absolute = True

    def fitness(self, told_KSV: Values) -> Values:
        return np.where(np.isnan(told_KSV[..., 0]), -np.inf, told_KSV[..., 0])


@dataclass(frozen=True)
class ByRanks:
    """Ranks of several numbers in the set that is compared, added up.

    The worst of K has rank 1 and the best K; equal numbers share the mean of their ranks.

    Attributes:
        rank: what is added up: the `rank` itself, or the `log` of rank / K.
    """

    values: tuple[str, ...]
    rank: Literal["rank", "log"] = "rank"

    absolute = False
    percent = False

    def fitness(self, told_KSV: Values) -> Values:
        ranks = ranked(np.where(np.isnan(told_KSV), -np.inf, told_KSV))
        if self.rank == "log":
            ranks = np.log(ranks / max(len(ranks), 1))
        total: Values = ranks.sum(-1)
        return total


def ranked(values: Values) -> Values:
    """Ranks from 1 along the first axis, lowest first; equal values share the mean of theirs."""
    size = len(values)
    order = np.argsort(values, axis=0, kind="stable")
    inorder = np.take_along_axis(values, order, 0)
    place = np.arange(size).reshape(-1, *(1,) * (values.ndim - 1))
    fresh = np.ones(values.shape, bool)
    fresh[1:] = inorder[1:] != inorder[:-1]
    first = np.maximum.accumulate(np.where(fresh, place, 0), axis=0)
    ends = np.ones(values.shape, bool)
    ends[:-1] = fresh[1:]
    last = np.minimum.accumulate(np.where(ends, place, size)[::-1], axis=0)[::-1]
    ranks = np.empty(values.shape)
    np.put_along_axis(ranks, order, (first + last) / 2 + 1, 0)
    return ranks
