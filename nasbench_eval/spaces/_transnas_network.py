"""TransNAS-Bench-101's micro networks (Duan et al., CVPR 2021): an encoder around a cell.

Tensor legend: B batch, C channels, H height, W width, h and w those of the last maps.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasbench_eval.spaces._network import Network, risky_channels_last, uninitialised
from nasbench_eval.spaces._task_head import TaskHead
from nasbench_eval.spaces._transnas_counts import Shape, shapes, stem_width
from nasbench_eval.spaces._transnas_heads import HEADS, Regression

Edge = tuple[int, int]


class _ReluConvBn(nn.Sequential):
    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int) -> None:
        super().__init__(
            nn.ReLU(),
            nn.Conv2d(channels_in, channels_out, kernel, stride, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(channels_out),
        )


class _FactorizedReduction(nn.Module):
    """A skip where a cell halves its maps: of every two by two positions the first and the last.

    Two 1x1 convolutions of stride 2 make half of the channels each; the second sees the maps moved by one
    position down and right.
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        half = channels_out // 2
        self.first = nn.Conv2d(channels_in, half, 1, stride=2, bias=False)
        self.last = nn.Conv2d(channels_in, channels_out - half, 1, stride=2, bias=False)
        self.norm = nn.BatchNorm2d(channels_out)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        x_BCHW = self.relu(x_BCHW)
        moved = F.pad(x_BCHW[:, :, 1:, 1:], (0, 1, 0, 1))
        y: Tensor = self.norm(torch.cat([self.first(x_BCHW), self.last(moved)], dim=1))
        return y


def _operation(digit: int, channels_in: int, channels_out: int, stride: int) -> nn.Module:
    if digit == 1:
        return nn.Identity() if stride == 1 else _FactorizedReduction(channels_in, channels_out)
    return _ReluConvBn(channels_in, channels_out, 1 if digit == 2 else 3, stride)


class _CellBlock(nn.Module):
    """One cell.  An edge that is not computed has no module; a node without edges is zero.

    Layers that lead nowhere are computed, since they are there to be observed; skips without layers are not.
    """

    def __init__(self, digits: Sequence[int], edges: Sequence[Edge], shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        found: dict[Edge, nn.Module] = {}
        read = {3}
        for (source, target), digit in reversed(list(zip(edges, digits, strict=True))):
            stride = shape.stride if source == 0 else 1
            bare = digit == 1 and stride == 1
            if digit == 0 or (bare and target not in read):
                continue
            channels = shape.inputs if source == 0 else shape.outputs
            found[source, target] = _operation(digit, channels, shape.outputs, stride)
            read.add(source)
        self.edges = nn.ModuleDict({f"{s}_{t}": found[s, t] for s, t in edges if (s, t) in found})

    def forward(self, x_BCHW: Tensor) -> Tensor:
        nodes = [x_BCHW]
        for target in (1, 2, 3):
            total: Tensor | None = None  # edge by edge, so that no more than two terms are alive
            for source in range(target):
                if (key := f"{source}_{target}") in self.edges:
                    term = self.edges[key](nodes[source])
                    total = term if total is None else total + term
                    del term
            nodes.append(self._zeros(x_BCHW) if total is None else total)
        return nodes[-1]

    def _zeros(self, x_BCHW: Tensor) -> Tensor:
        stride = self.shape.stride
        height, width = (-(-side // stride) for side in x_BCHW.shape[2:])
        # Not len(x): exporters take that for a constant.
        return x_BCHW.new_zeros(x_BCHW.shape[0], self.shape.outputs, height, width)


class EncoderNetwork(Network):
    """Stem, five modules of N cells, and a classifier of the channels' means; nothing between these two.

    Args:
        digits: of the cell.
        edges: source and target of each digit.
        channels: width C of the stem.
        cells_per_module: N.
        num_classes: of the classifier.
    """

    def __init__(
        self,
        digits: Sequence[int],
        edges: Sequence[Edge],
        channels: int,
        cells_per_module: int,
        num_classes: int,
    ) -> None:
        super().__init__()
        half = stem_width(channels)
        self.stem = nn.Sequential(
            nn.Conv2d(3, half, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(half),
            _ReluConvBn(half, channels, 3, stride=2),
        )
        places = list(shapes(channels, cells_per_module))
        self.cells = nn.ModuleList(_CellBlock(digits, edges, shape) for shape in places)
        self.classifier = nn.Linear(places[-1].outputs, num_classes)
        if risky_channels_last(self):
            self.tensor_layout = torch.contiguous_format
        # In a list, so that it is no part of the body: its place is the engine's to give.
        self._head: list[TaskHead] = []

    def task_head(self, task: str, outputs: int) -> TaskHead:
        if task not in HEADS:
            return super().task_head(task, outputs)
        width = self.classifier.in_features
        return uninitialised(lambda: HEADS[task](width, outputs))

    def use_head(self, head: nn.Module) -> None:
        self._head = [head] if isinstance(head, TaskHead) else []
        if isinstance(head, nn.Linear):
            self.classifier = head

    def named_head(self, head: nn.Module) -> Mapping[str, nn.Module]:
        if not isinstance(head, TaskHead):
            return super().named_head(head)
        return {f"head.{name}": module for name, module in head.named_modules() if module is not head}

    def head_in_use(self) -> TaskHead | None:
        return self._head[0] if self._head else None

    def seen_modules(self) -> dict[str, nn.Module]:
        seen = super().seen_modules()
        del seen[self.classifier_name]
        return seen

    def seen_classifier(self) -> Mapping[str, nn.Module]:
        return self.named_head(self.head_in_use() or self.classifier)

    def plain_layers(self) -> Collection[str] | None:
        head = self.head_in_use()
        if head is None or isinstance(head, Regression):
            return None
        if head.rows > 1:
            return ()
        every = {**self.seen_modules(), **self.named_head(head)}
        return [name for name, module in every.items() if not isinstance(module, nn.ConvTranspose2d)]

    def features(self, x_BCHW: Tensor) -> Tensor:
        """Last maps (B, 8C, h, w) of images (B, 3, H, W), h = H / 32.

        Pieces of images, (B, 9 · 3, H, W), have maps one after the other: (9 B, 8C, h, w).
        """
        if x_BCHW.shape[1] > 3:
            x_BCHW = x_BCHW.reshape(-1, 3, *x_BCHW.shape[2:]).contiguous(memory_format=self.tensor_layout)
        x_BCHW = self.stem(x_BCHW)
        for block in self.cells:
            x_BCHW = block(x_BCHW)
        return x_BCHW

    def head(self, features_BChw: Tensor) -> Tensor:
        """Logits (B, classes) of the channels' means over the maps, or the outputs of the head in use."""
        if (head := self.head_in_use()) is not None:
            outputs: Tensor = head(features_BChw)
            return outputs
        logits: Tensor = self.classifier(features_BChw.mean(dim=(2, 3)))
        return logits
