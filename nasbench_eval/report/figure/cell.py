"""Draws a cell: its nodes in a line, its edges as arrows and arcs, so that no edge runs through a node."""

from __future__ import annotations

from collections import Counter

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch
from matplotlib.path import Path

from nasbench_eval.report.figure.style import COLOURS, GREY, PAGE, SMALL, STYLE, paper_style, short
from nasbench_eval.spaces.base import Graph, GraphEdge

# What operations are called, and their colours.
OPERATIONS = {
    "none": ("none", GREY),
    "skip_connect": ("skip", COLOURS[3]),
    "nor_conv_1x1": ("1×1", COLOURS[0]),
    "nor_conv_3x3": ("3×3", COLOURS[1]),
    "avg_pool_3x3": ("avg", COLOURS[2]),
    "conv1x1": ("1×1", COLOURS[0]),
    "conv3x3": ("3×3", COLOURS[1]),
    "maxpool3x3": ("max", COLOURS[2]),
    "max_pool_3x3": ("max", COLOURS[2]),
    "sep_conv_3x3": ("sep 3×3", COLOURS[1]),
    "sep_conv_5x5": ("sep 5×5", COLOURS[4]),
    "dil_conv_3x3": ("dil 3×3", COLOURS[5]),
    "dil_conv_5x5": ("dil 5×5", COLOURS[6]),
}
LEGEND = "1×1, 3×3: convolutions. avg, max: pooling over 3×3."
MORE_OPERATIONS = " sep: separable, dil: dilated convolutions."
_ENDS = "#444444"
# How high an arc is over so many nodes.
_HEIGHTS = {1: 0.0, 2: 0.62, 3: 1.15}


def draw_graphs(graphs: tuple[Graph, ...], title: str) -> Figure:
    """A panel a graph, one below the other.  The figure belongs to no pyplot state."""
    widest = max(len(graph.nodes) for graph in graphs)
    named = [edge.operations for graph in graphs for edge in graph.edges if edge.operations]
    # Several operations on an edge stand on several lines, and more nodes have more arcs over one another.
    several = any(len(operations) > 1 for operations in named)
    across, down = (1.2, 2.9) if several else (1.0, 2.2) if named and widest > 4 else (0.75, 1.45)
    with paper_style():
        size = (min(PAGE, max(2.4, across * widest)), down * len(graphs) + 0.4)
        figure = Figure(size, dpi=STYLE["savefig.dpi"], layout="constrained")
        panels = figure.subplots(len(graphs), 1, squeeze=False)
        for axes, graph in zip(panels.flat, graphs, strict=True):
            if len(graphs) > 1:
                axes.set_title(graph.name, fontsize=SMALL, pad=1)
            draw_graph(axes, graph)
            axes.set_axis_off()
        figure.suptitle(title, fontsize=8)
        used = {name for g in graphs for name in (*g.nodes, *(o for e in g.edges for o in e.operations))}
        if used & OPERATIONS.keys():
            more = MORE_OPERATIONS if any(name.startswith(("sep_", "dil_")) for name in used) else ""
            figure.supxlabel(LEGEND + more, fontsize=SMALL)
    return figure


def draw_graph(axes: Axes, graph: Graph) -> None:
    """Draw a graph, and set the limits of the axes to it."""
    if any(edge.operations for edge in graph.edges):
        _draw_edges(axes, graph)
    else:
        _draw_nodes(axes, graph)


def _draw_edges(axes: Axes, graph: Graph) -> None:
    """A graph whose edges compute: they bear the names of their operations."""
    last, sides, heights = len(graph.nodes) - 1, Counter[int](), [0.0]
    for edge in graph.edges:
        span = edge.target - edge.source
        # Arcs of the same span go over and under the line in turn, straight ones to the next node.
        height = _HEIGHTS.get(span, 1.15 + 0.4 * (span - 3)) * (1 if sides[span] % 2 == 0 else -1)
        sides[span] += 1
        heights.append(height)
        name, colour = _called(edge)
        faint = set(edge.operations) == {"none"}
        gap = 0.14 if height else 0.13 if edge.target < last else 0.2
        _arc(axes, edge.source, edge.target, height, colour, faint, gap)
        if not name:
            continue
        axes.text(
            (edge.source + edge.target) / 2, height or 0.06, name, fontsize=SMALL, ha="center",
            va="center" if height else "bottom", color="#888888" if faint else colour,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6} if height else None,
        )  # fmt: skip
    for node, name in enumerate(graph.nodes):
        _node(axes, node, name, _ENDS)
    axes.set_xlim(-0.35, last + 0.35)
    axes.set_ylim(min(-0.95, min(heights) - 0.33), max(1.4, max(heights) + 0.25))


def _draw_nodes(axes: Axes, graph: Graph) -> None:
    """A graph whose nodes compute."""
    last, sides = len(graph.nodes) - 1, Counter[int]()
    for edge in graph.edges:
        span = edge.target - edge.source
        # Arcs of the same span go over and under the line in turn.
        side = 1 if sides[span] % 2 == 0 else -1
        sides[span] += 1
        _arc(axes, edge.source, edge.target, 0 if span == 1 else side * 0.2 * span, _ENDS, False, 0.3)
    for node, operation in enumerate(graph.nodes):
        name, colour = OPERATIONS.get(operation, (operation, _ENDS))
        _node(axes, node, short(name, 12), colour)
    axes.set_xlim(-0.6, last + 0.6)
    axes.set_ylim(-1.4, 1.4)


def _called(edge: GraphEdge) -> tuple[str, str]:
    """What stands at an edge, and its colour."""
    known = [OPERATIONS.get(name, (name, _ENDS)) for name in edge.operations]
    if len(known) == 1:
        return short(known[0][0], 12), known[0][1]
    names = [name for name, _ in known]
    # Two names a line.
    return "\n".join(" ".join(names[place : place + 2]) for place in range(0, len(names), 2)), _ENDS


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
