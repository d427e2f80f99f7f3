"""TransNAS-Bench-101's micro cells: order, texts, classes, and the networks around them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from random import Random
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import kendalltau
from torch import Tensor, nn

from nasbench_eval.registry import find
from nasbench_eval.search.moves import moves_of
from nasbench_eval.spaces.base import GraphSpace, Network, Sizes, Task, TaskSpace
from nasbench_eval.spaces.open import ByChoices
from nasbench_eval.spaces.transnas_micro import EDGES, OPERATIONS, Cell, TransNASMicro

SPACE = TransNASMicro()
TINY = TransNASMicro(channels=16, cells_per_module=1)
FOLDER = Path(os.environ.get("NASBENCH_EVAL_DATA") or "/nowhere")
TABLE = FOLDER / "transnas101_micro.parquet"
needs_table = pytest.mark.skipif(
    not TABLE.is_file(), reason="NASBENCH_EVAL_DATA names no folder with transnas101_micro.parquet"
)


def cell(text: str) -> Cell:
    return SPACE.parse(text)


# The list of cells


def test_the_registry_finds_it() -> None:
    assert find("spaces", "transnas_micro") is TransNASMicro
    assert SPACE.name == "transnas_micro"
    assert isinstance(SPACE, Sizes)
    assert isinstance(SPACE, TaskSpace)
    assert isinstance(SPACE, ByChoices)
    assert isinstance(SPACE, GraphSpace)


def test_every_cell_has_one_index() -> None:
    assert len(SPACE) == 4**6 == 4096
    cells = [SPACE.arch(index) for index in range(4096)]
    assert len(set(cells)) == 4096
    assert [SPACE.index(each) for each in cells] == list(range(4096))
    texts = [SPACE.format(each) for each in cells]
    assert texts == sorted(texts)
    assert (texts[0], texts[1], texts[-1]) == ("64-41414-0_00_000", "64-41414-0_00_001", "64-41414-3_33_333")


@needs_table
def test_the_order_is_the_tables() -> None:
    table = pd.read_parquet(TABLE, columns=["arch"])
    assert table["arch"].tolist() == [SPACE.format(SPACE.arch(index)) for index in range(4096)]


@pytest.mark.parametrize("index", [-1, 4096, 10**9])
def test_no_such_index(index: int) -> None:
    with pytest.raises(IndexError, match=rf"0 to 4095.* no cell {index}"):
        SPACE.arch(index)


# Texts


def test_digits_are_the_operations_on_the_edges() -> None:
    found = cell("64-41414-1_02_333")
    assert dict(zip(EDGES, found.digits, strict=True)) == {
        (0, 1): 1,
        (0, 2): 0,
        (1, 2): 2,
        (0, 3): 3,
        (1, 3): 3,
        (2, 3): 3,
    }
    assert found.operations[:3] == ("skip_connect", "none", "nor_conv_1x1")
    assert cell("1_02_333") == cell(" 64-41414-1_02_333\n") == found


WRONG = {
    "empty": ("", "not of the form 64-41414-a_bc_def"),
    "a fifth operation": ("64-41414-1_02_334", "'4' in .* the digits are 0 to 3"),
    "another skeleton": ("64-1234-1_02_333", "'64-1234' in .* no skeleton"),
    "another width": ("32-41414-1_02_333", "'32-41414' in .* no skeleton"),
    "a macro network": ("64-1234-basic", "not of the form"),
    "an edge too few": ("64-41414-1_02_33", "not of the form"),
    "an edge too many": ("64-41414-1_02_3333", "not of the form"),
    "no bars": ("64-41414-102333", "not of the form"),
    "no skeleton but a dash": ("-1_02_333", "not of the form"),
    "a bar in the place of a digit": ("1_0__333", "'_' in .* the digits are 0 to 3"),
    "digits of another script": ("١_02_333", "the digits are 0 to 3"),
    "control characters": ("\x1b[31m" * 100, "not of the form"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_texts(case: str) -> None:
    text, words = WRONG[case]
    with pytest.raises(ValueError, match=words) as caught:
        SPACE.parse(text)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("digits", [(0,) * 5, (0,) * 7, (0, 1, 2, 3, 4, 0), ()])
def test_no_cell(digits: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="6 digits from 0 to 3"):
        Cell(digits)


@pytest.mark.parametrize("size", [{"channels": 0}, {"cells_per_module": 0}])
def test_no_space(size: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        TransNASMicro(**size)


# Classes


def graph(of: Cell) -> Any:
    """The edges on paths from the input to the output, the ends told apart from the other nodes."""
    whole: Any = nx.DiGraph()
    whole.add_nodes_from((node, {"end": node if node in (0, 3) else -1}) for node in range(4))
    whole.add_edges_from(
        (*edge, {"digit": digit}) for edge, digit in zip(EDGES, of.digits, strict=True) if digit
    )
    on_paths = (nx.descendants(whole, 0) | {0}) & (nx.ancestors(whole, 3) | {3})
    return whole.edge_subgraph([(s, t) for s, t in whole.edges if {s, t} <= on_paths])


def test_cells_of_a_class_are_isomorphic_and_no_others() -> None:
    rng = Random(0)
    cells = [SPACE.arch(index) for index in rng.sample(range(4096), 60)]
    # Beside random cells some that differ in the order of nodes or in dead edges alone.
    cells += [Cell((b, a, 0, d, f, e)) for a, b, c, d, e, f in (each.digits for each in cells) if not c]
    cells += [Cell((a, 0, 0, d, e, f)) for a, b, c, d, e, f in (each.digits for each in cells[:20])]
    graphs = [graph(each) for each in cells]
    same = 0
    for (one, mine), (other, theirs) in combinations(zip(cells, graphs, strict=True), 2):
        alike = nx.is_isomorphic(mine, theirs, node_match=lambda a, b: a == b, edge_match=lambda a, b: a == b)
        assert (SPACE.canonical(one) == SPACE.canonical(other)) == alike, (one, other)
        same += alike
    assert same > 20


def test_live_cells_are_those_whose_edges_all_are_on_paths() -> None:
    cells = [SPACE.arch(index) for index in range(4096)]
    live = [each for each in cells if SPACE.live(each)]
    assert len(live) == 2128
    chosen = Random(1).sample(cells, 300)
    assert [SPACE.live(each) for each in chosen] == [
        graph(each).number_of_edges() == 6 - each.digits.count(0) for each in chosen
    ]
    assert {SPACE.canonical(each) for each in cells} == {SPACE.canonical(each) for each in live}
    assert sum(SPACE.canonical(each) == cell("0_00_000") for each in cells) == 169


def test_neighbours_differ_in_one_digit() -> None:
    here = cell("1_02_333")
    near = SPACE.neighbours(here)
    assert len(set(near)) == len(near) == 18
    assert {sum(a != b for a, b in zip(here.digits, each.digits, strict=True)) for each in near} == {1}


def test_graphs_are_drawn_as_those_of_nasbench201() -> None:
    [drawn] = SPACE.graphs(cell("1_02_333"))
    assert [(edge.source, edge.target) for edge in drawn.edges] == list(EDGES)
    assert [edge.operations for edge in drawn.edges] == [(OPERATIONS[d],) for d in (1, 0, 2, 3, 3, 3)]


def test_searches_take_the_digits_for_choices() -> None:
    moves = moves_of(SPACE)
    assert moves.choices == (4,) * 6
    archs = np.array([[0, 77], [1215, 4095]])
    choices = moves.encode(archs)
    assert choices.shape == (2, 2, 6)
    assert choices[1, 0].tolist() == list(SPACE.arch(1215).digits)
    assert moves.decode(choices).tolist() == archs.tolist()
    assert len(moves.neighbours(1215)) == 18


# Sizes

# Parameters of the encoder, and multiply-accumulates of its convolutions at 256 and 64 pixels.
KNOWN = {
    "0_00_000": (19_488, 89_653_248, 5_603_328),
    "1_11_111": (540_960, 165_150_720, 10_321_920),
    "2_22_222": (4_645_920, 1_020_788_736, 63_799_296),
    "3_33_333": (41_411_616, 8_469_872_640, 529_367_040),
    "1_02_333": (22_520_608, 4_585_947_136, 286_621_696),
    "2_32_323": (22_340_640, 4_644_667_392, 290_291_712),
    "1_00_210": (878_368, 257_425_408, 16_089_088),
}
# Parameters of the heads as the benchmark's networks have them.
HEADS: dict[str, tuple[Task, int, int]] = {
    "class_scene": ("classification", 47, 24_111),
    "class_object": ("classification", 75, 38_475),
    "room_layout": ("regression", 9, 4_617),
    "jigsaw": ("jigsaw", 1000, 4_609_000),
    "segmentsemantic": ("segmentation", 17, 11_024_177),
    "autoencoder": ("autoencoding", 3, 22_871_859),
    "normal": ("normals", 3, 22_871_859),
}


@pytest.mark.parametrize("text", KNOWN)
def test_sizes_of_the_encoder(text: str) -> None:
    params, macs_256, macs_64 = KNOWN[text]
    for task, outputs, head in HEADS.values():
        assert SPACE.sizes(task).params(cell(text), num_classes=outputs) == params + head
    assert SPACE.params(cell(text), num_classes=47) == params + 24_111
    for resolution, macs in ((256, macs_256), (64, macs_64)):
        assert SPACE.sizes("jigsaw").encoder_flops(cell(text), resolution=resolution) == macs
        assert SPACE.flops(cell(text), resolution=resolution, num_classes=47) == macs + 512 * 47


@pytest.mark.parametrize(
    ("text", "task", "outputs", "params"),
    [
        # as NAS-Bench-Suite-Zero's raw scores give them, whose classifiers of scenes have 63 outputs
        ("3_33_333", "classification", 63, 41_443_935),
        ("2_32_323", "classification", 63, 22_372_959),
        ("1_00_210", "classification", 63, 910_687),
        ("3_33_333", "jigsaw", 1000, 46_020_616),
        ("2_32_323", "jigsaw", 1000, 26_949_640),
        ("1_00_210", "jigsaw", 1000, 5_487_368),
    ],
)
def test_published_parameters(text: str, task: Task, outputs: int, params: int) -> None:
    assert SPACE.sizes(task).params(cell(text), num_classes=outputs) == params


def counted(modules: Mapping[str, nn.Module], run: nn.Module, x: Tensor) -> tuple[int, int]:
    """Multiply-accumulates of all rows and parameters, from the layers themselves."""
    macs = 0

    def hook(module: nn.Module, args: tuple[Tensor, ...], y: Tensor) -> None:
        nonlocal macs
        # A transposed convolution multiplies each input with a kernel, the others each output.
        met = args[0] if isinstance(module, nn.ConvTranspose2d) else y
        assert isinstance(module.weight, Tensor)
        macs += met.numel() * module.weight[0].numel()

    kinds = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
    handles = [m.register_forward_hook(hook) for m in modules.values() if isinstance(m, kinds)]
    with torch.no_grad():
        run(x)
    for handle in handles:
        handle.remove()
    return macs, sum(p.numel() for m in modules.values() for p in m.parameters(recurse=False))


@pytest.mark.parametrize("space", [SPACE, TransNASMicro(channels=5, cells_per_module=1)])
def test_sizes_are_those_of_the_network(space: TransNASMicro) -> None:
    for index in [0, 4095, *Random(1).sample(range(4096), 3)]:
        arch = space.arch(index)
        with torch.device("meta"):
            network = space.build(arch, num_classes=7).eval()
            for resolution in (256, 64, 50):
                mine = space.flops(arch, resolution=resolution, num_classes=7)
                x = torch.empty(1, 3, resolution, resolution)
                found = counted(dict(network.named_modules()), network, x)
                assert found == (mine, space.params(arch, num_classes=7)), (index, resolution)


@pytest.mark.parametrize("name", [name for name in HEADS if not name.startswith("class")])
def test_sizes_are_those_of_the_network_with_a_head(name: str) -> None:
    task, outputs, _ = HEADS[name]
    arch, sizes = cell("1_02_333"), SPACE.sizes(task)
    with torch.device("meta"):
        network = SPACE.build(arch, num_classes=1).eval()
        head = network.task_head(task, outputs).eval()
        network.use_head(head)
        modules = {**network.seen_modules(), **network.seen_classifier()}
        x = torch.empty(1, 3 * head.rows, 64, 64)
        assert counted(modules, network, x) == (
            sizes.flops(arch, resolution=64, num_classes=outputs),
            sizes.params(arch, num_classes=outputs),
        )


def test_decoders_give_back_multiples_of_32_pixels_alone() -> None:
    for task in ("segmentation", "autoencoding", "normals"):
        for resolution in (16, 48, 255):
            with pytest.raises(ValueError, match=rf"{resolution} pixels are no multiple of 32"):
                SPACE.sizes(task).flops(SPACE.arch(0), resolution=resolution, num_classes=3)


# Kendall's tau with the validation metric over all cells, and that of the encoder's MACs at 256 pixels.
TAUS = {
    "class_scene_valid_top1": (0.451, 0.463),
    "class_object_valid_top1": (0.323, 0.330),
    "jigsaw_valid_top1": (0.291, 0.298),
    "room_layout_valid_neg_loss": (0.207, 0.207),
    "segmentsemantic_valid_mIoU": (0.445, 0.457),
    "autoencoder_valid_ssim": (-0.026, -0.033),
    "normal_valid_ssim": (0.472, 0.482),
}


@needs_table
def test_sizes_rank_the_cells_as_they_should() -> None:
    table = pd.read_parquet(TABLE, columns=list(TAUS))
    cells = [SPACE.arch(index) for index in range(4096)]
    params = [SPACE.params(each, num_classes=47) for each in cells]
    macs = [SPACE.flops(each, resolution=256, num_classes=47) for each in cells]
    assert (len(set(params)), len(set(macs))) == (200, 170)
    for column, expected in TAUS.items():
        found = [kendalltau(values, table[column]).statistic for values in (params, macs)]
        assert tuple(round(float(tau), 3) for tau in found) == expected, column


# The network


def norm(x: Tensor, module: nn.Module) -> Tensor:
    mean, variance = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), keepdim=True, correction=0)
    weight, bias = module.weight.view(-1, 1, 1), module.bias.view(-1, 1, 1)  # type: ignore[operator]
    return (x - mean) / (variance + 1e-5).sqrt() * weight + bias


def edge(digit: int, module: nn.Module | None, x: Tensor, width: int, stride: int) -> Tensor:
    """An edge's output from the definition of its digit."""
    side = (x.shape[-1] + stride - 1) // stride
    if digit == 0:
        return torch.zeros(len(x), width, side, side)
    if digit == 1 and stride == 1:
        return x
    inside = dict(module.named_parameters()) if module is not None else {}
    if digit == 1:
        x = F.relu(x)
        padded = F.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]
        halves = (x @ torch.eye(x.shape[-1])[:, ::2])[:, :, ::2], padded[:, :, ::2, ::2]
        kernels = inside["first.weight"][:, :, 0, 0], inside["last.weight"][:, :, 0, 0]
        made = [torch.einsum("oc,bchw->bohw", k, h) for k, h in zip(kernels, halves, strict=True)]
        return norm(torch.cat(made, 1), module.norm)  # type: ignore[union-attr, arg-type]
    made_ = F.conv2d(F.relu(x), inside["1.weight"], stride=stride, padding=digit - 2)
    return norm(made_, module[2])  # type: ignore[index]


