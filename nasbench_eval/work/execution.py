"""Which architectures are worked on, where and with what: the same for scoring and for training."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from nasbench_eval.errors import UsageError
from nasbench_eval.options.typed import Execution, Placed, Sampled
from nasbench_eval.runs.split import Split, split_of
from nasbench_eval.spaces.base import SearchSpace
from nasbench_eval.spaces.open import is_open, space_of

# Bytes a process may take on a GPU: 2 GiB of activations (NAS-Bench-201's largest cell at B = 64, R = 64),
# as much again for kernels' workspaces and the driver.
_GPU_WORKER = 4 << 30


@dataclass(frozen=True)
class Work:
    """A command's work.

    Attributes:
        options: how it is to be done.
        device: where networks are.
        workers: processes, no more than find work; 0 to do the work in this one.
        whole: folder of the run; a shard's results go to a folder inside it.
    """

    options: Execution
    device: torch.device
    workers: int
    whole: Path

    @property
    def split(self) -> Split | None:
        """Which shard this is; None for a run in one piece."""
        return None

    @property
    def folder(self) -> Path:
        return self.whole if self.split is None else self.split.folder(self.whole)

    @property
    def checkpoints(self) -> Path:
        """Where trainings leave their state while they run."""
        return self.folder / ".training"

    def identity(self) -> dict[str, Any]:
        """What decides the outcome and the sample, as plain data."""
        raise NotImplementedError


@dataclass(frozen=True)
class SampleWork(Work):
    """Work on a sample of architectures.

    Attributes:
        indices: which architectures, by the benchmark's index; of a shard, its own.
        sample: all that were drawn or named, for all shards together, in the order of the draw.
        shard: which shard this is; None for a run in one piece.
    """

    options: Sampled
    indices: tuple[int, ...]
    sample: tuple[int, ...]
    shard: Split | None

    @property
    def split(self) -> Split | None:
        return self.shard

    @property
    def sampled(self) -> int:
        """How many were drawn, for all shards together."""
        return len(self.sample)


def work_of(
    options: Sampled, sample: Sequence[int], device: torch.device, name: str, portions: int = 1
) -> SampleWork:
    """The work that options ask for, on a sample.

    Args:
        options: of the command.
        sample: the architectures drawn.
        device: where networks are.
        name: of the run's folder, if the options give none.
        portions: in which a worker does an architecture's work.

    Raises:
        UsageError: if there is no such shard, or the run's name leads out of the results.
    """
    split = split_of(options.shard, options.shards)
    indices = tuple(sample) if split is None else split.take(sample)
    # More workers than there are portions of work would start for nothing.
    workers = min(workers_of(options, device), portions * len(indices))
    return SampleWork(options, device, workers, folder_of(options, name), indices, tuple(sample), split)


def workers_of(options: Execution, device: torch.device) -> int:
    """How many worker processes options ask for, or the machine has room for."""
    return _workers(device) if options.workers is None else options.workers


def folder_of(options: Placed, name: str) -> Path:
    """The folder of a run; `name` is what it is called if the options do not say.

    Raises:
        UsageError: if the run's name leads out of the results.
    """
    return options.results / (name if options.run in (None, "") else _safe(str(options.run)))


def space_named(node: Any) -> SearchSpace:
    """The search space of a configuration.

    Raises:
        UsageError: if there is none, or an option of it will not do.
    """
    if not isinstance(node, dict) or "name" not in node:
        raise UsageError("no search space is chosen; choose one with space=NAME")
    return space_of(node)


def check_side(space: SearchSpace, side: int, option: str) -> None:
    """Refuse images that the space's networks cannot take: all have the same stem and the same strides.

    Those of an open space need not have, and are not tried.

    Args:
        space: the search space.
        side: height and width of the images in pixels.
        option: which sets them to another size.

    Raises:
        UsageError: naming a size near by, if that one fits.
    """
    near = max(8, side // 8 * 8)
    if is_open(space):
        return
    if side != near and not _takes(space, side) and _takes(space, near):
        raise UsageError(
            f"networks of {space.name} cannot take images of {side} x {side} pixels; "
            f"{option}={near} fits, as do other multiples of 8"
        )


def _takes(space: SearchSpace, side: int) -> bool:
    """Whether a network of the space can be shown images of a size; tried without memory for its tensors."""
    try:
        with torch.device("meta"), torch.no_grad():
            space.build(space.arch(0), num_classes=2)(torch.empty(2, 3, side, side))
    except RuntimeError:
        return False
    return True


def device_named(name: str) -> torch.device:
    """A device by its name; `auto` is a GPU where there is one.  Raises UsageError."""
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("device=cuda: PyTorch sees no CUDA device here; device=cpu works everywhere")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def _safe(name: str) -> str:
    """A run's name, which leads to a folder in that of the results and to no other."""
    path = Path(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise UsageError(f"run={name}: must lie inside the results folder; move that with results=PATH")
    return name


def _workers(device: torch.device) -> int:
    """One a core: a single process leaves a GPU idle between small kernels.  No more than memory holds."""
    if device.type == "cpu":
        return _cores()
    free, _ = torch.cuda.mem_get_info(device)
    return max(1, min(_cores(), free // _GPU_WORKER))


def _cores() -> int:
    """Cores this process may use, where the system tells; all of them elsewhere."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
