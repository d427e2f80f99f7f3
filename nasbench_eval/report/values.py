"""The values that a table's row stands for, read or aggregated from the stored scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from nasbench_eval.errors import UsageError
from nasbench_eval.registry import UnknownName
from nasbench_eval.report.aggregate import AGGREGATES
from nasbench_eval.report.expression import MissingColumn, evaluate
from nasbench_eval.report.scores import Part, Scores
from nasbench_eval.report.spec import AggregateSpec, RowSpec
from nasbench_eval.wording import shown


def row_values(
    scores: Scores, space: str, row: RowSpec, dataset: str
) -> tuple[pd.DataFrame | None, list[str]]:
    """A row's value for every architecture with scores: columns `index`, `value` and, where stored, `arch`.

    Returns None in place of the values where the run has none, and notes for the reader.
    """
    part = Part(space, dataset, row.label)
    notes = _option_notes(scores, part, row)
    if row.aggregate:
        values, complaints = _aggregate(scores, part, row.name, row.aggregate)
        return values, notes + complaints
    frame = scores.frames.get(part)
    if frame is None:
        return None, notes
    if left := len(frame) - len(frame := defined(frame)):
        notes = [*notes, f"{row.name}: undefined on {left} architectures of {dataset}, which are left out"]
    value = _evaluate(frame, row.value)
    if value is None:
        return None, [*notes, f"{row.name}: '{row.value}' needs a column that the scores do not have"]
    return _keyed(frame, value), notes


def defined(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of architectures that a proxy has a meaning on."""
    return frame[frame["status"] != "undefined"]


def row_labels(scores: Scores, space: str, row: RowSpec, dataset: str) -> list[str]:
    """The labels whose scores a row is made of, each once; none where scores are missing."""
    part = Part(space, dataset, row.label)
    if row.aggregate is None:
        return [row.label] if part in scores.frames else []
    sources = [_source(scores, part, member) for member in row.aggregate.members]
    found = [source[0].label for source in sources if source is not None]
    return list(dict.fromkeys(found)) if len(found) == len(sources) else []


def require_members(scores: Scores, space: str, name: str, aggregate: AggregateSpec) -> None:
    """Make sure that on each member there are scores, on some data set of the space.

    Raises:
        UnknownName: naming the first member without, and what comes nearest.
    """
    parts = [part for part in scores.frames if part.space == space]
    for member in aggregate.members:
        if any(_member(scores, part._replace(label=name), member) is not None for part in parts):
            continue
        label = member.rpartition(".")[0]
        columns = {c for part in parts if part.label == label for c in _numbers(scores.frames[part])}
        known = [f"{label}.{column}" for column in columns] or scores.labels(space)
        raise UnknownName(f"member of aggregate '{name}'", member, known)


def _aggregate(
    scores: Scores, part: Part, name: str, aggregate: AggregateSpec
) -> tuple[pd.DataFrame | None, list[str]]:
    members = {member: _member(scores, part, member) for member in aggregate.members}
    found = {member: frame for member, frame in members.items() if frame is not None}
    if len(found) == len(members):
        values = _combined(aggregate, found)
        return (values, []) if len(values) else (None, [f"{name}: no architecture has all its members"])
    if not found:  # not run at all, which the empty row says already
        return None, []
    lacking = [member for member in members if member not in found]
    return None, [f"{name}: not computed, there are no scores of {', '.join(lacking)}"]


def _combined(aggregate: AggregateSpec, members: dict[str, pd.DataFrame]) -> pd.DataFrame:
    # Architectures that one member was never asked for are no failures, so they are left out.
    columns = {name: frame.set_index("index")["value"] for name, frame in members.items()}
    joined = pd.concat(columns, axis="columns", join="inner")
    values = {name: joined[name].to_numpy(dtype=np.float64) for name in aggregate.members}
    combined = AGGREGATES[aggregate.aggregate](values, aggregate.weights)
    first = members[aggregate.members[0]].set_index("index")
    return first.loc[joined.index].assign(value=combined).reset_index()


def _member(scores: Scores, part: Part, member: str) -> pd.DataFrame | None:
    source = _source(scores, part, member)
    if source is None:
        return None
    frame, column = defined(scores.frames[source[0]]), source[1]
    return _keyed(frame, _without_failures(frame, column, frame[column]))


def _source(scores: Scores, part: Part, member: str) -> tuple[Part, str] | None:
    """A column of the row's own label, else the score of another label, else its `label.column`."""
    label, _, column = member.rpartition(".")
    for place, wanted in ((part.label, member), (member, "score"), (label, column)):
        source = part._replace(label=place)
        if source in scores.frames and wanted in _numbers(scores.frames[source]):
            return source, wanted
    return None


def _numbers(frame: pd.DataFrame) -> list[str]:
    return list(frame.select_dtypes("number").columns)


def _keyed(frame: pd.DataFrame, value: pd.Series[float]) -> pd.DataFrame:
    keys = [column for column in ("index", "arch") if column in frame.columns]
    return frame[keys].assign(value=value)


def _evaluate(frame: pd.DataFrame, expression: str) -> pd.Series[float] | None:
    """An expression over the numeric columns, NaN where a row failed; None if a column is missing."""
    numbers = frame.select_dtypes("number")
    if expression in numbers.columns:
        value: Any = numbers[expression]
    else:
        try:
            value = evaluate(expression, numbers)
        except MissingColumn:
            return None
    if not isinstance(value, pd.Series):
        raise UsageError(f"{shown(expression)} gives one number, not one an architecture")
    return _without_failures(frame, expression, value)


def _without_failures(frame: pd.DataFrame, expression: str, value: pd.Series[Any]) -> pd.Series[float]:
    # A crash leaves nothing to read. A status of "nan" speaks about the score, and another column can be
    # sound where the score is not. "inf" is left alone: a correlation counts ±∞ as failed by itself, while
    # −∞ is a result that an aggregate ranks lowest.
    failed = ["oom", "error", "nan"] if expression == "score" else ["oom", "error"]
    return value.astype("float64").mask(frame["status"].isin(failed))


def _option_notes(scores: Scores, part: Part, row: RowSpec) -> list[str]:
    if part not in scores.frames:
        return []
    recorded = scores.options(part)
    return [
        f"{row.name}: was run with {key}={recorded[key]}, where the row says {key}={wanted}"
        for key, wanted in row.options.items()
        if key in recorded and recorded[key] != wanted
    ]
