"""Accel-NASBench's space: texts, sizes in two conventions, networks, and mutations."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mbconv_networks import plain, seen, table
from torch import Tensor
from torch.nn.functional import conv2d, hardsigmoid, relu

from nasbench_eval import spaces
from nasbench_eval.spaces.accel_nasbench import AccelNASBench, Block, Blocks, text_of_row
from nasbench_eval.spaces.base import Counts, GraphSpace, Sizes, StagedSpace
from nasbench_eval.spaces.open import ByChoices, is_open

SPACE = AccelNASBench()
TEXT = "e6k3l1s0-e4k5l2s1-e1k3l3s0-e4k3l1s1-e6k5l2s1-e6k5l4s0-e4k3l1s0"
SEEDS = st.integers(0, 2**32 - 1)


def drawn(n: int, seed: int = 0) -> list[Blocks]:
    rng = np.random.default_rng(seed)
    return [SPACE.sample(rng) for _ in range(n)]


class TestTexts:
    def test_they_are_read_and_written_to_the_letter(self) -> None:
        for arch in drawn(100):
            text = SPACE.format(arch)
            assert SPACE.parse(text) == SPACE.parse(f" {text}\n") == arch
        assert SPACE.parse(TEXT).blocks[1] == Block(4, 5, 2, 1)

    def test_the_benchmark_s_columns_are_a_text(self) -> None:
        columns = ([6, 4, 1, 4, 6, 6, 4], [3, 5, 3, 3, 5, 5, 3], [1, 2, 3, 1, 2, 4, 1], [0, 1, 0, 1, 1, 0, 0])
        assert text_of_row(*columns) == TEXT
        assert text_of_row(*map(np.array, columns)) == TEXT  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="7 blocks; got 7, 7, 7 and 6 numbers"):
            text_of_row(*columns[:3], columns[3][:6])
        with pytest.raises(ValueError, match="block 0 is e5k3l1s0: the expansion e"):
            text_of_row([5, *columns[0][1:]], *columns[1:])

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("", "the text is empty; an architecture is e6k3l1s0-"),
            ("no architecture", "has 1 parts between hyphens; .* seven blocks"),
            (TEXT[: TEXT.rindex("-")], "has 6 parts between hyphens"),
            (f"{TEXT}-e4k3l1s0", "has 8 parts between hyphens"),
            (TEXT.replace("e1", "e2"), "block 2 is e2k3l3s0: the expansion e is 1, 4 or 6, not 2"),
            (TEXT.replace("e4k5", "e4k7"), "block 1 is e4k7l2s1: the kernel k is 3 or 5, not 7"),
            (TEXT.replace("e4k5l2", "e4k5l4"), "block 1 is .*: the number of layers l is 1, 2 or 3, not 4"),
            (TEXT.replace("l4", "l5"), "block 5 is .*: the number of layers l is 1, 2, 3 or 4, not 5"),
            (TEXT.replace("l4", "l0"), "block 5 is .*: the number of layers l is .*, not 0"),
            (TEXT.replace("e4k5l2s1", "e4k5l2s2"), "squeeze-and-excitation s is 0 or 1, not 2"),
            (TEXT.replace("e4k5l2s1", "e4k5l2"), "block 1 is 'e4k5l2', and not of the form e6k3l1s0"),
            (TEXT.replace("e4k5l2s1", "e4k5l2s1x"), "block 1 is 'e4k5l2s1x', and not of the form"),
            (TEXT.replace("e4k5l2s1", "e4k5l٢s1"), "block 1 is .*, and not of the form"),
            (TEXT.replace("e4k5l2s1", "e4k05l2s1"), "block 1 is 'e4k05l2s1'; its numbers begin with no zero"),
        ],
    )
    def test_what_is_none_is_told_in_a_line(self, text: str, why: str) -> None:
        with pytest.raises(ValueError, match=why) as told:
            SPACE.parse(text)
        assert "\n" not in str(told.value)
        assert len(str(told.value)) < 200

    def test_it_is_an_open_space_that_needs_no_pytorch(self) -> None:
        code = (
            "import sys; from nasbench_eval import spaces; s = spaces.get('accel_nasbench'); "
            f"a = s.parse('{TEXT}'); s.counts(a, resolution=224, num_classes=9); s.graphs(a); "
            "assert 'torch' not in sys.modules"
        )
        subprocess.run([sys.executable, "-c", code], check=True)
        assert is_open(spaces.get("accel_nasbench"))
        for protocol in (Sizes, Counts, GraphSpace, StagedSpace, ByChoices):
            assert isinstance(SPACE, protocol)


class TestSizes:
    def test_they_are_those_of_the_network(self) -> None:
        for number, arch in enumerate(drawn(50)):
            resolution = (224, 64, 33)[number % 3]
            found = seen(SPACE, arch, resolution, 7)
            assert SPACE.flops(arch, resolution=resolution, num_classes=7) == found.macs
            assert SPACE.params(arch, num_classes=7) == found.params
            counted = found.macs + 4 * found.normalised + found.averaged
            assert SPACE.published_macs(arch, resolution, 7) == counted

    def test_they_are_those_of_the_published_table_for_every_network(self) -> None:
        rows = table("accel_nasbench.parquet")
        columns = [rows[[f"{of}{block}" for block in range(7)]].to_numpy() for of in ("e", "k", "l", "se")]
        texts = [text_of_row(*row) for row in zip(*columns, strict=True)]
        archs = [SPACE.parse(text) for text in texts]
        assert [SPACE.params(arch, num_classes=1000) / 1e6 for arch in archs] == rows["params_M"].tolist()
        # The table's numbers are whole ones divided by a million.
        macs = (rows["macs_M"] * 1e6).round().astype(int).tolist()
        assert [SPACE.published_macs(arch) for arch in archs] == macs

    def test_both_counts_are_told(self) -> None:
        arch = SPACE.parse(TEXT)
        assert SPACE.params(arch, num_classes=1000) == 4_140_980
        assert SPACE.flops(arch, resolution=224, num_classes=1000) == 389_968_928
        assert SPACE.counts(arch, resolution=224, num_classes=1000) == {
            "layers in the seven blocks": 14,
            "MACs as the benchmark's table counts them": 425_646_816,
        }

    def test_what_is_no_resolution_is_refused(self) -> None:
        for refused in (SPACE.flops, SPACE.counts):
            with pytest.raises(ValueError, match="got 0"):
                refused(SPACE.parse(TEXT), resolution=0, num_classes=10)


class TestNetworks:
    def test_layers_are_where_they_belong(self) -> None:
        with torch.device("meta"):
            network = SPACE.build(SPACE.parse(TEXT), num_classes=10)
            features = network.features(torch.empty(2, 3, 224, 224))
        assert tuple(features.shape) == (2, 1280, 7, 7)
        cells: list[Any] = list(network.cells)
        assert len(cells) == 14 + 1
        assert [cell.depthwise[0].stride[0] for cell in cells[:-1]] == [
            1,
            2,
            1,
            2,
            1,
            1,
            2,
            1,
            1,
            2,
            1,
            1,
            1,
            1,
        ]
        assert [cell.expand is None for cell in cells[:-1]] == [False] * 3 + [True] * 3 + [False] * 8
        assert [cell.adds for cell in cells[:-1]] == [
            *(False, False, True, False, True, True, False),
            *(False, True, False, True, True, True, False),
        ]
        # A quarter of the channels that the layer takes in.
        squeezed = {place: cell.se.squeeze.out_channels for place, cell in enumerate(cells[:-1]) if cell.se}
        assert squeezed == {1: 4, 2: 6, 6: 10, 7: 20, 8: 28}

    def test_a_layer_computes_what_is_written(self) -> None:
        network: Any = plain(SPACE.build(SPACE.parse(TEXT), num_classes=3))
        generator = torch.Generator().manual_seed(1)

        def inside(cell: Any, x: Tensor, kernel: int) -> Tensor:
            y = x if cell.expand is None else relu(conv2d(x, cell.expand[0].weight))
            weight, stride = cell.depthwise[0].weight, cell.depthwise[0].stride
            return relu(conv2d(y, weight, None, stride, kernel // 2, 1, len(weight)))

        x = torch.randn(2, 24, 5, 5, generator=generator)
        cell = network.cells[2]
        y = inside(cell, x, 5)
        mean = y.mean((2, 3), keepdim=True) / 1000  # small enough for the gate to be open in part
        cell.se.pool.register_forward_hook(lambda module, inputs, found: found / 1000)
        scale = relu(conv2d(mean, cell.se.squeeze.weight, cell.se.squeeze.bias))
        scale = hardsigmoid(conv2d(scale, cell.se.excite.weight, cell.se.excite.bias))
        assert ((scale > 0) & (scale < 1)).any()
        assert torch.allclose(cell(x), x + conv2d(y * scale, cell.project[0].weight), rtol=1e-4, atol=1e-3)

        x = torch.randn(2, 24, 6, 6, generator=generator)
        cell = network.cells[3]
        assert torch.allclose(
            cell(x), conv2d(inside(cell, x, 3), cell.project[0].weight), rtol=1e-4, atol=1e-3
        )

    def test_gates_have_a_second_derivative(self) -> None:
        network: Any = plain(SPACE.build(SPACE.parse(TEXT), num_classes=3))
        x = torch.randn(2, 16, 4, 4, generator=torch.Generator().manual_seed(1))
        weight = network.cells[1].se.squeeze.weight
        (slope,) = torch.autograd.grad(network.cells[1](x).square().sum(), weight, create_graph=True)
        assert torch.autograd.grad(slope.sum(), weight)[0].isfinite().all()

    def test_it_is_told_by_stage_and_drawn_in_a_row(self) -> None:
        arch = SPACE.parse(TEXT)
        told = [
            (stage.pixels, [str(block) for block in stage.blocks])
            for stage in SPACE.stages(arch, resolution=224)
        ]
        assert told == [
            (112, ["1x E6K3 16"]),
            (56, ["2x E4K5 SE 24"]),
            (28, ["3x E1K3 40"]),
            (14, ["1x E4K3 SE 80", "2x E6K5 SE 112"]),
            (7, ["4x E6K5 192", "1x E4K3 320"]),
        ]
        (graph,) = SPACE.graphs(arch)
        assert len(graph.nodes) == len(graph.edges) + 1 == 11
        assert graph.nodes[:4] == ("in", "K3 32 /2", "1x E6K3", "2x E4K5 SE")


class TestMoves:
    @given(SEEDS)
    @settings(max_examples=30)
    def test_a_mutation_is_a_neighbour_by_the_generator_alone(self, seed: int) -> None:
        arch = SPACE.sample(np.random.default_rng(seed))
        other = SPACE.mutate(arch, np.random.default_rng(seed))
        assert other == SPACE.mutate(arch, np.random.default_rng(seed))
        near = SPACE.neighbours(arch)
        assert len({SPACE.format(each) for each in near}) == len(near) == 43
        assert other in near
        assert arch not in near

    def test_choices_are_drawn_and_changed_uniformly(self) -> None:
        n, rng = 3000, np.random.default_rng(0)
        chosen = np.array([SPACE.encode(arch) for arch in drawn(n)])
        for place, among in enumerate(SPACE.choices):
            shares = np.bincount(chosen[:, place], minlength=among) / n
            assert np.abs(shares - 1 / among).max() < 0.04
        start = SPACE.parse(TEXT)
        changed = Counter[int]()
        for _ in range(n):
            differ = np.flatnonzero(np.array(SPACE.encode(SPACE.mutate(start, rng))) != SPACE.encode(start))
            assert len(differ) == 1
            changed[int(differ[0])] += 1
        assert all(abs(changed[place] / n - 1 / 28) < 0.012 for place in range(28))

    @given(st.tuples(*[st.integers(0, among - 1) for among in SPACE.choices]).map(list))
    def test_choices_and_architectures_are_each_other_s_inverse(self, chosen: list[int]) -> None:
        assert SPACE.encode(SPACE.decode(chosen)) == chosen
        assert SPACE.canonical(SPACE.decode(chosen)) == SPACE.decode(chosen)
