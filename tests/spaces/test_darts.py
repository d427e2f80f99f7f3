"""The DARTS space: genotypes and their two texts, sizes, networks against a plain forward pass, and edits."""

from __future__ import annotations

from itertools import pairwise, permutations
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import chisquare
from torch import Tensor, nn

from nasbench_eval.spaces._darts_genotype import (
    CELLS,
    EDGES,
    OPERATIONS,
    Edge,
    Genotype,
    MalformedGenotype,
)
from nasbench_eval.spaces._darts_moves import candidate, derived
from nasbench_eval.spaces._darts_network import CellNetwork
from nasbench_eval.spaces.darts import DARTS

# Published genotypes, and parameters of their networks of CIFAR-10 and of ImageNet.
VECTORS = {
    "DARTS_V1": (
        "sep3~1+sep3~0|skip~0+sep3~1|skip~0+sep3~1|sep3~0+skip~2"
        "/max~0+max~1|skip~2+max~0|max~0+skip~2|skip~2+avg~0",
        3_169_414,
        4_510_432,
    ),
    "DARTS_V2": (
        "sep3~0+sep3~1|sep3~0+sep3~1|sep3~1+skip~0|skip~0+dil3~2"
        "/max~0+max~1|skip~2+max~1|max~0+skip~2|skip~2+max~1",
        3_349_342,
        4_718_752,
    ),
    "TENAS_cifar10": (
        "dil3~0+sep5~1|sep3~0+sep3~2|skip~0+dil5~1|sep3~1+sep5~3"
        "/sep5~0+sep5~1|sep5~1+sep5~2|sep3~1+sep3~3|sep5~2+sep3~4",
        4_137_526,
        5_868_640,
    ),
    "TENAS_imagenet": (
        "sep3~0+skip~1|dil5~1+sep3~2|sep3~0+dil5~3|sep3~0+dil3~4"
        "/dil3~0+sep5~1|dil3~0+sep3~2|sep3~0+dil3~1|sep3~0+sep5~4",
        3_779_398,
        5_420_416,
    ),
    "TEGNAS_RL": (
        "sep5~0+sep5~1|dil3~0+dil3~1|skip~1+sep5~0|dil5~2+avg~1"
        "/sep5~1+sep5~0|dil5~0+max~2|sep3~2+sep5~1|sep5~2+sep3~3",
        3_557_782,
        5_134_336,
    ),
    "TEGNAS_Evolution": (
        "sep5~1+dil5~0|skip~2+sep5~1|skip~0+sep5~1|sep3~2+sep5~1"
        "/sep5~1+sep5~0|dil5~2+sep5~1|sep5~3+dil5~2|dil5~4+sep5~3",
        3_979_846,
        5_612_416,
    ),
    "TEGNAS_ProbNAS": (
        "dil3~0+sep5~1|sep3~0+sep3~2|skip~0+dil5~1|sep3~1+sep5~3"
        "/sep5~0+sep5~1|sep5~1+sep5~2|sep3~1+sep3~3|sep5~2+sep3~4",
        4_137_526,
        5_868_640,
    ),
    "PC_DARTS_cifar": (
        "sep3~1+skip~0|sep3~0+dil3~1|sep5~0+sep3~1|avg~0+dil3~1"
        "/sep5~1+max~0|sep5~1+sep5~2|sep3~0+sep3~3|sep3~1+sep3~2",
        3_634_678,
        5_270_560,
    ),
    "PC_DARTS_image": (
        "skip~1+sep3~0|sep3~0+skip~1|sep3~1+sep3~3|sep3~1+dil5~4"
        "/sep3~0+skip~1|dil5~2+max~1|sep3~2+sep3~1|sep5~0+sep3~3",
        3_721_510,
        5_342_464,
    ),
}
CIFAR, IMAGENET = DARTS(), DARTS(network="imagenet")
V2 = CIFAR.parse(VECTORS["DARTS_V2"][0])
PRINTED = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], "
    "normal_concat=[2, 3, 4, 5], reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), "
    "('max_pool_3x3', 1), ('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), "
    "('max_pool_3x3', 1)], reduce_concat=[2, 3, 4, 5])"
)
# All operations, the same source twice, and a node that is always zero and is read.
ODD = CIFAR.parse(
    "none~0+none~1|skip~2+sep5~0|dil5~1+dil5~1|avg~3+max~4/dil3~0+skip~1|none~2+sep5~0|avg~1+skip~3|max~0+dil5~4"
)


