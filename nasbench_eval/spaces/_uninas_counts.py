"""Sizes of UniNAS networks in closed form.

With C channels on H·W positions, in G groups (the heads of attention around, else one):

    conv1           C² + C              C²·HW
    conv3           9C² + C             9C²·HW
    depth3, depth5  9C, 25C             9C·HW, 25C·HW
    norms           2C                  0
    position_bias   (2h − 1)(2w − 1)    0
    expand          8C² + 5C            8C²·HW, and what is inside at 4C
    reduce          (C/4)(2C + 5)       ½C²·HW, and what is inside at C/4
    attention       3C² + 3C            3C²·HW + 2C·(HW)², and what is inside

are the parameters and the multiply-accumulates (MAC), G times each; two FLOPs are one MAC.  The authors count
norms, activations and sums as well: `declared`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from nasbench_eval.spaces._uninas_graph import (
    ATTENTION,
    FACTOR,
    HEAD,
    Architecture,
    Body,
    Node,
    Place,
)

# Of each kind: C² and C in the parameters; C² and C in the multiply-accumulates a position; C in what the
# authors count besides.
_TERMS = {
    "conv1": (1, 1, 1, 0, 0),
    "conv3": (9, 1, 9, 0, 0),
    "depth3": (0, 9, 0, 9, 0),
    "depth5": (0, 25, 0, 25, 0),
    "batch_norm": (0, 2, 0, 0, 2),
    "layer_norm": (0, 2, 0, 0, 2),
    "gelu": (0, 0, 0, 0, 3),
    "sigmoid": (0, 0, 0, 0, 3),
    "max_pool": (0, 0, 0, 0, 9),
    "dropout": (0, 0, 0, 0, 1),
    "mask": (0, 0, 0, 0, 1),
    "add": (0, 0, 0, 0, 1),
    "gate": (0, 0, 0, 0, 4),
    "pool": (0, 0, 0, 0, 1),
    "expand": (8, 5, 8, 0, 0),
    "attention": (3, 3, 3, 0, 0),
}
# Sizes of sequences that are kept: edits change one of a network's twenty-four, and most others are equal.
_KEPT = 4096


class Size(NamedTuple):
    """Parameters, multiply-accumulates and the authors' FLOPs."""

    params: int = 0
    macs: int = 0
    declared: int = 0

    def plus(self, other: Size, times: int = 1) -> Size:
        return Size(*(a + times * b for a, b in zip(self, other, strict=True)))


@dataclass(frozen=True)
class Extent:
    """How large the maps of a sequence are: `side` pixels, and the side of the features around a map."""

    side: int
    around: int

    @property
    def positions(self) -> int:
        return self.side**2

    def inside(self, node: Node, body: int) -> Extent:
        if node.kind == "pool":
            return Extent(1, self.around)
        if node.kind == "attention" and ATTENTION[body % len(ATTENTION)] == "map":
            return Extent(self.positions, self.side)
        return self


def sides(resolution: int, stages: int) -> list[int]:
    """Height and width of the features of each stage: halved by the stem, then by each stage."""
    side, found = halved(resolution), []
    for _ in range(stages):
        side = halved(side)
        found.append(side)
    return found


def halved(side: int) -> int:
    """Height and width behind a stride of 2."""
    return -(-side // 2)


def total(arch: Architecture, resolution: int, num_classes: int) -> Size:
    """The size of the whole network for one image."""
    stem_1, stem_2 = arch.stem
    side = halved(resolution)
    weights = 9 * (3 * stem_1 + stem_1 * stem_2)
    size = Size(weights + 2 * stem_1, weights * side**2, 2 * weights * side**2)
    width_in = stem_2
    for blocks, width, side in zip(
        arch.blocks, arch.widths, sides(resolution, len(arch.widths)), strict=True
    ):
        place, extent = Place(width), Extent(side, side)
        size = size.plus(_entry(width_in, width, side)).plus(_norm(width), 2 * len(blocks) - 1)
        for halves in blocks:
            for body in halves:
                size = size.plus(of_body(body, place, extent))
        width_in = width
    head = width_in * num_classes
    return size.plus(Size(2 * width_in + head + num_classes, head, 2 * head))


def _norm(width: int) -> Size:
    return Size(2 * width)


def _entry(width_in: int, width: int, side: int) -> Size:
    """The first norm of a stage, and what halves the maps on both ways."""
    size = _norm(width_in)
    if width_in == width:
        return size
    return size.plus(
        Size(width_in * width + width, width_in * width * side**2, 2 * width_in * width * side**2), 2
    )


@lru_cache(_KEPT)
def of_body(body: Body, place: Place, extent: Extent) -> Size:
    """The size of a sequence."""
    size = Size()
    for node in body:
        size = size.plus(of_node(node, place, extent))
    return size


def of_node(node: Node, place: Place, extent: Extent) -> Size:
    """The size of a node with all that is inside."""
    size = Size().plus(_own(node.kind, place, extent), place.groups)
    for which, body in enumerate(node.bodies):
        if body:
            size = size.plus(of_body(body, place.inside(node, which), extent.inside(node, which)))
    return size


def _own(kind: str, place: Place, extent: Extent) -> Size:
    """The size of one group of a node without what is inside."""
    c, hw = place.channels, extent.positions
    if kind == "position_bias":
        return Size((2 * extent.around - 1) ** 2, 0, hw)
    if kind == "softmax":
        return Size(0, 0, c * extent.side * (3 * extent.side - 1))
    if kind == "reduce":
        return Size(
            c // FACTOR * (2 * c + FACTOR + 1), 2 * c * (c // FACTOR) * hw, 4 * c * (c // FACTOR) * hw
        )
    square, linear, macs_square, macs, declared = _TERMS.get(kind, (0, 0, 0, 0, 0))
    product = macs_square * c * c + macs * c
    size = Size(square * c * c + linear * c, product * hw, (2 * product + declared * c) * hw)
    if kind == "attention":  # q k and map v, for all pairs of positions
        size = size.plus(Size(0, 2 * c * hw**2, c // HEAD * 128 * hw**2))
    return size
