"""Recipes against the papers' numbers: rates at given steps, which tensors decay, what is dropped."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from training_parts import Linear, recipe

from nasbench_eval.paths import configured
from nasbench_eval.retrain.optimise import Schedule, loss, optimizer, spared
from nasbench_eval.spaces.darts import DARTS
from nasbench_eval.spaces.mobilenetv2 import START, MobileNetV2
from nasbench_eval.spaces.uninas import UniNAS

STEPS = 20


def rates(name: str, *places: tuple[int, int]) -> list[float]:
    """Learning rates at (epoch, step) of a recipe whose epochs have 20 steps, from the first to the last."""
    made = recipe(name)
    schedule = Schedule(optimizer(Linear(), made), made, STEPS)
    found = {(e, s): schedule.move(e, s) for e in range(1, made.epochs + 1) for s in range(STEPS)}
    return [found[place] for place in places]


@pytest.mark.parametrize("name", configured("recipe"))
def test_every_recipe_is_whole_and_ends_where_it_says(name: str) -> None:
    made = recipe(name)
    assert made.name == name
    [last] = rates(name, (made.epochs, STEPS - 1))
    assert last < made.learning_rate / 20 + made.final_rate


def test_nasbench201_falls_along_a_cosine_epoch_by_epoch() -> None:
    assert rates("nasbench201_200", (1, 0), (1, 19), (101, 0), (200, 19)) == pytest.approx(
        [0.1, 0.1, 0.05, 0.05 * (1 + math.cos(math.pi * 199 / 200))]
    )


def test_darts_falls_along_a_cosine_epoch_by_epoch() -> None:
    assert rates("darts_cifar", (1, 5), (151, 0), (301, 0)) == pytest.approx(
        [0.025, 0.0125 * (1 + math.sqrt(0.5)), 0.0125]
    )


def test_zen_rises_in_a_line_and_falls_step_by_step() -> None:
    whole, warm = 480 * STEPS, 5 * STEPS
    middle = 0.1 * (1 + math.cos(math.pi * (239 * STEPS + 7 - warm) / (whole - warm)))
    assert rates("zen_480", (1, 0), (3, 10), (6, 0), (240, 7)) == pytest.approx([0, 0.1, 0.2, middle])
    assert rates("aznas_150", (6, 0)) == pytest.approx([0.4 * 512 / 256])


def test_uninas_rises_from_a_thousandth_and_ends_at_a_hundredth() -> None:
    first, second, peak, last = rates("uninas_150", (1, 0), (2, 0), (6, 0), (150, 0))
    assert (first, peak) == pytest.approx((8e-7, 8e-4))
    assert second - first == pytest.approx((peak - first) / 5)
    assert last == pytest.approx(8e-6 + (8e-4 - 8e-6) / 2 * (1 + math.cos(math.pi * 144 / 145)))


def test_everything_decays_by_the_recipes_of_small_images() -> None:
    space = DARTS(channels=4, layers=3)
    network = space.build(space.sample(np.random.default_rng(0)), num_classes=3)
    for name, decay in {"darts_cifar": 3e-4, "nasbench201_200": 5e-4}.items():
        [group] = optimizer(network, recipe(name)).param_groups
        assert group["weight_decay"] == decay
        assert len(group["params"]) == len(list(network.parameters()))


def test_kernels_and_matrices_alone_decay_by_zen() -> None:
    network = MobileNetV2(se=True).build(MobileNetV2().parse(START), num_classes=3)
    bare, decaying = optimizer(network, recipe("zen_480")).param_groups
    assert (bare["weight_decay"], decaying["weight_decay"]) == (0.0, 4e-5)
    kernels = {id(m.weight) for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    assert {id(p) for p in decaying["params"]} == kernels
    assert len(bare["params"]) + len(kernels) == len(list(network.parameters()))
    assert (bare["momentum"], bare["nesterov"]) == (0.9, True)


def test_tables_of_positions_do_not_decay_by_uninas() -> None:
    space = UniNAS(resolution=32, widths=(32, 32, 32, 32), depths=(1, 1, 1, 1))
    network = space.build(space.start, num_classes=3)
    tables = {name for name, _ in network.named_parameters() if name.endswith("table")}
    assert tables
    assert tables <= spared(network)
    assert optimizer(network, recipe("uninas_150")).param_groups[1]["weight_decay"] == 0.05


def test_drop_path_rises_in_a_line() -> None:
    made = recipe("darts_cifar")
    assert [made.dropped(epoch) for epoch in (1, 301, 600)] == pytest.approx([0, 0.1, 0.2 * 599 / 600])
    assert replace(made, drop_path_rises=False).dropped(1) == 0.2


def test_smoothed_labels() -> None:
    """A share s of a label goes to all classes: (1 − s) · nll + s · the mean of all −log p."""
    logits, y = torch.randn(5, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 3, 0])
    minus = -logits.log_softmax(1)
    expected = 0.9 * minus[torch.arange(5), y].mean() + 0.1 * minus.mean()
    torch.testing.assert_close(loss(recipe("zen_480", mixup=0.0), 4, ()).of(logits, y), expected)


def test_mixed_images_and_their_classes() -> None:
    """Each image is mixed with its mirror in the batch, and so are the classes, by the same share."""
    made = loss(recipe("smoke", mixup=0.2), 3, ("key",))
    x, y = torch.arange(4.0).view(4, 1, 1, 1).repeat(1, 3, 2, 2), torch.tensor([0, 1, 2, 1])
    mixed, shares = made.mixed(x.clone(), y, 1, 0)
    part = float((mixed[0, 0, 0, 0] - 3) / (0 - 3))
    assert 0 < part < 1
    torch.testing.assert_close(shares[0], torch.tensor([part, 1 - part, 0.0]))
    torch.testing.assert_close(mixed, part * x + (1 - part) * x.flip(0))
    again, _ = made.mixed(x.clone(), y, 1, 0)
    assert torch.equal(again, mixed)
    assert not torch.equal(made.mixed(x.clone(), y, 1, 1)[0], mixed)
