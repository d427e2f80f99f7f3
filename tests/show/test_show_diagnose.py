"""`nasbench-show --diagnose`."""

from __future__ import annotations

import json

import pytest
from commands import Asked

from nasbench_eval.show.cli import main

THIN = ["--option", "channels=4", "--option", "cells_per_stage=1", "--resolution", "16"]


def test_layers_and_gradients_are_listed(asked: Asked) -> None:
    told = asked(main, "nasbench-show", *THIN, "--diagnose", "4000")
    assert told.code == 0, told.err
    assert "The narrowest layer is" in told.out
    assert "cells.4.edges.0_1.1 " in told.out
    assert "classifier.weight" in told.out
    assert max(map(len, told.out.splitlines())) <= 100


def test_the_parts_make_the_score(asked: Asked) -> None:
    told = asked(main, "nasbench-show", *THIN, "--diagnose", "--json", "4000")
    found = json.loads(told.out)["diagnosis"]
    assert sum(row["log_pr"] for row in found["layers"]) == pytest.approx(found["score"]["gamma"])
    assert sum(row["health"] for row in found["tensors"]) == pytest.approx(found["score"]["resilience"])
    assert len(found["layers"]) == found["score"]["layers"]


def test_a_dead_cell_is_told(asked: Asked) -> None:
    text = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    told = asked(main, "nasbench-show", *THIN, "--diagnose", text)
    assert told.code == 0, told.err
    assert "dead" in told.out
