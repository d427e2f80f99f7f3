"""Public tables: each builds from files of its public form, is checked, and joins with its space."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint
from itertools import product
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from nasbench_eval import registry
from nasbench_eval.data.folder import VARIABLE, data_folder
from nasbench_eval.errors import UsageError
from nasbench_eval.spaces import get
from nasbench_eval.spaces.nasbench201 import EDGES
from nasbench_eval.truth import build
from nasbench_eval.truth.base import PublicTable, Stored, TruthInfo, digest_of_keys, digest_of_values
from nasbench_eval.truth.errors import MissingTruth, TruthError
from nasbench_eval.truth.public import transnas_micro
from nasbench_eval.truth.public._nasbench201_tuples import OPERATIONS, indices
from nasbench_eval.truth.sources import Source
from nasbench_eval.truth.tables import public

Run = Callable[..., tuple[int, str, str]]
NAMES = sorted(set(registry.own("truths")) - set(build.BUILDERS))
RNG = np.random.default_rng(0)


def macro(folder: Path) -> list[Path]:
    """Nine texts in no order, as JSON."""
    records = {
        f"{i}{j}000000": {"test_acc": [80.0 + i, 81.0 + j, 82.0], "params": 10 + i, "flops": 20 + j}
        for i, j in product((2, 0, 1), (1, 2, 0))
    }
    (folder / "macro.json").write_text(json.dumps(records))
    return [folder / "macro.json"]


def accel(folder: Path) -> list[Path]:
    """Three trainings, two of them of the same architecture, as an archive of JSON files."""
    with tarfile.open(folder / "accel.tar.gz", "w:gz") as archive:
        for number, expansion in enumerate((4, 6, 4)):
            choices = {"e": expansion, "k": 3, "l": 1, "se": False}
            record = {
                "architecture": {
                    f"block{block}_{name}": value for block in range(7) for name, value in choices.items()
                },
                "metrics": {"val_top1": 50.0 + number, "val_top5": 70.0 + number, "train_time": 1.0},
            }
            path = folder / f"{number}.json"
            path.write_text(json.dumps(record))
            archive.add(path, f"anb/{path.name}")
    return [folder / "accel.tar.gz"]


def transnas(folder: Path) -> list[Path]:
    """A file a task, rows shuffled, 3,256 macro architectures first."""
    files = []
    for task, measure in transnas_micro.MEASURES.items():
        number = np.arange(3256 + 4096)
        rows = pd.DataFrame(
            {f"valid_{measure}": number / 100, f"test_{measure}": number / 50, "file_id": number}
        )
        files.append(folder / f"{task}.csv")
        rows.sample(frac=1, random_state=1).to_csv(files[-1], index=False)
    return files


def tuples(count: int) -> list[str]:
    space = get("nasbench201")
    texts = []
    for index in range(count):
        cell = dict(zip(EDGES, space.arch(index).operations, strict=True))
        texts.append(str(tuple(OPERATIONS.index(cell[edge]) for edge in sorted(EDGES))))
    return texts


def costs(folder: Path) -> list[Path]:
    files = []
    for name in ("cifar10", "cifar100", "ImageNet16-120"):
        columns = public("hw_nasbench201").info.stored.values
        rows = pd.DataFrame({column: RNG.uniform(1, 9, 10) for column in columns}).assign(net=tuples(10))
        rows.loc[3, "edgetpu_latency"] = -1
        files.append(folder / f"hw_{name}.csv")
        rows.iloc[::-1].to_csv(files[-1], index=False)
    return files


def attacks(folder: Path) -> list[Path]:
    columns = public("nasbench201_robustness").info.stored.values
    rows = pd.DataFrame({column: RNG.uniform(1, 90, 10) for column in columns}).assign(net=tuples(10))
    rows.iloc[::-1].to_csv(folder / "robust.csv", index=False)
    return [folder / "robust.csv"]


MADE: dict[str, Callable[[Path], Sequence[Path]]] = {
    "nasbench_macro": macro,
    "accel_nasbench": accel,
    "transnas_micro": transnas,
    "hw_nasbench201": costs,
    "nasbench201_robustness": attacks,
}


def pinned(name: str, files: Sequence[Path], monkeypatch: pytest.MonkeyPatch, address: str = "") -> TruthInfo:
    """What is said of a table, of made-up files, which are the published ones from now on."""
    table, info = public(name), public(name).info
    stored = table.from_files(files)
    changed = replace(
        info,
        stored=replace(
            info.stored,
            rows=len(stored),
            key_sha256=digest_of_keys(stored, info.stored.key),
            values_sha256=digest_of_values(stored, info.stored.values),
        ),
        sources=tuple(
            Source(f"{address}/{file.name}", sha256=hashlib.sha256(file.read_bytes()).hexdigest())
            for file in files
        ),
    )
    monkeypatch.setattr(type(table), "info", changed)
    return changed


@pytest.fixture
def data() -> Path:
    if not os.path.isdir(os.environ.get(VARIABLE, "")):
        pytest.skip(f"{VARIABLE} names no folder of tables")
    return data_folder()


def test_every_table_is_tried() -> None:
    assert sorted(MADE) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_command_builds_it_and_keeps_it(
    name: str, run: Run, served: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = pinned(name, MADE[name](served[0]), monkeypatch, served[1])
    code, out, err = run(name, "--data", tmp_path / "new")
    assert (code, err) == (0, "")
    assert f"built {info.stored.file}" in out
    assert [path.name for path in (tmp_path / "new").iterdir()] == [info.stored.file]
    assert "kept" in run(name, "--data", tmp_path / "new")[1]
    assert (
        "not here" not in run("--list", "--data", tmp_path / "new")[1].partition(name)[2].partition("\n")[0]
    )
    table = public(name).load(tmp_path / "new")
    for dataset, split in product(info.datasets, info.splits):
        assert f"{dataset}_{split}" in table.columns


@pytest.mark.parametrize("name", NAMES)
def test_another_table_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = pinned(name, MADE[name](tmp_path), monkeypatch)
    table = public(name)
    stored = table.from_files([tmp_path / Path(source.url).name for source in info.sources])
    with pytest.raises(MissingTruth, match=f"build it with `nasbench-data {name}`"):
        table.load(tmp_path)
    value, key = info.stored.values[0], info.stored.key[0]
    for wrong, said in (
        (stored.iloc[1:], "rows instead of"),
        (stored.drop(columns=value), f"the table lacks {value}"),
        (stored.assign(**{value: stored[value].to_numpy()[::-1]}), "the numbers are not the published ones"),
        (stored.assign(**{key: stored[key].to_numpy()[::-1]}), "the architectures are not those"),
        (stored.assign(**{value: "x"}), "not numbers"),
    ):
        if said.startswith("the architectures") and (wrong[key] == stored[key]).all():
            continue  # the first column is the same in all rows
        with pytest.raises(TruthError, match=said):
            table.check(wrong)


def test_damaged_public_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("{")
    for name in NAMES:
        count = {"transnas_micro": 7, "hw_nasbench201": 3}.get(name, 1)
        with pytest.raises(TruthError):
            public(name).from_files([tmp_path / "x"] * count)
    with pytest.raises(TruthError, match="is no cell: six numbers"):
        indices(["(4, 0, 3, 1, 4, 9)"])


def test_tuples_name_cells() -> None:
    assert indices(tuples(50)) == list(range(50))
    assert indices(["(4, 3, 3, 0, 0, 0)"]) == [0]


def test_repeated_trainings_are_averaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pinned("accel_nasbench", accel(tmp_path), monkeypatch)
    table = public("accel_nasbench").joined(public("accel_nasbench").from_files([tmp_path / "accel.tar.gz"]))
    assert table["imagenet1k_val"].tolist() == [51.0, 51.0]
    space = get("accel_nasbench")
    assert all(space.format(space.parse(text)) == text for text in table["arch"])


@pytest.mark.parametrize("name", sorted(registry.own("truths")))
def test_what_is_said_of_a_table(name: str) -> None:
    info = public(name).info
    assert info.space in registry.names("spaces")
    assert info.sources
    assert all(source.sha256 and source.url.startswith("https://") for source in info.sources)
    assert set(info.judged) <= set(info.splits)
    assert set(info.lower) <= set(info.splits)
    assert info.title
    assert info.about
    assert info.licence
    assert info.home.startswith("https://")


@pytest.mark.parametrize("name", sorted(registry.own("truths")))
def test_the_real_table(name: str, data: Path) -> None:
    """It is the published one, has an architecture of the space in every row, and is read within a second."""
    table = public(name)
    if not (data / table.info.stored.file).is_file():
        pytest.skip(f"no {table.info.stored.file} in {VARIABLE}")
    started = time.process_time()
    found = table.load(data)
    seconds = time.process_time() - started
    assert len(found) > 0
    if isinstance(table, PublicTable) and name in NAMES:
        assert seconds < 1


@dataclass(frozen=True)
class Chains(PublicTable):
    """A table as another package brings it."""

    info: ClassVar[TruthInfo] = TruthInfo(
        name="chains_table",
        title="Chains",
        space="open_chains",
        about="made up",
        datasets=("cifar10",),
        splits={"test": "test accuracy"},
        home="https://example.org",
        licence="MIT",
        stored=Stored("chains.parquet", 2, ("arch",), ("cifar10_test",)),
    )


def test_another_package_brings_a_table(monkeypatch: pytest.MonkeyPatch, run: Run, tmp_path: Path) -> None:
    offered = {
        "truths": ("chains_table", f"{__name__}:Chains"),
        "spaces": ("open_chains", "open_chains:OpenChains"),
    }
    monkeypatch.setattr(
        registry,
        "entry_points",
        lambda *, group: tuple(
            EntryPoint(*entry, group) for kind, entry in offered.items() if group.endswith(kind)
        ),
    )
    registry._entries.cache_clear()
    try:
        table = pd.DataFrame({"arch": ["c4", "p"], "cifar10_test": [70.0, 10.0]})
        public("chains_table").save(table, tmp_path)
        assert "chains_table: Chains, 2 rows on cifar10; here" in run("--list", "--data", tmp_path)[1]
        assert public("chains_table").load(tmp_path)["cifar10_test"].tolist() == [70.0, 10.0]
        with pytest.raises(TruthError, match="1 rows instead of 2"):
            public("chains_table").save(table[:1], tmp_path)
        public("chains_table").save(table.assign(arch="p"), tmp_path)
        with pytest.raises(UsageError, match="chains_table has 'p' in two rows"):
            public("chains_table").load(tmp_path)
    finally:
        registry._entries.cache_clear()


def test_rows_in_any_order_and_some_of_them_find_their_places() -> None:
    """A table of a listed space is put into its order; what it does not have is unknown."""
    space, table = get("nasbench201"), public("nasbench201_robustness")
    some = pd.DataFrame({"index": [7, 2, 15000], "cifar10_clean": [70.0, 20.0, 90.0]})
    found = table.ordered(some)
    assert len(found) == len(space)
    assert found["cifar10_clean"][[2, 7, 15000]].tolist() == [20, 70, 90]
    assert found["cifar10_clean"].notna().sum() == 3
    assert found["arch"][7] == space.format(space.arch(7))
    texts = some.assign(arch=[space.format(space.arch(i)) for i in some["index"]])
    pd.testing.assert_frame_equal(table.ordered(texts.drop(columns="index"))[found.columns], found)
    for wrong, said in (
        (some.assign(index=[7, 7, 2]), "rows 1 and 2 are the same architecture"),
        (some.assign(index=[7, 2, 15625]), "the index 15625 is none of"),
        (texts.assign(index=[2, 7, 15000]), "row 1 names one architecture by arch and another by index"),
    ):
        with pytest.raises(UsageError, match=said):
            table.ordered(wrong)
