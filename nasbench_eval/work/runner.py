"""Has the rows made that are wanted, in worker processes or in this one, and hands them to the store."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing

from nasbench_eval.run.rows import Row
from nasbench_eval.run.wanted import W, Wanted
from nasbench_eval.work.pool import Item, Pool, Scores
from nasbench_eval.work.progress import Progress

# Architectures whose rows are handed on together, where each takes microseconds.
_TOGETHER = 500


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
        (instant if scorer.instant(*item) else work).append(item)
    pool = Pool(scorer, workers, timeout, progress.warn) if workers and work else None
    progress.begin(len(wanted.asked), wanted.incomplete(), pool)
    with closing(_results(scorer, instant, work, pool)) as results:
        for rows in results:
            progress.log_failures(rows)
            filled = wanted.fill(rows) if rows else []
            touched = {row["index"] for row in filled}
            progress.done(rows, {index for index in touched if not wanted.lacks(index)})
    progress.end()


def _results(
    scorer: Scores, instant: Sequence[Item], work: Sequence[Item], pool: Pool | None
) -> Generator[list[Row], None, None]:
    """Rows of what is had at once, a few hundred architectures together, then of what takes its time."""
    for start in range(0, len(instant), _TOGETHER):
        yield [row for item in instant[start : start + _TOGETHER] for row in scorer(*item)]
    if pool is not None:
        yield from pool.results(work)
    else:
        for item in work:
            yield scorer(*item)
