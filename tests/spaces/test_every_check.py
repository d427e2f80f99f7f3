"""What every search space owes: the checks that the spaces of other packages are held to."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest

from nasbench_eval import registry, testing
from nasbench_eval.spaces.nasbench101 import Cell, NASBench101
from nasbench_eval.testing import _spaces


class Uneven(NASBench101):
    def traits(self, arch: Cell) -> list[int]:
        return super().traits(arch) + [0] * len(str(arch))


class Counted(NASBench101):
    def traits(self, arch: Cell) -> list[int]:
        return [arch.vertices]


class Halves(NASBench101):
    def traits(self, arch: Cell) -> list[Any]:
        return [trait + 0.5 for trait in super().traits(arch)]


@pytest.mark.parametrize(
    ("cls", "said"),
    [
        (Halves, "traits are no whole numbers"),
        (Uneven, "differ in how many traits they have"),
        (Counted, "different architectures have the same traits"),
    ],
)
def test_traits_that_do_not_tell_architectures_apart_are_found(
    cls: type, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_spaces, "check_class", lambda kind, name: cls)
    with pytest.raises(AssertionError, match=said):
        testing.check_space("nasbench101", networks=False)


# Networks of these are large, so that few are looked at, as small as the space has them.
LARGE: dict[str, dict[str, Any]] = {
    "uninas": {"resolution": 32, "widths": (32, 64, 32, 64), "depths": (1, 1, 1, 1), "stem": (8, 16)},
    "accel_nasbench": {},
    "mobilenetv2": {"max_layers": 8},
    "darts": {"channels": 4, "layers": 3},
    "darts_supernet": {},
}


# Of timm's networks many are far too large; tests/spaces/test_timm.py builds some.
@pytest.mark.parametrize("name", [name for name in registry.own("spaces") if name not in ("timm", *LARGE)])
def test_it_passes_the_checks_for_outside_packages(name: str) -> None:
    testing.check_space(name)


@pytest.mark.parametrize("name", LARGE)
def test_a_space_of_large_networks_passes_them(name: str) -> None:
    testing.check_space(name, cells=1 if name == "darts_supernet" else 2, options=LARGE[name])


@pytest.mark.skipif(
    find_spec("timm") is None, reason="timm is not installed: pip install 'nasbench_eval[timm]'"
)
def test_timm_passes_all_but_those_of_networks() -> None:
    testing.check_space("timm", networks=False)
