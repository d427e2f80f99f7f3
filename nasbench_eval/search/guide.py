"""How an algorithm takes what it is told of architectures: one number, or several that are ranked in a set.

Shape legend: K architectures that are compared, S seeds, V values told of an architecture, T steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from nasbench_eval.search.history import Numbers, Values


class Judge(Protocol):
    """Compares architectures by what was told of them."""

    @property
    def values(self) -> tuple[str, ...]:
        """Names of the numbers that are told, in the order of V."""
        ...

    @property
    def percent(self) -> bool:
        """Whether what is told is one accuracy in percent."""
        ...

    def fitness(self, told_KSV: Values) -> Values:
        """How good each of K architectures is among them, shape (K, S); higher is better, a failure −inf."""
        ...

    @property
    def absolute(self) -> bool:
        """Whether an architecture's fitness does not depend on which others it is compared with."""
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
        rank: what is added up: the `rank` itself, or its `log`.  The log of rank / K, which AZ-NAS adds up,
            is lower by the same for all of K.
    """

    values: tuple[str, ...]
    rank: Literal["rank", "log"] = "rank"

    absolute = False
    percent = False

    def fitness(self, told_KSV: Values) -> Values:
        return self.added(ranked(np.where(np.isnan(told_KSV), -np.inf, told_KSV)))

    def added(self, ranks: Values) -> Values:
        """The fitness of architectures, of which the ranks are known: shape (…, V) to (…)."""
        terms = np.log(ranks) if self.rank == "log" else ranks
        total: Values = terms[..., 0].copy()
        for column in range(1, terms.shape[-1]):  # one after the other: their order decides the last bits
            total += terms[..., column]
        return total


def ranked(values: Values) -> Values:
    """Ranks from 1 along the first axis, lowest first; equal values share the mean of theirs."""
    size = len(values)
    if not values.size:
        return np.zeros(values.shape)
    rows = np.ascontiguousarray(np.moveaxis(values, 0, -1))
    order = rows.argsort(-1)
    inorder = np.take_along_axis(rows, order, -1)
    fresh = np.ones(rows.shape, bool)
    fresh[..., 1:] = inorder[..., 1:] != inorder[..., :-1]
    # Runs of equal values, one row after another; where each begins and how long it is.
    begins = np.flatnonzero(fresh)
    lengths = np.diff(begins, append=fresh.size)
    means = begins % size + (lengths - 1) / 2 + 1
    ranks = np.empty(rows.shape)
    np.put_along_axis(ranks, order, np.repeat(means, lengths).reshape(rows.shape), -1)
    return np.moveaxis(ranks, -1, 0)


class Standing:
    """Architectures that are compared with each other while some come and go.

    What `fitness` tells is to the bit what the judge says of all of them at once, but ranks are kept up to
    date instead of being computed anew.

    Args:
        judge: how they compare.
        seeds: how many searches run in lockstep.
        most: how many there are at most; the oldest leaves for a new one.  None for any number.
    """

    def __init__(self, judge: Judge, seeds: int, most: int | None = None) -> None:
        self._judge, self._most = judge, most
        # A ring: once there are as many as there may be, the oldest stands at `_begin`.
        self._told_KSV = np.zeros((most or 256, seeds, len(judge.values)))
        self._ranks_KSV = np.zeros(self._told_KSV.shape)
        self._size = self._begin = 0

    def extend(self, told_KSV: Values) -> None:
        """Add architectures, in the order in which they were told of."""
        for told_SV in told_KSV if self._most is None else told_KSV[-self._most :]:
            self._add(told_SV)

    def fitness(self) -> Values:
        """Of each architecture, the oldest first, shape (K, S)."""
        if isinstance(self._judge, ByRanks):
            return np.roll(self._judge.added(self._ranks_KSV[: self._size]), -self._begin, 0)
        return self._judge.fitness(np.roll(self._told_KSV[: self._size], -self._begin, 0))

    def _add(self, told_SV: Values) -> None:
        place = self._place()
        if isinstance(self._judge, ByRanks):
            told_SV = np.where(np.isnan(told_SV), -np.inf, told_SV)
            above_SV, equal_SV = self._count(told_SV, 1)
            self._ranks_KSV[place] = self._size - above_SV - equal_SV / 2
        self._told_KSV[place] = told_SV

    def _place(self) -> int:
        """Where the next one goes; no number there is above, below or equal to another."""
        place = self._size
        if place == self._most:
            place, self._begin = self._begin, (self._begin + 1) % self._most
            left_SV = self._told_KSV[place].copy()
            self._told_KSV[place] = np.nan
            self._count(left_SV, -1)
            return place
        if place == len(self._told_KSV):
            self._told_KSV = np.concatenate([self._told_KSV, np.zeros_like(self._told_KSV)])
            self._ranks_KSV = np.concatenate([self._ranks_KSV, np.zeros_like(self._ranks_KSV)])
        self._size += 1
        self._told_KSV[place] = np.nan
        return place

    def _count(self, told_SV: Values, sign: int) -> tuple[Numbers, Numbers]:
        """Add a number to the ranks of the others (1), or take it out (−1): how many are above and equal."""
        told_KSV, ranks_KSV = self._told_KSV[: self._size], self._ranks_KSV[: self._size]
        above_KSV, equal_KSV = told_KSV > told_SV, told_KSV == told_SV
        ranks_KSV += above_KSV if sign > 0 else -above_KSV.astype(np.float64)
        if equal_KSV.any():
            ranks_KSV += sign / 2 * equal_KSV
        return above_KSV.sum(0), equal_KSV.sum(0)
