"""EPE-NAS: how a network's local linear maps at images of one class resemble each other, class by class.

Lopes, Alirezazadeh & Alexandre, "EPE-NAS: Efficient Performance Estimation Without Training for Neural
Architecture Search", ICANN 2021; as in Krishnakumar et al., "NAS-Bench-Suite-Zero", NeurIPS 2022.

    s_c = Σ_ij log(|r_ij| + k), r the correlations between the Jacobians of the images of class c
    score = Σ_c |s_c|                            up to 100 classes in the data set
            mean_c Σ_d |s_c / n_c − s_d / n_d|   above, n_c the images of class c

Tensor legend: B samples, K classes of the batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from nasbench_eval.passes import Observer, PassSpec, Record
from nasbench_eval.proxies.base import Batch, ProxyInfo
from nasbench_eval.spaces.base import Network

# Classes of a data set up to which the classes are added up; above they are compared.
ADDED = 100


@dataclass(frozen=True)
class EpeNas(Batch):
    """Σ_c |s_c|, or above 100 classes the mean over c of Σ_d |s_c/n_c − s_d/n_d|; J_n = ∂Σ_k f_k/∂x_n.

    A network that passes no signal has no correlations: the score is NaN.  So it is above 100 classes where
    the batch has fewer than two classes to compare.

    Attributes:
        k: keeps the logarithm finite where two Jacobians are uncorrelated.
        single: what becomes of classes with one image in the batch, whose s_c is log(1 + k).  The authors'
            code has them up to 100 classes, where they are the same few 1e-5 for every network, and leaves
            them out above: so does `omit`.  `count` compares them as well.
    """

    info: ClassVar = ProxyInfo("epe_nas", 1, "Lopes et al. 2021")
    least_samples: ClassVar = 64  # among so few of 120 classes, several repeat
    k: float = 1e-5
    single: Literal["omit", "count"] = "omit"

    def passes(self) -> tuple[PassSpec, ...]:
        return (PassSpec(self.forward(), "sum", "input"),)

    def observe(self, net: Network, spec: PassSpec) -> Observer:
        return _ClassObserver(net.classifier.out_features)

    def score(self, records: Sequence[Record]) -> dict[str, float]:
        correlation_BB, labels_B = records[0]["correlation"], records[0]["labels"]
        if not torch.isfinite(correlation_BB).all():
            return {"score": float("nan")}
        logs_BB = (correlation_BB.abs() + self.k).log()
        logs_BB.fill_diagonal_(math.log1p(self.k))  # rounding would tell apart classes of one image
        members_KB = labels_B == labels_B.unique()[:, None]
        added = records[0]["classes"] <= ADDED
        if self.single == "omit" and not added:
            members_KB = members_KB[members_KB.sum(1) > 1]
        sums_K = ((members_KB.double() @ logs_BB) * members_KB).sum(1)
        if added:
            return {"score": float(sums_K.abs().sum())}
        if len(sums_K) < 2:
            return {"score": float("nan")}
        means_K = sums_K / members_KB.sum(1)
        return {"score": float((means_K[:, None] - means_K).abs().sum() / len(means_K))}


class _ClassObserver(Observer):
    def __init__(self, classes: int) -> None:
        self.classes = classes

    def on_labels(self, labels_B: Tensor) -> None:
        self.labels_B = labels_B

    def on_input(self, gradient_BCHW: Tensor) -> None:
        # Correlations are between two rows each: those of a class are a block of those of the batch.
        self.correlation_BB = torch.corrcoef(gradient_BCHW.flatten(1).double())

    def record(self) -> Record:
        return {
            "correlation": self.correlation_BB.cpu(),
            "labels": self.labels_B.cpu(),
            "classes": self.classes,
        }


PROXY = EpeNas
