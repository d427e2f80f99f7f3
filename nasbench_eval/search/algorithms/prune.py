"""Pruning a supernet, as TE-NAS does: operations leave it, round by round, until each edge has one.

Chen, Gong & Wang, "Neural Architecture Search on ImageNet in Four GPU Hours: A Theoretically Inspired
Perspective" (TE-NAS), ICLR 2021, section 3.3 and algorithm 1.  The supernet has all operations on all edges,
and `none` is taken off first.  A round asks what the supernet is worth, and what it would be without each
single operation.  By a value x_v that a guide tells, higher being better, the supernet without an operation
gains

    g_v = (x_v(without) − x_v(supernet)) / |x_v(supernet)|,    rounded to three decimals.

All operations of the round are ranked by each value: the one whose absence gains most has rank 1, equal gains
share a rank, and the next lower gain has the next rank.  On every edge the operation leaves whose ranks have
the smallest sum; of equal sums the one that comes first in the list of operations.  All edges change at once.

In the DARTS space edges leave as well, as in the authors' code, once each edge has one operation.  The edges
into a node are one round: the supernet is asked for without each of them, ranks are those within the node,
and the two edges stay whose ranks have the largest sums; of equal sums the later ones.  Nodes follow each
other, those of the normal cell first.  A node with two edges has no round.

The authors' values are κ, the condition of the kernel, and R, the number of linear regions.  Their
(κ − κ_without) / κ, from high to low, and (R − R_without) / R, from low to high, are these gains from high to
low, since `ntk_condition` is −κ.

A value that is not finite counts as the lowest.  The authors' code repeats each value three times with other
batches, and adds up the rounded gains; here a value is told once, and repeats belong to the proxy
(`proxy.batches=3`).  Supernets of a round share their weights with `space.weights=shared`, as there.

Where proposals are made before the round was told in full, the supernet of the round is proposed again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from nasbench_eval.errors import UsageError
from nasbench_eval.search.algorithms.base import AlgorithmInfo, Problem, Search
from nasbench_eval.search.history import Numbers, Past, Values
from nasbench_eval.search.moves import Supernets

DECIMALS = 3
# Edges of a group that stay.
LEFT = 2
NONE = "none"


@dataclass(frozen=True)
class Prune:
    """A supernet that loses operations of every edge in each round.

    The answer is the supernet that is left: after the last round an architecture with one operation on each
    edge, or a genotype.  NAS-Bench-201 without `none` takes 58 steps: 24, 18 and 12 operations, the supernet
    of each round, and the cell that is left.  The DARTS space with `prune=3` takes 339: 196 and 112
    operations, then 24 edges, six supernets that no round has tried before, and the genotype.
    Then the search ends, if `steps` allow so many.  Nothing is drawn at random, so that a seed of the search
    changes nothing.  Other seeds of the run do (`-m seed=0,1,2 seeds=1`).

    Attributes:
        prune: operations that each edge loses in a round; the last one stays.
        keep_none: whether `none` may stay, and is pruned as the others; otherwise it is taken off first.
    """

    info: ClassVar = AlgorithmInfo("prune", "Chen et al. 2021 (TE-NAS), section 3.3, algorithm 1")
    prune: int = 1
    keep_none: bool = False

    def __post_init__(self) -> None:
        if self.prune < 1:
            raise ValueError("prune is at least 1")

    def begin(self, problem: Problem) -> Search:
        if not isinstance(problem.moves, Supernets):
            raise UsageError(
                "algorithm=prune needs a supernet with all of its masks: space=nasbench201_supernet or "
                "space=darts_supernet, with space.masks=all"
            )
        return _Prune(problem, problem.moves, self)


class _Prune(Search):
    uniforms = 0

    def __init__(self, problem: Problem, moves: Supernets, options: Prune) -> None:
        super().__init__(problem)
        first = _first(moves, options)
        # `answer` may be called ahead of `propose` or behind it, so that it needs supernets of its own.
        self._rounds, self._derived = (
            [_Rounds(moves, options, seed, first) for seed in range(problem.seeds)] for _ in range(2)
        )

    def propose(self, past: Past, u_SU: Values) -> Numbers:
        return np.array([each.next(past) for each in self._rounds], np.int64)

    @property
    def stopped_S(self) -> NDArray[np.bool_]:
        return np.array([each.over for each in self._rounds])

    def answer(self, past: Past) -> Numbers:
        for each in self._derived:
            each.read(past)
        return np.array([each.supernet for each in self._derived], np.int64)


def _first(moves: Supernets, options: Prune) -> int:
    """The supernet that a search begins with."""
    has = np.ones((moves.edges, len(moves.operations)), bool)
    if not options.keep_none and NONE in moves.operations:
        has[:, moves.operations.index(NONE)] = False
    return int(moves.of(has))


@dataclass
class _Rounds:
    """Where one seed is.

    Attributes:
        moves: of the space.
        options: of the algorithm.
        seed: its place among the seeds.
        supernet: what is left.
        tried: the supernet, and what it would be without each operation, in the order in which they are
            asked for; empty at the end.
        told: what was told of architectures.
    """

    moves: Supernets
    options: Prune
    seed: int
    supernet: int
    tried: list[int] = field(default_factory=list)
    told: dict[int, Values] = field(default_factory=dict)
    _read: int = 0

    def __post_init__(self) -> None:
        self._begin()

    @property
    def over(self) -> bool:
        """Whether nothing is left to take off."""
        return not self.tried

    def read(self, past: Past) -> None:
        """Take in what was told since the last time."""
        for step in range(self._read, past.told):
            arch = int(past.archs_TS[step, self.seed])
            self.told.setdefault(arch, past.values_TSV[step, self.seed])
            while self.tried and all(each in self.told for each in self.tried):
                self._end()
        self._read = max(self._read, past.told)

    def next(self, past: Past) -> int:
        """What to ask for: the next of the round, or the supernet again while there is only waiting."""
        self.read(past)
        asked = set(past.proposed_TS[:, self.seed].tolist())
        return next((arch for arch in self.tried if arch not in asked), self.supernet)

    def _begin(self) -> None:
        candidates = self._candidates(self.moves.has(self.supernet))
        self.tried = [self.supernet, *(without for _, _, without in candidates)] if candidates else []

    def _candidates(self, has: NDArray[np.bool_]) -> list[tuple[int, int, int]]:
        """Edge, operation and the supernet without it, of each operation that may leave in this round."""
        may_leave = has & (has.sum(-1, keepdims=True) > 1)
        if not may_leave.any():
            group = self._group(has)
            may_leave[group] = has[group]
        found = []
        for edge, operation in np.argwhere(may_leave).tolist():
            other = has.copy()
            other[edge, operation] = False
            found.append((edge, operation, int(self.moves.of(other))))
        return found

    def _group(self, has: NDArray[np.bool_]) -> list[int]:
        """The edges of the first group that has too many, when each edge has one operation; or none."""
        groups = map(list, self.moves.groups)
        return next((group for group in groups if has[group].sum() > LEFT), [])

    def _end(self) -> None:
        """Take off what is best taken off, and begin the next round."""
        has = self.moves.has(self.supernet).copy()
        candidates = self._candidates(has)
        without_KV = np.array([self.told[arch] for _, _, arch in candidates])
        sums = rank_sums(gains(self.told[self.supernet], without_KV)).tolist()
        ranked = [(total, e, o) for total, (e, o, _) in zip(sums, candidates, strict=True)]
        for edge, operation in self._leaving(has, ranked):
            has[edge, operation] = False
        self.supernet = int(self.moves.of(has))
        self._begin()

    def _leaving(
        self, has: NDArray[np.bool_], ranked: list[tuple[float, int, int]]
    ) -> Iterator[tuple[int, int]]:
        """Edge and operation of what leaves, of the sums of ranks, edges and operations of a round."""
        if (has.sum(-1) <= 1).all():
            yield from ((edge, operation) for _, edge, operation in sorted(ranked)[:-LEFT])
            return
        for edge in range(self.moves.edges):
            here = sorted(each for each in ranked if each[1] == edge)
            leaving = max(min(self.options.prune, len(here) - 1), 0)
            yield from ((edge, operation) for _, _, operation in here[:leaving])


def gains(supernet_V: Values, without_KV: Values) -> Values:
    """What each value of a supernet gains without each of K operations, relative to it, shape (K, V)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        gained = np.round((without_KV - supernet_V) / np.abs(supernet_V), DECIMALS)
    gained = np.where(without_KV == supernet_V, 0.0, gained)
    here_KV, there_V = np.isfinite(without_KV), np.isfinite(supernet_V)
    found: Values = np.where(here_KV & there_V, gained, 0.0)
    found[here_KV & ~there_V], found[~here_KV & there_V] = np.inf, -np.inf
    return found


def rank_sums(gains_KV: Values) -> Values:
    """The sum of each operation's ranks by every value: dense ranks from 1, the largest gain first."""
    ranks = [np.unique(-column, return_inverse=True)[1] + 1 for column in gains_KV.T]
    total: Values = np.sum(ranks, 0).astype(np.float64)
    return total


ALGORITHM = Prune
