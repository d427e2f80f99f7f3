"""What proxies know of accuracy beyond a cost, such as a latency, and what they pick within a budget of it.

Shape legend: N architectures that have a score, an accuracy and a cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from nasbench_eval.report.scores import Part, Scores
from nasbench_eval.report.spec import RowSpec, TableSpec
from nasbench_eval.report.statistics.bootstrap import dense_ranks, interval
from nasbench_eval.report.statistics.partial import partial
from nasbench_eval.report.statistics.rank import kendall_tau
from nasbench_eval.report.statistics.resampled import Resamples
from nasbench_eval.report.tables import Settings, Truth, further_rows, matched_accuracy
from nasbench_eval.report.values import row_values

Floats = npt.NDArray[np.float64]

MEANINGS = {
    "dataset": "the data set",
    "cost": "the cost, a column of the table of costs",
    "proxy": "the proxy or aggregate",
    "n": "architectures that have a score, an accuracy and a cost",
    "tau": "Kendall's τ of score and accuracy",
    "tau_cost": "τ of score and cost: how far the score is a cost",
    "tau_given": "partial τ of score and accuracy given the cost (Kendall 1942)",
    "low": "lower end of its 95 % interval over resampled architectures",
    "high": "upper end",
    "regret": "mean over 20 budgets of the accuracy that is missed: that of the best architecture within the "
    "budget less that of the one with the highest score",
}
# Budgets: quantiles of the cost among the architectures.
BUDGETS = np.linspace(0.05, 1, 20)


@dataclass(frozen=True)
class Priced:
    """The architectures of one row that have all three.

    Attributes:
        row: the proxy or aggregate.
        score_N: scores, of which a failure is the lowest.
        accuracy_N: test or validation accuracies.
        cost_N: costs, a lower one being better.
    """

    row: RowSpec
    score_N: Floats
    accuracy_N: Floats
    cost_N: Floats


def priced(
    spec: TableSpec, scores: Scores, truths: tuple[Truth, Truth], dataset: str, splits: tuple[str, str]
) -> list[Priced]:
    """Each row of a table that is scored on a data set, and each other label, with accuracies and costs.

    Args:
        spec: of the table.
        scores: of the runs.
        truths: accuracies, and costs.
        dataset: the data set.
        splits: which accuracies, and which costs.
    """
    found = []
    for row in spec.rows + spec.ours + further_rows(spec, scores):
        values, _ = row_values(scores, spec.space, row, dataset)
        if values is None:
            continue
        part = Part(spec.space, dataset, row.label)
        accuracy, cost = (matched_accuracy(truths[i], part, values, splits[i]) for i in (0, 1))
        score = values["value"].to_numpy(np.float64)
        there = np.isfinite(accuracy) & np.isfinite(cost)
        # A failure ranks lowest, as it does in the other tables.
        ranked = np.where(np.isnan(score) | (score == np.inf), -np.inf, score)
        if there.sum() > 1:
            found.append(Priced(row, ranked[there], accuracy[there], cost[there]))
    return found


def cost_rows(held: Sequence[Priced], dataset: str, cost: str, settings: Settings) -> list[dict[str, object]]:
    """A row of `MEANINGS` for each proxy."""
    records: list[dict[str, object]] = []
    known = Resamples(settings.resamples, settings.seed)  # the cost and the accuracy are those of many rows
    for each in held:
        n = len(each.score_N)
        x, y, z = (dense_ranks(values) for values in (each.score_N, each.accuracy_N, each.cost_N))
        taus = kendall_tau(x, y), kendall_tau(x, z), kendall_tau(z, y)
        low, high = np.nan, np.nan
        if settings.resamples:
            (xy, zy), (xz,) = known.taus([x, z], y), known.taus([x], z)
            low, high = interval(partial(xy, xz, zy), n)
        records.append(
            {
                "dataset": dataset,
                "cost": cost,
                "proxy": each.row.name,
                "n": n,
                "tau": taus[0],
                "tau_cost": taus[1],
                "tau_given": float(partial(*taus)),
                "low": low,
                "high": high,
                "regret": float(np.mean(best_within(each.accuracy_N, each) - picked(each))),
            }
        )
    return records


def budgets(each: Priced) -> Floats:
    """The budgets that a front is judged at: 20 quantiles of the cost, from 5 % to the dearest."""
    found: Floats = np.quantile(each.cost_N, BUDGETS)
    return found


def picked(each: Priced) -> Floats:
    """Within each budget the accuracy of the architecture with the highest score, shape (20,).

    Where several share it, it is the mean of theirs.
    """
    return best_within(each.score_N, each)


def best_within(by_N: Floats, each: Priced) -> Floats:
    """Within each budget the accuracy of what stands highest in some order, shape (20,).

    Args:
        by_N: the order; the accuracies themselves give the true front.
        each: accuracies and costs.
    """
    found = []
    for budget in budgets(each):
        within = each.cost_N <= budget
        top = by_N[within] == by_N[within].max()
        found.append(each.accuracy_N[within][top].mean())
    return np.array(found)


def frame(records: Sequence[dict[str, object]]) -> pd.DataFrame:
    """Records of `cost_rows` as a table: by data set and cost, what knows most beyond the cost first."""
    table = pd.DataFrame(records, columns=list(MEANINGS))
    order = table.assign(place=range(len(table)))
    first = order.groupby(["dataset", "cost"], sort=False)["place"].transform("min")
    order = order.assign(group=first).sort_values(["group", "tau_given"], ascending=[True, False])
    return order[list(MEANINGS)].reset_index(drop=True)
