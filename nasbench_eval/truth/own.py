"""A benchmark of one's own: a table of accuracies, the images it is about, and a record of both.

`nasbench-train` makes them; some are embedded in the package.
A benchmark is a folder with `table.parquet`, `benchmark.json` and `images/NAME.npz`.  The table has the
columns of the official ones, a row a trained architecture in the space's order: `index`, `arch`, `params`,
`flops`, `epochs`, accuracies in percent as means over the seeds, `NAME_val` and `NAME_test`, and those of the
single runs, `NAME_test_run0` and so on; by run as well `NAME_train` (accuracy), `NAME_train_loss`,
`NAME_val_loss`, `NAME_test_loss`, `seconds`, and the learning curves, a number an epoch: `NAME_train_curve`,
`NAME_train_loss_curve`, `NAME_val_curve`, `NAME_val_loss_curve`.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasbench_eval.data.datasets import DataSet
from nasbench_eval.errors import UsageError
from nasbench_eval.options.typed import typed
from nasbench_eval.registry import UnknownName, nearest
from nasbench_eval.spaces.base import SearchSpace
from nasbench_eval.spaces.open import Known, space_of
from nasbench_eval.truth.columns import percent_fault
from nasbench_eval.truth.trained import Trained
from nasbench_eval.wording import first_line, shown

TABLE, RECORD = "table.parquet", "benchmark.json"
SPLITS = ("val", "test")
# Benchmarks that the package brings along, by name.
EMBEDDED = ("digits",)
# What is measured after each epoch of a training.
CURVES = ("train", "train_loss", "val", "val_loss")
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Benchmark(Trained):
    """A benchmark of one's own, or an embedded one.

    Attributes:
        folder: where it lies.
        space: the search space, of the widths that were trained.
        dataset: what it was trained on.
        table: a row a trained architecture.
        record: how it was made.
    """

    folder: Path
    space: SearchSpace
    dataset: DataSet
    table: pd.DataFrame
    record: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """Whose it is: `embedded` in the package, or one's `own`."""
        return "embedded" if self.folder in map(_embedded, EMBEDDED) else "own"

    @property
    def title(self) -> str:
        """What it is called in tables and figures, never to be taken for an official one."""
        return f"{self.dataset.name} ({self.kind} benchmark)"

    @property
    def datasets(self) -> tuple[str, ...]:
        """The data sets that its accuracies are on: the one."""
        return (self.dataset.name,)

    @property
    def about(self) -> str:
        """In words what its accuracies are."""
        trained = self.record["training"]
        return (
            f"accuracy after {trained['epochs']} epochs on {trained['images']} images, mean over "
            f"{len(self.record['seeds'])} training runs of {len(self.indices)} networks; an {self.kind} "
            "benchmark, no published one"
        )

    def accuracy(self, dataset: str, split: str) -> NDArray[np.float64]:
        """Accuracies in percent, means over the seeds, of every architecture of the space; NaN if untrained.

        Of an open space these are the rows of the table.

        Raises:
            UnknownName: if the benchmark is of another data set, or there is no such split.
        """
        self._check(dataset, split)
        return self.spread([f"{dataset}_{split}"])[:, 0]

    def runs(self, dataset: str, split: str) -> NDArray[np.float64]:
        """The accuracies of the single runs, a column a seed (see `accuracy`)."""
        self._check(dataset, split)
        seeds = range(len(self.record["seeds"]))
        return self.spread([f"{dataset}_{split}_run{run}" for run in seeds])

    def _check(self, dataset: str, split: str) -> None:
        if dataset != self.dataset.name:
            raise UnknownName(f"data set of the benchmark {self.folder.name}", dataset, [self.dataset.name])
        if split not in SPLITS:
            raise UnknownName("split", split, SPLITS)


def load(name: str) -> Benchmark:
    """A checked benchmark, by its name if it is embedded, or by its folder.

    Raises:
        UsageError: if there is none, or it is not what it should be.
    """
    folder = _embedded(name) if name in EMBEDDED else Path(name)
    record = _record(folder, name)
    try:
        content = (folder / TABLE).read_bytes()
        table = pd.read_parquet(io.BytesIO(content))
    except Exception as error:  # Arrow's own, and the file system's
        raise UsageError(f"{folder / TABLE} cannot be read ({first_line(error)}); make it again") from error
    if hashlib.sha256(content).hexdigest() != record["table_sha256"]:
        raise UsageError(f"{folder / TABLE} is not the table that {RECORD} is about; make it again")
    space = space_of(record["space"])
    dataset = typed(DataSet, record["dataset"], f"{folder / RECORD}")
    try:
        check(table, space, dataset.name, len(record["seeds"]), str(folder / TABLE))
    except UsageError:
        raise
    except (TypeError, ValueError) as error:  # a column of something else than numbers
        raise UsageError(f"{folder / TABLE} is no table of accuracies ({first_line(error)})") from error
    return Benchmark(folder, space, dataset, table, record)


