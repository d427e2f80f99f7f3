"""θᵀ H g from tangents: against a second backward pass, and where it has to refuse."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasbench_eval.passes import Engine, ForwardSpec, Observer, PassSpec, Record, Request, jacobian, tangents
from nasbench_eval.spaces.base import Network, SearchSpace
from nasbench_eval.spaces.nasbench101 import NASBench101
from nasbench_eval.spaces.nasbench201 import NASBench201

EVERY = "|nor_conv_3x3~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|"
DEAD = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_1x1~2|"
POOLS = "|conv3x3~0|maxpool3x3~0~1|conv1x1~1|output~0~2~3|"


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Net(Network):
    """Any body in float64, with noise for weights."""

    def __init__(self, *body: nn.Module, channels: int, act: Any = None) -> None:
        super().__init__()
        self.stem, self.cells = nn.Sequential(*body), nn.ModuleList()
        self.classifier, self.act = nn.Linear(channels, 3), act or (lambda x: x)
        self.double()
        with torch.no_grad():
            for number, parameter in enumerate(self.parameters()):
                parameter.copy_(noise(*parameter.shape, seed=number))
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 1.0

    def features(self, x_BCHW: Tensor) -> Tensor:
        y: Tensor = self.act(self.stem(x_BCHW))
        return y

    def head(self, features_BChw: Tensor) -> Tensor:
        logits: Tensor = self.classifier(features_BChw.mean(dim=(2, 3)))
        return logits


def convolution(channels_in: int = 3, channels_out: int = 4, kernel: int = 3, **options: Any) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, kernel, **options)


NETWORKS = {
    "convolution": lambda: Net(convolution(), channels=4),
    "bias": lambda: Net(convolution(bias=True), nn.ReLU(), convolution(4, 5), nn.ReLU(), channels=5),
    "stride": lambda: Net(convolution(stride=2, padding=1), nn.ReLU(), convolution(4, 4, 1), channels=4),
    "dilation": lambda: Net(convolution(dilation=2, padding=2), nn.ReLU(), convolution(4, 4), channels=4),
    "groups": lambda: Net(convolution(), nn.ReLU(), convolution(4, 6, groups=2), channels=6),
    "norm": lambda: Net(nn.BatchNorm2d(3), convolution(), nn.BatchNorm2d(4), nn.ReLU(), channels=4),
    "two norms": lambda: Net(convolution(), nn.BatchNorm2d(4), nn.BatchNorm2d(4), nn.ReLU(), channels=4),
    "max pool": lambda: Net(convolution(), nn.MaxPool2d(3, 2, 1), convolution(4, 4), nn.ReLU(), channels=4),
    "mean pool": lambda: Net(convolution(), nn.ReLU(), nn.AvgPool2d(2), convolution(4, 4, 1), channels=4),
}


def both(network: Network, x: Tensor, loss: Any) -> tuple[Tensor, Tensor]:
    """θᵀ H g from tangents, and by a second backward pass of PyTorch's own."""
    parameters = dict(network.named_parameters())
    layers: list[tangents.Layer] = []
    with tangents.recorded(dict(network.named_modules()), layers):
        logits = network(x)
    with tangents.adjoints_kept(layers):
        found = jacobian.gradients(loss(logits), list(parameters.values()))
    value = tangents.curvature(network, x, layers, dict(zip(parameters, found, strict=True)), loss)
    owners = [n for n, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    return value, jacobian.curvature(network, x, [parameters[f"{n}.weight"] for n in owners], loss)


def cross_entropy(logits: Tensor) -> Tensor:
    return F.cross_entropy(logits, torch.arange(len(logits)) % 3)


@pytest.mark.parametrize("loss", [cross_entropy, torch.sum, lambda z: z.exp().mean()])
@pytest.mark.parametrize("name", NETWORKS)
def test_against_a_second_backward_pass(name: str, loss: Any) -> None:
    network = NETWORKS[name]()
    assert tangents.covers(network)
    value, expected = both(network, noise(4, 3, 9, 9), loss)
    torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-12)
    assert not [module for module in network.modules() if "forward" in vars(module)]


