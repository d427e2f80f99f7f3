"""What single indicators prefer, from a run of scores: TEG-NAS, Figures 1, 2 and 3.

Figure 1 is rank against rank, which every table of a report has.  Figure 2: the cells that one indicator
alone would choose, their operations and their depth.  Figure 3 asks about the operation `none`; here its
cases are all pairs of a cell and the same cell with `none` on one edge.

Shape legend: N cells that all indicators have scores of, P indicators.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import rankdata

from nasbench_eval.errors import UsageError
from nasbench_eval.report.figure.style import COLOURS, MARKERS, PAGE, SMALL, STYLE, lines, paper_style, short
from nasbench_eval.report.scores import Part, Scores
from nasbench_eval.report.search.read import Floats, Numbers
from nasbench_eval.report.spec import AggregateSpec, RowSpec, TableSpec
from nasbench_eval.report.tables import Truth, matched_accuracy
from nasbench_eval.report.titles import DATASETS
from nasbench_eval.report.truths import Ground
from nasbench_eval.report.values import row_values
from nasbench_eval.spaces.nasbench201 import EDGES, OPERATIONS, NASBench201

SPACE = "nasbench201"
# The share of cells that an indicator chooses.
CHOSEN = 0.05
RANK_SUM, ALL, ACCURACY = "rank_sum", "all cells", "test accuracy"
NONE = OPERATIONS.index("none")
DEPTHS = (0, 1, 2, 3)

EXCLUSIVE_MEANINGS = {
    "dataset": "the data set",
    "indicator": "the indicator; `all cells`: without a choice",
    "n": "cells that are among the best twentieth by this indicator and by no other one",
    **{f"share_{name}": f"share of edges with `{name}`" for name in OPERATIONS},
    "depth": "mean depth: edges other than `none` on the longest path from input to output, 0 without a path",
    **{f"share_depth_{depth}": f"share of cells of depth {depth}" for depth in DEPTHS},
    "rank_accuracy": "mean rank of their test accuracy: 1 the best of all, 0 the worst",
}
NONE_MEANINGS = {
    "dataset": "the data set",
    "indicator": "the indicator, `rank_sum` of all of them, or `test accuracy`",
    "pairs": "pairs of a cell and the same cell with `none` in place of the operation of one edge",
    "change": "mean change of rank, as a share of all ranks, when the operation gives way to `none`",
    "share_lower": "share of pairs in which the rank falls",
    "share_agreeing": "share of pairs in which the rank changes in the direction that test accuracy does",
    **{
        f"rank_{count}": f"mean rank of cells with {count} edges of `none`" for count in range(len(EDGES) + 1)
    },
}


@dataclass(frozen=True)
class Indicators:
    """What indicators say of cells.

    Attributes:
        dataset: of the scores and accuracies.
        names: of the indicators.
        operations: of each cell on each edge, by number; shape (N, 6).
        ranks: of each cell by each indicator: 1 the best, 0 the worst; shape (N, P).
        rank_sum: of their sum; shape (N,).
        accuracy: of test accuracy; shape (N,).
    """

    dataset: str
    names: tuple[str, ...]
    operations: Numbers
    ranks: Floats
    rank_sum: Floats
    accuracy: Floats


def indicator_spec(names: Sequence[str], scores: Scores, benchmark: Ground | None = None) -> TableSpec:
    """The table of indicators and their rank sum, judged by the official accuracies or by a benchmark's own.

    Raises:
        UsageError: if a score is missing, or they are of another space.
    """
    known = scores.labels(SPACE)
    if not known:
        raise UsageError(f"--indicators is about {SPACE}; the scores are on {', '.join(scores.spaces())}")
    for name in names:
        if name.partition(".")[0] not in known:
            raise UsageError(f"--indicators: the run has no scores of '{name}'; it has {', '.join(known)}")
    if len(set(names)) < 2:
        raise UsageError("--indicators takes two or more labels of the run, such as snip,naswot")
    rows = [
        RowSpec(name, proxy=name.partition(".")[0], value=name.partition(".")[2] or "score") for name in names
    ]
    total = RowSpec(RANK_SUM, title="rank sum", aggregate=AggregateSpec("rank_sum", list(names)))
    held = {part.dataset for part in scores.frames if part.space == SPACE}
    if benchmark is not None:
        held &= set(benchmark.datasets)
    judged = "test accuracy after 200 epochs, mean over training runs"
    if benchmark is not None:
        judged = f"test accuracy of {benchmark.title}, mean over training runs"
    return TableSpec(
        title="Indicators and their rank sum on NAS-Bench-201",
        space=SPACE,
        truth=judged,
        datasets=[*(name for name in DATASETS if name in held), *sorted(held - set(DATASETS))],
        splits=["test"],
        rows=[*rows, total],
    )


def indicators(spec: TableSpec, scores: Scores, truth: Truth, dataset: str) -> Indicators | None:
    """What the table's indicators say of the cells that they all have scores of; None if there are none."""
    rows = [row for row in spec.rows if row.aggregate is None]
    columns = []
    for row in rows:
        values, _ = row_values(scores, spec.space, row, dataset)
        if values is None:
            return None
        matched_accuracy(truth, Part(spec.space, dataset, row.label), values, "test")
        columns.append(values.set_index("index")["value"])
    wide = pd.concat(columns, axis="columns", join="inner").sort_index()
    index = wide.index.to_numpy(np.int64)
    accuracy = np.asarray(truth.accuracy(dataset, "test"), np.float64)[index]
    known = np.isfinite(accuracy)
    told, accuracy, index = wide.to_numpy(np.float64)[known], accuracy[known], index[known]
    if len(index) < 2:
        return None
    told = np.where(np.isfinite(told), told, -np.inf)  # a failure ranks lowest, as everywhere in a report
    ranks = np.stack([_shares(column) for column in told.T], 1)
    names = tuple(row.name for row in rows)
    return Indicators(dataset, names, _operations(index), ranks, _shares(ranks.sum(1)), _shares(accuracy))


