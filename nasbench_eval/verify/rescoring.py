"""Scores a random sample of a run's cells again and compares it with what the run holds."""

from __future__ import annotations

import ctypes
import math
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from nasbench_eval.data.images import images_path, load_images
from nasbench_eval.errors import UsageError
from nasbench_eval.runs import provenance
from nasbench_eval.runs.record import Record, sessions, within
from nasbench_eval.runs.rows import Row, Task
from nasbench_eval.scoring.job import Job
from nasbench_eval.scoring.process import Scorer
from nasbench_eval.spaces.base import Names
from nasbench_eval.verify.held import Check, Held, Partition, scored_cells
from nasbench_eval.wording import counted, some
from nasbench_eval.work.subject import recorded

# A row of the run that is scored again: where it is from, and the row.
Drawn = tuple[Partition, Row]


@dataclass(frozen=True)
class Settings:
    """How much is scored again and how it is compared.

    Attributes:
        cells: how many of each partition.
        seed: of the draw.
        skip: labels that are left out.
        rtol: relative tolerance where bits may differ.
        near: whether bits may differ everywhere.
        data: folder of images; None for the usual one.
    """

    cells: int
    seed: int
    skip: tuple[str, ...]
    rtol: float
    near: bool
    data: Path | None


class _Images(NamedTuple):
    """The folder of images, and for each data set whose images are read why they will not do."""

    folder: Path | None
    unfit: Mapping[str, str | None]


@dataclass
class _Found:
    """What came of a proxy: rows by cell and data set, where they differ, and by how much at most."""

    rows: set[tuple[Task, int]] = field(default_factory=set)
    cells: set[int] = field(default_factory=set)
    differing: list[str] = field(default_factory=list)
    moved: int = 0
    largest: float = 0.0
    where: str = ""
    unscored: list[str] = field(default_factory=list)


def rescore(held: Held, settings: Settings) -> Iterator[Check]:
    """A check of the machinery, then one of each proxy as soon as all of them are scored."""
    if held.job is None:
        why = next(iter(held.unfit.values()), "the search space cannot be built here")
        yield Check("skip", "machinery", f"{why}: no cell is scored")
        return
    device = _device(held.record)
    exact, machinery = comparison(held.record, device)
    if settings.near:
        exact = False
    how = "bit for bit" if exact else f"within {settings.rtol:g}"
    yield Check("ok", "machinery", f"{machinery}: scores are compared {how}")
    images = _images(held, settings)
    fit, skipped = _fit(held, settings, device, images)
    drawn = _draw(fit, settings, Names(held.job.space))
    scored = _score(held.job, drawn, images.folder, device)
    found = _compare(scored, drawn, held.job, exact, settings.rtol)
    _return_memory()
    for label in dict.fromkeys([*held.record["proxies"], *found]):
        if label in found:
            yield _said(label, found[label], how)
        if label in skipped:
            yield Check("skip", "scores", f"{label}: {some(skipped[label], '; ')}")


def _return_memory() -> None:
    """Hand the system what a scoring process keeps for reuse: the next run may need it in other pieces."""
    with suppress(OSError, AttributeError):  # not glibc
        ctypes.CDLL(None).malloc_trim(0)


def comparison(record: Record, device: torch.device) -> tuple[bool, str]:
    """Whether scores have to come out to the bit here, and why or why not.

    They have to if every session of the run was on a CPU, with the PyTorch, the instruction set and, where it
    is recorded, the model of processor that are used here.
    """
    ours = {"torch": torch.__version__, **provenance.hardware(device)}
    differing, recorded = [], True
    for session in sessions(record):
        theirs = {key: session.get(key) for key in ours}
        theirs["torch"] = within(session, "versions").get("torch")
        recorded &= theirs["processor"] is not None
        for key, value in ours.items():
            if theirs[key] != value and not (key == "processor" and theirs[key] is None):
                differing.append(f"{key.replace('device_name', 'device name')} {theirs[key]}, here {value}")
    if differing:
        return False, f"made with {some(list(dict.fromkeys(differing)))}"
    if device.type != "cpu":
        return False, f"made on {device.type}, as here"
    same = f"torch {ours['torch']} on {ours['device_name']}"
    return True, f"{same}, as recorded" + ("" if recorded else " (the model of processor is not)")


def _device(record: Record) -> torch.device:
    """The kind of device the run was made on, if there is one here; else the CPU."""
    return torch.device("cuda" if record["device"] == "cuda" and torch.cuda.is_available() else "cpu")


def _fit(
    held: Held, settings: Settings, device: torch.device, images: _Images
) -> tuple[list[Partition], dict[str, list[str]]]:
    """The partitions that can be scored here, and why others cannot, by label."""
    fit: list[Partition] = []
    skipped: dict[str, list[str]] = {}
    assert held.job is not None
    foreign = held.job.precision != "float32" and held.record["device"] != device.type
    for part in held.partitions:
        dataset, label = part.task
        reason = None
        if label in settings.skip:
            reason = "left out, as asked"
        elif label in held.unfit:
            reason = held.unfit[label]
        elif label not in held.job.proxies or dataset not in held.job.datasets:
            reason = f"{part} is not in the record"
        elif foreign:
            reason = f"{held.job.precision} of {held.record['device']} is not that of {device.type}"
        elif held.job.reads_images(part.task):
            reason = images.unfit[dataset]
        if reason is None:
            fit.append(part)
        elif reason not in skipped.setdefault(label, []):
            skipped[label].append(reason)
    return fit, skipped


