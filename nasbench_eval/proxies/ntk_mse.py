"""Error of kernel regression with the NTK of an untrained network: how well it would generalise.

Chen et al., "Understanding and Accelerating Neural Architecture Search with Training-Free and Theory-Grounded
Metrics" (TEG-NAS), arXiv 2108.11939, 2021.

Tensor legend: B samples, C inputs of the classifier, K classes, P weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasbench_eval.networks.traits import Traits
from nasbench_eval.passes import Observer, PassSpec, Record, parameter_names
from nasbench_eval.passes.spec import Init
from nasbench_eval.proxies._kernel import ROUNDING
from nasbench_eval.proxies.base import NO_BLOCKS, NO_HEAD, ProxyInfo, Sized, need
from nasbench_eval.spaces.base import Network


@dataclass(frozen=True)
class NTKMse(Sized):
    """The negative error of ŷ = Θ(test, train) Θ(train, train)⁻¹ y on test samples, y one-hot labels.

    The paper and its code differ in whose kernel it is, and in other details:

    `cells`, as in the code: the kernel of all weights inside the cells and reduction blocks, batch norm's
    included.  B training images and B other test images pass through the network, each set as a batch of its
    own.  Labels are centred in each batch.  The error is the mean over the test images of ‖ŷ − y‖².  The
    score is −∞ where Θ(train, train) is singular to the precision of its gradients.  If the data set has
    fewer than 2B images, the test batch is smaller.

    `last`, as in the text: the kernel of the last layer, weights and bias: Θ(x, x') = φ(x)·φ(x') + 1 with its
    inputs φ.  The first half of one batch of B, rounded down, is the training set, the rest the test set.
    Labels are as they are.  The error is the mean of ‖ŷ − y‖₂.  The pseudo-inverse stands for the inverse,
    since the rank of Θ is C + 1 at most.  A network that passes no signal predicts the training labels' mean,
    which few regressions on so small a set outdo: it scores high.

    Where no two images are of one class, as with the 120 images of ImageNet16-120 here, there is nothing to
    generalise from: the score then says how small the predictions are.

    Attributes:
        bn: batch statistics (`train`) or untouched running statistics (`eval`).
        parameters: the kernel is that of all weights inside the `cells`, or of the `last` layer.
    """

    info: ClassVar = ProxyInfo("ntk_mse", 3, "Chen et al. 2021 (arXiv 2108.11939)")
    init: Init = "torch_default"
    bn: Literal["train", "eval"] = "train"
    channels: int | None = 3
    cells: int | None = 1
    parameters: Literal["cells", "last"] = "cells"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch_size < 2:
            raise ValueError(f"a batch has a sample to train and one to test on; got {self.batch_size}")

    def passes(self) -> tuple[PassSpec, ...]:
        if self.parameters == "last":
            return tuple(PassSpec(forward, "logits") for forward in self.forwards(bn=self.bn))
        parts = [self.forwards(bn=self.bn, offset=offset) for offset in (0, self.batch_size)]
        return tuple(
            PassSpec(forward, "sum", "samples") for pair in zip(*parts, strict=True) for forward in pair
        )

    def readings(self, traits: Traits) -> list[str]:
        need(self.parameters == "last" or traits.blocks, NO_BLOCKS)
        need(self.parameters == "cells" or traits.headed, NO_HEAD)
        return super().readings(traits)

    def observe(self, net: Network, spec: PassSpec) -> Observer:
        return _LastLayerObserver() if self.parameters == "last" else _JacobianObserver(net)

    def score(self, records: Sequence[Record]) -> dict[str, float]:
        if self.parameters == "last":
            errors = [self._last(record) for record in records]
        else:
            pairs = zip(records[::2], records[1::2], strict=True)
            errors = [self._cells(train, test) for train, test in pairs]
        return {"score": -sum(errors) / len(errors)}

    def _cells(self, train: Record, test: Record) -> float:
        j_BP, test_BP = train["jacobian"].double(), test["jacobian"].double()
        kernel_BB = j_BP @ j_BP.T
        if not (torch.isfinite(kernel_BB).all() and torch.isfinite(test_BP).all()):
            return float("nan")
        eigenvalues_B = torch.linalg.eigvalsh(kernel_BB)
        if eigenvalues_B[0] <= ROUNDING * eigenvalues_B[-1]:
            return float("inf")
        classes = 1 + int(torch.cat([train["labels"], test["labels"]]).max())  # others add nothing
        y_BK, test_BK = (_centred(record["labels"], classes) for record in (train, test))
        predicted_BK = test_BP @ (j_BP.T @ torch.linalg.solve(kernel_BB, y_BK))
        return float((predicted_BK - test_BK).square().sum(dim=1).mean())

    def _last(self, record: Record) -> float:
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


def _centred(labels_B: Tensor, classes: int) -> Tensor:
    """One-hot labels less each class's share of the batch."""
    y_BK = F.one_hot(labels_B, classes).double()
    return y_BK - y_BK.mean(dim=0)


class _JacobianObserver(Observer):
    """J of the weights inside the cells.  The kernel between two batches needs both, so it is kept."""

    options = ()

    def __init__(self, net: Network) -> None:
        self.names = parameter_names(net, "cells")
        self.parts: list[Tensor] = []

    def on_labels(self, labels_B: Tensor) -> None:
        self.labels_B = labels_B

    def on_sample_gradient(self, name: str, parameter: Tensor, gradient_B: Tensor) -> None:
        if name in self.names:
            self.parts.append(gradient_B.flatten(1).cpu())

    def record(self) -> Record:
        parts = self.parts or [torch.zeros(len(self.labels_B), 0)]
        return {"jacobian": torch.cat(parts, dim=1), "labels": self.labels_B.cpu()}


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