def drawn(n: int, space: DARTS = CIFAR) -> list[Genotype]:
    rng = np.random.default_rng(0)
    return [space.sample(rng) for _ in range(n)]


@pytest.mark.parametrize("name", VECTORS)
def test_published_genotypes_have_their_parameters(name: str) -> None:
    text, cifar, imagenet = VECTORS[name]
    arch = CIFAR.parse(text)
    assert CIFAR.params(arch, num_classes=10) == cifar
    assert CIFAR.params(arch, num_classes=100) == cifar + 51_930
    assert IMAGENET.params(arch, num_classes=1000) == imagenet


def test_both_texts_are_read_and_written() -> None:
    assert CIFAR.parse(PRINTED) == V2
    assert CIFAR.published(V2) == PRINTED
    assert CIFAR.format(V2) == VECTORS["DARTS_V2"][0]
    assert CIFAR.parse(PRINTED.replace("[2, 3, 4, 5]", "range(2, 6)")) == V2
    for arch in [*drawn(50), ODD]:
        assert CIFAR.parse(CIFAR.format(arch)) == arch
        assert CIFAR.parse(CIFAR.published(arch)) == arch


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "of the form `sep3~0"),
        ("sep3~0+sep3~1|sep3~0+sep3~1|skip~0+skip~1", "a slash"),
        (VECTORS["DARTS_V2"][0].replace("|skip~0+dil3~2", ""), "node 5 of the normal cell is missing"),
        (VECTORS["DARTS_V2"][0].replace("skip~0+dil3~2", "skip~0"), "node 5 of the normal cell has 1 edge"),
        (VECTORS["DARTS_V2"][0].replace("skip~0+dil3~2", "skip~0+dil3~2+skip~1"), "node 5 .* has 3 edges"),
        (VECTORS["DARTS_V2"][0] + "|skip~0+skip~1", "the reduce cell has 5 nodes of its own"),
        (VECTORS["DARTS_V2"][0].replace("dil3~2", "dil3~5"), "an edge from node 5; .* earlier nodes, 0 to 4"),
        (VECTORS["DARTS_V2"][0].replace("dil3~2", "dil7~2"), "'?dil7'? is no operation of DARTS: none, skip"),
        (VECTORS["DARTS_V2"][0].replace("dil3~2", "dil3"), "'?dil3'? is no edge such as sep3~0"),
        (PRINTED.replace(", ('dil_conv_3x3', 2)", ""), "7 edges, so that node 5 has 1"),
        (PRINTED.replace("('dil_conv_3x3', 2)", "('dil_conv_3x3', -1)"), "an edge from node -1"),
        (PRINTED.replace("('dil_conv_3x3', 2)", "('dil_conv_3x3', 7)"), "an edge from node 7"),
        (PRINTED.replace("[2, 3, 4, 5]", "[3, 4, 5]", 1), r"the normal cell puts out '\[3,4,5\]'"),
        (PRINTED.replace("normal_concat", "concat"), "of the form Genotype"),
        ("Genotype(normal=__import__('os').getcwd())", "of the form Genotype"),
        (PRINTED[:-1], "of the form Genotype"),
        ("sep3~0+" * 1000, "too long for a genotype"),
    ],
)
def test_what_is_no_genotype_is_refused_in_a_line(text: str, says: str) -> None:
    with pytest.raises(MalformedGenotype, match=says) as raised:
        CIFAR.parse(text)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"channels": 0}, "at least 1"),
        ({"network": "imagenet", "channels": 7}, "even"),
        ({"layers": 2, "auxiliary": True}, "layers=3"),
    ],
)
def test_options_that_no_network_has_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        DARTS(**options)


def counted(network: nn.Module, x: Tensor) -> int:
    """Multiply-accumulates of convolutions and linear layers, by hooks."""
    total = 0

    def hook(module: Any, _: Any, y: Tensor) -> None:
        nonlocal total
        total += module.weight.numel() * (y[0, 0].numel() if y.ndim == 4 else 1)

    kinds = (nn.Conv2d, nn.Linear)
    handles = [m.register_forward_hook(hook) for m in network.modules() if isinstance(m, kinds)]
    with torch.no_grad():
        network(x)
    for handle in handles:
        handle.remove()
    return total


