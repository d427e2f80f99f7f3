"""On an operating system that is not supported every command says so in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nasbench_eval import errors
from nasbench_eval.errors import guard

ENTRIES = {
    "nasbench-score": "nasbench_eval.cli:score",
    "nasbench-train": "nasbench_eval.cli:train",
    "nasbench-report": "nasbench_eval.report.cli:main",
    "nasbench-data": "nasbench_eval.truth.cli:main",
    "nasbench-verify": "nasbench_eval.verify.cli:main",
    "nasbench-merge": "nasbench_eval.merge.cli:main",
    "nasbench-show": "nasbench_eval.show.cli:main",
}
WINDOWS = (
    "error: Windows is not supported: use WSL, the Windows Subsystem for Linux "
    "(Linux is supported, macOS is untested)\n"
)
# Takes away what Windows lacks and the package uses, then calls a command.  The name is changed last:
# the import system reads it.
IMITATION = """
import multiprocessing, os, signal, sys
from importlib import import_module

for name in ("fcntl", "grp", "pwd", "resource", "termios"):
    sys.modules[name] = None  # importing it raises ModuleNotFoundError
for place, names in {
    os: ("fork", "getpgid", "killpg", "sched_getaffinity", "setsid"),
    signal: ("SIGKILL", "SIGUSR1", "pthread_sigmask"),
}.items():
    for name in names:
        delattr(place, name)
multiprocessing.get_all_start_methods = lambda: ["spawn"]

module, function = sys.argv.pop(1).split(":")
command = getattr(import_module(module), function)
os.name, sys.platform = "nt", "win32"
sys.exit(command())
"""


@pytest.mark.parametrize("name", ENTRIES)
@pytest.mark.parametrize("arguments", ["", "--help", "--version", "n=3 --unknown"])
def test_windows_is_refused_in_one_line(name: str, arguments: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMITATION, ENTRIES[name], *arguments.split()],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (2, "", WINDOWS)
    assert not any(tmp_path.iterdir())


def test_another_system_is_refused_by_its_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as here:
        here.setattr(errors.os, "name", "other")  # type: ignore[attr-defined]
        here.setattr(errors.sys, "platform", "plan9")  # type: ignore[attr-defined]
        code = guard(lambda: 0)
    assert code == 2
    said = "error: this operating system (plan9) is not supported: use Linux (macOS is untested)\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("system", ["linux", "darwin"])
def test_linux_and_macos_are_let_through(system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as here:
        here.setattr(errors.sys, "platform", system)  # type: ignore[attr-defined]
        code = guard(lambda: 5)
    assert code == 5
