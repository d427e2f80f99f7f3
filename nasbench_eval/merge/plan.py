"""What is to be merged: read from all records, and agreed upon, before anything is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nasbench_eval.errors import UsageError
from nasbench_eval.merge.missing import Sample, expected, sample_of
from nasbench_eval.merge.sources import Source, joined_identity, own_scores, refuse_other, shards_of
from nasbench_eval.runs.record import Record
from nasbench_eval.runs.rows import Task


@dataclass(frozen=True)
class Plan:
    """A run and its shards, which are of one configuration and one sample.

    Attributes:
        run: the run's folder.
        shards: the shards that are here, in order.
        own: what the run holds itself; None if nothing.
        identity: the configuration of all of them.
        sample: the cells that all shards together were asked for.
        tasks: the data sets and proxies that they were asked for.
        record: of the first shard, or of the run where its shards are gone.
    """

    run: Path
    shards: Sequence[Source]
    own: Source | None
    identity: Mapping[str, Any]
    sample: Sample
    tasks: Sequence[Task]
    record: Record

    @property
    def sources(self) -> list[Source]:
        """All that is here, the run itself first."""
        return [*([self.own] if self.own else []), *self.shards]


def plan_of(run: Path, data: Path | None) -> Plan:
    """Read what there is of a run.

    Args:
        run: the run's folder.
        data: folder of the accuracies; None for the usual one.

    Raises:
        UsageError: if there are no shards, or they cannot be merged.
    """
    found, own = shards_of(run), own_scores(run)
    base = found or ([own] if own is not None and "merged" in own.record else [])
    if not base:
        raise UsageError(f"{run} holds no shards, which nasbench-score shard=0/8, shard=1/8 ... would leave")
    first, identity = base[0], joined_identity(base)
    if own is not None:
        refuse_other(run, own, identity)
    sample = sample_of(first.record, first.split.of if first.split else first.record["merged"], data)
    held = [task for source in found for task in source.tasks()]
    tasks = expected(found, [*held, *_merged_before(own, sample)])
    if own is not None and not found and not tasks:  # a later command asked for more cells
        tasks = own.tasks()
    return Plan(run, found, own, identity, sample, tasks, first.record)


def _merged_before(own: Source | None, sample: Sample) -> list[Task]:
    """The tasks of the sample that a merge has put into the run: their shards may be there no longer."""
    if own is None or "merged" not in own.record:
        return []
    return [
        task
        for task in own.tasks()
        if any("merged" in record and record.get("n") == sample.n for record in own.records(task))
    ]
