"""The activations that proxies look at: as modules, and as the functions that a forward pass calls.

Gates (sigmoids that scale channels, softmax inside attention) are not among them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Functions by the name of the activation.  What works in place stands beside what does not.
_CALLS: dict[str, tuple[Callable[..., Tensor], ...]] = {
    "relu": (F.relu, torch.relu, F.relu_, torch.relu_, Tensor.relu, Tensor.relu_),
    "relu6": (F.relu6,),
    "leaky_relu": (F.leaky_relu, F.leaky_relu_),
    "elu": (F.elu, F.elu_),
    "selu": (F.selu, torch.selu, torch.selu_),
    "celu": (F.celu, torch.celu, torch.celu_),
    "gelu": (F.gelu,),
    "silu": (F.silu,),
    "mish": (F.mish,),
    "hardswish": (F.hardswish,),
    "softplus": (F.softplus,),
    "tanh": (F.tanh, torch.tanh, Tensor.tanh, Tensor.tanh_),
}
FUNCTIONS: dict[Any, str] = {call: name for name, calls in _CALLS.items() for call in calls}
# What to call instead of a function that works in place, so that its input stays to be looked at.
ELSEWHERE: dict[Any, Callable[..., Tensor]] = {
    F.relu_: F.relu,
    torch.relu_: torch.relu,
    Tensor.relu_: torch.relu,
    F.leaky_relu_: F.leaky_relu,
    F.elu_: F.elu,
    torch.selu_: torch.selu,
    torch.celu_: torch.celu,
    Tensor.tanh_: torch.tanh,
}
MODULES: dict[type[nn.Module], str] = {
    nn.ReLU: "relu",
    nn.ReLU6: "relu6",
    nn.LeakyReLU: "leaky_relu",
    nn.PReLU: "prelu",
    nn.RReLU: "leaky_relu",
    nn.ELU: "elu",
    nn.SELU: "selu",
    nn.CELU: "celu",
    nn.GELU: "gelu",
    nn.SiLU: "silu",
    nn.Mish: "mish",
    nn.Hardswish: "hardswish",
    nn.Softplus: "softplus",
    nn.Tanh: "tanh",
}
# Piecewise linear: a unit is on or off, and the sign of its input says which.
PIECEWISE = frozenset({"relu", "leaky_relu", "prelu"})
# f(a·x) = a·f(x) for a > 0, which flow through a network is conserved by.
HOMOGENEOUS = frozenset({"relu", "leaky_relu", "prelu"})


def kind(module: nn.Module) -> str | None:
    """The name of the activation that a module is; None if it is none."""
    if isinstance(module, Called):
        return module.kind
    return next((name for of, name in MODULES.items() if isinstance(module, of)), None)


class Called(nn.Module):
    """Stands for an activation that is a function call, so that observers see it as they see a module.

    Args:
        kind: the activation's name.
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.compute: Callable[[Tensor], Tensor] = lambda x: x

    def forward(self, x: Tensor) -> Tensor:
        return self.compute(x)
