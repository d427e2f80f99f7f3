"""The best of all that each seed was told of, kept up to date while the archive grows.

Shape legend: K architectures in the archive, A of them that may be among the best soon, S seeds, T steps,
V values told of an architecture.
"""

from __future__ import annotations

from bisect import insort

import numpy as np

from nasbench_eval.search.guide import ByRanks, Judge, Standing, ranked
from nasbench_eval.search.history import Numbers, Values

# Up to so many architectures all are ranked at once, which is quicker for many seeds.
FEW = 4096
# Steps after which it is asked anew which architectures may be among the best soon.
HORIZON = 256
# More than rounding moves a sum of logarithms.
_ROUNDING = 1e-9


class Elite:
    """The best `size` trials of each seed among all that were told; of equals the earliest.

    Where one number is told, to add a trial takes the time to find its place.  Where several are ranked, each
    new trial moves the ranks of others (see `_Contenders`).

    Args:
        judge: how what is told compares.
        seeds: how many searches run in lockstep.
        size: how many are the best.
        few: archives up to this size are ranked as a whole.
    """

    def __init__(self, judge: Judge, seeds: int, size: int, few: int = FEW) -> None:
        self._judge, self._size, self._few = judge, size, few
        self._standing = Standing(judge, seeds) if isinstance(judge, ByRanks) else None
        self._contenders: list[_Contenders] = []
        self._sorted: list[list[tuple[float, int]]] = [[] for _ in range(seeds)]
        self._ranked_SK: Numbers | None = None
        self._told = 0

    def __len__(self) -> int:
        return min(self._size, self._told)

    def extend(self, values_TSV: Values) -> None:
        """Read what was told since the last time; the trials before stay as they are."""
        fresh = values_TSV[self._told :]
        if not len(fresh):
            return
        self._ranked_SK = None
        if not isinstance(self._judge, ByRanks):
            for step, fitness_S in enumerate(self._judge.fitness(fresh), self._told):
                for best, fitness in zip(self._sorted, fitness_S.tolist(), strict=True):
                    insort(best, (-fitness, step))
                    del best[self._size :]
        elif len(values_TSV) <= self._few:
            assert self._standing is not None
            self._standing.extend(fresh)
        elif self._contenders:
            for step in range(self._told, len(values_TSV)):
                for seed, contenders in enumerate(self._contenders):
                    contenders.add(values_TSV[: step + 1, seed])
        else:
            self._standing = None  # which would only grow
            places = range(values_TSV.shape[1])
            self._contenders = [_Contenders(self._judge, self._size, values_TSV[:, s]) for s in places]
        self._told = len(values_TSV)

    def step(self, seed: int, place: int) -> int:
        """The step of a seed's trial at a place among the best, the best first."""
        if not isinstance(self._judge, ByRanks):
            return self._sorted[seed][place][1]
        return int(self.steps_SK[seed, place])

    @property
    def steps_SK(self) -> Numbers:
        """The steps of each seed's best, best first; shape (S, len(self))."""
        if not isinstance(self._judge, ByRanks):
            return np.array([[step for _, step in best] for best in self._sorted])
        if self._ranked_SK is None:
            self._ranked_SK = self._by_ranks()
        return self._ranked_SK

    def _by_ranks(self) -> Numbers:
        if self._contenders:
            return np.array([contenders.best() for contenders in self._contenders])
        assert self._standing is not None
        fitness_KS = self._standing.fitness()
        if self._size == 1:
            first_S: Numbers = fitness_KS.argmax(0)
            return first_S[:, None]
        return np.array([best_of(fitness_K, self._size) for fitness_K in np.ascontiguousarray(fitness_KS.T)])


class _Contenders:
    """The architectures of a seed that may be among the best within `HORIZON` steps, and their ranks.

    A rank counts from the worst, so that in an archive that never shrinks no rank ever falls, nor does the
    fitness of the last of the best.  One new architecture raises a rank by 1 at most.  So whoever would not
    get there with all ranks `HORIZON` higher need not be looked at until then.
    """

    def __init__(self, judge: ByRanks, size: int, values_KV: Values) -> None:
        self._judge, self._size = judge, size
        self._begin(values_KV)

    def _begin(self, values_KV: Values) -> None:
        """Rank all, and find who may get among the best."""
        values_KV = _lowest_for_failures(values_KV)
        ranks_KV = ranked(values_KV)
        fitness_K = self._judge.added(ranks_KV)
        last = np.partition(fitness_K, -self._size)[-self._size] if len(fitness_K) > self._size else -np.inf
        self._steps_A = np.flatnonzero(self._judge.added(ranks_KV + HORIZON) >= last - _ROUNDING)
        self._told_AV, self._ranks_AV = values_KV[self._steps_A], ranks_KV[self._steps_A]
        self._sorted_V = [np.sort(values_K) for values_K in values_KV.T]
        self._recent_KV = np.zeros((0, values_KV.shape[1]))

    def add(self, values_KV: Values) -> None:
        """Take the last of so many architectures in."""
        if len(self._recent_KV) == HORIZON:
            self._begin(values_KV)
            return
        told_V = _lowest_for_failures(values_KV[-1])
        self._ranks_AV += (told_V < self._told_AV) + 0.5 * (told_V == self._told_AV)
        self._steps_A = np.append(self._steps_A, len(values_KV) - 1)
        self._ranks_AV = np.concatenate([self._ranks_AV, self._rank(told_V)[None]])
        self._told_AV = np.concatenate([self._told_AV, told_V[None]])
        self._recent_KV = np.concatenate([self._recent_KV, told_V[None]])

    def _rank(self, told_V: Values) -> Values:
        """The ranks of a new architecture: half a rank for itself and for each that is equal."""
        below = [np.searchsorted(old, told) for old, told in zip(self._sorted_V, told_V, strict=True)]
        upto = [np.searchsorted(old, told, "right") for old, told in zip(self._sorted_V, told_V, strict=True)]
        less_V = np.array(below) + (self._recent_KV < told_V).sum(0)
        equal_V = np.array(upto) - np.array(below) + (self._recent_KV == told_V).sum(0)
        rank_V: Values = less_V + (equal_V + 2) / 2
        return rank_V

    def best(self) -> Numbers:
        """The steps of the best, best first."""
        return self._steps_A[best_of(self._judge.added(self._ranks_AV), self._size)]


def best_of(fitness_K: Values, size: int) -> Numbers:
    """The places of the best, best first, of equals the earliest."""
    if size == 1:
        return np.array([fitness_K.argmax()])
    places = np.arange(len(fitness_K))
    if len(fitness_K) > size:
        places = np.flatnonzero(fitness_K >= np.partition(fitness_K, -size)[-size])
    return places[np.argsort(-fitness_K[places], kind="stable")][:size]


def _lowest_for_failures(values: Values) -> Values:
    return np.where(np.isnan(values), -np.inf, values)
