"""Draws networks of nested graphs: a box an operation, a frame around those that hold others.

A sequence runs from top to bottom, and branches stand side by side.  What an earlier network lacks is green,
what it alone has is red and dashed; halves of blocks that stayed as they were are one box each,
where others did not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from nasbench_eval.report.figure.style import PAGE, STYLE, paper_style
from nasbench_eval.spaces.base import Box, Part

# Sizes in units of a box's height: its width, the gap between things, and the line above what a frame holds.
_WIDTH, _GAP, _HEAD = 4.2, 0.28, 0.95
# Inches of a unit, and units that fit across a page.
_UNIT = 0.135
_ACROSS = PAGE / _UNIT - 2
_FONT = 4.6
_FACE = {"kept": "#f3f3f3", "new": "#d3efd6", "gone": "#ffffff"}
_LINE = {"kept": "#777777", "new": "#1b7f37", "gone": "#c0392b"}


@dataclass
class _Laid:
    """A thing with its size, and things inside at places of their own.

    Attributes:
        label: what stands in it.
        mark: as in `Box`; "" for what is not drawn itself.
        frame: whether the label stands above what is inside.
    """

    width: float
    height: float
    label: str = ""
    mark: str = ""
    frame: bool = False
    inside: list[tuple[float, float, _Laid]] = field(default_factory=list)


def draw_parts(parts: Sequence[Part], title: str) -> Figure:
    """A network's blocks, stage after stage.  The figure belongs to no pyplot state."""
    whole = all(_untouched(box) for part in parts for _, boxes in part.halves for box in boxes)
    lines = _lines([(part.stage, _part(part, whole)) for part in parts])
    height = sum(max(laid.height for laid in line) + 2 * _GAP for _, line in lines)
    # A block that is wider than a page makes a wider figure.
    width = max(PAGE, _UNIT * max(2 + sum(laid.width + 2 * _GAP for laid in line) for _, line in lines))
    with paper_style():
        size = (width, height * _UNIT + 0.3)
        figure = Figure(size, dpi=STYLE["savefig.dpi"])
        axes = figure.add_axes((0, 0, 1, height * _UNIT / size[1]))
        axes.set_axis_off()
        axes.set_xlim(0, width / _UNIT)
        axes.set_ylim(height, 0)
        y, named = 0.0, 0
        for stage, line in lines:
            if stage != named:
                axes.text(
                    0.9, y + 0.3, f"stage {stage}", fontsize=_FONT + 1, rotation=90, va="top", ha="center"
                )
                named = stage
            x = 2.0
            for laid in line:
                _draw(axes, laid, x, y)
                x += laid.width + 2 * _GAP
            y += max(laid.height for laid in line) + 2 * _GAP
        figure.suptitle(title, fontsize=8, y=1 - 0.06 / size[1], va="top")
    return figure


def _lines(laid: Sequence[tuple[int, _Laid]]) -> list[tuple[int, list[_Laid]]]:
    """The blocks of each stage in lines that fit the page."""
    lines: list[tuple[int, list[_Laid]]] = []
    for stage, block in laid:
        room = _ACROSS - sum(each.width + 2 * _GAP for each in lines[-1][1]) if lines else 0
        if not lines or lines[-1][0] != stage or block.width > room:
            lines.append((stage, []))
        lines[-1][1].append(block)
    return lines


def _part(part: Part, whole: bool) -> _Laid:
    halves = [_half(name, boxes, whole) for name, boxes in part.halves]
    return _stack(halves, part.title)


def _half(name: str, boxes: Sequence[Box], whole: bool) -> _Laid:
    if boxes and not whole and all(map(_untouched, boxes)):
        return _leaf(f"{name}: {' '.join(box.name for box in boxes)}"[:26], "kept")
    return _stack([_box(box) for box in boxes] or [_leaf("nothing", "")], name)


def _untouched(box: Box) -> bool:
    return box.mark == "kept" and all(_untouched(each) for _, body in box.bodies for each in body)


def _box(box: Box) -> _Laid:
    filled = [(name, body) for name, body in box.bodies if body]
    if not filled:
        return _leaf(box.name, box.mark)
    columns = [_stack([_box(each) for each in body], name) for name, body in filled]
    width, height, inside = _GAP, 0.0, []
    for column in columns:
        inside.append((width, _HEAD, column))
        width += column.width + _GAP
        height = max(height, column.height)
    empty = len(box.bodies) - len(filled)
    bare = f", {empty} empty" if empty and box.name != "attention" else ""
    label = f"{box.name}{bare}"
    return _Laid(max(width, 0.42 * len(label)), height + _HEAD + _GAP, label, box.mark, True, inside)


def _leaf(label: str, mark: str) -> _Laid:
    return _Laid(max(_WIDTH, 0.36 * len(label) + 0.6), 1.0, label, mark)


def _stack(things: Sequence[_Laid], name: str) -> _Laid:
    """Things below each other, under a name."""
    y, inside = _HEAD if name else 0.0, []
    width = max(max(thing.width for thing in things), 0.42 * len(name))
    for thing in things:
        inside.append(((width - thing.width) / 2, y, thing))
        y += thing.height + _GAP
    return _Laid(width, y, name, "", bool(name), inside)


def _draw(axes: Axes, laid: _Laid, x: float, y: float) -> None:
    if laid.mark:
        axes.add_patch(
            Rectangle(
                (x, y), laid.width, laid.height, facecolor=_FACE[laid.mark], edgecolor=_LINE[laid.mark],
                linewidth=0.5, linestyle="--" if laid.mark == "gone" else "-",
            )
        )  # fmt: skip
    if laid.label:
        colour = _LINE.get(laid.mark, "#444444") if laid.mark != "kept" else "#222222"
        at = y + (_HEAD if laid.frame else laid.height) / 2
        axes.text(x + laid.width / 2, at, laid.label, fontsize=_FONT, color=colour, ha="center", va="center")
    for right, down, thing in laid.inside:
        _draw(axes, thing, x + right, y + down)
