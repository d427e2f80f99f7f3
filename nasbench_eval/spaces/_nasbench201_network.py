"""NAS-Bench-201's network around a cell (Dong & Yang 2020, section 2.1 and figure 1).

Tensor legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nasbench_eval.spaces._mixed import Mixed
from nasbench_eval.spaces._network import Network

Edge = tuple[int, int]
# An operation on each edge, or several that are averaged.
Operations = Sequence[str] | Sequence[Sequence[str]]


class _Shared(torch.autograd.Function):
    """ReLU whose output is known already: the same memory, a gradient of its own."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor) -> Tensor:
        ctx.save_for_backward(y)
        return y.view_as(y)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (y,) = ctx.saved_tensors
        return torch.ops.aten.threshold_backward(gradient, y, 0), None


class _Relu(nn.ReLU):
    """One of several ReLUs that may meet the same tensor, which is rectified once.

    Args:
        known: the outputs so far by the input's id; whoever fills it empties it, before an input dies.
    """

    def __init__(self, known: dict[int, Tensor]) -> None:
        super().__init__()
        self.known = known

    def forward(self, x: Tensor) -> Tensor:
        if id(x) in self.known:
            y: Tensor = _Shared.apply(x, self.known[id(x)])  # type: ignore[no-untyped-call]
        else:
            y = super().forward(x)
            self.known[id(x)] = y.detach()
        return y


class _ReluConvBn(nn.Sequential):
    def __init__(
        self, channels_in: int, channels_out: int, kernel: int, stride: int = 1, relu: nn.ReLU | None = None
    ) -> None:
        super().__init__(
            relu or nn.ReLU(),
            nn.Conv2d(channels_in, channels_out, kernel, stride, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(channels_out),
        )


def _operation(name: str, channels: int, rectified: dict[int, Tensor]) -> nn.Module:
    if name == "nor_conv_1x1":
        return _ReluConvBn(channels, channels, 1, relu=_Relu(rectified))
    if name == "nor_conv_3x3":
        return _ReluConvBn(channels, channels, 3, relu=_Relu(rectified))
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    return nn.Identity()


def _edge(
    names: Sequence[str], of: int, channels: int, rectified: dict[int, Tensor], by_name: bool
) -> nn.Module:
    """The module of an edge: its one operation, or a mixture of these out of so many."""
    if of == 1 and not by_name:
        return _operation(names[0], channels, rectified)
    return Mixed({name: _operation(name, channels, rectified) for name in names}, 1 / of)


def _computed(operations: Operations, edges: Sequence[Edge]) -> dict[Edge, Sequence[str]]:
    """The operations that are computed: all layers, and what leads from edge to edge to one or to the output.

    `none` adds zero, and what a skip or a pooling brings to a node that nobody reads changes nothing; the
    layers that lead nowhere are there to be observed.
    """
    used: dict[Edge, Sequence[str]] = {}
    read = {3}
    for (source, target), names in reversed(list(zip(edges, map(_names, operations), strict=True))):
        kept = [o for o in names if o.startswith("nor_conv") or (o != "none" and target in read)]
        if kept:
            used[source, target] = kept
            read.add(source)
    return {edge: used[edge] for edge in edges if edge in used}


def _names(operation: str | Sequence[str]) -> Sequence[str]:
    return (operation,) if isinstance(operation, str) else operation


class _CellBlock(nn.Module):
    """One cell.  An edge that is not computed has no module; a node without edges is zero.

    Args:
        operations: one an edge, or several, which are averaged.
        edges: source and target of each.
        channels: C.
        by_name: whether an edge's one operation stands under its name, as it would among several.
    """

    def __init__(
        self, operations: Operations, edges: Sequence[Edge], channels: int, by_name: bool = False
    ) -> None:
        super().__init__()
        self.rectified: dict[int, Tensor] = {}
        many = {edge: len(_names(each)) for edge, each in zip(edges, operations, strict=True)}
        self.edges = nn.ModuleDict(
            {
                f"{source}_{target}": _edge(names, many[source, target], channels, self.rectified, by_name)
                for (source, target), names in _computed(operations, edges).items()
            }
        )

    def forward(self, x_BCHW: Tensor) -> Tensor:
        nodes = [x_BCHW]
        try:
            for target in (1, 2, 3):
                total: Tensor | None = None  # edge by edge, so that no more than two terms are alive
                for source in range(target):
                    if (key := f"{source}_{target}") in self.edges:
                        term = self.edges[key](nodes[source])
                        total = term if total is None else total + term
                        del term
                nodes.append(torch.zeros_like(x_BCHW) if total is None else total)
        finally:
            self.rectified.clear()
        return nodes[-1]


class _Reduction(nn.Module):
    """Residual block that halves the resolution and doubles the width."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv_a = _ReluConvBn(channels_in, channels_out, 3, stride=2)
        self.conv_b = _ReluConvBn(channels_out, channels_out, 3)
        self.downsample = nn.Sequential(
            nn.AvgPool2d(2, stride=2), nn.Conv2d(channels_in, channels_out, 1, bias=False)
        )

    def forward(self, x_BCHW: Tensor) -> Tensor:
        shortcut: Tensor = self.downsample(x_BCHW)
        residual: Tensor = self.conv_b(self.conv_a(x_BCHW))
        return shortcut + residual


class _Headed(Network):
    """A stem, blocks in a row, batch norm and ReLU, and a classifier of the channels' means."""

    def __init__(self, stem: nn.Module, blocks: Sequence[nn.Module], width: int, num_classes: int) -> None:
        super().__init__()
        self.stem = stem
        self.cells = nn.ModuleList(blocks)
        self.last_activation = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU())
        self.classifier = nn.Linear(width, num_classes)

    def features(self, x_BCHW: Tensor) -> Tensor:
        x_BCHW = self.stem(x_BCHW)
        for block in self.cells:
            x_BCHW = block(x_BCHW)
        features: Tensor = self.last_activation(x_BCHW)
        return features

    def head(self, features_BChw: Tensor) -> Tensor:
        logits: Tensor = self.classifier(features_BChw.mean(dim=(2, 3)))
        return logits


class CellNetwork(_Headed):
    """One cell without a stem (see `_CellBlock`)."""

    def __init__(
        self,
        operations: Operations,
        edges: Sequence[Edge],
        channels: int,
        num_classes: int,
        by_name: bool = False,
    ) -> None:
        block = _CellBlock(operations, edges, channels, by_name)
        super().__init__(nn.Identity(), [block], channels, num_classes)


class MacroNetwork(_Headed):
    """Stem, three stages of N cells of C, 2C and 4C channels with reductions between them, classifier."""

    def __init__(
        self,
        operations: Operations,
        edges: Sequence[Edge],
        channels: int,
        cells_per_stage: int,
        num_classes: int,
        by_name: bool = False,
    ) -> None:
        stem = nn.Sequential(nn.Conv2d(3, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))
        blocks: list[nn.Module] = []
        width = channels
        for stage in range(3):
            if stage:
                blocks.append(_Reduction(width, 2 * width))
                width *= 2
            blocks += [_CellBlock(operations, edges, width, by_name) for _ in range(cells_per_stage)]
        super().__init__(stem, blocks, width, num_classes)
