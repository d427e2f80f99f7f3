"""Initialisation: the moments the definitions ask for, draws that depend on name and key alone."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from nasbench_eval.passes.weights import draw

KEY = (0, "architecture", 0)
INITS: list[Any] = ["kaiming", "torch_default", "gaussian"]


def modules() -> dict[str, nn.Module]:
    """Layers with parameters that are no numbers yet."""
    made = {
        "conv": nn.Conv2d(20, 50, 3, bias=True),
        "point": nn.Conv2d(64, 100, 1, bias=False),
        "linear": nn.Linear(80, 100),
        "norm": nn.BatchNorm2d(30),
        "relu": nn.ReLU(),
    }
    for module in made.values():
        for tensor in (*module.parameters(), *(b for b in module.buffers() if b.is_floating_point())):
            tensor.data.fill_(math.nan)
    return made


def weights(init: Any, *key: object) -> dict[str, torch.Tensor]:
    made = modules()
    draw(made, init, *(key or KEY))
    return {f"{name}.{p}": t.detach() for name, m in made.items() for p, t in m.named_parameters()}


def moments(values: torch.Tensor) -> tuple[float, float, float]:
    """Mean, standard deviation, and kurtosis: 3 for a normal distribution, 1.8 for a uniform one."""
    v = values.double().flatten()
    centred = v - v.mean()
    std = centred.square().mean().sqrt()
    return float(v.mean()), float(std), float(centred.pow(4).mean() / std**4)


FAN_IN = {"conv.weight": 180, "point.weight": 64, "linear.weight": 80}


@pytest.mark.parametrize("name", FAN_IN)
@pytest.mark.parametrize("init", INITS)
def test_moments(init: Any, name: str) -> None:
    drawn = weights(init)[name]
    fan_in = FAN_IN[name]
    n = drawn.numel()
    expected, shape = {
        "kaiming": (math.sqrt(2 / fan_in), 3.0),
        "torch_default": (1 / math.sqrt(3 * fan_in), 1.8),  # of U(-1/√fan-in, 1/√fan-in)
        "gaussian": (1.0, 3.0),
    }[init]
    mean, std, kurtosis = moments(drawn)
    assert abs(mean) < 4 * expected / math.sqrt(n)
    assert std == pytest.approx(expected, rel=4 / math.sqrt(2 * n))
    assert kurtosis == pytest.approx(shape, abs=4 * math.sqrt(24 / n))


def test_torch_default_is_what_modules_do() -> None:
    """The bounds, weights and biases alike, of PyTorch's own draw."""
    torch_rng = torch.get_rng_state()
    torch.manual_seed(0)
    own = {f"{name}.{p}": t.detach() for name, m in fresh().items() for p, t in m.named_parameters()}
    torch.set_rng_state(torch_rng)
    drawn = weights("torch_default")
    for name in (*FAN_IN, "conv.bias", "linear.bias"):
        fan_in = FAN_IN[name.replace("bias", "weight")]
        assert drawn[name].abs().max() <= 1 / math.sqrt(fan_in)
        assert float(drawn[name].abs().max()) == pytest.approx(float(own[name].abs().max()), rel=0.15)
        assert moments(drawn[name])[1] == pytest.approx(
            moments(own[name])[1],
            rel=4 * math.sqrt(0.4 / drawn[name].numel()),  # two draws' errors
        )


def fresh() -> dict[str, nn.Module]:
    return {
        "conv": nn.Conv2d(20, 50, 3),
        "point": nn.Conv2d(64, 100, 1, bias=False),
        "linear": nn.Linear(80, 100),
    }


@pytest.mark.parametrize("init", INITS)
def test_biases_and_norms(init: Any) -> None:
    made = modules()
    draw(made, init, *KEY)
    biases = [made["conv"].bias, made["linear"].bias]
    assert all((bias != 0).all() if init == "torch_default" else (bias == 0).all() for bias in biases)
    norm = made["norm"]
    assert (norm.weight == 1).all()
    assert (norm.bias == 0).all()
    assert (norm.running_mean == 0).all()
    assert (norm.running_var == 1).all()
    assert norm.num_batches_tracked == 0


@pytest.mark.parametrize("init", INITS)
def test_the_name_and_the_key_decide(init: Any) -> None:
    whole = weights(init)
    assert all(torch.equal(whole[name], again) for name, again in weights(init).items())
    backwards = dict(reversed(modules().items()))
    draw(backwards, init, *KEY)
    alone = {"conv": modules()["conv"]}
    draw(alone, init, *KEY)
    assert torch.equal(backwards["conv"].weight, whole["conv.weight"])
    assert torch.equal(alone["conv"].weight, whole["conv.weight"])
    renamed = {"other": modules()["conv"]}
    draw(renamed, init, *KEY)
    assert not torch.equal(renamed["other"].weight, whole["conv.weight"])
    for key in ((1, *KEY[1:]), (0, "another", 0), (*KEY[:2], 1)):
        assert not torch.equal(weights(init, *key)["conv.weight"], whole["conv.weight"])


def test_tensors_of_one_shape_differ() -> None:
    twins = {"a": nn.Linear(5, 5), "b": nn.Linear(5, 5)}
    draw(twins, "torch_default", *KEY)
    assert not torch.equal(twins["a"].weight, twins["b"].weight)
    assert not torch.equal(twins["a"].weight[0], twins["a"].bias)


@pytest.mark.parametrize("init", INITS)
def test_precision_layout_and_global_state_do_not(init: Any) -> None:
    whole = weights(init)
    double = {name: m.double().to(memory_format=torch.channels_last) for name, m in modules().items()}
    torch_rng = torch.get_rng_state()
    draw(double, init, *KEY)
    assert torch.equal(torch.get_rng_state(), torch_rng)
    assert torch.equal(double["conv"].weight, whole["conv.weight"].double())
    assert torch.equal(double["linear"].bias, whole["linear.bias"].double())


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no CUDA device")
@pytest.mark.parametrize("init", INITS)
def test_the_device_does_not(init: Any) -> None:
    moved = {name: m.cuda() for name, m in modules().items()}
    draw(moved, init, *KEY)
    assert torch.equal(moved["conv"].weight.cpu(), weights(init)["conv.weight"])


def test_the_fan_in_of_a_grouped_convolution() -> None:
    grouped = {"conv": nn.Conv2d(64, 64, 3, groups=64, bias=False)}
    draw(grouped, "kaiming", *KEY)
    assert moments(grouped["conv"].weight.detach())[1] == pytest.approx(math.sqrt(2 / 9), rel=0.15)


def test_other_layers_are_named() -> None:
    with pytest.raises(TypeError, match="no initialisation is defined for PReLU 'act'"):
        draw({"act": nn.PReLU()}, "kaiming", *KEY)
