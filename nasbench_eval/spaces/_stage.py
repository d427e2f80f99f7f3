"""A stage of a network, for whoever tells or draws where its depth and its width lie."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StageBlock:
    """Layers of the same kind in a row.

    Attributes:
        layers: how many.
        width: channels that they put out.
        kind: what they are, in a word.
        widths: all of their widths, in a word.
    """

    layers: int
    width: int
    kind: str
    widths: str

    def __str__(self) -> str:
        return f"{self.layers}x {self.kind} {self.widths}"


@dataclass(frozen=True)
class Stage:
    """The blocks of a network that put out feature maps of the same size.

    Attributes:
        pixels: height and width of these maps.
        blocks: at least one, from input to output; layers are in the search space's own count.
    """

    pixels: int
    blocks: tuple[StageBlock, ...]

    @property
    def layers(self) -> int:
        """How many there are."""
        return sum(block.layers for block in self.blocks)

    @property
    def width(self) -> int:
        """Channels that the stage puts out."""
        return self.blocks[-1].width
