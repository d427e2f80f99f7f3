"""Second derivatives: against finite differences, and against PyTorch's own by decomposition."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nasbench_eval.passes.twice import twice_differentiable

CONVOLUTIONS: list[dict[str, Any]] = [
    {"kernel_size": 1},
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": 3, "padding": 1, "stride": 2},
    {"kernel_size": 3, "padding": 2, "dilation": 2},
    {"kernel_size": 3, "groups": 2},
]


def noise(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("options", CONVOLUTIONS)
def test_convolution(options: dict[str, Any]) -> None:
    conv = nn.Conv2d(4, 2, bias=False, dtype=torch.float64, **options)
    x = noise(2, 4, 5, 5).requires_grad_()
    weight = noise(*conv.weight.shape, seed=1).requires_grad_()

    def function(x: Tensor, weight: Tensor) -> Tensor:
        del conv._parameters["weight"]
        conv._parameters["weight"] = weight  # type: ignore[assignment]
        return conv(x)

    with twice_differentiable(conv):
        assert torch.autograd.gradcheck(function, (x, weight))
        assert torch.autograd.gradgradcheck(function, (x, weight))
    assert "forward" not in vars(conv)


def test_convolution_of_a_constant_input() -> None:
    conv = nn.Conv2d(2, 3, 3, bias=False, dtype=torch.float64)
    with twice_differentiable(conv):
        y = conv(noise(2, 2, 5, 5))
        (g,) = torch.autograd.grad(y.pow(3).sum(), [conv.weight], create_graph=True)
        (found,) = torch.autograd.grad(g.pow(2).sum(), [conv.weight])
    y = conv(noise(2, 2, 5, 5))
    (g,) = torch.autograd.grad(y.pow(3).sum(), [conv.weight], create_graph=True)
    (expected,) = torch.autograd.grad(g.pow(2).sum(), [conv.weight])
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("shape", [(3, 2, 3, 3), (4, 1, 1, 1), (2, 3, 1, 4)])
def test_batch_norm(shape: tuple[int, ...]) -> None:
    norm = nn.BatchNorm2d(shape[1], dtype=torch.float64).train()
    with torch.no_grad():
        norm.weight.copy_(noise(shape[1], seed=1))
        norm.bias.copy_(noise(shape[1], seed=2))
    x = noise(*shape).requires_grad_()
    with twice_differentiable(norm):
        assert torch.autograd.gradcheck(norm, (x,))
        assert torch.autograd.gradgradcheck(norm, (x,), atol=1e-4)
    assert "forward" not in vars(norm)


def network(channels_last: bool = False) -> nn.Sequential:
    generator = torch.Generator().manual_seed(3)
    made = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 6, 3, stride=2, padding=1, bias=True),  # with a bias: left to PyTorch
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 5, 1, bias=False),
    )
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return made.to(memory_format=torch.channels_last) if channels_last else made  # type: ignore[call-overload]


def derivatives(net: nn.Sequential, x: Tensor) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Output, gradients of all parameters, and H·g by the convolutions' weights."""
    y = net(x)
    gradients = torch.autograd.grad(y.logsumexp(1).sum(), list(net.parameters()), create_graph=True)
    names = [name for name, _ in net.named_parameters()]
    chosen = [i for i, name in enumerate(names) if name in ("0.weight", "3.weight", "6.weight")]
    product = sum((gradients[i].detach() * gradients[i]).sum() for i in chosen)
    assert isinstance(product, Tensor)
    second = torch.autograd.grad(product, [list(net.parameters())[i] for i in chosen])
    return y.detach(), [g.detach() for g in gradients], list(second)


def test_a_network_against_pytorchs_own_second_derivatives() -> None:
    net, x = network().double(), noise(4, 3, 6, 6)
    y, first, second = derivatives(net, x)
    with twice_differentiable(net):
        found = derivatives(net, x)
    torch.testing.assert_close(found[0], y)
    torch.testing.assert_close(found[1], first)
    torch.testing.assert_close(found[2], second)


@pytest.mark.parametrize("channels_last", [False, True])
def test_first_derivatives_keep_their_bits(channels_last: bool) -> None:
    net, x = network(channels_last), noise(4, 3, 8, 8).float()
    if channels_last:
        x = x.to(memory_format=torch.channels_last)
    y = net(x)
    first = torch.autograd.grad(y.logsumexp(1).sum(), list(net.parameters()))
    statistics = [buffer.clone() for buffer in net.buffers()]
    other = network(channels_last)
    with twice_differentiable(other):
        found, gradients, _ = derivatives(other, x)
    assert torch.equal(found, y)
    assert all(torch.equal(a, b) for a, b in zip(gradients, first, strict=True))
    floats = [(a, b) for a, b in zip(other.buffers(), statistics, strict=True) if a.is_floating_point()]
    assert all(torch.equal(a, b) for a, b in floats)


def test_a_constant_channel() -> None:
    norm = nn.BatchNorm2d(2, dtype=torch.float64).train()
    conv = nn.Conv2d(2, 2, 1, bias=False, dtype=torch.float64)
    x = torch.zeros(3, 2, 2, 2, dtype=torch.float64)
    with twice_differentiable(nn.Sequential(conv, norm)):
        y = norm(conv(x))
        (g,) = torch.autograd.grad(y.exp().sum() + y.square().sum(), [conv.weight], create_graph=True)
        (second,) = torch.autograd.grad(g.square().sum(), [conv.weight])
    assert not g.any()
    assert not second.any()


def test_restored_after_a_failure() -> None:
    net = network()
    with pytest.raises(ZeroDivisionError), twice_differentiable(net):
        raise ZeroDivisionError
    assert not [module for module in net.modules() if "forward" in vars(module)]
