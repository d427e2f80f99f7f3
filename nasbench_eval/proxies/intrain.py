"""InTrain: geometric capacity of the activations times optimisation resilience of the gradients.

Zhou et al., "InTrain", CVPR 2026 (arXiv 2606.18676).

    I = γ · (1 + o) / log(L + 1)

Tensor legend: B samples, C channels, H height, W width, N = B·H·W positions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor

from nasbench_eval.networks.traits import Traits
from nasbench_eval.passes import (
    GradientObserver,
    LayerKind,
    LayerObserver,
    Observer,
    Parameters,
    PassSpec,
    Record,
)
from nasbench_eval.passes.spec import Init, Source
from nasbench_eval.proxies.base import NO_BLOCKS, Batch, ProxyInfo, functions, need
from nasbench_eval.spaces.base import Network

EPSILON = 1e-10
# Variance over squared mean below which an output is looked at, whether it is constant.
SUSPECT = 1e-3
# Rows of a covariance that are centred at once.
ROWS = 128
# A symmetric product is taken in so many strips, of so many rows at least, each from the diagonal on.
STRIPS, STRIP = 8, 128


def covariance(y: Tensor) -> Tensor:
    """Centred covariance (C, C) in float64 of a layer's output (B, C, H, W) or (B, C), positions as samples.

    It comes from float32 moments.  What these cannot tell from a constant is set to exactly zero.
    """
    y_NC = y.movedim(1, -1).reshape(-1, y.shape[1])  # a view where the output is channels-last
    mean_C = y_NC.mean(dim=0).double()
    # Of 2,048 channels it is 32 MB: to fill new memory costs more than the arithmetic, hence rows at a time.
    covariance_CC = (y_NC.T @ y_NC).double().div_(len(y_NC))
    rows = ROWS if y.device.type == "cpu" else len(mean_C)
    for part_RC, mean_R in zip(torch.split(covariance_CC, rows), torch.split(mean_C, rows), strict=True):
        part_RC.sub_(torch.outer(mean_R, mean_C))
    constant = _constant(covariance_CC.trace(), mean_C, y_NC)
    if y.device.type == "cpu" and not constant:  # elsewhere to ask is to wait
        return covariance_CC
    return torch.where(constant, 0.0, covariance_CC)  # NaN stays NaN


def moments(y: Tensor) -> tuple[Tensor, Tensor]:
    """tr C and tr C² in float64, from the fewest products, of the covariance C of y (B, C, H, W) or (B, C).

    With Y (N, C) the centred outputs, tr C² is the squared norm of YᵀY / N, and that of YYᵀ / N as well.
    Either is symmetric: of the smaller one each product is taken once.
    """
    y_NC = y.movedim(1, -1).reshape(-1, y.shape[1])
    mean_C = y_NC.mean(dim=0)
    few = len(y_NC) < len(mean_C)
    rows_RK, mean_C = (y_NC - mean_C if few else y_NC.T), mean_C.double()
    trace = square = mean_C.new_zeros(())
    step = max(STRIP, -(-len(rows_RK) // STRIPS))
    for first in range(0, len(rows_RK), step):
        strip = (rows_RK[first : first + step] @ rows_RK[first:].T).double().div_(len(y_NC))
        if not few:  # as in `covariance`: to centre what is large takes longer
            strip.sub_(torch.outer(mean_C[first : first + step], mean_C[first:]))
        trace = trace + strip.diagonal().sum()
        strip.square_()
        square = square + 2 * strip.sum() - strip[:, :step].sum()
    constant = _constant(trace, mean_C, y_NC)
    return torch.where(constant, 0.0, trace), torch.where(constant, 0.0, square)


def _constant(trace: Tensor, mean_C: Tensor, y_NC: Tensor) -> Tensor:
    """Whether float32 moments cannot tell the outputs, of that variance and mean, from a constant."""
    square = mean_C.square().sum()
    constant = trace <= 64 * torch.finfo(y_NC.dtype).eps * square
    if y_NC.device.type != "cpu" or trace <= SUSPECT * square:  # of many positions the rounding errors add up
        constant = constant | ((trace <= SUSPECT * square) & (y_NC == y_NC[0]).all())
    return constant


def log_participation_ratio(covariance_CC: Tensor) -> Tensor:
    """log PR(C), PR(C) = (tr C)² / tr(C²), with C + εI; tr(C²) = ‖C‖_F² needs no eigenvalues."""
    return _spent(covariance_CC.clone())


def _spent(covariance_CC: Tensor) -> Tensor:
    """The same of a matrix that nobody needs any more."""
    covariance_CC.diagonal().add_(EPSILON)
    trace = covariance_CC.trace()
    return 2 * trace.log() - covariance_CC.square_().sum().log()


def capacity(x: Tensor, y: Tensor) -> Tensor:
    """log PR of a layer's output y; 1, or 0 where the layer is dead; and its positions H·W: shape (3,).

    A dead layer is one whose variance drowns in the regulariser.
    """
    covariance_CC = covariance(y)
    alive = covariance_CC.trace() > EPSILON * len(covariance_CC)
    positions = torch.full_like(covariance_CC[0, 0], y[0, 0].numel())
    return torch.stack([_spent(covariance_CC), alive.double(), positions])


def capacity_of_fewest(x: Tensor, y: Tensor) -> Tensor:
    """The same of `moments`: tr(C + εI) and tr((C + εI)²) written out."""
    channels = y.shape[1]
    trace, square = moments(y)
    log_pr = (
        2 * (trace + EPSILON * channels).log() - (square + 2 * EPSILON * trace + EPSILON**2 * channels).log()
    )
    positions = torch.full_like(trace, y[0, 0].numel())
    return torch.stack([log_pr, (trace > EPSILON * channels).double(), positions])


def by_stage(positions_L: Tensor, weights: Sequence[float]) -> Tensor:
    """The weight of each layer (L,): those of its stage, which the size of its output tells.

    The first weight is for the stage of the largest outputs; the last one is for all further stages.
    """
    stages = positions_L.new_tensor(sorted(set(positions_L.tolist()), reverse=True))
    place_L = (positions_L[:, None] == stages).double().argmax(1)
    return torch.tensor(weights, dtype=torch.float64)[place_L.clamp(max=len(weights) - 1)]


def gradient_health(g: Tensor) -> Tensor:
    """h = min(1, σ(g) / (max|g| + ε)) of a parameter tensor's gradient; σ over its entries (population)."""
    low, high = torch.aminmax(g)  # less time than the maximum of |g| takes
    return (g.std(correction=0) / (torch.maximum(-low, high) + EPSILON)).clamp(max=1)


