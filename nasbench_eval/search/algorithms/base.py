"""What a search algorithm is: it reads the trials so far and proposes the next.

An algorithm holds no truth of its own.  What it keeps between steps is a cache that reading the history again
gives to the bit, so that to resume a search is to read it.  tests/search/test_every_algorithm.py tries this.

Shape legend: S seeds in lockstep, U uniform numbers of a step, T steps, V values told of an architecture.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from nasbench_eval.search.elite import Elite
from nasbench_eval.search.guide import Judge
from nasbench_eval.search.history import Numbers, Past, Values
from nasbench_eval.search.moves import Moves


@dataclass(frozen=True)
class AlgorithmInfo:
    """What identifies an algorithm.

    Attributes:
        name: file stem, YAML stem, `algorithm` of a record.
        reference: paper, and its section or algorithm.
    """

    name: str
    reference: str


@dataclass(frozen=True)
class Problem:
    """What is searched.

    Attributes:
        moves: what can be done with the architectures.
        judge: how what is told of them compares.
        seeds: how many searches run in lockstep.
        steps: trials that each seed will have at most.
    """

    moves: Moves
    judge: Judge
    seeds: int
    steps: int


class Algorithm(Protocol):
    """An algorithm with its options, which are the fields of a frozen dataclass.

    One whose proposals depend on how many steps there will be has besides a property `by_steps` that is true.
    """

    info: ClassVar[AlgorithmInfo]

    def begin(self, problem: Problem) -> Search:
        """A search that has not proposed anything yet.

        Raises:
            UsageError: if the algorithm cannot search this space, or not with this guide.
        """
        ...


class Search(ABC):
    """The searches of all seeds.

    Attributes:
        uniforms: how many uniform numbers a step takes.
        pays_twice: whether an architecture that a seed has had before costs what it did then.
    """

    uniforms: int
    pays_twice: bool = True

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self._leaders = _Leaders(problem)

    @abstractmethod
    def propose(self, past: Past, u_SU: Values) -> Numbers:
        """The next architecture of each seed.

        Called once a step.  `past.told` never falls from call to call; it may rise by more than one.

        Args:
            past: the trials so far.
            u_SU: numbers in [0, 1), drawn for this step.
        """

    def asked(self, step: int) -> tuple[int, ...] | None:
        """Which of the guide's values a step asks for, by their place; None for all.

        It depends on the number of the step alone.  What is not asked for stays NaN, and costs nothing.
        """
        return None

    @property
    def stopped_S(self) -> NDArray[np.bool_]:
        """Which seeds have ended by the algorithm's own rule, as of the last call of `propose`.

        A seed that has ended stays so.  What it proposes from then on is only there to fill its row.
        """
        return np.zeros(self.problem.seeds, bool)

    def answer(self, past: Past) -> Numbers:
        """What each seed would return now: the best that it was told of, the earliest of equals.

        Called with `past.told` that never falls either, and is at least one.  It may be ahead of what
        `propose` was called with, or behind.
        """
        return self._leaders.of(past)


class _Leaders:
    """The best architecture that each seed was told of, kept up to date."""

    def __init__(self, problem: Problem) -> None:
        self._judge = problem.judge
        self._first = Elite(problem.judge, problem.seeds, 1)
        self._archs_S = np.zeros(problem.seeds, np.int64)
        self._fitness_S = np.full(problem.seeds, -np.inf)
        self._told = 0

    def of(self, past: Past) -> Numbers:
        if not self._judge.absolute:
            self._first.extend(past.values_TSV)
            best_S = self._first.steps_SK[:, 0]
            archs_S: Numbers = past.archs_TS[best_S, np.arange(len(best_S))]
            return archs_S
        if not self._told and past.told:
            self._archs_S = past.archs_TS[0].copy()
        for step in range(self._told, past.told):
            fitness_S = self._judge.fitness(past.values_TSV[step : step + 1])[0]
            better_S = fitness_S > self._fitness_S
            self._archs_S = np.where(better_S, past.archs_TS[step], self._archs_S)
            self._fitness_S = np.where(better_S, fitness_S, self._fitness_S)
        self._told = max(self._told, past.told)
        return self._archs_S
