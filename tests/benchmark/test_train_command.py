"""`nasbench-train` as its users meet it: most calls in this process, a killed one in its own."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commands import Ask, Asked

from nasbench_eval import __version__
from nasbench_eval.benchmark.config import resolve
from nasbench_eval.benchmark.trainer import Trainer
from nasbench_eval.cli import score, train
from nasbench_eval.data.images import load_images
from nasbench_eval.errors import UsageError
from nasbench_eval.merge.cli import main as merge
from nasbench_eval.options import overrides
from nasbench_eval.report.cli import main as report
from nasbench_eval.report.titles import DATASETS
from nasbench_eval.runs.rows import Row, Task
from nasbench_eval.runs.store import read_scores
from nasbench_eval.spaces.nasbench201 import NASBench201
from nasbench_eval.truth.own import columns, load

TINY = ["space.channels=4", "space.cells_per_stage=1", "workers=0", "device=cpu"]
SMALL = [*TINY, "images=mine.npz", "epochs=2", "batch_size=16", "seeds=[0,1]"]
COMMAND = [sys.executable, "-c", "import sys; from nasbench_eval.cli import train; sys.exit(train())"]
MAINS = {"nasbench-train": train, "nasbench-score": score, "nasbench-merge": merge, "nasbench-report": report}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """60 images of 8 x 8 pixels, of three classes that differ in which colour is brighter."""
    rng, y = np.random.default_rng(0), np.arange(60) % 3
    x = rng.integers(0, 160, (60, 8, 8, 3), dtype=np.uint8)
    x[np.arange(60), :, :, y] += 60
    np.savez(tmp_path / "mine.npz", x=x, y=y, classes=np.array(["red", "green", "blue"]))
    return tmp_path / "mine.npz"


@pytest.fixture
def ask(images: Path, asked: Asked, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ask:
    """Runs a command in a folder with the images, its working directory."""
    monkeypatch.chdir(tmp_path)
    for name, title in DATASETS.items():  # a report adds its own
        monkeypatch.setitem(DATASETS, name, title)
    return lambda command, *arguments: asked(MAINS[command], command, *arguments)


def stable(run: Path) -> pd.DataFrame:
    """A benchmark's table without timings, its curves as lists."""
    table = load(str(run)).table
    kept = table.drop(columns=[name for name in table if name.startswith("seconds_")])
    return kept.map(lambda value: value.tolist() if isinstance(value, np.ndarray) else value)


def digest(run: Path) -> str:
    found: str = json.loads((run / "benchmark.json").read_text())["table_sha256"]
    return found


def test_a_benchmark_and_its_repetition(ask: Ask, tmp_path: Path) -> None:
    command = [*SMALL, "n=3", "run=mine"]
    first = ask("nasbench-train", *command)
    assert first.code == 0, first.err
    lines, run = first.err.splitlines(), tmp_path / "results" / "mine"
    assert lines[0] == (
        "nasbench201: 3 cells, each trained with 2 seeds for 2 epochs on mine (36 + 12 + 12 images of 3 "
        "classes, 8 pixels); 0 workers on cpu; into results/mine"
    )
    assert lines[-2] == "3 cells trained now"
    assert lines[-1].startswith("3 cells with test accuracies from ")
    assert lines[-1].endswith("; next: nasbench-score truth=results/mine proxy=table1 n=all")
    assert not (run / ".training").exists()

    benchmark = load(str(run))
    assert list(benchmark.table.columns) == columns("mine", 2)
    assert benchmark.space == NASBench201(4, 1)
    assert (benchmark.dataset.num_classes, benchmark.dataset.resolution) == (3, 8)
    record = benchmark.record
    assert record["command"] == "nasbench-train " + shlex.join(command)
    assert record["images"].items() >= {"train": 36, "val": 12, "test": 12, "split_seed": 0}.items()
    assert record["training"]["images"] == 36
    assert record["failures"] == {}
    assert record["seconds"] > 0
    shown = load_images(run, "mine")  # what proxies see are the images to train with
    assert shown.classes == ("red", "green", "blue")
    assert len(shown.x) == 36
    assert len(read_scores(run)) == 6

    before = digest(run)
    again = ask("nasbench-train", *command)
    assert again.code == 0
    assert "nothing left to train" in again.err
    assert digest(run) == before

    more = ask("nasbench-train", *command, "n=4")
    assert "1 cell trained now" in more.err
    old, new = benchmark.table, load(str(run)).table
    assert len(new) == 4
    same = new[new["index"].isin(old["index"])].reset_index(drop=True)
    assert same["mine_test_run1"].tolist() == old["mine_test_run1"].tolist()
    another = ask("nasbench-train", *command, "n=4", "seeds=[0,1,2]")
    assert "4 cells trained now" in another.err
    assert "mine_test_run2" in load(str(run)).table

    changed = ask("nasbench-train", *command, "learning_rate=0.2")
    assert changed.code == 2
    assert "trained_0 was made with learning_rate=0.1, now learning_rate=0.2; choose another" in changed.err
    divided = ask("nasbench-train", *command, "split_seed=1", "test_images=11")
    assert divided.code == 2
    assert divided.err.count("\n") == 1


