"""Networks in rows: closed forms, and networks of other forms than those of search spaces."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from nasbench_eval import spaces
from nasbench_eval.passes import layers
from nasbench_eval.show.stages import NoForward, Stage, stages

SMALL = {
    "nasbench201": {"channels": 4, "cells_per_stage": 2},
    "nasbench101": {"channels": 8, "cells_per_stack": 2},
    "nasbench201_supernet": {"channels": 4, "cells_per_stage": 1},
}


@pytest.mark.parametrize("name", ["nasbench201", "nasbench101"])
@pytest.mark.parametrize("index", [0, 5, 1462, 14000])
@pytest.mark.parametrize(("resolution", "classes"), [(32, 10), (16, 120)])
def test_sizes_are_those_of_the_closed_forms(name: str, index: int, resolution: int, classes: int) -> None:
    space = spaces.get(name, **SMALL[name])
    arch = space.arch(index)
    rows = stages(space.build(arch, num_classes=classes), resolution)
    assert sum(row.params for row in rows) == space.params(arch, num_classes=classes)
    assert sum(row.macs for row in rows) == space.flops(arch, resolution=resolution, num_classes=classes)


@pytest.mark.parametrize("name", SMALL)
def test_counts_are_those_of_the_proxies_and_the_same_without_computing(name: str) -> None:
    space = spaces.get(name, **SMALL[name])
    arch = space.arch(len(space) - 2)
    net = space.build(arch, num_classes=10)
    counted = 0

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal counted
        counted += output[0].numel() * module.weight[0].numel()

    handles = [layer.register_forward_hook(count) for layer in layers(net, "conv_linear").values()]
    net.eval()(torch.ones(1, 3, 32, 32))
    for handle in handles:
        handle.remove()
    rows = stages(net, 32)
    assert sum(row.macs for row in rows) == counted
    assert sum(row.params for row in rows) == sum(p.numel() for p in net.parameters())
    with torch.device("meta"):
        assert stages(space.build(arch, num_classes=10), 32) == rows


def test_stages_of_nasbench201_are_grouped() -> None:
    space = spaces.get("nasbench201")
    rows = stages(space.build(space.arch(1462), num_classes=10), 32)
    assert [(row.name, row.blocks, row.output) for row in rows] == [
        ("stem", 1, (16, 32, 32)),
        ("cells 0-4", 5, (16, 32, 32)),
        ("cells 5", 1, (32, 16, 16)),
        ("cells 6-10", 5, (32, 16, 16)),
        ("cells 11", 1, (64, 8, 8)),
        ("cells 12-16", 5, (64, 8, 8)),
        ("head", 2, (10,)),
    ]
    assert rows[1].kind == "CellBlock"
    assert rows[-1].macs == 640


def test_a_cell_by_itself_has_no_row_for_a_stem_that_does_nothing() -> None:
    space = spaces.get("nasbench201", channels=3)
    rows = stages(space.build_cell(space.arch(1462), num_classes=10), 8)
    assert [row.name for row in rows] == ["cells 0", "head"]


class Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x)


class Foreign(nn.Module):
    """Of another form: layers, a row of stages, a parameter of its own, a block that is not used."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(8))
        self.conv1 = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.bn1 = nn.BatchNorm2d(8)
        self.blocks = nn.Sequential(Block(8), Block(8), nn.Sequential(nn.Conv2d(8, 16, 1), nn.ReLU()))
        self.spare = Block(4)
        self.frozen = nn.Linear(2, 2).requires_grad_(False)
        self.fc = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn1(self.conv1(x)) + self.shift[:, None, None]
        return self.fc(self.blocks(x).mean(dim=(2, 3)))


def test_another_network_is_shown_by_its_top_level_blocks() -> None:
    net = Foreign().train()
    rows = stages(net, 16)
    assert net.training
    assert not any(module._forward_hooks for module in net.modules())
    assert rows == [
        Stage("conv1, bn1", 2, "Conv2d + BatchNorm2d", (8, 8, 8), 224 + 16, 8 * 64 * 27),
        Stage("blocks 0-1", 2, "Block", (8, 8, 8), 2 * 72, 2 * 8 * 64 * 9),
        Stage("blocks 2", 1, "Conv2d + ReLU", (16, 8, 8), 144, 16 * 64 * 8),
        Stage("fc", 1, "Linear", (5,), 85, 80),
        Stage("spare", 1, "Block", None, 36, 0),
        Stage("frozen", 1, "Linear", None, 0, 0),
        Stage("other parameters", 0, "", None, 8, 0),
    ]


def test_a_block_that_is_used_twice_counts_twice_and_its_weights_once() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = Block(3)
            self.same = self.block

        def forward(self, x: Tensor) -> Tensor:
            return self.same(self.block(x)).mean(dim=(2, 3))

    [row] = stages(Twice(), 4)
    assert (row.params, row.macs) == (27, 2 * 3 * 16 * 9)


def test_images_that_do_not_fit_are_told() -> None:
    space = spaces.get("nasbench201", channels=4, cells_per_stage=1)
    with pytest.raises(NoForward):
        stages(space.build(space.arch(5), num_classes=10), 30)
