"""Install the package under each Python version it supports, and try its commands there (make test-pythons).

A version's environment is kept in .venvs/ for the next time.  PyTorch is taken from the local disk where pip
finds it there (`find-links`); otherwise pip downloads it, which may be several gigabytes a version.
--local-torch prevents that.  A version without PyTorch gets a shorter test: help, versions and mistakes.

Prints a line for each version: ok, FAIL, help only, or not found.
Exit code: 0; 1 if a version fails or none is found.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CONSTRAINTS = ROOT / "constraints.txt"
ENVIRONMENTS = ROOT / ".venvs"
CLASSIFIER = re.compile(r"Programming Language :: Python :: (3\.\d+)")
# The commands are tried as installed: with nothing of this checkout, and no data folder.
UNSET = ("PYTHONPATH", "PYTHONHOME", "NASBENCH_EVAL_DATA")
# Lines of a failed command's output that are shown.
SHOWN = 15


class Failed(Exception):
    """A command did not do what it should; the message holds the command and what it printed."""


@dataclass(frozen=True)
class Try:
    """A command to try, and what it should do.

    Attributes:
        words: the command and its arguments.
        code: its exit code.
        says: the beginning of its output, or of its errors if the exit code is not 0.
    """

    words: tuple[str, ...]
    code: int = 0
    says: str = ""


def project() -> dict[str, Any]:
    """The table `project` of pyproject.toml."""
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return table


def versions(table: Mapping[str, Any]) -> list[str]:
    """The versions that the classifiers name, such as 3.11."""
    return [found[1] for c in table["classifiers"] if (found := CLASSIFIER.fullmatch(c))]


def interpreter(version: str) -> tuple[str, str] | None:
    """The program of a version, from PATH or pyenv, and its full version; None if there is none."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    installed = pyenv.glob(f"versions/{version}.*/bin/python{version}")
    for program in (shutil.which(f"python{version}"), *map(str, sorted(installed, reverse=True))):
        full = program and full_version(program)
        if program and full and full.startswith(f"{version}."):
            return program, full
    return None


