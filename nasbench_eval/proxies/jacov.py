"""Jacobian covariance: how little the network's local linear maps at different images resemble each other.

Mellor et al., "Neural Architecture Search without Training", first version (arXiv 2006.04647v1);
Abdelfattah et al. 2021 call it jacob_cov.

Tensor legend: B samples, D input entries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nasbench_eval.passes import Observer, PassSpec, Record
from nasbench_eval.proxies.base import Batch, ProxyInfo
from nasbench_eval.spaces.base import Network


@dataclass(frozen=True)
class Jacov(Batch):
    """−Σ_i [log(v_i + k) + 1 / (v_i + k)], v the eigenvalues of the correlation matrix of ∂Σ_k f_k/∂x_n.

    A network that passes no signal has no correlation: the score is NaN.

    Attributes:
        k: keeps the logarithm and the quotient finite at v = 0.
    """

    info: ClassVar = ProxyInfo("jacov", 1, "Mellor et al. 2020 (arXiv 2006.04647v1)")
    k: float = 1e-5

    def passes(self) -> tuple[PassSpec, ...]:
        return (PassSpec(self.forward(), "sum", "input"),)

    def observe(self, net: Network, spec: PassSpec) -> Observer:
        return _JacobianObserver()

    def score(self, records: Sequence[Record]) -> dict[str, float]:
        correlation_BB = records[0]["correlation"]
        if not torch.isfinite(correlation_BB).all():
            return {"score": float("nan")}
        v = torch.linalg.eigvalsh(correlation_BB) + self.k
        return {"score": -float((v.log() + 1 / v).sum())}


class _JacobianObserver(Observer):
    def on_input(self, gradient_BCHW: Tensor) -> None:
        self.correlation_BB = torch.corrcoef(gradient_BCHW.flatten(1).double())

    def record(self) -> Record:
        return {"correlation": self.correlation_BB.cpu()}


PROXY = Jacov