def _shares(values: Floats) -> Floats:
    """Ranks from 0, the worst, to 1; equal values share the mean of theirs."""
    found: Floats = (rankdata(values) - 1) / (len(values) - 1)
    return found


def _operations(index: Numbers) -> Numbers:
    space, place = NASBench201(), {name: number for number, name in enumerate(OPERATIONS)}
    return np.array([[place[name] for name in space.arch(int(i)).operations] for i in index], np.int64)


def depths(operations: Numbers) -> Numbers:
    """Edges other than `none` on the longest path from input to output, 0 without a path; shape (N,)."""
    far = np.full((len(operations), 4), -np.inf)
    far[:, 0] = 0
    for edge, (source, target) in enumerate(EDGES):  # sources come before their targets
        step = np.where(operations[:, edge] == NONE, -np.inf, far[:, source] + 1)
        far[:, target] = np.maximum(far[:, target], step)
    depth: Numbers = np.maximum(far[:, 3], 0).astype(np.int64)
    return depth


def exclusive(found: Indicators, share: float = CHOSEN) -> list[tuple[str, Numbers]]:
    """Of each indicator the places of the cells that it alone chooses, and of all cells.

    An indicator chooses the best share, and whatever is as good as the last of these.
    """
    count = max(1, math.ceil(share * len(found.ranks)))
    least_P = np.sort(found.ranks, 0)[-count]
    chosen_NP = found.ranks >= least_P
    alone_N = chosen_NP.sum(1) == 1
    each = [(name, np.flatnonzero(chosen_NP[:, p] & alone_N)) for p, name in enumerate(found.names)]
    return [*each, (ALL, np.arange(len(found.ranks)))]


def exclusive_table(found: Indicators, share: float = CHOSEN) -> pd.DataFrame:
    """Operations, depth and accuracy of the cells that one indicator alone chooses."""
    depth = depths(found.operations)
    records = []
    for name, places in exclusive(found, share):
        operations = found.operations[places]
        records.append(
            {
                "dataset": found.dataset,
                "indicator": name,
                "n": len(places),
                **{f"share_{o}": _mean(operations == number) for number, o in enumerate(OPERATIONS)},
                "depth": _mean(depth[places]),
                **{f"share_depth_{d}": _mean(depth[places] == d) for d in DEPTHS},
                "rank_accuracy": _mean(found.accuracy[places]),
            }
        )
    return pd.DataFrame(records, columns=list(EXCLUSIVE_MEANINGS))


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else math.nan


def none_table(found: Indicators) -> pd.DataFrame:
    """How an indicator ranks cells with `none`, beside how accuracy does."""
    pairs = _pairs(found.operations)
    count = (found.operations == NONE).sum(1)
    judged = found.accuracy[pairs[:, 1]] - found.accuracy[pairs[:, 0]]
    records = []
    for name, ranks in _every(found):
        change = ranks[pairs[:, 1]] - ranks[pairs[:, 0]]
        records.append(
            {
                "dataset": found.dataset,
                "indicator": name,
                "pairs": len(pairs),
                "change": _mean(change),
                "share_lower": _mean(change < 0),
                "share_agreeing": _mean(np.sign(change) == np.sign(judged)),
                **{f"rank_{n}": _mean(ranks[count == n]) for n in range(len(EDGES) + 1)},
            }
        )
    return pd.DataFrame(records, columns=list(NONE_MEANINGS))


def _every(found: Indicators) -> list[tuple[str, Floats]]:
    each = list(zip(found.names, found.ranks.T, strict=True))
    return [*each, (RANK_SUM, found.rank_sum), (ACCURACY, found.accuracy)]