@pytest.mark.parametrize(
    ("space", "text"),
    [
        (NASBench201(4, 1), EVERY),
        (NASBench201(4, 1), DEAD),
        (NASBench101(channels=8, cells_per_stack=1), POOLS),
    ],
)
def test_networks_of_the_spaces(space: SearchSpace, text: str) -> None:
    network = space.build(space.parse(text), num_classes=3).double()
    with torch.no_grad():
        for number, parameter in enumerate(network.parameters()):
            parameter.copy_(noise(*parameter.shape, seed=number))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = 1.0
    assert tangents.covers(network)
    value, expected = both(network, noise(4, 3, 8, 8), cross_entropy)
    assert expected.abs() > 1e-6
    torch.testing.assert_close(value, expected, rtol=1e-7, atol=1e-12)


def test_a_quadratic_by_hand() -> None:
    # One weight: the logits are (w x, 0, 0) and L = (w x)², so that g = 2 w x² and θᵀ H g = w · 2 x² · g.
    network = Net(nn.Identity(), channels=3)
    with torch.no_grad():
        network.classifier.weight.zero_()[0, 0] = 3.0
        network.classifier.bias.zero_()
    x = torch.zeros(1, 3, 1, 1, dtype=torch.float64)
    x[0, 0] = 2.0
    value, _ = both(network, x, lambda z: z.square().sum())
    assert value == 3 * 8 * 24


def test_what_no_module_shows_is_noticed() -> None:
    network = Net(convolution(), channels=4, act=torch.tanh)
    assert tangents.covers(network)
    with pytest.raises(tangents.Unseen, match="along the gradient the loss rises"):
        both(network, noise(4, 3, 6, 6), cross_entropy)
    assert not [module for module in network.modules() if "forward" in vars(module)]


def test_a_layer_met_twice_is_refused() -> None:
    same = convolution(3, 3, padding=1)
    with pytest.raises(tangents.Unseen, match="met twice"):
        both(Net(same, nn.ReLU(), same, channels=3), noise(2, 3, 6, 6), cross_entropy)


@pytest.mark.parametrize(
    "module",
    [
        nn.GELU(),
        convolution(padding=1, padding_mode="circular"),
        nn.BatchNorm2d(3),
        nn.BatchNorm2d(3, affine=False, momentum=1.0),
    ],
    ids=["gelu", "circular", "momentum", "not affine"],
)
def test_other_layers_are_not_covered(module: nn.Module) -> None:
    network = Net(convolution(), channels=4)
    network.cells.append(module)
    assert not tangents.covers(network)


class Curvature(Observer):
    def on_curvature(self, value: Tensor) -> None:
        self.value = value

    def record(self) -> Record:
        return {"value": self.value}


@pytest.mark.parametrize("bn", ["train", "eval", "alone", "skip"])
def test_the_engine_differentiates_twice_where_it_has_to(bn: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Inputs:
        def input(self, forward: ForwardSpec, dataset: str | None) -> Tensor:
            return noise(4, 3, 8, 8).float()

        def labels(self, forward: ForwardSpec, dataset: str) -> Tensor:
            return torch.arange(4) % 3

        def training_set(self, dataset: str, images: int, resolution: int) -> tuple[Tensor, Tensor]:
            raise NotImplementedError

    space = NASBench201(4, 1)
    spec = PassSpec(
        ForwardSpec("kaiming", "gaussian", 4, 8, bn=bn, float64=True), "cross_entropy", "curvature"
    )
    values = []
    for own in (True, False):
        if not own:
            monkeypatch.setattr(tangents, "covers", lambda network: False)
        network = space.build(space.parse(EVERY), num_classes=3)
        engine = Engine(network, {"data": 3}, Inputs(), ("seed", "cell"), torch.device("cpu"))
        (outcome,) = engine.run([Request(spec, "data", lambda net, spec: Curvature())])
        assert outcome.record is not None, outcome.error
        values.append(outcome.record["value"])
    torch.testing.assert_close(values[0], values[1], rtol=1e-7, atol=0)
