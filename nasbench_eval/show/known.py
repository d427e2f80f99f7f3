"""What is known of an architecture: accuracies of its trainings, and what these cost."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasbench_eval import registry
from nasbench_eval.data.folder import data_folder
from nasbench_eval.errors import UsageError
from nasbench_eval.spaces.open import finder, is_open
from nasbench_eval.truth import tables
from nasbench_eval.truth.errors import MissingTruth
from nasbench_eval.truth.own import Benchmark
from nasbench_eval.truth.short import has_short_trainings, short_training
from nasbench_eval.truth.short_tables import EPOCHS

SPLITS = ("test", "val")
# What the official trainings are called, which their tables do not say.
_EPOCHS = {"nasbench101": 108, "nasbench201": 200}
# Columns of tables, and what they are.
_PUBLISHED = {
    "params_millions": "million parameters",
    "gmacs": "GMACs",
    "images_per_second": "images a second on an RTX 3090",
    "img_size": "pixels, of which these are",
}
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Accuracy:
    """Final accuracies in percent.

    Attributes:
        mean: over the runs.
        std: standard deviation of the single runs (that of a sample); None where fewer than two are known.
        runs: the single runs that are known.
        rank: place of the mean among all architectures that have one, 1 for the best.
        of: how many these are.
    """

    mean: float
    std: float | None
    runs: tuple[float, ...]
    rank: int
    of: int


@dataclass(frozen=True)
class ShortTraining:
    """A training of a few epochs.

    Attributes:
        epochs: how many.
        accuracy: in percent; None where unknown.
        images: which images it is measured on, and after which training, in words.
        seconds: simulated, of the training and of one pass over these images.
        modelled: whether the seconds come from a model of recorded ones.
    """

    epochs: int
    accuracy: float | None
    images: str
    seconds: float
    modelled: bool


@dataclass(frozen=True)
class OnDataSet:
    """What is known on a data set.

    Attributes:
        accuracies: by split, `test` or `val`.
        seconds: of one training, mean over the runs; None where it was not recorded.
        short: the training of a few epochs; None where there is none at hand.
        published: further numbers that are published, by what they are.
        further: numbers of further tables, by their titles and by what they are.
    """

    accuracies: Mapping[str, Accuracy]
    seconds: float | None = None
    short: ShortTraining | None = None
    published: Mapping[str, float] = field(default_factory=dict)
    further: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Known:
    """What is known of an architecture.

    Attributes:
        benchmark: whose trainings they are.
        networks: options of the space whose networks were trained.
        same: whether these are the networks that are shown.
        epochs: of each training; None where unknown.
        datasets: by data set.
        percent: whether what is called an accuracy is a percentage, and not another measure of the task.
    """

    benchmark: str
    networks: Mapping[str, Any]
    same: bool
    epochs: int | None
    datasets: Mapping[str, OnDataSet]
    percent: bool = True


class NothingKnown(Exception):
    """There are no accuracies; the message is the reason."""


def known(space: Any, arch: Any, options: Mapping[str, Any], data: Path | None) -> Known:
    """What the official tables say of an architecture.

    Args:
        space: its search space.
        arch: the architecture.
        options: the space's options by name.
        data: the folder of tables; None for $NASBENCH_EVAL_DATA, then ./data.

    Raises:
        NothingKnown: if there are no tables, or the architecture is not in them.
    """
    name = str(getattr(space, "judged_as", space.name))
    if name not in tables.TABLES:
        raise NothingKnown(f"there are no tables of accuracies for {name}")
    trained = registry.find("spaces", name)()
    try:
        folder = data_folder(data)
        table = tables.load_table(name, folder)
    except UsageError as error:
        raise NothingKnown(str(error)) from error
    text = space.format(arch)
    index = _place(trained, table, text) if is_open(trained) else _index(trained, text)
    datasets, further = {}, _further(name, folder, index)
    for dataset in tables.known_datasets(table):
        finals = {}
        for split in SPLITS:
            with suppress(UsageError):  # no such accuracies
                finals[split] = tables.accuracy(table, dataset, split)
        if finals:
            runs = {split: tables.runs(table, dataset, split) for split in finals}
            found, short = _finals(finals, runs, index), _short(name, dataset, folder, index)
            datasets[dataset] = OnDataSet(
                found, short=short, published=_published(table, index), further=further.get(dataset, {})
            )
    networks = {key: getattr(trained, key) for key in options if hasattr(trained, key)}
    same = all(options[key] == value for key, value in networks.items())
    percent = tables.public(name).info.percent
    return Known(name, networks, same, _EPOCHS.get(name), datasets, percent)


def known_of(benchmark: Benchmark, arch: Any, options: Mapping[str, Any]) -> Known:
    """What a benchmark of one's own says of an architecture of its space.

    Raises:
        NothingKnown: if it was not trained.
    """
    index, dataset = benchmark.space.index(arch), benchmark.dataset.name
    if index not in benchmark.indices:
        raise NothingKnown(
            f"{benchmark.title} has trained {len(benchmark.indices):,} architectures, and not this one"
        )
    finals = {split: benchmark.accuracy(dataset, split) for split in SPLITS}
    runs = {split: benchmark.runs(dataset, split) for split in SPLITS}
    row = benchmark.table[benchmark.table["index"] == index].iloc[0].to_dict()
    seconds = float(np.mean([row[f"seconds_run{run}"] for run in range(len(benchmark.record["seeds"]))]))
    found = {dataset: OnDataSet(_finals(finals, runs, index), seconds)}
    return Known(benchmark.title, dict(options), True, int(row["epochs"]), found)


def _place(trained: Any, table: pd.DataFrame, text: str) -> int:
    """The row of an architecture in the table of an open space."""
    place = finder(trained, table["arch"].tolist())(text)
    if place is None:
        raise NothingKnown(f"the table has {len(table):,} architectures, and not this one")
    return place


def _published(table: pd.DataFrame, index: int) -> dict[str, float]:
    """What a table has of an architecture beside accuracies."""
    found = {said: table[column].iloc[index] for column, said in _PUBLISHED.items() if column in table}
    return {said: float(number) for said, number in found.items() if not np.isnan(number)}


def _further(space: str, folder: Path, index: int) -> dict[str, dict[str, dict[str, float]]]:
    """By data set and title what further tables of a space say of an architecture, if they are at hand."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for info in (tables.public(name).info for name in registry.names("truths") if name != space):
        if info.space != space:
            continue
        with suppress(MissingTruth):
            table = tables.load_table(info.name, folder)
            splits = {split: info.splits[split] for split in info.judged or info.splits}
            for dataset in info.datasets:
                numbers = {
                    said: float(tables.accuracy(table, dataset, split)[index])
                    for split, said in splits.items()
                }
                known_ones = {said: number for said, number in numbers.items() if not np.isnan(number)}
                found.setdefault(dataset, {})[info.title] = known_ones
    return found


