"""The engine: each pass once for all who ask, the same bits as alone, and failures kept apart."""

from __future__ import annotations

import gc
import math
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from nasbench_eval.data.datasets import DataSet
from nasbench_eval.passes import (
    Engine,
    ForwardSpec,
    GradientObserver,
    LayerObserver,
    Observer,
    Outcome,
    PassSpec,
    Record,
    Request,
    layers,
    parameter_names,
    seconds_of,
)
from nasbench_eval.passes.observer import parameters
from nasbench_eval.passes.state import State
from nasbench_eval.proxies.base import ProxyInfo
from nasbench_eval.runs.rows import Task
from nasbench_eval.scoring.job import Job
from nasbench_eval.scoring.worker import score_architecture
from nasbench_eval.spaces.base import Network
from nasbench_eval.spaces.nasbench201 import NASBench201

CPU = torch.device("cpu")
SPACE = NASBench201(channels=4, cells_per_stage=1)
MIXED = "|nor_conv_3x3~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|"
NOTHING = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
CLASSES = {"few": 3, "many": 7}
FORWARD = ForwardSpec("kaiming", "gaussian", batch_size=4, resolution=8)
FEATURES = PassSpec(FORWARD)
LOGITS = PassSpec(FORWARD, "logits")
SUM = PassSpec(FORWARD, "sum", "input")
LOSS = PassSpec(FORWARD, "cross_entropy", "parameters")
CURVATURE = PassSpec(FORWARD, "cross_entropy", "curvature")


@dataclass
class Inputs:
    """Noise and labels by data set; `broken` names a data set without labels."""

    broken: str = ""
    asked: list[str] = field(default_factory=list)

    def input(self, forward: ForwardSpec, dataset: str | None) -> Tensor:
        assert forward.resolution is not None
        number = forward.batch + (100 * sorted(CLASSES).index(dataset) if forward.source == "images" else 0)  # type: ignore[arg-type]
        generator = torch.Generator().manual_seed(number)
        shape = (forward.batch_size, 3, forward.resolution, forward.resolution)
        return torch.randn(shape, generator=generator)

    def labels(self, forward: ForwardSpec, dataset: str) -> Tensor:
        self.asked.append(dataset)
        if dataset == self.broken:
            raise ValueError(f"{dataset} has no labels")
        generator = torch.Generator().manual_seed(7)
        return torch.randint(CLASSES[dataset], (forward.batch_size,), generator=generator)


class Counted(Network):
    """Another network, whose calls are counted."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.inner = network
        self.stem, self.cells, self.classifier = network.stem, network.cells, network.classifier
        self.bodies, self.heads = 0, 0

    def features(self, x_BCHW: Tensor) -> Tensor:
        self.bodies += 1
        return self.inner.features(x_BCHW)

    def head(self, features_BChw: Tensor) -> Tensor:
        self.heads += 1
        return self.classifier(features_BChw.mean(dim=(2, 3)))


class Everything(Observer):
    """Keeps a copy of all it is shown, under the callback's name."""

    def __init__(self, net: Network, spec: PassSpec) -> None:
        self.seen: Record = {}
        if spec.objective != "features":
            self.seen["classes"] = net.classifier.out_features

    def layers(self, net: Network) -> Mapping[str, nn.Module]:
        return {name: module for name, module in net.named_modules() if not list(module.children())}

    def on_layer(self, name: str, module: nn.Module, x: Tensor, y: Tensor) -> None:
        self.seen["layer", name] = (x.clone(), y.clone())

    def on_features(self, features_BChw: Tensor) -> None:
        self.seen["features"] = features_BChw.clone()

    def on_layer_gradient(self, name: str, module: nn.Module, y: Tensor, gradient: Tensor) -> None:
        self.seen["layer_gradient", name] = (y.clone(), gradient.clone())

    def on_parameter(self, name: str, parameter: Tensor, gradient: Tensor) -> None:
        self.seen["parameter", name] = (parameter.clone(), gradient.clone())

    def on_input(self, gradient_BCHW: Tensor) -> None:
        self.seen["input"] = gradient_BCHW.clone()

    def on_curvature(self, value: Tensor) -> None:
        self.seen["curvature"] = value.clone()

    def record(self) -> Record:
        return self.seen


