"""The unit of cost, one bare forward-backward pass of a cell's network, and what the machine does at most.

On CUDA the queue is emptied before a clock is read.  That path has not been run yet: no machine with a GPU
was at hand when it was written.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from nasbench_eval.passes.weights import draw
from nasbench_eval.scoring.job import Job
from nasbench_eval.spaces.base import Network, SearchSpace
from nasbench_eval.spaces.nasbench201 import NASBench201

SPACE = NASBench201()
CLASSES = 10
# Side of the square matrices whose product shows the machine's rate; a GPU needs larger ones to be busy.
MATMUL = {"cpu": 2048, "cuda": 8192}


@dataclass(frozen=True)
class Size:
    """Of what size a pass is: B images of R×R pixels through a network of width C with N cells a stage.

    Attributes:
        batch_size, resolution: B and R, in images and pixels.
        channels, cells: C and N; None takes the search space's own.
    """

    batch_size: int = 64
    resolution: int = 32
    channels: int | None = None
    cells: int | None = None

    def space(self) -> SearchSpace:
        """The search space whose networks have this width and depth."""
        if self.channels is None and self.cells is None:
            return SPACE
        return SPACE.resized(channels=self.channels, cells=self.cells)


REFERENCE = Size()


def own_size(job: Job) -> Size:
    """The size of a job's largest pass: that of the whole network if any runs it, then the most pixels.

    A job whose passes run nothing but a cell by itself is measured by the reference alone.
    """
    every = [spec.forward for task in job.tasks() for spec, _ in job.passes(task)]
    forwards = [forward for forward in every if forward.body == "whole"]
    if not forwards:
        return REFERENCE
    largest = max(forwards, key=lambda f: (f.channels is None, f.batch_size * (f.resolution or 0) ** 2))
    assert largest.resolution is not None, "a job fills it in"
    return Size(largest.batch_size, largest.resolution, largest.channels, largest.cells)


def timed(action: Callable[[], object], device: torch.device) -> float:
    """Seconds of an action, the device's queue emptied before and after."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    action()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def network_and_batch(
    index: int,
    size: Size = REFERENCE,
    device: torch.device | None = None,
    memory_format: torch.memory_format = torch.channels_last,
) -> tuple[Network, Tensor, Tensor]:
    """A cell's network with drawn weights, a Gaussian batch (B, 3, R, R) and labels (B,)."""
    space = size.space()
    network = space.build(space.arch(index), num_classes=CLASSES)
    draw(dict(network.named_modules()), "kaiming", "bench")
    network.to(device=device, memory_format=memory_format)  # type: ignore[call-overload]
    x = torch.randn(size.batch_size, 3, size.resolution, size.resolution, device=device)
    labels = torch.randint(CLASSES, (size.batch_size,), device=device)
    return network, x.to(memory_format=memory_format), labels


def bare_pass(
    index: int,
    size: Size = REFERENCE,
    device: torch.device | None = None,
    memory_format: torch.memory_format = torch.channels_last,
) -> Callable[[], object]:
    """One forward-backward pass by all parameters of a cell's network, with nothing around it."""
    network, x, labels = network_and_batch(index, size, device, memory_format)
    parameters = list(network.parameters())
    return lambda: torch.autograd.grad(F.cross_entropy(network(x), labels), parameters, allow_unused=True)


def counted(action: Callable[[], object]) -> float:
    """Floating-point operations of an action: convolutions and matrix products, two a multiply-accumulate.

    It sees every kernel that is called, in backward passes and our own autograd functions as well.  Batch
    norm, activations, pooling, sums and eigenvalues are not counted.  A bare pass comes to three times its
    forward pass, less what nobody asks for: the gradient by the image, and those of layers without a way to
    the output.
    """
    with _Operations() as operations:
        action()
    return operations.total


class _Operations(TorchDispatchMode):
    """Counts as `FlopCounterMode` does, but not by module: that fails where the input has a gradient."""

    total = 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if (count := flop_registry.get(func.overloadpacket)) is not None:
            self.total += count(*args, **(kwargs or {}), out_val=out)
        return out


@lru_cache(maxsize=1)
def matmul_rate(device: torch.device) -> float:
    """GFLOP/s of a float32 matrix product, the best of three, measured once a process.

    No upper bound: the convolution kernels come from another library, which may be the faster one.
    """
    side = MATMUL[device.type]
    a, b = torch.randn(side, side, device=device), torch.randn(side, side, device=device)
    torch.mm(a, b)
    best = min(timed(lambda: torch.mm(a, b), device) for _ in range(3))
    return 2 * side**3 / best / 1e9
