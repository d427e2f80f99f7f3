"""Which cells a run was asked for, and which of them it lacks.

A folder may hold the scores of several commands, and its record tells of the last one alone.  Hence a
partition that has fewer cells than this asked for is no failure where they are a whole sample of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from nasbench_eval.errors import UsageError
from nasbench_eval.runs.record import within
from nasbench_eval.verify.held import Check, Held, Partition, verdict
from nasbench_eval.wording import counted, ranges, some
from nasbench_eval.work.sample import asked, first_drawn, is_uniform


def completeness(held: Held) -> Check:
    """Whether each partition has all cells of a sample that it was asked for."""
    if held.job is None:
        return Check("skip", "complete", "the search space cannot be built here")
    if not held.partitions:
        return Check("FAIL", "complete", "there are no scores")
    space = held.job.space
    last = asked(held.record, space)
    if isinstance(last, str):
        return Check("skip", "complete", last)
    order: Sequence[int] = last
    if held.record.get("shard") is not None:
        order = ()  # no part of a shard is a sample
    elif is_uniform(held.record):
        most = max(part.rows["index"].nunique() for part in held.partitions)
        with suppress(UsageError):  # an open space from which no more can be drawn
            order = first_drawn(held.record, space, most)
    problems, fewer, begun = [], [], 0
    for part in held.partitions:
        cells = set(part.rows["index"].tolist())
        if cells >= set(last):
            continue
        own = [wish for record in part.records.values() if not isinstance(wish := asked(record, space), str)]
        whole = any(cells >= set(wish) for wish in own)
        if cells and (whole or cells == set(order[: len(cells)])):
            fewer.append(part)
            begun += not whole
            continue
        lacking = min((set(wish) - cells for wish in [last, *own]), key=len)
        total = counted(len(cells) + len(lacking), "cell")
        problems.append(f"{part} lacks {len(lacking):,} of {total}: {ranges(lacking)}")
    return verdict("complete", problems, _told(held, len(last), fewer, begun))


def _told(held: Held, asked_last: int, fewer: Sequence[Partition], begun: int) -> str:
    """What there is; `begun` of the partitions with fewer cells were begun by a command for more of them."""
    whole = len(held.partitions) - len(fewer)
    told = f"{counted(whole, 'partition')} with all {asked_last:,} cells that were asked for last"
    if fewer:
        numbers = sorted({part.rows["index"].nunique() for part in fewer})
        told += f"; {len(fewer)} with smaller samples ({some(numbers)} cells): {some(fewer)}"
        told += f"; {begun} of these begun for more" if begun else ""
    tasks = {(part.task.dataset, part.task.label) for part in held.partitions}
    tasks |= {(dataset, label) for dataset, rows in within(held.record, "rows").items() for label in rows}
    absent = [
        f"{label} on {dataset}"
        for dataset in held.record["datasets"]
        for label in held.record["proxies"]
        if (dataset, label) not in tasks
    ]
    return told + (f"; not in this run: {some(absent)}" if absent else "")
