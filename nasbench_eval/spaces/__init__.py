"""Search spaces: one module a space, found by its name."""

from nasbench_eval.spaces.base import Network, SearchSpace

__all__ = ["Network", "SearchSpace"]
