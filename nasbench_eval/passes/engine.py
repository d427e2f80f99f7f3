"""Runs each distinct pass once and shows it to all who asked for it.

Requests are grouped by forward pass.  Within a group the body of the network runs once; each data set's head
and each objective's backward pass follow on the same graph.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasbench_eval.passes.observer import Observer, Record, parameter_names, watches
from nasbench_eval.passes.spec import BatchNorm, ForwardSpec, PassSpec
from nasbench_eval.passes.twice import twice_differentiable
from nasbench_eval.passes.weights import draw
from nasbench_eval.seeding import generator
from nasbench_eval.spaces.base import Network

Observe = Callable[[Network, PassSpec], Observer]


class Inputs(Protocol):
    """Where the engine takes its batches from: the same for every architecture."""

    def input(self, forward: ForwardSpec, dataset: str | None) -> Tensor:
        """Images (B, 3, R, R) in float32 on the engine's device."""
        ...

    def labels(self, forward: ForwardSpec, dataset: str) -> Tensor:
        """Class labels (B,) for that input, int64."""
        ...


class Request(NamedTuple):
    """A pass asked for and the maker of its observer.

    `spec.forward.resolution` is set.  `dataset` is None where neither input nor head depends on it.
    """

    spec: PassSpec
    dataset: str | None
    observe: Observe


@dataclass(frozen=True)
class Outcome:
    """What a request came to: a record or the exception that prevented it, and the seconds of its pass.

    A pass that several requests share counts in full for each of them.
    """

    record: Record | None
    seconds: float
    error: Exception | None = None


@dataclass
class _Watch:
    """A request under way: its observer, and the layer outputs whose gradients it waits for."""

    request: Request
    observer: Observer
    layers: Mapping[str, nn.Module]
    outputs: list[tuple[str, nn.Module, Tensor]] = field(default_factory=list)
    seconds: float = 0.0


