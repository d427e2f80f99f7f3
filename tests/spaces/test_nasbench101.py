"""NAS-Bench-101: its cells, their order, hashes and names, and the networks around them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import permutations, product
from typing import Any

import networkx
import numpy as np
import pandas as pd
import pytest
from cells101 import NAMES, SPACE, STATED, TABLE, drawn, matrix, names, with_table
from hypothesis import given, settings
from hypothesis import strategies as st
from nasbench_pytorch.model.graph_util import hash_module, is_full_dag
from nasbench_pytorch.model.model_spec import ModelSpec

from nasbench_eval.registry import find
from nasbench_eval.spaces import _nasbench101_order as order
from nasbench_eval.spaces.nasbench101 import (
    OPERATIONS,
    Cell,
    MalformedCell,
    NASBench101,
    from_matrix,
    module_hash,
)

indices = st.integers(0, len(SPACE) - 1)
cells = st.builds(SPACE.arch, indices)


def reference_spec(graph: np.ndarray[Any, Any], operations: list[str]) -> Any:
    """nasbench_pytorch's pruned form of a graph; None where no path is left, on which it stumbles."""
    try:
        return ModelSpec(graph, list(operations))
    except RuntimeError:
        return None


# The list of cells


def test_the_registry_finds_it() -> None:
    assert find("spaces", "nasbench101") is NASBench101
    assert SPACE.name == "nasbench101"
    assert len(SPACE) == 423_624


def brute_force(vertices: int) -> Iterator[tuple[np.ndarray[Any, Any], tuple[int, ...]]]:
    """Every labelled graph of the definition, isomorphic ones included, by the benchmark's own functions."""
    pairs = [(s, t) for t in range(1, vertices) for s in range(t)]
    for present in product((0, 1), repeat=len(pairs)):
        graph = np.zeros((vertices, vertices), dtype=np.int64)
        for (s, t), bit in zip(pairs, present, strict=True):
            graph[s, t] = bit
        if is_full_dag(graph) and graph.sum() <= 9:
            for labels in product(range(3), repeat=vertices - 2):
                yield graph, labels


@pytest.mark.parametrize("vertices", [2, 3, 4])
def test_the_enumeration_is_complete_and_has_no_cell_twice(vertices: int) -> None:
    found = set()
    numbers, labellings = order.enumerate_cells(vertices)
    for number, codes in zip(numbers, labellings, strict=True):
        for code in codes:
            labels = order.labelling(int(code), vertices)
            cell = Cell(tuple(OPERATIONS[i] for i in labels), order.edge_list(int(number), vertices))
            assert module_hash(cell) not in found
            found.add(module_hash(cell))
    expected = {hash_module(graph, [-1, *labels, -2]) for graph, labels in brute_force(vertices)}
    assert found == expected


def test_the_stored_list_is_the_enumeration() -> None:
    stored = order.load()
    graphs, size = 0, 0
    for vertices in range(2, 8):
        numbers, labellings = order.enumerate_cells(vertices)
        here = slice(graphs, graphs + len(numbers))
        assert (stored.vertices[here] == vertices).all()
        assert stored.bits[here].tolist() == numbers.tolist()
        expected = [(graphs + g, int(code)) for g, codes in enumerate(labellings) for code in codes]
        mine = stored.vertices[stored.graph] == vertices
        pairs = zip(stored.graph[mine].tolist(), stored.labelling[mine].tolist(), strict=True)
        assert sorted(pairs) == expected
        graphs, size = graphs + len(numbers), size + len(expected)
    assert (graphs, size) == (len(stored.bits), len(SPACE))


def test_the_order_is_that_of_the_hashes() -> None:
    sampled = sorted(drawn(0, 2000))
    hashes = [module_hash(SPACE.arch(index)) for index in sampled]
    assert hashes == sorted(hashes)
    together = [module_hash(SPACE.arch(index)) for index in range(200_000, 200_500)]
    assert together == sorted(set(together))
    assert module_hash(SPACE.arch(0)) == STATED


@with_table
def test_the_order_and_the_graphs_are_the_tables() -> None:
    table = pd.read_parquet(TABLE, columns=["hash", "adjacency", "ops"])
    assert len(table) == len(SPACE)
    for index in drawn(1, 3000):
        cell = SPACE.arch(index)
        row = table.iloc[index]
        assert module_hash(cell) == row["hash"]
        assert "".join(map(str, matrix(cell).ravel())) == row["adjacency"]
        assert ",".join(names(cell)) == row["ops"]


@pytest.mark.parametrize("index", [-1, len(SPACE)])
def test_no_such_index(index: int) -> None:
    with pytest.raises(IndexError, match="0 to 423623"):
        SPACE.arch(index)


# Hashes and isomorphism


@given(cells)
def test_the_hash_is_the_benchmarks(cell: Cell) -> None:
    labels = [-1, *map(OPERATIONS.index, cell.operations), -2]
    assert module_hash(cell) == hash_module(matrix(cell), labels)


