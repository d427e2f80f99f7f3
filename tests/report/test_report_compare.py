"""Scores beside those of a file of NAS-Bench-Suite-Zero: made-up files, correlations counted by hand."""

from __future__ import annotations

import json
import sys
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_up import WriteRun

from nasbench_eval.errors import UsageError
from nasbench_eval.report import cli
from nasbench_eval.report.compare import MEANINGS, READERS, Comparison, compare, draw_markdown, draw_text
from nasbench_eval.report.scores import Scores, read_runs
from nasbench_eval.spaces.nasbench201 import NASBench201

SPACE = NASBench201()
# NASLib's tuples of twelve cells; the run has the first ten, the file the last ten.
TUPLES = [(a, b, 3, 1, 4, 2) for a, b in product(range(3), range(4))]
OURS = np.array([3.0, 1.0, 4.0, 1.5, 5.0, 9.0, 2.0, 6.0, 5.5, 3.5])
THEIRS = [2.0, 1.0, 7.0, 8.0, 2.5, 8.5, 3.0, 1.5, 4.0, 5.0]


def text(operations: tuple[int, ...]) -> str:
    """The cell's text, written out edge by edge: (0,1) (0,2) (0,3) (1,2) (1,3) (2,3) is NASLib's order."""
    names = ("skip_connect", "none", "nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3")
    a, b, d, c, e, f = (names[number] for number in operations)
    return f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"


@pytest.fixture
def scores(write_run: WriteRun) -> Scores:
    archs = [text(each) for each in TUPLES[:10]]
    rows: dict[str, Any] = {"index": [SPACE.index(SPACE.parse(arch)) for arch in archs], "arch": archs}
    failing = np.where(np.arange(10) == 4, np.nan, OURS)
    parts: dict[tuple[str, str], dict[str, Any]] = {
        ("naswot", "imagenet16_120"): {"score": OURS, **rows},
        ("mine", "imagenet16_120"): {"score": -OURS, **rows},
        ("jacov", "imagenet16_120"): {"score": failing, **rows},
        ("near", "imagenet16_120"): {"score": OURS, **rows},
        ("jacov", "cifar10"): {"score": OURS, **rows},
    }
    config = {"seed": 3, "proxies": {"mine": {"name": "naswot"}}}
    return read_runs([write_run(parts, config=config)])


def by_cell(value: Any = lambda score: {"score": score, "time": 0.1}) -> dict[str, Any]:
    cells = {
        str(key): {
            "val_accuracy": 50.0,
            "id": 7,
            "nwot": value(score),
            "jacov": value(10 - score),
            "snip": value(0.0),
        }
        for key, score in zip(TUPLES[2:], THEIRS, strict=True)
    }
    return {"ImageNet16-120": cells}


def by_proxy() -> dict[str, Any]:
    keys = [f"[{a},{b}, {c}, {d}, {e}, {f}]" for a, b, c, d, e, f in TUPLES[2:]]
    told = {"nwot": THEIRS, "jacov": [10 - v for v in THEIRS], "snip": [0.0] * 10}
    return {"ImageNet16-120": {name: dict(zip(keys, v, strict=True)) for name, v in told.items()}}


def written(folder: Path, content: Any) -> Path:
    path = folder / "zc.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def tau(x: np.ndarray, y: np.ndarray) -> float:
    """Kendall's τ without ties, pair by pair."""
    pairs = [np.sign((x[i] - x[j]) * (y[i] - y[j])) for i, j in combinations(range(len(x)), 2)]
    return float(np.mean(pairs))


def rho(x: np.ndarray, y: np.ndarray) -> float:
    """Spearman's ρ without ties."""
    d = np.argsort(np.argsort(x)) - np.argsort(np.argsort(y))
    n = len(x)
    return 1 - 6 * float((d**2).sum()) / (n * (n * n - 1))


# The eight cells that both have: ours from the third on, theirs up to the eighth.
BOTH_OURS, BOTH_THEIRS = OURS[2:], np.array(THEIRS[:8])


