"""What every proxy owes: a new one is held to all of it without an edit here."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from nasbench_eval import registry, testing
from nasbench_eval.data.batches import Batches
from nasbench_eval.data.datasets import DataSet
from nasbench_eval.paths import config_folder
from nasbench_eval.runs.rows import Row, Task
from nasbench_eval.scoring.config import typed
from nasbench_eval.scoring.job import Job
from nasbench_eval.scoring.worker import score_architecture
from nasbench_eval.spaces.nasbench201 import NASBench201

NAMES = registry.own("proxies")  # a plug-in answers for itself
each = pytest.mark.parametrize("name", NAMES)

SPACE = NASBench201(channels=4, cells_per_stage=1)
LIVE = "|nor_conv_3x3~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|"
DEAD_BRANCH = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_1x1~2|"
DEGENERATE = {
    "nothing": "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
    "identity": "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|",
    "all identities": (
        "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|skip_connect~2|"
    ),
    "all pooling": (
        "|avg_pool_3x3~0|+|avg_pool_3x3~0|avg_pool_3x3~1|+|avg_pool_3x3~0|avg_pool_3x3~1|avg_pool_3x3~2|"
    ),
    "convolutions before a cut": "|nor_conv_3x3~0|+|nor_conv_1x1~0|nor_conv_3x3~1|+|none~0|none~1|none~2|",
    "convolutions behind a cut": "|none~0|+|none~0|nor_conv_3x3~1|+|none~0|nor_conv_1x1~1|nor_conv_3x3~2|",
    "a dead branch": DEAD_BRANCH,
}


def class_of(name: str) -> Any:
    return registry.find("proxies", name)


def options(name: str) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(class_of(name))


# What the proxies of other packages owe as well


@each
def test_it_passes_the_checks_for_outside_packages(name: str) -> None:
    testing.check_proxy(name)


# What it says of itself


@each
def test_one_name_everywhere(name: str) -> None:
    cls = class_of(name)
    assert cls.info.name == name
    assert cls.__module__.rpartition(".")[2] == name
    assert (config_folder() / "proxy" / f"{name}.yaml").is_file()


@each
def test_the_yaml_file_has_the_defaults(name: str) -> None:
    path = config_folder() / "proxy" / f"{name}.yaml"
    assert path.read_text().splitlines()[0] == f"# @package proxy.{name}"
    node: Any = OmegaConf.to_container(OmegaConf.load(path))
    assert node.pop("name") == name
    assert list(node) == [field.name for field in options(name)]
    proxy = class_of(name)()
    for field in options(name):
        value = getattr(proxy, field.name)
        expected = list(value) if isinstance(value, tuple) else value
        assert node[field.name] == expected, field.name
        assert type(node[field.name]) is type(expected), field.name
    assert typed(class_of(name), node, name) == proxy


# What it asks for


OPTIONS = {
    "batch_size": ("batch_size", [3, 5]),
    "resolution": ("resolution", [None, 12]),
    "init": ("init", ["kaiming", "torch_default", "gaussian"]),
    "input": ("source", ["images", "gaussian", "ones"]),
}


@each
def test_the_options_of_a_batch_reach_its_passes(name: str) -> None:
    for field in options(name):
        if field.name not in OPTIONS:
            continue
        target, values = OPTIONS[field.name]
        if name == "linear_regions" and field.name == "input":  # a cell takes one channel
            values = ["crops", "gaussian", "ones"]
        if field.name == "input" and getattr(class_of(name)(), "epochs", 0):  # training needs images
            values = ["images"]
        for value in values:
            passes = replace(class_of(name)(), **{field.name: value}).passes()
            assert [getattr(spec.forward, target) for spec in passes] == [value] * len(passes)


@each
def test_the_resolution_is_the_data_sets_unless_it_is_set(name: str, datasets: dict[str, DataSet]) -> None:
    given = {"cifar10": 32, "imagenet16_120": 16}
    chosen = {dataset: datasets[dataset] for dataset in given}
    unset = [spec.forward.resolution for spec in class_of(name)().passes()]
    job = Job(SPACE, chosen, {name: class_of(name)()}, seed=0)
    for task in job.tasks():
        found = [spec.forward.resolution for spec, _ in job.passes(task)]
        assert found == [given[task.dataset] if r is None else r for r in unset]


# What it gives


class Bench:
    """Scores small networks on images of noise with 16 pixels."""

    def __init__(self, script: ModuleType, datasets: dict[str, DataSet], folder: Path) -> None:
        self.small = script.small
        self.datasets = {
            name: replace(datasets[name], resolution=16) for name in ("cifar10", "imagenet16_120")
        }
        self.folder = folder
        self.index = {SPACE.arch(i): i for i in range(len(SPACE))}
        self.all = cache(self._all)

    def score(self, cell: str, names: Iterable[str], datasets: Sequence[str] = ()) -> dict[Task, Row]:
        """Rows of one call, in the order of the names; all data sets if none is named."""
        chosen = {name: self.datasets[name] for name in datasets or self.datasets}
        job = Job(SPACE, chosen, {name: self.small(class_of(name)()) for name in names}, seed=5)
        device = torch.device("cpu")
        batches = Batches(job.seed, self.datasets, self.folder, device)
        rows = score_architecture(job, self.index[SPACE.parse(cell)], job.tasks(), batches, device)
        return {Task(row["dataset"], row["label"]): row for row in rows}

    def _all(self, cell: str) -> dict[Task, Row]:
        return self.score(cell, NAMES)


@pytest.fixture(scope="module")
def bench(golden_script: ModuleType, datasets: dict[str, DataSet], noise_images: Path) -> Bench:
    return Bench(golden_script, datasets, noise_images)


def of(rows: dict[Task, Row], name: str) -> list[Row]:
    """A proxy's rows, by data set."""
    found = sorted((task, row) for task, row in rows.items() if task.label == name)
    return [row for _, row in found]


