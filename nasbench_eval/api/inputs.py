"""What networks of one's own are shown: images that are handed over, a data set's, or noise.

Tensor legend: N images, B batch, C channels, H height, W width.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from nasbench_eval.data.batches import Batches
from nasbench_eval.data.datasets import DataSet
from nasbench_eval.data.folder import data_folder
from nasbench_eval.errors import UsageError
from nasbench_eval.options.typed import typed
from nasbench_eval.paths import config_folder, configured
from nasbench_eval.registry import UnknownName
from nasbench_eval.truth.own import EMBEDDED, load

Shape = tuple[int, int, int]
# What stands for a data set where images are handed over, or are noise.
NAME = "input"


@dataclass(frozen=True)
class Shown:
    """What networks are shown.

    Attributes:
        shape: of an image, (C, H, W).
        images: (N, C, H, W) in float32; None for noise, or a data set's.
        labels: (N,), int64.
        dataset: a data set of `configs/dataset`; None otherwise.
        folder: where its images lie.
    """

    shape: Shape
    images: Tensor | None = None
    labels: Tensor | None = None
    dataset: DataSet | None = None
    folder: Path | None = None

    @property
    def pictured(self) -> bool:
        """Whether there are images."""
        return self.images is not None or self.dataset is not None

    def data(self, classes: int) -> DataSet:
        """What a pass asks of a data set."""
        if self.dataset is not None:
            return self.dataset
        return DataSet(NAME, classes, self.shape[1], (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))

    def batches(self, data: DataSet, seed: int, device: torch.device) -> Batches:
        """The batches of one network."""
        if self.dataset is not None:
            return Batches(seed, {data.name: data}, self.folder, device)
        return _Own(seed, data, self, device)


class _Own(Batches):
    """Batches of images that are handed over, or of noise of any shape."""

    def __init__(self, seed: int, data: DataSet, shown: Shown, device: torch.device) -> None:
        super().__init__(seed, {data.name: data}, None, device)
        self.shown = shown

    def _shape(self, channels: int, resolution: int) -> Shape:
        wide, height, width = self.shown.shape
        return (wide, height, width) if resolution == height else (wide, resolution, resolution)

    def _labels_of(self, dataset: str) -> npt.NDArray[np.int64]:
        labels = self.shown.labels
        if labels is None:
            raise UsageError("images are needed: hand them over with images= and labels=")
        found: npt.NDArray[np.int64] = labels.cpu().numpy()
        return found

    def _normalised(self, dataset: str, chosen: npt.NDArray[np.int64], resolution: int) -> Tensor:
        images = self.shown.images
        assert images is not None
        x = images[torch.from_numpy(chosen).to(images.device)].float()
        size = self._shape(0, resolution)[1:]
        if tuple(x.shape[2:]) != size:
            x = F.interpolate(x, size=size, mode="bilinear", antialias=True)
        return x


def shown(
    input: tuple[int, ...] | None, images: object, labels: object, data: Path | str | None = None
) -> Shown:
    """What is asked for, checked.

    Raises:
        UsageError: if shapes, kinds or sizes do not fit.
    """
    shape = None if input is None else _shape_of(input)
    if images is None:
        if labels is not None:
            raise UsageError("labels= go with images=")
        return Shown(shape or (3, 32, 32))
    if isinstance(images, str):
        return _of_dataset(images, shape, labels, data)
    x = torch.as_tensor(images)  # arrays as well
    if x.ndim != 4 or len(x) == 0 or not x.is_floating_point():
        raise UsageError(
            f"images= are floats of shape (N, channels, height, width), scaled as the network takes them; "
            f"got {str(x.dtype).removeprefix('torch.')} of shape {tuple(x.shape)}"
        )
    if not x.isfinite().all():
        raise UsageError("images= hold values that are not finite")
    own = (int(x.shape[1]), int(x.shape[2]), int(x.shape[3]))
    if shape not in (None, own):
        raise UsageError(f"input={shape} is not the shape of the images, {own}; leave it out")
    if labels is None:
        raise UsageError("images= need labels=: a class from 0 on for each")
    y = torch.as_tensor(labels)
    if y.shape != (len(x),) or y.is_floating_point() or y.dtype == torch.bool:
        raise UsageError(f"labels= are {len(x)} whole numbers; got {y.dtype} of shape {tuple(y.shape)}")
    if int(y.min()) < 0:
        raise UsageError(f"labels= are classes from 0 on; one is {int(y.min())}")
    return Shown(own, x.detach(), y.long())


def _shape_of(input: tuple[int, ...]) -> Shape:
    if not isinstance(input, tuple | list) or len(input) != 3:
        raise UsageError(f"input= is (channels, height, width), such as (3, 32, 32); got {input!r}")
    if not all(isinstance(side, int) and side > 0 for side in input):
        raise UsageError(f"input={tuple(input)!r}: channels, height and width are whole numbers above 0")
    return input[0], input[1], input[2]


def _of_dataset(name: str, shape: Shape | None, labels: object, data: Path | str | None) -> Shown:
    from omegaconf import OmegaConf

    if labels is not None:
        raise UsageError(f"images={name} bring their labels; leave labels= out")
    if name in EMBEDDED:
        benchmark = load(name)
        side = benchmark.dataset.resolution
        _fits(shape, name, (3, side, side))
        return Shown((3, side, side), dataset=benchmark.dataset, folder=benchmark.folder)
    if name not in configured("dataset"):
        raise UnknownName("data set", name, [*configured("dataset"), *EMBEDDED])
    values = OmegaConf.to_container(OmegaConf.load(config_folder() / "dataset" / f"{name}.yaml"))
    assert isinstance(values, dict)
    dataset = typed(DataSet, {"name": name, **{str(k): v for k, v in values.items()}}, name)
    if dataset.task != "classification":
        raise UsageError(f"images={name} are for {dataset.task}, and networks that are handed over classify")
    own = (3, dataset.resolution, dataset.resolution)
    _fits(shape, name, own)
    return Shown(own, dataset=dataset, folder=data_folder(None if data is None else Path(data)))


def _fits(shape: Shape | None, name: str, own: Shape) -> None:
    if shape not in (None, own):
        raise UsageError(f"input={shape} is not the shape of the images of {name}, {own}; leave it out")
