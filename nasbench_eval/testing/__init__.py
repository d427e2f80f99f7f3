"""Checks that every proxy and every search space has to pass, for the tests of the package that brings it.

    from nasbench_eval import testing

    def test_my_proxy() -> None:
        testing.check_proxy("my_proxy")
        testing.check_golden(Path(__file__).with_name("my_proxy.json"))

    def test_my_space() -> None:
        testing.check_space("my_space")

Names are those of `proxy=` and `space=`: modules of this package, or entry points of another one. A check
raises AssertionError, which says what is wrong. Everything runs on the CPU, on images of noise; a golden
record can be computed on another device, to be compared with the one on file.
"""

from __future__ import annotations

from nasbench_eval.testing._common import (
    CELLS,
    CELLS101,
    CPU,
    DATASETS,
    RTOL,
    SEED,
    SPACE,
    SPACE101,
    check_closed_form,
    close,
    dataset,
    index_of,
    score,
    small,
    write_images,
)
from nasbench_eval.testing._golden import check_golden, differences, golden_record, write_golden
from nasbench_eval.testing._proxies import check_proxy
from nasbench_eval.testing._spaces import check_space

__all__ = [
    "CELLS",
    "CELLS101",
    "CPU",
    "DATASETS",
    "RTOL",
    "SEED",
    "SPACE",
    "SPACE101",
    "check_closed_form",
    "check_golden",
    "check_proxy",
    "check_space",
    "close",
    "dataset",
    "differences",
    "golden_record",
    "index_of",
    "score",
    "small",
    "write_golden",
    "write_images",
]
