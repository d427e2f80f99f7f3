"""Expressivity: how many directions a network's features fill, summed over its depth.

Lee & Ham, "AZ-NAS: Assembling Zero-Cost Proxies for Network Architecture Search", CVPR 2024.

    Σ_k S(φ_k)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from nasbench_eval.passes import Record
from nasbench_eval.proxies._features import FeatureProxy
from nasbench_eval.proxies.base import ProxyInfo


@dataclass(frozen=True)
class Expressivity(FeatureProxy):
    """Σ_k S(φ_k), k = 0..K."""

    info: ClassVar = ProxyInfo("expressivity", 1, "Lee & Ham 2024 (AZ-NAS)")

    def score(self, records: Sequence[Record]) -> dict[str, float]:
        return {"score": float(records[0]["entropies"].sum())}


PROXY = Expressivity
