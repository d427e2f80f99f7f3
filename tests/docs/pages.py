"""Runs the code on a page of the documentation, as its reader would: one block after the other.

Blocks of `python` run in this process and share a namespace; those of `sh` and `console` run in bash. All
blocks of a page share a folder, which is empty but for copies of the committed runs that the page names.
In a `console` block, lines after `$ ` are commands and the others are what they print, with `...` for
whatever differs each time.

A block is left out with Sybil's comment before it, and a reason:

    <!--- skip: next "downloads 523 MB" -->
    <!--- skip: next if(no_data, reason="needs the accuracies") -->
"""

from __future__ import annotations

import doctest
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from unittest import SkipTest

from sybil import Document, Example
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser, SkipParser

from nasbench_eval.data.folder import VARIABLE, data_folder
from nasbench_eval.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]
# A block takes a few seconds; more on a machine that is busy with other tests.
SECONDS = 300
_BLOCK = re.compile(r"^ *```(python|sh|console)$", re.M)
_LOOSE = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def pages() -> list[Path]:
    """The Markdown files of the documentation that have code to run."""
    docs = ROOT / "docs"
    built = (docs / "_build", docs / "reference" / "generated")
    files = [file for file in docs.rglob("*.md") if not any(file.is_relative_to(b) for b in built)]
    files += [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    return sorted(f for f in files if f.is_file() and _BLOCK.search(f.read_text(encoding="utf-8")))


def no_data() -> bool:
    """Whether there are no accuracies on this machine."""
    try:
        return not any(data_folder().glob("*.parquet"))
    except UsageError:
        return True


@dataclass
class Ran:
    """How many blocks of a page ran, and why the others did not."""

    blocks: int = 0
    skipped: list[str] = field(default_factory=list)


def run(page: Path, folder: Path) -> Ran:
    """Run the blocks of a page in a folder, which is the working directory.

    Raises:
        Exception: whatever the first wrong block raises; AssertionError if it is one of a shell.
    """
    text = page.read_text(encoding="utf-8")
    for name in set(re.findall(r"\bresults/(\w+)", text)):
        if any((ROOT / "results" / name).glob("**/run.json")):
            shutil.copytree(ROOT / "results" / name, folder / "results" / name)
    document = Document.parse(
        str(page),
        PythonCodeBlockParser(),
        CodeBlockParser("sh", _in(folder, _sh)),
        CodeBlockParser("console", _in(folder, _console)),
        SkipParser(),
    )
    without = no_data()
    lacks = {f"no_{package}": find_spec(package) is None for package in ("polars", "timm")}
    document.namespace |= {"__name__": "__main__", "no_data": without, **lacks}
    ran = Ran()
    for example in document.examples():
        shell_or_python = isinstance(example.parsed, str)
        try:
            example.evaluate()
            ran.blocks += shell_or_python
        except SkipTest as reason:
            ran.skipped.append(f"line {example.line}: {reason}")
        except (UsageError, AssertionError) as error:
            if not (without and VARIABLE in str(error)):
                raise
            ran.skipped.append(f"line {example.line}: there are no accuracies on this machine")
    return ran


def _in(folder: Path, evaluate: Callable[[str, Path], None]) -> Callable[[Example], None]:
    def evaluator(example: Example) -> None:
        try:
            evaluate(str(example.parsed), folder)
        except AssertionError as error:
            raise AssertionError(f"{example.path}, line {example.line}: {error}") from None

    return evaluator


def _sh(script: str, folder: Path) -> None:
    _bash(script, folder)


def _console(block: str, folder: Path) -> None:
    for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
        command, _, expected = part.partition("\n")
        found = _bash(command, folder)
        agree = doctest.OutputChecker().check_output(expected, found, _LOOSE)
        assert agree or not expected.strip(), f"{command} printed\n{found}\nnot\n{expected}"


def _bash(script: str, folder: Path) -> str:
    """What a script prints; the commands of this environment come first on its path."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", script],
        cwd=folder,
        env={**os.environ, "PATH": path, "MPLBACKEND": "Agg"},
        timeout=SECONDS,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, f"exit code {done.returncode} of\n{script}\n{done.stdout}"
    return done.stdout
