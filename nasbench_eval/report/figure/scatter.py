"""Rank against rank, a panel a row: what a correlation stands for.

Shapes: N architectures with a known accuracy, of which F failed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.stats import rankdata

from nasbench_eval.report.figure.rows import ScoredRow, shown_ceilings
from nasbench_eval.report.figure.style import (
    COLUMN,
    LABEL_LENGTH,
    PAGE,
    SMALL,
    STYLE,
    lines,
    number,
    paper_style,
    short,
)
from nasbench_eval.report.statistics.correlation import Failures, failed
from nasbench_eval.report.tables import Table
from nasbench_eval.report.titles import DATASETS, SPLITS

Floats = npt.NDArray[np.float64]

# Up to this many panels stand in a column, three abreast; more take the page's width.
COLUMN_PANELS = 12
GRID = 64
# Left of the ranks, where failed scores stand; in ranks of the whole.
GUTTER = 0.1
FAILED = "#D55E00"
# Few colours and hard edges: the points are pictures, which take a quarter of the room so.
COLOURS = colormaps["viridis"].resampled(10)


@dataclass(frozen=True)
class RankPanel:
    """How one row ranks the architectures, as shares: 0 is the lowest rank, 1 the highest.

    Attributes:
        title: the row's.
        tau: Kendall τ-b, as the table has it.
        n: N, failed ones included.
        score: ranks of the scores, those of −∞ the lowest; shape (N − F,).
        accuracy: ranks of the accuracies of the same architectures; shape (N − F,).
        density: around each of them, 1 where the ranks have nothing to do with each other; shape (N − F,).
        failed: ranks of the accuracies of the failed ones; shape (F,).
    """

    title: str
    tau: float
    n: int
    score: Floats
    accuracy: Floats
    density: Floats
    failed: Floats


def rank_panel(row: ScoredRow, failures: Failures = "worst") -> RankPanel:
    """Rank one row's scores and accuracies; equal ones share their mean rank.

    Accuracies are ranked among all N architectures. So are scores, above the failed ones, with `worst`; with
    `omit` they are ranked among themselves.
    """
    good = ~failed(row.score)
    n, n_failed = len(good), int((~good).sum())
    below = n_failed if failures == "worst" else 0
    # The middle of a rank's place, so that ranks of any number lie evenly between 0 and 1.
    accuracy = (rankdata(row.accuracy) - 0.5) / n
    score = (rankdata(row.score[good]) + below - 0.5) / (n - n_failed + below)
    return RankPanel(
        row.title, row.tau, n, score, accuracy[good], rank_density(score, accuracy[good]), accuracy[~good]
    )


def rank_density(x: Floats, y: Floats) -> Floats:
    """How densely points lie around each of them, as a multiple of an even spread over the unit square.

    A kernel density estimate: a Gaussian of Scott's width for an even spread (Scott 1992), n^(−1/6) / √12,
    reflected at the edges, on a grid of 64 × 64, interpolated.

    Args:
        x, y: from 0 to 1; shape (N,) each.
    """
    if len(x) == 0:
        return np.empty(0)
    counts, _, _ = np.histogram2d(x, y, bins=GRID, range=((0, 1), (0, 1)))
    width = GRID * len(x) ** (-1 / 6) / math.sqrt(12)
    smooth = gaussian_filter(counts, width, mode="reflect") * GRID**2 / len(x)
    places = np.stack([x, y]) * GRID - 0.5
    density: Floats = map_coordinates(smooth, places, order=1, mode="nearest")
    return density


def draw_scatter(panels: Sequence[RankPanel], table: Table, dataset: str) -> Figure | None:
    """Small multiples, a panel a row; None without rows. The figure belongs to no pyplot state."""
    if not panels:
        return None
    wide = len(panels) > COLUMN_PANELS
    across = {15: 5, 20: 5}.get(len(panels), 6) if wide else {1: 1, 2: 2, 4: 2}.get(len(panels), 3)
    down = -(-len(panels) // across)
    width = PAGE if wide else COLUMN
    # A panel is square; beside it stand its label, above it two lines.
    side = (width - 0.45) / across - 0.1
    with paper_style():
        layout = ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02, wspace=0.02, hspace=0.02)
        figure = Figure((width, down * (side + 0.36) + 0.95), dpi=STYLE["savefig.dpi"], layout=layout)
        # Below the ranks there is room to count the failed, if any row has some.
        lowest = -0.17 if any(len(panel.failed) for panel in panels) else -0.02
        every = list(figure.subplots(down, across, sharex=True, sharey=True, squeeze=False).flat)
        dense = np.quantile(np.concatenate([panel.density for panel in panels]), 0.95)
        colours = Normalize(0, max(2, math.ceil(dense)))
        for place, (axes, panel) in enumerate(zip(every, panels, strict=False)):
            _panel(axes, panel, colours, lowest, (side + 0.07) * figure.dpi)
            # Where the last row has no panel, the one above carries the scale.
            last = place + across >= len(panels)
            axes.tick_params(axis="x", labelbottom=last)
            axes.set_xlabel("rank by score" if last else "", fontsize=SMALL, labelpad=1)
            axes.set_ylabel("" if place % across else "rank by accuracy", fontsize=SMALL, labelpad=1)
        for axes in every[len(panels) :]:
            axes.set_axis_off()
        _scale(figure, every, colours)
        _explain(figure, panels, table, dataset)
        # Two dozen panels are laid out once, not for each file again.
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
    return figure


def _panel(axes: Axes, panel: RankPanel, colours: Normalize, lowest: float, room: float) -> None:
    """One row: its points, the densest on top, and its failed scores as dashes left of them.

    Args:
        axes, panel, colours: what to draw on, what to draw, and how densities are coloured.
        lowest: where the axis of accuracies begins.
        room: for the title, in pixels.
    """
    order = np.argsort(panel.density, kind="stable")
    size = float(np.clip(2200 / panel.n, 0.4, 7))
    # Thousands of points in two dozen panels would make vector files of many megabytes.
    axes.scatter(
        panel.score[order], panel.accuracy[order], s=size, c=panel.density[order], norm=colours,
        cmap=COLOURS, linewidths=0, antialiaseds=False, rasterized=True,
    )  # fmt: skip
    if len(panel.failed):
        start, end = np.full((2, len(panel.failed)), [[-0.85 * GUTTER], [-0.15 * GUTTER]])
        thickness = float(np.clip(40 / len(panel.failed), 0.4, 1.2))
        axes.hlines(panel.failed, start, end, color=FAILED, linewidth=thickness, alpha=0.8)
        count = f"{len(panel.failed):,} failed"
        axes.text(1, lowest / 2, count, color=FAILED, fontsize=SMALL, ha="right", va="center")
    for length in range(LABEL_LENGTH, 0, -1):
        name = f"{short(panel.title, length)}\nτ = {number(panel.tau)}, n = {panel.n:,}"
        if axes.set_title(name, fontsize=SMALL, pad=2).get_window_extent().width <= room:
            break
    axes.set_box_aspect(1)
    axes.set_xlim(-GUTTER, 1.02)
    axes.set_ylim(lowest, 1.02)
    axes.set_xticks([0, 0.5, 1], ["0", "½", "1"])
    axes.set_yticks([0, 0.5, 1], ["0", "½", "1"])
    axes.tick_params(length=2, labelsize=SMALL, pad=1.5)


def _scale(figure: Figure, every: list[Axes], colours: Normalize) -> None:
    bar = figure.colorbar(
        ScalarMappable(colours, COLOURS), ax=every, location="bottom", shrink=0.6, aspect=40, pad=0.015,
        extend="max",
    )  # fmt: skip
    bar.set_label("density of architectures (1 where ranks are unrelated)", fontsize=SMALL, labelpad=1)
    bar.ax.tick_params(labelsize=SMALL, length=2, pad=1.5)
    bar.outline.set_linewidth(0.4)


def _explain(figure: Figure, panels: Sequence[RankPanel], table: Table, dataset: str) -> None:
    """What is ranked, what the dashes are, and how high τ can be."""
    truth = SPLITS.get(table.splits[0], table.splits[0])
    figure.suptitle(f"{DATASETS.get(dataset, dataset)}, {truth}", fontsize=8)
    live = "live " if table.settings.cells == "live" else ""
    sentences = [f"Ranks among n {live}architectures: 0 the lowest, 1 the highest."]
    if any(len(panel.failed) for panel in panels):
        rank = "ranked lowest" if table.settings.failures == "worst" else "left out of τ"
        sentences.append(f"Dashes at the left edge: failed scores, {rank}.")
    ceiling = shown_ceilings(table).get(dataset)
    if ceiling:
        agreed, highest = number(ceiling.agreement.kendall_tau), number(ceiling.kendall_tau)
        sentences.append(f"Agreement of two runs: τ = {agreed}; noise ceiling: τ = {highest}.")
    figure.supxlabel(lines(sentences, figure.get_figwidth()), fontsize=SMALL)
