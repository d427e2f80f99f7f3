"""Ground truth by search space, data set and split."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasbench_eval import registry
from nasbench_eval.errors import UsageError
from nasbench_eval.paths import configured
from nasbench_eval.registry import UnknownName
from nasbench_eval.truth.base import PublicTable

SPLITS = ("val", "test")


def public(name: str) -> PublicTable:
    """A table by its name.

    Raises:
        UnknownName: if there is none.
        UsageError: if another package's cannot be loaded.
    """
    found: PublicTable = registry.find("truths", name)()
    return found


def _loaded(name: str, folder: Path) -> pd.DataFrame:
    return public(name).load(folder)


# The loader of each table from a data folder.  A space is judged by the table of its own name.
TABLES: MutableMapping[str, Callable[[Path], pd.DataFrame]] = {
    name: partial(_loaded, name) for name in registry.names("truths")
}


def load_table(name: str, folder: Path) -> pd.DataFrame:
    """A checked table, one row an architecture; of an enumerated space in its own order.

    Args:
        name: of a search space, or of another table that `nasbench-data --list` names.
        folder: the data folder.

    Raises:
        UnknownName: if there is no such table.
        TruthError: if the table is missing or wrong.
    """
    if name not in TABLES:
        raise UnknownName("search space with ground truth", name, TABLES)
    return TABLES[name](folder)


def accuracy(table: pd.DataFrame, dataset: str, split: str) -> NDArray[np.float64]:
    """Final accuracies in percent, one an architecture, in the table's order.

    Args:
        table: of `load_table`.
        dataset: `cifar10`, `imagenet1k` or another, as far as the table has it.
        split: `val` or `test`; or a split of the table's own, such as `edgegpu_latency`, in its own unit.

    Returns:
        Means over runs.  NAS-Bench-101's `val` is the first run's where the table has no mean, NaN where it
        is unknown.

    Raises:
        UnknownName: if there is no such data set or split.
        UsageError: if the table has no accuracies on the data set, or none of the split.
    """
    _check(table, dataset, split)
    mean, run = f"{dataset}_{split}", f"{dataset}_{split}_run0"
    column = run if mean not in table.columns and run in table.columns else mean
    if column not in table.columns:
        there = [each for each in SPLITS if f"{dataset}_{each}" in table.columns]
        raise UsageError(
            f"the table has no accuracies {dataset}_{split}; it has {', '.join(there) or 'none'}"
        )
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


def has(table: pd.DataFrame, dataset: str, split: str) -> bool:
    """Whether a table has numbers of a split, as means or of single runs."""
    return any(f"{dataset}_{split}{end}" in table.columns for end in ("", "_run0"))


def known_datasets(table: pd.DataFrame) -> list[str]:
    """The data sets that a table has numbers on."""
    return [name for name in configured("dataset") if any(_is_of(name, each) for each in table.columns)]


def _is_of(dataset: str, column: Any) -> bool:
    return str(column).startswith(f"{dataset}_")


def _check(table: pd.DataFrame, dataset: str, split: str) -> None:
    every = configured("dataset")
    if dataset not in every and not any(_is_of(dataset, column) for column in table.columns):
        raise UnknownName("data set", dataset, every)
    if split not in SPLITS and f"{dataset}_{split}" not in table.columns:
        raise UnknownName("split", split, SPLITS)
    # The column of hashes is NAS-Bench-101's alone.
    if "hash" in table.columns and dataset != "cifar10":
        raise UsageError(f"nasbench101 has accuracies on cifar10 alone, none on {dataset}")
    known = known_datasets(table)
    if dataset in every and dataset not in known:
        raise UsageError(f"the table has accuracies on {', '.join(known)}, none on {dataset}")
