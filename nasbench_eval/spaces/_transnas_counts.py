"""Sizes of TransNAS-Bench-101's micro networks in closed form, and what their skeleton and decoders are.

Duan et al., CVPR 2021; layers and widths as its authors' code has them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from nasbench_eval.spaces.base import PIECES, Task

if TYPE_CHECKING:
    from nasbench_eval.spaces.transnas_micro import Cell

# The skeleton 41414: which modules double the channels and halve the maps; the others change nothing.
CHANGES = (True, False, True, False, True)
# How often the networks halve their images: twice in the stem, three times in modules.
HALVINGS = 5
# Decoders by layer: 3x3 convolutions, and transposed ones, which double the sides of maps; and the channels
# that they put out.  Behind these a convolution without norm puts out the maps of the task.  Five layers
# double, whatever the size of the image is: they undo the encoder's halvings.
Kind = Literal["conv", "deconv"]
SEGMENTATION: tuple[tuple[Kind, int], ...] = (
    ("conv", 1024),
    ("conv", 512),
    ("deconv", 256),
    ("deconv", 128),
    ("deconv", 64),
    ("deconv", 32),
    ("deconv", 32),
)
GENERATOR: tuple[tuple[Kind, int], ...] = (
    ("conv", 1024),
    ("conv", 1024),
    ("conv", 512),
    ("conv", 512),
    ("deconv", 256),
    ("conv", 128),
    ("deconv", 64),
    ("conv", 64),
    ("deconv", 32),
    ("conv", 32),
    ("deconv", 16),
    ("conv", 32),
    ("deconv", 16),
)
DECODERS = {"segmentation": SEGMENTATION, "autoencoding": GENERATOR, "normals": GENERATOR}


class Shape(NamedTuple):
    """A cell's place in the skeleton.

    Attributes:
        inputs, outputs: channels.
        stride: of the edges that leave the input.
    """

    inputs: int
    outputs: int
    stride: int


def stem_width(channels: int) -> int:
    """Channels between the two convolutions of a stem of a width."""
    return max(1, channels // 2)


def shapes(channels: int, cells_per_module: int) -> Iterator[Shape]:
    """The cells of the skeleton, from the first to the last."""
    width = channels
    for changes in CHANGES:
        for place in range(cells_per_module):
            changing = changes and place == 0
            yield Shape(width, 2 * width if changing else width, 2 if changing else 1)
            width *= 2 if changing else 1


def halved(side: int) -> int:
    """The side of a map after a stride of two."""
    return (side + 1) // 2


class Layers(NamedTuple):
    """Weights and norm's scalars of all convolutions of a cell."""

    weights: int
    norms: int


def _layers(digits: tuple[int, ...], shape: Shape) -> Layers:
    weights = norms = 0
    for place, digit in enumerate(digits):
        from_input = place in (0, 1, 3)  # a, b and d
        inputs = shape.inputs if from_input else shape.outputs
        if digit == 0 or (digit == 1 and not (from_input and shape.stride == 2)):
            continue  # nothing, or the identity; where a cell halves its input, a skip is two convolutions
        weights += (9 if digit == 3 else 1) * inputs * shape.outputs
        norms += 2 * shape.outputs
    return Layers(weights, norms)


@dataclass(frozen=True)
class TaskSizes:
    """The sizes of the networks with the head of a task.

    Args:
        channels: width C of the stem.
        cells_per_module: cells in each of the five modules.
        task: what the head is for.
    """

    channels: int
    cells_per_module: int
    task: Task

    def params(self, arch: Cell, *, num_classes: int) -> int:
        """Trainable scalars of encoder and head; `num_classes` are the head's outputs."""
        cells = [_layers(arch.digits, shape) for shape in self._shapes]
        stem = stem_width(self.channels)
        count = 27 * stem + 2 * stem + 9 * stem * self.channels + 2 * self.channels
        return count + sum(sum(cell) for cell in cells) + self.head_params(num_classes)

    def flops(self, arch: Cell, *, resolution: int, num_classes: int) -> int:
        """Multiply-accumulates of convolutions, transposed ones among them, and linear layers for one image.

        A jigsaw's image is nine pieces of the resolution, all of which are counted.

        Raises:
            ValueError: if a decoder's maps cannot have the size of the image.
        """
        encoder = self.encoder_flops(arch, resolution=resolution)
        pieces = PIECES if self.task == "jigsaw" else 1
        return pieces * encoder + self.head_flops(resolution=resolution, num_classes=num_classes)

    def encoder_flops(self, arch: Cell, *, resolution: int) -> int:
        """Multiply-accumulates of stem and cells for one image."""
        stem = stem_width(self.channels)
        side = halved(resolution)
        count = 27 * stem * side * side
        side = halved(side)
        count += 9 * stem * self.channels * side * side
        for shape in self._shapes:
            side = halved(side) if shape.stride == 2 else side
            count += _layers(arch.digits, shape).weights * side * side
        return count

    def head_params(self, outputs: int) -> int:
        """Trainable scalars of the head."""
        if self.task in DECODERS:
            *inner, last = self._decoder(outputs)
            return sum(9 * x * y + 3 * y for x, y, _ in inner) + 9 * last[0] * last[1] + last[1]
        return (self._read + 1) * outputs

    def head_flops(self, *, resolution: int, num_classes: int) -> int:
        """Multiply-accumulates of the head for one image.

        Raises:
            ValueError: if a decoder's maps cannot have the size of the image.
        """
        if self.task not in DECODERS:
            return self._read * num_classes
        check_decoded(self.task, resolution)
        side, count = resolution // 2**HALVINGS, 0
        for inputs, outputs, kind in self._decoder(num_classes):
            count += 9 * inputs * outputs * side * side  # a transposed convolution spreads each of its inputs
            side *= 2 if kind == "deconv" else 1
        return count

    @property
    def _shapes(self) -> Iterator[Shape]:
        return shapes(self.channels, self.cells_per_module)

    @property
    def _width(self) -> int:
        """Channels of the encoder's last maps."""
        return self.channels << sum(CHANGES)

    @property
    def _read(self) -> int:
        """Inputs of a linear head."""
        return self._width * (PIECES if self.task == "jigsaw" else 1)

    def _decoder(self, outputs: int) -> Iterator[tuple[int, int, Kind]]:
        """Inputs, outputs and kind of each layer of the decoder."""
        inputs = self._width
        for kind, width in DECODERS[self.task]:
            yield inputs, width, kind
            inputs = width
        yield inputs, outputs, "conv"


def check_decoded(task: str, resolution: int) -> None:
    """Refuse images whose size a decoder cannot give back.  Raises ValueError."""
    least = 2**HALVINGS
    if resolution < least or resolution % least:
        raise ValueError(
            f"the decoder of {task} doubles the last maps five times; {resolution} pixels are no multiple of "
            f"{least}"
        )
