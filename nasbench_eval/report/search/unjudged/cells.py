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
from nasbench_eval.wording import counted

# Answers in a figure: more would not fit a page.
MOST = 8


@dataclass(frozen=True)
class Answer:
    """What a search ended with, to be drawn.

    Attributes:
        title: of the row.
        seeds: whose answer it is.
        graphs: the cells.
    """

    title: str
    seeds: str
    graphs: tuple[Graph, ...]


def answers(rows: Sequence[Found]) -> list[Answer]:
    """Of each row the answer that its guide liked best; none where the space has no cells to draw.

    Several values of a guide are ranked among the answers and added up.  Where an answer was never tried, it
    is that of the first seed.
    """
    found = []
    for each in rows:
        if not callable(getattr(each.space, "graphs", None)):
            continue
        place, seeds = liked_best(each)
        arch = each.space.parse(str(each.seeds["arch"].iloc[place]))
        found.append(Answer(each.row.title, seeds, each.space.graphs(arch)))
    return found


def liked_best(each: Found) -> tuple[int, str]:
    """The place of the seed whose answer the guide likes best, and what to call it."""
    told = each.seeds[[f"told_{value}" for value in each.row.guide.values]].to_numpy(np.float64)
    # A failure, −∞, is lowest; what is not known at all cannot be compared.
    known = not np.isnan(told).any()
    place = int(np.argmax(rankdata(told, axis=0).sum(1))) if known else 0
    return place, f"{'best' if known else 'first'} of {len(told)} seeds" if len(told) > 1 else "1 seed"


def draw_answers(found: Sequence[Answer], dataset: str) -> Figure | None:
    """A line an answer, its cells side by side; None without any."""
    if not found:
        return None
    left, found = len(found[MOST:]), found[:MOST]
    across = max(len(answer.graphs) for answer in found)
    with paper_style():
        figure = Figure((PAGE, 1.75 * len(found) + 0.5), dpi=STYLE["savefig.dpi"], layout="constrained")
        every = figure.subplots(len(found), across, squeeze=False)
        for line, answer in zip(every, found, strict=True):
            for axes in line:
                axes.set_axis_off()
            for axes, graph in zip(line, answer.graphs, strict=False):
                axes.set_title(
                    f"{short(answer.title, 44)} ({answer.seeds})\n{graph.name}", fontsize=SMALL, pad=1
                )
                draw_graph(axes, graph)
        title = f"Cells that the searches end with, {DATASETS.get(dataset, dataset)}"
        figure.suptitle(f"{title}; {counted(left, 'more row')} not drawn" if left else title, fontsize=8)
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
