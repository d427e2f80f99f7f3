"""Samples of architectures: nested, without repetition, uniform or even over the range of accuracies."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nasbench_eval.sampling import BANDS, stratified, uniform

accuracies = st.lists(st.floats(0, 100) | st.just(float("nan")), min_size=1, max_size=200).map(np.array)


def test_a_smaller_sample_is_a_prefix_of_a_larger_one() -> None:
    assert uniform(15625, 500, 0)[:100] == uniform(15625, 100, 0)
    assert uniform(15625, 100, 1) != uniform(15625, 100, 0)
    assert uniform(15625, 5, 0) == (11759, 10533, 8177, 7648, 14936)  # part of the contract


@given(st.integers(1, 300), st.data())
def test_a_sample_has_no_repetition(size: int, data: st.DataObject) -> None:
    n = data.draw(st.integers(1, size))
    drawn = uniform(size, n, data.draw(st.integers(0, 1000)))
    assert len(set(drawn)) == n
    assert set(drawn) <= set(range(size))


@given(accuracies, st.integers(1, 250), st.integers(0, 1000))
def test_bands_take_turns(accuracy: np.ndarray, n: int, seed: int) -> None:
    drawn = stratified(accuracy, n, seed)
    known = np.flatnonzero(np.isfinite(accuracy))
    assert len(drawn) == len(set(drawn)) == min(n, len(known))
    assert set(drawn) <= set(known.tolist())
    assert stratified(accuracy, n + 7, seed)[: len(drawn)] == drawn
    if not len(known):
        return
    low, high = accuracy[known].min(), accuracy[known].max()
    width = (high - low) / BANDS or 1.0
    clear = [i for i in known if abs((accuracy[i] - low) / width % 1 - 0.5) < 0.49]  # not at an edge
    band = {i: min(int((accuracy[i] - low) / width), BANDS - 1) for i in clear}
    if len(clear) < len(known):
        return
    taken = np.bincount([band[i] for i in drawn], minlength=BANDS)
    there = np.bincount([band[i] for i in known], minlength=BANDS)
    most = taken.max()
    assert all(took >= min(most - 1, has) for took, has in zip(taken, there, strict=True))


def test_another_seed_is_another_sample() -> None:
    accuracy = np.linspace(0, 100, 1000)
    assert stratified(accuracy, 50, 0) == stratified(accuracy, 50, 0)
    assert stratified(accuracy, 50, 0) != stratified(accuracy, 50, 1)


def test_equal_accuracies_are_one_band() -> None:
    assert sorted(stratified(np.full(5, 10.0), 9, 0)) == [0, 1, 2, 3, 4]
