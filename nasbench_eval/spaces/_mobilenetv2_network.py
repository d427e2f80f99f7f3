"""The networks of the MobileNetV2-like space.

The published code counts as the features of a network what the ReLUs outside of inverted residuals put out:
the stem's, one for each inverted residual, which has its ReLU after the addition, and the last 1x1
convolution's.  Here these are the outputs of `stem` and of the `cells`, two more than there are units.

Tensor legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from nasbench_eval.spaces._mbconv_network import ConvBn
from nasbench_eval.spaces._mobilenetv2_blocks import Structure, Unit
from nasbench_eval.spaces._mobilenetv2_counts import squeezed
from nasbench_eval.spaces._network import ChainNetwork, risky_channels_last

EPSILON = 1e-3
_ConvBn = partial(ConvBn, epsilon=EPSILON)


class _SqueezeExcitation(nn.Module):
    """Channels scaled by what their means say.  Its batch norms see one value a channel and image."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.squeeze = _ConvBn(channels, squeezed(channels))
        self.excite = _ConvBn(squeezed(channels), channels, relu=False)
        self.gate = nn.Sigmoid()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        scale_BC11: Tensor = self.gate(self.excite(self.squeeze(self.pool(x_BCHW))))
        return x_BCHW * scale_BC11


class _InvertedResidual(nn.Module):
    """1x1 convolution, depthwise convolution, 1x1 convolution, plus the shortcut; ReLU after the sum."""

    def __init__(self, unit: Unit, se: bool, shortcut: bool) -> None:
        super().__init__()
        inner, out = unit.inner, unit.width_out
        self.expand = _ConvBn(unit.width_in, inner)
        self.depthwise = _ConvBn(inner, inner, unit.kernel, unit.stride, groups=inner)
        self.se = _SqueezeExcitation(inner) if se else None
        self.project = _ConvBn(inner, out, relu=False)
        self.shortcut: nn.Module | None = None
        if shortcut and unit.shortcut == "projection":
            self.shortcut = _ConvBn(unit.width_in, out, stride=unit.stride, bias=True, relu=False)
        self.adds = shortcut
        self.relu = nn.ReLU()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        y_BCHW = self.depthwise(self.expand(x_BCHW))
        if self.se is not None:
            y_BCHW = self.se(y_BCHW)
        y_BCHW = self.project(y_BCHW)
        if self.adds:
            y_BCHW = y_BCHW + (x_BCHW if self.shortcut is None else self.shortcut(x_BCHW))
        rectified: Tensor = self.relu(y_BCHW)
        return rectified


class InvertedResidualNetwork(ChainNetwork):
    """A 3x3 convolution, inverted residuals, a 1x1 convolution, and a classifier of the channels' means.

    Args:
        structure: the architecture.
        num_classes: of the classifier.
        se: squeeze-and-excitation in every unit.
        shortcuts: whether a unit's input is added to its output.
    """

    def __init__(self, structure: Structure, num_classes: int, *, se: bool, shortcuts: bool) -> None:
        stem, head = structure.stem, structure.head
        blocks: list[nn.Module] = [_InvertedResidual(unit, se, shortcuts) for unit in structure.units()]
        super().__init__(
            _ConvBn(stem.width_in, stem.width_out, stem.kernel, stem.stride),
            [*blocks, _ConvBn(head.width_in, head.width_out)],
            head.width_out,
            num_classes,
        )
        if risky_channels_last(self):
            self.tensor_layout = torch.contiguous_format
