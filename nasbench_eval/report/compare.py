"""Our scores beside those of NAS-Bench-Suite-Zero: how far do two implementations rank cells alike?

Krishnakumar et al., "NAS-Bench-Suite-Zero: Accelerating Research on Zero Cost Proxies", NeurIPS 2022.  Its
files, such as `zc_nasbench201.json`, name cells by NASLib's tuples of operations, such as
`(4, 0, 3, 1, 4, 3)`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from nasbench_eval.errors import UsageError
from nasbench_eval.report.draw import wrapped
from nasbench_eval.report.scores import Part, Scores
from nasbench_eval.report.statistics.correlation import Failures, correlate
from nasbench_eval.report.titles import DATASETS
from nasbench_eval.report.values import defined
from nasbench_eval.spaces.nasbench201 import NASBench201, from_operations
from nasbench_eval.wording import counted, first_line, shown, some

MEANINGS = {
    "dataset": "the data set",
    "label": "the label of the run",
    "theirs": "the proxy of the file",
    "n": "cells of the run that the file has a finite score of",
    "n_failed": "of these, the ones without a score of ours; they rank below all others",
    "kendall_tau": "Kendall's τ-b of our scores and theirs",
    "spearman_rho": "Spearman's ρ",
}
# Proxies that have another name there.
ALIASES = {"naswot": "nwot"}
# What stands beside the proxies there, and is none.
_NO_PROXIES = frozenset({"id", "val_accuracy"})
_TUPLE = re.compile(r"[(\[]\s*\d{1,3}(?:\s*,\s*\d{1,3})*\s*,?\s*[)\]]")


def _nasbench201(operations: Sequence[int]) -> str:
    return NASBench201().format(from_operations(operations, "naslib"))


def _transnas_micro(operations: Sequence[int]) -> str:
    """The benchmark's own digits, in its own order: here NASLib has none of its own."""
    if len(operations) != 6 or max(operations) > 3:
        raise ValueError(f"a cell has 6 operations, numbered from 0 to 3; got {shown(tuple(operations))}")
    return "64-41414-{}_{}{}_{}{}{}".format(*operations)


# The text of the cell that a tuple stands for, by search space.
READERS: dict[str, Callable[[Sequence[int]], str]] = {
    "nasbench201": _nasbench201,
    "transnas_micro": _transnas_micro,
}


@dataclass(frozen=True)
class Others:
    """The scores of a file on one data set.

    Attributes:
        proxies: names, in the file's order.
        cells: each cell's scores as the file has them, by its tuple's text and the proxy's name.
    """

    proxies: list[str] = field(default_factory=list)
    cells: dict[str, dict[str, object]] = field(default_factory=dict)


@dataclass(frozen=True)
class Comparison:
    """Rank correlations of our scores and theirs.

    Attributes:
        file: its name.
        space: of the cells.
        table: columns as in `MEANINGS`, a row a data set and label.
        notes: what has no counterpart on the other side, a sentence a data set and kind.
    """

    file: str
    space: str
    table: pd.DataFrame
    notes: list[str]


