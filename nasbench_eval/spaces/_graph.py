"""A cell as a graph of nodes and edges, for whoever draws it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GraphEdge:
    """An edge from a node to a later one.

    Attributes:
        source, target: positions of the nodes.
        operations: what is computed on it; several are averaged, and without any the nodes compute.
    """

    source: int
    target: int
    operations: tuple[str, ...] = ()


@dataclass(frozen=True)
class Graph:
    """A directed graph without cycles, whose nodes are in an order that all edges follow.

    Attributes:
        name: what it is, such as `cell`; a space may have several kinds.
        nodes: what they are called, or the operation that they compute; the ends are `in` and `out`.
        edges: in the space's own order.
    """

    name: str
    nodes: tuple[str, ...]
    edges: tuple[GraphEdge, ...]
