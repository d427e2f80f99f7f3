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
from nasbench_eval.proxies.base import Batch, ProxyInfo
from nasbench_eval.spaces.base import Network


@dataclass(frozen=True)
class NTKMse(Batch):
    """−E‖ŷ − y‖₂ over a test batch, ŷ = Θ(test, train) Θ(train, train)⁺ y, y one-hot labels.

    The last layer has weights and a bias, so that Θ(x, x') = φ(x)·φ(x') + 1 with its inputs φ.  The
    pseudo-inverse is the inverse where there is one: Θ has rank C + 1 at most.

    Attributes:
        bn: batch statistics (`train`), each batch having its own, or untouched running statistics (`eval`).
        channels, cells: width C and cells N a stage of the network, thin as in the paper; null takes the
            search space's own.
        batches: pairs of training and test batches the score is averaged over.
    """

    info: ClassVar = ProxyInfo("ntk_mse", 1, "Chen et al. 2021 (arXiv 2108.11939)")
    init: Init = "torch_default"
    bn: Literal["train", "eval"] = "train"
    channels: int | None = 3
    cells: int | None = 1
    batches: int = 1

    def __post_init__(self) -> None:
        if self.batches < 1:
            raise ValueError(f"batches are at least 1; got {self.batches}")

    def passes(self) -> tuple[PassSpec, ...]:
        size = {"channels": self.channels, "cells": self.cells}
        return tuple(
            PassSpec(self.forward(batch=b, bn=self.bn, **size), "logits") for b in range(2 * self.batches)
        )

    def observe(self, net: Network, spec: PassSpec) -> Observer:
        return _LastLayerObserver()

    def score(self, records: Sequence[Record]) -> dict[str, float]:
        errors = [self._error(*pair) for pair in zip(records[::2], records[1::2], strict=True)]
        return {"score": -sum(errors) / len(errors)}

    def _error(self, train: Record, test: Record) -> float:
        phi_BC, phi_test_BC = train["inputs"], test["inputs"]
        kernel_BB, cross_BB = phi_BC @ phi_BC.T + 1, phi_test_BC @ phi_BC.T + 1
        if not (torch.isfinite(kernel_BB).all() and torch.isfinite(cross_BB).all()):
            return float("nan")
        classes = train["classes"]
        y_BK, y_test_BK = (F.one_hot(r["labels"], classes).double() for r in (train, test))
        # φ comes in single precision: what it leaves of zero eigenvalues must not be inverted.
        cutoff = len(kernel_BB) * torch.finfo(torch.float32).eps
        predicted_BK = cross_BB @ torch.linalg.pinv(kernel_BB, rtol=cutoff, hermitian=True) @ y_BK
        return float(torch.linalg.norm(predicted_BK - y_test_BK, dim=1).mean())


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
