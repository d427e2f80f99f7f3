"""Operators that a torchvision misses are declared; what does not fit is told in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nasbench_eval.spaces._torchvision import fitting

# Imports a made-up torchvision in a process of its own: declarations last as long as a process.
CODE = """
from nasbench_eval.errors import UsageError
from nasbench_eval.spaces._torchvision import import_torchvision
try:
    import_torchvision()
    import_torchvision()
    import torchvision
    print("imported", torchvision.DONE)
except UsageError as error:
    print(error)
"""
# As torchvision does when its compiled operators are not there.
WANTS = """
import torch
from torchvision import part
for name in {names}:
    torch.library.register_fake(f"torchvision::{{name}}")(lambda dets, scores, iou_threshold: dets)
DONE = part.COUNT
"""


def imported(folder: Path, content: str | None) -> str:
    """What comes of importing a torchvision with this content; None: without one."""
    if content is not None:
        (folder / "torchvision").mkdir()
        (folder / "torchvision" / "__init__.py").write_text(content)
        (folder / "torchvision" / "part.py").write_text("COUNT = 1\n")
    else:
        (folder / "torchvision.py").write_text("raise ModuleNotFoundError('none', name='torchvision')\n")
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_missing_operators_are_declared(tmp_path: Path) -> None:
    assert imported(tmp_path, WANTS.format(names=["nms", "qnms"])) == "imported 1\n"


@pytest.mark.parametrize(
    "content",
    [
        WANTS.format(names=[f"n{i}" for i in range(9)]),
        "raise RuntimeError('compiled for another PyTorch\\nand more')\n",
        "import a_module_that_is_not_there\n",
        "raise RuntimeError('operator torchvision::nms does not exist')\n",
    ],
)
def test_what_does_not_fit_is_told_in_a_line(tmp_path: Path, content: str) -> None:
    said = imported(tmp_path, content)
    assert said.count("\n") == 1
    assert "does not fit PyTorch" in said
    assert "pip install 'torchvision==0." in said


def test_none_is_told(tmp_path: Path) -> None:
    said = imported(tmp_path, None)
    assert said == "torchvision is not installed, which timm needs; pip install 'nasbench_eval[timm]'\n"


@pytest.mark.parametrize(
    ("torch", "torchvision"), [("2.13.0+cpu", "0.28.*"), ("2.4.1", "0.19.*"), ("3.0", "*")]
)
def test_which_version_fits(torch: str, torchvision: str) -> None:
    assert fitting(torch) == torchvision
