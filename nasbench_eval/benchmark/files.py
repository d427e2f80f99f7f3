"""Image files of one's own: a folder of them, by part and class, and each as Pillow reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nasbench_eval.errors import UsageError
from nasbench_eval.wording import first_line

PARTS = ("train", "val", "test")
_KINDS = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")


@dataclass(frozen=True)
class Listing:
    """The image files of a folder.

    Attributes:
        files: part (its number in `PARTS`), class and path of each.
        classes: the names of all classes, in the order of their numbers.
        divided: whether the folder is divided into parts; else all are of the first.
    """

    files: tuple[tuple[int, int, Path], ...]
    classes: tuple[str, ...]
    divided: bool


def listed(folder: Path) -> Listing:
    """A subfolder of images a class; or `train`, `test` and perhaps `val`, each with a subfolder a class.

    Names with a leading dot, such as .ipynb_checkpoints, are passed over.

    Raises:
        UsageError: if there are none, or it is not clear which part some are of.
    """
    inside = _subfolders(folder)
    divided = "train" in inside and bool(_subfolders(folder / "train"))  # else a class of that name
    if divided and (others := [name for name in inside if name not in PARTS]):
        raise UsageError(
            f"{folder} holds train, and beside it {', '.join(others[:3])}: which part is that? Images that "
            f"are divided lie in {', '.join(PARTS)}"
        )
    roots = [(n, folder / part) for n, part in enumerate(PARTS) if part in inside]
    if not divided:
        roots = [(0, folder)]
        _refuse_divided(folder, inside)
    classes = sorted({name for _, root in roots for name in _subfolders(root)})
    files = tuple(
        (part, label, file)
        for part, root in roots
        for label, name in enumerate(classes)
        for file in sorted((root / name).rglob("*"))
        if file.suffix.lower() in _KINDS and not any(p[0] == "." for p in file.relative_to(root).parts)
    )
    if not files:
        raise UsageError(
            f"{folder} holds no images: a subfolder a class is wanted, with files {', '.join(_KINDS[:3])} "
            "and the like"
        )
    return Listing(files, tuple(classes), divided)


def picture(file: Path) -> Any:
    """An image as Pillow has it, in red, green and blue of eight bits.

    Raises:
        UsageError: if it cannot be read.
    """
    with _image(file) as image:
        try:
            return _eight_bit(image).convert("RGB")
        except Exception as error:  # a damaged file fails wherever its garbage leads
            raise _unreadable(file, error) from error


def _eight_bit(image: Any) -> Any:
    """Grey images of 16 bits, which Pillow would cut off at 255, by their upper eight; others as they are."""
    from PIL import Image

    if not image.mode.startswith("I"):
        return image
    return Image.fromarray((np.asarray(image).clip(0, 65535) // 257).astype(np.uint8))


def _image(file: Path) -> Any:
    from PIL import Image

    try:
        return Image.open(file)
    except Exception as error:  # Pillow's own kinds, and those of its decoders
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: Exception) -> UsageError:
    return UsageError(f"{file} is no image that can be read ({first_line(error)}); remove or replace it")


def side_of(file: Path) -> int:
    """The lesser of an image's height and width, in pixels.  Raises UsageError if it cannot be read."""
    with _image(file) as image:
        return int(min(image.size))


def _refuse_divided(folder: Path, inside: Sequence[str]) -> None:
    """Refuse `Training` and `Testing` with subfolders, say: they would be taken for two classes."""
    parts = all(name.lower().startswith((*PARTS, "dev")) for name in inside)
    if parts and any(_subfolders(folder / name) for name in inside):
        raise UsageError(
            f"{folder} holds {', '.join(inside[:3])}: if these are parts and no classes, call them "
            f"{', '.join(PARTS)}, of which there has to be train"
        )


def _subfolders(folder: Path) -> list[str]:
    try:
        return sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    except OSError as error:
        raise UsageError(f"cannot read {folder}: {error.strerror or error}") from error
