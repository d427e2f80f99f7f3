"""Supernets of NAS-Bench-201: masks, their numbers and texts, and the networks that they mix."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from nasbench_eval import registry, sampling, testing
from nasbench_eval.passes.weights import draw
from nasbench_eval.runs.rows import Row
from nasbench_eval.spaces.base import Network, weight_key
from nasbench_eval.spaces.nasbench201 import EDGES, OPERATIONS, NASBench201
from nasbench_eval.spaces.nasbench201_supernet import Mask, NASBench201Supernet, mask_of

SPACE = NASBench201Supernet()
SINGLE = NASBench201Supernet(masks="single")
TINY = {"channels": 4, "cells_per_stage": 1}
CELLS = NASBench201()
ALL = Mask((OPERATIONS,) * 6)
MIXED = (
    "|skip_connect,nor_conv_3x3~0|+|none,avg_pool_3x3~0|nor_conv_1x1,nor_conv_3x3~1|"
    "+|none~0|none,nor_conv_1x1~1|skip_connect,avg_pool_3x3~2|"
)

sets = st.sets(st.sampled_from(OPERATIONS), min_size=1).map(
    lambda names: tuple(o for o in OPERATIONS if o in names)
)
masks = st.builds(Mask, st.tuples(*[sets] * 6))
cells = st.integers(0, len(CELLS) - 1).map(CELLS.arch)


# Numbers and texts


@given(masks)
def test_arch_inverts_index_and_parse_inverts_format(mask: Mask) -> None:
    assert SPACE.arch(SPACE.index(mask)) == mask
    assert SPACE.parse(SPACE.format(mask)) == mask


def test_the_numbers_are_of_six_digits_to_the_base_31() -> None:
    assert len(SPACE) == 31**6 == 887_503_681 < 2**31
    assert SPACE.arch(0) == Mask((("none",),) * 6)
    assert SPACE.arch(len(SPACE) - 1) == ALL
    number = ("none", "nor_conv_3x3")  # bits 0 and 3: nine, less one
    assert SPACE.index(Mask((*ALL.operations[:5], number))) == len(SPACE) - 31 + 8
    assert SPACE.index(Mask((number, *[("none",)] * 5))) == 8 * 31**5
    for outside in (-1, len(SPACE)):
        with pytest.raises(IndexError):
            SPACE.arch(outside)


@given(cells)
def test_one_operation_an_edge_is_a_cell_with_its_text(cell: Any) -> None:
    mask = mask_of(cell)
    assert mask.cell == cell
    assert SPACE.format(mask) == CELLS.format(cell)
    assert SPACE.parse(CELLS.format(cell)) == mask
    assert SPACE.live(mask) == CELLS.live(cell)
    assert SPACE.canonical(mask) == mask_of(CELLS.canonical(cell))
    assert SINGLE.index(mask) == CELLS.index(cell)
    assert SINGLE.arch(CELLS.index(cell)) == mask
    assert SINGLE.neighbours(mask) == [mask_of(each) for each in CELLS.neighbours(cell)]


def test_single_masks_are_the_benchmarks_cells_in_its_order() -> None:
    assert len(SINGLE) == len(CELLS)
    assert [SINGLE.format(SINGLE.arch(i)) for i in range(300)] == [
        CELLS.format(CELLS.arch(i)) for i in range(300)
    ]
    with pytest.raises(ValueError, match="an edge has one operation"):
        SINGLE.parse(MIXED)
    with pytest.raises(ValueError, match="an edge has one operation"):
        SINGLE.index(ALL)
    testing_network = SINGLE.build(SINGLE.arch(3), num_classes=10)
    assert isinstance(testing_network, Network)


WRONG = {
    "no operation": ("", "no operation"),
    "an unknown operation": (MIXED.replace("avg_pool", "max_pool"), "max_pool_3x3"),
    "twice the same": (MIXED.replace("none,avg_pool", "avg_pool_3x3,avg_pool"), "not in the order"),
    "another order": (MIXED.replace("none,avg_pool_3x3", "avg_pool_3x3,none"), "not in the order"),
    "an empty set": (MIXED.replace("|none~0|none", "|~0|none"), "no operation"),
    "a missing edge": (MIXED.replace("none,nor_conv_1x1~1|", ""), "not of the form"),
    "a wrong source": (MIXED.replace("~2", "~1"), "not of the form"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_texts(case: str) -> None:
    text, words = WRONG[case]
    with pytest.raises(ValueError, match=words) as told:
        SPACE.parse(text)
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 400


@given(masks)
def test_neighbours_have_one_operation_more_or_less(mask: Mask) -> None:
    near = SPACE.neighbours(mask)
    differ = [
        sum(len(set(a) ^ set(b)) for a, b in zip(mask.operations, other.operations, strict=True))
        for other in near
    ]
    assert differ == [1] * len(near)
    assert len(set(near)) == len(near) == 30 - sum(len(names) == 1 for names in mask.operations)


@given(masks)
def test_isomorphic_masks_have_one_representative(mask: Mask) -> None:
    canonical = SPACE.canonical(mask)
    assert SPACE.canonical(canonical) == canonical
    a, b, c, d, e, f = mask.operations
    if c == ("none",):
        assert SPACE.canonical(Mask((b, a, c, d, f, e))) == canonical


def test_a_sample_lists_nothing() -> None:
    few, more = (sampling.uniform(len(SPACE), n, 3) for n in (10, 2000))
    assert more[:10] == few
    assert len(set(more)) == 2000
    assert 0 <= min(more) < len(SPACE) // 100 < len(SPACE) * 99 // 100 < max(more) < len(SPACE)
    assert sampling.uniform(sampling.LARGE, 10, 3) != sampling.uniform(sampling.LARGE, 10, 4)


# Networks


def drawn(space: NASBench201Supernet, mask: Mask, seed: int = 0) -> Network:
    """A network with its weights, in training mode."""
    network = space.build(mask, num_classes=10)
    layers = {name: module for name, module in network.named_modules() if module is not network}
    draw(layers, "kaiming", seed, weight_key(space, mask), 0)
    return network


def by_hand(operation: str, block: nn.Module, edge: str, x: Tensor) -> Tensor:
    """An operation, with the layers that the block has for it."""
    if operation == "none":
        return torch.zeros_like(x)
    if operation == "skip_connect":
        return x
    if operation == "avg_pool_3x3":
        summed = nn.functional.avg_pool2d(x, 3, 1, 1, divisor_override=1)
        return summed / nn.functional.avg_pool2d(torch.ones_like(x), 3, 1, 1, divisor_override=1)
    layers: Any = block.edges[edge].operations[operation]  # type: ignore[index, union-attr, operator]
    y = nn.functional.conv2d(x.clamp(min=0), layers[1].weight, padding=layers[1].weight.shape[-1] // 2)
    mean, var = y.mean((0, 2, 3), keepdim=True), y.var((0, 2, 3), unbiased=False, keepdim=True)
    return (y - mean) / (var + layers[2].eps).sqrt()


@pytest.mark.parametrize("text", [MIXED, SPACE.format(ALL), CELLS.format(CELLS.arch(7))])
def test_an_edge_is_the_mean_of_its_operations(text: str) -> None:
    mask = SPACE.parse(text)
    block = drawn(NASBench201Supernet(**TINY), mask).cells[0]  # type: ignore[arg-type]
    x = torch.randn(3, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    nodes = [x]
    for target in (1, 2, 3):
        total = torch.zeros_like(x)
        for (source, end), names in zip(EDGES, mask.operations, strict=True):
            if end == target:
                terms = [by_hand(o, block, f"{source}_{target}", nodes[source]) for o in names]
                total = total + sum(terms) / len(names)
        nodes.append(total)
    torch.testing.assert_close(block(x), nodes[-1], rtol=1e-5, atol=1e-5)


def tensors(network: nn.Module) -> dict[str, Tensor]:
    return dict(network.named_parameters())


@given(masks)
def test_shared_weights_are_those_of_the_whole_supernet(mask: Mask) -> None:
    space = NASBench201Supernet(**TINY)  # type: ignore[arg-type]
    whole, part = tensors(drawn(space, ALL)), tensors(drawn(space, mask))
    assert part.keys() <= whole.keys()
    assert all(torch.equal(whole[name], tensor) for name, tensor in part.items())
    convolutions = [o for names in mask.operations for o in names if o.startswith("nor_conv")]
    assert sum(".operations." in name and name.endswith("1.weight") for name in part) == 3 * len(convolutions)


def test_shared_weights_do_not_depend_on_the_size_but_on_the_seed() -> None:
    small, large = NASBench201Supernet(**TINY), NASBench201Supernet(8, 2)  # type: ignore[arg-type]
    assert weight_key(small, ALL) == weight_key(large, SPACE.parse(MIXED))
    one, other = tensors(drawn(small, ALL, 0)), tensors(drawn(small, ALL, 1))
    assert not torch.equal(one["stem.0.weight"], other["stem.0.weight"])
    assert weight_key(NASBench201Supernet(weights="own"), ALL) == SPACE.format(ALL)


def scores(space: Any, text: str, folder: Path) -> dict[tuple[str, str], dict[str, str]]:
    every = {name: testing.small(registry.find("proxies", name)()) for name in registry.own("proxies")}
    rows: Iterable[Row] = testing.score(space, testing.index_of(space, text), every, folder=folder)
    return {
        (row["label"], row["dataset"]): {
            key: float(value).hex()
            for key, value in row.items()
            if isinstance(value, int | float) and key not in ("seconds", "index")
        }
        for row in rows
    }


@pytest.mark.parametrize("text", testing.CELLS)
def test_with_its_own_weights_a_single_mask_scores_like_the_cell_to_the_bit(
    text: str, noise_images: Path
) -> None:
    cell = scores(NASBench201(**TINY), text, noise_images)
    for kind in ("all", "single"):
        space = NASBench201Supernet(**TINY, weights="own", masks=kind)  # type: ignore[arg-type]
        assert scores(space, text, noise_images) == cell


def test_shared_weights_give_other_scores_than_own_ones(noise_images: Path) -> None:
    text = testing.CELLS[0]
    shared = scores(NASBench201Supernet(**TINY), text, noise_images)  # type: ignore[arg-type]
    own = scores(NASBench201(**TINY), text, noise_images)
    assert shared.keys() == own.keys()
    assert shared["params", "cifar10"] == own["params", "cifar10"]
    assert shared["flops", "cifar10"] == own["flops", "cifar10"]
    assert shared["snip", "cifar10"] != own["snip", "cifar10"]


def test_a_trained_network_of_a_supernet_keeps_its_checkpoints_by_itself(
    noise_images: Path, tmp_path: Path
) -> None:
    """Two masks with the same key would otherwise go on with each other's epochs."""
    from nasbench_eval.data.batches import Batches
    from nasbench_eval.scoring.job import Job
    from nasbench_eval.scoring.worker import _checkpoints, score_architecture

    places = {_checkpoints(tmp_path, SPACE.format(mask), "supernet") for mask in (ALL, SPACE.parse(MIXED))}
    assert len(places) == 2
    assert _checkpoints(tmp_path, "a", "a") == tmp_path
    assert _checkpoints(None, "a", "b") is None
    lga = testing.small(registry.find("proxies", "lga")(epochs=1, training_images=16))
    chosen = {"cifar10": testing.dataset("cifar10")}
    space = NASBench201Supernet(**TINY)  # type: ignore[arg-type]
    job = Job(space, chosen, {"lga": lga}, 0)
    batches = Batches(0, chosen, noise_images, testing.CPU)
    found = [
        score_architecture(job, space.index(mask), job.tasks(), batches, testing.CPU, folder)[0]["score"]
        for mask, folder in itertools.product((ALL, SPACE.parse(MIXED)), (tmp_path, None))
    ]
    assert found[0] == found[1] != found[2] == found[3]
