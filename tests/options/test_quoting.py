"""Values are taken as they stand, where Hydra's grammar would misread or refuse them."""

from __future__ import annotations

import json
import shlex
from functools import partial
from pathlib import Path

import pytest
from commands import Ask, Asked

from nasbench_eval.cli import score, train
from nasbench_eval.errors import UsageError
from nasbench_eval.options.overrides import jobs, read
from nasbench_eval.options.quoting import ARCHS, PATHS, quoted
from nasbench_eval.runs.store import read_scores
from nasbench_eval.spaces.nasbench101 import NASBench101

TINY = ["space.channels=4", "space.cells_per_stage=1", "workers=0", "device=cpu", "reuse=none"]
NAMES = [
    "Ergebnisse über Größe",
    "結果",
    "100%",
    "a#b",
    "a=b",
    "user@host",
    "run (1)",
    "it's",
    "~/x",
    "1e5",
    "true",
    "a\\b",
    "plain/name-1.2",
    "'tis",
    "a\u00a0b",
]

# Options of other commands than `nasbench-score`.
ELSEWHERE = ("arch", "images", "fork", "options_from")


@pytest.fixture
def ask(asked: Asked, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ask:
    monkeypatch.chdir(tmp_path)
    return partial(asked, score, "nasbench-score")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("key", [ARCHS, *(key for key in PATHS if key not in ELSEWHERE)])
def test_a_name_is_taken_as_it_stands(key: str, name: str) -> None:
    [config] = jobs(read([f"{key}={name}"]))
    assert config[key] == name
    [config, other] = jobs(read(["-m", f"{key}={name},other"]))
    assert (config[key], other[key]) == (name, "other")


@pytest.mark.parametrize("text", ['{"blocks":[1,2]}', "[[3, 32]]", "7" * 5000])
def test_an_architecture_is_taken_as_it_stands(text: str) -> None:
    [config] = jobs(read([f"arch={text}"], "retrain"), "retrain")
    assert config["arch"] == text


def test_texts_in_brackets_are_texts_whatever_they_look_like() -> None:
    [config] = jobs(read(["archs=[12,c8-p,1e5,|a~0|,'a,b']"]))
    assert list(config["archs"]) == ["12", "c8-p", "1e5", "|a~0|", "a,b"]
    [config, other] = jobs(read(["-m", "archs=[p,c8],[12]"]))
    assert (list(config["archs"]), list(other["archs"])) == (["p", "c8"], ["12"])
    assert quoted("archs=null", multirun=False) == "archs=null"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("key", ["fork", "options_from"])
def test_a_folder_that_a_search_reads_is_taken_as_it_stands(key: str, name: str) -> None:
    [config] = jobs(read([f"{key}={name}"], "search"), "search")
    assert config[key] == name


@pytest.mark.parametrize("name", NAMES)
def test_images_are_taken_as_they_stand(name: str) -> None:
    [config] = jobs(read([f"images={name}"]), "train")
    assert config["images"] == name


@pytest.mark.parametrize(
    "text",
    [
        "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|",
        "SuperConvK3BNRELU(3,8,2,1)SuperResIDWE6K3(8,32,2,8,1)SuperConvK1BNRELU(128,2048,1,1)",
        "Genotype(normal=[('sep_conv_3x3', 1), ('none', 0)], normal_concat=range(2, 6))",
        "00112201",
        "15",
        "resnet18",
    ],
)
def test_the_text_of_an_architecture_is_taken_as_it_stands(text: str) -> None:
    [config] = jobs(read([f"arch={text}"], "retrain"), "retrain")
    assert config["arch"] == text


def test_what_is_quoted_stays() -> None:
    for argument in ("run='a b'", 'run="a b"', "run=mine", "run=null", "run=", "proxy=ü", "run='a,b'"):
        assert quoted(argument, multirun=False) == argument
        assert quoted(argument, multirun=True) == argument
    assert [config["run"] for config in jobs(read(["-m", "run='a,b',c (1)"]))] == ["a,b", "c (1)"]


def test_a_comma_without_m_is_a_mistake_told_with_the_way_out() -> None:
    with pytest.raises(UsageError, match=r"add -m for a run of each, or write .* if it is one name"):
        jobs(read(["run=ü,b"]))


def test_a_run_in_folders_of_such_names_can_be_repeated_by_its_record(ask: Ask, tmp_path: Path) -> None:
    name, results = "Größe 100% (a=b) it's #1", tmp_path / "Läufe @ home"
    command = ["proxy=params", "n=2", *TINY, f"run={name}", f"results={results}"]
    answer = ask(*command)
    assert answer.code == 0, answer.err
    assert len(read_scores(results / name)) == 2
    assert shlex.split(answer.err.splitlines()[-1].partition("next: ")[2])[1] == str(results / name)
    assert f"run={name}" in shlex.split(json.loads((results / name / "run.json").read_text())["command"])
    recorded = shlex.split(json.loads((results / name / "run.json").read_text())["command"])
    again = ask(*recorded[1:], f"results={results}")
    assert again.code == 0, again.err
    assert "nothing left to score" in again.err


def test_a_sweep_over_folders_of_such_names(ask: Ask, tmp_path: Path) -> None:
    answer = ask("-m", "proxy=params", "n=1", "results=é,f (1)", "run=x", *TINY)
    assert answer.code == 0, answer.err
    assert len(list(tmp_path.glob("é/x/*/run.json"))) == 1
    assert len(list(tmp_path.glob("f (1)/x/*/run.json"))) == 1


NB201 = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_1x1~2|"


def test_cells_are_named_by_ranges_texts_and_indices(ask: Ask, tmp_path: Path) -> None:
    run = tmp_path / "results" / "mine"
    command = ["proxy=params", "run=mine", *TINY]
    answer = ask(*command, f"indices=['{NB201}',17,range(0,3),range(20,10,-5)]")
    assert answer.code == 0, answer.err
    rows = read_scores(run)
    assert {0, 1, 2, 15, 17, 20} < set(rows["index"])
    assert len(rows) == 7
    assert NB201 in set(rows["arch"])
    record = json.loads((run / "run.json").read_text())
    assert record["indices"] == f"{rows.set_index('arch')['index'][NB201]},17,0-2,20,15"
    again = ask(*shlex.split(record["command"])[1:])
    assert "nothing left to score" in again.err
    assert ask(*command, f"indices=[{NB201}]").code == 0  # no quotes are needed
    assert ask(*command, "indices=range(0,3)").code == 0
    assert ask(*command, "indices=17").code == 0
    assert len(read_scores(run)) == 7
    assert ask(*command, "n=1").code == 0
    assert json.loads((run / "run.json").read_text())["indices"] is None


def test_cells_of_nasbench101_are_named_by_text_and_hash(ask: Ask, tmp_path: Path) -> None:
    cells = "indices=[|conv3x3~0|maxpool3x3~0~1|output~1~2|,00005c142e6f48ac74fdcf73e3439874]"
    size = ["space=nasbench101", "space.channels=4", "space.cells_per_stack=1", *TINY[2:]]
    answer = ask("proxy=params", cells, "run=mine", *size)
    assert answer.code == 0, answer.err
    first = NASBench101().index(NASBench101().parse("00005c142e6f48ac74fdcf73e3439874"))
    assert set(read_scores(tmp_path / "results" / "mine")["index"]) == {139908, first}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("indices=range(0,20000)", "the space has architectures 0 to 15624"),
        ("indices=[range(0,999999999999)]", "the space has architectures 0 to 15624"),
        ("indices=[range(3,0)]", "name at least one architecture"),
        ("indices=[range(0,3,0)]", "its step is 0"),
        ("indices=[nonsense]", "no operation of NAS-Bench-201"),
        ("indices=0,5", "or write 'indices=[0,5]'"),
        ("proxy.intrain.layers=[range(0,3)]", "only indices= and seeds= take ranges inside a list"),
    ],
)
def test_cells_that_are_none(ask: Ask, tmp_path: Path, given: str, said: str) -> None:
    answer = ask(given, "proxy=params" if "layers" not in given else "proxy=intrain", *TINY)
    assert answer.code == 2
    assert said in answer.err
    assert answer.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_seeds_are_named_by_ranges(asked: Asked, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for given, seeds in (("range(0,3)", [0, 1, 2]), ("[7,range(2)]", [7, 0, 1]), ("5", [5])):
        [config] = jobs(read([f"seeds={given}"]), "train")
        assert list(config["seeds"]) == seeds
    answer = asked(train, "nasbench-train", "seeds=range(0,100000)")
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "names more than 10000 seeds" in answer.err
