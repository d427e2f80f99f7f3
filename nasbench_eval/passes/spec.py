"""Names for computations on a network.  Equal specs are the same computation and are run once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nasbench_eval.training import Training

Init = Literal["kaiming", "torch_default", "gaussian", "keep"]
Source = Literal["images", "gaussian", "uniform", "ones", "perturbed_ones"]
CellSource = Literal["crops", "gaussian", "uniform", "ones", "perturbed_ones"]
Body = Literal["whole", "cell"]
BatchNorm = Literal["train", "eval", "alone", "skip"]
Objective = Literal["features", "logits", "sum", "cross_entropy"]
Wrt = Literal["nothing", "parameters", "input", "curvature", "samples", "outputs", "blocks"]
Precision = Literal["float32", "tf32", "bf16"]
# What can be had of a forward pass in bfloat16; other derivatives are made of float32 tensors.
IN_HALF: tuple[Wrt, ...] = ("nothing", "parameters", "input")

_SCALARS: tuple[Objective, ...] = ("sum", "cross_entropy")
OBJECTIVES: dict[Wrt, tuple[Objective, ...]] = {
    "nothing": ("features", "logits", "sum", "cross_entropy"),
    "parameters": _SCALARS,
    "input": _SCALARS,
    "curvature": _SCALARS,
    "samples": _SCALARS,
    "outputs": ("logits",),
    "blocks": ("features",),
}


@dataclass(frozen=True)
class ForwardSpec:
    """One forward pass through the body of a network.

    Attributes:
        init: how weights are drawn (see `passes.weights`).
        source: real images of the data set; `crops` of them, each of one random channel at a random place;
            or, every entry on its own, N(0, 1), U(0, 1), all ones, or ones perturbed by 0.01·N(0, 1).
        batch_size: samples B.
        resolution: height and width in pixels; None takes the data set's own.
        batch: which mini-batch of the source's stream.
        repeat: which draw of the weights.
        bn: batch statistics (`train`), running statistics (`eval`; untouched but for training, mean 0 and
            variance 1), each sample's own statistics, as in a batch of one (`alone`), or no normalisation
            (`skip`).
        noise: α of the input x + α·ε, ε ~ N(0, 1).
        float64: run in double precision.
        absolute: replace every parameter by its absolute value.
        channels: width C of the network; None takes the search space's own.
        cells: depth N of the network, in cells a stage; None takes the search space's own.
        training: how the network is trained before the pass; None leaves it as drawn.
        body: the `whole` network, or one `cell` and what follows the cells, without a stem, which takes
            inputs of one channel.
        offset: how many samples of the mini-batch's order are passed over: those of another pass, from which
            these are to differ.  Where fewer than a batch are left, the batch is smaller.
        pieces: how many pieces of the resolution an image is cut into, which lie in its channels.
    """

    init: Init
    source: Source | Literal["crops"]
    batch_size: int = 64
    resolution: int | None = None
    batch: int = 0
    repeat: int = 0
    bn: BatchNorm = "train"
    noise: float = 0.0
    float64: bool = False
    absolute: bool = False
    channels: int | None = None
    cells: int | None = None
    training: Training | None = None
    body: Body = "whole"
    offset: int = 0
    pieces: int = 1

    def __post_init__(self) -> None:
        if self.body == "whole" and self.source == "crops":
            raise ValueError("crops have one channel, and a whole network takes three")
        if self.body == "cell" and (self.source == "images" or self.training is not None):
            raise ValueError("a cell without a stem takes one channel, and images have three: crops will do")
        if self.body == "cell" and (self.channels, self.cells) != (1, 1):
            raise ValueError(
                f"a cell without a stem is one cell of one channel; got cells={self.cells}, "
                f"channels={self.channels}"
            )

    @property
    def imaged(self) -> bool:
        """Whether the input is made of a data set's images."""
        return self.source in ("images", "crops")


@dataclass(frozen=True)
class PassSpec:
    """A forward pass, what is made of its result, and what that is differentiated by.

    Attributes:
        forward: the pass through the body.
        objective: stop at the `features`, go on to the `logits`, or reduce these to a scalar: their `sum`
            or the mean `cross_entropy` with the labels (mean-square error against N(0, 1) noise where the
            output is spatial; the loss of the task where the network does not classify).
        wrt: differentiate the objective by the `parameters` or the `input`; `curvature` adds the Hessian
            between the weights and their gradient, θᵀ H g; `samples` differentiates each sample's own
            objective by the parameters; `outputs` differentiates each of the `logits` by the outputs of
            layers; `blocks` takes random ±1 cotangents back through each block of the body by itself.
    """

    forward: ForwardSpec
    objective: Objective = "features"
    wrt: Wrt = "nothing"

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES[self.wrt]:
            raise ValueError(f"{self.objective} cannot be differentiated by {self.wrt}")
        if self.wrt == "samples" and self.forward.bn == "skip":
            raise ValueError("sample gradients are not defined where batch norm is skipped")
