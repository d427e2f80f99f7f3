"""Cells that searches of an open space end with, and the landscape that two of them moved in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import rankdata

from nasbench_eval.errors import UsageError
from nasbench_eval.report.figure.cell import LEGEND, MORE_OPERATIONS, draw_graph
from nasbench_eval.report.figure.style import PAGE, SMALL, STYLE, paper_style, short
from nasbench_eval.report.search.landscape import Landscape, landscapes
from nasbench_eval.report.search.read import Floats, Numbers
from nasbench_eval.report.search.rows import Row
from nasbench_eval.report.search.unjudged.frames import Found
from nasbench_eval.report.titles import DATASETS
from nasbench_eval.spaces.base import Graph

# Answers in a figure: more would not fit a page.
MOST = 8


@dataclass(frozen=True)
class Answer:
    """What a search ended with, to be drawn.

    Attributes:
        title: of the row, and the seed.
        graphs: the cells.
    """

    title: str
    graphs: tuple[Graph, ...]


def answers(rows: Sequence[Found]) -> list[Answer]:
    """Of each row the answer that its guide liked best; none where the space has no cells to draw.

    Several values of a guide are ranked among the answers and added up.
    """
    found = []
    for each in rows:
        if not callable(getattr(each.space, "graphs", None)):
            continue
        told = each.seeds[[f"told_{value}" for value in each.row.guide.values]].to_numpy(np.float64)
        liked = rankdata(np.nan_to_num(told, nan=-np.inf), axis=0).sum(1)
        best = each.seeds.iloc[int(np.argmax(liked))]
        seeds = f"best of {len(each.seeds)} seeds" if len(each.seeds) > 1 else "1 seed"
        arch = each.space.parse(str(best["arch"]))
        found.append(Answer(f"{each.row.title} ({seeds})", each.space.graphs(arch)))
    return found[:MOST]


def draw_answers(found: Sequence[Answer], dataset: str) -> Figure | None:
    """A line an answer, its cells side by side; None without any."""
    if not found:
        return None
    across = max(len(answer.graphs) for answer in found)
    with paper_style():
        figure = Figure((PAGE, 1.75 * len(found) + 0.5), dpi=STYLE["savefig.dpi"], layout="constrained")
        every = figure.subplots(len(found), across, squeeze=False)
        for line, answer in zip(every, found, strict=True):
            for axes in line:
                axes.set_axis_off()
            for axes, graph in zip(line, answer.graphs, strict=False):
                axes.set_title(f"{short(answer.title, 52)}\n{graph.name}", fontsize=SMALL, pad=1)
                draw_graph(axes, graph)
        figure.suptitle(f"Cells that the searches end with, {DATASETS.get(dataset, dataset)}", fontsize=8)
        figure.supxlabel(LEGEND + MORE_OPERATIONS, fontsize=SMALL)
    return figure


def landscapes_of(rows: Sequence[Found]) -> list[Landscape]:
    """The landscapes of rows in a space whose architectures can be compared as numbers.

    Raises:
        UsageError: if they cannot, or no row has two seeds.
    """
    for each in rows:
        if not callable(getattr(each.space, "one_hot", None)):
            raise UsageError(f"--landscape needs a search space with `one_hot`, which {each.row.space} lacks")
    by_row = {id(each.row): each for each in rows}

    def features(row: Row, archs: Numbers) -> Floats:
        each = by_row[id(row)]
        lines = [each.space.one_hot(each.space.parse(each.texts[int(arch)])) for arch in archs]
        return np.array(lines, np.float64)

    return landscapes([each.row for each in rows], None, features)
