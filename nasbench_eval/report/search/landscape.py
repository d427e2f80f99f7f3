"""The landscape that searches move in: cells on two axes, found by PCA of the cells that were visited.

Of the whole space PCA would find nothing: over all combinations of operations every direction explains as
much as any other.  So the axes are fitted on the trajectories, and how much they explain is printed.

Shape legend: N cells, F features: one for each operation on each edge; V values of a guide; T steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from scipy.stats import rankdata

from nasbench_eval.errors import UsageError
from nasbench_eval.report.figure.style import COLOURS, PAGE, SMALL, STYLE, lines, paper_style
from nasbench_eval.report.scores import Scores
from nasbench_eval.report.search.read import Floats, Numbers
from nasbench_eval.report.search.rows import Row
from nasbench_eval.report.spec import RowSpec
from nasbench_eval.report.titles import DATASETS
from nasbench_eval.report.values import row_values
from nasbench_eval.spaces.nasbench201 import OPERATIONS, NASBench201

SPACE = "nasbench201"
# Architectures of a row by number as numbers that can be compared, shape (N, F).
Features = Callable[[Row, Numbers], Floats]
ORANGE = "#E69F00"
CHILDREN = ("#000000", COLOURS[1])


@dataclass(frozen=True)
class Axes2:
    """Two principal axes.

    Attributes:
        mean: of what they were fitted on; shape (F,).
        directions: orthonormal; shape (2, F).
        explained: share of the variance along each; shape (2,).
    """

    mean: Floats
    directions: Floats
    explained: Floats

    def place(self, cells_NF: Floats) -> Floats:
        """Cells on the two axes, shape (N, 2)."""
        placed: Floats = (cells_NF - self.mean) @ self.directions.T
        return placed


@dataclass(frozen=True)
class Landscape:
    """Two searches, on the axes of what they visited.

    Attributes:
        name: of the figure: landscapes of one algorithm, guide and data set stand in one.
        title: the row, and where the two part.
        dataset: the data set.
        axes: the axes.
        values: the names of what the guide tells.
        ground: scored cells on the axes, shape (N, 2).
        ranks: of their values, as shares: 1 the best; NaN where unknown; shape (N, V).
        parent: the answer when the two parted; shape (1, 2), or (0, 2) if they share no step.
        children: the cells that each visited after that, shape (T, 2).
        ends: the answers of the two, shape (2, 2).
    """

    name: str
    title: str
    dataset: str
    axes: Axes2
    values: tuple[str, ...]
    ground: Floats
    ranks: Floats
    parent: Floats
    children: tuple[Floats, Floats]
    ends: Floats


def one_hot(archs: Numbers) -> Floats:
    """Cells by number as their operations, one feature for each operation on each edge; shape (N, 30)."""
    space = NASBench201()
    place = {name: number for number, name in enumerate(OPERATIONS)}
    rows = [[place[name] for name in space.arch(int(arch)).operations] for arch in archs]
    found: Floats = np.eye(len(OPERATIONS))[np.array(rows, np.int64).reshape(len(rows), -1)].reshape(
        len(rows), -1
    )
    return found


def principal_axes(cells_NF: Floats) -> Axes2:
    """The two directions along which cells differ most.  The largest entry of each is positive.

    Raises:
        UsageError: if the cells do not differ in two directions.
    """
    mean = cells_NF.mean(0)
    _, lengths, directions = np.linalg.svd(cells_NF - mean, full_matrices=False)
    if len(lengths) < 2 or lengths[1] < 1e-9:
        raise UsageError("a landscape needs a search that visited three different cells")
    two = directions[:2]
    largest = np.abs(two).argmax(1)
    signs = np.sign(two[[0, 1], largest])
    return Axes2(mean, two * signs[:, None], lengths[:2] ** 2 / (lengths**2).sum())


def landscapes(
    rows: Sequence[Row], scores: Scores | None, features: Features | None = None
) -> list[Landscape]:
    """Of each row the first two seeds as two children.

    Two forks of one parent part at the step of the fork; other seeds where their trials first differ.

    Args:
        rows: those with two seeds are taken, and without `features` those on NAS-Bench-201 alone.
        scores: for the background; None, or without the guide's values, for the visited cells alone.
        features: of the architectures of an open space.

    Raises:
        UsageError: if no row can be drawn.
    """
    drawn = [row for row in rows if len(row.trials.seeds) > 1 and (features or _of_cells(row))]
    if not drawn:
        where = "" if features else f" on {SPACE}"
        raise UsageError(f"--landscape needs searches{where} with two seeds or two forks each")
    return [_landscape(row, scores, features or _one_hot) for row in drawn]


def _of_cells(row: Row) -> bool:
    """Whether all trials of a row are cells of NAS-Bench-201."""
    return row.space == SPACE and all((run.trials["index"] >= 0).all() for run in row.runs)


def _one_hot(row: Row, archs: Numbers) -> Floats:
    return one_hot(archs)


def _landscape(row: Row, scores: Scores | None, features: Features) -> Landscape:
    trials = row.trials
    lengths = trials.lengths[:2]
    paths = [trials.index[child, : lengths[child]] for child in (0, 1)]
    shared = _shared(row, paths)
    visited = np.concatenate([paths[0], paths[1][shared:]])
    axes = principal_axes(features(row, visited))
    cells, told = _ground(row, scores)
    finite = np.where(np.isnan(told), -np.inf, told)
    ranks = np.where(
        np.isnan(told).all(1, keepdims=True), np.nan, rankdata(finite, axis=0) / max(len(finite), 1)
    )
    answer = trials.incumbent[0, shared - 1] if shared else -1
    parent = axes.place(features(row, np.array([answer]))) if answer >= 0 else np.empty((0, 2))
    ends = [trials.incumbent[child, -1] for child in (0, 1)]
    known = all(end >= 0 for end in ends)
    where = f"parted at step {shared}" if shared else "two seeds"
    return Landscape(
        f"{row.runs[0].algorithm} {row.guide.name} {row.dataset}",
        f"{row.title}: {where}",
        row.dataset,
        axes,
        row.guide.values,
        axes.place(features(row, cells)),
        ranks,
        parent,
        (axes.place(features(row, paths[0][shared:])), axes.place(features(row, paths[1][shared:]))),
        axes.place(features(row, np.array(ends))) if known else np.empty((0, 2)),
    )


def _shared(row: Row, paths: Sequence[Numbers]) -> int:
    """How many steps two searches have in common."""
    if row.runs[0].fork is not None:
        return min(row.runs[0].fork[1], *map(len, paths))
    length = min(map(len, paths))
    differ = np.flatnonzero(paths[0][:length] != paths[1][:length])
    return int(differ[0]) if len(differ) else length


def _ground(row: Row, scores: Scores | None) -> tuple[Numbers, Floats]:
    """Cells and what the guide's values are of them: as scored, or else as told."""
    columns = {}
    for value in row.guide.values if scores is not None else ():
        label, _, column = value.partition(".")
        spec = RowSpec(value, proxy=label, value=column or "score")
        assert scores is not None
        found, _ = row_values(scores, row.space, spec, row.dataset)
        if found is not None:
            columns[value] = found.set_index("index")["value"]
    if len(columns) == len(row.guide.values) and columns:
        index = sorted(set.intersection(*(set(column.index) for column in columns.values())))
        told = np.stack([column.loc[index].to_numpy(np.float64) for column in columns.values()], 1)
        return np.array(index, np.int64), told
    trials = row.trials
    cells, first = np.unique(trials.index.ravel(), return_index=True)
    told = trials.told.reshape(-1, trials.told.shape[-1])[first]
    return cells[cells >= 0], told[cells >= 0]


