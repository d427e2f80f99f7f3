"""The shape of the networks that search spaces build."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from torch import Tensor, nn

N = TypeVar("N", bound=nn.Module)
_DRAWN: tuple[Any, ...] = (nn.modules.conv._ConvNd, nn.modules.batchnorm._BatchNorm, nn.Linear)


class Network(nn.Module):
    """A classifier cut where the passes need it: body up to the last feature map, then the head.

    The cut lets one forward pass through the body serve several data sets whose networks differ only in
    the classifier.  `classifier` may be replaced by another linear layer with the same input width.
    """

    stem: nn.Module
    cells: nn.ModuleList
    classifier: nn.Linear

    def features(self, x_BCHW: Tensor) -> Tensor:
        """Feature maps (B, C, h, w) before global pooling, of images (B, 3, H, W)."""
        raise NotImplementedError

    def head(self, features_BChw: Tensor) -> Tensor:
        """Logits (B, classes) of feature maps (B, C, h, w)."""
        raise NotImplementedError

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Logits (B, classes) of images (B, 3, H, W)."""
        return self.head(self.features(x_BCHW))


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
