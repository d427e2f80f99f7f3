"""Writes the figures of a report: each drawn once for all formats, and only if its inputs have changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from nasbench_eval.report import PNG
from nasbench_eval.report.analysis import Analysis
from nasbench_eval.report.apart import Apart
from nasbench_eval.report.figure.alike import draw_alike
from nasbench_eval.report.figure.bars import draw_figure
from nasbench_eval.report.figure.cost import costs, draw_cost
from nasbench_eval.report.figure.digest import content_digest, inputs_digest
from nasbench_eval.report.figure.found import best_found, draw_found
from nasbench_eval.report.figure.rows import ScoredRow, scored_rows
from nasbench_eval.report.figure.scatter import draw_scatter, rank_panel
from nasbench_eval.report.figure.style import save
from nasbench_eval.report.scores import Scores
from nasbench_eval.report.tables import Table, Truth
from nasbench_eval.report.titles import DATASETS
from nasbench_eval.report.written import Written

# Where all but a table's own figure are put.
FOLDER = "figures"
# What a figure takes, roughly.
SECONDS = 0.4


class Drawing(NamedTuple):
    """A figure that may be drawn.

    Attributes:
        title: of the figure, for a page.
        stem: of its files, as seen from the report's folder.
        draw: makes the figure of the arguments; None if there is nothing to draw.
        arguments: all that it depends on.
    """

    title: str
    stem: str
    draw: Callable[..., Figure | None]
    arguments: tuple[Any, ...]


def table_drawings(table: Table, scores: Scores, truth: Truth | None) -> Iterator[Drawing]:
    """A table's figures, of the first split.

    `<table>` shows the correlations. In `figures/`, of each data set, `<table>_scatter` shows rank against
    rank, `<table>_cost` τ against seconds and `<table>_found` the best accuracy found; where the table has
    several data sets, their names follow.

    Args:
        table: computed from `scores` and `truth`.
        scores: of the runs.
        truth: of the table's space; without it there is no rank to be drawn and nothing found.

    Raises:
        UsageError: if scores and accuracies do not belong together.
    """
    yield Drawing(table.spec.title, table.name, draw_figure, (table,))
    for dataset in table.spec.datasets:
        of, stem = f"{table.name}, {DATASETS.get(dataset, dataset)}", f"{FOLDER}/{table.name}"
        ending = f"_{dataset}" if len(table.spec.datasets) > 1 else ""
        rows = scored_rows(table, scores, truth, dataset) if truth else []
        ranks, cost = (rows, table, dataset), (costs(table, scores, dataset), table, dataset)
        yield Drawing(f"{of}: rank by score and by accuracy", f"{stem}_scatter{ending}", _scatter, ranks)
        yield Drawing(f"{of}: τ and what it costs", f"{stem}_cost{ending}", draw_cost, cost)
        yield Drawing(f"{of}: the best accuracy found", f"{stem}_found{ending}", _found, ranks)


def analysis_drawings(analysis: Analysis) -> Iterator[Drawing]:
    """Of each data set, which proxies rank alike: `figures/alike_<data set>`.

    Where there are several search spaces, the space follows.
    """
    several = len({place.space for place in analysis.by_place}) > 1
    named = set()  # scores are the same whatever the split they are judged on
    for place, found in analysis.by_place.items():
        stem = f"{FOLDER}/alike_{place.dataset}" + (f"_{place.space}" if several else "")
        if stem not in named:
            named.add(stem)
            where = DATASETS.get(place.dataset, place.dataset) + (f" ({place.space})" if several else "")
            arguments = (found.between, place.dataset)
            yield Drawing(f"{where}: which proxies rank alike", stem, draw_alike, arguments)


def write_drawings(
    drawings: Sequence[Drawing],
    folder: Path,
    formats: Sequence[str] = (PNG,),
    former: Mapping[str, Sequence[str]] | None = None,
    apart: Apart | None = None,
) -> Written:
    """Write figures, leaving out what cannot be drawn.

    A figure that is there already, was made of the same inputs and has not been touched is left as it is.

    Args:
        drawings: each with a stem of its own.
        folder: the report's, an existing one.
        formats: some of `FORMATS`.
        former: the digests that an earlier report in the folder recorded.
        apart: where to draw.

    Raises:
        OSError: if a file cannot be written.
    """
    inputs = {drawing.stem: inputs_digest(drawing) for drawing in drawings}
    names = {drawing.stem: [f"{drawing.stem}.{ending}" for ending in formats] for drawing in drawings}
    kept = {
        stem
        for stem, files in names.items()
        if files and all(_is_kept(folder / name, inputs[stem], (former or {}).get(name)) for name in files)
    }
    if any(stem.startswith(f"{FOLDER}/") for stem in names):
        (folder / FOLDER).mkdir(exist_ok=True)
    todo = [drawing for drawing in drawings if drawing.stem not in kept]
    drawn = (apart or Apart()).map(partial(_write, folder, formats), todo, SECONDS * len(todo))
    there = kept | {drawing.stem for drawing, done in zip(todo, drawn, strict=True) if done}
    written = Written()
    for drawing in drawings:
        if drawing.stem in there:
            files = names[drawing.stem]
            digests = {name: [inputs[drawing.stem], content_digest(folder / name)] for name in files}
            written += Written(files, [(drawing.title, folder / files[-1])], digests)
    if (folder / FOLDER).is_dir() and not any((folder / FOLDER).iterdir()):
        (folder / FOLDER).rmdir()
    return written


def _is_kept(path: Path, inputs: str, former: Sequence[str] | None) -> bool:
    return former is not None and path.is_file() and [inputs, content_digest(path)] == list(former)


def _write(folder: Path, formats: Sequence[str], drawing: Drawing) -> bool:
    """Draw a figure and write it; false if there is nothing to draw."""
    figure = drawing.draw(*drawing.arguments)
    if figure is not None:
        save(figure, (folder / drawing.stem).parent, Path(drawing.stem).name, formats)
    return figure is not None


def _scatter(rows: Sequence[ScoredRow], table: Table, dataset: str) -> Figure | None:
    return draw_scatter([rank_panel(row, table.settings.failures) for row in rows], table, dataset)


def _found(rows: Sequence[ScoredRow], table: Table, dataset: str) -> Figure | None:
    return draw_found(best_found(rows, table.settings.failures), table, dataset)
