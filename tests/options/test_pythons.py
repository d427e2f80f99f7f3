"""The commands on Python 3.14, whose argparse checks help texts: imitated on an earlier Python."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hydra._internal.utils import get_args_parser

from nasbench_eval import __version__
from nasbench_eval.options import hydra_compat, overrides

# What `add_argument` does in addition since Python 3.14.
IMITATION = """
import argparse

def install():
    if hasattr(argparse.ArgumentParser, "_check_help"):
        return  # this is Python 3.14 or later: there is nothing to imitate
    add = argparse.ArgumentParser.add_argument

    def add_argument(self, *names, **options):
        action = add(self, *names, **options)
        if action.help:
            try:
                "%" in action.help and self._get_formatter()._expand_help(action)
            except (ValueError, TypeError, KeyError) as error:
                raise ValueError("badly formed help string") from error
        return action

    argparse.ArgumentParser.add_argument = add_argument
"""
COMMANDS = {
    "nasbench-score": "nasbench_eval.cli:score",
    "nasbench-train": "nasbench_eval.cli:train",
    "nasbench-report": "nasbench_eval.report.cli:main",
    "nasbench-data": "nasbench_eval.truth.cli:main",
    "nasbench-verify": "nasbench_eval.verify.cli:main",
    "nasbench-merge": "nasbench_eval.merge.cli:main",
}


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process argparse behaves as in Python 3.14."""
    # Takes back a workaround of earlier tests, and after the test whatever it set here.
    original = argparse._ActionsContainer.add_argument
    monkeypatch.setattr(argparse.ArgumentParser, "add_argument", original)
    space: dict[str, object] = {}
    exec(IMITATION, space)
    space["install"]()  # type: ignore[operator]


class Late:
    """Help that is a text only when it is printed."""

    def __repr__(self) -> str:
        return "100 % late"


@pytest.mark.usefixtures("strict")
def test_without_the_workaround_hydra_makes_no_parser() -> None:
    with pytest.raises(ValueError, match="badly formed help string"):
        get_args_parser()


@pytest.mark.usefixtures("strict")
def test_hydra_makes_its_parsers_with_the_workaround() -> None:
    line = overrides.read(["n=3", "-m", "seed=0,1"])
    assert (line.flags, line.overrides, line.multirun) == (("-m",), ("n=3", "seed=0,1"), True)
    get_args_parser()  # as `hydra.main` does afterwards


@pytest.mark.usefixtures("strict")
def test_late_help_is_printed_as_what_it_stands_for() -> None:
    hydra_compat.accept_late_help()
    action = argparse.ArgumentParser().add_argument("--flag", help=Late())  # type: ignore[arg-type]
    assert f"{action.help}" == f"{action.help!s}" == "100 % late"
    plain = argparse.ArgumentParser().add_argument("--flag", help="plain")
    assert type(plain.help) is str
    assert argparse.ArgumentParser().add_argument("--flag").help is None


@pytest.mark.usefixtures("strict")
def test_a_wrong_text_is_still_refused() -> None:
    hydra_compat.accept_late_help()
    with pytest.raises(ValueError, match="badly formed help string"):
        argparse.ArgumentParser().add_argument("--flag", help="100 % wrong")


@pytest.mark.usefixtures("strict")
def test_the_workaround_is_put_in_place_once() -> None:
    hydra_compat.accept_late_help()
    once = argparse.ArgumentParser.add_argument
    hydra_compat.accept_late_help()
    assert argparse.ArgumentParser.add_argument is once


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="it is needed here")
def test_nothing_is_changed_where_argparse_takes_any_help() -> None:
    before = argparse.ArgumentParser.add_argument
    hydra_compat.accept_late_help()
    assert argparse.ArgumentParser.add_argument is before


def call(folder: Path, entry: str, *arguments: str, before: str = "") -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, on the imitated Python; `before` runs in it first."""
    site = folder / "site"
    site.mkdir(exist_ok=True)
    (site / "sitecustomize.py").write_text(f"{IMITATION}\ninstall()\n")
    module, function = entry.split(":")
    code = f"import sys\n{before}\nfrom {module} import {function}\nsys.exit({function}())"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(site), *sys.path])},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_tells_its_help(name: str, tmp_path: Path) -> None:
    done = call(tmp_path, COMMANDS[name], "--help")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: {name}")


def test_hydras_own_help_is_whole(tmp_path: Path) -> None:
    done = call(tmp_path, COMMANDS["nasbench-score"], "--hydra-help")
    assert done.returncode == 0, done.stderr
    assert "--shell-completion,-sc : Install or Uninstall shell completion:" in done.stdout


@pytest.mark.parametrize("name", ["nasbench-score", "nasbench-train"])
def test_without_the_workaround_the_imitation_fails(name: str, tmp_path: Path) -> None:
    without = "import nasbench_eval.options.hydra_compat as c; c.accept_late_help = lambda: None"
    done = call(tmp_path, COMMANDS[name], "--help", before=without)
    assert done.returncode == 1
    assert "ValueError: badly formed help string" in done.stderr


def test_cells_are_scored(tmp_path: Path) -> None:
    run = ["truth=digits", "proxy=params", "n=2", "workers=0", "device=cpu", "run=here"]
    done = call(tmp_path, COMMANDS["nasbench-score"], *run)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "results" / "here" / "run.json").is_file()


def test_a_mistake_is_one_line(tmp_path: Path) -> None:
    done = call(tmp_path, COMMANDS["nasbench-score"], "proxy=intrian")
    assert done.returncode == 2
    assert done.stderr.startswith("error: unknown proxy 'intrian'")
    assert call(tmp_path, COMMANDS["nasbench-train"], "--version").stdout == f"nasbench-train {__version__}\n"