def build(cell: str = MIXED) -> Network:
    return SPACE.build(SPACE.parse(cell), num_classes=3)


def engine(network: Network | None = None, inputs: Inputs | None = None) -> Engine:
    return Engine(network or build(), CLASSES, inputs or Inputs(), ("seed", "architecture"), CPU)


def run(*requests: Request, network: Network | None = None, inputs: Inputs | None = None) -> list[Outcome]:
    return engine(network, inputs).run(requests)


def record(outcome: Outcome) -> Record:
    assert outcome.error is None, repr(outcome.error)
    assert outcome.record is not None
    return outcome.record


def same(a: Any, b: Any) -> bool:
    """Equal to the bit."""
    if isinstance(a, Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, tuple):
        return all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return bool(a == b)


# One pass for all


def test_requests_of_one_forward_share_it() -> None:
    network = Counted(build())
    passes = [FEATURES, LOGITS, SUM, LOSS, LOSS]
    requests = [Request(spec, dataset, Everything) for dataset in CLASSES for spec in passes]
    assert all(outcome.error is None for outcome in run(*requests, network=network))
    assert network.bodies == 1
    assert network.heads == len(CLASSES)


def test_second_derivatives_walk_the_network_twice_more() -> None:
    network = Counted(build())
    (outcome,) = run(Request(CURVATURE, "few", Everything), network=network)
    assert outcome.error is None
    assert (network.bodies, network.heads) == (3, 3)


def test_images_of_two_data_sets_are_two_forwards() -> None:
    network = Counted(build())
    spec = replace(LOSS, forward=replace(FORWARD, source="images"))
    run(*[Request(spec, dataset, Everything) for dataset in CLASSES], network=network)
    assert network.bodies == 2


@pytest.mark.parametrize(
    "change",
    [
        {"init": "gaussian"},
        {"batch": 1},
        {"repeat": 1},
        {"bn": "eval"},
        {"resolution": 12},
        {"batch_size": 5},
        {"noise": 0.1},
        {"absolute": True},
        {"float64": True},
    ],
)
def test_another_forward_is_another_pass(change: dict[str, Any]) -> None:
    network = Counted(build())
    other = PassSpec(replace(FORWARD, **change))
    run(Request(FEATURES, None, Everything), Request(other, None, Everything), network=network)
    assert network.bodies == 2


def test_the_labels_of_a_data_set_are_its_own() -> None:
    inputs = Inputs()
    found = run(*[Request(LOSS, dataset, Everything) for dataset in ("many", "few")], inputs=inputs)
    assert sorted(set(inputs.asked)) == ["few", "many"]
    assert [record(outcome)["classes"] for outcome in found] == [7, 3]
    assert record(found[0])["parameter", "classifier.weight"][0].shape[0] == 7


# The same bits as alone


ALL = [
    Request(spec, dataset, Everything)
    for dataset in CLASSES
    for spec in (FEATURES, LOGITS, SUM, LOSS, CURVATURE)
]


@pytest.mark.parametrize("position", range(len(ALL)))
def test_alone_and_together(position: int, together: list[Outcome]) -> None:
    alone = record(run(ALL[position])[0])
    among = record(together[position])
    assert same(among, alone)
    assert len(alone) > 10  # layers have been seen


@pytest.fixture(scope="module")
def together() -> list[Outcome]:
    return run(*ALL)


def test_in_reversed_order(together: list[Outcome]) -> None:
    reversed_ = run(*ALL[::-1])[::-1]
    assert all(same(record(a), record(b)) for a, b in zip(together, reversed_, strict=True))


def test_a_second_run_of_the_same_engine(together: list[Outcome]) -> None:
    one = engine()
    for _ in range(2):
        assert all(same(record(a), record(b)) for a, b in zip(together, one.run(ALL), strict=True))


