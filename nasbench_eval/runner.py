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
from itertools import islice
from pathlib import Path

import torch
from tqdm import tqdm

from nasbench_eval.data.batches import Batches
from nasbench_eval.errors import UsageError
from nasbench_eval.wanted import Wanted
from nasbench_eval.worker import Job, Row, Task, configure_process, score_architecture

Work = Mapping[int, Sequence[Task]]  # tasks still to do, by architecture index


class Scorer:
    """What a process needs to score: made once, since batches and images are read once.

    Args:
        job: what decides the scores.
        data: folder of real images; None if no pass asks for them.
        device: where the passes run.
        checkpoints: folder where trainings leave their state while they run; None leaves none.
    """

    def __init__(
        self, job: Job, data: Path | None, device: torch.device, checkpoints: Path | None = None
    ) -> None:
        configure_process(device, job.precision)
        self.job, self.data, self.device, self.checkpoints = job, data, device, checkpoints
        self.batches = Batches(job.seed, job.datasets, data, device)

    def check_inputs(self) -> None:
        """Make every batch once, so that missing images are told before the first network is built.

        Raises:
            UsageError: naming the proxy and data set whose input cannot be had.
        """
        for task in self.job.tasks():
            for spec, dataset in self.job.passes(task):
                try:
                    self.batches.input(spec.forward, dataset)
                    training, resolution = spec.forward.training, spec.forward.resolution
                    if training is not None and dataset is not None and resolution is not None:
                        self.batches.training_set(dataset, training.images, resolution)
                except (MemoryError, RuntimeError) as error:  # a batch too large; torch raises RuntimeError
                    reason = str(error).strip().splitlines()[0]
                    raise UsageError(f"{task.label} on {task.dataset}: no such input: {reason}") from error

    def __call__(self, index: int, tasks: Sequence[Task]) -> list[Row]:
        return score_architecture(self.job, index, tasks, self.batches, self.device, self.checkpoints)


def run_job(scorer: Scorer, wanted: Wanted, *, workers: int) -> dict[str, int]:
    """Score what is wanted.  Returns counts: cells, rows and failed rows scored now, copies not counted.

    Rows reach the disk as the store sees fit, at the latest when the store is closed.

    Raises:
        UsageError: if a worker process dies or the store cannot be read or written.
    """
    work = wanted.work()
    counts = {"cells": 0, "rows": 0, "failed": 0}
    bar = tqdm(
        total=len(wanted.asked),
        initial=len(wanted.asked) - wanted.incomplete(),
        unit="cell",
        smoothing=0.05,
        mininterval=0.1 if sys.stderr.isatty() else 10,  # a log file wants no line every 0.1 s
        file=sys.stderr,
        disable=not work,
    )
    with closing(bar):
        results = _in_process(scorer, work) if workers == 1 else _in_pool(scorer, work, workers)
        with closing(results):  # ends the workers at once when this is interrupted
            for rows in results:
                filled = wanted.fill(rows)
                counts["cells"] += 1
                counts["rows"] += len(rows)
                counts["failed"] += sum(row["status"] != "ok" for row in rows)
                bar.set_postfix_str(f"{counts['failed']} not finite or failed", refresh=False)
                bar.update(len({row["index"] for row in filled}))
    return counts


def _in_process(scorer: Scorer, work: Work) -> Generator[list[Row], None, None]:
    for index, tasks in work.items():
        yield scorer(index, tasks)


def _in_pool(scorer: Scorer, work: Work, workers: int) -> Generator[list[Row], None, None]:
    context = multiprocessing.get_context("spawn")
    made_of = (os.getpid(), scorer.job, scorer.data, scorer.device, scorer.checkpoints)
    todo = iter(work.items())
    with ProcessPoolExecutor(workers, context, _start, made_of) as pool:
        try:
            running = {_submit(pool, *item) for item in islice(todo, 2 * workers)}
            while running:
                finished, running = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    running |= {_submit(pool, *item) for item in islice(todo, 1)}
                    yield _result(future)
        except BaseException:  # an interrupt and an early close included: nobody waits for what is under way
            for process in multiprocessing.active_children():
                process.terminate()
            raise


def _submit(pool: ProcessPoolExecutor, index: int, tasks: Sequence[Task]) -> Future[list[Row]]:
    """Hand over a cell.  A process started meanwhile inherits that Ctrl-C is for its parent alone."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return pool.submit(_score, index, tasks)
    except BrokenProcessPool as error:
        raise _worker_died() from error
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _result(future: Future[list[Row]]) -> list[Row]:
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise _worker_died() from error


def _worker_died() -> UsageError:
    return UsageError(
        "a worker process was killed, most likely for want of memory; finished cells are kept: "
        "run the same command again to continue, with fewer workers (workers=1) if it happens again"
    )


_scorer: Scorer


def _start(parent: int, job: Job, data: Path | None, device: torch.device, checkpoints: Path | None) -> None:
    global _scorer
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: never outlive the parent
        if os.getppid() != parent:
            os._exit(1)
    _scorer = Scorer(job, data, device, checkpoints)


def _score(index: int, tasks: Sequence[Task]) -> list[Row]:
    return _scorer(index, tasks)
