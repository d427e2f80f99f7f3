"""Backward passes a sample, an output, a block at a time, against loops of plain autograd."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from nasbench_eval.passes import Engine, ForwardSpec, Observer, PassSpec, Record, Request, jacobian
from nasbench_eval.passes.norms import batch_norm
from nasbench_eval.passes.tape import Seen, parameter_layers, recorded
from nasbench_eval.spaces.base import Network
from nasbench_eval.spaces.nasbench201 import NASBench201

CPU = torch.device("cpu")
KEY = ("seed", "architecture")
MIXED = "|nor_conv_3x3~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|"
DEAD_BRANCH = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_1x1~2|"
NOTHING = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
IDENTITY = "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"
CUT_HALFWAY = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|nor_conv_1x1~2|"
B, R = 4, 8
# In double precision, so that nothing but a wrong formula is seen.
FORWARD = ForwardSpec("torch_default", "gaussian", B, R, float64=True)
CLASSES = {"few": 3, "many": 20}  # the classifier of the cells has 16 inputs
CLOSE = {"rtol": 1e-8, "atol": 1e-10}


@dataclass
class Inputs:
    """Noise and labels; counts how often the labels are asked for."""

    asked: list[str] = field(default_factory=list)

    def input(self, forward: ForwardSpec, dataset: str | None = None) -> Tensor:
        assert forward.resolution is not None
        shape = (forward.batch_size, 3, forward.resolution, forward.resolution)
        return torch.randn(shape, generator=torch.Generator().manual_seed(forward.batch))

    def labels(self, forward: ForwardSpec, dataset: str) -> Tensor:
        self.asked.append(dataset)
        return torch.arange(forward.batch_size) % CLASSES[dataset]

    def training_set(self, dataset: str, images: int, resolution: int) -> tuple[Tensor, Tensor]:
        raise AssertionError("nothing is trained")


class Layer(Network):
    """A layer between the image and the classifier, with a bend behind it."""

    def __init__(self, layer: nn.Module, width: int, stem: nn.Module | None = None) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1) if stem is None else stem
        self.cells, self.classifier = nn.ModuleList([layer]), nn.Linear(width, 3)

    def features(self, x_BCHW: Tensor) -> Tensor:
        return torch.tanh(self.cells[0](torch.tanh(self.stem(x_BCHW))))

    def head(self, features_BChw: Tensor) -> Tensor:
        logits: Tensor = self.classifier(features_BChw.mean(dim=(2, 3)))
        return logits


class Smooth(Layer):
    def __init__(self) -> None:
        super().__init__(nn.Conv2d(4, 6, 3, padding=1, stride=2), 6)


def cell(text: str = MIXED) -> Network:
    space = NASBench201(channels=4, cells_per_stage=1)
    return space.build(space.parse(text), num_classes=3)


def engine(network: Network, inputs: Inputs | None = None, key: tuple[object, ...] = KEY) -> Engine:
    return Engine(network, CLASSES, inputs or Inputs(), key, CPU)


def record(one: Engine, spec: PassSpec, make: Callable[[], Observer], dataset: str | None = "few") -> Record:
    (outcome,) = one.run([Request(spec, dataset, lambda net, spec: make())])
    assert outcome.error is None, repr(outcome.error)
    assert outcome.record is not None
    return outcome.record


# A sample at a time


class Samples(Observer):
    """Keeps the gradients of each sample."""

    def __init__(self) -> None:
        self.seen: Record = {}

    def on_sample_gradient(self, name: str, parameter: Tensor, gradient_B: Tensor) -> None:
        assert name not in self.seen
        assert gradient_B.shape == (B, *parameter.shape)
        assert not gradient_B.requires_grad
        self.seen[name] = gradient_B.clone()

    def record(self) -> Record:
        return self.seen


def samples(bn: Any, objective: Any = "sum") -> PassSpec:
    return PassSpec(replace(FORWARD, bn=bn), objective, "samples")


def objectives(network: Network, bn: Any, objective: str) -> Tensor:
    """Each sample's own objective (B,), the samples in one batch or in batches of one."""
    x, t = Inputs().input(FORWARD).double(), Inputs().labels(FORWARD, "few")
    with torch.enable_grad():
        network.train(bn != "eval")
        logits = network(x) if bn == "train" else torch.cat([network(x[n : n + 1]) for n in range(B)])
    if objective == "sum":
        return logits.sum(1)
    return F.cross_entropy(logits, t, reduction="none")