class Engine:
    """The passes of one architecture.

    Args:
        network: its body, with any classifier; every parameter is set anew for each pass.
        classes: number of classes by data set.
        inputs: source of batches and labels.
        key: what the weights depend on: the run's seed and the architecture's text.
        device: where to run.
    """

    def __init__(
        self,
        network: Network,
        classes: Mapping[str, int],
        inputs: Inputs,
        key: tuple[object, ...],
        device: torch.device,
    ) -> None:
        self.network = network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        for norm in _norms(network):
            # Running statistics then are those of the last batch: an observer reads them for free.
            norm.momentum = 1.0
        width = network.classifier.in_features
        # Without the layer's own draw, which would use up the global generator.
        self.heads: dict[str, nn.Linear] = {
            name: nn.utils.skip_init(nn.Linear, width, n, device=device)  # type: ignore[no-untyped-call]
            for name, n in classes.items()
        }
        self.inputs, self.key, self.device = inputs, key, device
        self._drawn: tuple[object, ...] = ()

    def run(self, requests: Sequence[Request]) -> list[Outcome]:
        """One outcome a request, in the order asked; an exception fails only the requests that meet it."""
        groups: dict[tuple[ForwardSpec, str | None], list[int]] = {}
        for i, (spec, dataset, _) in enumerate(requests):
            key = (spec.forward, dataset if spec.forward.source == "images" else None)
            groups.setdefault(key, []).append(i)
        outcomes: dict[int, Outcome] = {}
        for members in groups.values():
            outcomes.update(zip(members, self._run_group([requests[i] for i in members]), strict=True))
        return [outcomes[i] for i in range(len(requests))]

    def _run_group(self, requests: Sequence[Request]) -> list[Outcome]:
        start = time.perf_counter()
        try:
            return self._run_together(requests)
        except Exception as error:
            if len(requests) == 1:
                # Without its traceback, whose frames would keep the graph and its memory alive.
                bare = error.with_traceback(None)
                bare.__context__ = None
                return [Outcome(None, time.perf_counter() - start, bare)]
        # Together they failed; alone each shows whether it was the cause.  The score is the same either way.
        return [outcome for request in requests for outcome in self._run_group([request])]

    def _run_together(self, requests: Sequence[Request]) -> list[Outcome]:
        forward = requests[0].spec.forward
        self._prepare(forward)
        watching = [self._watch(request) for request in requests]
        x = self.inputs.input(forward, requests[0].dataset).to(memory_format=torch.channels_last)
        x = x.double() if forward.float64 else x
        if any(request.spec.wrt == "input" for request in requests):
            x = x.detach().requires_grad_()
        differentiate = any(request.spec.wrt != "nothing" for request in requests)
        twice = any(request.spec.wrt == "curvature" for request in requests) and forward.bn == "train"
        layers_ = twice_differentiable(self.network) if twice else nullcontext()
        headed = [w for w in watching if w.request.spec.objective != "features"]
        datasets = list(dict.fromkeys(w.request.dataset for w in headed))
        body = set(self.network.modules()) - {self.network.classifier}
        with _batch_norm(self.network, forward.bn), layers_, torch.set_grad_enabled(differentiate):
            with self._clock(watching), _forward_hooks(body, watching):
                features = self.network.features(x)
                with torch.no_grad():
                    for w in watching:
                        w.observer.on_features(features.detach())
            for dataset in datasets:
                mine = [w for w in headed if w.request.dataset == dataset]
                self._run_head(features, x, mine, more=dataset != datasets[-1])
        return [Outcome(w.observer.record(), w.seconds) for w in watching]

    def _run_head(self, features: Tensor, x: Tensor, watching: list[_Watch], *, more: bool) -> None:
        """One data set's head and the backward passes behind it; `more` heads follow on the same graph."""
        dataset = self._use_head(watching[0].request)
        with self._clock(watching), _forward_hooks({self.network.classifier}, watching):
            logits = self.network.head(features)
        scalars = [w for w in watching if w.request.spec.wrt != "nothing"]
        objectives = list(dict.fromkeys(w.request.spec.objective for w in scalars))
        for objective in objectives:
            mine = [w for w in scalars if w.request.spec.objective == objective]
            if objective == "sum":
                scalar = logits.sum()
            else:
                labels = self.inputs.labels(mine[0].request.spec.forward, dataset)
                scalar = self._task_loss(logits, labels)
            self._differentiate(scalar, x, mine, keep_graph=more or objective != objectives[-1])

    def _task_loss(self, logits: Tensor, labels_B: Tensor) -> Tensor:
        if logits.ndim == 2:
            return F.cross_entropy(logits, labels_B)
        target = torch.randn(logits.shape, generator=generator(self.key[0], "target", *logits.shape))
        return F.mse_loss(logits, target.to(logits))

    def _differentiate(self, scalar: Tensor, x: Tensor, watching: list[_Watch], *, keep_graph: bool) -> None:
        wanted = {w.request.spec.wrt for w in watching}
        curvature = "curvature" in wanted
        parameters = dict(self.network.named_parameters()) if wanted & {"parameters", "curvature"} else {}
        leaves = [*parameters.values(), *([x] if "input" in wanted else [])]
        with self._clock(watching), _gradient_hooks(watching):
            gradients = _gradients(scalar, leaves, create_graph=curvature, keep_graph=keep_graph)
        for w in watching:
            if w.request.spec.wrt == "input":
                w.observer.on_input(gradients[-1].detach())
            elif watches(w.observer, "on_parameter"):
                for (name, parameter), gradient in zip(parameters.items(), gradients, strict=False):
                    w.observer.on_parameter(name, parameter.detach(), gradient.detach())
        curved = [w for w in watching if w.request.spec.wrt == "curvature"]
        if curved:
            with self._clock(curved):
                self._curvature(parameters, gradients, curved, keep_graph=keep_graph)

    def _curvature(
        self,
        parameters: Mapping[str, Tensor],
        gradients: Sequence[Tensor],
        watching: list[_Watch],
        *,
        keep_graph: bool,
    ) -> None:
        """H·g = ∂⟨stopgrad(g), g⟩/∂θ, θ being the weight tensors alone."""
        names = parameter_names(self.network, "weights")
        pairs = {n: (p, g) for (n, p), g in zip(parameters.items(), gradients, strict=False) if n in names}
        product = torch.stack([(g.detach() * g).sum() for _, g in pairs.values()]).sum()
        products = _gradients(product, [p for p, _ in pairs.values()], keep_graph=keep_graph)
        for w in watching:
            for (name, (parameter, g)), hg in zip(pairs.items(), products, strict=True):
                w.observer.on_curvature(name, parameter.detach(), g.detach(), hg)

    def _use_head(self, request: Request) -> str:
        """Put the classifier of the request's data set onto the body."""
        assert request.dataset is not None, "a pass that goes beyond the features names a data set"
        self.network.classifier = self.heads[request.dataset]
        return request.dataset

    def _watch(self, request: Request) -> _Watch:
        if request.spec.objective != "features":
            self._use_head(request)
        observer = request.observe(self.network, request.spec)
        return _Watch(request, observer, observer.layers(self.network))

    @torch.no_grad()
    def _prepare(self, forward: ForwardSpec) -> None:
        """Draw the weights of a pass, unless they are those of the pass before."""
        drawn = (forward.init, forward.repeat, forward.float64, forward.absolute)
        if drawn == self._drawn:
            _reset_statistics(self.network)
            return
        self._drawn = ()  # until all is drawn
        key = (*self.key, forward.repeat)
        owners: tuple[nn.Module, ...] = (self.network, *self.heads.values())
        for owner in owners:
            owner.to(dtype=torch.float64 if forward.float64 else torch.float32)
        draw({n: m for n, m in self.network.named_modules() if n != "classifier"}, forward.init, *key)
        for head in self.heads.values():
            draw({"classifier": head}, forward.init, *key)
        if forward.absolute:
            for parameter in {p for owner in owners for p in owner.parameters()}:
                parameter.abs_()
        self._drawn = drawn

    @contextmanager
    def _clock(self, watching: list[_Watch]) -> Iterator[None]:
        start = time.perf_counter()
        yield
        if self.device.type == "cuda":
            torch.cuda.synchronize()  # what was asked for is not done until the queue is empty
        elapsed = time.perf_counter() - start
        for w in watching:
            w.seconds += elapsed


