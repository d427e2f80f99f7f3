"""NAS-Bench-101's networks: the reference implementation's outputs, the benchmark's parameters."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from cells101 import SPACE, STATED, STATED_PARAMS, TABLE, drawn, matrix, names, with_table
from nasbench_pytorch.model import Network as ReferenceNetwork
from torch import nn

from nasbench_eval.passes.weights import draw
from nasbench_eval.seeding import generator
from nasbench_eval.spaces.nasbench101 import Cell, MalformedCell, NASBench101, prune

THIN = NASBench101(channels=8, cells_per_stack=1)


def reference(cell: Cell, **options: Any) -> nn.Module:
    """The network of nasbench_pytorch."""
    network: nn.Module = ReferenceNetwork((matrix(cell), names(cell)), num_labels=10, **options)
    return network


def copy_weights(ours: Any, theirs: Any) -> None:
    def layer(here: nn.Module, there: Any) -> None:
        here.load_state_dict(there.conv_bn_relu.state_dict())

    layer(ours.stem, theirs.layers[0])
    blocks = [theirs.layers[i] for i in sorted(theirs.cell_indices)]
    for block, other in zip(ours.cells, blocks, strict=True):
        for target, projection in block.projections.items():
            layer(projection, other.input_op[int(target)])
        for vertex, operation in enumerate(block.vertices, start=1):
            if not isinstance(operation, nn.MaxPool2d):
                wrapped = other.vertex_op[vertex]
                layer(operation, wrapped.conv3x3 if hasattr(wrapped, "conv3x3") else wrapped.conv1x1)
    ours.classifier.load_state_dict(theirs.classifier.state_dict())


@pytest.mark.parametrize("index", [6992, 16569, 138614, *drawn(2, 25)])
def test_outputs_equal_the_reference_implementations(index: int) -> None:
    # 16 channels: shared by three or five vertices they leave a rest.
    cell = SPACE.arch(index)
    theirs = reference(cell, stem_out_channels=16)
    ours = NASBench101(channels=16).build(cell, num_classes=10)
    copy_weights(ours, theirs)
    x = torch.randn(3, 3, 16, 16, generator=generator("x"))
    for mode in (False, True):
        with torch.no_grad():
            assert torch.equal(ours.train(mode)(x), theirs.train(mode)(x))


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_stated_parameters() -> None:
    assert count(SPACE.build(SPACE.parse(STATED), num_classes=10)) == STATED_PARAMS


@pytest.mark.parametrize("index", drawn(3, 5))
def test_parameters_are_the_reference_implementations_but_for_its_helpers(index: int) -> None:
    cell = SPACE.arch(index)
    theirs = reference(cell)
    helpers = sum(p.numel() for p in theirs.parameters() if p.dim() == 0)
    assert count(SPACE.build(cell, num_classes=10)) == count(theirs) - helpers


@with_table
@pytest.mark.parametrize("part", range(4))
def test_parameters_are_the_tables(part: int) -> None:
    params = pd.read_parquet(TABLE, columns=["params"])["params"].to_numpy()
    for index in drawn(4 + part, 500):
        network = SPACE.build(SPACE.arch(index), num_classes=10)
        assert count(network) == params[index], index


@with_table
def test_parameters_of_every_cell_are_the_tables() -> None:
    # By the widths of the vertices alone; the networks above say that these are the networks'.
    path = Path(__file__).parents[2] / "scripts" / "size_nasbench101.py"
    script = runpy.run_path(str(path))
    params = pd.read_parquet(TABLE, columns=["params"])["params"].to_numpy()
    assert np.array_equal(script["of_all_cells"]().params, params)


def test_shapes() -> None:
    network = THIN.build(SPACE.parse(STATED), num_classes=10)
    draw(dict(network.named_modules()), "kaiming", "key")
    shapes: list[tuple[int, ...]] = []
    for block in network.cells:
        block.register_forward_hook(lambda module, args, y: shapes.append(tuple(y.shape[1:])))
    features = network.features(torch.randn(2, 3, 32, 32, generator=generator("x")))
    assert shapes == [(8, 32, 32), (16, 16, 16), (32, 8, 8)]
    assert features.shape == (2, 32, 8, 8)
    pooled = features.mean(dim=(2, 3))
    expected = pooled @ network.classifier.weight.T + network.classifier.bias
    torch.testing.assert_close(network.head(features), expected)
    assert len(SPACE.build(SPACE.arch(0), num_classes=10).cells) == 9


@pytest.mark.parametrize("channels", [1, 3])
def test_the_thinnest_networks_still_have_a_channel_a_vertex(channels: int) -> None:
    wide = SPACE.parse("|conv3x3~0|conv1x1~0|maxpool3x3~0|conv3x3~0|output~1~2~3~4|")
    network = SPACE.resized(channels=channels, cells=1).build(wide, num_classes=10)
    draw(dict(network.named_modules()), "kaiming", "key")
    assert network(torch.randn(2, 3, 8, 8, generator=generator("x"))).shape == (2, 10)
    assert network.stem[0].out_channels == 4  # type: ignore[index]


def test_building_draws_nothing() -> None:
    before = torch.get_rng_state()
    THIN.build(THIN.arch(0), num_classes=10)
    assert torch.equal(torch.get_rng_state(), before)


def test_sizes() -> None:
    assert SPACE.resized(channels=None, cells=1) == NASBench101(128, 1)
    assert SPACE.resized(channels=4, cells=None) == NASBench101(4, 3)
    with pytest.raises(ValueError, match="at least 1"):
        NASBench101(channels=0)


def test_every_cell_is_live() -> None:
    assert SPACE.live(SPACE.arch(0))
    with pytest.raises(MalformedCell):  # what would not be live is no cell
        Cell(("conv3x3",), ((0, 1), (0, 2)))
    assert prune(("conv3x3",), ((0, 1), (0, 2))) == Cell((), ((0, 1),))


# The cell by itself


def test_a_cell_by_itself() -> None:
    """The first cell of the network, on feature maps of as many channels as it has."""
    space = NASBench101(channels=8, cells_per_stack=1)
    arch = space.parse("|conv3x3~0|maxpool3x3~0~1|conv1x1~1|conv3x3~2~3|output~0~3~4|")
    alone, whole = space.build_cell(arch, num_classes=5), space.build(arch, num_classes=5)
    for network in (alone, whole):
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(parameter.numel()))
    x = torch.randn(4, 8, 3, 3)
    assert torch.equal(alone.features(x), whole.cells[0](x))
    assert alone(x).shape == (4, 5)
    assert len(alone.cells) == 1


def test_a_cell_of_one_channel_has_one_for_each_concatenated_vertex() -> None:
    arch = NASBench101().parse("|conv3x3~0|maxpool3x3~0~1|conv1x1~1|conv3x3~2~3|output~0~3~4|")
    network = NASBench101(channels=1).build_cell(arch, num_classes=5)
    assert network.features(torch.ones(2, 1, 3, 3)).shape == (2, 2, 3, 3)
