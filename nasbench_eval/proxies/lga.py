"""Label-gradient alignment: whether the NTK calls those samples alike that share a label.

Mok et al., "Demystifying the Neural Tangent Kernel from a Practical Perspective: Can it be trusted for Neural
Architecture Search without training?", CVPR 2022.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nasbench_eval.proxies._kernel import ROUNDING, Kernel
from nasbench_eval.proxies.base import ProxyInfo


@dataclass(frozen=True)
class LGA(Kernel):
    """⟨Θ − μ_Θ, Y − μ_Y⟩ / (‖Θ − μ_Θ‖ · ‖Y − μ_Y‖), Y_nm = 1 where the labels of n and m agree, else 0.

    A constant Θ or Y aligns with nothing: the score is NaN.
    """

    info: ClassVar = ProxyInfo("lga", 1, "Mok et al. 2022")

    def measure(self, kernel_BB: Tensor, labels_B: Tensor) -> float:
        same_BB = (labels_B[:, None] == labels_B[None, :]).double()
        centred_BB, target_BB = kernel_BB - kernel_BB.mean(), same_BB - same_BB.mean()
        if torch.linalg.norm(centred_BB) <= ROUNDING * torch.linalg.norm(kernel_BB):
            return float("nan")
        norms = torch.linalg.norm(centred_BB) * torch.linalg.norm(target_BB)
        return float((centred_BB * target_BB).sum() / norms)


PROXY = LGA
