"""Parts of a report in processes of their own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from multiprocessing import parent_process

import numpy as np
import pytest

from nasbench_eval.report.apart import Apart
from nasbench_eval.report.statistics.bootstrap import dense_ranks
from nasbench_eval.report.statistics.resampled import Resamples
from nasbench_eval.report.titles import DATASETS


@pytest.fixture
def two() -> Iterator[Apart]:
    with Apart(2) as apart:
        yield apart


def where(_: int) -> int:
    return os.getpid()


def title(name: str) -> str:
    return DATASETS[name]


def die(number: int) -> int:
    if number and parent_process() is not None:
        os._exit(9)
    return number


def test_what_takes_long_is_done_elsewhere_and_in_order(two: Apart) -> None:
    assert os.getpid() not in two.map(where, [0, 1], seconds=60)
    assert two.map(abs, [-3, 2, -1], seconds=60) == [3, 2, 1]


@pytest.mark.parametrize(("processes", "parts", "seconds"), [(1, [0, 1], 60), (2, [0], 60), (2, [0, 1], 0.1)])
def test_what_does_not_pay_is_done_here(processes: int, parts: list[int], seconds: float) -> None:
    with Apart(processes) as apart:
        assert apart.map(where, parts, seconds) == [os.getpid()] * len(parts)


def test_the_title_of_a_benchmark_of_ones_own_is_known_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DATASETS, "mine", "Mine")
    with Apart(2) as apart:
        assert apart.map(title, ["mine", "cifar10"], seconds=60) == ["Mine", "CIFAR-10"]


def test_resamples_are_the_same_to_the_bit(two: Apart) -> None:
    rng = np.random.default_rng(0)
    a, b, x = (dense_ranks(rng.normal(size=70)) for _ in range(3))
    far, near = Resamples(300, 1), Resamples(300, 1)
    far.learn([([x, b], a), ([x], b)], lambda function, parts, _: two.map(function, parts, 60))
    for target in (a, b):
        assert np.array_equal(far.taus([x], target), near.taus([x], target))
        assert np.array_equal(far.rhos([x], target), near.rhos([x], target))


def test_processes_that_die_are_done_without() -> None:
    with Apart(2) as apart:
        assert apart.map(die, [0, 1, 2], seconds=60) == [0, 1, 2]
        assert apart.processes == 1
