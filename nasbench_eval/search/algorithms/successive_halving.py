"""Successive halving over a guide's values, from the cheapest to the dearest.

Jamieson & Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization", AISTATS 2016,
with proxies of growing cost in place of training times of growing length.  Rung 0 is n_0 random
architectures, of which the guide tells its first value alone.  On each next rung r are

    n_r = max(1, ⌊n_0 / η^r⌋)

of those on the rung below, the ones with its best values, and the guide tells value r of them.  So the
guide's values stand in the order of their cost, the cheapest first.  Each is compared as it is, whatever the
guide makes of several.

Where proposals are made before the rung below was told in full, the best that was told so far goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nasbench_eval.errors import UsageError
from nasbench_eval.search.algorithms.base import AlgorithmInfo, Problem, Search
from nasbench_eval.search.history import Numbers, Past, Values


@dataclass(frozen=True)
class SuccessiveHalving:
    """One value of the guide for each rung.

    The answer is the best of the highest rung that was reached.

    Attributes:
        eta: η, one in so many goes on to the next rung.
        first: n_0, architectures on the first rung; once the last rung is full, all begins anew with others.
            null: as many as make the steps of the search one such round, and what cannot be divided is added
            to the first rung.
    """

    info: ClassVar = AlgorithmInfo("successive_halving", "Jamieson & Talwalkar 2016")
    eta: int = 3
    first: int | None = None

    @property
    def by_steps(self) -> bool:
        """Whether what is proposed depends on how many steps there will be."""
        return self.first is None

    def __post_init__(self) -> None:
        if self.eta < 2:
            raise ValueError("eta is at least 2")
        if self.first is not None and self.first < 1:
            raise ValueError("first is at least 1, or null")

    def begin(self, problem: Problem) -> Search:
        rungs = len(problem.judge.values)
        if rungs < 2:
            raise UsageError(
                "algorithm=successive_halving needs a guide of two values or more, the cheapest first; "
                f"this one tells {problem.judge.values[0]} alone"
            )
        if self.first is None and problem.steps < rungs:
            raise UsageError(
                f"algorithm=successive_halving needs a step for each of the guide's {rungs} values; "
                f"there are {problem.steps}"
            )
        return _Halving(problem, self)


class _Halving(Search):
    def __init__(self, problem: Problem, options: SuccessiveHalving) -> None:
        super().__init__(problem)
        self.uniforms = problem.moves.for_sample
        self._rungs = len(problem.judge.values)
        self._sizes = self._divided(options, problem.steps)
        self._ends = np.cumsum(self._sizes)
        self._seeds_S = np.arange(problem.seeds)
        self._order, self._candidates_SK = (-1, -1), np.zeros((problem.seeds, 0), np.int64)
        # The best of each rung, and how far the history was read for it.
        self._score_RS = np.full((self._rungs, problem.seeds), -np.inf)
        self._archs_RS = np.zeros((self._rungs, problem.seeds), np.int64)
        self._read = 0

    def _divided(self, options: SuccessiveHalving, steps: int) -> list[int]:
        """Architectures on each rung."""

        def rungs(first: int) -> list[int]:
            return [max(1, first // options.eta**rung) for rung in range(self._rungs)]

        if options.first is not None:
            return rungs(options.first)
        low, high = 1, steps  # the most that the steps allow
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if sum(rungs(middle)) <= steps else (low, middle - 1)
        sizes = rungs(low)
        return [sizes[0] + steps - sum(sizes), *sizes[1:]]

    def _place(self, step: int) -> tuple[int, int]:
        """The rung of a step, and the step at which its round began."""
        begun = step // int(self._ends[-1]) * int(self._ends[-1])
        return int(np.searchsorted(self._ends, step - begun, side="right")), begun

    def asked(self, step: int) -> tuple[int, ...]:
        return (self._place(step)[0],)

    def propose(self, past: Past, u_SU: Values) -> Numbers:
        rung, begun = self._place(past.steps)
        if rung == 0:
            return self.problem.moves.sample(u_SU)
        first = begun + int(self._ends[rung - 1])
        self._sort(past, rung, first)
        gone_SK = past.proposed_TS[first:].T.tolist()
        each = zip(self._candidates_SK.tolist(), map(set, gone_SK), strict=True)
        found = [next((arch for arch in best if arch not in gone), best[0]) for best, gone in each]
        return np.array(found, np.int64)

    def _sort(self, past: Past, rung: int, first: int) -> None:
        """Put what is on the rung below in order, the best first; what was not told of is last."""
        below, told = first - self._sizes[rung - 1], min(past.told, first)
        if self._order == (first, told):
            return
        score_KS = np.full((first - below, len(self._seeds_S)), -np.inf)
        if told > below:
            score_KS[: told - below] = _or_lowest(past.values_TSV[below:told, :, rung - 1])
        order_KS = np.argsort(-score_KS, axis=0, kind="stable")
        self._candidates_SK = past.proposed_TS[below:first][order_KS, self._seeds_S].T
        self._order = (first, told)

    def answer(self, past: Past) -> Numbers:
        for step in range(self._read, past.told):
            rung, _ = self._place(step)
            score_S = _or_lowest(past.values_TSV[step, :, rung])
            better_S = score_S > self._score_RS[rung]
            self._score_RS[rung, better_S] = score_S[better_S]
            self._archs_RS[rung, better_S] = past.archs_TS[step, better_S]
        self._read = max(self._read, past.told)
        answer_S: Numbers = past.archs_TS[0].copy()
        for score_S, archs_S in zip(self._score_RS, self._archs_RS, strict=True):
            answer_S = np.where(score_S > -np.inf, archs_S, answer_S)
        return answer_S


def _or_lowest(values: Values) -> Values:
    """Values, failures as the lowest of all."""
    lowest: Values = np.where(np.isnan(values), -np.inf, values)
    return lowest


ALGORITHM = SuccessiveHalving
