"""Draws the architectures that searches end with, a panel a row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import rankdata

from nasbench_eval.report.figure.cell import LEGEND, draw_graph
from nasbench_eval.report.figure.style import PAGE, SMALL, STYLE, paper_style, short
from nasbench_eval.report.search.read import Floats
from nasbench_eval.report.search.rows import Row
from nasbench_eval.report.titles import DATASETS
from nasbench_eval.spaces.nasbench101 import NASBench101
from nasbench_eval.spaces.nasbench201 import NASBench201
from nasbench_eval.wording import counted

# More panels would make a figure of several pages.
MOST = 36
ACROSS = 3
# Whose cells are drawn.
_SPACES: dict[str, Any] = {space.name: space for space in (NASBench101(), NASBench201())}


@dataclass(frozen=True)
class Drawn:
    """A cell to be drawn.

    Attributes:
        title: whose answer it is.
        space: its search space.
        arch: its text.
        found: how many seeds ended with it.
        seeds: of so many that ended with an architecture.
    """

    title: str
    space: str
    arch: str
    found: int
    seeds: int


def best_cells(rows: Sequence[Row]) -> list[Drawn]:
    """The answer that most seeds of a row ended with; of several, the one that the guide likes best.

    Several values of a guide are ranked among the answers and added up.  Rows without an answer are left out.
    """
    found = []
    for row in rows:
        counts = Counter(answer for answer in row.answers.tolist() if answer >= 0)
        if counts:
            most = max(counts.values())
            candidates = [answer for answer, count in counts.items() if count == most]
            arch = candidates[int(np.argmax(_liked(row, candidates)))]
            found.append(Drawn(row.title, row.space, _text(row, arch), most, sum(counts.values())))
    return found


def _liked(row: Row, archs: Sequence[int]) -> Floats:
    """Sums of the ranks of what a guide said of architectures when it was first asked; unasked is lowest."""
    told = np.full((len(archs), row.trials.told.shape[-1]), -np.inf)
    for place, arch in enumerate(archs):
        seeds, steps = np.nonzero(row.trials.index == arch)
        if len(seeds):
            told[place] = np.nan_to_num(row.trials.told[seeds[0], steps[0]], nan=-np.inf)
    total: Floats = rankdata(told, axis=0).sum(1)
    return total


def _text(row: Row, arch: int) -> str:
    for run in row.runs:
        held = run.trials.loc[run.trials["incumbent_index"] == arch, "incumbent"]
        if len(held):
            return str(held.iloc[0])
    raise AssertionError(arch)


def draw_cells(cells: Sequence[Drawn], dataset: str) -> Figure | None:
    """A panel a cell; None without cells that can be drawn.  The figure belongs to no pyplot state."""
    cells = [cell for cell in cells if cell.space in _SPACES][:MOST]
    if not cells:
        return None
    down, across = -(-len(cells) // ACROSS), min(ACROSS, len(cells))
    with paper_style():
        size = (across * PAGE / ACROSS, 1.45 * down + 0.4)
        figure = Figure(size, dpi=STYLE["savefig.dpi"], layout="constrained")
        every = list(figure.subplots(down, across, squeeze=False).flat)
        for axes, cell in zip(every, cells, strict=False):
            share = f"answer of {cell.found:,} of {counted(cell.seeds, 'seed')}"
            axes.set_title(f"{short(cell.title, 40)}\n{share}", fontsize=SMALL, pad=1)
            space = _SPACES[cell.space]
            [graph] = space.graphs(space.parse(cell.arch))
            draw_graph(axes, graph)
        for axes in every:
            axes.set_axis_off()
        figure.suptitle(DATASETS.get(dataset, dataset), fontsize=8)
        figure.supxlabel(LEGEND, fontsize=SMALL)
    return figure
