"""The shape of the networks that search spaces build."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvTransposeNd

from nasbench_eval.errors import Undefined
from nasbench_eval.spaces._task_head import TaskHead

N = TypeVar("N", bound=nn.Module)
_DRAWN: tuple[Any, ...] = (nn.modules.conv._ConvNd, nn.modules.batchnorm._BatchNorm, nn.Linear)


class Network(nn.Module):
    """A classifier cut where the passes need it: body up to the last feature map, then the head.

    The cut lets one forward pass through the body serve several data sets whose networks differ only in
    the classifier.  `classifier` may be replaced by another linear layer with the same input width.

    The methods below `forward` say how the passes see it.  A network that no space has built answers them
    in its own way (`networks.adapted`).

    Attributes:
        stem: its output is the input of the first block.
        cells: the blocks of the body in a row.
        classifier: the linear layer that gives the logits.
        shows_features: whether anybody watches the features of the next pass.
        has_calls: whether it has activations that no module shows.
        classifier_name: what the classifier's tensors are drawn by.
        tensor_layout: how its inputs and weights lie in memory.
    """

    stem: nn.Module
    cells: nn.ModuleList
    classifier: nn.Linear
    shows_features: bool = True
    has_calls: bool = False
    classifier_name: str = "classifier"
    tensor_layout: torch.memory_format = torch.channels_last

    def features(self, x_BCHW: Tensor) -> Tensor:
        """Feature maps (B, C, h, w) before global pooling, of images (B, 3, H, W)."""
        raise NotImplementedError

    def head(self, features_BChw: Tensor) -> Tensor:
        """Logits (B, classes) of feature maps (B, C, h, w)."""
        raise NotImplementedError

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Logits (B, classes) of images (B, 3, H, W)."""
        return self.head(self.features(x_BCHW))

    def seen_modules(self) -> dict[str, nn.Module]:
        """All modules by name, itself left out."""
        return {name: module for name, module in self.named_modules() if module is not self}

    def seen_classifier(self) -> Mapping[str, nn.Module]:
        """The modules of the head in use by name: the classifier, or what a task has in its place."""
        return {self.classifier_name: self.classifier}

    def seen_blocks(self) -> dict[str, nn.Module]:
        """The blocks of the body by name."""
        return {f"cells.{i}": block for i, block in enumerate(self.cells)}

    def seen_heads(self, classes: Mapping[str, int]) -> dict[str, nn.Linear]:
        """A classifier for each data set, by its number of classes; their weights are drawn later."""
        width = self.classifier.in_features
        # Without the layer's own draw, which would use up the global generator.
        return {name: uninitialised(partial(nn.Linear, width, n)) for name, n in classes.items()}

    def task_head(self, task: str, outputs: int) -> TaskHead:
        """A head for a task other than classification; its weights are drawn later.

        Raises:
            Undefined: if the network has none.
        """
        raise Undefined(f"it classifies images, and has no head for {task}")

    def use_head(self, head: nn.Module) -> None:
        """Put one of the `seen_heads`, or a `task_head`, in the classifier's place."""
        assert isinstance(head, nn.Linear)
        self.classifier = head

    def named_head(self, head: nn.Module) -> Mapping[str, nn.Module]:
        """The modules of a head by the names that their tensors are drawn by."""
        return {self.classifier_name: head}

    def head_in_use(self) -> TaskHead | None:
        """The head where the network does another task than classification."""
        return None

    def kept_tensors(self, init: str) -> dict[str, Tensor]:
        """Tensors of parameters and buffers that a draw of weights does not set, as they are to be, by name.

        Args:
            init: how the others are drawn.
        """
        return {}

    def seen_as(self, y: Tensor) -> Tensor:
        """A layer's output with its channels in the second dimension: (B, C, h, w), (B, C, N) or (B, C)."""
        return y

    def plain_layers(self) -> Collection[str] | None:
        """Names of layers that a pass meets once, a row of output a sample, and that are of well-known kinds.

        Their inputs and the gradients by their outputs tell the gradients by their parameters.  None where
        this holds of all that have a bearing on the output.
        """
        return None

    def release_pass(self) -> None:
        """Let go of what a forward pass left."""


class Drawn(nn.Module):
    """A module with parameters of a kind of its own, which says what has to be known of them."""

    def drawn(self, kind: str, coins: torch.Generator) -> Tensor:
        """Values for the parameter of a name, on the CPU in float32, whatever the initialisation is."""
        raise NotImplementedError

    def first_entries(self, x: Tensor, gradient: Tensor) -> dict[str, Tensor]:
        """Gradients (B,) in float64 by the first entry of each parameter.

        Args:
            x: the input, (B, ...).
            gradient: by the output, (B, ...).
        """
        raise NotImplementedError


class Featured(nn.Module):
    """A network that names the module whose output are its last feature maps.

    Attributes:
        last_features: its name.
    """

    last_features: str


class Product(nn.Module):
    """A product of features with features, as inside attention: it has no weights, and FLOPs count it."""

    def summed(self, x: Tensor) -> int:
        """How many products each number of the output is the sum of, from the first input."""
        raise NotImplementedError


def summed(module: nn.Module, x: Tensor) -> int:
    """How many products each number that a layer puts out is the sum of: its multiply-accumulates.

    Those of a transposed convolution are not the same for all numbers: it is their mean, borders left out of
    account.

    Args:
        module: a convolution, a linear layer or a `Product`.
        x: its first input.
    """
    if isinstance(module, Product):
        return module.summed(x)
    if isinstance(module, _ConvTransposeNd):
        met = module.in_channels // module.groups * math.prod(module.kernel_size)
        return met // math.prod(module.stride)
    assert isinstance(module.weight, Tensor)
    return module.weight[0].numel()


def risky_channels_last(model: nn.Module) -> bool:
    """Whether a network has a layer that PyTorch's kernels for channels last cannot bear.

    With PyTorch 2.13 on the CPU, the backward pass of a 1×1 convolution with a stride and fewer than 16
    inputs writes past the end of its memory.
    """
    return any(
        isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1) and max(m.stride) > 1 and m.in_channels < 16
        for m in model.modules()
    )


class ChainNetwork(Network):
    """A stem, blocks in a row, and a classifier of the channels' means.

    Args:
        stem: from the images to the input of the first block.
        blocks: each takes the output of the one before it.
        width: channels of the last block's output.
        num_classes: of the classifier.
    """

    def __init__(self, stem: nn.Module, blocks: Iterable[nn.Module], width: int, num_classes: int) -> None:
        super().__init__()
        self.stem = stem
        self.cells = nn.ModuleList(blocks)
        self.classifier = nn.Linear(width, num_classes)

    def features(self, x_BCHW: Tensor) -> Tensor:
        """Feature maps (B, C, h, w) of images (B, 3, H, W)."""
        x_BCHW = self.stem(x_BCHW)
        for block in self.cells:
            x_BCHW = block(x_BCHW)
        return x_BCHW

    def head(self, features_BChw: Tensor) -> Tensor:
        """Logits (B, classes) of the channels' means over the map."""
        logits: Tensor = self.classifier(features_BChw.mean(dim=(2, 3)))
        return logits


def uninitialised(make: Callable[[], N]) -> N:
    """The module that `make` makes, without drawing the weights of its layers: they would be overwritten.

    A device without memory (`meta`) would do as well, and takes twice as long.
    """
    drawn = [kind.reset_parameters for kind in _DRAWN]
    for kind in _DRAWN:
        kind.reset_parameters = lambda self: None
    try:
        return make()
    finally:
        for kind, draw in zip(_DRAWN, drawn, strict=True):
            kind.reset_parameters = draw
