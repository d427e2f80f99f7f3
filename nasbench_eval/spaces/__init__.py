"""Search spaces: one module a space, found by its name.

from nasbench_eval import spaces

spaces.names()
space = spaces.get("nasbench201", channels=8)
"""

from typing import TYPE_CHECKING, Any

from nasbench_eval.spaces import base
from nasbench_eval.spaces.base import SearchSpace

if TYPE_CHECKING:
    from nasbench_eval.spaces._network import Network

__all__ = ["Network", "SearchSpace", "get", "names"]


def names() -> tuple[str, ...]:
    """The names of all search spaces: those of this package, then those of plug-ins."""
    from nasbench_eval import registry

    return registry.names("spaces")


def get(name: str, /, **options: Any) -> Any:
    """A search space by its name.

    Args:
        name: one of `names()`.
        options: fields of the space, such as `channels`; each that is left out has its default.

    Returns:
        A `SearchSpace`.

    Raises:
        UnknownName: if there is no such space, or it has no such option; the message names the nearest.
        UsageError: if an option has a value that it cannot have.
    """
    from nasbench_eval import registry
    from nasbench_eval.options.typed import typed

    return typed(registry.find("spaces", name), options, name)


def __getattr__(name: str) -> Any:
    if name == "Network":  # with it comes PyTorch, which names of architectures need not wait for
        return base.Network
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