def test_divergence_is_a_row_and_the_rest_goes_on(ask: Ask, tmp_path: Path) -> None:
    answer = ask("nasbench-train", *SMALL, "n=3", "run=hot", "learning_rate=1e30", "seeds=[0]")
    assert answer.code == 0, answer.err
    run = tmp_path / "results" / "hot"
    rows = read_scores(run)
    assert set(rows["status"]) == {"nan"}
    assert (rows["params"] > 0).all()
    assert "3 trainings diverged or failed (reasons in results/hot/run.log)" in answer.err
    assert "no training came to an accuracy" in answer.err
    assert load(str(run)).table["mine_test"].isna().all()
    assert load(str(run)).record["failures"] == {"nan": 3}
    assert ask("nasbench-train", *SMALL, "n=3", "run=hot", "learning_rate=1e30", "seeds=[0]").code == 0


def test_a_benchmark_names_the_machines_of_all_sessions(ask: Ask, tmp_path: Path) -> None:
    options = [*SMALL, "seeds=[0]", "epochs=1", "run=mine"]
    assert ask("nasbench-train", *options, "n=1").code == 0
    file = tmp_path / "results" / "mine" / "run.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "device_name": "another"}))
    assert ask("nasbench-train", *options, "n=2").code == 0
    record = load("results/mine").record
    assert [session["device_name"] for session in record["earlier"]] == ["another"]
    assert record["device_name"] != "another"


def test_the_seeds_of_one_cell_have_a_worker_each(ask: Ask) -> None:
    answer = ask("nasbench-train", *SMALL, "epochs=1", "n=1", "run=mine", "workers=3")
    assert answer.code == 0, answer.err
    assert "; 2 workers on cpu; " in answer.err
    assert len(read_scores(Path("results/mine"))) == 2


def test_other_images_have_a_folder_of_their_own(ask: Ask, tmp_path: Path) -> None:
    options = [*SMALL, "n=1", "seeds=[0]", "epochs=1"]
    for more in ("noise=1", "noise=2", "noise=2 copies=2"):
        assert ask("nasbench-train", *options, *more.split()).code == 0
    assert len(list((tmp_path / "results").glob("*/benchmark.json"))) == 3


