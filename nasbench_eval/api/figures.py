"""Figures of diagnoses and sweeps, drawn without pyplot: whoever asks shows or saves them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

BLUE, RED, GREY = "#3b6ea8", "#c0392b", "#8a8a8a"
# Names on an axis; of more of them some are left out.
_TICKS = 30


def drawn_diagnosis(layers: pd.DataFrame, tensors: pd.DataFrame) -> Figure:
    """Two panels from the first layer to the last: share of channels in use, health of gradients."""
    figure = Figure(figsize=(max(6.0, min(14.0, 0.22 * max(len(layers), len(tensors)))), 6.5))
    upper, lower = figure.subplots(2, 1)
    colours = [RED if dead else BLUE for dead in layers["dead"]]
    upper.bar(range(len(layers)), layers["share"], color=colours)
    upper.set_ylabel("PR / channels")
    upper.set_title(
        "Share of its channels' directions that a layer uses"
        + (" (red: dead)" if layers["dead"].any() else ""),
        fontsize=10,
    )
    lower.bar(range(len(tensors)), tensors["health"], color=BLUE)
    lower.set_ylabel("health of the gradient")
    lower.set_title("Spread of a gradient's entries over the largest of them", fontsize=10)
    for axes, names in ((upper, list(layers.index)), (lower, list(tensors.index))):
        step = -(-len(names) // _TICKS) if names else 1
        places = range(0, len(names), step)
        axes.set_xticks(list(places), [names[i] for i in places], rotation=90, fontsize=7)
        axes.set_xlim(-0.8, len(names) - 0.2)
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    return figure


def drawn_sweep(frame: pd.DataFrame, proxies: Sequence[str]) -> Figure:
    """A panel a proxy, and one for parameters and FLOPs each."""
    panels = [*proxies, "params", "flops"]
    columns = 2 if len(panels) == 4 else min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(3.6 * columns, 2.8 * rows))
    every = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    first, *others = frame.index.names
    groups = list(frame.groupby(level=others, sort=False)) if others else [((), frame)]
    for axes, panel in zip(every, panels, strict=False):
        for group, (key, part) in enumerate(groups):
            _line(axes, part, panel, str(first), _named(others, key), group)
        axes.set_xlabel(str(first))
        axes.set_title(panel, fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in every[len(panels) :]:
        axes.set_visible(False)
    if others and len(groups) <= 10:
        every[0].legend(fontsize=7, frameon=False)
    figure.tight_layout()
    return figure


def _named(names: Sequence[object], key: Any) -> str:
    values = key if isinstance(key, tuple) else (key,)
    return ", ".join(f"{name}={value}" for name, value in zip(names, values, strict=True))


def _line(axes: Any, part: pd.DataFrame, panel: str, first: str, label: str, group: int) -> None:
    values = list(part.index.get_level_values(first))
    numbers = all(isinstance(value, int | float) for value in values)
    x = values if numbers else list(range(len(values)))
    spread = part[f"{panel}_std"].fillna(0.0) if f"{panel}_std" in part else None
    axes.errorbar(
        x, part[panel], yerr=spread, marker="o", markersize=3, capsize=2, label=label, color=f"C{group % 10}"
    )
    if not numbers:
        axes.set_xticks(x, [str(value) for value in values], fontsize=7)
