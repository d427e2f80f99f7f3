"""`spaces.names` and `spaces.get`, and the graphs of cells."""

from __future__ import annotations

import subprocess
import sys

import pytest

from nasbench_eval import spaces
from nasbench_eval.errors import UsageError
from nasbench_eval.registry import UnknownName
from nasbench_eval.spaces.base import GraphSpace
from nasbench_eval.spaces.nasbench101 import NASBench101
from nasbench_eval.spaces.nasbench201 import EDGES, NASBench201


def test_spaces_are_got_by_name() -> None:
    assert {"nasbench101", "nasbench201", "nasbench201_supernet"} <= set(spaces.names())
    assert spaces.get("nasbench201") == NASBench201()
    assert spaces.get("nasbench101", channels=8, cells_per_stack=1) == NASBench101(8, 1)


def test_wrong_names_and_options_are_told() -> None:
    with pytest.raises(UnknownName, match="did you mean nasbench201"):
        spaces.get("nasbench20l")
    with pytest.raises(UnknownName, match="did you mean channels"):
        spaces.get("nasbench201", chanels=8)
    with pytest.raises(UnknownName, match="unknown option of nasbench201 'name'"):
        spaces.get("nasbench201", name="nasbench101")
    with pytest.raises(UsageError, match="whole number"):
        spaces.get("nasbench201", channels="many")


def test_neither_needs_pytorch() -> None:
    code = "import sys; from nasbench_eval import spaces; spaces.names(); spaces.get('nasbench201'); "
    code += "print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_graphs_are_those_of_the_cells() -> None:
    space = spaces.get("nasbench201")
    cell = space.arch(77)
    [graph] = space.graphs(cell)
    assert [(e.source, e.target) for e in graph.edges] == list(EDGES)
    assert [e.operations for e in graph.edges] == [(name,) for name in cell.operations]
    supernet = spaces.get("nasbench201_supernet")
    [graph] = supernet.graphs(supernet.arch(len(supernet) - 1))
    assert {len(e.operations) for e in graph.edges} == {5}
    other = spaces.get("nasbench101")
    cell = other.arch(5000)
    [graph] = other.graphs(cell)
    assert graph.nodes == ("in", *cell.operations, "out")
    assert tuple((e.source, e.target) for e in graph.edges) == cell.edges
    assert all(isinstance(each, GraphSpace) for each in (space, supernet, other))
