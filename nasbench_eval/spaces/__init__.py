"""Search spaces: one module a space, found by its name."""

from typing import TYPE_CHECKING, Any

from nasbench_eval.spaces import base
from nasbench_eval.spaces.base import SearchSpace

if TYPE_CHECKING:
    from nasbench_eval.spaces._network import Network

__all__ = ["Network", "SearchSpace"]


def __getattr__(name: str) -> Any:
    if name == "Network":  # with it comes PyTorch, which names of architectures need not wait for
        return base.Network
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
