"""Parameters and multiply-accumulates of DARTS's networks, from the operations of both cells alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from nasbench_eval.spaces._darts_genotype import Edge
from nasbench_eval.spaces._darts_skeleton import CellSite, Skeleton

# All operations of the normal and of the reduction cell, in any order.
Both = tuple[Sequence[Edge], Sequence[Edge]]


class Conv(NamedTuple):
    """A convolution without bias, and its batch norm if it has one.

    Attributes:
        inputs: channels that each output reads.
        width: channels that it puts out.
        kernel: height and width of its kernel.
        side: height and width of the maps that it puts out.
        normed: channels of the batch norm behind it.
    """

    inputs: int
    width: int
    kernel: int
    side: int
    normed: int = 0

    @property
    def weights(self) -> int:
        return self.inputs * self.width * self.kernel**2


def params(both: Both, skeleton: Skeleton, num_classes: int) -> int:
    """Trainable scalars, batch norm and classifier included, the auxiliary head left out."""
    convs = convolutions(both, skeleton, 1)
    return sum(conv.weights + 2 * conv.normed for conv in convs) + _last(skeleton) * num_classes + num_classes


def macs(both: Both, skeleton: Skeleton, resolution: int, num_classes: int) -> int:
    """Multiply-accumulates of convolutions and classifier for one image, the auxiliary head left out.

    Raises:
        ValueError: if there is no image of that resolution.
    """
    if resolution < 1:
        raise ValueError(f"an image has at least 1 pixel in height and width; got {resolution}")
    convs = convolutions(both, skeleton, resolution)
    return sum(conv.weights * conv.side**2 for conv in convs) + _last(skeleton) * num_classes


def convolutions(both: Both, skeleton: Skeleton, resolution: int) -> Iterator[Conv]:
    """All convolutions of the network but those of the auxiliary head, in the order in which they stand."""
    yield from _stem(skeleton, resolution)
    earlier = side = resolution
    if skeleton.kind == "imagenet":
        earlier = _half(_half(resolution))
        side = _half(earlier)
    for site in skeleton.sites():
        yield from _preprocessing(site, earlier, side)
        yield from _cell(both[site.reduction], site, side)
        earlier, side = side, _half(side) if site.reduction else side


def _half(side: int) -> int:
    """The size of maps that a stride of 2 makes of maps of a size."""
    return (side + 1) // 2


def _last(skeleton: Skeleton) -> int:
    """Channels that the classifier reads."""
    return [skeleton.stem_width, *(site.width_out for site in skeleton.sites())][-1]


def _stem(skeleton: Skeleton, side: int) -> Iterator[Conv]:
    width = skeleton.stem_width
    if skeleton.kind == "cifar":
        yield Conv(3, width, 3, side, width)
        return
    yield Conv(3, width // 2, 3, side := _half(side), width // 2)
    yield Conv(width // 2, width, 3, side := _half(side), width)
    yield Conv(width, width, 3, _half(side), width)


def _preprocessing(site: CellSite, earlier: int, side: int) -> Iterator[Conv]:
    """What brings both inputs to the cell's width and size."""
    if site.halved_before:
        yield from _halving(site.width_two_before, site.width, side)
    else:
        yield Conv(site.width_two_before, site.width, 1, earlier, site.width)
    yield Conv(site.width_before, site.width, 1, side, site.width)


def _halving(width_in: int, width: int, side: int) -> Iterator[Conv]:
    """Two 1x1 convolutions with stride 2, each of half of the channels, and one batch norm of all."""
    yield Conv(width_in, width // 2, 1, side)
    yield Conv(width_in, width // 2, 1, side, width)


def _cell(edges: Iterable[Edge], site: CellSite, side: int) -> Iterator[Conv]:
    width = site.width
    for edge in edges:
        halves = site.reduction and edge.source < 2
        out = _half(side) if site.reduction else side
        kernel = int(edge.operation[-1]) if edge.operation.startswith(("sep", "dil")) else 0
        for _ in range({"sep": 2, "dil": 1}.get(edge.operation[:3], 0)):
            yield Conv(1, width, kernel, out)
            yield Conv(width, width, 1, out, width)
        if edge.operation == "skip_connect" and halves:
            yield from _halving(width, width, out)
