"""Cells drawn with letters."""

from __future__ import annotations

from nasbench_eval import spaces
from nasbench_eval.show.sketch import sketch
from nasbench_eval.spaces.base import Graph, GraphEdge


def test_a_cell_of_nasbench201() -> None:
    space = spaces.get("nasbench201")
    [graph] = space.graphs(space.arch(5))
    assert sketch(graph) == [
        "in    1     2     out",
        "o---->o                 nor_conv_1x1",
        "o---------->o           skip_connect",
        "      o---->o           nor_conv_1x1",
        "o---------------->o     nor_conv_3x3",
        "      o..........>o     none",
        "            o---->o     avg_pool_3x3",
    ]


def test_a_cell_of_nasbench101() -> None:
    space = spaces.get("nasbench101")
    [graph] = space.graphs(space.parse("|conv3x3~0|maxpool3x3~0~1|output~1~2|"))
    assert sketch(graph) == [
        "in    conv3x3  maxpool3x3  out",
        "o---->o",
        "o------------->o",
        "      o------->o",
        "      o------------------->o",
        "               o---------->o",
    ]


def test_every_cell_fits_a_terminal() -> None:
    for name in ("nasbench201", "nasbench101", "nasbench201_supernet"):
        space = spaces.get(name)
        for index in (*range(0, len(space), len(space) // 20), len(space) - 1):
            [graph] = space.graphs(space.arch(index))
            assert max(map(len, sketch(graph, 98))) <= 98


def test_nodes_without_room_are_numbered() -> None:
    names = ("in", *(f"a_long_operation_{node}" for node in range(8)), "out")
    lines = sketch(Graph("chain", names, tuple(GraphEdge(n, n + 1) for n in range(9))))
    assert lines[0].split() == [str(n) for n in range(10)]
    assert "3: a_long_operation_2" in " ".join(lines[10:])
    assert max(map(len, lines)) <= 100
