"""Layers whose input, and the gradient by their output, tell the gradients by their parameters."""

from __future__ import annotations

import torch
from torch import Tensor, nn

KINDS = (nn.Conv2d, nn.Linear, nn.LayerNorm, nn.GroupNorm, nn.BatchNorm2d)


def plain(module: nn.Module, x: Tensor, y: Tensor) -> bool:
    """Whether a layer is one of `KINDS` and computes what that does.

    A subclass may compute something else, and a weight may be made of other parameters.

    Args:
        module: the layer.
        x: its input.
        y: what it made of it.
    """
    of = next((kind for kind in KINDS if isinstance(module, kind)), None)
    if of is None or "parametrizations" in module._modules:
        return False
    if isinstance(module, nn.Conv2d) and not (
        module.padding_mode == "zeros" and isinstance(module.padding, tuple)
    ):
        return False
    if isinstance(module, nn.BatchNorm2d):
        return type(module) is nn.BatchNorm2d and module.track_running_stats and module.affine
    if isinstance(module, nn.Conv2d) and type(module)._conv_forward is not nn.Conv2d._conv_forward:
        return False
    if type(module).forward is of.forward:
        return True
    try:
        return torch.equal(of.forward(module, x), y)  # type: ignore[arg-type]
    except RuntimeError:
        return False
