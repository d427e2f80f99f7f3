"""Figures of searches without accuracies: what the guide told, FLOPs, and the networks stage by stage."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from nasbench_eval.report.figure.style import CEILING, COLOURS, PAGE, SMALL, STYLE, lines, paper_style, short
from nasbench_eval.report.search.read import Floats
from nasbench_eval.report.search.unjudged.frames import Found
from nasbench_eval.report.titles import DATASETS
from nasbench_eval.spaces.base import Stage

# Panels beside each other, and rows of networks in a figure: more would not fit a page.
ACROSS, MOST = 3, 48
# Characters of a row's title from which on a legend has two columns.
LONG = 32


@dataclass(frozen=True)
class Course:
    """How a number of each seed's answer went, candidate by candidate.

    Attributes:
        title: of the row.
        values_ST: the number after each step; shape (seeds, steps).
        limit: of it; NaN for none.
    """

    title: str
    values_ST: Floats
    limit: float = math.nan


def told_courses(rows: Sequence[Found]) -> dict[str, list[Course]]:
    """What the guide told of the best so far, by the name of what it tells."""
    found: dict[str, list[Course]] = {}
    for each in rows:
        best_ST = each.best_ST()
        if best_ST is not None:
            [value] = each.row.guide.values
            found.setdefault(value, []).append(Course(each.row.algorithm, best_ST))
    return found


def budget_courses(rows: Sequence[Found]) -> list[Course]:
    """The budgeted number of the answer, in millions."""
    return [Course(each.row.title, each.budgeted_ST() / 1e6, each.limit / 1e6) for each in rows]


def draw_told(courses: dict[str, list[Course]], dataset: str) -> Figure | None:
    """A panel a guide: the best that it told each seed of, against candidates."""
    if not courses:
        return None
    panels = list(courses.items())
    return _panels(panels, f"What the guide told of the best so far, {DATASETS.get(dataset, dataset)}", True)


def draw_budget(courses: Sequence[Course], dataset: str) -> Figure | None:
    """A panel a row: the budgeted FLOPs of each seed's answer, against candidates."""
    if not any(np.isfinite(course.values_ST).any() for course in courses):
        return None
    title = f"FLOPs (millions) of the best so far, {DATASETS.get(dataset, dataset)}; dashed: the limit"
    return _panels([(course.title, [course]) for course in courses], title, False)


