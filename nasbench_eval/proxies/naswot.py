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
        # With s = 2z − 1, z zᵀ + (1 − z)(1 − z)ᵀ = (s sᵀ + U) / 2; sums of ±1 are exact in float32 up to 2²⁴.
        s_BU = (x > 0).flatten(1).to(x.dtype).mul_(2).sub_(1)
        agreement_BB = (s_BU @ s_BU.T + s_BU.shape[1]) / 2
        self.kernel_BB = self.kernel_BB.to(x.device) + agreement_BB

    def record(self) -> Record:
        return {"kernel": self.kernel_BB.cpu()}


PROXY = Naswot