def by_loop(network: Network, bn: Any, objective: str) -> dict[str, Tensor]:
    """A backward pass a sample through the bare network, whose weights are those of its last pass."""
    parameters = dict(network.named_parameters())
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
    rows = []
    for each in objectives(network, bn, objective):
        found = torch.autograd.grad(each, list(parameters.values()), retain_graph=True, allow_unused=True)
        rows.append(
            [torch.zeros_like(p) if g is None else g for p, g in zip(parameters.values(), found, strict=True)]
        )
    return {name: torch.stack([row[i] for row in rows]) for i, name in enumerate(parameters)}


NETWORKS: dict[str, Callable[[], Network]] = {
    "mixed": cell,
    "dead branch": lambda: cell(DEAD_BRANCH),
    "nothing": lambda: cell(NOTHING),
    "smooth": Smooth,
    "norm": lambda: Layer(nn.BatchNorm2d(4), 4),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("bn", ["train", "eval", "alone"])
@pytest.mark.parametrize("objective", ["sum", "cross_entropy"])
def test_gradients_of_samples(name: str, bn: str, objective: str) -> None:
    one = engine(NETWORKS[name]())
    found = record(one, samples(bn, objective), Samples)
    expected = by_loop(one.network, bn, objective)
    assert found.keys() == expected.keys()
    for parameter, gradient in expected.items():
        torch.testing.assert_close(found[parameter], gradient, **CLOSE)


LAYERS: dict[str, tuple[nn.Module, int]] = {
    "3x3": (nn.Conv2d(4, 6, 3, bias=False), 6),
    "bias": (nn.Conv2d(4, 6, 3), 6),
    "padding": (nn.Conv2d(4, 5, 3, padding=2), 5),
    "stride": (nn.Conv2d(4, 6, 3, stride=2, padding=1), 6),
    "dilation": (nn.Conv2d(4, 6, 3, dilation=2, padding=2, bias=False), 6),
    "oblong": (nn.Conv2d(4, 6, (3, 2), stride=(1, 3), padding=(2, 1), dilation=(1, 2)), 6),
    "1x1": (nn.Conv2d(4, 6, 1), 6),
    "1x1 without bias": (nn.Conv2d(4, 6, 1, bias=False), 6),
    "1x1 with stride": (nn.Conv2d(4, 6, 1, stride=2), 6),
    "1x1 with padding": (nn.Conv2d(4, 6, 1, padding=1), 6),
    "no parameters": (nn.AvgPool2d(2), 4),
}


@pytest.mark.parametrize("name", LAYERS)
def test_together_and_apart_are_the_same_where_samples_do_not_meet(name: str) -> None:
    one = engine(Layer(*LAYERS[name]))
    coupled, separate = (record(one, samples(bn), Samples) for bn in ("train", "eval"))
    assert coupled.keys() == separate.keys() == dict(one.network.named_parameters()).keys()
    for parameter in coupled:
        torch.testing.assert_close(separate[parameter], coupled[parameter], **CLOSE)
        assert coupled[parameter].any()


@given(st.sampled_from(["stem.weight", "cells.0.weight", "classifier.bias"]), st.integers(0, 10**6))
def test_finite_differences(name: str, number: int) -> None:
    one = engine(Smooth())
    found = record(one, samples("eval"), Samples)[name].flatten(1)
    place = number % found.shape[1]
    entries, step = one.network.get_parameter(name).detach(), 1e-5
    at = np.unravel_index(place, entries.shape)
    values = []
    for sign in (1, -1):
        entries[at] += sign * step
        values.append(objectives(one.network, "eval", "sum").detach())
        entries[at] -= sign * step
    torch.testing.assert_close(found[:, place], (values[0] - values[1]) / (2 * step), rtol=1e-6, atol=1e-8)


def test_groups_hold_no_more_than_the_bound_or_one_tensor(monkeypatch: pytest.MonkeyPatch) -> None:
    parameters = dict(cell().named_parameters())
    sizes = {name: B * p.numel() * p.element_size() for name, p in parameters.items()}
    for bound in (1, 5_000, 50_000, 1 << 40):
        monkeypatch.setattr(jacobian, "MEMORY_BOUND", bound)
        groups = [list(group) for group in jacobian._groups(parameters, B)]
        assert [name for group in groups for name in group] == list(parameters)
        assert all(len(group) == 1 or sum(sizes[name] for name in group) <= bound for group in groups)
        assert bound > 1 or len(groups) == len(parameters)
        assert bound < 1 << 40 or len(groups) == 1


@pytest.mark.parametrize("bound", [1, 10_000])
def test_the_bound_of_memory_moves_no_bit(bound: int, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = record(engine(cell()), samples("train"), Samples)
    monkeypatch.setattr(jacobian, "MEMORY_BOUND", bound)
    found = record(engine(cell()), samples("train"), Samples)
    assert list(found) == list(plain)
    assert all(torch.equal(found[name], plain[name]) for name in plain)


def test_a_layer_without_a_rule_is_named_through_the_engine() -> None:
    one = engine(Layer(nn.Conv2d(4, 6, 3, padding=1, padding_mode="circular"), 6))
    (outcome,) = one.run([Request(samples("eval"), "few", lambda net, spec: Samples())])
    assert isinstance(outcome.error, TypeError)
    assert str(outcome.error) == "no sample gradients are defined for Conv2d 'cells.0' as it is set"
    # With the samples together no rule is needed.
    found, expected = record(one, samples("train"), Samples), by_loop(one.network, "train", "sum")
    for parameter, gradient in expected.items():
        torch.testing.assert_close(found[parameter], gradient, **CLOSE)


@pytest.mark.parametrize(
    ("layer", "told"),
    [
        (nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"), "Conv2d 'cells.0'"),
        (nn.PReLU(), "PReLU 'cells.0'"),
        (nn.ConvTranspose2d(4, 6, 3), "ConvTranspose2d 'cells.0'"),
    ],
)
def test_a_layer_without_a_rule_is_named(layer: nn.Module, told: str) -> None:
    width = layer.out_channels if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) else 4
    network = Layer(layer, width)
    tape: list[Seen] = []
    with recorded(parameter_layers(network), tape):
        logits = network(Inputs().input(FORWARD))
    parameters = dict(network.named_parameters())
    with pytest.raises(TypeError, match=f"^no sample gradients are defined for {told} as it is set$"):
        jacobian.separate_samples(logits.sum(1), tape, parameters, lambda name, parameter, gradient_B: None)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 6, 3, groups=2),
        nn.Conv2d(4, 8, 5, groups=4, stride=2, padding=3, dilation=2),
        nn.LayerNorm(R),
        nn.LayerNorm([R, R]),
        nn.Linear(R, R),  # on what is no vector
        nn.GroupNorm(2, 4),
    ],
)
def test_layers_of_other_networks_have_rules(layer: nn.Module) -> None:
    width = layer.out_channels if isinstance(layer, nn.Conv2d) else 4
    network = Layer(layer, width)
    for parameter in network.parameters():
        nn.init.normal_(parameter, generator=torch.Generator().manual_seed(parameter.numel()))
    tape: list[Seen] = []
    with recorded(parameter_layers(network), tape):
        logits = network(Inputs().input(FORWARD))
    parameters, found = dict(network.named_parameters()), {}
    jacobian.separate_samples(
        logits.sum(1), tape, parameters, lambda name, parameter, gradient_B: found.update({name: gradient_B})
    )
    for n, objective in enumerate(network(Inputs().input(FORWARD)).sum(1)):
        gradients = torch.autograd.grad(objective, list(parameters.values()), retain_graph=True)
        for name, gradient in zip(parameters, gradients, strict=True):
            torch.testing.assert_close(found[name][n], gradient, rtol=1e-4, atol=1e-5)


