"""Where figures come from: versions, commit and device, for the record beside them."""

from __future__ import annotations

import hashlib
import platform
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy
import pandas
import scipy
import torch

import nasbench_eval
from nasbench_eval.paths import config_folder

_PACKAGE = Path(nasbench_eval.__file__).resolve().parent


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
    here = str(_PACKAGE)
    try:
        # An installed copy may lie inside the checkout of another project, whose commit says nothing.
        _git("-C", here, "ls-files", "--error-unmatch", "--", str(_PACKAGE / "__init__.py"))
        head = _git("-C", here, "rev-parse", "HEAD")
        changes = _git("-C", here, "status", "--porcelain", "--", here, str(config_folder()))
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + ("+changes" if changes else "")


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def file_digest(path: Path) -> str:
    """SHA-256 of a file in hexadecimal digits."""
    total = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            total.update(chunk)
    return total.hexdigest()


def hardware(device: torch.device) -> dict[str, Any]:
    """The device by kind: its name on a GPU, the instruction set the kernels use on a CPU; the processor."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    else:
        name = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
    return {"device": device.type, "device_name": name, "processor": _processor()}


def _processor() -> str:
    """The processor's model as far as the system tells it."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:  # not Linux
        found = None
    return found[1] if found else platform.processor() or platform.machine()
