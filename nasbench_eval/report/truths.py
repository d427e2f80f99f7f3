"""Which accuracies a report judges by: the official tables', or those of a benchmark of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nasbench_eval import registry
from nasbench_eval.data.folder import data_folder
from nasbench_eval.errors import UsageError
from nasbench_eval.registry import UnknownName
from nasbench_eval.report.scores import Scores
from nasbench_eval.report.spec import RowSpec, TableSpec, load_table_spec
from nasbench_eval.report.tables import Truth
from nasbench_eval.report.titles import DATASETS
from nasbench_eval.report.values import require_members
from nasbench_eval.spaces.base import Names
from nasbench_eval.spaces.open import finder, is_open
from nasbench_eval.truth import tables
from nasbench_eval.truth.ceiling import Ceiling, noise_ceiling
from nasbench_eval.truth.own import Benchmark, load


def benchmark_of(wish: str | None, scores: Scores) -> Benchmark | None:
    """The benchmark that is wished for, or that the runs were scored on; None for the official tables.

    Raises:
        UsageError: if runs of several are read as one, or it is not there or about other networks.
    """
    found = [run.config.get("truth") for run in scores.runs]
    recorded = {name if isinstance(name, str) else None for name in found}
    if wish is None and len(recorded) > 1:
        named = ", ".join(sorted(str(name or "official tables") for name in recorded))
        raise UsageError(
            f"the runs were scored on different benchmarks ({named}); report them apart, or add --truth"
        )
    name = wish or recorded.pop()
    if name is None:
        return None
    benchmark = load(name)
    place = (benchmark.space.name, benchmark.dataset.name)
    if place not in {(part.space, part.dataset) for part in scores.frames}:
        raise UsageError(f"the runs hold no scores of {place[0]} on {place[1]}, which {name} is about")
    DATASETS[benchmark.dataset.name] = benchmark.title
    return benchmark


def truth_of(space: str, folder: Path | None, live: bool, benchmark: Benchmark | None) -> Truth:
    """The accuracies of a space; noise ceilings of all cells or of the live ones."""
    if benchmark is not None:
        return _truth_of_benchmark(benchmark, live)
    frame = tables.load_table(space, data_folder(folder))
    cells = registry.find("spaces", space)()
    listed = not is_open(cells)

    def accuracy(dataset: str, split: str) -> npt.NDArray[np.float64]:
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


def _truth_of_benchmark(benchmark: Benchmark, live: bool) -> Truth:
    space = benchmark.space
    pairs = zip(benchmark.indices, benchmark.places, strict=True)
    judged = [place for i, place in pairs if not live or space.live(space.arch(i))]

    @cache
    def ceiling(dataset: str, split: str) -> Ceiling | None:
        return noise_ceiling(benchmark.runs(dataset, split)[judged])

    if not is_open(space):
        return Truth(Names(space), benchmark.accuracy, ceiling)
    archs = benchmark.table["arch"].tolist()
    return Truth(archs, benchmark.accuracy, ceiling, finder(space, archs))


def table_of(benchmark: Benchmark, scores: Scores, splits: Sequence[str]) -> tuple[str, TableSpec]:
    """The table of a benchmark of one's own: Table 1's rows as far as they are measured, then all others."""
    _, model = load_table_spec("table1")
    space, trained = benchmark.space.name, benchmark.record["training"]
    rows = [replace(row, published="") for row in model.rows if _measured(row, scores, space)]
    ours = [row for row in model.ours if _measured(row, scores, space)]
    if not rows:
        rows, ours = (ours, []) if ours else ([RowSpec(label) for label in scores.labels(space)], [])
    return "benchmark", TableSpec(
        title=f"Rank correlation with accuracy on {benchmark.title}",
        space=space,
        truth=(
            f"accuracy after {trained['epochs']} epochs on {trained['images']} images, mean over "
            f"{len(benchmark.record['seeds'])} training runs of {len(benchmark.indices)} networks; an "
            f"{benchmark.kind} benchmark, no published one"
        ),
        datasets=[benchmark.dataset.name],
        splits=list(splits),
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
