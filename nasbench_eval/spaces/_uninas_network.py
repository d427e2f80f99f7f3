"""The networks of the UniNAS space.

Heads that share their sequences run as groups: a tensor holds G groups of C channels one after the other, a
convolution has G groups, and a norm over channels is one over the C of each group.  Nothing is shared but the
form: every group has weights of its own.

Tensor legend: B batch, G groups, C channels of a group, K = G·C, H height, W width, N = H·W positions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nasbench_eval.seeding import generator
from nasbench_eval.spaces._drop_path import drop_path
from nasbench_eval.spaces._network import Drawn, Featured, uninitialised
from nasbench_eval.spaces._uninas_counts import sides
from nasbench_eval.spaces._uninas_graph import FACTOR, HEAD, Architecture, Block, Body, Node, heads_of
from nasbench_eval.spaces._uninas_layers import (
    ChannelNorm,
    Gate,
    Mask,
    PositionBias,
    Similarity,
    Weighted,
    Zero,
)


@dataclass(frozen=True)
class Scope:
    """Channels of a group, how many groups there are, and the side of the features around a map."""

    channels: int
    groups: int
    side: int

    def scaled(self, channels: int) -> Scope:
        return Scope(channels, self.groups, self.side)

    def conv(self, channels_out: int | None = None, kernel: int = 1) -> nn.Conv2d:
        """A convolution of each group by itself."""
        out = (channels_out or self.channels) * self.groups
        return nn.Conv2d(self.channels * self.groups, out, kernel, padding=kernel // 2, groups=self.groups)

    def depthwise(self, kernel: int) -> nn.Conv2d:
        all_of = self.channels * self.groups
        return nn.Conv2d(all_of, all_of, kernel, padding=kernel // 2, groups=all_of, bias=False)


_SIMPLE: dict[str, Callable[[Scope], nn.Module]] = {
    "conv1": lambda scope: scope.conv(),
    "conv3": lambda scope: scope.conv(kernel=3),
    "depth3": lambda scope: scope.depthwise(3),
    "depth5": lambda scope: scope.depthwise(5),
    "batch_norm": lambda scope: nn.BatchNorm2d(scope.channels * scope.groups),
    "layer_norm": lambda scope: ChannelNorm(scope.channels, scope.groups),
    "gelu": lambda scope: nn.GELU(),
    "sigmoid": lambda scope: nn.Sigmoid(),
    "softmax": lambda scope: nn.Softmax(dim=-1),
    "max_pool": lambda scope: nn.MaxPool2d(3, stride=1, padding=1),
    "dropout": lambda scope: nn.Dropout(0.5),
    "mask": lambda scope: Mask(),
    "position_bias": lambda scope: PositionBias(scope.groups, scope.side),
    "identity": lambda scope: nn.Identity(),
    "zero": lambda scope: Zero(),
}


def sequence(body: Body, scope: Scope) -> nn.Sequential:
    """The modules of a sequence."""
    return nn.Sequential(*(_module(node, scope) for node in body))


def _module(node: Node, scope: Scope) -> nn.Module:
    kind, bodies, channels = node.kind, node.bodies, scope.channels
    if kind in _SIMPLE:
        return _SIMPLE[kind](scope)
    if kind == "attention":
        return Attention(bodies, scope)
    if kind == "split":
        return Split(bodies, scope)
    if kind in ("expand", "reduce"):
        inner = channels * FACTOR if kind == "expand" else channels // FACTOR
        return nn.Sequential(
            scope.conv(inner), sequence(bodies[0], scope.scaled(inner)), scope.scaled(inner).conv(channels)
        )
    if kind == "pool":
        return Pool(bodies[0], scope)
    return Fork(bodies, scope, gated=kind == "gate")


class Fork(nn.Module):
    """Two branches of the same features, added or one gating the other."""

    def __init__(self, bodies: tuple[Body, ...], scope: Scope, *, gated: bool) -> None:
        super().__init__()
        self.first, self.second = (sequence(body, scope) for body in bodies)
        self.gate = Gate() if gated else None

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.first(x), self.second(x)
        merged: Tensor = first + second if self.gate is None else self.gate(first, second)
        return merged


class Split(nn.Module):
    """Two branches of half of the channels each."""

    def __init__(self, bodies: tuple[Body, ...], scope: Scope) -> None:
        super().__init__()
        self.groups = scope.groups
        self.first, self.second = (sequence(body, scope.scaled(scope.channels // 2)) for body in bodies)

    def forward(self, x_BKHW: Tensor) -> Tensor:
        halves = torch.unflatten(x_BKHW, 1, (self.groups, 2, -1)).unbind(2)
        done = [
            run(half.flatten(1, 2)).unflatten(1, (self.groups, -1))
            for run, half in zip((self.first, self.second), halves, strict=True)
        ]
        return torch.cat(done, dim=2).flatten(1, 2)


class Pool(nn.Module):
    """A sequence on the mean over positions, given back to every position."""

    def __init__(self, body: Body, scope: Scope) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.body = sequence(body, scope)

    def forward(self, x_BKHW: Tensor) -> Tensor:
        means: Tensor = self.body(self.pool(x_BKHW))
        return means.expand_as(x_BKHW)


class Attention(nn.Module):
    """Attention between positions, with sequences on queries, keys, values, maps and outputs.

    The convolution gives queries, keys and values of the first head, then those of the second, and so on.
    """

    def __init__(self, bodies: tuple[Body, ...], scope: Scope) -> None:
        super().__init__()
        self.heads = scope.channels // HEAD
        self.groups = scope.groups * self.heads
        self.qkv = scope.conv(3 * scope.channels)
        each = heads_of(bodies)
        # Where heads have sequences of their own, those of one run on its groups alone.
        self.together = len(each) == 1
        inner = Scope(HEAD, self.groups if self.together else scope.groups, scope.side)
        self.cores = nn.ModuleList(_Core(head, inner) for head in each)

    def forward(self, x_BKHW: Tensor) -> Tensor:
        height, width = x_BKHW.shape[2:]
        qkv = self.qkv(x_BKHW)
        if self.together:
            out: Tensor = self.cores[0](*(each.flatten(1, 2) for each in self._parts(qkv, self.groups)))
            return out
        parts = self._parts(qkv, self.groups)
        outer = self.groups // self.heads
        by_head = [torch.unflatten(part, 1, (outer, self.heads)).unbind(2) for part in parts]
        done = [
            core(*(part.flatten(1, 2) for part in head)).unflatten(1, (outer, HEAD))
            for core, head in zip(self.cores, zip(*by_head, strict=True), strict=True)
        ]
        return torch.stack(done, dim=2).reshape(x_BKHW.shape[0], -1, height, width)

    @staticmethod
    def _parts(qkv: Tensor, groups: int) -> tuple[Tensor, ...]:
        """Queries, keys and values, each (B, G, C, H, W)."""
        return torch.unflatten(qkv, 1, (groups, 3, HEAD)).unbind(2)


class _Core(nn.Module):
    """What heads of one form do with their queries, keys and values (B, K, H, W)."""

    def __init__(self, bodies: tuple[Body, ...], scope: Scope) -> None:
        super().__init__()
        q, k, v, map_, out = bodies
        self.q, self.k, self.v = (sequence(body, scope) for body in (q, k, v))
        self.similarity = Similarity(scope.groups)
        self.map = sequence(map_, scope.scaled(1))
        self.weighted = Weighted()
        self.out = sequence(out, scope)
        self.square = any(isinstance(module, PositionBias) for module in self.map.modules())

    def forward(self, q_BKHW: Tensor, k_BKHW: Tensor, v_BKHW: Tensor) -> Tensor:
        if self.square and q_BKHW.shape[2] != q_BKHW.shape[3]:
            raise ValueError("a position bias is for square images")
        map_BGNN = self.map(self.similarity(self.q(q_BKHW), self.k(k_BKHW)))
        mixed: Tensor = self.out(self.weighted(map_BGNN, self.v(v_BKHW)))
        return mixed


class UniNASBlock(nn.Module):
    """x₁ = short(x) + S₁(norm₁(x)), y = x₁ + S₂(norm₂(x₁)).

    With stride 2 the mean of 2×2 pixels and a 1×1 convolution, where widths differ, come into both ways.
    """

    def __init__(self, block: Block, width_in: int, width: int, stride: int, side: int) -> None:
        super().__init__()
        first, second = block
        scope = Scope(width, 1, side)
        self.short = _halving(width_in, width) if stride == 2 else nn.Identity()
        self.norm1 = ChannelNorm(width_in)
        self.down = _halving(width_in, width) if stride == 2 else nn.Identity()
        self.half1 = sequence(first, scope)
        self.norm2 = ChannelNorm(width)
        self.half2 = sequence(second, scope)
        # What is zero whatever it is given need not be given anything.
        self.idle = second == (Node("zero"),)
        self.drop_path = 0.0

    def forward(self, x_BCHW: Tensor) -> Tensor:
        x_BCHW = self.short(x_BCHW) + self._path(self.half1(self.down(self.norm1(x_BCHW))))
        return x_BCHW if self.idle else x_BCHW + self._path(self.half2(self.norm2(x_BCHW)))

    def _path(self, y_BCHW: Tensor) -> Tensor:
        return drop_path(y_BCHW, self.drop_path) if self.drop_path and self.training else y_BCHW


def _halving(width_in: int, width: int) -> nn.Module:
    pool = nn.AvgPool2d(2, ceil_mode=True)
    return pool if width_in == width else nn.Sequential(pool, nn.Conv2d(width_in, width, 1))


class UniNASNetwork(Featured):
    """A stem of two 3×3 convolutions, blocks in stages, a norm, and a classifier of the channels' means.

    Args:
        arch: the architecture.
        num_classes: of the classifier.
        resolution: height and width of the images that tables of position biases are made for.

    Attributes:
        last_features: see `Featured`.
    """

    last_features = "norm"

    def __init__(self, arch: Architecture, num_classes: int, resolution: int) -> None:
        super().__init__()
        stem_1, width = arch.stem
        self.stem = nn.Sequential(
            nn.Conv2d(3, stem_1, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(stem_1),
            nn.GELU(),
            nn.Conv2d(stem_1, width, 3, padding=1, bias=False),
        )
        blocks = []
        for stage, out, side in zip(
            arch.blocks, arch.widths, sides(resolution, len(arch.widths)), strict=True
        ):
            for place, block in enumerate(stage):
                blocks.append(UniNASBlock(block, width, out, 1 if place else 2, side))
                width = out
        self.blocks = nn.ModuleList(blocks)
        self.norm = ChannelNorm(width)
        self.head = nn.Linear(width, num_classes)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Logits (B, classes) of images (B, 3, H, W)."""
        x_BCHW = self.stem(x_BCHW)
        for block in self.blocks:
            x_BCHW = block(x_BCHW)
        logits: Tensor = self.head(self.norm(x_BCHW).mean(dim=(2, 3)))
        return logits

    def drop_paths(self, share: float) -> None:
        """From now on drop the output of a block's S₁ and of its S₂ in training mode, image by image.

        The probability rises in a line, from 0 in the first block to `share` in the last (as in Swin).
        """
        for place, block in enumerate(self.blocks):
            block.drop_path = share * place / max(1, len(self.blocks) - 1)  # type: ignore[assignment]


