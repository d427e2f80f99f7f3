"""Which code a record knows by its digest, and which changes of it count."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PathDistribution
from pathlib import Path
from typing import Any

import pytest

import nasbench_eval
from nasbench_eval import registry
from nasbench_eval.proxies.base import Proxy
from nasbench_eval.proxies.intrain import InTrain
from nasbench_eval.proxies.params import Params
from nasbench_eval.proxies.vkdnw import Vkdnw
from nasbench_eval.proxies.vkdnw_single import VkdnwSingle
from nasbench_eval.runs import sources
from nasbench_eval.spaces.nasbench201 import NASBench201


def digests(*proxies: Proxy, space: type = NASBench201) -> dict[str, str]:
    return sources.sources(space, {proxy.info.name: type(proxy) for proxy in proxies})


def test_code_has_a_digest_by_proxy_and_one_for_all() -> None:
    found = digests(InTrain(), Params(), InTrain(layers="cell"))
    assert found.keys() == {"shared", "intrain", "params"}
    assert len(set(found.values())) == 3
    assert found == digests(Params(), InTrain())


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package's code, which `sources` takes for the package."""
    package = Path(nasbench_eval.__file__).parent
    shutil.copytree(package, tmp_path / "package", ignore=shutil.ignore_patterns("__pycache__", "configs"))
    monkeypatch.setattr(sources, "_PACKAGE", tmp_path / "package")
    return tmp_path / "package"


@pytest.mark.parametrize(
    ("file", "moves"),
    [
        ("passes/engine.py", True),
        ("spaces/nasbench101.py", True),
        ("proxies/_features.py", True),
        ("seeding.py", True),
        ("runs/rows.py", True),
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
    before = digests()
    with (copied / file).open("a") as text:
        text.write("\nADDED = 1\n")
    assert (digests() != before) == moves


def test_comments_docstrings_and_layout_do_not_count(copied: Path) -> None:
    before = digests()
    file = copied / "seeding.py"
    text = file.read_text()
    assert '"""A 63-bit seed' in text
    file.write_text(text.replace('"""A 63-bit seed', '"""Another 63-bit seed') + "\n\n# a comment\n")
    assert digests() == before
    file.write_text(text.replace(">> 1", ">> 2"))
    assert digests() != before


def test_a_proxy_counts_with_what_it_is_derived_from(monkeypatch: pytest.MonkeyPatch) -> None:
    before = digests(Vkdnw(), VkdnwSingle(), Params())
    changed, original = Path(str(sys.modules[Vkdnw.__module__].__file__)), sources._content
    monkeypatch.setattr(sources, "_content", lambda file: original(file) + "#" * (file == changed))
    after = digests(Vkdnw(), VkdnwSingle(), Params())
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
    assert digests(Own()).keys() == {"shared"}


CODE = """
from dataclasses import dataclass
from nasbench_eval.proxies.params import Params
from nasbench_eval.spaces.nasbench201 import NASBench201

@dataclass(frozen=True)
class Theirs(Params):
    pass

@dataclass(frozen=True)
class Space(NASBench201):
    pass
"""


@pytest.fixture
def other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], tuple[Any, Any]]]:
    """Another package of two top-level modules and a data file, as pip installs it; gives its classes."""
    for name, text in {
        "their_package/__init__.py": "",
        "their_package/proxy.py": CODE,
        "their_package/weights.txt": "1 2 3",
        "their_helper.py": "SIGN = 1",
        "their_package-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: their-package\nVersion: 1\n",
        "their_package-1.dist-info/entry_points.txt": (
            "[nasbench_eval.proxies]\ntheirs = their_package.proxy:Theirs\n"
        ),
        "their_package-1.dist-info/RECORD": "their_package/proxy.py,,\ntheir_helper.py,,\n",
    }.items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    dist = PathDistribution(tmp_path / "their_package-1.dist-info")
    monkeypatch.syspath_prepend(str(tmp_path))
    entries = tuple(entry._for(dist) for entry in dist.entry_points)  # type: ignore[attr-defined]
    monkeypatch.setattr(registry, "_entries", lambda kind: entries if kind == "proxies" else ())

    def classes() -> tuple[Any, Any]:
        module = import_module("their_package.proxy")
        return module.Theirs, module.Space

    yield classes
    for name in ("their_package", "their_package.proxy"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("file", ["their_package/proxy.py", "their_package/weights.txt", "their_helper.py"])
def test_of_another_package_every_file_counts(
    other: Callable[[], tuple[Any, Any]], tmp_path: Path, file: str
) -> None:
    proxy, space = other()
    before = sources.sources(space, {"theirs": proxy})
    assert before.keys() == {"shared", "theirs"}
    (tmp_path / file).write_text((tmp_path / file).read_text().replace("1", "2") + "\nADDED = 1")
    after = sources.sources(space, {"theirs": proxy})
    assert {name for name in before if before[name] != after[name]} == {"shared", "theirs"}


def test_of_an_editable_install_the_python_files_of_the_checkout_count(
    other: Callable[[], tuple[Any, Any]], tmp_path: Path
) -> None:
    proxy, _ = other()
    checkout = tmp_path / "a check out"
    for name in ("lib/helper.py", "env/lib.py", ".git/hook.py"):
        (checkout / name).parent.mkdir(parents=True)
        (checkout / name).write_text("SIGN = 1")
    (checkout / "env/pyvenv.cfg").touch()
    (tmp_path / "their_package-1.dist-info/direct_url.json").write_text(
        f'{{"dir_info": {{"editable": true}}, "url": "{checkout.as_uri()}"}}'
    )
    before = sources.sources(NASBench201, {"theirs": proxy})
    for name in ("env/lib.py", ".git/hook.py"):
        (checkout / name).write_text("SIGN = -1")
    assert sources.sources(NASBench201, {"theirs": proxy}) == before
    (checkout / "lib/helper.py").write_text("SIGN = -1")
    assert sources.sources(NASBench201, {"theirs": proxy}) != before
