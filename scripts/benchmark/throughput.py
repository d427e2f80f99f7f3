"""Architectures a second of a real run on two cores, against one process with PyTorch's defaults.

Both sides score the same cells with SNIP by the same code, and the first few do not count: the clock runs
from one finished cell to the last.  Ours is a run with two workers into a folder of parquet, as
`nasbench-score` makes it.  The other side is `score_architecture` in a process whose settings nobody touched:
one thread a core, the allocator's own thresholds, and contiguous tensors.  The last is had by giving
`torch.channels_last`, for this process alone, the meaning of the default layout.

Why SNIP: it is one forward-backward pass at B = 64, R = 32 and a sum over weights.  Code of ours that was
written for one layout, as InTrain's covariances are, would put the other side at a disadvantage.  Why not
bare passes: running one network over and over again spares both sides what a stream of new ones costs them.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import torch

from benchmark.costs import check
from benchmark.processes import Processes
from benchmark.readings import compose
from benchmark.unit import SPACE
from nasbench_eval.data.batches import Batches
from nasbench_eval.runs.rows import Row
from nasbench_eval.runs.store import Store
from nasbench_eval.runs.wanted import Wanted
from nasbench_eval.sampling import uniform
from nasbench_eval.scoring.config import Run
from nasbench_eval.scoring.job import Job
from nasbench_eval.scoring.process import Scorer
from nasbench_eval.scoring.worker import score_architecture
from nasbench_eval.work.progress import Progress
from nasbench_eval.work.runner import run_job

CORES = 2
# Cells after which both workers have started and are warm; they are not counted.
WARM = 2 * CORES
_SEED = 3


class Clocked(Wanted):
    """Notes when each cell's rows came in."""

    times: list[float]

    def fill(self, rows: Iterable[Row], *, reused_from: str | None = None) -> list[Row]:
        filled = super().fill(rows, reused_from=reused_from)
        check(filled)
        self.times.append(time.perf_counter())
        return filled


def throughput(cells: int, rounds: int, processes: Processes) -> dict[str, Any]:
    """Cells a second of both sides, which take turns, and their ratio."""
    run, chosen = compose("proxy=snip"), uniform(len(SPACE), WARM + cells, _SEED)
    ours = default = 0.0
    with on_two_cores() as cores:
        for _ in range(rounds):
            seconds, threads = processes(default_seconds, run.job, chosen)
            default += seconds
            ours += processes(run_seconds, run, chosen)
    done = cells * rounds
    return {
        "labels": list(run.job.proxies),
        "cells": cells,
        "rounds": rounds,
        "cores": cores,
        "default_threads": threads,
        "cells_per_second": done / ours,
        "default_cells_per_second": done / default,
        "ratio": default / ours,
    }


@contextmanager
def on_two_cores() -> Iterator[int]:
    """Keep the processes started meanwhile to two cores, where the system can; yields how many they have."""
    if not hasattr(os, "sched_setaffinity"):
        yield os.cpu_count() or 1
        return
    every = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(every)[:CORES])
    try:
        yield len(os.sched_getaffinity(0))
    finally:
        os.sched_setaffinity(0, every)


def run_seconds(run: Run, cells: Sequence[int]) -> float:
    """Seconds of a real run over all cells but the first few."""
    scorer = Scorer(run.job, None, torch.device("cpu"))
    with (
        tempfile.TemporaryDirectory() as folder,
        Progress() as progress,
        closing(Store(Path(folder), run.job.space.name, run.identity(), {})) as store,
    ):
        wanted = Clocked(run.job, {index: index for index in cells}, store)
        wanted.times = []
        run_job(scorer, wanted, progress, workers=CORES)
    return wanted.times[-1] - wanted.times[WARM - 1]


def default_seconds(job: Job, cells: Sequence[int]) -> tuple[float, int]:
    """Seconds for all cells but the first few, with PyTorch's defaults; and its threads.

    Spoils the process for anything else.
    """
    torch.channels_last = torch.contiguous_format
    device = torch.device("cpu")
    batches = Batches(job.seed, job.datasets, None, device)
    times = []
    for index in cells:
        check(score_architecture(job, index, job.tasks(), batches, device))
        times.append(time.perf_counter())
    return times[-1] - times[WARM - 1], torch.get_num_threads()
