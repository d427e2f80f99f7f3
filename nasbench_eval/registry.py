"""Finds proxies, spaces, algorithms and tables by name: a module an item, or another package's entry point.

Nothing registers itself by being imported: the folder is the registry, so a new module is found at once.
"""

from __future__ import annotations

import difflib
import pkgutil
from collections.abc import Iterable
from dataclasses import is_dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import Distribution, EntryPoint, entry_points
from types import ModuleType
from typing import Any

from nasbench_eval.errors import UsageError
from nasbench_eval.paths import configured
from nasbench_eval.wording import shown

# The name under which a module of this package offers its class, and the word for such a class in errors.
_ATTRIBUTES = {"proxies": "PROXY", "spaces": "SPACE", "algorithms": "ALGORITHM", "truths": "TRUTH"}
_WORDS = {
    "proxies": "proxy",
    "spaces": "search space",
    "algorithms": "algorithm",
    "truths": "table of ground truth",
}
# Their groups of choices on the command line.
_GROUPS = {"proxies": "proxy", "spaces": "space", "algorithms": "algorithm", "truths": "truth"}
# Modules beside theirs that say what all of them have in common.
_HELPERS = {"base", "open"}
# Where their modules lie below this package, if not in a folder of their name.
_FOLDERS = {"algorithms": "search.algorithms", "truths": "truth.public"}


class UnknownName(UsageError):
    """A name that nothing goes by; the message offers the nearest ones."""

    def __init__(self, kind: str, name: object, known: Iterable[str]) -> None:
        known = sorted(known)
        near = nearest(name, known)
        every = f"there are: {', '.join(known)}" if known else "there are none"
        hint = f"did you mean {' or '.join(near)}?" if near else every
        super().__init__(f"unknown {kind} {shown(str(name))}; {hint}")


def nearest(name: object, known: Iterable[str]) -> list[str]:
    """The few names that look most like this one, whatever their capitals."""
    # A name out of a configuration may be a number; and to compare a long text takes long.
    wanted, folded = str(name)[:100].casefold(), {each.casefold(): each for each in known}
    if wanted in folded:
        return [folded[wanted]]
    return [folded[each] for each in difflib.get_close_matches(wanted, folded, n=3, cutoff=0.5)]


def names(kind: str) -> tuple[str, ...]:
    """All names of a kind, such as `proxies` or `truths`: this package's modules, then entry points."""
    return tuple(dict.fromkeys([*own(kind), *plugins(kind)]))


@cache
def own(kind: str) -> tuple[str, ...]:
    """Names of this package's modules; `base`, `open` and names with a leading underscore are none."""
    package = import_module(f"nasbench_eval.{_FOLDERS.get(kind, kind)}")
    modules = (module.name for module in pkgutil.iter_modules(package.__path__))
    return tuple(name for name in modules if name not in _HELPERS and not name.startswith("_"))


def plugins(kind: str) -> tuple[str, ...]:
    """Names that other packages bring, through the entry-point group `nasbench_eval.<kind>`."""
    return tuple(entry.name for entry in _entries(kind))


def find(kind: str, name: str) -> Any:
    """The class behind a name: `PROXY`, `SPACE`, `ALGORITHM` or `TRUTH` of its module, or of an entry point.

    Raises:
        UnknownName: if there is none.
        UsageError: if the name has two meanings or is none, or an entry point does not lead to a dataclass of
            that name.
    """
    entries = [entry for entry in _entries(kind) if entry.name == name]
    ours = name in own(kind)
    if not entries and not ours:
        raise UnknownName(_WORDS[kind], name, names(kind))
    if len(entries) + ours > 1:
        values = ", ".join(sorted({entry.value for entry in entries}))
        raise UsageError(f"{_WORDS[kind]} '{name}' has two meanings; one comes from the entry point {values}")
    group = _GROUPS[kind]
    if not ours and not name.isidentifier():
        raise UsageError(
            f"the entry point {entries[0].value} names a {_WORDS[kind]} {shown(name)}; letters, digits and _ "
            "make a name"
        )
    if not ours and name in configured(group):
        raise UsageError(
            f"the entry point {entries[0].value} takes the name '{name}', which is a choice of {group}= "
            "already; give it another"
        )
    if ours:
        return getattr(import_module(f"nasbench_eval.{_FOLDERS.get(kind, kind)}.{name}"), _ATTRIBUTES[kind])
    loaded = _load(entries[0], f"{_WORDS[kind]} '{name}' of another package ({entries[0].value})")
    if (own_name := _own_name(loaded, kind)) not in (name, None):
        raise UsageError(
            f"{_WORDS[kind]} '{name}' of another package calls itself {shown(own_name)}; write "
            f'{own_name} = "{entries[0].value}" in the group nasbench_eval.{kind}'
        )
    return loaded


def distributions(package: str) -> list[Distribution]:
    """The installed distributions that offer any of these out of a top-level package."""
    entries = [entry for kind in _ATTRIBUTES for entry in _entries(kind)]
    found = [entry.dist for entry in entries if entry.module.partition(".")[0] == package]
    return list({dist.name: dist for dist in found if dist is not None}.values())


@cache
def _entries(kind: str) -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=f"nasbench_eval.{kind}"))


def _own_name(loaded: Any, kind: str) -> str | None:
    """What a proxy, a search space or an algorithm calls itself; None if it does not say."""
    try:
        return str(loaded().name if kind == "spaces" else loaded.info.name)
    except Exception:  # told by the checks of `testing`, and where it is used
        return None


def _defined_in(module: ModuleType, each: Any) -> bool:
    return isinstance(each, type) and is_dataclass(each) and each.__module__ == module.__name__


def _load(entry: EntryPoint, what: str) -> Any:
    try:
        loaded = entry.load()
    except (Exception, SystemExit) as error:  # whatever the other package's import raises
        raise UsageError(f"{what} cannot be loaded: {type(error).__name__}: {error}") from error
    if isinstance(loaded, ModuleType):
        classes = [name for name, each in vars(loaded).items() if _defined_in(loaded, each)]
        named = classes[0] if len(classes) == 1 else "CLASS"
        raise UsageError(f'{what} is a module; name the class in it: {entry.name} = "{entry.value}:{named}"')
    if not (isinstance(loaded, type) and is_dataclass(loaded)):
        raise UsageError(f"{what} is no dataclass whose fields are its options")
    return loaded