def reference(network: Network, arch: Cell, x: Tensor) -> Tensor:
    """Last maps, from the definitions: a node is the sum of all edges that lead to it."""
    convolution, first, second = network.stem.children()
    x = norm(F.conv2d(x, convolution.weight, stride=2, padding=1), first)  # type: ignore[arg-type]
    x = norm(F.conv2d(F.relu(x), second[1].weight, stride=2, padding=1), second[2])  # type: ignore[index]
    doubled = (True, False, True, False, True)
    for module, changes in enumerate(doubled):
        for place in range(len(network.cells) // 5):
            block = network.cells[module * (len(network.cells) // 5) + place]
            changing = changes and place == 0
            width = 2 * x.shape[1] if changing else x.shape[1]
            nodes = [x]
            for target in (1, 2, 3):
                terms = []
                for (source, end), digit in zip(EDGES, arch.digits, strict=True):
                    if end == target:
                        key = f"{source}_{target}"
                        edges: nn.ModuleDict = block.edges  # type: ignore[assignment]
                        stride = 2 if changing and source == 0 else 1
                        on = dict(edges.items()).get(key)
                        terms.append(edge(digit, on, nodes[source], width, stride))
                nodes.append(torch.stack(terms).sum(0))
            x = nodes[-1]
    return x


@pytest.mark.parametrize("text", ["1_11_111", "3_21_123", "1_02_333", "0_31_102", "3_00_000", "0_00_013"])
@pytest.mark.parametrize("side", [64, 45])
def test_features_are_those_of_the_definition(text: str, side: int) -> None:
    space = TransNASMicro(channels=16, cells_per_module=2)
    arch = cell(text)
    network = space.build(arch, num_classes=5).train()
    g = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=g) / max(1, parameter[0].numel()) ** 0.5)
        x = torch.randn(3, 3, side, side, generator=g)
        features = network.features(x)
        torch.testing.assert_close(features, reference(network, arch, x), rtol=1e-3, atol=1e-4)
        logits = features.mean((2, 3)) @ network.classifier.weight.T + network.classifier.bias
        torch.testing.assert_close(network(x), logits, rtol=1e-3, atol=1e-4)
    assert features.shape == (3, 128, (side + 31) // 32, (side + 31) // 32)


def test_isomorphic_cells_compute_the_same() -> None:
    one, other = cell("3_10_231"), cell("1_30_213")
    assert SPACE.canonical(one) == SPACE.canonical(other)
    networks = [TINY.build(each, num_classes=3).train() for each in (one, other)]
    g = torch.Generator().manual_seed(0)
    state = {
        name: torch.randn(values.shape, generator=g) if values.is_floating_point() else values
        for name, values in networks[0].state_dict().items()
    }
    moved = {"0_1": "0_2", "0_2": "0_1", "1_3": "2_3", "2_3": "1_3"}
    renamed = {}
    for name, values in state.items():
        parts = name.split(".")
        renamed[".".join(moved.get(part, part) for part in parts)] = values
    networks[0].load_state_dict(state)
    networks[1].load_state_dict(renamed)
    x = torch.randn(2, 3, 32, 32, generator=g)
    with torch.no_grad():
        torch.testing.assert_close(networks[0](x), networks[1](x), rtol=1e-3, atol=1e-3)


def test_thin_networks_keep_away_from_kernels_that_they_crash() -> None:
    layouts = [TransNASMicro(c, 1).build(cell("2_11_111"), num_classes=2).tensor_layout for c in (8, 64)]
    assert layouts == [torch.contiguous_format, torch.channels_last]
