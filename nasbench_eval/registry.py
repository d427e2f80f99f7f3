"""Finds proxies and search spaces by name: one module an item, or an entry point of another package.

Nothing registers itself by being imported: the folder is the registry, so a new module is found at once.
"""

from __future__ import annotations

import difflib
import pkgutil
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from nasbench_eval.errors import UsageError


class UnknownName(UsageError):
    """A name that nothing goes by; the message offers the nearest ones."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        known = sorted(known)
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(known)}"
        super().__init__(f"unknown {kind} '{name}'; {hint}")


@cache
def names(kind: str) -> tuple[str, ...]:
    """All names of a kind (`proxies` or `spaces`): this package's modules, then entry points."""
    package = import_module(f"nasbench_eval.{kind}")
    own = [m.name for m in pkgutil.iter_modules(package.__path__) if m.name != "base"]
    plugged = [e.name for e in entry_points(group=f"nasbench_eval.{kind}")]
    return tuple(dict.fromkeys(own + plugged))


def find(kind: str, name: str) -> Any:
    """The class behind a name: `PROXY` or `SPACE` of its module, or what the entry point loads.

    Raises:
        UnknownName: if there is none.
    """
    for entry in entry_points(group=f"nasbench_eval.{kind}"):
        if entry.name == name:
            return entry.load()
    if name not in names(kind):
        raise UnknownName({"proxies": "proxy", "spaces": "search space"}[kind], name, names(kind))
    module = import_module(f"nasbench_eval.{kind}.{name}")
    return getattr(module, {"proxies": "PROXY", "spaces": "SPACE"}[kind])
