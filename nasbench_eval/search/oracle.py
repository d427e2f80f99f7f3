"""Accuracies as guides: of final ones those on validation images alone, and those of short trainings."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nasbench_eval.data.folder import data_folder
from nasbench_eval.errors import UsageError
from nasbench_eval.search.history import Numbers, Values
from nasbench_eval.search.told import Kind, Told, all_of
from nasbench_eval.truth import guiding, short
from nasbench_eval.work.subject import Subject


def told(kind: Kind, subject: Subject, dataset: str, data: Path | None) -> Told:
    """The accuracies of a kind of guide, with the simulated seconds that they cost.

    Raises:
        UsageError: if the benchmark has none, or they are not here.
    """
    size = len(subject.space)
    if subject.benchmark is not None:
        accuracy_N, seconds_N = guiding.validation_of(subject.benchmark, dataset), np.zeros(size)
        return Told(all_of(accuracy_N, seconds_N), _members(accuracy_N))
    folder = data_folder(data)
    if kind == "val":
        accuracy_N = guiding.validation(subject.space.name, dataset, folder)
        seconds_N, said = _training(subject.space.name, dataset, folder, size)
        return Told(all_of(accuracy_N, seconds_N), _members(accuracy_N), said)
    found = short.short_training(subject.space.name, dataset, folder)
    members = _members(found.accuracy_N)
    said = [f"accuracies after 12 epochs are measured on {found.split}"]
    if members is not None:
        said.append(
            f"{Path(found.source).name} has them of {len(members):,} cells: the search keeps to these"
        )
    return Told(all_of(found.accuracy_N, found.seconds_N), members, said)


def _training(space: str, dataset: str, folder: Path, size: int) -> tuple[Values, list[str]]:
    """Simulated seconds of whole trainings, zero where nothing tells them."""
    try:
        seconds_N, modelled_N = short.training_seconds(space, dataset, folder)
    except UsageError as error:
        return np.zeros(size), [f"simulated seconds stay 0: {error}"]
    modelled = int(modelled_N.sum())
    return seconds_N, [f"training seconds of {modelled:,} cells are a fitted model's"] if modelled else []


def _members(accuracy_N: Values) -> Numbers | None:
    """The architectures that have an accuracy; None if all have."""
    there = np.flatnonzero(~np.isnan(accuracy_N))
    return None if len(there) == len(accuracy_N) else there