@dataclass(frozen=True)
class InTrain(Batch):
    """γ · (1 + o) / log(L + 1), γ = Σ_l log PR(C_l) over L layers, o = Σ_i h_i over parameter tensors.

    On tasks that do not classify the gradient is that of the task's own loss (see `PassSpec`).

    Attributes:
        layers: which outputs are observed: conv, conv_linear, bn, relu, or cell (cells and reduction blocks).
        parameters: which tensors count for o: weights (of convolution and linear layers) or all.
        dead_layers: a constant output has C = εI.  `literal` takes the formula's word: PR is the channel
            count, the largest there is; `collapsed` counts it as log PR = 0.
        stage_weights: what a layer's log PR counts in γ, by the size of its output, from the largest size to
            the smallest; the last weight is for all smaller ones.  None is the paper's sum.  Without weights
            searches put their layers where these cost least; Sun et al., "MAE-DET" (ICML 2022), weigh stages
            for that reason.
        products: how tr C and tr C² come about: from the whole covariance (`all`), or from the `fewest`
            products (see `moments`), which takes a fraction of the time in wide networks, and moves the score
            by rounding, some 1e-6 of it; by more where outputs have a mean of a hundred standard deviations,
            which `all` loses digits to.
    """

    info: ClassVar = ProxyInfo(
        "intrain", 1, "Zhou et al. 2026", ("gamma", "resilience", "layers", "dead_layers")
    )
    init: Init = "torch_default"
    input: Source = "gaussian"
    batch_size: int = 64
    resolution: int | None = 64
    layers: LayerKind = "conv"
    parameters: Parameters = "weights"
    dead_layers: Literal["literal", "collapsed"] = "literal"
    stage_weights: tuple[float, ...] | None = field(default=None, metadata={"later": True})
    products: Literal["all", "fewest"] = field(default="all", metadata={"later": True})

    def __post_init__(self) -> None:
        if self.stage_weights is not None and not self.stage_weights:
            raise ValueError("stage_weights is a list of numbers, such as [1,1,2,4]; null for none")

    def passes(self) -> tuple[PassSpec, ...]:
        # The activations need no labels, hence no data set: data sets of one input share them.
        until: Literal["features", "logits"] = "logits" if self.layers == "conv_linear" else "features"
        forward = self.forward()
        return (PassSpec(forward, until), PassSpec(forward, "cross_entropy", "parameters"))

    def observe(self, net: Network, spec: PassSpec) -> Observer:
        if spec.wrt == "nothing":
            return LayerObserver(self.layers, capacity if self.products == "all" else capacity_of_fewest)
        return GradientObserver(net, lambda theta, g: gradient_health(g), self.parameters)

    def readings(self, traits: Traits) -> list[str]:
        found = super().readings(traits)
        if self.layers in ("conv", "conv_linear"):
            found += functions(traits, "observed")
        if self.layers == "conv":
            need(traits.convolutions, "it has no convolution; layers=conv_linear takes linear layers as well")
            return [*found, "convolutions alone, not the layers on tokens"] if traits.tokens else found
        need(self.layers != "relu" or traits.activations, "it has no activations that can be seen")
        need(self.layers != "bn" or traits.batch_norms, "it has no batch norm")
        need(self.layers != "cell" or traits.blocks, NO_BLOCKS)
        return found

    def counted(self, capacities_L3: Tensor) -> Tensor:
        """What each layer counts in γ, shape (L,), from what `capacity` gives of each."""
        log_pr, alive, positions = capacities_L3.T
        counted: Tensor = log_pr * alive if self.dead_layers == "collapsed" else log_pr
        if self.stage_weights is not None:
            counted = counted * by_stage(positions, self.stage_weights)
        return counted

    def score(self, records: Sequence[Record]) -> dict[str, float]:
        activations, gradients = records
        capacities_L3 = activations["layers"].reshape(-1, 3)
        log_pr, alive, _ = capacities_L3.T
        gamma = float(self.counted(capacities_L3).sum())
        resilience = float(gradients["tensors"].sum())
        return {
            "gamma": gamma,
            "resilience": resilience,
            "layers": float(len(log_pr)),
            "dead_layers": float((alive == 0).sum()),
            "score": gamma * (1 + resilience) / math.log(len(log_pr) + 1),
        }


PROXY = InTrain
