"""Anytime curves: the accuracy of a search's answer while it goes on.

Shape legend: S seeds, T steps, G points of a grid.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter
from scipy.stats import t as student

from nasbench_eval.report.figure.style import CEILING, COLOURS, PAGE, SMALL, STYLE, lines, paper_style, short
from nasbench_eval.report.search.read import Floats
from nasbench_eval.report.search.rows import Row
from nasbench_eval.report.titles import DATASETS, SPLITS

CONFIDENCE = 0.95
LEAST_SEEDS = 3
# More bands than this cover each other; what they would show stands at the lines' ends then.
BANDS = 6
GRID = 200
DASHES = ["-", "--", "-.", ":"]


@dataclass(frozen=True)
class Curve:
    """The accuracy of a row's answers, over seeds.

    Attributes:
        dataset, split, title: of what.
        at: evaluations, or seconds; shape (G,).
        mean: over seeds, NaN before all of them have an answer; shape (G,).
        half: half the width of the 95 % t-interval of the mean, NaN with fewer than three seeds; shape (G,).
        seeds: how many.
        best: the best mean test accuracy of the space.
    """

    dataset: str
    split: str
    title: str
    at: Floats
    mean: Floats
    half: Floats
    seeds: int
    best: float


def curves(rows: Sequence[Row], splits: Sequence[str], seconds: bool) -> list[Curve]:
    """The curves of all rows; against seconds, of those that have any.

    A search that has ended keeps its answer while others go on.
    """
    found = []
    for row in rows:
        at = _evaluations(row) if not seconds else _spent(row, rows)
        if at is None:
            continue
        grid = _grid(row, at) if seconds else np.arange(1, row.trials.index.shape[1] + 1, dtype=float)
        for split in splits:
            reached_SG = _reached(row, split, at, grid)
            found.append(_curve(row, split, grid, reached_SG))
    return found


def clock(rows: Sequence[Row]) -> str:
    """What the seconds of a data set's curves are: the clock that any of its searches spends."""
    if any(row.trials.proxy.any() or row.trials.simulated.any() for row in rows):
        return "measured seconds of proxies and simulated seconds of training"
    return "wall seconds"


def _evaluations(row: Row) -> Floats:
    steps = np.arange(1, row.trials.index.shape[1] + 1, dtype=float)
    return np.broadcast_to(steps, row.trials.index.shape)


def _spent(row: Row, rows: Sequence[Row]) -> Floats | None:
    """Seconds spent after each step, on the clock of the data set, shape (S, T); None if there are none."""
    beside = [other for other in rows if other.dataset == row.dataset]
    if clock(beside) == "wall seconds":
        spent = row.trials.wall
    else:
        spent = (row.trials.proxy + row.trials.simulated).cumsum(1)
    return spent if (spent[:, -1] > 0).any() else None


def _grid(row: Row, spent_ST: Floats) -> Floats:
    positive = spent_ST[spent_ST > 0]
    return np.geomspace(positive.min(), positive.max(), GRID) if len(positive) else np.ones(1)


def _reached(row: Row, split: str, at_ST: Floats, grid_G: Floats) -> Floats:
    """Accuracy of each seed's answer at each point of the grid, shape (S, G)."""
    accuracy_ST = row.accuracy(split, row.trials.incumbent)
    # Rounding must not put a point of the grid before the step that it stands for.
    places_SG = np.stack([np.searchsorted(at, grid_G * (1 + 1e-12), side="right") - 1 for at in at_ST])
    found_SG = np.take_along_axis(accuracy_ST, np.maximum(places_SG, 0), 1)
    return np.where(places_SG >= 0, found_SG, np.nan)


def _curve(row: Row, split: str, grid_G: Floats, reached_SG: Floats) -> Curve:
    seeds = len(reached_SG)
    mean = reached_SG.mean(0)
    half = np.full(len(grid_G), np.nan)
    if seeds >= LEAST_SEEDS:
        factor = float(student.ppf((1 + CONFIDENCE) / 2, seeds - 1)) / math.sqrt(seeds)
        half = factor * reached_SG.std(0, ddof=1)
    return Curve(row.dataset, split, row.title, grid_G, mean, half, seeds, row.best)


