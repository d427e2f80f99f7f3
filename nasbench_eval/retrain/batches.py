"""Batches of images, each epoch's decided by seed and epoch alone: not by processes, nor by who reads files.

Images in memory that are only cut, mirrored and cut out of are made a batch at a time on the device; others
one by one with Pillow, torchvision and timm, by processes that read ahead.

Tensor legend: N images of an epoch, B images of a process's batch, R height and width.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from nasbench_eval.benchmark.files import picture
from nasbench_eval.data.datasets import DataSet
from nasbench_eval.errors import UsageError
from nasbench_eval.retrain.recipe import Recipe
from nasbench_eval.retrain.source import Part, Source
from nasbench_eval.retrain.team import Team
from nasbench_eval.retrain.views import looked_at, view
from nasbench_eval.seeding import generator, seed_of

# Images a step where a network is only asked.
_ASKED = 256
Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Batches:
    """Where batches come from.

    Attributes:
        source: the images.
        recipe: batch size and changes of images.
        key: what all draws depend on.
        team: which share of each batch is this process's.
        device: where batches are.
        workers: processes that read ahead; 0 for none.
        flips: whether images are mirrored at random.
    """

    source: Source
    recipe: Recipe
    key: tuple[object, ...]
    team: Team
    device: torch.device
    workers: int
    flips: bool

    @property
    def steps(self) -> int:
        """Batches of an epoch; what is left of its images is left out."""
        return len(self.source.parts["train"]) // self.recipe.batch_size

    def train(self, epoch: int) -> Iterator[Batch]:
        """This process's share of an epoch's batches: images (B, 3, R, R), normalised, and classes (B,)."""
        part, key = self.source.parts["train"], (*self.key, "epoch", epoch)
        order_N = torch.randperm(len(part), generator=generator(*key, "order"))
        size = self.recipe.batch_size
        shares = [
            order_N[step * size : (step + 1) * size][self.team.share(size)] for step in range(self.steps)
        ]
        if self.source.in_memory and self.recipe.plain:
            return self._cut(part, shares, key)
        made = view(self.recipe, self.source.dataset, self.flips)
        return self._read(_Views(part, made, key), shares)

    def judge(self, name: str) -> Iterator[Batch]:
        """This process's share of a part, as it is."""
        part = self.source.parts[name]
        mine = torch.arange(self.team.rank, len(part), self.team.size)
        shares = [mine[start : start + _ASKED] for start in range(0, len(mine), _ASKED)]
        if self.source.in_memory:
            return (self._whole(part, share) for share in shares)
        return self._read(_Views(part, looked_at(self.recipe, self.source.dataset), None), shares)

    def _whole(self, part: Part, chosen: Tensor) -> Batch:
        assert isinstance(part.images, np.ndarray)
        x = torch.from_numpy(part.images[chosen.numpy()]).to(self.device)
        y = torch.from_numpy(part.labels[chosen.numpy()]).to(self.device)
        return normalised(x, self.source.dataset).permute(0, 3, 1, 2), y

    def _cut(self, part: Part, shares: Sequence[Tensor], key: tuple[object, ...]) -> Iterator[Batch]:
        assert isinstance(part.images, np.ndarray)
        pixels, labels = torch.from_numpy(part.images).to(self.device), torch.from_numpy(part.labels)
        draws = Draws.of(len(part), pixels.shape[1], self.recipe, self.flips, key)
        for chosen in shares:
            x = cut(pixels, chosen, draws, self.source.dataset, self.recipe.cutout)
            yield x.permute(0, 3, 1, 2), labels[chosen].to(self.device)

    def _read(self, views: _Views, shares: Sequence[Tensor]) -> Iterator[Batch]:
        loader = DataLoader(
            views,
            batch_sampler=[share.tolist() for share in shares],
            collate_fn=_together,
            num_workers=min(self.workers, len(shares)),
            generator=torch.Generator(),  # else it draws from the one that the network's layers draw from
            pin_memory=self.device.type == "cuda",
        )
        for batch in loader:
            if isinstance(batch, str):
                raise UsageError(batch)
            x, y = batch
            x = x.to(self.device, non_blocking=True, memory_format=torch.channels_last)
            yield x, y.to(self.device, non_blocking=True)


