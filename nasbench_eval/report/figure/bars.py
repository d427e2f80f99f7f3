"""Draws a computed table as bars, or as lines over a sweep. Nothing is computed here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nasbench_eval.report import PNG
from nasbench_eval.report.draw import sample_size
from nasbench_eval.report.figure.rows import shown_ceilings, shown_rows
from nasbench_eval.report.figure.style import (
    CEILING,
    COLOURS,
    COLUMN,
    MARKERS,
    PAGE,
    SMALL,
    ceiling_handle,
    paper_style,
    save,
    short,
)
from nasbench_eval.report.spec import SweepSpec
from nasbench_eval.report.statistics.correlation import CONFIDENCE
from nasbench_eval.report.tables import GROUPS, Table
from nasbench_eval.report.titles import DATASETS, SPLITS
from nasbench_eval.truth.ceiling import Ceiling

ROW_HEIGHT = 0.23
# Of each metric: its column, its interval's stem, the published column, its name, colour and side of the row.
METRICS = (
    ("kendall_tau", "kendall", "published_tau", "Kendall τ", "#0072B2", -1),
    ("spearman_rho", "spearman", "published_rho", "Spearman ρ", "#E69F00", 1),
)
BAR = 0.38
# Between the paper's rows and others, in rows; the name of the others stands in it.
GAP = 0.95


def write_figure(table: Table, folder: Path, formats: Sequence[str] = (PNG,)) -> list[str]:
    """Write `<table>.png`, or other formats; returns the files' names, none if there is nothing to draw."""
    figure = draw_figure(table)
    if figure is None:
        return []
    return save(figure, folder, table.name, formats)


def draw_figure(table: Table) -> Figure | None:
    """The first split's correlations with 95 % intervals, a panel a data set; None if there are none.

    Kendall τ and Spearman ρ as bars with the published figures as diamonds, the rows in the table's order;
    a table with a sweep shows τ along it instead. The figure belongs to no pyplot state.
    """
    rows = shown_rows(table)
    sweep = table.spec.sweep
    if rows.empty:
        return None
    datasets = [dataset for dataset in table.spec.datasets if (rows["dataset"] == dataset).any()]
    ceilings = shown_ceilings(table)
    with paper_style():
        order = [name for name in dict.fromkeys(table.rows["proxy"]) if (rows["proxy"] == name).any()]
        height = 2.4 + 0.6 * bool(ceilings) if sweep else 1.2 + ROW_HEIGHT * len(order)
        figure = Figure((COLUMN if len(datasets) == 1 else PAGE, height), layout="constrained")
        panels = figure.subplots(1, len(datasets), sharex=True, sharey=True, squeeze=False)[0]
        for axes, dataset in zip(panels, datasets, strict=True):
            shown = rows[rows["dataset"] == dataset]
            if sweep:
                _lines(axes, shown, sweep)
            else:
                _bars(axes, shown, rows, order)
            if dataset in ceilings:
                _ceiling(axes, ceilings[dataset], along=sweep is not None)
            axes.set_title(f"{DATASETS.get(dataset, dataset)}, n = {sample_size(shown)}")
        _explain(figure, panels[0], table, rows)
    return figure


