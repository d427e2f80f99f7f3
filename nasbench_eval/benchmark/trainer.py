"""Architectures in, rows of a benchmark out: each trained with every seed, then asked what it has learnt.

A row is stored as a score is (see `runs/store.py`), under the label `trained_SEED`: `score` is the accuracy
on the test images.

Tensor legend: N images, C channels, R height and width.
"""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nasbench_eval.benchmark.files import PARTS
from nasbench_eval.data.batches import normalised
from nasbench_eval.data.datasets import DataSet
from nasbench_eval.data.images import images_path, read_arrays
from nasbench_eval.errors import UsageError
from nasbench_eval.networks.layout import layout
from nasbench_eval.networks.names import named
from nasbench_eval.passes.observer import modules
from nasbench_eval.passes.spec import Init
from nasbench_eval.passes.weights import draw
from nasbench_eval.runs.rows import Row, Task, status_of
from nasbench_eval.seeding import seed_of
from nasbench_eval.spaces.base import Network, Product, SearchSpace, summed
from nasbench_eval.training import Diverged, Epoch, Folder, Training, train
from nasbench_eval.training.checkpoints import State
from nasbench_eval.training.evaluate import evaluate
from nasbench_eval.truth.own import CURVES
from nasbench_eval.work.compute import configure_process

# To be raised when the same plan comes to other accuracies, or to other columns.
VERSION = 2
# What is measured of a trained network beside its accuracy on the test images, which is the score.
MEASURED = ("test_loss", "params", "flops")
_INIT: Init = "kaiming"


@dataclass(frozen=True)
class Plan:
    """Everything that decides the accuracies of a benchmark, but for the images.

    Attributes:
        space: the search space.
        dataset: the images' name, classes, resolution and statistics.
        training: the recipe.
        seeds: of the trainings: weights, order and crops of the images.
    """

    space: SearchSpace
    dataset: DataSet
    training: Training
    seeds: tuple[int, ...]

    @property
    def datasets(self) -> Mapping[str, DataSet]:
        return {self.dataset.name: self.dataset}

    def tasks(self) -> tuple[Task, ...]:
        """One training a seed."""
        return tuple(Task(self.dataset.name, label_of(seed)) for seed in self.seeds)


def label_of(seed: int) -> str:
    """What the trainings with a seed are called in a run."""
    return f"trained_{seed}"


class Trainer:
    """What a process needs to train: made once, since the images are read once.

    Args:
        plan: what decides the accuracies.
        folder: where `images/NAME.npz` lies, with all three parts.
        device: where networks are trained.
        checkpoints: folder where trainings leave their state while they run; None leaves none.
        every: seconds of training that a crash may cost.
    """

    def __init__(
        self,
        plan: Plan,
        folder: Path,
        device: torch.device,
        checkpoints: Path | None = None,
        every: float = 30,
    ) -> None:
        configure_process(device)
        self.plan, self.folder, self.device = plan, folder, device
        self.checkpoints, self.every = checkpoints, every
        path = images_path(folder, plan.dataset.name)
        arrays = read_arrays(path, [f"{a}_{part}" for part in PARTS for a in "xy"])
        self._parts: dict[str, tuple[Tensor, Tensor]] = {}
        for part in PARTS:
            images = normalised(torch.from_numpy(arrays[f"x_{part}"]), plan.dataset)
            self._parts[part] = (
                images.to(device, memory_format=torch.channels_last),
                torch.from_numpy(arrays[f"y_{part}"]).long().to(device),
            )

    def __reduce__(self) -> tuple[Any, ...]:
        """Whoever unpickles it makes it anew: a process is settled and reads its images for itself."""
        return Trainer, (self.plan, self.folder, self.device, self.checkpoints, self.every)

    def __call__(self, index: int, tasks: Sequence[Task], text: str | None = None) -> list[Row]:
        """A row a training of the architecture at an index; its text is known from the plan."""
        seeds = {label_of(seed): seed for seed in self.plan.seeds}
        return [self._row(index, task, seeds[task.label]) for task in tasks]

    def failure(
        self, index: int, tasks: Sequence[Task], status: str, error: str, seconds: float
    ) -> list[Row]:
        """The rows of an architecture whose process brought none."""
        seeds = {label_of(seed): seed for seed in self.plan.seeds}
        return [self._finished(index, task, seeds[task.label], {}, seconds, status, error) for task in tasks]

    def instant(self, index: int, tasks: tuple[Task, ...]) -> bool:
        """Never: a training takes its time."""
        return False

    def _row(self, index: int, task: Task, seed: int) -> Row:
        started, found = time.perf_counter(), dict[str, float]()
        try:
            seconds = self._train(index, seed, found)
        except UsageError:  # a checkpoint cannot be written: no other training would fare better
            raise
        except Exception as error:  # a failure is a row
            status, text = status_of(math.nan, error)
            row = self._finished(index, task, seed, found, time.perf_counter() - started, status, text)
            return {**row, "traceback": "".join(traceback.format_exception(error))}
        status, text = status_of(found["score"], None)
        return self._finished(index, task, seed, found, seconds, status, text)

    def _finished(
        self,
        index: int,
        task: Task,
        seed: int,
        found: Mapping[str, float],
        seconds: float,
        status: str,
        error: str | None,
    ) -> Row:
        names = (*MEASURED, *curve_columns(self.plan.training.epochs), "score")
        return {
            "dataset": task.dataset,
            "label": task.label,
            "index": index,
            "arch": self.plan.space.format(self.plan.space.arch(index)),
            "seed": seed,
            **{name: found.get(name, math.nan) for name in names},
            "seconds": seconds,
            "status": status,
            "error": error,
            "proxy_version": VERSION,
        }

    def _train(self, index: int, seed: int, found: dict[str, float]) -> float:
        """Train, and note what is found; returns the seconds it took, those of earlier attempts included."""
        plan, arch = self.plan, self.plan.space.arch(index)
        network = plan.space.build(arch, num_classes=plan.dataset.num_classes)
        key = ("benchmark", seed, plan.dataset.name, plan.space.format(arch))
        draw(_modules(network), _INIT, *key)
        lying = layout(network)
        network.to(self.device, memory_format=lying)  # type: ignore[call-overload]
        parts = {part: (x.contiguous(memory_format=lying), y) for part, (x, y) in self._parts.items()}
        states = None
        if self.checkpoints is not None:
            place = f"{seed_of(*key, VERSION, plan.space, plan.dataset, plan.training):016x}"
            states = Seldom(Folder(self.checkpoints / place), self.every)
        images, labels = parts["train"]
        found["params"] = float(sum(p.numel() for p in network.parameters()))
        found["flops"] = float(count_flops(network, images[:1]))
        try:
            history = train(
                network,
                images,
                labels,
                plan.training,
                key=key,
                validation=parts["val"],
                checkpoints=states,
                progress="training",
            )
        except Diverged as error:
            found |= _curves(error.history)
            if states is not None:
                states.clear()  # it would diverge again
            raise
        start = time.perf_counter()
        test = evaluate(network, *parts["test"])
        found |= {"score": test.accuracy, "test_loss": test.loss, **_curves(history)}
        if states is not None:
            states.clear()
        return sum(epoch.seconds for epoch in history) + time.perf_counter() - start