@dataclass(frozen=True)
class Draws:
    """What is drawn for each image of an epoch.

    Attributes:
        corners_N2: row and column where it is cut from its copy with a border.
        flips_N: whether it is mirrored.
        centres_N2: the middle of what is cut out.
        border: pixels.
    """

    corners_N2: Tensor
    flips_N: Tensor
    centres_N2: Tensor
    border: int

    @classmethod
    def of(cls, count: int, side: int, recipe: Recipe, flips: bool, key: tuple[object, ...]) -> Draws:
        """Drawn on the CPU, so that every device and every process gets the same."""
        border = side // 8 if recipe.crop == "pad" else 0
        return cls(
            torch.randint(2 * border + 1, (count, 2), generator=generator(*key, "crops")),
            torch.randint(2, (count,), generator=generator(*key, "flips")).bool() & flips,
            torch.randint(side, (count, 2), generator=generator(*key, "cutout")),
            border,
        )


def cut(pixels: Tensor, chosen_B: Tensor, draws: Draws, dataset: DataSet, cutout: int) -> Tensor:
    """Images as they are shown to the network, (B, R, R, 3), normalised.

    The border around an image is black; what is cut out is of the mean colour.

    Args:
        pixels: all images, uint8, (N, R, R, 3).
        chosen_B: which of them.
        draws: for each of all images.
        dataset: has the statistics.
        cutout: side of what is cut out, as far as it is inside the image (DeVries & Taylor 2017).
    """
    device, side = pixels.device, pixels.shape[1]
    corners_B2, flips_B = draws.corners_N2[chosen_B].to(device), draws.flips_N[chosen_B].to(device)
    places_R = torch.arange(side, device=device)
    rows_BR = corners_B2[:, :1] - draws.border + places_R
    columns_BR = corners_B2[:, 1:] - draws.border + places_R
    columns_BR = torch.where(flips_B[:, None], columns_BR.flip(1), columns_BR)
    outside_BRR = _outside(rows_BR, side)[:, :, None] | _outside(columns_BR, side)[:, None, :]
    images_B = chosen_B.to(device)[:, None, None]
    rows, columns = rows_BR.clamp(0, side - 1)[:, :, None], columns_BR.clamp(0, side - 1)[:, None, :]
    x_BRRC = pixels[images_B, rows, columns].masked_fill_(outside_BRR[..., None], 0)
    shown = normalised(x_BRRC, dataset)
    if cutout:
        first_B2 = draws.centres_N2[chosen_B].to(device) - cutout // 2
        inside_B2R = (places_R >= first_B2[..., None]) & (places_R < first_B2[..., None] + cutout)
        shown.masked_fill_((inside_B2R[:, 0, :, None] & inside_B2R[:, 1, None, :])[..., None], 0)
    return shown


def normalised(x_BRRC: Tensor, dataset: DataSet) -> Tensor:
    """Images in uint8 as float32, scaled by the data set's statistics; colours stay last."""
    mean, std = (torch.tensor(values, device=x_BRRC.device) for values in (dataset.mean, dataset.std))
    return (x_BRRC.float() - mean) / std


def _outside(places: Tensor, side: int) -> Tensor:
    return (places < 0) | (places >= side)


class _Views(Dataset[Any]):
    """Images of a part, one by one, as `made` shows them; or a text that says why there is none."""

    def __init__(self, part: Part, made: Callable[[Any], Any], key: tuple[object, ...] | None) -> None:
        self.part, self.made, self.key = part, made, key

    def __len__(self) -> int:
        return len(self.part)

    def __getitem__(self, place: int) -> tuple[Tensor, int] | str:
        from PIL import Image

        found = self.part.images[place]
        try:
            image = Image.fromarray(found) if isinstance(found, np.ndarray) else picture(found)
            with _seeded(0 if self.key is None else seed_of(*self.key, place)):
                return self.made(image), int(self.part.labels[place])
        except UsageError as error:
            return str(error)  # an error of another process would come with its stack


def _together(items: Sequence[Any]) -> Any:
    for item in items:
        if isinstance(item, str):
            return item
    return torch.stack([x for x, _ in items]), torch.tensor([y for _, y in items])


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """The global generators, which libraries draw from, seeded and put back afterwards."""
    python, numpy, torch_state = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(torch_state)