def draw_curves(found: Sequence[Curve], what: str) -> Figure | None:
    """A panel a data set and split, a line a row; None without curves.

    Args:
        found: the curves.
        what: they are drawn against, for the axis.
    """
    if not found:
        return None
    datasets = list(dict.fromkeys(curve.dataset for curve in found))
    splits = list(dict.fromkeys(curve.split for curve in found))
    titles = list(dict.fromkeys(curve.title for curve in found))
    style = {title: _style(place) for place, title in enumerate(titles)}
    with paper_style():
        width = PAGE if len(datasets) > 1 else 0.6 * PAGE
        down = len(splits)
        ncols = 3 if width == PAGE else 2
        height = 1.9 * down + 0.13 * -(-len(titles) // ncols) + 0.55
        figure = Figure((width, height), dpi=STYLE["savefig.dpi"], layout="constrained")
        every = figure.subplots(down, len(datasets), squeeze=False, sharex="col")
        banded = len(titles) <= BANDS
        for i, split in enumerate(splits):
            for j, dataset in enumerate(datasets):
                held = [c for c in found if (c.dataset, c.split) == (dataset, split)]
                _panel(every[i][j], held, style, banded)
                every[i][j].set_title(DATASETS.get(dataset, dataset) if i == 0 else "")
                every[i][j].set_xlabel(what if i == down - 1 else "", fontsize=SMALL)
                every[i][j].set_ylabel(f"{SPLITS[split]} (%)" if j == 0 else "")
        _explain(figure, found, titles, style, banded, ncols)
    return figure


def _style(place: int) -> dict[str, Any]:
    dashes = DASHES[place // len(COLOURS) % len(DASHES)]
    return {"color": COLOURS[place % len(COLOURS)], "linestyle": dashes}


def _panel(axes: Axes, held: Sequence[Curve], style: dict[str, dict[str, Any]], banded: bool) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(labelbottom=True)
    axes.grid(axis="y")
    for place, curve in enumerate(held):
        look = style[curve.title]
        axes.plot(curve.at, curve.mean, linewidth=1, drawstyle="steps-post", **look)
        if banded:
            axes.fill_between(
                curve.at, curve.mean - curve.half, curve.mean + curve.half, step="post", alpha=0.12,
                linewidth=0, color=look["color"],
            )  # fmt: skip
        elif np.isfinite(curve.half[-1]):
            # A little apart, so that the whiskers can be told from each other.
            at = curve.at[-1] * 1.03 ** (place + 1)
            axes.errorbar(at, curve.mean[-1], curve.half[-1], color=look["color"], elinewidth=0.7, fmt="none")
    ends = np.concatenate([curve.mean[np.isfinite(curve.mean)][-1:] for curve in held] or [np.empty(0)])
    every = np.concatenate([curve.mean[np.isfinite(curve.mean)] for curve in held] or [np.empty(0)])
    if len(ends):
        # The first draws are far below all that follows: five of a hundred points may lie below the panel.
        low = min(float(np.quantile(every, 0.05)), float(ends.min()))
        # An answer may be better on the way than in the end.
        top = max(float(every.max()), held[0].best if held[0].split == "test" else -math.inf)
        room = max(top - low, 0.5)
        axes.set_ylim(low - 0.05 * room, top + 0.05 * room)
    if held and held[0].split == "test":
        axes.axhline(held[0].best, color="#777777", zorder=1, **CEILING)


def _explain(
    figure: Figure,
    found: Sequence[Curve],
    titles: Sequence[str],
    style: dict[str, dict[str, Any]],
    banded: bool,
    ncols: int,
) -> None:
    seeds = sorted({curve.seeds for curve in found})
    count = f"{seeds[0]:,}" if len(seeds) == 1 else f"{seeds[0]:,} to {seeds[-1]:,}"
    sentences = [f"Accuracy of a search's answer so far, mean over seeds ({count})."]
    if seeds[-1] >= LEAST_SEEDS:
        fewer = " of three or more seeds" if seeds[0] < LEAST_SEEDS else ""
        what = "Bands" if banded else "Whiskers at the ends"
        sentences.append(f"{what}{fewer}: 95 % t-interval of the mean.")
    if any(curve.split == "test" for curve in found):
        sentences.append("Grey: best mean test accuracy of the space.")
    handles = [Line2D([], [], label=short(title, 38), linewidth=1, **style[title]) for title in titles]
    figure.legend(
        handles=handles, title=lines(sentences, figure.get_figwidth()), title_fontsize=SMALL, fontsize=SMALL,
        loc="outside lower center", ncols=ncols, frameon=False, columnspacing=1.2,
    )  # fmt: skip
