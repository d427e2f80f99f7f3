"""scripts/bench_search.py runs through every algorithm that searches cells."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from nasbench_eval.paths import configured

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "bench_search.py"


def test_it_times_every_algorithm() -> None:
    command = [sys.executable, str(SCRIPT), "--seeds", "20", "--steps", "40"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    named = {line.split()[0] for line in done.stdout.splitlines()[1:]}
    assert set(configured("algorithm")) - named <= {"prune", "tpe", "nsga2"}
