"""The modes of batch norm in which a network can run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from nasbench_eval.passes.observer import modules
from nasbench_eval.passes.spec import BatchNorm
from nasbench_eval.spaces.base import Network


def norms(network: Network) -> list[nn.BatchNorm2d]:
    return [m for m in modules(network).values() if isinstance(m, nn.BatchNorm2d)]


def reset_statistics(network: Network) -> None:
    for norm in norms(network):
        norm.reset_running_stats()


@contextmanager
def batch_norm(network: Network, mode: BatchNorm) -> Iterator[None]:
    if network.training != (mode != "eval"):  # setting it walks through all modules
        network.train(mode != "eval")
    changed = norms(network) if mode in ("skip", "alone") else []
    for norm in changed:
        other = nn.Identity().forward if mode == "skip" else partial(_alone, norm)
        norm.forward = other  # type: ignore[method-assign]
    try:
        yield
    finally:
        for norm in changed:
            del norm.forward


def _alone(norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    """Batch norm as in a batch of one: each sample's own statistics."""
    y: Tensor = _Alone.apply(x, norm.weight, norm.bias, norm.eps)  # type: ignore[no-untyped-call]
    return y


def own_statistics(x_BCHW: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Mean and (σ² + ε)^(−1/2) of every sample and channel, (B, C, 1, 1)."""
    mean = x_BCHW.mean(dim=(2, 3), keepdim=True)
    variance = (x_BCHW - mean).square().mean(dim=(2, 3), keepdim=True)
    return mean, (variance + eps).rsqrt()


class _Alone(torch.autograd.Function):
    """Channels-last throughout: `instance_norm` copies to channels-first, which slows every layer behind it.

    With x̂ = (x − m(x)) r and m(·) the mean over a sample's positions, gx = γ r [gy − m(gy) − x̂ m(gy x̂)].
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        mean, r = own_statistics(x, eps)
        ctx.save_for_backward(x, weight, mean, r)
        ctx.eps = eps
        scale = r * weight.view(-1, 1, 1)
        return torch.addcmul(bias.view(-1, 1, 1) - mean * scale, x, scale)

    @staticmethod
    def backward(ctx: Any, gy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, r = ctx.saved_tensors
        if torch.is_grad_enabled():  # to be differentiated again: the statistics depend on x
            mean, r = own_statistics(x, ctx.eps)
        n = x[0, 0].numel()
        sum_g = gy.sum(dim=(2, 3), keepdim=True)
        sum_gx = ((gy * x).sum(dim=(2, 3), keepdim=True) - mean * sum_g) * r
        scale = r * weight.view(-1, 1, 1)
        on_x = -scale * r * sum_gx / n
        gx = torch.addcmul(-scale * sum_g / n - mean * on_x, gy, scale).addcmul(x, on_x)
        return gx, sum_gx.sum(dim=(0, 2, 3)), sum_g.sum(dim=(0, 2, 3)), None