def _bars(axes: Axes, shown: pd.DataFrame, rows: pd.DataFrame, order: list[str]) -> None:
    """Two bars a row, at the same height in every panel; gaps and rules set groups of rows apart."""
    group = {name: str(rows.loc[rows["proxy"] == name, "group"].iloc[0]) for name in order}
    present = [key for key in GROUPS if key in group.values()]
    places = {name: number + GAP * present.index(group[name]) for number, name in enumerate(order)}
    titles = dict(zip(rows["proxy"], rows["title"], strict=True))
    for metric, stem, published, label, colour, side in METRICS:
        at = shown["proxy"].map(places) + side * BAR / 2
        axes.barh(at, shown[metric], height=BAR, color=colour, label=label)
        axes.hlines(at, shown[f"{stem}_low"], shown[f"{stem}_high"], color="black", linewidth=0.7)
        known = shown[published].notna()
        axes.plot(
            shown.loc[known, published], at[known], "D", markersize=2.8, markerfacecolor="white",
            markeredgecolor="black", markeredgewidth=0.6, zorder=3,
        )  # fmt: skip
    for key in present[1:]:
        rule = min(place for name, place in places.items() if group[name] == key) - 0.5 - 0.65 * GAP
        axes.axhline(rule, color="black", linewidth=0.6)
        axes.text(
            1,
            rule + 0.06,
            GROUPS[key],
            fontsize=SMALL,
            transform=axes.get_yaxis_transform(),
            ha="right",
            va="top",
        )
    axes.axvline(0, color="black", linewidth=0.6)
    axes.grid(axis="x")
    axes.set_yticks(list(places.values()), [short(titles[name]) for name in order])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(max(places.values()) + 0.6, -0.6)


def _lines(axes: Axes, shown: pd.DataFrame, sweep: SweepSpec) -> None:
    """One line a proxy: τ against the option's value, the lines a little apart for their whiskers' sake."""
    by_name = shown.set_index("proxy")
    step = 0.012 * (max(sweep.values) - min(sweep.values))
    for number, proxy in enumerate(sweep.proxies):
        values = [value for value in sweep.values if sweep.name(proxy, value) in by_name.index]
        if not values:
            continue
        line = by_name.loc[[sweep.name(proxy, value) for value in values]]
        at = [value + step * (number - (len(sweep.proxies) - 1) / 2) for value in values]
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        axes.vlines(at, line["kendall_low"], line["kendall_high"], color=colour, linewidth=0.8)
        axes.plot(
            at, line["kendall_tau"], color=colour, marker=marker, markersize=3.2, linewidth=1, label=proxy
        )
    axes.set_xticks(sweep.values)
    axes.set_xlabel(sweep.option)
    axes.grid(axis="y")


def _ceiling(axes: Axes, ceiling: Ceiling, along: bool) -> None:
    """The noise ceiling: that of τ along lines, those of τ and ρ across bars."""
    if along:
        axes.axhline(ceiling.kendall_tau, color="black", **CEILING)
        return
    for metric, _, _, _, colour, _ in METRICS:
        axes.axvline(getattr(ceiling, metric), color=colour, **CEILING)
    for text in axes.texts:  # the lines would run through it
        text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.6})


def _explain(figure: Figure, first: Axes, table: Table, rows: pd.DataFrame) -> None:
    """The legend, and above it what was correlated and what the whiskers are."""
    handles: list[Any] = first.get_legend_handles_labels()[0]
    settings, sweep = table.settings, table.spec.sweep
    truth = SPLITS.get(table.splits[0], table.splits[0])
    if not sweep and rows[["published_tau", "published_rho"]].notna().any(axis=None):
        diamond = Line2D([], [], linestyle="", marker="D", markersize=3, markerfacecolor="white")
        diamond.set(markeredgecolor="black", markeredgewidth=0.6, label=f"published ({table.spec.paper})")
        handles.append(diamond)
    known = [dataset in shown_ceilings(table) for dataset in dict.fromkeys(rows["dataset"])]
    if any(known):
        handles.append(ceiling_handle(everywhere=all(known)))
    if sweep:
        first.set_ylabel(f"Kendall τ with {truth}")
    else:
        first.set_xlim(right=1)
    live = "live " if settings.cells == "live" else ""
    sentence = f"n {live}architectures" if sweep else f"Correlations with {truth} over n {live}architectures"
    narrow = figure.get_figwidth() < PAGE
    if rows["kendall_low"].notna().any():
        sentence += ",\n" if narrow and not sweep else ", "
        sentence += f"whiskers: {100 * CONFIDENCE:.0f} % bootstrap intervals"
    figure.legend(
        handles=handles,
        title=sentence,
        loc="outside lower center",
        ncols=2 if narrow else len(handles),
        frameon=False,
        columnspacing=1.2,
    )