def compare(scores: Scores, path: Path, failures: Failures = "worst") -> Comparison:
    """Correlate the scores of runs with those of a file of NAS-Bench-Suite-Zero.

    A label is compared with the proxy of its own name, or else of the name of the proxy that it stands for.

    Args:
        scores: ours, on one of the spaces of `READERS`.
        path: the file: by data set and cell, then proxy, or by data set and proxy, then cell.  A score is a
            number, or an object whose `score` is one.
        failures: of ours: rank them below all others, or leave them out.

    Raises:
        UsageError: if the scores are of another space or of several; if the file cannot be read, or names
            something that is no cell of the space; if no data set, proxy or cell is in both.
    """
    space = _space(scores)
    file = read(path)
    for part, frame in scores.frames.items():
        if lacking := [name for name in ("arch", "score") if name not in frame.columns]:
            raise UsageError(f"the scores of '{part.label}' on {part.dataset} have no column {lacking[0]}")
    parts = [part for part in scores.frames if part.dataset in file]
    if not parts:
        ours = {part.dataset for part in scores.frames}
        raise UsageError(
            f"{path} has no data set of the run: {some([*file])} there, {some(sorted(ours))} here"
        )
    rows, notes = [], []
    for dataset in dict.fromkeys(part.dataset for part in parts):
        others = file[dataset]
        mine = {part: _theirs(scores, part, others.proxies) for part in parts if part.dataset == dataset}
        texts = {_text(path, space, key): key for key in others.cells}
        notes += _notes(dataset, mine, others)
        ours = {arch for part in mine for arch in scores.frames[part]["arch"]}
        notes.append(_cells_said(dataset, ours, texts))
        for part, name in mine.items():
            if name is not None:
                told = {text: _score(path, key, name, others.cells[key]) for text, key in texts.items()}
                rows.append(_row(scores.frames[part], part, name, told, failures))
    if not rows:
        raise UsageError(f"{path} has none of the run's proxies; {' '.join(notes)}")
    table = pd.DataFrame(rows, columns=list(MEANINGS))
    if not table["n"].any():
        raise UsageError(f"{path} and the run have no cell in common; {' '.join(notes)}")
    missing = sorted({part.dataset for part in scores.frames} - set(file))
    notes += [f"Not in the file: {', '.join(missing)}."] if missing else []
    return Comparison(path.name, space, table, notes)


def _space(scores: Scores) -> str:
    [space, *others] = scores.spaces()
    if others or space not in READERS:
        raise UsageError(
            f"--compare takes scores on {' or '.join(READERS)}; these are on {', '.join(scores.spaces())}"
        )
    return space