def isomorphic_forms(cell: Cell) -> Iterator[Cell]:
    last = cell.vertices - 1
    for interior in permutations(range(1, last)):
        place = (0, *interior, last)
        moved = tuple((place[s], place[t]) for s, t in cell.edges)
        if all(s < t for s, t in moved):
            operations = [""] * (last - 1)
            for vertex, operation in enumerate(cell.operations, start=1):
                operations[place[vertex] - 1] = operation
            yield Cell(tuple(operations), moved)


@given(cells)
def test_isomorphic_cells_share_hash_and_representative(cell: Cell) -> None:
    forms = list(isomorphic_forms(cell))
    assert {module_hash(form) for form in forms} == {module_hash(cell)}
    assert SPACE.canonical(random.Random(0).choice(forms)) == cell


def as_graph(cell: Cell) -> networkx.DiGraph[int]:
    graph: networkx.DiGraph[int] = networkx.DiGraph(cell.edges)
    labels = ["input", *cell.operations, "output"]
    networkx.set_node_attributes(graph, dict(enumerate(labels)), "label")
    return graph


@given(cells, cells)
def test_cells_of_different_indices_are_not_isomorphic(one: Cell, other: Cell) -> None:
    same = networkx.is_isomorphic(
        as_graph(one), as_graph(other), node_match=lambda a, b: a["label"] == b["label"]
    )
    assert same == (one == other)


@given(indices)
def test_index_inverts_arch(index: int) -> None:
    assert SPACE.index(SPACE.arch(index)) == index


# Text


@given(cells)
def test_parse_inverts_format(cell: Cell) -> None:
    assert SPACE.parse(SPACE.format(cell)) == cell


@given(cells)
def test_a_hash_is_a_name(cell: Cell) -> None:
    assert SPACE.parse(module_hash(cell)) == cell


def test_the_text_names_the_vertices_with_their_sources() -> None:
    cell = Cell(("conv3x3", "maxpool3x3"), ((0, 1), (0, 2), (1, 2), (2, 3)))
    assert SPACE.format(cell) == "|conv3x3~0|maxpool3x3~0~1|output~2|"
    assert SPACE.parse(" |conv3x3~0|maxpool3x3~1~0|output~2|\n") == cell


