"""The empirical neural tangent kernel of a mini-batch, which several proxies reduce to a number.

    Θ = J Jᵀ,  J_n = ∂(Σ_k f_k(x_n)) / ∂θ, θ all parameters, or the weights inside the cells

Jacot et al., "Neural Tangent Kernel: Convergence and Generalization in Neural Networks", NeurIPS 2018; summed
over the logits as in Chen et al. 2021 and Mok et al. 2022.

Tensor legend: B samples, P parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from nasbench_eval.networks.traits import Traits
from nasbench_eval.passes import Observer, PassSpec, Record, parameter_names
from nasbench_eval.passes.spec import Init, Source
from nasbench_eval.proxies.base import NO_BLOCKS, Sized, need
from nasbench_eval.spaces.base import Network
from nasbench_eval.training import Training

# What single-precision gradients leave of a kernel's exact zeros, as a share of its largest eigenvalue.
ROUNDING = 4 * torch.finfo(torch.float32).eps

KernelParameters = Literal["all", "cells"]


@dataclass(frozen=True)
class Kernel(Sized):
    """Options of all scores of the kernel.

    Attributes:
        bn: batch statistics (`train`), which let every sample act on all others, so that B backward passes
            are needed; or running statistics (`eval`) or each sample's own (`alone`), where one will do.
        parameters: `all`, or the weights inside the `cells` and reduction blocks, batch norm's included.
        epochs: how long the network is trained before; 0 scores it as drawn.
        training_images: size of the training set.
        learning_rate: of the training at its start.
        schedule: epochs over which a cosine takes the learning rate to zero.
        flips: whether images to train on are mirrored at random, which the likes of digits do not bear.
    """

    init: Init = "torch_default"
    input: Source = "images"
    bn: Literal["train", "eval", "alone"] = "train"
    parameters: KernelParameters = "all"
    epochs: int = 0
    training_images: int = 2560
    learning_rate: float = 0.1
    schedule: int = 10
    flips: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.epochs and self.input != "images":
            raise ValueError(f"training needs images; got input={self.input} with epochs={self.epochs}")
        self._training()

    def _training(self) -> Training:
        return Training(
            self.epochs,
            images=self.training_images,
            learning_rate=self.learning_rate,
            schedule=self.schedule,
            flips=self.flips,
        )

    def passes(self) -> tuple[PassSpec, ...]:
        return self.kernels(self._training() if self.epochs else None)

    def kernels(self, training: Training | None) -> tuple[PassSpec, ...]:
        """A pass for each mini-batch through the network after a training, or as drawn."""
        forwards = self.forwards(bn=self.bn, training=training)
        return tuple(PassSpec(forward, "sum", "samples") for forward in forwards)

    def readings(self, traits: Traits) -> list[str]:
        need(self.parameters == "all" or traits.blocks, NO_BLOCKS)
        return super().readings(traits)

    def observe(self, net: Network, spec: PassSpec) -> Observer:
        return _KernelObserver(net, self.parameters)

    def measure(self, kernel_BB: Tensor, labels_B: Tensor) -> float:
        """The score of one mini-batch, from its kernel in float64 and its labels."""
        raise NotImplementedError

    def score(self, records: Sequence[Record]) -> dict[str, float]:
        """The mean over mini-batches."""
        scores = [self.measure(record["kernel"], record["labels"]) for record in records]
        return {"score": sum(scores) / len(scores)}


class _KernelObserver(Observer):
    """Θ as a sum over parameter tensors, so that only one tensor's Jacobian is needed at a time."""

    kernel_BB: Tensor | float = 0.0

    def __init__(self, net: Network, parameters: KernelParameters) -> None:
        self.names, self.options = parameter_names(net, parameters), (parameters,)

    def on_labels(self, labels_B: Tensor) -> None:
        self.labels_B = labels_B

    def on_sample_gradient(self, name: str, parameter: Tensor, gradient_B: Tensor) -> None:
        if name not in self.names:
            return
        j_BP = gradient_B.flatten(1)
        self.kernel_BB = self.kernel_BB + (j_BP @ j_BP.T).double()

    def record(self) -> Record:
        if not isinstance(self.kernel_BB, Tensor):  # no such parameter
            self.kernel_BB = torch.zeros(2 * (len(self.labels_B),), dtype=torch.float64)
        return {"kernel": self.kernel_BB.cpu(), "labels": self.labels_B.cpu()}
