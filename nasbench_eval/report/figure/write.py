"""Writes all figures of a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from nasbench_eval.report import PNG
from nasbench_eval.report.analysis import Analysis
from nasbench_eval.report.draw import DATASETS
from nasbench_eval.report.figure.alike import draw_alike
from nasbench_eval.report.figure.bars import draw_figure
from nasbench_eval.report.figure.cost import costs, draw_cost
from nasbench_eval.report.figure.found import best_found, draw_found
from nasbench_eval.report.figure.rows import scored_rows
from nasbench_eval.report.figure.scatter import draw_scatter, rank_panel
from nasbench_eval.report.figure.style import save
from nasbench_eval.report.scores import Scores
from nasbench_eval.report.tables import Table, Truth
from nasbench_eval.report.written import Written

# Where all but a table's own figure are put.
FOLDER = "figures"


def write_figures(
    table: Table,
    scores: Scores,
    truths: Mapping[str, Truth],
    folder: Path,
    formats: Sequence[str] = (PNG,),
) -> Written:
    """Write a table's figures, of the first split, leaving out what cannot be drawn.

    `<table>` shows the correlations. In `figures/`, of each data set, `<table>_scatter` shows rank against
    rank, `<table>_cost` τ against seconds and `<table>_found` the best accuracy found; where the table has
    several data sets, their names follow.

    Args:
        table: computed from `scores` and `truths`.
        scores: of the runs.
        truths: of each space; without that of the table's there is no rank to be drawn and nothing found.
        folder: the report's, an existing one.
        formats: some of `FORMATS`; each figure is drawn once for all of them.

    Raises:
        UsageError: if scores and accuracies do not belong together.
        OSError: if a file cannot be written.
    """
    written = Written()
    for title, stem, figure in _figures(table, scores, truths.get(table.spec.space)):
        if figure is not None:
            written += write_one(figure, title, folder, stem, formats)
    return written


def write_one(
    figure: Figure, title: str, folder: Path, stem: str, formats: Sequence[str] = (PNG,)
) -> Written:
    """Write one figure; its stem may name a folder within the report's."""
    place = (folder / stem).parent
    place.mkdir(exist_ok=True)
    saved = save(figure, place, Path(stem).name, formats)
    names = [(place / name).relative_to(folder).as_posix() for name in saved]
    return Written(names, [(title, folder / names[-1])])


def _figures(table: Table, scores: Scores, truth: Truth | None) -> Iterator[tuple[str, str, Figure | None]]:
    """Titles, file stems and figures, one after another: two dozen panels take their memory."""
    yield table.spec.title, table.name, draw_figure(table)
    for dataset in table.spec.datasets:
        of, stem = f"{table.name}, {DATASETS.get(dataset, dataset)}", f"{FOLDER}/{table.name}"
        ending = f"_{dataset}" if len(table.spec.datasets) > 1 else ""
        rows = scored_rows(table, scores, truth, dataset) if truth else []
        failures = table.settings.failures
        scatter = draw_scatter([rank_panel(row, failures) for row in rows], table, dataset)
        yield f"{of}: rank by score and by accuracy", f"{stem}_scatter{ending}", scatter
        cost = draw_cost(costs(table, scores, dataset), table, dataset)
        yield f"{of}: τ and what it costs", f"{stem}_cost{ending}", cost
        found = draw_found(best_found(rows, failures), table, dataset)
        yield f"{of}: the best accuracy found", f"{stem}_found{ending}", found


def write_analysis_figures(analysis: Analysis, folder: Path, formats: Sequence[str] = (PNG,)) -> Written:
    """Write, of each data set, which proxies rank alike: `figures/alike_<data set>`; where there
    are several search spaces, the space follows.

    Raises:
        OSError: if a file cannot be written.
    """
    written = Written()
    several = len({place.space for place in analysis.by_place}) > 1
    drawn = set()  # scores are the same whatever the split they are judged on
    for place, found in analysis.by_place.items():
        stem = f"{FOLDER}/alike_{place.dataset}" + (f"_{place.space}" if several else "")
        if stem not in drawn and (figure := draw_alike(found.between, place.dataset)) is not None:
            where = DATASETS.get(place.dataset, place.dataset) + (f" ({place.space})" if several else "")
            written += write_one(figure, f"{where}: which proxies rank alike", folder, stem, formats)
        drawn.add(stem)
    return written
