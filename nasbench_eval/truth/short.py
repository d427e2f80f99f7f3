"""What a search that trains each network for 12 epochs is told: an accuracy, and the seconds that it cost.

Final test accuracies, those after 200 epochs, cannot be had here.

Shape legend: N architectures of the space.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasbench_eval.errors import UsageError
from nasbench_eval.registry import UnknownName
from nasbench_eval.truth import time_model
from nasbench_eval.truth.errors import MissingTruth
from nasbench_eval.truth.nasbench201 import archs
from nasbench_eval.truth.own import Benchmark
from nasbench_eval.truth.short_tables import (
    EPOCHS,
    FULL_FILE,
    IMAGES,
    SAMPLE_FILE,
    SAMPLE_NAMES,
    load_full,
    load_sample,
)

Split = Literal["val", "test"]
Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]

SPACES = ("nasbench201",)


@dataclass(frozen=True, eq=False)
class Short:
    """Short trainings of a search space's architectures.

    Attributes:
        members: the architectures whose accuracy is known, ascending.
        accuracy_N: accuracies in percent after the short training; NaN where unknown.
        seconds_N: simulated seconds of that training and of one pass over the images that are evaluated.
        modelled_N: where the seconds come from the model fitted to recorded ones.
        split: which images the accuracy is measured on, and after which training, in words.
        source: the file.
    """

    members: tuple[int, ...]
    accuracy_N: Numbers
    seconds_N: Numbers
    modelled_N: Flags
    split: str
    source: str


def has_short_trainings(space_name: str, dataset: str) -> bool:
    """Whether there are tables of short trainings for a search space and a data set, at hand or not."""
    return space_name in SPACES and dataset in IMAGES


def short_training(space_name: str, dataset: str, folder: Path, epochs: int = EPOCHS) -> Short:
    """NAS-Bench-201's trainings of 12 epochs.

    The table of all cells is preferred, since it has validation accuracies.  Else the one of cells 0 to 999
    is used.  Its accuracies are of test images, the same that the final test accuracies are measured on, but
    after 12 epochs.

    Args:
        space_name: `nasbench201`.
        dataset: `cifar10`, `cifar100` or `imagenet16_120`.
        folder: the data folder.
        epochs: 12; there are no others.

    Raises:
        UnknownName: if there are none for the data set.
        UsageError: if there are none for the space, or another length is asked for.
        MissingTruth: if the folder has neither table.
        TruthError: if the table is wrong.
    """
    _check(space_name, dataset)
    if epochs != EPOCHS:
        raise UsageError(f"trainings of {epochs} epochs are in no table; there are those of {EPOCHS}")
    try:
        full = load_full(folder)
    except MissingTruth:
        return _of_sample(load_sample(folder), dataset, folder)
    seconds = full[f"{dataset}_train_seconds_12"] + full[f"{dataset}_val_seconds"]
    return Short(
        members=tuple(range(len(full))),
        accuracy_N=full[f"{dataset}_val_12"].to_numpy(np.float64, copy=True),
        seconds_N=seconds.to_numpy(np.float64, copy=True),
        modelled_N=np.zeros(len(full), bool),
        split=_words(dataset, "val"),
        source=str(folder / FULL_FILE),
    )


def training_seconds(
    space_name: str, dataset: str, folder: Path, epochs: int = 200, split: Split = "val"
) -> tuple[Numbers, Flags]:
    """Simulated seconds of a training of any length and of one pass over the images that are evaluated.

    Args:
        space_name, dataset, folder: as for `short_training`.
        epochs: how many; NATS-Bench's seconds are proportional to them.
        split: which accuracy is paid for.  `val`: the training that a validation accuracy takes, on CIFAR-10
            with half of the training images; this is what NATS-Bench simulates.  `test`: that of a test
            accuracy, on CIFAR-10 with all training images.

    Returns:
        The seconds of all architectures, and where they come from the model fitted to cells 0 to 999.

    Raises:
        As `short_training`.
    """
    _check(space_name, dataset)
    if epochs < 1:
        raise UsageError(f"a training has at least one epoch, not {epochs}")
    if split not in ("val", "test"):
        raise UnknownName("split", split, ("val", "test"))
    try:
        full = load_full(folder)
    except MissingTruth:
        return _sample_seconds(load_sample(folder), dataset, epochs, split)
    has, wanted = IMAGES[dataset]["val"], IMAGES[dataset][split]
    train_N = full[f"{dataset}_train_seconds_12"].to_numpy() * (epochs / EPOCHS * wanted.train / has.train)
    seconds_N = train_N + full[f"{dataset}_val_seconds"].to_numpy() * (wanted.evaluated / has.evaluated)
    return seconds_N, np.zeros(len(full), bool)


def first_epochs(benchmark: Benchmark, epochs: int) -> Short:
    """The first epochs of the trainings of a benchmark of one's own.

    Args:
        benchmark: whose learning curves are read.
        epochs: how many, from 1 to those of its trainings.

    Returns:
        Validation accuracies after these epochs and that share of the recorded seconds, means over the seeds.

    Raises:
        UsageError: if it has not that many epochs.
    """
    table, name = benchmark.table, benchmark.dataset.name
    trained = int(table["epochs"].min())
    if not 1 <= epochs <= trained:
        raise UsageError(f"{benchmark.title} was trained for {trained} epochs; {epochs} are not among them")
    runs = range(len(benchmark.record["seeds"]))
    after = [_after(table[f"{name}_val_curve_run{run}"], epochs) for run in runs]
    share = epochs / table["epochs"].to_numpy(np.float64)
    seconds = table[[f"seconds_run{run}" for run in runs]].to_numpy(np.float64).mean(axis=1) * share
    accuracy_N = np.full(len(benchmark.space), np.nan)
    seconds_N = np.full(len(benchmark.space), np.nan)
    accuracy_N[benchmark.indices] = np.mean(after, axis=0)
    seconds_N[benchmark.indices] = seconds
    return Short(
        members=tuple(benchmark.indices),
        accuracy_N=accuracy_N,
        seconds_N=seconds_N,
        modelled_N=np.zeros(len(accuracy_N), bool),
        split=f"validation images, after the first {epochs} of {trained} epochs",
        source=str(benchmark.folder),
    )


def _after(curves: Iterable[Numbers], epochs: int) -> Numbers:
    return np.array([np.asarray(curve, np.float64)[epochs - 1] for curve in curves])


def _check(space_name: str, dataset: str) -> None:
    if space_name not in SPACES:
        raise UsageError(f"no trainings of {space_name} are timed in a table; those of {SPACES[0]} are")
    if dataset not in IMAGES:
        raise UnknownName("data set", dataset, IMAGES)


def _of_sample(table: pd.DataFrame, dataset: str, folder: Path) -> Short:
    rows = table[table["dataset"] == SAMPLE_NAMES[dataset]]
    accuracy_N = np.full(len(archs()), np.nan)
    accuracy_N[rows["index"]] = rows["test_acc"]
    seconds_N, modelled_N = _sample_seconds(table, dataset, EPOCHS, "test")
    return Short(
        members=tuple(rows["index"].tolist()),
        accuracy_N=accuracy_N,
        seconds_N=seconds_N,
        modelled_N=modelled_N,
        split=_words(dataset, "test"),
        source=str(folder / SAMPLE_FILE),
    )


def _sample_seconds(table: pd.DataFrame, dataset: str, epochs: int, split: Split) -> tuple[Numbers, Flags]:
    rows = table[table["dataset"] == SAMPLE_NAMES[dataset]]
    members_K = rows["index"].to_numpy(np.int64)
    has, wanted = IMAGES[dataset]["test"], IMAGES[dataset][split]
    # Both columns are sums over 12 epochs, each of which ends in a pass over the test images.
    train_K = rows["train_time_s"].to_numpy(np.float64) * (epochs / EPOCHS * wanted.train / has.train)
    pass_K = rows["test_time_s"].to_numpy(np.float64) / EPOCHS * (wanted.evaluated / has.evaluated)
    seconds_K = train_K + pass_K
    seconds_N = time_model.predict(time_model.features(), members_K, seconds_K)
    seconds_N[members_K] = seconds_K
    modelled_N = np.ones(len(seconds_N), bool)
    modelled_N[members_K] = False
    return seconds_N, modelled_N


def _words(dataset: str, split: Split) -> str:
    images = IMAGES[dataset][split]
    kind = "validation" if split == "val" else "test"
    all_of = {25_000: "half of the training images", 50_000: "all training images"}
    trained = all_of.get(images.train, "all training images")
    return f"{images.evaluated:,} {kind} images, after {EPOCHS} epochs on {trained} ({images.train:,})"
