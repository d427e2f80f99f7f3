"""Validation accuracies for searches do not lead to test accuracies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nasbench_eval.registry import UnknownName
from nasbench_eval.truth import nasbench101, nasbench201, own
from nasbench_eval.truth.errors import MissingTruth
from nasbench_eval.truth.guiding import validation, validation_of


def with_other_tests(table: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    names = [name for name in table.columns if "test" in name]
    assert names
    changed = table.assign(**{name: other[name] for name in names})
    assert (changed["cifar10_test"] != table["cifar10_test"]).any()
    return changed


@pytest.mark.parametrize("dataset", ["cifar10", "cifar100", "imagenet16_120"])
def test_test_accuracies_change_nothing(
    lawful: pd.DataFrame, other_lawful: pd.DataFrame, tmp_path: Path, dataset: str
) -> None:
    nasbench201.save(lawful, tmp_path)
    before = validation("nasbench201", dataset, tmp_path)
    nasbench201.save(with_other_tests(lawful, other_lawful), tmp_path)
    after = validation("nasbench201", dataset, tmp_path)
    assert before.tobytes() == after.tobytes()
    np.testing.assert_array_equal(before, lawful[f"{dataset}_val"])


def test_nasbench101(table101: pd.DataFrame, tmp_path: Path) -> None:
    nasbench101.save(table101, tmp_path)
    table = nasbench101.load(tmp_path)
    column = "cifar10_val" if "cifar10_val" in table else "cifar10_val_run0"
    np.testing.assert_array_equal(validation("nasbench101", "cifar10", tmp_path), table[column])


def test_the_array_stands_alone(lawful: pd.DataFrame, tmp_path: Path) -> None:
    nasbench201.save(lawful, tmp_path)
    for values in (
        validation("nasbench201", "cifar10", tmp_path),
        validation_of(own.load("digits"), "digits"),
    ):
        assert type(values) is np.ndarray
        assert values.base is None
        assert values.ndim == 1
        assert not values.flags.writeable


def test_own_benchmarks() -> None:
    benchmark = own.load("digits")
    before = validation_of(benchmark, "digits")
    np.testing.assert_array_equal(before, benchmark.accuracy("digits", "val"))
    names = [name for name in benchmark.table.columns if "test" in name]
    changed = benchmark.table.assign(**{name: -benchmark.table[name] for name in names})
    assert validation_of(replace(benchmark, table=changed), "digits").tobytes() == before.tobytes()


def test_what_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="search space with ground truth"):
        validation("nasbench301", "cifar10", tmp_path)
    with pytest.raises(MissingTruth, match="nasbench-data"):
        validation("nasbench201", "cifar10", tmp_path)
