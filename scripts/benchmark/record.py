"""Where measurements are kept: a line a run in history.jsonl, and what is made of it.

`latest-<device>.json` holds the newest figures of each section, and README.md shows them.  Both can be made
from the history at any time; a run adds to it the sections that it finished, and no others.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from benchmark import render
from nasbench_eval.errors import UsageError
from nasbench_eval.files import write_whole
from nasbench_eval.runs import provenance

Entry = dict[str, Any]  # a run: what `heading` says, and its figures under "sections"
_HISTORY = "history.jsonl"


def heading(device: torch.device, cells: Sequence[int], cores: int) -> Entry:
    """When, from what and on what figures were measured.

    The cells are those of the costs; the load is the system's average of the minute before.
    """
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": provenance.commit(),
        "versions": provenance.versions(),
        **provenance.hardware(device),
        "cores": cores,
        "load": os.getloadavg()[0],
        "cells": list(cells),
    }


def read(folder: Path) -> list[Entry]:
    """All runs of a folder, the oldest first.

    Raises:
        UsageError: if a line cannot be read, so that nothing is written over it.
    """
    path = folder / _HISTORY
    if not path.exists():
        return []
    runs = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            entry = json.loads(line)
            runs.append({**entry, "sections": dict(entry["sections"]), "device": str(entry["device"])})
        except (ValueError, TypeError, KeyError) as error:
            raise UsageError(f"line {number} of {path} is no record of a run; mend or remove it") from error
    return runs


def add(folder: Path, entry: Entry) -> None:
    """Append a run, and make anew what shows the newest figures."""
    runs = [*read(folder), _rounded(entry)]
    write_whole(folder / _HISTORY, "".join(f"{json.dumps(run)}\n" for run in runs).encode())
    devices = sorted({run["device"] for run in runs})
    newest, before = ({device: latest(runs, device, back) for device in devices} for back in (0, 1))
    for device, sections in newest.items():
        write_whole(folder / f"latest-{device}.json", (json.dumps(sections, indent=1) + "\n").encode())
    write_whole(folder / "README.md", render.page(newest, before).encode())


def latest(runs: Iterable[Entry], device: str, back: int = 0) -> dict[str, render.Section]:
    """The newest figures of each section on a device, with the heading of the run that measured them.

    With `back` those of so many measurements before, of the sections that were measured as often.
    """
    found: dict[str, list[render.Section]] = {}
    for run in runs:
        for name, section in sections_of(run).items() if run["device"] == device else ():
            found.setdefault(name, []).append(section)
    return {name: sections[-1 - back] for name, sections in found.items() if len(sections) > back}


def sections_of(run: Mapping[str, Any]) -> dict[str, render.Section]:
    """A run's sections, each with the run's heading."""
    made = {key: value for key, value in run.items() if key != "sections"}
    return {name: {"made": made, "figures": figures} for name, figures in run["sections"].items()}


def _rounded(figures: Any) -> Any:
    """Plain data with five digits of each fraction: more is noise."""
    if isinstance(figures, Mapping):
        return {key: _rounded(value) for key, value in figures.items()}
    if isinstance(figures, list):
        return [_rounded(value) for value in figures]
    return float(f"{figures:.5g}") if isinstance(figures, float) else figures
