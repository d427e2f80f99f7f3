"""A network in rows: what each of its parts puts out, holds and computes.

Any `nn.Module` that classifies images will do.  One with `stem`, `cells` and `classifier`, as search spaces
build them, has a row for the stem, for each run of equal cells, and for the head.  Another has rows for its
top-level blocks: what is only a container is looked into, equal blocks in a row are one row, and so are
single layers.

Multiply-accumulates are counted as the proxy `flops` counts them: those of convolution and linear layers,
and of products of features where the network shows them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn

from nasbench_eval.spaces.base import Product, summed
from nasbench_eval.wording import first_line

Shape = tuple[int, ...]
# Containers that are never called themselves.
_LISTS = (nn.ModuleList, nn.ModuleDict)


class NoForward(ValueError):
    """A network that images of this size do not pass; the message is what PyTorch said."""


@dataclass(frozen=True)
class Stage:
    """One row.

    Attributes:
        name: what it is: `stem`, `cells 0-4`, `head`, or names of modules.
        blocks: how many modules it is.
        kind: what they are: the name of their class, or of the layers in them.
        output: shape of what it puts out for one image, (C, H, W) or (classes,); None where it puts out no
            tensor or is not computed.
        params: trainable scalars.
        macs: multiply-accumulates for one image.
    """

    name: str
    blocks: int
    kind: str
    output: Shape | None
    params: int
    macs: int


@dataclass
class _Block:
    """A module that rows are made of, and what is seen of it."""

    name: str
    module: nn.Module
    order: int = -1
    output: Shape | None = None
    macs: int = 0
    params: int = 0

    @property
    def kind(self) -> str:
        """Its class; of a short row of layers the classes of these."""
        inner = list(self.module.children())
        if isinstance(self.module, nn.Sequential) and inner and not any(map(_inside, inner)):
            return " + ".join(type(each).__name__ for each in inner)
        return type(self.module).__name__.lstrip("_")

    @property
    def part(self) -> str:
        return self.name.partition(".")[0]


def stages(net: nn.Module, resolution: int) -> list[Stage]:
    """The rows of a network, for images of 3 x resolution x resolution.

    The image is where the network's parameters are.  On the device `meta` nothing is computed but shapes.

    Raises:
        NoForward: if the network does not take such images.
    """
    blocks = list(_blocks(net))
    try:
        _observe(net, blocks, resolution)
    except Exception as error:  # whatever a layer raises that the image does not fit
        raise NoForward(first_line(error)) from error
    counted: set[int] = set()
    for block in blocks:
        block.params = _params(block.module, counted)
    ordered = [block for block in blocks if block.order >= 0] + [b for b in blocks if b.order < 0]
    ordered.sort(key=lambda block: block.order if block.order >= 0 else len(blocks))
    rows = list(_rows(net, ordered))
    if rest := _params(net, counted):  # those that belong to the network itself
        rows.append(Stage("other parameters", 0, "", None, rest, 0))
    return rows


def _blocks(net: nn.Module, path: str = "") -> Iterator[_Block]:
    for name, module in net.named_children():
        inner = f"{path}{name}"
        if isinstance(module, _LISTS) or (_whole(net) is None and _of_blocks(module)):
            yield from _blocks(module, f"{inner}.")
        else:
            yield _Block(inner, module)


def _whole(net: nn.Module) -> nn.ModuleList | None:
    """The cells of a network of a search space's form."""
    cells = getattr(net, "cells", None)
    formed = hasattr(net, "stem") and hasattr(net, "classifier") and isinstance(cells, nn.ModuleList)
    return cells if formed and isinstance(cells, nn.ModuleList) else None


def _inside(module: nn.Module) -> bool:
    return next(module.children(), None) is not None


def _of_blocks(module: nn.Module) -> bool:
    """Whether a module is a plain row of blocks, each with layers in it."""
    return type(module) is nn.Sequential and any(_inside(each) for each in module.children())


