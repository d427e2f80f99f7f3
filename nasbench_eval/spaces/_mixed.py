"""An edge of a supernet: several operations, averaged."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn


class Mixed(nn.Module):
    """Several operations on one edge, averaged.

    Args:
        operations: those that are computed, by name.
        share: weight of each, one part in so many as the edge has operations, computed or not.
    """

    def __init__(self, operations: Mapping[str, nn.Module], share: float) -> None:
        super().__init__()
        self.operations = nn.ModuleDict(operations)
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor | None = None  # one by one, so that no more than two terms are alive
        for operation in self.operations.values():
            term = operation(x)
            total = term if total is None else total + term
        assert total is not None, "an edge that has no module otherwise"
        return total if self.share == 1 else total * self.share
