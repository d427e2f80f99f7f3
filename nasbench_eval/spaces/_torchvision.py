"""Makes torchvision importable beside a PyTorch that its compiled operators were not built for.

timm imports torchvision.  A torchvision built for CUDA beside a PyTorch for the CPU, or the other way
round, cannot load its compiled operators, and its import ends with "operator torchvision::nms does not
exist".  These operators serve object detection; a classifier never calls them.  So they are declared, without
code, and the import is tried again.
"""

from __future__ import annotations

import re
import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError, requires, version

from torch import __version__ as torch_version
from torch.library import Library

from nasbench_eval.errors import UsageError
from nasbench_eval.wording import first_line, shortened

_MISSING = re.compile(r"operator torchvision::(\w+) does not exist")
_ASKS = re.compile(r"torch\b(?!-)")
_SCHEMA = "{}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_ROUNDS = 5
# At most one.  Its declarations hold as long as it lives.
_libraries: list[Library] = []
# Versions of PyTorch, and of torchvision that were released for them: torchvision's minor version is 15 more.
_OFFSET = 15


def import_torchvision() -> None:
    """Import torchvision, declaring the operators that it misses.

    Raises:
        UsageError: if it is not installed, or does not fit the PyTorch that is.
    """
    for _ in range(_ROUNDS):
        try:
            import_module("torchvision")
            return
        except ModuleNotFoundError as error:
            if error.name != "torchvision":
                raise _unfit(error) from error
            raise UsageError(
                "torchvision is not installed, which timm needs; pip install 'nasbench_eval[timm]'"
            ) from error
        except Exception as error:  # whatever a half-fitting build raises
            missing = _MISSING.search(str(error))
            _forget()
            if missing is None:
                raise _unfit(error) from error
            _declare(missing[1], error)
    raise _unfit(RuntimeError("one operator after another is missing"))


def fitting(torch: str) -> str:
    """The versions of torchvision that were released for a version of PyTorch: `0.28.*` for 2.13."""
    found = re.match(r"2\.(\d+)", torch)
    return f"0.{int(found[1]) + _OFFSET}.*" if found else "*"


def _declare(name: str, error: Exception) -> None:
    try:
        if not _libraries:
            _libraries.append(Library("torchvision", "DEF"))  # type: ignore[no-untyped-call]
        _libraries[0].define(_SCHEMA.format(name))  # type: ignore[no-untyped-call]
    except RuntimeError as again:  # it is there already, so that it is not this that is missing
        raise _unfit(error) from again


def _forget() -> None:
    """Remove what of torchvision was imported before the import failed."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]


def _unfit(error: BaseException) -> UsageError:
    try:
        own = version("torchvision")
        wants = [need for need in requires("torchvision") or [] if _ASKS.match(need)]
    except PackageNotFoundError:
        own, wants = "without a version", []
    needs = f" (it asks for {wants[0]})" if wants else ""
    reason = shortened(first_line(error), 120)
    return UsageError(
        f"torchvision {own} does not fit PyTorch {torch_version}{needs}: {reason}; "
        f"pip install 'torchvision=={fitting(torch_version)}'"
    )
