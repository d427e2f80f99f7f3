"""From the configuration of `nasbench-train` to typed objects."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig

from nasbench_eval import sampling
from nasbench_eval.benchmark.pictures import PARTS, Division, Pictures, divide, read
from nasbench_eval.benchmark.trainer import VERSION, Plan, label_of
from nasbench_eval.data.datasets import DataSet
from nasbench_eval.errors import UsageError, shown
from nasbench_eval.execution import Work, device_named, given, space_named, work_of
from nasbench_eval.options import TrainOptions, plain, train_options_of
from nasbench_eval.record import LATER, fingerprint
from nasbench_eval.training import Training
from nasbench_eval.truth.folder import data_folder


@dataclass(frozen=True)
class Course(Work):
    """A configuration of trainings ready to run.

    Attributes:
        plan: what decides the accuracies, with the images.
        options: how.
        pictures: the images.
        division: which of them are for what.
    """

    plan: Plan
    options: TrainOptions
    pictures: Pictures
    division: Division

    def identity(self) -> dict[str, Any]:
        """What decides the accuracies, in the form in which a run of scores has it."""
        return {**_identity(self.plan), "division": self.digest()}

    def digest(self) -> str:
        """SHA-256 of the images and labels of all parts, in their order."""
        total = hashlib.sha256()
        for part in PARTS:
            chosen = getattr(self.division, part)
            total.update(self.pictures.x[chosen].tobytes() + self.pictures.y[chosen].tobytes())
        return total.hexdigest()


def resolve(config: DictConfig) -> Course:
    """Check a composed configuration, and read the images that it names.

    Raises:
        UsageError: naming what is wrong.
    """
    options = train_options_of(config)
    space = space_named(plain(config).get("space"))
    pictures = read(options.images, options.resolution, lambda: data_folder(options.data))
    if options.noise:
        pictures = _noisy(pictures, options.noise, options.split_seed)
    sizes = (options.train_images, options.val_images, options.test_images)
    division = divide(pictures, sizes, options.split_seed, options.images)
    dataset = _described(options.name or _stem(options.images), pictures, division)
    plan = Plan(space, dataset, _training(options, len(division.train)), _seeds(options))
    device = device_named(options.device)
    size = len(space)
    if options.indices is not None:
        sample = given(options.indices, size)
    elif isinstance(options.n, str):
        sample = tuple(range(size))
    elif options.n > size:
        raise UsageError(f"n={options.n}: the space has {size} architectures; n=all takes them all")
    else:
        sample = sampling.uniform(size, options.n, options.sample_seed)
    digits = fingerprint({**_identity(plan), **LATER})
    work = work_of(options, sample, device, f"{space.name}-{dataset.name}-trained-{digits}")
    return Course(**vars(work), plan=plan, options=options, pictures=pictures, division=division)


def _training(options: TrainOptions, images: int) -> Training:
    return Training(
        epochs=options.epochs,
        images=images,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        momentum=options.momentum,
        weight_decay=options.weight_decay,
        schedule=options.epochs,
        flips=options.flips,
    )


def _seeds(options: TrainOptions) -> tuple[int, ...]:
    if not options.seeds or len(set(options.seeds)) < len(options.seeds):
        raise UsageError(f"seeds={list(options.seeds)}: name at least one, and each once")
    return options.seeds


def _stem(images: str) -> str:
    """A data set's name from where its images lie."""
    stem = Path(images).resolve().stem
    return "".join(c if c.isalnum() else "_" for c in stem).strip("_").lower() or "images"


def _described(name: str, pictures: Pictures, division: Division) -> DataSet:
    """The data set with the statistics of the images that are trained on."""
    if not name.replace("_", "").isalnum() or not name.isascii():
        raise UsageError(f"name={shown(name)[1:-1]} will not do; it should be made of letters, digits and _")
    x = pictures.x[division.train].astype(np.float64)
    mean, std = x.mean(axis=(0, 1, 2)), x.std(axis=(0, 1, 2))
    if not (std > 0).all():
        raise UsageError(f"the images of {name} to train with are all of one colour")
    (red, green, blue), spreads = mean.round(4).tolist(), std.round(4).tolist()
    return DataSet(name, len(pictures.classes), x.shape[1], (red, green, blue), tuple(spreads))


def _noisy(pictures: Pictures, noise: float, seed: int) -> Pictures:
    """The images with Gaussian noise, the same in all colours, of `noise` times their standard deviation.

    Contrast is taken back so far that three standard deviations of both find room in 256 shades.
    """
    rng = np.random.default_rng(seed)
    x = pictures.x.astype(np.float64)
    middle, spread = x.mean(), x.std()
    contrast = min(1.0, 42 / (spread * np.sqrt(1 + noise**2)))
    drawn = rng.normal(0, noise * spread, x.shape[:3])[..., None]
    x = np.clip(np.rint(127.5 + contrast * (x - middle + drawn)), 0, 255)
    return Pictures(x.astype(np.uint8), pictures.y, pictures.classes, pictures.part)


def _identity(plan: Plan) -> dict[str, Any]:
    recipe = {"name": "trained", "version": VERSION, **asdict(plan.training)}
    return {
        "space": {"name": plan.space.name, **asdict(plan.space)},  # type: ignore[call-overload]
        "seed": min(plan.seeds),
        "datasets": {plan.dataset.name: asdict(plan.dataset)},
        "proxies": {label_of(seed): {**recipe, "seed": seed} for seed in plan.seeds},
    }
