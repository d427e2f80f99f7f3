"""GraSP: how much the gradient's norm would change if single weights were taken away.

Wang et al., "Picking Winning Tickets Before Training by Preserving Gradient Flow", ICLR 2020;
sign and sum as in Abdelfattah et al. 2021, equation 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from nasbench_eval.passes import Observer, PassSpec, Record
from nasbench_eval.proxies.base import Batch, ProxyInfo
from nasbench_eval.spaces.base import Network


@dataclass(frozen=True)
class Grasp(Batch):
    """−Σ θ ⊙ (Hg) over weight tensors, Hg = ∂⟨stopgrad(g), g⟩/∂θ."""

    info: ClassVar = ProxyInfo("grasp", 2, "Wang et al. 2020; Abdelfattah et al. 2021, equation 1")

    def passes(self) -> tuple[PassSpec, ...]:
        return (PassSpec(self.forward(), "cross_entropy", "curvature"),)

    def observe(self, net: Network, spec: PassSpec) -> Observer:
        return _CurvatureObserver()

    def score(self, records: Sequence[Record]) -> dict[str, float]:
        return {"score": -records[0]["curvature"]}


class _CurvatureObserver(Observer):
    def on_curvature(self, value: Tensor) -> None:
        self.value = value

    def record(self) -> Record:
        return {"curvature": float(self.value)}


PROXY = Grasp
