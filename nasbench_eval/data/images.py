"""Real images: read from `images/<data set>.npz`, and converted into it from the official archives.

Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009 (CIFAR-10 and CIFAR-100);
Chrabaszcz, Loshchilov & Hutter, "A Downsampled Variant of ImageNet as an Alternative to the CIFAR
Datasets", 2017, with the first 120 classes as NAS-Bench-201 takes them (ImageNet16-120).

Tensor legend: N images, H height, W width, 3 the colours red, green and blue.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_eval.data import pickles
from nasbench_eval.errors import UsageError
from nasbench_eval.wording import first_line

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Format:
    """What the images of a data set look like."""

    side: int
    num_classes: int


FORMATS = {
    "cifar10": Format(32, 10),
    "cifar100": Format(32, 100),
    "imagenet16_120": Format(16, 120),
}

_AGAIN = "delete it and build it again with `nasbench-data` (make data)"
# Bytes that a file's arrays may take when unpacked: ten times those of all of CIFAR's or ImageNet16-120's
# images.  A small file may claim to hold any number.
_MOST = 2 << 30

# The files of the official ImageNet16 folder, `train_data_batch_1` to `train_data_batch_10`.
IMAGENET16_MD5 = (
    "27846dcaa50de8e21a7d1a35f30f0e91",
    "c7254a054e0e795c69120a5727050e3f",
    "4333d3df2e5ffb114b05d2ffc19b1e87",
    "1620cdf193304f4a92677b695d70d10f",
    "348b3c2fdbb3940c4e9e834affd3b18d",
    "6e765307c242a1b3d7d5ef9139b48945",
    "564926d8cbf8fc4818ba23d2faac7564",
    "f4755871f718ccb653440b9dd0ebac66",
    "bb6dd660c38c58552125b1a92f86b5d4",
    "8f03f34ac4b42271a294f91bf480f29b",
)


class MissingImages(UsageError):
    """There is no file of images of the data set."""


class DamagedImages(UsageError):
    """A file of images that cannot be read or does not hold what its name says."""


@dataclass(frozen=True)
class Images:
    """Images of a data set's training part.

    Attributes:
        x: uint8, N x H x W x 3.
        y: int64, N, the class of each image.
        classes: the names of all classes, in the order of their numbers.
    """

    x: NDArray[np.uint8]
    y: NDArray[np.int64]
    classes: tuple[str, ...]

    @property
    def num_classes(self) -> int:
        return len(self.classes)


def images_path(folder: Path, dataset: str) -> Path:
    """Where a data folder, or a benchmark of one's own, keeps a data set's images."""
    return folder / "images" / f"{dataset}.npz"


def load_images(folder: Path, dataset: str) -> Images:
    """The training images of a data set in a data folder.

    Raises:
        MissingImages: if the folder has no images of it.
        DamagedImages: if the file is truncated or holds something else.
    """
    path = images_path(folder, dataset)
    if not os.path.isfile(path):  # unlike Path's, no error on what cannot be a name
        raise MissingImages(
            f"no images of {dataset} at {path}: build them with `nasbench-data` (make data), or ask for "
            "Gaussian inputs with proxy.input=gaussian"
        )
    try:
        arrays = read_arrays(path, ("x_train", "y_train", "classes"))
    except DamagedImages as error:
        raise DamagedImages(f"{error}; {_AGAIN}") from error
    if lacking := {"x_train", "y_train", "classes"} - arrays.keys():
        raise _damaged(path, f"cannot be read (it has no array {min(lacking)})")
    x, y, classes = arrays["x_train"], arrays["y_train"], arrays["classes"]
    # A benchmark of one's own has images of any size and number of classes.
    expected = FORMATS.get(dataset) or Format(x.shape[1] if x.ndim == 4 else 0, classes.size)
    image = (expected.side, expected.side, 3)
    if x.dtype != np.uint8 or x.ndim != 4 or x.shape[1:] != image:
        raise _damaged(path, f"holds {x.dtype} of shape {x.shape}, not uint8 images of shape {image}")
    if classes.shape != (expected.num_classes,):
        raise _damaged(path, f"names {classes.size} classes; {dataset} has {expected.num_classes}")
    if classes.dtype.kind != "U":
        raise _damaged(path, f"names its classes by {classes.dtype}, not by texts")
    if y.dtype.kind not in "iu":
        raise _damaged(path, f"has labels of {y.dtype}, not whole numbers")
    if y.shape != (len(x),) or not len(y):
        raise _damaged(path, f"has {y.size} labels for {len(x)} images")
    if y.min() < 0 or y.max() >= expected.num_classes:
        raise _damaged(path, f"has labels from {y.min()} to {y.max()} for {expected.num_classes} classes")
    return Images(x, y.astype(np.int64), tuple(str(name) for name in classes))


def read_arrays(path: Path, names: Collection[str]) -> Arrays:
    """Those of the named arrays that an npz file has; nothing in it is executed.

    Raises:
        DamagedImages: if it is none, or unpacks to more than 2 GiB.
    """
    try:
        return _arrays(path, names)
    except (zipfile.BadZipFile, zlib.error) as error:
        raise DamagedImages(f"{path} is truncated ({first_line(error)})") from error
    except Exception as error:  # a damaged file fails wherever its garbage leads
        raise DamagedImages(f"{path} cannot be read ({first_line(error)})") from error


def _arrays(path: Path, names: Collection[str]) -> Arrays:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy's on files of Python 2, which are as good as any
        # numpy leaves a file it opened itself open if the archive is damaged.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile) or archive.zip is None:
                raise ValueError("it holds one array, not an archive of several")
            size = sum(int(member.file_size) for member in archive.zip.infolist())
            if size > _MOST:
                raise ValueError(f"it unpacks to {size} bytes, more than {_MOST}")
            arrays = {name: archive[name] for name in names if name in archive}
    for array in arrays.values():
        if not isinstance(array, np.ndarray):  # a member that is no array comes as its bytes
            raise ValueError("not all of its members are arrays")
    return arrays


def _damaged(path: Path, what: str) -> DamagedImages:
    return DamagedImages(f"{path} {what}; {_AGAIN}")


def from_cifar_archive(archive: Path, dataset: str, *, train: int = 5000, test: int = 1000) -> Arrays:
    """A balanced part of the official archive: the first images of each class, in the archive's order.

    Args:
        archive: `cifar-10-python.tar.gz` or `cifar-100-python.tar.gz`.
        dataset: `cifar10` or `cifar100`.
        train, test: how many images of the two parts, over all classes.

    Returns:
        `x_train`, `x_test` uint8 N x 32 x 32 x 3, `y_train`, `y_test` uint8 N, `classes` their names.

    Raises:
        UsageError: if the archive is damaged, holds too few images or asks for more than plain data.
    """
    if dataset == "cifar10":
        parts = {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]}
        root, meta, labels, names = "cifar-10-batches-py", "batches.meta", "labels", "label_names"
    else:
        parts = {"train": ["train"], "test": ["test"]}
        root, meta, labels, names = "cifar-100-python", "meta", "fine_labels", "fine_label_names"
    shape, arrays = FORMATS[dataset], Arrays()
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for part, count in (("train", train), ("test", test)):
                batches = [_member(tar, f"{root}/{file}") for file in parts[part]]
                x = np.concatenate([batch["data"] for batch in batches])
                y = np.concatenate([np.asarray(batch[labels]) for batch in batches])
                chosen = _first_of_each_class(y, shape.num_classes, count // shape.num_classes, str(archive))
                arrays[f"x_{part}"] = _to_NHWC(x[chosen], shape.side)
                arrays[f"y_{part}"] = y[chosen].astype(np.uint8)
            arrays["classes"] = np.array([str(name) for name in _member(tar, f"{root}/{meta}")[names]])
    except UsageError:
        raise
    except Exception as error:  # a damaged archive fails wherever its garbage leads
        raise UsageError(
            f"{archive} is no official {dataset} archive ({first_line(error)}); fetch it again"
        ) from error
    return arrays


def _member(tar: tarfile.TarFile, name: str) -> Any:
    file = tar.extractfile(name)
    if file is None:
        raise KeyError(name)
    with file:
        # The official archives were pickled by Python 2.
        return pickles.load(file, name, encoding="latin1")


def from_imagenet16(folder: Path, *, per_class: int = 100) -> Arrays:
    """ImageNet16-120 from the official ImageNet16 folder: the first images of each of the first 120 classes.

    Args:
        folder: holds `train_data_batch_1` to `train_data_batch_10`; files that are not needed to find
            `per_class` images of every class are not read.
        per_class: images of each class.

    Returns:
        `x_train` uint8 N x 16 x 16 x 3, `y_train` uint8 N, `classes`.  The files carry no class names, so
        these are `imagenet_001` and so on, by the files' own numbers.

    Raises:
        UsageError: if a file is missing, its checksum is wrong or the folder holds too few images.
    """
    shape = FORMATS["imagenet16_120"]
    x = np.empty((0, 3 * shape.side**2), np.uint8)
    y = np.empty(0, np.int64)
    for number, md5 in enumerate(IMAGENET16_MD5, start=1):
        batch = _imagenet16_batch(folder / f"train_data_batch_{number}", md5)
        data, labels = np.asarray(batch["data"], np.uint8), np.asarray(batch["labels"], np.int64)
        kept = (labels >= 1) & (labels <= shape.num_classes)  # the files number the classes from 1
        x, y = np.concatenate([x, data[kept]]), np.concatenate([y, labels[kept] - 1])
        if np.bincount(y, minlength=shape.num_classes).min() >= per_class:
            break
    chosen = _first_of_each_class(y, shape.num_classes, per_class, str(folder))
    return {
        "x_train": _to_NHWC(x[chosen], shape.side),
        "y_train": y[chosen].astype(np.uint8),
        "classes": np.array([f"imagenet_{number:03d}" for number in range(1, shape.num_classes + 1)]),
    }


def _imagenet16_batch(path: Path, md5: str) -> Any:
    if not os.path.isfile(path):
        raise UsageError(
            f"no file {path}; the official ImageNet16 folder has train_data_batch_1 to train_data_batch_10"
        )
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
        if digest.hexdigest() != md5:
            raise UsageError(
                f"{path} has md5 {digest.hexdigest()}, the official file {md5}; it was not read. Get it again"
            )
        file.seek(0)
        return pickles.load(file, str(path), encoding="latin1")


def _first_of_each_class(y: NDArray[Any], num_classes: int, per_class: int, source: str) -> NDArray[np.intp]:
    found: Sequence[NDArray[np.intp]] = [np.flatnonzero(y == k)[:per_class] for k in range(num_classes)]
    short = [k for k, indices in enumerate(found) if len(indices) < per_class]
    if short:
        raise UsageError(
            f"{source} has {len(found[short[0]])} images of class {short[0]} where {per_class} are needed; "
            "get it again"
        )
    return np.sort(np.concatenate(found))


def _to_NHWC(x: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    return np.ascontiguousarray(x.reshape(-1, 3, side, side).transpose(0, 2, 3, 1))
