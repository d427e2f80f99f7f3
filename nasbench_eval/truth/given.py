"""A table of one's own: accuracies in a CSV or parquet file, of architectures of any search space.

A row is an architecture, named by `arch`, the space's text, or by `index`, its number in an enumerated
space.  `<data set>_test` and `<data set>_val` are accuracies in percent; `<data set>_test_run0`, `_run1` and
so on are those of single runs, whose mean stands for the accuracy where there is no other.  Further columns
are passed over.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasbench_eval.errors import UsageError
from nasbench_eval.registry import UnknownName
from nasbench_eval.spaces.base import SearchSpace
from nasbench_eval.truth import places
from nasbench_eval.truth.columns import percent_fault
from nasbench_eval.truth.tables import load_table, public
from nasbench_eval.truth.trained import Trained
from nasbench_eval.wording import counted, first_line, shown

ENDINGS = (".csv", ".parquet")
_COLUMN = re.compile(r"(?P<dataset>.+)_(?P<split>test|val)(?P<run>_run\d+)?")
# A mean that was printed with one decimal is off by half of it.
_ROUNDING = 0.051


@dataclass(frozen=True)
class Given(Trained):
    """Accuracies of some architectures of a space.

    Attributes:
        name: what it was asked for by.
        title: how tables and figures call it.
        about: in words what its numbers are.
        space: the search space.
        table: `index` and `arch` of each architecture, ascending by index, and numbers in columns
            `<data set>_<split>` and `<data set>_<split>_run0`.
        datasets: the data sets.
        splits: what each split is in words.
        judged: the splits that a report judges by unless others are named.
        notes: what a reader must know, a line each.
        lower: splits of which a lower value is the better one: costs.
        percent: whether the numbers are accuracies in percent.
    """

    name: str
    title: str
    about: str
    space: SearchSpace
    table: pd.DataFrame
    datasets: tuple[str, ...]
    splits: Mapping[str, str]
    judged: tuple[str, ...]
    notes: tuple[str, ...] = ()
    lower: tuple[str, ...] = ()
    percent: bool = True

    def accuracy(self, dataset: str, split: str) -> NDArray[np.float64]:
        """The numbers of every architecture of the space, NaN where unknown; of an open space the table's.

        Raises:
            UnknownName: if the table has no such data set or split.
        """
        if dataset not in self.datasets:
            raise UnknownName(f"data set of {self.name}", dataset, self.datasets)
        if split not in self.splits:
            raise UnknownName(f"split of {self.name}", split, self.splits)
        column = f"{dataset}_{split}"
        if column not in self.table.columns:
            return np.full(len(self.spread([])), np.nan)
        return self.spread([column])[:, 0]

    def runs(self, dataset: str, split: str) -> NDArray[np.float64]:
        """The numbers of the single runs, a column a run; none where no run is known."""
        pattern = re.compile(rf"{re.escape(dataset)}_{re.escape(split)}_run\d+")
        return self.spread([str(name) for name in self.table.columns if pattern.fullmatch(str(name))])


def is_file(name: str) -> bool:
    """Whether the name of ground truth is that of a table of one's own."""
    return name.lower().endswith(ENDINGS)


def of_public(name: str, space: SearchSpace, folder: Path) -> Given:
    """A public table, for a space of the options that are asked for.

    Raises:
        UnknownName: if there is none of the name.
        UsageError: if it is about another space, missing or wrong.
    """
    info = public(name).info
    if info.space != space.name:
        raise UsageError(f"truth={name} is about {info.space}, not {space.name}")
    table = load_table(name, folder)
    index = places.indices(table, space, f"truth={name}")
    texts = [space.format(space.arch(each)) for each in index]
    table = table.assign(index=index, arch=texts).sort_values("index", ignore_index=True)
    judged = info.judged or tuple(info.splits)
    return Given(
        name,
        info.title,
        info.about,
        space,
        table,
        info.datasets,
        info.splits,
        judged,
        lower=info.lower,
        percent=info.percent,
    )


