"""From the configuration of `nasbench-train` to typed objects."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from omegaconf import DictConfig

from nasbench_eval.benchmark.pictures import Pictures, divide, prepared, read
from nasbench_eval.benchmark.trainer import VERSION, Plan, label_of
from nasbench_eval.data.datasets import DataSet
from nasbench_eval.data.folder import data_folder
from nasbench_eval.data.images import FORMATS, Format
from nasbench_eval.errors import UsageError
from nasbench_eval.options.typed import TrainOptions, plain, train_options_of, written
from nasbench_eval.runs.record import LATER, TRAINED, fingerprint
from nasbench_eval.spaces.open import is_open
from nasbench_eval.training import Training
from nasbench_eval.wording import shown
from nasbench_eval.work.execution import SampleWork, check_side, device_named, space_named, work_of
from nasbench_eval.work.sample import drawn
from nasbench_eval.work.subject import LISTED, Subject

# Learning rate and weight decay where none are given.
_USUAL = {"sgd": (0.1, 5e-4), "adamw": (1e-3, 0.05)}
# Images and labels by the name of their part.
Parts = Mapping[str, tuple[NDArray[np.uint8], NDArray[np.int64]]]


@dataclass(frozen=True)
class Course(SampleWork):
    """A configuration of trainings ready to run.

    Attributes:
        plan: what decides the accuracies, with the images.
        classes: the names of the images' classes.
        parts: images and labels to train, validate and test with.
        digest: SHA-256 of these, all parts in their order.
    """

    options: TrainOptions
    plan: Plan
    classes: tuple[str, ...]
    parts: Parts
    digest: str

    def identity(self) -> dict[str, Any]:
        """What decides the accuracies, in the form in which a run of scores has it."""
        return {**_identity(self.plan), "division": self.digest}


def _digest(parts: Parts) -> str:
    total = hashlib.sha256()
    for images, labels in parts.values():
        total.update(images.tobytes() + labels.tobytes())
    return total.hexdigest()


def resolve(config: DictConfig) -> Course:
    """Check a composed configuration, and read the images that it names.

    Raises:
        UsageError: naming what is wrong.
    """
    options = train_options_of(config)
    space = space_named(plain(config).get("space"))
    if not is_open(space) and len(space) > LISTED:
        raise UsageError(
            f"{space.name} has {len(space):,} architectures, too many for a table of accuracies; train "
            "those of another space"
        )
    pictures = read(options.images, options.resolution, lambda: data_folder(options.data))
    wished = (options.train_images, options.val_images, options.test_images)
    division = divide(pictures, wished, options.split_seed, options.images)
    if options.copies > 1 and not options.noise:
        raise UsageError(f"copies={options.copies} without noise= would only repeat the images")
    parts = prepared(pictures, division, options.noise, options.copies, options.split_seed)
    dataset = described(name_of(options.images, options.name, pictures), pictures.classes, parts["train"][0])
    plan = Plan(space, dataset, _training(options, len(division.train)), _seeds(options))
    check_side(plan.space, plan.dataset.resolution, "resolution")
    device = device_named(options.device)
    sample = drawn(options, Subject(space, plan.datasets), options.n)
    digest = _digest(parts)
    digits = fingerprint({**_identity(plan), **LATER, "division": digest})
    name = f"{space.name}-{dataset.name}-trained-{digits}"
    work = work_of(options, sample, device, name, portions=len(plan.seeds))
    everything = {**vars(work), "options": options}
    return Course(**everything, plan=plan, classes=pictures.classes, parts=parts, digest=digest)


def _training(options: TrainOptions, images: int) -> Training:
    rate, decay = _USUAL[options.optimizer]
    return Training(
        epochs=options.epochs,
        images=images,
        batch_size=options.batch_size,
        learning_rate=rate if options.learning_rate is None else options.learning_rate,
        momentum=options.momentum,
        weight_decay=decay if options.weight_decay is None else options.weight_decay,
        schedule=options.epochs,
        flips=options.images != "digits" if options.flips is None else options.flips,
        optimizer=options.optimizer,
    )


def _seeds(options: TrainOptions) -> tuple[int, ...]:
    if not options.seeds or len(set(options.seeds)) < len(options.seeds):
        raise UsageError(f"seeds={list(options.seeds)}: name at least one, and each once")
    return options.seeds


def name_of(images: str, given: str | None, pictures: Pictures) -> str:
    """The data set's name, by default from where the images lie.

    An official one is left to images that look like the official ones, which is asked of all that bear it.

    Raises:
        UsageError: if they do not.
    """
    stem = stem_of(images)
    name, side, classes = given or stem, pictures.x.shape[1], len(pictures.classes)
    official = FORMATS.get(name)
    if official in (None, Format(side, classes)):
        return name
    if given is None:
        return f"{name}_{side}px_{classes}"
    raise UsageError(
        f"name={name} is of images of {official.side} pixels and {official.num_classes} classes; these have "
        f"{side} pixels and {classes} classes: choose another"
    )


def require_name(name: str) -> None:
    """Refuse what cannot be the name of a data set.  Raises UsageError."""
    if not name.replace("_", "").isalnum() or not name.isascii():
        raise UsageError(
            f"name={shown(name)[1:-1]} will not do; give the images one of letters, digits and _ with name="
        )


def stem_of(images: str) -> str:
    """A name for a data set, from where its images lie."""
    stem = Path(images).resolve().stem
    return "".join(c if c.isalnum() else "_" for c in stem).strip("_").lower() or "images"


def described(name: str, classes: Sequence[str], images: NDArray[np.uint8]) -> DataSet:
    """The data set with the statistics of the images that are trained on.

    Raises:
        UsageError: if the name will not do, or the images show nothing.
    """
    require_name(name)
    shades = np.arange(256)
    # By counting shades, a colour at a time: takes a third of the memory that all as fractions would.
    shares = [np.bincount(images[..., c].ravel(), minlength=256) / images[..., c].size for c in range(3)]
    mean = np.array([share @ shades for share in shares])
    variance = [share @ (shades - m) ** 2 for share, m in zip(shares, mean, strict=True)]
    std = np.sqrt(variance).round(4)
    if not std.any():
        raise UsageError(f"the images of {name} to train with are all of one colour")
    std[std == 0] = 1  # an empty channel says nothing, and is zero for all
    (red, green, blue), spreads = mean.round(4).tolist(), std.tolist()
    return DataSet(name, len(classes), images.shape[1], (red, green, blue), tuple(spreads))


def _identity(plan: Plan) -> dict[str, Any]:
    recipe = {"name": TRAINED, "version": VERSION, **plan.training.identity()}
    return {
        "space": {"name": plan.space.name, **asdict(plan.space)},  # type: ignore[call-overload]
        "seed": 0,  # each training has its own
        "datasets": {plan.dataset.name: written(plan.dataset)},
        "proxies": {label_of(seed): {**recipe, "seed": seed} for seed in plan.seeds},
    }
