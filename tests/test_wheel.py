"""What has to travel with the package is in the wheel."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.skipif(importlib.util.find_spec("hatchling") is None, reason="hatchling is not installed")
def test_the_wheel_holds_code_configurations_and_published_figures(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    [wheel] = tmp_path.glob("*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    configs = {f"nasbench_eval/{f.relative_to(ROOT)}" for f in (ROOT / "configs").rglob("*.yaml")}
    package = {
        str(f.relative_to(ROOT))
        for f in (ROOT / "nasbench_eval").rglob("*")
        if f.is_file() and "__pycache__" not in f.parts
    }
    assert len(configs) > 20
    assert {Path(name).suffix for name in package} >= {".py", ".csv", ".typed", ".npz", ".j2", ".css", ".js"}
    assert configs | package <= inside
    assert not {name for name in inside if name.startswith(("tests/", "results/", "data/"))}


def test_configurations_are_found_beside_the_package_or_inside_it() -> None:
    from nasbench_eval.paths import config_folder

    assert (config_folder() / "config.yaml").is_file()
