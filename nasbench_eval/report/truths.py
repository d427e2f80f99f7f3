"""Which accuracies a report judges by: those of the papers' tables, of another table, or of one's own."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nasbench_eval import registry
from nasbench_eval.data.folder import data_folder
from nasbench_eval.errors import UsageError
from nasbench_eval.paths import configured
from nasbench_eval.registry import UnknownName
from nasbench_eval.report.scores import Scores
from nasbench_eval.report.spec import RowSpec, TableSpec, load_table_spec
from nasbench_eval.report.tables import Truth
from nasbench_eval.report.titles import DATASETS, SPLITS
from nasbench_eval.report.values import require_members
from nasbench_eval.spaces.base import Names, SearchSpace
from nasbench_eval.spaces.open import finder, is_open, space_of
from nasbench_eval.truth import tables
from nasbench_eval.truth.ceiling import Ceiling, noise_ceiling
from nasbench_eval.truth.given import Given, is_file
from nasbench_eval.truth.named import brings_space, named
from nasbench_eval.truth.own import Benchmark

# Ground truth that says by itself what it is about.
Ground = Benchmark | Given
# What the title of a data set says whose images cannot be had.
NOISE = " (noise for images)"


def benchmark_of(wish: str | None, scores: Scores, data: Path | None = None) -> Ground | None:
    """The ground truth that is wished for, or that the runs were scored on; None for the papers' tables.

    Of a space that no table definition is about, it is the public table of the space's name.

    Args:
        wish: what `truth=` would call it; None for that of the runs.
        scores: of the runs.
        data: the folder of public tables; None for the environment's.

    Raises:
        UsageError: if runs of several are read as one, or it is not there or about other networks.
    """
    _say_noise(scores)
    found = [run.config.get("truth") for run in scores.runs]
    recorded = {name if isinstance(name, str) else None for name in found}
    if wish is None and len(recorded) > 1:
        named_ones = ", ".join(sorted(str(name or "official tables") for name in recorded))
        raise UsageError(
            f"the runs were scored on different benchmarks ({named_ones}); report them apart, or add --truth"
        )
    name = wish or recorded.pop() or _undrawn(scores)
    return None if name is None else ground_of(name, scores, data)


def _say_noise(scores: Scores) -> None:
    """Let the titles of data sets say where their proxies were shown noise for lack of images."""
    for run in scores.runs:
        told = run.config.get("datasets")
        for name, info in told.items() if isinstance(told, Mapping) else ():
            title = str(DATASETS.get(name, name)).removesuffix(NOISE)
            noise = isinstance(info, Mapping) and info.get("input") == "gaussian"
            if noise or name in DATASETS:
                DATASETS[name] = title + (NOISE if noise else "")


def ground_of(name: str, scores: Scores, data: Path | None = None) -> Ground:
    """The ground truth of a name, for the architectures of scores.

    Raises:
        UsageError: if there is none, or it is about other networks.
    """
    ground = named(name, _space_for(name, scores), data)
    held = {part.dataset for part in scores.frames if part.space == ground.space.name}
    if not held & set(ground.datasets):
        about = f"{ground.space.name} on {', '.join(ground.datasets)}"
        raise UsageError(f"the runs hold no scores of {about}, which {name} is about")
    if isinstance(ground, Benchmark):
        DATASETS[ground.dataset.name] = ground.title
    else:
        SPLITS.update({split: said for split, said in ground.splits.items() if split not in SPLITS})
    return ground


def _undrawn(scores: Scores) -> str | None:
    """The one space of the scores, if it has a public table and no definition of a report's table."""
    spaces = scores.spaces()
    drawn = {load_table_spec(name)[1].space for name in configured("table")}
    return spaces[0] if len(spaces) == 1 and spaces[0] in {*tables.TABLES} - drawn else None


def _space_for(name: str, scores: Scores) -> SearchSpace:
    """The space that a table is read for: that of the runs, with their options.

    Raises:
        UsageError: if they are on several, and the table does not say which it is about.
    """
    spaces = scores.spaces()
    about = tables.public(name).info.space if not is_file(name) and not brings_space(name) else None
    if about is None and len(spaces) > 1 and not brings_space(name):
        raise UsageError(f"{name} is about one search space; the runs hold {', '.join(spaces)}")
    wanted = about if about in spaces else spaces[0]
    for run in scores.runs:
        node = run.config.get("space")
        if isinstance(node, dict) and node.get("name") == wanted:
            return space_of(node)
    return space_of({"name": wanted})