@pytest.mark.parametrize(
    "between",
    [
        {"init": "gaussian"},
        {"float64": True},
        {"absolute": True},
        {"bn": "skip"},
        {"bn": "eval"},
        {"batch": 1},
        {"repeat": 1},
    ],
)
def test_what_ran_before_is_no_matter(between: dict[str, Any], together: list[Outcome]) -> None:
    one = engine()
    one.run([Request(PassSpec(replace(FORWARD, **between), "sum", "parameters"), "few", Everything)])
    found = one.run([Request(LOSS, "few", Everything)])
    alone = run(Request(LOSS, "few", Everything))
    assert same(record(found[0]), record(alone[0]))


def test_double_precision_runs_the_same_weights() -> None:
    spec = replace(LOSS, forward=replace(FORWARD, float64=True))
    single, double = (
        record(o) for o in run(Request(LOSS, "few", Everything), Request(spec, "few", Everything))
    )
    for key in double:
        if key != "classes" and key[0] == "parameter":
            assert double[key][0].dtype == torch.float64
            assert torch.equal(double[key][0], single[key][0].double())
            torch.testing.assert_close(double[key][1], single[key][1].double(), rtol=1e-3, atol=1e-5)


def test_absolute_weights() -> None:
    spec = replace(LOSS, forward=replace(FORWARD, absolute=True))
    plain, absolute = (
        record(o) for o in run(Request(LOSS, "few", Everything), Request(spec, "few", Everything))
    )
    for key in plain:
        if key != "classes" and key[0] == "parameter":
            assert torch.equal(absolute[key][0], plain[key][0].abs())


# What an observer sees, against plain modules


def test_against_the_bare_network() -> None:
    one = engine()
    found = record(one.run([Request(LOSS, "many", Everything)])[0])
    network, x = one.network.train(), Inputs().input(FORWARD, None)  # it keeps the weights of its last pass
    outputs: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(module: nn.Module, args: tuple[Tensor, ...], y: Tensor) -> None:
            y.retain_grad()
            outputs[name] = y

        return hook

    for name, module in network.named_modules():
        if name != "" and not list(module.children()) and not isinstance(module, nn.Identity):
            module.register_forward_hook(keep(name))
    logits = network(x.contiguous(memory_format=torch.channels_last))
    nn.functional.cross_entropy(logits, Inputs().labels(FORWARD, "many")).backward()
    close = {"rtol": 1e-4, "atol": 1e-6}
    for name, y in outputs.items():
        torch.testing.assert_close(found["layer", name][1], y.detach(), **close)
        torch.testing.assert_close(found["layer_gradient", name][0], y.detach(), **close)
        torch.testing.assert_close(found["layer_gradient", name][1], y.grad, **close)
    parameters = dict(network.named_parameters())
    assert {key[1] for key in found if key[0] == "parameter"} == set(parameters)
    for name, parameter in parameters.items():
        torch.testing.assert_close(found["parameter", name][1], parameter.grad, **close)


def test_layer_kinds() -> None:
    network = build()
    # stem; 2 + 2 edges a cell, 3 cells; 3 convolutions a reduction block, of which 2 with ReLU and BN
    assert len(layers(network, "conv")) == 1 + 3 * 4 + 2 * 3
    assert len(layers(network, "conv_linear")) == len(layers(network, "conv")) + 1
    assert len(layers(network, "bn")) == 1 + 3 * 4 + 2 * 2 + 1
    assert len(layers(network, "relu")) == 3 * 4 + 2 * 2 + 1
    assert list(layers(network, "cell").values()) == list(network.cells)
    weights = parameter_names(network, "weights")
    dimensions = {name: parameter.ndim for name, parameter in network.named_parameters()}
    assert weights == {name for name, ndim in dimensions.items() if ndim > 1}
    assert parameter_names(network, "all") == set(dimensions)


# Batch norm


def norms(found: Record, network: Network) -> list[tuple[Tensor, Tensor]]:
    return [found["layer", name] for name in layers(network, "bn")]


