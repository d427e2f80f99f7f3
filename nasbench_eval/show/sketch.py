"""A graph drawn with letters: a column a node, a line an edge."""

from __future__ import annotations

from collections.abc import Sequence

from nasbench_eval.spaces.base import Graph

WIDTH = 100
_NOTHING = "none"


def sketch(graph: Graph, width: int = WIDTH) -> list[str]:
    """Lines of text, no wider than `width` where the nodes leave room for it.

    Nodes stand in their order; an arrow leads from an edge's source to its target, dotted where the edge
    computes nothing.  At the end of the line stand its operations.  Nodes whose names need too much room are
    numbered, and named in lines of their own.
    """
    names, legend = list(graph.nodes), []
    if _across(names) > width:
        legend = [f"{place}: {name}" for place, name in enumerate(names)]
        names = [str(place) for place in range(len(names))]
    widths = [_column(name) for name in names]
    starts = [sum(widths[:place]) for place in range(len(names))]
    lines = ["".join(name.ljust(room) for name, room in zip(names, widths, strict=True))]
    for edge in graph.edges:
        at, to = starts[edge.source], starts[edge.target]
        stroke = "." if edge.operations and set(edge.operations) == {_NOTHING} else "-"
        arrow = " " * at + "o" + stroke * (to - at - 2) + ">o"
        said = ", ".join(edge.operations)
        lines.append(f"{arrow.ljust(sum(widths))}{said}" if said else arrow)
    return [line.rstrip() for line in [*lines, *_folded(legend, width)]]


def _across(names: Sequence[str]) -> int:
    return sum(map(_column, names))


def _column(name: str) -> int:
    return max(6, len(name) + 2)


def _folded(items: Sequence[str], width: int) -> list[str]:
    """Items one after another, as many a line as there is room for."""
    lines: list[str] = []
    for item in items:
        if lines and len(lines[-1]) + 2 + len(item) <= width:
            lines[-1] += f"  {item}"
        else:
            lines.append(item)
    return lines
