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
        head = subprocess.run(
            ["git", "-C", str(here), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        )
        status = subprocess.run(
            ["git", "-C", str(here), "status", "--porcelain", "--", str(here), str(here.parent / "configs")],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.stdout.strip() + ("+changes" if status.stdout.strip() else "")


def hardware(device: torch.device) -> dict[str, Any]:
    """The device by kind: its name on a GPU, the instruction set the kernels use on a CPU."""
    if device.type == "cuda":
        return {"device": "cuda", "device_name": torch.cuda.get_device_name(device)}
    return {"device": "cpu", "device_name": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"}
