"""Images of one's own: read from a file or a folder, and divided for training, validation and test.

Tensor legend: N images, H height, W width, 3 the colours red, green and blue.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_eval.benchmark.files import PARTS, listed, picture, side_of
from nasbench_eval.data.images import FORMATS, MissingImages, images_path, read_arrays
from nasbench_eval.errors import UsageError
from nasbench_eval.wording import shown

# By how much the largest of pixels that are fractions may pass 1.
_ROUNDING = 1e-3
# Bytes that images may take: in a worker process they take four times as many, as float32.
_MOST = 1 << 30
_DOING = ("train", "validate", "test")


@dataclass(frozen=True)
class Pictures:
    """Labelled images, divided or not.

    Attributes:
        x: uint8, N x H x W x 3; square.
        y: int64, N: the class of each.
        classes: the names of all classes, in the order of their numbers.
        part: by image the number of its part in `PARTS`, where the source is divided already.
    """

    x: NDArray[np.uint8]
    y: NDArray[np.int64]
    classes: tuple[str, ...]
    part: NDArray[np.int64] | None = None


def read(source: str, resolution: int | None, data: Callable[[], Path]) -> Pictures:
    """The images that `images=` names.

    Args:
        source: `digits` for scikit-learn's; `cifar10`, `cifar100` or `imagenet16_120` for the images of the
            data folder; else the path of an npz file or of a folder.
        resolution: height and width that they are brought to; None for their own, the least of them in a
            folder.
        data: gives the data folder.

    Raises:
        UsageError: naming what is wrong with them: no images, one class, another shape, holes.
    """
    known: Mapping[str, Callable[[], Pictures]] = {
        "digits": _digits,
        **{name: lambda name=name: _official(data, name) for name in FORMATS},  # type: ignore[misc]
    }
    if source in known:
        found = known[source]()
    elif os.path.isdir(source):
        found = _from_folder(Path(source), resolution)
    elif os.path.isfile(source):
        found = _from_npz(Path(source))
    else:
        raise UsageError(
            f"images={shown(source)[1:-1]}: there is no such file or folder; a folder of images by class, an "
            f"npz file, or one of {', '.join(known)} is wanted"
        )
    _check(found, source)
    return found if resolution in (None, found.x.shape[1]) else _resized(found, resolution)


def _check(pictures: Pictures, source: str) -> None:
    x, y, count = pictures.x, pictures.y, len(pictures.classes)
    if not len(x):
        raise UsageError(f"{source} holds no images")
    if x.shape[1] != x.shape[2] or not x.shape[1]:
        raise UsageError(f"{source} has images of {x.shape[1]} x {x.shape[2]} pixels; they have to be square")
    present = np.bincount(y, minlength=count)
    if (present > 0).sum() < 2:
        raise UsageError(f"{source} has images of one class alone, {shown(pictures.classes[int(y[0])])}")
    if (present == 0).any():
        lacking = shown(pictures.classes[int(present.argmin())])
        raise UsageError(f"{source} names the class {lacking}, but has no image of it")


def _digits() -> Pictures:
    """The 1,797 handwritten digits of 8 x 8 pixels that scikit-learn brings (Alpaydin & Kaynak 1998)."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise UsageError(
            "images=digits come with scikit-learn: pip install 'nasbench_eval[train]'"
        ) from error
    bunch = load_digits()
    grey = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    return Pictures(_coloured(grey), bunch.target.astype(np.int64), tuple(str(n) for n in bunch.target_names))


def _official(data: Callable[[], Path], name: str) -> Pictures:
    try:
        path = images_path(data(), name)
    except UsageError as error:
        raise UsageError(f"images={name}: {error}") from error
    if not path.is_file():
        raise MissingImages(
            f"images={name}: there are none at {path}; nasbench-data (make data) fetches them"
        )
    return _from_npz(path)


