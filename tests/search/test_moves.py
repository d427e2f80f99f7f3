"""Laws of the moves in a space, and of the random numbers that they take."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lockstep import CELLS, MOVES

from nasbench_eval.errors import UsageError
from nasbench_eval.search.draws import Draws
from nasbench_eval.search.moves import Cells201, Listed, moves_of
from nasbench_eval.search.restricted import Restricted
from nasbench_eval.spaces.nasbench101 import Cell, NASBench101
from nasbench_eval.spaces.nasbench201 import EDGES, NASBench201

cells = st.integers(0, CELLS - 1)
unit = st.floats(0, 1, exclude_max=True)
SPACE = NASBench201()


def differ(one: int, other: int) -> int:
    """On how many edges two cells differ."""
    return int((MOVES.encode(np.array(one)) != MOVES.encode(np.array(other))).sum())


def test_choices_and_cells_are_each_other_s_inverse() -> None:
    every = np.arange(CELLS)
    choices = MOVES.encode(every)
    np.testing.assert_array_equal(MOVES.decode(choices), every)
    assert choices.shape == (CELLS, len(MOVES.choices))
    assert (choices < np.array(MOVES.choices)).all()
    assert len(np.unique(choices, axis=0)) == CELLS


@given(cells, st.tuples(unit, unit, unit), st.sampled_from(["uniform", "node"]))
def test_a_mutation_changes_one_edge(cell: int, u: tuple[float, ...], edge: str) -> None:
    child = int(Cells201(edge).mutate(np.array([cell]), np.array([u]))[0])
    assert differ(cell, child) == 1


@given(cells)
def test_neighbours_are_all_cells_one_edge_away_and_have_each_other(cell: int) -> None:
    near = MOVES.neighbours(cell).tolist()
    assert len(set(near)) == 24
    assert {differ(cell, each) for each in near} == {1}
    assert all(cell in MOVES.neighbours(each) for each in near)
    assert set(near) == {SPACE.index(each) for each in SPACE.neighbours(SPACE.arch(cell))}


@given(cells, unit)
def test_a_listed_space_has_the_neighbours_of_its_own(cell: int, u: float) -> None:
    listed = Listed(SPACE)
    assert sorted(listed.neighbours(cell)) == sorted(MOVES.neighbours(cell))
    assert int(listed.mutate(np.array([cell]), np.array([[u]]))[0]) in listed.neighbours(cell)
    with pytest.raises(UsageError, match="no fixed list of choices"):
        listed.encode(np.array([cell]))


def frequencies(edge: str) -> dict[tuple[int, int], float]:
    """How often each edge is changed, by exact enumeration on a grid that the odds divide."""
    grid = (np.arange(6) + 0.5) / 6
    u = np.stack(np.meshgrid(grid, grid, [0.5], indexing="ij"), -1).reshape(-1, 3)
    children = Cells201(edge).mutate(np.full(len(u), 77), u)
    changed = MOVES.encode(children) != MOVES.encode(np.array(77))
    return dict(zip(EDGES, changed.mean(0), strict=True))


def test_an_edge_is_mutated_uniformly_or_by_its_node() -> None:
    assert frequencies("uniform") == pytest.approx(dict.fromkeys(EDGES, 1 / 6))
    # One edge leads to node 1, two to node 2, three to node 3; each node is chosen with probability 1/3.
    target = {1: 1 / 3, 2: 1 / 6, 3: 1 / 9}
    assert frequencies("node") == pytest.approx({edge: target[edge[1]] for edge in EDGES})


def test_a_mutation_takes_each_other_operation_equally_often() -> None:
    u = np.stack([np.zeros(4), np.zeros(4), (np.arange(4) + 0.5) / 4], -1)
    children = MOVES.mutate(np.full(4, 77), u)
    now = MOVES.encode(np.array(77))[0]
    assert set(MOVES.encode(children)[:, 0]) == set(range(5)) - {now}


@given(st.lists(cells, min_size=2, max_size=40, unique=True), st.data())
def test_restricted_moves_stay_inside(members: list[int], data: st.DataObject) -> None:
    inside = Restricted(MOVES, members)
    cell = data.draw(st.sampled_from(members))
    u = np.array([data.draw(st.tuples(*[unit] * inside.for_mutate))])
    child = int(inside.mutate(np.array([cell]), u)[0])
    assert child in members
    assert child != cell
    assert int(inside.sample(u[:, : inside.for_sample])[0]) in members
    anywhere = data.draw(cells)
    assert int(inside.decode(inside.encode(np.array([anywhere])))[0]) in members
    assert int(inside.decode(inside.encode(np.array([cell])))[0]) == cell
    near = inside.neighbours(cell).tolist()
    assert near
    distances = {each: differ(cell, each) for each in members if each != cell}
    assert sorted(near) == sorted(each for each in distances if distances[each] == min(distances.values()))


def test_cells_of_nasbench101_are_kept_to_by_their_traits() -> None:
    space, members = NASBench101(), np.arange(0, 423_624, 3_001)
    listed, inside = Listed(space), Restricted(Listed(space), members.tolist())
    traits = np.array([space.traits(space.arch(int(cell))) for cell in members])
    parents, u = members[:12], np.random.default_rng(0).random((12, inside.for_mutate))
    meant = listed.mutate(parents, u[:, :-1])
    children = inside.mutate(parents, u)
    assert np.isin(children, members).all()
    assert (children != parents).all()
    for parent, led, child in zip(parents, meant, children, strict=True):
        far = (traits != space.traits(space.arch(int(led)))).sum(1)
        far[members == parent] = 99
        assert far[members == child] == far.min()
    for cell in members[:3]:
        far = (traits != space.traits(space.arch(int(cell)))).sum(1)
        assert inside.neighbours(int(cell)).tolist() == members[far == far[far > 0].min()].tolist()


class Odd(NASBench101):
    """A space whose traits are what a test sets."""

    told: list[Any]

    def traits(self, arch: Cell) -> list[Any]:
        return self.told[: len(arch.edges)]


@pytest.mark.parametrize(
    "told", [[0.25, 0.5, 0.75, *range(9)], [*range(9)], ["a"] * 12, [None] * 12, [1 << 64] * 12]
)
def test_traits_that_are_no_whole_numbers_or_not_as_many_are_refused(told: list[Any]) -> None:
    space = Odd()
    object.__setattr__(space, "told", told)
    few, many = (next(i for i in range(99) if len(space.arch(i).edges) == n) for n in (8, 9))
    with pytest.raises(
        UsageError, match="traits of nasbench101 are not whole numbers of 64 bits, as many for each"
    ):
        Restricted(Listed(space), [few, many])


def test_another_mutation_is_refused_where_there_is_one_way() -> None:
    assert moves_of(SPACE, "node") == Cells201("node")
    with pytest.raises(
        UsageError, match="cannot keep to some architectures here: architectures of nasbench201"
    ):
        Restricted(Listed(SPACE), [1, 2])


def test_draws_depend_on_seed_and_step_alone() -> None:
    together, alone = Draws(3, [5, 8], 4), Draws(3, [8], 4)
    for step in (700, 0, 255, 256):
        np.testing.assert_array_equal(together.of(step)[1:], alone.of(step))
    assert not np.array_equal(Draws(4, [8], 4).of(0), alone.of(0))
    assert not np.array_equal(alone.of(0), alone.of(1))
