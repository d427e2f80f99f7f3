"""Trains a network: seeded, resumable, its progress shown.

Dong & Yang, "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search", ICLR 2020
(the recipe: section 2.2 and table 1).

Tensor legend: N images, B images of a batch, C channels, H height, W width, R both, P pixels of all images.
"""

from __future__ import annotations

import copy
import io
import math
import os
import re
import time
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NoReturn, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from tqdm import tqdm

from nasbench_eval.errors import UsageError
from nasbench_eval.seeding import generator, seed_of

# A training after an epoch: `epoch`, `identity`, `history`, and the state_dicts `network` and `optimizer`.
State = dict[str, Any]
_KEYS = {"epoch", "identity", "history", "network", "optimizer"}
# PyTorch's default, with which the benchmark trained.
_BATCH_NORM_MOMENTUM = 0.1


@dataclass(frozen=True)
class Training:
    """NAS-Bench-201's recipe scaled down: SGD with Nesterov momentum and a cosine schedule, flips and crops.

    Attributes:
        epochs: how many to train; 0 leaves the network as drawn.
        images: size of the training set, drawn from the data set's training images.
        batch_size: images a step.
        learning_rate: at the start.
        momentum: Nesterov's.
        weight_decay: on all parameters.
        schedule: epochs over which the learning rate falls to zero along a cosine; at least `epochs`, and
            the same for all `epochs`, so that a short training is the beginning of a long one.
    """

    epochs: int
    images: int = 2560
    batch_size: int = 64
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: int = 10

    def __post_init__(self) -> None:
        if not 0 <= self.epochs <= self.schedule:
            raise ValueError(
                f"epochs are 0 to {self.schedule}, the length of the schedule; got {self.epochs}"
            )

    def rate(self, epoch: int) -> float:
        """The learning rate throughout an epoch, counted from 1: as in the benchmark, it falls in between."""
        return self.learning_rate * (1 + math.cos(math.pi * (epoch - 1) / self.schedule)) / 2


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to.

    Attributes:
        epoch: its number, from 1.
        loss: mean training cross-entropy, in nats.
        accuracy: training accuracy in percent, over the augmented images as they were seen.
        learning_rate: throughout the epoch.
        seconds: it took, of which writing the checkpoint is no part.
    """

    epoch: int
    loss: float
    accuracy: float
    learning_rate: float
    seconds: float


class Diverged(RuntimeError):
    """A training after which the loss, a weight or a running statistic is infinite or not a number."""


class Checkpoints(Protocol):
    """Where a training puts its state after every epoch; `str()` says where that is."""

    def latest(self, at_most: int) -> tuple[int, State] | None:
        """The last epoch up to `at_most` that is kept, with its state, which is the caller's own."""
        ...

    def save(self, epoch: int, state: State) -> None:
        """Keep the state after an epoch."""
        ...

    def clear(self) -> None:
        """Forget all epochs."""
        ...


@dataclass(frozen=True)
class Memory:
    """Checkpoints on the network's device, for as long as the process lives."""

    states: dict[int, State] = field(default_factory=dict)

    def __str__(self) -> str:
        return "memory"

    def latest(self, at_most: int) -> tuple[int, State] | None:
        epoch = max((e for e in self.states if e <= at_most), default=None)
        # Copies in both directions: a state_dict's tensors are the network's own, and training goes on.
        return None if epoch is None else (epoch, copy.deepcopy(self.states[epoch]))

    def save(self, epoch: int, state: State) -> None:
        self.states[epoch] = copy.deepcopy(state)

    def clear(self) -> None:
        self.states.clear()


