"""Building a data folder: each file once, whole, checked; what is there and right is kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from nasbench_eval import registry
from nasbench_eval.data.folder import whole_file
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
from nasbench_eval.truth import convert, convert101, darts, nasbench101, nasbench201, short_tables, timm
from nasbench_eval.truth.base import PublicTable
from nasbench_eval.truth.download import download, sha256_of
from nasbench_eval.truth.errors import MissingTruth
from nasbench_eval.truth.sources import (
    DARTS_SOURCE,
    IMAGE_SOURCES,
    NASBENCH101_FULL_SOURCE,
    NASBENCH101_SOURCE,
    SAMPLE_SOURCE,
    TABLE_SOURCES,
    TIMM_SOURCE,
    TIMM_SPEED_SOURCE,
    Source,
    fetch,
)
from nasbench_eval.truth.tables import public

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


def describe_nasbench101(folder: Path) -> str:
    """Load and check NAS-Bench-101's table; one line on it.  Raises TruthError."""
    table = nasbench101.load(folder)
    runs = "all single runs" if _has_all_runs(table) else "not all single runs"
    return (
        f"{nasbench101.FILE}: {len(table)} architectures, {nasbench101.EPOCHS} epochs, best test accuracy "
        f"{table['cifar10_test'].max():.2f}, {runs}"
    )


def describe_short(folder: Path) -> str:
    """Load and check the table of all cells after 12 epochs; one line on it.  Raises TruthError."""
    table = short_tables.load_full(folder)
    best = " / ".join(f"{table[f'{dataset}_val_12'].max():.2f}" for dataset in short_tables.IMAGES)
    return (
        f"{short_tables.FULL_FILE}: {len(table)} architectures, {short_tables.EPOCHS} epochs, "
        f"best validation accuracies {best}"
    )


def describe_sample(folder: Path) -> str:
    """Load and check the table of cells 0 to 999 after 12 epochs; one line on it.  Raises TruthError."""
    table = short_tables.load_sample(folder)
    best = table.groupby("dataset")["test_acc"].max()
    parts = " / ".join(f"{best[name]:.2f}" for name in short_tables.SAMPLE_NAMES.values())
    return (
        f"{short_tables.SAMPLE_FILE}: {table['index'].nunique()} architectures, {short_tables.EPOCHS} epochs,"
        f" best accuracies on test images {parts}"
    )


def describe_timm(folder: Path) -> str:
    """Load and check timm's table of accuracies; one line on it.  Raises TruthError."""
    table = timm.load_results(folder)
    return f"{timm.FILE}: {table['arch'].nunique()} architectures, {table['model'].nunique()} trained models"


def describe_timm_speed(folder: Path) -> str:
    """Load and check timm's table of speeds; one line on it.  Raises TruthError."""
    return f"{timm.SPEED_FILE}: {timm.load_speed(folder)['model'].nunique()} architectures"


def describe_darts(folder: Path) -> str:
    """Load and check the table of genotypes; one line on it.  Raises TruthError."""
    table = darts.load(folder)
    return f"{darts.FILE}: {len(table):,} genotypes, best accuracy {table['cifar10_val'].max():.2f}"


def describe_images(folder: Path, dataset: str) -> str:
    """Load and check a data set's images; one line on them.  Raises MissingImages, DamagedImages."""
    images = load_images(folder, dataset)
    return f"images/{dataset}.npz: {len(images.x)} training images, {images.num_classes} classes"


def build_table(folder: Path, nats: Path | None, say: Say) -> None:
    """Make sure of the table: keep it, or build it from NATS-tss files or the CSVs.  Raises UsageError.

    NATS-tss files give the table of 12 epochs as well, if they hold such trainings of all cells.
    """
    kept = _kept(describe_table, folder, say)
    if nats is None:
        if not kept:
            _build_from_public(folder, say)
            say(f"built {describe_table(folder)}")
        return
    kept_short = _kept(describe_short, folder, say)
    if kept and kept_short:
        return
    say(f"reading {nats}")
    table, short = convert.both_from_nats(nats)
    if not kept:
        nasbench201.save(table, folder)
        say(f"built {describe_table(folder)}")
    if short is None:
        say(f"{nats} lacks trainings of 12 epochs with their seconds: no {short_tables.FULL_FILE}")
    elif not kept_short:
        short_tables.save_full(short, folder)
        say(f"built {describe_short(folder)}")


