"""Names are found in folders and entry points, and nowhere else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

import pytest

from nasbench_eval import proxies, registry
from nasbench_eval.errors import UsageError
from nasbench_eval.proxies.params import Params
from nasbench_eval.registry import UnknownName


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
    other_package.Mine = Params  # type: ignore[attr-defined]
    offer(monkeypatch, mine="other_package:Mine")
    assert registry.plugins("proxies") == ("mine",)
    assert "mine" in registry.names("proxies")
    assert "mine" not in registry.own("proxies")
    assert registry.find("proxies", "mine") is Params


@pytest.mark.parametrize(
    ("offered", "said"),
    [
        ({"mine": "other_package:Absent"}, "cannot be loaded: AttributeError"),
        ({"mine": "no_such_package:Mine"}, "cannot be loaded: ModuleNotFoundError"),
        ({"mine": "other_package:plain"}, "is no dataclass"),
    ],
)
def test_a_broken_entry_point_says_so_when_asked_for(
    monkeypatch: pytest.MonkeyPatch, other_package: ModuleType, offered: dict[str, str], said: str
) -> None:
    other_package.plain = dict  # type: ignore[attr-defined]
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
