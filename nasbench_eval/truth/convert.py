"""NAS-Bench-201's tables from their sources: the official NATS-Bench files, or public ones."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import nats_bench
import numpy as np
import pandas as pd
from nats_bench import api_utils
from numpy.typing import NDArray
from tqdm import tqdm

from nasbench_eval.data import pickles
from nasbench_eval.errors import UsageError
from nasbench_eval.spaces.nasbench201 import EDGES, OPERATIONS, Cell, NASBench201
from nasbench_eval.truth.errors import TruthError
from nasbench_eval.truth.nasbench201 import COLUMNS, RUNS, archs
from nasbench_eval.truth.short_tables import EPOCHS, FULL_COLUMNS, SAMPLE_COLUMNS
from nasbench_eval.truth.sources import SAMPLE_SOURCE, TABLE_SOURCES, Source, digest
from nasbench_eval.wording import first_line, shown

_EPOCHS = "200"
_TAKE = "take NATS-tss-v1_0-3ffb9-simple.tar, unpacked, or leave out --nats to use the public CSVs"
# How files of PyTorch begin: an archive, and before version 1.6 a pickled number.
_PYTORCH = (b"PK\x03\x04", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19")
# Column: NATS-Bench's name of the data set and of the part that is evaluated.
_NATS_COLUMNS = {
    "cifar10_val": ("cifar10-valid", "x-valid"),
    "cifar10_test": ("cifar10", "ori-test"),
    "cifar100_val": ("cifar100", "x-valid"),
    "cifar100_test": ("cifar100", "x-test"),
    "imagenet16_120_val": ("ImageNet16-120", "x-valid"),
    "imagenet16_120_test": ("ImageNet16-120", "x-test"),
}


# Column prefix: NATS-Bench's name of the data set whose training a validation accuracy is of.
_NATS_VALIDATED = {
    "cifar10": "cifar10-valid",
    "cifar100": "cifar100",
    "imagenet16_120": "ImageNet16-120",
}
# What a list of numbers in the public file of cells 0 to 999 holds; the fourth repeats the third.
_SAMPLE_NUMBERS = ("train_loss", "train_acc", "train_time_s", "", "test_acc", "test_time_s")


def from_nats(path: Path) -> pd.DataFrame:
    """The table of 200 epochs out of the official NATS-tss file or folder (see `both_from_nats`)."""
    return both_from_nats(path)[0]


def both_from_nats(path: Path) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Two tables out of the official NATS-tss file or folder, read once through `nats_bench`.

    Args:
        path: the unpacked folder `NATS-tss-v1_0-3ffb9-simple` (read cell by cell), or the file
            `NATS-tss-v1_0-3ffb9.pickle.pbz2` (read at once, which takes many GB of memory).

    Returns:
        The table of 200 epochs, and that of 12 epochs (`short_tables.load_full`); None if a cell has no such
        training, or one whose seconds are not recorded.  As many rows as the files list cells, not checked.

    Raises:
        UsageError: if the files are missing, damaged, lack the 200 epochs or ask for more than plain data.
    """
    folder = _nats_folder(path)
    try:
        with _restricted_nats(str(path)):
            api = nats_bench.create(str(folder), "tss", fast_mode=folder.is_dir(), verbose=False)
            if len(api) and ":" in api.arch(0):  # five widths in place of operations
                raise _size_space(path)
            indices = tqdm(range(len(api)), "NATS-tss", disable=not sys.stderr.isatty())
            rows, short_rows = zip(*(_nats_rows(api, index) for index in indices), strict=True)
        short = None if None in short_rows else pd.DataFrame(list(short_rows), columns=list(FULL_COLUMNS))
        return _frame(list(rows)), short
    except UsageError:
        raise
    except Exception as error:  # the API checks next to nothing of what it is given
        raise UsageError(
            f"{path} is no readable NATS-tss benchmark ({first_line(error)}); unpack the official "
            "NATS-tss-v1_0-3ffb9-simple.tar again"
        ) from error