@pytest.mark.parametrize("content", [by_cell(), by_cell(lambda score: score), by_proxy()])
def test_correlations_over_the_cells_that_both_have(scores: Scores, tmp_path: Path, content: Any) -> None:
    found = compare(scores, written(tmp_path, content))
    assert list(found.table) == list(MEANINGS)
    rows = {row.pop("label"): row for row in found.table.to_dict("records")}  # type: ignore[attr-defined]
    assert list(rows) == ["jacov", "mine", "naswot"]
    expected, ranked = tau(BOTH_OURS, BOTH_THEIRS), rho(BOTH_OURS, BOTH_THEIRS)
    assert abs(expected) > 0.1
    for label, theirs, sign in (("naswot", "nwot", 1), ("mine", "nwot", -1)):
        row = rows[label]
        assert (row["dataset"], row["theirs"]) == ("imagenet16_120", theirs)
        assert (row["n"], row["n_failed"]) == (8, 0)
        assert row["kendall_tau"] == pytest.approx(sign * expected)
        assert row["spearman_rho"] == pytest.approx(sign * ranked)
    worst = np.where(np.arange(8) == 2, -100, BOTH_OURS)  # a failure of ours ranks below all
    assert (rows["jacov"]["n"], rows["jacov"]["n_failed"]) == (8, 1)
    assert rows["jacov"]["kendall_tau"] == pytest.approx(tau(worst, -BOTH_THEIRS))
    omitted = compare(scores, written(tmp_path, content), "omit").table.set_index("label")
    kept = np.arange(8) != 2
    assert omitted.loc["jacov", "kendall_tau"] == pytest.approx(tau(BOTH_OURS[kept], -BOTH_THEIRS[kept]))


def test_what_has_no_counterpart_is_counted_and_said(scores: Scores, tmp_path: Path) -> None:
    notes = compare(scores, written(tmp_path, by_cell())).notes
    assert notes == [
        "ImageNet16-120: 1 label of the run not in the file: near.",
        "ImageNet16-120: 1 proxy of the file not in the run: snip.",
        "ImageNet16-120: 8 cells in both, 2 in the run alone, 2 in the file alone.",
        "Not in the file: cifar10.",
    ]


@pytest.mark.parametrize("nothing", [None, {"time": 0.1}, float("nan"), float("inf")])
def test_a_cell_without_a_score_there_is_no_part_of_it(
    scores: Scores, tmp_path: Path, nothing: object
) -> None:
    content = by_cell()
    content["ImageNet16-120"][str(TUPLES[5])]["nwot"] = nothing
    row = compare(scores, written(tmp_path, content)).table.set_index("label").loc["naswot"]
    kept = np.arange(8) != 3
    assert row["n"] == 7
    assert row["kendall_tau"] == pytest.approx(tau(BOTH_OURS[kept], BOTH_THEIRS[kept]))


def test_a_tuple_and_its_text() -> None:
    """Of this tuple the text, from NASLib, tells every edge apart from the one it could be mistaken for."""
    read = READERS["nasbench201"]
    cell = "|avg_pool_3x3~0|+|skip_connect~0|none~1|+|nor_conv_1x1~0|avg_pool_3x3~1|nor_conv_1x1~2|"
    assert read((4, 0, 3, 1, 4, 3)) == cell
    assert len({read(each) for each in product(range(5), repeat=6)}) == len(SPACE)
    assert READERS["transnas_micro"]((1, 0, 2, 3, 3, 1)) == "64-41414-1_02_331"


def swapped(old: str, new: str) -> str:
    found = json.dumps(by_cell())
    assert old in found
    return found.replace(old, new)