@pytest.mark.parametrize("before", [[], ["train"], ["skip"], ["eval"]])
@pytest.mark.parametrize("mode", ["train", "eval", "skip"])
def test_batch_norm_modes(mode: Any, before: list[Any]) -> None:
    one = engine()
    one.run([Request(PassSpec(replace(FORWARD, bn=bn)), None, Everything) for bn in before])
    found = record(one.run([Request(PassSpec(replace(FORWARD, bn=mode)), None, Everything)])[0])
    shown = norms(found, one.network)
    assert len(shown) == 18
    for x, y in shown:
        if mode == "skip":
            expected = x
        elif mode == "eval":  # untouched statistics: mean 0, variance 1
            expected = x / math.sqrt(1 + 1e-5)
        else:
            mean, variance = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), keepdim=True, correction=0)
            expected = (x - mean) / (variance + 1e-5).sqrt()
        torch.testing.assert_close(y, expected, rtol=1e-3, atol=1e-4)
    if mode == "skip":
        assert all(torch.equal(x, y) for x, y in shown)


def test_batch_norm_is_restored_after_a_failure() -> None:
    one = engine()
    for bn in ("skip", "train"):
        for spec in (SUM, CURVATURE):
            failing = replace(spec, forward=replace(FORWARD, bn=bn))
            assert one.run([Request(failing, "few", lambda net, spec: Fails("on_layer"))])[0].error
    assert not [m for m in one.network.modules() if "forward" in vars(m) or m._forward_hooks]


class Variances(Observer):
    """Running variances as they are seen while the pass goes on, and the input's own."""

    def __init__(self, net: Network, spec: PassSpec) -> None:
        self.pairs: list[tuple[Tensor, Tensor]] = []

    def layers(self, net: Network) -> Mapping[str, nn.Module]:
        return layers(net, "bn")

    def on_layer(self, name: str, module: nn.Module, x: Tensor, y: Tensor) -> None:
        assert isinstance(module, nn.BatchNorm2d)
        assert module.running_var is not None
        self.pairs.append((module.running_var.clone(), x.var((0, 2, 3))))

    def record(self) -> Record:
        return {"pairs": self.pairs}


def test_running_statistics_are_those_of_the_batch() -> None:
    one = engine()
    for batch in range(2):
        spec = PassSpec(replace(FORWARD, batch=batch))
        for running, own in record(one.run([Request(spec, None, Variances)])[0])["pairs"]:
            torch.testing.assert_close(running, own, rtol=1e-4, atol=1e-6)


# Cells that cut their input off


@pytest.mark.parametrize("spec", [LOSS, CURVATURE])
def test_no_path_means_zero_gradients(spec: PassSpec) -> None:
    network = build(NOTHING)
    found = record(run(Request(spec, "few", Everything), network=network)[0])
    shapes = {name: p.shape for name, p in network.named_parameters() if "classifier" not in name}
    for name, shape in shapes.items():
        gradient = found["parameter", name][1]
        assert gradient.shape == shape
        assert not gradient.any()
    assert found["parameter", "classifier.bias"][1].any()
    if spec is CURVATURE:  # the features are constant: only the classifier's bias changes the loss
        assert found["curvature"] == 0


def test_no_path_to_the_input() -> None:
    found = record(run(Request(SUM, "few", Everything), network=build(NOTHING))[0])
    assert found["input"].shape == (4, 3, 8, 8)
    assert not found["input"].any()


# Failures


class Fails(Observer):
    """Raises in one of its callbacks."""

    def __init__(self, where: str, error: Exception | None = None) -> None:
        self.where, self.error = where, error or ArithmeticError("on purpose")
        if where == "__init__":
            raise self.error

    def _meet(self, where: str) -> None:
        if where == self.where:
            raise self.error

    def layers(self, net: Network) -> Mapping[str, nn.Module]:
        self._meet("layers")
        return layers(net, "conv")

    def on_layer(self, name: str, module: nn.Module, x: Tensor, y: Tensor) -> None:
        self._meet("on_layer")

    def on_features(self, features_BChw: Tensor) -> None:
        self._meet("on_features")

    def on_layer_gradient(self, name: str, module: nn.Module, y: Tensor, gradient: Tensor) -> None:
        self._meet("on_layer_gradient")

    def on_parameter(self, name: str, parameter: Tensor, gradient: Tensor) -> None:
        self._meet("on_parameter")

    def record(self) -> Record:
        self._meet("record")
        return {}