def _nats_folder(path: Path) -> Path:
    if not os.path.exists(path):  # unlike Path's, no error on what cannot be a name
        raise UsageError(f"--nats names {path}, which does not exist")
    if "NATS-sss" in path.name:
        raise _size_space(path)
    if path.name.startswith("NAS-Bench-201-") or path.suffix == ".pth" or _begins(path, _PYTORCH):
        raise UsageError(f"{path} is of NAS-Bench-201's first API, which is not read here; {_TAKE}")
    if path.is_file():
        if path.suffix in (".tar", ".tgz", ".gz"):
            raise UsageError(f"{path} is packed; unpack it (tar -xf {path.name}) and name the folder")
        return path
    metas = sorted(path.glob("meta.pickle.pbz2")) or sorted(path.glob("*/meta.pickle.pbz2"))
    if len(metas) != 1:
        raise UsageError(
            f"{path} holds no NATS-tss benchmark (no meta.pickle.pbz2); name the unpacked folder "
            "NATS-tss-v1_0-3ffb9-simple"
        )
    return metas[0].parent


def _size_space(path: Path) -> UsageError:
    return UsageError(f"{path} is NATS-Bench's size space (sss), not the topology space (tss); {_TAKE}")


def _begins(path: Path, starts: Sequence[bytes]) -> bool:
    """Whether a file begins in one of these ways."""
    try:
        with path.open("rb") as file:
            return file.read(max(map(len, starts))).startswith(tuple(starts))
    except OSError:  # a folder among others
        return False


class _RestrictedPickle:
    """Stands in for the module `pickle` inside `nats_bench`."""

    def __init__(self, name: str) -> None:
        self._name = name

    def load(self, file: IO[bytes]) -> Any:
        return pickles.load(file, self._name)


@contextmanager
def _restricted_nats(name: str) -> Iterator[None]:
    # `nats_bench` unpickles whatever it is given; this makes it load plain data only.
    original = api_utils.pickle
    api_utils.pickle = _RestrictedPickle(name)
    try:
        yield
    finally:
        api_utils.pickle = original


def _nats_rows(api: Any, index: int) -> tuple[dict[str, Any], dict[str, Any] | None]:
    info = api.query_meta_info_by_index(index, _EPOCHS)
    # The API keeps every cell it has read; all of them would fill the memory.
    short = api.arch2infos_dict.pop(index).get(str(EPOCHS))
    cell = {"index": index, "arch": api.arch(index)}
    try:
        return cell | _long_row(info), cell | _short_row(short)
    except _NoShort:
        return cell | _long_row(info), None


class _NoShort(Exception):
    """A cell has no training of 12 epochs, or one that lacks something."""


def _short_row(info: Any) -> dict[str, Any]:
    """What `simulate_train_eval` of `nats_bench` tells, its seconds in two parts; means over the runs."""
    row: dict[str, Any] = {}
    try:
        for dataset, name in _NATS_VALIDATED.items():
            train, validation = info.get_metrics(name, "train"), info.get_metrics(name, "x-valid")
            row[f"{dataset}_val_12"] = float(validation["accuracy"])
            row[f"{dataset}_train_seconds_12"] = float(train["all_time"])
            row[f"{dataset}_val_seconds"] = float(validation["all_time"]) / EPOCHS
    except Exception as error:  # the API checks next to nothing of what it is given
        raise _NoShort from error
    return row


def _long_row(info: Any) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for column, (dataset, part) in _NATS_COLUMNS.items():
        row[column] = float(info.get_metrics(dataset, part)["accuracy"])
    row |= dict.fromkeys(RUNS, np.nan)
    seeds = sorted(info.get_dataset_seeds("cifar10"))
    for column, seed in zip(RUNS, seeds, strict=False):
        row[column] = float(info.get_metrics("cifar10", "ori-test", is_random=seed)["accuracy"])
    return row


def from_csvs(cifar10: Path, cifar100: Path, imagenet16_120: Path, cifar10_runs: Path) -> pd.DataFrame:
    """The table out of the four public files named in `sources.TABLE_SOURCES`.

    Args:
        cifar10, cifar100, imagenet16_120: the CSVs.  The one of CIFAR-10 is of networks trained on half the
            training set and gives `cifar10_val` only.
        cifar10_runs: the pickle of every run's CIFAR-10 test accuracy; `cifar10_test` is their mean.

    Returns:
        15,625 rows, whose numbers are the pinned ones.

    Raises:
        TruthError: if a file is truncated, shuffled or holds other numbers than those pinned.
        PickleRefused: if the pickle is damaged or asks for more than plain data.
    """
    columns: dict[str, Any] = {"index": np.arange(len(archs())), "arch": archs()}
    columns["cifar10_val"] = _csv(cifar10, TABLE_SOURCES["cifar10"], "validation accuracy")[0]
    runs = _runs(cifar10_runs, TABLE_SOURCES["cifar10_runs"])
    columns["cifar10_test"] = np.nanmean(runs, axis=1)
    columns |= dict(zip(RUNS, runs.T, strict=True))
    both = ("validation accuracy", "test accuracy")
    for dataset, path in (("cifar100", cifar100), ("imagenet16_120", imagenet16_120)):
        columns[f"{dataset}_val"], columns[f"{dataset}_test"] = _csv(path, TABLE_SOURCES[dataset], *both)
    return _frame(columns)


