"""Networks that people use: timm's published ImageNet-1k accuracies and inference speeds.

Both tables come from the repository of timm (huggingface/pytorch-image-models, Apache-2.0): `timm_imagenet`
from `results/results-imagenet.csv`, and `timm_speed` from the benchmark of inference on an RTX 3090 with
automatic mixed precision (PyTorch 2.4).  A row of the first is a trained model at one image size.  Its name
is `ARCHITECTURE.TAG`, where the tag says how it was trained; `timm_recipes.yaml` says which tags mean
ImageNet-1k alone.

An architecture has been trained once or several times, by recipes that are years apart.  Its accuracy here
(`imagenet1k_test`) is the best of those on ImageNet-1k alone: the nearest to what the architecture can reach,
where a mean would hold the old recipes of an old architecture against it.  The best favours architectures
that were trained often, so the mean and the number of recipes stand beside it, and `recipes` has the single
ones.
Accuracy, multiply-accumulates and speed of an architecture are of one image size: the smallest that both
tables have.  The accuracy is that on ImageNet's 50,000 validation images, which no recipe trains on; recipes
were chosen by them, though.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from omegaconf import OmegaConf
from scipy.stats import kendalltau

from nasbench_eval.data.folder import whole_file
from nasbench_eval.errors import UsageError
from nasbench_eval.truth.columns import percent_fault
from nasbench_eval.truth.errors import MissingTruth, TruthError
from nasbench_eval.truth.parquet import read
from nasbench_eval.truth.sources import digest
from nasbench_eval.wording import first_line, shown, some

FILE, SPEED_FILE = "timm_imagenet.parquet", "timm_speed.parquet"
REBUILD = "delete it and build it again with `nasbench-data --timm`"
# Names of what a CSV has and of what is derived from it.
CSV_COLUMNS = (
    "model",
    "img_size",
    "top1",
    "top1_err",
    "top5",
    "top5_err",
    "param_count",
    "crop_pct",
    "interpolation",
)
COLUMNS = (*CSV_COLUMNS, "tag", "arch")
SPEED_COLUMNS = (
    "model",
    "infer_img_size",
    "infer_samples_per_sec",
    "infer_step_time",
    "infer_batch_size",
    "param_count",
    "infer_gmacs",
    "infer_macts",
)
_TEXTS = ("model", "interpolation", "tag", "arch")
# Multiply-accumulates and activations of one model are not known.
_GAPS = ("infer_gmacs", "infer_macts")
# Groups of tags in `timm_recipes.yaml` that mean ImageNet-1k alone.
KINDS = ("labels", "teachers", "self_supervised")
BASELINES = {"parameters": "params_millions", "GMACs": "gmacs", "slowness": "images_per_second"}
_ROUNDING = 0.0015


@dataclass(frozen=True)
class Facts:
    """What is known of a file without holding its numbers.

    Attributes:
        rows: how many.
        names: sha256 of `model@size`, one a line.
        numbers: `sources.digest` of all columns of numbers, in the columns' order.
    """

    rows: int
    names: str
    numbers: str


FACTS = {
    FILE: Facts(
        rows=1556,
        names="35f9cf7f6dc64be6702a02d5937a5bbb44e18122e5b8702222d776e3c032a293",
        numbers="0e19fbf1a654ddb10eb3f5dc6b5747e647f34bdaaa95374dd55ab145d0abf896",
    ),
    SPEED_FILE: Facts(
        rows=1430,
        names="6c09159536d4d2304b927b7b8e26cd2e11da425ff27d2b17afba2c88bc08279f",
        numbers="52fcd42dbdeb157bdd38fe9c5f1cffd03b2152dae65b22f1f5699dffbb303b0c",
    ),
}


@dataclass(frozen=True)
class Recipes:
    """Which names mean ImageNet-1k alone, out of `timm_recipes.yaml`.

    Attributes:
        kinds: by tag one of `KINDS`.
        more_data: by tag which other data it had.
        exceptions: by model which other data it had although its tag does not say so.
        same_network: the second names of networks, with the first.
        for_tests: how names of networks begin that were made for tests.
    """

    kinds: Mapping[str, str]
    more_data: Mapping[str, str]
    exceptions: Mapping[str, str]
    same_network: Mapping[str, str]
    for_tests: str


@lru_cache(maxsize=1)
def known_recipes() -> Recipes:
    """The content of `timm_recipes.yaml`."""
    content: Any = OmegaConf.to_container(OmegaConf.load(Path(__file__).with_name("timm_recipes.yaml")))
    return Recipes(
        kinds={tag: kind for kind in KINDS for tag in content[kind]},
        more_data=content["more_data"],
        exceptions=content["exceptions"],
        same_network=content["same_network"],
        for_tests=content["for_tests"],
    )


def load(folder: Path) -> pd.DataFrame:
    """One row for each architecture that was trained on ImageNet-1k alone, by name.

    Returns:
        `arch`; `img_size`, the size of which the numbers are; `imagenet1k_test`, the best top-1 accuracy in
        percent over its recipes; `imagenet1k_test_mean`, their mean; `recipe`, the tag of the best, and
        `recipes`, how many there are; `params_millions`; `gmacs`, multiply-accumulates in 10⁹, `macts`,
        activations in 10⁶, and `images_per_second`, NaN where they are not published.  Second names of a
        network and networks made for tests are left out.

    Raises:
        MissingTruth: if the folder lacks a table.
        TruthError: if one is damaged or not timm's.
    """
    return by_architecture(recipes(folder))


def recipes(folder: Path, kinds: Sequence[str] = KINDS) -> pd.DataFrame:
    """One row for each architecture and recipe on ImageNet-1k alone, at the architecture's one image size.

    Args:
        folder: the data folder.
        kinds: some of `KINDS`.

    Returns:
        `arch`, `tag`, `kind`, `img_size`, `top1` and `top5` in percent, and the columns of `published`.  The
        correlation within one recipe is that over the rows of one tag; the tag `in1k` is no recipe.

    Raises:
        UsageError: if there is no such kind.
        MissingTruth, TruthError: as `load`.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise UsageError(f"there is no kind of recipe {shown(kind)}; there are {', '.join(KINDS)}")
    known = known_recipes()
    results = load_results(folder)
    kind_of = results["tag"].map(known.kinds)
    wanted = (
        kind_of.isin(list(kinds))
        & ~results["model"].isin(list(known.exceptions))
        & ~results["arch"].isin(list(known.same_network))
        & ~results["arch"].str.startswith(known.for_tests)
    )
    rows = results.assign(kind=kind_of)[wanted]
    rows = rows.merge(_speeds(folder), on=["arch", "img_size"], how="left")
    # A size that the table of speeds lacks is taken only where there is no other.
    order = rows.assign(without=rows["images_per_second"].isna())
    order = order.sort_values(["arch", "without", "img_size"], kind="stable")
    size = order.groupby("arch")["img_size"].first()
    rows = rows[rows["img_size"] == rows["arch"].map(size)]
    rows = rows.rename(columns={"param_count": "params_millions"})
    names = ["arch", "tag", "kind", "img_size", "top1", "top5", "params_millions"]
    rows = rows[[*names, "gmacs", "macts", "images_per_second"]]
    return rows.sort_values(["arch", "top1", "tag"], ascending=[True, False, True], ignore_index=True)