def bits(name: str, rows: dict[Task, Row]) -> list[tuple[str, ...]]:
    """All digits of a proxy's rows, NaN and infinities included."""
    names = (*class_of(name).info.columns, "score")
    return [(row["status"], *(float(row[column]).hex() for column in names)) for row in of(rows, name)]


def check(row: Row) -> None:
    """A row's status is what its score says."""
    assert row["error"] is None
    value = row["score"]
    assert row["status"] == ("ok" if math.isfinite(value) else "nan" if math.isnan(value) else "inf")


@each
def test_columns(name: str, bench: Bench) -> None:
    place = {"dataset", "label", "index", "arch", "seed"}
    outcome = {"score", "seconds", "status", "error", "proxy_version"}
    info = class_of(name).info
    for row in of(bench.all(LIVE), name):
        assert set(row) == place | outcome | set(info.columns)
        assert all(isinstance(row[column], float) for column in (*info.columns, "score", "seconds"))
        assert row["proxy_version"] == info.version


@each
@pytest.mark.parametrize("case", DEGENERATE)
def test_a_degenerate_cell_is_a_row_without_an_error(name: str, case: str, bench: Bench) -> None:
    rows = of(bench.all(DEGENERATE[case]), name)
    assert len(rows) == 2
    for row in rows:
        assert row["status"] in ("ok", "nan", "inf"), row["error"]
        check(row)


@each
@pytest.mark.parametrize("cell", [LIVE, DEAD_BRANCH])
def test_the_same_bits_alone_and_among_all(name: str, cell: str, bench: Bench) -> None:
    among = bits(name, bench.all(cell))
    assert bits(name, bench.score(cell, [name])) == among
    single = [bits(name, bench.score(cell, [name], [dataset]))[0] for dataset in sorted(bench.datasets)]
    assert single == among


@pytest.fixture(scope="module")
def backwards(bench: Bench) -> dict[Task, Row]:
    """The live cell again, with proxies and data sets in reversed order."""
    return bench.score(LIVE, NAMES[::-1], tuple(bench.datasets)[::-1])


@each
def test_the_same_bits_in_reversed_order(name: str, bench: Bench, backwards: dict[Task, Row]) -> None:
    assert bits(name, backwards) == bits(name, bench.all(LIVE))
