"""Accuracies of a space without a length are joined with its scores by text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nasbench_eval.errors import UsageError
from nasbench_eval.report.scores import Part
from nasbench_eval.report.tables import Truth, matched_accuracy
from nasbench_eval.report.truths import truth_of
from nasbench_eval.spaces.open import index_of
from nasbench_eval.truth import tables

PART = Part("open_chains", "cifar10", "snip")
TABLE = pd.DataFrame(
    {"arch": ["c8", "p", "c4-p"], "cifar10_test": [80.0, 10.0, 70.0], "cifar10_test_run0": [81.0, 9.0, 70.0]}
)


def values(*texts: str) -> pd.DataFrame:
    index = [index_of("open_chains", text) for text in texts]
    return pd.DataFrame({"index": index, "arch": texts, "value": 0.0})


@pytest.fixture
def truth(open_spaces: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Truth:
    monkeypatch.setattr(tables, "TABLES", {"open_chains": lambda folder: TABLE})
    return truth_of("open_chains", tmp_path, False, None)


def test_whatever_the_order_and_the_numbers(truth: Truth) -> None:
    assert matched_accuracy(truth, PART, values("c4-p", "c8"), "test").tolist() == [70.0, 80.0]
    assert matched_accuracy(truth, PART, values(), "test").tolist() == []
    assert truth.ceiling("cifar10", "test") is None


def test_what_is_not_in_the_table_has_no_accuracy(truth: Truth) -> None:
    np.testing.assert_array_equal(matched_accuracy(truth, PART, values("c16", "p"), "test"), [np.nan, 10.0])


def test_scores_without_texts_cannot_be_joined(truth: Truth) -> None:
    with pytest.raises(UsageError, match="the scores of 'snip' on cifar10 do not name their architectures"):
        matched_accuracy(truth, PART, values("p").drop(columns="arch"), "test")
