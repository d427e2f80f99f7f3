"""Convolution and batch norm whose second derivatives cost what their arithmetic does.

PyTorch differentiates the backward passes of these two layers by decomposing them: batch norm into some
twenty elementwise operations, convolution into one with a kernel as large as the image.  Here both second
derivatives come from the layers' own kernels.  The first derivatives are PyTorch's kernels, to the bit.

Convolution y = x ∗ w: with cotangents v of gx and u of gw, the scalar ⟨v, gx⟩ + ⟨u, gw⟩ is
⟨gy, v ∗ w + x ∗ u⟩, so its gradient by gy is v ∗ w + x ∗ u, and its gradients by x and w are those that gy
has in a convolution of v with u.

Batch norm (Ioffe & Szegedy 2015): with x̂ = (x − μ)·r, r = (σ² + ε)^(−1/2), and m(·) the mean over a
channel's N entries, gx = γ r [gy − m(gy) − x̂ m(gy x̂)].  The scalar ⟨v, gx⟩ = γ N r (a − b c), with
a = m(v gy) − m(v) m(gy), b = m(v x̂) and c = m(gy x̂), has the gradients

    ∂/∂gy = γ r [v − m(v) − x̂ b], which is batch norm's own backward pass applied to v, and
    ∂/∂x  = −γ r² [c (v − m(v)) + b (gy − m(gy)) + (a − 3 b c) x̂].

All channel means but m(v gy) fall out of the two backward passes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

_convolution_backward = torch.ops.aten.convolution_backward
_norm_backward = torch.ops.aten.native_batch_norm_backward


@contextmanager
def twice_differentiable(network: nn.Module) -> Iterator[None]:
    """Make the network's convolutions without bias, and its batch norms, cheap to differentiate twice.

    Batch norms have to be in training mode; gradients of their weights and biases cannot be differentiated
    again.  On leaving, the layers are as they were.
    """
    swapped: list[nn.Module] = []
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.forward = partial(_batch_norm, module)  # type: ignore[method-assign]
        elif isinstance(module, nn.Conv2d) and module.bias is None and module.padding_mode == "zeros":
            module.forward = partial(_convolve, module)  # type: ignore[method-assign]
        else:
            continue
        swapped.append(module)
    try:
        yield
    finally:
        for module in swapped:
            del module.forward


def _convolve(conv: nn.Conv2d, x: Tensor) -> Tensor:
    geometry = (conv.stride, conv.padding, conv.dilation, False, [0, 0], conv.groups)
    y: Tensor = _Convolution.apply(x, conv.weight, geometry)  # type: ignore[no-untyped-call]
    return y


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, geometry: Any) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.geometry = geometry
        return torch.convolution(x, weight, None, *geometry)

    @staticmethod
    def backward(ctx: Any, gy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        gx, gw = _ConvolutionBackward.apply(  # type: ignore[no-untyped-call]
            gy, x, weight, ctx.geometry, ctx.needs_input_grad[0]
        )
        return gx if ctx.needs_input_grad[0] else None, gw, None


class _ConvolutionBackward(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, gy: Tensor, x: Tensor, weight: Tensor, geometry: Any, by_input: bool
    ) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(gy, x, weight)
        ctx.geometry, ctx.by_input = geometry, by_input
        gx, gw, _ = _convolution_backward(gy, x, weight, None, *geometry, [by_input, True, False])
        return gx if by_input else x.new_empty(0), gw

    @staticmethod
    def backward(ctx: Any, v: Tensor, u: Tensor) -> tuple[Tensor | None, ...]:
        gy, x, weight = ctx.saved_tensors
        by_gy = torch.convolution(x, u, None, *ctx.geometry)
        if not ctx.by_input:
            return by_gy, None, None, None, None
        by_gy += torch.convolution(v, weight, None, *ctx.geometry)
        by_x, by_weight, _ = _convolution_backward(gy, v, u, None, *ctx.geometry, [True, True, False])
        return by_gy, by_x, by_weight, None, None


def _batch_norm(norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    statistics = (norm.running_mean, norm.running_var, norm.momentum)
    y: Tensor = _BatchNorm.apply(  # type: ignore[no-untyped-call]
        x, norm.weight, norm.bias, statistics, norm.eps
    )
    return y


class _BatchNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, statistics: Any, eps: float) -> Tensor:
        mean, var, momentum = statistics
        y, batch_mean, r = torch.native_batch_norm(x, weight, bias, mean, var, True, momentum, eps)
        ctx.save_for_backward(x, weight, batch_mean, r)
        ctx.eps = eps
        return y

    @staticmethod
    def backward(ctx: Any, gy: Tensor) -> tuple[Tensor | None, ...]:
        gx, gweight, gbias = _BatchNormBackward.apply(  # type: ignore[no-untyped-call]
            gy, *ctx.saved_tensors, ctx.eps
        )
        return gx, gweight, gbias, None, None


class _BatchNormBackward(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, gy: Tensor, x: Tensor, weight: Tensor, mean: Tensor, r: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        gx, gweight, gbias = _backward_kernel(gy, x, weight, mean, r, eps)
        ctx.save_for_backward(gy, x, weight, mean, r, gweight, gbias)
        ctx.eps = eps
        ctx.mark_non_differentiable(gweight, gbias)
        return gx, gweight, gbias

    @staticmethod
    def backward(ctx: Any, v: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        gy, x, weight, mean, r, gweight, gbias = ctx.saved_tensors
        by_gy, v_xhat, v_sum = _backward_kernel(v, x, weight, mean, r, ctx.eps)
        n = x.numel() // x.shape[1]
        m_gy, c, m_v, b = gbias / n, gweight / n, v_sum / n, v_xhat / n
        a = (v * gy).mean(dim=(0, 2, 3)) - m_v * m_gy
        on_v = -weight * r.square() * c
        on_gy = -weight * r.square() * b
        on_x = -weight * r.pow(3) * (a - 3 * b * c)
        constant = -(on_v * m_v + on_gy * m_gy + on_x * mean)
        by_x = torch.addcmul(_channels(constant), v, _channels(on_v))
        by_x.addcmul_(gy, _channels(on_gy)).addcmul_(x, _channels(on_x))
        return by_gy, by_x, None, None, None, None


def _backward_kernel(
    gy: Tensor, x: Tensor, weight: Tensor, mean: Tensor, r: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """(gx, Σ gy·x̂, Σ gy), the latter two a channel."""
    found: tuple[Tensor, Tensor, Tensor] = _norm_backward(
        gy, x, weight, None, None, mean, r, True, eps, [True, True, True]
    )
    return found


def _channels(per_channel_C: Tensor) -> Tensor:
    return per_channel_C.view(1, -1, 1, 1)
