"""NAS-Bench-101's table of accuracies: 423,624 cells trained three times for 108 epochs on CIFAR-10.

Ying et al., "NAS-Bench-101: Towards Reproducible Neural Architecture Search", ICML 2019 (cells: section 2.1;
training: section 2.3; the numbers checked here: sections 2.4 and 3).

The checks hold facts, not data: sizes, digests of the columns that say which cells these are, the best
accuracy, and laws that tie accuracies to cells.  A table that passes is complete, of 108 epochs and in the
order of the cells' hashes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isqrt
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.stats import rankdata

from nasbench_eval.data.folder import whole_file
from nasbench_eval.registry import UnknownName
from nasbench_eval.spaces.nasbench101 import MAX_EDGES, MAX_VERTICES, OPERATIONS
from nasbench_eval.truth.columns import KINDS, percent_fault
from nasbench_eval.truth.errors import MissingTruth, TruthError
from nasbench_eval.truth.parquet import readable
from nasbench_eval.wording import first_line, shown

FILE = "nasbench101.parquet"
EPOCHS = 108
CELLS = ("adjacency", "ops")
REQUIRED = ("index", "hash", "num_vertices", *CELLS, "params", "cifar10_test")
TEST_RUNS = ("cifar10_test_run0", "cifar10_test_run1", "cifar10_test_run2")
VAL_RUNS = ("cifar10_val_run0", "cifar10_val_run1", "cifar10_val_run2")
OPTIONAL = (*TEST_RUNS, "cifar10_val", *VAL_RUNS)
COLUMNS = (*REQUIRED, *OPTIONAL)
ACCURACIES = ("cifar10_test", *OPTIONAL)

REBUILD = "delete it and build it again with `nasbench-data --nasbench101` (make data-nasbench101)"
# The benchmark's own names, which the search space shortens.
_INTERIOR = tuple(f"{name}-bn-relu" if name.startswith("conv") else name for name in OPERATIONS)
_ROUNDING = 0.005
# Spearman's rho of any other accuracy with the mean test accuracy: 0.986 for the validation accuracy of one
# run in 30,001 cells of the benchmark.  Shuffling a share of the rows takes that share away from it, so this
# bound finds one row in fifty moved.
_LEAST_AGREEMENT = 0.97
# Ranks of fewer cells than these say little.
_ENOUGH = 100


@dataclass(frozen=True)
class Facts:
    """What is known of the benchmark without holding its accuracies.

    Attributes:
        rows: the number of cells.
        digests: sha256 of columns that say which cells these are: the hashes written one after the other,
            and numbers as little-endian integers of eight bytes.
        best: the best mean test accuracy, percent.
        least_rho: lower bound of Spearman's rho of test accuracy and parameter count.
        most_within: upper bound of the share of the variance of test accuracy's ranks that is left among
            cells of the same parameter count.
    """

    rows: int
    digests: Mapping[str, str]
    best: float
    least_rho: float
    most_within: float


FACTS = Facts(
    rows=423_624,
    digests={
        "hash": "6415f45f9381769c59982b2d4051ebc11f15c3f1dc6562478684341f5142e108",
        "params": "62dd4ac915be2f00b30b15a64498a24d4d8925d48bfee2d7e638f5c9daf0ac94",
        "num_vertices": "243ee1ed53478c0d935d94e9a44c25f4fa630a8ec3c4dd83419f57dbdf428948",
    },
    best=94.32,
    # 0.435 in the benchmark, 0 in shuffled columns.  It is the coarser of the two laws, and there for cells
    # that moved in whole groups of one parameter count, to which the other is blind.
    least_rho=0.42,
    # 0.3334 in the benchmark, 0.99 in shuffled columns.  Moving a share of the rows at random adds about 1.3
    # times that share, so this finds one row in 400 moved; fewer, or moved to cells of like accuracy, it does
    # not find.  A digest of the accuracies would, but would also refuse a table that was rounded.
    most_within=0.336,
)


def load(folder: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """The checked table of a data folder.

    Args:
        folder: the data folder.
        columns: those wanted, in this order; by default all that the table has but `CELLS`, whose text
            takes as much time and memory to read as all others together.

    Returns:
        423,624 rows in the order of `hash`.  `index` counts them, `hash` is the benchmark's module hash,
        `adjacency` the V×V bits of the cell's graph row by row, `ops` its V operations by the benchmark's
        names with commas between, `params` the number of trainable parameters.  Accuracies are in percent
        after 108 epochs: `cifar10_test` the mean of three runs; and, where the table has them, the mean
        `cifar10_val` and the single runs `cifar10_test_run0..2` and `cifar10_val_run0..2`, NaN where unknown.

    Raises:
        MissingTruth: if the folder has no table.
        TruthError: if it is damaged or not the 108-epoch table in the order of the hashes.
        UnknownName: if the table lacks a column that is wanted.
    """
    path = folder / FILE
    if not os.path.isfile(path):  # unlike Path's, no error on what cannot be a name
        raise MissingTruth(
            f"no NAS-Bench-101 table at {path}; build it with `nasbench-data --nasbench101` (make "
            "data-nasbench101), or set NASBENCH_EVAL_DATA to a folder that has one"
        )
    try:
        with readable("the file", REBUILD):
            names = pq.read_schema(path).names
        _check_names(names)
        wanted = [name for name in COLUMNS if name in names and name not in CELLS]
        chosen = wanted if columns is None else list(columns)
        for name in chosen:
            if name not in names:
                raise UnknownName(f"column of {path}", name, names)
        with readable("the file", REBUILD):
            stored = pq.read_table(path, columns=list(dict.fromkeys([*wanted, *chosen])), partitioning=None)
            # What pandas wrote beside the columns is not needed, and may be damaged as well.
            table: pd.DataFrame = stored.to_pandas(ignore_metadata=True)
        check(table)
    except TruthError as error:
        raise TruthError(f"{path}: {error}") from error
    return table[chosen]


def save(table: pd.DataFrame, folder: Path) -> Path:
    """Check a table and write it into a data folder, whole or not at all.  Raises TruthError, UsageError."""
    names = [str(name) for name in table.columns]
    _check_names(names)
    check(table)
    path = folder / FILE
    with whole_file(path) as temporary:
        table[[name for name in COLUMNS if name in names]].to_parquet(temporary, index=False)
    return path


def check(table: pd.DataFrame) -> None:
    """Refuse a table that is not NAS-Bench-101's after 108 epochs, in the order of its hashes.

    The columns `CELLS` may be left out, as `load` leaves them out.

    Raises:
        TruthError: says what is wrong and what to do.
    """
    _check_names([*map(str, table.columns), *(name for name in CELLS if name not in table.columns)])
    _check_rows(table)
    _check_cells(table)
    _check_values(table)
    _check_epochs(table)
    _check_runs(table)
    _check_laws(table)


def adjacency_fault(text: str) -> str | None:
    """The rule that the bits of a graph break, in words; None if they keep all rules."""
    vertices = isqrt(len(text))
    if not (2 <= vertices <= MAX_VERTICES and vertices**2 == len(text) and set(text) <= {"0", "1"}):
        return f"the adjacency {shown(text, 60)} is no square of 2 to {MAX_VERTICES} rows of zeros and ones"
    if any("1" in text[row * vertices : row * (vertices + 1) + 1] for row in range(vertices)):
        return f"the adjacency '{text}' has an edge that goes back: it is not upper triangular"
    if text.count("1") > MAX_EDGES:
        return f"the adjacency '{text}' has {text.count('1')} edges, more than {MAX_EDGES}"
    return None


def operations_fault(text: str) -> str | None:
    """The rule that the operations of a cell break, in words; None if they keep all rules."""
    names = text.split(",")
    if len(names) > MAX_VERTICES or len(names) < 2 or (names[0], names[-1]) != ("input", "output"):
        named = shown(text, 200)
        return f"the operations {named} do not lead from input to output in 2 to {MAX_VERTICES} vertices"
    for name in names[1:-1]:
        if name not in _INTERIOR:
            return f"the operation {shown(name, 50)} is unknown; there are {', '.join(_INTERIOR)}"
    return None


def _refuse(what: str) -> TruthError:
    return TruthError(f"{what}; {REBUILD}")


def _check_names(names: Sequence[str]) -> None:
    missing, foreign = [c for c in REQUIRED if c not in names], [c for c in names if c not in COLUMNS]
    if missing or foreign or len(names) != len(set(names)):
        parts = [f"{verb} {', '.join(some)}" for verb, some in (("lacks", missing), ("has", foreign)) if some]
        raise _refuse(f"the columns are wrong: the table {' and '.join(parts) or 'repeats some'}")


def _check_rows(table: pd.DataFrame) -> None:
    rows = FACTS.rows
    if len(table) != rows:
        how = "is truncated: it has" if len(table) < rows else "has too many rows:"
        raise _refuse(f"the table {how} {len(table)} of {rows} rows")
    hashes = _hashes(table["hash"])
    if not (hashes[:-1] < hashes[1:]).all():
        if len(np.unique(hashes)) < rows:
            raise _refuse("the table has a hash more than once")
        raise _refuse("the rows are shuffled: they are not in the order of the hashes")
    if hashlib.sha256(hashes.tobytes()).hexdigest() != FACTS.digests["hash"]:
        raise _refuse("the hashes are not those of NAS-Bench-101's cells")
    counts = table["index"].dtype.kind in "iu"
    if not counts or not np.array_equal(table["index"].to_numpy(), np.arange(rows)):
        raise _refuse(f"the column index is shuffled: it does not count from 0 to {rows - 1}")


def _hashes(column: pd.Series) -> NDArray[np.bytes_]:
    # Through Arrow, because half a million Python strings would take most of the check's time.
    try:
        chunks = pa.Table.from_pandas(column.to_frame(), preserve_index=False).column(0).chunks
        fixed = pa.concat_arrays(chunks).cast(pa.binary(32))
    except pa.ArrowException as error:
        raise _refuse(
            f"the column hash holds something other than 32 hexadecimal digits ({first_line(error)})"
        ) from error
    if fixed.null_count:
        raise _refuse(f"the column hash has {fixed.null_count} holes")
    return np.frombuffer(fixed.buffers()[1], dtype="S32", count=len(fixed), offset=32 * fixed.offset)


def _check_cells(table: pd.DataFrame) -> None:
    for name in ("params", "num_vertices"):
        values = table[name].to_numpy()
        whole = values.dtype.kind in "iu"
        if not whole or hashlib.sha256(values.astype("<i8").tobytes()).hexdigest() != FACTS.digests[name]:
            raise _refuse(
                f"the column {name} is not that of NAS-Bench-101's cells in the order of their hashes"
            )
    if "adjacency" in table:
        _check_texts(table, "adjacency", adjacency_fault, lambda text: isqrt(len(text)))
    if "ops" in table:
        _check_texts(table, "ops", operations_fault, lambda text: text.count(",") + 1)


def _check_texts(
    table: pd.DataFrame, name: str, fault: Callable[[str], str | None], vertices: Callable[[str], int]
) -> None:
    # There are 2,494 graphs and 364 lists of operations: far fewer than cells.
    try:
        codes, texts = pd.factorize(table[name])
    except TypeError as error:
        raise _refuse(f"the column {name} holds something other than texts") from error
    if (codes < 0).any():
        raise _refuse(f"the column {name} has {int((codes < 0).sum())} holes")
    for code, text in enumerate(map(str, texts)):
        if broken := fault(text):
            raise _refuse(f"in row {int(np.argmax(codes == code))} {broken}")
    off = np.array([vertices(str(text)) for text in texts])[codes] != table["num_vertices"].to_numpy()
    if off.any():
        raise _refuse(
            f"the column {name} is shuffled: in row {int(np.argmax(off))} it has another number of vertices "
            "than num_vertices"
        )


def _check_values(table: pd.DataFrame) -> None:
    for name in (name for name in ACCURACIES if name in table):
        if str(table[name].dtype) not in KINDS:
            raise _refuse(f"the column {name} holds {table[name].dtype}, not accuracies in percent")
        values = table[name].to_numpy()
        holes = np.isnan(values)
        if name == "cifar10_test" and holes.any():
            raise _refuse(f"the column {name} has {int(holes.sum())} holes")
        present = values[~holes]
        if fault := percent_fault(present):
            raise _refuse(f"the column {name} {fault}")


def _check_epochs(table: pd.DataFrame) -> None:
    best = float(table["cifar10_test"].max())
    if abs(best - FACTS.best) > _ROUNDING:
        raise _refuse(
            f"the best of cifar10_test is {best:.2f}; after {EPOCHS} epochs, mean of three runs, it is "
            f"{FACTS.best:.2f}: this is of 4, 12 or 36 epochs, of single runs or of half the training"
        )


def _check_runs(table: pd.DataFrame) -> None:
    for mean, runs in (("cifar10_test", TEST_RUNS), ("cifar10_val", VAL_RUNS)):
        if not {mean, *runs} <= set(table.columns):
            continue
        # A cell of which a run is unknown has a NaN here, which is off by nothing.
        off = np.abs(table[list(runs)].to_numpy().mean(axis=1) - table[mean].to_numpy()) > _ROUNDING
        if off.any():
            raise _refuse(
                f"{mean} is not the mean of its runs in row {int(np.argmax(off))}: the columns are shuffled"
            )


def _check_laws(table: pd.DataFrame) -> None:
    ranks = rankdata(table["cifar10_test"].to_numpy())
    params = table["params"].to_numpy()
    rho = _pearson(ranks, rankdata(params))
    if not rho >= FACTS.least_rho:
        raise _refuse(
            f"cifar10_test and the number of parameters agree only to Spearman's rho {rho:.2f}: its "
            "accuracies are shuffled against the cells"
        )
    groups = np.unique(params, return_inverse=True)[1]
    means = np.bincount(groups, weights=ranks) / np.bincount(groups)
    if (ranks - means[groups]).var() > FACTS.most_within * ranks.var():
        raise _refuse(
            "cells of the same number of parameters differ in cifar10_test by more than NAS-Bench-101's do: "
            "its accuracies are shuffled against the cells"
        )
    for name in (name for name in OPTIONAL if name in table):
        known = table[name].notna().to_numpy()
        if known.sum() < _ENOUGH:
            continue
        rho = _pearson(rankdata(table[name].to_numpy()[known]), rankdata(ranks[known]))
        if not rho >= _LEAST_AGREEMENT:
            raise _refuse(
                f"{name} and cifar10_test agree only to Spearman's rho {rho:.2f}: its accuracies are "
                "shuffled against the cells"
            )


def _pearson(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    # Of ranks it is Spearman's rho.  `corrcoef` would warn of a constant column; NaN says as much.
    a, b = a - a.mean(), b - b.mean()
    scale = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / scale) if scale > 0 else float("nan")
