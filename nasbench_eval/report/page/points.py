"""Packs a report's scores and accuracies small enough to be carried by a page.

A block is text: base64 of a zlib stream. A packed vector holds, once inflated and little-endian: the number
K of distinct finite values (uint32); these in ascending order, each the upper half of a float64 (uint32);
and of each architecture a code: the place of its value among the distinct ones, K for a value that is not
finite, K + 1 for none. Codes are uint16, or uint32 if K + 2 > 65,536. Ranks are therefore exact, ties
included, while of the values only the upper 32 bits are kept, rounded (relative error below 1e-6).

Bytes are stored plane by plane, all first bytes, then all second ones, and so on: neighbouring values share
their leading bytes, and zlib finds such runs.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from nasbench_eval.errors import UsageError
from nasbench_eval.report.scores import Part, Scores
from nasbench_eval.report.spec import RowSpec
from nasbench_eval.report.tables import Table, Truth, matched_accuracy
from nasbench_eval.report.titles import DATASETS, SPLITS
from nasbench_eval.report.values import row_values

SPACES = {"nasbench101": "NAS-Bench-101", "nasbench201": "NAS-Bench-201"}
# Of a table's row, what the page says beside the points.
FIGURES = (
    "n", "n_failed", "n_lowest", "kendall_tau", "kendall_low", "kendall_high", "spearman_rho", "spearman_low",
    "spearman_high", "published_tau", "published_rho",
)  # fmt: skip
_NARROW = 1 << 16
_EXPONENT = 0x7FF00000  # of a float64, within its upper half; all ones for infinity

Vector = npt.NDArray[Any]


@dataclass
class Points:
    """The data behind the scatter plot.

    Attributes:
        spaces: what there is to choose from and which blocks it stands in, ready for JSON.
        blocks: packed vectors and texts, by number.
    """

    spaces: list[dict[str, Any]] = field(default_factory=list)
    blocks: list[str] = field(default_factory=list)

    def add(self, block: str) -> int:
        """Take a block; returns its number."""
        self.blocks.append(block)
        return len(self.blocks) - 1


def collect_points(tables: Sequence[Table], scores: Scores, truths: Mapping[str, Truth]) -> Points:
    """Scores and accuracies of every scored architecture of the spaces with accuracies.

    The rows are those of the tables, aggregates and expressions included, then the run's further labels. A
    data set or split without accuracies is left out.

    Raises:
        UsageError: if scores and accuracies do not belong together.
    """
    points = Points()
    for space in dict.fromkeys([*(table.spec.space for table in tables), *scores.spaces()]):
        chosen = [table for table in tables if table.spec.space == space]
        if space in truths:
            _add_space(points, space, chosen, scores, truths[space])
    return points


def squeeze(content: bytes) -> str:
    """A block: bytes as text that `DecompressionStream("deflate")` takes once base64 is undone."""
    return base64.b64encode(zlib.compress(content, 9)).decode("ascii")


def pack(values: Vector, present: Vector) -> str:
    """A block of one value an architecture, both arguments of shape (N,); see the module for the format."""
    finite = present & np.isfinite(values)
    distinct, codes_of_finite = np.unique(values[finite], return_inverse=True)
    k = len(distinct)
    codes = np.where(present, k, k + 1)
    codes[finite] = codes_of_finite
    codes = codes.astype("<u2" if k + 2 <= _NARROW else "<u4")
    return squeeze(np.uint32(k).astype("<u4").tobytes() + _planes(_upper_halves(distinct)) + _planes(codes))


def _upper_halves(values: Vector) -> Vector:
    """The upper 32 bits of float64 values, rounded to nearest; the largest are not rounded up to infinity."""
    halves = (values.astype("<f8").view("<u8") + np.uint64(1 << 31)) >> np.uint64(32)
    infinite = (halves & np.uint64(_EXPONENT)) == _EXPONENT
    rounded: npt.NDArray[np.uint32] = (halves - infinite).astype("<u4")
    return rounded


def _planes(items: Vector) -> bytes:
    return items.view(np.uint8).reshape(len(items), items.itemsize).T.tobytes()


def _add_space(points: Points, space: str, tables: Sequence[Table], scores: Scores, truth: Truth) -> None:
    scored = dict.fromkeys(part.dataset for part in scores.frames if part.space == space)
    order = dict.fromkeys([name for table in tables for name in table.spec.datasets if name in scored])
    splits = list(dict.fromkeys([split for table in tables for split in table.splits] or SPLITS))
    judged = {dataset: known for dataset in order | scored if (known := _splits(truth, dataset, splits))}
    rows = _rows(tables, scores, space)
    values = {
        (dataset, name): found
        for dataset in judged
        for name, (row, _) in rows.items()
        if (found := row_values(scores, space, row, dataset)[0]) is not None
    }
    if not values:
        return
    cells = _cells(values.values())
    index = cells["index"].to_numpy(dtype=np.int64)
    # Indices of an open space are hashes, which say nothing and do not fit: the page counts its cells.
    numbers = index if index.max() < 1 << 32 else np.arange(len(index))
    described = []
    for dataset, known in judged.items():
        shown = {name: row for name, row in rows.items() if (dataset, name) in values}
        part = Part(space, dataset, " or ".join(shown))
        described.append(
            {
                "name": dataset,
                "title": DATASETS.get(dataset, dataset),
                "splits": [
                    {
                        "name": split,
                        "title": SPLITS.get(split, split),
                        "block": points.add(_judged(matched_accuracy(truth, part, cells, split))),
                    }
                    for split in known
                ],
                "scores": [
                    {
                        "name": name,
                        "block": points.add(_aligned(values[dataset, name], index)),
                        "figures": _figures(table, row, dataset),
                    }
                    for name, (row, table) in shown.items()
                ],
            }
        )
    points.spaces.append(
        {
            "name": space,
            "title": SPACES.get(space, space),
            "cells": len(index),
            "index": points.add(squeeze(numbers.astype("<u4").tobytes())),
            "archs": points.add(squeeze("\n".join(cells["arch"]).encode())),
            "datasets": described,
        }
    )


def _rows(tables: Sequence[Table], scores: Scores, space: str) -> dict[str, tuple[RowSpec, Table | None]]:
    """Every row of a space once, by a name that is its alone, with the table it stands in."""
    rows: dict[str, tuple[RowSpec, Table | None]] = {}
    seen: set[tuple[str, str]] = set()

    def take(row: RowSpec, table: Table | None) -> None:
        meaning = (row.label, str(row.aggregate or row.value))
        if meaning not in seen:
            seen.add(meaning)
            name = row.name
            while name in rows:
                name = f"{name} ({table.name if table else 'score'})"
            rows[name] = (row, table)

    for table in tables:
        defined = {row.name: row for row in table.spec.rows + table.spec.ours}
        for name in dict.fromkeys(table.rows["proxy"]):
            take(defined.get(name, RowSpec(name)), table)
    for label in scores.labels(space):
        take(RowSpec(label), None)
    return rows


def _splits(truth: Truth, dataset: str, splits: Iterable[str]) -> list[str]:
    known = []
    for split in splits:
        try:
            truth.accuracy(dataset, split)
        except UsageError:  # the benchmark has no such data set or split
            continue
        known.append(split)
    return known


def _cells(frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """All scored architectures, by ascending index: columns `index` and `arch`."""
    named: dict[int, str] = {}
    for frame in frames:
        named |= zip(frame["index"].tolist(), frame["arch"], strict=True)
    return pd.DataFrame(sorted(named.items()), columns=["index", "arch"])


def _judged(accuracy: Vector) -> str:
    return pack(accuracy, np.isfinite(accuracy))


def _aligned(frame: pd.DataFrame, index: Vector) -> str:
    places = np.searchsorted(index, frame["index"].to_numpy())
    values, present = np.full(len(index), np.nan), np.zeros(len(index), dtype=bool)
    values[places], present[places] = frame["value"].to_numpy(dtype=np.float64), True
    return pack(values, present)


def _figures(table: Table | None, row: RowSpec, dataset: str) -> dict[str, dict[str, float | None]]:
    """What the table says of a row, by split; a figure it does not have is None."""
    if table is None:
        return {}
    rows = table.rows[(table.rows["proxy"] == row.name) & (table.rows["dataset"] == dataset)]
    return {
        str(record["split"]): {
            key: float(record[key]) if np.isfinite(record[key]) else None for key in FIGURES
        }
        for record in rows.to_dict("records")
    }
