"""Gradient norm: how strongly the loss pulls at the weights.

Abdelfattah et al., "Zero-Cost Proxies for Lightweight NAS", ICLR 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from nasbench_eval.passes import GradientObserver, PassSpec, Record
from nasbench_eval.proxies.base import Batch, ProxyInfo
from nasbench_eval.spaces.base import Network


@dataclass(frozen=True)
class GradNorm(Batch):
    """Σ_i ‖g_i‖₂ over weight tensors.

    Attributes:
        reduction: `sum` of one norm a tensor, or one `global` norm over all entries.
    """

    info: ClassVar = ProxyInfo("grad_norm", 1, "Abdelfattah et al. 2021")
    reduction: Literal["sum", "global"] = "sum"

    def passes(self) -> tuple[PassSpec, ...]:
        return (PassSpec(self.forward(), "cross_entropy", "parameters"),)

    def observe(self, net: Network, spec: PassSpec) -> GradientObserver:
        return GradientObserver(net, lambda theta, g: g.norm())

    def score(self, records: Sequence[Record]) -> dict[str, float]:
        norms = records[0]["tensors"]
        return {"score": float(norms.sum() if self.reduction == "sum" else norms.norm())}


PROXY = GradNorm
