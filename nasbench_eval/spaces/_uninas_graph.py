"""What a UniNAS architecture is made of: nodes in sequences, which nodes may stand where, and known networks.

Týbl & Neumann, "Universal Neural Architecture Space", arXiv 2510.06035, section 3.  Every node keeps the
shape of what it is given.  The `Place` of a sequence says what that is:

    features    maps of C channels
    map         the weights of attention, one map of (h·w)² entries a head
    pool        C channels of one position
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

# Channels of a head of attention, and the sequences of one.
HEAD = 32
ATTENTION = ("q", "k", "v", "map", "out")
# How much `expand` multiplies and `reduce` divides channels by.
FACTOR = 4
# How many sequences each composite node holds; those of attention are shared by its heads, or one set a head.
COMPOSITES = {
    "add": 2,
    "gate": 2,
    "split": 2,
    "expand": 1,
    "reduce": 1,
    "pool": 1,
    "attention": len(ATTENTION),
}
SIMPLE = (
    "conv1",
    "conv3",
    "depth3",
    "depth5",
    "batch_norm",
    "layer_norm",
    "gelu",
    "sigmoid",
    "softmax",
    "max_pool",
    "dropout",
    "mask",
    "position_bias",
    "identity",
    "zero",
)
# The 20 kinds that a mutation adds.
KINDS = (*SIMPLE[: SIMPLE.index("identity")], *COMPOSITES)
_OF_MAPS = ("softmax", "mask")


@dataclass(frozen=True)
class Node:
    """An operation, or a composite one with the sequences inside it.

    Attributes:
        kind: one of `SIMPLE` or `COMPOSITES`.
        bodies: the sequences of a composite one; of attention five, which all heads share, or five a head.
    """

    kind: str
    bodies: tuple[Body, ...] = ()


Body: TypeAlias = "tuple[Node, ...]"
# Two residual halves, S1 and S2.
Block: TypeAlias = "tuple[Body, Body]"


@dataclass(frozen=True)
class Architecture:
    """A network.

    Attributes:
        blocks: those of each stage.
        widths: channels of each stage.
        stem: channels of the stem's two convolutions.
    """

    blocks: tuple[tuple[Block, ...], ...]
    widths: tuple[int, ...]
    stem: tuple[int, int]

    def halves(self) -> Iterator[tuple[int, int, int, Body, Place]]:
        """Stage, block, half, the half's sequence and its place, in the order of the pass."""
        for stage, (blocks, width) in enumerate(zip(self.blocks, self.widths, strict=True)):
            place = Place(width, stage=stage)
            for block, halves in enumerate(blocks):
                for half, body in enumerate(halves):
                    yield stage, block, half, body, place

    def with_half(self, stage: int, block: int, half: int, body: Body) -> Architecture:
        """The same network but for one half of one block."""
        halves = list(self.blocks[stage][block])
        halves[half] = body
        row = list(self.blocks[stage])
        row[block] = (halves[0], halves[1])
        return replace(self, blocks=(*self.blocks[:stage], tuple(row), *self.blocks[stage + 1 :]))


@dataclass(frozen=True)
class Place:
    """What a sequence is given.

    Attributes:
        channels: of each of its groups.
        groups: heads around that share it, or one.
        kind: see the module.
        depth: in how many composite nodes it stands.
        stage: of the network.
    """

    channels: int
    groups: int = 1
    kind: Literal["features", "map", "pool"] = "features"
    depth: int = 0
    stage: int = 0

    def inside(self, node: Node, body: int) -> Place:
        """The place of one of a node's sequences, by its number."""
        channels, groups, kind = self.channels, self.groups, self.kind
        if node.kind == "split":
            channels //= 2
        elif node.kind == "expand":
            channels *= FACTOR
        elif node.kind == "reduce":
            channels //= FACTOR
        elif node.kind == "pool":
            kind = "pool"
        elif node.kind == "attention":
            of_map = ATTENTION[body % len(ATTENTION)] == "map"
            if len(node.bodies) == len(ATTENTION):
                groups *= self.heads()
            channels, kind = (1, "map") if of_map else (HEAD, kind)
        return replace(self, channels=channels, groups=groups, kind=kind, depth=self.depth + 1)

    def heads(self) -> int:
        """How many heads attention has here."""
        return self.channels // HEAD


def bodies_of(body: Body, place: Place) -> Iterator[tuple[tuple[tuple[int, int], ...], Body, Place]]:
    """A sequence and all that are nested in it: the way to each, the sequence and its place.

    A way is a list of pairs, the number of a node and that of one of its sequences.
    """
    yield (), body, place
    for at, node in enumerate(body):
        for which, inner in enumerate(node.bodies):
            for way, found, there in bodies_of(inner, place.inside(node, which)):
                yield ((at, which), *way), found, there