PLACES = [
    "__init__",
    "layers",
    "on_layer",
    "on_features",
    "on_layer_gradient",
    "on_parameter",
    "record",
]


@pytest.mark.parametrize("where", PLACES)
def test_a_failure_is_that_of_who_meets_it(where: str, together: list[Outcome]) -> None:
    failing = Request(LOSS, "few", lambda net, spec: Fails(where))
    outcomes = run(ALL[3], failing, *ALL[4:])
    assert isinstance(outcomes[1].error, ArithmeticError)
    assert outcomes[1].record is None
    assert seconds_of(outcomes[1:2]) >= 0
    others = [outcomes[0], *outcomes[2:]]
    assert all(same(record(a), record(b)) for a, b in zip(others, together[3:], strict=True))


def test_what_two_passes_of_a_proxy_share_costs_it_once() -> None:
    """The forward pass that features and gradients are taken from, for one."""
    started = time.perf_counter()
    outcomes = run(*ALL)
    elapsed = time.perf_counter() - started
    each = [seconds_of([outcome]) for outcome in outcomes]
    assert min(each) > 0
    assert seconds_of(outcomes) < elapsed < sum(each)
    assert seconds_of([outcomes[0], outcomes[0]]) == each[0]


def test_labels_that_are_missing_fail_their_data_set_alone() -> None:
    requests = [Request(spec, dataset, Everything) for dataset in CLASSES for spec in (LOSS, SUM)]
    outcomes = run(*requests, inputs=Inputs(broken="few"))
    assert [outcome.error is None for outcome in outcomes] == [False, True, True, True]
    assert "few has no labels" in str(outcomes[0].error)


def test_an_interrupt_is_no_failure() -> None:
    def interrupted(net: Network, spec: PassSpec) -> Observer:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(Request(LOSS, "few", interrupted))


@dataclass(frozen=True)
class Stub:
    """A proxy whose observer, or score, raises."""

    info: ClassVar = ProxyInfo("stub", 1, "nowhere", ("extra",))
    raised: str = ""

    def passes(self) -> tuple[PassSpec, ...]:
        return (LOSS,)

    def observe(self, net: Network, spec: PassSpec) -> Observer:
        errors: dict[str, Exception] = {
            "cuda": torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate"),
            "python": MemoryError(),
            "cpu": RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
            "other": RuntimeError("shapes do not fit\nat all"),
        }
        return Fails("on_parameter", errors.get(self.raised)) if self.raised in errors else Fails("never")

    def score(self, records: Any) -> dict[str, float]:
        values = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
        if self.raised == "score":
            raise ZeroDivisionError("division by zero")
        if self.raised == "columns":
            return {"score": 1.0}
        return {"extra": 0.5, "score": values.get(self.raised, 1.0)}


STATUSES = {
    "": "ok",
    "nan": "nan",
    "inf": "inf",
    "-inf": "inf",
    "cuda": "oom",
    "python": "oom",
    "cpu": "oom",
    "other": "error",
    "score": "error",
    "columns": "error",
}


def test_statuses_of_rows_in_one_group() -> None:
    space = SPACE
    info = DataSet("few", 3, 8, (0, 0, 0), (1, 1, 1))
    job = Job(space, {"few": info}, {f"stub{raised}": Stub(raised) for raised in STATUSES}, seed=0)
    tasks = [Task("few", f"stub{raised}") for raised in STATUSES]
    rows = score_architecture(job, 11, tasks, Inputs(), CPU)  # type: ignore[arg-type]
    assert [row["status"] for row in rows] == list(STATUSES.values())
    for row in rows:
        failed = row["status"] in ("oom", "error")
        assert (row["error"] is not None) == failed
        if failed:
            assert math.isnan(row["score"])
            assert math.isnan(row["extra"])
            assert "\n" not in row["error"]
        assert (row["index"], row["arch"], row["seed"]) == (11, space.format(space.arch(11)), 0)
        assert row["proxy_version"] == 1
        assert row["seconds"] >= 0


