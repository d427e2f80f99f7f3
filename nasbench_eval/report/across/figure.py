"""Heat maps of proxies by benchmarks, and of benchmarks by benchmarks."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from nasbench_eval.report.across.benchmarks import sizes
from nasbench_eval.report.across.draw import MARK, marked, number, rows_of
from nasbench_eval.report.across.table import MEASURES, Across
from nasbench_eval.report.figure.alike import COLOUR_MAP
from nasbench_eval.report.figure.style import SMALL, STYLE, lines, paper_style, short

# Inches: a cell, and what stands beside and above the cells.
WIDE, HIGH = 0.78, 0.27
BESIDE, ABOVE = 1.75, 1.9

# On darker cells the text is white.
DARK = 0.6


def draw_across(table: Across) -> Figure | None:
    """The measure of each proxy on each benchmark with its interval, mean rank and worst case beside it.

    Holes are grey.  None without proxies.  The figure belongs to no pyplot state.
    """
    (values, low, high), said_of, marks = table.estimates(), rows_of(table), marked(table)
    rows, columns = values.shape
    if not rows:
        return None
    sign, measure, _ = MEASURES[table.measure]
    with paper_style():
        width = max(WIDE * (columns + 2) + BESIDE, 3.4)
        size = (width, HIGH * rows + ABOVE)
        figure = Figure(size, dpi=STYLE["savefig.dpi"], layout="constrained")
        axes = figure.subplots()
        image = _heat(axes, values, columns + 2)
        for row, column in np.ndindex(rows, columns):
            ends = (float(low[row, column]), float(high[row, column]))
            _cell(axes, row, column, float(values[row, column]), ends, str(marks[row, column]))
        for row, said in enumerate(said_of):
            for place, text in enumerate((said.rank, number(said.worst, 2))):
                axes.text(columns + place, row, text, ha="center", va="center", fontsize=SMALL)
        heads = [
            f"{short(benchmark.space, 14)}\n{short(benchmark.title.replace(' benchmark)', ')'), 18)}\n"
            f"{benchmark.split}, n =\n{sizes(table.counts(benchmark.name))}"
            for benchmark in table.benchmarks
        ]
        axes.set_xticks(range(columns + 2), [*heads, "mean\nrank", f"worst\n{sign}"], fontsize=SMALL - 0.8)
        axes.xaxis.tick_top()
        axes.set_yticks(range(rows), [short(said.name) for said in said_of], fontsize=SMALL)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        bar = figure.colorbar(image, ax=axes, orientation="horizontal", shrink=0.5, aspect=40, pad=0.02)
        bar.outline.set_visible(False)
        bar.set_label(f"{measure} with accuracy", fontsize=SMALL)
        title = [
            "Small: 95 % intervals. Grey: not scored.",
            f"{MARK}: of few architectures, does not count.",
            "Rank: among the proxies that count on all benchmarks;",
            "in parentheses: on some alone, not comparable.",
        ]
        figure.suptitle(lines(title, width), fontsize=SMALL + 0.4)
    return figure


def draw_agreement(table: Across) -> Figure | None:
    """Kendall τ between the benchmarks' orders of the proxies; None of a single benchmark."""
    if len(table.benchmarks) < 2:
        return None
    square, shared = table.square(), table.square("proxies")
    size = len(square)
    with paper_style():
        width = max(3.4, 0.55 * size + 2.0)
        figure = Figure((width, 0.42 * size + 1.7), dpi=STYLE["savefig.dpi"], layout="constrained")
        axes = figure.subplots()
        _heat(axes, square, size)
        for row, column in np.ndindex(size, size):
            if row != column:
                value, count = float(square[row, column]), shared[row, column]
                colour = "white" if abs(value) > DARK else "black"
                text = f"{number(value, 2)}\n({count:.0f})"
                axes.text(column, row, text, ha="center", va="center", fontsize=SMALL - 1, color=colour)
        names = [
            f"{short(each.space, 14)}\n{short(each.title.replace(' benchmark)', ')'), 18)}"
            for each in table.benchmarks
        ]
        axes.set_xticks(range(size), names, rotation=90, fontsize=SMALL - 0.8)
        axes.set_yticks(range(size), names, fontsize=SMALL - 0.8)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        mean = number(table.mean_agreement, 2)
        title = [f"Kendall τ between orders of proxies (how many); mean {mean}."]
        figure.suptitle(lines(title, width), fontsize=SMALL)
    return figure


def _heat(axes: Any, values: np.ndarray, columns: int) -> Any:
    """Coloured cells, grey where there is no value; room for so many columns."""
    padded = np.full((len(values), columns), np.nan)
    padded[:, : values.shape[1]] = values
    ground = np.where(np.arange(columns) < values.shape[1], 1.0, np.nan)[None].repeat(len(values), 0)
    axes.imshow(ground, cmap="Greys", vmin=0, vmax=12, aspect="auto")
    image = axes.imshow(padded, cmap=COLOUR_MAP, vmin=-1, vmax=1, aspect="auto")
    axes.set_xticks(np.arange(columns + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(values) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=0.8)
    axes.set_axisbelow(False)
    axes.tick_params(which="minor", length=0)
    return image


def _cell(axes: Any, row: int, column: int, value: float, ends: tuple[float, float], mark: str) -> None:
    if not np.isfinite(value):
        return
    colour = "white" if abs(value) > DARK else "black"
    narrow = np.isfinite(ends[0])
    axes.text(
        column,
        row - 0.17 * narrow,
        number(value, 2) + mark,
        ha="center",
        va="center",
        fontsize=SMALL,
        color=colour,
    )
    if narrow:
        text = f"{number(ends[0], 2)} to {number(ends[1], 2)}"
        axes.text(column, row + 0.24, text, ha="center", va="center", fontsize=SMALL - 2.1, color=colour)
