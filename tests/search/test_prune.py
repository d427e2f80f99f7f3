"""Pruning: one round by hand, TE-NAS's signs, and the moves on supernets."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lockstep import play

from nasbench_eval.errors import UsageError
from nasbench_eval.search.algorithms.base import Problem
from nasbench_eval.search.algorithms.prune import Prune, gains, rank_sums
from nasbench_eval.search.guide import ByRanks, ByValue
from nasbench_eval.search.history import Numbers, Past, Values
from nasbench_eval.search.moves import Cells201, Masks, moves_of
from nasbench_eval.spaces.darts_supernet import DARTSSupernet
from nasbench_eval.spaces.nasbench201 import OPERATIONS, NASBench201
from nasbench_eval.spaces.nasbench201_supernet import Mask, NASBench201Supernet
from nasbench_eval.spaces.open import known

SPACE = NASBench201Supernet()
MOVES = Masks()
TWO = ByRanks(("ntk_condition_thin", "linear_regions"))


class Made:
    """Made-up κ and R of masks, by number: drawn once each, by content."""

    def __init__(self, seed: int, digits: int = 4) -> None:
        self.seed, self.digits = seed, digits

    def kappa(self, mask: Mask) -> float:
        return round(float(self._rng(mask).uniform(5, 500)), self.digits)

    def regions(self, mask: Mask) -> float:
        return float(self._rng(mask).integers(100, 900))

    def _rng(self, mask: Mask) -> np.random.Generator:
        return np.random.default_rng([self.seed, SPACE.index(mask)])

    def told(self, arch: int) -> list[float]:
        """As a guide of scores tells them: higher is better."""
        mask = SPACE.arch(arch)
        return [-self.kappa(mask), self.regions(mask)]


def te_nas(made: Made, mask: Mask) -> tuple[list[Mask], Mask]:
    """A round as TE-NAS describes it, in words of its own: what is tried, and what is left."""
    tried = {}
    for edge, names in enumerate(mask.operations):
        for name in names:
            if len(names) > 1:
                left = tuple(o for o in names if o != name)
                changed = [*mask.operations[:edge], left, *mask.operations[edge + 1 :]]
                tried[edge, name] = Mask(tuple(changed))
    kappa, regions = made.kappa(mask), made.regions(mask)
    fall = {k: round((kappa - made.kappa(m)) / kappa, 3) for k, m in tried.items()}
    loss = {k: round((regions - made.regions(m)) / regions, 3) for k, m in tried.items()}
    by_kappa = sorted(set(fall.values()), reverse=True)  # the removal that lowers κ most is first
    by_regions = sorted(set(loss.values()))  # the removal that raises R most is first
    total = {k: by_kappa.index(fall[k]) + by_regions.index(loss[k]) for k in tried}
    operations = list(mask.operations)
    for edge, names in enumerate(mask.operations):
        if len(names) > 1:
            worst = min(names, key=lambda name: total[edge, name])
            operations[edge] = tuple(o for o in names if o != worst)
    return list(tried.values()), Mask(tuple(operations))


def searched(options: Prune, made: Made, steps: int = 120) -> tuple[list[int], list[int], int]:
    """What is proposed and answered, and after how many steps it says that it is over."""
    search = options.begin(Problem(MOVES, TWO, 1, steps))
    archs, told, answers = np.zeros((0, 1), np.int64), np.zeros((0, 1, 2)), []
    for step in range(steps):
        arch = search.propose(Past(archs, told), np.zeros((1, 0)))
        archs = np.concatenate([archs, arch[None]])
        told = np.concatenate([told, [[made.told(int(arch[0]))]]])
        answers.append(int(search.answer(Past(archs, told))[0]))
        if search.stopped_S.all():
            return archs[:, 0].tolist(), answers, step
    raise AssertionError("it never ended")


@pytest.mark.parametrize("seed", range(5))
def test_rounds_by_hand(seed: int) -> None:
    made = Made(seed)
    archs, answers, end = searched(Prune(), made)
    mask, step = Mask((OPERATIONS[1:],) * 6), 0
    for operations in (24, 18, 12):
        tried, left = te_nas(made, mask)
        assert len(tried) == operations
        mine = archs[step : step + operations + 1]
        assert mine == [SPACE.index(each) for each in (mask, *tried)]
        assert set(answers[step : step + operations]) == {SPACE.index(mask)}
        step += operations + 1
        assert answers[step - 1] == SPACE.index(left)
        mask = left
    assert mask.cell is not None
    assert end == step == 57
    assert archs[57] == answers[57] == SPACE.index(mask)
    text = SPACE.format(mask)
    assert text == NASBench201().format(mask.cell)


def test_none_may_stay_and_several_operations_may_leave_at_once() -> None:
    for options, trials in (
        (Prune(keep_none=True), 30 + 24 + 18 + 12 + 4),
        (Prune(prune=2), 24 + 12 + 2),
        (Prune(prune=9), 24 + 1),
        (Prune(prune=2, keep_none=True), 30 + 18 + 2),
    ):
        archs, answers, end = searched(options, Made(3))
        assert end == trials
        assert SPACE.arch(answers[-1]).cell is not None
        assert len(set(archs)) == len(archs)


def test_gains_are_those_of_te_nas_whatever_the_sign() -> None:
    kappa, regions = 200.0, 400.0
    without = np.array([[-100.0, 500.0], [-250.0, 400.0], [-200.05, 300.0]])
    found = gains(np.array([-kappa, regions]), without)
    np.testing.assert_array_equal(found, [[0.5, 0.25], [-0.25, 0.0], [0.0, -0.25]])
    np.testing.assert_array_equal(rank_sums(found), [1 + 1, 3 + 2, 2 + 3])


def test_failures_are_the_lowest() -> None:
    nan, inf = np.nan, np.inf
    without = np.array([[1.0], [nan], [-inf], [2.0]])
    np.testing.assert_array_equal(gains(np.array([1.0]), without)[:, 0], [0, -inf, -inf, 1])
    np.testing.assert_array_equal(gains(np.array([nan]), without)[:, 0], [inf, 0, 0, inf])
    np.testing.assert_array_equal(
        gains(np.array([0.0]), np.array([[0.0], [1.0], [-1.0]]))[:, 0], [0, inf, -inf]
    )
    np.testing.assert_array_equal(
        rank_sums(np.array([[0.0, -inf], [-0.0, inf], [inf, 1.0]])), [2 + 3, 2 + 1, 1 + 2]
    )


@given(
    st.lists(st.lists(st.sampled_from([-1.0, 0.0, 0.5, 2.0]), min_size=3, max_size=3), min_size=1, max_size=9)
)
def test_ranks_are_dense(rows: list[list[float]]) -> None:
    found = rank_sums(np.array(rows))
    for row, total in zip(rows, found, strict=True):
        assert total == sum(len({other[v] for other in rows if other[v] >= row[v]}) for v in range(3))


def test_a_history_that_knows_the_masks_already_is_no_dead_end() -> None:
    """As that of a search which was forked from another one."""
    made = Made(1)
    archs, _, end = searched(Prune(), made)
    order = list(reversed(archs[:57]))
    table = np.array([[made.told(arch)] for arch in order])
    search = Prune().begin(Problem(MOVES, TWO, 1, 100))
    past = Past(np.array(order)[:, None], table)
    assert search.propose(past, np.zeros((1, 0)))[0] == archs[end]
    assert search.stopped_S.all()


@pytest.mark.parametrize("moves", [Cells201(), moves_of(NASBench201Supernet(masks="single"))])
def test_without_a_supernet_there_is_nothing_to_prune(moves: Any) -> None:
    with pytest.raises(UsageError, match="space=nasbench201_supernet") as told:
        Prune().begin(Problem(moves, TWO, 1, 100))
    assert "\n" not in str(told.value)


def test_seeds_prune_side_by_side() -> None:
    """Each by its own values."""
    moves = Masks(("none", "a", "b"), 3)
    tables: Values = np.random.default_rng(0).normal(size=(6, 7**3, 1))
    problem = Problem(moves, ByValue(("x",)), 6, 20)
    together = play(Prune(), problem, tables, range(6))
    assert len(set(together.answers_TS[-1].tolist())) > 1
    alone = play(Prune(), dataclasses.replace(problem, seeds=1), tables[2:3], [2])
    np.testing.assert_array_equal(together.archs_TS[:, [2]], alone.archs_TS)


# Moves


@st.composite
def masks(draw: st.DrawFn) -> tuple[Masks, int]:
    moves = Masks(tuple("abcde")[: draw(st.integers(1, 5))], draw(st.integers(1, 6)))
    return moves, draw(st.integers(0, moves.choices[0] ** moves.edges - 1))


@given(masks())
def test_choices_and_operations_are_read_back(given_: tuple[Masks, int]) -> None:
    moves, arch = given_
    choices = moves.encode(np.array([arch]))
    assert ((choices >= 0) & (choices < moves.choices[0])).all()
    assert moves.decode(choices).tolist() == [arch]
    has = moves.has(np.array([[arch]]))
    assert has.shape == (1, 1, moves.edges, len(moves.operations))
    assert has.any(-1).all()
    assert moves.of(has).tolist() == [[arch]]


@given(masks(), st.lists(st.floats(0, 1, exclude_max=True), min_size=3, max_size=3))
def test_a_mutation_is_a_neighbour(given_: tuple[Masks, int], u: list[float]) -> None:
    moves, arch = given_
    near = moves.neighbours(arch).tolist()
    changed = int(moves.mutate(np.array([arch]), np.array([u]))[0])
    assert changed in near or (not near and changed == arch) or len(moves.operations) == 1
    assert all(arch in moves.neighbours(each) for each in near)


def test_neighbours_are_those_of_the_space() -> None:
    archs: Numbers = MOVES.sample(np.random.default_rng(0).random((5, 6)))
    for arch in archs.tolist():
        expected = [SPACE.index(mask) for mask in SPACE.neighbours(SPACE.arch(arch))]
        assert MOVES.neighbours(arch).tolist() == expected


@pytest.mark.parametrize("way", ["uniform", "node"])
def test_mutations_are_spread_as_they_should_be(way: str) -> None:
    moves = Masks(edge=way)
    arch = SPACE.index(Mask((("none",), OPERATIONS, *[OPERATIONS[:2]] * 4)))
    u = np.random.default_rng(0).random((30_000, 3))
    changed = moves.has(moves.mutate(np.full(30_000, arch), u)) ^ moves.has(np.array(arch))
    assert (changed.sum((1, 2)) == 1).all()
    by_edge = changed.any(-1).mean(0)
    due = [1 / 6] * 6 if way == "uniform" else [1 / 3, 1 / 6, 1 / 6, 1 / 9, 1 / 9, 1 / 9]
    np.testing.assert_allclose(by_edge, due, atol=0.01)
    assert not changed[:, 0, 0].any(), "the last operation of an edge stays"
    np.testing.assert_allclose(changed[:, 0, 1:].mean(0), due[0] / 4, atol=0.01)
    np.testing.assert_allclose(changed[:, 1].mean(0), due[1] / 5, atol=0.01)


def test_single_masks_move_as_the_cells_that_they_are() -> None:
    assert moves_of(NASBench201Supernet(masks="single"), "node") == Cells201("node")
    assert moves_of(NASBench201Supernet(), "node") == Masks(edge="node")


class TestDARTS:
    """The DARTS supernet: operations leave, then edges."""

    SPACE = known(DARTSSupernet(), ())

    def told(self, arch: int) -> list[float]:
        """Made-up κ and R, drawn once each by content."""
        rng = np.random.default_rng([5, arch])
        return [-float(rng.uniform(5, 500)), float(rng.integers(100, 900))]

    def searched(self, options: Prune) -> tuple[list[Any], Any]:
        """The masks that are proposed, and the one that is left."""
        search = options.begin(Problem(moves_of(self.SPACE), TWO, 1, 1000))
        archs, told = np.zeros((0, 1), np.int64), np.zeros((0, 1, 2))
        while True:
            arch = search.propose(Past(archs, told), np.zeros((1, 0)))
            archs = np.concatenate([archs, arch[None]])
            told = np.concatenate([told, [[self.told(int(arch[0]))]]])
            answer = int(search.answer(Past(archs, told))[0])
            if search.stopped_S.all():
                return [self.SPACE.arch(int(a)) for a in archs[:, 0]], self.SPACE.arch(answer)

    def test_308_operations_are_tried_and_then_the_edges_of_six_nodes(self) -> None:
        proposed, left = self.searched(Prune(prune=3))
        counts = [int(self.SPACE.has(mask).sum()) for mask in proposed]
        assert counts[:197] == [28 * 7] + 196 * [28 * 7 - 1]
        assert counts[197:310] == [28 * 4] + 112 * [28 * 4 - 1]
        # Where one of three edges leaves, the supernet without it was tried already.
        normal = [28, *3 * [27], *4 * [26], 25, *5 * [24]]
        reduce = [22, *3 * [21], *4 * [20], 19, *5 * [18]]
        assert counts[310:] == [*normal, *reduce, 16]
        assert left.genotype is not None
        assert proposed[-1] == left
        assert all(len(node) == 2 for cell in left.genotype.cells for node in cell)

    def test_the_code_of_te_nas_for_imagenet_tries_420(self) -> None:
        proposed, left = self.searched(Prune(prune=2))
        counts = [int(self.SPACE.has(mask).sum()) for mask in proposed]
        assert [counts.count(28 * left - 1) for left in (7, 5, 3)] == [196, 140, 84]
        assert left.genotype is not None

    def test_a_node_keeps_the_two_edges_that_are_missed_most(self) -> None:
        """By hand, in words of its own: the first node that has a round, node 3 of the normal cell."""
        proposed, left = self.searched(Prune(prune=9))
        start = next(mask for mask in proposed if self.SPACE.has(mask).sum() == 28)
        trials = {}
        for edge in (2, 3, 4):
            has = self.SPACE.has(start)
            has[edge] = False
            trials[edge] = self.SPACE.of(has)
        kappa, regions = self._values(start)
        falls, losses = {}, {}
        for edge, mask in trials.items():
            other_kappa, other_regions = self._values(mask)
            falls[edge] = round((kappa - other_kappa) / kappa, 3)
            losses[edge] = round((regions - other_regions) / regions, 3)
        by_kappa = sorted(set(falls.values()), reverse=True)
        by_regions = sorted(set(losses.values()))
        sums = {edge: by_kappa.index(falls[edge]) + by_regions.index(losses[edge]) for edge in trials}
        gone = min(sums, key=lambda edge: sums[edge])
        stays = sorted(set(trials) - {gone})
        assert [edge for edge in (2, 3, 4) if self.SPACE.has(left)[edge].any()] == stays

    def _values(self, mask: Any) -> tuple[float, float]:
        minus_kappa, regions = self.told(self.SPACE.index(mask))
        return -minus_kappa, regions

    def test_single_masks_are_not_for_pruning(self) -> None:
        moves = moves_of(known(DARTSSupernet(masks="single"), ()))
        with pytest.raises(UsageError, match="space=darts_supernet"):
            Prune().begin(Problem(moves, TWO, 1, 100))
