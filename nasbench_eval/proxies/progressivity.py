"""Progressivity: whether each block of a network adds directions to the features it is given.

Lee & Ham, "AZ-NAS: Assembling Zero-Cost Proxies for Network Architecture Search", CVPR 2024.

    min_k S(φ_k) − S(φ_{k−1})
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from nasbench_eval.passes import Record
from nasbench_eval.proxies._features import FeatureProxy
from nasbench_eval.proxies.base import ProxyInfo


@dataclass(frozen=True)
class Progressivity(FeatureProxy):
    """min_k S(φ_k) − S(φ_{k−1}), k = 1..K.  Without a block behind the stem there is none: NaN."""

    info: ClassVar = ProxyInfo("progressivity", 1, "Lee & Ham 2024 (AZ-NAS)")

    def score(self, records: Sequence[Record]) -> dict[str, float]:
        steps = records[0]["entropies"].diff()
        return {"score": float(steps.min()) if len(steps) else float("nan")}


PROXY = Progressivity
