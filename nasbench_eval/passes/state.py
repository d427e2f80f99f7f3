"""The weights of a network from one pass to the next: drawn, kept as they are, or trained."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from nasbench_eval.errors import Undefined
from nasbench_eval.networks.adapted import tensors_of
from nasbench_eval.passes.norms import reset_statistics
from nasbench_eval.passes.observer import modules
from nasbench_eval.passes.request import Inputs
from nasbench_eval.passes.spec import ForwardSpec
from nasbench_eval.passes.weights import draw
from nasbench_eval.seeding import seed_of
from nasbench_eval.spaces.base import Network
from nasbench_eval.training import Checkpoints, Folder, Memory, Training, train


class State:
    """The weights of one network.

    Args:
        network: the network.
        heads: its classifier, or a task's head, for each data set.
        key: what the weights depend on.
        inputs: source of training sets.
        checkpoints: folder that a training continues from; None keeps its epochs in memory.
    """

    def __init__(
        self,
        network: Network,
        heads: Mapping[str, nn.Module],
        key: tuple[object, ...],
        inputs: Inputs,
        checkpoints: Path | None,
    ) -> None:
        self.network, self.heads, self.key, self.inputs = network, heads, key, inputs
        self._drawn: tuple[object, ...] = ()
        # Heads whose weights are still those of another draw, with the pass that says how to draw them.
        self._undrawn: dict[nn.Module, ForwardSpec] = {}
        self._checkpoints = checkpoints
        self._trained: dict[int, Checkpoints] = {}

    def prepare(self, forward: ForwardSpec, dataset: str | None) -> dict[object, float]:
        """Draw the weights of a pass, unless they are those of the pass before; train them if asked to.

        Returns the seconds of the training, a stretch an epoch (see `Outcome.spans`).
        """
        drawn = drawn_by(forward)
        if drawn == self._drawn:
            reset_statistics(self.network, self.heads.values())
            self._keep(forward, parameters=False)
        else:
            self._drawn = ()  # until all is drawn
            self._draw(forward)
            self._drawn = drawn
        if forward.training is None:
            return {}
        assert dataset is not None, "training reads the images of a data set"
        self._drawn = ()
        return self._train(forward, forward.training, dataset)

    @torch.no_grad()
    def _draw(self, forward: ForwardSpec) -> None:
        key = (*self.key, forward.repeat)
        owners: tuple[nn.Module, ...] = (self.network, *self.heads.values())
        dtype = torch.float64 if forward.float64 else torch.float32
        if self.network.classifier.weight.dtype != dtype:
            for owner in owners:
                owner.to(dtype=dtype)
        kept = self._keep(forward, parameters=True)
        if forward.init != "keep":
            in_use = self.network.seen_classifier()
            body = {n: m for n, m in modules(self.network).items() if n not in in_use}
            draw(body, forward.init, *key, kept=kept)
            self._undrawn = dict.fromkeys(self.heads.values(), forward)
        if forward.absolute:
            for parameter in {p for owner in owners for p in owner.parameters()}:
                parameter.abs_()

    @torch.no_grad()
    def draw_head(self, head: nn.Module) -> None:
        """Draw the weights of a head, if that was not done since the network's were drawn.

        Heads of some tasks are as large as the network, and passes that end with the features need none.
        """
        forward = self._undrawn.pop(head, None)
        if forward is None:
            return
        draw(self.network.named_head(head), forward.init, *self.key, forward.repeat)
        if forward.absolute:
            for parameter in head.parameters():
                parameter.abs_()

    @torch.no_grad()
    def _keep(self, forward: ForwardSpec, *, parameters: bool) -> Collection[str]:
        """Put back what is kept, not drawn: statistics alone if parameters are as drawn; gives its names."""
        kept: dict[str, Tensor] = self.network.kept_tensors(forward.init)
        if forward.init == "keep" and not kept:
            raise Undefined("init=keep is for networks with weights of their own; those of a space have none")
        if kept:
            tensors = tensors_of(modules(self.network))
            for name, value in kept.items():
                if parameters or not isinstance(tensors[name], nn.Parameter):
                    tensors[name].copy_(value)
        return kept

    def _train(self, forward: ForwardSpec, training: Training, dataset: str) -> dict[object, float]:
        """From the drawn weights, or from where an earlier pass of the same training left off.

        Returns the seconds of all its epochs, whoever had them trained.
        """
        self.network.use_head(self.heads[dataset])
        self.draw_head(self.heads[dataset])
        key = (*self.key, dataset, forward.init, forward.repeat)
        assert forward.resolution is not None
        size = (forward.resolution, forward.channels, forward.cells)
        trained = seed_of(*key, *size, replace(training, epochs=0))
        if trained not in self._trained:
            folder = self._checkpoints
            self._trained[trained] = Memory() if folder is None else Folder(folder / f"{trained:016x}")
        images, labels = self.inputs.training_set(dataset, training.images, forward.resolution)
        states = self._trained[trained]
        history = train(
            self.network, images, labels, training, key=key, checkpoints=states, progress="training"
        )
        return {(trained, place): epoch.seconds for place, epoch in enumerate(history)}

    def forget(self) -> None:
        """Remove the checkpoints, once all passes of the architecture are done."""
        for states in self._trained.values():
            states.clear()
        self._trained.clear()


def drawn_by(forward: ForwardSpec) -> tuple[object, ...]:
    """Which weights a pass has, before any training."""
    return forward.init, forward.repeat, forward.float64, forward.absolute
