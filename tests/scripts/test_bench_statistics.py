"""The bench of a report's statistics runs, in one process and in several."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_it_runs_on_few_cells() -> None:
    script = ROOT / "scripts" / "bench_statistics.py"
    few = ["--cells", "60", "--proxies", "2", "--datasets", "2", "--resamples", "30", "--pool", "4"]
    said = subprocess.run(
        [sys.executable, script, *few], cwd=ROOT, check=True, capture_output=True, text=True, timeout=300
    ).stdout
    assert "all statistics:" in said
    assert "processes: " in said
    assert "combinations of up to 3 of 4 proxies, 2 data sets, 60 cells" in said
