"""Draws the architectures that searches end with, a panel a row.

A cell's nodes stand in a line, in their order; an edge that passes over others is an arc, so that no edge
runs through a node.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch
from matplotlib.path import Path
from scipy.stats import rankdata

from nasbench_eval.report.figure.style import COLOURS, GREY, PAGE, SMALL, STYLE, paper_style, short
from nasbench_eval.report.search.read import Floats
from nasbench_eval.report.search.rows import Row
from nasbench_eval.report.titles import DATASETS
from nasbench_eval.spaces import nasbench201
from nasbench_eval.spaces.nasbench101 import NASBench101
from nasbench_eval.spaces.nasbench201 import NASBench201
from nasbench_eval.wording import counted

# More panels would make a figure of several pages.
MOST = 36
ACROSS = 3
# What operations are called, and their colours.
_OPERATIONS = {
    "none": ("none", GREY),
    "skip_connect": ("skip", COLOURS[3]),
    "nor_conv_1x1": ("1×1", COLOURS[0]),
    "nor_conv_3x3": ("3×3", COLOURS[1]),
    "avg_pool_3x3": ("avg", COLOURS[2]),
    "conv1x1": ("1×1", COLOURS[0]),
    "conv3x3": ("3×3", COLOURS[1]),
    "maxpool3x3": ("max", COLOURS[2]),
}
_LEGEND = "1×1, 3×3: convolutions. avg, max: pooling over 3×3."
_ENDS = "#444444"


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
    known = {"nasbench201": _draw201, "nasbench101": _draw101}
    cells = [cell for cell in cells if cell.space in known][:MOST]
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
            known[cell.space](axes, cell.arch)
        for axes in every:
            axes.set_axis_off()
        figure.suptitle(DATASETS.get(dataset, dataset), fontsize=8)
        figure.supxlabel(_LEGEND, fontsize=SMALL)
    return figure


def _draw201(axes: Axes, arch: str) -> None:
    cell = NASBench201().parse(arch)
    for (source, target), operation in zip(nasbench201.EDGES, cell.operations, strict=True):
        name, colour = _OPERATIONS[operation]
        faint = operation == "none"
        # Over the inner nodes, under the second, and straight to the next.
        height = {1: 0.0, 2: 0.62 if source == 0 else -0.62, 3: 1.15}[target - source]
        _arc(axes, source, target, height, colour, faint, 0.14 if height else 0.13 if target < 3 else 0.2)
        axes.text(
            (source + target) / 2, height or 0.06, name, fontsize=SMALL, ha="center",
            va="center" if height else "bottom", color="#888888" if faint else colour,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6} if height else None,
        )  # fmt: skip
    for node, name in enumerate(("in", "1", "2", "out")):
        _node(axes, node, name, _ENDS)
    axes.set_xlim(-0.35, 3.35)
    axes.set_ylim(-0.95, 1.4)


def _draw101(axes: Axes, arch: str) -> None:
    cell = NASBench101().parse(arch)
    last, sides = cell.vertices - 1, Counter[int]()
    for source, target in cell.edges:
        span = target - source
        # Arcs of the same span go over and under the line in turn.
        side = 1 if sides[span] % 2 == 0 else -1
        sides[span] += 1
        _arc(axes, source, target, 0 if span == 1 else side * 0.2 * span, _ENDS, False, 0.3)
    names = [("in", _ENDS), *(_OPERATIONS[o] for o in cell.operations), ("out", _ENDS)]
    for node, (name, colour) in enumerate(names):
        _node(axes, node, name, colour)
    axes.set_xlim(-0.6, last + 0.6)
    axes.set_ylim(-1.4, 1.4)


def _node(axes: Axes, x: float, name: str, colour: str) -> None:
    axes.text(
        x, 0, name, fontsize=SMALL, ha="center", va="center", color="white", zorder=4,
        bbox={"facecolor": colour, "edgecolor": "none", "boxstyle": "round,pad=0.3"},
    )  # fmt: skip


def _arc(axes: Axes, source: int, target: int, height: float, colour: str, faint: bool, gap: float) -> None:
    """An arrow from node to node that is so high in its middle, and ends a gap before the node."""
    # A quadratic curve is half as high as its control point, which lies in the middle: x is linear along it.
    start, bend, end = np.array([[source, 0], [(source + target) / 2, 2 * height], [target, 0]], float)
    t = 1 - gap / (target - source)
    near = (1 - t) * start + t * bend
    until = (1 - t) * near + t * ((1 - t) * bend + t * end)
    path = Path([start, near, until], [Path.MOVETO, Path.CURVE3, Path.CURVE3])
    axes.add_patch(
        FancyArrowPatch(
            path=path, arrowstyle="-" if faint else "-|>", mutation_scale=6, color=colour, zorder=1,
            linewidth=0.6 if faint else 1.2, linestyle=(0, (1, 2)) if faint else "-", fill=not faint,
        )
    )  # fmt: skip
