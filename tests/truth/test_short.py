"""What searches are told of short trainings: tables made up here, and the real one where it is at hand."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nasbench_eval.errors import UsageError
from nasbench_eval.registry import UnknownName
from nasbench_eval.truth import build, convert, nasbench201, own, time_model
from nasbench_eval.truth.errors import MissingTruth, TruthError
from nasbench_eval.truth.nasbench201 import archs, connected
from nasbench_eval.truth.short import Short, first_epochs, short_training, training_seconds
from nasbench_eval.truth.short_tables import (
    FULL_FILE,
    IMAGES,
    SAMPLE_FILE,
    SAMPLE_NAMES,
    SAMPLE_SIZE,
    load_full,
    load_sample,
    save_full,
    save_sample,
)
from nasbench_eval.truth.sources import Source

Run = Callable[..., tuple[int, str, str]]

CHANCE = {"cifar10": 10.0, "cifar100": 1.0, "imagenet16_120": 0.83}
# Made-up seconds an image: of a training epoch, by operation that stands on an edge, and of an evaluation.
COSTS = {"none": 0.0, "skip_connect": 1e-5, "nor_conv_1x1": 4e-5, "nor_conv_3x3": 9e-5, "avg_pool_3x3": 3e-5}


def seconds_an_image() -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([1e-4 + sum(arch.count(name) * cost for name, cost in COSTS.items()) for arch in archs()])


def accuracies(dataset: str, best: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    values = np.random.default_rng(len(dataset)).uniform(best / 2, best, len(archs()))
    return np.where(connected(), values, CHANCE[dataset])


def make_full() -> pd.DataFrame:
    columns: dict[str, Any] = {"index": np.arange(len(archs())), "arch": archs()}
    for dataset, images in IMAGES.items():
        columns[f"{dataset}_val_12"] = accuracies(dataset, 40.0)
        columns[f"{dataset}_train_seconds_12"] = 12 * images["val"].train * seconds_an_image()
        columns[f"{dataset}_val_seconds"] = images["val"].evaluated * seconds_an_image() / 3
    return pd.DataFrame(columns)


def make_sample() -> pd.DataFrame:
    """As the public file has it: other data set names, 200 epochs beside 12, rows in no order."""
    parts = []
    for dataset, name in SAMPLE_NAMES.items():
        images = IMAGES[dataset]["test"]
        for epochs, best in ((12, 60.0), (200, 99.0)):
            cells = seconds_an_image()[:SAMPLE_SIZE]
            part = pd.DataFrame({"index": np.arange(SAMPLE_SIZE), "arch": archs()[:SAMPLE_SIZE]})
            part = part.assign(dataset=name, epochs=epochs, train_loss=1.0, train_acc=50.0)
            part["train_time_s"] = epochs * images.train * cells
            part["test_acc"] = accuracies(dataset, best)[:SAMPLE_SIZE]
            parts.append(part.assign(test_time_s=epochs * images.evaluated * cells / 3))
    return pd.concat(parts).sample(frac=1, random_state=0)


@pytest.fixture
def sampled(tmp_path: Path) -> Path:
    """A data folder with the table of cells 0 to 999, 200 epochs included as in the file at hand."""
    make_sample().to_parquet(tmp_path / SAMPLE_FILE, index=False)
    return tmp_path


@pytest.fixture
def whole(sampled: Path) -> Path:
    save_full(make_full(), sampled)
    return sampled


@pytest.mark.parametrize("dataset", IMAGES)
def test_the_sample(sampled: Path, dataset: str) -> None:
    short = short_training("nasbench201", dataset, sampled)
    assert short.members == tuple(range(SAMPLE_SIZE))
    expected = accuracies(dataset, 60.0)
    np.testing.assert_array_equal(short.accuracy_N[:SAMPLE_SIZE], expected[:SAMPLE_SIZE])
    assert np.isnan(short.accuracy_N[SAMPLE_SIZE:]).all()
    images = IMAGES[dataset]["test"]
    seconds = seconds_an_image() * (12 * images.train + images.evaluated / 3)
    np.testing.assert_allclose(short.seconds_N[:SAMPLE_SIZE], seconds[:SAMPLE_SIZE], rtol=1e-12)
    # These made-up seconds obey the model, so that it finds those of all other cells.
    np.testing.assert_allclose(short.seconds_N, seconds, atol=0.001)
    np.testing.assert_array_equal(short.modelled_N, np.arange(len(seconds)) >= SAMPLE_SIZE)
    assert f"{images.evaluated:,} test images, after 12 epochs on all training images" in short.split
    assert short.source.endswith(SAMPLE_FILE)


@pytest.mark.parametrize("dataset", IMAGES)
def test_the_table_of_all_cells_comes_first(whole: Path, dataset: str) -> None:
    short = short_training("nasbench201", dataset, whole)
    assert short.members == tuple(range(len(archs())))
    np.testing.assert_array_equal(short.accuracy_N, accuracies(dataset, 40.0))
    images = IMAGES[dataset]["val"]
    seconds = seconds_an_image() * (12 * images.train + images.evaluated / 3)
    np.testing.assert_allclose(short.seconds_N, seconds, rtol=1e-12)
    assert not short.modelled_N.any()
    assert "validation images" in short.split
    assert ("half of the training images" in short.split) == (dataset == "cifar10")
    assert short.source.endswith(FULL_FILE)


@pytest.mark.parametrize("split", ["val", "test"])
@pytest.mark.parametrize("dataset", IMAGES)
def test_both_tables_give_the_same_seconds(
    sampled: Path, tmp_path_factory: pytest.TempPathFactory, dataset: str, split: Any
) -> None:
    other = tmp_path_factory.mktemp("all")
    save_full(make_full(), other)
    some, modelled = training_seconds("nasbench201", dataset, sampled, epochs=200, split=split)
    every, none = training_seconds("nasbench201", dataset, other, epochs=200, split=split)
    np.testing.assert_allclose(some, every, atol=0.001)
    assert (modelled.sum(), none.sum()) == (len(archs()) - SAMPLE_SIZE, 0)
    images = IMAGES[dataset][split]
    expected = seconds_an_image() * (200 * images.train + images.evaluated / 3)
    np.testing.assert_allclose(every, expected, rtol=1e-12)


def test_a_short_training_costs_what_it_says(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    short = short_training("nasbench201", "cifar10", whole)
    np.testing.assert_allclose(training_seconds("nasbench201", "cifar10", whole, 12)[0], short.seconds_N)
    other = tmp_path_factory.mktemp("sample")
    make_sample().to_parquet(other / SAMPLE_FILE, index=False)
    short = short_training("nasbench201", "cifar10", other)
    seconds, modelled = training_seconds("nasbench201", "cifar10", other, 12, "test")
    np.testing.assert_array_equal(seconds, short.seconds_N)
    np.testing.assert_array_equal(modelled, short.modelled_N)


def test_final_accuracies_cannot_be_had(sampled: Path) -> None:
    """Nothing that is given depends on what was measured after 200 epochs."""
    before = short_training("nasbench201", "cifar100", sampled)
    table = make_sample()
    final = table["epochs"] == 200
    table.loc[final, ["test_acc", "train_acc", "train_loss", "train_time_s", "test_time_s"]] = 7.0
    table.to_parquet(sampled / SAMPLE_FILE, index=False)
    after = short_training("nasbench201", "cifar100", sampled)
    same(before, after)
    assert set(load_sample(sampled)["epochs"]) == {12}


def same(one: Short, other: Short) -> None:
    assert (one.members, one.split, one.source) == (other.members, other.split, other.source)
    for name in ("accuracy_N", "seconds_N", "modelled_N"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_what_there_is_not(sampled: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(UsageError, match="no trainings of nasbench101 are timed"):
        short_training("nasbench101", "cifar10", sampled)
    with pytest.raises(UnknownName, match="cifar1000"):
        training_seconds("nasbench201", "cifar1000", sampled)
    with pytest.raises(UsageError, match="trainings of 9 epochs are in no table"):
        short_training("nasbench201", "cifar10", sampled, epochs=9)
    with pytest.raises(UsageError, match="at least one epoch"):
        training_seconds("nasbench201", "cifar10", sampled, epochs=0)
    with pytest.raises(UnknownName, match="split"):
        training_seconds("nasbench201", "cifar10", sampled, split="train")  # type: ignore[arg-type]
    empty = tmp_path_factory.mktemp("empty")
    for ask in (short_training, training_seconds):
        with pytest.raises(MissingTruth, match=r"nasbench-data --short.*nasbench-data --nats") as caught:
            ask("nasbench201", "cifar10", empty)
        assert "\n" not in str(caught.value)


def spoil(table: pd.DataFrame, name: str, row: int, value: Any) -> pd.DataFrame:
    return table.assign(**{name: [value if i == row else v for i, v in enumerate(table[name])]})


DEAD = int(np.flatnonzero(~connected())[0])
WRONG_FULL: list[tuple[Callable[[pd.DataFrame], pd.DataFrame], str]] = [
    (lambda t: t.drop(columns="cifar100_val_12"), "lacks the columns cifar100_val_12"),
    (lambda t: t.iloc[:99], "99 rows instead of 15625"),
    (lambda t: t.iloc[::-1], "does not count from 0"),
    (lambda t: spoil(t, "arch", 5, "|none~0|"), "row 5 names the cell"),
    (lambda t: spoil(t, "cifar10_val_12", 5, np.nan), "cifar10_val_12 has gaps"),
    (lambda t: t.assign(cifar10_val_12=t["cifar10_val_12"] / 100), "fractions"),
    (lambda t: t.assign(cifar10_val_12="x"), "not numbers"),
    (lambda t: spoil(t, "cifar100_val_12", DEAD, 30.0), "no path from input to output"),
    (lambda t: spoil(t, "cifar10_val_12", 1, 91.61), "91.61: that is not after 12 epochs"),
    (lambda t: spoil(t, "cifar10_val_seconds", 1, 0.0), "no seconds"),
]


@pytest.mark.parametrize(("change", "match"), WRONG_FULL)
def test_a_wrong_table_of_all_cells(
    whole: Path, change: Callable[[pd.DataFrame], pd.DataFrame], match: str
) -> None:
    change(make_full()).to_parquet(whole / FULL_FILE, index=False)
    with pytest.raises(TruthError, match=match) as caught:
        short_training("nasbench201", "cifar10", whole)
    assert str(whole / FULL_FILE) in str(caught.value)
    assert "\n" not in str(caught.value)


WRONG_SAMPLE: list[tuple[Callable[[pd.DataFrame], pd.DataFrame], str]] = [
    (lambda t: t.drop(columns="test_time_s"), "lacks the columns test_time_s"),
    (lambda t: t[t["epochs"] == 200], "0 rows of cifar10 after 12 epochs"),
    (lambda t: t[t["index"] != 7], "999 rows of cifar10"),
    (lambda t: t.assign(dataset=t["dataset"].replace("cifar10", "svhn")), "the data set 'svhn'"),
    (lambda t: t.assign(index=(t["index"] + 1) % 1000), "names the cell"),
    (lambda t: t.assign(epochs=212 - t["epochs"]), "that is not after 12 epochs"),
    (lambda t: t.assign(train_time_s=np.inf), "no seconds"),
]


@pytest.mark.parametrize(("change", "match"), WRONG_SAMPLE)
def test_a_wrong_sample(sampled: Path, change: Callable[[pd.DataFrame], pd.DataFrame], match: str) -> None:
    change(make_sample()).to_parquet(sampled / SAMPLE_FILE, index=False)
    with pytest.raises(TruthError, match=match) as caught:
        short_training("nasbench201", "cifar10", sampled)
    assert str(sampled / SAMPLE_FILE) in str(caught.value)


def test_damaged_files(whole: Path) -> None:
    for file, load in ((FULL_FILE, load_full), (SAMPLE_FILE, load_sample)):
        content = (whole / file).read_bytes()
        (whole / file).write_bytes(content[: len(content) // 2])
        with pytest.raises(TruthError, match="truncated or no parquet file"):
            load(whole)


def as_json(table: pd.DataFrame) -> dict[str, Any]:
    names = ["train_loss", "train_acc", "train_time_s", "train_time_s", "test_acc", "test_time_s"]
    content: dict[str, Any] = {}
    for row in table.to_dict("records"):
        trainings = content.setdefault(row["arch"], {}).setdefault(row["dataset"], {})
        trainings[str(row["epochs"])] = [row[name] for name in names]
    return content


@pytest.fixture
def public(served: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The public file of cells 0 to 999 behind a loopback address."""
    path = served[0] / "cells.json"
    path.write_text(json.dumps(as_json(make_sample())))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    source = Source(f"{served[1]}/{path.name}", sha256=sha256, size=path.stat().st_size)
    monkeypatch.setattr(build, "SAMPLE_SOURCE", source)
    monkeypatch.setattr(convert, "SAMPLE_SOURCE", source)
    return path


