"""What the shards of a run were asked for, and which of it nobody has: by exact ranges of cells."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nasbench_eval import sampling
from nasbench_eval.data.folder import data_folder
from nasbench_eval.errors import UsageError
from nasbench_eval.merge.sources import Source
from nasbench_eval.runs.record import LATER, Record, sessions, within
from nasbench_eval.runs.rows import Task
from nasbench_eval.runs.split import Split
from nasbench_eval.scoring.job import job_of
from nasbench_eval.spaces.open import is_open, space_of
from nasbench_eval.wording import counted
from nasbench_eval.work.sample import asked
from nasbench_eval.work.subject import recorded

Mask = NDArray[np.bool_]
# A folder's name may claim any number of shards.
_MOST_SHARDS = 100_000


@dataclass(frozen=True)
class Sample:
    """The cells that all shards together were asked for.

    Attributes:
        n: how many.
        of: the number of shards.
        cells: their indices, sorted; None where they cannot be told.
    """

    n: int
    of: int
    cells: NDArray[np.int64] | None

    def part(self, shard: int) -> slice:
        """Which of them are a shard's (see `Split.take`)."""
        return slice(self.n * shard // self.of, self.n * (shard + 1) // self.of)


@dataclass(frozen=True)
class Gap:
    """What a shard lacks.

    Attributes:
        split: the shard.
        tasks: the scores that are lacking; empty if it is all of them.
        cells: the cells that lack them; None where they cannot be told.
        number: how many cells.
        nothing: whether nothing of the shard is there.
        at_most: whether it may be fewer cells.
    """

    split: Split
    tasks: tuple[Task, ...]
    cells: NDArray[np.int64] | None
    number: int
    nothing: bool
    at_most: bool = False


def sample_of(record: Record, of: int, data: Path | None) -> Sample:
    """The sample that a record of a shard or of the whole run tells of.

    Raises:
        UsageError: if there cannot be such a sample, or `data` is given and is no folder.
    """
    n, cells = int(record["n"]), None
    if not isinstance(of, int) or not 0 < of <= min(n, _MOST_SHARDS):
        raise UsageError(f"{n} cells cannot be those of {of} shards")
    try:
        space = space_of(record["space"])
    except UsageError:  # a space that is not installed here
        return Sample(n, of, None)
    if not is_open(space) and n > (size := len(space)):
        raise UsageError(f"n={n}: the space has {size} architectures")
    wish = asked({**record, "shard": None}, space)
    if not isinstance(wish, str):
        cells = np.sort(np.array(wish, dtype=np.int64))
    elif record.get("sampling", LATER["sampling"]) == "stratified":
        cells = _stratified(record, data)
    return Sample(n, of, cells)


def _stratified(record: Record, data: Path | None) -> NDArray[np.int64] | None:
    """A stratified sample, drawn anew by the accuracies if they are here."""
    seed = record.get("sample_seed")
    if not isinstance(seed, int) or len(record["datasets"]) != 1:
        return None
    if data is not None:
        data_folder(data)
    try:
        drawn = sampling.stratified(recorded(record).accuracy(data), record["n"], seed)
    except UsageError:
        return None
    return np.sort(np.array(drawn, dtype=np.int64)) if len(drawn) == record["n"] else None


def expected(sources: Sequence[Source], held: Iterable[Task]) -> list[Task]:
    """The data sets and proxies that the shards were asked for, in order.

    Those with rows.  And those that an unfinished shard names, unless a finished one names them as well and
    has none: a data set and a proxy need not have been asked for together.
    """
    tasks = set(held)
    running = [source for source in sources if "finished" not in source.record]
    left_out = {task for source in sources if source not in running for task in _named(source)}
    for source in running:
        tasks |= {t for t in _named(source) if t not in left_out and not _without_images(source.record, t)}
    return sorted(tasks)


def _named(source: Source) -> list[Task]:
    """Each data set of a record with each proxy."""
    return [
        Task(dataset, label) for dataset in source.record["datasets"] for label in source.record["proxies"]
    ]


def _without_images(record: Record, task: Task) -> bool:
    """Whether a proxy reads images which were not there when the shard was scored."""
    if any(task.dataset in within(session, "images") for session in sessions(record)):
        return False
    try:
        return job_of(record, [task.label]).reads_images(task)
    except (UsageError, ValueError):  # not installed here
        return False


def gaps(sample: Sample, held: Mapping[Task, Mask]) -> list[Gap]:
    """What the shards lack, by shard; cells that lack the same scores together.

    Args:
        sample: what they were asked for.
        held: for each task that they were asked for which cells of the sample have a row, shape (n,).
    """
    found = []
    cells = sample.cells
    assert cells is not None
    for shard in range(sample.of):
        mine, split = sample.part(shard), Split(shard, sample.of)
        lacking = {task: ~mask[mine] for task, mask in held.items()}
        if all(mask.all() for mask in lacking.values()):
            found.append(Gap(split, (), cells[mine], len(cells[mine]), True))
            continue
        together: dict[bytes, list[Task]] = {}
        for task, mask in lacking.items():
            if mask.any():
                together.setdefault(mask.tobytes(), []).append(task)
        for tasks in together.values():
            where = cells[mine][lacking[tasks[0]]]
            told = () if len(tasks) == len(held) > 1 else tuple(tasks)
            found.append(Gap(split, told, where, len(where), False))
    return found


def counted_gaps(
    sample: Sample,
    totals: Mapping[Task, int],
    own: Mapping[int, Mapping[Task, int]],
    finished: Collection[int],
    elsewhere: bool,
) -> list[Gap]:
    """What the shards lack where only numbers of cells can be told.

    Args:
        sample: what they were asked for.
        totals: how many cells each task has, in all folders.
        own: how many each shard that is here has in its folder.
        finished: the shards that were finished.
        elsewhere: whether the run has rows that none of these shards has: nobody can tell of which shard.
    """
    short = [task for task, number in totals.items() if number < sample.n]
    found = []
    for shard in range(sample.of) if short or not totals else ():
        mine = sample.part(shard)
        wanted, split, have = mine.stop - mine.start, Split(shard, sample.of), own.get(shard, {})
        if not any(have.values()):
            found.append(Gap(split, (), None, wanted, True))
            continue
        together: dict[int, list[Task]] = {}
        for task in short:
            if have.get(task, 0) < wanted:
                together.setdefault(wanted - have.get(task, 0), []).append(task)
        found += [Gap(split, tuple(tasks), None, number, False) for number, tasks in together.items()]
    if not elsewhere:
        return found
    # The shards that are finished lack nothing, unless nothing else explains what is missing.
    found = [gap for gap in found if gap.split.shard not in finished] or found
    return [replace(gap, at_most=True) for gap in found]


def told(gap: Gap, most: int | None) -> str:
    """A line about a gap, with `most` ranges of cells at most; None for all of them."""
    cells = counted(gap.number, "cell")
    if gap.at_most:
        cells = f"up to {cells}"
    if gap.nothing:
        said = f"shard {gap.split} of which nothing is there: "
        return said + (cells if gap.cells is None else f"cells {_some(ranges(gap.cells), most)}")
    lack = "lacks" if gap.number == 1 else "lack"
    what = _texts(gap.tasks) if gap.tasks else "all scores"
    where = "which of them cannot be told here" if gap.cells is None else _some(ranges(gap.cells), most)
    return f"shard {gap.split}: {cells} {lack} {what}: {where}"


def shortened(gap: Gap, most: int) -> bool:
    """Whether a line with so many ranges leaves some out."""
    return gap.cells is not None and len(ranges(gap.cells)) > most


def ranges(cells: NDArray[np.int64]) -> list[str]:
    """Sorted numbers as ranges, `3` and `5-9`: all of them."""
    breaks = np.flatnonzero(np.diff(cells) != 1) + 1
    firsts, lasts = cells[np.r_[0, breaks]], cells[np.r_[breaks - 1, len(cells) - 1]]
    pairs = zip(firsts.tolist(), lasts.tolist(), strict=True)
    return [str(first) if first == last else f"{first}-{last}" for first, last in pairs]


def _some(texts: Sequence[str], most: int | None) -> str:
    if most is None or len(texts) <= most:
        return ", ".join(texts)
    return f"{', '.join(texts[:most])} and {len(texts) - most:,} more ranges"


def _texts(tasks: Sequence[Task]) -> str:
    """`zico, snip on cifar10; zico on cifar100`."""
    labels: dict[str, list[str]] = {}
    for task in tasks:
        labels.setdefault(task.dataset, []).append(task.label)
    datasets: dict[tuple[str, ...], list[str]] = {}
    for dataset, named in labels.items():
        datasets.setdefault(tuple(named), []).append(dataset)
    return "; ".join(f"{', '.join(named)} on {', '.join(where)}" for named, where in datasets.items())
