"""What of a table its figures show: the first split's rows, their scores beside the accuracies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from nasbench_eval.report.scores import Part, Scores
from nasbench_eval.report.spec import RowSpec
from nasbench_eval.report.tables import Table, Truth, matched_accuracy
from nasbench_eval.report.values import row_values
from nasbench_eval.truth.ceiling import Ceiling


@dataclass(frozen=True)
class ScoredRow:
    """A row's scores beside the accuracies. Shapes: N architectures, those with a known accuracy.

    Attributes:
        title: what the figures call it.
        tau: Kendall τ-b, as the table has it.
        index: the benchmark's, ascending; shape (N,).
        score: higher predicts better, NaN or infinite where failed; shape (N,).
        accuracy: of the first split, percent; shape (N,).
    """

    title: str
    tau: float
    index: npt.NDArray[np.int64]
    score: npt.NDArray[np.float64]
    accuracy: npt.NDArray[np.float64]


def shown_rows(table: Table, dataset: str | None = None) -> pd.DataFrame:
    """The table's rows that a figure can show: of the first split, with a τ; of a sweep none but its own."""
    rows = table.rows[(table.rows["split"] == table.splits[0]) & table.rows["kendall_tau"].notna()]
    if table.spec.sweep:
        rows = rows[rows["proxy"].isin([row.name for row in table.spec.sweep.rows()])]
    return rows if dataset is None else rows[rows["dataset"] == dataset]


def shown_ceilings(table: Table) -> dict[str, Ceiling]:
    """The first split's noise ceilings, by data set."""
    return {dataset: found for (dataset, split), found in table.ceilings.items() if split == table.splits[0]}


def definition(table: Table, name: str) -> RowSpec:
    """What a row stands for; one that the table does not define is a label of the run."""
    defined = {row.name: row for row in table.spec.rows + table.spec.ours}
    return defined.get(name, RowSpec(name))


def scored_rows(table: Table, scores: Scores, truth: Truth, dataset: str) -> list[ScoredRow]:
    """The rows that a figure can show on a data set, in the table's order.

    Args:
        table: computed from `scores` and `truth`.
        scores: of the runs.
        truth: of the table's space.
        dataset: one of the table's.

    Raises:
        UsageError: if scores and accuracies do not belong together.
    """
    found = []
    for shown in shown_rows(table, dataset).to_dict("records"):
        row = definition(table, str(shown["proxy"]))
        values, _ = row_values(scores, table.spec.space, row, dataset)
        if values is None:
            continue
        values = values.sort_values("index")
        accuracy = matched_accuracy(
            truth, Part(table.spec.space, dataset, row.label), values, table.splits[0]
        )
        known = np.isfinite(accuracy)
        found.append(
            ScoredRow(
                title=str(shown["title"]),
                tau=float(shown["kendall_tau"]),
                index=values["index"].to_numpy(dtype=np.int64)[known],
                score=values["value"].to_numpy(dtype=np.float64)[known],
                accuracy=accuracy[known],
            )
        )
    return found
