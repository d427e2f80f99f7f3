"""NTK condition number: how evenly gradient descent learns in all directions; smaller is better.

Chen et al., "Neural Architecture Search on ImageNet in Four GPU Hours: A Theoretically Inspired Perspective"
(TE-NAS), ICLR 2021, section 3.1.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nasbench_eval.proxies._kernel import ROUNDING, Kernel
from nasbench_eval.proxies.base import ProxyInfo


@dataclass(frozen=True)
class NTKCondition(Kernel):
    """−λ_max / λ_min of Θ; −∞ where Θ is singular to the precision of its gradients."""

    info: ClassVar = ProxyInfo("ntk_condition", 1, "Chen et al. 2021, section 3.1.1")

    def measure(self, kernel_BB: Tensor, labels_B: Tensor) -> float:
        if not torch.isfinite(kernel_BB).all():
            return float("nan")
        eigenvalues = torch.linalg.eigvalsh(kernel_BB)
        smallest, largest = float(eigenvalues[0]), float(eigenvalues[-1])
        if smallest <= ROUNDING * largest:
            return float("-inf")
        return -largest / smallest


PROXY = NTKCondition
