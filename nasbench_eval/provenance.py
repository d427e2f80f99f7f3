"""Where figures come from: versions, commit and device, for the record beside them."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path
from typing import Any

import numpy
import pandas
import scipy
import torch

import nasbench_eval
from nasbench_eval.paths import config_folder


def versions() -> dict[str, str]:
    """Versions of the package, of Python and of what computes."""
    return {
        "nasbench_eval": nasbench_eval.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "pandas": pandas.__version__,
        "scipy": scipy.__version__,
    }


def commit() -> str | None:
    """The commit of the checkout the package runs from, `+changes` if it differs; None outside one."""
    here = Path(__file__).resolve().parent
    try:
        # An installed copy may lie inside the checkout of another project, whose commit says nothing.
        _git("-C", str(here), "ls-files", "--error-unmatch", "--", __file__)
        head = _git("-C", str(here), "rev-parse", "HEAD")
        changes = _git("-C", str(here), "status", "--porcelain", "--", str(here), str(config_folder()))
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + ("+changes" if changes else "")


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def hardware(device: torch.device) -> dict[str, Any]:
    """The device by kind: its name on a GPU, the instruction set the kernels use on a CPU."""
    if device.type == "cuda":
        return {"device": "cuda", "device_name": torch.cuda.get_device_name(device)}
    return {"device": "cpu", "device_name": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"}
