"""NAS-Bench-201: its cells, their order and names, and the networks around them."""

from __future__ import annotations

import os
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from nasbench_eval.data.datasets import DataSet
from nasbench_eval.passes import Engine, ForwardSpec, PassSpec, Request
from nasbench_eval.proxies.flops import Flops
from nasbench_eval.proxies.params import Params
from nasbench_eval.registry import find
from nasbench_eval.seeding import generator
from nasbench_eval.spaces.base import Network
from nasbench_eval.spaces.nasbench201 import (
    EDGES,
    OPERATIONS,
    Cell,
    NASBench201,
    from_operations,
    unique_string,
)

SPACE = NASBench201()
TINY = NASBench201(channels=4, cells_per_stage=1)
# The cell whose cost NAS-Bench-201 states: 153.27 M FLOPs and 1.073 M parameters on CIFAR-10.
STATED = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_1x1~1|nor_conv_3x3~2|"
TABLE = Path(os.environ.get("NASBENCH_EVAL_DATA") or "/nowhere") / "nasbench201.parquet"

cells = st.builds(Cell, st.tuples(*[st.sampled_from(OPERATIONS)] * 6))


# The list of cells


def test_the_registry_finds_it() -> None:
    assert find("spaces", "nasbench201") is NASBench201
    assert SPACE.name == "nasbench201"


def test_first_cell() -> None:
    assert SPACE.format(SPACE.arch(0)) == (
        "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"
    )


def test_every_cell_has_one_index() -> None:
    assert len(SPACE) == 5**6 == 15625
    listed = [SPACE.arch(index).operations for index in range(len(SPACE))]
    assert len(set(listed)) == 15625
    assert set(listed) == set(product(OPERATIONS, repeat=6))


def test_the_order_does_not_depend_on_the_widths() -> None:
    assert all(TINY.arch(index) == SPACE.arch(index) for index in range(0, 15625, 500))


@pytest.mark.skipif(not TABLE.is_file(), reason="NASBENCH_EVAL_DATA names no folder with nasbench201.parquet")
def test_the_order_is_the_tables() -> None:
    table = pd.read_parquet(TABLE, columns=["index", "arch"])
    assert table["index"].tolist() == list(range(15625))
    assert table["arch"].tolist() == [SPACE.format(SPACE.arch(index)) for index in range(15625)]


@pytest.mark.parametrize("index", [-1, 15625, 10**9])
def test_no_such_index(index: int) -> None:
    with pytest.raises(IndexError, match=rf"0 to 15624.* no cell {index}"):
        SPACE.arch(index)


# Strings


@given(cells)
def test_parse_inverts_format(cell: Cell) -> None:
    assert SPACE.parse(SPACE.format(cell)) == cell


@given(cells)
def test_the_string_names_edges_by_their_source(cell: Cell) -> None:
    nodes = SPACE.format(cell).split("+")
    assert [node.count("|") for node in nodes] == [2, 3, 4]
    named = {
        (int(source), target): operation
        for target, node in enumerate(nodes, start=1)
        for operation, source in (token.split("~") for token in node.strip("|").split("|"))
    }
    assert named == dict(zip(EDGES, cell.operations, strict=True))


def test_surrounding_space_is_no_matter() -> None:
    assert SPACE.parse(f" {STATED}\n") == SPACE.parse(STATED)


