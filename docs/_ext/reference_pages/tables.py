"""What a table's and an aggregate's YAML file may say."""

from __future__ import annotations

import typing
from dataclasses import MISSING, fields
from typing import Any

from nasbench_eval.report.aggregate import AGGREGATES
from nasbench_eval.report.spec import AggregateSpec, RowSpec, SweepSpec, TableSpec
from reference_pages.text import code, described, docstring, kind, option_value, prose, summary, table


def page() -> str:
    """The keys of a table, of its rows, and of a sweep."""
    return "\n".join(_keys(cls, title) for cls, title in _PARTS)


_PARTS: tuple[tuple[Any, str], ...] = (
    (TableSpec, "A table's file"),
    (RowSpec, "A row, in `rows` or `ours`"),
    (SweepSpec, "`sweep`"),
)


def aggregates() -> str:
    """The keys of an aggregate and its kinds."""
    kinds = [[code(name), prose(docstring(function))] for name, function in AGGREGATES.items()]
    return f"{_keys(AggregateSpec, 'An aggregate')}\n{table(['`aggregate:`', 'score'], kinds)}"


def _keys(cls: Any, title: str) -> str:
    hints, meanings = typing.get_type_hints(cls), described(cls)
    rows = [
        [code(f.name), _default(f), kind(hints[f.name]), prose(meanings[f.name])]
        for f in fields(cls)
        if f.name in meanings
    ]
    return f"## {title}\n\n{prose(summary(cls))}\n\n{table(['key', 'default', 'type', 'meaning'], rows)}"


def _default(field: Any) -> str:
    if field.default_factory is not MISSING:
        value = field.default_factory()
        return "empty" if not value else option_value(value)
    if field.default is MISSING:
        return "required"
    return "empty" if field.default == "" else option_value(field.default)
