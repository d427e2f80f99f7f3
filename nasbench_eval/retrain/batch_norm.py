"""Batch norms over the images of all processes that train a network together.

PyTorch's own, `SyncBatchNorm`, works on GPUs alone; this one does the same on a CPU.

Tensor legend: B images of this process, C channels, ... places of a feature map.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from nasbench_eval.errors import UsageError
from nasbench_eval.retrain.parts import timm_part


def synchronised(network: nn.Module, device: torch.device) -> nn.Module:
    """The network with such layers in place of its batch norms, and with the same parameters and buffers.

    Raises:
        UsageError: if a batch norm is of a kind that is not known here.
    """
    layers = timm_part("layers")
    known = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, layers.BatchNormAct2d)
    found = {name: module for name, module in network.named_modules() if isinstance(module, _BatchNorm)}
    for name, module in found.items():
        if type(module) not in known:
            kind = type(module).__name__
            raise UsageError(f"sync_batch_norm=true: layer {name} is a {kind}, which is not known here")
    if device.type == "cuda":
        converted: nn.Module = layers.convert_sync_batchnorm(network)
        return converted
    shared = {module: SharedBatchNorm(module) for module in found.values()}
    for parent in list(network.modules()):
        for name, child in parent._modules.items():  # children that have two names included
            if child in shared:
                setattr(parent, name, shared[child])
    return network


class SharedBatchNorm(_BatchNorm):
    """A batch norm whose means and variances are those of the batches of all processes together.

    Args:
        own: the batch norm that it stands for; what timm's do next, `drop` and `act`, is done here as well.
    """

    def __init__(self, own: _BatchNorm) -> None:
        super().__init__(own.num_features, own.eps, own.momentum, own.affine, own.track_running_stats)
        for name, parameter in own._parameters.items():  # there may be no bias
            self.register_parameter(name, parameter)
        for name, buffer in own._buffers.items():
            self.register_buffer(name, buffer)
        for name, child in own.named_children():
            self.add_module(name, child)
        self.train(own.training)

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of dimensions will do."""

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, C, ...) with mean 0 and variance 1 over all images, scaled and moved."""
        y = self._shared(x) if self.training else super().forward(x)
        for child in self.children():
            y = child(y)
        return y

    def _shared(self, x: Tensor) -> Tensor:
        dims = [dim for dim in range(x.ndim) if dim != 1]
        shape = [-1 if dim == 1 else 1 for dim in range(x.ndim)]
        x_BC = x.float()
        count = x_BC.new_tensor([x.numel() // x.shape[1]])
        sums = _summed(torch.cat([x_BC.sum(dims), count]))
        total = sums[-1]
        mean_C = sums[:-1] / total
        var_C = _summed((x_BC - mean_C.view(shape)).square().sum(dims)) / total
        self._remember(mean_C.detach(), (var_C * total / (total - 1)).detach())
        scale_C = (var_C + self.eps).rsqrt() * (1 if self.weight is None else self.weight)
        moved = (x_BC - mean_C.view(shape)) * scale_C.view(shape)
        normed: Tensor = moved if self.bias is None else moved + self.bias.view(shape)
        return normed.to(x.dtype)

    def _remember(self, mean_C: Tensor, var_C: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        # Without a momentum the running statistics are those of all batches alike.
        weight = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean_C, weight)
        self.running_var.lerp_(var_C, weight)


def _summed(x: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(x)  # type: ignore[no-untyped-call]
    return total


class _Sum(torch.autograd.Function):
    """Σ over processes.  Each one's loss depends on it, so its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total