def _images(held: Held, settings: Settings) -> _Images:
    """The images that a run's proxies read: those of the benchmark it was scored on, or the usual ones."""
    assert held.job is not None
    imaged = {
        part.task.dataset
        for part in held.partitions
        if part.task.label in held.job.proxies
        and part.task.dataset in held.job.datasets
        and held.job.reads_images(part.task)
    }
    try:
        folder = recorded(held.record).images(settings.data)
    except UsageError as error:  # then no partition that reads images is scored
        return _Images(None, {name: f"reads images of {name}: {error}" for name in imaged})
    return _Images(folder, {name: _unfit(held.record, folder, name) for name in imaged})


def _unfit(record: Record, folder: Path, dataset: str) -> str | None:
    """Why the images of a data set will not do; None if they do, as far as can be told."""
    path = images_path(folder, dataset)
    try:
        load_images(folder, dataset)
    except UsageError as error:
        return f"reads images of {dataset}: {error}"
    digests = {found[dataset] for s in sessions(record) if dataset in (found := s.get("images") or {})}
    if digests and digests != {provenance.file_digest(path)}:
        return f"reads images of {dataset}, and {path} holds others than the run read"
    return None


def _draw(parts: Sequence[Partition], settings: Settings, names: Names) -> dict[int, list[Drawn]]:
    """The rows to compare, by the cell that is scored: of each partition the first in one order that it has.

    The order is the same for all partitions, so that proxies share passes.  What ran out of memory or into an
    error is left out, for it may come out otherwise, and so is what the space does not have.
    """
    kept = {}
    for part in parts:
        rows = part.rows[part.rows["status"].isin(("ok", "nan", "inf", "undefined"))].drop_duplicates("index")
        kept[part.task] = rows.set_index("index", drop=False)
    every = sorted({int(i) for rows in kept.values() for i in rows.index})
    order = np.random.default_rng(settings.seed).permutation(np.array(every, dtype=np.int64))
    drawn: dict[int, list[Drawn]] = {}
    for part in parts:
        rows = kept[part.task]
        chosen = rows.loc[order[np.isin(order, rows.index)][: settings.cells]]
        for cell, row in zip(scored_cells(chosen), chosen.to_dict("records"), strict=True):
            if names.holds(cell):
                drawn.setdefault(cell, []).append((part, {str(key): value for key, value in row.items()}))
    return drawn


def _score(
    job: Job, drawn: Mapping[int, Collection[Drawn]], data: Path | None, device: torch.device
) -> Iterator[tuple[int, dict[Task, Row]]]:
    """Each cell with its scores, those of all its proxies from the same passes."""
    labels = {part.task.label for rows in drawn.values() for part, _ in rows}
    job = replace(job, proxies={label: proxy for label, proxy in job.proxies.items() if label in labels})
    scorer = Scorer(job, data, device)
    bar = tqdm(drawn.items(), unit="cell", file=sys.stderr, leave=False, disable=None)
    for cell, rows in bar:
        wanted = {part.task for part, _ in rows}
        scores = scorer(cell, [task for task in job.tasks() if task in wanted])
        yield cell, {Task(row["dataset"], row["label"]): row for row in scores}


def _compare(
    scored: Iterator[tuple[int, dict[Task, Row]]],
    drawn: Mapping[int, Collection[Drawn]],
    job: Job,
    exact: bool,
    rtol: float,
) -> dict[str, _Found]:
    found: dict[str, _Found] = {}
    for cell, scores in scored:
        for part, row in drawn[cell]:
            new, mine = scores[part.task], found.setdefault(part.task.label, _Found())
            place = f"cell {row['index']} on {part.task.dataset}"
            if new["status"] == "oom":
                mine.unscored.append(f"{place} takes more memory than there is")
                continue
            mine.rows.add((part.task, row["index"]))
            mine.cells.add(row["index"])
            columns = (*job.proxies[part.task.label].info.columns, "score")
            distance, column = max((_distance(row.get(c, math.nan), new[c]), c) for c in columns)
            mine.moved += distance > 0
            if distance > mine.largest:
                mine.largest, mine.where = distance, f"{column} of {place}"
            if new["status"] != row["status"]:
                told = f" ({new['error']})" if new["error"] else ""
                mine.differing.append(f"{place}: {row['status']} in the run, {new['status']} here{told}")
            elif distance > (0 if exact else rtol):
                mine.differing.append(f"{place}: {column} {row[column]!r} in the run, {new[column]!r} here")
    return found


def _distance(one: float, other: float) -> float:
    """The relative difference of two numbers; 0 only for the same bits, infinite if just one is finite."""
    if float(one).hex() == float(other).hex():
        return 0.0
    if not (math.isfinite(one) and math.isfinite(other)):
        return math.inf
    largest = max(abs(one), abs(other))
    return abs(one - other) / largest if largest else math.ulp(0.0)  # 0 and -0


def _said(label: str, found: _Found, how: str) -> Check:
    rows = counted(len(found.rows), "row")
    if not found.rows:
        return Check("skip", "scores", f"{label}: {some(found.unscored, '; ')}")
    largest = f"the largest relative difference is {found.largest:.1e}, {found.where}"
    unscored = f"; {some(found.unscored, '; ')}" if found.unscored else ""
    if found.differing:
        differ = f"{len(found.differing)} of {rows} not {how}; {largest}; {some(found.differing, '; ')}"
        return Check("FAIL", "scores", f"{label}: {differ}{unscored}")
    said = f"{how}: {found.moved} differ, {largest}" if found.moved else "equal to the bit"
    return Check("ok", "scores", f"{label}: {rows} of {counted(len(found.cells), 'cell')} {said}{unscored}")
