"""Texts and matrices of cells: a cell that comes back the same, or one line with the text and the rule."""

from __future__ import annotations

from typing import Any

import numpy as np
from fuzzing import REFUSED, cases, odd_values, spoiled, told
from hypothesis import given
from hypothesis import strategies as st

from nasbench_eval.spaces import nasbench101, nasbench201
from nasbench_eval.spaces.nasbench101 import MalformedCell, from_matrix

SPACE101, SPACE201 = nasbench101.NASBench101(), nasbench201.NASBench201()
SAMPLE = st.integers(0, 999).map(lambda i: i * 421)

# The parts texts are made of, those of other spaces, and what no cell has.
pieces = st.one_of(
    st.sampled_from(
        ["", "|", "+", "~", "~0", "~1", "~2", "~9", "|+|", "input", "output", " ", "\n", "'", '"']
    ),
    st.sampled_from([*nasbench101.OPERATIONS, *nasbench201.OPERATIONS, "conv3x3-bn-relu"]),
    st.sampled_from(
        ["0" * 32, "~" + "9" * 5000, "|conv3x3~0" * 300, "\x1b[31m", "٣", "\ud800", "\x00", "\u2028"]
    ),
    st.text(max_size=4),
)


@cases(100, 2500)
@given(spoiled(st.integers(0, 15624).map(lambda i: SPACE201.format(SPACE201.arch(i))), pieces))
def test_texts_of_nasbench201(text: str) -> None:
    cell = told("texts of NAS-Bench-201", lambda: SPACE201.parse(text), ValueError)
    if cell is REFUSED:
        return
    assert SPACE201.format(cell) == text.strip()
    assert SPACE201.parse(SPACE201.format(cell)) == cell


texts101 = st.one_of(
    SAMPLE.map(lambda i: SPACE101.format(SPACE101.arch(i))),
    SAMPLE.map(lambda i: nasbench101.module_hash(SPACE101.arch(i))),
)


@cases(60, 2500)
@given(spoiled(texts101, pieces))
def test_texts_of_nasbench101(text: str) -> None:
    cell = told("texts of NAS-Bench-101", lambda: SPACE101.parse(text), MalformedCell)
    if cell is not REFUSED:
        assert SPACE101.parse(SPACE101.format(cell)) == cell


@cases(60, 1000)
@given(
    st.lists(st.sampled_from([*nasbench201.OPERATIONS * 4, "conv", "\n", "x" * 500]), min_size=5, max_size=7)
)
def test_operations_of_nasbench201(operations: list[str]) -> None:
    cell = told("operations", lambda: nasbench201.Cell(tuple(operations)), ValueError)
    assert (cell is not REFUSED) == (len(operations) == 6 and set(operations) <= set(nasbench201.OPERATIONS))


@st.composite
def graphs(draw: st.DrawFn) -> tuple[Any, Any]:
    """A matrix and operations in the benchmark's form, most often with something wrong."""
    size = draw(st.integers(2, 9))
    matrix: Any = [[0] * size for _ in range(size)]
    for row in range(size):
        for column in range(row + 1, size):
            matrix[row][column] = draw(st.integers(0, 1))
    names: Any = [
        "input",
        *draw(st.lists(st.sampled_from(nasbench101.OPERATIONS), min_size=size - 2)),
        "output",
    ]
    names = names[: size - 1] + names[-1:]
    for _ in range(draw(st.integers(0, 2))):
        row, column = draw(st.integers(0, size - 1)), draw(st.integers(0, size - 1))
        change = draw(st.integers(0, 6))
        if change == 0:
            names[min(row, len(names) - 1)] = draw(odd_values)
        elif change == 1:
            matrix[row % len(matrix)] = draw(st.one_of(odd_values, st.just([0] * (size + 1))))
        elif change == 2:
            matrix = matrix[:row] or [[]]
        elif change == 3:
            names = names[:column] or ["input"]
        elif isinstance(matrix[row % len(matrix)], list) and column < len(matrix[row % len(matrix)]):
            matrix[row % len(matrix)][column] = draw(odd_values)
    arrays = [
        np.full((size, size), draw(st.floats())),
        np.triu(np.ones((size, size), bool), 1),
        np.zeros(size),
    ]
    others = draw(st.sampled_from([None, 3, "input", np.zeros((2, 2, 2)), *arrays]))
    return draw(st.sampled_from([matrix] * 9 + [others])), draw(st.sampled_from([names] * 20 + [None, 3]))


@cases(120, 2500)
@given(graphs())
def test_matrices(graph: tuple[Any, Any]) -> None:
    cell = told("matrices", lambda: from_matrix(*graph), MalformedCell)
    if cell is REFUSED:
        return
    matrix = [[int((s, t) in cell.edges) for t in range(cell.vertices)] for s in range(cell.vertices)]
    assert from_matrix(matrix, ["input", *cell.operations, "output"]) == cell
    assert SPACE101.parse(SPACE101.format(cell)) == cell