def splits_of(wish: str, ground: Ground | None) -> tuple[str, ...]:
    """The splits to judge by.

    Args:
        wish: their names, comma-separated; or `both`.
        ground: what is judged by; None for the papers' tables.

    Raises:
        UnknownName: if there is no such split.
    """
    known = tuple(ground.splits) if isinstance(ground, Given) else ("test", "val")
    if wish == "both":
        return ground.judged if isinstance(ground, Given) else known
    wanted = tuple(dict.fromkeys(wish.split(",")))
    if unknown := [split for split in wanted if split not in known]:
        raise UnknownName("split", unknown[0], [*known, "both"])
    return wanted


def truth_of(space: str, folder: Path | None, live: bool, ground: Ground | None) -> Truth:
    """The accuracies of a space; noise ceilings of all cells or of the live ones."""
    if ground is not None:
        return _truth_of_ground(ground, live)
    frame = tables.load_table(space, data_folder(folder))
    cells = registry.find("spaces", space)()
    listed = not is_open(cells)

    def accuracy(dataset: str, split: str) -> npt.NDArray[np.float64]:
        if dataset in tables.known_datasets(frame) and not tables.has(frame, dataset, split):
            return np.full(len(frame), np.nan)
        return tables.accuracy(frame, dataset, split)

    @cache
    def alive() -> npt.NDArray[np.bool_]:
        if listed:
            return np.array([cells.live(cells.arch(index)) for index in range(len(frame))])
        return np.array([cells.live(cells.parse(text)) for text in frame["arch"]])

    @cache
    def ceiling(dataset: str, split: str) -> Ceiling | None:
        runs = tables.runs(frame, dataset, split)
        return noise_ceiling(runs[alive()] if live and runs.shape[1] > 1 else runs)

    if listed:
        return Truth(Names(cells), accuracy, ceiling)
    archs = frame["arch"].tolist()
    return Truth(archs, accuracy, ceiling, finder(cells, archs))


def _truth_of_ground(ground: Ground, live: bool) -> Truth:
    space = ground.space
    pairs = zip(ground.indices, ground.places, strict=True)
    judged = [place for i, place in pairs if not live or space.live(space.arch(i))]

    @cache
    def ceiling(dataset: str, split: str) -> Ceiling | None:
        return noise_ceiling(ground.runs(dataset, split)[judged])

    notes = ground.notes if isinstance(ground, Given) else ()
    if not is_open(space):
        return Truth(Names(space), ground.accuracy, ceiling, notes=notes)
    archs = ground.table["arch"].tolist()
    return Truth(archs, ground.accuracy, ceiling, finder(space, archs), notes)


def table_of(ground: Ground, scores: Scores, splits: Sequence[str]) -> tuple[str, TableSpec]:
    """The table of ground truth that no definition is about: Table 1's measured rows, then others."""
    _, model = load_table_spec("table1")
    space = ground.space.name
    rows = [replace(row, published="") for row in model.rows if _measured(row, scores, space)]
    ours = [row for row in model.ours if _measured(row, scores, space)]
    if not rows:
        rows, ours = (ours, []) if ours else ([RowSpec(label) for label in scores.labels(space)], [])
    held = {part.dataset for part in scores.frames if part.space == space}
    name = "benchmark" if isinstance(ground, Benchmark) else re.sub(r"\W+", "_", Path(ground.name).stem)
    percent = isinstance(ground, Benchmark) or ground.percent
    measure = "accuracy on" if percent else "the measures of"
    return name, TableSpec(
        title=f"Rank correlation with {measure} {ground.title}",
        space=space,
        truth=ground.about,
        datasets=[dataset for dataset in ground.datasets if dataset in held],
        splits=list(splits),
        percent=percent,
        rows=rows,
        ours=ours,
        others=True,
    )


def _measured(row: RowSpec, scores: Scores, space: str) -> bool:
    if row.aggregate is None:
        return row.label in scores.labels(space)
    try:
        require_members(scores, space, row.name, row.aggregate)
    except UnknownName:
        return False
    return True