# An output at a time


class Outputs(Observer):
    """Keeps the gradient of each output by each layer's output."""

    def __init__(self) -> None:
        self.gradients: dict[str, dict[int, Tensor]] = {}
        self.inputs: dict[str, Tensor] = {}
        self.bases: list[Tensor] = []

    def layers(self, net: Network) -> Mapping[str, nn.Module]:
        return parameter_layers(net)

    def on_basis(self, basis_KM: Tensor) -> None:
        assert not self.gradients
        self.bases.append(basis_KM.clone())

    def on_output_gradient(
        self, output: int, name: str, module: nn.Module, x: Tensor, gradient: Tensor
    ) -> None:
        assert not gradient.requires_grad
        assert not x.requires_grad
        of_layer = self.gradients.setdefault(name, {})
        assert output not in of_layer
        of_layer[output] = gradient.clone()
        self.inputs[name] = x.clone()

    def record(self) -> Record:
        (basis,) = self.bases
        return {"basis": basis, "gradients": self.gradients, "inputs": self.inputs}


OUTPUTS = PassSpec(replace(FORWARD, bn="eval"), "logits", "outputs")


def logits_by_layers(network: Network, classes: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """∂f_k(x_n)/∂y of every layer, (K, B, *shape), and the layers' inputs, a sample and a logit at a time."""
    network.eval()
    columns: dict[str, list[Tensor]] = {}
    inputs: dict[str, list[Tensor]] = {}
    for n in range(B):
        tape: list[Seen] = []
        with recorded(parameter_layers(network), tape):
            (logits,) = network(Inputs().input(FORWARD).double()[n : n + 1])
        assert len(logits) == classes
        for seen in tape:
            rows = [
                torch.autograd.grad(f, seen.y, retain_graph=True, allow_unused=True)[0]
                if seen.y.requires_grad
                else None
                for f in logits
            ]
            filled = [torch.zeros_like(seen.y) if g is None else g for g in rows]
            columns.setdefault(seen.name, []).append(torch.stack(filled))
            inputs.setdefault(seen.name, []).append(seen.x.detach())
    return {n: torch.cat(c, 1) for n, c in columns.items()}, {n: torch.cat(c) for n, c in inputs.items()}


@pytest.mark.parametrize("dataset", CLASSES)
@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_of_outputs(name: str, dataset: str) -> None:
    one = engine(NETWORKS[name]())
    found = record(one, OUTPUTS, Outputs, dataset)
    classes, width = CLASSES[dataset], one.network.classifier.in_features
    fewer = classes > width
    if fewer:
        assert torch.equal(found["basis"], one.network.classifier.weight)
    else:
        assert torch.equal(found["basis"], torch.eye(classes).double())
    expected, inputs = logits_by_layers(one.network, classes)
    assert fewer == (dataset == "many")
    assert found["gradients"].keys() == expected.keys() - ({"classifier"} if fewer else set())
    for layer, of_layer in found["gradients"].items():
        assert list(of_layer) == list(range(min(classes, width)))
        gradients_MB = torch.stack(list(of_layer.values()))
        gradients_KB = torch.tensordot(found["basis"], gradients_MB, dims=1)
        torch.testing.assert_close(gradients_KB, expected[layer], **CLOSE)
        torch.testing.assert_close(found["inputs"][layer], inputs[layer], **CLOSE)


class FirstLayer(Outputs):
    def layers(self, net: Network) -> Mapping[str, nn.Module]:
        return {"stem": net.stem}


def test_only_watched_layers_are_shown() -> None:
    one = engine(Smooth())
    requests = [
        Request(OUTPUTS, "few", lambda net, spec, make=make: make()) for make in (Outputs, FirstLayer)
    ]
    everything, first = (outcome.record for outcome in one.run(requests))
    assert everything is not None
    assert first is not None
    assert first["gradients"].keys() == {"stem"}
    assert everything["gradients"].keys() == {"stem", "cells.0", "classifier"}
    for m, gradient in first["gradients"]["stem"].items():
        assert torch.equal(gradient, everything["gradients"]["stem"][m])


# A block at a time


class Blocks(Observer):
    """Keeps each block's gradients, and what went in."""

    def __init__(self) -> None:
        self.seen: Record = {}
        self.inputs: dict[str, Tensor] = {}

    def layers(self, net: Network) -> Mapping[str, nn.Module]:
        return {f"cells.{i}": block for i, block in enumerate(net.cells)}

    def on_layer(self, name: str, module: nn.Module, x: Tensor, y: Tensor) -> None:
        self.inputs[name] = x.clone()

    def on_block_gradient(self, name: str, block: nn.Module, g_in: Tensor, g_out: Tensor) -> None:
        assert name not in self.seen
        assert not g_in.requires_grad
        self.seen[name] = (g_in.clone(), g_out.clone(), self.inputs[name])

    def record(self) -> Record:
        return self.seen


BLOCKS = PassSpec(FORWARD, "features", "blocks")


@pytest.mark.parametrize("text", [MIXED, DEAD_BRANCH, NOTHING, IDENTITY, CUT_HALFWAY])
@pytest.mark.parametrize("bn", ["train", "eval", "alone"])
def test_gradients_of_blocks(text: str, bn: Any) -> None:
    one = engine(cell(text))
    found = record(one, replace(BLOCKS, forward=replace(FORWARD, bn=bn)), Blocks, None)
    assert list(found) == [f"cells.{i}" for i in range(5)]
    for name, (g_in, g_out, x) in found.items():
        block = one.network.get_submodule(name)
        for module in block.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.reset_running_stats()
        x = x.requires_grad_()
        with batch_norm(one.network, bn):
            y = block(x)
        expected = torch.zeros_like(x)
        if y.requires_grad:
            (gradient,) = torch.autograd.grad((y * g_out).sum(), x, allow_unused=True)
            expected = expected if gradient is None else gradient
        torch.testing.assert_close(g_in, expected, **CLOSE)


@pytest.mark.parametrize("text", [NOTHING, CUT_HALFWAY])
def test_a_block_behind_a_cut_is_differentiated_by_its_input(text: str) -> None:
    found = record(engine(cell(text)), BLOCKS, Blocks, None)
    for name in ("cells.0", "cells.2", "cells.4"):  # the cells themselves
        assert not found[name][0].any()
    for name in ("cells.1", "cells.3"):  # the reductions, which are shown zeros or a constant
        g_in, _, x = found[name]
        assert g_in.any()
        assert text != NOTHING or not x.any()


def test_signs_are_random_and_seeded() -> None:
    found = record(engine(cell()), BLOCKS, Blocks, None)
    signs = {name: g_out for name, (_, g_out, _) in found.items()}
    for name, g_out in signs.items():
        assert set(g_out.unique().tolist()) == {-1.0, 1.0}
        assert abs(float(g_out.mean())) < 5 / g_out.numel() ** 0.5, name
    again = record(engine(cell(DEAD_BRANCH)), BLOCKS, Blocks, None)
    other = record(engine(cell(), key=("another", "architecture")), BLOCKS, Blocks, None)
    for name, g_out in signs.items():
        assert torch.equal(again[name][1], g_out)
        assert not torch.equal(other[name][1], g_out)
    a, b = (signs[name].flatten()[:256] for name in ("cells.0", "cells.1"))
    assert not torch.equal(a, b)


def test_blocks_are_shown_to_all_who_ask_and_to_no_others() -> None:
    requests = [
        Request(spec, dataset, lambda net, spec: Blocks())
        for spec, dataset in ((BLOCKS, None), (PassSpec(FORWARD), None), (BLOCKS, None))
    ]
    first, none, second = (outcome.record for outcome in engine(cell()).run(requests))
    assert none == {}
    assert first is not None
    assert second is not None
    assert first.keys() == second.keys()
    for name in first:
        assert all(torch.equal(a, b) for a, b in zip(first[name], second[name], strict=True))


# Alone and together


def same(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("bn", ["train", "eval"])
def test_the_same_bits_alone_and_together(bn: Any) -> None:
    forward = replace(FORWARD, bn=bn, float64=False)
    makers: list[tuple[PassSpec, Callable[[], Observer]]] = [
        (PassSpec(forward, "sum", "samples"), Samples),
        (PassSpec(forward, "cross_entropy", "samples"), Samples),
        (PassSpec(forward, "logits", "outputs"), Outputs),
        (PassSpec(forward, "features", "blocks"), Blocks),
        (PassSpec(forward, "cross_entropy", "parameters"), Blocks),
        (PassSpec(forward, "sum", "input"), Blocks),
    ]
    requests = [
        Request(spec, dataset, lambda net, spec, make=make: make())
        for dataset in CLASSES
        for spec, make in makers
    ]
    together = engine(cell()).run(requests)
    backwards = engine(cell()).run(requests[::-1])[::-1]
    for request, among, reversed_ in zip(requests, together, backwards, strict=True):
        (alone,) = engine(cell()).run([request])
        assert alone.error is among.error is reversed_.error is None
        assert same(among.record, alone.record)
        assert same(reversed_.record, alone.record)


# Labels


class Labels(Observer):
    """Keeps the labels, and whether anything was shown before them."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def layers(self, net: Network) -> Mapping[str, nn.Module]:
        return {"classifier": net.classifier}

    def on_labels(self, labels_B: Tensor) -> None:
        self.calls.append("labels")
        self.labels = labels_B.clone()

    def on_layer(self, name: str, module: nn.Module, x: Tensor, y: Tensor) -> None:
        self.calls.append(name)

    def record(self) -> Record:
        return {"calls": self.calls, "labels": getattr(self, "labels", None)}


LOGITS = PassSpec(FORWARD, "logits")


@pytest.mark.parametrize(
    "spec", [LOGITS, samples("eval"), samples("train"), PassSpec(FORWARD, "sum", "input")]
)
@pytest.mark.parametrize("dataset", CLASSES)
def test_labels_are_shown_before_the_head_to_those_who_watch(spec: PassSpec, dataset: str) -> None:
    inputs = Inputs()
    requests = [Request(spec, dataset, lambda net, spec, make=make: make()) for make in (Labels, Samples)]
    outcomes = engine(Smooth(), inputs).run(requests)
    assert all(outcome.error is None for outcome in outcomes)
    found = outcomes[0].record
    assert found is not None
    assert found["calls"] == ["labels", "classifier"]
    assert torch.equal(found["labels"], Inputs().labels(FORWARD, dataset))
    assert inputs.asked == [dataset]


@pytest.mark.parametrize("spec", [LOGITS, samples("eval"), PassSpec(FORWARD, "sum", "parameters"), OUTPUTS])
def test_labels_that_nobody_needs_are_not_asked_for(spec: PassSpec) -> None:
    inputs = Inputs()
    record(engine(Smooth(), inputs), spec, Samples)
    assert inputs.asked == []


def test_the_loss_asks_for_labels_that_nobody_watches() -> None:
    inputs = Inputs()
    record(engine(Smooth(), inputs), samples("eval", "cross_entropy"), Samples)
    assert inputs.asked == ["few"]


def test_features_have_no_labels() -> None:
    inputs = Inputs()
    found = record(engine(Smooth(), inputs), PassSpec(FORWARD), Labels, None)
    assert found["calls"] == []
    assert inputs.asked == []