@dataclass(frozen=True)
class Folder:
    """Checkpoints on disk, `epoch-003.pt` after epoch 3; one training and one process a folder.

    A damaged file is renamed to `epoch-003.pt.damaged` with a warning and counts as absent.

    Raises:
        UsageError: from each method, if a file cannot be read, written or removed.
    """

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def latest(self, at_most: int) -> tuple[int, State] | None:
        numbers = (re.fullmatch(r"epoch-(\d+)\.pt", file.name) for file in self.path.glob("epoch-*.pt"))
        for epoch in sorted((int(n[1]) for n in numbers if n is not None), reverse=True):
            state = self._load(epoch) if epoch <= at_most else None
            if state is not None:
                return epoch, state
        return None

    def save(self, epoch: int, state: State) -> None:
        buffer = io.BytesIO()
        torch.save(state, buffer)
        file = self._file(epoch)
        temporary = file.with_name(f".{file.name}.tmp")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as handle:
                handle.write(buffer.getbuffer())
                handle.flush()
                os.fsync(handle.fileno())
            os.replace(temporary, file)
            folder = os.open(self.path, os.O_RDONLY)
            os.fsync(folder)
            os.close(folder)
        except OSError as error:
            raise UsageError(f"cannot write {file}: {error.strerror or error}") from error

    def clear(self) -> None:
        """Remove all epochs, those set aside too, and the folder if nothing else is in it."""
        try:
            for file in [*self.path.glob("epoch-*.pt*"), *self.path.glob(".epoch-*.tmp")]:
                file.unlink()
            if self.path.is_dir() and not any(self.path.iterdir()):
                self.path.rmdir()
        except OSError as error:
            raise UsageError(f"cannot clear {self.path}: {error.strerror or error}") from error

    def _file(self, epoch: int) -> Path:
        return self.path / f"epoch-{epoch:03d}.pt"

    def _load(self, epoch: int) -> State | None:
        file = self._file(epoch)
        try:
            content = file.read_bytes()
        except OSError as error:
            raise UsageError(f"cannot read {file}: {error.strerror or error}") from error
        try:
            return _parse(content, epoch)
        except Exception as error:  # whatever the parsers meet in a damaged file
            aside = file.with_name(f"{file.name}.damaged")
            what = str(error).partition("\n")[0] or type(error).__name__
            warnings.warn(
                f"{file} is damaged ({what}); it is set aside as {aside.name} and the epoch trained again",
                stacklevel=4,
            )
        try:
            os.replace(file, aside)
        except OSError as error:
            raise UsageError(f"cannot rename {file}: {error.strerror or error}") from error
        return None


def _parse(content: bytes, epoch: int) -> State:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        # torch.save writes checksums, but torch.load does not compare them.
        broken = archive.testzip()
    if broken is not None:
        raise ValueError(f"the checksum of {broken} is wrong")
    state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    if not isinstance(state, dict) or not state.keys() >= _KEYS or state["epoch"] != epoch:
        raise ValueError(f"it does not hold epoch {epoch} of a training")
    return state


def train(
    network: nn.Module,
    images_NCHW: Tensor,
    labels_N: Tensor,
    training: Training,
    *,
    key: tuple[object, ...],
    checkpoints: Checkpoints | None = None,
    progress: str | None = None,
) -> list[Epoch]:
    """Bring a freshly drawn network to `training.epochs` epochs in place, its running statistics included.

    Batch norms take a momentum of 0.1; that, the modules' modes and `requires_grad` are put back in the
    end, and no gradients stay.  The last batch of an epoch may be smaller than the others, but is left out
    if it is a single image, of which batch norm can make nothing.  On the CPU the outcome depends on nothing
    but the arguments: not on where an earlier attempt stopped; k epochs are the beginning of any longer
    training.

    Args:
        network: gives logits (B, classes) for images (B, 3, R, R).
        images_NCHW: float32, normalised, (images, 3, R, R), on the network's device; copied if they are not
            in channels-last order.
        labels_N: classes, int64, on the same device.
        training: the recipe.
        key: what the order of the images, flips, crops and the layers' own draws depend on; it names the
            run's seed, the data set and the architecture, for a checkpoint is recognised by it.
        checkpoints: where to continue from and to save after every epoch; None starts afresh.
        progress: text before a bar over epochs on standard error, shown on a terminal only.

    Returns:
        All epochs from the first, those of earlier attempts included.

    Raises:
        ValueError: if images or labels are not as described.
        UsageError: if the checkpoints are of another training or network, or cannot be read or written.
        Diverged: if the loss or a weight is no longer finite; the epoch is not saved.
    """
    if training.epochs == 0:
        return []
    _check(network, images_NCHW, labels_N, training)
    history: list[Epoch] = []
    with _set_up_for_training(network):
        optimizer = _optimizer(network, training)
        identity = _identity(training, key)
        if checkpoints is not None:
            history = _resume(network, optimizer, training.epochs, identity, checkpoints)
        with _bar(progress, len(history), training.epochs) as bar:
            for epoch in range(len(history) + 1, training.epochs + 1):
                last = _train_epoch(network, optimizer, images_NCHW, labels_N, training, key, epoch)
                history.append(last)
                if checkpoints is not None:
                    checkpoints.save(epoch, _state(network, optimizer, identity, history))
                bar.set_postfix(loss=f"{last.loss:.3f}", accuracy=f"{last.accuracy:.1f}%", refresh=False)
                bar.update()
    return history


