"""The folders that a merge reads: the shards of a run, and the run's own scores."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from nasbench_eval.errors import UsageError
from nasbench_eval.runs import parquet
from nasbench_eval.runs.lock import in_use, lock
from nasbench_eval.runs.record import LATER, Record, completed, read_record, sessions, within
from nasbench_eval.runs.rows import Task
from nasbench_eval.runs.split import Split, shard_folders
from nasbench_eval.wording import shown
from nasbench_eval.work.sample import given

# What decides trainings beside the configuration: the division of the images.
_DIVISION = "division"


@dataclass(frozen=True)
class Source:
    """A folder of scores: a shard's, or the run's own.

    Attributes:
        folder: the folder.
        record: its `run.json`.
        split: which shard it is; None for the run itself.
        in_use: whether another process was writing to it when it was found.
    """

    folder: Path
    record: Record
    split: Split | None
    in_use: bool

    def __str__(self) -> str:
        return str(self.folder) if self.split is None else f"shard {self.split}"

    def partition(self, task: Task) -> Path:
        """Where the scores of a task lie."""
        space = self.record["space"]["name"]
        return self.folder / "scores" / f"space={space}" / f"dataset={task.dataset}" / f"proxy={task.label}"

    def tasks(self) -> list[Task]:
        """The tasks that it has scores of.

        Raises:
            UsageError: if the record does not know one of them.
        """
        pattern = f"scores/space={self.record['space']['name']}/dataset=*/proxy=*"
        tasks = []
        for place in sorted(self.folder.glob(pattern)):
            task = Task(*(part.partition("=")[2] for part in place.parts[-2:]))
            if not parquet.present(place):
                continue
            if task.dataset not in self.record["datasets"] or task.label not in self.record["proxies"]:
                raise UsageError(f"{place} holds scores of which {self.folder / 'run.json'} says nothing")
            tasks.append(task)
        return tasks

    def table(self, task: Task) -> pa.Table | None:
        """All rows of a task; None if there is no file of them.

        Of a shard that is being scored these are the whole files on its disk, at one moment.

        Raises:
            UsageError: if a file is damaged.
        """
        partition = self.partition(task)
        tables = parquet.at_one_moment(partition)
        return parquet.together(tables) if tables else None

    def records(self, task: Task) -> list[Record]:
        """What the files of a task say of the runs that began them.

        Raises:
            UsageError: if a file is damaged.
        """
        return [
            parquet.record_of(parquet.read(file, ["index"]))
            for file in parquet.whole_files(self.partition(task))
        ]

    def machinery(self) -> list[str]:
        """What the sessions computed with, a text each; bits agree where it is one text, that of a CPU."""
        facts = ("device", "device_name", "processor")
        return [
            json.dumps([within(session, "versions").get("torch"), *(session.get(fact) for fact in facts)])
            for session in sessions(self.record)
        ]


def same_bits(sources: Sequence[Source]) -> bool:
    """Whether scores have to agree to the bit: all sessions on one kind of CPU, with one PyTorch."""
    devices = {session.get("device") for source in sources for session in sessions(source.record)}
    return devices == {"cpu"} and len({text for source in sources for text in source.machinery()}) == 1


def shards_of(run: Path) -> list[Source]:
    """The shards of a run of which there is a record, in order.

    Raises:
        UsageError: if they are of different splits or configurations, or a record is damaged or another's.
    """
    found = []
    for split, folder in shard_folders(run).items():
        if not (folder / "run.json").exists():
            if any((folder / "scores").glob("*/*/*/part-*.parquet")):
                raise UsageError(f"{folder} holds scores, but no run.json says of what")
            continue  # it was begun and has not come to anything
        record = read_record(folder)
        if record.get("shard") != str(split):
            raise UsageError(f"{folder / 'run.json'} is that of shard={shown(record.get('shard'))}")
        found.append(Source(folder, record, split, in_use(folder)))
    if len(counts := sorted({source.split.of for source in found if source.split})) > 1:
        names = ", ".join(
            f"{number} of {of}"
            for of in counts
            if (number := sum(s.split is not None and s.split.of == of for s in found))
        )
        raise UsageError(f"{run} holds shards of different splits: {names}; delete those of one of them")
    for source in found[1:]:
        if wrong := [*differing(found[0].record, source.record), *_drawn(found[0].record, source.record)]:
            raise UsageError(
                f"{found[0]} and {source} of {run} are of different configurations: {'; '.join(wrong)}"
            )
    return found


def own_scores(run: Path) -> Source | None:
    """What the run's folder holds beside its shards; None if there is no record of anything.

    Raises:
        UsageError: if its record is damaged, or there are scores without one.
    """
    if (run / "run.json").exists():
        return Source(run, read_record(run), None, False)
    if any((run / "scores").glob("*/*/*/part-*.parquet")):
        raise UsageError(f"{run} holds scores, but no run.json says of what")
    return None


def differing(one: Record, other: Record) -> list[str]:
    """What in two configurations cannot stand in one run, each with both values.

    One may have data sets and proxies that the other lacks.
    """
    pairs: list[tuple[str, Any, Any]] = [("space", one["space"], other["space"])]
    pairs += [("seed", one["seed"], other["seed"])]
    pairs += [(key, one.get(key, value), other.get(key, value)) for key, value in LATER.items()]
    pairs.append((_DIVISION, one.get(_DIVISION), other.get(_DIVISION)))
    for name in sorted(one["datasets"].keys() & other["datasets"].keys()):
        pairs.append((name, one["datasets"][name], other["datasets"][name]))
    for label in sorted(one["proxies"].keys() & other["proxies"].keys()):
        mine, theirs = one["proxies"][label], other["proxies"][label]
        pairs.append((label, completed(mine, theirs), completed(theirs, mine)))
    return [text for name, mine, theirs in pairs for text in _apart(name, mine, theirs)]


def _apart(name: str, one: Any, other: Any) -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            yield from _apart(f"{name}.{key}", one.get(key), other.get(key))
    elif one != other:
        yield f"{name}={shown(one)} and {shown(other)}"


def _drawn(one: Record, other: Record) -> Iterator[str]:
    """Where two shards are of different samples.  Equally many by other words, as `all`, are the same."""
    for key in ("n", "sample_seed", "truth"):
        yield from _apart(key, one.get(key), other.get(key))
    if _given(one) != _given(other):  # of an open space the texts say more than the indices
        key = "archs" if one.get("archs") and other.get("archs") else "indices"
        texts = key == "archs"
        yield from _apart(key, *(record["archs"] if texts else _given(record) for record in (one, other)))


def _given(record: Record) -> list[int] | None:
    """The cells that were named in the command; None if they were drawn."""
    if record.get("sample") != "given":
        return None
    return sorted(set(given(record)))


def joined_identity(sources: Collection[Source]) -> dict[str, Any]:
    """The configuration of shards that agree: the data sets and proxies of all of them."""
    records = [source.record for source in sources]
    datasets: dict[str, Any] = {}
    proxies: dict[str, Any] = {}
    for record in records:
        datasets |= record["datasets"]
        for label, options in record["proxies"].items():
            proxies[label] = completed(options, proxies.get(label, options))
    chosen = {key: records[0].get(key, value) for key, value in LATER.items()}
    kept = {key: records[0][key] for key in ("space", "seed", _DIVISION) if key in records[0]}
    return {**kept, **chosen, "datasets": datasets, "proxies": proxies}


def refuse_other(run: Path, own: Source, identity: Mapping[str, Any]) -> None:
    """Raises UsageError if the run's own scores are not of the shards' configuration."""
    if wrong := differing(own.record, identity):
        raise UsageError(
            f"{run} holds scores of another configuration than its shards: {'; '.join(wrong)}; delete the "
            "one or the other"
        )


@contextmanager
def kept_out(folder: Path) -> Iterator[bool]:
    """Keep other processes from writing to a run's folder; gives whether that was possible."""
    try:
        handle = lock(folder)
    except UsageError:
        yield False
        return
    with handle:
        yield True