def _from_npz(path: Path) -> Pictures:
    """Arrays `x`, `y`, or `x_train`, `y_train` and the same of `val` and `test`; `classes` names them."""
    arrays = read_arrays(path, ("x", "y", "classes", *(f"{a}_{part}" for part in PARTS for a in "xy")))
    divided = [f"_{part}" for part in PARTS] if "x_train" in arrays else [""]
    xs: list[NDArray[np.uint8]] = []
    ys: list[NDArray[np.int64]] = []
    parts: list[NDArray[np.int64]] = []
    for part, suffix in enumerate(divided):
        if part and f"x{suffix}" not in arrays:
            continue
        for name in (f"x{suffix}", f"y{suffix}"):
            if name not in arrays:
                raise UsageError(f"{path} has no array {name}; it has {', '.join(sorted(arrays)) or 'none'}")
        x, y = _images_array(path, f"x{suffix}", arrays), _labels_array(path, f"y{suffix}", arrays)
        if len(x) != len(y):
            raise UsageError(f"{path} has {len(y)} labels in y{suffix} for {len(x)} images in x{suffix}")
        if xs and x.shape[1:] != xs[0].shape[1:]:
            raise UsageError(
                f"{path} has images of {x.shape[1:]} in x{suffix} and of {xs[0].shape[1:]} before"
            )
        xs.append(x)
        ys.append(y)
        parts.append(np.full(len(x), part))
    x, y, part_N = np.concatenate(xs), np.concatenate(ys), np.concatenate(parts)
    count = int(y.max(initial=-1)) + 1
    if count > len(y) > 0:  # some class has no image then, and there may be no room for the names of all
        raise UsageError(f"{path} has the label {count - 1}, but {len(y)} images; classes count from 0")
    names = arrays.get("classes", np.array([str(n) for n in range(count)], str))
    if names.dtype.kind != "U" or names.ndim != 1 or len(names) < count:
        raise UsageError(
            f"{path} names {names.size} classes by {names.dtype}, and has labels up to {count - 1}"
        )
    return Pictures(x, y, tuple(str(name) for name in names), part_N if "x_train" in arrays else None)


def _images_array(path: Path, name: str, arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.uint8]:
    x = arrays[name]
    if x.ndim == 3:
        x = x[..., None]
    if x.ndim != 4 or x.shape[-1] not in (1, 3):
        raise UsageError(
            f"{path} has {name} of shape {arrays[name].shape}; images are N x H x W, with 1 or 3 colours as "
            "a fourth axis or without"
        )
    if x.dtype != np.uint8:
        if x.dtype.kind not in "fiu":
            raise UsageError(f"{path} has {name} of {x.dtype}, not numbers")
        if not np.isfinite(x).all():
            raise UsageError(f"{path} has a NaN or an infinity in {name}, in image {_first_bad(x)}")
        low, high = (float(x.min()), float(x.max())) if x.size else (0.0, 0.0)
        if low < 0 or high > 255:
            raise UsageError(f"{path} has {name} from {low:g} to {high:g}; pixels are 0 to 255, or 0 to 1")
        fractions = x.dtype.kind == "f" and high <= 1 + _ROUNDING
        x = np.rint(x.clip(0, 1) * 255 if fractions else x).astype(np.uint8)
    return _coloured(x[..., 0]) if x.shape[-1] == 1 else x


def _first_bad(x: NDArray[Any]) -> int:
    return int(np.flatnonzero(~np.isfinite(x.reshape(len(x), -1)).all(axis=1))[0])


def _labels_array(path: Path, name: str, arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.int64]:
    y = arrays[name]
    if y.dtype.kind not in "iu" or y.ndim != 1:
        raise UsageError(f"{path} has {name} of {y.dtype} and shape {y.shape}, not a whole number an image")
    for label in (int(y.min()), int(y.max())) if len(y) else ():
        if not 0 <= label < 2**31:
            raise UsageError(f"{path} has the label {label} in {name}; classes count from 0")
    return y.astype(np.int64)


def _coloured(grey_NHW: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(grey_NHW[..., None], 3, axis=-1)


def _from_folder(folder: Path, resolution: int | None) -> Pictures:
    """The images of a folder (see `listed`), all of them in memory."""
    found = listed(folder)
    side = resolution or min(side_of(file) for _, _, file in found.files)
    if len(found.files) * side * side * 3 > _MOST:
        raise UsageError(
            f"{folder} holds {len(found.files):,} images, which are too much at {side} x {side} pixels; "
            "resolution=32 brings them to a size that small networks are trained at"
        )
    x = np.stack([_opened(file, side) for _, _, file in found.files])
    part_N = np.array([part for part, _, _ in found.files]) if found.divided else None
    return Pictures(x, np.array([label for _, label, _ in found.files], np.int64), found.classes, part_N)


def _opened(file: Path, side: int) -> NDArray[np.uint8]:
    """The middle square of an image, scaled."""
    from PIL import ImageOps

    return np.asarray(ImageOps.fit(picture(file), (side, side)), np.uint8)


def _resized(pictures: Pictures, side: int | None) -> Pictures:
    from PIL import Image

    assert side is not None
    x = np.stack(
        [
            np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BOX))
            for image in pictures.x
        ]
    )
    return Pictures(x, pictures.y, pictures.classes, pictures.part)


