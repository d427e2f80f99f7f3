"""Runs each distinct pass once and shows it to all who asked for it.

Requests are grouped by forward pass.  Within a group the body of the network runs once; each data set's head
and each objective's backward pass follow on the same graph.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasbench_eval.errors import Undefined
from nasbench_eval.passes import jacobian, tangents
from nasbench_eval.passes.norms import batch_norm, head_norm, need_statistics, norms
from nasbench_eval.passes.observer import modules, parameter_names, watches
from nasbench_eval.passes.observer import parameters as parameters_of
from nasbench_eval.passes.request import Inputs, Outcome, Request, span
from nasbench_eval.passes.spec import ForwardSpec, PassSpec, Precision
from nasbench_eval.passes.state import State, drawn_by
from nasbench_eval.passes.tape import Seen, Tape, Watch, full, gradients_shown, shown
from nasbench_eval.seeding import generator, signs_like
from nasbench_eval.spaces.base import Network, TaskHead
from nasbench_eval.training import Diverged
from nasbench_eval.wording import first_line

Loss = Callable[[Tensor], Tensor]


class _Asked(NamedTuple):
    """A request under way."""

    request: Request
    watch: Watch


class Engine:
    """The passes of one architecture.

    Args:
        network: its body, with any classifier; every parameter is set anew for each pass.
        classes: number of classes by data set.
        inputs: source of batches and labels.
        key: what the weights depend on: the run's seed and the architecture's weight key, mostly its text.
        device: where to run.
        checkpoints: folder that a training continues from if it was interrupted; None keeps its epochs in
            memory alone.
        precision: `bf16` computes convolutions and products in bfloat16, where a pass is not in float64.
        tasks: what the network does on a data set where it does not classify; `classes` then are its outputs.

    Raises:
        Undefined: if the network has no head for one of the tasks.
    """

    def __init__(
        self,
        network: Network,
        classes: Mapping[str, int],
        inputs: Inputs,
        key: tuple[object, ...],
        device: torch.device,
        checkpoints: Path | None = None,
        precision: Precision = "float32",
        tasks: Mapping[str, str] | None = None,
    ) -> None:
        self.network = network.to(device=device, memory_format=network.tensor_layout)  # type: ignore[call-overload]
        tasks = tasks or {}
        heads: dict[str, nn.Module] = {
            **network.seen_heads({name: number for name, number in classes.items() if name not in tasks}),
            **{name: network.task_head(task, classes[name]) for name, task in tasks.items()},
        }
        self.heads = {name: head.to(device) for name, head in heads.items()}
        for norm in norms(network, self.heads.values()):
            # Running statistics then are those of the last batch: an observer reads them for free.
            norm.momentum = 1.0
        self.inputs, self.key, self.device = inputs, key, device
        self.state = State(network, self.heads, key, inputs, checkpoints)
        self._half = precision == "bf16"
        self._x = torch.empty(0)

    def run(self, requests: Sequence[Request]) -> list[Outcome]:
        """One outcome a request, in the order asked; an exception fails only the requests that meet it."""
        groups: dict[tuple[ForwardSpec, str | None], list[int]] = {}
        for i, (spec, dataset, _) in enumerate(requests):
            key = (spec.forward, dataset if spec.forward.imaged else None)
            groups.setdefault(key, []).append(i)
        by_draw: dict[object, list[list[int]]] = {}  # one after the other, so that weights are drawn once
        for members in groups.values():
            by_draw.setdefault(drawn_by(requests[members[0]].spec.forward), []).append(members)
        outcomes: dict[int, Outcome] = {}
        for members in chain.from_iterable(by_draw.values()):
            outcomes.update(zip(members, self._run_group([requests[i] for i in members]), strict=True))
        return [outcomes[i] for i in range(len(requests))]

    def _run_group(self, requests: Sequence[Request]) -> list[Outcome]:
        start = time.perf_counter()
        try:
            return self._run_together(requests)
        except (Exception, SystemExit) as error:  # an observer may call exit()
            # Without its traceback, whose frames would keep the graph and its memory alive.
            bare = _meant(error).with_traceback(None)
            bare.__context__ = None
            if len(requests) == 1 or isinstance(error, Diverged):  # a training fails all alike
                return [Outcome(None, span(time.perf_counter() - start), bare)] * len(requests)
        # Together they failed; alone each shows whether it was the cause.  The score is the same either way.
        finally:
            self.network.release_pass()
        return [outcome for request in requests for outcome in self._run_group([request])]

    def _run_together(self, requests: Sequence[Request]) -> list[Outcome]:
        forward = requests[0].spec.forward
        trained = self.state.prepare(forward, requests[0].dataset)
        shared: dict[object, _Asked] = {}
        refused: dict[int, Outcome] = {}
        answers: dict[int, _Asked] = {}
        for place, request in enumerate(requests):
            try:
                one = self._ask(request)
            except Undefined as error:  # of one proxy: the others see the pass as they would without it
                refused[place] = Outcome(None, {}, error.with_traceback(None))
            else:
                answers[place] = shared.setdefault(_what(one), one)
        asked = list(shared.values())
        if not asked:
            return list(refused.values())
        x = self.inputs.input(forward, requests[0].dataset).to(memory_format=self.network.tensor_layout)
        x = x.double() if forward.float64 else x
        wanted = {request.spec.wrt for request in requests}
        if "input" in wanted:
            x = x.detach().requires_grad_()
        self._x = x
        headed = [a for a in asked if a.request.spec.objective != "features"]
        datasets = list(dict.fromkeys(a.request.dataset for a in headed))
        body = set(modules(self.network).values()) - self._head()
        self.network.shows_features = any(watches(a.watch.observer, "on_features") for a in asked)
        tape = Tape(self.network, wanted, forward.bn)
        with batch_norm(self.network, forward.bn), torch.set_grad_enabled(wanted != {"nothing"}):
            with self._clock(asked), shown(body, _watches(asked)), tape.running():
                with self._precision(forward):
                    features = self.network.features(x)
                with torch.no_grad():
                    for a in asked:
                        a.watch.observer.on_features(full(features))
            self._differentiate_blocks(tape.blocks, asked)
            for dataset in datasets:
                mine = [a for a in headed if a.request.dataset == dataset]
                self._use_head(mine[0].request)
                with head_norm(self._task_head(), forward.bn):
                    self._run_head(features, x, tape, mine, more=dataset != datasets[-1])
        outcomes = {id(a): Outcome(a.watch.observer.record(), a.watch.spans | trained) for a in asked}
        told = {place: outcomes[id(a)] for place, a in answers.items()} | refused
        return [told[place] for place in range(len(requests))]

    def _run_head(self, features: Tensor, x: Tensor, tape: Tape, asked: list[_Asked], *, more: bool) -> None:
        """The head in use and the backward passes behind it; `more` heads follow on the same graph."""
        target = self._labels(asked)
        with self._clock(asked), shown(self._head(), _watches(asked)), tape.closing() as head:
            with self._precision(asked[0].request.spec.forward):
                logits = self.network.head(features)
            logits = logits.float() if self._half and logits.dtype == torch.bfloat16 else logits
        if any(a.request.spec.objective == "cross_entropy" for a in asked):
            target = self._task_target(asked[0].request, logits) if target is None else target
        self._differentiate_outputs(logits, head, asked)
        self._differentiate_samples(logits, target, [*tape.owners, *head], asked)
        scalars = [a for a in asked if a.request.spec.wrt in ("parameters", "input", "curvature")]
        objectives = list(dict.fromkeys(a.request.spec.objective for a in scalars))
        for objective in objectives:
            mine = [a for a in scalars if a.request.spec.objective == objective]
            loss = torch.sum if objective == "sum" else partial(self._task_loss, target=target)
            self._differentiate(loss, logits, x, tape, mine, keep_graph=more or objective != objectives[-1])

    def _differentiate_blocks(self, blocks: Sequence[Seen], asked: Sequence[_Asked]) -> None:
        """Random ±1 cotangents back through each block of the body by itself."""
        mine = [a for a in asked if a.request.spec.wrt == "blocks"]
        for seen in blocks if mine else ():
            with self._clock(mine):
                g_out = signs_like(seen.y, generator(*self.key, "signs", seen.name))
                g_in = jacobian.by_block(seen, g_out)
                shown_in, shown_out = self.network.seen_as(g_in), self.network.seen_as(g_out)
                for a in mine:
                    a.watch.observer.on_block_gradient(seen.name, seen.module, shown_in, shown_out)

    def _differentiate_outputs(self, logits: Tensor, head: Sequence[Seen], asked: Sequence[_Asked]) -> None:
        """Each logit by the outputs of watched layers; each classifier input where these are fewer."""
        mine = [a for a in asked if a.request.spec.wrt == "outputs"]
        if not mine:
            return
        weight_KC = self.network.classifier.weight.detach()
        fewer = len(weight_KC) > weight_KC.shape[1]
        outputs = head[0].x if fewer else logits
        basis_KM = weight_KC if fewer else torch.eye(len(weight_KC)).to(weight_KC)
        everything = {id(s.y): s for a in mine for s in a.watch.seen}  # a layer may be met twice
        tape = [s for s in everything.values() if not (fewer and s.module is self.network.classifier)]
        self._move_entries(mine)
        with self._clock(mine), torch.no_grad():
            for a in mine:
                a.watch.observer.on_basis(basis_KM)
            for m in range(outputs.shape[1]):
                with torch.enable_grad():
                    gradients = jacobian.by_outputs(outputs[:, m].sum(), tape)
                for a in mine:
                    for seen, gradient in zip(tape, gradients, strict=True):
                        if seen.name in a.watch.layers:
                            a.watch.observer.on_output_gradient(
                                m, seen.name, seen.module, seen.x.detach(), gradient
                            )

    def _move_entries(self, asked: Sequence[_Asked]) -> None:
        """The effect on the logits of the first entries of parameters that no known layer shows."""
        wanted = {name: None for a in asked for name in a.watch.observer.entries_wanted()}
        for name in wanted:
            with self._clock(asked):
                slope_BK = jacobian.by_entry(self.network, self._x, modules(self.network), name)
                for a in asked:
                    if name in a.watch.observer.entries_wanted():
                        a.watch.observer.on_entry(name, slope_BK)

    def _differentiate_samples(
        self, logits: Tensor, target: Tensor | None, owners: Sequence[Seen], asked: Sequence[_Asked]
    ) -> None:
        """Each sample's own objective by the parameters."""
        for objective in ("sum", "cross_entropy"):
            samples = [a for a in asked if a.request.spec.wrt == "samples"]
            mine = [a for a in samples if a.request.spec.objective == objective]
            if not mine:
                continue

            def show(name: str, parameter: Tensor, gradient_B: Tensor, mine: list[_Asked] = mine) -> None:
                with torch.no_grad():
                    for a in mine:
                        a.watch.observer.on_sample_gradient(name, parameter.detach(), gradient_B)

            with self._clock(mine):
                if objective == "sum":
                    objective_B = logits.flatten(1).sum(1)
                else:
                    assert target is not None
                    objective_B = self._losses(logits, target)
                kinds = {a.watch.observer.samples_of for a in mine}
                names = parameter_names(self.network, "all" if "all" in kinds else "weights")
                parameters = {n: p for n, p in parameters_of(self.network).items() if n in names}
                if mine[0].request.spec.forward.bn == "train":
                    jacobian.coupled_samples(objective_B, parameters, show)
                else:
                    jacobian.separate_samples(
                        objective_B, owners, parameters, show, self.network.plain_layers()
                    )

    def _labels(self, asked: Sequence[_Asked]) -> Tensor | None:
        """The labels of the batch, shown to the observers that watch them; None where nobody needs them."""
        watching = [a.watch.observer for a in asked if watches(a.watch.observer, "on_labels")]
        if not watching and all(a.request.spec.objective != "cross_entropy" for a in asked):
            return None
        if self._task_head() is not None:  # its targets may depend on its outputs
            return None
        (spec, dataset, _) = asked[0].request
        assert dataset is not None
        labels_B = self.inputs.labels(spec.forward, dataset)
        for observer in watching:
            observer.on_labels(labels_B)
        return labels_B

    def _task_target(self, request: Request, outputs: Tensor) -> Tensor | None:
        """What the outputs of a task's head are compared with; None where the network classifies."""
        head = self._task_head()
        if head is None:
            return None
        coins = generator(self.key[0], "target", head.task, request.spec.forward.batch)
        return head.target(self._x.detach(), outputs.detach(), request.spec.forward.offset, coins)

    def _task_loss(self, logits: Tensor, target: Tensor | None) -> Tensor:
        if (head := self._task_head()) is not None:
            assert target is not None
            return head.losses(logits, target).mean()
        if logits.ndim == 2:
            assert target is not None
            return F.cross_entropy(logits, target)
        target = torch.randn(logits.shape, generator=generator(self.key[0], "target", *logits.shape))
        return F.mse_loss(logits, target.to(logits))

    def _losses(self, logits: Tensor, target: Tensor) -> Tensor:
        """The loss of each sample, (B,)."""
        if (head := self._task_head()) is not None:
            return head.losses(logits, target)
        losses = F.cross_entropy(logits, target, reduction="none")
        return losses.flatten(1).mean(1) if losses.ndim > 1 else losses

    def _differentiate(
        self, loss: Loss, logits: Tensor, x: Tensor, tape: Tape, asked: list[_Asked], *, keep_graph: bool
    ) -> None:
        wanted = {a.request.spec.wrt for a in asked}
        curved = [a for a in asked if a.request.spec.wrt == "curvature"]
        parameters = parameters_of(self.network) if wanted & {"parameters", "curvature"} else {}
        leaves = [*parameters.values(), *([x] if "input" in wanted else [])]
        with self._clock(asked), gradients_shown(_watches(asked)), tape.adjoints_kept(bool(curved)):
            gradients = jacobian.gradients(loss(logits), leaves, keep_graph=keep_graph)
        for request, watch in asked:
            if request.spec.wrt == "input":
                watch.observer.on_input(gradients[-1].detach())
            elif watches(watch.observer, "on_parameter"):
                for (name, parameter), gradient in zip(parameters.items(), gradients, strict=False):
                    watch.observer.on_parameter(name, parameter.detach(), gradient.detach())
        if curved:
            with self._clock(curved):
                by_name = dict(zip(parameters, gradients, strict=False))
                value = self._curvature(loss, x.detach(), tape, by_name)
            for _, watch in curved:
                watch.observer.on_curvature(value)

    def _curvature(self, loss: Loss, x: Tensor, tape: Tape, gradients: Mapping[str, Tensor]) -> Tensor:
        """θᵀ H g, θ being the weight tensors alone: from tangents where they can be had."""
        if tape.layers is not None:
            with suppress(tangents.Unseen):
                return tangents.curvature(self.network, x, tape.layers, gradients, loss)
        names = parameter_names(self.network, "weights")
        weights = [parameter for name, parameter in parameters_of(self.network).items() if name in names]
        try:
            return jacobian.curvature(self.network, x, weights, loss)
        except RuntimeError as error:
            if "derivative for" not in str(error):
                raise
            raise Undefined(f"it has an operation without a second derivative: {first_line(error)}") from None

    def _precision(self, forward: ForwardSpec) -> torch.autocast:
        half = self._half and not forward.float64
        return torch.autocast(self.device.type, torch.bfloat16, enabled=half)

    def _use_head(self, request: Request) -> None:
        """Put the head of the request's data set onto the body."""
        assert request.dataset is not None, "a pass that goes beyond the features names a data set"
        self.network.use_head(self.heads[request.dataset])
        self.state.draw_head(self.heads[request.dataset])

    def _task_head(self) -> TaskHead | None:
        """The head in use, where the network does not classify."""
        found: TaskHead | None = self.network.head_in_use()
        return found

    def _head(self) -> set[nn.Module]:
        """The modules of the head in use."""
        return {self.network.classifier, *self.network.seen_classifier().values()}

    def _ask(self, request: Request) -> _Asked:
        if request.spec.objective != "features":
            self._use_head(request)
        _need_meaning(self.network, request.spec)
        observer = request.observe(self.network, request.spec)
        head = self._task_head() if request.spec.objective != "features" else None
        if head is not None and watches(observer, "on_labels"):
            raise Undefined(f"it needs a class for each image, and {head.task} has none")
        return _Asked(request, Watch(observer, self.network, observer.layers(self.network)))

    def forget(self) -> None:
        """Remove the checkpoints, once all passes of the architecture are done."""
        self.state.forget()

    @contextmanager
    def _clock(self, asked: Sequence[_Asked]) -> Iterator[None]:
        start = time.perf_counter()
        yield
        if self.device.type == "cuda":
            torch.cuda.synchronize()  # what was asked for is not done until the queue is empty
        took = span(time.perf_counter() - start)
        for a in asked:
            a.watch.spans |= took


