"""What `nasbench-search` tells of a search: before it, and in the end."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping

import numpy as np

from nasbench_eval.search.config import Plan
from nasbench_eval.search.stored import Trace
from nasbench_eval.wording import counted


def headline(plan: Plan) -> str:
    """What is going to be done."""
    course, by = plan.course, f"; {_workers(plan)}" if plan.job else ""
    size = f"{counted(len(course.seeds), 'seed')} of {counted(plan.options.steps, 'step')}"
    return (
        f"{course.space.name}: {course.label} guided by {course.guide} on {plan.subject.title}, "
        f"{size}{by}; into {plan.folder}"
    )


def _workers(plan: Plan) -> str:
    options = plan.options
    if options.ray is None:
        return f"{counted(plan.workers, 'worker')} on {plan.device.type}"
    number = "workers" if options.workers is None else counted(options.workers, "worker")
    return f"{number} on the Ray cluster {options.ray}, on {plan.remote.type}"


def taken(runs: Mapping[str, int]) -> Iterator[str]:
    """What scores were found in other runs."""
    if runs:
        each = ", ".join(f"{name} ({number:,})" for name, number in runs.items())
        yield f"{counted(sum(runs.values()), 'score')} known from {each}; reuse=none computes all anew"


def outcome(plan: Plan, trace: Trace) -> str:
    """What came of the search, and what to do next."""
    steps = trace.history.steps
    found = len({int(arch) for arch in trace.answers_TS[-1]}) if trace.answers_TS else 0
    distinct = len(np.unique(trace.history.archs_TS)) if steps else 0
    said = f"{counted(steps, 'step')} of {counted(len(plan.course.seeds), 'seed')}"
    return (
        f"{said}: {counted(distinct, 'architecture')} seen, {counted(found, 'answer')}; "
        f"next: {shlex.join(['nasbench-report', str(plan.folder)])}"
    )
