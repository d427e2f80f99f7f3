"""Kendall τ against what a score costs: which proxy is worth its seconds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from nasbench_eval.report.draw import sample_size
from nasbench_eval.report.figure.labels import leader, place_labels
from nasbench_eval.report.figure.rows import definition, shown_ceilings, shown_rows
from nasbench_eval.report.figure.style import (
    CEILING,
    COLOURS,
    COLUMN,
    MARKERS,
    PAGE,
    SMALL,
    STYLE,
    lines,
    number,
    paper_style,
    short,
)
from nasbench_eval.report.scores import Part, Scores
from nasbench_eval.report.spec import RowSpec, SweepSpec
from nasbench_eval.report.statistics.correlation import CONFIDENCE
from nasbench_eval.report.tables import Table
from nasbench_eval.report.titles import DATASETS, SPLITS
from nasbench_eval.report.values import row_labels

Floats = npt.NDArray[np.float64]

COST_COLUMNS = ["proxy", "title", "aggregate", "seconds", "kendall_tau", "kendall_low", "kendall_high"]
HEIGHT, HEIGHT_A_ROW = 2.7, 0.05
# Up to so many names stand in a column; more take the page's width.
COLUMN_ROWS = 30
MARKER = 3.6


def costs(table: Table, scores: Scores, dataset: str) -> pd.DataFrame:
    """Each row's τ and its interval beside the median seconds a network, in the table's order.

    Args:
        table: computed from `scores`.
        scores: of the runs.
        dataset: one of the table's.

    Returns:
        The columns of `COST_COLUMNS`; `aggregate` is whether the row is one. Rows whose seconds the runs did
        not record are left out, and so are rows without a τ.
    """
    records = []
    for row in shown_rows(table, dataset).to_dict("records"):
        spec = definition(table, str(row["proxy"]))
        seconds = median_seconds(scores, table.spec.space, spec, dataset)
        if seconds > 0:
            records.append({**row, "aggregate": spec.aggregate is not None, "seconds": seconds})
    return pd.DataFrame(records, columns=COST_COLUMNS)


def median_seconds(scores: Scores, space: str, row: RowSpec, dataset: str) -> float:
    """Median over networks of the seconds a row's score takes, NaN if unknown.

    An aggregate takes the sum of its members' seconds, each label counted once, over the networks that all of
    them have. What labels share, the passes of one network, is counted for each.
    """
    frames = [scores.frames[Part(space, dataset, name)] for name in row_labels(scores, space, row, dataset)]
    if not frames or any("seconds" not in frame.columns for frame in frames):
        return float("nan")
    took = [frame.loc[_took_its_time(frame)].set_index("index")["seconds"] for frame in frames]
    together = pd.concat(took, axis="columns", join="inner").astype("float64")
    return float(together.sum(axis="columns", skipna=False).median())


def _took_its_time(frame: pd.DataFrame) -> pd.Series[bool]:
    """Whether the seconds of a row are those that its score takes."""
    crashed = frame["status"].isin(["oom", "error"])
    if "copied_from" not in frame.columns:
        return ~crashed
    free = frame["copied_from"].notna() & (frame["seconds"] == 0)
    return ~(crashed | free)


def draw_cost(rows: pd.DataFrame, table: Table, dataset: str) -> Figure | None:
    """τ against seconds on a logarithmic axis, every point named; a sweep as lines.

    None if there are fewer than two rows or all cost the same. The figure belongs to no pyplot state.

    Args:
        rows: of `costs`.
        table: what they were computed from.
        dataset: theirs.
    """
    if len(rows) < 2 or rows["seconds"].max() < 1.01 * rows["seconds"].min():
        return None
    sweep = table.spec.sweep
    with paper_style():
        crowd = len(rows) > COLUMN_ROWS and not sweep
        height = HEIGHT + HEIGHT_A_ROW * (10 if sweep else min(len(rows), COLUMN_ROWS))
        # Letters are a little wider or narrower at another resolution than they will be written at.
        figure = Figure((PAGE if crowd else COLUMN, height), dpi=STYLE["savefig.dpi"], layout="constrained")
        axes = figure.subplots()
        axes.set_xscale("log")
        decades = np.log10(rows["seconds"].max() / rows["seconds"].min())
        axes.xaxis.set_major_locator(LogLocator(subs=(1,) if decades > 1.5 else (1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        ceiling = shown_ceilings(table).get(dataset)
        handles = _lines(axes, rows, sweep) if sweep else _points(axes, rows)
        marks: list[Artist] = []
        if ceiling:
            marks.append(axes.axhline(ceiling.kendall_tau, color="black", zorder=1, **CEILING))
            name = f"noise ceiling {number(ceiling.kendall_tau)}"
            marks.append(
                axes.annotate(
                    name, (1, ceiling.kendall_tau), (0, 2.5), xycoords=axes.get_yaxis_transform(),
                    textcoords="offset points", fontsize=SMALL, ha="right",
                )
            )  # fmt: skip
        _explain(figure, axes, rows, table, dataset, handles)
        if not sweep:
            _name(figure, axes, rows, marks)
    return figure


def _points(axes: Axes, rows: pd.DataFrame) -> list[Line2D]:
    """One point a row, aggregates as squares; returns the legend's entries."""
    axes.vlines(rows["seconds"], rows["kendall_low"], rows["kendall_high"], color="#999999", linewidth=0.7)
    handles = []
    for is_aggregate, label, colour, marker in (
        (False, "proxy", COLOURS[0], MARKERS[0]),
        (True, "aggregate (sum of its members)", COLOURS[1], MARKERS[1]),
    ):
        chosen = rows[rows["aggregate"] == is_aggregate]
        if len(chosen):
            handles += axes.plot(
                chosen["seconds"], chosen["kendall_tau"], marker, color=colour, markersize=MARKER, label=label
            )
    # Names are many where points are: room for them at both ends.
    low, high = float(rows["seconds"].min()), float(rows["seconds"].max())
    axes.set_xlim(low * (high / low) ** -0.12, high * (high / low) ** 0.2)
    axes.margins(y=0.08)
    return handles