@pytest.mark.parametrize(
    ("space", "resolution"),
    [
        (DARTS(channels=4, layers=8), 16),
        (DARTS(channels=1, layers=2, stem_multiplier=1), 8),
        (DARTS(channels=3, layers=1), 5),
        (DARTS(network="imagenet", channels=4, layers=6), 64),
    ],
)
def test_sizes_are_those_of_built_networks(space: DARTS, resolution: int) -> None:
    for arch in [*drawn(3), ODD, V2]:
        network = space.build(arch, num_classes=7).eval()
        assert space.params(arch, num_classes=7) == sum(p.numel() for p in network.parameters())
        x = torch.zeros(1, 3, resolution, resolution)
        assert space.flops(arch, resolution=resolution, num_classes=7) == counted(network, x)


def test_flops_of_the_papers_networks() -> None:
    assert CIFAR.flops(V2, resolution=32, num_classes=10) == 528_359_040
    assert IMAGENET.flops(V2, resolution=224, num_classes=1000) == 529_911_552


def test_images_of_odd_sizes_are_halved_as_well() -> None:
    for space in (DARTS(channels=2, layers=6), DARTS(network="imagenet", channels=2, layers=6)):
        for resolution in (15, 33):
            network = space.build(V2, num_classes=3).eval()
            expected = counted(network, torch.zeros(1, 3, resolution, resolution))
            assert space.flops(V2, resolution=resolution, num_classes=3) == expected
    with pytest.raises(ValueError, match="at least 1 pixel"):
        CIFAR.flops(V2, resolution=0, num_classes=10)