def changed(body: Body, way: tuple[tuple[int, int], ...], found: Body) -> Body:
    """A sequence with another one at the end of a way."""
    if not way:
        return found
    (at, which), *rest = way
    node = body[at]
    inner = changed(node.bodies[which], tuple(rest), found)
    bodies = (*node.bodies[:which], inner, *node.bodies[which + 1 :])
    return (*body[:at], Node(node.kind, bodies), *body[at + 1 :])


def nodes_in(body: Body) -> int:
    """How many nodes a sequence has, those inside of others included."""
    return sum(1 + sum(map(nodes_in, node.bodies)) for node in body)


@dataclass(frozen=True)
class Rules:
    """Which nodes may stand where.

    Attributes:
        strict: softmax and mask in maps of attention alone; the authors have them anywhere.
        max_depth: how deep sequences may be nested.
        max_nodes: how many nodes a network may have.
    """

    strict: bool
    max_depth: int
    max_nodes: int

    def broken(self, kind: str, place: Place) -> str | None:
        """Which rule a node of a kind would break at a place; None for none."""
        channels = place.channels
        if kind in COMPOSITES and place.depth >= self.max_depth:
            return f"sequences are nested {place.depth} deep here, max_depth={self.max_depth}"
        if kind == "split" and channels % 2:
            return f"split halves the channels, and here are {channels}"
        if kind == "reduce" and channels % FACTOR:
            return f"reduce takes a quarter of the channels, and here are {channels}"
        if kind == "attention" and place.kind != "features":
            return f"attention is between positions of features, and this is a {place.kind}"
        if kind == "attention" and channels % HEAD:
            return f"attention takes {HEAD} channels a head, and here are {channels}"
        if kind == "position_bias" and place.kind != "map":
            return "position_bias is for maps of attention"
        if kind in _OF_MAPS and self.strict and place.kind != "map":
            return f"{kind} is for maps of attention; strict=false allows it elsewhere"
        if kind == "batch_norm" and place.kind == "pool":
            return "batch_norm in a pool sees one value an image"
        return None


def _simple(*kinds: str) -> Body:
    return tuple(map(Node, kinds))


def _around(kind: str, *bodies: Body) -> Node:
    return Node(kind, bodies)


_SQUEEZE = _around("gate", (), (_around("pool", (_around("reduce", _simple("gelu")),)),))
_INVERTED = _around("expand", (*_simple("batch_norm", "gelu", "depth5", "batch_norm", "gelu"), _SQUEEZE))
_SELF_ATTENTION = _around("attention", (), (), (), _simple("position_bias", "softmax"), ())
# The blocks of known networks: of residual networks, of EfficientNets and of transformers.
BLOCKS: dict[str, Block] = {
    "R": (_simple("conv3", "batch_norm", "gelu", "conv3", "batch_norm", "gelu"), _simple("zero")),
    "E": ((_INVERTED, *_simple("batch_norm")), _simple("zero")),
    "T": (
        (_SELF_ATTENTION, *_simple("conv1")),
        (_around("expand", _simple("layer_norm", "gelu")),),
    ),
}
LETTERS = {block: letter for letter, block in BLOCKS.items()}
# The known networks: the blocks of each stage, and their widths.
NETWORKS: dict[str, tuple[str, tuple[int, ...]]] = {
    "resnet": ("RRRR", (64, 128, 384, 512)),
    "efficientnet": ("EEEE", (96, 192, 384, 512)),
    "vit": ("TTTT", (96, 192, 384, 768)),
    "coatnet": ("EETT", (96, 192, 384, 768)),
}


def canonical(body: Body) -> Body:
    """One sequence for all that say the same: see `Architecture` and `uninas.UniNAS.canonical`."""
    found = []
    for node in body:
        if node.kind == "identity":
            continue
        bodies = tuple(map(canonical, node.bodies))
        if node.kind == "add":
            bodies = tuple(sorted(bodies, key=repr))
        if node.kind == "attention" and len(set(heads_of(bodies))) == 1:
            bodies = heads_of(bodies)[0]
        found.append(Node(node.kind, bodies))
    return tuple(found)


def heads_of(bodies: tuple[Body, ...]) -> list[tuple[Body, ...]]:
    """The sequences of attention a head; one set where the heads share them."""
    size = len(ATTENTION)
    return [bodies[at : at + size] for at in range(0, len(bodies), size)]