def _embedded(name: str) -> Path:
    return Path(str(resources.files("nasbench_eval.truth") / "embedded" / name))


def _record(folder: Path, name: str) -> dict[str, Any]:
    file = folder / RECORD
    if not os.path.isfile(file):  # unlike Path's, no error on what cannot be a name
        near = f"; did you mean {near[0]}?" if (near := nearest(name, EMBEDDED)) else ""
        raise UsageError(
            f"truth={shown(name)[1:-1]}: there is no {RECORD} in that folder; nasbench-train makes one, and "
            f"embedded is {', '.join(EMBEDDED)}{near}"
        )
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{file} cannot be read ({first_line(error)})") from error
    parts = {"space": dict, "dataset": dict, "training": dict, "seeds": list, "table_sha256": str}
    wrong = [
        key
        for key, kind in parts.items()
        if not isinstance(record, dict) or not isinstance(record.get(key), kind)
    ]
    if wrong or not isinstance(record["space"].get("name"), str):
        raise UsageError(f"{file} does not say, or not as it should: {', '.join(wrong or ['space'])}")
    return dict(record)


def check(table: pd.DataFrame, space: SearchSpace, dataset: str, seeds: int, where: str) -> None:
    """Refuse a table that cannot be what trainings of a space came to.

    As of the official tables it is asked that rows are in order and name the cells that they are of, that
    accuracies are percentages, and that means are those of the runs; and that parameters and FLOPs are there.

    Raises:
        UsageError: says what is wrong.
    """

    def refuse(what: str) -> UsageError:
        return UsageError(f"{where}: {what}; make it again with nasbench-train")

    wanted = columns(dataset, seeds)
    if list(table.columns) != wanted:
        odd = sorted(set(map(str, table.columns)) ^ set(wanted)) or ["their order"]
        raise refuse(f"the columns are wrong: {', '.join(odd[:4])}")
    index = table["index"].to_numpy()
    if not len(table):
        raise refuse("it has no rows")
    whole = index.dtype.kind in "iu" and (np.diff(index) > 0).all() and index[0] >= 0
    if isinstance(space, Known):
        if not whole:
            raise refuse("the column index does not ascend")
        space.learn(table["arch"])
        if unknown := [i for i in index.tolist() if i not in space.texts]:
            raise refuse(f"the index {unknown[0]} is that of none of its architectures")
    elif not whole or index[-1] >= len(space):
        raise refuse(f"the column index does not ascend from 0 to {len(space) - 1}")
    for i, arch in zip(index.tolist(), table["arch"], strict=True):
        if arch != space.format(space.arch(i)):
            raise refuse(f"row {i} names the cell {shown(arch)}, which is {space.format(space.arch(i))!r}")
    for split in SPLITS:
        runs = table[[f"{dataset}_{split}_run{run}" for run in range(seeds)]].to_numpy(np.float64)
        mean = table[f"{dataset}_{split}"].to_numpy(np.float64)
        present = runs[np.isfinite(runs)]
        # A small benchmark may end at 1 % indeed, and cannot be told from fractions then.
        if not ((present >= 0) & (present <= 1)).all() and (fault := percent_fault(present)):
            raise refuse(f"{dataset}_{split} {fault}")
        known = np.isfinite(runs).any(axis=1)
        if (
            not np.array_equal(known, np.isfinite(mean))
            or (np.abs(np.nanmean(runs[known], axis=1) - mean[known]) > _ROUNDING).any()
        ):
            raise refuse(f"{dataset}_{split} is not the mean of its runs")
    if not (table["params"] > 0).all() or not (table["flops"] > 0).all():
        raise refuse("a network has no parameters or no FLOPs")


def columns(dataset: str, seeds: int) -> list[str]:
    """The columns of a table, in order."""
    by_run = ("test", "test_loss", *CURVES, *(f"{curve}_curve" for curve in CURVES))
    names = ["index", "arch", "params", "flops", "epochs", *(f"{dataset}_{split}" for split in SPLITS)]
    names += [f"{dataset}_{name}_run{run}" for name in by_run for run in range(seeds)]
    return names + [f"seconds_run{run}" for run in range(seeds)]
