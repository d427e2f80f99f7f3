"""How structures of the MobileNetV2-like space are changed, as the published searches change them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Literal

import numpy as np

from nasbench_eval.spaces._mobilenetv2_blocks import (
    EXPANSIONS,
    KERNELS,
    LARGEST,
    Residual,
    Structure,
    rounded,
)

TypeWeights = Literal["aznas", "uniform"]
# Kinds of blocks in the order of the published searches: (expansion, kernel).
TYPES = tuple((e, kernel) for kernel in KERNELS for e in EXPANSIONS)
_FACTORS = (2.5, 2.0, 1.5, 1.25, 1.0, 1 / 1.25, 1 / 1.5, 1 / 2, 1 / 2.5)
_DEEPER = (-2, -1, 0, 1, 2)
# A block of so many layers is cut behind its third.
_SPLIT, _KEPT = 6, 3


@cache
def widths(width: int) -> tuple[int, ...]:
    """Widths that a width may change to, itself among them where it is a multiple of 8."""
    found = dict.fromkeys(rounded(max(8, width * factor)) for factor in _FACTORS)
    return tuple(each for each in found if each <= LARGEST)


@cache
def depths(layers: int) -> tuple[int, ...]:
    """Numbers of layers that a block's may change to, its own among them."""
    return tuple(layers + step for step in _DEEPER if 1 <= layers + step <= LARGEST)


def weights_of_types(type_weights: TypeWeights) -> tuple[int, ...]:
    """How often each of `TYPES` is drawn, as parts of their sum.

    `aznas`: 12, 11, ..., 1.  The published searches list the choices of the first type, then those of the
    first two, then of the first three, and draw from all lists in a row.
    """
    return tuple(range(len(TYPES), 0, -1)) if type_weights == "aznas" else (1,) * len(TYPES)


def drawn_type(rng: np.random.Generator, type_weights: TypeWeights) -> tuple[int, int]:
    """Expansion and kernel of a block, by the weights of their type."""
    ends = np.cumsum(weights_of_types(type_weights))
    return TYPES[int(np.searchsorted(ends, rng.integers(int(ends[-1])), side="right"))]


def candidate(
    structure: Structure, rng: np.random.Generator, draws: int, type_weights: TypeWeights
) -> Structure:
    """What a search tries next, out of a structure; it may be the structure itself.

    Each draw picks one of all blocks.  One that is picked a second time is passed over, and the last block
    stays as it is.  Afterwards widths are chained again, and blocks of 6 layers or more are cut.
    """
    stem, blocks, picked = structure.stem, list(structure.blocks), set[int]()
    for _ in range(draws):
        place = int(rng.integers(len(blocks) + 2))
        if place in picked:
            continue
        picked.add(place)
        if place == 0:
            stem = replace(stem, width_out=_one_of(rng, widths(stem.width_out)))
        elif place <= len(blocks):
            blocks[place - 1] = _changed(blocks[place - 1], rng, type_weights)
    row, width = list[Residual](), stem.width_out
    for block in blocks:
        row += cut(replace(block, width_in=width))
        width = block.width_out
    return Structure(stem, tuple(row), replace(structure.head, width_in=width))


def cut(block: Residual) -> list[Residual]:
    """A block, in parts of at most 5 layers: the first ones have 3 each, and the last has the rest."""
    parts = []
    while block.layers >= _SPLIT:
        parts.append(replace(block, layers=_KEPT))
        block = replace(block, width_in=block.width_out, stride=1, layers=block.layers - _KEPT)
    return [*parts, block]


def joined(blocks: Sequence[Residual], shortcuts: bool) -> list[Residual]:
    """Blocks with those in one that are the same network so.

    A block that goes on with the type and widths of the one before can be part of it, but for the projection
    that its first unit has.  The unit has one in any case where bottleneck and output differ in width, and
    none where the space has no shortcuts.
    """
    row = list[Residual]()
    for block in blocks:
        before = row[-1] if row else None
        same = before is not None and block.stride == 1 and _shape(block) == _shape(before)
        if before is not None and same and (block.bottleneck != block.width_out or not shortcuts):
            row[-1] = replace(before, layers=before.layers + block.layers)
        else:
            row.append(block)
    return row


def _shape(block: Residual) -> tuple[int, ...]:
    return block.expansion, block.kernel, block.bottleneck, block.width_out


def _changed(block: Residual, rng: np.random.Generator, type_weights: TypeWeights) -> Residual:
    """A block with type, widths and layers drawn at once; its stride stays."""
    expansion, kernel = drawn_type(rng, type_weights)
    return replace(
        block,
        expansion=expansion,
        kernel=kernel,
        width_out=_one_of(rng, widths(block.width_out)),
        bottleneck=_one_of(rng, widths(block.bottleneck)),
        layers=_one_of(rng, depths(block.layers)),
    )


def _one_of(rng: np.random.Generator, choices: Sequence[int]) -> int:
    return choices[int(rng.integers(len(choices)))]
