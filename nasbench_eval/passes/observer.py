"""What a proxy sees of a pass: callbacks that reduce tensors to small numbers as they appear."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from nasbench_eval.networks.activations import MODULES, Called
from nasbench_eval.spaces.base import Network

Record = dict[str, Any]
LayerKind = Literal["conv", "conv_linear", "bn", "relu", "cell"]
Parameters = Literal["weights", "all"]
ParameterKind = Literal["weights", "all", "cells"]

_TYPES: dict[str, tuple[type[nn.Module], ...]] = {
    "conv": (_ConvNd,),
    "conv_linear": (_ConvNd, nn.Linear),
    "bn": (_BatchNorm,),
    "relu": (*MODULES, Called),
}


def modules(net: Network) -> dict[str, nn.Module]:
    """All modules inside a network by name, walked through once: only its classifier may change."""
    # Kept on the network itself, so that it lives no longer: hooks on a module may hold the whole network.
    known: dict[str, nn.Module] | None = vars(net).get("_inside")
    if known is None:
        known = vars(net)["_inside"] = net.seen_modules()
    return {**known, **net.seen_classifier()}


def layers(net: Network, kind: LayerKind) -> dict[str, nn.Module]:
    """Modules of a kind by name.

    `relu` are activations of all kinds, those among them that are function calls; `cell` are the blocks of
    the body: every cell and reduction block.
    """
    if kind == "cell":
        return net.seen_blocks()
    return {name: module for name, module in modules(net).items() if isinstance(module, _TYPES[kind])}


def parameters(net: Network) -> dict[str, nn.Parameter]:
    """All parameters of a network by name, one that several layers share by the first of them."""
    found = dict(net.named_parameters(recurse=False))
    for name, module in modules(net).items():
        found |= {_joined(name, kind): p for kind, p in module.named_parameters(recurse=False)}
    first = {id(parameter): name for name, parameter in reversed(found.items())}
    return {name: parameter for name, parameter in found.items() if first[id(parameter)] == name}


def parameter_names(net: Network, kind: ParameterKind) -> frozenset[str]:
    """Names of the parameters of a kind.

    `weights` are the weight tensors of convolution and linear layers, the projections of attention among
    them; `cells` the weights, those of normalisations included, inside cells and reduction blocks, so neither
    biases nor the stem, the last normalisation and the classifier; `all` are all parameters.
    """
    if kind == "all":
        return frozenset(parameters(net))
    if kind == "cells":
        within = {id(p) for block in net.seen_blocks().values() for p in block.parameters()}
        return frozenset(
            name for name, p in parameters(net).items() if name.endswith("weight") and id(p) in within
        )
    projections = [
        _joined(name, tensor)
        for name, module in modules(net).items()
        if isinstance(module, nn.MultiheadAttention)
        for tensor, _ in module.named_parameters(recurse=False)
        if tensor.endswith("proj_weight")
    ]
    return frozenset([_joined(name, "weight") for name in layers(net, "conv_linear")] + projections)


def _joined(name: str, tensor: str) -> str:
    return f"{name}.{tensor}" if name else tensor


class Observer:
    """Base of all observers: override the callbacks you need; the engine calls nothing else.

    Tensors handed in are detached and belong to the pass: reduce them, do not keep or change them.  Channels
    are their second dimension: maps are (B, C, h, w), tokens (B, C, N).

    Attributes:
        samples_of: the parameters whose `on_sample_gradient` it waits for; it may be shown others.
        options: what its record depends on beside its class and the pass.  Of observers of one class with
            equal options one sees the pass, for all who asked; None shares with nobody.
    """

    samples_of: Parameters = "all"
    options: tuple[object, ...] | None = None

    def layers(self, net: Network) -> Mapping[str, nn.Module]:
        """Modules whose inputs and outputs to see."""
        return {}

    def on_layer(self, name: str, module: nn.Module, x: Tensor, y: Tensor) -> None:
        """Forward: a layer's input and output."""

    def on_features(self, features_BChw: Tensor) -> None:
        """Forward: the last feature maps, before global pooling."""

    def on_layer_gradient(self, name: str, module: nn.Module, y: Tensor, gradient: Tensor) -> None:
        """Backward: a layer's output and the objective's gradient with respect to it."""

    def on_parameter(self, name: str, parameter: Tensor, gradient: Tensor) -> None:
        """After the backward pass: a parameter and its gradient (zeros where no path leads to it)."""

    def on_input(self, gradient_BCHW: Tensor) -> None:
        """After the backward pass: the gradient with respect to the input."""

    def on_curvature(self, value: Tensor) -> None:
        """With `wrt="curvature"`: θᵀ H g, 0-d in float64.

        θ are the weights of convolution and linear layers, g their gradient, H the Hessian of the objective.
        """

    def on_labels(self, labels_B: Tensor) -> None:
        """Before anything else, beyond the features: the class labels of the batch."""

    def on_sample_gradient(self, name: str, parameter: Tensor, gradient_B: Tensor) -> None:
        """With `wrt="samples"`: a parameter and ∂objective_n/∂parameter of every sample, (B, *shape).

        Zeros where no path leads to the parameter.  The objective of a sample is the sum of its logits or
        its own cross-entropy.
        """

    def on_basis(self, basis_KM: Tensor) -> None:
        """With `wrt="outputs"`: how the K logits are made of the M outputs that are differentiated.

        The gradients of the logits are `basis @ gradients`: the identity where the logits themselves are
        differentiated, the classifier's weight where the classes outnumber the classifier's inputs, which
        are differentiated then.
        """

    def on_output_gradient(
        self, output: int, name: str, module: nn.Module, x: Tensor, gradient: Tensor
    ) -> None:
        """With `wrt="outputs"`: a watched layer's input, and the gradient of one of M outputs by its output.

        `gradient[n]` is that of the output at sample n.  Called for all layers with a path to the output;
        the classifier among them only where the logits themselves are differentiated.  Both tensors have the
        dimensions in the layer's own order.
        """

    def entries_wanted(self) -> tuple[str, ...]:
        """With `wrt="outputs"`: parameters whose first entry's effect on the logits is to be shown."""
        return ()

    def on_entry(self, name: str, slope_BK: Tensor) -> None:
        """With `wrt="outputs"`: the derivative of each sample's logits by the first entry of a parameter."""

    def on_block_gradient(self, name: str, block: nn.Module, g_in: Tensor, g_out: Tensor) -> None:
        """With `wrt="blocks"`: the gradient ∂⟨g_out, y⟩/∂x of a block y = f(x), and the random ±1 g_out."""

    def record(self) -> Record:
        """What was reduced; small, or on the CPU, since the records of all passes are held together."""
        raise NotImplementedError


