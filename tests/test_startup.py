"""What a command is asked decides what it imports: help and a mistake do not wait for PyTorch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nasbench_eval import __version__

HEAVY = ("torch", "pandas", "pyarrow", "scipy", "matplotlib", "requests")
ENTRIES = {
    "nasbench-score": "nasbench_eval.cli:score",
    "nasbench-retrain": "nasbench_eval.cli:retrain",
    "nasbench-report": "nasbench_eval.report.cli:main",
    "nasbench-data": "nasbench_eval.truth.cli:main",
    "nasbench-verify": "nasbench_eval.verify.cli:main",
    "nasbench-merge": "nasbench_eval.merge.cli:main",
    "nasbench-show": "nasbench_eval.show.cli:main",
}
# Runs a command in a process of its own, which then says what it has imported of the modules in question.
CODE = """
import sys
from importlib import import_module
module, function = sys.argv.pop(1).split(":")
asked = sys.argv.pop(1).split(",")
try:
    code = getattr(import_module(module), function)()
except SystemExit as end:
    code = end.code
print(f"{code or 0} {' '.join(name for name in asked if name in sys.modules)}", file=sys.stderr)
"""


def call(
    name: str, *arguments: str, about: tuple[str, ...] = HEAVY, site: Path | None = None, cwd: Path
) -> tuple[int, list[str], str]:
    """A command's exit code, which of the modules it imported, and all that it said.

    `site` is a folder of other packages, `cwd` the working directory.
    """
    done = subprocess.run(
        [sys.executable, "-c", CODE, ENTRIES[name], ",".join(about), *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([*([str(site)] if site else []), *sys.path])},
        capture_output=True,
        text=True,
        check=True,
    )
    *errors, last = done.stderr.splitlines()
    code, *imported = last.split()
    return int(code), imported, done.stdout + "\n".join(errors)


@pytest.mark.parametrize("name", ENTRIES)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_imports_nothing_that_computes(name: str, flag: str, tmp_path: Path) -> None:
    code, imported, said = call(name, flag, cwd=tmp_path)
    assert (code, imported) == (0, [])
    assert said.startswith(f"usage: {name}")


@pytest.mark.parametrize("name", ENTRIES)
def test_the_version_imports_not_even_hydra(name: str, tmp_path: Path) -> None:
    code, imported, said = call(name, "--version", about=(*HEAVY, "hydra", "omegaconf"), cwd=tmp_path)
    assert (code, imported, said) == (0, [], f"{name} {__version__}\n")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("proxy=intrian", "unknown proxy 'intrian'"),
        ("--help proxy=intrian", "unknown proxy 'intrian'"),
        ("nn=3", "unknown option 'nn'"),
        ("--foo", "unknown flag '--foo'"),
        ("n=abc", "n=abc will not do"),
        ("-m seed=0,x", "seed=x will not do"),
        ("proxy=intrain,snip", "add -m"),
    ],
)
def test_a_mistake_in_the_command_is_told_before_pytorch_is_imported(
    wrong: str, said: str, tmp_path: Path
) -> None:
    code, imported, message = call("nasbench-score", *wrong.split(), cwd=tmp_path)
    assert (code, imported) == (2, [])
    assert said in message


def test_the_configuration_is_shown_without_pytorch(tmp_path: Path) -> None:
    code, imported, shown = call("nasbench-score", "--cfg", "job", cwd=tmp_path)
    assert (code, imported) == (0, [])
    assert "sample_seed: 0" in shown


def test_a_report_of_nothing_is_told_before_pandas_is_imported(tmp_path: Path) -> None:
    code, imported, said = call("nasbench-report", cwd=tmp_path)
    assert (code, imported) == (2, [])
    assert "run" in said


def test_what_other_packages_bring_is_listed_without_importing_it(tmp_path: Path) -> None:
    site = tmp_path / "site"
    information = site / "other_package-1.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: other-package\nVersion: 1\n")
    (information / "entry_points.txt").write_text("[nasbench_eval.proxies]\nmine = other_package:Mine\n")
    (site / "other_package.py").write_text("import torch\n")
    about = (*HEAVY, "other_package")
    code, imported, said = call("nasbench-score", "--help", about=about, site=site, cwd=tmp_path)
    assert (code, imported) == (0, [])
    assert " mine," in said
    code, imported, said = call("nasbench-score", "proxy=mime", about=about, site=site, cwd=tmp_path)
    assert (code, imported) == (2, [])
    assert "did you mean mine" in said


def test_a_report_needs_no_pytorch(tmp_path: Path) -> None:
    run = Path(__file__).parent.parent / "results" / "digits"
    wish = ["--resamples", "5", "--figures", "none", "--out", str(tmp_path / "tables")]
    code, imported, said = call(
        "nasbench-report", str(run), *wish, about=("torch", "matplotlib"), cwd=tmp_path
    )
    assert (code, imported) == (0, []), said
    assert (tmp_path / "tables" / "benchmark.csv").exists()
