"""Ground truth by search space, data set and split."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasbench_eval.registry import UnknownName
from nasbench_eval.truth import nasbench201

# A search space with ground truth: the loader of its table from a data folder.
TABLES: Mapping[str, Callable[[Path], pd.DataFrame]] = {"nasbench201": nasbench201.load}

DATASETS = ("cifar10", "cifar100", "imagenet16_120")
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
        dataset: `cifar10`, `cifar100` or `imagenet16_120`.
        split: `val` or `test`.

    Raises:
        UnknownName: if there is no such data set or split, or the table lacks it.
    """
    if dataset not in DATASETS:
        raise UnknownName("data set", dataset, DATASETS)
    if split not in SPLITS:
        raise UnknownName("split", split, SPLITS)
    column = f"{dataset}_{split}"
    if column not in table.columns:
        raise UnknownName("column", column, [str(name) for name in table.columns])
    return table[column].to_numpy(dtype=np.float64, copy=True)
