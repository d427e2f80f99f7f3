"""Pieces of Markdown, and what docstrings say."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any

import annotated_types

ROOT = Path(__file__).resolve().parents[3]
_SECTION = re.compile(r"^(Attributes|Args|Raises|Returns|Yields):\s*$", re.M)


def code(value: object) -> str:
    """A value as code."""
    return f"`{value}`"


def option_value(value: object) -> str:
    """A value as YAML and the command line write it."""
    if value is None or isinstance(value, bool):
        return code({None: "null", True: "true", False: "false"}[value])
    return code("[" + ", ".join(map(str, value)) + "]" if isinstance(value, list | tuple) else value)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|") or " "


def prose(text: str) -> str:
    """Text of a docstring as Markdown: what would be read as HTML or emphasis is not."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else re.sub(r"([*<\[])", r"\\\1", part) for part in parts)


def docstring(item: Any) -> str:
    """The docstring of an object without its indentation."""
    return inspect.cleandoc(item.__doc__ or "")


def summary(item: Any) -> str:
    """A docstring up to its first section."""
    return _SECTION.split(docstring(item))[0].strip()


def first(item: Any) -> str:
    """The first paragraph of a docstring."""
    return " ".join(summary(item).split("\n\n")[0].split())


def section(item: Any, name: str) -> str:
    """The text of a section such as `Returns`; empty if there is none."""
    parts = _SECTION.split(docstring(item))
    found = dict(zip(parts[1::2], parts[2::2], strict=True))
    return inspect.cleandoc(found.get(name, ""))


def entries(item: Any, name: str = "Attributes") -> dict[str, str]:
    """The names that a section describes, one by one: `a, b: text` describes both."""
    found: dict[str, str] = {}
    current: list[str] = []
    for line in section(item, name).splitlines():
        match = re.match(r"(\w+(?:, \w+)*): (.*)", line)
        if match:
            current = match[1].split(", ")
            found |= dict.fromkeys(current, match[2])
        elif line.startswith(" "):
            found |= {key: f"{found[key]} {line.strip()}" for key in current}
    return found


def described(cls: type) -> dict[str, str]:
    """What a class and those it derives from say of their attributes; the nearest class wins."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if base is not object:
            found |= entries(base)
    return found


def kind(hint: Any) -> str:
    """A type as a reader of options wants to know it."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return f"{kind(arguments[0])}{_bounds(arguments[1:])}"
    if origin is typing.Literal:
        return " or ".join(code(value) for value in arguments)
    if origin in (typing.Union, UnionType):
        return " or ".join(dict.fromkeys(kind(each) for each in arguments))
    if origin in (tuple, list):
        return f"list, each a {kind(arguments[0])}"
    if origin is dict:
        return "keys and values"
    words = {int: "whole number", float: "number", str: "text", bool: "`true` or `false`"}
    return {**words, Path: "path", NoneType: "`null`"}.get(hint) or code(getattr(hint, "__name__", hint))


_SIGNS = {"Ge": "≥ ", "Gt": "> ", "Le": "≤ ", "Lt": "< "}


def _bounds(annotations: Iterable[Any]) -> str:
    bounds = []
    for annotation in annotations:
        for each in getattr(annotation, "metadata", [annotation]):
            sign = _SIGNS.get(type(each).__name__)
            if sign and isinstance(each, annotated_types.BaseMetadata):
                value = getattr(each, type(each).__name__.lower())
                bounds.append(sign + ("2⁶³" if value == 2**63 else str(value)))
    return f" {' and '.join(bounds)}" if bounds else ""


def source_link(item: Any, text: str = "") -> str:
    """A link from a page in docs/reference to the file that defines an object."""
    file = Path(inspect.getfile(item)).resolve().relative_to(ROOT).as_posix()
    return f"[{text or file}](../../{file})"