def _kept(describe: Callable[[Path], str], folder: Path, say: Say) -> bool:
    """Whether a table is there and right; says so, or what is wrong with it."""
    try:
        say(f"kept {describe(folder)}")
        return True
    except MissingTruth:
        return False
    except UsageError as error:
        say(f"replacing a wrong table: {error}")
        return False


def build_sample(folder: Path, say: Say) -> None:
    """Make sure of the table of cells 0 to 999 after 12 epochs.  Raises UsageError."""

    def convert_file(file: Path) -> None:
        short_tables.save_sample(convert.sample_from_json(file), folder)

    _build_from(SAMPLE_SOURCE, convert_file, describe_sample, folder, say)


def build_darts(folder: Path, say: Say) -> None:
    """Make sure of the table of genotypes.  Raises UsageError."""

    def convert_file(file: Path) -> None:
        darts.save(darts.from_csv(file), folder)

    _build_from(DARTS_SOURCE, convert_file, describe_darts, folder, say)


def build_public(folder: Path, name: str, say: Say) -> None:
    """Make sure of a public table by its name.

    Raises:
        UnknownName: if there is none.
        UsageError: if its files cannot be had, or are not what they should be.
    """
    if name in BUILDERS:
        BUILDERS[name](folder, say)
        return
    table = public(name)
    if _kept(table.describe, folder, say):
        return
    files = []
    for source in table.info.sources:
        say(f"fetching {source.url}")
        files.append(fetch(source, _downloads(folder)))
    table.save(table.from_files(files), folder)
    _discard(files)
    say(f"built {table.describe(folder)}")


def list_tables(folder: Path, say: Say) -> None:
    """Say of each public table what it is, whether it is there, from where, its licence and its size."""
    for table in map(public, registry.names("truths")):
        info = table.info
        there = "here" if (folder / info.stored.file).is_file() else "not here"
        say(f"{info.name}: {info.title}, {info.stored.rows:,} rows on {', '.join(info.datasets)}; {there}")
        say(f"  {info.about}")
        say(f"  from {info.home}; licence: {info.licence}; {_amount(table)} by {info.build}")


def _amount(table: PublicTable) -> str:
    """How much is downloaded."""
    sizes = [source.size for source in table.info.sources]
    if not all(sizes):
        return "downloaded"
    return f"{sum(size or 0 for size in sizes) / 1e6:.1f} MB"


def _build_from(
    source: Source,
    convert_file: Callable[[Path], None],
    describe: Callable[[Path], str],
    folder: Path,
    say: Say,
) -> None:
    """Make sure of a table that one public file becomes."""
    if _kept(describe, folder, say):
        return
    say(f"fetching {source.url}")
    file = fetch(source, _downloads(folder))
    convert_file(file)
    _discard([file])
    say(f"built {describe(folder)}")


def build_timm(folder: Path, say: Say) -> None:
    """Make sure of timm's tables of accuracies and speeds.  Raises UsageError."""
    kept = [_kept(describe, folder, say) for describe in (describe_timm, describe_timm_speed)]
    if all(kept):
        return
    files = []
    for source in (TIMM_SOURCE, TIMM_SPEED_SOURCE):
        say(f"fetching {source.url}")
        files.append(fetch(source, _downloads(folder)))
    timm.save(timm.from_csv(files[0]), timm.speed_from_csv(files[1]), folder)
    _discard(files)
    for describe in (describe_timm, describe_timm_speed):
        say(f"built {describe(folder)}")


def _build_from_public(folder: Path, say: Say) -> None:
    place = _downloads(folder)
    put_there = {source.name for source in TABLE_SOURCES.values() if (place / source.name).exists()}
    downloads: list[Path] = []
    for source in TABLE_SOURCES.values():
        say(f"fetching {source.url}")
        downloads.append(fetch(source, place))
    try:
        nasbench201.save(convert.from_csvs(**dict(zip(TABLE_SOURCES, downloads, strict=True))), folder)
    except UsageError as error:
        # Their numbers are pinned, not their bytes, so that they are refused only here.  Left behind, a wrong
        # one would be met again; what somebody put there is theirs.
        _discard([path for path in downloads if path.name not in put_there])
        raise UsageError(f"{error}; what was downloaded was deleted") from error
    _discard(downloads)


