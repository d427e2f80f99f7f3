"""Has the rows made that are wanted, in worker processes or in this one, and hands them to the store."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import closing

from nasbench_eval.errors import Terminated
from nasbench_eval.runs.rows import Row
from nasbench_eval.runs.wanted import W, Wanted
from nasbench_eval.work.pool import Item, Pool, Scores
from nasbench_eval.work.progress import Progress

# Seconds for which rows that take microseconds each are gathered before they are handed on.
_TOGETHER = 0.1


def run_job(
    scorer: Scores, wanted: Wanted[W], progress: Progress, *, workers: int, timeout: float | None = None
) -> None:
    """Score what is wanted; `progress` counts it.

    Rows reach the disk as the store sees fit, at the latest when the store is closed.

    Args:
        scorer: scores an architecture.
        wanted: what to score, and the store.
        progress: shows and records how far it is.
        workers: processes; 0 scores in this one.
        timeout: seconds after which a worker is ended and its architecture's scores are failures.

    Raises:
        UsageError: if no worker can be started, or the store cannot be read or written.
    """
    instant: list[Item] = []
    work: list[Item] = []
    for item in (Item(*portion) for portion in wanted.work()):
        (instant if scorer.instant(item.cell, item.tasks) else work).append(item)
    pool = Pool(scorer, workers, timeout, progress.warn) if workers and work else None
    progress.begin(len(wanted.asked), wanted.incomplete(), pool)
    if instant:
        _hand_on(_gathered(scorer, instant), wanted, progress)
    progress.pace(sum(len(item.tasks) for item in work))
    _hand_on(pool.results(work) if pool is not None else _here(scorer, work), wanted, progress)
    progress.end()


def _hand_on(results: Generator[list[Row], None, None], wanted: Wanted[W], progress: Progress) -> None:
    """Fill what is wanted with rows as they come, and count them."""
    with closing(results):
        for rows in results:
            progress.log_failures(rows)
            filled = wanted.fill(rows) if rows else []
            touched = {row["index"] for row in filled}
            progress.done(rows, {index for index in touched if not wanted.lacks(index)})


def _here(scorer: Scores, items: Sequence[Item]) -> Generator[list[Row], None, None]:
    """The rows of each item, scored in this process."""
    for item in items:
        yield scorer(*item)


def _gathered(scorer: Scores, items: Sequence[Item]) -> Generator[list[Row], None, None]:
    """The rows of all items, those of a moment together; an interruption loses none that is made."""
    rows: list[Row] = []
    until = time.monotonic() + _TOGETHER
    try:
        for item in items:
            rows += scorer(*item)
            if time.monotonic() > until:
                yield rows
                rows, until = [], time.monotonic() + _TOGETHER
    except (KeyboardInterrupt, Terminated):
        yield rows
        raise
    yield rows
