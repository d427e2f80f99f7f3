"""Initialisation: every parameter tensor drawn from its own generator, by its name.

`kaiming`: N(0, 2 / fan-in) for convolution and linear weights (He et al. 2015), zero biases.
`torch_default`: what the modules do by themselves, U(-1/√fan-in, 1/√fan-in) for weights and biases.
`gaussian`: N(0, 1) weights, zero biases.
Weights of normalisations are 1 and their biases 0 in all three, and a `Drawn` module says itself how it is
drawn.  `keep` leaves everything as it is.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from nasbench_eval.networks.traits import LAYERS, NORMS
from nasbench_eval.passes.spec import Init
from nasbench_eval.seeding import generator
from nasbench_eval.spaces.base import Drawn


@torch.no_grad()
def draw(
    modules: Mapping[str, nn.Module], init: Init, *key: object, kept: Collection[str] = frozenset()
) -> None:
    """Set all parameters of convolutions, linear layers and normalisations in place.

    Args:
        modules: layers by name; containers among them are passed over.
        init: the distribution.
        key: what the draw depends on besides the tensor's name (run seed, architecture, repeat).
        kept: parameters that are set by somebody else.

    Raises:
        TypeError: for other layers with parameters that nobody sets.
    """
    for name, module in modules.items():
        if isinstance(module, NORMS):
            if isinstance(module, _NormBase):
                module.reset_running_stats()
            for kind, tensor in module.named_parameters(recurse=False):
                tensor.fill_(0.0 if kind == "bias" else 1.0)
        elif isinstance(module, LAYERS):
            for kind, tensor in module.named_parameters(recurse=False):
                # An output's inputs, as PyTorch counts them; in attention as many for each projection.
                bound = 1 / math.sqrt(_of_outputs(module, kind)[0].numel())
                # Drawn on the CPU in float32 whatever the device and precision: all get the same values.
                values = torch.empty(tensor.shape)
                if init == "torch_default":
                    values.uniform_(-bound, bound, generator=generator(*key, init, name, kind))
                elif "bias" in kind:
                    values.zero_()
                else:
                    std = 1.0 if init == "gaussian" else math.sqrt(2) * bound
                    values.normal_(0, std, generator=generator(*key, init, name, kind))
                tensor.copy_(values)
        elif isinstance(module, Drawn):
            for kind, tensor in module.named_parameters(recurse=False):
                tensor.copy_(module.drawn(kind, generator(*key, init, name, kind)))
        elif any(
            f"{name}.{kind}".lstrip(".") not in kept for kind, _ in module.named_parameters(recurse=False)
        ):
            raise TypeError(f"no initialisation is defined for {type(module).__name__} '{name}'")


def _of_outputs(module: nn.Module, kind: str) -> Tensor:
    """The matrix or kernel whose rows are the outputs that a tensor belongs to."""
    if isinstance(module, nn.MultiheadAttention):
        weight = module._parameters.get(kind if kind.endswith("weight") else "in_proj_weight")
        weight = module.q_proj_weight if weight is None else weight
    else:
        weight = module.weight  # type: ignore[assignment]
    assert isinstance(weight, Tensor)
    return weight
