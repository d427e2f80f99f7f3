"""Passes through trained networks: those of the training by hand, whatever else the run asks for."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nasbench_eval.data.batches import Batches
from nasbench_eval.data.datasets import DataSet
from nasbench_eval.data.images import load_images
from nasbench_eval.errors import UsageError
from nasbench_eval.passes import Engine, ForwardSpec, Observer, Outcome, PassSpec, Request
from nasbench_eval.passes.weights import draw
from nasbench_eval.proxies.base import Proxy
from nasbench_eval.proxies.lga import LGA
from nasbench_eval.proxies.ntk_condition import NTKCondition
from nasbench_eval.proxies.ntk_frobenius import NTKFrobenius
from nasbench_eval.proxies.ntk_mean import NTKMean
from nasbench_eval.proxies.params import Params
from nasbench_eval.runs.rows import Row
from nasbench_eval.scoring.config import typed
from nasbench_eval.scoring.job import Job
from nasbench_eval.scoring.worker import score_architecture
from nasbench_eval.spaces.base import Network
from nasbench_eval.spaces.nasbench201 import NASBench201
from nasbench_eval.training import Training, train

CPU = torch.device("cpu")
KEY = (3, "architecture")
SPACE = NASBench201(channels=4, cells_per_stage=1)
MIXED = "|nor_conv_3x3~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|"
CLASSES = {"few": 3, "many": 7}
B, R = 5, 8
RECIPE: dict[str, Any] = {"training_images": 20, "learning_rate": 0.05, "schedule": 4}


@dataclass
class Inputs:
    """Noise in place of images; notes which training sets are asked for."""

    asked: list[tuple[str, int, int]] = field(default_factory=list)

    def input(self, forward: ForwardSpec, dataset: str | None) -> Tensor:
        assert forward.resolution is not None
        generator = torch.Generator().manual_seed(forward.batch)
        return torch.randn(forward.batch_size, 3, forward.resolution, forward.resolution, generator=generator)

    def labels(self, forward: ForwardSpec, dataset: str) -> Tensor:
        return torch.arange(forward.batch_size) % CLASSES[dataset]

    def training_set(self, dataset: str, images: int, resolution: int) -> tuple[Tensor, Tensor]:
        self.asked.append((dataset, images, resolution))
        generator = torch.Generator().manual_seed(99 + CLASSES[dataset])
        x = torch.randn(images, 3, resolution, resolution, generator=generator)
        return x.to(memory_format=torch.channels_last), torch.arange(images) % CLASSES[dataset]


def build() -> Network:
    return SPACE.build(SPACE.parse(MIXED), num_classes=3)


def engine(network: Network | None = None, inputs: Inputs | None = None) -> Engine:
    return Engine(network or build(), CLASSES, inputs or Inputs(), KEY, CPU)


def mean(**options: Any) -> NTKMean:
    return NTKMean(**{"batch_size": B, "resolution": R, **RECIPE, **options})


def requests(*proxies: NTKMean, dataset: str = "few") -> list[Request]:
    return [Request(spec, dataset, proxy.observe) for proxy in proxies for spec in proxy.passes()]


def kernel(outcome: Outcome) -> Tensor:
    assert outcome.error is None, repr(outcome.error)
    assert outcome.record is not None
    found: Tensor = outcome.record["kernel"]
    return found


def kernels(*proxies: NTKMean, dataset: str = "few") -> list[Tensor]:
    """The kernels of one engine's run."""
    return [kernel(outcome) for outcome in engine().run(requests(*proxies, dataset=dataset))]


# By hand


def trained_by_hand(dataset: str, epochs: int, init: Any = "torch_default", **options: Any) -> Network:
    network = SPACE.build(SPACE.parse(MIXED), num_classes=CLASSES[dataset])
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    draw(dict(network.named_modules()), init, *KEY, 0)
    recipe = Training(epochs, images=20, learning_rate=0.05, schedule=4)
    images, labels = Inputs().training_set(dataset, 20, options.pop("resolution", R))
    train(network, images, labels, replace(recipe, **options), key=(*KEY, dataset, init, 0))
    return network


