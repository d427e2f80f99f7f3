"""Batch norms over several processes against PyTorch's and timm's own, in a team of one."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
import torch.distributed as dist
from torch import nn

from nasbench_eval.errors import UsageError
from nasbench_eval.retrain.batch_norm import SharedBatchNorm, synchronised
from nasbench_eval.retrain.parts import timm_part

CPU = torch.device("cpu")


@pytest.fixture
def team() -> Iterator[None]:
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def of_timm(channels: int) -> nn.Module:
    return timm_part("layers").BatchNormAct2d(channels, act_layer=nn.SiLU)


@pytest.mark.parametrize(
    ("made", "shape"), [(nn.BatchNorm2d, (5, 3, 4, 4)), (nn.BatchNorm1d, (6, 3)), (of_timm, (5, 3, 4, 4))]
)
@pytest.mark.usefixtures("team")
def test_of_one_process_they_are_the_usual_ones(made: type[nn.Module], shape: tuple[int, ...]) -> None:
    """Outputs, gradients and running statistics, in training and out of it."""
    torch.manual_seed(0)
    own = nn.Sequential(made(3))
    nn.init.normal_(own[0].weight)
    nn.init.normal_(own[0].bias)
    other = synchronised(copy.deepcopy(own), CPU)
    assert isinstance(other[0], SharedBatchNorm)  # type: ignore[index]
    for step in range(4):
        for network in (own, other):
            network.train(step < 3)
        x = 5 + 2 * torch.randn(shape)
        inputs = [x.clone().requires_grad_() for _ in range(2)]
        outputs = [network(each) for network, each in zip((own, other), inputs, strict=True)]
        torch.testing.assert_close(*outputs)
        weights = torch.randn(outputs[0].shape)
        for output in outputs:
            (output * weights).sum().backward()
        torch.testing.assert_close(inputs[0].grad, inputs[1].grad)
    for parameter, same in zip(own.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, same.grad)
    assert own.state_dict().keys() == other.state_dict().keys()
    for name, tensor in own.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], tensor)


def test_one_of_an_unknown_kind_is_refused() -> None:
    class Scaled(nn.BatchNorm2d):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            return 2 * super().forward(input)

    network = nn.Sequential(nn.Conv2d(3, 4, 1), Scaled(4))
    with pytest.raises(UsageError, match=r"sync_batch_norm=true: layer 1 is a Scaled, which is not known"):
        synchronised(network, CPU)


@pytest.mark.usefixtures("team")
def test_what_one_has_not_it_does_not_get() -> None:
    """No bias where there is none, no statistics; and one with two names stays one."""

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = self.second = nn.BatchNorm2d(3, bias=False, track_running_stats=False)

    own = Twice()
    other = synchronised(copy.deepcopy(own), CPU)
    assert other.first is other.second
    assert isinstance(other.second, SharedBatchNorm)
    assert other.state_dict().keys() == own.state_dict().keys()
    x = torch.randn(4, 3, 2, 2)
    torch.testing.assert_close(other.first(x), own.first(x))


def test_on_a_gpu_they_are_those_of_timm() -> None:
    network = synchronised(nn.Sequential(of_timm(3), nn.BatchNorm2d(3)), torch.device("cuda"))
    kinds = [type(module).__name__ for module in network]  # type: ignore[attr-defined]
    assert kinds == ["SyncBatchNormAct", "SyncBatchNorm"]
