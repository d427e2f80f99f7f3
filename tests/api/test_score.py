"""`nasbench_eval.score` on networks that no search space has."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import networks
import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import nasbench_eval
from nasbench_eval import ScoreWarning, registry, score
from nasbench_eval.errors import UsageError
from nasbench_eval.networks.adapted import Adapted
from nasbench_eval.proxies.snip import Snip

B = 6
ALL = [name for name in registry.own("proxies") if name not in ("ntk_evolution", "linear_regions", "ntk_mse")]
SMALL = {name: {"batch_size": B} for name in ALL if name not in ("synflow", "flops", "params", "l2_norm")}


def scores(network: Any, names: list[str] | str, **given: Any) -> pd.Series[float]:
    """The scores of one network under one name, small batches, no warnings."""
    listed = [names] if isinstance(names, str) else names
    options = {name: {**SMALL.get(name, {}), **given.get("options", {}).get(name, {})} for name in listed}
    given = {**given, "options": {name: values for name, values in options.items() if values}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ScoreWarning)
        found = score(network, listed, **given)
    return found.iloc[0]


def same(a: pd.Series[float], b: pd.Series[float]) -> None:
    pd.testing.assert_series_equal(a, b, check_names=False, rtol=0, atol=0)


# Laws


@pytest.mark.parametrize("init", [None, "keep"])
def test_a_wrapper_changes_nothing(init: Any) -> None:
    network = networks.drawn(networks.Plain(nn.ReLU()))
    wrapped = nn.Sequential(nn.Sequential(network))
    within = networks.Plain(nn.ReLU())
    within.load_state_dict(network.state_dict())
    within.conv1 = nn.Sequential(within.conv1)  # type: ignore[assignment]
    expected = scores(network, ALL, init=init)
    same(scores(wrapped, ALL, init=init), expected)
    same(scores(within, ALL, init=init), expected)


@pytest.mark.parametrize("init", [None, "keep"])
def test_functions_and_modules_are_one(init: Any) -> None:
    called = networks.drawn(networks.Plain(F.relu))
    modules = networks.Plain(nn.ReLU())
    in_place = networks.Plain(nn.ReLU(inplace=True), inplace=True)
    by_hand = networks.Plain(lambda x: F.relu(x, inplace=True), inplace=True)
    method = networks.Plain(Tensor.relu)
    expected = scores(called, ALL, init=init)
    # Of ReLUs as functions the second derivative comes another way, which rounds otherwise.
    exact = [name for name in ALL if name != "grasp"]
    for other in (modules, in_place, by_hand, method):
        other.load_state_dict(called.state_dict())
        found = scores(other, ALL, init=init)
        same(found[exact], expected[exact])
        assert found["grasp"] == pytest.approx(expected["grasp"], rel=1e-3)


def test_the_order_of_modules_does_not_matter() -> None:
    class Turned(networks.Plain):
        def __init__(self) -> None:
            super().__init__(nn.ReLU())
            order = ["fc", "bn2", "conv1", "activation", "bn1", "conv2"]
            self._modules = {name: self._modules[name] for name in order}

    straight, turned = networks.drawn(networks.Plain(nn.ReLU())), Turned()
    turned.load_state_dict(straight.state_dict())
    for init in (None, "keep"):
        found, expected = scores(turned, ALL, init=init), scores(straight, ALL, init=init)
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_alone_and_together_and_in_any_company() -> None:
    pair = {"a": networks.Plain(), "b": networks.Grouped}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ScoreWarning)
        both = score(pair, ["snip", "naswot"])
        b = score({"b": networks.Grouped}, ["naswot"])
    assert both.loc["b", "naswot"] == b.loc["b", "naswot"]


# Left as it was


def state(network: nn.Module) -> list[object]:
    """All that a user could see of a network, and of the random generators."""
    return [
        [(name, p.clone(), p.requires_grad, p.grad) for name, p in network.named_parameters()],
        [(name, b.clone()) for name, b in network.named_buffers()],
        [(type(m), m.training, len(m._forward_hooks), len(m._forward_pre_hooks)) for m in network.modules()],
        torch.get_rng_state(),
        np.random.get_state()[1].tolist(),  # type: ignore[index, union-attr]
        random.getstate(),
        torch.backends.mha.get_fastpath_enabled(),
        torch.is_grad_enabled(),
    ]


def equal(a: object, b: object) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return torch.equal(a, b)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(equal(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


@pytest.fixture
def seen() -> Iterator[nn.Module]:
    """A network with everything that could be changed on it."""
    network = networks.drawn(networks.Grouped())
    network.train()
    network.stem.eval()  # type: ignore[union-attr]
    for parameter in network.squeeze.parameters():  # type: ignore[union-attr]
        parameter.requires_grad_(False)
    handle = network.stem.register_forward_hook(lambda *_: None)  # type: ignore[operator, union-attr]
    before = state(network)
    yield network
    assert equal(state(network), before)
    handle.remove()


def test_a_network_stays_as_it_is(seen: nn.Module) -> None:
    scores(seen, ALL)
    scores(seen, ALL, init="keep")


@pytest.mark.parametrize("error", [RuntimeError("broken"), KeyboardInterrupt(), SystemExit(3)])
def test_also_when_something_fails(
    seen: nn.Module, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = iter(range(100))

    def fail(self: nn.Module, x: Tensor) -> Tensor:
        if next(passes) > 2:  # the first are those of the look at it
            torch.rand(3)
            random.random()
            raise error
        return F.linear(x, self.weight, self.bias)  # type: ignore[arg-type]

    monkeypatch.setattr(nn.Linear, "forward", fail)
    if isinstance(error, KeyboardInterrupt):
        with pytest.raises(KeyboardInterrupt):
            score(seen, ["snip"])
    else:
        with pytest.warns(ScoreWarning, match="snip of network"):
            assert score(seen, ["snip"]).isna().all(axis=None)


def test_dropout_and_the_global_generators_have_no_say() -> None:
    network = networks.drawn(networks.Grouped())
    torch.manual_seed(1)
    first = scores(network, ["snip", "intrain"])
    torch.manual_seed(2)
    same(scores(network.eval(), ["snip", "intrain"]), first)


# What is kept, what is drawn


def test_keep_takes_the_weights_and_statistics_of_the_network() -> None:
    network = networks.drawn(networks.Plain())
    network.bn1.running_mean.fill_(0.3)  # type: ignore[operator, union-attr]
    before = scores(network, ["snip", "vkdnw", "synflow"], init="keep")
    with torch.no_grad():
        network.conv1.weight.mul_(2)  # type: ignore[operator, union-attr]
    after = scores(network, ["snip", "vkdnw", "synflow"], init="keep")
    assert (before != after).all()
    drawn = scores(network, ["snip", "vkdnw", "synflow"])
    same(scores(networks.Plain(), ["snip", "vkdnw", "synflow"]), drawn)


def test_snip_by_hand() -> None:
    network = networks.drawn(networks.Grouped())
    x = torch.randn(B, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    y = torch.arange(B)
    found = scores(network, "snip", images=x, labels=y, init="keep")
    network.eval()
    loss = F.cross_entropy(network(x), y)
    weights = [m.weight for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    gradients = torch.autograd.grad(loss, weights)
    expected = sum(float((w * g).detach().abs().sum()) for w, g in zip(weights, gradients, strict=True))
    assert found["snip"] == pytest.approx(expected, rel=1e-4)


# Tokens, other normalisations


def test_intrain_on_tokens_by_hand() -> None:
    network = networks.drawn(networks.Transformer())
    options = {"intrain": {"layers": "conv_linear", "batch_size": 32, "resolution": 32}}
    found = nasbench_eval.diagnose(network, init="keep", options=options["intrain"])
    outputs: dict[str, Tensor] = {}
    network.eval()
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(lambda m, a, y, name=name: outputs.__setitem__(name, y.detach()))
    from nasbench_eval.seeding import generator

    network(torch.randn(32, 3, 32, 32, generator=generator(0, "gaussian", 0)))
    assert list(found.layers.index) == list(outputs)
    for name, y in outputs.items():
        rows = y.movedim(1, -1).reshape(-1, y.shape[1]) if y.ndim == 4 else y.reshape(-1, y.shape[-1])
        eigenvalues = torch.linalg.eigvalsh(
            torch.cov(rows.double().T, correction=0) + 1e-10 * torch.eye(rows.shape[1])
        )
        ratio = float(eigenvalues.sum() ** 2 / eigenvalues.square().sum())
        assert found.layers.loc[name, "participation_ratio"] == pytest.approx(ratio, rel=1e-3)
        assert found.layers.loc[name, "channels"] == rows.shape[1]


@pytest.mark.parametrize(
    "make", [networks.Transformer, networks.Grouped, networks.group_normed, networks.Plain]
)
def test_vkdnw_has_every_parameter_tensor(make: Callable[[], nn.Module]) -> None:
    network = networks.drawn(make())
    found = fisher(network)
    np.testing.assert_allclose(found, by_hand(network), rtol=2e-3, atol=1e-6)


def fisher(network: nn.Module) -> Any:
    from nasbench_eval.api.given import Given
    from nasbench_eval.api.inputs import shown
    from nasbench_eval.api.score import ask
    from nasbench_eval.passes import Engine, Request
    from nasbench_eval.proxies.vkdnw import Vkdnw

    proxy, pictures = Vkdnw(init="keep", batch_size=B), shown(None, None, None)
    asked = ask(Given(network, "network", (3, 32, 32), None, None), {"vkdnw": proxy}, pictures, None, 0, {})
    [data] = asked.job.datasets.values()
    cpu = torch.device("cpu")
    batches = pictures.batches(data, 0, cpu)
    engine = Engine(asked.network, {data.name: 10}, batches, (0, "network"), cpu)
    [(spec, place)] = asked.job.passes(asked.job.tasks()[0])
    [outcome] = engine.run([Request(spec, place, proxy.observe)])
    assert outcome.record is not None, outcome.error
    return outcome.record["fisher"].numpy()


def by_hand(network: nn.Module) -> Any:
    """F of the first entries, a sample and a logit at a time."""
    from nasbench_eval.seeding import generator

    network.eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
    parameters = [p for _, p in network.named_parameters()]
    x = torch.randn(B, 3, 32, 32, generator=generator(0, "gaussian", 0))
    total = torch.zeros(len(parameters), len(parameters), dtype=torch.float64)
    for n in range(B):
        logits = network(x[n : n + 1])[0]
        p = (0.95 * logits.softmax(0) + 0.05 / len(logits)).detach().double()
        rows = []
        for k in range(len(logits)):
            found = torch.autograd.grad(logits[k], parameters, retain_graph=True, allow_unused=True)
            rows.append([0.0 if g is None else float(g.flatten()[0]) for g in found])
        jacobian = torch.tensor(rows, dtype=torch.float64)
        total += jacobian.T @ (p.diag() - torch.outer(p, p)) @ jacobian / B
    return total.numpy()


@pytest.mark.parametrize("make", [networks.Grouped, networks.Transformer, networks.group_normed])
def test_gradsign_a_sample_at_a_time(make: Callable[[], nn.Module]) -> None:
    network = networks.drawn(make())
    x = torch.randn(B, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    y = torch.arange(B)
    found = scores(network, "gradsign", images=x, labels=y, init="keep")
    network.eval()
    weights = [m.weight for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    signs = [torch.zeros_like(w) for w in weights]
    for n in range(B):
        gradients = torch.autograd.grad(F.cross_entropy(network(x[n : n + 1]), y[n : n + 1]), weights)
        for total, gradient in zip(signs, gradients, strict=True):
            total += gradient.sign()
    expected = sum(float(s.abs().sum()) for s in signs)
    assert found["gradsign"] == pytest.approx(expected, rel=2e-3)


def test_flops_and_params_of_a_grouped_network() -> None:
    found = scores(networks.Grouped(), ["flops", "params"])
    macs = 16 * 16 * (8 * 27 + 12 * 4 * 9 + 12 * 25) + 12 * 4 + 4 * 12 + 12 * 10
    assert found["flops"] == macs
    assert found["params"] == sum(p.numel() for p in networks.Grouped().parameters())


# What a proxy is defined on


@pytest.mark.parametrize(
    ("make", "name", "reason"),
    [
        (networks.Transformer, "zen", "no batch norm"),
        (networks.Transformer, "synflow", "attention does not conserve flow"),
        (networks.Plain, "expressivity", "no repeated blocks"),
        (networks.Plain, "trainability", "no repeated blocks"),
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(3072, 10)), "naswot", "no activations"),
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(3072, 10)), "intrain", "no convolution"),
        (networks.Plain, "linear_regions", "runs a cell by itself"),
        (networks.Plain, "ntk_mse", "set channels and cells to null"),
    ],
)
def test_undefined_is_said(make: Callable[[], nn.Module], name: str, reason: str) -> None:
    with pytest.warns(ScoreWarning, match=f"{name} of network: undefined: .*{reason}"):
        found = score(make, [name], details=True)
    assert found.loc["network", (name, "status")] == "undefined"
    assert np.isnan(found.loc["network", (name, "score")])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("make", "name", "reading"),
    [
        (networks.Transformer, "naswot", "signs of the inputs of gelu"),
        (networks.Grouped, "naswot", "signs of the inputs of silu"),
        (networks.group_normed, "synflow", "GroupNorm skipped"),
        (networks.Grouped, "synflow", "flow is not conserved by silu"),
        (networks.Transformer, "snip", "token, positions, blocks.0.gamma, and 2 more kept as built"),
        (networks.Transformer, "flops", "products inside attention not counted"),
        (networks.Plain, "snip", "noise in place of images"),
        (networks.Transformer, "intrain", "32 x 32 pixels in place of 64"),
    ],
)
def test_readings_are_named(make: Callable[[], nn.Module], name: str, reading: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = score(make, [name], options={name: SMALL[name]} if name in SMALL else None, details=True)
    assert reading in found.loc["network", (name, "reading")]
    assert found.loc["network", (name, "status")] == "ok"


def test_one_undefined_proxy_costs_the_others_no_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    passes = []
    features = Adapted.features
    monkeypatch.setattr(Adapted, "features", lambda self, x: (passes.append(1), features(self, x))[1])
    scores(networks.Transformer, ["snip", "grad_norm"], init="keep")
    before = len(passes)
    scores(networks.Transformer, ["snip", "grad_norm", "zen"], init="keep")
    assert len(passes) == 2 * before


# Heads and blocks


def test_head_and_blocks_are_found() -> None:
    adapted = Adapted(networks.Transformer(), (3, 32, 32))
    assert adapted.look.head == "head"
    assert adapted.look.blocks == ("blocks.0", "blocks.1", "blocks.2")
    assert adapted.look.maps == ("norm", 1)
    assert Adapted(networks.group_normed(), (3, 32, 32)).look.blocks == ("1.0", "1.1", "1.2")


def test_head_and_blocks_can_be_named() -> None:
    named = scores(networks.Plain(), ["expressivity", "snip"], blocks=["conv1", "conv2"], head="fc")
    assert named.notna().all()


class Twice(networks.Plain):
    """Two heads that are averaged, as networks have that were distilled."""

    def __init__(self) -> None:
        super().__init__()
        self.other = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)) + x).mean(dim=(2, 3))
        return (self.fc(x) + self.other(x)) / 2


def test_a_network_without_one_linear_head() -> None:
    network = networks.drawn(Twice())
    x, y = torch.randn(B, 3, 32, 32, generator=torch.Generator().manual_seed(3)), torch.arange(B)
    given = {"images": x, "labels": y, "init": "keep"}
    found = scores(network, ["snip", "params", "flops", "gradsign", "grasp", "zen", "jacov"], **given)
    assert found.notna().all()
    assert found["params"] == sum(p.numel() for p in network.parameters())
    network.eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.train()
    weights = [m.weight for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    gradients = torch.autograd.grad(F.cross_entropy(network(x), y), weights)
    expected = sum(float((w * g).detach().abs().sum()) for w, g in zip(weights, gradients, strict=True))
    assert found["snip"] == pytest.approx(expected, rel=1e-4)
    with pytest.warns(ScoreWarning, match="logits are not those of one linear layer"):
        assert score(network, ["vkdnw"]).isna().all(axis=None)


def test_strided_convolutions_of_few_channels_do_not_crash() -> None:
    body = nn.Sequential(nn.Conv2d(3, 16, 1, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    network = nn.Sequential(body, nn.Linear(16, 10))
    found = scores(network, "snip", input=(3, 128, 128), options={"snip": {"resolution": 128}})
    assert np.isfinite(found["snip"])


def test_details_and_several_networks() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ScoreWarning)
        found = score({"a": networks.Plain(), "b": networks.Grouped()}, ["intrain", "params"], details=True)
    assert list(found.index) == ["a", "b"]
    assert {"score", "gamma", "resilience", "layers", "seconds", "status", "reading"} <= set(found["intrain"])
    assert (found["intrain", "seconds"] > 0).all()


@pytest.mark.parametrize("labelled", [False, True])
def test_proxies_of_ones_own_take_options(labelled: bool) -> None:
    label = "mine" if labelled else "snip"
    own = {"mine": Snip()} if labelled else [Snip()]
    plain = score(networks.Plain(), own, options={label: {"batch_size": B}})
    assert list(plain) == [label]
    expected = score(networks.Plain(), "snip", options={"snip": {"batch_size": B}})
    assert plain[label].iloc[0] == expected["snip"].iloc[0]
    other = score(networks.Plain(), own, options={label: {"batch_size": B, "init": "gaussian"}}, init="keep")
    drawn = score(networks.Plain(), [Snip(batch_size=B, init="gaussian")])
    assert other[label].iloc[0] == drawn["snip"].iloc[0] != plain[label].iloc[0]


class Sized(networks.Plain):
    """Takes 32 x 32 pixels alone."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x + torch.zeros(32, 32))