def _panels(panels: Sequence[tuple[str, Sequence[Course]]], title: str, legends: bool) -> Figure:
    down = -(-len(panels) // ACROSS)
    # With legends every row has a colour, the same in all panels.
    titles = list(dict.fromkeys(course.title for _, courses in panels for course in courses if legends))
    colours = {title: COLOURS[place % len(COLOURS)] for place, title in enumerate(titles)}
    with paper_style():
        figure = Figure((PAGE, 1.6 * down + 0.4), dpi=STYLE["savefig.dpi"], layout="constrained")
        every = figure.subplots(down, min(ACROSS, len(panels)), squeeze=False)
        for axes in every.flat[len(panels) :]:
            axes.set_axis_off()
        for axes, (name, courses) in zip(every.flat, panels, strict=False):
            for course in courses:
                _course(axes, course, colours.get(course.title, COLOURS[0]))
            axes.set_title(short(name, 40))
            axes.set_xlabel("candidates", fontsize=SMALL)
            axes.grid(axis="y")
        if len(titles) > 1:
            handles = [Line2D([], [], color=colours[title], label=short(title, 60)) for title in titles]
            columns = 2 if max(map(len, titles)) > LONG else ACROSS
            figure.legend(
                handles=handles, loc="outside lower center", ncols=columns, fontsize=SMALL - 1, frameon=False
            )
        figure.suptitle(lines([title + ". Thin: each seed; thick: their mean."], PAGE), fontsize=SMALL)
    return figure


def _course(axes: Axes, course: Course, colour: str) -> None:
    values_ST = np.where(np.isfinite(course.values_ST), course.values_ST, np.nan)
    steps = np.arange(1, values_ST.shape[1] + 1)
    for values_T in values_ST:
        axes.plot(steps, values_T, color=colour, linewidth=0.5, alpha=0.5)
    axes.plot(steps, values_ST.mean(0), color=colour, linewidth=1.2)
    # The first candidates are far below all that follows.
    ends = values_ST[:, -1]
    low = np.nanquantile(values_ST, 0.05) if np.isfinite(values_ST).any() else 0.0
    top = float(np.nanmax([*ends, course.limit])) if np.isfinite([*ends, course.limit]).any() else 1.0
    room = max(top - low, 1e-9)
    before = axes.get_ylim() if len(axes.lines) > len(values_ST) + 1 else (np.inf, -np.inf)
    axes.set_ylim(min(before[0], low - 0.05 * room), max(before[1], top + 0.08 * room))
    if not math.isnan(course.limit):
        axes.axhline(course.limit, color="#777777", zorder=1, **CEILING)


@dataclass(frozen=True)
class Network:
    """The answer of a seed, to be drawn.

    Attributes:
        title: of the row.
        seed: the search's seed.
        stages: of the network.
    """

    title: str
    seed: int
    stages: tuple[Stage, ...]


def networks(rows: Sequence[Found]) -> list[Network]:
    """The answers of all rows, at most `MOST`; none where the space does not tell stages."""
    found = []
    for each in rows:
        for seed in each.seeds.to_dict("records"):
            stages = tuple(each.stages(str(seed["arch"])))
            if stages:
                found.append(Network(each.row.title, int(seed["seed"]), stages))
    return found[:MOST]


def draw_networks(found: Sequence[Network], dataset: str) -> Figure | None:
    """A line a network: its layers from input to output, each as high as it has channels."""
    if not found:
        return None
    pixels = sorted({stage.pixels for network in found for stage in network.stages}, reverse=True)
    colour = {size: COLOURS[place % len(COLOURS)] for place, size in enumerate(pixels)}
    widest = max(stage.width for network in found for stage in network.stages)
    titles = list(dict.fromkeys(network.title for network in found))
    with paper_style():
        height = 0.34 * len(found) + 0.2 * len(titles) + 0.6
        figure = Figure((PAGE, height), dpi=STYLE["savefig.dpi"], layout="constrained")
        axes = figure.subplots()
        y, ticks, labels, longest = 0.0, [], [], 0.0
        for title in titles:
            axes.text(0, y + 0.1, short(title, 90), fontsize=SMALL, va="bottom", weight="bold")
            for network in (network for network in found if network.title == title):
                y -= 1.0
                longest = max(longest, _network(axes, network, y, colour, widest))
                ticks.append(y + 0.42)
                labels.append(f"seed {network.seed}")
            y -= 0.75
        axes.set_yticks(ticks, labels, fontsize=SMALL)
        axes.set_xlim(0, longest + 0.2)
        axes.set_ylim(y + 0.4, 0.8)
        axes.set_xlabel("layers, from input to output (E: expansion, K: kernel, bottleneck-width)")
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
        handles: list[Any] = [
            Rectangle((0, 0), 1, 1, color=colour[size], alpha=0.45, label=f"{size} pixels") for size in pixels
        ]
        figure.legend(
            handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=SMALL,
            title=f"Networks that the searches end with, {DATASETS.get(dataset, dataset)}; height: channels",
            title_fontsize=SMALL,
        )  # fmt: skip
    return figure


def _network(axes: Axes, network: Network, y: float, colour: dict[int, str], widest: int) -> float:
    """Draw a network; returns where it ends."""
    x = 0.0
    for stage in network.stages:
        for block in stage.blocks:
            tall = 0.15 + 0.7 * math.sqrt(block.width / widest)
            look: dict[str, Any] = {
                "facecolor": colour[stage.pixels],
                "alpha": 0.45,
                "edgecolor": "black",
                "linewidth": 0.4,
            }
            axes.add_patch(Rectangle((x, y), block.layers, tall, **look))
            narrow = block.layers < 2
            text = f"{block.kind}{chr(10) if narrow else ' '}{block.widths}"
            size = SMALL - 2.6 if narrow else SMALL - 1.3
            middle = x + block.layers / 2
            axes.text(middle, y + 0.05, text, fontsize=size, ha="center", va="bottom", linespacing=0.9)
            x += block.layers
    return x
