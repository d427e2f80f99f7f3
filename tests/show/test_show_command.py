"""`nasbench-show`: what it prints, as text and as JSON, and how it refuses."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from commands import Answer, Asked
from PIL import Image

from nasbench_eval import registry, spaces
from nasbench_eval.show.cli import main
from nasbench_eval.spaces.open import index_of
from nasbench_eval.truth import tables
from nasbench_eval.truth.short import Short

CELL = "|nor_conv_1x1~0|+|skip_connect~0|nor_conv_1x1~1|+|nor_conv_3x3~0|none~1|avg_pool_3x3~2|"
OTHER = "|nor_conv_1x1~0|+|skip_connect~0|none~1|+|none~0|none~1|avg_pool_3x3~2|"


@pytest.fixture
def told(asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the command says, in a folder without tables."""
    monkeypatch.chdir(tmp_path)

    def ask(*arguments: object) -> Answer:
        return asked(main, "nasbench-show", *arguments)

    return ask


def read(answer: Answer) -> dict[str, Any]:
    assert (answer.code, answer.err) == (0, "")
    found: dict[str, Any] = json.loads(answer.out)
    return found


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pd.DataFrame:
    """A table of invented accuracies in place of NAS-Bench-201's, and 12-epoch trainings of two cells."""
    size, rng = len(spaces.get("nasbench201")), np.random.default_rng(0)
    table = pd.DataFrame({"index": np.arange(size)})
    for dataset in ("cifar10", "cifar100", "imagenet16_120", "imagenet1k"):
        for split in tables.SPLITS:
            table[f"{dataset}_{split}"] = rng.uniform(20, 60, size)
    runs = rng.uniform(-1, 1, (size, 2))
    for run, sign in ((0, runs[:, 0]), (1, -runs[:, 0])):
        table[f"cifar10_test_run{run}"] = table["cifar10_test"] + sign
    table["cifar10_test_run2"] = np.nan
    table.loc[5, "cifar10_test"] = 70.0  # the best
    table.loc[5, ["cifar10_test_run0", "cifar10_test_run1"]] = [69.0, 71.0]
    monkeypatch.setitem(tables.TABLES, "nasbench201", lambda folder: table)  # type: ignore[arg-type]
    accuracy, seconds = np.full(size, np.nan), np.full(size, 12.5)
    accuracy[5] = 33.0

    def short(space: str, dataset: str, folder: Path) -> Short:
        return Short((5,), accuracy, seconds, np.isnan(accuracy), "test images", "nowhere")

    monkeypatch.setattr("nasbench_eval.show.known.short_training", short)
    (tmp_path / "data").mkdir()
    return table


def test_the_text_of_a_cell(told: Any) -> None:
    answer = told(CELL)
    assert (answer.code, answer.err) == (0, "")
    lines = answer.out.splitlines()
    assert lines[:2] == ["nasbench201, architecture 5 of 15,625", f"  {CELL}"]
    said = " ".join(answer.out.split())
    for words in (
        "canonical yes",
        "live yes: every operation has a bearing on the output",
        "neighbours 24 architectures one edit away",
        "space options channels=16, cells_per_stage=5",
        "images of 32 x 32 pixels and 10 classes (cifar10)",
        "parameters 372,346",
        "MACs 51,036,800 multiply-accumulates of convolution and linear layers",
        "2 x MACs 102,073,600",
        "cells 0-4 5 x CellBlock 16 x 32 x 32 14,560 14,417,920",
        "o..........>o none",
        "accuracies: none: no ground truth",
    ):
        assert words in said
    assert max(map(len, lines)) <= 100


def test_text_and_index_and_hash_mean_the_same(told: Any) -> None:
    assert told(CELL).out == told("5").out == told(" 5").out == told("space=nasbench201", 5).out
    space = spaces.get("nasbench101")
    from nasbench_eval.spaces.nasbench101 import module_hash

    arch = space.arch(5000)
    answers = [told("--space", "nasbench101", word) for word in (5000, space.format(arch), module_hash(arch))]
    assert answers[0].code == 0
    assert len({answer.out for answer in answers}) == 1


def test_an_architecture_that_another_stands_for(told: Any) -> None:
    space = spaces.get("nasbench201")
    arch = space.parse(OTHER)
    found = read(told("--json", OTHER))
    canonical = space.canonical(arch)
    assert (found["arch"], found["index"], found["live"]) == (OTHER, space.index(arch), False)
    assert (found["canonical"], found["canonical_index"]) == (space.format(canonical), space.index(canonical))
    assert found["canonical"] != OTHER
    said = told(OTHER).out
    assert f"no: architecture {space.index(canonical)} stands for it" in said
    assert "no: some operation has no bearing on the output" in said


