"""Runs commands' entry points in the test's own process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from nasbench_eval.cli import score


class Answer(NamedTuple):
    """What a command says: its exit code, standard output and standard error."""

    code: int
    out: str
    err: str


Ask = Callable[..., Answer]

_SMALL = ["space.channels=4", "space.cells_per_stage=1", "proxy.batch_size=4", "proxy.resolution=8"]
_SMALL += ["workers=0", "device=cpu", "reuse=none"]


def scored(folder: Path, *arguments: str) -> None:
    """Score small networks into this folder, by the command."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder.parent)
        words = [*_SMALL, f"results={folder.parent}", f"run={folder.name}", *arguments]
        patch.setattr(sys, "argv", ["nasbench-score", *words])
        assert score() == 0


class Asked:
    """Calls an entry point as its command, with no data folder but one that is named; hears its answer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        monkeypatch.delenv("NASBENCH_EVAL_DATA", raising=False)
        self.monkeypatch, self.capsys = monkeypatch, capsys

    def __call__(self, main: Callable[[], Any], command: str, *arguments: object) -> Answer:
        self.capsys.readouterr()
        self.monkeypatch.setattr(sys, "argv", [command, *map(str, arguments)])
        try:
            code = main()
        except SystemExit as end:
            code = end.code
        return Answer(int(code or 0), *self.capsys.readouterr())
