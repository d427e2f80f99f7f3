"""NAS-Bench-201's table of accuracies: 15,625 cells trained for 200 epochs on three data sets.

Dong & Yang, "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search", ICLR 2020
(training: section 2.2; the numbers checked here: section 2.3 and table 5); the same cells are NATS-Bench's
topology space (Dong, Liu, Musial & Gabrys, TPAMI 2021).

The checks hold facts, not data: sizes, the best accuracies, what a network without a path can score, and laws
that tie accuracies to cells.  A table that passes is complete, of 200 epochs and in the right order.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from nasbench_eval.data.folder import whole_file
from nasbench_eval.spaces.nasbench201 import EDGES, Cell, NASBench201, unique_string
from nasbench_eval.truth.columns import KINDS, percent_fault
from nasbench_eval.truth.errors import REBUILD, MissingTruth, TruthError
from nasbench_eval.truth.parquet import read
from nasbench_eval.wording import shown

FILE = "nasbench201.parquet"
RUNS = ("cifar10_test_run0", "cifar10_test_run1", "cifar10_test_run2")
MEANS = (
    "cifar10_val",
    "cifar10_test",
    "cifar100_val",
    "cifar100_test",
    "imagenet16_120_val",
    "imagenet16_120_test",
)
COLUMNS = ("index", "arch", "cifar10_val", "cifar10_test", *RUNS, *MEANS[2:])

# Percent.  The best mean over runs, and the score of a network that sees nothing of its input.
BEST = {"cifar10_test": 94.37, "cifar100_test": 73.51, "imagenet16_120_test": 47.31}
CHANCE = {"cifar10_test": 10.0, "cifar100_test": 1.0, "imagenet16_120_test": 0.83}
BEST_OF_12_EPOCHS = 89.16
_ROUNDING = 0.005

# Cells that compute the same function differ by training noise: below 0.4 % of the variance in the benchmark.
# Shuffling a share of the rows adds about that share, so this bound finds one row in fifty moved.
_MOST_NOISE = 0.02
# Spearman's rho of accuracy and convolution count: 0.68 or more in the benchmark, 0 in shuffled columns.
_LEAST_RHO = 0.5


@dataclass(frozen=True)
class _Facts:
    """What the cells alone say, in the benchmark's order (all of length 15,625)."""

    archs: list[str]
    none: int  # position of the cell whose six edges are `none`
    connected: NDArray[np.bool_]  # is there a path from input to output?
    convolutions: NDArray[np.int64]  # multiplications a pixel and channel pair: nine for 3x3, one for 1x1
    function: NDArray[np.int64]  # number of the function a cell computes


@lru_cache(maxsize=1)
def _facts() -> _Facts:
    space = NASBench201()
    cells = [space.arch(index) for index in range(len(space))]
    archs = [space.format(cell) for cell in cells]
    functions: dict[str, int] = {}
    return _Facts(
        archs=archs,
        none=cells.index(Cell(("none",) * len(EDGES))),
        connected=np.array([_connected(cell) for cell in cells]),
        convolutions=np.array(
            [9 * c.operations.count("nor_conv_3x3") + c.operations.count("nor_conv_1x1") for c in cells]
        ),
        function=np.array([functions.setdefault(unique_string(cell), len(functions)) for cell in cells]),
    )


def _connected(cell: Cell) -> bool:
    reached = {0}
    # The edges are listed by target, so every source is settled before it is asked for.
    for (source, target), operation in zip(EDGES, cell.operations, strict=True):
        if operation != "none" and source in reached:
            reached.add(target)
    return 3 in reached


def archs() -> list[str]:
    """The 15,625 cells' strings in the benchmark's order."""
    return list(_facts().archs)


def connected() -> NDArray[np.bool_]:
    """Whether a cell has a path from input to output, in the benchmark's order."""
    return _facts().connected.copy()


def load(folder: Path) -> pd.DataFrame:
    """The checked table of a data folder.

    Returns:
        15,625 rows in the benchmark's order with the columns `COLUMNS`: `index`, `arch` (the benchmark's
        string), and accuracies in percent after 200 epochs.  `cifar10_val` is of networks trained on half
        the training set, `cifar10_test` of networks trained on all of it; both, and the columns of CIFAR-100
        and ImageNet16-120, are means over the runs there are.  `cifar10_test_run0..2` are the single runs in
        the order of their seeds, NaN where there are fewer (all NaN where the source has no single runs).

    Raises:
        MissingTruth: if the folder has no table.
        TruthError: if it is damaged or not the 200-epoch table in the benchmark's order.
    """
    path = folder / FILE
    if not os.path.isfile(path):  # unlike Path's, no error on what cannot be a name
        raise MissingTruth(
            f"no NAS-Bench-201 table at {path}; build it with `nasbench-data` (make data), or set "
            "NASBENCH_EVAL_DATA to a folder that has one"
        )
    table = read(path, REBUILD)
    try:
        check(table)
    except TruthError as error:
        raise TruthError(f"{path}: {error}") from error
    return table[list(COLUMNS)]


def save(table: pd.DataFrame, folder: Path) -> Path:
    """Check a table and write it into a data folder, whole or not at all.  Raises TruthError, UsageError."""
    check(table)
    path = folder / FILE
    with whole_file(path) as temporary:
        table[list(COLUMNS)].to_parquet(temporary, index=False)
    return path