def test_a_training_is_safe_before_the_next_of_its_cell_begins(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []
    called = Trainer.__call__

    def interrupted(self: Trainer, index: int, tasks: Sequence[Task], text: str | None = None) -> list[Row]:
        begun.append(len(tasks))
        if len(begun) == 2:
            raise KeyboardInterrupt
        return called(self, index, tasks, text)

    monkeypatch.setattr(Trainer, "__call__", interrupted)
    options = [*SMALL, "n=1", "run=mine", "save_every=0"]
    assert ask("nasbench-train", *options).code == 130
    assert read_scores(tmp_path / "results" / "mine")["seed"].tolist() == [0]
    progress = json.loads((tmp_path / "results" / "mine" / "progress.json").read_text())
    assert (progress["cells"]["now"], progress["scores"]["ok"]) == (0, 1)  # the cell is not done
    assert ask("nasbench-train", *options).code == 0
    assert begun == [1, 1, 1]  # each training once, but for the one that was interrupted


def test_the_options_are_shown_without_a_look_at_the_images(ask: Ask) -> None:
    answer = ask("nasbench-train", "images=nowhere", "--cfg", "job")
    assert (answer.code, "images: nowhere" in answer.out) == (0, True), answer.err


def test_an_empty_colour_is_no_fault(ask: Ask, images: Path) -> None:
    arrays = dict(np.load(images))
    arrays["x"][..., 2] = 0
    np.savez(images, **arrays)
    answer = ask("nasbench-train", *SMALL, "n=1", "seeds=[0]", "epochs=1", "run=dyed")
    assert answer.code == 0, answer.err
    assert load("results/dyed").dataset.std[2] == 1


def test_the_same_table_in_shards(ask: Ask, tmp_path: Path) -> None:
    options = [*SMALL, "n=4", "seeds=[0]"]
    assert ask("nasbench-train", *options, "run=whole").code == 0
    for shard in range(2):
        answer = ask("nasbench-train", *options, "run=parts", f"shard={shard}/2")
        assert answer.code == 0, answer.err
        assert answer.err.splitlines()[-1] == (
            "next: nasbench-merge results/parts, then this command without shard="
        )
    merged = ask("nasbench-merge", "results/parts")
    assert merged.code == 0, merged.err
    last = ask("nasbench-train", *options, "run=parts")
    assert last.code == 0, last.err
    assert "nothing left to train" in last.err
    results = tmp_path / "results"
    pd.testing.assert_frame_equal(stable(results / "parts"), stable(results / "whole"))


def test_a_sweep_with_a_name_shares_a_folder_of_that_name(ask: Ask, tmp_path: Path) -> None:
    options = [*SMALL, "n=1", "seeds=[0]", "epochs=1", "run=rates"]
    answer = ask("nasbench-train", "-m", *options, "learning_rate=0.1,0.05")
    assert answer.code == 0, answer.err
    found = [load(str(file.parent)) for file in (tmp_path / "results" / "rates").glob("*/benchmark.json")]
    assert {benchmark.record["training"]["learning_rate"] for benchmark in found} == {0.1, 0.05}


def test_a_killed_run_continues_to_the_identical_table(ask: Ask, tmp_path: Path) -> None:
    options = [*SMALL, "n=5", "epochs=3", "save_every=0"]
    run = tmp_path / "results" / "killed"
    environment = {k: v for k, v in os.environ.items() if k != "NASBENCH_EVAL_DATA"}
    child = subprocess.Popen(
        [*COMMAND, *options, "run=killed"], cwd=tmp_path, env=environment, stderr=subprocess.PIPE
    )
    try:
        end = time.monotonic() + 300
        # A checkpoint lies there while a training is at work.
        while not (list(run.rglob("part-*.parquet")) and list(run.rglob("epoch-*.pt"))):
            assert child.poll() is None, child.communicate()
            assert time.monotonic() < end
            time.sleep(0.002)
    finally:
        child.send_signal(signal.SIGKILL)
        child.communicate()
    assert not (run / "benchmark.json").exists()
    held = len(read_scores(run))
    assert 0 < held < 10
    again = ask("nasbench-train", *options, "run=killed")
    assert again.code == 0, again.err
    assert ask("nasbench-train", *options, "run=whole").code == 0
    pd.testing.assert_frame_equal(stable(run), stable(tmp_path / "results" / "whole"))


def test_from_ones_own_images_to_a_ranking_of_proxies(ask: Ask, tmp_path: Path) -> None:
    assert ask("nasbench-train", *SMALL, "n=6", "run=own").code == 0
    wish = ["proxy=[snip,params,naswot]", "proxy.batch_size=8", "workers=0", "device=cpu"]
    scored = ask("nasbench-score", "truth=results/own", *wish, "n=all", "run=scored")
    assert scored.code == 0, scored.err
    assert scored.err.startswith("nasbench201: snip, params, naswot of 6 cells on mine (own benchmark); ")
    rows = read_scores(tmp_path / "results" / "scored")
    trained = load("results/own").table
    assert sorted(set(rows["index"])) == trained["index"].tolist()
    params = rows[rows["proxy"] == "params"].sort_values("index")
    assert params["score"].tolist() == trained["params"].tolist()

    answer = ask("nasbench-report", "results/scored", "resamples=20", "format=html")
    assert answer.code == 0, answer.err
    title = "Rank correlation with accuracy on mine (own benchmark)"
    assert answer.out.startswith(title)
    assert "an own benchmark, no published one" in " ".join(answer.out.split())
    tables = tmp_path / "results" / "scored" / "tables"
    for end in ("md", "tex"):
        text = " ".join((tables / f"benchmark.{end}").read_text().split())
        assert title in text
        assert "an own benchmark, no published one" in text
    csv = pd.read_csv(tables / "benchmark.csv")
    assert set(csv["proxy"]) == {"snip", "params", "naswot"}
    assert set(csv["dataset"]) == {"mine"}
    assert set(csv["split"]) == {"test", "val"}
    assert "mine (own benchmark)" in (tables / "report.html").read_text()
    drawn = list(tables.rglob("*.svg"))
    assert drawn
    for file in drawn:
        assert "own benchmark" in file.read_text(), file.name


@pytest.fixture
def own(ask: Ask) -> str:
    """A benchmark of three cells."""
    options = ["indices=[3,7,1234]", "seeds=[0]", "epochs=1", "run=own"]
    assert ask("nasbench-train", *SMALL, *options).code == 0
    return "truth=results/own"


def test_a_benchmark_says_what_it_is_about(ask: Ask, own: str, tmp_path: Path) -> None:
    for line, said in (
        ("dataset=cifar100", "truth=results/own brings its own images; leave dataset=cifar100 out"),
        (
            "space.channels=8",
            "brings its own networks, NASBench201(channels=4, cells_per_stage=1); leave the",
        ),
        ("indices=[3,4]", "indices=[4]: not among the 3 architectures of truth=results/own"),
        ("n=4", "n=4: truth=results/own has 3 architectures; n=all takes them all"),
        ("sampling=stratified n=9", "n=9: truth=results/own has 3 architectures"),
    ):
        answer = ask("nasbench-score", own, "proxy=params", "n=all", "workers=0", *shlex.split(line))
        assert answer.code == 2, line
        assert answer.err.count("\n") == 1
        assert said in answer.err
    assert ask("nasbench-score", own, "proxy=params", "indices=[7]", "workers=0", "run=one").code == 0
    assert read_scores(tmp_path / "results" / "one")["index"].tolist() == [7]
    nowhere = ask("nasbench-report", "results/one", "truth=results/nowhere")
    assert nowhere.code == 2
    assert "truth=results/nowhere: there is no benchmark.json in that folder" in nowhere.err


def test_official_names_are_left_to_images_like_the_official_ones(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "mine.npz").rename(tmp_path / "cifar10.npz")
    options = [*TINY, "images=cifar10.npz", "epochs=1", "seeds=[0]", "n=3", "run=small"]
    assert ask("nasbench-train", *options).code == 0
    assert load("results/small").dataset.name == "cifar10_8px_3"
    wish = ["proxy=snip", "proxy.batch_size=8", "n=all", "workers=0", "device=cpu"]
    assert ask("nasbench-score", "truth=results/small", *wish).code == 0


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "cifar10",
            "name=cifar10 is of images of 32 pixels and 10 classes; these have 8 pixels and 3 classes",
        ),
        ("a/b", "name=a/b will not do; give the images one of letters, digits and _"),
        ("größe", "name=größe will not do"),
    ],
)
def test_a_name_that_will_not_do(ask: Ask, name: str, said: str) -> None:
    [config] = overrides.jobs(overrides.read(["images=mine.npz", *TINY]), "train")
    assert resolve(config).plan.dataset.name == "mine"
    config.name = "yours"
    assert resolve(config).plan.dataset.name == "yours"
    config.name = name
    with pytest.raises(UsageError, match=said):
        resolve(config)