def test_a_vector_cannot_be_differentiated() -> None:
    for objective in ("features", "logits"):
        with pytest.raises(ValueError, match="cannot be differentiated"):
            PassSpec(FORWARD, objective, "parameters")  # type: ignore[arg-type]


# The two observers most proxies use


def test_layer_and_gradient_observers() -> None:
    outcomes = run(
        Request(FEATURES, None, lambda net, spec: LayerObserver("relu", lambda x, y: (x - y).abs().sum())),
        Request(LOSS, "few", lambda net, spec: GradientObserver(net, lambda p, g: (p * g).sum())),
        Request(LOSS, "few", lambda net, spec: GradientObserver(net, lambda p, g: g.norm(), "all")),
        Request(LOSS, "few", Everything),
    )
    relu, weights, everything, all_ = (record(outcome) for outcome in outcomes)
    assert relu["layers"].dtype == torch.float64
    seen = [all_["layer", name] for name in layers(build(), "relu")]
    expected = [float((x - y).abs().sum()) for x, y in seen]
    torch.testing.assert_close(sorted(relu["layers"].tolist()), sorted(expected))
    pairs = {key[1]: value for key, value in all_.items() if key[0] == "parameter"}
    names = parameter_names(build(), "weights")
    torch.testing.assert_close(
        weights["tensors"].tolist(), [float((p * g).sum()) for n, (p, g) in pairs.items() if n in names]
    )
    torch.testing.assert_close(everything["tensors"].tolist(), [float(g.norm()) for _, g in pairs.values()])


def test_what_is_known_of_a_network_does_not_keep_it_alive() -> None:
    network = build()
    (outcome,) = run(Request(LOSS, "few", Everything), network=network)
    gone = weakref.ref(network)
    del network
    gc.collect()
    assert outcome.error is None
    assert gone() is None


def test_parameters_by_name_are_those_of_pytorch() -> None:
    network = build()
    network.own = nn.Parameter(torch.zeros(2))
    network.cells.append(network.stem)
    expected = dict(network.named_parameters())
    found = parameters(network)
    assert list(found) == list(expected)
    assert all(found[name] is expected[name] for name in expected)


@dataclass
class Shared(Observer):
    """Says how often it was made, and how often it saw the features."""

    options: tuple[object, ...] | None
    seen: int = 0
    made: ClassVar[list[Shared]] = []

    def __post_init__(self) -> None:
        self.made.append(self)

    def on_features(self, features_BChw: Tensor) -> None:
        self.seen += 1

    def record(self) -> Record:
        return {"self": self}


def test_observers_that_reduce_alike_see_the_pass_once() -> None:
    def request(options: tuple[object, ...] | None, spec: PassSpec = FEATURES) -> Request:
        return Request(spec, None, lambda net, spec: Shared(options))

    other = PassSpec(replace(FORWARD, batch=1))
    outcomes = run(request(("a",)), request(("a",)), request(("b",)), request(None), request(("a",), other))
    found = [record(outcome)["self"] for outcome in outcomes]
    assert [one.seen for one in found] == [1] * 5
    assert found[0] is found[1]
    assert len({id(one) for one in found}) == 4


def test_weights_are_drawn_once_for_all_passes_that_have_them(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []
    monkeypatch.setattr(State, "_draw", lambda self, forward: drawn.append(forward.init))
    specs = [FORWARD, replace(FORWARD, init="gaussian"), replace(FORWARD, batch=1)]
    outcomes = run(*[Request(PassSpec(spec), None, Everything) for spec in [*specs, *reversed(specs)]])
    assert drawn == ["kaiming", "gaussian"]
    assert len(outcomes) == 6
