"""What expressivity and progressivity share: how evenly each stage of the body spreads its features.

Tensor legend: B samples, C channels, H height, W width, N = B·H·W positions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from nasbench_eval.networks.traits import Traits
from nasbench_eval.passes import Observer, PassSpec, Record, layers
from nasbench_eval.passes.spec import Source
from nasbench_eval.proxies.base import NO_BLOCKS, Batch, need
from nasbench_eval.proxies.intrain import covariance
from nasbench_eval.spaces.base import Network

Eigenvalues = Literal["clamped", "raw"]
# The published implementation's guard against log 0.  It does not reach below −1e-8.
RAW_SHIFT = 1e-8


@dataclass(frozen=True)
class FeatureProxy(Batch):
    """A proxy on S(φ_0), ..., S(φ_K), φ the outputs of the stem, the cells and the reduction blocks.

    S(φ) = −Σ p log p, p the eigenvalues of the channel covariance of φ, normalised to sum to one; a constant
    φ has S = 0.

    Attributes:
        eigenvalues: `clamped` takes negative eigenvalues, which are rounding errors, for zero.  `raw` does as
            the published implementation: single precision throughout and −Σ p log(p + 1e-8), which is NaN
            where rounding leaves a p below −1e-8 or φ is constant.
    """

    input: Source = "gaussian"
    eigenvalues: Eigenvalues = "clamped"

    def passes(self) -> tuple[PassSpec, ...]:
        return (PassSpec(self.forward()),)

    def readings(self, traits: Traits) -> list[str]:
        need(traits.blocks, NO_BLOCKS)
        return super().readings(traits)

    def observe(self, net: Network, spec: PassSpec) -> Observer:
        return _EntropyObserver(self.eigenvalues)


def entropy(covariance_CC: Tensor) -> float:
    """S of a covariance, negative eigenvalues taken for zero; 0 without a positive one, NaN if not finite."""
    if not covariance_CC.isfinite().all():
        return float("nan")
    eigenvalues_C = torch.linalg.eigvalsh(covariance_CC).clamp(min=0)
    if not eigenvalues_C.any():
        return 0.0
    return float(torch.special.entr(eigenvalues_C / eigenvalues_C.sum()).sum())


def raw_covariance(y_BCHW: Tensor) -> Tensor:
    """Channel covariance (C, C) in the precision of the features, centred before the product."""
    y_NC = y_BCHW.movedim(1, -1).reshape(-1, y_BCHW.shape[1])
    y_NC = y_NC - y_NC.mean(dim=0)
    return y_NC.T @ y_NC / len(y_NC)


def raw_entropy(covariance_CC: Tensor) -> float:
    """S in the covariance's precision, eigenvalues as they come."""
    if not covariance_CC.isfinite().all():
        return float("nan")
    p_C = torch.linalg.eigvalsh(covariance_CC)
    p_C = p_C / p_C.sum()
    return -float((p_C * (p_C + RAW_SHIFT).log()).sum())


class _EntropyObserver(Observer):
    def __init__(self, eigenvalues: Eigenvalues) -> None:
        self.raw, self.options = eigenvalues == "raw", (eigenvalues,)
        self.covariances: list[Tensor] = []

    def layers(self, net: Network) -> Mapping[str, nn.Module]:
        return {"stem": net.stem, **layers(net, "cell")}

    def on_layer(self, name: str, module: nn.Module, x: Tensor, y: Tensor) -> None:
        self.covariances.append(raw_covariance(y) if self.raw else covariance(y))

    def record(self) -> Record:
        # On the CPU, where eigenvalues of small matrices are cheaper.
        reduce = raw_entropy if self.raw else entropy
        values = [reduce(covariance_CC.cpu()) for covariance_CC in self.covariances]
        return {"entropies": torch.tensor(values, dtype=torch.float64)}
