"""The modes of batch norm in which a network can run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from nasbench_eval.passes.spec import BatchNorm
from nasbench_eval.spaces.base import Network


def norms(network: Network) -> list[nn.BatchNorm2d]:
    return [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]


def reset_statistics(network: Network) -> None:
    for norm in norms(network):
        norm.reset_running_stats()


@contextmanager
def batch_norm(network: Network, mode: BatchNorm) -> Iterator[None]:
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
    return F.instance_norm(x, weight=norm.weight, bias=norm.bias, eps=norm.eps)