def read(path: Path) -> dict[str, Others]:
    """The scores of a file, by data set.

    Raises:
        UsageError: if it cannot be read, is no JSON or has another form.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not valid JSON: {first_line(error)}") from None
    sets = _object(path, "the file", content)
    return {_dataset(name): _others(path, name, _object(path, name, held)) for name, held in sets.items()}


def _others(path: Path, dataset: str, held: Mapping[str, Any]) -> Others:
    cells: dict[str, dict[str, object]] = {}
    by_cell = [bool(_TUPLE.fullmatch(key.strip())) for key in held]
    if any(by_cell) and not all(by_cell):
        other = next(key for key, cell in zip(held, by_cell, strict=True) if not cell)
        raise UsageError(f"{path}: {dataset} has cells and {shown(other)}, which is none, side by side")
    if any(by_cell):
        cells = {key: dict(_object(path, key, told)) for key, told in held.items()}
    else:
        for proxy, told in held.items():
            for key, score in _object(path, proxy, told).items():
                cells.setdefault(key, {})[proxy] = score
    names = dict.fromkeys(name for told in cells.values() for name in told)
    return Others([name for name in names if name not in _NO_PROXIES], cells)


def _object(path: Path, name: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise UsageError(f"{path}: {shown(name)} is to hold an object; got {shown(value)}")
    return value


def _dataset(name: str) -> str:
    return re.sub(r"\W+", "_", name.lower())


def _theirs(scores: Scores, part: Part, names: Sequence[str]) -> str | None:
    """The proxy of the file that a label is compared with; None if there is none."""
    wished = [part.label, str(scores.options(part).get("name", part.label))]
    wished += [ALIASES[name] for name in wished if name in ALIASES]
    return next((name for name in wished if name in names), None)


def _text(path: Path, space: str, key: str) -> str:
    if not _TUPLE.fullmatch(key.strip()):
        raise UsageError(f"{path}: {shown(key)} is no tuple of operations, such as (4, 0, 3, 1, 4, 3)")
    operations = [int(number) for number in re.findall(r"\d+", key)]
    try:
        return READERS[space](operations)
    except ValueError as error:
        raise UsageError(f"{path}: {shown(key)} is no cell of {space}: {error}") from None


def _score(path: Path, key: str, proxy: str, told: Mapping[str, object]) -> float:
    """A score; NaN if there is none."""
    value = told.get(proxy)
    value = value.get("score") if isinstance(value, dict) else value
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise UsageError(f"{path}: the score of {proxy} at {key} is no number: {shown(value)}")
    try:
        return float(value)
    except OverflowError:  # a whole number of hundreds of digits
        return math.nan


def _row(
    frame: pd.DataFrame, part: Part, theirs: str, told: Mapping[str, float], failures: Failures
) -> tuple[object, ...]:
    frame = defined(frame)
    other = frame["arch"].map(told).to_numpy(float)
    found = correlate(frame["score"].to_numpy(float), other, failures=failures, resamples=0)
    return (part.dataset, part.label, theirs, found.n, found.n_failed, found.tau, found.rho)


def _notes(dataset: str, mine: Mapping[Part, str | None], others: Others) -> list[str]:
    title = DATASETS.get(dataset, dataset)
    alone = [part.label for part, name in mine.items() if name is None]
    missed = [name for name in others.proxies if name not in mine.values()]
    notes = []
    if alone:
        notes.append(
            f"{title}: {counted(len(alone), 'label')} of the run not in the file: {', '.join(alone)}."
        )
    if missed:
        several = counted(len(missed), "proxy", "proxies")
        notes.append(f"{title}: {several} of the file not in the run: {', '.join(missed)}.")
    return notes


def _cells_said(dataset: str, ours: set[str], theirs: Mapping[str, str]) -> str:
    both = len(ours & set(theirs))
    return (
        f"{DATASETS.get(dataset, dataset)}: {both:,} cells in both, {len(ours) - both:,} in the run alone, "
        f"{len(theirs) - both:,} in the file alone."
    )


def draw_text(found: Comparison) -> str:
    """For the terminal."""
    lines = []
    for dataset, rows in found.table.groupby("dataset", sort=False):
        body = [[*map(str, row[:2]), *_cells(row)] for row in _records(rows)]
        head = ["label", "theirs", "n", "failed", "τ", "ρ"]
        widths = [max(map(len, column)) for column in zip(head, *body, strict=True)]
        rule = "─" * (sum(widths) + 2 * len(widths) - 2)
        lines += [f"{_title(found, str(dataset))}", rule, _line(head, widths), rule]
        lines += [*(_line(row, widths) for row in body), rule, ""]
    lines += [line for note in found.notes for line in wrapped(note)]
    return "\n".join(lines) + "\n"


def draw_markdown(found: Comparison) -> str:
    """One table a data set."""
    lines = [f"# Scores beside those of {found.file}", ""]
    for dataset, rows in found.table.groupby("dataset", sort=False):
        lines += [f"## {_title(found, str(dataset))}", "", "| label | theirs | n | failed | τ | ρ |"]
        lines += ["|---|---|---:|---:|---:|---:|"]
        lines += [f"| `{row[0]}` | `{row[1]}` | {' | '.join(_cells(row))} |" for row in _records(rows)] + [""]
    return "\n".join([*lines, *(f"* {note.replace('_', chr(92) + '_')}" for note in found.notes)]) + "\n"


def _title(found: Comparison, dataset: str) -> str:
    return f"{found.space} on {DATASETS.get(dataset, dataset)}, our scores and those of {found.file}"


def _records(rows: pd.DataFrame) -> list[tuple[Any, ...]]:
    return list(rows.drop(columns="dataset").itertuples(index=False, name=None))


def _cells(row: Sequence[Any]) -> list[str]:
    _, _, n, failed, tau, rho = row
    return [f"{n:,}", f"{failed:,}", *("–" if math.isnan(x) else f"{x:.3f}" for x in (tau, rho))]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """The first two to the left, numbers to the right."""
    texts = [f"{cell:<{width}}" for cell, width in zip(cells[:2], widths[:2], strict=True)]
    numbers = [f"{cell:>{width}}" for cell, width in zip(cells[2:], widths[2:], strict=True)]
    return "  ".join([*texts, *numbers]).rstrip()
