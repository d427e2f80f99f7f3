"""Reads what searches leave: the record and the trials of each seed.

Shape legend: S seeds, T steps of the longest seed, V values told of an architecture.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api.types import is_integer_dtype

from nasbench_eval import registry
from nasbench_eval.errors import UsageError
from nasbench_eval.spaces.open import open_class
from nasbench_eval.wording import first_line, shown

Numbers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

CLOCKS = ("proxy_seconds", "simulated_seconds", "wall_seconds")
_NUMBERS = ("seed", "step", "index", *CLOCKS, "incumbent_index")
_WHOLE = ("seed", "step", "index", "incumbent_index")
_TEXTS = ("arch", "incumbent")


@dataclass(frozen=True)
class Guide:
    """What a search is told of an architecture.

    Attributes:
        name: of the guide.
        values: the numbers that are told.
        kind: `proxy`, `aggregate`, `val` (validation accuracy) or `accuracy_12` (after 12 epochs).
    """

    name: str
    values: tuple[str, ...]
    kind: str


@dataclass(frozen=True)
class SearchRun:
    """A folder of searches.

    Attributes:
        folder: where it lies.
        record: what its `run.json` says.
        trials: sorted by seed and step, every step of a seed once.  Where another space judges the search,
            architectures have their numbers there, and −1 if they have none.
    """

    folder: Path
    record: Mapping[str, Any]
    trials: pd.DataFrame

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.resolve().name

    @property
    def search(self) -> Mapping[str, Any]:
        """What the record says of the search."""
        found: Mapping[str, Any] = self.record["search"]
        return found

    @property
    def searched(self) -> str:
        """The search space."""
        return str(self.record["space"]["name"])

    @cached_property
    def space(self) -> str:
        """The space whose numbers the trials have: the search space, unless it names another to judge it."""
        if self.searched not in registry.names("spaces"):
            return self.searched
        return str(getattr(registry.find("spaces", self.searched), "judged_as", self.searched))

    @property
    def unjudged(self) -> bool:
        """Whether no accuracies are joined: the space is open, and no benchmark of one's own is searched."""
        if self.space not in registry.names("spaces") or self.record.get("truth") is not None:
            return False
        return open_class(registry.find("spaces", self.space))

    @property
    def datasets(self) -> list[str]:
        """The data sets that answers are judged on."""
        return list(self.record["datasets"])

    @property
    def algorithm(self) -> str:
        """The label of the algorithm with its options."""
        return str(self.search["algorithm"].get("label") or self.method)

    @property
    def method(self) -> str:
        """The algorithm's own name."""
        return str(self.search["algorithm"]["name"])

    @property
    def guide(self) -> Guide:
        """What the searches were told."""
        told = self.search["guide"]
        return Guide(str(told["name"]), tuple(map(str, told["values"])), str(told["kind"]))

    @property
    def fork(self) -> tuple[str, int] | None:
        """The folder that these searches branch off from, and at which step; None if they do not."""
        found = self.search.get("fork")
        return (str(found["parent"]), int(found["step"])) if found else None

    @cached_property
    def settings(self) -> dict[str, str]:
        """All that decides a search but its seed, by dotted name."""
        search = {key: value for key, value in self.search.items() if key not in ("seeds", "whence")}
        parts = {"space": self.record["space"], "truth": self.record.get("truth")}
        found = _flat({**search, **parts, "proxy": self.record.get("proxies", {})})
        # An option that is not set tells nothing, and older records lack those that were added since.  The
        # budget of evaluations is the number of steps.
        return {name: value for name, value in found if value != "None" and name != "budget.evaluations"}


