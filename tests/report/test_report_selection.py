"""nDCG, regret and overlap of the first k, against worked examples and all orders of what ties."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench_eval.report.statistics.correlation import Sample, judged
from nasbench_eval.report.statistics.selection import ndcg, top_overlap, top_regret

# Few distinct values and few architectures: all orders of those that tie can be gone through.
rows = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4)), min_size=1, max_size=6)


def all_orders(sample: Sample) -> list[np.ndarray]:
    """The accuracies in every order that goes from the highest score to the lowest."""
    groups = [sample.accuracy[sample.codes == code] for code in sorted(set(sample.codes), reverse=True)]
    orders = itertools.product(*[itertools.permutations(group) for group in groups])
    return [np.concatenate(order) for order in orders]


def dcg(accuracy: np.ndarray, places: int) -> float:
    return sum((2**a - 1) / math.log2(2 + j) for j, a in enumerate(accuracy[:places]))


@given(rows, st.integers(1, 7))
@settings(max_examples=60)
def test_ties_are_taken_at_their_expected_value(values: list[tuple[int, int]], k: int) -> None:
    scores, accuracy = np.array(values, dtype=float).T
    sample = judged(scores, accuracy)
    orders = all_orders(sample)
    best = np.sort(accuracy)[::-1]
    if best[0] > 0:
        expected = np.mean([dcg(order, k) for order in orders]) / dcg(best, k)
        assert ndcg(sample, k) == pytest.approx(expected, abs=1e-12)
    if k > len(values):
        assert math.isnan(top_regret(sample, k))
        assert math.isnan(top_overlap(sample, k))
        return
    regret = np.mean([best[0] - order[:k].max() for order in orders])
    assert top_regret(sample, k) == pytest.approx(regret, abs=1e-12)
    overlap = np.mean([(order[:k] >= best[k - 1]).sum() / k for order in orders])
    assert top_overlap(sample, k) == pytest.approx(overlap, abs=1e-12)


@given(rows, st.integers(1, 6))
def test_the_perfect_proxy(values: list[tuple[int, int]], k: int) -> None:
    accuracy = np.array(values, dtype=float)[:, 1] + 1
    sample = judged(accuracy, accuracy)
    assert ndcg(sample, k) == pytest.approx(1)
    if k <= len(accuracy):
        assert top_regret(sample, k) == 0
        assert top_overlap(sample, k) == 1


@given(st.permutations(range(8)), st.permutations(range(8)), st.integers(1, 8))
def test_maps_and_permutations_change_nothing(scores: list[int], shuffled: list[int], k: int) -> None:
    accuracy = np.arange(8.0) * 7
    plain = judged(np.array(scores), accuracy)
    mapped = judged(np.exp(np.array(scores))[shuffled], accuracy[shuffled])
    for measure in (ndcg, top_regret, top_overlap):
        assert measure(mapped, k) == pytest.approx(measure(plain, k), abs=1e-12)


def test_ndcg_by_hand() -> None:
    # Gains 2^1 − 1 = 1, 2^2 − 1 = 3, 2^3 − 1 = 7, discounts 1, 1/log₂3, 1/2. The proxy puts 2, 3, 1:
    # DCG = 3 + 7/log₂3 + 1/2, Z = 7 + 3/log₂3 + 1/2; of the first two only, both lose their last term.
    sample = judged(np.array([0.1, 0.9, 0.5]), np.array([1.0, 2.0, 3.0]))
    log3 = math.log2(3)
    assert ndcg(sample) == pytest.approx((3.5 + 7 / log3) / (7.5 + 3 / log3))
    assert ndcg(sample, 2) == pytest.approx((3 + 7 / log3) / (7 + 3 / log3))
    assert ndcg(sample, 1) == pytest.approx(3 / 7)


def test_ndcg_is_the_papers_in_percent() -> None:
    # The authors' two examples, one wrong at the top and one at the bottom: their nDCG is 0.50 and 1.00.
    ranks = -np.arange(10.0)
    damaged = judged(ranks, np.array([80, 70, 100, 90, 60, 50, 40, 30, 20, 10]))
    perfect = judged(ranks, np.array([100, 90, 80, 70, 60, 50, 10, 20, 30, 40]))
    assert ndcg(damaged) == pytest.approx(0.50, abs=0.005)
    assert ndcg(perfect) == pytest.approx(1.00, abs=0.005)
    assert ndcg(judged(ranks, damaged.accuracy / 100)) == pytest.approx(0.94, abs=0.005)


def test_regret_and_overlap_by_hand() -> None:
    # Ranked a (score 9), then b, c, d (tied at 5), then e; the best are e (80) and c (70).
    sample = judged(np.array([9, 5, 5, 5, 1]), np.array([50.0, 60.0, 70.0, 10.0, 80.0]))
    assert top_regret(sample, 1) == 30
    # One of b, c, d joins a: the better of the two has 60, 70 or 50, so that 20, 10 or 30 are lost.
    assert top_regret(sample, 2) == pytest.approx(20)
    # Two of them: 70 unless b and d are drawn, which happens once in three times.
    assert top_regret(sample, 3) == pytest.approx((10 + 10 + 20) / 3)
    assert top_regret(sample, 5) == 0
    # Of the best two, c is drawn one time in three; of the best three (e, c, b) two of b, c, d are.
    assert top_overlap(sample, 1) == 0
    assert top_overlap(sample, 2) == pytest.approx(1 / 3 / 2)
    assert top_overlap(sample, 3) == pytest.approx(2 * (2 / 3) / 3)


def test_a_constant_score_picks_as_well_as_chance() -> None:
    accuracy = np.arange(200.0)
    sample = judged(np.full(200, 3.0), accuracy)
    assert top_overlap(sample, 10) == pytest.approx(10 / 200)
    # The mean largest of k out of 0 … n − 1 is k·(n + 1)/(k + 1) − 1.
    assert top_regret(sample, 10) == pytest.approx(199 - (10 * 201 / 11 - 1))


def test_failures_are_chosen_last() -> None:
    scores, accuracy = np.array([np.nan, -1e9, 3.0]), np.array([90.0, 10.0, 20.0])
    sample = judged(scores, accuracy)
    assert top_regret(sample, 2) == 70
    assert top_overlap(sample, 1) == 0
    assert top_regret(judged(scores, accuracy, "omit"), 1) == 0


def test_no_architecture_and_no_gain() -> None:
    nothing = judged(np.zeros(0), np.zeros(0))
    assert math.isnan(ndcg(nothing))
    assert math.isnan(top_regret(nothing, 1))
    assert math.isnan(top_regret(judged(np.ones(3), np.ones(3)), 0))
    assert math.isnan(ndcg(judged(np.arange(3), np.zeros(3))))
    assert ndcg(judged(np.arange(3), np.arange(3) * 1000.0)) == pytest.approx(1)
