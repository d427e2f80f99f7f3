"""scripts/test_pythons.py: the interpreters it finds and what it says of them; nothing is installed here."""

from __future__ import annotations

import importlib.util
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, as a module."""
    spec = importlib.util.spec_from_file_location("pythons_script", ROOT / "scripts" / "test_pythons.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "pythons_script", module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without any Python: its folders `path` and `pyenv` are empty."""
    (tmp_path / "path").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    return tmp_path


def program(path: Path, body: str) -> str:
    """Write a shell script that stands for a program."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def test_every_place_names_the_same_versions(script: ModuleType) -> None:
    whole = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lowest, *others = script.versions(whole["project"])
    assert [lowest, *others] == ["3.11", "3.12", "3.13", "3.14"]
    assert whole["project"]["requires-python"] == f">={lowest}"
    assert whole["tool"]["ruff"]["target-version"] == f"py{lowest.replace('.', '')}"
    assert f"Python {lowest} or newer is needed" in (ROOT / "Makefile").read_text()


def test_an_interpreter_on_the_path_is_taken(script: ModuleType, machine: Path) -> None:
    found = program(machine / "path" / "python3.12", "echo 3.12.7")
    program(machine / "pyenv" / "versions" / "3.12.9" / "bin" / "python3.12", "echo 3.12.9")
    assert script.interpreter("3.12") == (found, "3.12.7")


def test_a_shim_that_does_not_run_is_passed_over_for_pyenvs(script: ModuleType, machine: Path) -> None:
    program(machine / "path" / "python3.12", "echo no such version >&2; exit 127")
    found = program(machine / "pyenv" / "versions" / "3.12.1" / "bin" / "python3.12", "echo 3.12.1")
    assert script.interpreter("3.12") == (found, "3.12.1")


def test_no_interpreter_is_found(script: ModuleType, machine: Path) -> None:
    assert script.interpreter("3.14") is None
    (machine / "path" / "python3.14").write_text("no program")
    (machine / "path" / "python3.14").chmod(0o755)
    assert script.interpreter("3.14") is None
    assert script.judge("3.14", {}, False) == "Python 3.14: not found"


def test_without_pytorch_nothing_is_scored(script: ModuleType) -> None:
    commands = ["nasbench-score", "nasbench-report"]
    short, whole = ([t.words for t in script.tries(commands, "1", torch)] for torch in (False, True))
    assert whole[: len(short)] == short
    assert ("nasbench-score", "--help") in short
    assert not any("experiment=demo" in words for words in short)
    assert any("experiment=demo" in words for words in whole)


@pytest.mark.parametrize(
    ("body", "code", "says", "wrong"),
    [
        ("echo usage", 0, "usage", None),
        ("echo error >&2; exit 2", 2, "error", None),
        ("echo 'no such module' >&2; exit 1", 0, "", "exit code 1 instead of 0\n  no such module"),
        ("echo other", 0, "usage", "does not begin with 'usage'"),
        ("echo Traceback >&2", 0, "", "a stack trace"),
    ],
)
def test_a_command_has_to_do_what_it_should(
    script: ModuleType, tmp_path: Path, body: str, code: int, says: str, wrong: str | None
) -> None:
    program(tmp_path / "command", body)
    given = script.Try(("command", "--flag"), code, says)
    if wrong is None:
        script.attempt(tmp_path, given, tmp_path)
        return
    with pytest.raises(script.Failed) as error:
        script.attempt(tmp_path, given, tmp_path)
    assert str(error.value).startswith(f"command --flag: {wrong}")


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        (["Python 3.11.7: ok", "Python 3.12: not found"], 0),
        (["Python 3.11.7: ok", "Python 3.12.1: help only: PyTorch cannot be installed here"], 0),
        (["Python 3.11.7: ok", "Python 3.12.1: FAIL\nnasbench-score: exit code 1"], 1),
        (["Python 3.11: not found", "Python 3.12: not found"], 1),
    ],
)
def test_the_exit_code(
    script: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    lines: list[str],
    code: int,
) -> None:
    said = iter(lines)
    monkeypatch.setattr(script, "judge", lambda *_: next(said))
    monkeypatch.setattr(sys, "argv", ["test_pythons.py", "3.11", "3.12"])
    assert script.main() == code
    assert capsys.readouterr().out.splitlines() == "\n".join(lines).splitlines()


def test_what_cannot_be_installed_is_told(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def install(*_: object) -> None:
        raise script.Failed("pip install: exit code 1")

    monkeypatch.setattr(script, "interpreter", lambda _: ("python", "3.12.1"))
    monkeypatch.setattr(script, "install", install)
    assert script.judge("3.12", {}, False) == "Python 3.12.1: FAIL\npip install: exit code 1"