def curve_columns(epochs: int, curves: Sequence[str] = CURVES) -> list[str]:
    """The columns of learning curves: `train_3` for the third epoch, and so on."""
    return [f"{name}_{epoch}" for name in curves for epoch in range(1, epochs + 1)]


def _curves(history: Sequence[Epoch]) -> dict[str, float]:
    found = dict[str, float]()
    for epoch in history:
        assert epoch.val_accuracy is not None
        assert epoch.val_loss is not None
        point = (epoch.accuracy, epoch.loss, epoch.val_accuracy, epoch.val_loss)
        found |= {f"{name}_{epoch.epoch}": value for name, value in zip(CURVES, point, strict=True)}
    return found


def sizes(plan: Plan, index: int) -> tuple[float, float]:
    """Parameters and FLOPs of an architecture's network, which is built without memory for its tensors.

    Raises:
        RuntimeError: if it cannot take images of the data set's size.
    """
    side, classes, arch = plan.dataset.resolution, plan.dataset.num_classes, plan.space.arch(index)
    with torch.device("meta"):
        network = plan.space.build(arch, num_classes=classes)
        flops = count_flops(network, torch.empty(1, 3, side, side))
    return float(sum(p.numel() for p in network.parameters())), float(flops)


@torch.no_grad()
def count_flops(network: torch.nn.Module, image_1CRR: Tensor) -> int:
    """Multiply-accumulates for one image, as `flops` counts them."""
    total = 0

    def count(module: torch.nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        total += output.numel() * summed(module, inputs[0])

    kinds = (torch.nn.Conv2d, torch.nn.Linear, Product)
    counted = [module for module in _modules(network).values() if isinstance(module, kinds)]
    handles = [module.register_forward_hook(count) for module in counted]
    was = network.training
    network.eval()(image_1CRR)
    network.train(was)
    for handle in handles:
        handle.remove()
    return total


def _modules(network: torch.nn.Module) -> dict[str, torch.nn.Module]:
    """The modules of a network by name; of one that is none of this package's own, too."""
    return modules(network) if isinstance(network, Network) else named(network)


@dataclass
class Seldom:
    """Checkpoints that are written when so many seconds of work are at risk: a short training leaves none."""

    folder: Folder
    every: float
    last: float | None = None

    def __str__(self) -> str:
        return str(self.folder)

    def latest(self, at_most: int) -> tuple[int, State] | None:
        self.last = time.monotonic()
        return self.folder.latest(at_most)

    def save(self, epoch: int, state: State) -> None:
        now = time.monotonic()
        if self.last is None or now - self.last >= self.every:
            self.folder.save(epoch, state)
            self.last = now

    def clear(self) -> None:
        self.folder.clear()
