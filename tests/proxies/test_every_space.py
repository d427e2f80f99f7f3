"""No proxy knows which space it is on: all of them score NAS-Bench-101 as they are."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch

import nasbench_eval
from nasbench_eval import registry
from nasbench_eval.data.batches import Batches
from nasbench_eval.data.datasets import DataSet
from nasbench_eval.runs.rows import Row
from nasbench_eval.scoring.job import Job
from nasbench_eval.scoring.worker import score_architecture
from nasbench_eval.spaces.nasbench101 import NASBench101

NAMES = registry.own("proxies")
SPACE = NASBench101(channels=8, cells_per_stack=1)
CELL = "|conv3x3~0|maxpool3x3~0~1|conv1x1~1|conv3x3~2~3|output~0~3~4|"
SPECIAL = ("|output~0|", "|maxpool3x3~0|output~1|", "|maxpool3x3~0|maxpool3x3~0|output~0~1~2|")


class Bench:
    """Scores small networks on images of noise with 16 pixels."""

    def __init__(self, script: ModuleType, dataset: DataSet, folder: Path) -> None:
        self.small, self.folder = script.small, folder
        self.datasets = {"cifar10": replace(dataset, resolution=16)}

    def score(self, cell: str, names: Iterable[str]) -> dict[str, Row]:
        proxies = {name: self.small(registry.find("proxies", name)()) for name in names}
        job = Job(SPACE, self.datasets, proxies, seed=5)
        device = torch.device("cpu")
        batches = Batches(job.seed, self.datasets, self.folder, device)
        index = SPACE.index(SPACE.parse(cell))
        return {row["label"]: row for row in score_architecture(job, index, job.tasks(), batches, device)}


@pytest.fixture(scope="module")
def bench(golden_script: ModuleType, datasets: dict[str, DataSet], noise_images: Path) -> Bench:
    return Bench(golden_script, datasets["cifar10"], noise_images)


@pytest.fixture(scope="module")
def rows(bench: Bench) -> dict[str, Row]:
    return bench.score(CELL, NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_cell_of_nasbench101_has_a_finite_score(name: str, bench: Bench, rows: dict[str, Row]) -> None:
    assert rows[name]["status"] == "ok", rows[name]["error"]
    assert bench.score(CELL, [name])[name]["score"].hex() == rows[name]["score"].hex()


@pytest.mark.parametrize("cell", SPECIAL)
def test_a_cell_without_convolutions_is_a_row_without_an_error(cell: str, bench: Bench) -> None:
    rows = bench.score(cell, NAMES)
    assert len(rows) == len(NAMES)
    for row in rows.values():
        assert row["status"] in ("ok", "nan", "inf"), row["error"]


@pytest.mark.parametrize("package", ["proxies", "passes"])
def test_nothing_there_imports_a_space(package: str) -> None:
    folder = Path(nasbench_eval.__file__).parent / package
    imported = set()
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                imported |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
            elif isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
    spaces = {name for name in imported if name.startswith("nasbench_eval.spaces.")}
    assert {name.split(".")[2] for name in spaces} <= {"base", "Network", "SearchSpace"}
