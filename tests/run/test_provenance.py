"""What a record says of the machine and the code."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pytest
import torch

import nasbench_eval
from nasbench_eval.proxies.base import Proxy
from nasbench_eval.proxies.intrain import InTrain
from nasbench_eval.proxies.params import Params
from nasbench_eval.proxies.vkdnw import Vkdnw
from nasbench_eval.proxies.vkdnw_single import VkdnwSingle
from nasbench_eval.run import provenance
from nasbench_eval.spaces.nasbench201 import NASBench201


def sources(*proxies: Proxy) -> dict[str, str]:
    """The digests of the code of proxies on NAS-Bench-201."""
    return provenance.sources(NASBench201, {proxy.info.name: type(proxy) for proxy in proxies})


def test_the_device_and_the_processor_have_names() -> None:
    found = provenance.hardware(torch.device("cpu"))
    assert found["device"] == "cpu"
    assert found["device_name"]
    assert found["processor"]


def test_code_has_a_digest_by_proxy_and_one_for_all() -> None:
    found = sources(InTrain(), Params(), InTrain(layers="cell"))
    assert found.keys() == {"shared", "intrain", "params"}
    assert len(set(found.values())) == 3
    assert found == sources(Params(), InTrain())


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package's code, which `sources` takes for the package."""
    package = Path(nasbench_eval.__file__).parent
    shutil.copytree(package, tmp_path / "package", ignore=shutil.ignore_patterns("__pycache__", "configs"))
    monkeypatch.setattr(provenance, "_PACKAGE", tmp_path / "package")
    return tmp_path / "package"


@pytest.mark.parametrize(
    ("file", "moves"),
    [
        ("passes/engine.py", True),
        ("spaces/nasbench101.py", True),
        ("proxies/_features.py", True),
        ("seeding.py", True),
        ("run/rows.py", True),
        ("scoring/job.py", True),
        ("scoring/process.py", True),
        ("scoring/worker.py", True),
        ("work/compute.py", True),
        ("proxies/snip.py", False),
        ("report/draw.py", False),
        ("scoring/command.py", False),
        ("work/pool.py", False),
    ],
)
def test_what_decides_all_scores_moves_the_digest_for_all(copied: Path, file: str, moves: bool) -> None:
    before = sources()
    with (copied / file).open("a") as text:
        text.write("\n")
    assert (sources() != before) == moves


def test_a_proxy_counts_with_what_it_is_derived_from(monkeypatch: pytest.MonkeyPatch) -> None:
    before = sources(Vkdnw(), VkdnwSingle(), Params())
    original = provenance.inspect.getsource
    changed = sys.modules[Vkdnw.__module__]
    monkeypatch.setattr(
        provenance.inspect, "getsource", lambda module: original(module) + "#" * (module is changed)
    )
    after = sources(Vkdnw(), VkdnwSingle(), Params())
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
    assert sources(Own()).keys() == {"shared"}


def test_a_file_has_the_digest_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert provenance.file_digest(tmp_path / "file").startswith("ba7816bf8f01cfea")
