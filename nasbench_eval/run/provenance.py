"""Where figures come from: versions, commit and device, for the record beside them."""

from __future__ import annotations

import hashlib
import inspect
import json
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy
import pandas
import scipy
import torch

import nasbench_eval
from nasbench_eval.paths import config_folder

_PACKAGE = Path(nasbench_eval.__file__).resolve().parent
# The modules that decide scores but for those of single proxies, which `sources` tells apart.
_SHARED = (
    "data",
    "passes",
    "spaces",
    "training",
    "proxies/base.py",
    "proxies/_*.py",
    "seeding.py",
    "run/rows.py",
    "scoring/job.py",
    "scoring/process.py",
    "scoring/worker.py",
    "work/compute.py",
)


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


def sources(space: type, proxies: Mapping[str, type]) -> dict[str, str]:
    """Digests of the code that decides scores: `shared` of what all of them need, and one by proxy name.

    A class counts with the modules of its base classes; what else another package's class imports is not
    looked at.  One without source code has no digest.

    Args:
        space: the class of the search space.
        proxies: the classes of the proxies by name.
    """
    matches = [_PACKAGE / part for part in _SHARED]
    files = sorted({f for m in matches for f in (m.rglob("*.py") if m.is_dir() else m.parent.glob(m.name))})
    own = {file.relative_to(_PACKAGE).as_posix(): file.read_text(encoding="utf-8") for file in files}
    texts = {"shared": _texts(space), **{name: _texts(proxy) for name, proxy in proxies.items()}}
    texts["shared"] = texts["shared"] and {**own, **texts["shared"]}
    return {name: _digest(found) for name, found in sorted(texts.items()) if found}


def _texts(cls: type) -> dict[str, str]:
    """The modules of a class and of its base classes with their source code; none if it cannot be read."""
    modules = {base.__module__ for base in cls.__mro__} - {"builtins"}
    try:
        return {name: inspect.getsource(sys.modules[name]) for name in modules}
    except (OSError, TypeError):
        return {}


def _digest(texts: Mapping[str, str]) -> str:
    """SHA-256 of named texts, the first 16 of its hexadecimal digits."""
    return hashlib.sha256(json.dumps(texts, sort_keys=True).encode()).hexdigest()[:16]


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
