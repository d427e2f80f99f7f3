"""Conversion from both sources, on small files in their formats."""

from __future__ import annotations

import bz2
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nats_bench
import numpy as np
import pandas as pd
import pytest
import torch
from nats_bench import api_utils

from nasbench_eval.data.pickles import PickleRefused
from nasbench_eval.errors import UsageError
from nasbench_eval.spaces.nasbench201 import NASBench201
from nasbench_eval.truth.convert import both_from_nats, from_csvs, from_nats
from nasbench_eval.truth.errors import TruthError
from nasbench_eval.truth.nasbench201 import COLUMNS, RUNS, check
from nasbench_eval.truth.short_tables import FULL_COLUMNS
from nasbench_eval.truth.sources import Source

Publish = Callable[[Path, str], dict[str, Source]]

CELLS = 6
SEEDS = {0: [777, 888, 999], 1: [888], 2: [777, 999], 3: [777], 4: [888, 999], 5: [777, 888, 999]}
PARTS = {
    "cifar10-valid": ("x-valid", "ori-test"),
    "cifar10": ("ori-test",),
    "cifar100": ("x-valid", "x-test", "ori-test"),
    "ImageNet16-120": ("x-valid", "x-test", "ori-test"),
}


def final_accuracy(index: int, dataset: str, part: str, seed: int, epochs: int) -> float:
    """A number that no two places share."""
    names = list(PARTS)
    return epochs / 10 + 10 * index + names.index(dataset) + len(part) / 100 + seed / 10**6


def results(index: int, epochs: int) -> dict[str, Any]:
    """The state of the official API's ArchResults for one cell."""
    arch = NASBench201().format(NASBench201().arch(index))
    seeds = {dataset: SEEDS[index] if dataset == "cifar10" else [777, 888] for dataset in PARTS}
    if epochs == 12:  # one run of each, as in the benchmark
        seeds = {dataset: [777] for dataset in PARTS}
    trials = {}
    for dataset, parts in PARTS.items():
        for seed in seeds[dataset]:
            every = dict.fromkeys(range(epochs), 0.5)
            trial = api_utils.ResultsCount(
                dataset, None, every, every, 0.1, 1.0, {"arch_str": arch}, seed, epochs, [0.01]
            )
            trial.eval_names = list(parts)
            trial.reset_pseudo_train_times(3.0 + index + len(dataset) / 100)
            for part in parts:
                for epoch in (0, epochs - 1):
                    value = final_accuracy(index, dataset, part, seed, epochs) if epoch else 1.0
                    trial.eval_acc1es[f"{part}@{epoch}"] = np.float64(value)
                    trial.eval_losses[f"{part}@{epoch}"] = 0.5
                trial.reset_pseudo_eval_times(part, 0.5 + index + len(part) / 100)
            trials[(dataset, seed)] = trial.state_dict()
    return {
        "arch_index": index,
        "arch_str": arch,
        "all_results": trials,
        "dataset_seed": seeds,
        "clear_net_done": True,
    }


def dump(data: Any, path: Path) -> None:
    path.write_bytes(bz2.compress(pickle.dumps(data, protocol=4)))


@pytest.fixture
def nats_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "NATS-tss-v1_0-3ffb9-simple"
    folder.mkdir()
    space = NASBench201()
    meta = {
        "meta_archs": [space.format(space.arch(i)) for i in range(CELLS)],
        "evaluated_indexes": set(range(CELLS)),
    }
    dump(meta, folder / "meta.pickle.pbz2")
    for index in range(CELLS):
        dump({"12": results(index, 12), "200": results(index, 200)}, folder / f"{index:06d}.pickle.pbz2")
    return folder


@pytest.fixture
def nats_file(nats_folder: Path, tmp_path: Path) -> Path:
    def read(name: str) -> Any:
        return pickle.loads(bz2.decompress((nats_folder / f"{name}.pickle.pbz2").read_bytes()))

    path = tmp_path / "NATS-tss-v1_0-3ffb9.pickle.pbz2"
    dump(read("meta") | {"arch2infos": {index: read(f"{index:06d}") for index in range(CELLS)}}, path)
    return path


