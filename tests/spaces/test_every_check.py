"""What every search space owes: the checks that the spaces of other packages are held to."""

from __future__ import annotations

import pytest

from nasbench_eval import registry, testing


@pytest.mark.parametrize("name", registry.own("spaces"))
def test_it_passes_the_checks_for_outside_packages(name: str) -> None:
    testing.check_space(name)
