"""Weight-gradient product: how large the weights are where the loss pulls at them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from nasbench_eval.passes import GradientObserver, PassSpec, Record
from nasbench_eval.proxies.base import Batch, ProxyInfo
from nasbench_eval.spaces import Network


@dataclass(frozen=True)
class WeightGradientProduct(Batch):
    """Σ ‖θ‖₂ · ‖g‖₂ over weight tensors."""

    info: ClassVar = ProxyInfo("weight_gradient_product", 1, "an example, 2026")

    def passes(self) -> tuple[PassSpec, ...]:
        return (PassSpec(self.forward(), "cross_entropy", "parameters"),)

    def observe(self, net: Network, spec: PassSpec) -> GradientObserver:
        return GradientObserver(net, lambda theta, g: theta.norm() * g.norm())

    def score(self, records: Sequence[Record]) -> dict[str, float]:
        return {"score": float(records[0]["tensors"].sum())}