def _index(trained: Any, text: str) -> int:
    """The position of an architecture in the table of the space that it is judged by."""
    try:
        return int(trained.index(trained.parse(text)))
    except ValueError as error:
        raise NothingKnown(f"{trained.name} has no such architecture") from error


def _finals(finals: Mapping[str, Numbers], runs: Mapping[str, Numbers], index: int) -> dict[str, Accuracy]:
    found = {}
    for split, values in finals.items():
        mean = values[index]
        if np.isnan(mean):
            continue
        single = [float(run) for run in runs[split][index] if not np.isnan(run)]
        std = float(np.std(single, ddof=1)) if len(single) > 1 else None
        rank, of = int((values > mean).sum()) + 1, int((~np.isnan(values)).sum())
        found[split] = Accuracy(float(mean), std, tuple(single), rank, of)
    return found


def _short(name: str, dataset: str, folder: Path, index: int) -> ShortTraining | None:
    if not has_short_trainings(name, dataset):
        return None
    try:
        short = short_training(name, dataset, folder)
    except MissingTruth:  # the tables are not here
        return None
    accuracy = short.accuracy_N[index]
    return ShortTraining(
        EPOCHS,
        None if np.isnan(accuracy) else float(accuracy),
        short.split,
        float(short.seconds_N[index]),
        bool(short.modelled_N[index]),
    )
