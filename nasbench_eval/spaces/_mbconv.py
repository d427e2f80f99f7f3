"""Layers of networks of mobile inverted bottlenecks, and their sizes without building them.

A network is a row of layers, convolutions and bottlenecks, and a classifier of the means of the last layer's
channels.  `_mbconv_network` builds it.

Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018; with
squeeze-and-excitation Tan et al., "MnasNet: Platform-Aware Neural Architecture Search for Mobile", CVPR 2019.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nasbench_eval.spaces._graph import Graph, GraphEdge

# Pixels that an image may have in height and width; far more than fits into memory.
LARGEST = 99_999


@dataclass(frozen=True)
class Convolution:
    """A convolution without bias, batch norm and, if it is so, a ReLU.

    Attributes:
        kernel: odd; padded by half of it.
        width_in, width_out: channels.
        stride: 1 or 2.
        relu: whether there is one.
    """

    kernel: int
    width_in: int
    width_out: int
    stride: int = 1
    relu: bool = True

    def __str__(self) -> str:
        return f"K{self.kernel} {self.width_out}"


@dataclass(frozen=True)
class Bottleneck:
    """1x1 convolution, depthwise convolution, 1x1 convolution, each with batch norm, the first two with ReLU.

    The input is added to the output where both have the same shape.  The first convolution is left out where
    it would not widen.

    Attributes:
        kernel: of the depthwise convolution.
        width_in, inner, width_out: channels before, in and after the depthwise convolution.
        stride: of the depthwise convolution.
        squeezed: channels inside squeeze-and-excitation, which follows the depthwise convolution; 0 for none.
    """

    kernel: int
    width_in: int
    inner: int
    width_out: int
    stride: int = 1
    squeezed: int = 0

    @property
    def expands(self) -> bool:
        """Whether there is a first convolution."""
        return self.inner != self.width_in

    @property
    def shortcut(self) -> bool:
        """Whether the input is added to the output."""
        return self.stride == 1 and self.width_in == self.width_out

    def __str__(self) -> str:
        se = " SE" * (self.squeezed > 0)
        return f"E{self.inner // self.width_in}K{self.kernel}{se} {self.width_out}"


Layer = Convolution | Bottleneck


@dataclass(frozen=True)
class Counted:
    """What a network does with one image.

    Attributes:
        macs: multiply-accumulates of convolutions and classifier.
        normalised: elements that batch norms put out.
        pooled: elements that means over positions are taken of.
        means: how many such means there are.
    """

    macs: int
    normalised: int
    pooled: int
    means: int


def params(row: Sequence[Layer], classes: int) -> int:
    """Trainable scalars of a network, batch norm and classifier included."""
    width = row[-1].width_out
    return sum(map(_params, row)) + width * classes + classes


def _params(layer: Layer) -> int:
    before, out, kernel = layer.width_in, layer.width_out, layer.kernel
    if isinstance(layer, Convolution):
        return kernel * kernel * before * out + 2 * out
    inner, narrow = layer.inner, layer.squeezed
    count = kernel * kernel * inner + 2 * inner + inner * out + 2 * out
    if layer.expands:
        count += before * inner + 2 * inner
    return count + (2 * inner * narrow + narrow + inner if narrow else 0)


def counted(row: Sequence[Layer], resolution: int, classes: int) -> Counted:
    """What a network does with one image.

    Raises:
        ValueError: if there is no image of that resolution.
    """
    require(resolution)
    side, macs, normalised, pooled, means = resolution, 0, 0, 0, 0
    for layer in row:
        before, side = side * side, halved(side, layer.stride)
        after, out, kernel = side * side, layer.width_out, layer.kernel
        normalised += out * after
        if isinstance(layer, Convolution):
            macs += kernel * kernel * layer.width_in * out * after
            continue
        inner = layer.inner
        macs += (kernel * kernel + out) * inner * after
        normalised += inner * after
        if layer.expands:
            macs += layer.width_in * inner * before
            normalised += inner * before
        if layer.squeezed:
            macs += 2 * inner * layer.squeezed
            pooled += inner * after
            means += inner
    width = row[-1].width_out
    return Counted(macs + width * classes, normalised, pooled + width * side * side, means + width)


def halved(side: int, stride: int) -> int:
    """Pixels in height and width that a convolution puts out, padded by half its kernel."""
    return -(-side // stride)


def require(resolution: int) -> None:
    """Refuse what is no size of an image.

    Raises:
        ValueError: saying so.
    """
    if not 1 <= resolution <= LARGEST:
        raise ValueError(f"an image has 1 to {LARGEST} pixels in height and width; got {resolution}")


def row_graph(nodes: Sequence[str]) -> Graph:
    """Layers or blocks in a row, each by its text, between the image and the classifier."""
    whole = ("in", *nodes, "out")
    return Graph("network", whole, tuple(GraphEdge(at, at + 1) for at in range(len(whole) - 1)))
