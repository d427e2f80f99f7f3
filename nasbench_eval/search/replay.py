"""Searches again from what was told then: proposals and answers have to be those of the history."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nasbench_eval.search.course import Course
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
    wrong = {"proposal": False, "answer": False}
    for step in range(history.steps):
        seen = max(step - course.lag + 1, 0)
        open_S = (trace.ends_S < 0) | (trace.ends_S > step)
        proposed_S = search.propose(history.past(seen, step), draws.of(step))
        if step >= first and (differs_S := (proposed_S != history.archs_TS[step]) & open_S).any():
            if not wrong["proposal"]:
                yield _told("proposal", course, step, int(np.flatnonzero(differs_S)[0]))
            wrong["proposal"] = True
        if wrong["answer"] or seen == 0:
            continue
        answers_S = search.answer(history.past(seen, step))
        if (differs_S := (answers_S != trace.answers_TS[seen - 1]) & open_S).any():
            yield _told("answer", course, seen - 1, int(np.flatnonzero(differs_S)[0]))
            wrong["answer"] = True


def _told(what: str, course: Course, step: int, place: int) -> str:
    seed = course.seeds[place]
    return f"the {what} of seed {seed} at step {step} is not what the algorithm makes of the history"
