"""NAS-Bench-201's trainings of 12 epochs, as tables in the data folder: of all cells, or of the first 1,000.

`nasbench201_short.parquet` holds all 15,625 cells with their validation accuracies and comes from the
official NATS-Bench files.  `nasbench201_time_1000.parquet` holds cells 0 to 999, taken from those files by
others, with accuracies on test images and no others.  Both record seconds.  In NATS-Bench these are
proportional to the number of images: one measured time per image of training and one per image of evaluation
stand behind every data set.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasbench_eval.data.folder import whole_file
from nasbench_eval.truth.columns import percent_fault
from nasbench_eval.truth.errors import REBUILD, MissingTruth, TruthError
from nasbench_eval.truth.nasbench201 import BEST_OF_12_EPOCHS, archs, connected
from nasbench_eval.truth.parquet import read
from nasbench_eval.wording import first_line, shown

EPOCHS = 12
FULL_FILE, SAMPLE_FILE = "nasbench201_short.parquet", "nasbench201_time_1000.parquet"
SAMPLE_SIZE = 1000
FETCH_FULL = "`nasbench-data --nats NATS-tss-v1_0-3ffb9-simple` (all cells, from the official files)"
FETCH_SAMPLE = "`nasbench-data --short` (cells 0 to 999)"


@dataclass(frozen=True)
class Images:
    """How many images NATS-Bench trains and evaluates on."""

    train: int
    evaluated: int


# By data set and by the accuracy that is measured.  On CIFAR-10 a network with a validation accuracy was
# trained on half of the training images, and one with a test accuracy on all of them.
IMAGES = {
    "cifar10": {"val": Images(25_000, 25_000), "test": Images(50_000, 10_000)},
    "cifar100": {"val": Images(50_000, 5_000), "test": Images(50_000, 5_000)},
    "imagenet16_120": {"val": Images(151_700, 3_000), "test": Images(151_700, 3_000)},
}
# What the sample calls its data sets.
SAMPLE_NAMES = {"cifar10": "cifar10", "cifar100": "cifar100", "imagenet16_120": "ImageNet16-120"}
_CHANCE = {"cifar10": 10.0, "cifar100": 1.0, "imagenet16_120": 0.83}
_NEAR_CHANCE = 0.3  # CIFAR-10's validation half has classes of unequal sizes
# Between the best test accuracy after 12 epochs, 89.16, and the best validation accuracy after 200, 91.61.
_TOO_GOOD = 90.5
_ROUNDING = 0.005

FULL_COLUMNS = (
    "index",
    "arch",
    *(
        name
        for dataset in IMAGES
        for name in (f"{dataset}_val_12", f"{dataset}_train_seconds_12", f"{dataset}_val_seconds")
    ),
)
SAMPLE_COLUMNS = ("index", "arch", "dataset", "epochs", "train_time_s", "test_acc", "test_time_s")


def load_full(folder: Path) -> pd.DataFrame:
    """The checked table of all cells, with the columns `FULL_COLUMNS`.

    `DATASET_val_12` is the validation accuracy in percent after 12 epochs, `DATASET_train_seconds_12` the
    seconds of these epochs and `DATASET_val_seconds` those of one pass over the validation images.

    Raises:
        MissingTruth: if the folder has none.
        TruthError: if it is damaged or not that table.
    """
    path = folder / FULL_FILE
    if not os.path.isfile(path):
        raise MissingTruth(f"no trainings of {EPOCHS} epochs of all cells at {path}; run {FETCH_FULL}")
    table = _read(path, FULL_COLUMNS)
    try:
        check_full(table)
    except TruthError as error:
        raise TruthError(f"{path}: {error}") from error
    return table


def load_sample(folder: Path) -> pd.DataFrame:
    """The checked table of cells 0 to 999 after 12 epochs: a row a cell and data set.

    Columns are `SAMPLE_COLUMNS`; `dataset` goes by the benchmark's own names (`SAMPLE_NAMES`).  What the file
    holds beside trainings of 12 epochs is not read into the result.

    Raises:
        MissingTruth: if the folder has none.
        TruthError: if it is damaged or not that table.
    """
    path = folder / SAMPLE_FILE
    if not os.path.isfile(path):
        raise MissingTruth(f"no trainings of {EPOCHS} epochs at {folder}; run {FETCH_SAMPLE} or {FETCH_FULL}")
    table = _read(path, SAMPLE_COLUMNS)
    try:
        table = table[table["epochs"] == EPOCHS].sort_values(["dataset", "index"], ignore_index=True)
        check_sample(table)
    except TruthError as error:
        raise TruthError(f"{path}: {error}") from error
    except (TypeError, ValueError) as error:  # columns of something else than numbers
        raise TruthError(f"{path} is no table of trainings ({first_line(error)}); {REBUILD}") from error
    return table


def save_full(table: pd.DataFrame, folder: Path) -> Path:
    """Check the table of all cells and write it, whole or not at all.  Raises TruthError, UsageError."""
    check_full(table)
    return _write(table[list(FULL_COLUMNS)], folder / FULL_FILE)


def save_sample(table: pd.DataFrame, folder: Path) -> Path:
    """Check the table of cells 0 to 999 and write it, whole or not at all.  Raises TruthError, UsageError."""
    check_sample(table)
    return _write(table[list(SAMPLE_COLUMNS)], folder / SAMPLE_FILE)


def check_full(table: pd.DataFrame) -> None:
    """Refuse what cannot be all cells' trainings of 12 epochs.  Raises TruthError."""
    _check_columns(table, FULL_COLUMNS)
    _check_cells(table, len(archs()))
    for dataset in IMAGES:
        _check_accuracies(f"{dataset}_val_12", table[f"{dataset}_val_12"], dataset)
        _check_seconds(table, (f"{dataset}_train_seconds_12", f"{dataset}_val_seconds"))
    best = table["cifar10_val_12"].max()
    if best > _TOO_GOOD:
        raise _refuse(f"the best cifar10_val_12 is {best:.2f}: that is not after {EPOCHS} epochs")


