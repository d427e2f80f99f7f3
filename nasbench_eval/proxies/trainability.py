"""Trainability: whether gradients keep their size on the way back through each block.

Lee & Ham, "AZ-NAS: Assembling Zero-Cost Proxies for Network Architecture Search", CVPR 2024.

    mean_k (2 − s_k − 1/s_k),  s_k the largest singular value of E[g_inᵀ g_out]

Tensor legend: B samples, C channels of a block's output, D channels of its input once unshuffled, H height,
W width, N = B·H·W positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasbench_eval.errors import Undefined
from nasbench_eval.networks.traits import Traits
from nasbench_eval.passes import Observer, PassSpec, Record
from nasbench_eval.passes.spec import Source
from nasbench_eval.proxies.base import NO_BLOCKS, Batch, ProxyInfo, need
from nasbench_eval.spaces.base import Network


@dataclass(frozen=True)
class Trainability(Batch):
    """mean_k (2 − s_k − 1/s_k) over the cells and reduction blocks, 0 being the best there is.

    s_k is the largest singular value of the mean over samples and positions of g_inᵀ g_out, g_out a random ±1
    gradient of a block's output and g_in what it makes of its input's.  Where a block lowers the resolution,
    the positions of the input that share one of the output count as channels.

    A block that hands every gradient back as it is does nothing at all: −inf, though its s is near one.  A
    block that hands none back has s = 0: −inf too.  One such block makes the mean −inf.
    """

    info: ClassVar = ProxyInfo("trainability", 2, "Lee & Ham 2024 (AZ-NAS)")
    input: Source = "gaussian"

    def passes(self) -> tuple[PassSpec, ...]:
        return (PassSpec(self.forward(), "features", "blocks"),)

    def observe(self, net: Network, spec: PassSpec) -> Observer:
        return _BlockObserver()

    def readings(self, traits: Traits) -> list[str]:
        need(traits.blocks, NO_BLOCKS)
        return super().readings(traits)

    def score(self, records: Sequence[Record]) -> dict[str, float]:
        s = records[0]["singular_values"]
        values = torch.where(records[0]["identical"], -torch.inf, 2 - s - 1 / s)
        return {"score": float(values.mean())}


def correlation(g_in: Tensor, g_out: Tensor) -> Tensor:
    """E[g_inᵀ g_out] (D, C), the mean over samples and the positions of g_out.

    Raises Undefined where the resolution of g_in is no multiple of that of g_out.
    """
    ratio = g_in.shape[2] // g_out.shape[2]
    if [ratio * size for size in g_out.shape[2:]] != list(g_in.shape[2:]):
        raise Undefined(f"a block takes {tuple(g_in.shape[2:])} positions to {tuple(g_out.shape[2:])}")
    if ratio > 1 and g_in.ndim != 4:
        raise Undefined("a block lowers the number of tokens, which are on no grid")
    g_in = F.pixel_unshuffle(g_in, ratio) if ratio > 1 else g_in
    g_ND, g_NC = (g.movedim(1, -1).reshape(-1, g.shape[1]) for g in (g_in, g_out))
    return g_ND.T @ g_NC / len(g_NC)


class _BlockObserver(Observer):
    def __init__(self) -> None:
        self.correlations: list[Tensor] = []
        self.identical: list[bool] = []

    def on_block_gradient(self, name: str, block: nn.Module, g_in: Tensor, g_out: Tensor) -> None:
        self.correlations.append(correlation(g_in, g_out))
        # One sample tells nearly all blocks: only where it is handed back do the others have to be looked at.
        same = g_in.shape == g_out.shape and torch.equal(g_in[0], g_out[0]) and torch.equal(g_in, g_out)
        self.identical.append(same)

    def record(self) -> Record:
        # On the CPU, where singular values of small matrices are cheaper.
        values = [_largest_singular_value(each.cpu().double()) for each in self.correlations]
        return {
            "singular_values": torch.tensor(values, dtype=torch.float64),
            "identical": torch.tensor(self.identical, dtype=torch.bool),
        }


def _largest_singular_value(matrix: Tensor) -> float:
    return float(torch.linalg.svdvals(matrix)[0]) if matrix.isfinite().all() else float("nan")


PROXY = Trainability