def test_nasbench_data_short(run: Run, public: Path, tmp_path: Path, sampled: Path) -> None:
    folder = tmp_path / "new"
    code, out, err = run("--data", folder, "--short")
    assert (code, err) == (0, "")
    assert "built nasbench201_time_1000.parquet: 1000 architectures, 12 epochs" in out
    assert [path.name for path in folder.iterdir()] == [SAMPLE_FILE]
    pd.testing.assert_frame_equal(load_sample(folder), load_sample(sampled))
    assert set(pd.read_parquet(folder / SAMPLE_FILE)["epochs"]) == {12}
    code, out, _ = run("--data", folder, "--short")
    assert code == 0
    assert "kept nasbench201_time_1000.parquet" in out
    code, out, _ = run("--data", folder, "--check")
    assert "ok nasbench201_time_1000.parquet" in out


def test_a_wrong_public_file(run: Run, public: Path, tmp_path: Path) -> None:
    table = make_sample()
    wrong: list[Any] = [[], {"a": 1}, as_json(table[table["epochs"] == 200]), {"|none~0|": {}}]
    for content in wrong:
        public.write_text(json.dumps(content))
        with pytest.raises(TruthError, match=r"JSON|rows"):
            save_sample(convert.sample_from_json(public), tmp_path)
    code, _, err = run("--data", tmp_path / "new", "--short")
    assert (code, err.count("\n")) == (2, 1)
    assert "does not have the pinned sha256" in err


