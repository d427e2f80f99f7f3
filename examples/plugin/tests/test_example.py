"""The proxy and the spaces of this package pass the checks of nasbench_eval."""

from pathlib import Path

from nasbench_eval import testing


def test_the_proxy() -> None:
    testing.check_proxy("weight_gradient_product")


def test_its_scores_have_not_moved() -> None:
    testing.check_golden(Path(__file__).with_name("weight_gradient_product.json"))


def test_the_space() -> None:
    testing.check_space("chains")


def test_the_space_without_a_length() -> None:
    testing.check_space("free_chains")
