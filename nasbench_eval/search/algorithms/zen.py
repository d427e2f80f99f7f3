"""Zen-NAS's evolution, ZiCo's too: a population that loses its worst; what is counted are tries.

Lin et al., "Zen-NAS: A Zero-Shot NAS for High-Performance Image Recognition", ICCV 2021: the search of its
released code.  A step is a try.  A try beyond the limits of the search space, and one that makes a network
which the population has had before, changes nothing: its trial is the parent once more, and costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nasbench_eval.search.algorithms._children import FIRST
from nasbench_eval.search.algorithms.base import AlgorithmInfo, Problem, Search
from nasbench_eval.search.drawn import generator
from nasbench_eval.search.history import Numbers, Past, Values


@dataclass(frozen=True)
class Zen:
    """The search of Zen-NAS's code.

    Attributes:
        population: how many architectures are kept; the worst leaves for a new one, of equals the oldest.
        start: the architecture that the first candidates come from; None for the search space's own, or
            draws where it has none, or with `random`.
    """

    info: ClassVar = AlgorithmInfo("zen", "Lin et al. 2021, evolution of the released code")
    population: int = 512
    start: str | None = None

    def __post_init__(self) -> None:
        if self.population < 1:
            raise ValueError("population is at least 1")

    def begin(self, problem: Problem) -> Search:
        return _Evolution(problem, self)


class _Evolution(Search):
    pays_twice = False

    def __init__(self, problem: Problem, options: Zen) -> None:
        super().__init__(problem)
        self.options = options
        self.uniforms = max(1, problem.moves.for_sample)
        self._start = problem.moves.started(options.start)
        # Of each seed, the steps of its population; the networks that it has had.
        self._steps_S: list[list[int]] = [[] for _ in range(problem.seeds)]
        self._had_S: list[set[int]] = [set() for _ in range(problem.seeds)]
        self._told = 0

    def propose(self, past: Past, u_SU: Values) -> Numbers:
        for step in range(self._told, past.told):
            self._take(past, step)
        self._told = past.told
        if self._start is None and past.told <= FIRST:
            return self.problem.moves.sample(u_SU[:, : self.problem.moves.for_sample])
        return np.array([self._tried(past, seed, u) for seed, u in enumerate(u_SU[:, 0].tolist())])

    def _tried(self, past: Past, seed: int, u: float) -> int:
        rng, steps, moves = generator(u), self._steps_S[seed], self.problem.moves
        if len(steps) <= FIRST and self._start is not None:
            parent, draws = self._start, 1
        else:
            parent, draws = int(past.proposed_TS[steps[int(rng.integers(len(steps)))], seed]), 2
        child = moves.attempt(parent, rng, draws)
        return parent if child is None or moves.key(child) in self._had_S[seed] else child

    def _take(self, past: Past, step: int) -> None:
        """Have the trials of a step join the populations, but for those that are nothing new."""
        for seed, arch in enumerate(past.proposed_TS[step].tolist()):
            network = self.problem.moves.key(arch)
            if network in self._had_S[seed] or arch == self._start:
                continue
            self._had_S[seed].add(network)
            steps = self._steps_S[seed]
            steps.append(step)
            if len(steps) > self.options.population:
                fitness_K1 = self.problem.judge.fitness(past.values_TSV[steps, seed][:, None])
                del steps[int(fitness_K1[:, 0].argmin())]


ALGORITHM = Zen
