"""Structure strings of the MobileNetV2-like space: blocks, how they are written, and their units.

A structure is a row of blocks, written one after another as `NAME(NUMBERS)`:

- `SuperConvK3BNRELU(in,out,stride,layers)`: convolution, batch norm and ReLU.
- `SuperResIDWE6K3(in,out,stride,bottleneck,layers)`: inverted residuals of expansion 6 and kernel 3.  Each of
  its layers is two units, one to the width of the bottleneck and one to the width of the output.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from nasbench_eval.registry import nearest
from nasbench_eval.wording import shown

EXPANSIONS, KERNELS, STRIDES = (1, 2, 4, 6), (3, 5, 7), (1, 2)
# Channels of an image, and kernels of the first and the last block.
IMAGE, STEM, HEAD = 3, 3, 1
# Widths and depths that a text may name; far more than a network that fits into memory.
LARGEST = 99_999
_BLOCK = re.compile(r"(\w+)\(([^()]*)\)")
_PREFIX = re.compile(r"[^|,]*\|")
_NUMBER = re.compile(r"[1-9][0-9]{0,4}")
_FORM = (
    "SuperConvK3BNRELU(3,C,2,1)SuperResIDWE6K3(C,OUT,STRIDE,BOTTLENECK,LAYERS)..."
    "SuperConvK1BNRELU(OUT,2048,1,1)"
)


@dataclass(frozen=True)
class Conv:
    """The first or the last block: one convolution with batch norm and ReLU.

    Attributes:
        kernel: 3 in the first block, 1 in the last.
        width_in, width_out: channels.
        stride: of the convolution.
    """

    kernel: int
    width_in: int
    width_out: int
    stride: int

    @property
    def layers(self) -> int:
        """What the block counts for in the depth of a structure."""
        return 1

    def __str__(self) -> str:
        return f"SuperConvK{self.kernel}BNRELU({self.width_in},{self.width_out},{self.stride},1)"


@dataclass(frozen=True)
class Residual:
    """A row of inverted residuals, two to a layer.

    Attributes:
        expansion: 1, 2, 4 or 6; it multiplies the width that a unit puts out.
        kernel: of the depthwise convolutions: 3, 5 or 7.
        width_in, width_out: channels of the block.
        stride: of the first unit.
        bottleneck: channels between the two units of a layer.
        layers: at least 1.
    """

    expansion: int
    kernel: int
    width_in: int
    width_out: int
    stride: int
    bottleneck: int
    layers: int

    @property
    def kind(self) -> str:
        """The name of the block, such as `SuperResIDWE6K3`."""
        return f"SuperResIDWE{self.expansion}K{self.kernel}"

    def __str__(self) -> str:
        numbers = (self.width_in, self.width_out, self.stride, self.bottleneck, self.layers)
        return f"{self.kind}({','.join(map(str, numbers))})"


@dataclass(frozen=True)
class Unit:
    """One inverted residual, as it is built and counted.

    Attributes:
        kernel: of the depthwise convolution.
        width_in, inner, width_out: channels before, in and after the depthwise convolution.
        stride: of the depthwise convolution.
        shortcut: what is added to the output: the input itself, or a 1x1 convolution of it.
    """

    kernel: int
    width_in: int
    inner: int
    width_out: int
    stride: int
    shortcut: Literal["identity", "projection"]


@dataclass(frozen=True)
class Structure:
    """An architecture: a 3x3 convolution, blocks of inverted residuals, a 1x1 convolution.

    The classifier behind them is no part of it.
    """

    stem: Conv
    blocks: tuple[Residual, ...]
    head: Conv

    def __post_init__(self) -> None:
        for role, conv, kernel, strides in (
            ("first", self.stem, STEM, STRIDES),
            ("last", self.head, HEAD, (1,)),
        ):
            if conv.kernel != kernel:
                raise ValueError(f"the {role} block is a {kernel}x{kernel} convolution; got {conv}")
            if conv.stride not in strides:
                raise ValueError(f"the stride of {conv} is {conv.stride}, not {_either(strides)}")
        if self.stem.width_in != IMAGE:
            raise ValueError(f"{self.stem} does not take the {IMAGE} channels of an image")
        if not self.blocks:
            raise ValueError("there is no block SuperResIDWE... between the first block and the last")
        for block in self.blocks:
            if block.expansion not in EXPANSIONS or block.kernel not in KERNELS:
                raise ValueError(f"{block} has no expansion of {EXPANSIONS} or no kernel of {KERNELS}")
            if block.stride not in STRIDES:
                raise ValueError(f"the stride of {block} is {block.stride}, not {_either(STRIDES)}")
        numbers = [n for b in (self.stem, self.head) for n in (b.width_in, b.width_out)]
        numbers += [n for b in self.blocks for n in (b.width_in, b.width_out, b.bottleneck, b.layers)]
        if not all(1 <= n <= LARGEST for n in numbers):
            raise ValueError(f"widths and numbers of layers are 1 to {LARGEST}")
        for one, other in pairwise(self.row):
            if one.width_out != other.width_in:
                got = f"{other} takes {other.width_in} channels, but {one}"
                raise ValueError(f"widths do not chain: {got}, which is before it, puts out {one.width_out}")

    @property
    def row(self) -> tuple[Conv | Residual, ...]:
        """All blocks, the first and the last included."""
        return (self.stem, *self.blocks, self.head)

    @property
    def layers(self) -> int:
        """The depth that searches limit: layers of all blocks, 1 each for the first and the last."""
        return sum(block.layers for block in self.row)

    def units(self) -> Iterator[Unit]:
        """The inverted residuals in their order.

        The first unit of a block has a projection even where it puts out what it takes in.
        """
        for block in self.blocks:
            kernel, e = block.kernel, block.expansion
            out, narrow = block.width_out, block.bottleneck
            same: Literal["identity", "projection"] = "identity" if out == narrow else "projection"
            for layer in range(block.layers):
                first = layer == 0
                yield Unit(
                    kernel,
                    block.width_in if first else out,
                    rounded(narrow * e),
                    narrow,
                    block.stride if first else 1,
                    "projection" if first else same,
                )
                yield Unit(kernel, narrow, rounded(out * e), out, 1, same)


def rounded(width: float) -> int:
    """The multiple of 8 nearest to a width, at least 8; of two that are as near, the even multiple."""
    return max(8, round(width / 8) * 8)


def written(structure: Structure) -> str:
    """The string of a structure."""
    return "".join(map(str, structure.row))


def read(text: str) -> Structure:
    """The structure that a string names; blanks and names before a `|` are dropped.

    Raises:
        ValueError: saying in one line what is wrong.
    """
    row, compact, at = [], "".join(text.split()), 0
    while at < len(compact):
        found = _BLOCK.match(compact, at)
        if found is None:
            raise ValueError(f"{shown(compact[at:], 60)} does not begin with a block NAME(NUMBERS)")
        row.append(_block(found[1], found[2]))
        at = found.end()
    match row:
        case [Conv() as stem, *blocks, Conv() as head]:
            between = tuple(block for block in blocks if isinstance(block, Residual))
            if len(between) == len(blocks):
                return Structure(stem, between, head)
    raise ValueError(f"{shown(compact, 60)} is no structure of the form {_FORM}")


def _block(name: str, numbers: str) -> Conv | Residual:
    whole = shown(f"{name}({numbers})", 80)
    if name not in _KINDS:
        near = nearest(name, list(_KINDS))
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(_KINDS)}"
        raise ValueError(f"unknown block {shown(name, 40)}; {hint}")
    given = _PREFIX.sub("", numbers, count=1).split(",")
    meanings = _CONV if isinstance(_KINDS[name], int) else _RESIDUAL
    if len(given) != len(meanings):
        raise ValueError(f"{whole} has {len(given)} numbers, not {len(meanings)}: {','.join(meanings)}")
    for meaning, number in zip(meanings, given, strict=True):
        if not _NUMBER.fullmatch(number):
            least = f"no whole number from 1 to {LARGEST}"
            raise ValueError(f"{meaning} of {whole} is {shown(number, 20)}, {least}")
    values, kind = [int(number) for number in given], _KINDS[name]
    if isinstance(kind, tuple):
        return Residual(*kind, *values)
    if values.pop() != 1:
        raise ValueError(f"the first and the last block have one layer; got {whole}")
    return Conv(kind, *values)


def _either(numbers: Sequence[int]) -> str:
    return " or ".join(map(str, numbers))


_CONV = ("in", "out", "stride", "layers")
_RESIDUAL = ("in", "out", "stride", "bottleneck", "layers")
# Names of blocks, with the kernel of a convolution, or expansion and kernel of inverted residuals.
_KINDS: dict[str, int | tuple[int, int]] = {
    **{f"SuperConvK{kernel}BNRELU": kernel for kernel in (1, 3, 5, 7)},
    **{f"SuperResIDWE{e}K{kernel}": (e, kernel) for kernel in KERNELS for e in EXPANSIONS},
}