def sample_from_json(path: Path) -> pd.DataFrame:
    """The trainings of 12 epochs of cells 0 to 999 out of the public file `sources.SAMPLE_SOURCE`.

    Its trainings of 200 epochs, and their test accuracies with them, are left out.

    Raises:
        TruthError: if the file is not what it should be.
    """
    place = {arch: index for index, arch in enumerate(archs())}
    rows: list[dict[str, Any]] = []
    try:
        for arch, datasets in json.loads(path.read_text(encoding="utf-8")).items():
            for dataset, trainings in datasets.items():
                numbers = zip(_SAMPLE_NUMBERS, map(float, trainings[str(EPOCHS)]), strict=True)
                rows.append({"index": place[arch], "arch": arch, "dataset": dataset, "epochs": EPOCHS})
                rows[-1] |= dict(numbers)
        if not rows:
            raise ValueError("it names no cells")
        table = pd.DataFrame(rows, columns=list(SAMPLE_COLUMNS))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _wrong(path, SAMPLE_SOURCE, f"is not the JSON it should be ({first_line(error)})") from error
    return table.sort_values(["dataset", "index"], ignore_index=True)


def _csv(path: Path, source: Source, *names: str) -> list[NDArray[np.float64]]:
    try:
        # As text, because pandas' own number parsers are off by a last digit in some versions.
        table = pd.read_csv(path, dtype=str)
        found = table["arch str"].tolist()
        columns = [np.array([float(text) for text in table[name]]) for name in names]
    except Exception as error:  # the parser raises several unrelated kinds
        raise _wrong(path, source, f"is not the CSV it should be ({first_line(error)})") from error
    _check_content(path, source, found, columns)
    return columns


def _runs(path: Path, source: Source) -> NDArray[np.float64]:
    with path.open("rb") as file:
        data = pickles.load(file, str(path))
    if not isinstance(data, Mapping):
        raise _wrong(path, source, "is not the table of runs it should be")
    space = NASBench201()
    try:
        # Keys are the cells' operations by number, values the accuracies of one to three runs by seed.
        runs = {space.format(_cell(key)): [float(value) for value in values] for key, values in data.items()}
        table = np.array([(runs[arch] + [np.nan] * 3)[:3] for arch in archs()])
    except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
        raise _wrong(path, source, f"is not the table of runs it should be ({first_line(error)})") from error
    _check_content(path, source, archs(), list(table.T))
    return table


def _cell(numbers: tuple[int, ...]) -> Cell:
    if len(numbers) != len(EDGES) or not all(0 <= number < len(OPERATIONS) for number in numbers):
        raise ValueError(f"{shown(numbers)} is no cell")
    return Cell(tuple(OPERATIONS[number] for number in numbers))


def _check_content(path: Path, source: Source, found: list[str], columns: list[NDArray[np.float64]]) -> None:
    expected = archs()
    if len(found) < len(expected):
        raise _wrong(path, source, f"is truncated: it has {len(found)} of {len(expected)} cells")
    if found != expected:
        raise _wrong(path, source, "is shuffled: its cells are not in the benchmark's order")
    if digest(columns) != source.content:
        raise _wrong(path, source, "holds other numbers than those pinned")


def _wrong(path: Path, source: Source, what: str) -> TruthError:
    return TruthError(f"{path} {what}; delete it and fetch {source.url} again")


def _frame(data: Any) -> pd.DataFrame:
    table = pd.DataFrame(data, columns=list(COLUMNS))
    return table.astype({"index": "int32", **dict.fromkeys(COLUMNS[2:], "float64")})