def test_short_stands_alone(run: Run, tmp_path: Path) -> None:
    code, _, err = run("--data", tmp_path / "new", "--short", "--check")
    assert code == 2
    assert "leave out --check, --nats and --imagenet16" in err


def test_nats_builds_both_tables_once(
    run: Run, lawful: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[Path] = []

    def both(path: Path) -> tuple[pd.DataFrame, pd.DataFrame | None]:
        reads.append(path)
        return lawful, make_full()

    monkeypatch.setattr(convert, "both_from_nats", both)
    options = ("--data", tmp_path / "new", "--tables-only", "--nats", "NATS")
    code, out, _ = run(*options)
    assert code == 0
    assert "built nasbench201.parquet" in out
    assert "built nasbench201_short.parquet: 15625 architectures, 12 epochs, best validation" in out
    assert len(reads) == 1
    code, out, _ = run(*options)
    assert (code, len(reads)) == (0, 1), "what is right is kept and nothing is read"
    (tmp_path / "new" / FULL_FILE).unlink()
    code, out, _ = run(*options)
    assert (code, len(reads)) == (0, 2)
    assert "kept nasbench201.parquet" in out
    assert "built nasbench201_short.parquet" in out
    monkeypatch.setattr(convert, "both_from_nats", lambda path: (lawful, None))
    (tmp_path / "new" / FULL_FILE).unlink()
    code, out, _ = run(*options)
    assert code == 0
    assert "NATS lacks trainings of 12 epochs with their seconds: no nasbench201_short.parquet" in out


def test_first_epochs_of_digits() -> None:
    benchmark = own.load("digits")
    last = first_epochs(benchmark, 8)
    np.testing.assert_allclose(last.accuracy_N, benchmark.accuracy("digits", "val"))
    assert list(last.members) == benchmark.indices
    assert not last.modelled_N.any()
    one = first_epochs(benchmark, 1)
    known = list(one.members)
    np.testing.assert_allclose(8 * one.seconds_N[known], last.seconds_N[known])
    assert one.accuracy_N[known].mean() < last.accuracy_N[known].mean()
    assert one.split == "validation images, after the first 1 of 8 epochs"
    for epochs in (0, 9):
        with pytest.raises(UsageError, match=f"8 epochs; {epochs} are not among them"):
            first_epochs(benchmark, epochs)


def real_folder() -> Path:
    folder = Path(os.environ.get("NASBENCH_EVAL_DATA", "data"))
    if not (folder / SAMPLE_FILE).exists():
        pytest.skip(f"no {SAMPLE_FILE}")
    return folder


@pytest.mark.parametrize("dataset", IMAGES)
def test_the_model_of_seconds_on_cells_it_has_not_seen(dataset: str) -> None:
    table = load_sample(real_folder())
    rows = table[table["dataset"] == SAMPLE_NAMES[dataset]]
    seconds = rows["train_time_s"].to_numpy()
    features = time_model.features()
    order = np.random.default_rng(0).permutation(SAMPLE_SIZE)
    predicted = np.empty(SAMPLE_SIZE)
    for held_out in np.array_split(order, 5):
        known = np.setdiff1d(order, held_out)
        predicted[held_out] = time_model.predict(features, known, seconds[known])[held_out]
    r2 = 1 - np.sum((seconds - predicted) ** 2) / np.sum((seconds - seconds.mean()) ** 2)
    assert r2 > 0.995
    assert np.abs(predicted / seconds - 1).max() < 0.08


def test_recorded_seconds_are_proportional_to_images_and_epochs() -> None:
    real_folder()
    table = pd.read_parquet(real_folder() / SAMPLE_FILE)
    train, evaluation = (
        table.pivot(index="index", columns=["dataset", "epochs"], values=name)
        for name in ("train_time_s", "test_time_s")
    )
    for dataset, name in SAMPLE_NAMES.items():
        images, first = IMAGES[dataset]["test"], IMAGES["cifar10"]["test"]
        for column, share in (
            (train, images.train / first.train),
            (evaluation, images.evaluated / first.evaluated),
        ):
            for epochs in {12, 200} & set(table["epochs"]):
                expected = column["cifar10", 12] * share * epochs / 12
                np.testing.assert_allclose(column[name, epochs], expected, rtol=1e-9)


@pytest.mark.parametrize("dataset", IMAGES)
def test_the_sample_is_of_test_images(dataset: str) -> None:
    """Its accuracies after 200 epochs, where a file has them, follow the test accuracies."""
    table = pd.read_parquet(real_folder() / SAMPLE_FILE)
    rows = table[(table["dataset"] == SAMPLE_NAMES[dataset]) & (table["epochs"] == 200)].sort_values("index")
    final = nasbench201.load(real_folder()).iloc[:SAMPLE_SIZE]
    if rows.empty:
        pytest.skip("the file holds 12 epochs alone")
    validation, test = final[f"{dataset}_val"].to_numpy(), final[f"{dataset}_test"].to_numpy()
    # 1 if they are test accuracies but for noise, 0 if they are validation accuracies.
    slope = np.polyfit(test - validation, rows["test_acc"].to_numpy() - validation, 1)[0]
    assert slope == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("dataset", IMAGES)
def test_the_real_sample(dataset: str) -> None:
    short = short_training("nasbench201", dataset, real_folder())
    if short.source.endswith(SAMPLE_FILE):
        images = IMAGES[dataset]["test"].evaluated
        right = short.accuracy_N[list(short.members)] / 100 * images
        np.testing.assert_allclose(right, right.round(), atol=1e-3)  # one run on that many images
    assert (short.seconds_N > 0).all()
