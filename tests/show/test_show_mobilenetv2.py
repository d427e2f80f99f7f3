"""`nasbench-show --space mobilenetv2`: sizes as others count them, beside the package's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import Asked

from nasbench_eval.show.cli import main
from nasbench_eval.spaces.mobilenetv2 import START
from nasbench_eval.spaces.open import index_of


@pytest.fixture(autouse=True)
def _without_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_json_of_a_structure(asked: Asked) -> None:
    told = asked(main, "nasbench-show", "--space", "mobilenetv2", "--json", START)
    assert told.code == 0, told.err
    found = json.loads(told.out)
    assert (found["arch"], found["index"]) == (START, index_of("mobilenetv2", START))
    assert (found["dataset"], found["classes"], found["resolution"]) == ("imagenet1k", 1000, 224)
    assert (found["params"], found["macs"]) == (2_824_264, 159_334_080)
    assert found["counts"] == {
        "layers, the depth that max_layers limits": 6,
        "in-repo FLOPs without SE (budget)": 162_396_776,
        "ptflops without SE": 168_644_296,
        "ptflops with SE": 170_764_156,
    }
    assert sum(stage["macs"] for stage in found["stages"]) == found["macs"]


def test_the_text_of_a_structure(asked: Asked) -> None:
    told = asked(main, "nasbench-show", "--space", "mobilenetv2", "--resolution", "32", START)
    assert told.code == 0, told.err
    lines = told.out.splitlines()
    (first,) = [at for at, line in enumerate(lines) if line.startswith("also counted")]
    assert lines[first] == "also counted   6 layers, the depth that max_layers limits"
    assert lines[first + 1].endswith(" in-repo FLOPs without SE (budget)")
    assert "images of 32 x 32 pixels and 1,000 classes" in told.out


def test_a_space_without_counts_has_none(asked: Asked) -> None:
    told = asked(main, "nasbench-show", "--json", "5")
    assert json.loads(told.out)["counts"] == {}


def test_an_unknown_block_is_one_line_with_one_hint(asked: Asked) -> None:
    told = asked(main, "nasbench-show", "--space", "mobilenetv2", START.replace("E6K3", "E5K3", 1))
    assert told.code == 2
    assert told.err.count("did you mean") == 1
    assert len(told.err.splitlines()) == 1
