"""`nasbench_eval.diagnose`: which layers make InTrain's score of a network, and which hold it down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from torch import Tensor

from nasbench_eval.api.given import Networks, given, ordinary, settle, untouched
from nasbench_eval.api.inputs import shown
from nasbench_eval.api.score import Asked, ask, chosen_proxies, device_in, device_of
from nasbench_eval.errors import UsageError
from nasbench_eval.passes import (
    Engine,
    GradientObserver,
    LayerObserver,
    Observer,
    PassSpec,
    Request,
    parameters,
)
from nasbench_eval.passes.spec import Init
from nasbench_eval.proxies.intrain import InTrain, capacity, gradient_health
from nasbench_eval.runs.rows import Task
from nasbench_eval.spaces.base import Network

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Layers and tensors that a sentence names.
_NAMED = 3


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What InTrain's score of a network is made of.

    Attributes:
        layers: a row an observed layer, in the order of the pass: `kind` (class of the layer), `channels`,
            `participation_ratio` (directions that the channels vary along), `share` (of the channels),
            `log_pr` (what the layer adds to γ) and `dead`.
        tensors: a row a parameter tensor: `shape`, `sigma` (standard deviation of the gradient's entries),
            `largest` (|g|), `health` (what the tensor adds to o).
        score: the proxy's columns and its score; γ is the sum of `log_pr`, o that of `health`.
    """

    layers: pd.DataFrame
    tensors: pd.DataFrame
    score: dict[str, float]

    @cached_property
    def weakest(self) -> str:
        """The weakest layers and gradients in words."""
        return " ".join([*self._dead(), *self._narrow(), *self._unhealthy()])

    def _dead(self) -> list[str]:
        dead = list(self.layers.index[self.layers["dead"]])
        if not dead:
            return []
        more = f" and {len(dead) - _NAMED} more" if len(dead) > _NAMED else ""
        verb = "is" if len(dead) == 1 else "are"
        return [f"{', '.join(dead[:_NAMED])}{more} {verb} dead: the output is constant."]

    def _narrow(self) -> list[str]:
        alive = self.layers[~self.layers["dead"]]
        if alive.empty:
            return []
        row = alive.iloc[int(alive["share"].argmin())]
        return [
            f"The narrowest layer is {row.name}: its {row['channels']} channels vary along "
            f"{row['participation_ratio']:.1f} directions ({row['share']:.0%})."
        ]

    def _unhealthy(self) -> list[str]:
        if self.tensors.empty:
            return []
        row = self.tensors.iloc[int(self.tensors["health"].argmin())]
        return [
            f"The least healthy gradient is that of {row.name}: its entries spread by "
            f"{row['health']:.3f} of the largest."
        ]

    def figure(self) -> Figure:
        """The share of its channels that each layer uses, and the health of each tensor's gradient."""
        from nasbench_eval.api.figures import drawn_diagnosis

        return drawn_diagnosis(self.layers, self.tensors)

    def __str__(self) -> str:
        numbers = ", ".join(f"{name} {value:.4g}" for name, value in self.score.items())
        return f"{numbers}\n{self.weakest}"


def diagnose(
    network: Networks,
    proxy: str = "intrain",
    *,
    input: tuple[int, ...] | None = None,
    images: object = None,
    labels: object = None,
    seed: int = 0,
    device: str | torch.device | None = None,
    init: Init | None = None,
    head: str | None = None,
    blocks: Sequence[str] | None = None,
    options: dict[str, Any] | None = None,
    data: Path | str | None = None,
) -> Diagnosis:
    """Say which layers and gradients make InTrain's score, and which are weakest.

    Args:
        network: one, as for `nasbench_eval.score`; it stays as it is.
        proxy: `intrain`, or one of its readings in `configs/proxy`, such as `intrain_cell`.
        input, images, labels, seed, device, init, head, blocks, data: as for `nasbench_eval.score`.
        options: of the proxy, `{"layers": "cell"}`.

    Raises:
        UsageError: as `nasbench_eval.score`, and if the proxy is none of InTrain's.
        Undefined: if the proxy is not defined on the network.
    """
    pictures = shown(input, images, labels, data)
    wished = {proxy: options} if options else {}
    chosen = chosen_proxies(proxy, wished, init)
    if not all(isinstance(each, InTrain) for each in chosen.values()) or len(chosen) != 1:
        raise UsageError(f"diagnose looks into intrain and its readings, not into {proxy}")
    with untouched():
        every = list(given(network, pictures.shape, seed, head, blocks))
        if len(every) > 1:
            raise UsageError("diagnose looks into one network at a time")
        [each] = every
        with ordinary():
            asked = ask(each, chosen, pictures, None, seed, wished)
            place = device_of(device) or device_in(asked.network)
            [dataset] = asked.job.datasets.values()
            settle(seed)
            key = (seed, each.label)
            batches = pictures.batches(dataset, seed, place)
            engine = Engine(asked.network, {dataset.name: dataset.num_classes}, batches, key, place)
            return _diagnosed(asked, engine)


def _diagnosed(asked: Asked, engine: Engine) -> Diagnosis:
    [proxy] = asked.job.proxies.values()
    assert isinstance(proxy, InTrain)
    proxy.readings(asked.network.traits)
    [task] = asked.job.tasks()
    assert isinstance(task, Task)
    requests = [Request(spec, place, partial(_observer, proxy)) for spec, place in asked.job.passes(task)]
    records = []
    for outcome in engine.run(requests):
        if outcome.error is not None:
            raise outcome.error
        assert outcome.record is not None
        records.append(outcome.record)
    activations, gradients = records
    seen_L4 = activations["layers"].reshape(-1, 4)
    log_pr, alive, _, channels = seen_L4.T
    health, sigma, largest = gradients["tensors"].reshape(-1, 3).T
    score = proxy.score(
        [
            {"layers": seen_L4[:, :3]},
            {"tensors": health},
        ]
    )
    modules = asked.network.seen_modules()
    if proxy.dead_layers == "collapsed":
        log_pr = log_pr * alive
    layers = pd.DataFrame(
        {
            "kind": [type(modules[name]).__name__ for name in activations["names"]],
            "channels": channels.long().numpy(),
            "participation_ratio": log_pr.exp().numpy(),
            "share": (log_pr.exp() / channels).numpy(),
            "log_pr": proxy.counted(seen_L4[:, :3]).numpy(),
            "dead": (alive == 0).numpy(),
        },
        index=pd.Index(activations["names"], name="layer"),
    )
    tensors = pd.DataFrame(
        {
            "shape": [_shape(asked.network, name) for name in gradients["names"]],
            "sigma": sigma.numpy(),
            "largest": largest.numpy(),
            "health": health.numpy(),
        },
        index=pd.Index(gradients["names"], name="tensor"),
    )
    return Diagnosis(layers, tensors, score)


def _observer(proxy: InTrain, net: Network, spec: PassSpec) -> Observer:
    """The proxy's own observers, which keep a little more."""
    if spec.wrt == "nothing":
        return LayerObserver(proxy.layers, _capacity)
    return GradientObserver(net, _health, proxy.parameters)


def _capacity(x: Tensor, y: Tensor) -> Tensor:
    channels = torch.tensor([float(y.shape[1])], dtype=torch.float64, device=y.device)
    return torch.cat([capacity(x, y), channels])


def _health(theta: Tensor, g: Tensor) -> Tensor:
    return torch.stack([gradient_health(g), g.std(correction=0), g.abs().max()])


def _shape(network: Network, name: str) -> tuple[int, ...]:
    return tuple(parameters(network)[name].shape)


__all__ = ["Diagnosis", "diagnose"]
