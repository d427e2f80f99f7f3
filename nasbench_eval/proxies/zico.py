"""ZiCo: how steady and how large a network's gradients are from one mini-batch to the next.

Li et al., "ZiCo: Zero-shot NAS via Inverse Coefficient of Variation on Gradients", ICLR 2023.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nasbench_eval.passes import Observer, PassSpec, Record, parameter_names
from nasbench_eval.passes.spec import Init
from nasbench_eval.proxies.base import Batch, ProxyInfo
from nasbench_eval.spaces.base import Network

# Tensor legend: b mini-batches, E entries of all weights.


@dataclass(frozen=True)
class Zico(Batch):
    """Σ_l log Σ_entries E_b|g_b| / σ_b(g_b) over layers l, b running over mini-batches.

    Entries whose gradients do not vary (σ = 0) are left out, and with them layers that no gradient reaches.

    Attributes:
        batches: mini-batches b, at least 2.
    """

    info: ClassVar = ProxyInfo("zico", 1, "Li et al. 2023")
    init: Init = "torch_default"
    batches: int = 2

    def __post_init__(self) -> None:
        if self.batches < 2:
            raise ValueError("zico compares mini-batches: it needs batches >= 2")

    def passes(self) -> tuple[PassSpec, ...]:
        return tuple(
            PassSpec(self.forward(batch=b), "cross_entropy", "parameters") for b in range(self.batches)
        )

    def observe(self, net: Network, spec: PassSpec) -> Observer:
        return _KeepGradients(parameter_names(net, "weights"))

    def score(self, records: Sequence[Record]) -> dict[str, float]:
        g_bE = torch.stack([record["gradients"] for record in records])
        if not g_bE.isfinite().all():
            return {"score": math.nan}
        sigma_E = deviation(g_bE)
        quotient_E = (g_bE.abs().mean(dim=0) / sigma_E).double()
        layers = zip(
            *(torch.split(each, records[0]["entries"]) for each in (quotient_E, sigma_E)), strict=True
        )
        quotients = torch.stack([quotient[sigma > 0].sum() for quotient, sigma in layers])
        total = 0.0
        for logarithm in quotients[quotients > 0].log().tolist():
            total += logarithm
        return {"score": total}


def deviation(g_b: Tensor) -> Tensor:
    """σ over the first dimension, population, by Welford's recurrence in float64.

    To the bit what `Tensor.std` gives, which takes 25 times as long to walk down a short first dimension.
    """
    mean = g_b[0].double()
    squares = torch.zeros_like(mean)
    for n, g in enumerate(g_b[1:], start=2):
        difference = g - mean
        mean = mean + difference / n
        squares += difference * (g - mean)
    return (squares / len(g_b)).sqrt().to(g_b.dtype)


class _KeepGradients(Observer):
    """The mini-batches' gradients have to be kept whole: σ is taken entry by entry."""

    def __init__(self, names: frozenset[str]) -> None:
        self.names = names
        self.gradients: list[Tensor] = []

    def on_parameter(self, name: str, parameter: Tensor, gradient: Tensor) -> None:
        if name in self.names:
            self.gradients.append(gradient.flatten())

    def record(self) -> Record:
        return {"gradients": torch.cat(self.gradients), "entries": [len(g) for g in self.gradients]}


PROXY = Zico
