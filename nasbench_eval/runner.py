"""Spreads a job over processes, shows its progress and hands every row to the store."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from pathlib import Path

import torch
from tqdm import tqdm

from nasbench_eval.data.batches import Batches
from nasbench_eval.errors import UsageError
from nasbench_eval.store import Store
from nasbench_eval.worker import Job, Row, Task, configure_process, score_architecture

Work = Mapping[int, Sequence[Task]]  # tasks still to do, by architecture index


class _Scorer:
    """What a process needs to score: made once, since batches and images are read once."""

    def __init__(self, job: Job, data: Path | None, device: torch.device) -> None:
        configure_process(device)
        self.job, self.device = job, device
        self.batches = Batches(job.seed, job.datasets, data, device)

    def check_inputs(self, tasks: Sequence[Task]) -> None:
        """Make every batch once, so that missing images are told before the first network is built."""
        for task in tasks:
            for spec, dataset in self.job.passes(task):
                self.batches.input(spec.forward, dataset)

    def __call__(self, index: int, tasks: Sequence[Task]) -> list[Row]:
        return score_architecture(self.job, index, tasks, self.batches, self.device)


def run_job(
    job: Job,
    indices: Sequence[int],
    store: Store,
    *,
    data: Path | None,
    device: torch.device,
    workers: int,
) -> dict[str, int]:
    """Score what the store does not hold yet.  Returns counts: cells, rows and failed rows scored now.

    Rows reach the disk as the store sees fit, at the latest when the store is closed.
    """
    scorer = _Scorer(job, data, device)
    scorer.check_inputs(job.tasks())
    done = {task: store.done(task) for task in job.tasks()}
    work = {i: missing for i in indices if (missing := [t for t in job.tasks() if i not in done[t]])}
    counts = {"cells": 0, "rows": 0, "failed": 0}
    bar = tqdm(
        total=len(indices), initial=len(indices) - len(work), unit="cell", smoothing=0.05, file=sys.stderr
    )
    with closing(bar):
        results = _in_process(scorer, work) if workers == 1 else _in_pool(job, data, device, workers, work)
        with closing(results):  # ends the workers at once when this is interrupted
            for rows in results:
                store.add(rows)
                counts["cells"] += 1
                counts["rows"] += len(rows)
                counts["failed"] += sum(row["status"] != "ok" for row in rows)
                bar.set_postfix_str(f"{counts['failed']} not finite or failed", refresh=False)
                bar.update()
    return counts


def _in_process(scorer: _Scorer, work: Work) -> Generator[list[Row], None, None]:
    for index, tasks in work.items():
        yield scorer(index, tasks)


def _in_pool(
    job: Job, data: Path | None, device: torch.device, workers: int, work: Work
) -> Generator[list[Row], None, None]:
    context = multiprocessing.get_context("spawn")
    todo = iter(work.items())
    with ProcessPoolExecutor(workers, context, _start, (job, data, device, os.getpid())) as pool:
        try:
            running = {pool.submit(_score, *item) for _, item in zip(range(2 * workers), todo, strict=False)}
            while running:
                finished, running = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    running |= {pool.submit(_score, *item) for _, item in zip(range(1), todo, strict=False)}
                    yield _result(future)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()


def _result(future: Future[list[Row]]) -> list[Row]:
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise UsageError(
            "a worker process was killed, most likely for want of memory; finished cells are kept: "
            "run the same command again to continue, with fewer workers (workers=1) if it happens again"
        ) from error


_scorer: _Scorer


def _start(job: Job, data: Path | None, device: torch.device, parent: int) -> None:
    global _scorer
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when to stop
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: never outlive the parent
        if os.getppid() != parent:
            sys.exit(1)
    _scorer = _Scorer(job, data, device)


def _score(index: int, tasks: Sequence[Task]) -> list[Row]:
    return _scorer(index, tasks)
