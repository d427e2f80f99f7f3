"""`nasbench-show` and `indices=` in a space whose texts are digits, which indices are told from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import Asked

from nasbench_eval.cli import score
from nasbench_eval.runs.store import read_scores
from nasbench_eval.show.cli import main


@pytest.fixture(autouse=True)
def _without_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("given", "text"), [("02012100", "02012100"), ("11111111", "11111111"), ("5", "00000012")]
)
def test_a_text_comes_before_an_index(given: str, text: str, asked: Asked) -> None:
    told = asked(main, "nasbench-show", "--space", "nasbench_macro", "--json", given)
    assert told.code == 0, told.err
    found = json.loads(told.out)
    assert (found["arch"], found["index"]) == (text, int(text, 3))
    assert (found["dataset"], found["resolution"]) == ("cifar10", 32)
    assert sum(stage["macs"] for stage in found["stages"]) == found["macs"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("02012103", "layer 7 is '3'"),
        ("0201210", "it has 7 characters; there are 8 digits"),
        ("00012", "it has 5 characters"),
        ("6561", "it has 4 characters"),
    ],
)
def test_digits_that_are_neither_are_told_as_a_text(given: str, said: str, asked: Asked) -> None:
    told = asked(main, "nasbench-show", "--space", "nasbench_macro", given)
    assert told.code == 2
    assert said in told.err
    assert "; an index is 0 to 6560" in told.err
    assert len(told.err.splitlines()) == 1


def test_cells_are_named_by_digits_and_by_index(asked: Asked, tmp_path: Path) -> None:
    command = ["space=nasbench_macro", "proxy=params", "dataset=cifar10", "device=cpu", "workers=0", "run=a"]
    answer = asked(score, "nasbench-score", *command, "indices=[02012100,22212220,5,00000001]")
    assert answer.code == 0, answer.err
    rows = read_scores(tmp_path / "results" / "a")
    assert set(rows["arch"]) == {"02012100", "22212220", "00000012", "00000001"}
    assert dict(zip(rows["arch"], rows["score"], strict=True))["22212220"] == 1985514
    for wrong, said in (("00012", "it has 5 characters"), ("6561", "architectures 0 to 6560")):
        answer = asked(score, "nasbench-score", *command, f"indices=[{wrong}]")
        assert answer.code == 2
        assert said in answer.err
