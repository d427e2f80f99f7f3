"""`nasbench-show --space timm`: an open space, whose networks are plain modules."""

from __future__ import annotations

import json

import pytest
from commands import Asked

from nasbench_eval.show.cli import main
from nasbench_eval.spaces.open import index_of


@pytest.fixture(autouse=True)
def _installed() -> None:
    from importlib.util import find_spec

    if find_spec("timm") is None:
        pytest.skip("timm is not installed")


def test_a_network_that_people_use(asked: Asked) -> None:
    told = asked(main, "nasbench-show", "--space", "timm", "--json", "resnet18.a1_in1k")
    assert told.code == 0, told.err
    found = json.loads(told.out)
    assert found["arch"] == "resnet18"
    assert found["index"] == index_of("timm", "resnet18")
    assert (found["dataset"], found["classes"], found["resolution"]) == ("imagenet1k", 1000, 224)
    assert (found["params"], found["macs"]) == (11_689_512, 1_814_073_344)
    assert sum(stage["params"] for stage in found["stages"]) == 11_689_512


def test_an_unknown_name_is_one_line_with_one_hint(asked: Asked) -> None:
    told = asked(main, "nasbench-show", "--space", "timm", "resnet1")
    assert told.code == 2
    assert told.err.count("did you mean") == 1
    assert len(told.err.splitlines()) == 1
