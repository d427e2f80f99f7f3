"""Mean of the NTK: how far the gradients of different samples agree.

Xu et al., "KNAS: Green Neural Architecture Search", ICML 2021.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from nasbench_eval.proxies._kernel import Kernel
from nasbench_eval.proxies.base import ProxyInfo


@dataclass(frozen=True)
class NTKMean(Kernel):
    """Mean over all entries of Θ."""

    info: ClassVar = ProxyInfo("ntk_mean", 1, "Xu et al. 2021")

    def measure(self, kernel_BB: Tensor, labels_B: Tensor) -> float:
        return float(kernel_BB.mean())


PROXY = NTKMean
