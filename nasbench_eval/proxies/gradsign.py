"""GradSign: whether samples agree on the direction in which each weight should move.

Zhang & Jia, "GradSign: Model Performance Inference with Theoretical Insights", ICLR 2022.

    Σ over weight entries of |Σ_n sign(g^(n))|

Tensor legend: B samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from nasbench_eval.passes import Observer, PassSpec, Record, parameter_names, stack
from nasbench_eval.passes.spec import Init
from nasbench_eval.proxies.base import Batch, ProxyInfo
from nasbench_eval.spaces.base import Network


@dataclass(frozen=True)
class GradSign(Batch):
    """Σ over the entries of all weights of |Σ_n sign(g^(n))|, g^(n) by sample n's own cross-entropy.

    The columns `total` and `mean` are both readings: the sum, and the sum divided by the number of entries.

    A gradient of exactly zero has sign 0: weights that no path leads to count, with nothing.

    Attributes:
        reduction: over the entries: their `sum`, as in the paper and in its authors' code; or their `mean`,
            as in the copies of AZ-NAS and VKDNW.
        bn: `alone`, each sample by itself in training mode, as in the authors' code, which runs batches of
            one; `train`, the batch's statistics, so that each sample's loss depends on the others; or `eval`,
            the running statistics untouched (mean 0, variance 1).
    """

    info: ClassVar = ProxyInfo("gradsign", 3, "Zhang & Jia 2022", ("total", "mean"))
    init: Init = "torch_default"
    bn: Literal["alone", "train", "eval"] = "alone"
    reduction: Literal["sum", "mean"] = "sum"

    def passes(self) -> tuple[PassSpec, ...]:
        return (PassSpec(self.forward(bn=self.bn), "cross_entropy", "samples"),)

    def observe(self, net: Network, spec: PassSpec) -> Observer:
        return _SignObserver(net)

    def score(self, records: Sequence[Record]) -> dict[str, float]:
        total = float(records[0]["tensors"].sum())
        mean = total / records[0]["entries"]
        return {"total": total, "mean": mean, "score": total if self.reduction == "sum" else mean}


class _SignObserver(Observer):
    samples_of = "weights"

    def __init__(self, net: Network) -> None:
        self.names = parameter_names(net, "weights")
        self.values: list[Tensor] = []
        self.entries = 0

    def on_sample_gradient(self, name: str, parameter: Tensor, gradient_B: Tensor) -> None:
        if name not in self.names:
            return
        self.entries += parameter.numel()
        agreement = gradient_B.sign().sum(dim=0).abs().sum(dtype=torch.float64)
        # PyTorch gives NaN the sign 0, which would pass for a vanishing gradient.
        self.values.append(torch.where(gradient_B.amax().isnan(), torch.nan, agreement))

    def record(self) -> Record:
        return {"tensors": stack(self.values), "entries": self.entries}


PROXY = GradSign
