"""VKDNW, single: the size of a network, and among networks of one size the entropy of VKDNW.

Týbl & Neumann, "Training-free Neural Architecture Search through Variance of Knowledge of Deep Network
Weights", CVPR 2025.

    size + vkdnw
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from nasbench_eval.passes import Record
from nasbench_eval.proxies.base import ProxyInfo
from nasbench_eval.proxies.vkdnw import Vkdnw, decile_entropy


@dataclass(frozen=True)
class VkdnwSingle(Vkdnw):
    """Size plus the entropy of `vkdnw`, which is at most log 9: size decides first.

    Attributes:
        size: `tensors`, the number of parameter tensors, as in the authors' code; or `layers`, that of layers
            with parameters (convolutions, batch norms, linear), as in the paper.  All of them count, however
            many tensors go into the entropy.
    """

    info: ClassVar = ProxyInfo("vkdnw_single", 1, "Týbl & Neumann 2025", ("entropy", "size"))
    size: Literal["tensors", "layers"] = "tensors"

    def score(self, records: Sequence[Record]) -> dict[str, float]:
        size, entropy = float(records[0][self.size]), decile_entropy(records[0]["fisher"])
        return {"entropy": entropy, "size": size, "score": size + entropy}


PROXY = VkdnwSingle
