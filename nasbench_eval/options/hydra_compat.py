"""Hydra 1.3 on Python 3.14 and later, where argparse is stricter than Hydra expects.

Hydra gives its flag `--shell-completion` an object instead of a text as help.  The object collects the text
only when it is printed, because that means loading all plugins.  Since Python 3.14 argparse checks each help
text as soon as a flag is added, and raises `ValueError: badly formed help string` for this object.  Hydra
1.3 then cannot read any command line.
"""

from __future__ import annotations

import argparse
from typing import Any


class _LateText(str):
    """A harmless text for argparse to check, printed as the object that it stands for."""

    _source: object

    def __new__(cls, source: object) -> _LateText:
        text = super().__new__(cls, "written when it is printed")
        text._source = source
        return text

    def __str__(self) -> str:
        return str(self._source)

    def __format__(self, spec: str) -> str:  # Hydra prints help with an f-string
        return format(str(self), spec)


def accept_late_help() -> None:
    """Let argparse's parsers take an object as help, for the rest of this process.

    To be called before Hydra makes its parser.  Hydra makes one more in `hydra.main`, so the change stays.
    It does nothing where argparse takes such help by itself, before Python 3.14, and when called again.
    """
    if not _refused():
        return
    parser: Any = argparse.ArgumentParser
    add = parser.add_argument

    def add_argument(self: argparse.ArgumentParser, *names: str, **options: Any) -> Any:
        if not isinstance(options.get("help"), str | None):
            options["help"] = _LateText(options["help"])
        return add(self, *names, **options)

    parser.add_argument = add_argument


def _refused() -> bool:
    try:
        argparse.ArgumentParser(add_help=False).add_argument("--flag", help=object())  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return True
    return False