def expect_nats(table: pd.DataFrame) -> None:
    assert tuple(table.columns) == COLUMNS
    assert len(table) == CELLS
    for index, row in enumerate(table.to_dict("records")):

        def at(dataset: str, part: str, seeds: list[int], index: int = index) -> Any:
            return pytest.approx(
                np.mean([final_accuracy(index, dataset, part, s, 200) for s in seeds]), abs=1e-9
            )

        assert row["index"] == index
        assert row["arch"] == NASBench201().format(NASBench201().arch(index))
        assert row["cifar10_val"] == at("cifar10-valid", "x-valid", [777, 888])
        assert row["cifar10_test"] == at("cifar10", "ori-test", SEEDS[index])
        assert row["cifar100_val"] == at("cifar100", "x-valid", [777, 888])
        assert row["cifar100_test"] == at("cifar100", "x-test", [777, 888])
        assert row["imagenet16_120_val"] == at("ImageNet16-120", "x-valid", [777, 888])
        assert row["imagenet16_120_test"] == at("ImageNet16-120", "x-test", [777, 888])
        runs = [row[run] for run in RUNS]
        assert runs[: len(SEEDS[index])] == [at("cifar10", "ori-test", [seed]) for seed in SEEDS[index]]
        assert np.isnan(runs[len(SEEDS[index]) :]).all()


def test_nats_folder(nats_folder: Path) -> None:
    expect_nats(from_nats(nats_folder))
    expect_nats(from_nats(nats_folder.parent))


def test_nats_file(nats_file: Path) -> None:
    expect_nats(from_nats(nats_file))
    assert api_utils.pickle is pickle


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_nats_trainings_of_12_epochs(nats_folder: Path, nats_file: Path, kind: str) -> None:
    """What is told of a cell is what the benchmark's own simulated training tells."""
    table, short = both_from_nats(nats_folder if kind == "folder" else nats_file)
    expect_nats(table)
    assert short is not None
    assert tuple(short.columns) == FULL_COLUMNS
    assert not [name for name in short.columns if "test" in name]
    api = nats_bench.create(str(nats_folder), "tss", fast_mode=True, verbose=False)
    for index, row in enumerate(short.to_dict("records")):
        assert row["arch"] == api.arch(index)
        for dataset in ("cifar10", "cifar100", "ImageNet16-120"):
            name = dataset.lower().replace("-", "_")
            accuracy, _, seconds, _ = api.simulate_train_eval(index, dataset, hp="12")
            assert row[f"{name}_val_12"] == pytest.approx(accuracy, abs=1e-9)
            parts = row[f"{name}_train_seconds_12"] + row[f"{name}_val_seconds"]
            assert parts == pytest.approx(seconds, rel=1e-12)


def test_nats_files_without_12_epochs_give_the_table_of_200(nats_folder: Path) -> None:
    path = nats_folder / "000004.pickle.pbz2"
    dump({"200": results(4, 200)}, path)
    table, short = both_from_nats(nats_folder)
    expect_nats(table)
    assert short is None
    without = results(4, 12)
    for trial in without["all_results"].values():
        trial["train_times"] = None
    dump({"12": without, "200": results(4, 200)}, path)
    assert both_from_nats(nats_folder)[1] is None


def test_a_part_of_the_benchmark_is_converted_but_refused_as_a_table(nats_folder: Path) -> None:
    with pytest.raises(TruthError, match="truncated: it has 6 of 15625"):
        check(from_nats(nats_folder))


