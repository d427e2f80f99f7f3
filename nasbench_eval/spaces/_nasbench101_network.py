"""NAS-Bench-101's network around a cell (Ying et al. 2019, section 2.1 and figure 1).

A vertex sums what its edges bring and applies its operation.  Edges out of the cell's input are projections,
1x1 convolutions to the width of their target; other edges hand on as many channels as their target has.  The
output concatenates its sources and adds the projected input where an edge leads from there.

Tensor legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nasbench_eval.spaces._nasbench101_channels import Edge, vertex_channels
from nasbench_eval.spaces._network import ChainNetwork


class _ConvBnRelu(nn.Sequential):
    def __init__(self, channels_in: int, channels_out: int, kernel: int) -> None:
        super().__init__(
            nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(),
        )


def _operation(name: str, channels: int) -> nn.Module:
    if name == "maxpool3x3":
        return nn.MaxPool2d(3, stride=1, padding=1)
    return _ConvBnRelu(channels, channels, 3 if name == "conv3x3" else 1)


class CellBlock(nn.Module):
    """One cell; the first of a later stack halves the resolution before it."""

    def __init__(
        self,
        operations: Sequence[str],
        edges: Sequence[Edge],
        channels_in: int,
        channels_out: int,
        *,
        halve: bool,
    ) -> None:
        super().__init__()
        last = len(operations) + 1
        self.channels = vertex_channels(channels_in, channels_out, last + 1, edges)
        self.sources = [[s for s in range(1, t) if (s, t) in edges] for t in range(last + 1)]
        self.downsample = nn.MaxPool2d(2) if halve else None
        self.projections = nn.ModuleDict(
            {str(t): _ConvBnRelu(channels_in, self.channels[t], 1) for s, t in edges if s == 0}
        )
        self.vertices = nn.ModuleList(
            [_operation(name, self.channels[v]) for v, name in enumerate(operations, start=1)]
        )

    def forward(self, x_BCHW: Tensor) -> Tensor:
        if self.downsample is not None:
            x_BCHW = self.downsample(x_BCHW)
        outputs = [x_BCHW]
        for vertex, operation in enumerate(self.vertices, start=1):
            brought = [outputs[s][:, : self.channels[vertex]] for s in self.sources[vertex]]
            outputs.append(operation(_total([*brought, *self._projected(x_BCHW, vertex)])))
        last = len(outputs)
        concatenated = [outputs[s] for s in self.sources[last]]
        joined = [torch.cat(concatenated, dim=1)] if len(concatenated) > 1 else concatenated
        return _total([*joined, *self._projected(x_BCHW, last)])

    def _projected(self, x_BCHW: Tensor, target: int) -> list[Tensor]:
        return [self.projections[str(target)](x_BCHW)] if str(target) in self.projections else []


def _total(terms: Sequence[Tensor]) -> Tensor:
    return sum(terms[1:], start=terms[0])


def _least_width(vertices: int, edges: Sequence[Edge]) -> int:
    """How many vertices are concatenated: below that a cell has too few channels for them."""
    return sum(s > 0 and t == vertices - 1 for s, t in edges)


class CellNetwork(ChainNetwork):
    """One cell without a stem, of C channels and as many to each concatenated vertex as in `MacroNetwork`."""

    def __init__(
        self, operations: Sequence[str], edges: Sequence[Edge], channels: int, num_classes: int
    ) -> None:
        width = max(channels, _least_width(len(operations) + 2, edges))
        block = CellBlock(operations, edges, channels, width, halve=False)
        super().__init__(nn.Identity(), [block], width, num_classes)


class MacroNetwork(ChainNetwork):
    """Stem, three stacks of N cells of C, 2C and 4C channels, classifier.

    Below C = 5 a cell may have more concatenated vertices than channels; it then gets one for each of them.
    """

    def __init__(
        self,
        operations: Sequence[str],
        edges: Sequence[Edge],
        channels: int,
        cells_per_stack: int,
        num_classes: int,
    ) -> None:
        width = max(channels, _least_width(len(operations) + 2, edges))
        blocks: list[nn.Module] = []
        channels_in = width
        for stack in range(3):
            for position in range(cells_per_stack):
                halve = stack > 0 and position == 0
                blocks.append(CellBlock(operations, edges, channels_in, width << stack, halve=halve))
                channels_in = width << stack
        super().__init__(_ConvBnRelu(3, width, 3), blocks, channels_in, num_classes)
