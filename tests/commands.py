"""Runs commands' entry points in the test's own process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest


class Answer(NamedTuple):
    """What a command says: its exit code, standard output and standard error."""

    code: int
    out: str
    err: str


Ask = Callable[..., Answer]


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