def by_architecture(rows: pd.DataFrame) -> pd.DataFrame:
    """The table of `load` out of rows of `recipes`."""
    groups = rows.groupby("arch", sort=True)
    first = groups.first()  # the best of them: they are in this order
    table = pd.DataFrame(
        {
            "img_size": first["img_size"],
            "imagenet1k_test": first["top1"],
            "imagenet1k_test_mean": groups["top1"].mean(),
            "recipe": first["tag"],
            "recipes": groups["tag"].nunique(),
            **{name: first[name] for name in ("params_millions", "gmacs", "macts", "images_per_second")},
        }
    )
    return table.reset_index()


def selected(
    folder: Path, max_params: float = 30e6, max_gmacs: float = 2.0, kinds: Sequence[str] = KINDS
) -> pd.DataFrame:
    """The rows of `load` within limits of size: small networks, which a CPU can score.

    Args:
        folder: the data folder.
        max_params: most parameters.
        max_gmacs: most multiply-accumulates of an image, in 10⁹, at the size in `img_size`.  An architecture
            without a published number is left out.
        kinds: of recipes, some of `KINDS`.

    Raises:
        UsageError, MissingTruth, TruthError: as `recipes`.
    """
    table = by_architecture(recipes(folder, kinds))
    small = (table["params_millions"] * 1e6 <= max_params) & (table["gmacs"] <= max_gmacs)
    return table[small].reset_index(drop=True)


