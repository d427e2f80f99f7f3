"""Initialisation: every parameter tensor drawn from its own generator, by its name.

`kaiming`: N(0, 2 / fan-in) for convolution and linear weights (He et al. 2015), zero biases.
`torch_default`: what the modules do by themselves, U(-1/√fan-in, 1/√fan-in) for weights and biases.
`gaussian`: N(0, 1) weights, zero biases.
Batch-norm weights are 1 and biases 0 in all three.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import nn

from nasbench_eval.passes.spec import Init
from nasbench_eval.seeding import generator


@torch.no_grad()
def draw(modules: Mapping[str, nn.Module], init: Init, *key: object) -> None:
    """Set all parameters of convolution, linear and batch-norm layers in place.

    Args:
        modules: layers by name; containers among them are passed over.
        init: the distribution.
        key: what the draw depends on besides the tensor's name (run seed, architecture, repeat).
    """
    for name, module in modules.items():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Conv2d | nn.Linear):
            bound = 1 / math.sqrt(module.weight[0].numel())
            for kind, tensor in module.named_parameters(recurse=False):
                # Drawn on the CPU in float32 whatever the device and precision: all get the same values.
                values = torch.empty(tensor.shape)
                if init == "torch_default":
                    values.uniform_(-bound, bound, generator=generator(*key, init, name, kind))
                elif kind == "bias":
                    values.zero_()
                else:
                    std = 1.0 if init == "gaussian" else math.sqrt(2) * bound
                    values.normal_(0, std, generator=generator(*key, init, name, kind))
                tensor.copy_(values)
        elif next(module.parameters(recurse=False), None) is not None:
            raise TypeError(f"no initialisation is defined for {type(module).__name__} '{name}'")
