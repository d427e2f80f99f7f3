"""Which cells of NAS-Bench-201 are live."""

from __future__ import annotations

from itertools import pairwise

import networkx
import pytest

from nasbench_eval.spaces.nasbench201 import EDGES, Cell, NASBench201

SPACE = NASBench201()


def live_by_graph(cell: Cell) -> bool:
    """The definition, by a graph library: every edge in use lies on a simple path from node 0 to node 3."""
    graph = networkx.DiGraph()
    graph.add_nodes_from(range(4))
    used = [e for e, operation in zip(EDGES, cell.operations, strict=True) if operation != "none"]
    graph.add_edges_from(used)
    paths = networkx.all_simple_paths(graph, 0, 3)
    on_paths = {edge for path in paths for edge in pairwise(path)}
    return on_paths == set(used)


def test_the_definition_and_the_published_count() -> None:
    live = [SPACE.live(SPACE.arch(i)) for i in range(len(SPACE))]
    assert sum(live) == 9445
    assert live == [live_by_graph(SPACE.arch(i)) for i in range(len(SPACE))]


@pytest.mark.parametrize(
    ("text", "live"),
    [
        ("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|", True),  # it has no operation at all
        ("|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|", True),
        ("|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|", False),  # a dead end
        ("|none~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|avg_pool_3x3~2|", False),  # from nowhere
    ],
)
def test_dead_ends_and_sources(text: str, live: bool) -> None:
    assert SPACE.live(SPACE.parse(text)) is live
