"""Every command: its help, as it prints it, and its exit codes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import EntryPoint, entry_points

from nasbench_eval import errors
from reference_pages.text import code, docstring, table

# Runs a command as its script would.
_RUN = """
import sys
from importlib.metadata import entry_points
name = sys.argv[1]
sys.argv = [name, *sys.argv[2:]]
[entry] = entry_points(group="console_scripts", name=name)
sys.exit(entry.load()())
"""
_CODE = re.compile(r"\b(\d{1,3}) (?:for )?((?:if|after|a) [^,;]+?)(?=, |; |\.|$)")


def scripts() -> list[EntryPoint]:
    """The commands of the package, in the order in which a user meets them."""
    order = ["nasbench-score", "nasbench-report", "nasbench-search", "nasbench-train", "nasbench-retrain"]
    order += ["nasbench-show", "nasbench-verify", "nasbench-merge"]
    found = {e.name: e for e in entry_points(group="console_scripts") if e.name.startswith("nasbench-")}
    return [found[name] for name in sorted(found, key=lambda n: (order.index(n) if n in order else 9, n))]


def help_of(name: str) -> str:
    """What `NAME --help` prints at a width of 100 columns."""
    command = [sys.executable, "-c", _RUN, name, "--help"]
    done = subprocess.run(
        command, env={**os.environ, "COLUMNS": "100"}, capture_output=True, text=True, check=True
    )
    return done.stdout.rstrip()


def codes(entry: EntryPoint) -> dict[int, str]:
    """The exit codes that the docstrings of a command's entry point and of `errors.guard` name."""
    found: dict[int, str] = {0: "done"}
    for text in (docstring(errors.guard), docstring(entry.load())):
        found |= {int(number): meaning for number, meaning in _CODE.findall(" ".join(text.split()))}
    return dict(sorted(found.items()))


def page() -> str:
    """A section a command."""
    parts = []
    for entry in scripts():
        rows = [[code(number), meaning] for number, meaning in codes(entry).items()]
        parts.append(
            f"## {entry.name}\n\n```text\n{help_of(entry.name)}\n```\n\n"
            f"Exit codes of `{entry.name}`:\n\n{table(['code', 'meaning'], rows)}"
        )
    return "\n".join(parts)
