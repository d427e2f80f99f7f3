"""Cells of other forms than those of NAS-Bench-201 and NAS-Bench-101."""

from __future__ import annotations

from nasbench_eval.report.figure.cell import draw_graphs
from nasbench_eval.spaces.base import Graph, GraphEdge


def test_two_cells_with_operations_on_some_edges_are_drawn() -> None:
    operations = ("sep_conv_3x3", "max_pool_3x3", "of_my_own_making")
    edges = [GraphEdge(0, node, (name,)) for node, name in enumerate(operations, start=2)]
    edges += [GraphEdge(node, 5) for node in (2, 3, 4)]
    nodes = ("a", "b", "0", "1", "2", "out")
    figure = draw_graphs((Graph("normal", nodes, tuple(edges)), Graph("reduce", nodes, tuple(edges))), "both")
    assert [axes.get_title() for axes in figure.axes] == ["normal", "reduce"]
    for axes in figure.axes:
        texts = [text.get_text() for text in axes.texts]
        assert texts == ["sep 3×3", "max", "of_my_own_m…", *nodes]
        assert len(axes.patches) == len(edges)
    assert "dilated" in figure.get_supxlabel()
