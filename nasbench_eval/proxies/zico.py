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
        total = 0.0
        for name in records[0]["gradients"]:
            g_b = torch.stack([record["gradients"][name] for record in records])
            if not g_b.isfinite().all():
                return {"score": math.nan}
            sigma = deviation(g_b)
            quotient = (g_b.abs().mean(dim=0) / sigma)[sigma > 0].double().sum()
            total += float(quotient.log()) if quotient > 0 else 0.0
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
        self.gradients: dict[str, Tensor] = {}

    def on_parameter(self, name: str, parameter: Tensor, gradient: Tensor) -> None:
        if name in self.names:
            self.gradients[name] = gradient.clone()

    def record(self) -> Record:
        return {"gradients": self.gradients}


PROXY = Zico
