"""What the tests of several folders share: one thread, and images of noise in place of real ones."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

import hypothesis
import pytest
import torch
from commands import Asked

from nasbench_eval import registry
from nasbench_eval.data.datasets import DataSet

# As a scoring process does (`worker.configure_process`): several threads only slow small layers down.
torch.set_num_threads(1)

# The same examples in every run, however busy the machine.
hypothesis.settings.register_profile("tests", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("tests")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Asked:
    """Calls `asked(main, "nasbench-score", *arguments)`."""
    return Asked(monkeypatch, capsys)


@pytest.fixture
def open_spaces(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The search spaces of `open_chains`, offered as another package offers its own."""
    offered = {"open_chains": "open_chains:OpenChains", "numbered": "open_chains:Numbered"}
    entries = tuple(EntryPoint(name, value, "nasbench_eval.spaces") for name, value in offered.items())
    monkeypatch.setattr(
        registry, "entry_points", lambda *, group: entries if group.endswith("spaces") else ()
    )
    registry._entries.cache_clear()
    yield
    registry._entries.cache_clear()


@pytest.fixture(scope="session")
def golden_script() -> ModuleType:
    """scripts/golden.py, which is no part of the package."""
    path = Path(__file__).resolve().parents[1] / "scripts" / "golden.py"
    spec = importlib.util.spec_from_file_location("golden_script", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["golden_script"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def datasets(golden_script: ModuleType) -> dict[str, DataSet]:
    """The three data sets of NAS-Bench-201 as their YAML files describe them."""
    return {name: golden_script.dataset(name) for name in ("cifar10", "cifar100", "imagenet16_120")}


@pytest.fixture(scope="session")
def noise_images(
    golden_script: ModuleType, datasets: dict[str, DataSet], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A data folder with 64 images of uniform noise for each data set."""
    folder = tmp_path_factory.mktemp("noise_images")
    for name in datasets:
        golden_script.write_images(folder, name)
    return folder
