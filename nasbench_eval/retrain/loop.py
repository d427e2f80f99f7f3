"""The training loop of one network: any number of processes, any recipe, continued to the bit on the CPU.

Tensor legend: B images of a batch, K classes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasbench_eval.errors import ComesToNothing
from nasbench_eval.networks.layout import layout
from nasbench_eval.retrain.batches import Batches
from nasbench_eval.retrain.network import Trained, drop_paths, weights
from nasbench_eval.retrain.optimise import Loss, Schedule, clipped, loss, optimizer
from nasbench_eval.retrain.parts import timm_part
from nasbench_eval.retrain.recipe import Recipe
from nasbench_eval.retrain.states import BEST, Point, States, write_curves, write_weights
from nasbench_eval.retrain.teacher import distilled
from nasbench_eval.retrain.team import Team
from nasbench_eval.seeding import seed_of
from nasbench_eval.training.checkpoints import State


class Diverged(ComesToNothing):
    """The loss or a weight is infinite or not a number; the epochs before are kept."""


@dataclass
class Course:
    """A training under way.

    Attributes:
        network: on its device, in training mode.
        recipe: how it is trained.
        batches: what with.
        states: where it is kept.
        identity: what decides its outcome.
        key: what all draws depend on.
        precision: `float32`, or `bf16` for products in bfloat16.
        told: is called with each epoch that is finished.
        teacher: gives logits (B, K) of the images that the network is shown; None for no teacher.
    """

    network: nn.Module
    recipe: Recipe
    batches: Batches
    states: States
    identity: Mapping[str, Any]
    key: tuple[object, ...]
    precision: str = "float32"
    told: Callable[[Point], None] = lambda point: None
    teacher: Callable[[Tensor], Tensor] | None = None

    def __post_init__(self) -> None:
        self.team: Team = self.batches.team
        self.device = self.batches.device
        self.layout = layout(self.network)
        self.history: list[Point] = []
        self.optimizer = optimizer(self.network, self.recipe)
        self.schedule = Schedule(self.optimizer, self.recipe, self.batches.steps)
        self.loss: Loss = loss(self.recipe, self.batches.source.dataset.num_classes, self.key)
        self.average: Any = None
        if self.recipe.average is not None:
            made = timm_part("utils").ModelEmaV3
            self.average = made(self.network, decay=self.recipe.average, use_warmup=True)

    @property
    def judged(self) -> nn.Module:
        """The network that counts: the average where there is one."""
        judged: nn.Module = self.network if self.average is None else self.average.module
        return judged

    @property
    def best(self) -> Point | None:
        """The epoch of the highest accuracy on images to validate with, the first of several."""
        asked = [point for point in self.history if not math.isnan(point.val_accuracy)]
        return max(asked, key=lambda point: point.val_accuracy, default=None)

    def run(self) -> list[Point]:
        """Bring the network to the end of its recipe, from where it was left.

        Returns:
            All epochs.

        Raises:
            Diverged: if the loss or a weight is not finite any more; its epoch is not kept.
            UsageError: if a file cannot be read or written.
        """
        self._resume()
        trained = Trained(self.network)
        parallel = self.team.parallel(trained, idle=self.team.size > 1 and self._idle(trained))
        for epoch in range(len(self.history) + 1, self.recipe.epochs + 1):
            point = self._epoch(parallel, epoch)
            self.history.append(point)
            if self.team.leads:
                self._keep(point)
            self.told(point)
        return self.history

    def _epoch(self, parallel: nn.Module, epoch: int) -> Point:
        start, waited, rate = time.perf_counter(), 0.0, 0.0
        drop_paths(self.network, self.recipe.dropped(epoch))
        self.network.train()
        sums, seen = torch.zeros(2, dtype=torch.float64, device=self.device), 0
        with _seeded(self.device, *self.key, "layers", epoch, self.team.rank):
            batches, step = self.batches.train(epoch), 0
            while True:
                before = time.perf_counter()
                batch = next(batches, None)
                waited += time.perf_counter() - before
                if batch is None:
                    break
                rate = self.schedule.move(epoch, step)
                sums += self._step(parallel, *batch, epoch, step)
                seen += len(batch[1])
                step += 1
        total, hits, count = self._totals(sums, seen)
        self._check(total / count, epoch, rate)
        accuracy = math.nan if self.loss.mix else 100 * hits / count
        val_loss, val_accuracy = self.judge("val")
        seconds = time.perf_counter() - start
        return Point(epoch, rate, total / count, accuracy, val_loss, val_accuracy, seconds, waited)

    def _step(self, parallel: nn.Module, x: Tensor, y: Tensor, epoch: int, step: int) -> Tensor:
        """One step; loss and hits of the batch's images, left on the device: to read them would wait."""
        mixed, targets = self.loss.mixed(x, y, epoch, step, self.team.rank)
        mixed = mixed.contiguous(memory_format=self.layout)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            logits, beside = parallel(mixed)
            found = self.loss.of(logits, targets)
            if beside is not None:
                found = found + self.recipe.auxiliary * self.loss.of(beside, targets)
            if self.teacher is not None:
                part = distilled(logits, self.teacher(mixed), self.recipe.temperature)
                found = found + self.recipe.distillation * part
        self.optimizer.zero_grad(set_to_none=True)
        found.backward()  # type: ignore[no-untyped-call]
        clipped(self.network, self.recipe.clip_norm)
        self.optimizer.step()
        if self.average is not None:
            self.average.update(self.network, step=(epoch - 1) * self.batches.steps + step + 1)
        hits = (logits.detach().argmax(1) == y).sum()
        return torch.stack([found.detach().double() * len(y), hits.double()])

    @torch.no_grad()
    def judge(self, name: str) -> tuple[float, float]:
        """Mean cross-entropy in nats and accuracy in percent on a part; NaN where there is none."""
        if name not in self.batches.source.parts:
            return math.nan, math.nan
        network = self.judged
        self.team.align(network)
        network.eval()
        sums, seen = torch.zeros(2, dtype=torch.float64, device=self.device), 0
        for x, y in self.batches.judge(name):
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
                logits = network(x.contiguous(memory_format=self.layout)).float()
            hits = (logits.argmax(1) == y).sum()
            entropy = F.cross_entropy(logits, y, reduction="sum")
            sums += torch.stack([entropy.double(), hits.double()])
            seen += len(y)
        total, hits, count = self._totals(sums, seen)
        return total / count, 100 * hits / count

    def _totals(self, sums: Tensor, seen: int) -> list[float]:
        """Loss, hits and images of the whole team."""
        found: list[float] = self.team.total(torch.cat([sums, sums.new_tensor([seen])])).tolist()
        return found

    def _idle(self, trained: nn.Module) -> bool:
        """Whether a parameter has no bearing on the outputs, as those of a cell's dead operations."""
        side = self.batches.source.dataset.resolution
        buffers = {name: tensor.clone() for name, tensor in self.network.named_buffers()}
        self.network.train()
        with _seeded(self.device, *self.key, "idle"):
            outputs = trained(torch.zeros(2, 3, side, side, device=self.device))
        torch.cat([logits.flatten() for logits in outputs if logits is not None]).sum().backward()  # type: ignore[no-untyped-call]
        idle = any(p.grad is None for p in self.network.parameters() if p.requires_grad)
        self.network.zero_grad(set_to_none=True)
        self.network.load_state_dict(buffers, strict=False)
        return idle

    def _check(self, mean: float, epoch: int, rate: float) -> None:
        """The loss of the last step was taken before its update: look at what that left behind too."""
        where = f"training diverged in epoch {epoch}, at learning rate {rate:.3g}"
        if not math.isfinite(mean):
            raise Diverged(f"{where}: the loss is {mean}")
        finite = [t.isfinite().all() for t in self.network.state_dict().values() if t.is_floating_point()]
        if not bool(torch.stack(finite).all()):
            raise Diverged(f"{where}: a weight or a running statistic is not finite")

    def _keep(self, point: Point) -> None:
        self.states.save(point.epoch, self._state())
        self._write_best()  # after the state, which has these weights too should there be a crash in between
        write_curves(self.states.folder, self.history)

    def _write_best(self) -> None:
        """The weights as they are, if they are those of the best epoch so far."""
        if self.history and self.best == self.history[-1]:
            write_weights(self.states.folder / BEST, weights(self.judged), self.best.epoch)

    def _state(self) -> State:
        return {
            "epoch": len(self.history),
            "identity": dict(self.identity),
            "history": [asdict(point) for point in self.history],
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": None if self.average is None else self.average.module.state_dict(),
        }

    def _resume(self) -> None:
        found = self.states.latest(self.recipe.epochs, self.identity) if self.team.leads else None
        state = self.team.leaders(found)
        if state is None:
            return
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average is not None:
            self.average.module.load_state_dict(state["average"])
        self.history = [Point(**point) for point in state["history"]]
        if self.team.leads:
            self._write_best()


@contextmanager
def _seeded(device: torch.device, *key: object) -> Iterator[None]:
    """Have layers that draw, as dropout does, draw by the key; leave the global generators as they were."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed_of(*key))
        if device.type == "cuda":
            torch.cuda.default_generators[device.index].manual_seed(seed_of(*key))
        yield
