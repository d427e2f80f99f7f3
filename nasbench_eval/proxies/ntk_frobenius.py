"""Frobenius norm of the NTK.

Xu et al., "KNAS: Green Neural Architecture Search", ICML 2021; Mok et al., "Demystifying the Neural Tangent
Kernel from a Practical Perspective", CVPR 2022.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from nasbench_eval.proxies._kernel import Kernel
from nasbench_eval.proxies.base import ProxyInfo


@dataclass(frozen=True)
class NTKFrobenius(Kernel):
    """‖Θ‖_F."""

    info: ClassVar = ProxyInfo("ntk_frobenius", 1, "Mok et al. 2022")

    def measure(self, kernel_BB: Tensor, labels_B: Tensor) -> float:
        return float(kernel_BB.square().sum().sqrt())


PROXY = NTKFrobenius