@dataclass(frozen=True)
class Trials:
    """The trials of all seeds as arrays.

    Attributes:
        seeds: of the run and of the search, one pair a seed.
        lengths: how many trials each seed has; shape (S,).
        index: the architectures proposed, −1 after the last; shape (S, T).
        incumbent: the answer after each step, which stays after the last; −1 where there is none; (S, T).
        told: what the guide said, NaN where it said nothing; shape (S, T, V).
        proxy, simulated: seconds of each trial, 0 after the last; shape (S, T).
        wall: seconds since the search began; shape (S, T).
    """

    seeds: tuple[tuple[int, int], ...]
    lengths: Numbers
    index: Numbers
    incumbent: Numbers
    told: Floats
    proxy: Floats
    simulated: Floats
    wall: Floats


class NoTrials(UsageError):
    """A search has not told its first trial yet."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"{folder} holds no trials yet; run the search first")
        self.folder = folder


def search_folders(folders: Sequence[Path]) -> list[Path]:
    """The searches among some folders, or in them; none if all the folders are something else.

    Raises:
        UsageError: if some are and some are not.
    """
    found: list[Path] = []
    others = []
    for folder in folders:
        if _is_search(folder):
            found.append(folder)
        elif held := _held(folder):
            found += held
        else:
            others.append(folder)
    if found and others:
        raise UsageError(f"{found[0]} is a search and {others[0]} is none; report searches apart from scores")
    return list(dict.fromkeys(found))


def _held(folder: Path) -> list[Path]:
    if not os.path.isdir(folder) or (folder / "run.json").is_file():
        return []
    runs = sorted(file.parent for file in folder.glob("*/run.json"))
    found = [run for run in runs if _is_search(run)]
    if found and len(found) < len(runs):
        other = next(run for run in runs if run not in found)
        raise UsageError(f"{folder} holds searches and runs of scores, such as {other}; name the searches")
    return found


def _is_search(folder: Path) -> bool:
    try:
        record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False  # whoever reads scores will say what is wrong
    return isinstance(record, dict) and "search" in record


def read_searches(folders: Sequence[Path]) -> tuple[list[SearchRun], list[Path]]:
    """The searches that some folders hold, and the folders where a search has not told its first trial yet.

    Raises:
        UsageError: as `read_search`, or if there is no trial in any of them.
    """
    runs: list[SearchRun] = []
    without: list[NoTrials] = []
    for folder in folders:
        try:
            runs.append(read_search(folder))
        except NoTrials as error:
            without.append(error)
    if without and not runs:
        raise without[0]
    return runs, [error.folder for error in without]


def left_out(without: Sequence[Path]) -> str:
    """What to say of folders where a search has not told its first trial yet."""
    return f"left out, without a trial yet: {', '.join(map(str, without))}"


def read_search(folder: Path) -> SearchRun:
    """A folder of searches, checked.

    Raises:
        NoTrials: if it holds none yet.
        UsageError: if it is no such folder, or its record or its trials are not what a search leaves.
    """
    if not _is_search(folder):
        raise UsageError(f"{folder} holds no search: its run.json cannot be read, or has no key search")
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    try:
        run = SearchRun(folder, record, pd.DataFrame())
        known = (run.space, run.datasets, run.algorithm, run.guide, run.fork, run.settings)
        assert run.datasets, known
    except (KeyError, TypeError, AttributeError, ValueError, AssertionError) as error:
        raise UsageError(
            f"{folder / 'run.json'} does not say of its search what it should "
            f"(space, datasets, algorithm, guide): {first_line(error)}"
        ) from None
    if len(run.datasets) > 1:
        raise UsageError(
            f"{folder} mixes searches on {' and '.join(run.datasets)}, which is refused by now; search again"
        )
    trials = _trials(folder, run.guide)
    if run.space != run.searched:
        trials = _renumbered(trials, run.space)
    return SearchRun(folder, record, trials)


def _renumbered(trials: pd.DataFrame, name: str) -> pd.DataFrame:
    """The trials with the numbers that a space has for their architectures, −1 where it has none."""
    space = registry.find("spaces", name)()

    def number(text: str) -> int:
        try:
            return int(space.index(space.parse(text)))
        except ValueError:
            return -1

    numbers = {
        text: number(str(text)) for column in _TEXTS for text in trials[column].dropna().unique().tolist()
    }
    renumbered = {
        column: trials[text].map(numbers).fillna(-1).astype(np.int64)
        for column, text in (("index", "arch"), ("incumbent_index", "incumbent"))
    }
    return trials.assign(**renumbered)


def _trials(folder: Path, guide: Guide) -> pd.DataFrame:
    files = sorted((folder / "history").glob("part-*.parquet"))
    told = [f"told_{value}" for value in guide.values]
    wanted = [*_NUMBERS, *_TEXTS, *told]
    parts = []
    for file in files:
        try:
            frame = pd.read_parquet(file, partitioning=None)
        except Exception as error:  # Arrow's own, and whatever a damaged schema leads to
            raise UsageError(f"cannot read the history {file}: {first_line(error)}") from None
        if missing := [name for name in wanted if name not in frame.columns]:
            raise UsageError(f"the history {file} has no column {' and '.join(missing)}")
        parts.append(frame[wanted])
    if not sum(map(len, parts)):
        raise NoTrials(folder)
    trials = pd.concat([part for part in parts if len(part)], ignore_index=True)
    for name in (*_NUMBERS, *told):
        if not (name in _WHOLE and is_integer_dtype(trials[name])):  # 63 bits are more than a float has
            trials[name] = _numbers(trials[name], folder)
    for name in _TEXTS:
        trials[name] = trials[name].astype(object)
    for name in ("seed", "step", "index"):
        if trials[name].isna().any():
            raise UsageError(f"the history in {folder} has holes in the column {name}")
        trials[name] = trials[name].astype(np.int64)
    trials["incumbent_index"] = trials["incumbent_index"].fillna(-1).astype(np.int64)
    trials = trials.sort_values(["seed", "step"], ignore_index=True, kind="stable")
    place = trials.groupby("seed").cumcount()
    wrong = trials[trials["step"] != place]
    if len(wrong):
        seed, step, due = int(wrong["seed"].iloc[0]), int(wrong["step"].iloc[0]), int(place[wrong.index[0]])
        fault = f"has step {step} twice" if step < due else f"lacks step {due}"
        raise UsageError(f"the history in {folder} is damaged: seed {seed} {fault}; run the search again")
    return trials


def _numbers(column: pd.Series[Any], folder: Path) -> pd.Series[Any]:
    try:
        return pd.to_numeric(column, errors="raise").astype(float)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"the history in {folder} has {shown(str(column.dtype))} for {column.name}: {first_line(error)}"
        ) from None


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, item in value.items():
        if isinstance(item, Mapping):
            yield from _flat(item, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(item)


def trials_of(runs: Sequence[SearchRun]) -> Trials:
    """The trials of all seeds of runs with the same guide, as arrays."""
    seeds: list[tuple[int, int]] = []
    parts: list[pd.DataFrame] = []
    for run in runs:
        for seed, part in run.trials.groupby("seed", sort=True):
            seeds.append((int(run.record.get("seed") or 0), int(str(seed))))
            parts.append(part)
    lengths = np.array([len(part) for part in parts])

    def padded(name: str, after: float | None, kind: type[Any] = np.float64) -> Any:
        """A column, seed by seed; `after` the last trial stands a number, or what the last one has."""
        values = np.empty((len(parts), lengths.max()), kind)
        for row, part in zip(values, parts, strict=True):
            column = part[name].to_numpy(kind)
            row[: len(column)] = column
            row[len(column) :] = column[-1] if after is None else after
        return values

    told = [padded(f"told_{value}", np.nan) for value in runs[0].guide.values]
    return Trials(
        seeds=tuple(seeds),
        lengths=lengths,
        index=padded("index", -1, np.int64),
        incumbent=padded("incumbent_index", None, np.int64),
        told=np.stack(told, -1) if told else np.empty((len(parts), lengths.max(), 0)),
        proxy=np.nan_to_num(padded("proxy_seconds", 0)),
        simulated=np.nan_to_num(padded("simulated_seconds", 0)),
        wall=np.nan_to_num(padded("wall_seconds", None)),
    )
