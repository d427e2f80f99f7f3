"""The example package is installed into a folder of its own, passes its tests, and is scored by name."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

import nasbench_eval

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "plugin"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the package is installed in."""
    folder = tmp_path_factory.mktemp("installed")
    flags = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", *flags, "--target", str(folder), str(EXAMPLE)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def call(installed: Path, cwd: Path, *command: str) -> str:
    """What a command of this environment says where the package is installed."""
    places = [str(installed), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_its_own_tests_pass(installed: Path, tmp_path: Path) -> None:
    place = ["-c", str(EXAMPLE / "pyproject.toml"), "--rootdir", str(tmp_path), str(EXAMPLE / "tests")]
    said = call(installed, tmp_path, "pytest", "-q", "-p", "no:cacheprovider", *place)
    assert "4 passed" in said


SCORE = """
import sys
from nasbench_eval.cli import score
sys.argv[0] = "nasbench-score"
sys.exit(score())
"""


@pytest.mark.parametrize("space", ["nasbench201", "chains", "free_chains"])
def test_it_is_scored_by_name(installed: Path, tmp_path: Path, space: str) -> None:
    (tmp_path / "nasbench_score.py").write_text(SCORE)
    options = ["proxy=weight_gradient_product", "proxy.input=gaussian", "proxy.batch_size=4"]
    size = ["space.channels=4", "space.cells_per_stage=1", "n=2", "workers=0", "run=example"]
    call(installed, tmp_path, "nasbench_score", f"space={space}", *options, *size)
    scores = nasbench_eval.load_scores(tmp_path / "results" / "example")
    assert scores.shape == (2, 1)
    assert scores["weight_gradient_product"].between(0, math.inf, inclusive="left").all()
