"""Tables of costs as text, and fronts as figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nasbench_eval.report.costs.table import Priced, best_within, budgets, picked
from nasbench_eval.report.figure.style import COLOURS, PAGE, SMALL, paper_style
from nasbench_eval.report.titles import DATASETS

# Fronts of so many proxies are drawn: those with the least regret.
MOST = 6
_HEAD = (
    f"{'proxy':24}  {'n':>6}  {'τ':>6}  {'τ cost':>6}  {'given it':>8}  {'95 % interval':16}  {'missed':>6}"
)


def draw_text(table: pd.DataFrame, titles: Mapping[str, str]) -> str:
    """The table for a terminal, a block a data set and cost."""
    lines: list[str] = []
    for (dataset, cost), rows in _blocks(table):
        lines += ["", f"{DATASETS.get(dataset, dataset)}, {titles[cost]}", f"  {_HEAD}"]
        for row in rows.to_dict("records"):
            interval = "" if np.isnan(row["low"]) else f"{row['low']:6.3f} to {row['high']:.3f}"
            lines.append(
                f"  {row['proxy']:24}  {row['n']:6,}  {row['tau']:6.3f}  {row['tau_cost']:6.3f}  "
                f"{row['tau_given']:8.3f}  {interval:16}  {row['regret']:6.2f}"
            )
    return "\n".join([*lines, ""])


def _blocks(table: pd.DataFrame) -> Iterator[tuple[tuple[str, str], pd.DataFrame]]:
    for place, rows in table.groupby(["dataset", "cost"], sort=False):
        dataset, cost = map(str, cast(tuple[object, object], place))
        yield (dataset, cost), rows


def draw_markdown(table: pd.DataFrame, titles: Mapping[str, str]) -> str:
    """The same in Markdown."""
    lines = ["# What proxies know beyond a cost", ""]
    for (dataset, cost), rows in _blocks(table):
        lines += [f"## {DATASETS.get(dataset, dataset)}, {titles[cost]}", ""]
        lines += ["| proxy | n | τ | τ with the cost | τ given the cost | 95 % interval | missed |"]
        lines += ["|---|---|---|---|---|---|---|"]
        for row in rows.to_dict("records"):
            interval = "" if np.isnan(row["low"]) else f"{row['low']:.3f} to {row['high']:.3f}"
            lines.append(
                f"| {row['proxy']} | {row['n']:,} | {row['tau']:.3f} | {row['tau_cost']:.3f} | "
                f"{row['tau_given']:.3f} | {interval} | {row['regret']:.2f} |"
            )
        lines.append("")
    return "\n".join(lines)


def draw_fronts(held: Sequence[Priced], dataset: str, cost: str) -> Figure:
    """Accuracy against cost, the true front, and the fronts that the best proxies would pick.

    Args:
        held: of `priced`; at least one.
        dataset: theirs.
        cost: what it is in words.
    """
    widest = max(held, key=lambda each: len(each.score_N))
    regret = {
        each.row.name: float(np.mean(best_within(each.accuracy_N, each) - picked(each))) for each in held
    }
    best = sorted(held, key=lambda each: regret[each.row.name])[:MOST]
    with paper_style():
        figure = Figure((PAGE, 3.2), layout="constrained")
        axes = figure.subplots()
        axes.scatter(widest.cost_N, widest.accuracy_N, s=2, color="0.8", linewidths=0, zorder=1)
        truth = best_within(widest.accuracy_N, widest)
        axes.step(budgets(widest), truth, where="post", color="black", label="best within the budget")
        for each, colour in zip(best, COLOURS, strict=False):
            label = f"{each.row.title or each.row.name} (misses {regret[each.row.name]:.2f})"
            axes.step(budgets(each), picked(each), where="post", color=colour, label=label)
        bottom = min(float(picked(each).min()) for each in best)
        axes.set_ylim(bottom - 1, truth.max() + 0.5)
        axes.set_xlabel(f"{cost}: the budget")
        axes.set_ylabel("test accuracy (%)")
        axes.set_title(f"{DATASETS.get(dataset, dataset)}, n = {len(widest.score_N):,}")
        axes.legend(loc="lower right", fontsize=SMALL)
    return figure
