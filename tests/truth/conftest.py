"""Tables that obey every law of the benchmarks' and hold none of their numbers but the check values."""

from __future__ import annotations

import pickle
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up101 import facts_of, make_table101

from nasbench_eval.spaces.nasbench201 import OPERATIONS, NASBench201, unique_string
from nasbench_eval.truth import build, convert, nasbench101
from nasbench_eval.truth.cli import main
from nasbench_eval.truth.nasbench201 import COLUMNS, RUNS
from nasbench_eval.truth.sources import TABLE_SOURCES, Source, digest


def make_table(seed: int = 0, best_cifar10: float = 94.37) -> pd.DataFrame:
    """Random accuracies: one level a function, chance without a path, runs that average to their mean."""
    rng = np.random.default_rng(seed)
    space = NASBench201()
    cells = [space.arch(index) for index in range(len(space))]
    names = pd.Series([unique_string(cell) for cell in cells])
    counts = np.array(
        [9 * c.operations.count("nor_conv_3x3") + c.operations.count("nor_conv_1x1") for c in cells]
    )
    level = pd.Series(counts + rng.normal(0, 2, len(cells))).groupby(names).transform("mean").to_numpy()
    level = (level - level.min()) / (level.max() - level.min())
    # Whole paths written out, so that this does not lean on the code under test.
    paths = ((3,), (0, 4), (1, 5), (0, 2, 5))
    dead = np.array([all(any(c.operations[e] == "none" for e in path) for path in paths) for c in cells])
    columns: dict[str, object] = {
        "index": np.arange(len(cells), dtype=np.int32),
        "arch": [space.format(cell) for cell in cells],
    }
    ends = {"cifar10": (10.0, best_cifar10), "cifar100": (1.0, 73.51), "imagenet16_120": (0.83, 47.31)}
    for dataset, (chance, best) in ends.items():
        for split in ("val", "test"):
            values = 30 * best / 100 + level * best * 0.65 + rng.uniform(0, 0.01 * best, len(cells))
            values[dead] = chance
            values[np.argmax(values)] = best
            columns[f"{dataset}_{split}"] = values
    spread = np.where(dead, 0, rng.uniform(0, 0.4, len(cells)))
    test = np.asarray(columns["cifar10_test"])
    single = rng.random(len(cells)) < 0.2
    columns["cifar10_test_run0"] = np.where(single, test, test + spread)
    columns["cifar10_test_run1"] = np.where(single, np.nan, test - spread)
    columns["cifar10_test_run2"] = np.where(single, np.nan, test)
    return pd.DataFrame(columns)[list(COLUMNS)]


@pytest.fixture(scope="session")
def lawful() -> pd.DataFrame:
    return make_table()


@pytest.fixture(scope="session")
def other_lawful() -> pd.DataFrame:
    """Another table that obeys the laws."""
    return make_table(seed=1)


@pytest.fixture
def table(lawful: pd.DataFrame) -> pd.DataFrame:
    """A lawful table to spoil."""
    return lawful.copy()


@pytest.fixture
def table101(monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """A small lawful table of NAS-Bench-101's form, whose facts are in place of the real ones."""
    table = make_table101()
    monkeypatch.setattr(nasbench101, "FACTS", facts_of(table))
    return table


def write_public(table: pd.DataFrame, folder: Path, address: str) -> dict[str, Source]:
    """The four public files of a table, in their formats, and sources that pin them."""
    sources = {}
    for dataset in ("cifar10", "cifar100", "imagenet16_120"):
        name = TABLE_SOURCES[dataset].name
        csv = pd.DataFrame({"file id": table["index"], "arch str": table["arch"], "cfg name": "infer.tiny"})
        csv = csv.assign(C=16, N=5, **{"train accuracy": 99.0})
        csv["validation accuracy"] = table[f"{dataset}_val"]
        # The CIFAR-10 file's test accuracy is of networks trained on half the training set: another number.
        csv["test accuracy"] = table[f"{dataset}_test"] - (3 if dataset == "cifar10" else 0)
        csv.to_csv(folder / name, index=False)
        splits = ("val",) if dataset == "cifar10" else ("val", "test")
        content = digest(table[f"{dataset}_{split}"].to_numpy() for split in splits)
        sources[dataset] = Source(f"{address}/{name}", content=content)
    space = NASBench201()
    keys = [tuple(map(OPERATIONS.index, space.arch(index).operations)) for index in range(len(space))]
    runs = [[value for value in row if not np.isnan(value)] for row in table[list(RUNS)].to_numpy().tolist()]
    name = TABLE_SOURCES["cifar10_runs"].name
    (folder / name).write_bytes(pickle.dumps(dict(zip(keys, runs, strict=True)), protocol=3))
    content = digest(table[run].to_numpy() for run in RUNS)
    sources["cifar10_runs"] = Source(f"{address}/{name}", content=content)
    return sources


Run = Callable[..., tuple[int, str, str]]
Publish = Callable[[Path, str], dict[str, Source]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Calls `nasbench-data`; gives its exit code, standard output and standard error."""

    def command(*args: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["nasbench-data", *map(str, args)])
        code = main()
        return (code, *capsys.readouterr())

    return command


@pytest.fixture
def publish(lawful: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> Publish:
    """Writes the lawful table's public files and puts their sources in place of the real ones."""

    def write(folder: Path, address: str) -> dict[str, Source]:
        folder.mkdir(exist_ok=True)
        sources = write_public(lawful, folder, address)
        monkeypatch.setattr(convert, "TABLE_SOURCES", sources)
        monkeypatch.setattr(build, "TABLE_SOURCES", sources)
        return sources

    return write


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, str]]:
    """A folder and the loopback address that serves its files."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "served"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()
