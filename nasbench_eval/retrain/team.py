"""The processes that train one network together, as torchrun starts them; one alone is a team as well."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from nasbench_eval.errors import UsageError
from nasbench_eval.wording import first_line

# The variables by which torchrun tells a process of its place.
_RANK, _SIZE, _LOCAL_RANK, _LOCAL_SIZE = "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"
# Seconds in which threads that are done have let go of what they worked on.
_SETTLED = 0.2


@dataclass(frozen=True)
class Team:
    """One process of a team.

    Attributes:
        rank: its number; 0 writes the files and speaks to the user.
        size: how many there are.
        local: its number on this machine, which is that of its GPU.
        neighbours: how many there are on this machine.
    """

    rank: int = 0
    size: int = 1
    local: int = 0
    neighbours: int = 1

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def device(self, named: torch.device) -> torch.device:
        """This process's own device, where the kind is named."""
        return torch.device("cuda", self.local) if named.type == "cuda" else named

    def share(self, count: int) -> slice:
        """Which of a batch's images are this process's; `count` is a multiple of the size."""
        each = count // self.size
        return slice(self.rank * each, (self.rank + 1) * each)

    def parallel(self, network: nn.Module, *, idle: bool) -> nn.Module:
        """The network with its gradients averaged over the team.

        Args:
            network: the network.
            idle: whether some of its parameters have no gradient, which the others would wait for.
        """
        return network if self.size == 1 else DistributedDataParallel(network, find_unused_parameters=idle)

    def total(self, numbers: Tensor) -> Tensor:
        """The sum of what each process brings, in place."""
        if self.size > 1:
            dist.all_reduce(numbers)
        return numbers

    def leaders(self, thing: Any) -> Any:
        """What the leading process brings: plain data and tensors."""
        if self.size == 1:
            return thing
        box = [thing]
        dist.broadcast_object_list(box)
        return box[0]

    def align(self, network: nn.Module) -> None:
        """Give all processes the leading one's running statistics."""
        if self.size > 1:
            for tensor in network.buffers():
                dist.broadcast(tensor, 0)


@contextmanager
def joined(kind: str) -> Iterator[Team]:
    """The team that torchrun has made this process a part of, for as long as a training lasts.

    Args:
        kind: of the device, `cpu` or `cuda`.

    If another process of the team is lost, or does not come, this one says so and ends with exit code 2.
    """
    size = int(os.environ.get(_SIZE, "1"))
    if size == 1:
        yield Team()
        return
    rank, local = int(os.environ[_RANK]), int(os.environ.get(_LOCAL_RANK, "0"))
    if kind == "cuda":
        torch.cuda.set_device(local)
    team = Team(rank, size, local, int(os.environ.get(_LOCAL_SIZE, size)))
    try:
        dist.init_process_group("nccl" if kind == "cuda" else "gloo")
        yield team
    except (dist.DistError, RuntimeError) as error:
        if not _lost(error):
            raise
        _end(rank, size, error)
    # The group is taken apart with Python's lock held, which its threads may want for what they did last.
    time.sleep(_SETTLED)
    dist.destroy_process_group()


def _end(rank: int, size: int, error: BaseException) -> NoReturn:
    """Tell of a lost process, and end this one on the spot.

    To take the group apart would wait for ever, now and then: for threads that wait for Python's lock, which
    this one holds (PyTorch 2.13).
    """
    said = UsageError(
        f"process {rank} of {size} has lost another one ({first_line(error)}); finished epochs are kept: the "
        "same command continues where it stopped"
    )
    print(f"error: {said}", file=sys.stderr, flush=True)
    os._exit(2)


def _lost(error: BaseException) -> bool:
    """Whether an error says that there is no hearing from other processes."""
    if isinstance(error, dist.DistError):
        return True
    return any(word in str(error).lower() for word in ("gloo", "connection", "nccl", "timed out"))