def epoch_batches(
    images_NCHW: Tensor, labels_N: Tensor, batch_size: int, *key: object
) -> Iterator[tuple[Tensor, Tensor]]:
    """Augmented batches (B, 3, R, R), in channels-last order, and labels (B,) of one epoch.

    Each image is mirrored or not, then cut at random from its copy with a border of R // 8 zeros: 4 pixels
    at R = 32, as in the benchmark.  There the border is black; here it is the data set's mean colour, for
    the images are normalised already.

    Args:
        images_NCHW: (N, 3, R, R).
        labels_N: their classes.
        batch_size: images a batch; the last may be smaller, and is left out if it is a single image.
        key: what all draws depend on; they are made on the CPU, so that every device gets the same.
    """
    count, channels, _, side = images_NCHW.shape
    device, border = images_NCHW.device, images_NCHW.shape[-1] // 8
    order_N = torch.randperm(count, generator=generator(*key, "order")).to(device)
    flips_N = torch.randint(2, (count,), generator=generator(*key, "flips")).bool().to(device)
    corners_2N = torch.randint(2 * border + 1, (2, count), generator=generator(*key, "crops")).to(device)
    # One row a pixel: taking rows by their numbers is faster than indexing by image, row and column.
    pixels_PC = images_NCHW.permute(0, 2, 3, 1).reshape(-1, channels)
    places_R = torch.arange(side, device=device)
    for start in range(0, count - (count % batch_size == 1), batch_size):
        now = slice(start, start + batch_size)
        rows_BR, columns_BR = corners_2N[:, now, None] - border + places_R
        columns_BR = torch.where(flips_N[now, None], side - 1 - columns_BR, columns_BR)
        outside_BRR = _outside(rows_BR, side)[:, :, None] | _outside(columns_BR, side)[:, None, :]
        first_BR = (order_N[now, None] * side + rows_BR.clamp(0, side - 1)) * side
        chosen_BRR = first_BR[:, :, None] + columns_BR.clamp(0, side - 1)[:, None, :]
        x_BRRC = pixels_PC.index_select(0, chosen_BRR.flatten()).view(-1, side, side, channels)
        yield x_BRRC.masked_fill_(outside_BRR[..., None], 0).permute(0, 3, 1, 2), labels_N[order_N[now]]


def _outside(places: Tensor, side: int) -> Tensor:
    return (places < 0) | (places >= side)


def _optimizer(network: nn.Module, training: Training) -> torch.optim.Optimizer:
    return torch.optim.SGD(
        network.parameters(),
        lr=training.learning_rate,
        momentum=training.momentum,
        weight_decay=training.weight_decay,
        nesterov=training.momentum > 0,
        # All tensors at once: up to twice as fast as one by one where they are small.
        foreach=True,
    )


def _bar(text: str | None, done: int, epochs: int) -> tqdm[NoReturn]:
    # disable=None leaves the bar out where standard error is no terminal.
    disable = True if text is None else None
    return tqdm(total=epochs, initial=done, desc=text, unit="epoch", leave=False, disable=disable)


def _train_epoch(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    images_NCHW: Tensor,
    labels_N: Tensor,
    training: Training,
    key: tuple[object, ...],
    epoch: int,
) -> Epoch:
    start = time.perf_counter()
    rate = training.rate(epoch)
    for group in optimizer.param_groups:
        group["lr"] = rate
    highest = int(labels_N.max())
    losses, hits, sizes = [], [], []
    with _seeded_layers(images_NCHW.device, *key, "training", epoch, "layers"):
        for x, y in epoch_batches(images_NCHW, labels_N, training.batch_size, *key, "training", epoch):
            logits = network(x)
            if logits.ndim != 2 or logits.shape[1] <= highest:
                raise ValueError(f"logits of shape {tuple(logits.shape)} cannot be for {highest + 1} classes")
            loss = F.cross_entropy(logits, y)
            optimizer.zero_grad(set_to_none=True)
            if loss.requires_grad:  # a network may do without its parameters
                loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            # Left on the device: reading them here would make each step wait for its outcome.
            losses.append(loss.detach())
            hits.append((logits.detach().argmax(1) == y).sum())
            sizes.append(len(y))
    total = sum(sizes)
    mean = sum(x * n for x, n in zip(torch.stack(losses).tolist(), sizes, strict=True)) / total
    _check_finite(network, mean, epoch, rate)
    accuracy = 100 * int(torch.stack(hits).sum()) / total
    return Epoch(epoch, mean, accuracy, rate, time.perf_counter() - start)


