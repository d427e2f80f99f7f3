"""Networks of mobile inverted bottlenecks.

Tensor legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nasbench_eval.spaces._mbconv import Bottleneck, Layer
from nasbench_eval.spaces._network import ChainNetwork, risky_channels_last


class ConvBn(nn.Sequential):
    """Convolution, batch norm and, if asked for, a ReLU; padded so that stride 1 keeps height and width."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        groups: int = 1,
        bias: bool = False,
        relu: bool = True,
        epsilon: float = 1e-5,
    ) -> None:
        conv = nn.Conv2d(
            channels_in, channels_out, kernel, stride, padding=kernel // 2, groups=groups, bias=bias
        )
        activation = [nn.ReLU()] if relu else []
        super().__init__(conv, nn.BatchNorm2d(channels_out, eps=epsilon), *activation)


class _HardSigmoid(nn.Module):
    """x / 6 + 1/2 between 0 and 1.  PyTorch's own has no second derivative, which GraSP takes."""

    def forward(self, x: Tensor) -> Tensor:
        return (x + 3).clamp(0, 6) / 6


class _SqueezeExcitation(nn.Module):
    """Channels scaled by what their means say.  Its convolutions have biases, and no batch norm."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.relu = nn.ReLU()
        self.excite = nn.Conv2d(squeezed, channels, 1)
        self.gate = _HardSigmoid()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        scale_BC11: Tensor = self.gate(self.excite(self.relu(self.squeeze(self.pool(x_BCHW)))))
        return x_BCHW * scale_BC11


class _Bottleneck(nn.Module):
    """What a `Bottleneck` describes."""

    def __init__(self, layer: Bottleneck) -> None:
        super().__init__()
        inner = layer.inner
        self.expand = ConvBn(layer.width_in, inner) if layer.expands else None
        self.depthwise = ConvBn(inner, inner, layer.kernel, layer.stride, groups=inner)
        self.se = _SqueezeExcitation(inner, layer.squeezed) if layer.squeezed else None
        self.project = ConvBn(inner, layer.width_out, relu=False)
        self.adds = layer.shortcut

    def forward(self, x_BCHW: Tensor) -> Tensor:
        y_BCHW: Tensor = x_BCHW if self.expand is None else self.expand(x_BCHW)
        y_BCHW = self.depthwise(y_BCHW)
        if self.se is not None:
            y_BCHW = self.se(y_BCHW)
        y_BCHW = self.project(y_BCHW)
        return x_BCHW + y_BCHW if self.adds else y_BCHW


class RowNetwork(ChainNetwork):
    """Layers in a row, and a classifier of the means of the last one's channels.

    Args:
        row: the first layer is the `stem`, the others are the `cells`.
        num_classes: of the classifier.
    """

    def __init__(self, row: Sequence[Layer], num_classes: int) -> None:
        stem, *cells = (_module(layer) for layer in row)
        super().__init__(stem, cells, row[-1].width_out, num_classes)
        if risky_channels_last(self):
            self.tensor_layout = torch.contiguous_format


def _module(layer: Layer) -> nn.Module:
    if isinstance(layer, Bottleneck):
        return _Bottleneck(layer)
    return ConvBn(layer.width_in, layer.width_out, layer.kernel, layer.stride, relu=layer.relu)