def check(table: pd.DataFrame) -> None:
    """Refuse a table that is not NAS-Bench-201's after 200 epochs, in the benchmark's order.

    Raises:
        TruthError: says what is wrong and what to do.
    """
    _check_columns(table)
    _check_rows(table)
    _check_values(table)
    _check_epochs(table)
    _check_chance(table)
    _check_laws(table)
    _check_runs(table)


def _refuse(what: str) -> TruthError:
    return TruthError(f"{what}; {REBUILD}")


def _check_columns(table: pd.DataFrame) -> None:
    names = [str(name) for name in table.columns]
    missing, foreign = [c for c in COLUMNS if c not in names], [c for c in names if c not in COLUMNS]
    if missing or foreign or len(names) != len(COLUMNS):
        parts = [f"{verb} {', '.join(some)}" for verb, some in (("lacks", missing), ("has", foreign)) if some]
        raise _refuse(f"the columns are wrong: the table {' and '.join(parts) or 'repeats some'}")
    for name in COLUMNS[2:]:
        if str(table[name].dtype) not in KINDS:
            raise _refuse(f"the column {name} holds {table[name].dtype}, not accuracies in percent")


def _check_rows(table: pd.DataFrame) -> None:
    expected = _facts().archs
    if len(table) != len(expected):
        how = "is truncated: it has" if len(table) < len(expected) else "has too many rows:"
        raise _refuse(f"the table {how} {len(table)} of {len(expected)} rows")
    found = [str(arch) for arch in table["arch"]]
    if found != expected:
        if sorted(found) == sorted(expected):
            raise _refuse("the rows are shuffled: they are not in the benchmark's order")
        wrong = next(i for i, (a, b) in enumerate(zip(found, expected, strict=True)) if a != b)
        named = f"{shown(found[wrong], 120)}; the benchmark has '{expected[wrong]}'"
        raise _refuse(f"row {wrong} names the cell {named}")
    counts = table["index"].dtype.kind in "iu"
    if not counts or not np.array_equal(table["index"].to_numpy(), np.arange(len(expected))):
        raise _refuse("the column index is shuffled: it does not count from 0 to 15624")


def _check_values(table: pd.DataFrame) -> None:
    for name in COLUMNS[2:]:
        values = table[name].to_numpy()
        if name not in RUNS and np.isnan(values).any():
            raise _refuse(f"the column {name} has {int(np.isnan(values).sum())} holes")
        present = values[~np.isnan(values)]
        if fault := percent_fault(present):
            raise _refuse(f"the column {name} {fault}")


def _check_epochs(table: pd.DataFrame) -> None:
    best = float(table["cifar10_test"].max())
    if abs(best - BEST_OF_12_EPOCHS) < 0.1:
        raise _refuse(
            f"this is the table of 12 epochs, whose best CIFAR-10 accuracy is {best:.2f}; the one of 200 "
            f"epochs, with {BEST['cifar10_test']:.2f}, is needed (hp='200' in the official API)"
        )
    for name, expected in BEST.items():
        best = float(table[name].max())
        if abs(best - expected) > _ROUNDING:
            raise _refuse(f"the best of {name} is {best:.2f}; at 200 epochs it is {expected:.2f}")


def _check_chance(table: pd.DataFrame) -> None:
    facts = _facts()
    for name, expected in CHANCE.items():
        score = float(table[name].iloc[facts.none])
        if abs(score - expected) > _ROUNDING:
            raise _refuse(
                f"the all-none cell has {score:.2f} in {name}, chance is {expected:.2f}: the accuracies are "
                "shuffled against the cells"
            )
    for name in (*MEANS, *RUNS):
        values = table[name].to_numpy()
        # On CIFAR-10's validation half chance is not exactly 10: its classes are not of one size.
        wrong = ~facts.connected & (np.abs(values - values[facts.none]) > _ROUNDING)
        if wrong.any():
            first = int(np.flatnonzero(wrong)[0])
            raise _refuse(
                f"cell {first} has no path from input to output and yet {values[first]:.2f} in {name}: the "
                "accuracies are shuffled against the cells"
            )


def _check_laws(table: pd.DataFrame) -> None:
    facts = _facts()
    for name in MEANS:
        values = table[name].to_numpy()[facts.connected]
        groups = facts.function[facts.connected]
        sizes = np.maximum(np.bincount(groups), 1)
        noise = values - (np.bincount(groups, weights=values) / sizes)[groups]
        if noise.var() > _MOST_NOISE * values.var():
            raise _refuse(
                f"cells that compute the same function differ in {name} by more than training noise: its "
                "accuracies are shuffled against the cells"
            )
        rho = np.corrcoef(rankdata(values), rankdata(facts.convolutions[facts.connected]))[0, 1]
        if not rho >= _LEAST_RHO:
            raise _refuse(
                f"{name} and the number of convolutions agree only to Spearman's rho {rho:.2f}: its "
                "accuracies are shuffled against the cells"
            )


def _check_runs(table: pd.DataFrame) -> None:
    runs = table[list(RUNS)].to_numpy()
    some = ~np.isnan(runs).all(axis=1)
    off = np.abs(np.nanmean(runs[some], axis=1) - table["cifar10_test"].to_numpy()[some]) > _ROUNDING
    if off.any():
        first = int(np.flatnonzero(some)[np.flatnonzero(off)[0]])
        raise _refuse(f"cifar10_test is not the mean of its runs at cell {first}: the columns are shuffled")
