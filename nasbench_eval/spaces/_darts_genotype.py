"""Genotypes of the DARTS space: their two texts, the rules they keep, and which of them are the same.

Liu, Simonyan & Yang, "DARTS: Differentiable Architecture Search", ICLR 2019, section 2.1 and appendix A.1.
A cell has two inputs, the outputs of the two cells before it, which are its nodes 0 and 1, and four nodes of
its own, 2 to 5.  Each of these is the sum of two operations on earlier nodes.  The cell puts out its four
nodes side by side.  A genotype is one normal cell and one reduction cell.

Our text has `+` between the two operations of a node, `|` between nodes and `/` between the cells, each
operation followed by `~` and the node that it is applied to:

    sep3~0+sep3~1|sep3~0+sep3~1|sep3~1+skip~0|skip~0+dil3~2/max~0+max~1|skip~2+max~1|max~0+skip~2|skip~2+max~1

Publications print `Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=[2, 3, 4, 5], reduce=...)`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import permutations

from nasbench_eval.wording import shown

# In the order of TE-NAS's and TEG-NAS's code, with what they are called in our text.
SHORT = {
    "none": "none",
    "skip_connect": "skip",
    "sep_conv_3x3": "sep3",
    "sep_conv_5x5": "sep5",
    "dil_conv_3x3": "dil3",
    "dil_conv_5x5": "dil5",
    "avg_pool_3x3": "avg",
    "max_pool_3x3": "max",
}
OPERATIONS = tuple(SHORT)
_FULL = {short: name for name, short in SHORT.items()}
# A cell's inputs, its own nodes, and the operations of each.
INPUTS, NODES, PER_NODE = 2, 4, 2
CELLS = ("normal", "reduce")
# The 14 edges that a cell may have, (source, target), node after node.
EDGES = tuple((source, node) for node in range(INPUTS, INPUTS + NODES) for source in range(node))
# Twice as long as any genotype as publications print it.
_LONGEST = 2000
_CONCAT = ("[2,3,4,5]", "range(2,6)")
_PAIR = re.compile(r"[(\[]['\"]([^'\"]*)['\"],(-?[0-9]{1,9})[)\]]", re.ASCII)
_FIELD = re.compile(
    r"(normal|normal_concat|reduce|reduce_concat)="
    r"(\[(?:[(\[]['\"][^'\"]*['\"],-?[0-9]{1,9}[)\]],?)*\]|[\[(][0-9,]*[\])]|range\([0-9,]*\)),?",
    re.ASCII,
)


class MalformedGenotype(ValueError):
    """A text or a list of edges that is no genotype; the message names the cell, the node and the rule."""


@dataclass(frozen=True, order=True)
class Edge:
    """An operation, and the node that it is applied to."""

    operation: str
    source: int

    def __str__(self) -> str:
        return f"{SHORT[self.operation]}~{self.source}"


# The edges into each of the four nodes, in the order in which they are added.
Cell = tuple[tuple[Edge, ...], ...]


@dataclass(frozen=True)
class Genotype:
    """A normal cell and a reduction cell, each the two edges into each of its four nodes.

    Two edges into a node may come from the same node, and `none` may be among the operations.  DARTS gives
    neither, but published tables have both.

    Raises:
        MalformedGenotype: for anything else.
    """

    normal: Cell
    reduce: Cell

    def __post_init__(self) -> None:
        for name in CELLS:
            _check(name, getattr(self, name))

    @property
    def cells(self) -> tuple[Cell, Cell]:
        """The normal cell and the reduction cell."""
        return self.normal, self.reduce

    @property
    def edges(self) -> tuple[tuple[Edge, ...], tuple[Edge, ...]]:
        """The edges of the normal cell and those of the reduction cell."""
        normal, reduce = (tuple(edge for node in cell for edge in node) for cell in self.cells)
        return normal, reduce

    def __str__(self) -> str:
        return "/".join("|".join("+".join(map(str, node)) for node in cell) for cell in self.cells)


def _check(name: str, cell: Cell) -> None:
    for node, edges in enumerate(cell, INPUTS):
        if len(edges) != PER_NODE:
            found = f"{len(edges)} edges" if len(edges) != 1 else "1 edge"
            raise MalformedGenotype(f"node {node} of the {name} cell has {found}; a node has {PER_NODE}")
        for edge in edges:
            where = f"node {node} of the {name} cell"
            if edge.operation not in SHORT:
                raise MalformedGenotype(
                    f"{where}: {shown(str(edge.operation), 30)} is no operation of DARTS: "
                    f"{', '.join(OPERATIONS)}"
                )
            if not 0 <= edge.source < node:
                raise MalformedGenotype(
                    f"{where} has an edge from node {edge.source}; "
                    f"edges come from earlier nodes, 0 to {node - 1}"
                )
    if len(cell) < NODES:
        raise MalformedGenotype(f"node {INPUTS + len(cell)} of the {name} cell is missing; nodes are 2 to 5")
    if len(cell) > NODES:
        raise MalformedGenotype(f"the {name} cell has {len(cell)} nodes of its own; it has {NODES}, 2 to 5")


def read(text: str) -> Genotype:
    """The genotype of a text, in our form or in that of publications.  It is parsed, never evaluated.

    Raises:
        MalformedGenotype: if it names none.
    """
    if len(text) > _LONGEST:
        raise MalformedGenotype(f"{shown(text, 60)} is too long for a genotype: {len(text):,} characters")
    text = "".join(text.split())
    reader = _published if text.startswith("Genotype") else _ours
    try:
        return reader(text)
    except MalformedGenotype as error:
        raise MalformedGenotype(f"{shown(text, 60)} is no genotype: {error}") from None


def _ours(text: str) -> Genotype:
    cells = text.split("/")
    if len(cells) != len(CELLS):
        raise MalformedGenotype(
            "it is of the form `sep3~0+skip~1|.../...`, the normal cell, a slash, the reduction cell"
        )
    return Genotype(*(_cell(name, cell) for name, cell in zip(CELLS, cells, strict=True)))


def _cell(name: str, text: str) -> Cell:
    found = []
    for node, part in enumerate(text.split("|"), INPUTS):
        edges = []
        for token in filter(None, part.split("+")):
            operation, _, source = token.partition("~")
            if not re.fullmatch(r"[0-9]{1,9}", source, re.ASCII):
                raise MalformedGenotype(
                    f"node {node} of the {name} cell: {shown(token, 30)} is no edge such as sep3~0"
                )
            edges.append(Edge(_FULL.get(operation, operation), int(source)))
        found.append(tuple(edges))
    return tuple(found)


def _published(text: str) -> Genotype:
    inside = re.fullmatch(r"Genotype\((.*)\)", text)
    fields = _FIELD.findall(inside[1]) if inside else []
    if (
        not inside
        or _FIELD.sub("", inside[1])
        or sorted(name for name, _ in fields) != sorted((*CELLS, *(f"{name}_concat" for name in CELLS)))
    ):
        raise MalformedGenotype(
            "it is of the form Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=[2, 3, 4, 5], "
            "reduce=[...], reduce_concat=[2, 3, 4, 5])"
        )
    named = dict(fields)
    for name in CELLS:
        if (concat := named[f"{name}_concat"]) not in _CONCAT:
            raise MalformedGenotype(
                f"the {name} cell puts out {shown(concat, 30)}; "
                "in this space it puts out all of its nodes, [2, 3, 4, 5]"
            )
    return Genotype(*(_in_pairs(name, _PAIR.findall(named[name])) for name in CELLS))


def _in_pairs(name: str, edges: Sequence[tuple[str, str]]) -> Cell:
    """The cell of a list of edges, two a node."""
    if len(edges) % PER_NODE:
        node = INPUTS + len(edges) // PER_NODE
        raise MalformedGenotype(
            f"the {name} cell has {len(edges)} edges, so that node {node} has 1; a node has {PER_NODE}"
        )
    row = [Edge(operation, int(source)) for operation, source in edges]
    return tuple(tuple(row[at : at + PER_NODE]) for at in range(0, len(row), PER_NODE))


def published(genotype: Genotype) -> str:
    """The text of a genotype as publications print it."""
    fields = []
    for name, cell in zip(CELLS, genotype.cells, strict=True):
        edges = ", ".join(f"('{edge.operation}', {edge.source})" for node in cell for edge in node)
        fields.append(f"{name}=[{edges}], {name}_concat=[2, 3, 4, 5]")
    return f"Genotype({', '.join(fields)})"


def canonical(genotype: Genotype) -> Genotype:
    """One genotype for all that are the same but for the order of edges and of nodes.

    The order of a node's two edges changes nothing; that of nodes changes the order of channels in which a
    cell puts them out, so that the networks are the same up to the order of weights.  What `none` is applied
    to changes nothing.
    """
    return Genotype(*map(_least, genotype.cells))


def _least(cell: Cell) -> Cell:
    orders = (order for order in permutations(range(NODES)) if _possible(cell, order))
    return min((_renamed(cell, order) for order in orders), key=_key)


def _possible(cell: Cell, order: Sequence[int]) -> bool:
    """Whether every node comes after those that it reads."""
    place = {INPUTS + node: at for at, node in enumerate(order)}
    return all(
        edge.source < INPUTS or place[edge.source] < place[INPUTS + node]
        for node, edges in enumerate(cell)
        for edge in edges
        if edge.operation != "none"
    )


def _renamed(cell: Cell, order: Sequence[int]) -> Cell:
    """The cell with its nodes in another order, the edges of each sorted."""
    name = {0: 0, 1: 1} | {INPUTS + node: INPUTS + at for at, node in enumerate(order)}
    nodes = []
    for node in order:
        edges = (
            Edge(edge.operation, 0 if edge.operation == "none" else name[edge.source]) for edge in cell[node]
        )
        nodes.append(tuple(sorted(edges, key=_edge_key)))
    return tuple(nodes)


def _edge_key(edge: Edge) -> tuple[int, int]:
    return edge.source, OPERATIONS.index(edge.operation)


def _key(cell: Cell) -> tuple[tuple[int, int], ...]:
    return tuple(_edge_key(edge) for node in cell for edge in node)


def reached(cell: Cell) -> frozenset[int]:
    """The nodes of a cell that its inputs reach, these among them; the others are always zero."""
    found = set(range(INPUTS))
    for node, edges in enumerate(cell, INPUTS):
        if any(edge.operation != "none" and edge.source in found for edge in edges):
            found.add(node)
    return frozenset(found)


def with_edge(genotype: Genotype, cell: int, node: int, slot: int, edge: Edge) -> Genotype:
    """The genotype with another edge in the place of one."""
    cells = list(genotype.cells)
    nodes = [list(edges) for edges in cells[cell]]
    nodes[node][slot] = edge
    cells[cell] = tuple(map(tuple, nodes))
    return Genotype(*cells)


def made(edges: Callable[[int, int], Iterable[Edge]]) -> Genotype:
    """The genotype whose edges into a node (2 to 5) of a cell (0 or 1) a function gives."""
    return Genotype(
        *(
            tuple(tuple(edges(cell, node)) for node in range(INPUTS, INPUTS + NODES))
            for cell in range(len(CELLS))
        )
    )
