"""Names are found in folders and entry points, and nowhere else."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import pytest

from nasbench_eval import proxies, registry
from nasbench_eval.errors import UsageError
from nasbench_eval.proxies.params import Params
from nasbench_eval.registry import UnknownName


@dataclass(frozen=True)
class Mine(Params):
    """A proxy of another package."""

    info: ClassVar = replace(Params.info, name="mine")


@pytest.fixture
def other_package(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A module of another package; `offer` announces what is in it."""
    module = ModuleType("other_package")
    monkeypatch.setitem(sys.modules, "other_package", module)
    yield module
    registry._entries.cache_clear()


def offer(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    entries = tuple(EntryPoint(name, value, "nasbench_eval.proxies") for name, value in values.items())
    monkeypatch.setattr(
        registry, "entry_points", lambda *, group: entries if group.endswith("proxies") else ()
    )
    registry._entries.cache_clear()


def test_the_modules_of_the_folder_are_the_names() -> None:
    folder = Path(registry.__file__).parent / "proxies"
    assert set(registry.own("proxies")) == {f.stem for f in folder.glob("[!_]*.py")} - {"base"}
    assert registry.find("proxies", "params") is Params


def test_a_module_with_a_leading_underscore_is_no_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_shared", "fresh"):
        (tmp_path / f"{name}.py").touch()
    before = registry.own("proxies")
    monkeypatch.setattr(proxies, "__path__", [*proxies.__path__, str(tmp_path)])
    registry.own.cache_clear()
    try:
        assert {*registry.own("proxies")} == {*before, "fresh"}
        with pytest.raises(UnknownName):
            registry.find("proxies", "_shared")
    finally:
        registry.own.cache_clear()


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("proxies", "intrian", "unknown proxy 'intrian'; did you mean intrain"),
        ("proxies", "base", "unknown proxy 'base'"),
        ("spaces", "nasbench21", "unknown search space 'nasbench21'; did you mean nasbench201"),
        ("spaces", "xyz", "there are: "),
    ],
)
def test_an_unknown_name_gets_the_nearest(kind: str, name: str, said: str) -> None:
    with pytest.raises(UnknownName, match=said.replace("?", r"\?")):
        registry.find(kind, name)


def test_an_entry_point_adds_a_name(monkeypatch: pytest.MonkeyPatch, other_package: ModuleType) -> None:
    other_package.Mine = Mine  # type: ignore[attr-defined]
    offer(monkeypatch, mine="other_package:Mine")
    assert registry.plugins("proxies") == ("mine",)
    assert "mine" in registry.names("proxies")
    assert "mine" not in registry.own("proxies")
    assert registry.find("proxies", "mine") is Mine


@pytest.mark.parametrize(
    ("offered", "said"),
    [
        ({"mine": "other_package:Absent"}, "cannot be loaded: AttributeError"),
        ({"mine": "no_such_package:Mine"}, "cannot be loaded: ModuleNotFoundError"),
        ({"mine": "other_package:plain"}, "is no dataclass"),
        ({"mine": "leaving_package:Mine"}, "cannot be loaded: SystemExit: 3"),
        ({"mine": "other_package:Params"}, "calls itself 'params'; write params = \"other_package:Params\""),
        ({"mine": "other_module"}, 'is a module; name the class in it: mine = "other_module:Mine"'),
    ],
)
def test_a_broken_entry_point_says_so_when_asked_for(
    monkeypatch: pytest.MonkeyPatch,
    other_package: ModuleType,
    tmp_path: Path,
    offered: dict[str, str],
    said: str,
) -> None:
    other_package.plain = dict  # type: ignore[attr-defined]
    other_package.Params = Params  # type: ignore[attr-defined]
    module = ModuleType("other_module")
    vars(module).update(Mine=type("Mine", (Mine,), {"__module__": "other_module"}), Params=Params)
    monkeypatch.setitem(sys.modules, "other_module", module)
    (tmp_path / "leaving_package.py").write_text("import sys\nsys.exit(3)\n")
    monkeypatch.syspath_prepend(tmp_path)
    offer(monkeypatch, **offered)
    assert registry.find("proxies", "params") is Params
    with pytest.raises(UsageError, match=said):
        registry.find("proxies", "mine")


def test_a_name_with_two_meanings_is_refused(
    monkeypatch: pytest.MonkeyPatch, other_package: ModuleType
) -> None:
    offer(monkeypatch, params="other_package:Mine")
    with pytest.raises(UsageError, match=r"two meanings.*other_package:Mine"):
        registry.find("proxies", "params")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a.b", "names a proxy 'a.b'; letters, digits and _ make a name"),
        ("a/b", "names a proxy 'a/b'"),
        ("a b", "names a proxy 'a b'"),
        ("1st", "names a proxy '1st'"),
        ("", "names a proxy ''"),
        ("table1", "takes the name 'table1', which is a choice of proxy= already"),
        ("intrain_cell", "takes the name 'intrain_cell'"),
    ],
)
def test_a_name_that_cannot_be_one_is_refused(
    monkeypatch: pytest.MonkeyPatch, other_package: ModuleType, name: str, said: str
) -> None:
    offer(monkeypatch, **{name: "other_package:Mine"})
    with pytest.raises(UsageError, match=re.escape(said)):
        registry.find("proxies", name)


def test_an_entry_point_of_a_space_bears_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("other", "nasbench_eval.spaces.nasbench201:NASBench201", "nasbench_eval.spaces")
    monkeypatch.setattr(registry, "_entries", lambda kind: (entry,))
    with pytest.raises(UsageError, match="calls itself 'nasbench201'"):
        registry.find("spaces", "other")


def test_the_nearest_names_are_found_whatever_their_capitals() -> None:
    with pytest.raises(UnknownName, match=r"unknown proxy 'SNIP'; did you mean snip\?$"):
        registry.find("proxies", "SNIP")
    assert registry.nearest("INTRIAN", ["intrain", "zen"]) == ["intrain"]