def _gradients(
    scalar: Tensor, leaves: list[Tensor], *, create_graph: bool = False, keep_graph: bool = False
) -> list[Tensor]:
    """Gradients of a scalar; zeros where no path leads from a leaf, as when a cell cuts its input off."""
    if not scalar.requires_grad:
        return [torch.zeros_like(leaf) for leaf in leaves]
    found = torch.autograd.grad(
        scalar, leaves, create_graph=create_graph, retain_graph=create_graph or keep_graph, allow_unused=True
    )
    return [torch.zeros_like(t) if g is None else g for t, g in zip(leaves, found, strict=True)]


def _norms(network: Network) -> list[nn.BatchNorm2d]:
    return [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]


def _reset_statistics(network: Network) -> None:
    for norm in _norms(network):
        norm.reset_running_stats()


@contextmanager
def _batch_norm(network: Network, mode: BatchNorm) -> Iterator[None]:
    network.train(mode != "eval")
    skipped = _norms(network) if mode == "skip" else []
    for norm in skipped:
        norm.forward = nn.Identity().forward  # type: ignore[method-assign]
    try:
        yield
    finally:
        for norm in skipped:
            del norm.forward


@contextmanager
def _forward_hooks(stage: Collection[nn.Module], watching: list[_Watch]) -> Iterator[None]:
    """Show the layers of a stage to the observers that watch them."""
    handles = []
    for w in watching:
        for name, module in w.layers.items():
            if module in stage:
                handles.append(module.register_forward_hook(_forward_hook(w, name)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _forward_hook(w: _Watch, name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
    keep = watches(w.observer, "on_layer_gradient")

    def hook(module: nn.Module, args: tuple[Tensor, ...], y: Tensor) -> None:
        with torch.no_grad():
            w.observer.on_layer(name, module, args[0].detach(), y.detach())
        if keep:
            w.outputs.append((name, module, y))

    return hook


@contextmanager
def _gradient_hooks(watching: list[_Watch]) -> Iterator[None]:
    """Show the gradients of the layer outputs kept by the forward hooks, as the backward pass meets them."""
    handles = [
        y.register_hook(_gradient_hook(w.observer, name, module, y.detach()))  # type: ignore[no-untyped-call]
        for w in watching
        for name, module, y in w.outputs
        if y.requires_grad
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _gradient_hook(observer: Observer, name: str, module: nn.Module, y: Tensor) -> Callable[[Tensor], None]:
    def hook(gradient: Tensor) -> None:
        with torch.no_grad():
            observer.on_layer_gradient(name, module, y, gradient.detach())

    return hook
