"""The contracts about imports hold, and a violation of each is refused."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of the package's code and of its contracts."""
    folder = tmp_path_factory.mktemp("imports")
    code = shutil.ignore_patterns("__pycache__", "*.npz", "*.parquet", "*.js", "*.css")
    shutil.copytree(ROOT / "nasbench_eval", folder / "nasbench_eval", ignore=code)
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def contracts(folder: Path) -> str:
    """What is said of the contracts, and of those that are broken."""
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "200"},
        capture_output=True,
        text=True,
    )
    assert done.returncode in (0, 1), done.stderr
    assert (done.returncode == 0) == (" 0 broken" in done.stdout)
    return done.stdout


def test_the_contracts_are_kept(package: Path) -> None:
    assert " 0 broken" in contracts(package)


@pytest.mark.parametrize(
    ("file", "imported", "contract"),
    [
        ("report/tables.py", "nasbench_eval.scoring.worker", "Reports read what runs left"),
        ("scoring/worker.py", "nasbench_eval.truth.tables", "Scoring imports no ground truth"),
        ("proxies/snip.py", "nasbench_eval.data.batches", "Proxies know no data"),
        ("data/images.py", "nasbench_eval.spaces.nasbench201", "Data know no proxy"),
        ("spaces/base.py", "nasbench_eval.proxies.base", "Search spaces know no proxy"),
        ("runs/store.py", "nasbench_eval.scoring.job", "What a run leaves knows no proxy"),
        ("runs/rows.py", "nasbench_eval.truth.ceiling", "What scores sees no accuracies"),
        ("report/spec.py", "nasbench_eval.report.command", "No circles"),
        ("search/guides.py", "nasbench_eval.truth.tables", "Searches ask a guide"),
        ("search/algorithms/random.py", "nasbench_eval.work.pool", "Search algorithms read histories"),
        ("wording.py", "nasbench_eval.errors", "The house"),
    ],
)
def test_a_violation_is_refused(package: Path, file: str, imported: str, contract: str) -> None:
    place = package / "nasbench_eval" / file
    before = place.read_text()
    place.write_text(f"{before}\nimport {imported}\n")
    try:
        said = contracts(package)
    finally:
        place.write_text(before)
    [line] = [line for line in said.splitlines() if line.startswith(contract) and "BROKEN" in line]
    assert line
