"""The images that a network is trained, validated and tested with: in memory, or files that are read later.

They are checked here, before the first epoch; of files in a folder, one of each class is opened.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nasbench_eval.benchmark.config import described, name_of, require_name, stem_of
from nasbench_eval.benchmark.files import PARTS, listed, picture
from nasbench_eval.benchmark.pictures import interleaved, read
from nasbench_eval.data.datasets import DataSet
from nasbench_eval.data.folder import data_folder
from nasbench_eval.errors import UsageError
from nasbench_eval.options.typed import RetrainOptions
from nasbench_eval.wording import counted, shown

# Height and width that images of a folder are brought to, and their statistics: ImageNet's, as is usual.
_SIDE = 224
_MEAN, _STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
# Which share of an image's side is cut out of its middle to judge a network by, as is usual.
CENTRE = 0.875


@dataclass(frozen=True)
class Part:
    """Images for one purpose.

    Attributes:
        images: uint8, N x R x R x 3; or paths of files.
        labels: int64, N.
    """

    images: NDArray[np.uint8] | tuple[Path, ...]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Source:
    """Images, divided.

    Attributes:
        dataset: name, classes, resolution and statistics.
        classes: the names of all classes, in the order of their numbers.
        parts: by name; `train`, and those of `val` and `test` that there are.
        digest: SHA-256 of all images and labels, and of which are for what; of files, of their names.
    """

    dataset: DataSet
    classes: tuple[str, ...]
    parts: Mapping[str, Part]
    digest: str

    @property
    def in_memory(self) -> bool:
        return not isinstance(self.parts["train"].images, tuple)


def opened(options: RetrainOptions) -> Source:
    """The images that `images=` names.

    Raises:
        UsageError: naming what is wrong with them: no images, a class without any, a file that is none.
    """
    if Path(options.images).is_dir():
        return _of_folder(options)
    pictures = read(options.images, options.resolution, lambda: data_folder(options.data))
    cuts = divided(pictures.y, pictures.part, options, pictures.classes)
    parts = {name: Part(pictures.x[cut], pictures.y[cut]) for name, cut in cuts.items()}
    name = name_of(options.images, options.name, pictures)
    train = parts["train"].images
    assert isinstance(train, np.ndarray)
    total = hashlib.sha256()
    for purpose, part in parts.items():
        assert isinstance(part.images, np.ndarray)
        # The same images, divided in another way, are other data.
        total.update(f"{purpose} {len(part)}\n".encode())
        total.update(part.images.tobytes() + part.labels.tobytes())
    return Source(described(name, pictures.classes, train), pictures.classes, parts, total.hexdigest())


def _of_folder(options: RetrainOptions) -> Source:
    """Files of a folder; one of each class is opened now, the others when their turn comes."""
    folder = Path(options.images)
    found = listed(folder)
    if len(found.classes) < 2:
        raise UsageError(f"{folder} has images of one class alone, {shown(found.classes[0])}")
    part_N = np.array([part for part, _, _ in found.files]) if found.divided else None
    y = np.array([label for _, label, _ in found.files], np.int64)
    cuts = divided(y, part_N, options, found.classes)
    files = [file for _, _, file in found.files]
    for label in range(len(found.classes)):
        picture(files[int(np.argmax(y == label))])
    parts = {name: Part(tuple(files[n] for n in cut), y[cut]) for name, cut in cuts.items()}
    total = hashlib.sha256()
    for name, part in parts.items():
        assert isinstance(part.images, tuple)
        told = (
            f"{name} {f.relative_to(folder)} {label}\n"
            for f, label in zip(part.images, part.labels, strict=True)
        )
        total.update("".join(told).encode("utf-8", "surrogateescape"))
    name = options.name or stem_of(options.images)
    require_name(name)
    dataset = DataSet(name, len(found.classes), options.resolution or _SIDE, _MEAN, _STD)
    return Source(dataset, found.classes, parts, total.hexdigest())


def divided(
    y: NDArray[np.int64],
    part_N: NDArray[np.int64] | None,
    options: RetrainOptions,
    classes: Sequence[str],
) -> dict[str, NDArray[np.int64]]:
    """Which images are for what: their positions, by the name of the part.

    What a source is divided into stays so.  Images to test with come out of those to train with only where
    there are none to validate with either, and those to validate with only where there are none.

    Args:
        y: the class of each image.
        part_N: the number of its part in `PARTS`; None where the source is not divided.
        options: how many are asked for, and the seed.
        classes: the names of all classes.

    Raises:
        UsageError: if there are too few, or none of a class to train with.
    """
    rng = np.random.default_rng(options.split_seed)
    where = np.zeros(len(y), np.int64) if part_N is None else part_N
    pools = [interleaved(y, rng.permutation(np.flatnonzero(where == part))) for part in range(len(PARTS))]
    own = [len(pool) > 0 for pool in pools]
    rest, fifth = pools[0], max(1, len(pools[0]) // 5)
    wished = {"train": options.train_images, "val": options.val_images, "test": options.test_images}
    found = {}
    for part in (2, 1):
        name, pool = PARTS[part], pools[part] if own[part] else rest
        size = wished[name]
        if size is None:
            size = len(pool) if own[part] else 0 if part == 2 and own[1] else fifth
        if size > len(pool):
            raise UsageError(f"{name}_images={size}: {counted(len(pool), 'image')} are left for that")
        if size:
            found[name] = pool[:size]
        if not own[part]:
            rest = rest[size:]
    size = len(rest) if wished["train"] is None else wished["train"]
    if not 0 < size <= len(rest):
        raise UsageError(f"train_images={size}: {counted(len(rest), 'image')} are left for that")
    lacking = np.setdiff1d(np.arange(len(classes)), y[rest[:size]])
    if len(lacking):
        raise UsageError(
            f"the {size} images to train with have none of class {shown(classes[int(lacking[0])])}; ask for "
            "more, or leave the class out"
        )
    return {"train": rest[:size], **dict(reversed(found.items()))}
