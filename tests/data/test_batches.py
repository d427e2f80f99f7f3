"""Batches: the same for all architectures, drawn from the seed alone, scaled as the data set says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nasbench_eval.data.batches import Batches
from nasbench_eval.data.datasets import DataSet
from nasbench_eval.data.images import MissingImages, load_images
from nasbench_eval.errors import UsageError
from nasbench_eval.passes import ForwardSpec

CPU = torch.device("cpu")
IMAGES = ForwardSpec("kaiming", "images", 8, 32)
NOISE = ForwardSpec("kaiming", "gaussian", 8, 16)
ONES = ForwardSpec("kaiming", "ones", 2, 5)


@pytest.fixture
def batches(datasets: dict[str, DataSet], noise_images: Path) -> Batches:
    return Batches(0, datasets, noise_images, CPU)


def unscaled(x: Tensor, info: DataSet) -> np.ndarray:
    """The bytes of normalised images: N x H x W x 3."""
    values = x.permute(0, 2, 3, 1).double().numpy() * np.array(info.std) + np.array(info.mean)
    np.testing.assert_allclose(values, values.round(), atol=1e-3)
    return values.round().astype(np.uint8)


@pytest.mark.parametrize(("name", "side"), [("cifar10", 32), ("cifar100", 32), ("imagenet16_120", 16)])
def test_images_are_the_files_own(
    batches: Batches, datasets: dict[str, DataSet], noise_images: Path, name: str, side: int
) -> None:
    forward = replace(IMAGES, resolution=side)
    x, t = batches.input(forward, name), batches.labels(forward, name)
    assert (x.shape, x.dtype) == ((8, 3, side, side), torch.float32)
    assert (t.shape, t.dtype) == ((8,), torch.int64)
    on_file = load_images(noise_images, name)
    places = []
    for image, label in zip(unscaled(x, datasets[name]), t.tolist(), strict=True):
        (place,) = [i for i in range(len(on_file.x)) if (on_file.x[i] == image).all()]
        assert on_file.y[place] == label
        places.append(place)
    assert len(set(places)) == 8  # without replacement


def test_normalised_noise_has_the_moments_of_the_statistics(batches: Batches) -> None:
    x = batches.input(replace(IMAGES, batch_size=64), "cifar10")
    # Uniform bytes have mean 127.5 and deviation 73.9; the file's are shifted by 125.3 and divided by 63.
    assert float(x[:, 0].mean()) == pytest.approx((127.5 - 125.3) / 63.0, abs=0.02)
    assert float(x[:, 0].std()) == pytest.approx(73.9 / 63.0, abs=0.02)


def test_mini_batches_differ(batches: Batches) -> None:
    first, second = (batches.input(replace(IMAGES, batch=b), "cifar10") for b in range(2))
    assert not torch.equal(first, second)
    first, second = (batches.input(replace(NOISE, batch=b), "cifar10") for b in range(2))
    assert not torch.equal(first, second)
    first, second = (batches.labels(replace(NOISE, batch=b), "cifar100") for b in range(2))
    assert not torch.equal(first, second)


def test_a_resolution_of_ones_choice(batches: Batches) -> None:
    whole = batches.input(IMAGES, "cifar10")
    small = batches.input(replace(IMAGES, resolution=8), "cifar10")
    assert small.shape == (8, 3, 8, 8)
    # Smoothed before it is thinned out: noise loses most of its variance, the mean stays.
    assert float(small.mean()) == pytest.approx(float(whole.mean()), abs=0.03)
    assert float(small.var()) < 0.25 * float(whole.var())
    large = batches.input(replace(IMAGES, resolution=64), "cifar10")
    assert large.shape == (8, 3, 64, 64)
    assert float(large.max()) <= float(whole.max()) + 1e-5


def test_gaussian_noise(batches: Batches) -> None:
    x = batches.input(replace(NOISE, batch_size=64), "cifar10").double()
    n = x.numel()
    assert abs(float(x.mean())) < 4 / n**0.5
    assert float(x.std()) == pytest.approx(1, abs=4 / (2 * n) ** 0.5)
    assert float(x.pow(4).mean()) == pytest.approx(3, abs=4 * (96 / n) ** 0.5)


def test_synthetic_inputs_do_not_depend_on_the_data_set(batches: Batches) -> None:
    for forward in (NOISE, ONES):
        first = batches.input(forward, "cifar10")
        assert torch.equal(first, batches.input(forward, "imagenet16_120"))
        assert torch.equal(first, batches.input(forward, None))


def test_uniform_noise(batches: Batches) -> None:
    x = batches.input(replace(NOISE, source="uniform", batch_size=64, resolution=32), None)
    assert 0 <= x.min() < 0.001 < 0.999 < x.max() <= 1
    assert abs(float(x.mean()) - 0.5) < 0.005
    assert abs(float(x.var()) - 1 / 12) < 0.001


def test_perturbed_ones(batches: Batches) -> None:
    x = batches.input(replace(NOISE, source="perturbed_ones", batch_size=64, resolution=32), None)
    assert abs(float(x.mean()) - 1) < 0.001
    assert abs(float(x.std()) - 0.01) < 0.0005


def test_ones(batches: Batches) -> None:
    assert torch.equal(batches.input(ONES, None), torch.ones(2, 3, 5, 5))


@pytest.mark.parametrize("forward", [NOISE, IMAGES])
def test_a_moved_input(batches: Batches, forward: ForwardSpec) -> None:
    """x + αε: ε is N(0, 1), the same for every α, and not x."""
    forward = replace(forward, batch_size=32)
    x = batches.input(forward, "cifar10")
    small, large = ((batches.input(replace(forward, noise=a), "cifar10") - x) / a for a in (0.01, 0.5))
    torch.testing.assert_close(small, large, atol=1e-3, rtol=0)
    assert float(large.std()) == pytest.approx(1, abs=0.02)
    assert abs(float((large * x).mean())) < 0.03


def test_synthetic_labels_are_uniform(batches: Batches) -> None:
    t = batches.labels(replace(NOISE, batch_size=5000), "cifar10")
    counts = t.bincount(minlength=10)
    assert len(counts) == 10
    assert float((counts - 500).square().sum() / 500) < 28  # chi square with 9 degrees: p = 0.001
    assert int(batches.labels(replace(NOISE, batch_size=5000), "imagenet16_120").max()) == 119


@pytest.mark.parametrize("forward", [IMAGES, NOISE, replace(NOISE, noise=0.01)])
def test_the_seed_alone_decides(
    batches: Batches, datasets: dict[str, DataSet], noise_images: Path, forward: ForwardSpec
) -> None:
    x, t = batches.input(forward, "cifar10"), batches.labels(forward, "cifar10")
    again = Batches(0, {"cifar10": datasets["cifar10"]}, noise_images, CPU)
    torch.rand(3)
    again.labels(forward, "cifar10")
    again.input(replace(forward, batch=9), "cifar10")
    assert torch.equal(again.input(forward, "cifar10"), x)
    assert torch.equal(again.labels(forward, "cifar10"), t)
    other = Batches(1, datasets, noise_images, CPU)
    assert not torch.equal(other.input(forward, "cifar10"), x)
    assert not torch.equal(other.labels(forward, "cifar10"), t)


@pytest.mark.parametrize(
    "change", [{"init": "gaussian"}, {"bn": "eval"}, {"repeat": 3}, {"float64": True}, {"absolute": True}]
)
def test_weights_and_modes_do_not_change_the_batch(batches: Batches, change: dict[str, Any]) -> None:
    forward = replace(NOISE, **change)
    assert batches.input(forward, None) is batches.input(NOISE, None)  # made once
    assert torch.equal(batches.labels(forward, "cifar10"), batches.labels(NOISE, "cifar10"))


def test_the_global_generators_are_left_alone(batches: Batches) -> None:
    states = torch.get_rng_state(), np.random.get_state()[1].tolist()  # type: ignore[index]
    for forward in (NOISE, IMAGES):
        batches.input(forward, "cifar10")
        batches.labels(forward, "cifar10")
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.random.get_state()[1].tolist() == states[1]  # type: ignore[index]


def test_too_few_images(batches: Batches) -> None:
    with pytest.raises(UsageError, match="cifar10 has 64 images, fewer than the 65 asked for"):
        batches.input(replace(IMAGES, batch_size=65), "cifar10")
    batches.input(replace(IMAGES, batch_size=64), "cifar10")


def test_no_folder(datasets: dict[str, DataSet], tmp_path: Path) -> None:
    without = Batches(0, datasets, None, CPU)
    with pytest.raises(UsageError, match="real images of cifar10 are asked for, but no data folder"):
        without.input(IMAGES, "cifar10")
    without.input(NOISE, None)
    with pytest.raises(MissingImages, match="no images of cifar10"):
        Batches(0, datasets, tmp_path, CPU).input(IMAGES, "cifar10")


# What differs from a mini-batch of whole images


def test_an_offset_passes_over_the_first_samples(batches: Batches) -> None:
    for forward in (IMAGES, NOISE, replace(NOISE, noise=0.01)):
        all_x = batches.input(replace(forward, batch_size=24), "cifar10")
        all_t = batches.labels(replace(forward, batch_size=24), "cifar10")
        later = replace(forward, offset=16)
        assert torch.equal(batches.input(later, "cifar10"), all_x[16:])
        assert torch.equal(batches.labels(later, "cifar10"), all_t[16:])


def test_what_an_offset_leaves(batches: Batches) -> None:
    forward = replace(IMAGES, batch_size=40, offset=40)
    assert len(batches.input(forward, "cifar10")) == len(batches.labels(forward, "cifar10")) == 24
    with pytest.raises(UsageError, match="cifar10 has 64 images, fewer than the 65 asked for"):
        batches.input(replace(IMAGES, offset=64), "cifar10")


CROPS = ForwardSpec("kaiming", "crops", 500, 3, channels=1, cells=1, body="cell")


@pytest.mark.parametrize(("name", "side"), [("cifar10", 32), ("imagenet16_120", 16)])
def test_crops_are_squares_of_one_channel(
    batches: Batches, datasets: dict[str, DataSet], noise_images: Path, name: str, side: int
) -> None:
    x = batches.input(CROPS, name)
    assert (x.shape, x.dtype) == ((500, 1, 3, 3), torch.float32)
    info, images = datasets[name], load_images(noise_images, name).x.astype(np.float32)
    # Every square of a file that has the crop's first pixel, compared one by one.
    found = []
    for crop in x[:40, 0].numpy():
        for colour in range(3):
            values = crop * info.std[colour] + info.mean[colour]
            starts = np.abs(images[:, : side - 2, : side - 2, colour] - values[0, 0]) < 1e-2
            for image, row, column in np.argwhere(starts):
                square = images[image, row : row + 3, column : column + 3, colour]
                if np.abs(square - values).max() < 1e-2:
                    found.append((image, row, column, colour))
    assert len(found) == 40
    for drawn, most in zip(zip(*found, strict=True), (64, side - 2, side - 2, 3), strict=True):
        assert len(set(drawn)) > min(3, most) - 1
        assert max(drawn) < most


def test_crops_reach_every_border(batches: Batches) -> None:
    """Of 3×3 images there is one square a channel; of 4×4 ones there are four."""
    images = batches._images("cifar10")
    small = replace(images, x=images.x[:1, :4, :4])
    batches._images = lambda name: small  # type: ignore[assignment, misc]
    crops = {tuple(crop.flatten().tolist()) for crop in batches.input(CROPS, "cifar10")}
    assert len(crops) == 4 * 3


def test_the_draw_of_crops(batches: Batches, datasets: dict[str, DataSet], noise_images: Path) -> None:
    x = batches.input(CROPS, "cifar10")
    assert torch.equal(Batches(0, datasets, noise_images, CPU).input(CROPS, "cifar10"), x)
    assert not torch.equal(batches.input(replace(CROPS, batch=1), "cifar10"), x)
    assert not torch.equal(Batches(1, datasets, noise_images, CPU).input(CROPS, "cifar10"), x)
    assert batches.input(replace(CROPS, init="gaussian"), "cifar10") is x
    with pytest.raises(UsageError, match="32 x 32 pixels, too small for crops of 33 x 33"):
        batches.input(replace(CROPS, resolution=33), "cifar10")


def test_noise_for_a_cell_has_one_channel(batches: Batches) -> None:
    x = batches.input(replace(CROPS, source="gaussian"), None)
    assert x.shape == (500, 1, 3, 3)
    assert float(x.std()) == pytest.approx(1, abs=0.05)