def _observe(net: nn.Module, blocks: Sequence[_Block], resolution: int) -> None:
    """Pass one image; blocks learn their order, outputs and multiply-accumulates."""
    order = iter(range(10**9))
    owner = {id(layer): block for block in blocks for layer in block.module.modules()}

    def leave(block: _Block) -> Any:
        def hook(module: nn.Module, inputs: object, output: object) -> None:
            block.order = next(order) if block.order < 0 else block.order
            first = output if isinstance(output, Tensor) else next(iter(_tensors(output)), None)
            block.output = None if first is None else tuple(first.shape[1:])

        return hook

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: object) -> None:
        if isinstance(output, Tensor):
            owner[id(module)].macs += output[0].numel() * summed(module, inputs[0])

    kinds = (nn.Conv2d, nn.Linear, Product)
    layers = [m for b in blocks for m in b.module.modules() if isinstance(m, kinds)]
    handles = [block.module.register_forward_hook(leave(block)) for block in blocks]
    handles += [layer.register_forward_hook(count) for layer in {id(m): m for m in layers}.values()]
    training = net.training
    try:
        net.eval()
        with torch.no_grad():
            device = next((parameter.device for parameter in net.parameters()), None)
            net(torch.ones(1, 3, resolution, resolution, device=device))
    finally:
        net.train(training)
        for handle in handles:
            handle.remove()


def _tensors(output: object) -> Iterator[Tensor]:
    values = output.values() if isinstance(output, Mapping) else output
    if isinstance(values, Sequence) or isinstance(output, Mapping):
        yield from (each for each in values if isinstance(each, Tensor))  # type: ignore[attr-defined]


def _params(module: nn.Module, counted: set[int]) -> int:
    """Trainable scalars that were not counted before."""
    new = {id(p): p for p in module.parameters() if p.requires_grad and id(p) not in counted}
    counted.update(new)
    return sum(p.numel() for p in new.values())


def _rows(net: nn.Module, blocks: Sequence[_Block]) -> Iterator[Stage]:
    if _whole(net) is None:
        for _, group in groupby(blocks, _alike):
            yield _stage(list(group))
        return
    cells = [block for block in blocks if block.part == "cells"]
    first = min((block.order for block in cells), default=0)
    before = [b for b in blocks if b.part == "stem" or (b.part != "cells" and 0 <= b.order < first)]
    after = [block for block in blocks if block not in before and block not in cells]
    if before and any(block.params or type(block.module) is not nn.Identity for block in before):
        yield _stage(before, "stem")
    for _, group in groupby(cells, _alike):
        yield _stage(list(group))
    if after:
        yield _stage(after, "head")


def _alike(block: _Block) -> tuple[object, ...]:
    """What neighbouring blocks that are one row have in common: container, class and output.

    Single layers need no more in common than putting out maps, or vectors.
    """
    if not _inside(block.module):
        return ("layer", None if block.output is None else len(block.output))
    return (block.name.rpartition(".")[0] or block.name, type(block.module), block.output)


def _stage(blocks: Sequence[_Block], name: str | None = None) -> Stage:
    kinds = dict.fromkeys(block.kind for block in blocks)
    return Stage(
        name=name or _named(blocks),
        blocks=len(blocks),
        kind=" + ".join(kinds),
        output=blocks[-1].output,
        params=sum(block.params for block in blocks),
        macs=sum(block.macs for block in blocks),
    )


def _named(blocks: Sequence[_Block]) -> str:
    """`cells 0-4`, `layer1 0-2`, or the names of single layers."""
    names = [block.name for block in blocks]
    container, _, first = names[0].rpartition(".")
    if container and first.isdigit() and all(n.rpartition(".")[0] == container for n in names):
        last = names[-1].rpartition(".")[2]
        return f"{container} {first}" if first == last else f"{container} {first}-{last}"
    return ", ".join(names)
