"""What a run's folder holds: its record, the objects it names, and every file that can be read."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

import pandas as pd

from nasbench_eval.errors import UsageError
from nasbench_eval.proxies.base import Proxy
from nasbench_eval.runs import parquet
from nasbench_eval.runs.record import TRAINED, Record
from nasbench_eval.runs.rows import Task
from nasbench_eval.scoring.job import Job, job_of, proxy_of
from nasbench_eval.spaces.open import Known
from nasbench_eval.wording import some


class Check(NamedTuple):
    """What came of a check; `skip` where nothing can be told here."""

    status: Literal["ok", "FAIL", "skip"]
    name: str
    text: str


@dataclass(frozen=True)
class Partition:
    """The scores of a proxy on a data set, as they lie on the disk.

    Attributes:
        task: data set and label.
        rows: the rows of all files that can be read, in the files' order.
        problems: what is wrong with the files.
        records: what each file says of the run that began it, by the file's name.
    """

    task: Task
    rows: pd.DataFrame
    problems: tuple[str, ...]
    records: Mapping[str, Record]

    def __str__(self) -> str:
        return f"{self.task.label} on {self.task.dataset}"


@dataclass(frozen=True)
class Held:
    """A run's folder.

    Attributes:
        folder: the folder.
        record: its `run.json`.
        job: what the run scored, as far as it can be built here; None if the space or a data set cannot.
        unfit: why the scores of a proxy cannot be computed here, by label.
        partitions: the scores.
    """

    folder: Path
    record: Record
    job: Job | None
    unfit: Mapping[str, str]
    partitions: Sequence[Partition]


def read(folder: Path, record: Record) -> Held:
    """Read a run's folder; what is wrong with it is for the checks to say."""
    unfit: dict[str, str] = {}
    proxies: dict[str, Proxy] = {}
    for label, recorded in record["proxies"].items():
        if recorded["name"] == TRAINED:
            unfit[label] = "a training, which is not repeated here"
            continue
        try:
            proxy = proxy_of(record, label)
            proxy.passes()  # which may refuse a combination of options
        except (UsageError, ValueError) as error:
            unfit[label] = str(error)
            continue
        if proxy.info.version == recorded["version"]:
            proxies[label] = proxy
        else:
            unfit[label] = (
                f"version {recorded['version']} in the run, {proxy.info.version} here: other scores"
            )
    try:
        job = replace(job_of(record, ()), proxies=proxies)
    except UsageError as error:
        job, unfit = None, dict.fromkeys(record["proxies"], str(error))
    partitions: list[Partition] = []
    for place in sorted((folder / "scores").glob("space=*/dataset=*/proxy=*")):
        space, dataset, label = (part.partition("=")[2] for part in place.parts[-3:])
        columns = proxies[label].info.columns if label in proxies else None
        if space == record["space"]["name"] and parquet.files(place):
            partitions.append(_partition(place, Task(dataset, label), columns))
    if job is not None and isinstance(job.space, Known):
        partitions = [
            replace(part, problems=(*part.problems, *_learnt(job.space, part.rows))) for part in partitions
        ]
    return Held(folder, record, job, unfit, partitions)


def _learnt(space: Known, rows: pd.DataFrame) -> Iterator[str]:
    """Make the architectures that rows name known; says of those that cannot be told apart."""
    for text in dict.fromkeys(rows["arch"]):
        try:
            space.learn([text])
        except UsageError as error:
            yield str(error)


def _partition(place: Path, task: Task, columns: Collection[str] | None) -> Partition:
    """A partition's files; `columns` are the proxy's own, None if nobody knows them here."""
    tables, problems, records = [], [], {}
    for file in parquet.files(place):
        try:
            table = parquet.read(file)
        except UsageError as error:
            problems.append(str(error))
            continue
        records[file.name] = parquet.record_of(table)
        if columns is not None and (wrong := _wrong_columns(table.column_names, columns)):
            problems.append(f"{file} {wrong}")
        else:
            tables.append(table)
    every = parquet.together(tables) if tables else parquet.schema(()).empty_table()
    return Partition(task, parquet.frame(every), tuple(problems), records)


def _wrong_columns(found: Sequence[str], columns: Collection[str]) -> str:
    """What is wrong with a file's columns for components; `parquet.read` has seen to the others."""
    own = set(found) - set(parquet.schema(()).names)
    if lacking := sorted(set(columns) - own):
        return f"has no column {', '.join(lacking)}"
    unknown = sorted(own - set(columns))
    return f"has an unknown column {', '.join(unknown)}" if unknown else ""


def scored_cells(rows: pd.DataFrame) -> list[int]:
    """Which architecture was scored for each row: its own, or the one it was copied from."""
    if "copied_from" not in rows:
        return [int(i) for i in rows["index"]]
    pairs = zip(rows["index"], rows["copied_from"], strict=True)
    return [int(index if pd.isna(origin) else origin) for index, origin in pairs]


def verdict(name: str, problems: Sequence[str], good: str) -> Check:
    """A check that fails if there are problems, of which the first few are told."""
    if not problems:
        return Check("ok", name, good)
    return Check("FAIL", name, some(problems, "; "))