WRONG = {
    "empty": ("", "form|operation"),
    "an unknown operation": (STATED.replace("nor_conv_1x1", "nor_conv_7x7"), "nor_conv_7x7"),
    "a missing node": ("|none~0|+|none~0|none~1|", r"not of the form"),
    "a missing edge": ("|none~0|+|none~0|+|none~0|none~1|none~2|", r"not of the form"),
    "one edge too many": (STATED[:-1] + "|none~3|", r"not of the form"),
    "a wrong source": (STATED.replace("~2", "~1"), r"not of the form"),
    "no source": (STATED.replace("~0", ""), r"not of the form"),
    "wrong bars": (STATED.replace("|+|", "+"), r"not of the form"),
    "nodes run together": (STATED.replace("+", ""), "form|operation"),
    "a list of numbers": ("[3, 3, 3, 1, 2, 3]", "operation"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_strings(case: str) -> None:
    text, words = WRONG[case]
    with pytest.raises(ValueError, match=words) as caught:
        SPACE.parse(text)
    assert f"'{text}'" in str(caught.value)


@pytest.mark.parametrize("text", ["|none~0|\n" * 3, "none" * 500, "\x1b[31m" + STATED])
def test_whatever_it_quotes_a_message_is_one_short_line(text: str) -> None:
    with pytest.raises(ValueError, match=r"NAS-Bench-201|not of the form") as caught:
        SPACE.parse(text)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


@given(st.text(max_size=80))
def test_any_other_text_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"NAS-Bench-201|form"):
        SPACE.parse(text)


@pytest.mark.parametrize("operations", [("none",) * 5, ("none",) * 7, ("none",) * 5 + ("conv",), ()])
def test_no_cell(operations: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="6 operations out of"):
        Cell(operations)


# Isomorphic cells

# Pairs that compute the same function, and where the modules of the first are found in the second.
ISOMORPHIC = {
    "a skip delays the path": (
        "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|nor_conv_1x1~2|",
        "|skip_connect~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|nor_conv_1x1~2|",
        {"0_1": "1_2", "2_3": "2_3"},
    ),
    "the same source by two names": (
        "|skip_connect~0|+|none~0|none~1|+|nor_conv_3x3~0|nor_conv_1x1~1|none~2|",
        "|skip_connect~0|+|none~0|none~1|+|nor_conv_1x1~0|nor_conv_3x3~1|none~2|",
        {"0_3": "1_3", "1_3": "0_3"},
    ),
}
# NATS-Bench's rule keeps the zero of a `none` in the sum, so to it these are two: hence 6,466 classes.
APART_BY_A_ZERO = (
    "|nor_conv_3x3~0|+|skip_connect~0|none~1|+|none~0|nor_conv_1x1~1|avg_pool_3x3~2|",
    "|skip_connect~0|+|nor_conv_3x3~0|none~1|+|none~0|avg_pool_3x3~1|nor_conv_1x1~2|",
    {"0_1": "0_2", "0_2": "0_1", "1_3": "2_3", "2_3": "1_3"},
)
DIFFERENT = [
    APART_BY_A_ZERO[:2],
    # the order of operations on a path
    (
        "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|none~0|none~1|skip_connect~2|",
        "|nor_conv_1x1~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|skip_connect~2|",
    ),
    # two paths and one
    (
        "|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|none~0|skip_connect~1|skip_connect~2|",
        "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|skip_connect~1|none~2|",
    ),
    # a signal and none
    (
        "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|",
        "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
    ),
]


def initialised(space: NASBench201, cell: str, num_classes: int = 10) -> Network:
    """A network with weights by name."""
    network = space.build(space.parse(cell), num_classes=num_classes)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator(name)))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
    return network


def tiny_flops(cell: str) -> float:
    return _cost(TINY, cell, Flops(resolution=8), 10, 8)


@pytest.mark.parametrize("case", ISOMORPHIC)
def test_isomorphic_cells_have_one_representative(case: str) -> None:
    one, other, _ = ISOMORPHIC[case]
    a, b = SPACE.parse(one), SPACE.parse(other)
    assert a != b
    assert unique_string(a) == unique_string(b)
    assert SPACE.canonical(a) == SPACE.canonical(b)
    assert tiny_flops(one) == tiny_flops(other)


@pytest.mark.parametrize(("one", "other", "places"), [*ISOMORPHIC.values(), APART_BY_A_ZERO])
def test_these_cells_compute_the_same_from_the_same_weights(
    one: str, other: str, places: dict[str, str]
) -> None:
    first, second = initialised(TINY, one), initialised(TINY, other)
    weights = first.state_dict()
    for name in second.state_dict():
        if "edges" in name:
            head, _, tail = name.partition("edges.")
            edge, rest = tail.split(".", 1)
            source = next(a for a, b in places.items() if b == edge)
            weights[name] = first.state_dict()[f"{head}edges.{source}.{rest}"]
    second.load_state_dict({name: weights[name] for name in second.state_dict()})
    x = torch.randn(4, 3, 8, 8, generator=generator("x"))
    torch.testing.assert_close(first(x), second(x))
    assert first(x).std() > 1e-3


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different_cells_stay_apart(one: str, other: str) -> None:
    assert SPACE.canonical(SPACE.parse(one)) != SPACE.canonical(SPACE.parse(other))


def test_a_convolution_that_nothing_reads_does_not_tell_cells_apart() -> None:
    read = "|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|"
    with_dead = "|nor_conv_1x1~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|"
    assert SPACE.canonical(SPACE.parse(read)) == SPACE.canonical(SPACE.parse(with_dead))
    x = torch.randn(2, 3, 8, 8, generator=generator("x"))
    torch.testing.assert_close(initialised(TINY, read)(x), initialised(TINY, with_dead)(x), rtol=0, atol=0)


