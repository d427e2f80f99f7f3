"""The best of all that each seed was told of, kept up to date while the archive grows.

Shape legend: K architectures in the archive, S seeds, V values told of one, T steps.
"""

from __future__ import annotations

from bisect import insort

import numpy as np

from nasbench_eval.search.guide import Judge, Standing
from nasbench_eval.search.history import Numbers, Values


class Elite:
    """The best `size` trials of each seed among all that were told; of equals the earliest.

    Where one number is told, to add a trial takes the time to find its place.  Where several are ranked, each
    new trial moves the ranks of others, and the order is found anew.

    Args:
        judge: how what is told compares.
        seeds: how many searches run in lockstep.
        size: how many are the best.
    """

    def __init__(self, judge: Judge, seeds: int, size: int) -> None:
        self._judge, self._size = judge, size
        self._standing = None if judge.absolute else Standing(judge, seeds)
        self._sorted: list[list[tuple[float, int]]] = [[] for _ in range(seeds)]
        self._steps_SK: Numbers | None = None
        self._told = 0

    def extend(self, values_TSV: Values) -> None:
        """Read what was told since the last time; the trials before stay as they are."""
        fresh = values_TSV[self._told :]
        if not len(fresh):
            return
        self._steps_SK = None
        if self._standing is not None:
            self._standing.extend(fresh)
        else:
            for step, fitness_S in enumerate(self._judge.fitness(fresh), self._told):
                for best, fitness in zip(self._sorted, fitness_S.tolist(), strict=True):
                    insort(best, (-fitness, step))
                    del best[self._size :]
        self._told = len(values_TSV)

    def step(self, seed: int, place: int) -> int:
        """The step of a seed's trial at a place among the best, the best first."""
        if self._standing is None:
            return self._sorted[seed][place][1]
        if self._steps_SK is None:
            self._steps_SK = best_of(self._standing.fitness(), self._size)
        return int(self._steps_SK[seed, place])

    def __len__(self) -> int:
        return min(self._size, self._told)


def best_of(fitness_KS: Values, size: int) -> Numbers:
    """The places of the best of each seed, best first, of equals the earliest; shape (S, size)."""
    found = []
    for fitness_K in np.ascontiguousarray(fitness_KS.T):
        rest = len(fitness_K) - min(size, len(fitness_K))
        least = np.partition(fitness_K, rest)[rest]
        places = np.flatnonzero(fitness_K >= least)
        found.append(places[np.argsort(-fitness_K[places], kind="stable")][:size])
    return np.array(found, np.int64)