def full_version(program: str) -> str | None:
    """The version that an interpreter says it has; None if it does not run, as pyenv's shims may not."""
    try:
        done = run([program, "-c", "import platform; print(platform.python_version())"])
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def run(words: Sequence[str], folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command and keep what it prints."""
    environment = {name: value for name, value in os.environ.items() if name not in UNSET}
    return subprocess.run(
        words, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )


def must(words: Sequence[str]) -> None:
    """Run a command.

    Raises:
        Failed: if it fails.
    """
    done = run(words)
    if done.returncode:
        raise failure(words, f"exit code {done.returncode}", done)


def failure(words: Sequence[str], what: str, done: subprocess.CompletedProcess[str]) -> Failed:
    """The error for a command, with the end of its output."""
    lines = (done.stdout + done.stderr).splitlines()[-SHOWN:]
    return Failed("\n".join([f"{' '.join(words)}: {what}", *(f"  {line}" for line in lines)]))


def install(program: str, version: str, table: Mapping[str, Any], local_torch: bool) -> tuple[Path, bool]:
    """Make a version's environment, or bring it up to date.

    Args:
        program: the interpreter.
        version: its full version.
        table: of pyproject.toml.
        local_torch: not to download PyTorch.

    Returns:
        The folder of its programs, and whether PyTorch can be used.

    Raises:
        Failed: if something other than PyTorch cannot be installed.
    """
    folder = ENVIRONMENTS / version
    programs, stamp = folder / "bin", folder / ".dependencies"
    python = str(programs / "python")
    pip = [python, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    wanted = hashlib.sha256((ROOT / "pyproject.toml").read_bytes() + CONSTRAINTS.read_bytes()).hexdigest()
    if not (folder.is_dir() and full_version(python) == version):
        must([program, "-m", "venv", "--clear", str(folder)])
    if not stamp.is_file() or stamp.read_text() != wanted:
        stamp.unlink(missing_ok=True)
        install_torch(pip, table, local_torch)
        rest = [r for r in table["dependencies"] if not is_torch(r)]
        must([*pip, "install", "-c", str(CONSTRAINTS), *rest])
        stamp.write_text(wanted)
    elif not imports_torch(python):
        install_torch(pip, table, local_torch)
    must([*pip, "install", "--no-deps", "--force-reinstall", str(ROOT)])
    return programs, imports_torch(python)


def is_torch(requirement: str) -> bool:
    """Whether a requirement is PyTorch's."""
    return re.split(r"[^\w.-]", requirement)[0] == "torch"


def imports_torch(python: str) -> bool:
    """Whether PyTorch works in an environment."""
    return run([python, "-c", "import torch"]).returncode == 0


def install_torch(pip: Sequence[str], table: Mapping[str, Any], local: bool) -> None:
    """Install PyTorch if that is possible: from the local disk, else by a download."""
    [requirement] = [r for r in table["dependencies"] if is_torch(r)]
    constrained = ["install", "-c", str(CONSTRAINTS), requirement]
    if run([*pip, *constrained, "--no-index", "--no-deps"]).returncode == 0 or not local:
        run([*pip, *constrained])  # what it needs, or all of it


def tries(commands: Sequence[str], release: str, torch: bool) -> Iterator[Try]:
    """What is tried under each Python version.

    Args:
        commands: all that the package installs.
        release: the package's version.
        torch: whether PyTorch can be used.
    """
    for command in commands:
        yield Try((command, "--help"), says=f"usage: {command}")
        yield Try((command, "--version"), says=f"{command} {release}")
    yield Try(("nasbench-score", "--hydra-help"), says="Hydra")
    yield Try(("nasbench-score", "proxy=intrian"), 2, "error: unknown proxy 'intrian'")
    yield Try(("nasbench-score", "n=few"), 2, "error: the run: n=few")
    yield Try(("nasbench-train", "--cfg", "job"))
    yield Try(("nasbench-report",), 2, "error: ")
    if torch:
        small = ("n=3", "workers=1", "device=cpu", "results=.", "run=demo")
        yield Try(("nasbench-score", "experiment=demo", *small))
        yield Try(("nasbench-report", "demo"))
        yield Try(("nasbench-verify", "demo", "--cells", "1"))


def attempt(programs: Path, given: Try, folder: Path) -> None:
    """Run a command in a folder.

    Raises:
        Failed: if it does not do what it should.
    """
    done = run([str(programs / given.words[0]), *given.words[1:]], folder)
    if done.returncode != given.code:
        raise failure(given.words, f"exit code {done.returncode} instead of {given.code}", done)
    if not (done.stderr if given.code else done.stdout).startswith(given.says):
        raise failure(given.words, f"does not begin with {given.says!r}", done)
    if "Traceback" in done.stderr:
        raise failure(given.words, "a stack trace", done)


def judge(version: str, table: Mapping[str, Any], local_torch: bool) -> str:
    """Try everything under one Python version; returns its line."""
    found = interpreter(version)
    if found is None:
        return f"Python {version}: not found"
    program, full = found
    try:
        programs, torch = install(program, full, table, local_torch)
        release = run([str(programs / "python"), "-c", "import nasbench_eval as n; print(n.__version__)"])
        with tempfile.TemporaryDirectory() as folder:
            for given in tries(sorted(table["scripts"]), release.stdout.strip(), torch):
                attempt(programs, given, Path(folder))
    except Failed as error:
        return f"Python {full}: FAIL\n{error}"
    if torch:
        return f"Python {full}: ok"
    reason = "is not on this disk (--local-torch)" if local_torch else "cannot be installed here"
    return f"Python {full}: help only: PyTorch {reason}"


def main() -> int:
    """Try the versions that are asked for; returns the exit code."""
    table = project()
    known = versions(table)
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("version", nargs="*", help=f"which ones ({' '.join(known)})")
    parser.add_argument("--local-torch", action="store_true", help="do not download PyTorch")
    arguments = parser.parse_args()
    lines = []
    for version in arguments.version or known:
        lines.append(judge(version, table, arguments.local_torch))
        print(lines[-1], flush=True)
    failed = any(": FAIL" in line.partition("\n")[0] for line in lines)
    return int(failed or all(line.endswith(": not found") for line in lines))


if __name__ == "__main__":
    sys.exit(main())