def check_sample(table: pd.DataFrame) -> None:
    """Refuse what cannot be the trainings of 12 epochs of cells 0 to 999.  Raises TruthError."""
    _check_columns(table, SAMPLE_COLUMNS)
    foreign = sorted(set(map(str, table["dataset"])) - set(SAMPLE_NAMES.values()))
    if foreign:
        raise _refuse(f"the table has the data set {shown(foreign[0])}")
    if (table["epochs"] != EPOCHS).any():
        raise _refuse(f"the table has trainings of another length than {EPOCHS} epochs")
    for dataset, name in SAMPLE_NAMES.items():
        rows = table[table["dataset"] == name]
        _check_cells(rows, SAMPLE_SIZE, f" of {name} after {EPOCHS} epochs")
        _check_accuracies(f"test_acc of {name}", rows["test_acc"], dataset)
        _check_seconds(rows, ("train_time_s", "test_time_s"))
        if dataset == "cifar10" and (best := rows["test_acc"].max()) > BEST_OF_12_EPOCHS + _ROUNDING:
            raise _refuse(f"the best test_acc of {name} is {best:.2f}: that is not after {EPOCHS} epochs")


def _read(path: Path, columns: Iterable[str]) -> pd.DataFrame:
    table = read(path, REBUILD, columns)
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise TruthError(f"{path} lacks the columns {', '.join(missing)}; {REBUILD}")
    return table


def _write(table: pd.DataFrame, path: Path) -> Path:
    with whole_file(path) as temporary:
        table.to_parquet(temporary, index=False)
    return path


def _refuse(what: str) -> TruthError:
    return TruthError(f"{what}; {REBUILD}")


def _check_columns(table: pd.DataFrame, columns: tuple[str, ...]) -> None:
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise _refuse(f"the columns are wrong: the table lacks {', '.join(missing)}")
    for name in columns:
        if name not in ("arch", "dataset") and table[name].dtype.kind not in "iuf":
            raise _refuse(f"the column {name} holds {table[name].dtype}, not numbers")


def _check_cells(rows: pd.DataFrame, size: int, which: str = "") -> None:
    if len(rows) != size:
        raise _refuse(f"the table has {len(rows)} rows{which} instead of {size}")
    if not np.array_equal(rows["index"].to_numpy(), np.arange(size)):
        raise _refuse(f"the column index{which} does not count from 0 to {size - 1}")
    for i, (found, expected) in enumerate(zip(rows["arch"], archs()[:size], strict=True)):
        if found != expected:
            raise _refuse(f"row {i}{which} names the cell {shown(found, 120)}; it is '{expected}'")


def _check_accuracies(name: str, column: pd.Series[Any], dataset: str) -> None:
    values: NDArray[np.float64] = column.to_numpy(np.float64)
    if np.isnan(values).any():
        raise _refuse(f"{name} has gaps")
    if fault := percent_fault(values):
        raise _refuse(f"{name} {fault}")
    off = ~connected()[: len(values)] & (np.abs(values - _CHANCE[dataset]) > _NEAR_CHANCE)
    if off.any():
        first = int(np.flatnonzero(off)[0])
        raise _refuse(
            f"cell {first} has no path from input to output and yet {values[first]:.2f} in {name}: the "
            "accuracies are shuffled against the cells"
        )


def _check_seconds(table: pd.DataFrame, names: Iterable[str]) -> None:
    for name in names:
        values = table[name].to_numpy(np.float64)
        if not (np.isfinite(values) & (values > 0)).all():
            raise _refuse(f"{name} holds what are no seconds")
