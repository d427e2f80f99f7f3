"""Which proxies rank alike: Kendall τ between each two, in the order of a hierarchical clustering."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.cluster import hierarchy

from nasbench_eval.report.figure.style import COLUMN, PAGE, SMALL, lines, paper_style, short
from nasbench_eval.report.statistics.between import Between
from nasbench_eval.report.titles import DATASETS

# Orange for opposite, violet for alike, white for unrelated: a pair that the colour-blind tell apart.
COLOUR_MAP = "PuOr"
TREE_SHARE, CELL, MARGIN = 0.12, 0.2, 1.6
# Up to so many proxies each pair's τ is written in its square.
WRITTEN = 30


def draw_alike(between: Between, dataset: str) -> Figure | None:
    """A clustered heat map of τ between proxies; None for fewer than three. It belongs to no pyplot state.

    Args:
        between: of the proxies' scores on one data set.
        dataset: its name.
    """
    names = list(between.tau.index)
    if len(names) < 3:
        return None
    with paper_style():
        width = float(np.clip(CELL * len(names) + MARGIN, COLUMN, PAGE))
        figure = Figure((width, width + 0.35), layout="constrained")
        tree, axes = figure.subplots(2, 1, height_ratios=[TREE_SHARE, 1 - TREE_SHARE])
        _tree(tree, between)
        image = axes.imshow(between.tau, cmap=COLOUR_MAP, vmin=-1, vmax=1, aspect="auto")
        places = range(len(names))
        axes.set_xticks(places, [short(name) for name in names], rotation=90, fontsize=SMALL)
        axes.set_yticks(places, [short(name) for name in names], fontsize=SMALL)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        written = len(names) <= WRITTEN
        if written:
            _values(axes, between, fontsize=min(SMALL, 0.4 * 72 * (width - MARGIN) / len(names)))
        bar = figure.colorbar(image, ax=[tree, axes], shrink=0.6, aspect=30, pad=0.02)
        bar.outline.set_visible(False)
        bar.set_label("Kendall τ between scores" + (", in the squares times 100" if written else ""))
        counts = between.n.to_numpy()[~np.eye(len(names), dtype=bool)]
        n = " to ".join(f"{count:,}" for count in dict.fromkeys([counts.min(), counts.max()]))
        figure.suptitle(
            lines(
                [
                    f"{DATASETS.get(dataset, dataset)}, n = {n} architectures that both have;",
                    "average linkage of 1 − τ.",
                ],
                width,
            ),
            fontsize=SMALL + 0.7,
        )
    return figure


def _tree(axes: Any, between: Between) -> None:
    axes.axis("off")
    if between.linkage[:, 2].max() < 1e-9:  # all rank the same: a tree without height cannot be drawn
        return
    hierarchy.dendrogram(
        between.linkage, ax=axes, no_labels=True, color_threshold=0, above_threshold_color="#555555"
    )
    # Leaves stand ten apart, from five on: the same places as the squares below.
    axes.set_xlim(0, 10 * len(between.tau))
    for line in axes.collections:
        line.set_linewidth(0.7)


def _values(axes: Any, between: Between, fontsize: float) -> None:
    taus = between.tau.to_numpy(dtype=np.float64)
    for row, column in np.ndindex(*taus.shape):
        tau = taus[row, column]
        if row != column and np.isfinite(tau):
            text = f"{100 * tau:.0f}".replace("-", "−")
            colour = "white" if abs(tau) > 0.75 else "black"
            axes.text(column, row, text, ha="center", va="center", fontsize=fontsize, color=colour)
