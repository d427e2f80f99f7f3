"""A stage of a network, for whoever tells or draws where its depth and its width lie."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """The blocks of a network that put out feature maps of the same size.

    Attributes:
        pixels: height and width of these maps.
        layers: how many layers there are, in the search space's own count.
        width: channels of the last one.
        blocks: what each block is, in a few words.
    """

    pixels: int
    layers: int
    width: int
    blocks: tuple[str, ...]
