"""A table of one's own: accuracies in a CSV or parquet file, of architectures of any search space.

A row is an architecture, named by `arch`, the space's text, or by `index`, its number in an enumerated
space.  `<data set>_test` and `<data set>_val` are accuracies in percent; `<data set>_test_run0`, `_run1` and
so on are those of single runs, whose mean stands for the accuracy where there is no other.  Further columns
are passed over.
"""

from __future__ import annotations

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
from nasbench_eval.spaces.open import is_open
from nasbench_eval.truth.ceiling import Ceiling, noise_ceiling
from nasbench_eval.truth.columns import percent_fault
from nasbench_eval.truth.tables import load_table, public
from nasbench_eval.wording import counted, first_line, shown

ENDINGS = (".csv", ".parquet")
_COLUMN = re.compile(r"(?P<dataset>.+)_(?P<split>test|val)(?P<run>_run\d+)?")
# A mean that was printed with one decimal is off by half of it.
_ROUNDING = 0.051


@dataclass(frozen=True)
class Given:
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

    @property
    def indices(self) -> list[int]:
        """The architectures of the table, ascending."""
        indices: list[int] = self.table["index"].tolist()
        return indices

    @property
    def places(self) -> list[int]:
        """Where the numbers of these architectures stand in what `accuracy` gives."""
        return list(range(len(self.table))) if is_open(self.space) else self.indices

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
        return self._of_all([column] if column in self.table.columns else [])[:, 0]

    def runs(self, dataset: str, split: str) -> NDArray[np.float64]:
        """The numbers of the single runs, a column a run; one without numbers where none is known."""
        pattern = re.compile(rf"{re.escape(dataset)}_{re.escape(split)}_run\d+")
        return self._of_all([str(name) for name in self.table.columns if pattern.fullmatch(str(name))])

    def ceiling(self, dataset: str, split: str) -> Ceiling | None:
        """How well runs agree, and how high a correlation with their mean can be; None of a single one."""
        runs = self.runs(dataset, split)
        return noise_ceiling(runs) if runs.shape[1] > 1 else None

    def _of_all(self, columns: Sequence[str]) -> NDArray[np.float64]:
        size = len(self.table if is_open(self.space) else self.space)
        values = np.full((size, max(len(columns), 1)), np.nan)
        if columns:
            values[self.places] = self.table[list(columns)].to_numpy(np.float64)
        return values


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
    if "arch" in table.columns:
        table = table.assign(index=[space.index(space.parse(text)) for text in table["arch"]])
    else:
        table = table.assign(arch=[space.format(space.arch(index)) for index in table["index"]])
    table = table.sort_values("index", ignore_index=True)
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
    table = _read(name)
    columns = {str(each): found for each in table.columns if (found := _COLUMN.fullmatch(str(each)))}
    if not columns:
        raise UsageError(
            f"truth={name}: no column is called <data set>_test or <data set>_val, such as cifar10_test; "
            f"there are {', '.join(map(str, table.columns))}"
        )
    index = _indices(table, space, name)
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
        f"accuracies of {counted(len(made), 'architecture')} out of {Path(name).name}, a table of one's own",
        space,
        made,
        datasets,
        {split: {"test": "test accuracy", "val": "validation accuracy"}[split] for split in splits},
        tuple(splits),
        tuple(_holes(made, datasets, splits, name)),
    )


def _read(name: str) -> pd.DataFrame:
    path = Path(name)
    try:
        if path.suffix.lower() == ".csv":
            # As texts: an architecture of digits alone is no number.
            table = pd.read_csv(path, dtype={"arch": str}, skipinitialspace=True)
        else:
            table = pd.read_parquet(path)
    except FileNotFoundError as error:
        raise UsageError(f"truth={name}: there is no such file") from error
    except Exception as error:  # the parser's own, of the file system, of the encoding
        raise UsageError(f"truth={name} cannot be read ({first_line(error)})") from error
    if not len(table):
        raise UsageError(f"truth={name} has no rows")
    return table


def _indices(table: pd.DataFrame, space: SearchSpace, name: str) -> list[int]:
    """The index of each row's architecture, each once."""
    if "arch" in table.columns:
        index = _by_text(table["arch"], space, name)
    elif "index" in table.columns:
        index = _by_number(table["index"], space, name)
    else:
        raise UsageError(f"truth={name} names no architectures: it needs a column arch or index")
    first: dict[int, int] = {}
    for row, each in enumerate(index, 1):
        if first.setdefault(each, row) != row:
            raise UsageError(f"truth={name}: rows {first[each]} and {row} are the same architecture")
    return index


def _by_text(texts: pd.Series[str], space: SearchSpace, name: str) -> list[int]:
    found: list[int] = []
    unknown: list[tuple[int, str]] = []
    for row, text in enumerate(texts, 1):
        try:
            found.append(space.index(space.parse(str(text))))
        except ValueError as error:
            unknown.append((row, first_line(error)))
    if unknown:
        row, reason = unknown[0]
        more = f"; so do {len(unknown) - 1:,} more rows" if len(unknown) > 1 else ""
        raise UsageError(f"truth={name}: row {row} names no architecture of {space.name} ({reason}){more}")
    return found


def _by_number(numbers: pd.Series[int], space: SearchSpace, name: str) -> list[int]:
    if is_open(space):
        raise UsageError(
            f"truth={name} names architectures by index, and those of {space.name} have none; name them by "
            "their texts in a column arch"
        )
    size = len(space)
    wrong = [each for each in numbers if not (isinstance(each, int) and 0 <= each < size)]
    if wrong:
        raise UsageError(
            f"truth={name}: the index {shown(wrong[0])} is none of {space.name}'s 0 to {size - 1}"
        )
    return numbers.tolist()


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
