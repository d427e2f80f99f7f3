"""The MobileNetV2-like space: structure strings, sizes in three conventions, networks, and mutations."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch import nn

from nasbench_eval import registry, spaces
from nasbench_eval.spaces import _mobilenetv2_moves as moves
from nasbench_eval.spaces._mobilenetv2_blocks import Residual, Structure, rounded
from nasbench_eval.spaces.base import Counts, GraphSpace, Sizes
from nasbench_eval.spaces.mobilenetv2 import START, MobileNetV2
from nasbench_eval.spaces.open import Known, is_open, known

SPACE, SE = MobileNetV2(), MobileNetV2(se=True)
REFERENCE = Path(__file__).resolve().parents[3] / "shared" / "reference"
ZEN400 = (
    "SuperConvK3BNRELU(3,16,2,1)SuperResIDWE1K7(16,40,2,40,1)SuperResIDWE1K7(40,64,2,64,1)"
    "SuperResIDWE4K7(64,96,2,96,5)SuperResIDWE2K7(96,224,2,224,5)SuperConvK1BNRELU(224,2048,1,1)"
)
ZEN600 = (
    "SuperConvK3BNRELU(3,24,2,1)SuperResIDWE1K7(24,48,2,48,1)SuperResIDWE2K7(48,72,2,72,1)"
    "SuperResIDWE6K7(72,96,2,88,5)SuperResIDWE4K7(96,192,2,168,5)SuperConvK1BNRELU(192,2048,1,1)"
)
ZEN900 = (
    "SuperConvK3BNRELU(3,16,2,1)SuperResIDWE1K7(16,48,2,72,1)SuperResIDWE2K7(48,72,2,64,3)"
    "SuperResIDWE2K7(72,152,2,144,3)SuperResIDWE2K7(152,360,2,352,4)SuperResIDWE4K7(360,288,1,264,3)"
    "SuperConvK1BNRELU(288,2048,1,1)"
)
ZICO450 = (
    "SuperConvK3BNRELU(3,16,2,1)SuperResIDWE1K7(16,40,2,40,1)SuperResIDWE2K7(40,80,2,64,1)"
    "SuperResIDWE4K7(80,96,2,96,5)SuperResIDWE2K7(96,224,2,224,5)SuperConvK1BNRELU(224,2048,1,1)"
)
ZICO600 = (
    "SuperConvK3BNRELU(3,24,2,1)SuperResIDWE1K7(24,48,2,48,1)SuperResIDWE2K7(48,72,2,72,1)"
    "SuperResIDWE6K5(72,160,2,96,1)SuperResIDWE6K7(160,200,2,112,5)SuperResIDWE6K7(200,168,1,168,4)"
    "SuperConvK1BNRELU(168,2048,1,1)"
)
ZICO1G = (
    "SuperConvK3BNRELU(3,48,2,1)SuperResIDWE1K7(48,48,2,72,1)SuperResIDWE1K7(48,80,2,128,1)"
    "SuperResIDWE2K7(80,160,2,144,3)SuperResIDWE4K7(160,288,2,232,4)SuperResIDWE6K5(288,232,1,208,5)"
    "SuperConvK1BNRELU(232,2048,1,1)"
)
PARAMS450 = (
    "SuperConvK3BNRELU(3,8,2,1)SuperResIDWE1K3(8,8,2,8,1)SuperResIDWE1K3(8,8,2,8,1)"
    "SuperResIDWE1K5(8,64,2,8,1)SuperResIDWE6K5(64,1024,2,48,1)SuperConvK1BNRELU(1024,2048,1,1)"
)
# At 224 pixels and 1,000 classes: MACs, the searches' FLOPs, ptflops without and with squeeze-and-excitation,
# parameters without and with it, layers, units.
VECTORS = {
    START: (159334080, 162396776, 168644296, 170764156, 2824264, 3579232, 6, 8),
    ZEN400: (400213376, 399976216, 409661576, 412754916, 5698208, 7466024, 14, 24),
    ZEN600: (597503840, 597745802, 611344400, 617494964, 7125944, 11311664, 14, 24),
    ZEN900: (909269280, 908691864, 925700960, 933723994, 13300208, 19351644, 16, 28),
    ZICO450: (438372224, 438385944, 448836488, 452072604, 5741264, 7526376, 14, 24),
    ZICO600: (590942544, 590293588, 603166888, 614344708, 9703144, 19194448, 14, 24),
    ZICO1G: (986552080, 979224130, 1002971216, 1018395338, 15314624, 28781452, 16, 28),
    PARAMS450: (448981312, 449997572, 451786680, 471114702, 11022144, 29956532, 6, 8),
}
# Searches of AZ-NAS's authors: FLOPs logged, ptflops and parameters in millions where they are known.
FOUND = {
    "SuperConvK3BNRELU(3,24,2,1)SuperResIDWE2K5(24,24,2,24,1)SuperResIDWE1K3(24,96,2,96,3)"
    "SuperResIDWE4K3(96,128,2,120,3)SuperResIDWE6K5(128,120,2,120,5)SuperConvK1BNRELU(120,2048,1,1)": (
        "4.49643e+08",
        (461.00, 466.08, 5.237, 8.625),
    ),
    "SuperConvK3BNRELU(3,24,2,1)SuperResIDWE4K3(24,32,2,32,3)SuperResIDWE1K3(32,80,2,48,1)"
    "SuperResIDWE2K5(80,96,2,96,5)SuperResIDWE4K5(96,192,2,192,3)SuperConvK1BNRELU(192,2048,1,1)": (
        "4.49904e+08",
        None,
    ),
    "SuperConvK3BNRELU(3,16,2,1)SuperResIDWE1K3(16,32,2,32,1)SuperResIDWE4K3(32,64,2,64,1)"
    "SuperResIDWE1K5(64,240,2,240,5)SuperResIDWE2K5(240,320,2,320,5)SuperConvK1BNRELU(320,2048,1,1)": (
        "5.99889e+08",
        (613.10, 616.92, 8.295, 10.721),
    ),
    "SuperConvK3BNRELU(3,40,2,1)SuperResIDWE4K5(40,32,2,32,2)SuperResIDWE4K3(32,72,2,72,3)"
    "SuperResIDWE1K7(72,288,2,288,4)SuperResIDWE1K7(288,448,2,448,5)SuperConvK1BNRELU(448,2048,1,1)": (
        "9.954e+08",
        None,
    ),
    "SuperConvK3BNRELU(3,40,2,1)SuperResIDWE1K5(40,80,2,80,5)SuperResIDWE1K3(80,120,2,120,2)"
    "SuperResIDWE2K7(120,152,2,152,2)SuperResIDWE6K3(152,192,2,192,5)SuperConvK1BNRELU(192,2048,1,1)": (
        "9.98777e+08",
        (1029.22, 1039.83, 7.733, 14.650),
    ),
}
# More than four blocks, two of stride 1.
USERS = (
    "SuperConvK3BNRELU(3,16,2,1)SuperResIDWE2K7(16,24,2,24,1)SuperResIDWE4K7(24,48,2,32,1)"
    "SuperResIDWE2K7(48,80,2,160,1)SuperResIDWE6K7(80,152,2,152,3)SuperResIDWE6K7(152,152,1,128,5)"
    "SuperResIDWE4K7(152,112,1,128,1)SuperConvK1BNRELU(112,2048,1,1)"
)
STEM, HEAD = "SuperConvK3BNRELU(3,8,2,1)", "SuperConvK1BNRELU(16,32,1,1)"
SEEDS = st.integers(0, 2**32 - 1)


def small(blocks: str, stem: str = STEM, head: str = HEAD) -> Structure:
    return SPACE.parse(stem + blocks + head)


def published(name: str) -> list[list[str]]:
    """Rows of a file of published structures."""
    file = REFERENCE / name
    if not file.is_file():
        pytest.skip(f"needs {name}, published structures that are no part of the repository")
    return [line.split("\t") for line in file.read_text(encoding="utf-8").splitlines()]


class TestStrings:
    @pytest.mark.parametrize("text", [*VECTORS, *FOUND, USERS])
    def test_they_are_read_and_written_to_the_letter(self, text: str) -> None:
        assert SPACE.format(SPACE.parse(text)) == text
        assert SPACE.parse(f" {text.replace(',', ', ')}\n") == SPACE.parse(text)

    def test_names_before_the_numbers_are_dropped(self) -> None:
        assert SPACE.parse(START.replace("(", "(block1|")) == SPACE.parse(START)

    def test_published_structures(self) -> None:
        texts = [row[2] for row in published("mobilenet_structures.tsv")[1:]]
        texts += [row[2] for row in published("mobilenet_finals.tsv")]
        assert len(texts) == 614 + 39
        assert [SPACE.format(SPACE.parse(text)) for text in texts] == texts

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("", "no structure of the form"),
            ("no architecture", "does not begin with a block"),
            (STEM, "no structure of the form"),
            (STEM + HEAD.replace("16", "8"), "no block SuperResIDWE"),
            (STEM + "SuperResIDWE6K9(8,16,2,8,1)" + HEAD, "unknown block .*; did you mean SuperResIDWE6K"),
            (STEM + "Pool(2)" + HEAD, "unknown block 'Pool'; there are SuperConvK1BNRELU"),
            (STEM + "SuperResIDWE6K3(9,16,2,8,1)" + HEAD, "do not chain: .* takes 9 channels"),
            (STEM + "SuperResIDWE6K3(8,24,2,8,1)" + HEAD, "do not chain: .* puts out 24"),
            (STEM + "SuperResIDWE6K3(8,16,3,8,1)" + HEAD, "stride of .* is 3, not 1 or 2"),
            (STEM + "SuperResIDWE6K3(8,16,2,8,0)" + HEAD, "layers of .* is '0', no whole number from 1"),
            (STEM + "SuperResIDWE6K3(8,16,2,8,-1)" + HEAD, "layers of .* is '-1'"),
            (STEM + "SuperResIDWE6K3(8,16,2,08,1)" + HEAD, "bottleneck of .* is '08'"),
            (STEM + "SuperResIDWE6K3(8,16,2,8,٣)" + HEAD, "layers of"),
            (STEM + "SuperResIDWE6K3(8,16,2,8,100000)" + HEAD, "layers of .* to 99999"),
            (STEM + "SuperResIDWE6K3(8,16,2,8)" + HEAD, "has 4 numbers, not 5: in,out,stride,bottleneck"),
            (STEM + "SuperResIDWE6K3(8,16,2,8,1" + HEAD, "does not begin with a block"),
            (STEM + "SuperResIDWE6K3(8,16,2,8,1)" + HEAD + "x", "'x' does not begin with a block"),
            (STEM + "SuperResIDWE6K3(8,16,2,8,1)" + HEAD.replace("K1", "K3"), "last block is a 1x1"),
            (STEM + "SuperResIDWE6K3(8,16,2,8,1)" + HEAD.replace("1,1)", "2,1)"), "stride of .* is 2, not 1"),
            (STEM + "SuperResIDWE6K3(8,16,2,8,1)" + HEAD.replace("1,1)", "1,2)"), "have one layer"),
            (STEM.replace("K3", "K5") + "SuperResIDWE6K3(8,16,2,8,1)" + HEAD, "first block is a 3x3"),
            (STEM.replace("(3", "(1") + "SuperResIDWE6K3(8,16,2,8,1)" + HEAD, "3 channels of an image"),
            (STEM + STEM.replace("3,8", "8,8") + HEAD, "no structure of the form"),
        ],
    )
    def test_what_is_none_is_told_in_a_line(self, text: str, why: str) -> None:
        with pytest.raises(ValueError, match=why) as told:
            SPACE.parse(text)
        assert "\n" not in str(told.value)
        assert len(str(told.value)) < 400

    def test_values_are_checked_as_texts_are(self) -> None:
        arch = SPACE.parse(START)
        with pytest.raises(ValueError, match="no expansion of"):
            replace(arch, blocks=(replace(arch.blocks[0], expansion=3), *arch.blocks[1:]))
        with pytest.raises(ValueError, match="1 to 99999"):
            replace(arch, blocks=(replace(arch.blocks[0], layers=0), *arch.blocks[1:]))


class TestSizes:
    @pytest.mark.parametrize("text", VECTORS)
    def test_all_conventions(self, text: str) -> None:
        arch = SPACE.parse(text)
        macs, flops, plain, se, params, se_params, layers, units = VECTORS[text]
        assert SPACE.flops(arch, resolution=224, num_classes=1000) == macs
        assert SPACE.repo_flops(arch) == flops
        assert (SPACE.ptflops(arch), SPACE.ptflops(arch, se=True)) == (plain, se)
        assert SPACE.params(arch, num_classes=1000) == params
        assert SE.params(arch, num_classes=1000) == se_params
        assert (arch.layers, len(list(arch.units()))) == (layers, units)

    @pytest.mark.parametrize("text", FOUND)
    def test_structures_that_searches_found(self, text: str) -> None:
        arch, (logged, others) = SPACE.parse(text), FOUND[text]
        assert f"{SPACE.repo_flops(arch):.6g}" == f"{float(logged):.6g}"
        if others:
            counted = (SPACE.ptflops(arch) / 1e6, SPACE.ptflops(arch, se=True) / 1e6)
            assert counted == pytest.approx(others[:2], abs=0.005)
            params = [space.params(arch, num_classes=1000) / 1e6 for space in (SPACE, SE)]
            assert params == pytest.approx(others[2:], abs=0.0005)

    def test_with_squeeze_and_excitation_as_the_searches_count(self) -> None:
        arch = SPACE.parse(
            "SuperConvK3BNRELU(3,8,2,1)SuperResIDWE4K7(8,16,2,16,4)SuperResIDWE4K5(16,48,2,48,1)"
            "SuperResIDWE2K3(48,96,2,96,3)SuperResIDWE4K3(96,240,2,240,4)SuperConvK1BNRELU(240,2048,1,1)"
        )
        assert (SPACE.repo_flops(arch), SPACE.repo_flops(arch, se=True)) == (448734940, 455103708)

    def test_the_complexity_that_searches_logged(self) -> None:
        header, *rows = published("mobilenet_structures.tsv")
        assert header[2:4] == ["structure", "logged_complexity"]
        mine = [f"{SPACE.repo_flops(SPACE.parse(row[2])):.6g}" for row in rows]
        assert mine == [f"{float(row[3]):.6g}" for row in rows]

    def test_they_are_those_of_the_network(self) -> None:
        rng = np.random.default_rng(0)
        for number in range(20):
            space = MobileNetV2(
                se=number % 2 == 1, shortcuts=number % 3 > 0, max_flops=600_000_000, max_layers=8
            )
            arch = space.sample(rng)
            resolution = (32, 64, 33)[number % 3]
            macs, counted, params = of_network(space, arch, resolution)
            assert space.flops(arch, resolution=resolution, num_classes=7) == macs
            assert space.ptflops(arch, resolution, 7, se=space.se) == counted
            assert space.params(arch, num_classes=7) == params

    def test_what_is_no_resolution_is_refused(self) -> None:
        arch = SPACE.parse(START)
        with pytest.raises(ValueError, match="got 0"):
            SPACE.flops(arch, resolution=0, num_classes=10)
        assert isinstance(SPACE, Sizes)
        assert isinstance(SPACE, Counts)


def of_network(space: MobileNetV2, arch: Structure, resolution: int) -> tuple[int, int, int]:
    """Multiply-accumulates, what ptflops counts, and parameters of the network itself, seen by hooks."""
    with torch.device("meta"):
        network = space.build(arch, num_classes=7).eval()
        macs = other = 0

        def hook(module: Any, inputs: tuple[torch.Tensor], y: torch.Tensor) -> None:
            nonlocal macs, other
            if isinstance(module, nn.BatchNorm2d):
                other += 2 * y.numel()
            elif isinstance(module, nn.AdaptiveAvgPool2d):
                other += inputs[0].numel()
            elif isinstance(module, nn.ReLU):
                other += y.numel()
            else:
                macs += y.numel() * module.weight[0].numel()
                other += 0 if module.bias is None else y.numel()

        for name, module in network.named_modules():
            layer = isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm2d | nn.AdaptiveAvgPool2d)
            if layer or (isinstance(module, nn.ReLU) and ".squeeze." in name):
                module.register_forward_hook(hook)
        network(torch.empty(1, 3, resolution, resolution))
    return macs, macs + other, sum(parameter.numel() for parameter in network.parameters())


class TestNetworks:
    @pytest.mark.parametrize("text", [ZEN400, ZICO1G, USERS])
    def test_features_are_two_more_than_units(self, text: str) -> None:
        arch = SPACE.parse(text)
        with torch.device("meta"):
            network = SPACE.build(arch, num_classes=10)
            features = network.features(torch.empty(2, 3, 224, 224))
        inner = sum(block.layers for block in arch.blocks)
        assert 1 + len(network.seen_blocks()) == 2 + 2 * inner
        assert tuple(features.shape) == (2, 2048, 7, 7)
        assert all(isinstance(m, nn.Sequential) and len(m) == 3 for m in (network.stem, network.cells[-1]))
        norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
        assert {norm.eps for norm in norms} == {1e-3}

    @pytest.mark.parametrize(
        ("text", "layers"),
        [
            (START, 34),
            (PARAMS450, 32),
            (ZEN400, 78),
            (ZICO450, 79),
            (ZEN600, 96),
            *zip(FOUND, (83, 79), strict=False),
        ],
    )
    def test_convolutions_are_as_many_as_an_independent_build_has(self, text: str, layers: int) -> None:
        with torch.device("meta"):
            network = SPACE.build(SPACE.parse(text), num_classes=1000)
        assert sum(isinstance(module, nn.Conv2d) for module in network.modules()) == layers

    def test_shortcuts_are_where_they_belong(self) -> None:
        arch = small("SuperResIDWE2K3(8,8,1,8,2)SuperResIDWE2K5(8,16,2,24,2)")
        with torch.device("meta"):
            units: list[Any] = list(SPACE.build(arch, num_classes=3).cells[:-1])
            without = MobileNetV2(shortcuts=False).build(arch, num_classes=3)
        projected = [cell.shortcut is not None for cell in units]
        assert projected == [True, False, False, False, True, True, True, True]
        for cell in units:
            if cell.shortcut is not None:
                assert cell.shortcut[0].bias is not None
        assert not any("shortcut" in name for name, _ in without.named_parameters())
        strides = [cell.depthwise[0].stride[0] for cell in units]
        assert strides == [1, 1, 1, 1, 2, 1, 1, 1]
        # The expansion is that of the width that a unit puts out.
        inner = [cell.depthwise[0].groups for cell in units]
        assert inner == [16, 16, 16, 16, 48, 32, 48, 32]

    @pytest.mark.parametrize("se", [False, True])
    @pytest.mark.parametrize("shortcuts", [False, True])
    def test_a_pass(self, se: bool, shortcuts: bool) -> None:
        space = MobileNetV2(se=se, shortcuts=shortcuts)
        network = space.build(small("SuperResIDWE1K3(8,16,2,8,1)"), num_classes=3)
        for parameter in network.parameters():
            nn.init.constant_(parameter, 0.1)
        images = torch.rand(2, 3, 16, 16)
        features = network.features(images)
        assert features.shape == (2, 32, 4, 4)
        assert (features >= 0).all()
        assert network.head(features).shape == (2, 3)
        loss: Any = network.head(features).sum()
        loss.backward()
        assert all(parameter.grad is not None for parameter in network.parameters())

    def test_a_unit_computes_what_is_written(self) -> None:
        """Against the same unit in plain arithmetic, with batch norms that change nothing."""
        generator = torch.Generator().manual_seed(0)
        arch = small("SuperResIDWE1K3(8,16,1,8,1)")
        network = SPACE.build(arch, num_classes=3).eval()
        for name, tensor in [*network.named_parameters(), *network.named_buffers()]:
            if tensor.ndim > 1 or name.endswith("shortcut.0.bias"):
                tensor.data.normal_(generator=generator)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.reset_parameters()
                module.eps = 0.0
        x = torch.randn(1, 8, 5, 5, generator=generator)
        unit: Any = network.cells[1]
        y = torch.relu(nn.functional.conv2d(x, unit.expand[0].weight))
        y = torch.relu(nn.functional.conv2d(y, unit.depthwise[0].weight, padding=1, groups=16))
        y = nn.functional.conv2d(y, unit.project[0].weight)
        y = y + nn.functional.conv2d(x, unit.shortcut[0].weight, unit.shortcut[0].bias)
        assert torch.allclose(unit(x), torch.relu(y), atol=1e-5)


class TestCanonical:
    def test_blocks_are_joined_where_projections_stay(self) -> None:
        arch = small("SuperResIDWE2K3(8,16,2,24,3)SuperResIDWE2K3(16,16,1,24,4)")
        whole = SPACE.canonical(arch)
        assert whole == small("SuperResIDWE2K3(8,16,2,24,7)")
        assert SPACE.canonical(whole) == whole
        assert parts(SPACE, arch) == parts(SPACE, whole)

    @pytest.mark.parametrize(
        "blocks",
        [
            "SuperResIDWE2K3(8,16,2,16,3)SuperResIDWE2K3(16,16,1,16,4)",  # a projection more
            "SuperResIDWE2K3(8,16,2,24,3)SuperResIDWE2K3(16,16,2,24,4)",
            "SuperResIDWE2K3(8,16,2,24,3)SuperResIDWE2K5(16,16,1,24,4)",
            "SuperResIDWE2K3(8,16,2,24,3)SuperResIDWE4K3(16,16,1,24,4)",
            "SuperResIDWE2K3(8,16,2,24,3)SuperResIDWE2K3(16,16,1,32,4)",
            "SuperResIDWE2K3(8,24,2,24,3)SuperResIDWE2K3(24,16,1,24,4)",
        ],
    )
    def test_others_are_not(self, blocks: str) -> None:
        arch = small(blocks)
        assert SPACE.canonical(arch) == arch

    def test_without_shortcuts_equal_widths_are_joined(self) -> None:
        space = MobileNetV2(shortcuts=False)
        arch = small("SuperResIDWE2K3(8,16,2,16,3)SuperResIDWE2K3(16,16,1,16,2)")
        whole = space.canonical(arch)
        assert whole == small("SuperResIDWE2K3(8,16,2,16,5)")
        assert parts(space, arch) == parts(space, whole)


def parts(space: MobileNetV2, arch: Structure) -> str:
    with torch.device("meta"):
        return str(space.build(arch, num_classes=3))


class TestMoves:
    def test_widths_and_depths(self) -> None:
        # Ties go to the even multiple of 8.
        assert [rounded(x) for x in (1, 12, 20, 28, 36)] == [8, 16, 16, 32, 32]
        assert moves.widths(8) == (16, 8)
        assert moves.widths(48) == (120, 96, 72, 64, 48, 40, 32, 24, 16)
        assert (moves.depths(1), moves.depths(2), moves.depths(5)) == (
            (1, 2, 3),
            (1, 2, 3, 4),
            (3, 4, 5, 6, 7),
        )

    @pytest.mark.parametrize("weights", ["aznas", "uniform"])
    def test_types_are_drawn_by_their_weights(self, weights: moves.TypeWeights) -> None:
        rng, n = np.random.default_rng(0), 20_000
        counts = Counter(moves.drawn_type(rng, weights) for _ in range(n))
        parts = np.array(range(12, 0, -1) if weights == "aznas" else [1] * 12)
        names = [(e, kernel) for kernel in (3, 5, 7) for e in (1, 2, 4, 6)]
        assert chisquare([counts[name] for name in names], n * parts / parts.sum()).pvalue > 0.01

    def test_blocks_are_picked_alike_and_the_others_stay(self) -> None:
        arch, rng, n = SPACE.parse(START), np.random.default_rng(1), 3000
        picked: Counter[int] = Counter()
        for _ in range(n):
            other = SPACE.candidate(arch, rng)
            assert (other.head.width_out, other.stem.kernel) == (2048, 3)
            changed = other.stem != arch.stem
            assert len(other.blocks) == 4  # no block of the start grows to 6 layers
            same = [shape(a) == shape(b) for a, b in zip(arch.blocks, other.blocks, strict=True)]
            assert changed + same.count(False) <= 1
            picked[0 if changed else 1 + same.index(False) if False in same else -1] += 1
        # The stem keeps its width in 1 of 2 draws, the last block always.
        least = 1 / 12 + 1 / 6
        for place in range(1, 5):
            assert abs(picked[place] / n - 1 / 6) < 0.03
        assert abs(picked[0] / n - 1 / 12) < 0.03
        assert abs(picked[-1] / n - least) < 0.03

    def test_long_blocks_are_cut(self) -> None:
        def layers(block: Residual) -> list[int]:
            return [part.layers for part in moves.cut(block)]

        block = Residual(2, 3, 8, 16, 2, 24, 7)
        assert moves.cut(block) == [
            Residual(2, 3, 8, 16, 2, 24, 3),
            Residual(2, 3, 16, 16, 1, 24, 4),
        ]
        assert [layers(replace(block, layers=n)) for n in (5, 6, 12)] == [[5], [3, 3], [3, 3, 3, 3]]

    @given(SEEDS, st.integers(1, 3), st.sampled_from([6, 9, 14]), st.booleans())
    @settings(max_examples=25)
    def test_mutations_stay_in_the_space(self, seed: int, draws: int, most: int, tight: bool) -> None:
        budget = 450_000_000 if tight else None
        space = MobileNetV2(max_layers=most, max_flops=budget)
        arch, rng, again = space.parse(START), np.random.default_rng(seed), np.random.default_rng(seed)
        for _ in range(8):
            other = space.mutate(arch, rng, draws)
            assert space.mutate(arch, again, draws) == other
            text = space.format(other)
            assert space.parse(text) == other
            assert space.canonical(other) != space.canonical(arch)
            assert other.layers <= most
            assert all(block.layers <= 5 for block in other.blocks)
            assert (other.stem.stride, other.stem.kernel) == (2, 3)
            assert replace(other.head, width_in=1) == replace(arch.head, width_in=1)
            strides = [block.stride for block in other.blocks]
            assert [stride for stride in strides if stride == 2] == [2] * 4
            assert len(other.blocks) >= len(arch.blocks)
            if budget:
                assert space.repo_flops(other) <= budget
            arch = other

    def test_a_structure_beyond_a_limit_goes_no_further(self) -> None:
        space, arch = MobileNetV2(max_layers=8, max_flops=500_000_000), SPACE.parse(ZEN900)
        other = space.mutate(arch, np.random.default_rng(0))
        assert other.layers <= arch.layers
        assert space.repo_flops(other) <= space.repo_flops(arch)
        assert space.beyond(arch)
        assert space.beyond(arch, arch) is None

    @given(SEEDS)
    @settings(max_examples=10)
    def test_samples(self, seed: int) -> None:
        space = MobileNetV2(max_flops=450_000_000)
        arch = space.sample(np.random.default_rng(seed))
        assert space.sample(np.random.default_rng(seed)) == arch
        assert space.beyond(arch) is None

    def test_limits_below_the_start_are_refused(self) -> None:
        with pytest.raises(ValueError, match="max_layers is at least 6"):
            MobileNetV2(max_layers=5)
        with pytest.raises(ValueError, match="max_flops is at least 162,396,776"):
            MobileNetV2(max_flops=1_000_000)


def shape(block: Residual) -> Residual:
    return replace(block, width_in=1)


def test_it_is_an_open_space_that_needs_no_pytorch() -> None:
    code = (
        "import sys; from nasbench_eval import spaces; import numpy as np; "
        "space = spaces.get('mobilenetv2'); "
        "space.flops(space.sample(np.random.default_rng(0)), resolution=224, num_classes=10); "
        "print(space.name, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "mobilenetv2 False\n"
    assert "mobilenetv2" in registry.own("spaces")
    assert is_open(spaces.get("mobilenetv2"))
    numbered = known(MobileNetV2(max_flops=450_000_000), [ZEN400])
    assert isinstance(numbered, Known)
    assert len(set(numbered.drawn(5, 0))) == 5
    assert numbered.drawn(5, 0)[:3] == numbered.drawn(3, 0)


def test_it_is_drawn_as_a_row() -> None:
    [graph] = SPACE.graphs(SPACE.parse(ZEN400))
    assert isinstance(SPACE, GraphSpace)
    assert graph.nodes[1:4] == ("K3 16 /2", "1x E1K7 40-40 /2", "1x E1K7 64-64 /2")
    assert [(edge.source, edge.target) for edge in graph.edges] == [(i, i + 1) for i in range(7)]


def test_networks_that_channels_last_would_break_run_channels_first() -> None:
    """A 1x1 convolution with a stride and fewer than 16 inputs, such as a projection behind a narrow stem."""
    narrow = SPACE.build(SPACE.parse(START), num_classes=10)
    wide = SPACE.build(SPACE.parse(ZEN400), num_classes=10)
    bare = MobileNetV2(shortcuts=False)
    assert narrow.tensor_layout == torch.contiguous_format
    assert wide.tensor_layout == torch.channels_last
    assert bare.build(bare.parse(START), num_classes=10).tensor_layout == torch.channels_last