@dataclass(frozen=True)
class Division:
    """Which images are for what: positions in `Pictures`, each part in a random order.

    Attributes:
        train, val, test: disjoint.
    """

    train: NDArray[np.int64]
    val: NDArray[np.int64]
    test: NDArray[np.int64]


def divide(pictures: Pictures, sizes: Sequence[int | None], seed: int, source: str) -> Division:
    """Draw the three parts, each with the classes in the shares that they have among the images.

    A source that is divided already gives its parts, `val` from `train` where it has none; of each as many as
    asked for.

    Args:
        pictures: the images.
        sizes: how many to train, validate and test with; None for all there are, but to validate and test a
            fifth where the source has no part for that.
        seed: of the draw.
        source: what the images are called in messages.

    Raises:
        UsageError: if there are fewer images, or a part would lack a class.
    """
    rng = np.random.default_rng(seed)
    part_N = np.zeros(len(pictures.y), np.int64) if pictures.part is None else pictures.part
    pools = [rng.permutation(np.flatnonzero(part_N == part)) for part in range(3)]
    pools = [interleaved(pictures.y, pool) for pool in pools]
    rest, fifth = pools[0], max(1, len(pools[0]) // 5)
    cuts: list[NDArray[np.int64]] = [rest] * 3
    for part in (2, 1, 0):  # what has no pool of its own comes out of that for training
        own = part > 0 and len(pools[part]) > 0
        pool = pools[part] if own else rest
        size = sizes[part]
        if size is None:
            size = len(pool) if own or part == 0 else fifth
        if not 0 < size <= len(pool):
            raise UsageError(
                f"{source} has {len(pool)} images left to {_DOING[part]} with, of {len(part_N)}; "
                f"{f'{size} are asked for' if size else 'at least one of each class is needed'}"
            )
        cuts[part] = pool[:size]
        rest = rest if own else rest[size:]
    for doing, cut in zip(_DOING, cuts, strict=True):
        lacking = np.setdiff1d(np.arange(len(pictures.classes)), pictures.y[cut])
        if len(lacking):
            raise UsageError(
                f"the {len(cut)} images of {source} to {doing} with have none of class "
                f"{shown(pictures.classes[int(lacking[0])])}; ask for more, or leave the class out"
            )
    return Division(*cuts)


def prepared(
    pictures: Pictures, division: Division, noise: float, copies: int, seed: int
) -> dict[str, tuple[NDArray[np.uint8], NDArray[np.int64]]]:
    """The images and labels of each part, with Gaussian noise, the same in all colours, if asked for.

    Contrast is taken back so far that three standard deviations of pixels and noise find room in 256 shades.

    Args:
        pictures: all images.
        division: which of them are for what.
        noise: its standard deviation, in those of all pixels.
        copies: how often each image to validate or test with occurs, each time with noise of its own: they
            measure a network's accuracy more finely.
        seed: of the noise.
    """
    spread, middle = float(pictures.x.std()), float(pictures.x.mean())
    contrast = min(1.0, 42 / (spread * np.sqrt(1 + noise**2))) if spread else 1.0
    rng = np.random.default_rng(seed)
    parts = {}
    for part in PARTS:
        chosen = np.tile(getattr(division, part), 1 if part == "train" else copies)
        x = pictures.x[chosen]
        if noise:
            drawn = rng.normal(0, noise * spread, x.shape[:3])[..., None]
            shades = np.rint(127.5 + contrast * (x.astype(np.float64) - middle + drawn))
            x = np.clip(shades, 0, 255).astype(np.uint8)
        parts[part] = x, pictures.y[chosen]
    return parts


def interleaved(y: NDArray[np.int64], pool: NDArray[np.int64]) -> NDArray[np.int64]:
    """A pool in an order any stretch of which has the classes in about the shares of the whole."""
    place = np.empty(len(pool))
    for label in np.unique(y[pool]):
        mine = np.flatnonzero(y[pool] == label)
        place[mine] = (np.arange(len(mine)) + 0.5) / len(mine)
    return pool[np.argsort(place, kind="stable")]