class Trap:
    """Its pickle touches a file when it is loaded without care."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("name", ["meta", "000003"])
def test_nats_code_is_named_and_not_run(nats_folder: Path, tmp_path: Path, name: str) -> None:
    sprung = tmp_path / "sprung"
    path = nats_folder / f"{name}.pickle.pbz2"
    data = pickle.loads(bz2.decompress(path.read_bytes()))
    dump(data | {"extra": Trap(sprung)}, path)
    with pytest.raises(PickleRefused, match=r"asks for '.*\.(getattr|Path\.touch|PosixPath)'"):
        from_nats(nats_folder)
    assert not sprung.exists()
    assert api_utils.pickle is pickle
    pickle.loads(bz2.decompress(path.read_bytes()))
    assert sprung.exists(), "the trap must be able to spring"


def test_nats_files_that_are_wrong(nats_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        from_nats(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"no meta\.pickle\.pbz2"):
        from_nats(tmp_path / "empty")
    (tmp_path / "NATS.tar").touch()
    with pytest.raises(UsageError, match="unpack it"):
        from_nats(tmp_path / "NATS.tar")
    path = nats_folder / "000002.pickle.pbz2"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UsageError, match="damaged"):
        from_nats(nats_folder)
    path.write_bytes(b"no bz2 at all")
    with pytest.raises(UsageError, match="damaged"):
        from_nats(nats_folder)
    dump({"12": results(2, 12)}, path)
    with pytest.raises(UsageError, match="instead of 200"):
        from_nats(nats_folder)
    empty = results(2, 200)
    for trial in empty["all_results"].values():
        trial["eval_acc1es"] = {}
    dump({"200": {**empty, "dataset_seed": {name: [] for name in PARTS}}}, path)
    with pytest.raises(UsageError, match="no readable NATS-tss"):
        from_nats(nats_folder)
    path.unlink()
    with pytest.raises(UsageError, match="no readable NATS-tss"):
        from_nats(nats_folder)


@pytest.fixture
def public(publish: Publish, tmp_path: Path) -> dict[str, Path]:
    """The four public files of a synthetic table, whose pins are in place of the real ones."""
    sources = publish(tmp_path / "public", "https://example.org")
    return {key: tmp_path / "public" / source.name for key, source in sources.items()}


def test_csvs(public: dict[str, Path], lawful: pd.DataFrame) -> None:
    table = from_csvs(**public)
    check(table)
    pd.testing.assert_frame_equal(table, lawful, rtol=1e-12)


def edit(path: Path, change: Any) -> None:
    change(pd.read_csv(path)).to_csv(path, index=False)


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "imagenet16_120"])
def test_csvs_that_are_wrong(public: dict[str, Path], name: str) -> None:
    whole = public[name].read_bytes()

    def refused(match: str) -> None:
        with pytest.raises(TruthError, match=match) as caught:
            from_csvs(**public)
        assert "https://example.org/nasbench201_" in str(caught.value)
        public[name].write_bytes(whole)

    edit(public[name], lambda t: t.iloc[:9000])
    refused("truncated: it has 9000 of 15625")
    edit(public[name], lambda t: t.sample(frac=1, random_state=0))
    refused("shuffled")
    edit(public[name], lambda t: t.drop(columns="validation accuracy"))
    refused("not the CSV it should be")
    edit(
        public[name], lambda t: t.assign(**{"validation accuracy": t["validation accuracy"].to_numpy()[::-1]})
    )
    refused("other numbers than those pinned")
    edit(public[name], lambda t: t.assign(**{"validation accuracy": t["validation accuracy"] + 2e-6}))
    refused("other numbers than those pinned")
    public[name].write_bytes(b"")
    refused("not the CSV it should be")
    public[name].write_bytes(b"\xff\xfe\x00" * 50)
    refused("not the CSV it should be")


def test_training_accuracy_and_half_trained_test_accuracy_are_not_used(public: dict[str, Path]) -> None:
    expected = from_csvs(**public)
    edit(public["cifar10"], lambda t: t.assign(**{"train accuracy": 1.0, "test accuracy": 2.0}))
    pd.testing.assert_frame_equal(from_csvs(**public), expected)


def test_runs_that_are_wrong(public: dict[str, Path], tmp_path: Path) -> None:
    path = public["cifar10_runs"]
    runs = pickle.loads(path.read_bytes())
    first = next(iter(runs))
    for wrong, match in (
        ([1, 2], "not the table of runs"),
        ({k: v for k, v in runs.items() if k != first}, "not the table of runs"),
        (runs | {(9, 9, 9, 9, 9, 9): [1.0]}, "not the table of runs"),
        (runs | {first: [12.0]}, "other numbers than those pinned"),
        (dict(zip(runs, reversed(list(runs.values())), strict=True)), "other numbers than those pinned"),
    ):
        path.write_bytes(pickle.dumps(wrong, protocol=3))
        with pytest.raises(TruthError, match=match):
            from_csvs(**public)
    path.write_bytes(pickle.dumps(runs)[:-100])
    with pytest.raises(PickleRefused, match="damaged"):
        from_csvs(**public)
    path.write_bytes(pickle.dumps(runs | {first: Trap(tmp_path / "sprung")}))
    with pytest.raises(PickleRefused, match="asks for"):
        from_csvs(**public)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", ["NAS-Bench-201-v1_1-096897.pth", "renamed.bin"])
def test_the_first_apis_file_is_known_by_its_name_and_by_its_content(
    tmp_path: Path, name: str, zipped: bool
) -> None:
    path = tmp_path / name
    torch.save({"meta_archs": []}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(UsageError, match=r"NAS-Bench-201's first API.*take NATS-tss-v1_0-3ffb9-simple\.tar"):
        from_nats(path)


def test_the_size_space_is_known_by_its_name(tmp_path: Path) -> None:
    for name in ("NATS-sss-v1_0-50262-simple", r"NATS-sss-v1_0-50262-simple\.tar"):
        (tmp_path / name).mkdir()
        with pytest.raises(UsageError, match=r"size space.*take NATS-tss-v1_0-3ffb9-simple\.tar"):
            from_nats(tmp_path / name)


def test_the_size_space_is_known_by_its_content(nats_folder: Path) -> None:
    meta = nats_folder / "meta.pickle.pbz2"
    content = pickle.loads(bz2.decompress(meta.read_bytes()))
    content["meta_archs"] = [f"8:8:8:8:{8 * (i + 1)}" for i in range(CELLS)]
    meta.write_bytes(bz2.compress(pickle.dumps(content)))
    with pytest.raises(UsageError, match=r"size space.*take NATS-tss-v1_0-3ffb9-simple\.tar"):
        from_nats(nats_folder)