def test_a_size_that_was_set_is_kept() -> None:
    own = Snip(batch_size=B, resolution=48)
    fitted = score(Sized(), [own], details=True)["snip"].iloc[0]
    assert np.isfinite(fitted["score"])
    assert "32 x 32 pixels in place of 48" in fitted["reading"]
    with pytest.warns(ScoreWarning, match="48"):
        found = score(Sized(), "snip", options={"snip": {"batch_size": B, "resolution": 48}})
    assert found["snip"].isna().all()


# Bad input


class Two(networks.Plain):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x), x


class Keyed(networks.Plain):
    def forward(self, x: Tensor) -> Any:
        return {"logits": super().forward(x)}


def half() -> nn.Module:
    return networks.Plain().half()


def lazy() -> nn.Module:
    return nn.Sequential(nn.LazyConv2d(4, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(10))


def spoilt() -> nn.Module:
    network = networks.Plain()
    with torch.no_grad():
        network.conv1.weight[0] = torch.nan
    return network


def scripted() -> nn.Module:
    return torch.jit.trace(networks.Plain().eval(), torch.ones(1, 3, 32, 32))  # type: ignore[no-any-return]


X = torch.randn(8, 3, 32, 32)


@pytest.mark.parametrize(
    ("network", "given", "message"),
    [
        (nn.Sequential(nn.Conv2d(3, 4, 3)), {}, r"gives outputs of shape \(2, 4, 30, 30\)"),
        (Two(), {}, "gives 2 outputs instead of logits"),
        (Keyed(), {}, "a dictionary with logits"),
        (networks.Plain(), {"input": (1, 32, 32)}, r"does not take an input of \(1, 32, 32\)"),
        (networks.Plain(), {"input": (32, 32)}, r"input= is \(channels, height, width\)"),
        (networks.Plain(), {"input": (3, 0, 32)}, "whole numbers above 0"),
        (spoilt, {}, "conv1.weight has entries that are not finite"),
        (half, {}, r"pass network.float\(\)"),
        (lazy, {}, "lazy layers"),
        (scripted, {}, "scripted network"),
        (lambda: 3, {}, "builds a int, no torch.nn.Module"),
        (lambda: 1 / 0, {}, "ZeroDivisionError"),
        (nn.Linear, {}, "the function that builds it raised TypeError"),
        (3, {}, "network is a int; hand over a network"),
        ({}, {}, "no network"),
        (networks.Plain(), {"classes": 100}, "classes=100: network tells 10 classes apart"),
        (networks.Plain(), {"labels": torch.arange(8)}, "labels= go with images="),
        (networks.Plain(), {"images": X}, "images= need labels="),
        (networks.Plain(), {"images": X, "labels": torch.arange(7)}, "labels= are 8 whole numbers"),
        (networks.Plain(), {"images": X, "labels": torch.arange(8) + 5}, "labels= go up to 12"),
        (networks.Plain(), {"images": X, "labels": -torch.arange(8)}, "classes from 0 on"),
        (networks.Plain(), {"images": X.byte(), "labels": torch.arange(8)}, "images= are floats of shape"),
        (networks.Plain(), {"images": X[0], "labels": torch.arange(3)}, "images= are floats of shape"),
        (networks.Plain(), {"images": "cifar11"}, "cifar10"),
        (
            networks.Plain(),
            {"images": "digits", "input": (3, 32, 32)},
            "not the shape of the images",
        ),
        (networks.Plain(), {"device": "abacus"}, "device=abacus"),
        (networks.Plain(), {"head": "conv1"}, "head=conv1 is no linear layer of the network; it has fc"),
        (networks.Plain(), {"blocks": ["layer9"]}, "the network has no module layer9"),
        (networks.Plain(), {"proxies": ["snipp"]}, "snip"),
        (networks.Plain(), {"proxies": []}, "no proxy is named"),
        (networks.Plain(), {"options": {"snap": {}}}, "snip"),
        (networks.Plain(), {"options": {"snip": {"batch": 3}}}, "batch_size"),
        (networks.Plain(), {"options": {"snip": 3}}, "options= are a mapping of mappings"),
        (networks.Plain(), {"proxies": {}}, "no proxy is named"),
        (networks.Plain(), {"proxies": {"mine": Snip()}, "options": {"snip": {}}}, "mine"),
        (
            networks.Plain(),
            {"images": X, "labels": torch.arange(8), "proxies": [Snip(input="images", batch_size=9)]},
            r"batches of 9 images, and images= are 8; options={'snip': {'batch_size': 8}}",
        ),
        (networks.Plain(), {"init": "xavier"}, "init"),
    ],
)
def test_bad_input_is_one_line(network: Any, given: dict[str, Any], message: str) -> None:
    given = {"proxies": ["snip"], **given}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(UsageError, match=message) as caught:
            score(network, **given)
    assert "\n" not in str(caught.value)


def test_the_message_names_the_network() -> None:
    with pytest.raises(UsageError, match=r"^second: the network gives"):
        score({"first": networks.Plain(), "second": Two()}, ["params"])


def test_second_derivatives_through_relu6(monkeypatch: pytest.MonkeyPatch) -> None:
    from nasbench_eval.passes import tangents

    network = networks.drawn(networks.Plain(nn.ReLU6()))
    quick = scores(network, "grasp", init="keep")["grasp"]
    monkeypatch.setattr(tangents, "covers", lambda _: False)
    assert scores(network, "grasp", init="keep")["grasp"] == pytest.approx(quick, rel=1e-3)


class PaddedSame(nn.Conv2d):
    """Pads in its own forward, as TensorFlow does."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, (0, 1, 0, 1)))


def test_second_derivatives_where_a_layer_computes_more_than_its_class() -> None:
    body = [PaddedSame(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU()]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10)]
    plain = [nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU()]
    padded, moved = nn.Sequential(*body, *head), nn.Sequential(*plain, *head)
    moved[1].load_state_dict(padded[0].state_dict())
    found = scores(padded, "grasp", init="keep")["grasp"]
    assert found == pytest.approx(scores(moved, "grasp", init="keep")["grasp"], rel=1e-3)