def published(folder: Path) -> pd.DataFrame:
    """What is published of each architecture's size and speed, a row an architecture of `load`.

    Returns:
        `arch`, `params_millions`, `gmacs`, `images_per_second`: inference on an RTX 3090.

    Raises:
        MissingTruth, TruthError: as `load`.
    """
    return load(folder)[["arch", "params_millions", "gmacs", "images_per_second"]]


def baselines(table: pd.DataFrame, accuracy: str = "imagenet1k_test") -> pd.DataFrame:
    """How well size and slowness alone rank the architectures of a table of `load` or `selected`.

    Returns:
        By baseline Kendall's `tau` (tau-b) with the accuracy, and `n`, the number of architectures that have
        both.  Slowness is the inverse of images per second.
    """
    rows = []
    for name, column in BASELINES.items():
        both = table[[accuracy, column]].dropna()
        sign = -1 if column == "images_per_second" else 1
        tau = kendalltau(both[accuracy], sign * both[column]).statistic if len(both) > 1 else np.nan
        rows.append({"baseline": name, "tau": float(tau), "n": len(both)})
    return pd.DataFrame(rows)


def load_results(folder: Path) -> pd.DataFrame:
    """The checked table of accuracies, with the columns `COLUMNS`.  Raises MissingTruth, TruthError."""
    return _load(folder / FILE, COLUMNS)


def load_speed(folder: Path) -> pd.DataFrame:
    """The checked table of speeds, with the columns `SPEED_COLUMNS`.  Raises MissingTruth, TruthError."""
    return _load(folder / SPEED_FILE, SPEED_COLUMNS)


def from_csv(path: Path) -> pd.DataFrame:
    """The table of accuracies out of timm's `results-imagenet.csv`.  Raises TruthError."""
    table = _read_csv(path, CSV_COLUMNS)
    parts = table["model"].str.split(".", n=1, expand=True).reindex(columns=[0, 1])
    return table.assign(tag=parts[1].fillna(""), arch=parts[0])[list(COLUMNS)]


def speed_from_csv(path: Path) -> pd.DataFrame:
    """The table of speeds out of timm's file `benchmark-infer-*.csv`.  Raises TruthError."""
    return _read_csv(path, SPEED_COLUMNS)


def save(results: pd.DataFrame, speed: pd.DataFrame, folder: Path) -> None:
    """Check both tables and write them, each whole or not at all.  Raises TruthError, UsageError."""
    for file, table in ((FILE, results), (SPEED_FILE, speed)):
        check(file, table)
    for file, table in ((FILE, results), (SPEED_FILE, speed)):
        with whole_file(folder / file) as temporary:
            table.to_parquet(temporary, index=False)