def _meant(error: Exception | SystemExit) -> Exception | SystemExit:
    """What an error of a pass comes down to: batch norm of one value a channel has no statistics."""
    if isinstance(error, ValueError) and str(error).startswith("Expected more than 1 value per channel"):
        return Undefined(
            "batch norm is left with one value a channel, of a batch of one and one pixel; a higher "
            "resolution leaves more"
        )
    return error


def _need_meaning(network: Network, spec: PassSpec) -> None:
    """Refuse a pass that says nothing of a network.  Raises `Undefined` with the reason."""
    if spec.forward.bn == "eval" and spec.wrt in ("samples", "outputs"):
        need_statistics(network)
    if spec.objective == "features":
        return
    if (head := network.head_in_use()) is not None:
        if spec.wrt == "outputs":
            raise Undefined(f"it needs logits of classes of each image, and {head.task} has none")
        return
    of_loss = spec.objective == "cross_entropy" or spec.wrt == "outputs"
    if of_loss and network.classifier.out_features == 1:
        raise Undefined("with one class the cross-entropy is 0 whatever the weights")


def _what(asked: _Asked) -> object:
    """What comes of an observer: the same for those that one may stand in for."""
    request, observer = asked.request, asked.watch.observer
    alike = id(observer) if observer.options is None else (type(observer), *observer.options)
    return request.spec, request.dataset, alike


def _watches(asked: Sequence[_Asked]) -> list[Watch]:
    return [a.watch for a in asked]