def draw_landscapes(found: Sequence[Landscape]) -> Figure | None:
    """A line a landscape, a panel a value; None without a value.  The figure belongs to no pyplot state."""
    across = max((len(each.values) for each in found), default=0)
    if not across:
        return None
    with paper_style():
        width = PAGE * min(1.0, 0.25 + 0.3 * across)
        figure = Figure((width, 2.35 * len(found) + 0.6), dpi=STYLE["savefig.dpi"], layout="constrained")
        every = figure.subplots(len(found), across, squeeze=False)
        for line, each in zip(every, found, strict=True):
            for place, axes in enumerate(line):
                if place < len(each.values):
                    _panel(axes, each, place)
                else:
                    axes.set_axis_off()
        figure.suptitle(DATASETS.get(found[0].dataset, found[0].dataset), fontsize=8)
        bar = figure.colorbar(
            ScalarMappable(Normalize(0, 1), "viridis"), ax=every, location="right", shrink=0.5, aspect=30
        )
        bar.set_label("rank of the value (1: best)", fontsize=SMALL)
        bar.ax.tick_params(labelsize=SMALL, length=2)
        sentences = [
            "Axes: PCA of the one-hot cells that both visited;",
            "in brackets the share of variance.",
            "Hexagons: mean rank of the scored cells.",
            "Star: answer when the two parted.",
            "Crosses: cells visited after that.",
            "Dashed: between their last answers.",
        ]
        figure.supxlabel(lines(sentences, width), fontsize=SMALL)
    return figure


def _panel(axes: Axes, each: Landscape, place: int) -> None:
    known = np.isfinite(each.ranks[:, place])
    ground = each.ground[known]
    axes.hexbin(
        ground[:, 0], ground[:, 1], C=each.ranks[known, place], gridsize=18, reduce_C_function=np.mean,
        vmin=0, vmax=1, cmap="viridis", linewidths=0.1, alpha=0.75, zorder=0,
    )  # fmt: skip
    # Cells in one place lie on each other; a little apart in a fixed way they can be told from each other.
    for child, colour, shift in zip(each.children, CHILDREN, (-0.02, 0.02), strict=True):
        axes.plot(
            child[:, 0] + shift, child[:, 1], "x", color=colour, markersize=3, markeredgewidth=0.6, alpha=0.8
        )
    if len(each.ends):
        axes.plot(each.ends[:, 0], each.ends[:, 1], "--", color=ORANGE, linewidth=1.2, zorder=4)
        for end, colour in zip(each.ends, CHILDREN, strict=True):
            axes.plot(
                *end, "X", color=colour, markersize=6, markeredgecolor="black", markeredgewidth=0.6, zorder=5
            )
    if len(each.parent):
        axes.plot(
            *each.parent[0], "*", color="#F0E442", markersize=9, markeredgecolor="black", markeredgewidth=0.6,
            zorder=6,
        )  # fmt: skip
    first, second = (100 * share for share in each.axes.explained)
    axes.set_title(
        each.values[place] if place else f"{each.title}\n{each.values[0]}", fontsize=SMALL, loc="left"
    )
    axes.set_xlabel(f"axis 1 ({first:.1f} %)", fontsize=SMALL, labelpad=1)
    axes.set_ylabel(f"axis 2 ({second:.1f} %)" if not place else "", fontsize=SMALL, labelpad=1)
    axes.tick_params(labelsize=SMALL, length=2)