def built(arch: Architecture, num_classes: int, resolution: int, name: str) -> UniNASNetwork:
    """The network with the authors' initialisation, which a name decides.

    Convolutions N(0, 2 / fan-out), those of queries, keys and values uniform as in Glorot & Bengio (2010),
    biases zero, and tables of positions N(0, 0.02²), truncated.
    """
    network = uninitialised(lambda: UniNASNetwork(arch, num_classes, resolution))
    coins = generator("uninas", name)
    glorot = {module.qkv for module in network.modules() if isinstance(module, Attention)}
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, Drawn):
                for kind, tensor in module.named_parameters(recurse=False):
                    tensor.copy_(module.drawn(kind, coins))
            elif isinstance(module, nn.Conv2d | nn.Linear):
                _initialise(module, coins, uniform=module in glorot)
            elif isinstance(module, nn.BatchNorm2d):
                module.reset_parameters()
    return network


def _initialise(module: nn.Conv2d | nn.Linear, coins: torch.Generator, *, uniform: bool) -> None:
    groups = module.groups if isinstance(module, nn.Conv2d) else 1
    fan_in = module.weight[0].numel()
    fan_out = module.weight[:, 0].numel() // groups
    if uniform:
        bound = math.sqrt(6 / (fan_in + fan_out))
        module.weight.uniform_(-bound, bound, generator=coins)
    else:
        module.weight.normal_(0, math.sqrt(2 / fan_out), generator=coins)
    if module.bias is not None:
        module.bias.zero_()
