"""Scores that other runs of the same results folder hold already, taken over in place of computing them.

What is looked up is a computation, whatever the run, its sample or the proxy's label is called: search space,
data set, proxy and version with all options, seed and architecture.  It counts as the same where nothing else
can have moved a bit of the score: device and processor, PyTorch and NumPy, the code that decides scores and,
where the proxy reads them, the images.  If a run had several sessions, all of them have to agree.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nasbench_eval.errors import UsageError
from nasbench_eval.runs import parquet
from nasbench_eval.runs.record import Record, completed, within
from nasbench_eval.runs.rows import Row, Task
from nasbench_eval.runs.wanted import Wanted
from nasbench_eval.scoring.job import Job
from nasbench_eval.spaces.open import Known

Readings = dict[str, list[Task]]  # tasks by the text of what decides their scores

# NumPy draws the images of a batch.
_LIBRARIES = ("torch", "numpy")


@dataclass
class Taken:
    """What was taken over.

    Attributes:
        rows: how many, by the name of the run.
        passed_over: what could not be read, a line each.
    """

    rows: Counter[str] = field(default_factory=Counter)
    passed_over: list[str] = field(default_factory=list)


def take_over(wanted: Wanted[Job], results: Path) -> Taken:
    """Fill rows that are wanted with those of the runs in a folder, and write them to the disk.

    A run that another process is writing to gives what it has on the disk, which are whole files.  A run that
    cannot be read is passed over.

    Raises:
        UsageError: if the rows cannot be written.
    """
    taken, ours = Taken(), wanted.store.run
    readings: Readings = {}
    for task in wanted.job.tasks():
        if wanted.cells(task):
            readings.setdefault(reading(ours, task.dataset, ours["proxies"][task.label]), []).append(task)
    for folder in runs_in(results) if readings else ():
        if folder.resolve() == wanted.store.folder.resolve():
            continue
        try:
            theirs = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            taken.passed_over.append(f"{folder / 'run.json'} cannot be read ({error})")
            continue
        name = folder.relative_to(results).as_posix()
        for task, partition in _matches(theirs, ours, wanted.job, readings):
            cells = wanted.cells(task)
            try:
                rows = parquet.scores_of(folder / "scores" / partition, cells) if cells else []
            except UsageError as error:
                taken.passed_over.append(str(error))
                continue
            fit = [{**row, **task._asdict()} for row in rows if _fits(row, wanted.job, task)]
            if filled := wanted.fill(fit, reused_from=name):
                taken.rows[name] += len(filled)
                wanted.store.flush()
    return taken


def runs_in(results: Path) -> list[Path]:
    """The folders of runs, those of named sweeps among them."""
    return sorted(file.parent for pattern in ("*/run.json", "*/*/run.json") for file in results.glob(pattern))


def reading(run: Record, dataset: str, proxy: Record) -> str:
    """The text of all that decides the scores of a proxy on a data set but the architecture."""
    decides = {
        "space": run.get("space"),
        "seed": run.get("seed"),
        "dataset": within(run, "datasets").get(dataset),
        "precision": run.get("precision", "float32"),
    }
    return json.dumps({**decides, "proxy": proxy}, sort_keys=True)


def _matches(theirs: Any, ours: Record, job: Job, readings: Readings) -> Iterator[tuple[Task, Path]]:
    """The tasks whose scores another run may hold, each with its folder of them below `scores`."""
    sessions = _sessions(theirs)
    if not sessions or not all(_same_machinery(session, ours) for session in sessions):
        return
    known = {proxy["name"]: proxy for proxy in ours["proxies"].values()}
    for label, proxy in within(theirs, "proxies").items():
        if not isinstance(proxy, dict) or proxy.get("name") not in known:
            continue
        if not _agree(sessions, ours, "sources", proxy["name"]):
            continue
        proxy = completed(proxy, known[proxy["name"]])
        for dataset in within(theirs, "datasets"):
            for task in readings.get(reading(theirs, dataset, proxy), ()):
                if not job.reads_images(task) or _agree(sessions, ours, "images", dataset):
                    yield task, Path(f"space={job.space.name}", f"dataset={dataset}", f"proxy={label}")


def _sessions(run: Any) -> list[Record]:
    """What a run says of the machinery of its sessions; nothing if it is no run of ours."""
    earlier = run.get("earlier") if isinstance(run, dict) else None
    sessions = [run, *earlier] if isinstance(earlier, list) else []
    return sessions if all(isinstance(session, dict) for session in sessions) else []


def _same_machinery(session: Record, ours: Record) -> bool:
    """Whether a session computed with what this run computes with, all of it recorded."""

    def facts(of: Record) -> list[Any]:
        hardware = [of.get(key) for key in ("device", "device_name", "processor")]
        versions = [within(of, "versions").get(name) for name in _LIBRARIES]
        return [*hardware, *versions, within(of, "sources").get("shared")]

    return None not in facts(ours) and facts(session) == facts(ours)


def _agree(sessions: Sequence[Record], ours: Record, key: str, name: str) -> bool:
    """Whether all sessions that knew an item, one at least, knew it by the digest by which this run does."""
    said = [within(session, key)[name] for session in sessions if name in within(session, key)]
    return bool(said) and all(digest == within(ours, key).get(name) for digest in said)


def _fits(row: Row, job: Job, task: Task) -> bool:
    """Whether a row is what the record of its run makes expect."""
    if isinstance(job.space, Known) and not job.space.means(row["index"], row["arch"]):
        return False
    info = job.proxies[task.label].info
    expected = (job.seed, info.version)
    return (row.get("seed"), row.get("proxy_version")) == expected and row.keys() >= set(info.columns)
