"""What every search space owes: the checks that the spaces of other packages are held to."""

from __future__ import annotations

import pytest

from nasbench_eval import registry, testing


# Of timm's networks many are far too large; tests/spaces/test_timm.py has what it owes.
@pytest.mark.parametrize("name", [name for name in registry.own("spaces") if name != "timm"])
def test_it_passes_the_checks_for_outside_packages(name: str) -> None:
    testing.check_space(name)
