"""Error of kernel regression with the last layer's NTK: how well a network would generalise.

Chen et al., "Understanding and Accelerating Neural Architecture Search with Training-Free and Theory-Grounded
Metrics" (TEG-NAS), arXiv 2108.11939, 2021.

Tensor legend: B samples, C inputs of the classifier, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasbench_eval.passes import Observer, PassSpec, Record
from nasbench_eval.passes.spec import Init
from nasbench_eval.proxies.base import ProxyInfo, Sized
from nasbench_eval.spaces.base import Network


@dataclass(frozen=True)
class NTKMse(Sized):
    """−E‖ŷ − y‖₂ over test samples, ŷ = Θ(test, train) Θ(train, train)⁺ y, y one-hot labels.

    The first half of a mini-batch, rounded down, is the training set, the rest the test set, so that they
    never share an image.  The last layer has weights and a bias: Θ(x, x') = φ(x)·φ(x') + 1 with its inputs φ.
    The pseudo-inverse is the inverse where there is one; the rank of Θ is C + 1 at most.

    A network that passes no signal predicts the training labels' mean, which few regressions on so small a
    set outdo: it scores high.  Where a batch has no two images of a class, as ImageNet16-120's here, there is
    nothing to generalise from.

    Attributes:
        bn: batch statistics (`train`) or untouched running statistics (`eval`).
    """

    info: ClassVar = ProxyInfo("ntk_mse", 2, "Chen et al. 2021 (arXiv 2108.11939)")
    init: Init = "torch_default"
    bn: Literal["train", "eval"] = "train"
    channels: int | None = 3
    cells: int | None = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch_size < 2:
            raise ValueError(f"a batch has a sample to train and one to test on; got {self.batch_size}")

    def passes(self) -> tuple[PassSpec, ...]:
        return tuple(PassSpec(forward, "logits") for forward in self.forwards(bn=self.bn))

    def observe(self, net: Network, spec: PassSpec) -> Observer:
        return _LastLayerObserver()

    def score(self, records: Sequence[Record]) -> dict[str, float]:
        errors = [self._error(record) for record in records]
        return {"score": -sum(errors) / len(errors)}

    def _error(self, record: Record) -> float:
        phi_BC, half = record["inputs"], len(record["inputs"]) // 2
        if not torch.isfinite(phi_BC).all():
            return float("nan")
        kernel_BB = phi_BC @ phi_BC.T + 1
        y_BK = F.one_hot(record["labels"], record["classes"]).double()
        train, test = slice(half), slice(half, None)
        # φ comes in single precision: what it leaves of zero eigenvalues must not be inverted.
        cutoff = half * torch.finfo(torch.float32).eps
        inverse = torch.linalg.pinv(kernel_BB[train, train], rtol=cutoff, hermitian=True)
        predicted_BK = kernel_BB[test, train] @ inverse @ y_BK[train]
        return float(torch.linalg.norm(predicted_BK - y_BK[test], dim=1).mean())


class _LastLayerObserver(Observer):
    def layers(self, net: Network) -> Mapping[str, nn.Module]:
        return {"classifier": net.classifier}

    def on_labels(self, labels_B: Tensor) -> None:
        self.labels_B = labels_B

    def on_layer(self, name: str, module: nn.Module, x: Tensor, y: Tensor) -> None:
        self.inputs_BC, self.classes = x.double(), y.shape[1]

    def record(self) -> Record:
        return {"inputs": self.inputs_BC.cpu(), "labels": self.labels_B.cpu(), "classes": self.classes}


PROXY = NTKMse