def _check(network: nn.Module, images_NCHW: Tensor, labels_N: Tensor, training: Training) -> None:
    shape = tuple(images_NCHW.shape)
    if len(shape) != 4 or shape[1] != 3 or shape[2] != shape[3] or images_NCHW.dtype != torch.float32:
        raise ValueError(
            f"images are float32 of shape (N, 3, R, R); got {images_NCHW.dtype} of shape {shape}"
        )
    if shape[0] != training.images:
        raise ValueError(f"the training is of {training.images} images; got {shape[0]}")
    if min(training.batch_size, training.images) < 2:
        raise ValueError(
            f"a batch is of 2 images or more; got batch_size={training.batch_size} and {shape[0]} images"
        )
    if tuple(labels_N.shape) != shape[:1] or labels_N.dtype != torch.int64:
        raise ValueError(
            f"labels are int64 of shape ({shape[0]},); got {labels_N.dtype} of shape {tuple(labels_N.shape)}"
        )
    if int(labels_N.min()) < 0:
        raise ValueError(f"labels are not negative; got {int(labels_N.min())}")
    if not bool(images_NCHW.isfinite().all()):
        raise ValueError("some images are not finite")
    owned = next(network.parameters(), None)
    if owned is None:
        raise ValueError("the network has no parameters to train")
    if owned.dtype != images_NCHW.dtype or not owned.device == images_NCHW.device == labels_N.device:
        raise ValueError(
            f"the network is {owned.dtype} on {owned.device}, the images {images_NCHW.dtype} on "
            f"{images_NCHW.device}, the labels on {labels_N.device}"
        )


def _check_finite(network: nn.Module, loss: float, epoch: int, rate: float) -> None:
    """The loss of the last step was taken before its update: look at what that left behind too."""
    where = f"training diverged in epoch {epoch}, at learning rate {rate:.3g}"
    if not math.isfinite(loss):
        raise Diverged(f"{where}: the loss is {loss}")
    finite = [t.isfinite().all() for t in network.state_dict().values() if t.is_floating_point()]
    if not bool(torch.stack(finite).all()):
        raise Diverged(f"{where}: a weight or a running statistic is not finite")


@contextmanager
def _set_up_for_training(network: nn.Module) -> Iterator[None]:
    """Training mode, gradients and batch norms' momentum for all; in the end each is what it was before."""
    modes = {module: module.training for module in network.modules()}
    wanted = {parameter: parameter.requires_grad for parameter in network.parameters()}
    momenta = {m: m.momentum for m in network.modules() if isinstance(m, _BatchNorm)}
    network.train()
    for parameter in wanted:
        parameter.requires_grad_()
    for norm in momenta:
        norm.momentum = _BATCH_NORM_MOMENTUM
    try:
        with torch.enable_grad():
            yield
    finally:
        network.zero_grad(set_to_none=True)
        for module, mode in modes.items():
            module.training = mode
        for parameter, flag in wanted.items():
            parameter.requires_grad_(flag)
        for norm, momentum in momenta.items():
            norm.momentum = momentum


@contextmanager
def _seeded_layers(device: torch.device, *key: object) -> Iterator[None]:
    """Have layers that draw, as dropout does, draw by the key; leave the global generators as they were."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        seed = seed_of(*key)
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            torch.cuda.default_generators[device.index].manual_seed(seed)
        yield


def _identity(training: Training, key: tuple[object, ...]) -> dict[str, Any]:
    """What decides the outcome of every epoch; how many epochs are asked for does not."""
    recipe = asdict(training)
    del recipe["epochs"]
    return {**recipe, "key": [str(part) for part in key]}


def _state(
    network: nn.Module, optimizer: torch.optim.Optimizer, identity: Mapping[str, Any], history: list[Epoch]
) -> State:
    return {
        "epoch": len(history),
        "identity": dict(identity),
        "history": [asdict(epoch) for epoch in history],
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
    }


def _resume(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    epochs: int,
    identity: Mapping[str, Any],
    checkpoints: Checkpoints,
) -> list[Epoch]:
    """The epochs of the latest checkpoint, which is put into the network and the optimizer."""
    found = checkpoints.latest(epochs)
    if found is None:
        return []
    _, state = found
    kept = state["identity"]
    changed = [k for k in {**identity, **kept} if kept.get(k) != identity.get(k)]
    if changed:
        old, new = (", ".join(f"{k}={d.get(k)}" for k in changed) for d in (kept, identity))
        raise UsageError(
            f"{checkpoints} holds checkpoints of another training: made with {old}, now {new}; "
            "choose another folder, or delete this one"
        )
    try:
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
    except (RuntimeError, ValueError) as error:
        raise UsageError(
            f"{checkpoints} holds checkpoints of another network; choose another folder, or delete this one"
        ) from error
    return [Epoch(**epoch) for epoch in state["history"]]
