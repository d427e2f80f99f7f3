"""Searches again from what was told then: proposals and answers have to be those of the history."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nasbench_eval.search.course import Course
from nasbench_eval.search.history import Numbers
from nasbench_eval.search.stored import Trace


def faults(course: Course, trace: Trace, *, first: int = 0) -> Iterator[str]:
    """The first step at which a proposal is another, and the first at which an answer is.

    Args:
        course: what decided the history.
        trace: the history.
        first: step from which on it is this search's own.
    """
    search, history = course.begin(), trace.history
    draws = course.draws(search)
    wrong: set[str] = set()

    def other(what: str, step: int, now_S: Numbers, then_S: Numbers) -> Iterator[str]:
        differs_S = (now_S != then_S) & ((trace.ends_S < 0) | (trace.ends_S > step))
        if differs_S.any() and what not in wrong:
            wrong.add(what)
            yield _told(what, course, step, int(np.flatnonzero(differs_S)[0]))

    # Beyond the last step nothing is proposed, but what was told last is still answered.
    for step in range(history.steps + course.lag):
        seen = max(step - course.lag + 1, 0)
        if step < history.steps:
            proposed_S = search.propose(history.past(seen, step), draws.of(step))
            if step >= first:
                yield from other("proposal", step, proposed_S, history.archs_TS[step])
        if 0 < seen <= history.steps:
            answers_S = search.answer(history.past(seen, min(step, history.steps)))
            yield from other("answer", seen - 1, answers_S, trace.answers_TS[seen - 1])


def _told(what: str, course: Course, step: int, place: int) -> str:
    seed = course.seeds[place]
    return f"the {what} of seed {seed} at step {step} is not what the algorithm makes of the history"
