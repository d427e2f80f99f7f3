"""Building a data folder: each file once, whole, checked; what is there and right is kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from nasbench_eval.data.images import (
    FORMATS,
    Arrays,
    MissingImages,
    from_cifar_archive,
    from_imagenet16,
    images_path,
    load_images,
)
from nasbench_eval.errors import UsageError
from nasbench_eval.truth import convert, nasbench201
from nasbench_eval.truth.errors import MissingTruth
from nasbench_eval.truth.folder import whole_file
from nasbench_eval.truth.sources import IMAGE_SOURCES, TABLE_SOURCES, fetch

Say = Callable[[str], None]

NO_IMAGENET16 = (
    "imagenet16_120 has no public https file: name the official ImageNet16 folder (train_data_batch_1 to 10) "
    "with --imagenet16; without it, proxies on imagenet16_120 run on Gaussian inputs only"
)


def describe_table(folder: Path) -> str:
    """Load and check the table; one line on it.  Raises TruthError."""
    table = nasbench201.load(folder)
    best = " / ".join(f"{table[column].max():.2f}" for column in nasbench201.BEST)
    return f"{nasbench201.FILE}: {len(table)} architectures, 200 epochs, best test accuracies {best}"


def describe_images(folder: Path, dataset: str) -> str:
    """Load and check a data set's images; one line on them.  Raises MissingImages, DamagedImages."""
    images = load_images(folder, dataset)
    return f"images/{dataset}.npz: {len(images.x)} training images, {images.num_classes} classes"


def build_table(folder: Path, nats: Path | None, say: Say) -> None:
    """Make sure of the table: keep it, or build it from NATS-tss files or the CSVs.  Raises UsageError."""
    try:
        say(f"kept {describe_table(folder)}")
        return
    except MissingTruth:
        pass
    except UsageError as error:
        say(f"replacing a wrong table: {error}")
    downloads: list[Path] = []
    if nats is not None:
        say(f"reading {nats}")
        table = convert.from_nats(nats)
    else:
        for source in TABLE_SOURCES.values():
            say(f"fetching {source.url}")
            downloads.append(fetch(source, _downloads(folder)))
        table = convert.from_csvs(**dict(zip(TABLE_SOURCES, downloads, strict=True)))
    nasbench201.save(table, folder)
    _discard(downloads)
    say(f"built {describe_table(folder)}")


def build_images(folder: Path, dataset: str, imagenet16: Path | None, say: Say) -> None:
    """Make sure of a data set's images.  Raises UsageError."""
    try:
        say(f"kept {describe_images(folder, dataset)}")
        return
    except MissingImages:
        pass
    except UsageError as error:
        say(f"replacing wrong images: {error}")
    downloads: list[Path] = []
    if dataset in IMAGE_SOURCES:
        say(f"fetching {IMAGE_SOURCES[dataset].url}")
        downloads.append(fetch(IMAGE_SOURCES[dataset], _downloads(folder)))
        arrays = from_cifar_archive(downloads[0], dataset)
    elif imagenet16 is not None:
        say(f"reading {imagenet16}")
        arrays = from_imagenet16(imagenet16)
    else:
        say(NO_IMAGENET16)
        return
    save_images(arrays, folder, dataset)
    _discard(downloads)
    say(f"built {describe_images(folder, dataset)}")


def save_images(arrays: Arrays, folder: Path, dataset: str) -> Path:
    """Write a data set's arrays into the folder, whole or not at all.  Raises UsageError."""
    path = images_path(folder, dataset)
    # Its type would have every keyword be the flag `allow_pickle`.
    write: Callable[..., None] = np.savez_compressed
    with whole_file(path) as temporary:
        write(temporary, **arrays)
    return path


def check_folder(folder: Path, say: Say) -> int:
    """Check everything in a data folder.  Images may be missing, which is said.

    Returns:
        0 if all that is there is right, 2 if something is wrong or the table is missing.
    """
    code = 0
    for describe in (describe_table, *(_describer(dataset) for dataset in FORMATS)):
        try:
            say(f"ok {describe(folder)}")
        except MissingImages as error:
            say(f"missing: {error}")
        except UsageError as error:
            say(f"wrong: {error}")
            code = 2
    return code


def _describer(dataset: str) -> Callable[[Path], str]:
    return lambda folder: describe_images(folder, dataset)


def _downloads(folder: Path) -> Path:
    path = folder / "downloads"
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write to {folder} ({error.strerror}); choose another with --out") from error
    return path


def _discard(paths: list[Path]) -> None:
    for path in paths:
        path.unlink()
    if paths and not any(paths[0].parent.iterdir()):
        paths[0].parent.rmdir()
