"""What a record says of the machine and the code."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pytest
import torch

from nasbench_eval.run import provenance
from nasbench_eval.proxies.intrain import InTrain
from nasbench_eval.proxies.params import Params
from nasbench_eval.proxies.vkdnw import Vkdnw
from nasbench_eval.proxies.vkdnw_single import VkdnwSingle
from nasbench_eval.spaces.nasbench201 import NASBench201

SPACE = NASBench201()


def test_the_device_and_the_processor_have_names() -> None:
    found = provenance.hardware(torch.device("cpu"))
    assert found["device"] == "cpu"
    assert found["device_name"]
    assert found["processor"]


def test_code_has_a_digest_by_proxy_and_one_for_all() -> None:
    found = provenance.sources(SPACE, [InTrain(), Params(), InTrain(layers="cell")])
    assert found.keys() == {"shared", "intrain", "params"}
    assert len(set(found.values())) == 3
    assert found == provenance.sources(NASBench201(4), [Params(), InTrain()])


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package's code, which `sources` takes for the package."""
    package = Path(provenance.__file__).parent
    shutil.copytree(package, tmp_path / "package", ignore=shutil.ignore_patterns("__pycache__", "configs"))
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "package" / "provenance.py"))
    return tmp_path / "package"


@pytest.mark.parametrize(
    ("file", "moves"),
    [
        ("passes/engine.py", True),
        ("spaces/nasbench101.py", True),
        ("proxies/_features.py", True),
        ("seeding.py", True),
        ("worker.py", True),
        ("proxies/snip.py", False),
        ("report/draw.py", False),
        ("scoring.py", False),
    ],
)
def test_what_decides_all_scores_moves_the_digest_for_all(copied: Path, file: str, moves: bool) -> None:
    before = provenance.sources(SPACE, [])
    with (copied / file).open("a") as text:
        text.write("\n")
    assert (provenance.sources(SPACE, []) != before) == moves


def test_a_proxy_counts_with_what_it_is_derived_from(monkeypatch: pytest.MonkeyPatch) -> None:
    before = provenance.sources(SPACE, [Vkdnw(), VkdnwSingle(), Params()])
    original = provenance.inspect.getsource
    changed = sys.modules[Vkdnw.__module__]
    monkeypatch.setattr(
        provenance.inspect, "getsource", lambda module: original(module) + "#" * (module is changed)
    )
    after = provenance.sources(SPACE, [Vkdnw(), VkdnwSingle(), Params()])
    assert {name for name in before if before[name] != after[name]} == {"vkdnw", "vkdnw_single"}


def test_a_class_without_source_code_has_no_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sourceless.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    module = import_module("sourceless")
    (tmp_path / "sourceless.py").unlink()

    @dataclass(frozen=True)
    class Own(Params):
        pass

    Own.__module__ = module.__name__
    assert provenance.sources(SPACE, [Own()]).keys() == {"shared"}


def test_a_file_has_the_digest_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert provenance.file_digest(tmp_path / "file").startswith("ba7816bf8f01cfea")
