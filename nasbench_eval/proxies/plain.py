"""Plain: the loss's slope along the weights themselves, signs kept.

Abdelfattah et al., "Zero-Cost Proxies for Lightweight NAS", ICLR 2021, whose code has it beside SNIP, which
takes absolute values; judged in Krishnakumar et al., "NAS-Bench-Suite-Zero", NeurIPS 2022.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from nasbench_eval.passes import GradientObserver, PassSpec, Record
from nasbench_eval.passes.spec import Init
from nasbench_eval.proxies.base import Batch, ProxyInfo
from nasbench_eval.spaces.base import Network


@dataclass(frozen=True)
class Plain(Batch):
    """Σ θ ⊙ g over weight tensors.

    Where batch norm in training mode follows a layer, the loss does not depend on the scale of the layer's
    weights, and θ·g is 0 but for batch norm's ε and rounding (Euler's theorem).  In such a network what is
    left is the classifier's ⟨W, ∂L/∂W⟩.
    """

    info: ClassVar = ProxyInfo("plain", 1, "Abdelfattah et al. 2021")
    init: Init = "torch_default"

    def passes(self) -> tuple[PassSpec, ...]:
        return (PassSpec(self.forward(), "cross_entropy", "parameters"),)

    def observe(self, net: Network, spec: PassSpec) -> GradientObserver:
        # In float64: terms of both signs nearly cancel behind batch norm.
        return GradientObserver(net, lambda theta, g: (theta.double() * g.double()).sum())

    def score(self, records: Sequence[Record]) -> dict[str, float]:
        return {"score": float(records[0]["tensors"].sum())}


PROXY = Plain
