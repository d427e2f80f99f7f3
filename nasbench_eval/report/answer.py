"""Which row of a table is the best, and from which it cannot be told apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from nasbench_eval.report.analysis import Analysis, Place
from nasbench_eval.report.statistics.summary import Statistics
from nasbench_eval.report.tables import Table

CONTROL = "flops"


def with_answers(table: Table, analysis: Analysis) -> Table:
    """The table with an answer for each data set and split, where it compares with no paper."""
    if table.compared:
        return table
    answers = {}
    for dataset in table.spec.datasets:
        for split in table.splits:
            found = analysis.by_place.get(Place(table.spec.space, dataset, split))
            rows = table.rows[(table.rows["dataset"] == dataset) & (table.rows["split"] == split)]
            if found is not None and (said := _answer(rows, found)):
                answers[dataset, split] = said
    return replace(table, answers=answers)


def _answer(rows: pd.DataFrame, found: Statistics) -> tuple[str, ...]:
    """The best of some rows, and the best given FLOPs; nothing where there is nothing to choose from."""
    titles = dict(zip(rows["proxy"], rows["title"], strict=True))
    taus = rows.set_index("proxy")["kendall_tau"].dropna()
    said = [_best(taus, found.paired, titles, "best")] if len(taus) > 1 else []
    if CONTROL in found.metrics.index:
        partial = found.metrics[f"partial_tau_given_{CONTROL}"].reindex(taus.index).dropna()
        if len(partial) > 1:
            pairs = found.paired_given.reset_index("control")
            pairs = pairs[pairs["control"] == CONTROL]
            said.append(_best(partial, pairs, titles, "best given FLOPs"))
    return tuple(said)


def _best(taus: pd.Series[Any], paired: pd.DataFrame, titles: Mapping[str, str], what: str) -> str:
    """The row with the highest τ, and those whose difference from it may be none.

    Args:
        taus: of each row, by name.
        paired: differences, indexed by `proxy` and `other`.
        titles: what rows are called, by name.
        what: is said of the best.
    """
    best, *rest = (str(name) for name in taus.sort_values(ascending=False, kind="stable").index)
    alike = [titles[name] for name in rest if not _told_apart(paired, best, name)]
    *most, last = alike or [""]
    names = f"{', '.join(most)} and {last}" if most else last
    return f"{what}: {titles[best]}; " + (f"not told apart from {names}" if alike else "told apart from all")


def _told_apart(paired: pd.DataFrame, best: str, other: str) -> bool:
    """Whether the interval of the difference leaves out 0; without an interval nothing is told."""
    if (best, other) not in paired.index:
        return False
    low, high = (float(paired[f"difference_{end}"][best, other]) for end in ("low", "high"))
    return low > 0 or high < 0
