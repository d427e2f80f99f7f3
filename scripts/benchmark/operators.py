"""Where the time goes: the operators with the largest share of the time, by PyTorch's profiler."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from benchmark.costs import score
from benchmark.unit import bare_pass
from nasbench_eval.scoring.job import Job
from nasbench_eval.scoring.process import Scorer

LARGEST = 10


def profile_bare_pass(job: Job, cells: Sequence[int], device_name: str) -> list[dict[str, Any]]:
    """The largest operators of a bare pass at B = 64, R = 32 through each of the cells."""
    device = Scorer(job, None, torch.device(device_name)).device  # settles the process
    passes = [bare_pass(index, device=device) for index in cells]

    def run_all() -> None:
        for run in passes:
            run()

    return largest(run_all, device)


def profile_job(job: Job, cells: Sequence[int], device_name: str) -> list[dict[str, Any]]:
    """The largest operators of scoring each of the cells."""
    scorer = Scorer(job, None, torch.device(device_name))

    def score_all() -> None:
        for index in cells:
            score(scorer, index)

    return largest(score_all, scorer.device)


def largest(action: Callable[[], object], device: torch.device) -> list[dict[str, Any]]:
    """The operators with most time of their own in an action, after one that is not counted.

    A share is that of all operators' own time; Python between them is in none.
    """
    action()
    cuda = device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]
    with profile(activities=activities) as profiler:
        action()
        if cuda:
            torch.cuda.synchronize()
    clock = "self_device_time_total" if cuda else "self_cpu_time_total"
    # A GPU's kernels are events as well; their time is also that of the operators which launched them.
    events = [e for e in profiler.key_averages() if e.device_type.name == "CPU"]
    total = sum(getattr(e, clock) for e in events)
    events.sort(key=lambda e: getattr(e, clock), reverse=True)
    return [
        {"operator": e.key, "share": getattr(e, clock) / total, "calls": e.count} for e in events[:LARGEST]
    ]
