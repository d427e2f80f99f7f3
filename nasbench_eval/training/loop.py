"""The training loop: seeded, resumable, its progress shown.

Tensor legend: N images, B images of a batch, C channels, H height, W width.
"""

from __future__ import annotations

import math
import multiprocessing
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any, NoReturn

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from tqdm import tqdm

from nasbench_eval.errors import UsageError
from nasbench_eval.seeding import seed_of
from nasbench_eval.training.augment import epoch_batches
from nasbench_eval.training.checkpoints import Checkpoints, State
from nasbench_eval.training.evaluate import evaluate
from nasbench_eval.training.recipe import Diverged, Epoch, Training

# PyTorch's default, with which the benchmark trained.
_BATCH_NORM_MOMENTUM = 0.1


def train(
    network: nn.Module,
    images_NCHW: Tensor,
    labels_N: Tensor,
    training: Training,
    *,
    key: tuple[object, ...],
    validation: tuple[Tensor, Tensor] | None = None,
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
        validation: images and labels, as those to train with, that each epoch's network is asked about; of no
            influence on the training.
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
                try:
                    last = _train_epoch(network, optimizer, images_NCHW, labels_N, training, key, epoch)
                except Diverged as error:
                    error.history = tuple(history)
                    raise
                history.append(last if validation is None else _validated(last, network, *validation))
                if checkpoints is not None:
                    checkpoints.save(epoch, _state(network, optimizer, identity, history))
                bar.set_postfix(loss=f"{last.loss:.3f}", accuracy=f"{last.accuracy:.1f}%", refresh=False)
                bar.update()
    return history


def _optimizer(network: nn.Module, training: Training) -> torch.optim.Optimizer:
    if training.optimizer == "adamw":
        return torch.optim.AdamW(
            network.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay, foreach=True
        )
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
    # A run's own bar has the first line of the terminal, its worker processes have one each below.
    number = multiprocessing.current_process().name.rpartition("-")[2]
    line = int(number) if number.isdecimal() else 1
    return tqdm(
        total=epochs, initial=done, desc=text, unit="epoch", leave=False, disable=disable, position=line
    )


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
        for x, y in epoch_batches(
            images_NCHW, labels_N, training.batch_size, *key, "training", epoch, flips=training.flips
        ):
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


def _validated(epoch: Epoch, network: nn.Module, images_NCHW: Tensor, labels_N: Tensor) -> Epoch:
    start = time.perf_counter()
    loss, accuracy = evaluate(network, images_NCHW, labels_N)
    seconds = epoch.seconds + time.perf_counter() - start
    return replace(epoch, val_loss=loss, val_accuracy=accuracy, seconds=seconds)


def _check(network: nn.Module, images_NCHW: Tensor, labels_N: Tensor, training: Training) -> None:
    shape = tuple(images_NCHW.shape)
    if len(shape) != 4 or shape[1] != 3 or shape[2] != shape[3] or images_NCHW.dtype != torch.float32:
        raise ValueError(
            f"images are float32 of shape (N, 3, R, R); got {images_NCHW.dtype} of shape {shape}"
        )
    if shape[0] != training.images:
        raise ValueError(f"the training is of {training.images} images; got {shape[0]}")
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
    recipe = training.identity()
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
