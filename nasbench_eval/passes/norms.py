"""The modes of batch norm in which a network can run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from nasbench_eval.errors import Undefined
from nasbench_eval.networks.traits import NORMS
from nasbench_eval.passes.observer import modules
from nasbench_eval.passes.spec import BatchNorm
from nasbench_eval.spaces.base import Network, TaskHead


def norms(network: Network, heads: Iterable[nn.Module] = ()) -> list[_BatchNorm]:
    """The batch norms of a network, and of any heads of it."""
    inside = dict.fromkeys([*modules(network).values(), *(m for head in heads for m in head.modules())])
    return [m for m in inside if isinstance(m, _BatchNorm)]


def reset_statistics(network: Network, heads: Iterable[nn.Module] = ()) -> None:
    for norm in norms(network, heads):
        norm.reset_running_stats()


def need_statistics(network: Network) -> None:
    """Refuse a batch norm that lets samples act on each other in eval mode as well.

    Raises:
        Undefined: naming it.
    """
    for name, module in modules(network).items():
        if isinstance(module, _BatchNorm) and module.running_mean is None:
            raise Undefined(f"the batch norm '{name}' keeps no statistics, so that samples are never apart")


@contextmanager
def batch_norm(network: Network, mode: BatchNorm) -> Iterator[None]:
    """While the body of a network runs; a head that has norms of its own has its own turn."""
    if network.training != (mode != "eval"):  # setting it walks through all modules
        network.train(mode != "eval")
    inside, head = modules(network), network.seen_classifier()
    with _in_mode([module for name, module in inside.items() if name not in head], mode):
        yield


@contextmanager
def head_norm(head: TaskHead | None, mode: BatchNorm) -> Iterator[None]:
    """While a task's head runs."""
    if head is None:
        yield
        return
    head.train(mode != "eval")
    with _in_mode(list(head.modules()), mode):
        yield


@contextmanager
def _in_mode(inside: Iterable[nn.Module], mode: BatchNorm) -> Iterator[None]:
    changed: list[nn.Module] = []
    if mode in ("skip", "alone"):
        changed = [m for m in inside if isinstance(m, NORMS if mode == "skip" else _BatchNorm)]
    forwards = [_skipped(norm) if mode == "skip" else _by_itself(norm) for norm in changed]  # may refuse one
    for norm, forward in zip(changed, forwards, strict=True):
        norm.forward = forward
    try:
        yield
    finally:
        for norm in changed:
            del norm.forward


def _skipped(norm: nn.Module) -> Callable[[Tensor], Tensor]:
    """A forward without the normalisation, but with the activation that some have at their end."""
    act = norm._modules.get("act")
    return nn.Identity().forward if act is None else act.forward


def _by_itself(norm: nn.Module) -> Callable[[Tensor], Tensor]:
    if not isinstance(norm, nn.BatchNorm2d):
        raise Undefined(
            f"{type(norm).__name__} has no statistics of a sample by itself; bn=eval does without"
        )
    return partial(_alone, norm)


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