def watches(observer: Observer, callback: str) -> bool:
    """Whether an observer overrides a callback."""
    return getattr(type(observer), callback) is not getattr(Observer, callback)


class LayerObserver(Observer):
    """One number a layer, or one small tensor, from its input x and output y.

    Its record has a key `layers`: a float64 tensor on the CPU, (L,) for L layers in the order of the forward
    pass, or (L, *shape) if `reduce` gives a tensor of a shape; (0,) if the network has no such layer.  The
    layers' names stand in `names`.

    Args:
        kind: which layers: `conv`, `conv_linear`, `bn`, `relu` or `cell` (cells and reduction blocks).
        reduce: makes a 0-d tensor of x and y, or a tensor of the same shape for every layer.
    """

    def __init__(self, kind: LayerKind, reduce: Callable[[Tensor, Tensor], Tensor]) -> None:
        self.kind, self.reduce = kind, reduce
        self.values: list[Tensor] = []
        self.names: list[str] = []

    def layers(self, net: Network) -> Mapping[str, nn.Module]:
        return layers(net, self.kind)

    def on_layer(self, name: str, module: nn.Module, x: Tensor, y: Tensor) -> None:
        self.values.append(self.reduce(x, y))
        self.names.append(name)

    def record(self) -> Record:
        return {"layers": stack(self.values), "names": self.names}


class GradientObserver(Observer):
    """One number a parameter tensor from the tensor θ and its gradient g.

    Its record has a key `tensors`: a float64 tensor on the CPU, (T,) for T parameter tensors in the order of
    the network's parameters; (T, *shape) if `reduce` gives a tensor of a shape.  Their names are in `names`.

    Args:
        net: the network, which says what tensors there are.
        reduce: makes a 0-d tensor of θ and g, or a tensor of the same shape for every parameter tensor.
        parameters: `weights` (weight tensors of convolution and linear layers) or `all`.
    """

    def __init__(
        self, net: Network, reduce: Callable[[Tensor, Tensor], Tensor], parameters: Parameters = "weights"
    ) -> None:
        self.reduce, self.wanted = reduce, parameter_names(net, parameters)
        self.values: list[Tensor] = []
        self.names: list[str] = []

    def on_parameter(self, name: str, parameter: Tensor, gradient: Tensor) -> None:
        if name in self.wanted:
            self.values.append(self.reduce(parameter, gradient))
            self.names.append(name)

    def record(self) -> Record:
        return {"tensors": stack(self.values), "names": self.names}


def stack(values: list[Tensor]) -> Tensor:
    """0-d tensors as one float64 vector on the CPU: a single transfer instead of one a value."""
    return torch.stack(values).double().cpu() if values else torch.zeros(0, dtype=torch.float64)