def test_canonical_cells_of_the_whole_space() -> None:
    index = {SPACE.arch(i): i for i in range(len(SPACE))}
    representatives = [SPACE.canonical(SPACE.arch(i)) for i in range(len(SPACE))]
    assert len(set(representatives)) == 6466  # the paper's count of isomorphism classes
    assert all(SPACE.canonical(cell) == cell for cell in set(representatives))
    assert all(index[cell] <= i for i, cell in enumerate(representatives))


def test_neighbours_differ_in_one_operation() -> None:
    cell = SPACE.parse(STATED)
    neighbours = SPACE.neighbours(cell)
    assert len(set(neighbours)) == len(neighbours) == 24
    for neighbour in neighbours:
        assert sum(a != b for a, b in zip(cell.operations, neighbour.operations, strict=True)) == 1


# Networks


@pytest.mark.parametrize(
    ("name", "num_classes", "resolution"),
    [("cifar10", 10, 32), ("cifar100", 100, 32), ("imagenet16_120", 120, 16)],
)
def test_shapes(datasets: dict[str, DataSet], name: str, num_classes: int, resolution: int) -> None:
    assert (datasets[name].num_classes, datasets[name].resolution) == (num_classes, resolution)
    network = initialised(NASBench201(channels=4, cells_per_stage=2), STATED, num_classes)
    x = torch.randn(2, 3, resolution, resolution, generator=generator("x"))
    shapes: list[tuple[int, ...]] = []
    for block in network.cells:
        block.register_forward_hook(lambda module, args, y: shapes.append(tuple(y.shape[1:])))
    features = network.features(x)
    r = resolution
    half, quarter = (8, r // 2, r // 2), (16, r // 4, r // 4)
    assert shapes == [(4, r, r)] * 2 + [half] * 3 + [quarter] * 3
    assert features.shape == (2, 16, r // 4, r // 4)
    assert features.min() == 0
    logits = network.head(features)
    assert logits.shape == (2, num_classes)
    pooled = features.mean(dim=(2, 3))
    torch.testing.assert_close(logits, pooled @ network.classifier.weight.T + network.classifier.bias)


def test_the_benchmarks_network_has_seventeen_blocks() -> None:
    network = SPACE.build(SPACE.parse(STATED), num_classes=10)
    assert len(network.cells) == 3 * 5 + 2
    assert network.classifier.in_features == 64


@pytest.mark.parametrize("cell", ["none", "skip_connect", "avg_pool_3x3"])
def test_a_cell_by_hand(cell: str) -> None:
    text = f"|none~0|+|none~0|none~1|+|{cell}~0|none~1|none~2|"
    block = initialised(TINY, text).cells[0]
    x = torch.randn(1, 4, 5, 5, generator=generator("x"))
    y: Tensor = block(x)
    if cell == "none":
        assert not y.any()
    elif cell == "skip_connect":
        torch.testing.assert_close(y, x, rtol=0, atol=0)
    else:
        for i, j in product(range(5), range(5)):  # positions beyond the edge are not counted
            window = x[0, :, max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2]
            torch.testing.assert_close(y[0, :, i, j], window.mean(dim=(1, 2)))


def test_a_node_sums_its_edges() -> None:
    skips = "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|skip_connect~2|"
    block = initialised(TINY, skips).cells[0]
    x = torch.randn(1, 4, 3, 3, generator=generator("x"))
    torch.testing.assert_close(block(x), 4 * x)  # node 1 is x, node 2 is 2x, node 3 their sum


def test_building_draws_nothing() -> None:
    before = torch.get_rng_state()
    TINY.build(TINY.parse(STATED), num_classes=10)
    assert torch.equal(torch.get_rng_state(), before)


# Cost


class Ones:
    """Inputs of ones and labels of zero."""

    def input(self, forward: ForwardSpec, dataset: str | None) -> Tensor:
        assert forward.resolution is not None
        return torch.ones(forward.batch_size, 3, forward.resolution, forward.resolution)

    def labels(self, forward: ForwardSpec, dataset: str) -> Tensor:
        return torch.zeros(forward.batch_size, dtype=torch.int64)


def _cost(space: NASBench201, cell: str, proxy: Flops | Params, num_classes: int, resolution: int) -> float:
    network = space.build(space.parse(cell), num_classes=num_classes)
    engine = Engine(network, {"d": num_classes}, Ones(), ("key",), torch.device("cpu"))
    (spec,) = proxy.passes()
    forward = ForwardSpec("kaiming", "ones", 1, resolution)
    (outcome,) = engine.run([Request(PassSpec(forward, spec.objective), "d", proxy.observe)])
    assert outcome.error is None
    assert outcome.record is not None
    return proxy.score([outcome.record])["score"]


def test_the_stated_cost() -> None:
    assert _cost(SPACE, STATED, Params(), 10, 32) == 1_073_466
    assert _cost(SPACE, STATED, Flops(), 10, 32) / 1e6 == pytest.approx(153.27, abs=0.01)


def by_hand(
    cell: str, channels: int, cells_per_stage: int, num_classes: int, resolution: int
) -> tuple[int, int]:
    """FLOPs and parameters from the paper's description of the network."""
    c, r = channels, resolution
    flops, params = 27 * c * r * r, 27 * c + 2 * c
    ones, threes = cell.count("nor_conv_1x1"), cell.count("nor_conv_3x3")
    for stage in range(3):
        if stage:
            r //= 2
            weights = c * 2 * c * 9 + (2 * c) ** 2 * 9 + c * 2 * c
            flops += weights * r * r
            params += weights + 2 * (2 * 2 * c)
            c *= 2
        weights = (ones + 9 * threes) * c * c
        flops += cells_per_stage * weights * r * r
        params += cells_per_stage * (weights + (ones + threes) * 2 * c)
    return flops + c * num_classes, params + 2 * c + c * num_classes + num_classes


@pytest.mark.parametrize(
    ("channels", "cells_per_stage", "num_classes", "resolution"),
    [(4, 1, 10, 8), (3, 2, 7, 16), (1, 1, 120, 8)],
)
@pytest.mark.parametrize(
    "cell", [STATED, "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|", APART_BY_A_ZERO[0]]
)
def test_cost_by_hand(
    cell: str, channels: int, cells_per_stage: int, num_classes: int, resolution: int
) -> None:
    space = NASBench201(channels, cells_per_stage)
    flops, params = by_hand(cell, channels, cells_per_stage, num_classes, resolution)
    assert _cost(space, cell, Flops(), num_classes, resolution) == flops
    assert _cost(space, cell, Params(), num_classes, resolution) == params


@pytest.mark.parametrize("options", [{"channels": 0}, {"cells_per_stage": 0}])
def test_no_such_width(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        NASBench201(**options)


@pytest.mark.parametrize(
    ("text", "edges"),
    [
        # A pooling or skip into a node that nobody reads is not computed; a layer is, to be observed.
        ("|none~0|+|avg_pool_3x3~0|skip_connect~1|+|nor_conv_3x3~0|nor_conv_1x1~1|none~2|", "0_3 1_3"),
        ("|skip_connect~0|+|none~0|nor_conv_1x1~1|+|none~0|skip_connect~1|none~2|", "0_1 1_2 1_3"),
        ("|avg_pool_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|", "0_1 1_2 2_3"),
        ("|avg_pool_3x3~0|+|avg_pool_3x3~0|none~1|+|skip_connect~0|none~1|none~2|", "0_3"),
        ("|avg_pool_3x3~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|none~2|", "0_1 1_2"),
    ],
)
def test_edges_that_change_nothing_are_not_computed(text: str, edges: str) -> None:
    space = NASBench201(channels=4, cells_per_stage=1)
    network = space.build(space.parse(text), num_classes=3)
    assert " ".join(network.cells[0].edges) == edges  # type: ignore[arg-type]


def test_a_cells_index_is_the_inverse_of_arch() -> None:
    space = NASBench201()
    for index in (0, 1, 4711, len(space) - 1):
        assert space.index(space.arch(index)) == index


def test_cells_of_six_operations() -> None:
    """The same cell as the benchmark's numbers, its names and NASLib's op_indices write it."""
    text = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|"
    cell = NASBench201().parse(text)
    assert from_operations((3, 0, 1, 4, 2, 0)) == cell
    assert from_operations(cell.operations) == cell
    assert from_operations(np.array([3, 0, 1, 4, 2, 0])) == cell
    # 0 to 1, 2 and 3, then 1 to 2 and 3, then 2 to 3
    assert from_operations((2, 1, 4, 0, 3, 1), "naslib") == cell


@pytest.mark.parametrize(
    ("operations", "encoding", "said"),
    [
        ((0, 1, 2, 3, 4), "benchmark", "6 operations, one for each edge; got 5"),
        ((0, 1, 2, 3, 4, 5), "benchmark", "a cell has 6 operations out of"),
        ((0, 1, 2, 3, 4, -1), "naslib", "a cell has 6 operations out of"),
        ((0, 1, 2, 3, 4, 0), "other", "no encoding 'other'; there are benchmark, naslib"),
    ],
)
def test_six_operations_that_are_no_cell(operations: tuple[int, ...], encoding: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        from_operations(operations, encoding)
