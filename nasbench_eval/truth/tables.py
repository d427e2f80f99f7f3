"""Ground truth by search space, data set and split."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasbench_eval.errors import UsageError
from nasbench_eval.registry import UnknownName
from nasbench_eval.truth import darts, nasbench101, nasbench201, timm

# A search space with ground truth: the loader of its table from a data folder.
TABLES: Mapping[str, Callable[[Path], pd.DataFrame]] = {
    "darts": darts.load,
    "nasbench101": nasbench101.load,
    "nasbench201": nasbench201.load,
    "timm": timm.load,
}

DATASETS = ("cifar10", "cifar100", "imagenet16_120", "imagenet1k")
SPLITS = ("val", "test")


def load_table(space_name: str, folder: Path) -> pd.DataFrame:
    """A search space's checked table, one row an architecture, in the space's own order.

    Raises:
        UnknownName: if there is no ground truth for the space.
        TruthError: if the table is missing or wrong.
    """
    if space_name not in TABLES:
        raise UnknownName("search space with ground truth", space_name, TABLES)
    return TABLES[space_name](folder)


def accuracy(table: pd.DataFrame, dataset: str, split: str) -> NDArray[np.float64]:
    """Final accuracies in percent, one an architecture, in the table's order.

    Args:
        table: of `load_table`.
        dataset: `cifar10`, `cifar100`, `imagenet16_120` or `imagenet1k`, as far as the space has it.
        split: `val` or `test`.

    Returns:
        Means over runs.  NAS-Bench-101's `val` is the first run's where the table has no mean, NaN where it
        is unknown.

    Raises:
        UnknownName: if there is no such data set or split, or the table lacks it.
        UsageError: if the search space has no accuracies on the data set.
    """
    _check(table, dataset, split)
    mean, run = f"{dataset}_{split}", f"{dataset}_{split}_run0"
    column = run if mean not in table.columns and run in table.columns else mean
    if column not in table.columns:
        raise UnknownName("column", column, [str(name) for name in table.columns])
    return table[column].to_numpy(dtype=np.float64, copy=True)


def runs(table: pd.DataFrame, dataset: str, split: str) -> NDArray[np.float64]:
    """Final accuracies of the single runs in percent, one row an architecture, in the table's order.

    Args:
        table, dataset, split: as for `accuracy`.

    Returns:
        As many columns as the table has runs, perhaps none; NaN where a run is unknown or does not exist.

    Raises:
        UnknownName, UsageError: as `accuracy`, but no column has to be there.
    """
    _check(table, dataset, split)
    prefix = f"{dataset}_{split}_run"
    columns = sorted(str(name) for name in table.columns if str(name).startswith(prefix))
    return table[columns].to_numpy(dtype=np.float64, copy=True)


def _check(table: pd.DataFrame, dataset: str, split: str) -> None:
    if dataset not in DATASETS:
        raise UnknownName("data set", dataset, DATASETS)
    if split not in SPLITS:
        raise UnknownName("split", split, SPLITS)
    # The column of hashes is NAS-Bench-101's alone.
    if "hash" in table.columns and dataset != "cifar10":
        raise UsageError(f"nasbench101 has accuracies on cifar10 alone, none on {dataset}")
    known = [name for name in DATASETS if any(str(column).startswith(f"{name}_") for column in table)]
    if dataset not in known:
        raise UsageError(f"the table has accuracies on {', '.join(known)}, none on {dataset}")
