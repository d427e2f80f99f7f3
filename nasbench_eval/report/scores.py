"""Reads the score files that runs leave behind, a proxy and a data set at a time."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

import pandas as pd

from nasbench_eval import registry
from nasbench_eval.errors import UsageError
from nasbench_eval.wording import first_line, some

if TYPE_CHECKING:
    from nasbench_eval.spaces.base import SearchSpace


class Part(NamedTuple):
    """Names one set of scores. The label is a proxy's name or the name a run gave one of its variants."""

    space: str
    dataset: str
    label: str


@dataclass(frozen=True)
class Run:
    """A run's folder and what its `run.json` says (empty if there is none)."""

    folder: Path
    config: dict[str, Any]

    @property
    def name(self) -> str:
        return self.folder.resolve().name


@dataclass(frozen=True)
class Scores:
    """All scores of one or more runs.

    Attributes:
        runs: in the order they were given.
        frames: the rows of each part, sorted by architecture index, as stored.
        origin: the run each part came from.
    """

    runs: tuple[Run, ...]
    frames: dict[Part, pd.DataFrame]
    origin: dict[Part, Run]

    def labels(self, space: str) -> list[str]:
        """The labels with scores on a space, sorted."""
        return sorted({part.label for part in self.frames if part.space == space})

    def live(self) -> Scores:
        """The scores of the architectures all of whose operations have a bearing on the output.

        Raises:
            UsageError: if none is among them.
        """
        frames = {}
        for part, frame in self.frames.items():
            space = registry.find("spaces", part.space)()
            kept = frame[_live(space, part, frame)]
            if len(kept):
                frames[part] = kept.reset_index(drop=True)
        if not frames:
            raise UsageError("no architecture of these scores is live; use --cells all")
        return Scores(self.runs, frames, {part: self.origin[part] for part in frames})

    def spaces(self) -> list[str]:
        """The spaces with scores, sorted."""
        return sorted({part.space for part in self.frames})

    def options(self, part: Part) -> dict[str, Any]:
        """The options a part's proxy was run with, as far as its run recorded them."""
        return _recorded(self.origin[part], part.label)


def _live(space: SearchSpace, part: Part, frame: pd.DataFrame) -> list[bool]:
    if not callable(getattr(space, "live", None)):
        raise UsageError(f"{part.space} does not tell which architectures are live; use --cells all")
    try:
        return [space.live(space.parse(arch)) for arch in frame["arch"]]
    except (KeyError, ValueError, AttributeError) as error:
        raise UsageError(f"the scores of '{part.label}' on {part.dataset} name no cells: {error}") from error


def read_runs(folders: Sequence[Path]) -> Scores:
    """Read every score of the runs.

    Raises:
        UsageError: if a folder is missing or holds no scores, if two runs hold the same label on the same
            data set or with different options, or if a part holds an architecture twice.
    """
    runs: list[Run] = []
    frames: dict[Part, pd.DataFrame] = {}
    origin: dict[Part, Run] = {}
    for folder in folders:
        run = Run(folder, _config(folder))
        runs.append(run)
        before = len(frames)
        for part, path in _parts(folder):
            if part in origin:
                raise UsageError(
                    f"proxy '{part.label}' on {part.dataset} is in both {origin[part].folder} and {folder}; "
                    "report these runs apart"
                )
            frames[part] = _frame(part, path)
            origin[part] = run
            _refuse_mixture(part, origin)
        if len(frames) == before:
            raise UsageError(f"{folder} holds no scores; {_instead(folder)}")
    return Scores(tuple(runs), frames, origin)


def _instead(folder: Path) -> str:
    """What to do with a folder that is not that of a run: a sweep's holds runs, a run in parts shards."""
    if (folder / "shards").is_dir():
        return f"its shards are not merged: {shlex.join(['nasbench-merge', str(folder)])}"
    if runs := sorted(str(file.parent) for file in folder.glob("*/run.json")):
        return f"report one of the runs in it: {some([shlex.quote(run) for run in runs])}"
    return "is it the folder of a run?"


def _refuse_mixture(part: Part, origin: dict[Part, Run]) -> None:
    """One label must mean one set of options, or a row would show two proxies as one."""
    for other, run in origin.items():
        if other.label != part.label or run is origin[part]:
            continue
        ours, theirs = (_recorded(origin[p], part.label) for p in (part, other))
        if ours and theirs and ours != theirs:
            raise UsageError(
                f"'{part.label}' was run with different options in {run.folder} and {origin[part].folder}; "
                "report these runs apart"
            )


def _recorded(run: Run, label: str) -> dict[str, Any]:
    proxies = run.config.get("proxies", {})
    found = proxies.get(label, {}) if isinstance(proxies, dict) else {}
    return found if isinstance(found, dict) else {}


def _config(folder: Path) -> dict[str, Any]:
    if not os.path.isdir(folder):  # unlike Path's, no error on what cannot be a name
        raise UsageError(f"there is no run folder {folder}")
    path = folder / "run.json"
    if not path.is_file():
        return {}
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not valid JSON: {first_line(error)}") from None
    return config if isinstance(config, dict) else {}


def _parts(folder: Path) -> Iterator[tuple[Part, Path]]:
    for path in sorted((folder / "scores").glob("space=*/dataset=*/proxy=*")):
        # A leading dot or underscore marks files still being written, or not scores at all.
        if any(file.name[0] not in "._" for file in path.glob("*.parquet")):
            space, dataset, label = (unquote(name.partition("=")[2]) for name in path.parts[-3:])
            yield Part(space, dataset, label), path


def _frame(part: Part, path: Path) -> pd.DataFrame:
    # One part at a time: proxies record different columns, and reading all at once would fill the gaps
    # with NaN that look like failures. The folder names are known already, hence no partitioning.
    try:
        frame = pd.read_parquet(path, partitioning=None)
    except Exception as error:  # Arrow's own, and whatever a damaged schema leads to
        raise UsageError(f"cannot read the scores in {path}: {first_line(error)}") from None
    missing = {"index", "status"} - set(frame.columns)
    if missing:
        raise UsageError(f"the scores in {path} have no column {' and '.join(sorted(missing))}")
    if not frame.columns.is_unique:
        raise UsageError(f"the scores in {path} have a column twice")
    for name, kinds, what in (("index", "iu", "whole numbers"), ("status", "O", "texts")):
        if frame[name].dtype.kind not in kinds or frame[name].isna().any():
            found = f"{frame[name].dtype} for {name}, or holes"
            raise UsageError(f"the scores in {path} have {found}: not {what}")
    repeated = frame["index"][frame["index"].duplicated()]
    if len(repeated):
        raise UsageError(
            f"proxy '{part.label}' on {part.dataset} has {len(repeated)} repeated rows in {path}, "
            f"architecture {repeated.iloc[0]} among them; one row an architecture (and one seed) is wanted"
        )
    return frame.sort_values("index", ignore_index=True)
