"""Searches in a space with an order whose indices have a digit for each choice."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from commands import Ask, Asked
from histories import history
from hypothesis import given
from hypothesis import strategies as st

from nasbench_eval.search.moves import Digits, Listed, moves_of
from nasbench_eval.search.restricted import Restricted
from nasbench_eval.spaces.nasbench_macro import Layers, NASBenchMacro
from nasbench_eval.verify.cli import main as verify

SPACE = NASBenchMacro()
RADICES = (2, 3, 5)
indices = st.integers(0, len(SPACE) - 1)
unit = st.floats(0, 1, exclude_max=True)
FREE = ["space=nasbench_macro", "dataset=cifar10", "device=cpu", "workers=0", "guide=params", "seeds=2"]


def test_choices_are_the_digits_of_a_text() -> None:
    moves = moves_of(SPACE)
    assert moves == Digits((3,) * 8)
    assert math.prod(moves.choices) == len(SPACE)
    every = np.arange(len(SPACE))
    texts = ["".join(map(str, digits)) for digits in moves.encode(every)]
    assert texts == [SPACE.format(SPACE.arch(index)) for index in every.tolist()]
    np.testing.assert_array_equal(moves.decode(moves.encode(every)), every)


class Backwards(NASBenchMacro):
    """The networks of the other space in reversed order."""

    def arch(self, index: int) -> Layers:
        return super().arch(len(self) - 1 - index)

    def index(self, arch: Layers) -> int:
        return len(self) - 1 - super().index(arch)

    def encode(self, arch: Layers) -> list[int]:
        return [int(digit) for digit in self.format(arch)]


def test_choices_in_another_order_are_no_digits_of_the_index() -> None:
    space = Backwards()
    assert space.choices == SPACE.choices
    assert moves_of(space) == Listed(space)


def test_choices_may_have_alternatives_of_their_own_number() -> None:
    moves = Digits(RADICES)
    every = np.arange(math.prod(RADICES))
    assert moves.encode(every).tolist() == [list(digits) for digits in np.ndindex(*RADICES)]
    np.testing.assert_array_equal(moves.decode(moves.encode(every)), every)
    for arch in every.tolist():
        near = moves.neighbours(arch)
        assert len(set(near.tolist())) == 1 + 2 + 4
        assert ((moves.encode(near) != moves.encode(np.array(arch))).sum(1) == 1).all()


def test_draws_and_mutations_are_uniform() -> None:
    """By exact enumeration on a grid that the odds divide."""
    moves, grid = Digits(RADICES), (np.arange(60) + 0.5) / 60
    drawn = moves.sample(np.stack(np.meshgrid(*[grid[::2]] * 3, indexing="ij"), -1).reshape(-1, 3))
    assert set(np.bincount(drawn, minlength=30)) == {len(drawn) // 30}
    u = np.stack(np.meshgrid(grid, grid, indexing="ij"), -1).reshape(-1, 2)
    children, counts = np.unique(moves.mutate(np.full(len(u), 17), u), return_counts=True)
    assert set(children.tolist()) == set(moves.neighbours(17).tolist())
    place = (moves.encode(children) != moves.encode(np.array(17))).argmax(1)
    np.testing.assert_allclose(counts / len(u), 1 / 3 / (np.array(RADICES)[place] - 1))


@given(indices, unit, unit)
def test_edits_are_those_of_the_space(arch: int, place: float, other: float) -> None:
    moves = moves_of(SPACE)
    near = set(moves.neighbours(arch).tolist())
    assert near == set(Listed(SPACE).neighbours(arch).tolist())
    assert int(moves.mutate(np.array([arch]), np.array([[place, other]]))[0]) in near


@given(st.lists(indices, min_size=2, max_size=30, unique=True), st.data())
def test_a_search_can_keep_to_some(members: list[int], data: st.DataObject) -> None:
    inside = Restricted(moves_of(SPACE), members)
    u = np.array([data.draw(st.tuples(*[unit] * inside.for_mutate))])
    assert int(inside.mutate(np.array(members[:1]), u)[0]) in set(members[1:])


@pytest.mark.parametrize("algorithm", ["regularized_evolution", "reinforce"])
def test_a_search_is_cut_and_repeated(ask: Ask, asked: Asked, algorithm: str) -> None:
    options = [*FREE, f"algorithm={algorithm}"]
    for run, steps in (("whole", 30), ("cut", 11), ("cut", 30)):
        answer = ask(*options, f"run={run}", f"steps={steps}", "reuse=none")
        assert answer.code == 0, answer.err
    pd.testing.assert_frame_equal(history("results/whole"), history("results/cut"), check_exact=True)
    told = history("results/whole")
    assert [SPACE.index(SPACE.parse(text)) for text in told["arch"]] == told["index"].tolist()
    checked = asked(verify, "nasbench-verify", "results/cut")
    assert checked.code == 0, checked.out
