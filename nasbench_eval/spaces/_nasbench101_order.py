"""The list of NAS-Bench-101's cells: enumerated from the definition, stored in the order of their hashes.

A cell is a graph without labels and a labelling of its interior vertices.  The file beside this module holds
the graphs, each as the smallest number of its isomorphism class, and for every cell, in the order of the
hashes, which graph and which labelling it is.  Hashing all cells takes minutes, hence the file;
`scripts/enumerate_nasbench101.py` writes it, with no other source than `enumerate_cells`.

Of isomorphic cells the one with the smallest graph number, then the smallest labelling, stands for all: the
first that the benchmark's own enumeration meets, whose channels its networks have.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations, permutations
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FILE = Path(__file__).with_name("_nasbench101_order.npz")
SIZE = 423_624
MAX_VERTICES, MAX_EDGES, LABELS = 7, 9, 3


class Order(NamedTuple):
    """The cells in order.

    Attributes:
        vertices: V of each graph, shape (graphs,).
        bits: number of each graph (see `edge_list`), shape (graphs,).
        graph: which graph each cell has, shape (cells,).
        labelling: its labels as digits to base 3, the first vertex's the most significant, shape (cells,).
    """

    vertices: NDArray[np.uint8]
    bits: NDArray[np.uint32]
    graph: NDArray[np.uint16]
    labelling: NDArray[np.uint8]


@lru_cache(maxsize=1)
def load() -> Order:
    """The stored list."""
    with np.load(FILE, allow_pickle=False) as stored:
        return Order(**{name: stored[name] for name in Order._fields})


def cell(index: int) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]]:
    """Labels of the interior vertices, and edges, of the cell at a position."""
    stored = load()
    graph = int(stored.graph[index])
    vertices = int(stored.vertices[graph])
    labels = labelling(int(stored.labelling[index]), vertices)
    return labels, edge_list(int(stored.bits[graph]), vertices)


def labelling(code: int, vertices: int) -> tuple[int, ...]:
    """The labels of V − 2 vertices from their digits to base 3."""
    return tuple(code // LABELS**place % LABELS for place in reversed(range(vertices - 2)))


def edge_list(bits: int, vertices: int) -> tuple[tuple[int, int], ...]:
    """The edges of a graph's number: bit s + t(t − 1)/2 is the edge s to t, s < t."""
    pairs = [(s, t) for t in range(1, vertices) for s in range(t)]
    return tuple(pair for place, pair in enumerate(pairs) if bits >> place & 1)


def enumerate_cells(vertices: int) -> tuple[NDArray[np.uint32], list[NDArray[np.uint8]]]:
    """All cells of V vertices, none isomorphic to another.

    Returns:
        The graphs' numbers, ascending, and for each its labellings, ascending.
    """
    graphs = _full_graphs(vertices)
    images = _images(graphs, vertices)
    smallest = np.min(np.stack(list(images.values())), axis=0)
    chosen = np.flatnonzero(smallest == graphs)
    labellings = []
    for position in chosen:
        automorphisms = [p for p, image in images.items() if image[position] == graphs[position]]
        labellings.append(_distinct_labellings(automorphisms, vertices))
    return graphs[chosen].astype(np.uint32), labellings


def _full_graphs(vertices: int) -> NDArray[np.int64]:
    """The numbers of all graphs of at most nine edges whose vertices all lie on paths from first to last."""
    bits = np.arange(1 << vertices * (vertices - 1) // 2, dtype=np.int64)
    pairs = [(s, t) for t in range(1, vertices) for s in range(t)]
    edge = {pair: bits >> place & 1 == 1 for place, pair in enumerate(pairs)}
    few = sum(present.astype(np.int8) for present in edge.values()) <= MAX_EDGES
    entered = [np.any([edge[s, t] for s in range(t)], axis=0) for t in range(1, vertices)]
    left = [np.any([edge[s, t] for t in range(s + 1, vertices)], axis=0) for s in range(vertices - 1)]
    return bits[np.all([few, *entered, *left], axis=0)]


def _images(graphs: NDArray[np.int64], vertices: int) -> dict[tuple[int, ...], NDArray[np.int64]]:
    """Each graph's number after each permutation of its interior vertices; huge where an edge goes back."""
    images = {}
    for interior in permutations(range(1, vertices - 1)):
        permutation = (0, *interior, vertices - 1)  # vertex v takes the place permutation[v]
        image = np.zeros_like(graphs)
        for s, t in combinations(range(vertices), 2):
            present = graphs >> (s + t * (t - 1) // 2) & 1
            a, b = permutation[s], permutation[t]
            image += present << (a + b * (b - 1) // 2) if a < b else present << 40
        images[permutation] = image
    return images


def _distinct_labellings(automorphisms: list[tuple[int, ...]], vertices: int) -> NDArray[np.uint8]:
    """The labellings that no automorphism of the graph makes smaller."""
    interior = vertices - 2
    codes = np.arange(LABELS**interior)
    weights = LABELS ** np.arange(interior)[::-1]
    digits = codes[:, None] // weights % LABELS
    smallest = codes.copy()
    for permutation in automorphisms:
        moved = np.empty_like(digits)
        moved[:, [p - 1 for p in permutation[1:-1]]] = digits
        smallest = np.minimum(smallest, moved @ weights)
    distinct: NDArray[np.uint8] = codes[smallest == codes].astype(np.uint8)
    return distinct
