"""Digests of the code that decides scores, by which a run knows whether it still is the same code.

Of Python files comments, docstrings and layout do not count.
"""

from __future__ import annotations

import ast
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nasbench_eval
from nasbench_eval import registry

_PACKAGE = Path(nasbench_eval.__file__).resolve().parent
# The modules that decide scores but for those of single proxies, which are told apart.
_SHARED = (
    "data",
    "passes",
    "spaces",
    "training",
    "proxies/base.py",
    "proxies/_*.py",
    "seeding.py",
    "run/rows.py",
    "scoring/job.py",
    "scoring/process.py",
    "scoring/worker.py",
    "work/compute.py",
)
# Packages that a record knows by their versions.
_BY_VERSION = ("torch", "numpy")
_CACHES = (".pyc", ".pyo")


def foreign(cls: type) -> bool:
    """Whether a class is another package's, whose versions this one does not answer for."""
    return cls.__module__.partition(".")[0] != nasbench_eval.__name__


def sources(space: type, proxies: Mapping[str, type]) -> dict[str, str]:
    """Digests of the code that decides scores: `shared` of what all of them need, and one by proxy name.

    A class of this package counts with its module and those of its base classes.  One of another package
    counts with all that the package brings: each module and each data file of its distribution, and of a
    checkout that is installed as editable all Python files.  A class whose code cannot be found has none.

    Args:
        space: the class of the search space.
        proxies: the classes of the proxies by name.
    """
    found = {"shared": _contents(space), **{name: _contents(proxy) for name, proxy in proxies.items()}}
    found["shared"] = found["shared"] and {**_shared(), **found["shared"]}
    return {name: _digest(contents) for name, contents in sorted(found.items()) if contents}


def _shared() -> dict[str, str]:
    files = {
        file
        for place in (_PACKAGE / part for part in _SHARED)
        for file in (place.rglob("*.py") if place.is_dir() else place.parent.glob(place.name))
    }
    return {file.relative_to(_PACKAGE).as_posix(): _content(file) for file in files}


def _contents(cls: type) -> dict[str, str]:
    """What stands in the files that a class is made of, by name; empty if one of them cannot be found."""
    found: dict[str, str] = {}
    for module in {base.__module__ for base in cls.__mro__}:
        top = module.partition(".")[0]
        if top in sys.stdlib_module_names or top in _BY_VERSION:
            continue
        try:
            if top == nasbench_eval.__name__:
                files = [Path(str(sys.modules[module].__file__))]
            else:
                files = sorted(_files(top))
            found |= {f"{top}/{number}-{file.name}": _content(file) for number, file in enumerate(files)}
        except (KeyError, OSError):
            return {}
        if not files:
            return {}
    return found


def _files(top: str) -> set[Path]:
    """All files of another package: of its folder, of its distribution, and of the checkout it comes from."""
    module = sys.modules[top]
    folders = [Path(folder) for folder in getattr(module, "__path__", ())]
    found = {file for folder in folders for file in folder.rglob("*") if file.is_file()}
    if getattr(module, "__file__", None):
        found.add(Path(str(module.__file__)))
    for distribution in registry.distributions(top):
        found.update(_installed(distribution))
    return {file for file in found if file.suffix not in _CACHES}


def _installed(distribution: Distribution) -> Iterator[Path]:
    for file in distribution.files or ():
        path = Path(str(distribution.locate_file(file)))
        if ".dist-info" not in str(file) and path.is_file():
            yield path
    try:
        origin = json.loads(distribution.read_text("direct_url.json") or "{}")
        editable = origin.get("dir_info", {}).get("editable", False)
        root = Path(unquote(urlsplit(origin["url"]).path)) if editable else None
    except (AttributeError, KeyError, ValueError):
        return
    if root is not None:
        yield from _checkout(root)


def _checkout(root: Path) -> Iterator[Path]:
    """The Python files of a checkout; hidden folders and virtual environments are none of it."""
    for path in sorted(root.iterdir()):
        if path.is_dir():
            if not path.name.startswith(".") and not (path / "pyvenv.cfg").exists():
                yield from _checkout(path)
        elif path.suffix == ".py":
            yield path


def _content(file: Path) -> str:
    """What of a file can decide a score: a digest, or of Python the code."""
    content = file.read_bytes()
    if file.suffix == ".py":
        try:
            return _code(content)
        except (SyntaxError, ValueError):  # nothing that could be imported, yet it may be read as data
            pass
    return hashlib.sha256(content).hexdigest()


def _code(content: bytes) -> str:
    """Python without comments, docstrings and layout."""
    tree = ast.parse(content)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            match node.body:
                case [ast.Expr(ast.Constant(str())), *rest]:
                    node.body = rest or [ast.Pass()]
    return ast.unparse(tree)


def _digest(contents: Mapping[str, str]) -> str:
    """SHA-256 of named texts, the first 16 of its hexadecimal digits."""
    return hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()[:16]
