"""How genotypes are drawn and changed, and which choices they consist of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nasbench_eval.spaces._darts_genotype import (
    CELLS,
    EDGES,
    INPUTS,
    NODES,
    OPERATIONS,
    PER_NODE,
    Edge,
    Genotype,
    made,
    with_edge,
)

Mutation = Literal["distinct", "teg"]
NONE = "none"


def derived(weights_KEO: NDArray[np.float64]) -> Genotype:
    """The genotype that DARTS derives from weights of operations on all edges of both cells.

    Of each edge the operation with the largest weight, `none` left out; of each node the two edges whose
    weight is largest, the larger one first (Liu, Simonyan & Yang 2019, section 2.4).

    Args:
        weights_KEO: of the 2 cells, 14 edges and 8 operations, in the orders of `CELLS`, `EDGES` and
            `OPERATIONS`.
    """
    allowed = weights_KEO.copy()
    allowed[..., OPERATIONS.index(NONE)] = -np.inf
    best_KE, largest_KE = allowed.argmax(-1), allowed.max(-1)

    def into(cell: int, node: int) -> list[Edge]:
        here = [edge for edge, (_, target) in enumerate(EDGES) if target == node]
        kept = sorted(here, key=lambda edge: -largest_KE[cell, edge])[:PER_NODE]
        return [Edge(OPERATIONS[best_KE[cell, edge]], EDGES[edge][0]) for edge in kept]

    return made(into)


def sampled(rng: np.random.Generator) -> Genotype:
    """What DARTS derives from weights drawn uniformly."""
    return derived(rng.random((len(CELLS), len(EDGES), len(OPERATIONS))))


def candidate(genotype: Genotype, rng: np.random.Generator, mutation: Mutation) -> Genotype:
    """The genotype after an edit of one edge, which may leave it as it was.

    A coin decides between operation and source; the cell, the node and which of its two edges are drawn
    uniformly.  With `teg` the operation becomes one of the other seven, `none` among them, and the source
    any earlier node, as in the code of TEG-NAS.  With `distinct` the operation becomes one of the others
    but `none`, and the source an earlier node that the node does not read yet, if there is one.
    """
    of_operation = bool(rng.integers(2))
    cell, node, slot = (int(rng.integers(n)) for n in (len(CELLS), NODES, PER_NODE))
    now = genotype.cells[cell][node]
    if of_operation:
        choices = [Edge(name, now[slot].source) for name in _operations(now[slot], mutation)]
    else:
        choices = [Edge(now[slot].operation, source) for source in _sources(now, slot, node, mutation)]
    if not choices:
        return genotype
    return with_edge(genotype, cell, node, slot, choices[int(rng.integers(len(choices)))])


def neighbours(genotype: Genotype, mutation: Mutation) -> Iterator[Genotype]:
    """All genotypes that one edit leads to, in a fixed order."""
    for cell, node, slot in np.ndindex(len(CELLS), NODES, PER_NODE):
        now = genotype.cells[cell][node]
        here = now[slot]
        edges = [Edge(name, here.source) for name in _operations(here, mutation)]
        edges += [Edge(here.operation, source) for source in _sources(now, slot, node, mutation)]
        yield from (with_edge(genotype, cell, node, slot, edge) for edge in edges if edge != here)


def _operations(edge: Edge, mutation: Mutation) -> list[str]:
    """What the operation of an edge may become."""
    return [o for o in OPERATIONS if o != edge.operation and (mutation == "teg" or o != NONE)]


def _sources(edges: tuple[Edge, ...], slot: int, node: int, mutation: Mutation) -> list[int]:
    """What the source of one of a node's edges may become."""
    earlier = range(INPUTS + node)
    if mutation == "teg":
        return list(earlier)
    taken = {edge.source for edge in edges}
    return [source for source in earlier if source not in taken]


# The two sources of each node, in the order in which a choice numbers them.
_PAIRS = tuple(tuple(combinations(range(node), PER_NODE)) for node in range(INPUTS, INPUTS + NODES))


def choices(operations: int) -> tuple[int, ...]:
    """How many alternatives each choice has that a genotype consists of.

    Of each cell the two sources of every node, a choice among 1, 3, 6 and 10 pairs, then the operation of
    every edge of `EDGES`.  Of these a genotype shows those of its own edges alone.

    Args:
        operations: how many an edge may have: all, or all but `none`.
    """
    return tuple(len(CELLS) * [*map(len, _PAIRS), *[operations] * len(EDGES)])


def encoded(genotype: Genotype, operations: int) -> list[int]:
    """The choices that a genotype shows, −1 where it shows none.

    Raises:
        ValueError: if a node reads the same node twice, or an operation is none of them.
    """
    found = []
    for cell in genotype.cells:
        on = {
            (edge.source, node): edge.operation for node, edges in enumerate(cell, INPUTS) for edge in edges
        }
        for node, pairs in enumerate(_PAIRS, INPUTS):
            sources = tuple(source for source in range(node) if (source, node) in on)
            if sources not in pairs:
                raise ValueError(f"{genotype} has a node that reads the same node twice")
            found.append(pairs.index(sources))
        names = OPERATIONS[len(OPERATIONS) - operations :]
        if unknown := next((name for name in on.values() if name not in names), None):
            raise ValueError(f"{genotype} has {unknown}, which is no choice here")
        found += [names.index(on[edge]) if edge in on else -1 for edge in EDGES]
    return found


def decoded(chosen: Sequence[int], operations: int) -> Genotype:
    """The genotype of choices; those of edges that it does not have make no difference."""
    names, half = OPERATIONS[len(OPERATIONS) - operations :], len(chosen) // len(CELLS)

    def into(cell: int, node: int) -> list[Edge]:
        of_cell = chosen[cell * half : (cell + 1) * half]
        pair = _PAIRS[node - INPUTS][of_cell[node - INPUTS]]
        return [Edge(names[of_cell[NODES + EDGES.index((source, node))]], source) for source in pair]

    return made(into)