@pytest.mark.parametrize("name", ["nasbench201", "nasbench101", "nasbench201_supernet"])
def test_the_json_has_all_of_it(name: str, told: Any) -> None:
    found = read(told("--space", name, "--json", "--option", "channels=8", "--dataset", "imagenet16_120", 77))
    space = spaces.get(name, channels=8)
    arch = space.arch(77)
    assert set(found) == {
        "space", "arch", "index", "canonical", "canonical_index", "live", "neighbours", "dataset",
        "resolution", "classes", "params", "macs", "twice_macs", "counts", "stages", "graphs",
        "known", "unknown_because",
    }  # fmt: skip
    assert found["space"]["name"] == name
    assert found["space"]["options"]["channels"] == 8
    assert found["space"]["architectures"] == len(space)
    assert (found["arch"], found["index"]) == (space.format(arch), 77)
    assert found["neighbours"] == len(space.neighbours(arch))
    assert (found["resolution"], found["classes"]) == (16, 120)
    assert found["twice_macs"] == 2 * found["macs"]
    for sum_of, total in (("params", found["params"]), ("macs", found["macs"])):
        assert sum(stage[sum_of] for stage in found["stages"]) == total
    if name != "nasbench201_supernet":
        assert found["params"] == space.params(arch, num_classes=120)
        assert found["macs"] == space.flops(arch, resolution=16, num_classes=120)
    assert set(found["stages"][0]) == {"name", "blocks", "kind", "output", "params", "macs"}
    [graph] = found["graphs"]
    assert (graph["name"], graph["nodes"][0], graph["nodes"][-1]) == ("cell", "in", "out")
    assert {"source", "target", "operations"} == set(graph["edges"][0])
    assert found["known"] is None
    assert isinstance(found["unknown_because"], str)


def test_resolution_and_classes(told: Any) -> None:
    found = read(told("--json", "--resolution", 64, "--classes", 7, 5))
    assert (found["dataset"], found["resolution"], found["classes"]) == (None, 64, 7)
    space = spaces.get("nasbench201")
    assert found["macs"] == space.flops(space.arch(5), resolution=64, num_classes=7)
    assert found["params"] == space.params(space.arch(5), num_classes=7)


def test_large_images_and_networks_are_not_computed(told: Any) -> None:
    found = read(told("--json", "--resolution", 4096, "--option", "channels=4096", 5))
    space = spaces.get("nasbench201", channels=4096)
    assert found["macs"] == space.flops(space.arch(5), resolution=4096, num_classes=10)


def test_known_accuracies(told: Any, made_up: pd.DataFrame) -> None:
    found = read(told("--json", 5))
    known = found["known"]
    assert (known["benchmark"], known["same"], known["epochs"]) == ("nasbench201", True, 200)
    assert set(known["datasets"]) == {"cifar10", "cifar100", "imagenet16_120", "imagenet1k"}
    test = known["datasets"]["cifar10"]["accuracies"]["test"]
    assert test == {"mean": 70.0, "std": pytest.approx(2**0.5), "runs": [69.0, 71.0], "rank": 1, "of": 15625}
    column = made_up["cifar100_val"]
    val = known["datasets"]["cifar100"]["accuracies"]["val"]
    assert val["mean"] == column[5]
    assert (val["std"], val["runs"], val["rank"]) == (None, [], (column > column[5]).sum() + 1)
    short = known["datasets"]["cifar10"]["short"]
    assert (short["epochs"], short["accuracy"], short["seconds"], short["modelled"]) == (
        12,
        33.0,
        12.5,
        False,
    )
    assert read(told("--json", 6))["known"]["datasets"]["cifar10"]["short"]["accuracy"] is None
    said = told(5).out
    assert "70.00 ± 1.41 (2 runs)  1 of 15,625" in said
    assert "33.00" in said
    assert max(map(len, said.splitlines())) <= 100


