"""What the tests of launchers share: a tiny run, in one piece and in shards, and when long ones are run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

from nasbench_eval.cli import score
from nasbench_eval.runs.parquet import MARKS
from nasbench_eval.runs.store import read_scores

long_only = pytest.mark.skipif(os.environ.get("FUZZING") != "long", reason="a long test: make test-long")

# A cell takes some 50 ms.  Every second what is scored goes to the disk.
TINY = [
    "space.channels=4",
    "space.cells_per_stage=1",
    "proxy=[params,naswot]",
    "proxy.input=gaussian",
    "device=cpu",
    "workers=0",
    "reuse=none",
]
_COMMAND = [sys.executable, "-c", "import sys; from nasbench_eval.cli import score; sys.exit(score())"]


def begin(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """`nasbench-score` with these options in a process of its own, in a folder."""
    environment = {name: value for name, value in os.environ.items() if name != "NASBENCH_EVAL_DATA"}
    return subprocess.Popen(
        [*_COMMAND, *TINY, *arguments],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def searching(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """`nasbench-search` with these options in a process of its own, in a folder."""
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; from nasbench_eval.cli import search; sys.exit(search())",
            *arguments,
        ],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def history(run: Path) -> pd.DataFrame:
    """The history of a search, seed by seed."""
    return pd.concat(map(pd.read_parquet, sorted((run / "history").rglob("*.parquet")))).reset_index(
        drop=True
    )


def complete(folder: Path, *arguments: str) -> tuple[int, str]:
    """Exit code of `nasbench-score` and what it said on standard error."""
    process = begin(folder, *arguments)
    _, said = process.communicate(timeout=300)
    return process.returncode, said


def here(folder: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    """`nasbench-score` with these options in this process, which has PyTorch already."""
    with monkeypatch.context() as patched:
        patched.chdir(folder)
        patched.setattr(sys, "argv", ["nasbench-score", *TINY, *arguments])
        assert score() == 0


def shards_of(run: Path) -> list[Path]:
    """The folders of a run's shards."""
    return sorted(run.glob("shards/*"))


def rows(folders: Sequence[Path]) -> pd.DataFrame:
    """All rows of some runs without what tells of their making, in one order, to be compared to the bit."""
    scores = pd.concat([read_scores(folder) for folder in folders])
    kept = scores.drop(columns=["seconds", *MARKS], errors="ignore")
    return kept.sort_values(["dataset", "proxy", "index"]).reset_index(drop=True)
