"""How far the kernel of a network moves from where it was drawn while the network trains.

Θ_0 is the kernel of the untrained network and Θ_k that of the same network after k epochs, both on the same
mini-batch.  Scores of an untrained kernel take Θ_0 to say something about training, which it does in full
where the kernel stays as it is.  Mok et al. 2022 find that it does not in practice.

    alignment  A = ⟨HΘ_kH, HΘ_0H⟩ / (‖HΘ_kH‖ · ‖HΘ_0H‖),  H = I − 11ᵀ/B
    distance   ‖Θ_k − Θ_0‖ / ‖Θ_0‖
    norm ratio ‖Θ_k‖ / ‖Θ_0‖

All norms are Frobenius norms.

Mok et al., "Demystifying the Neural Tangent Kernel from a Practical Perspective: Can it be trusted for Neural
Architecture Search without training?", CVPR 2022.  Centred alignment: Cortes et al., "Algorithms for Learning
Kernels Based on Centered Alignment", JMLR 13, 2012, definition 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nasbench_eval.passes import PassSpec, Record
from nasbench_eval.proxies._kernel import ROUNDING, Kernel
from nasbench_eval.proxies.base import ProxyInfo


@dataclass(frozen=True)
class NTKEvolution(Kernel):
    """Centred alignment of the kernels before and after training: 1 where the kernel kept its shape.

    The columns are the alignment (`cka`), the `distance` and the `norm_ratio`, each the mean over
    mini-batches.  With `epochs=0` they are 1, 0 and 1.  A kernel that is the same for all pairs of samples
    aligns with nothing: the score is NaN.

    With `bn=eval` the kernel before training is that of untouched running statistics and the one after it
    that of the statistics that the training left, so that the kernel also changes by these.
    """

    info: ClassVar = ProxyInfo(
        "ntk_evolution", 1, "after Mok et al. 2022", columns=("cka", "distance", "norm_ratio")
    )
    epochs: int = 1

    def passes(self) -> tuple[PassSpec, ...]:
        """The passes before training, one a mini-batch, then those after it."""
        before = self.kernels(None)
        return before + self.kernels(self._training()) if self.epochs else before

    def score(self, records: Sequence[Record]) -> dict[str, float]:
        kernels = [record["kernel"] for record in records]
        pairs = zip(kernels[: self.batches], kernels[-self.batches :], strict=True)
        found = torch.tensor([_compared(*pair) for pair in pairs], dtype=torch.float64).mean(dim=0)
        columns = dict(zip(self.info.columns, found.tolist(), strict=True))
        return {**columns, "score": columns["cka"]}


def _compared(before_BB: Tensor, after_BB: Tensor) -> tuple[float, float, float]:
    """Alignment, relative distance and ratio of norms of two kernels."""
    norm = torch.linalg.norm(before_BB)
    distance, ratio = (float(torch.linalg.norm(t) / norm) for t in (after_BB - before_BB, after_BB))
    return alignment(before_BB, after_BB), distance, ratio


def alignment(a_BB: Tensor, b_BB: Tensor) -> float:
    """Centred alignment of two kernels; NaN where one of them is constant to the precision of gradients."""
    centred = []
    for kernel_BB in (a_BB, b_BB):
        rows_B1 = kernel_BB.mean(dim=1, keepdim=True)
        centred_BB = kernel_BB - rows_B1 - kernel_BB.mean(dim=0) + rows_B1.mean()
        if not torch.linalg.norm(centred_BB) > ROUNDING * torch.linalg.norm(kernel_BB):
            return float("nan")
        centred.append(centred_BB / torch.linalg.norm(centred_BB))
    return float((centred[0] * centred[1]).sum())


PROXY = NTKEvolution
