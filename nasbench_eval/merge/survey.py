"""What a run and its shards hold together: read, compared and, if asked for, written into the run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nasbench_eval.errors import UsageError
from nasbench_eval.merge.missing import Gap, Mask, Sample, counted_gaps, gaps, ranges
from nasbench_eval.merge.rows import Joined, join
from nasbench_eval.merge.sources import Source, same_bits
from nasbench_eval.runs import parquet
from nasbench_eval.runs.rows import Task
from nasbench_eval.runs.split import Split
from nasbench_eval.wording import some


@dataclass
class Survey:
    """What the folders hold together.

    Attributes:
        rows: rows of each task that was asked for.
        masks: which cells of the sample these are, if it can be told.
        shards: rows of each task in each shard's own folder.
        elsewhere: whether the run has rows that no shard has, where cells cannot be told.
        new: rows that the run itself did not have, or as failures only.
        failures: rows that are failures, by status.
        rivals: rows that gave way to others with other scores, of another kind of machine; by task and shard.
        largest: the largest relative difference of these scores.
    """

    rows: dict[Task, int] = field(default_factory=dict)
    masks: dict[Task, Mask] = field(default_factory=dict)
    shards: dict[int, dict[Task, int]] = field(default_factory=dict)
    elsewhere: bool = False
    new: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    rivals: Counter[tuple[Task, Split | None]] = field(default_factory=Counter)
    largest: float = 0.0

    def gaps(self, sample: Sample, found: Sequence[Source]) -> list[Gap]:
        """What is missing."""
        if sample.cells is None:
            finished = {s.split.shard for s in found if s.split is not None and "finished" in s.record}
            return counted_gaps(sample, self.rows, self.shards, finished, self.elsewhere)
        return gaps(sample, self.masks)

    def whole(self, sample: Sample) -> int:
        """How many cells have all scores that were asked for; an upper bound where cells cannot be told."""
        if sample.cells is None:
            return min(sample.n, *self.rows.values()) if self.rows else 0
        every = np.ones(sample.n, dtype=bool) if self.masks else np.zeros(sample.n, dtype=bool)
        for mask in self.masks.values():
            every &= mask
        return int(every.sum())


def survey_of(
    sources: Sequence[Source], tasks: Sequence[Task], sample: Sample, run: Mapping[str, Any] | None = None
) -> Survey:
    """Read and compare all rows, one task after the other, and with a record write them into the run.

    Args:
        sources: the run itself, if it has scores, and its shards.
        tasks: what to read.
        sample: which cells were asked for.
        run: the record to write; None writes nothing.

    Raises:
        UsageError: if rows contradict each other, or a file is damaged or cannot be written.
    """
    survey = Survey()
    for task in tasks:
        given = [(source, table) for source in sources if (table := source.table(task)) is not None]
        if sample.cells is not None:
            survey.masks[task] = np.zeros(sample.n, dtype=bool)
        survey.rows[task] = 0
        for source, table in given:
            if source.split is not None:
                survey.shards.setdefault(source.split.shard, {})[task] = table.num_rows
        if not given:
            continue
        joined = join([table for _, table in given])
        having = [source for source, _ in given]
        refuse_contradictions(having, joined, task)
        fresh = int((joined.source > 0).sum()) if having[0].split is None else len(joined.source)
        if run is not None and fresh:
            parquet.replace(sources[0].partition(task), joined.table, run)
        if sample.cells is not None:
            survey.masks[task] = np.isin(sample.cells, joined.cells, assume_unique=True)
        else:
            parts = [table for source, table in given if source.split is not None]
            survey.elsewhere |= not parts or len(join(parts).cells) < len(joined.cells)
        survey.rows[task] = joined.table.num_rows
        survey.new += fresh
        survey.failures += joined.failures()
        survey.rivals += rivals_of(having, joined, task)
        survey.largest = max(survey.largest, joined.largest)
    return survey


def refuse_contradictions(sources: Sequence[Source], joined: Joined, task: Task) -> None:
    """Raises UsageError where two folders have other scores of a cell and should have the same to the bit."""
    for one, other in np.unique(joined.rivals[:, 1:], axis=0).tolist():
        if same_bits([sources[one], sources[other]]):
            mine = joined.rivals[(joined.rivals[:, 1:] == (one, other)).all(axis=1), 0]
            where = f"{task.label} on {task.dataset} at {some(ranges(np.unique(mine)))}"
            raise UsageError(
                f"{sources[one]} and {sources[other]} have different scores of {where}, and were made on the "
                "same kind of machine: find out by nasbench-verify which of them is wrong, and delete it"
            )


def rivals_of(sources: Sequence[Source], joined: Joined, task: Task) -> Counter[tuple[Task, Split | None]]:
    """How many rows of each shard gave way to others with other scores."""
    return Counter((task, sources[number].split) for number in joined.rivals[:, 2].tolist())
