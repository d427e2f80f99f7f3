"""A search at work: it proposes, has scored what is not known, and tells, until a clock says stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from nasbench_eval.search.algorithms.base import Search
from nasbench_eval.search.draws import Draws
from nasbench_eval.search.history import CLOCKS, Numbers, Values
from nasbench_eval.search.scores import Known
from nasbench_eval.search.stored import Trace


@dataclass(frozen=True)
class Budget:
    """When a search ends; each seed at whichever comes first.

    Attributes:
        steps: evaluations of each seed.
        clocks_C: seconds of each seed on the clocks of `CLOCKS`; infinite for any.
        wall: seconds by the clock on the wall, for all seeds together.
    """

    steps: int
    clocks_C: Values
    wall: float = np.inf


class Supply(Protocol):
    """Where values come from that are not known yet."""

    def order(self, archs: Numbers, columns: Sequence[int]) -> None:
        """Ask for values of architectures, each at most once."""
        ...

    def wait(self, archs: Numbers, columns: Sequence[int]) -> None:
        """Wait until they are known.

        Raises:
            UsageError: if they cannot be had.
        """
        ...


class Loop:
    """The searches of all seeds, in lockstep.

    Proposals of step t are made from what was told of the steps up to t − `lag`, whichever worker was faster:
    so a search with several workers is the same on every machine.

    Args:
        search: proposes.
        draws: random numbers of its steps.
        known: what has been told of architectures.
        supply: brings what is not known.
        trace: the history so far, which is gone on with.
        budget: when to end.
        lag: how many steps the guide may be behind.
    """

    def __init__(
        self,
        search: Search,
        draws: Draws,
        known: Known,
        supply: Supply,
        trace: Trace,
        budget: Budget,
        lag: int,
    ) -> None:
        self.search, self.draws, self.known, self.supply = search, draws, known, supply
        self.trace, self.budget, self.lag = trace, budget, lag
        self._every = tuple(range(len(search.problem.judge.values)))
        self._began = time.monotonic() - (trace.wall_T[-1] if trace.wall_T else 0.0)
        self._spent_SC = np.zeros((trace.history.seeds, len(CLOCKS)))
        self._counted = 0

    def run(self, saved: Callable[[Trace], None]) -> None:
        """Search until every seed has come to its end; `saved` is called after every step."""
        history = self.trace.history
        if history.steps:
            self._proposed_again()
        if (seen := history.steps - self.lag + 1) > 0:
            self.search.answer(history.past(seen))  # it reads what it was told before
        while True:
            seen = max(history.steps - self.lag + 1, 0)
            while len(self.trace.answers_TS) < seen:
                self._tell()
            self._stop_seeds(seen)
            if not self._goes_on():
                break
            step = self._propose(seen)
            self.supply.order(history.archs_TS[step][self._open(step)], self._asked(step))
            saved(self.trace)
        while len(self.trace.answers_TS) < history.steps:
            self._tell()

    def _goes_on(self) -> bool:
        """Whether any seed may propose once more."""
        if self.trace.history.steps >= self.budget.steps or not self._alive().any():
            return False
        return not self.trace.wall_T or self.trace.wall_T[-1] < self.budget.wall

    def _proposed_again(self) -> None:
        """Have the last proposal made once more, so that the search knows which seeds had ended by then."""
        last = self.trace.history.steps - 1
        past = self.trace.history.past(max(last - self.lag + 1, 0), last)
        self.search.propose(past, self.draws.of(last))

    def _propose(self, seen: int) -> int:
        """A proposal of each seed, from what was told of so many steps.  Returns the step."""
        history = self.trace.history
        archs_S = self.search.propose(history.past(seen), self.draws.of(history.steps))
        if history.steps:  # a seed that has ended stays where it was
            archs_S = np.where(self._alive(), archs_S, history.archs_TS[-1])
        return history.propose(archs_S)

    def _tell(self) -> None:
        """Wait for the values of the first step that lacks them, and hand them on."""
        history, step = self.trace.history, len(self.trace.answers_TS)
        open_S, columns = self._open(step), self._asked(step)
        archs = history.archs_TS[step][open_S]
        self.supply.wait(archs, columns)
        values_SV = np.full(history.values_TSV.shape[1:], np.nan)
        seconds_SC = np.zeros((history.seeds, len(CLOCKS)))
        if len(archs):
            values_SV[open_S], seconds_SC[open_S] = self.known.of(archs, columns)
        if not self.search.pays_twice:
            seconds_SC[(history.archs_TS[:step] == history.archs_TS[step]).any(0)] = 0
        history.tell(step, values_SV, seconds_SC)
        self.trace.answers_TS.append(self.search.answer(history.past(step + 1)).copy())
        self.trace.wall_T.append(time.monotonic() - self._began)

    def _asked(self, step: int) -> Sequence[int]:
        asked = self.search.asked(step)
        return self._every if asked is None else asked

    def _alive(self) -> np.ndarray:
        """Seeds that have not come to their end."""
        return self.trace.ends_S < 0

    def _open(self, step: int) -> np.ndarray:
        """Seeds that have a trial at a step."""
        return self._alive() | (self.trace.ends_S > step)

    def _stop_seeds(self, seen: int) -> None:
        """End the seeds that have spent what they may in so many steps, or whose algorithm is done."""
        seconds_TSC = self.trace.history.seconds_TSC
        self._spent_SC += seconds_TSC[self._counted : seen].sum(0)
        self._counted = seen
        out_S = (self._spent_SC >= self.budget.clocks_C).any(1) | self.search.stopped_S
        self.trace.ends_S[self._alive() & out_S] = self.trace.history.steps
