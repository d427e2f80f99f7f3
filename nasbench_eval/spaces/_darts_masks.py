"""Masks of the DARTS supernet: a set of operations on each of the 14 edges of both cells.

Chen, Gong & Wang, "Neural Architecture Search on ImageNet in Four GPU Hours: A Theoretically Inspired
Perspective" (TE-NAS), ICLR 2021, section 3.3.  An edge whose set is empty is not there.

The text is that of a genotype (see `_darts_genotype`) with commas between the operations of an edge.  Each
edge stands once, a node's edges in the order of their sources, operations in the order of `OPERATIONS`:

    skip~0+sep3,sep5~1|skip~0+none,max~2|...|.../...

A genotype in which no node reads the same node twice is a mask: one operation on two edges of each node.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from nasbench_eval.spaces import _darts_genotype as genotypes
from nasbench_eval.spaces._darts_genotype import (
    CELLS,
    EDGES,
    INPUTS,
    NODES,
    OPERATIONS,
    PER_NODE,
    SHORT,
    Edge,
    Genotype,
)
from nasbench_eval.wording import shown

# The operations of an edge, in the order of `OPERATIONS`, and those of a cell, in the order of `EDGES`.
Names = tuple[str, ...]
Sets = tuple[Names, ...]
# A text of all operations on all edges has some 1,200 characters.
_LONGEST = 2500
_FULL = {short: name for name, short in SHORT.items()}


class MalformedMask(ValueError):
    """A text that is no mask; the message names the cell, the node and the rule."""


@dataclass(frozen=True)
class Mask:
    """The operations on each edge of the normal cell and of the reduction cell.

    Raises:
        MalformedMask: if these are no two lists of 14 sets, each in the order of `OPERATIONS`.
    """

    normal: Sets
    reduce: Sets

    def __post_init__(self) -> None:
        for name, sets in zip(CELLS, self.cells, strict=True):
            if len(sets) != len(EDGES) or any(_ordered(names) != names for names in sets):
                order = ", ".join(OPERATIONS)
                raise MalformedMask(
                    f"the {name} cell has {len(EDGES)} sets of operations in the order {order}"
                )

    @property
    def cells(self) -> tuple[Sets, Sets]:
        """The normal cell and the reduction cell."""
        return self.normal, self.reduce

    @cached_property
    def edges(self) -> tuple[tuple[Edge, ...], tuple[Edge, ...]]:
        """All operations of the normal cell and all of the reduction cell."""
        normal, reduce = (tuple(edge for node in _nodes(sets) for edge in node) for sets in self.cells)
        return normal, reduce

    @cached_property
    def genotype(self) -> Genotype | None:
        """The genotype that it is; None while a node has not two edges of one operation each."""
        cells = [tuple(tuple(node) for node in _nodes(sets)) for sets in self.cells]
        several = any(len(names) > 1 for sets in self.cells for names in sets)
        if several or any(len(node) != PER_NODE for cell in cells for node in cell):
            return None
        return Genotype(*cells)

    def __str__(self) -> str:
        return "/".join("|".join(map(_text, _edges_by_node(sets))) for sets in self.cells)


def _ordered(names: Names) -> Names:
    return tuple(name for name in OPERATIONS if name in names)


def _edges_by_node(sets: Sets) -> list[list[tuple[int, Names]]]:
    """The edges that are there into each node: source and operations."""
    found: list[list[tuple[int, Names]]] = [[] for _ in range(NODES)]
    for (source, node), names in zip(EDGES, sets, strict=True):
        if names:
            found[node - INPUTS].append((source, names))
    return found


def _nodes(sets: Sets) -> Iterator[list[Edge]]:
    """Each node's operations."""
    for edges in _edges_by_node(sets):
        yield [Edge(name, source) for source, names in edges for name in names]


def _text(edges: list[tuple[int, Names]]) -> str:
    return "+".join(f"{','.join(SHORT[name] for name in names)}~{source}" for source, names in edges)


def mask_of(genotype: Genotype) -> Mask:
    """The mask of a genotype.

    Raises:
        MalformedMask: if one of its nodes reads the same node twice.
    """
    cells = []
    for name, cell in zip(CELLS, genotype.cells, strict=True):
        sets: dict[tuple[int, int], Names] = {}
        for node, edges in enumerate(cell, INPUTS):
            for edge in edges:
                if (edge.source, node) in sets:
                    raise MalformedMask(_twice(node, name, edge.source))
                sets[edge.source, node] = (edge.operation,)
        cells.append(tuple(sets.get(edge, ()) for edge in EDGES))
    return Mask(*cells)


def _twice(node: int, cell: str, source: int) -> str:
    return f"node {node} of the {cell} cell has two edges from node {source}; a supernet has one"


def read(text: str) -> Mask:
    """The mask of a text, or of a genotype as publications print it.

    Raises:
        MalformedMask: if it names none.
    """
    if len(text) > _LONGEST:
        raise MalformedMask(f"{shown(text, 60)} is too long for a mask: {len(text):,} characters")
    text = "".join(text.split())
    try:
        if text.startswith("Genotype"):
            return mask_of(genotypes.read(text))
        cells = text.split("/")
        if len(cells) != len(CELLS):
            raise MalformedMask(
                "it is of the form `skip~0+sep3,sep5~1|.../...`, the normal cell, a slash, the reduction cell"
            )
        return Mask(*(_sets(name, cell) for name, cell in zip(CELLS, cells, strict=True)))
    except MalformedMask as error:
        raise MalformedMask(f"{shown(text, 60)} is no mask: {error}") from None


def _sets(name: str, text: str) -> Sets:
    nodes = text.split("|")
    if len(nodes) != NODES:
        raise MalformedMask(f"the {name} cell has {len(nodes)} nodes of its own; it has {NODES}, 2 to 5")
    sets: dict[tuple[int, int], Names] = {}
    for node, part in enumerate(nodes, INPUTS):
        for token in filter(None, part.split("+")):
            source, names = _edge(token, node, name)
            if (source, node) in sets:
                raise MalformedMask(_twice(node, name, source))
            sets[source, node] = names
    return tuple(sets.get(edge, ()) for edge in EDGES)


def _edge(token: str, node: int, cell: str) -> tuple[int, Names]:
    where = f"node {node} of the {cell} cell"
    listed, _, source = token.partition("~")
    names = tuple(_FULL.get(short, short) for short in listed.split(","))
    for name in names:
        if name not in SHORT:
            raise MalformedMask(
                f"{where}: {shown(name, 30)} is no operation of DARTS: {', '.join(SHORT.values())}"
            )
    if _ordered(names) != names:
        raise MalformedMask(
            f"{where}: the operations {shown(listed, 60)} are not in the order {', '.join(SHORT.values())}"
        )
    if not (source.isascii() and source.isdigit() and len(source) < 10 and int(source) < node):
        raise MalformedMask(f"{where}: {shown(token, 60)} comes from no earlier node, 0 to {node - 1}")
    return int(source), names