class Plain:
    """A forward pass written from the paper's figure, with a network's tensors in the order of its layers."""

    def __init__(self, network: Any) -> None:
        parts = (network.stem, network.second_stem, network.cells, network.classifier)
        kinds = (nn.Conv2d, nn.BatchNorm2d, nn.Linear)
        self.layers = [m for part in parts for m in part.modules() if isinstance(m, kinds)]
        self.at = 0

    def _next(self) -> Any:
        self.at += 1
        return self.layers[self.at - 1]

    def conv(self, x: Tensor, stride: int = 1, dilation: int = 1) -> Tensor:
        weight = self._next().weight
        pad = dilation * (weight.shape[-1] // 2)
        return F.conv2d(x, weight, None, stride, pad, dilation, groups=x.shape[1] // weight.shape[1])

    def bn(self, x: Tensor) -> Tensor:
        layer = self._next()
        return F.batch_norm(x, None, None, layer.weight, layer.bias, training=True, eps=layer.eps)

    def halve(self, x: Tensor) -> Tensor:
        x = F.relu(x)
        return self.bn(torch.cat([self.conv(x, 2), self.conv(x[:, :, 1:, 1:], 2)], 1))

    def edge(self, name: str, x: Tensor, stride: int) -> Tensor:
        if name == "none":
            return 0 * F.avg_pool2d(x, stride)
        if name == "skip_connect":
            return x if stride == 1 else self.halve(x)
        if name == "max_pool_3x3":
            return F.max_pool2d(x, 3, stride, 1)
        if name == "avg_pool_3x3":
            return F.avg_pool2d(x, 3, stride, 1, count_include_pad=False)
        if name.startswith("dil"):
            return self.bn(self.conv(self.conv(F.relu(x), stride, 2)))
        x = self.bn(self.conv(self.conv(F.relu(x), stride)))
        return self.bn(self.conv(self.conv(F.relu(x))))

    def cell(self, edges: list[tuple[str, int]], s0: Tensor, s1: Tensor, reduce: bool) -> Tensor:
        smaller = s0.shape[-1] > s1.shape[-1]
        states = [self.halve(s0) if smaller else self.bn(self.conv(F.relu(s0)))]
        states.append(self.bn(self.conv(F.relu(s1))))
        for first, second in zip(edges[::2], edges[1::2], strict=True):
            both = [self.edge(o, states[s], 2 if reduce and s < 2 else 1) for o, s in (first, second)]
            states.append(both[0] + both[1])
        return torch.cat(states[2:], 1)

    def logits(self, arch: Genotype, x: Tensor, layers: int, imagenet: bool) -> Tensor:
        if imagenet:
            s0 = self.bn(self.conv(F.relu(self.bn(self.conv(x, 2))), 2))
            s1 = self.bn(self.conv(F.relu(s0), 2))
        else:
            s0 = s1 = self.bn(self.conv(x))
        for place in range(layers):
            reduce = place in (layers // 3, 2 * layers // 3)
            cell = arch.reduce if reduce else arch.normal
            edges = [(e.operation, e.source) for node in cell for e in node]
            s0, s1 = s1, self.cell(edges, s0, s1, reduce)
        classifier = self._next()
        assert self.at == len(self.layers)
        return F.linear(s1.mean((2, 3)), classifier.weight, classifier.bias)


@pytest.mark.parametrize("imagenet", [False, True])
@pytest.mark.parametrize("arch", [V2, ODD, *drawn(2)], ids=str)
def test_networks_compute_what_the_paper_says(arch: Genotype, imagenet: bool) -> None:
    torch.manual_seed(0)
    space = DARTS(network="imagenet" if imagenet else "cifar", channels=4, layers=6)
    network = space.build(arch, num_classes=5).double().train()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    side = 64 if imagenet else 16
    x = torch.randn(3, 3, side, side, dtype=torch.float64)
    expected = Plain(network).logits(arch, x, 6, imagenet)
    torch.testing.assert_close(network(x), expected)
    assert torch.isfinite(expected).all()


def test_the_auxiliary_head_and_dropped_paths_are_for_training() -> None:
    torch.manual_seed(0)
    space = DARTS(channels=4, layers=6, auxiliary=True)
    network = space.build(V2, num_classes=5).train()
    assert isinstance(network, CellNetwork)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    x = torch.randn(4, 3, 32, 32)
    logits, auxiliary = network.both(x)
    assert logits.shape == auxiliary.shape == (4, 5)
    torch.testing.assert_close(network(x), logits)
    assert space.params(V2, num_classes=5) == DARTS(channels=4, layers=6).params(V2, num_classes=5)
    network.drop_paths(0.5)
    assert not torch.equal(network(x), network(x))
    network.eval()
    torch.testing.assert_close(network(x), network(x))
    bare = DARTS(channels=4, layers=6).build(V2, num_classes=5)
    assert isinstance(bare, CellNetwork)
    with pytest.raises(TypeError, match="auxiliary"):
        bare.both(x)


def test_the_auxiliary_head_of_imagenet_takes_maps_of_seven_pixels() -> None:
    network = DARTS(network="imagenet", channels=4, layers=6, auxiliary=True).build(V2, num_classes=5)
    assert isinstance(network, CellNetwork)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    assert network.both(torch.randn(2, 3, 224, 224))[1].shape == (2, 5)


def renamed(cell: Any, order: tuple[int, ...], swap: bool) -> Any:
    """The cell with its nodes in another order, or None where a node would come before one it reads."""
    place = {0: 0, 1: 1} | {2 + node: 2 + at for at, node in enumerate(order)}
    nodes = []
    for at, node in enumerate(order):
        edges = [Edge(e.operation, place[e.source]) for e in cell[node]]
        if any(e.source >= 2 + at for e in edges):
            return None
        nodes.append(tuple(reversed(edges)) if swap else tuple(edges))
    return tuple(nodes)


def test_isomorphic_genotypes_have_one_form() -> None:
    found = 0
    for arch in drawn(20):
        least = CIFAR.canonical(arch)
        assert CIFAR.canonical(least) == least
        for order in permutations(range(4)):
            if (normal := renamed(arch.normal, order, swap=True)) is not None:
                found += order != (0, 1, 2, 3)
                assert CIFAR.canonical(Genotype(normal, arch.reduce)) == least
    assert found > 20


def test_different_genotypes_have_different_forms() -> None:
    archs = drawn(300)
    sizes = {str(CIFAR.canonical(a)): CIFAR.params(a, num_classes=10) for a in archs}
    assert len(sizes) == len(archs)
    other = Genotype(V2.reduce, V2.normal)
    assert CIFAR.canonical(other) != CIFAR.canonical(V2)


def test_what_none_reads_does_not_matter() -> None:
    text = "none~0+sep3~1|skip~0+skip~1|skip~0+skip~1|skip~0+skip~1"
    one, two = (CIFAR.parse(f"{t}/{t}") for t in (text, text.replace("none~0", "none~1")))
    assert CIFAR.canonical(one) == CIFAR.canonical(two)


def test_samples_are_what_darts_derives_from_uniform_weights() -> None:
    archs = drawn(400)
    edges = [edge for arch in archs for cell in arch.cells for node in cell for edge in node]
    names = [o for o in OPERATIONS if o != "none"]
    assert {edge.operation for edge in edges} == set(names)
    assert chisquare([sum(e.operation == o for e in edges) for o in names]).pvalue > 1e-3
    pairs = [tuple(sorted(e.source for e in cell[3])) for arch in archs for cell in arch.cells]
    assert all(a < b for a, b in pairs)
    assert chisquare([pairs.count((a, b)) for b in range(5) for a in range(b)]).pvalue > 1e-3


def test_a_genotype_is_derived_from_the_largest_weights() -> None:
    weights = np.zeros((len(CELLS), len(EDGES), len(OPERATIONS)))
    weights[..., OPERATIONS.index("none")] = 9  # never kept
    weights[..., OPERATIONS.index("skip_connect")] = 0.1
    weights[0, EDGES.index((3, 5)), OPERATIONS.index("sep_conv_5x5")] = 2
    weights[0, EDGES.index((1, 5)), OPERATIONS.index("max_pool_3x3")] = 1
    arch = derived(weights)
    assert str(arch) == "skip~0+skip~1|skip~0+skip~1|skip~0+skip~1|sep5~3+max~1/" + "|".join(
        ["skip~0+skip~1"] * 4
    )


def differences(one: Genotype, other: Genotype) -> int:
    return sum(
        a != b
        for x, y in zip(one.cells, other.cells, strict=True)
        for n, m in zip(x, y, strict=True)
        for a, b in zip(n, m, strict=True)
    )


def test_mutations_change_one_edge() -> None:
    rng, arch = np.random.default_rng(1), V2
    for _ in range(300):
        arch, before = CIFAR.mutate(arch, rng), arch
        assert differences(arch, before) == 1
        assert CIFAR.canonical(arch) != CIFAR.canonical(before)
        assert all(
            a.source != b.source and "none" not in (a.operation, b.operation)
            for cell in arch.cells
            for a, b in cell
        )


def test_mutations_of_teg_nas_bring_none_and_the_same_source_twice() -> None:
    rng, archs = np.random.default_rng(1), [V2]
    for _ in range(300):
        archs.append(candidate(archs[-1], rng, "teg"))
    assert all(differences(one, other) <= 1 for one, other in pairwise(archs))
    nodes = [node for arch in archs for cell in arch.cells for node in cell]
    assert any(a.source == b.source for a, b in nodes)
    assert any("none" in (a.operation, b.operation) for a, b in nodes)


def test_neighbours_are_where_mutations_lead() -> None:
    rng = np.random.default_rng(2)
    near = set(map(str, CIFAR.neighbours(V2)))
    assert {str(CIFAR.mutate(V2, rng)) for _ in range(2000)} == near
    assert all(differences(V2, CIFAR.parse(text)) == 1 for text in near)


def test_an_operation_on_what_is_always_zero_is_not_live() -> None:
    assert CIFAR.live(V2)
    assert not CIFAR.live(ODD)  # its normal cell's node 2 is zero, and node 3 reads it
    assert [graph.name for graph in CIFAR.graphs(V2)] == ["normal", "reduce"]


def test_the_cells_alone_are_those_of_a_network_of_two() -> None:
    space = DARTS(channels=1, layers=2, stem_multiplier=1)
    whole, loose = space.build(V2, num_classes=3), space.build_cell(V2, num_classes=3)
    sizes = [{n: tuple(p.shape) for n, p in net.cells.named_parameters()} for net in (whole, loose)]
    assert sizes[0] == sizes[1]
    assert loose(torch.zeros(2, 1, 4, 4)).shape == (2, 3)
    assert space.resized(channels=3, cells=1) == DARTS(channels=3, layers=5, stem_multiplier=1)


def test_thin_networks_keep_to_the_layout_that_kernels_can_bear() -> None:
    # Halving fewer than 16 channels in channels last writes past the end of memory (see _network).
    space = DARTS(channels=1, layers=2, stem_multiplier=1)
    halving = CIFAR.parse(VECTORS["DARTS_V2"][0].replace("max~0+max~1", "skip~0+skip~1"))
    for network in (space.build(halving, num_classes=3), space.build_cell(halving, num_classes=3)):
        assert network.tensor_layout == torch.contiguous_format


def test_no_score_sees_the_auxiliary_head() -> None:
    bare, headed = (DARTS(channels=2, layers=3, auxiliary=a).build(V2, num_classes=3) for a in (False, True))
    assert list(headed.seen_modules()) == list(bare.seen_modules())
    assert len(list(headed.parameters())) > len(list(bare.parameters()))
