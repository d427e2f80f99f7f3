"""The rows of one data set and proxy out of several folders: each cell once, and where they contradict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nasbench_eval.errors import UsageError
from nasbench_eval.runs import parquet
from nasbench_eval.spaces.open import same_index

# What a row may end as and never be scored again; any other end is a failure.
_SCORED = ("ok", "nan", "inf", "undefined")
# What says how a row came about, and not what the scores are.
_ABOUT = {"seconds", "error", *parquet.MARKS}


@dataclass(frozen=True)
class Joined:
    """Rows of one task.

    Attributes:
        table: a row for each cell, in index order.
        source: from which of the tables each row is.
        rivals: for each row that another one with other scores gave way to: the cell, and of which tables
            the two are, the kept one first; shape (R, 3).
        largest: the largest relative difference of two such scores; infinite if one is not finite.
    """

    table: pa.Table
    source: NDArray[np.int64]
    rivals: NDArray[np.int64]
    largest: float

    @property
    def cells(self) -> NDArray[np.int64]:
        return _numbers(self.table, "index")

    def failures(self) -> Counter[str]:
        """How many rows are failures, by status."""
        counts = pc.value_counts(self.table["status"]).to_pylist()
        return Counter({c["values"]: c["counts"] for c in counts if c["values"] not in _SCORED})


def join(tables: Sequence[pa.Table]) -> Joined:
    """Take each cell's row from the first table that has one that is no failure, else from the first.

    Raises:
        UsageError: if an index is that of two architectures.
    """
    every = parquet.together(tables)
    source = np.repeat(np.arange(len(tables)), [table.num_rows for table in tables])
    index = _numbers(every, "index")
    failed = ~pc.is_in(every["status"], value_set=pa.array(_SCORED)).to_numpy()
    order = np.lexsort((source, failed, index))
    new = np.ones(len(order), dtype=bool)
    new[1:] = index[order][1:] != index[order][:-1]
    _refuse_other_texts(every.take(pa.array(order)), index[order], new)
    chosen = order[new]
    doubled = ~new & ~failed[order]
    kept, rival = chosen[np.cumsum(new) - 1][doubled], order[doubled]
    differ, largest = _compare(every, kept, rival)
    kept, rival = kept[differ], rival[differ]
    rivals = np.stack([index[kept], source[kept], source[rival]], axis=1)
    return Joined(every.take(pa.array(chosen)).combine_chunks(), source[chosen], rivals, largest)


def _refuse_other_texts(table: pa.Table, index: NDArray[np.int64], new: NDArray[np.bool_]) -> None:
    """Raises UsageError where rows of one index name different architectures; they are in index order."""
    texts = table["arch"].to_numpy()
    other = np.zeros(len(texts), dtype=bool)
    other[1:] = ~new[1:] & (texts[1:] != texts[:-1])
    for place in np.flatnonzero(other)[:1].tolist():
        raise UsageError(same_index(int(index[place]), texts[place - 1], texts[place]))


def _compare(table: pa.Table, one: NDArray[np.int64], other: NDArray[np.int64]) -> tuple[NDArray[Any], float]:
    """Which pairs of rows are of other scores, bit for bit, and the largest relative difference of these."""
    differ, largest = np.zeros(len(one), dtype=bool), 0.0
    if not len(one):
        return differ, largest
    left, right = table.take(pa.array(one)), table.take(pa.array(other))
    for name in table.column_names:
        if name in _ABOUT:
            continue
        a, b = (side[name].to_numpy() for side in (left, right))
        if table.schema.field(name).type == pa.float64():
            wrong = (a.view(np.int64) != b.view(np.int64)) & ~(np.isnan(a) & np.isnan(b))
            largest = max(largest, _distance(a[wrong], b[wrong]))
        else:
            wrong = a != b
        differ |= wrong
    return differ, largest


def _distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    if not len(one):
        return 0.0
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        return np.inf
    size = np.maximum(np.abs(one), np.abs(other))
    return float(np.max(np.abs(one - other) / np.where(size == 0, 1, size)))


def _numbers(table: pa.Table, name: str) -> NDArray[np.int64]:
    numbers: NDArray[np.int64] = table[name].to_numpy().astype(np.int64)
    return numbers