FIRST = str(TUPLES[2])
DAMAGED: dict[str, tuple[Any, str]] = {
    "truncated": (json.dumps(by_cell())[:-30], "is not valid JSON"),
    "binary": ("\x00\x01", "is not valid JSON"),
    "too deep": ("[" * 100_000, "is not valid JSON"),
    "a list": ([1, 2], "'the file' is to hold an object"),
    "no object in it": ({"ImageNet16-120": 3}, "'ImageNet16-120' is to hold an object"),
    "no object of a cell": ({"ImageNet16-120": {FIRST: 3}}, f"'{FIRST.replace('(', chr(92) + '(')[:-1]}"),
    "no object of a proxy": ({"ImageNet16-120": {"nwot": 3}}, "'nwot' is to hold an object"),
    "other data sets": ({"svhn": {}}, "no data set of the run: svhn there, cifar10, imagenet16_120 here"),
    "nothing in it": ({"ImageNet16-120": {}}, "has none of the run's proxies"),
    "five operations": (swapped(FIRST, "(0, 2, 3, 1, 4)"), "six|6 operations"),
    "an operation too many": (swapped(FIRST, "(0, 2, 3, 1, 4, 5)"), "no cell of nasbench201"),
    "text among tuples": (swapped(FIRST, "a cell"), "cells and 'a cell', which is none"),
    "texts for tuples": ({"ImageNet16-120": {"nwot": {"|none~0|": 3}}}, "is no tuple of operations"),
    "no number": (swapped('"score": 2.0', '"score": "high"'), "of jacov at .* is no number: 'high'"),
    "a truth value": (swapped('"score": 2.0', '"score": true'), "of jacov at .* is no number: True"),
    "other proxies": ({"ImageNet16-120": {FIRST: {"snip": 1}}}, "has none of the run's proxies"),
    "other cells": ({"ImageNet16-120": {"(4, 4, 4, 4, 4, 4)": {"nwot": 1}}}, "have no cell in common"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_file_is_refused_in_one_line(scores: Scores, tmp_path: Path, case: str) -> None:
    content, message = DAMAGED[case]
    with pytest.raises(UsageError, match=message) as error:
        compare(scores, written(tmp_path, content))
    assert len(str(error.value).splitlines()) == 1
    assert case == "nothing" or "zc.json" in str(error.value)


def test_a_missing_file_and_another_space_are_refused(
    scores: Scores, tmp_path: Path, write_run: WriteRun
) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*none\.json: No such file"):
        compare(scores, tmp_path / "none.json")
    other = read_runs([write_run({("snip", "cifar10"): {"score": [1.0]}}, name="o", space="darts")])
    with pytest.raises(UsageError, match="takes scores on nasbench201 or transnas_micro; these are on darts"):
        compare(other, written(tmp_path, by_cell()))


def test_a_whole_number_beyond_floats_is_no_score(scores: Scores, tmp_path: Path) -> None:
    content = by_cell()
    content["ImageNet16-120"][FIRST]["nwot"] = 10**400
    assert compare(scores, written(tmp_path, content)).table.set_index("label").loc["naswot", "n"] == 7


def test_what_is_drawn() -> None:
    rows = [
        ("cifar10", "a_long_label", "nwot", 1200, 1, 0.25, -0.5),
        ("cifar10", "b", "c", 1, 0, *[np.nan] * 2),
    ]
    found = Comparison("zc.json", "nasbench201", pd.DataFrame(rows, columns=list(MEANINGS)), ["One note."])
    assert draw_text(found).splitlines() == [
        "nasbench201 on CIFAR-10, our scores and those of zc.json",
        "─" * 50,
        "label         theirs      n  failed      τ       ρ",
        "─" * 50,
        "a_long_label  nwot    1,200       1  0.250  -0.500",
        "b             c           1       0      –       –",
        "─" * 50,
        "",
        "One note.",
    ]
    assert "| `a_long_label` | `nwot` | 1,200 | 1 | 0.250 | -0.500 |" in draw_markdown(found)


def call(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["nasbench-report", *map(str, arguments)])
    return cli.main()


def test_the_command(
    scores: Scores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It needs no table of accuracies."""
    monkeypatch.delenv("NASBENCH_EVAL_DATA", raising=False)
    run, file = scores.runs[0].folder, written(tmp_path, by_cell())
    assert call(monkeypatch, run, "--compare", file) == 0
    assert "naswot  nwot    8" in capsys.readouterr().out
    folder = run / "tables" / "compare"
    assert {path.name for path in folder.iterdir()} == {"compare.csv", "compare.md", "report.json"}
    table = pd.read_csv(folder / "compare.csv")
    assert list(table) == list(MEANINGS)
    assert table["n"].tolist() == [8, 8, 8]
    record = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert (record["file"], record["runs"][0]["seed"]) == ("zc.json", 3)
    assert str(tmp_path) not in (folder / "report.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--table", "table1"],
            "error: --table is an option of reports without --compare; leave it out here",
        ),
        (["--cells", "live", "--failures", "omit"], ""),
        (["--indicators", "jacov,near"], "error: --indicators is an option of reports without --compare"),
    ],
)
def test_options_beside_it(
    scores: Scores,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
) -> None:
    run, file = scores.runs[0].folder, written(tmp_path, by_cell())
    code = call(monkeypatch, run, "--compare", file, *options)
    assert code == (2 if message else 0)
    assert capsys.readouterr().err.startswith(message)
