"""SNIP: how much the loss would change if single weights were taken away.

Lee et al., "SNIP: Single-shot Network Pruning based on Connection Sensitivity", ICLR 2019, summed over the
network as in Abdelfattah et al. 2021, equation 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from nasbench_eval.passes import GradientObserver, PassSpec, Record
from nasbench_eval.proxies.base import Batch, ProxyInfo
from nasbench_eval.spaces.base import Network


@dataclass(frozen=True)
class Snip(Batch):
    """Σ |θ ⊙ g| over weight tensors."""

    info: ClassVar = ProxyInfo("snip", 1, "Lee et al. 2019; Abdelfattah et al. 2021, equation 1")

    def passes(self) -> tuple[PassSpec, ...]:
        return (PassSpec(self.forward(), "cross_entropy", "parameters"),)

    def observe(self, net: Network, spec: PassSpec) -> GradientObserver:
        return GradientObserver(net, lambda theta, g: (theta * g).abs().sum())

    def score(self, records: Sequence[Record]) -> dict[str, float]:
        return {"score": float(records[0]["tensors"].sum())}


PROXY = Snip
