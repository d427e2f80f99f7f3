"""What a proxy says after each number of epochs of training, for bad, middling and good cells.

The labels of one proxy that differ in its option `epochs` are one series.  Cells are compared in three bands
of test accuracy; a band's limits are quantiles of all accuracies that are known, not of those that were
scored.
"""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd

from nasbench_eval.errors import UsageError
from nasbench_eval.registry import UnknownName
from nasbench_eval.report.draw import WIDTH
from nasbench_eval.report.scores import Part, Scores
from nasbench_eval.report.tables import Truth, matched_accuracy
from nasbench_eval.report.titles import DATASETS
from nasbench_eval.runs.parquet import MARKS, schema

BANDS = {"bad": (0.0, 0.1), "middling": (0.45, 0.55), "good": (0.9, 1.0)}
SAID = {"bad": "worst tenth", "middling": "middle tenth", "good": "best tenth"}
MEANINGS = {
    "dataset": "the data set",
    "value": "a column of the proxy, or its score if it has no columns of its own",
    "band": "`bad`, `middling` or `good`: cells of the worst, the middle or the best tenth by test accuracy "
    "of all cells whose accuracy is known",
    "epochs": "how long the networks were trained before",
    "n": "cells of the band with a finite value",
    "n_failed": "cells of the band without one",
    "lower": "lower quartile of the values",
    "median": "their median",
    "upper": "upper quartile",
}
_DECIMALS = 3


def series(name: str, scores: Scores) -> dict[tuple[str, str], list[tuple[int, Part]]]:
    """The labels of a proxy by their epochs, ascending, for each space and data set.

    Raises:
        UsageError: if the runs hold no label of the proxy, or none that says after how many epochs, or if two
            labels differ in more than their epochs.
    """
    known, found = set(), {}
    for part in scores.frames:
        options = scores.options(part)
        known.add(str(options.get("name", part.label)))
        if options.get("name") == name:
            found[part] = options
    if not found:
        raise UnknownName("proxy of these runs", name, sorted(known))
    places: dict[tuple[str, str], list[tuple[int, Part]]] = {}
    others: dict[str, str] = {}
    for part, options in found.items():
        if not isinstance(options.get("epochs"), int):
            raise UsageError(f"--epochs: '{part.label}' has no option epochs")
        others[part.label] = json.dumps({**options, "epochs": None}, sort_keys=True)
        places.setdefault((part.space, part.dataset), []).append((options["epochs"], part))
    if len(set(others.values())) > 1:
        labels = ", ".join(sorted(others))
        raise UsageError(f"--epochs: {labels} differ in more than their epochs; report them apart")
    return {place: sorted(held) for place, held in places.items()}


def over_epochs(labels: Sequence[tuple[int, Part]], scores: Scores, truth: Truth) -> pd.DataFrame:
    """Quartiles of each value in each band after each number of epochs; `MEANINGS` has the columns."""
    records: list[dict[str, Any]] = []
    for epochs, part in labels:
        frame = scores.frames[part]
        accuracy = matched_accuracy(truth, part, frame, "test")
        known = np.asarray(truth.accuracy(part.dataset, "test"), np.float64)
        known = known[np.isfinite(known)]
        for value in _values(frame):
            told = frame[value].to_numpy(np.float64)
            for band, shares in BANDS.items():
                least, most = np.quantile(known, shares)
                held = told[(accuracy >= least) & (accuracy <= most)]
                finite = held[np.isfinite(held)]
                quartiles = np.quantile(finite, (0.25, 0.5, 0.75)) if len(finite) else [math.nan] * 3
                numbers = (epochs, len(finite), len(held) - len(finite), *map(float, quartiles))
                records.append(dict(zip(MEANINGS, (part.dataset, value, band, *numbers), strict=True)))
    table = pd.DataFrame(records, columns=list(MEANINGS))
    named: list[str] = [*table["value"], *BANDS]
    order = {name: place for place, name in enumerate(dict.fromkeys(named))}
    keys = table.assign(value=table["value"].map(order), band=table["band"].map(order))
    return table.loc[keys.sort_values(["value", "band", "epochs"]).index].reset_index(drop=True)


def _values(frame: pd.DataFrame) -> list[str]:
    """The columns that the proxy names beside its score."""
    common = {*schema(()).names, *MARKS}
    own = [name for name in frame.select_dtypes("number").columns if name not in common]
    return own or ["score"]


def draw_text(table: pd.DataFrame, name: str) -> str:
    """For the terminal."""
    lines = []
    for title, head, body in _grids(table, name):
        widths = [max(map(len, column)) for column in zip(head, *body, strict=True)]
        rule = "─" * (sum(widths) + 2 * len(widths) - 2)
        rows = [_line(row, widths) for row in (head, *body)]
        lines += [title, rule, rows[0], rule, *rows[1:], rule, ""]
    return "\n".join([*lines, fill(caption(table), WIDTH)]) + "\n"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """The first to the left, numbers to the right."""
    padded = (f"{cell:>{width}}" for cell, width in zip(cells[1:], widths[1:], strict=True))
    return "  ".join([f"{cells[0]:<{widths[0]}}", *padded])


def draw_markdown(table: pd.DataFrame, name: str) -> str:
    """One table a value."""
    lines = [f"# {name} over epochs of training", "", caption(table), ""]
    for title, head, body in _grids(table, name):
        lines += [f"## {title}", "", "| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
        lines += ["| " + " | ".join(row) + " |" for row in body] + [""]
    return "\n".join(lines).replace("_", r"\_").rstrip() + "\n"


def _grids(table: pd.DataFrame, name: str) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """A title, a head and rows for each data set and value: medians and quartiles, a column a band."""
    held = {
        (row["dataset"], row["value"], row["epochs"], row["band"]): row for row in table.to_dict("records")
    }
    for dataset, value in dict.fromkeys((dataset, value) for dataset, value, *_ in held):
        epochs = sorted({k for place, column, k, _ in held if (place, column) == (dataset, value)})
        body = [[str(k), *(_spread(held[dataset, value, k, band]) for band in BANDS)] for k in epochs]
        yield f"{name}.{value} on {DATASETS.get(dataset, dataset)}", ["epochs", *BANDS], body


def _spread(row: Mapping[Hashable, Any]) -> str:
    if not row["n"]:
        return "–"
    median, lower, upper = (f"{row[key]:.{_DECIMALS}f}" for key in ("median", "lower", "upper"))
    return f"{median} [{lower}, {upper}]"


def caption(table: pd.DataFrame) -> str:
    """What the figures are, and of how many cells."""
    told = []
    for band in BANDS:
        part = table[table["band"] == band]
        failed = part.groupby("value", sort=False)["n_failed"].max()
        lacking = "".join(f", {count} without {value}" for value, count in failed.items() if count)
        told.append(f"{band} the {SAID[band]} ({cells_of(part)} cells{lacking})")
    return f"Median and quartiles. Bands of test accuracy: {', '.join(told)}."


def cells_of(part: pd.DataFrame) -> int:
    """How many cells some rows are about."""
    return int((part["n"] + part["n_failed"]).max())