def _lines(axes: Axes, rows: pd.DataFrame, sweep: SweepSpec) -> list[Line2D]:
    """One line a proxy, along the sweep; returns the legend's entries."""
    by_name = rows.set_index("proxy")
    span = float(rows["seconds"].max() / rows["seconds"].min())
    handles = []
    for place, proxy in enumerate(sweep.proxies):
        values = [value for value in sweep.values if sweep.name(proxy, value) in by_name.index]
        if not values:
            continue
        line = by_name.loc[[sweep.name(proxy, value) for value in values]]
        # What shares its passes costs the same: a little apart, the whiskers can be told from each other.
        at = line["seconds"] * span ** (0.012 * (place - (len(sweep.proxies) - 1) / 2))
        colour, marker = COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]
        axes.vlines(at, line["kendall_low"], line["kendall_high"], color=colour, linewidth=0.7)
        handles += axes.plot(
            at, line["kendall_tau"], color=colour, marker=marker, markersize=3.2, linewidth=1, label=proxy
        )
    return handles


def _name(figure: Figure, axes: Axes, rows: pd.DataFrame, marks: list[Artist]) -> None:
    """Write each row's name near its point, where it covers the least of points, whiskers and marks."""
    # Positions are known only once the layout is.
    figure.draw_without_rendering()
    to_points = 72 / figure.dpi
    points = axes.transData.transform(rows[["seconds", "kendall_tau"]].to_numpy(dtype=np.float64)) * to_points
    texts = [figure.text(0, 0, short(title), fontsize=SMALL) for title in rows["title"]]
    sizes = np.array([(box.width, box.height) for box in (text.get_window_extent() for text in texts)])
    for text in texts:
        text.remove()
    box = axes.get_window_extent()
    bounds = np.array([box.x0, box.y0, box.x1, box.y1]) * to_points + np.array([1, 1, 1, -1])
    # A little more than they need: other formats set them a little wider.
    sizes = sizes * to_points + np.array([3.0, 1.0])
    others = [np.array([mark.get_window_extent().extents]) * to_points for mark in marks]
    obstacles = np.concatenate([_obstacles(axes, rows, points, to_points), *others])
    places = place_labels(points, sizes, bounds, obstacles)
    style = {"arrowstyle": "-", "linewidth": 0.4, "color": "#666666", "shrinkA": 0, "shrinkB": 1.5}
    for row, point, place in zip(rows.to_dict("records"), points, places, strict=True):
        at = (row["seconds"], row["kendall_tau"])
        end = leader(point, place)
        if end is not None:
            line = axes.annotate("", at, tuple(end - point), textcoords="offset points", arrowprops=style)
            line.set_in_layout(False)
        name = axes.annotate(
            short(row["title"]), at, tuple((place[:2] + place[2:]) / 2 - point), textcoords="offset points",
            fontsize=SMALL, ha="center", va="center", zorder=4,
        )  # fmt: skip
        name.set_in_layout(False)


def _obstacles(axes: Axes, rows: pd.DataFrame, points: Floats, to_points: float) -> Floats:
    """The boxes of the points and their whiskers, in typographic points; shape (B, 4)."""
    half = MARKER / 2 + 0.5
    boxes = [np.concatenate([points - half, points + half], axis=1)]
    thin = np.array([0.4, 0.0])
    for side in ("kendall_low", "kendall_high"):
        ends = axes.transData.transform(rows[["seconds", side]].to_numpy(dtype=np.float64)) * to_points
        low, high = np.minimum(points, ends) - thin, np.maximum(points, ends) + thin
        whiskers = np.concatenate([low, high], axis=1)
        boxes.append(whiskers[np.isfinite(whiskers).all(axis=1)])
    return np.concatenate(boxes)


def _explain(
    figure: Figure, axes: Axes, rows: pd.DataFrame, table: Table, dataset: str, handles: list[Line2D]
) -> None:
    """Titles, what the seconds are and what the marks are."""
    truth = SPLITS.get(table.splits[0], table.splits[0])
    axes.set_title(f"{DATASETS.get(dataset, dataset)}, n = {sample_size(shown_rows(table, dataset))}")
    axes.set_xlabel("median seconds a network")
    axes.set_ylabel(f"Kendall τ with {truth}")
    axes.grid(axis="y")
    sentences = [
        "Seconds of the passes a score takes, on the machine of the run,",
        "shared passes counted for each score.",
    ]
    if table.spec.sweep:
        values = ", ".join(str(value) for value in table.spec.sweep.values)
        sentences.append(f"Along a line: {table.spec.sweep.option} {values}.")
    if rows["kendall_low"].notna().any():
        sentences.append(f"Whiskers: {100 * CONFIDENCE:.0f} % bootstrap intervals.")
    figure.legend(
        handles=handles, title=lines(sentences, figure.get_figwidth()), title_fontsize=SMALL, fontsize=SMALL,
        loc="outside lower center", ncols=2, frameon=False, columnspacing=1.2,
    )  # fmt: skip
