"""Hooks that show the layers of a network to observers, and keep what a backward pass will need of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nasbench_eval.errors import Undefined
from nasbench_eval.passes import tangents
from nasbench_eval.passes.observer import Observer, layers, modules, watches
from nasbench_eval.passes.spec import BatchNorm, Wrt
from nasbench_eval.spaces.base import Network


class Seen(NamedTuple):
    """A layer that the forward pass went through, with its input and output on the graph."""

    name: str
    module: nn.Module
    x: Tensor
    y: Tensor


@dataclass
class Watch:
    """An observer at work on a network: its layers, and those whose gradients it waits for."""

    observer: Observer
    network: Network
    layers: Mapping[str, nn.Module]
    seen: list[Seen] = field(default_factory=list)
    spans: dict[object, float] = field(default_factory=dict)

    @property
    def keeps(self) -> bool:
        """Whether it will want gradients by the outputs of its layers."""
        return watches(self.observer, "on_layer_gradient") or watches(self.observer, "on_output_gradient")


@contextmanager
def shown(stage: Collection[nn.Module], watching: Sequence[Watch]) -> Iterator[None]:
    """Show the layers of a stage to the observers that watch them."""
    handles = [
        module.register_forward_hook(_forward_hook(w, name), with_kwargs=True)
        for w in watching
        for name, module in w.layers.items()
        if module in stage
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def recorded(layers: Mapping[str, nn.Module], tape: list[Seen]) -> Iterator[None]:
    """Keep the inputs and outputs of layers, on the graph."""

    def keep(name: str) -> Callable[..., None]:
        return lambda module, args, kwargs, y: tape.append(
            Seen(name, module, *_tensors(name, (*args, *kwargs.values()), y))
        )

    handles = [module.register_forward_hook(keep(name), with_kwargs=True) for name, module in layers.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class Tape:
    """What the forward pass keeps for the backward passes, beside the layers of the observers.

    Attributes:
        blocks: the blocks of the body.
        owners: its layers that own parameters.
        layers: for second derivatives, all layers of body and head whose tangents they need; None where they
            have to come from a second backward pass.
    """

    def __init__(self, network: Network, wanted: Collection[Wrt], bn: BatchNorm) -> None:
        self.network = network
        self.blocks: list[Seen] = []
        self.owners: list[Seen] = []
        self._block_layers = layers(network, "cell") if "blocks" in wanted else {}
        separate = "samples" in wanted and bn != "train"
        owners = parameter_layers(network) if separate else {}
        plain, head = network.plain_layers(), network.seen_classifier()
        self._owner_layers = {
            name: m for name, m in owners.items() if name not in head and (plain is None or name in plain)
        }
        known = not network.has_calls and tangents.covers(network)
        self._curved = "curvature" in wanted and bn == "train" and known
        self._head_known = True
        self._body: list[tangents.Layer] = []
        self._head: list[tangents.Layer] = []

    @property
    def layers(self) -> list[tangents.Layer] | None:
        return [*self._body, *self._head] if self._curved and self._head_known else None

    @contextmanager
    def running(self) -> Iterator[None]:
        """While the body runs."""
        watched = modules(self.network) if self._curved else {}
        handles = [block.register_forward_pre_hook(_on_the_graph) for block in self._block_layers.values()]
        try:
            with (
                recorded(self._block_layers, self.blocks),
                recorded(self._owner_layers, self.owners),
                tangents.recorded(watched, self._body),
            ):
                yield
        finally:
            for handle in handles:
                handle.remove()

    @contextmanager
    def closing(self) -> Iterator[list[Seen]]:
        """While a head runs; gives what is seen of its layers with parameters."""
        inside = self.network.seen_classifier()
        task_head = self.network.head_in_use()
        owners = {
            name: m for name, m in inside.items() if next(m.parameters(recurse=False), None) is not None
        }
        seen: list[Seen] = []
        self._head, self._head_known = [], task_head is None or tangents.covers(task_head)
        with recorded(owners, seen), tangents.recorded(inside if self._curved else {}, self._head):
            yield seen

    def adjoints_kept(self, wanted: bool) -> AbstractContextManager[None]:
        """While the backward pass runs whose gradients second derivatives need, where these are `wanted`."""
        return tangents.adjoints_kept(self.layers or [] if wanted else [])


def _on_the_graph(block: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """A block behind a cut starts a graph of its own, so that it can be differentiated by its input."""
    _tensors(type(block).__name__, args, args[0] if args else None)
    return args if args[0].requires_grad else (args[0].detach().requires_grad_(), *args[1:])


def _tensors(name: str, args: tuple[object, ...], y: object) -> tuple[Tensor, Tensor]:
    """A layer's one input and one output."""
    if not (args and isinstance(args[0], Tensor) and isinstance(y, Tensor)):
        raise Undefined(f"'{name}' does not make one tensor of another")
    return args[0], y


def full(tensor: Tensor) -> Tensor:
    """The tensor off the graph, for an observer: what was computed in half precision is reduced in single."""
    return tensor.detach().float() if tensor.dtype == torch.bfloat16 else tensor.detach()


def _forward_hook(w: Watch, name: str) -> Callable[..., None]:
    seen = w.network.seen_as

    def hook(module: nn.Module, args: tuple[object, ...], kwargs: dict[str, object], y: Tensor) -> None:
        x, y = _tensors(name, (*args, *kwargs.values()), y)
        with torch.no_grad():
            w.observer.on_layer(name, module, seen(full(x)), seen(full(y)))
        if w.keeps:
            w.seen.append(Seen(name, module, x, y))

    return hook


@contextmanager
def gradients_shown(watching: Sequence[Watch]) -> Iterator[None]:
    """Show the gradients of the layer outputs that were kept, as a backward pass meets them."""
    handles = [
        seen.y.register_hook(_gradient_hook(w, seen.name, seen.module, full(seen.y)))  # type: ignore[no-untyped-call]
        for w in watching
        if watches(w.observer, "on_layer_gradient")
        for seen in w.seen
        if seen.y.requires_grad
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _gradient_hook(w: Watch, name: str, module: nn.Module, y: Tensor) -> Callable[[Tensor], None]:
    seen = w.network.seen_as

    def hook(gradient: Tensor) -> None:
        with torch.no_grad():
            w.observer.on_layer_gradient(name, module, seen(y), seen(full(gradient)))

    return hook


def parameter_layers(network: Network) -> dict[str, nn.Module]:
    """Layers that own parameters, by name."""
    return {
        name: module
        for name, module in modules(network).items()
        if next(module.parameters(recurse=False), None) is not None
    }