def kernel_by_hand(network: Network, bn: str) -> Tensor:
    """Θ in double precision, a sample at a time."""
    network = network.double().train(bn != "eval")
    statistics = [m.running_var.clone() for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    x = torch.randn(B, 3, R, R, generator=torch.Generator().manual_seed(0)).double()
    rows = []
    for n in range(B):
        logits = network(x)[n] if bn == "train" else network(x[n : n + 1])[0]
        gradients = torch.autograd.grad(logits.sum(), list(network.parameters()))
        rows.append(torch.cat([g.flatten() for g in gradients]))
    if bn == "eval":  # the training has left its mark, the pass none
        now = [m.running_var for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
        assert all(torch.equal(a, b) for a, b in zip(now, statistics, strict=True))
        assert not all(torch.equal(v, torch.ones_like(v)) for v in statistics)
    j = torch.stack(rows)
    return j @ j.T


@pytest.mark.parametrize("dataset", CLASSES)
@pytest.mark.parametrize("bn", ["train", "eval", "alone"])
@pytest.mark.parametrize("epochs", [1, 3])
def test_the_kernel_after_training(dataset: str, bn: Any, epochs: int) -> None:
    (found,) = kernels(mean(epochs=epochs, bn=bn), dataset=dataset)
    expected = kernel_by_hand(trained_by_hand(dataset, epochs), bn)
    torch.testing.assert_close(found, expected, rtol=5e-3, atol=1e-4 * float(expected.abs().max()))
    before = kernels(mean(bn=bn), dataset=dataset)[0]
    assert float((found - before).norm() / before.norm()) > 0.01


class Weights(Observer):
    """Keeps the network's state as the pass finds it."""

    def __init__(self, net: Network) -> None:
        self.state = {name: t.clone() for name, t in net.state_dict().items()}

    def record(self) -> dict[str, Any]:
        return self.state


def weights(proxy: NTKMean, dataset: str = "few", one: Engine | None = None) -> dict[str, Tensor]:
    (spec,) = proxy.passes()
    (outcome,) = (one or engine()).run([Request(spec, dataset, lambda net, spec: Weights(net))])
    assert outcome.error is None, repr(outcome.error)
    assert outcome.record is not None
    return outcome.record


def same(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("dataset", CLASSES)
@pytest.mark.parametrize("init", ["torch_default", "kaiming"])
def test_the_network_is_the_one_trained_by_hand(dataset: str, init: Any) -> None:
    for epochs in (1, 2):
        found = weights(mean(epochs=epochs, init=init), dataset)
        assert same(found, trained_by_hand(dataset, epochs, init).state_dict())


def test_the_options_of_the_training_reach_it() -> None:
    plain = weights(mean(epochs=1))
    faster = weights(mean(epochs=1, learning_rate=0.2))
    assert same(faster, trained_by_hand("few", 1, learning_rate=0.2).state_dict())
    longer = weights(mean(epochs=2, schedule=9))
    assert same(longer, trained_by_hand("few", 2, schedule=9).state_dict())
    assert not same(plain, faster)
    assert not same(longer, weights(mean(epochs=2)))
    inputs = Inputs()
    weights(mean(epochs=1, training_images=31, resolution=16), one=engine(inputs=inputs))
    assert inputs.asked == [("few", 31, 16)]


# Alone and together


def test_without_epochs_the_pass_is_the_untrained_one() -> None:
    recipes = [{"learning_rate": 9.0}, {"schedule": 7}, {"training_images": 10**9}]
    untrained = NTKMean(batch_size=B, resolution=R).passes()
    assert all(mean(epochs=0, **recipe).passes() == untrained for recipe in recipes)
    assert mean(epochs=1).passes() != untrained
    inputs, bodies = Inputs(), 0
    network = build()

    def count(module: nn.Module, args: Any, y: Any) -> None:
        nonlocal bodies
        bodies += 1

    network.stem.register_forward_hook(count)
    asked = requests(*(mean(epochs=0, **recipe) for recipe in recipes))
    found = [kernel(outcome) for outcome in engine(network, inputs).run(asked)]
    assert all(torch.equal(theta, found[0]) for theta in found)
    assert bodies == 1
    assert inputs.asked == []


@pytest.mark.parametrize("bn", ["train", "eval"])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (2, 0, 1), (1, 2, 1, 0, 0, 2)])
def test_the_order_of_trainings_moves_no_bit(order: tuple[int, ...], bn: Any) -> None:
    alone = alone_by_epochs(bn)
    found = kernels(*(mean(epochs=k, bn=bn) for k in order))
    assert all(torch.equal(theta, alone[k]) for k, theta in zip(order, found, strict=True))


@cache
def alone_by_epochs(bn: Any) -> list[Tensor]:
    found = [kernels(mean(epochs=k, bn=bn))[0] for k in range(3)]
    assert not torch.equal(found[0], found[1])
    assert not torch.equal(found[1], found[2])
    return found


VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {"epochs": 1},
    "untrained": {"epochs": 0},
    "longer": {"epochs": 2},
    "eval": {"epochs": 1, "bn": "eval"},
    "drawn otherwise": {"epochs": 1, "init": "kaiming"},
    "batches": {"epochs": 1, "batches": 2},
    "faster": {"epochs": 1, "learning_rate": 0.1},
    "slower decay": {"epochs": 1, "schedule": 9},
    "more images": {"epochs": 1, "training_images": 25},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_trainings_of_one_run_do_not_meet(name: str) -> None:
    alone = {d: kernels(mean(**VARIANTS[name]), dataset=d) for d in CLASSES}
    for order in (list(VARIANTS), list(VARIANTS)[::-1]):
        found = among_all(tuple(order))
        for dataset in CLASSES:
            assert all(
                torch.equal(a, b) for a, b in zip(found[name, dataset], alone[dataset], strict=True)
            ), order


@cache
def among_all(order: tuple[str, ...]) -> dict[tuple[str, str], list[Tensor]]:
    places = [(name, dataset) for name in order for dataset in CLASSES]
    asked = [requests(mean(**VARIANTS[name]), dataset=dataset) for name, dataset in places]
    outcomes = iter(engine().run([request for each in asked for request in each]))
    return {place: [kernel(next(outcomes)) for _ in each] for place, each in zip(places, asked, strict=True)}


@pytest.mark.parametrize("order", [(8, 16), (16, 8)])
def test_trainings_at_two_resolutions_do_not_meet(order: tuple[int, int]) -> None:
    found = kernels(*(mean(epochs=1, resolution=r) for r in order))
    for resolution, theta in zip(order, found, strict=True):
        assert torch.equal(theta, kernels(mean(epochs=1, resolution=resolution))[0])


def test_the_pass_after_a_training_finds_freshly_drawn_weights() -> None:
    one = engine()
    fresh = weights(mean(), one=one)
    for epochs in (2, 1):
        weights(mean(epochs=epochs), one=one)
        assert same(weights(mean(), one=one), fresh)


def test_an_epoch_is_trained_once_in_a_run() -> None:
    network, sizes = build(), []
    network.stem.register_forward_hook(lambda module, args, y: sizes.append(len(y)))
    proxies = mean(epochs=1), mean(epochs=3), mean(epochs=2), mean(epochs=3, bn="eval"), mean(epochs=0)
    assert len({kernel(outcome) for outcome in engine(network).run(requests(*proxies))}) == 5
    assert sizes.count(20) == 3  # one batch an epoch
    assert sizes.count(B) == 5


# Rows


SMALL: dict[str, Any] = {"batch_size": B, "resolution": R, **RECIPE}


@cache
def index_of(text: str) -> int:
    return next(i for i in range(len(SPACE)) if SPACE.arch(i) == SPACE.parse(text))


def rows_of(
    datasets: dict[str, DataSet], folder: Path | None, **proxies: Proxy
) -> dict[tuple[str, str], Row]:
    chosen = {name: datasets[name] for name in ("cifar10", "imagenet16_120")}
    job = Job(SPACE, chosen, proxies, seed=0)
    batches = Batches(job.seed, job.datasets, folder, CPU)
    rows = score_architecture(job, index_of(MIXED), job.tasks(), batches, CPU)
    return {(row["dataset"], row["label"]): {k: v for k, v in row.items() if k != "seconds"} for row in rows}


def test_rows_alone_and_together(datasets: dict[str, DataSet], noise_images: Path) -> None:
    proxies: dict[str, Proxy] = {
        "lga_2": LGA(epochs=2, **SMALL),
        "lga_0": LGA(epochs=0, **SMALL),
        "lga_1": LGA(epochs=1, **SMALL),
        "thin": LGA(epochs=1, channels=2, **SMALL),
        "condition": NTKCondition(epochs=1, bn="eval", **SMALL),
        "params": Params(),
    }
    together = rows_of(datasets, noise_images, **proxies)
    backwards = rows_of(datasets, noise_images, **dict(reversed(proxies.items())))
    assert all(row["status"] == "ok" for row in together.values()), together
    assert together == backwards
    for label, proxy in proxies.items():
        for place, row in rows_of(datasets, noise_images, **{label: proxy}).items():
            assert row == together[place]
    assert len({together["cifar10", label]["score"] for label in proxies}) == len(proxies)


def test_a_training_that_diverges_is_a_row_of_its_own(
    datasets: dict[str, DataSet], noise_images: Path
) -> None:
    wild: dict[str, Any] = {**SMALL, "learning_rate": 1e30}
    sound: dict[str, Proxy] = {
        "untrained": LGA(**SMALL),
        "trained": LGA(epochs=1, **SMALL),
        "wild, but untrained": NTKFrobenius(**wild),
        "params": Params(),
    }
    bad: dict[str, Proxy] = {"wild": LGA(epochs=2, **wild), "wilder": NTKMean(epochs=4, bn="eval", **wild)}
    expected = rows_of(datasets, noise_images, **sound)
    for mixture in ({**sound, **bad}, {**bad, **sound}):
        found = rows_of(datasets, noise_images, **mixture)
        for (_, label), row in found.items():
            if label in bad:
                assert row["status"] == "nan"  # no failure of the machine
                told = r"Diverged: training diverged in epoch 2, at learning rate \S+e\+29: the loss is \S+"
                assert re.fullmatch(told, row["error"])
                assert math.isnan(row["score"])
        assert {place: row for place, row in found.items() if place[1] not in bad} == expected
    assert all(row["status"] == "ok" for row in expected.values())


def test_too_few_images_to_train_on_are_an_error_that_tells(
    datasets: dict[str, DataSet], noise_images: Path
) -> None:
    options = {**SMALL, "training_images": 65}
    found = rows_of(datasets, noise_images, big=LGA(epochs=1, **options), plain=LGA(**options))
    for dataset in ("cifar10", "imagenet16_120"):
        told = f"UsageError: {dataset} has 64 images, fewer than the 65 asked for"
        assert (found[dataset, "big"]["status"], found[dataset, "big"]["error"]) == ("error", told)
        assert found[dataset, "plain"]["status"] == "ok"


# What is refused

PROXIES = [LGA, NTKCondition, NTKFrobenius, NTKMean]


@pytest.mark.parametrize("cls", PROXIES)
@pytest.mark.parametrize("source", ["gaussian", "ones"])
def test_training_needs_images(cls: Any, source: str) -> None:
    told = f"training needs images; got input={source} with epochs=2"
    with pytest.raises(ValueError, match=told):
        cls(input=source, epochs=2)
    with pytest.raises(UsageError, match=told):
        typed(cls, {"input": source, "epochs": 2}, "a proxy")
    assert typed(cls, {"input": source, "epochs": 0}, "a proxy") == cls(input=source)


@pytest.mark.parametrize("cls", PROXIES)
@pytest.mark.parametrize(("epochs", "schedule"), [(11, 10), (-1, 10), (3, 2)])
def test_epochs_are_within_the_schedule(cls: Any, epochs: int, schedule: int) -> None:
    told = f"epochs are 0 to {schedule}, .*; got {epochs}"
    with pytest.raises(ValueError, match=told):
        cls(epochs=epochs, schedule=schedule)
    with pytest.raises(UsageError, match=told):
        typed(cls, {"epochs": epochs, "schedule": schedule}, "a proxy")


# The training set


def batches_of(datasets: dict[str, DataSet], folder: Path | None, seed: int = 0) -> Batches:
    return Batches(seed, datasets, folder, CPU)


@pytest.mark.parametrize("dataset", ["cifar10", "cifar100", "imagenet16_120"])
def test_the_training_set_is_images_normalised(
    dataset: str, datasets: dict[str, DataSet], noise_images: Path
) -> None:
    info, raw = datasets[dataset], load_images(noise_images, dataset)
    x, labels = batches_of(datasets, noise_images).training_set(dataset, 40, info.resolution)
    assert x.shape == (40, 3, info.resolution, info.resolution)
    assert x.dtype == torch.float32
    assert labels.dtype == torch.int64
    plain = x.permute(0, 2, 3, 1).double().numpy() * np.array(info.std) + np.array(info.mean)
    np.testing.assert_allclose(plain, plain.round(), atol=1e-3)
    places = [int(np.abs(raw.x.astype(float) - image).mean(axis=(1, 2, 3)).argmin()) for image in plain]
    assert np.array_equal(raw.x[places], plain.round())
    assert labels.tolist() == raw.y[places].tolist()
    assert len(set(places)) == 40  # none twice
    assert places != sorted(places)


def test_the_training_set_is_seeded(datasets: dict[str, DataSet], noise_images: Path) -> None:
    def of(seed: int, images: int = 64, resolution: int = 8) -> tuple[Tensor, Tensor]:
        return batches_of(datasets, noise_images, seed).training_set("cifar10", images, resolution)

    (x, labels), again = of(0), of(0)
    assert torch.equal(x, again[0])
    assert torch.equal(labels, again[1])
    assert not torch.equal(x, of(1)[0])
    few = of(0, 10)
    assert torch.equal(few[0], x[:10])
    assert torch.equal(few[1], labels[:10])
    # Other seeds and resolutions order and scale the same 64 images.
    torch.testing.assert_close(of(1)[0].mean(), x.mean(), rtol=1e-4, atol=1e-5)
    assert sorted(of(1)[1].tolist()) == sorted(labels.tolist())
    assert torch.equal(of(0, 64, 16)[1], labels)
    assert of(0, 64, 16)[0].shape == (64, 3, 16, 16)


def test_what_was_asked_for_before_is_no_matter(datasets: dict[str, DataSet], noise_images: Path) -> None:
    batches = batches_of(datasets, noise_images)
    forward = ForwardSpec("kaiming", "images", 64, 8)
    mini = batches.input(forward, "cifar10").clone()
    state = torch.get_rng_state()
    found = [batches.training_set("cifar10", n, 8) for n in (20, 30, 20)]
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(found[0][0], found[2][0])
    assert torch.equal(batches.input(forward, "cifar10"), mini)
    # Its order is none of a mini-batch's.
    assert not torch.equal(found[1][0], mini[:30])


def test_a_training_leaves_the_training_set_as_it_was(
    datasets: dict[str, DataSet], noise_images: Path
) -> None:
    batches = batches_of(datasets, noise_images)
    before = [t.clone() for t in batches.training_set("cifar10", 20, R)]
    one = Engine(build(), {"cifar10": 10}, batches, KEY, CPU)
    kernel(one.run(requests(mean(epochs=2), dataset="cifar10"))[0])
    assert all(torch.equal(a, b) for a, b in zip(before, batches.training_set("cifar10", 20, R), strict=True))


def test_too_few_images(datasets: dict[str, DataSet], noise_images: Path) -> None:
    with pytest.raises(UsageError, match="cifar10 has 64 images, fewer than the 65 asked for"):
        batches_of(datasets, noise_images).training_set("cifar10", 65, 8)
    with pytest.raises(UsageError, match="no data folder is named"):
        batches_of(datasets, None).training_set("cifar10", 5, 8)


def test_a_training_names_its_pass() -> None:
    (spec,) = mean(epochs=2).passes()
    training = Training(2, images=20, learning_rate=0.05, schedule=4)
    forward = ForwardSpec("torch_default", "images", B, R, training=training)
    assert spec == PassSpec(forward, "sum", "samples")
