"""NASWOT: how differently a network's ReLUs fire for different images.

Mellor et al., "Neural Architecture Search without Training", ICML 2021.

Tensor legend: B samples, U units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from nasbench_eval.passes import Observer, PassSpec, Record, layers
from nasbench_eval.proxies.base import Batch, ProxyInfo
from nasbench_eval.spaces.base import Network


@dataclass(frozen=True)
class Naswot(Batch):
    """log |det K|, K = Σ (z zᵀ + (1 − z)(1 − z)ᵀ) over ReLU layers, z their binary codes.

    A singular K (two images with one code) gives −inf.
    """

    info: ClassVar = ProxyInfo("naswot", 1, "Mellor et al. 2021")

    def passes(self) -> tuple[PassSpec, ...]:
        return (PassSpec(self.forward()),)

    def observe(self, net: Network, spec: PassSpec) -> Observer:
        return _CodeObserver(spec.forward.batch_size)

    def score(self, records: Sequence[Record]) -> dict[str, float]:
        return {"score": float(torch.linalg.slogdet(records[0]["kernel"]).logabsdet)}


class _CodeObserver(Observer):
    def __init__(self, batch_size: int) -> None:
        self.kernel_BB = torch.zeros(batch_size, batch_size, dtype=torch.float64)

    def layers(self, net: Network) -> Mapping[str, nn.Module]:
        return layers(net, "relu")

    def on_layer(self, name: str, module: nn.Module, x: Tensor, y: Tensor) -> None:
        # Units in the order in which channels-last memory holds them: it does not matter, and spares a copy.
        z_BU = x.movedim(1, -1).flatten(1)
        z_BU = torch.gt(z_BU, 0, out=torch.empty_like(z_BU))
        active_B = z_BU.sum(1)
        # z zᵀ + (1 − z)(1 − z)ᵀ, multiplied out; counts are exact in float32 up to 2²⁴.
        agreement_BB = 2 * (z_BU @ z_BU.T) - active_B - active_B[:, None] + z_BU.shape[1]
        self.kernel_BB = self.kernel_BB.to(x.device) + agreement_BB

    def record(self) -> Record:
        return {"kernel": self.kernel_BB.cpu()}


PROXY = Naswot
