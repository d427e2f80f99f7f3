"""The packages of the extra `retrain`, imported when a training needs them."""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import Any

from nasbench_eval.errors import UsageError
from nasbench_eval.spaces._torchvision import import_torchvision
from nasbench_eval.wording import first_line

_EXTRA = "pip install 'nasbench_eval[retrain]'"


def timm_part(name: str) -> Any:
    """A module of timm, such as `optim`.

    Raises:
        UsageError: if timm is not installed, or cannot be imported.
    """
    import_torchvision()  # timm imports it, and it may need help
    return extra(f"timm.{name}")


def extra(name: str, needs: str = _EXTRA) -> Any:
    """A module of a package that is an extra.

    Raises:
        UsageError: saying how it is installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise UsageError(
            f"nasbench-retrain needs the package {package} ({first_line(error)}): {needs}"
        ) from error
