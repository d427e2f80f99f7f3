"""Fuzzing: `make test` takes a few hundred cases, always the same ones; `make test-long` many new ones."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pandas as pd
import pytest

# The tables and records that other tests make up are spoiled here.
TRUTH = Path(__file__).resolve().parents[1] / "truth"
sys.path.append(str(TRUTH))

import fuzzing  # noqa: E402
from made_up101 import facts_of, make_table101  # noqa: E402

from nasbench_eval.truth import nasbench101  # noqa: E402


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for name, (accepted, refused) in sorted(fuzzing.COUNTS.items()) if fuzzing.LONG else ():
        terminalreporter.write_line(f"fuzzed {name}: {accepted + refused} cases, {refused} refused")


@pytest.fixture(scope="session")
def lawful201() -> pd.DataFrame:
    spec = importlib.util.spec_from_file_location("conftest_of_truth", TRUTH / "conftest.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    table: pd.DataFrame = module.make_table()
    return table


@pytest.fixture
def lawful101(monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """A small lawful table of NAS-Bench-101's form, whose facts are in place of the real ones."""
    table = make_table101(rows=60)
    monkeypatch.setattr(nasbench101, "FACTS", facts_of(table))
    return table