def check(file: str, table: pd.DataFrame) -> None:
    """Refuse a table that is not timm's at the pinned commit.

    Args:
        file: `FILE` or `SPEED_FILE`.
        table: with its columns.

    Raises:
        TruthError: says what is wrong and what to do.
    """
    columns = COLUMNS if file == FILE else SPEED_COLUMNS
    _check_columns(table, columns)
    if len(table) != FACTS[file].rows:
        raise _refuse(f"the table has {len(table)} rows instead of {FACTS[file].rows}")
    size = "img_size" if file == FILE else "infer_img_size"
    if (twice := table.duplicated(["model", size])).any():
        row = table[twice].iloc[0]
        raise _refuse(f"{shown(row['model'])} is there twice at {row[size]} pixels")
    if file == FILE:
        _check_accuracies(table)
    lines = "".join(f"{m}@{s}\n" for m, s in zip(table["model"], table[size], strict=True))
    if hashlib.sha256(lines.encode()).hexdigest() != FACTS[file].names:
        raise _refuse("the models are not those of timm's table, in its order")
    numbers = [table[name].to_numpy() for name in columns if name not in _TEXTS]
    if digest(numbers) != FACTS[file].numbers:
        raise _refuse("the numbers are not those of timm's table, or are shuffled against the models")


def _load(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    if not os.path.isfile(path):
        raise MissingTruth(f"no table of timm's at {path}; build it with `nasbench-data --timm`")
    table = read(path, REBUILD, columns)
    try:
        check(path.name, table)
    except TruthError as error:
        raise TruthError(f"{path}: {error}") from error
    return table


def _speeds(folder: Path) -> pd.DataFrame:
    # Names of the table of speeds are architectures: weights make no difference to speed.
    names = {
        "model": "arch",
        "infer_img_size": "img_size",
        "infer_gmacs": "gmacs",
        "infer_macts": "macts",
        "infer_samples_per_sec": "images_per_second",
    }
    return load_speed(folder).rename(columns=names)[list(names.values())]


def _read_csv(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    try:
        # Large counts are written as "1,014.45".
        table: pd.DataFrame = pd.read_csv(path, thousands=",")
    except Exception as error:  # the parser's own, of the file system, of the encoding
        raise TruthError(f"{path} is no CSV file ({first_line(error)})") from error
    _check_columns(table, columns, path)
    return table[list(columns)]


def _refuse(what: str) -> TruthError:
    return TruthError(f"{what}; {REBUILD}")


def _check_columns(table: pd.DataFrame, columns: Iterable[str], path: Path | None = None) -> None:
    where = f"{path}: " if path else ""
    if missing := [name for name in columns if name not in table.columns]:
        raise _refuse(f"{where}the columns are wrong: the table lacks {some(missing)}")
    for name in columns:
        numeric = table[name].dtype.kind in "iuf"
        if name in _TEXTS and (numeric or table[name].isna().any()):
            raise _refuse(f"{where}the column {name} holds something other than texts")
        if name not in _TEXTS and not numeric:
            raise _refuse(f"{where}the column {name} holds {table[name].dtype}, not numbers")
        if name not in _TEXTS and name not in _GAPS and not np.isfinite(table[name].to_numpy()).all():
            raise _refuse(f"{where}the column {name} has gaps")


def _check_accuracies(table: pd.DataFrame) -> None:
    if (off := table["model"] != table["arch"] + "." + table["tag"]).any():
        row = table[off].iloc[0]
        raise _refuse(f"{shown(row['model'])} is not the architecture and the tag beside it")
    for name in ("top1", "top5"):
        if fault := percent_fault(table[name].to_numpy(np.float64)):
            raise _refuse(f"the column {name} {fault}")
        if (off := (table[name] + table[f"{name}_err"] - 100).abs() > _ROUNDING).any():
            raise _refuse(f"{name} and its error are not 100 together for {table[off].iloc[0]['model']}")
    if (off := table["top5"] < table["top1"]).any():
        raise _refuse(f"top5 is below top1 for {table[off].iloc[0]['model']}")
