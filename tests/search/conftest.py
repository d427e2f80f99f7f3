"""Commands of searches, run in an empty folder."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from commands import Ask, Asked

from nasbench_eval.cli import search
from nasbench_eval.report.cli import main as report


@pytest.fixture
def ask(asked: Asked, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ask:
    """Runs nasbench-search in an empty folder, its working directory."""
    monkeypatch.chdir(tmp_path)
    return partial(asked, search, "nasbench-search")


@pytest.fixture
def tell(asked: Asked) -> Ask:
    """Runs nasbench-report."""
    return partial(asked, report, "nasbench-report")
