"""NAS-Bench-Macro: texts of eight digits, sizes and networks."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mbconv_networks import plain, seen, table
from torch import nn
from torch.nn.functional import conv2d, relu

from nasbench_eval import spaces
from nasbench_eval.spaces.base import DigitSpace, GraphSpace, Sizes, StagedSpace
from nasbench_eval.spaces.nasbench_macro import Layers, NASBenchMacro

SPACE = NASBenchMacro()
TEXTS = ("00000000", "02012100", "10220011", "22212220")
archs = st.tuples(*[st.integers(0, 2)] * 8).map(Layers)


class TestTexts:
    def test_the_order_is_that_of_numbers_to_the_base_3(self) -> None:
        assert len(SPACE) == 6561
        texts = [SPACE.format(SPACE.arch(index)) for index in range(len(SPACE))]
        assert texts == sorted(set(texts))
        assert (texts[5], texts[-1]) == ("00000012", "22222222")
        assert [SPACE.index(SPACE.parse(text)) for text in texts] == list(range(len(SPACE)))
        assert SPACE.parse(" 02012100\n") == SPACE.parse("02012100")
        with pytest.raises(IndexError, match="networks 0 to 6560; there is no network 6561"):
            SPACE.arch(6561)

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("", "it has 0 characters; there are 8 digits, one a layer"),
            ("0201210", "it has 7 characters"),
            ("020121001", "it has 9 characters"),
            ("02012103", r"layer 7 is '3'; a layer is 0 \(identity\), 1 \(E3K3\) or 2 \(E6K5\)"),
            ("-2012100", "layer 0 is '-'"),
            ("0201٢100", "layer 4 is '٢'"),
            ("020\n2100", r"layer 3 is '\\n'"),
        ],
    )
    def test_what_is_none_is_told_in_a_line(self, text: str, why: str) -> None:
        with pytest.raises(ValueError, match=why) as told:
            SPACE.parse(text)
        assert "\n" not in str(told.value)

    def test_values_are_checked_as_texts_are(self) -> None:
        with pytest.raises(ValueError, match="8 operations from 0 to 2"):
            Layers((0,) * 7)
        with pytest.raises(ValueError, match="8 operations from 0 to 2"):
            Layers((3,) * 8)
        with pytest.raises(ValueError, match="channels is at least 1"):
            NASBenchMacro(0)

    def test_it_is_a_space_that_names_architectures_without_pytorch(self) -> None:
        code = (
            "import sys; from nasbench_eval import spaces; s = spaces.get('nasbench_macro'); "
            "a = s.parse('22212220'); s.flops(a, resolution=32, num_classes=10); s.graphs(a); "
            "assert 'torch' not in sys.modules"
        )
        subprocess.run([sys.executable, "-c", code], check=True)
        assert spaces.get("nasbench_macro", channels=8) == SPACE.resized(channels=8, cells=3)
        for protocol in (Sizes, GraphSpace, StagedSpace, DigitSpace):
            assert isinstance(SPACE, protocol)


class TestAlike:
    def test_there_are_3969_networks(self) -> None:
        assert len({SPACE.canonical(SPACE.arch(index)) for index in range(len(SPACE))}) == 3969

    @pytest.mark.parametrize(
        ("text", "canonical"),
        [
            ("02001002", "02010020"),  # behind the first layers of stages alone
            ("10012201", "10012210"),
            ("00000000", "00000000"),
            ("22212220", "22212220"),
        ],
    )
    def test_identities_move_behind(self, text: str, canonical: str) -> None:
        one, other = SPACE.parse(text), SPACE.parse(canonical)
        assert SPACE.canonical(one) == SPACE.canonical(other) == other
        assert built(one) == built(other)

    @given(archs, archs)
    def test_networks_are_equal_where_representatives_are(self, one: Layers, other: Layers) -> None:
        same = SPACE.canonical(one) == SPACE.canonical(other)
        assert (SPACE._row(one) == SPACE._row(other)) is same

    @given(archs)
    def test_neighbours_differ_in_one_digit_and_have_each_other(self, arch: Layers) -> None:
        near = SPACE.neighbours(arch)
        assert len({SPACE.index(each) for each in near}) == 16
        for each in near:
            assert sum(a != b for a, b in zip(each.operations, arch.operations, strict=True)) == 1
            assert arch in SPACE.neighbours(each)
        assert SPACE.live(arch)


def built(arch: Layers) -> str:
    with torch.device("meta"):
        return str(SPACE.build(arch, num_classes=10))


class TestSizes:
    @pytest.mark.parametrize("space", [SPACE, NASBenchMacro(3)])
    @pytest.mark.parametrize(("resolution", "classes"), [(32, 10), (33, 7)])
    def test_they_are_those_of_the_network(self, space: NASBenchMacro, resolution: int, classes: int) -> None:
        for text in TEXTS:
            arch = space.parse(text)
            found = seen(space, arch, resolution, classes)
            assert space.flops(arch, resolution=resolution, num_classes=classes) == found.macs
            assert space.params(arch, num_classes=classes) == found.params

    def test_they_are_those_of_the_published_table_for_every_network(self) -> None:
        rows = table("nasbench_macro.parquet")
        assert sorted(rows["arch"]) == [SPACE.format(SPACE.arch(index)) for index in range(len(SPACE))]
        every = [SPACE.parse(text) for text in rows["arch"]]
        assert [SPACE.params(arch, num_classes=10) for arch in every] == rows["params"].tolist()
        flops = [SPACE.flops(arch, resolution=32, num_classes=10) for arch in every]
        assert flops == rows["flops"].tolist()
        assert [SPACE.format(SPACE.canonical(arch)) for arch in every] == rows["canonical"].tolist()

    def test_what_is_no_resolution_is_refused(self) -> None:
        with pytest.raises(ValueError, match="got 0"):
            SPACE.flops(SPACE.arch(0), resolution=0, num_classes=10)


class TestNetworks:
    def test_layers_are_where_they_belong(self) -> None:
        with torch.device("meta"):
            network = SPACE.build(SPACE.parse("01102012"), num_classes=10)
            shapes = [tuple(network.features(torch.empty(2, 3, 32, 32)).shape)]
        cells: list[Any] = list(network.cells)
        assert shapes == [(2, 1280, 4, 4)]
        # A reduction, E3K3, E3K3 with stride, E6K5, a reduction, E3K3, E6K5, the last convolution.
        assert [type(cell).__name__ for cell in cells] == [
            *("ConvBn", "_Bottleneck", "_Bottleneck", "_Bottleneck"),
            *("ConvBn", "_Bottleneck", "_Bottleneck", "ConvBn"),
        ]
        assert [len(cells[place]) for place in (0, 4, 7)] == [2, 2, 3]
        inside = [cell for cell in cells if type(cell).__name__ == "_Bottleneck"]
        assert [cell.adds for cell in inside] == [True, False, True, True, True]
        assert [cell.depthwise[0].groups for cell in inside] == [192, 192, 768, 768, 1536]
        assert [cell.depthwise[0].kernel_size[0] for cell in inside] == [3, 3, 5, 3, 5]
        assert [cell.depthwise[0].stride[0] for cell in inside] == [1, 2, 1, 1, 1]

    def test_a_network_computes_what_is_written(self) -> None:
        space = NASBenchMacro(2)
        network: Any = plain(space.build(space.parse("12020000"), num_classes=3))
        x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
        expected = relu(conv2d(x, network.stem[0].weight, padding=1))
        for cell, kernel, groups, stride in ((network.cells[0], 3, 6, 2), (network.cells[1], 5, 24, 1)):
            y = relu(conv2d(expected, cell.expand[0].weight))
            y = relu(conv2d(y, cell.depthwise[0].weight, None, stride, kernel // 2, 1, groups))
            y = conv2d(y, cell.project[0].weight)
            expected = y if stride == 2 else expected + y
        expected = conv2d(expected, network.cells[2][0].weight, stride=2)
        y = relu(conv2d(expected, network.cells[3].expand[0].weight))
        y = relu(conv2d(y, network.cells[3].depthwise[0].weight, None, 1, 2, 1, 48))
        expected = expected + conv2d(y, network.cells[3].project[0].weight)
        expected = conv2d(expected, network.cells[4][0].weight, stride=2)
        expected = relu(conv2d(expected, network.cells[5][0].weight))
        found = network.features(x)
        assert found.shape == (2, 80, 1, 1)
        assert torch.allclose(found, expected, rtol=1e-4)
        with torch.no_grad():
            logits = nn.functional.linear(
                found.mean((2, 3)), network.classifier.weight, network.classifier.bias
            )
        assert torch.equal(network(x), logits)

    def test_it_is_told_by_stage_and_drawn_in_a_row(self) -> None:
        arch = SPACE.parse("11020220")
        told = [
            (stage.pixels, [str(block) for block in stage.blocks])
            for stage in SPACE.stages(arch, resolution=32)
        ]
        assert told == [
            (16, ["2x E3K3 64"]),
            (8, ["1x K1 128", "1x E6K5 128"]),
            (4, ["2x E6K5 256"]),
        ]
        (graph,) = SPACE.graphs(arch)
        assert graph.nodes == (
            *("in", "K3 32", "E3K3 64 /2", "E3K3 64", "K1 128 /2", "E6K5 128"),
            *("E6K5 256 /2", "E6K5 256", "K1 1280", "out"),
        )
