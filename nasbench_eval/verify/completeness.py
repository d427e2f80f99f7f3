"""Which cells a run was asked for, and which of them it lacks.

A folder may hold the scores of several commands, and its record tells of the last one alone.  Hence a
partition that has fewer cells than this asked for is no failure where they are a whole sample of their own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from nasbench_eval import sampling
from nasbench_eval.errors import UsageError
from nasbench_eval.run.record import LATER, Record, within
from nasbench_eval.run.split import split_of
from nasbench_eval.verify.held import Check, Held, Partition, count, ranges, some, verdict


def completeness(held: Held) -> Check:
    """Whether each partition has all cells of a sample that it was asked for."""
    if held.job is None:
        return Check("skip", "complete", "the search space cannot be built here")
    if not held.partitions:
        return Check("FAIL", "complete", "there are no scores")
    size = len(held.job.space)
    last = asked(held.record, size)
    if isinstance(last, str):
        return Check("skip", "complete", last)
    order: Sequence[int] = last
    if held.record.get("shard") is not None:
        order = ()  # no part of a shard is a sample
    elif _uniform(held.record):
        every = _architectures(held.record, size)
        places = sampling.uniform(len(every), len(every), held.record["sample_seed"])
        order = [every[place] for place in places]
    problems, fewer, begun = [], [], 0
    for part in held.partitions:
        cells = set(part.rows["index"].tolist())
        if cells >= set(last):
            continue
        own = [wish for record in part.records.values() if not isinstance(wish := asked(record, size), str)]
        whole = any(cells >= set(wish) for wish in own)
        if cells and (whole or cells == set(order[: len(cells)])):
            fewer.append(part)
            begun += not whole
            continue
        lacking = min((set(wish) - cells for wish in [last, *own]), key=len)
        total = count(len(cells) + len(lacking), "cell")
        problems.append(f"{part} lacks {len(lacking):,} of {total}: {ranges(lacking)}")
    return verdict("complete", problems, _told(held, len(last), fewer, begun))


def _told(held: Held, asked_last: int, fewer: Sequence[Partition], begun: int) -> str:
    """What there is; `begun` of the partitions with fewer cells were begun by a command for more of them."""
    whole = len(held.partitions) - len(fewer)
    told = f"{count(whole, 'partition')} with all {asked_last:,} cells that were asked for last"
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


def asked(record: Record, size: int) -> Sequence[int] | str:
    """The cells that a command asked for, in the order of the draw, or why they cannot be told.

    Of a shard these are its own, sorted.
    """
    sample = _sample(record, size)
    if isinstance(sample, str) or record.get("shard") is None:
        return sample
    try:
        split = split_of(str(record["shard"]), None)
        return sample if split is None else split.take(sample)
    except UsageError as error:
        return str(error)


def _sample(record: Record, size: int) -> Sequence[int] | str:
    """The cells that all shards of a command were asked for, or why they cannot be told."""
    n, command = record.get("n"), str(record.get("command", ""))
    try:
        every = _architectures(record, size)
    except UsageError as error:
        return str(error)
    if not isinstance(n, int) or not 0 < n <= len(every):
        return f"n={n} is no number of cells of the space"
    if record.get("sample") == "given" or "indices=" in command:
        found = re.search(r"indices=\[([\d, ]*)\]", command)
        indices = list(dict.fromkeys(int(i) for i in re.findall(r"\d+", found[1]))) if found else []
        told = len(indices) == n and max(indices) < size
        return indices if told else "the record does not tell which cells were given"
    if n == len(every):
        return every
    if not _uniform(record):
        return "a stratified sample is drawn by accuracies, which are not part of the run"
    if not isinstance(record.get("sample_seed"), int):
        return "the record does not say by which seed the sample was drawn"
    return [every[place] for place in sampling.uniform(len(every), n, record["sample_seed"])]


def _architectures(record: Record, size: int) -> Sequence[int]:
    """The architectures that a sample is drawn from: all of the space, or those of a benchmark of one's own.

    Raises:
        UsageError: if the benchmark is not here.
    """
    if record.get("truth") is None:
        return range(size)
    from nasbench_eval.benchmark.table import load  # brings SciPy's statistics, which few runs need

    return load(str(record["truth"])).indices


def _uniform(record: Record) -> bool:
    drawn = record.get("sample") != "given" and isinstance(record.get("sample_seed"), int)
    return drawn and record.get("sampling", LATER["sampling"]) == "uniform"
