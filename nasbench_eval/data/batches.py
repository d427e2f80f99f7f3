"""Input batches: one for all architectures, drawn from the run's seed alone.

Tensor legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from nasbench_eval.data.datasets import DataSet
from nasbench_eval.data.images import Images, load_images
from nasbench_eval.errors import UsageError
from nasbench_eval.passes import ForwardSpec
from nasbench_eval.seeding import generator, seed_of

# How far perturbed ones are from ones.
PERTURBATION = 0.01
SYNTHETIC: Mapping[str, Callable[[tuple[int, ...], torch.Generator], Tensor]] = {
    "gaussian": lambda shape, g: torch.randn(shape, generator=g),
    "uniform": lambda shape, g: torch.rand(shape, generator=g),
    "ones": lambda shape, g: torch.ones(shape),
    "perturbed_ones": lambda shape, g: 1 + PERTURBATION * torch.randn(shape, generator=g),
}


class Batches:
    """Batches and labels by pass and data set; each is made once and kept on the device.

    Args:
        seed: the run's seed.
        datasets: data sets by name.
        folder: where `images/<name>.npz` lie; None if no pass asks for images.
        device: where batches are kept.
    """

    def __init__(
        self, seed: int, datasets: Mapping[str, DataSet], folder: Path | None, device: torch.device
    ) -> None:
        self.seed, self.datasets, self.folder, self.device = seed, datasets, folder, device
        self._images = lru_cache(maxsize=None)(self._load)
        self._cached_input = lru_cache(maxsize=16)(self._input)
        self._cached_training_set = lru_cache(maxsize=4)(self._training_set)

    def input(self, forward: ForwardSpec, dataset: str | None) -> Tensor:
        """Images (B, 3, R, R) in float32, normalised by the data set's statistics, or a synthetic source's.

        A pass through a cell without a stem gets one channel (B, 1, R, R).  With `pieces` an image is cut
        into so many of that resolution, which lie in its channels: (B, pieces · 3, R, R).

        Raises:
            UsageError: if real images are asked for and absent, fewer than a batch, or smaller than a crop.
        """
        # Fields that concern the weights or the mode do not change the batch: leave them out of the key.
        return self._cached_input(
            forward.source,
            forward.batch_size,
            forward.resolution,
            forward.batch,
            forward.noise,
            forward.offset,
            1 if forward.body == "cell" else 3,
            forward.pieces,
            dataset if forward.imaged else None,
        )

    def labels(self, forward: ForwardSpec, dataset: str) -> Tensor:
        """The images' own labels (B,), or uniform random ones where the input is synthetic or crops."""
        if forward.source == "images":
            chosen = self._choice(dataset, forward.batch_size, forward.batch, forward.offset)
            labels = torch.from_numpy(self._labels_of(dataset)[chosen])
        else:
            classes = self.datasets[dataset].num_classes
            g = generator(self.seed, "labels", classes, forward.batch)
            labels = torch.randint(classes, (forward.offset + forward.batch_size,), generator=g)
            labels = labels[forward.offset :]
        return labels.to(self.device)

    def training_set(self, dataset: str, images: int, resolution: int) -> tuple[Tensor, Tensor]:
        """The first training images of the data set in a seeded order, (N, 3, R, R), and their labels (N,).

        Raises:
            UsageError: if the data set has fewer.
        """
        return self._cached_training_set(dataset, images, resolution)

    def _training_set(self, dataset: str, images: int, resolution: int) -> tuple[Tensor, Tensor]:
        chosen = self._choice(dataset, images, "training")
        x = self._normalised(dataset, chosen, resolution)
        labels = torch.from_numpy(self._labels_of(dataset)[chosen])
        return x.to(self.device, memory_format=torch.channels_last), labels.to(self.device)

    def _input(
        self,
        source: str,
        batch_size: int,
        resolution: int,
        batch: int,
        noise: float,
        offset: int,
        channels: int,
        pieces: int,
        dataset: str | None,
    ) -> Tensor:
        shape = (offset + batch_size, *self._shape(pieces * channels, resolution))
        if source in SYNTHETIC:
            x = SYNTHETIC[source](shape, generator(self.seed, source, batch))[offset:]
        elif source == "crops":
            assert dataset is not None
            x = self._crops(dataset, batch_size, batch, resolution)
        else:
            assert dataset is not None
            chosen, rows = self._choice(dataset, batch_size, batch, offset), math.isqrt(pieces)
            x = self._normalised(dataset, chosen, rows * resolution)
            x = cut(x, rows) if rows > 1 else x
        if noise:
            x = x + noise * torch.randn(shape, generator=generator(self.seed, "noise", batch))[offset:]
        return x.to(self.device, memory_format=torch.channels_last)

    def _shape(self, channels: int, resolution: int) -> tuple[int, int, int]:
        """Of an input, (C, H, W)."""
        return channels, resolution, resolution

    def _labels_of(self, dataset: str) -> npt.NDArray[np.int64]:
        """The labels of all images."""
        labels: npt.NDArray[np.int64] = self._images(dataset).y
        return labels

    def _load(self, dataset: str) -> Images:
        if self.folder is None:
            raise UsageError(f"real images of {dataset} are asked for, but no data folder is named")
        return load_images(self.folder, dataset)

    def _choice(
        self, dataset: str, batch_size: int, batch: int | str, offset: int = 0
    ) -> npt.NDArray[np.int64]:
        """Positions of a mini-batch: each is drawn on its own, without replacement within it."""
        count = len(self._labels_of(dataset))
        if count < batch_size or count <= offset:
            least = max(batch_size, offset + 1)
            raise UsageError(f"{dataset} has {count} images, fewer than the {least} asked for")
        rng = np.random.default_rng(seed_of(self.seed, "images", dataset, batch))
        return rng.permutation(count)[offset : offset + batch_size]

    def _crops(self, dataset: str, number: int, batch: int, side: int) -> Tensor:
        """Squares of the images, (N, 1, side, side): image, channel and place of each drawn on their own."""
        images = self._images(dataset)
        count, height, width, colours = images.x.shape
        if side > min(height, width):
            raise UsageError(
                f"{dataset} has images of {height} x {width} pixels, too small for crops of {side} x {side}"
            )
        rng = np.random.default_rng(seed_of(self.seed, "crops", dataset, batch))
        image, colour = rng.integers(count, size=number), rng.integers(colours, size=number)
        top, left = rng.integers(height - side + 1, size=number), rng.integers(width - side + 1, size=number)
        row, column = np.arange(side)[:, None], np.arange(side)
        each = (slice(None), None, None)
        taken = images.x[image[each], top[each] + row, left[each] + column, colour[each]]
        info = self.datasets[dataset]
        mean, std = (np.array(values, dtype=np.float32)[colour[each]] for values in (info.mean, info.std))
        return torch.from_numpy((taken.astype(np.float32) - mean) / std)[:, None]

    def _normalised(self, dataset: str, chosen: npt.NDArray[np.int64], resolution: int) -> Tensor:
        x = normalised(torch.from_numpy(self._images(dataset).x[chosen]), self.datasets[dataset])
        if x.shape[-1] != resolution:
            x = F.interpolate(x, size=(resolution, resolution), mode="bilinear", antialias=True)
        return x


def normalised(images_NHWC: Tensor, info: DataSet) -> Tensor:
    """Images (N, H, W, 3) in uint8 as float32 (N, 3, H, W), scaled by the data set's statistics."""
    x = images_NHWC.permute(0, 3, 1, 2).float()
    return (x - torch.tensor(info.mean).view(1, 3, 1, 1)) / torch.tensor(info.std).view(1, 3, 1, 1)


def cut(images: Tensor, rows: int) -> Tensor:
    """Images (B, C, rows · R, rows · R) as pieces, row by row, in the channels: (B, rows² · C, R, R)."""
    B, C, side, _ = images.shape
    pieces = images.view(B, C, rows, side // rows, rows, side // rows).permute(0, 2, 4, 1, 3, 5)
    return pieces.reshape(B, rows * rows * C, side // rows, side // rows)