def build_nasbench101(folder: Path, file: Path | None, say: Say) -> None:
    """Make sure of NAS-Bench-101's table with all single runs: keep it, or build it from the official file.

    Args:
        folder: the data folder.
        file: `nasbench_only108.tfrecord` or `nasbench_full.tfrecord`; None downloads the former.
        say: told each step in a line.

    Raises:
        UsageError: if the file cannot be had, or is not the benchmark's.
    """
    try:
        if _has_all_runs(nasbench101.load(folder)):
            say(f"kept {describe_nasbench101(folder)}")
            return
        say("replacing a table that lacks single runs")
    except MissingTruth:
        pass
    except UsageError as error:
        say(f"replacing a wrong table: {error}")
    downloads: list[Path] = []
    if file is None:
        say(f"fetching {NASBENCH101_SOURCE.url}")
        file = download(NASBENCH101_SOURCE, _downloads(folder), say)
        downloads.append(file)
    elif os.path.isfile(file) and sha256_of(file) not in (
        NASBENCH101_SOURCE.sha256,
        NASBENCH101_FULL_SOURCE.sha256,
    ):
        # No reason to refuse it: a file that was written anew has other bytes, and the table is checked.
        say(f"note: {file} has neither of the official files' checksums; its content decides")
    say(f"reading {file}")
    nasbench101.save(convert101.from_tfrecord(file, say), folder)
    _discard(downloads)
    say(f"built {describe_nasbench101(folder)}")


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
    """Check everything in a data folder.

    NAS-Bench-101's table and images may be missing, which is said, and so may the tables of 12 epochs,
    of genotypes, and timm's.

    Returns:
        0 if all that is there is right, 2 if something is wrong or NAS-Bench-201's table is missing.
    """
    code = 0
    tables = [describe_table, describe_nasbench101]
    tables += [
        table.describe
        for table in map(public, registry.names("truths"))
        if table.info.name not in BUILDERS and (folder / table.info.stored.file).exists()
    ]
    tables += [
        describe
        for describe, file in (
            (describe_short, short_tables.FULL_FILE),
            (describe_sample, short_tables.SAMPLE_FILE),
            (describe_timm, timm.FILE),
            (describe_timm_speed, timm.SPEED_FILE),
            (describe_darts, darts.FILE),
        )
        if (folder / file).exists()
    ]
    for describe in (*tables, *(_describer(dataset) for dataset in FORMATS)):
        try:
            say(f"ok {describe(folder)}")
        except (MissingImages, MissingTruth) as error:
            needed = describe is describe_table
            say(f"{'wrong' if needed else 'missing'}: {error}")
            code = 2 if needed else code
        except UsageError as error:
            say(f"wrong: {error}")
            code = 2
    return code


def _has_all_runs(table: pd.DataFrame) -> bool:
    names = list(nasbench101.OPTIONAL)
    return set(names) <= set(table.columns) and bool(table[names].notna().to_numpy().all())


# The tables that have ways of their own to be built.
BUILDERS: Mapping[str, Callable[[Path, Say], None]] = {
    "nasbench201": lambda folder, say: build_table(folder, None, say),
    "nasbench101": lambda folder, say: build_nasbench101(folder, None, say),
    "timm": build_timm,
    "darts": build_darts,
}


def _describer(dataset: str) -> Callable[[Path], str]:
    return lambda folder: describe_images(folder, dataset)


def _downloads(folder: Path) -> Path:
    path = folder / "downloads"
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"cannot write to {folder} ({error.strerror}); choose another with --data"
        ) from error
    return path


def _discard(paths: list[Path]) -> None:
    for path in paths:
        path.unlink()
    if paths and not any(paths[0].parent.iterdir()):
        paths[0].parent.rmdir()
