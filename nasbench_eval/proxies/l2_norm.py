"""L2 norm: how long the weight tensors are as drawn.

Abdelfattah et al., "Zero-Cost Proxies for Lightweight NAS", ICLR 2021, whose code has it as a baseline;
judged in Krishnakumar et al., "NAS-Bench-Suite-Zero", NeurIPS 2022.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from nasbench_eval.networks.traits import Traits
from nasbench_eval.passes import ForwardSpec, Observer, PassSpec, Record, parameter_names, parameters, stack
from nasbench_eval.passes.spec import Init
from nasbench_eval.proxies.base import Batch, ProxyInfo
from nasbench_eval.spaces.base import Network


@dataclass(frozen=True)
class L2Norm:
    """Σ ‖θ‖₂ over weight tensors.

    A tensor of C outputs has a norm close to its expectation, √(2C) with `kaiming` and √(C/3) with
    `torch_default`, so that the score is about Σ √C over the layers: a size of the network, not of its draw.

    Attributes:
        init: distribution of the weights: kaiming, torch_default or gaussian; keep takes those of a network
            of one's own.
    """

    info: ClassVar = ProxyInfo("l2_norm", 1, "Abdelfattah et al. 2021")
    init: Init = "kaiming"

    def passes(self) -> tuple[PassSpec, ...]:
        return (PassSpec(ForwardSpec(self.init, "ones", 1, bn="eval"), "logits"),)

    def observe(self, net: Network, spec: PassSpec) -> Observer:
        return _NormObserver(net)

    def readings(self, traits: Traits) -> list[str]:
        """How it is read on networks with weights that no draw sets, as any proxy on drawn weights is."""
        return Batch(init=self.init).readings(traits)

    def score(self, records: Sequence[Record]) -> dict[str, float]:
        return {"score": float(records[0]["norms"].sum())}


class _NormObserver(Observer):
    """The weights are those of the pass as soon as it is asked for."""

    def __init__(self, net: Network) -> None:
        wanted = parameter_names(net, "weights")
        with torch.no_grad():
            self.norms = [p.detach().norm() for name, p in parameters(net).items() if name in wanted]

    def record(self) -> Record:
        return {"norms": stack(self.norms)}


PROXY = L2Norm
