"""The check for a GPU: what it compares, what it says without one, and all its steps on the CPU."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

sys.path.append(str(Path(__file__).resolve().parents[2] / "scripts"))

import gpu_check

ROOT = gpu_check.ROOT
long_only = pytest.mark.skipif(os.environ.get("FUZZING") != "long", reason="a long test: make test-long")


def record(*scores: float, rtol: float = 1e-4) -> dict[str, Any]:
    rows = [{"arch": f"a{n}", "dataset": "d", "status": "ok", "score": repr(s)} for n, s in enumerate(scores)]
    return {"proxy": "p", "rtol": rtol, "rows": rows}


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (1.0, 1.0, 0.0),
        (math.nan, math.nan, 0.0),
        (-math.inf, -math.inf, 0.0),
        (math.inf, -math.inf, math.inf),
        (1.0, math.nan, math.inf),
        (0.0, 1e-13, 0.0),
        (-100.0, -101.0, 1 / 101),
    ],
)
def test_a_relative_difference(a: float, b: float, expected: float) -> None:
    assert gpu_check.relative(a, b) == pytest.approx(expected)


def test_two_records_are_compared_where_they_differ_most() -> None:
    found = gpu_check.compare(record(1.0, 2.0, 3.0), record(1.0, 2.001, 3.0))
    assert found["difference"] == pytest.approx(0.0005, rel=0.01)
    assert (found["good"], found["where"]) == (True, "score on d, a1")
    assert not gpu_check.compare(record(1.0), record(1.002))["good"]
    assert gpu_check.compare(record(1.0, rtol=0.03), record(1.002))["good"]
    assert not gpu_check.compare(record(1.0), record(math.nan))["good"]
    failed = gpu_check.compare(record(1.0), {"rows": [], "error": "RuntimeError: CUDA error"})
    assert (failed["good"], failed["where"]) == (False, "RuntimeError: CUDA error")


def test_without_a_gpu_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu_check.main(["--out", str(tmp_path / "out")]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("gpu_check: PyTorch finds no GPU")
    assert not (tmp_path / "out").exists()


def test_what_is_cut_off_is_summed_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part that does not end is stopped, those behind it still have their turn."""
    asleep = "import time; print('begun', flush=True); time.sleep(60)"
    failing = "import sys; sys.exit(3)"
    commands = {"tests": failing, "golden": asleep, "bench": "pass", "score": "pass"}
    monkeypatch.setattr(gpu_check, "_command", lambda _, part: [sys.executable, "-c", commands[part]])
    monkeypatch.setattr(gpu_check, "GRACE", 1)
    monkeypatch.setattr(gpu_check, "SHARES", {"tests": 0.4, "golden": 0.3, "bench": 0.4})
    assert gpu_check.main(["--dry-run", "--out", str(tmp_path), "--minutes", "0.4"]) == 1
    parts = json.loads((tmp_path / "parts.json").read_text())
    assert parts == {"tests": "exit code 3", "golden": "cut off", "bench": "done", "score": "done"}
    said = (tmp_path / "README.md").read_text()
    assert "* golden: cut off" in said
    assert "* tests: exit code 3" in said
    assert (tmp_path / "golden.log").read_text().startswith("begun\n")


@long_only
def test_all_steps_on_the_cpu(tmp_path: Path) -> None:
    """Twice: the second time the scores are there already."""
    command = [ROOT / "scripts" / "gpu_check.sh", "--dry-run", "--out", tmp_path]
    environment = {**os.environ, "PYTHON": sys.executable, "PYTHONPATH": str(ROOT)}
    for arguments in ((), ("--parts", "score")):
        done = subprocess.run([*command, *arguments], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    compared = [json.loads(line) for line in (tmp_path / "golden.jsonl").read_text().splitlines()]
    assert [each["proxy"] for each in compared] == ["params", "naswot", "intrain"]
    assert all(each["good"] for each in compared)
    said = (tmp_path / "README.md").read_text()
    for expected in ("* tests: done", "| params |", "cifar10: 2 cells, cifar100: 2 cells", "0 failed"):
        assert expected in said
