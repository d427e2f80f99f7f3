"""The scores, accuracies and table that the tests of the interactive page share."""

from __future__ import annotations

import pytest
from made_up_page import CELLS_201, N, compute, made_up_truth, scores_with_failures, spec_of

from nasbench_eval.report.scores import Scores
from nasbench_eval.report.tables import Table, Truth


@pytest.fixture
def scores() -> Scores:
    return scores_with_failures()


@pytest.fixture
def truths() -> dict[str, Truth]:
    return {"nasbench201": made_up_truth(CELLS_201[:N])}


@pytest.fixture
def table(scores: Scores, truths: dict[str, Truth]) -> Table:
    return compute(scores, truths, spec_of())
