"""Memory of a worker process: whether it stays flat over a run, and how high it gets on the largest cell."""

from __future__ import annotations

import time
from typing import Any

import torch

from benchmark.costs import score
from benchmark.processes import peak_bytes
from benchmark.readings import compose
from benchmark.unit import SPACE
from nasbench_eval.sampling import uniform
from nasbench_eval.scoring.job import Job
from nasbench_eval.scoring.process import Scorer

# Six 3×3 convolutions.
LARGEST_CELL = 1462
_SEED = 2


def small_job() -> Job:
    """First and second derivatives, and double precision, at B = 8 and R = 16: eight cells a second.

    What a run leaves behind is a matter of how many networks it built and took through which passes, more
    than of how large the batches were.
    """
    return compose("proxy=[intrain,grasp,synflow]", "proxy.batch_size=8", "proxy.resolution=16").job


def flatness(job: Job, first: int, last: int) -> dict[str, Any]:
    """The largest resident set in bytes of this process up to as many different cells, and its growth.

    The largest, because the system may take pages back from a process that has not touched them for a while.
    """
    scorer = Scorer(job, None, torch.device("cpu"))
    start, peaks = time.perf_counter(), {}
    for done, index in enumerate(uniform(len(SPACE), last, _SEED), start=1):
        score(scorer, index)
        if done in (first, last):
            peaks[done] = peak_bytes()
    return {
        "labels": list(job.proxies),
        "cells": [first, last],
        "peak_bytes": [peaks[first], peaks[last]],
        "growth_bytes": peaks[last] - peaks[first],
        "seconds": time.perf_counter() - start,
    }


def peak(job: Job, index: int) -> dict[str, Any]:
    """The largest resident set in bytes of this process, which scores one cell and does nothing else."""
    score(Scorer(job, None, torch.device("cpu")), index)
    return {"cell": index, "labels": list(job.proxies), "peak_bytes": peak_bytes()}