def _pairs(operations: Numbers) -> Numbers:
    """Places of a cell and of the same cell with `none` on one edge, of those scored; shape (pairs, 2)."""
    power = len(OPERATIONS) ** np.arange(operations.shape[1])
    codes = operations @ power
    order = codes.argsort()
    found = []
    for edge in range(operations.shape[1]):
        others = np.flatnonzero(operations[:, edge] != NONE)
        wanted = codes[others] + (NONE - operations[others, edge]) * power[edge]
        places = np.minimum(np.searchsorted(codes, wanted, sorter=order), len(codes) - 1)
        held = codes[order[places]] == wanted
        found.append(np.stack([others[held], order[places[held]]], 1))
    return np.concatenate(found)


def draw_exclusive(table: pd.DataFrame) -> Figure | None:
    """Operations on the left and depths on the right, a line a data set; None without rows."""
    datasets = list(dict.fromkeys(table["dataset"]))
    if not datasets:
        return None
    with paper_style():
        figure = Figure((PAGE, 1.7 * len(datasets) + 0.6), dpi=STYLE["savefig.dpi"], layout="constrained")
        every = figure.subplots(len(datasets), 2, squeeze=False, width_ratios=(5, 4))
        for line, dataset in zip(every, datasets, strict=True):
            part = table[table["dataset"] == dataset]
            _bars(line[0], part, [f"share_{name}" for name in OPERATIONS], list(OPERATIONS))
            _bars(line[1], part, [f"share_depth_{d}" for d in DEPTHS], [f"depth {d}" for d in DEPTHS])
            line[0].set_title(f"{DATASETS.get(dataset, dataset)}: operations", fontsize=8)
            line[0].set_ylabel("share of edges")
            line[1].set_title("depth", fontsize=8)
            line[1].set_ylabel("share of cells")
        handles, names = every[0][0].get_legend_handles_labels()
        sentences = [
            f"Cells among the best {100 * CHOSEN:.0f} % by one indicator and by no other one.",
            "Depth: edges other than none on the longest path from input to output.",
        ]
        figure.legend(
            handles, [short(name, 30) for name in names], title=lines(sentences, PAGE), title_fontsize=SMALL,
            fontsize=SMALL, loc="outside lower center", ncols=4, frameon=False,
        )  # fmt: skip
    return figure


def _bars(axes: Axes, part: pd.DataFrame, columns: Sequence[str], names: Sequence[str]) -> None:
    width = 0.8 / len(part)
    for place, row in enumerate(part.to_dict("records")):
        at = np.arange(len(columns)) + (place - (len(part) - 1) / 2) * width
        colour = "#999999" if row["indicator"] == ALL else COLOURS[place % len(COLOURS)]
        heights = np.nan_to_num([float(row[column]) for column in columns])
        axes.bar(at, heights, width, color=colour, label=f"{row['indicator']} (n = {row['n']:,})")
    axes.set_xticks(range(len(columns)), names, fontsize=SMALL)
    axes.grid(axis="y")


def draw_none(table: pd.DataFrame) -> Figure | None:
    """Mean rank against the number of `none` edges, a panel a data set; None without rows."""
    datasets = list(dict.fromkeys(table["dataset"]))
    if not datasets:
        return None
    with paper_style():
        width = PAGE * min(1.0, 0.2 + 0.27 * len(datasets))
        figure = Figure((width, 2.7), dpi=STYLE["savefig.dpi"], layout="constrained")
        every = figure.subplots(1, len(datasets), squeeze=False, sharey=True)[0]
        counts = range(len(EDGES) + 1)
        for axes, dataset in zip(every, datasets, strict=True):
            part = table[table["dataset"] == dataset]
            for place, row in enumerate(part.to_dict("records")):
                black = row["indicator"] == ACCURACY
                axes.plot(
                    counts, [row[f"rank_{n}"] for n in counts], markersize=3, linewidth=1,
                    color="black" if black else COLOURS[place % (len(COLOURS) - 1)],
                    linestyle="--" if black else "-", label=row["indicator"],
                    marker=MARKERS[place % len(MARKERS)],
                )  # fmt: skip
            pairs = f"{int(part['pairs'].iloc[0]):,} pairs"
            axes.set_title(f"{DATASETS.get(dataset, dataset)} ({pairs})")
            axes.set_xlabel("edges of none", fontsize=SMALL)
            axes.grid(axis="y")
        every[0].set_ylabel("mean rank (1: best)")
        handles, names = every[0].get_legend_handles_labels()
        figure.legend(
            handles, [short(name, 30) for name in names],
            title="How indicators rank cells by their edges of none.",
            title_fontsize=SMALL, fontsize=SMALL, loc="outside lower center", ncols=3, frameon=False,
        )  # fmt: skip
    return figure