def of_file(name: str, space: SearchSpace) -> Given:
    """A table of one's own, checked.

    Args:
        name: the path of a CSV or parquet file.
        space: the search space that its architectures belong to.

    Raises:
        UsageError: naming the row or column that is wrong, and the rule.
    """
    table, sha256 = _read(name)
    columns = {str(each): found for each in table.columns if (found := _COLUMN.fullmatch(str(each)))}
    if not columns:
        raise UsageError(
            f"truth={name}: no column is called <data set>_test or <data set>_val, such as cifar10_test; "
            f"there are {', '.join(map(str, table.columns))}"
        )
    index = places.indices(table, space, f"truth={name}")
    numbers = {column: _percentages(table[column], column, name) for column in columns}
    datasets = tuple(dict.fromkeys(found["dataset"] for found in columns.values()))
    splits = [
        split for split in ("test", "val") if any(found["split"] == split for found in columns.values())
    ]
    made = pd.DataFrame(
        {"index": index, "arch": [space.format(space.arch(each)) for each in index], **numbers}
    )
    for dataset in datasets:
        for split in splits:
            _mean(made, dataset, split, name)
    made = made.sort_values("index", ignore_index=True)
    return Given(
        name,
        Path(name).stem,
        f"accuracies of {counted(len(made), 'architecture')} out of {Path(name).name}, a table of one's own "
        f"(sha256 {sha256[:12]})",
        space,
        made,
        datasets,
        {split: {"test": "test accuracy", "val": "validation accuracy"}[split] for split in splits},
        tuple(splits),
        tuple(_holes(made, datasets, splits, name)),
    )


def _read(name: str) -> tuple[pd.DataFrame, str]:
    """The file's table, and the sha256 of its bytes."""
    try:
        content = Path(name).read_bytes()
        if name.lower().endswith(".csv"):
            # As texts: an architecture of digits alone is no number.
            table = pd.read_csv(io.BytesIO(content), dtype={"arch": str}, skipinitialspace=True)
        else:
            table = pd.read_parquet(io.BytesIO(content))
    except FileNotFoundError as error:
        raise UsageError(f"truth={name}: there is no such file") from error
    except Exception as error:  # the parser's own, of the file system, of the encoding
        raise UsageError(f"truth={name} cannot be read ({first_line(error)})") from error
    if not len(table):
        raise UsageError(f"truth={name} has no rows")
    return table, hashlib.sha256(content).hexdigest()


def _percentages(values: pd.Series[float], column: str, name: str) -> NDArray[np.float64]:
    if values.dtype.kind not in "iuf":
        raise UsageError(f"truth={name}: the column {column} holds {values.dtype}, not numbers")
    numbers: NDArray[Any] = values.to_numpy(dtype=np.float64)
    if np.isinf(numbers).any():
        raise UsageError(f"truth={name}: the column {column} holds an infinite number")
    if fault := percent_fault(numbers[np.isfinite(numbers)]):
        raise UsageError(f"truth={name}: the column {column} {fault}")
    return numbers


def _mean(table: pd.DataFrame, dataset: str, split: str, name: str) -> None:
    """Make sure of the mean of a split that has single runs, and that it is their mean."""
    column = f"{dataset}_{split}"
    runs = table[[each for each in table.columns if re.fullmatch(rf"{re.escape(column)}_run\d+", each)]]
    if not runs.shape[1]:
        return
    means = runs.mean(axis=1)
    if column not in table.columns:
        table[column] = means
    off = (table[column] - means).abs() > _ROUNDING
    if off.any():
        arch = table["arch"][off].iloc[0]
        raise UsageError(f"truth={name}: {column} of {shown(arch)} is not the mean of its runs")


def _holes(table: pd.DataFrame, datasets: Sequence[str], splits: Sequence[str], name: str) -> list[str]:
    notes = []
    for column in [f"{dataset}_{split}" for dataset in datasets for split in splits]:
        lacking = int(table[column].isna().sum()) if column in table.columns else 0
        if lacking == len(table):
            raise UsageError(f"truth={name}: the column {column} has no number")
        if lacking:
            of = f"{lacking:,} of {len(table):,} architectures"
            notes.append(f"{name}: {of} have no {column} and are not judged by it")
    return notes
