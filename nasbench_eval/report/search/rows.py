"""Rows of a report of searches: one algorithm with one guide on one data set, over its seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nasbench_eval.errors import UsageError
from nasbench_eval.report.search.read import Floats, Guide, Numbers, SearchRun, Trials, trials_of
from nasbench_eval.report.tables import Truth
from nasbench_eval.wording import shown

RANDOM = "random"


@dataclass(frozen=True)
class Row:
    """Searches with the same algorithm, guide and data set, which differ in their seeds alone.

    Attributes:
        dataset: on which their answers are judged.
        algorithm: its label, and in parentheses what tells the row from others of that label.
        runs: the folders.
        truth: the accuracies of the space.
        forked: whether the searches branch off from another one, so that they are not independent.
    """

    dataset: str
    algorithm: str
    runs: tuple[SearchRun, ...]
    truth: Truth
    forked: bool

    @property
    def method(self) -> str:
        """The algorithm's own name."""
        return self.runs[0].method

    @property
    def guide(self) -> Guide:
        """What the searches were told."""
        return self.runs[0].guide

    @property
    def space(self) -> str:
        """The search space."""
        return self.runs[0].space

    @property
    def title(self) -> str:
        """The algorithm and the guide."""
        return f"{self.algorithm}, {self.guide.name}"

    @cached_property
    def trials(self) -> Trials:
        """Those of all seeds."""
        return trials_of(self.runs)

    @cached_property
    def answers(self) -> Numbers:
        """The architecture that each seed ends with, −1 for none; shape (S,)."""
        found: Numbers = self.trials.incumbent[:, -1]
        return found

    def accuracy(self, split: str, archs: Numbers) -> Floats:
        """Accuracies in percent of architectures by number; NaN for −1 and where unknown."""
        known = self.truth.accuracy(self.dataset, split)
        found: Floats = np.where(archs >= 0, known[np.maximum(archs, 0)], np.nan)
        return found

    @property
    def best(self) -> float:
        """The best mean test accuracy of the whole space; NaN where none is known."""
        test = self.truth.accuracy(self.dataset, "test")
        return float(np.nanmax(test)) if np.isfinite(test).any() else math.nan


def rows_of(runs: Sequence[SearchRun], truths: Sequence[Truth]) -> list[Row]:
    """The rows of a report, in the order of the runs, by data set.

    Args:
        runs: as they are read.
        truths: the accuracies by which each of them is judged.

    Raises:
        UsageError: if two folders hold the same seed of the same search, or a run names an architecture
            otherwise than the table of accuracies does.
    """
    for run, truth in zip(runs, truths, strict=True):
        _check_names(run, truth)
    truth_of = {run.folder: truth for run, truth in zip(runs, truths, strict=True)}
    places: dict[tuple[str, str, str], list[SearchRun]] = {}
    for run in runs:
        for dataset in run.datasets:
            places.setdefault((dataset, run.algorithm, run.guide.name), []).append(run)
    rows = []
    for dataset in dict.fromkeys(dataset for dataset, _, _ in places):
        for (where, algorithm, _), held in places.items():
            if where == dataset:
                for suffix, group in _apart(held):
                    _refuse_repeats(group)
                    forked = group[0].fork is not None
                    truth = truth_of[group[0].folder]
                    rows.append(Row(dataset, algorithm + suffix, tuple(group), truth, forked))
    return rows


def _apart(runs: Sequence[SearchRun]) -> list[tuple[str, list[SearchRun]]]:
    """Runs by their settings, each group with the settings that tell it from the others."""
    keys = dict.fromkeys(key for run in runs for key in run.settings)
    differing = [key for key in keys if len({run.settings.get(key) for run in runs}) > 1]
    groups: dict[tuple[str | None, ...], list[SearchRun]] = {}
    for run in runs:
        groups.setdefault(tuple(run.settings.get(key) for key in differing), []).append(run)
    last = [key.rpartition(".")[2] for key in differing]
    names = [key if last.count(name) > 1 else name for key, name in zip(differing, last, strict=True)]
    found = []
    for values, group in groups.items():
        words = [f"{name}={value}" for name, value in zip(names, values, strict=True) if value is not None]
        found.append((f" ({', '.join(words)})" if words else "", group))
    return found


def _refuse_repeats(runs: Sequence[SearchRun]) -> None:
    held: dict[tuple[int, int], SearchRun] = {}
    for run in runs:
        for seed in run.trials["seed"].unique():
            key = (int(run.record.get("seed") or 0), int(seed))
            if key in held:
                raise UsageError(
                    f"seed {key[1]} of {run.algorithm} with {run.guide.name} is in both {held[key].folder} "
                    f"and {run.folder}; report these apart"
                )
            held[key] = run


def _check_names(run: SearchRun, truth: Truth) -> None:
    """Prove that the numbers of a history mean the architectures of the table."""
    for number, name in (("index", "arch"), ("incumbent_index", "incumbent")):
        named = run.trials[[number, name]].drop_duplicates()
        nameless = number == "incumbent_index" or run.space != run.searched
        named = named[named[number] >= 0] if nameless else named
        for index, arch in zip(named[number].tolist(), named[name], strict=True):
            if truth.archs is not None and not 0 <= index < len(truth.archs):
                raise UsageError(
                    f"the history in {run.folder} has architecture {index}; {run.space} ends at "
                    f"{len(truth.archs) - 1}"
                )
            if truth.archs is not None and truth.archs[index] != arch:
                raise UsageError(
                    f"the history in {run.folder} calls architecture {index} {shown(arch)}, but {run.space} "
                    f"has {shown(truth.archs[index])} there"
                )
