"""SynFlow: how much flow the weights let through, seen without data.

Tanaka et al., "Pruning neural networks without any data by iteratively conserving synaptic flow", NeurIPS
2020, equation 1; `log_synflow` sums the logarithms of the tensors' flows, so that no single
tensor rules it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from nasbench_eval.networks.activations import HOMOGENEOUS
from nasbench_eval.networks.traits import Traits
from nasbench_eval.passes import ForwardSpec, GradientObserver, PassSpec, Record
from nasbench_eval.passes.spec import Init
from nasbench_eval.proxies.base import ProxyInfo, need, remark
from nasbench_eval.spaces.base import Network


@dataclass(frozen=True)
class Synflow:
    """Σ_i Σ |θ_i ⊙ ∂R/∂θ_i| over weight tensors, R = Σ outputs, with |θ|, input of ones, no batch norm.

    It runs in float64: in float32 the flow of deep cells overflows.  `log_synflow` is
    Σ_i log Σ |θ_i ⊙ ∂R/∂θ_i| over the tensors that let any flow through.

    Attributes:
        init: distribution of the weights: kaiming, torch_default or gaussian.
        resolution: height and width R of the input in pixels; null takes the data set's own.
    """

    info: ClassVar = ProxyInfo("synflow", 1, "Tanaka et al. 2020, equation 1", ("log_synflow",))
    init: Init = "kaiming"
    resolution: int | None = None

    def passes(self) -> tuple[PassSpec, ...]:
        forward = ForwardSpec(self.init, "ones", 1, self.resolution, bn="skip", float64=True, absolute=True)
        return (PassSpec(forward, "sum", "parameters"),)

    def readings(self, traits: Traits) -> list[str]:
        need(not traits.attention, "attention does not conserve flow")
        return [
            *remark("flow is not conserved by {}", traits.activations - HOMOGENEOUS),
            *remark("{} skipped as batch norm is", traits.other_norms),
            *remark("weights of {} left out", traits.made),
        ]

    def observe(self, net: Network, spec: PassSpec) -> GradientObserver:
        head = net.head_in_use()
        need(head is None or not head.saturates, "its outputs saturate, so that no flow comes back")
        return GradientObserver(net, lambda theta, g: (theta * g).abs().sum())

    def score(self, records: Sequence[Record]) -> dict[str, float]:
        flows = records[0]["tensors"]
        return {"log_synflow": float(flows[flows > 0].log().sum()), "score": float(flows.sum())}


PROXY = Synflow
