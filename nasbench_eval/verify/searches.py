"""Checks of a search: its history, and that the algorithm makes the same of it again."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nasbench_eval.errors import UsageError
from nasbench_eval.runs.record import within
from nasbench_eval.sampling import cells_of
from nasbench_eval.search.course import Course, course_of
from nasbench_eval.search.replay import faults
from nasbench_eval.search.stored import HistoryFiles, Trace
from nasbench_eval.spaces.base import Names
from nasbench_eval.spaces.open import Known, space_of
from nasbench_eval.verify.held import Check, Held, verdict
from nasbench_eval.wording import counted


def searched(held: Held) -> Iterator[Check]:
    """All checks of a history."""
    search = within(held.record, "search")
    try:
        space = space_of(held.record["space"])
        members = search.get("members")
        course = course_of(held.record, space, None if members is None else cells_of(str(members)))
        trace = HistoryFiles(held.folder, course.seeds, course.judge.values, Names(space)).read(mend=False)
    except UsageError as error:
        yield Check("FAIL", "history", str(error))
        return
    steps = counted(trace.history.steps, "step")
    yield verdict(
        "history", list(_incomplete(held, trace)), f"{steps} of {counted(len(course.seeds), 'seed')}"
    )
    if trace.history.steps:
        yield verdict("inside", list(_outside(course, trace)), f"architectures of {space.name}")
        first = 0 if course.fork is None else int(course.fork["step"])
        yield verdict(
            "replay", list(faults(course, trace, first=first)), "proposed and answered again to the bit"
        )


def _incomplete(held: Held, trace: Trace) -> Iterator[str]:
    """What a finished search lacks of its history."""
    if "finished" in held.record and not trace.history.steps:
        yield "there is none, although the search is finished"


def _outside(course: Course, trace: Trace) -> Iterator[str]:
    archs_TS = trace.history.archs_TS
    if isinstance(course.space, Known):
        return  # what names no architecture of it is no history, and has been told
    allowed = range(len(course.space)) if course.members is None else set(course.members)
    if strange := [arch for arch in np.unique(archs_TS).tolist() if arch not in allowed]:
        yield f"{counted(len(strange), 'architecture')} that the search keeps out of, {strange[0]} for one"
