"""Regularized evolution: the best of a sample of the population is mutated, and the oldest dies.

Real et al., "Regularized Evolution for Image Classifier Architecture Search", AAAI 2019, algorithm 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from nasbench_eval.search.algorithms.base import AlgorithmInfo, Problem, Search
from nasbench_eval.search.guide import Standing
from nasbench_eval.search.history import Numbers, Past, Values


@dataclass(frozen=True)
class RegularizedEvolution:
    """Algorithm 1 of the paper.

    The population is a queue: the last `population` architectures that were told of.  So the oldest dies with
    each child, however good it is.

    Attributes:
        population: size P of the population, which begins as random architectures.
        sample: size S of the sample whose best member is mutated.
        replacement: whether the sample is drawn with replacement, as in the paper's code, or without.
        ranks: where a guide tells several numbers, whether they are ranked in the `sample` or among `all`
            that was told.
        answer: the best of `history`, or of the last `population`.
    """

    info: ClassVar = AlgorithmInfo("regularized_evolution", "Real et al. 2019, algorithm 1")
    population: int = 10
    sample: int = 3
    replacement: bool = True
    ranks: Literal["sample", "all"] = "sample"
    answer: Literal["history", "population"] = "history"

    def __post_init__(self) -> None:
        if self.population < 1 or self.sample < 1:
            raise ValueError("population and sample are at least 1")
        if not self.replacement and self.sample > self.population:
            raise ValueError(
                f"sample={self.sample} without replacement is more than population={self.population}"
            )

    def begin(self, problem: Problem) -> Search:
        return _Evolution(problem, self)


class _Evolution(Search):
    def __init__(self, problem: Problem, options: RegularizedEvolution) -> None:
        super().__init__(problem)
        self.options = options
        moves = problem.moves
        drawn = options.sample if options.replacement else options.population
        self.uniforms = max(moves.for_sample, drawn + moves.for_mutate)
        self._seeds_S = np.arange(problem.seeds)
        # Where several values are ranked among all that was told, and in the population that answers.
        self._all = Standing(problem.judge, problem.seeds)
        self._population = Standing(problem.judge, problem.seeds, options.population)
        self._ranked = self._answered = 0

    def propose(self, past: Past, u_SU: Values) -> Numbers:
        moves, size = self.problem.moves, self.options.population
        if past.steps < size or not past.told:
            return moves.sample(u_SU[:, : moves.for_sample])
        oldest = max(past.told - size, 0)
        members_KS = oldest + self._members(past.told - oldest, u_SU).T
        best_S = self._fitness(past, members_KS).argmax(0)
        parents_S = past.archs_TS[members_KS[best_S, self._seeds_S], self._seeds_S]
        return moves.mutate(parents_S, u_SU[:, -moves.for_mutate :])

    def _members(self, population: int, u_SU: Values) -> Numbers:
        """Places of the sample's members in the population, shape (S, K)."""
        if self.options.replacement:
            return (u_SU[:, : self.options.sample] * population).astype(np.int64)
        drawn, keys_SP = min(self.options.sample, population), u_SU[:, :population]
        lowest_SK = np.argpartition(keys_SP, drawn - 1, axis=1)[:, :drawn]
        # The order decides between equals, and a partition's own is nobody's to rely on.
        order_SK = np.take_along_axis(keys_SP, lowest_SK, 1).argsort(1)
        return np.take_along_axis(lowest_SK, order_SK, 1)

    def _fitness(self, past: Past, members_KS: Numbers) -> Values:
        judge = self.problem.judge
        if self.options.ranks == "all" and not judge.absolute:
            self._all.extend(past.values_TSV[self._ranked :])
            self._ranked = past.told
            fitness_KS: Values = np.take_along_axis(self._all.fitness(), members_KS, 0)
            return fitness_KS
        told_KSV = past.values_TSV[members_KS, self._seeds_S]
        return judge.fitness(told_KSV)

    def answer(self, past: Past) -> Numbers:
        if self.options.answer == "history":
            return super().answer(past)
        self._population.extend(past.values_TSV[self._answered :])
        self._answered = past.told
        oldest = max(past.told - self.options.population, 0)
        best_S = oldest + self._population.fitness().argmax(0)
        archs_S: Numbers = past.archs_TS[best_S, self._seeds_S]
        return archs_S


ALGORITHM = RegularizedEvolution
