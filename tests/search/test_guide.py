"""How architectures are compared: ranks against SciPy's, and ranks kept up to date against ranks anew."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from nasbench_eval.search.guide import ByRanks, ByValue, Judge, Standing, ranked
from nasbench_eval.search.history import Values

numbers = st.sampled_from([-np.inf, -2.0, -1.5, 0.0, 1.0, 1e300]) | st.floats(-1, 1)
told = arrays.arrays(
    np.float64, st.tuples(st.integers(1, 12), st.integers(1, 3), st.just(2)), elements=numbers
)
holed = arrays.arrays(
    np.float64, st.tuples(st.integers(1, 40), st.just(2), st.just(3)), elements=numbers | st.just(np.nan)
)
THREE = ("a", "b", "c")


@given(told)
def test_ranks_are_scipys(values: Values) -> None:
    np.testing.assert_array_equal(ranked(values), scipy.stats.rankdata(values, axis=0))


@given(told)
def test_ranks_know_order_alone(values: Values) -> None:
    np.testing.assert_array_equal(ranked(values), ranked(values * 2))
    np.testing.assert_array_equal(ranked(-values), len(values) + 1 - ranked(values))
    assert ranked(values).sum(0) == pytest.approx(len(values) * (len(values) + 1) / 2)


@given(holed, st.sampled_from([None, 1, 2, 7]), st.sampled_from(["rank", "log"]), st.integers(1, 5))
def test_a_standing_is_what_the_judge_says_of_all_at_once(
    values: Values, most: int | None, rank: str, portion: int
) -> None:
    judges: list[tuple[Judge, Values]] = [
        (ByRanks(THREE, rank), values),  # type: ignore[arg-type]
        (ByValue(("a",)), values[..., :1]),
    ]
    for judge, told_KSV in judges:
        standing = Standing(judge, 2, most)
        for begin in range(0, len(told_KSV), portion):
            standing.extend(told_KSV[begin : begin + portion])
            now = told_KSV[: begin + portion]
            expected = judge.fitness(now if most is None else now[-most:])
            np.testing.assert_array_equal(standing.fitness(), expected)


def test_a_failure_is_worst() -> None:
    values = np.array([[[1.0]], [[np.nan]], [[-5.0]]])
    assert ByValue(("x",)).fitness(values).argmin() == 1
    assert ByRanks(("x",)).fitness(values)[:, 0].tolist() == [3, 1, 2]


def test_one_value_is_one() -> None:
    with pytest.raises(ValueError, match="a, b, c"):
        ByValue(THREE)
