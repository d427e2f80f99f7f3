"""NASWOT: how differently a network's ReLUs fire for different images.

Mellor et al., "Neural Architecture Search without Training", ICML 2021.

Tensor legend: B samples, U units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from nasbench_eval.errors import Undefined
from nasbench_eval.networks.activations import PIECEWISE
from nasbench_eval.networks.traits import Traits
from nasbench_eval.passes import Observer, PassSpec, Record, layers
from nasbench_eval.proxies.base import Batch, ProxyInfo, need, remark
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

    def readings(self, traits: Traits) -> list[str]:
        need(traits.activations, "it has no activations that can be seen")
        by_sign = remark("signs of the inputs of {}", traits.activations - PIECEWISE)
        return [*super().readings(traits), *by_sign]

    def score(self, records: Sequence[Record]) -> dict[str, float]:
        return {"score": float(torch.linalg.slogdet(records[0]["kernel"]).logabsdet)}


class _CodeObserver(Observer):
    def __init__(self, batch_size: int) -> None:
        self.kernel_BB = torch.zeros(batch_size, batch_size, dtype=torch.float64)

    def layers(self, net: Network) -> Mapping[str, nn.Module]:
        return layers(net, "relu")

    def on_layer(self, name: str, module: nn.Module, x: Tensor, y: Tensor) -> None:
        if len(x) != len(self.kernel_BB):
            raise Undefined(f"'{name}' does not have a row a sample")
        # Units in the order in which channels-last memory holds them: it does not matter, and spares a copy.
        active_BB = jointly_active(x.movedim(1, -1).flatten(1))
        active_B, units = active_BB.diagonal(), x[0].numel()
        # z zᵀ + (1 − z)(1 − z)ᵀ, multiplied out.
        agreement_BB = 2 * active_BB - active_B - active_B[:, None] + units
        self.kernel_BB = self.kernel_BB.to(x.device) + agreement_BB

    def record(self) -> Record:
        return {"kernel": self.kernel_BB.cpu()}


def jointly_active(x_BU: Tensor) -> Tensor:
    """z zᵀ in float64, how many units two samples both activate: exact, counts being below 2²⁴."""
    z_BU = torch.gt(x_BU, 0, out=torch.empty_like(x_BU))  # as numbers at once: truth values take longer
    if x_BU.device.type == "cpu" and _multiplies_bytes():
        z_BU = z_BU.to(torch.int8)
        return torch._int_mm(z_BU, z_BU.T).double()
    return (z_BU @ z_BU.T).double()


@lru_cache(maxsize=1)
def _multiplies_bytes() -> bool:
    """Whether this processor has instructions for products of bytes, four times as fast as floats'."""
    capabilities: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return hasattr(torch, "_int_mm") and bool(capabilities.get("avx512_vnni"))


PROXY = Naswot