MALFORMED = {
    "a cycle": ("|conv3x3~2|conv1x1~0~1|output~2|", "the edge 2 to 1 goes back"),
    "a loop": ("|conv3x3~0~1|output~1|", "the edge 1 to 1 goes back"),
    "too many edges": (
        "|conv3x3~0|conv1x1~0~1|conv1x1~0~1~2|conv1x1~0~1~2~3|output~4|",
        "it has 11 edges, at most 9 are allowed",
    ),
    "too many vertices": (
        "|conv3x3~0|conv3x3~1|conv3x3~2|conv3x3~3|conv3x3~4|conv3x3~5|output~6|",
        "it has 8 vertices, at most 7 are allowed",
    ),
    "an unknown operation": ("|conv5x5~0|output~1|", "'conv5x5' is none of the operations conv3x3"),
    "a dead end": ("|conv3x3~0|output~0|", "vertex 1 is disconnected"),
    "no path": ("|conv3x3~0|conv3x3~1|output~9|", "the edge 9 to 3 leaves its vertices 0 to 3"),
    "an edge twice": ("|conv3x3~0~0|output~1|", "the edge 0 to 1 stands there twice"),
    "no output": ("|conv3x3~0|conv1x1~1|", "its last vertex is not `output`"),
    "no sources": ("|conv3x3|output~1|", "neither a hash nor of the form"),
    "another space's": ("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|", "neither a hash nor of the form"),
    "nothing": ("", "neither a hash nor of the form"),
    "no cell's hash": ("0" * 32, "the hash of no cell"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_text_names_itself_and_the_rule(case: str) -> None:
    text, rule = MALFORMED[case]
    with pytest.raises(MalformedCell) as raised:
        SPACE.parse(text)
    assert text in str(raised.value)
    assert rule in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "text",
    ["|conv\n3x3~0|output~1|", "|conv3x3~" + "0" * 5000 + "|output~1|", "|conv3x3" + "~0" * 100_000 + "|"],
)
def test_whatever_it_quotes_a_message_is_one_short_line(text: str) -> None:
    with pytest.raises(MalformedCell) as raised:
        SPACE.parse(text)
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 300


@given(st.text(alphabet="|~012output conv3x1maxpl", max_size=60))
def test_any_text_is_a_cell_or_a_value_error(text: str) -> None:
    try:
        cell = SPACE.parse(text)
    except ValueError:
        return
    assert SPACE.parse(SPACE.format(cell)) == cell


# The benchmark's own form


graphs = st.integers(2, 7).flatmap(
    lambda v: st.tuples(
        st.lists(st.booleans(), min_size=v * (v - 1) // 2, max_size=v * (v - 1) // 2),
        st.lists(st.sampled_from(NAMES), min_size=v - 2, max_size=v - 2),
    )
)


@given(graphs)
def test_pruning_is_the_benchmarks(graph: tuple[list[bool], list[str]]) -> None:
    present, interior = graph
    size = len(interior) + 2
    given_matrix = np.zeros((size, size), dtype=np.int64)
    given_matrix[np.triu_indices(size, 1)] = present
    operations = ["input", *interior, "output"]
    spec = reference_spec(given_matrix, operations)
    if spec is None:
        with pytest.raises(MalformedCell, match="no path leads"):
            from_matrix(given_matrix.tolist(), operations)
    elif spec.matrix.sum() > 9:
        with pytest.raises(MalformedCell, match="at most 9"):
            from_matrix(given_matrix.tolist(), operations)
    else:
        cell = from_matrix(given_matrix.tolist(), operations)
        assert matrix(cell).tolist() == spec.matrix.tolist()
        assert names(cell) == spec.ops


@pytest.mark.parametrize(
    ("rows", "operations", "rule"),
    [
        ([[0, 1], [1, 0]], ["input", "output"], "the edge 1 to 0 goes back"),
        ([[0, 2], [0, 0]], ["input", "output"], "entries of its matrix are 0 and 1"),
        ([[0, 1]], ["input", "output"], "a square matrix and as many operations"),
        ([[0, 1], [0, 0]], ["input", "conv3x3", "output"], "a square matrix and as many operations"),
        ([], [], "a square matrix and as many operations"),
        ([[0, 1], [0, 0]], ["conv3x3", "conv3x3"], "its first operation is `input`"),
        (["01", "00"], ["input", "output"], "entries of its matrix are 0 and 1"),
        ([[0, float("nan")], [0, 0]], ["input", "output"], "entries of its matrix are 0 and 1"),
        ([[0, [1]], [0, 0]], ["input", "output"], "entries of its matrix are 0 and 1"),
        (np.ones((2, 2, 2)), ["input", "output"], "entries of its matrix are 0 and 1"),
        ([0, 1], ["input", "output"], "a matrix of rows and a list of operations"),
        (None, None, "a matrix of rows and a list of operations"),
        ([[0, 1], [0, 0]], ["input", None], "its operations are texts"),
    ],
)
def test_no_matrix_of_a_cell(rows: Any, operations: Any, rule: str) -> None:
    with pytest.raises(MalformedCell, match=rule):
        from_matrix(rows, operations)


# Neighbours


@settings(max_examples=25)
@given(cells)
def test_neighbours_are_one_edit_away(cell: Cell) -> None:
    neighbours = SPACE.neighbours(cell)
    found = [SPACE.index(neighbour) for neighbour in neighbours]
    assert found == sorted(set(found) - {SPACE.index(cell)})
    expected = set()
    for vertex, operation in product(range(1, cell.vertices - 1), OPERATIONS):
        changed = names(cell)
        changed[vertex] = NAMES[OPERATIONS.index(operation)]
        expected.add(_pruned_hash(matrix(cell), changed))
    for s, t in zip(*np.triu_indices(cell.vertices, 1), strict=True):
        flipped = matrix(cell)
        flipped[s, t] ^= 1
        expected.add(_pruned_hash(flipped, names(cell)))
    assert {module_hash(neighbour) for neighbour in neighbours} == expected - {None, module_hash(cell)}


@settings(max_examples=25)
@given(cells)
def test_traits_say_which_labelled_graph_a_cell_is(cell: Cell) -> None:
    traits = np.array(SPACE.traits(cell))
    assert traits.shape == (5 + 21,)
    inner = cell.vertices - 2
    assert tuple(OPERATIONS[label] for label in traits[:inner]) == cell.operations
    assert (traits[inner:5] == -1).all()
    seven = np.zeros((7, 7), int)
    seven[np.triu_indices(7, 1)] = traits[5:]
    kept = [*range(inner + 1), 6]
    np.testing.assert_array_equal(seven[np.ix_(kept, kept)], matrix(cell))
    assert seven.sum() == len(cell.edges)


@given(cells, st.data())
def test_cells_differ_in_one_trait_where_one_operation_does(cell: Cell, data: st.DataObject) -> None:
    if not cell.operations:
        return
    vertex = data.draw(st.integers(0, len(cell.operations) - 1))
    other = data.draw(st.sampled_from([name for name in OPERATIONS if name != cell.operations[vertex]]))
    operations = (*cell.operations[:vertex], other, *cell.operations[vertex + 1 :])
    changed = SPACE.traits(Cell(operations, cell.edges))
    assert (np.array(SPACE.traits(cell)) != changed).sum() == 1


def _pruned_hash(graph: np.ndarray[Any, Any], operations: list[str]) -> str | None:
    spec = reference_spec(graph, operations)
    if spec is None or spec.matrix.sum() > 9:
        return None
    return hash_module(spec.matrix.numpy(), [-1, *map(NAMES.index, spec.ops[1:-1]), -2])  # type: ignore[no-any-return]
