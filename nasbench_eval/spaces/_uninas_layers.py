"""Layers of the UniNAS space that PyTorch has not, of one tensor or of two.

Tensor legend: B batch, G groups, C channels of a group, K = G·C, H height, W width, N = H·W positions.
"""

from __future__ import annotations

from math import isqrt

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasbench_eval.spaces._network import Drawn, Product

EPSILON = 1e-6
# How far apart the places of two positions may be for `mask` to keep their weight.
BAND = 5


class _GroupNorms(nn.LayerNorm):
    """Layer norms of several groups of channels at once: of (..., G, C) over C, each with its own weights."""

    def forward(self, x: Tensor) -> Tensor:
        assert self.weight is not None
        return F.layer_norm(x, self.normalized_shape[1:], eps=self.eps) * self.weight + self.bias


class ChannelNorm(nn.Module):
    """Layer norm over the channels of each group, at every position."""

    def __init__(self, channels: int, groups: int = 1) -> None:
        super().__init__()
        self.groups = groups
        shape = (channels,) if groups == 1 else (groups, channels)
        self.norm = (nn.LayerNorm if groups == 1 else _GroupNorms)(shape, eps=EPSILON)

    def forward(self, x_BKHW: Tensor) -> Tensor:
        x_BHWK = x_BKHW.movedim(1, -1)
        if self.groups > 1:
            normed: Tensor = self.norm(torch.unflatten(x_BHWK, -1, (self.groups, -1))).flatten(-2)
        else:
            normed = self.norm(x_BHWK)
        return normed.movedim(-1, 1)


class Zero(nn.Module):
    """Zeros."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)


class Mask(nn.Module):
    """Zero where the places of row and column differ by more than `BAND`."""

    def forward(self, x: Tensor) -> Tensor:
        ones = x.new_ones(x.shape[-2:])
        return x * ones.tril(BAND).triu(-BAND)


class PositionBias(Drawn):
    """A bias of each head for each offset between two positions; all channels of a head share it.

    On maps of features smaller than those it was built for it takes the offsets there are; on larger ones the
    farthest stand for those beyond.
    """

    STD = 0.02

    def __init__(self, groups: int, side: int) -> None:
        super().__init__()
        self.side = side
        self.table = nn.Parameter(torch.zeros(groups, 2 * side - 1, 2 * side - 1))

    def drawn(self, kind: str, coins: torch.Generator) -> Tensor:
        """Truncated at two standard deviations."""
        values = torch.empty(self.table.shape)
        nn.init.trunc_normal_(values, std=self.STD, a=-2 * self.STD, b=2 * self.STD, generator=coins)
        return values

    def first_entries(self, x: Tensor, gradient: Tensor) -> dict[str, Tensor]:
        """The first is of the first head, and of the farthest offset up and to the left."""
        side = _side(gradient.shape[-1])
        places = torch.arange(side, device=gradient.device)
        far_YV = (places[:, None] - places >= self.side - 1).to(gradient)
        of_first_BNN = gradient[:, : gradient.shape[1] // len(self.table)].sum(1)
        maps_BYXVW = of_first_BNN.reshape(-1, side, side, side, side)
        return {"table": torch.einsum("byxvw,yv,xw->b", maps_BYXVW, far_YV, far_YV).double()}

    def forward(self, map_BKNN: Tensor) -> Tensor:
        n = map_BKNN.shape[-1]
        side = _side(n)
        table = self._of_side(side)
        # Entry (i, j) of the windows begins at the offset of position (side-1-i, side-1-j).
        windows: Tensor = table.unfold(1, side, 1).unfold(2, side, 1)
        bias_GNN = windows.flip(1, 2).reshape(-1, n, n)
        biased: Tensor = map_BKNN + bias_GNN.repeat_interleave(map_BKNN.shape[1] // len(bias_GNN), 0)
        return biased

    def _of_side(self, side: int) -> Tensor:
        more = side - self.side
        if more > 0:
            return F.pad(self.table, (more,) * 4, mode="replicate")
        return self.table[:, -more : 2 * self.side - 1 + more, -more : 2 * self.side - 1 + more]


def _side(n: int) -> int:
    """Height and width of so many positions."""
    side = isqrt(n)
    if side**2 != n:
        raise ValueError(f"a position bias is for square images, not for {n} positions")
    return side


class Similarity(Product):
    """qᵀk / √C of each group, for all pairs of positions: maps (B, G, N, N) of features (B, K, H, W)."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, q_BKHW: Tensor, k_BKHW: Tensor) -> Tensor:
        q_BGCN, k_BGCN = (_by_group(x, self.groups) for x in (q_BKHW, k_BKHW))
        map_BGNN: Tensor = (q_BGCN * q_BGCN.shape[2] ** -0.5).mT @ k_BGCN
        return map_BGNN

    def summed(self, x: Tensor) -> int:
        return x.shape[1] // self.groups


class Weighted(Product):
    """Values (B, K, H, W) weighed by the maps (B, G, N, N) of their groups."""

    def forward(self, map_BGNN: Tensor, v_BKHW: Tensor) -> Tensor:
        mixed_BGCN = _by_group(v_BKHW, map_BGNN.shape[1]) @ map_BGNN.mT
        return mixed_BGCN.reshape(v_BKHW.shape)

    def summed(self, x: Tensor) -> int:
        return x.shape[-1]


def _by_group(x_BKHW: Tensor, groups: int) -> Tensor:
    """(B, G, C, N)."""
    return torch.unflatten(x_BKHW, 1, (groups, -1)).flatten(3)


class Gate(nn.Module):
    """Features times the sigmoid of others."""

    def forward(self, x: Tensor, gate: Tensor) -> Tensor:
        return x * gate.sigmoid()
