"""The demonstration of a search: rivals, verdict, and what it asks of the commands."""

from __future__ import annotations

import argparse
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "demo_search.py"
SPEC: Any = spec_from_file_location("demo_search", SCRIPT)
demo: Any = module_from_spec(SPEC)
sys.modules["demo_search"] = demo  # its dataclass looks itself up
SPEC.loader.exec_module(demo)
SIZES = {"channels": 4, "layers": 3, "max_flops": 200_000_000, "max_layers": 9}


@pytest.mark.parametrize("name", ["darts", "mobilenetv2"])
def test_rivals_are_other_networks_of_about_the_same_flops(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "_DRAWS", 200)
    among = demo.thin(argparse.Namespace(space=name, **SIZES))
    rng = np.random.default_rng(1)
    found = [among.space.format(among.space.sample(rng)) for _ in range(3)]
    rivals = demo.rivals_of(among, found)
    assert len(set(rivals) | set(found)) == 6
    for one, other in zip(found, rivals, strict=True):
        assert among.flops(other) == pytest.approx(among.flops(one), rel=0.1)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([91.0, 93.0, 92.0], "+11.00 points [8.52, 13.48] over 3 pairs"),
        ([79.0, 83.0, 81.0], "too few"),
        ([71.0, 73.0, 73.0], "did harm"),
    ],
)
def test_the_verdict_is_that_of_pairs(found: list[float], said: str) -> None:
    assert said in demo.verdict(found, [80.0, 81.0, 82.0])


def test_one_pair_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["demo_search.py", "--networks", "1"])
    assert demo.main() == 2
    assert "--networks is at least 2" in capsys.readouterr().err


def test_pairs_are_trained_alike_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, str]] = []

    def command(name: str, *words: str) -> None:
        asked.append({"command": name} | dict(word.split("=", 1) for word in words))

    among = demo.thin(argparse.Namespace(space="darts", **SIZES))
    answers = pd.DataFrame({"arch": [among.space.format(among.space.sample(np.random.default_rng(2)))] * 2})
    (tmp_path / "demo").mkdir()
    monkeypatch.setattr(demo, "_command", command)
    monkeypatch.setattr(demo, "load_search", lambda folder: answers)
    monkeypatch.setattr(
        demo.outcome,
        "read",
        lambda folder: {"result": {"last": {"test": 50 + len(folder.name) ** int(folder.name[-1])}}},
    )
    words = [
        "--results",
        str(tmp_path),
        "--run",
        "demo",
        "--networks",
        "2",
        "--layers",
        "3",
        "--at-once",
        "1",
    ]
    monkeypatch.setattr(sys, "argv", ["demo_search.py", *words])
    assert demo.main() == 0
    trainings = [words for words in asked if words["command"] == "retrain"]
    assert [words["seed"] for words in trainings] == ["0", "1", "0", "1"]
    same = [{k: v for k, v in words.items() if k not in ("arch", "seed", "run")} for words in trainings]
    assert same == same[:1] * 4
    pairs = pd.read_csv(tmp_path / "demo" / "pairs.csv")
    assert pairs.test.tolist() == [51, 57, 51, 58]
    assert "over 2 pairs" in (tmp_path / "demo" / "verdict.txt").read_text()
