"""The best accuracy among the first k networks that a proxy ranks: what a search gets for k trainings.

Shapes: M architectures, K values of k, P rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from nasbench_eval.report.figure.rows import ScoredRow
from nasbench_eval.report.figure.style import COLOURS, COLUMN, GREY, SMALL, lines, paper_style, short
from nasbench_eval.report.statistics.correlation import Failures, Sample, judged
from nasbench_eval.report.statistics.selection import top_regret
from nasbench_eval.report.tables import Table
from nasbench_eval.report.titles import DATASETS, SPLITS

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

# Rows are compared on the architectures that all of them have; one that would leave less than this share of
# the largest row's is left out.
LEAST_SHARE = 0.5
# So many values of k, evenly spaced on a logarithmic axis, are told apart in a column.
STEPS = 160
HIGHLIGHTED = 6
DASHES = ["-", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (5, 1, 1, 1, 1, 1)), (0, (2, 1)), (0, (8, 1, 2, 1))]


@dataclass(frozen=True)
class Curve:
    """One row's curve.

    Attributes:
        title: the row's.
        tau: Kendall τ-b, as the table has it.
        best: the expected best accuracy among the first k; percent, NaN where fewer are ranked; shape (K,).
    """

    title: str
    tau: float
    best: Floats


@dataclass(frozen=True)
class Found:
    """The curves of a data set.

    Attributes:
        k: how many networks are taken; ascending from 1 to M; shape (K,).
        curves: one a row, in the table's order; P.
        random: what k networks drawn at random, none twice, are expected to have as their best; shape (K,).
        highest: the best accuracy of all M.
        n: M, the architectures that all rows have scores of.
        left_out: titles of the rows that have too few of them.
    """

    k: Indices
    curves: tuple[Curve, ...]
    random: Floats
    highest: float
    n: int
    left_out: tuple[str, ...]


def best_found(rows: Sequence[ScoredRow], failures: Failures = "worst") -> Found | None:
    """The curves of some rows, over the architectures that all of them have scores of.

    Networks that share their score are taken in random order, of which the curve is the exact expectation: a
    constant score is as good as chance. Failed ones are taken last, or not at all with `omit`.

    Returns:
        None if no two architectures are left.
    """
    common, kept = _common(rows)
    if len(common) < 2:
        return None
    k = np.unique(np.geomspace(1, len(common), STEPS).round().astype(np.int64))
    curves, accuracy = [], np.empty(0)
    for row in kept:
        at = np.searchsorted(row.index, common)
        accuracy = row.accuracy[at]
        curves.append(Curve(row.title, row.tau, expected_best(judged(row.score[at], accuracy, failures), k)))
    chance = judged(np.zeros(len(common)), accuracy)
    names = {row.title for row in kept}
    left_out = tuple(row.title for row in rows if row.title not in names)
    return Found(k, tuple(curves), expected_best(chance, k), float(accuracy.max()), len(common), left_out)


def expected_best(sample: Sample, k: Indices) -> Floats:
    """The expected best accuracy among the first k, for each k; NaN beyond the ranked ones; shape (K,).

    For a constant score that is Σ_i a_(i) C(i − 1, k − 1) / C(M, k), a_(i) being the i-th smallest accuracy:
    the expected maximum of k draws without replacement.
    """
    if len(sample.accuracy) == 0:
        return np.full(len(k), np.nan)
    return np.array([sample.accuracy.max() - top_regret(sample, int(first)) for first in k])


def _common(rows: Sequence[ScoredRow]) -> tuple[Indices, list[ScoredRow]]:
    """The architectures that all rows have, and these rows; rows that have too few of them are left out."""
    if not rows:
        return np.empty(0, dtype=np.int64), []
    by_size = sorted(rows, key=lambda row: -len(row.index))
    common = by_size[0].index
    fewest = LEAST_SHARE * len(common)
    out = set()
    for row in by_size[1:]:
        both = np.intersect1d(common, row.index)
        if len(both) < fewest:
            out.add(id(row))
        else:
            common = both
    return common, [row for row in rows if id(row) not in out]


def draw_found(
    found: Found | None, table: Table, dataset: str, highlighted: int = HIGHLIGHTED
) -> Figure | None:
    """The curves against k on a logarithmic axis, those of the rows with the highest τ in colour.

    Args:
        found: of `best_found`.
        table: what it was computed from.
        dataset: its data set.
        highlighted: how many rows are drawn in colour and named, the others grey behind them.

    Returns:
        None if there is nothing to draw. The figure belongs to no pyplot state.
    """
    if found is None or not found.curves:
        return None
    leaders = sorted(found.curves, key=lambda curve: -curve.tau)[:highlighted]
    others = [curve for curve in found.curves if not any(curve is leader for leader in leaders)]
    with paper_style():
        figure = Figure((COLUMN, 3.3), layout="constrained")
        axes = figure.subplots()
        for place, curve in enumerate(others):
            label = f"other rows ({len(others)})" if place == 0 else None
            axes.step(found.k, curve.best, where="post", color=GREY, linewidth=0.6, label=label)
        axes.plot(
            found.k, found.random, color="black", linestyle=":", linewidth=1.2, label="random, expected"
        )
        for place, curve in enumerate(leaders):
            axes.step(
                found.k, curve.best, where="post", color=COLOURS[place % len(COLOURS)],
                linestyle=DASHES[place % len(DASHES)], linewidth=1.2, label=short(curve.title),
            )  # fmt: skip
        # Below what a few random draws find, there is much room and nothing to be seen.
        starts = [found.random[min(3, len(found.k) - 1)], *(curve.best[0] for curve in leaders)]
        lowest = max(float(np.nanmin(starts)), float(found.random[0]))
        room = found.highest - lowest or 1.0
        axes.set_ylim(lowest - 0.05 * room, found.highest + 0.1 * room)
        _explain(figure, axes, found, table, dataset, len(leaders))
    return figure


def _explain(figure: Figure, axes: Axes, found: Found, table: Table, dataset: str, leaders: int) -> None:
    """Titles, the best there is, and how the order came about."""
    truth = SPLITS.get(table.splits[0], table.splits[0])
    unit = " %" if table.spec.percent else ""
    axes.axhline(found.highest, color="black", linewidth=0.6)
    axes.annotate(
        f"best of the n: {found.highest:.2f}{unit}", (0, found.highest), (2, 1.5), textcoords="offset points",
        xycoords=axes.get_yaxis_transform(), fontsize=SMALL,
    )  # fmt: skip
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlim(1, found.n)
    axes.grid(axis="y")
    axes.set_title(f"{DATASETS.get(dataset, dataset)}, n = {found.n:,}")
    axes.set_xlabel("networks taken in the order of the score, k")
    axes.set_ylabel(f"best {truth} among the k{unit and ' (%)'}")
    handles, labels = axes.get_legend_handles_labels()
    order = [*range(len(labels))[-leaders:], *range(len(labels))[:-leaders]]
    last = "taken last" if table.settings.failures == "worst" else "left out"
    live = "live " if table.settings.cells == "live" else ""
    sentences = [
        f"n {live}architectures that all rows have scores of, failed ones {last};",
        "equal scores in random order (expected values).",
    ]
    figure.legend(
        handles=[handles[place] for place in order], title=lines(sentences, COLUMN), title_fontsize=SMALL,
        fontsize=SMALL, loc="outside lower center", ncols=3, frameon=False, columnspacing=1.2,
    )  # fmt: skip