WRONG = [
    ("learnin_rate=1", "unknown option 'learnin_rate'; did you mean learning_rate"),
    ("image=mine.npz", "unknown option 'image'; did you mean images"),
    ("space.chanels=4", "did you mean space.channels"),
    ("space=nasbench210", "unknown search space 'nasbench210'; did you mean nasbench201 or nasbench101"),
    ("truth=digits", "unknown option 'truth'"),
    ("proxy.batch_size=3", "unknown option 'proxy.batch_size'; did you mean batch_size"),
    ("dataset=cifar10", "dataset"),
    ("proxy=snip", "proxy"),
    ("epochs=0", "epochs=0 will not do; it should be at least 1"),
    ("epochs=many", "epochs=many will not do; it should be a whole number"),
    ("learning_rate=0", "learning_rate=0 will not do"),
    ("learning_rate=inf", "learning_rate="),
    ("momentum=1", "momentum=1 will not do; it should be less than 1"),
    ("batch_size=1", "batch_size=1 will not do"),
    ("flips=2", "flips=2 will not do"),
    ("seeds=[]", "seeds=[]: name at least one, and each once"),
    ("seeds=[1,1]", "seeds=[1, 1]: name at least one, and each once"),
    ("seeds=x", "seeds=x will not do; it should be a whole number"),
    ("seeds=[-1]", "seeds="),
    ("n=15626", "n=15626: the space has 15625 architectures"),
    ("indices=[15625]", "indices=[15625]: the space has architectures 0 to 15624"),
    ("indices=[]", "indices=[]: name at least one architecture"),
    ("shard=2/2", "shard=2/2: 2 shards are counted from 0 to 1"),
    ("images=nowhere", "images=nowhere: there is no such file or folder"),
    ("images=null", "images=None will not do; it should be a name"),
    ("images=cifar10", "images=cifar10: no ground truth: NASBENCH_EVAL_DATA is not set"),
    ("resolution=3", "resolution=3 will not do"),
    ("resolution=10", "networks of nasbench201 cannot take images of 10 x 10 pixels; resolution=8 fits"),
    ("val_images=0", "val_images=0 will not do"),
    ("train_images=37", "mine.npz has 36 images left to train with, of 60; 37 are asked for"),
    ("test_images=2", "images of mine.npz to test with have none of class"),
    ("copies=2", "copies=2 without noise= would only repeat the images"),
    ("noise=-1", "noise=-1 will not do"),
    ("run=../x", "run=../x: must lie inside the results folder"),
    ("results=/proc/no/such", "cannot write to /proc/no/such"),
    ("-m learning_rate=0.1,x", "learning_rate=x will not do"),
    ("-m images=mine.npz,nowhere", "images=nowhere: there is no such file"),
    ("learning_rate=0.1,0.2", "add -m for a run of each"),
]


@pytest.mark.parametrize(("line", "said"), WRONG, ids=[f"{line} {said[:9]}" for line, said in WRONG])
def test_a_mistake_is_one_line_and_writes_nothing(ask: Ask, tmp_path: Path, line: str, said: str) -> None:
    answer = ask("nasbench-train", *SMALL, *shlex.split(line))
    assert answer.code == 2
    assert answer.err.startswith("error: ")
    assert answer.err.count("\n") == 1
    assert said in answer.err
    assert not answer.out
    assert [file.name for file in tmp_path.iterdir()] == ["mine.npz"]


def test_help_and_version(ask: Ask) -> None:
    assert ask("nasbench-train", "--version").out == f"nasbench-train {__version__}\n"
    told = ask("nasbench-train", "--help")
    assert told.code == 0
    assert told.out.startswith("usage: nasbench-train ")
    assert max(map(len, told.out.splitlines())) <= 110
    listed = ask("nasbench-train", *SMALL, "--cfg", "job").out
    for line in listed.splitlines():  # each option of the configuration has its line in the help
        name, colon, _ = line.partition(":")
        if colon and not line.startswith((" ", "-")) and name != "shards":
            assert f"{name}=".replace("'", "") in told.out, name