def test_a_space_whose_short_trainings_are_in_no_table(told: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(spaces.get("nasbench101"))
    table = pd.DataFrame({"index": np.arange(size), "cifar10_test": np.linspace(20, 60, size)})
    monkeypatch.setitem(tables.TABLES, "nasbench101", lambda folder: table)  # type: ignore[arg-type]
    Path("data").mkdir()
    cifar10 = read(told("--json", "--space", "nasbench101", size - 1))["known"]["datasets"]["cifar10"]
    assert (cifar10["accuracies"]["test"]["rank"], cifar10["short"]) == (1, None)


def test_accuracies_of_other_networks_are_told_apart(told: Any, made_up: pd.DataFrame) -> None:
    assert "they are not those shown above" not in told(5).out
    assert "they are not those shown above" in told("--option", "channels=8", 5).out


def test_a_supernet_has_the_accuracies_of_the_cell_that_it_is(told: Any, made_up: pd.DataFrame) -> None:
    mine = read(told("--json", "--space", "nasbench201_supernet", CELL))
    assert mine["known"] == read(told("--json", CELL))["known"]
    several = read(told("--json", "--space", "nasbench201_supernet", 887503680))
    assert several["unknown_because"] == "nasbench201 has no such architecture"


def test_a_benchmark_of_ones_own(told: Any) -> None:
    from nasbench_eval.truth.own import load

    benchmark = load("digits")
    index = benchmark.indices[3]
    found = read(told("--truth", "digits", "--json", index))
    row = benchmark.table.iloc[3]
    assert (found["params"], found["macs"]) == (row["params"], row["flops"])
    assert (found["dataset"], found["resolution"]) == ("digits", 8)
    digits = found["known"]["datasets"]["digits"]
    assert digits["accuracies"]["test"]["mean"] == pytest.approx(row["digits_test"])
    assert digits["accuracies"]["test"]["of"] == len(benchmark.indices)
    assert digits["seconds"] > 0
    untrained = next(i for i in range(len(benchmark.space)) if i not in benchmark.indices)
    assert "not this one" in read(told("--truth", "digits", "--json", untrained))["unknown_because"]


@pytest.mark.parametrize("ending", ["png", "pdf", "svg"])
def test_the_cell_is_drawn(told: Any, ending: str) -> None:
    for space in ("nasbench201", "nasbench101", "nasbench201_supernet"):
        file = Path(f"{space}.{ending}")
        assert f"figure: {file}" in told("--space", space, "--figure", file, 777).out
        first = file.read_bytes()
        assert read(told("--space", space, "--figure", file, "--json", 777))["index"] == 777
        assert file.read_bytes() == first
        if ending == "png":
            with Image.open(file) as image:
                assert min(image.size) > 300
    assert not [path for path in Path().iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--space", "nasbench20", "5"], "unknown search space 'nasbench20'; did you mean nasbench201"),
        (["15625"], "architectures 0 to 15624, and no 15625; the nearest is 15624"),
        (["-1"], "the nearest is 0"),
        ([CELL.replace("avg_pool_3x3", "avg_pool")], "did you mean avg_pool_3x3?"),
        (["--space", "nasbench101", "|conv3x3~0|maxpool~1|output~2|"], "did you mean maxpool3x3?"),
        (["foo"], "'foo' is no operation of NAS-Bench-201"),
        ([""], "an index from 0 to 15624 will do as well"),
        (["--resolution", "30", "5"], "30 is no multiple of 4; the nearest is 28"),
        (["--resolution", "0", "5"], "0 is not from 1 to 8192; the nearest is 1"),
        (["--classes", "x", "5"], "'x' is no whole number"),
        (["--option", "chanels=8", "5"], "unknown option of nasbench201 'chanels'; did you mean channels?"),
        (["--option", "channels=x", "5"], "channels=x will not do; it should be a whole number"),
        (["--option", "channels", "5"], "write NAME=VALUE"),
        (["--option", "channels=8", "option=channels=9", "5"], "--option channels is given twice"),
        (["--option", "name=x", "5"], "unknown option of nasbench201 'name'"),
        (["--dataset", "cifar11", "5"], "unknown data set 'cifar11'; did you mean cifar10"),
        (["--figure", "a.pgn", "5"], "unknown format of figures 'pgn'; did you mean png?"),
        (["--figure", "a", "5"], "a.png would do"),
        (["--figure", "picturs/a.png", "5"], "there is no folder picturs; did you mean pictures?"),
        (["--figure", "x/y/a.png", "5"], "there is no folder x/y; the nearest that exists is ."),
        (["--truth", "digts", "5"], "did you mean digits?"),
        (["--truth", "digits", "--space", "nasbench101", "5"], "leave --space out"),
        (["--data", "nowhere", "5"], "there is no data folder nowhere"),
        (["--clases", "3", "5"], "unknown flag '--clases'; did you mean --classes"),
        ([], "ARCH"),
    ],
)
def test_a_mistake_is_told_in_one_line(arguments: list[str], said: str, told: Any) -> None:
    Path("pictures").mkdir()
    answer = told(*arguments)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("error: ")
    assert answer.err.count("\n") == 1
    assert said in answer.err


def test_a_plug_in_that_says_less_is_shown(told: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("letters", "plugged_space:Letters", "nasbench_eval.spaces")
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.setattr(registry, "_entries", lambda kind: (entry,) if kind == "spaces" else ())
    found = read(told("--space", "letters", "--option", "width=4", "--json", "a=b"))
    assert (found["arch"], found["canonical"], found["live"]) == ("a=b", None, None)
    assert found["index"] == index_of("letters", "a=b")
    assert (found["neighbours"], found["graphs"], found["space"]["architectures"]) == (None, [], None)
    assert [stage["name"] for stage in found["stages"]] == ["stem", "fc"]
    assert found["params"] == 4 * 3 + 4 + 4 * 10 + 10
    said = told("--space", "letters", "a=b")
    assert (said.code, said.out.splitlines()[0]) == (0, "letters")
    assert "there are no tables of accuracies for letters" in said.out
    assert "does not say how" in told("--space", "letters", "--figure", "a.png", "a=b").err
    wrong = told("--space", "letters", "ab")
    assert (wrong.code, wrong.err) == (2, "error: 'ab' has no sign of equality\n")
    small = told("--space", "letters", "--resolution", 2, "a=b")
    assert small.code == 2
    assert small.err.endswith("; the nearest is 3\n")
