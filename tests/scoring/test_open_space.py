"""A search space without a length, from the shell: scored, sharded, merged, verified, resumed, trained."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from commands import Ask, Asked
from open_chains import OpenChains

from nasbench_eval import load_scores, load_search, load_truth
from nasbench_eval.cli import score, search, train
from nasbench_eval.merge.cli import main as merge
from nasbench_eval.report.cli import main as report
from nasbench_eval.runs.store import digest, read_scores
from nasbench_eval.spaces import open as open_module
from nasbench_eval.spaces.open import index_of, known
from nasbench_eval.verify.cli import main as verify

pytestmark = pytest.mark.usefixtures("open_spaces")
FAST = ["space=open_chains", "device=cpu", "workers=0", "reuse=none"]
SMALL = ["proxy=[params,snip]", "proxy.input=gaussian", "proxy.batch_size=4", "proxy.resolution=8"]
NAMED = ["c8-p", "c4-c4-c16", "p", "c16", "c4-p"]


@pytest.fixture
def ask(asked: Asked, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ask:
    """Runs `nasbench-score` on the toy space in an empty folder, its working directory."""
    monkeypatch.chdir(tmp_path)
    return partial(asked, score, "nasbench-score", *FAST)


def record(run: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(Path("results", run, "run.json").read_text())
    return found


def test_a_sample_is_a_prefix_of_a_larger_one_and_continues(ask: Ask, asked: Asked) -> None:
    first = ask(*SMALL, "n=4", "run=a")
    assert first.code == 0, first.err
    assert "open_chains: params, snip of 4 cells on cifar10" in first.err
    rows = read_scores("results/a")
    space = known(OpenChains(), ())
    drawn = space.drawn(4, 0)  # type: ignore[attr-defined]
    assert set(rows["index"]) == set(drawn)
    assert {index_of("open_chains", text) for text in rows["arch"]} == set(drawn)
    assert rows["index"].dtype == "int64"
    more = ask(*SMALL, "n=6", "run=a")
    assert "2 cells scored now" in more.err
    assert "nothing left to score" in ask(*SMALL, "n=6", "run=a").err
    assert ask(*SMALL, "n=6", "run=b").code == 0
    assert digest(Path("results/a")) == digest(Path("results/b"))
    good = asked(verify, "nasbench-verify", "results/a")
    assert good.code == 0, good.out
    assert "2 partitions with all 6 cells that were asked for last" in good.out
    assert "snip: 6 rows of 6 cells equal to the bit" in good.out
    wide = load_scores("results/a")
    assert list(wide.columns) == ["params", "snip"]
    assert set(wide.index) == set(space.drawn(6, 0))  # type: ignore[attr-defined]


def test_no_message_claims_a_size(ask: Ask) -> None:
    answer = ask("proxy=params", "n=auto", "cpu_sample=3", "run=a")
    assert "open_chains: params of a random sample of 3 cells on cifar10" in answer.err
    assert " of 3 cells scored" not in answer.err
    assert "n=all" not in answer.err


def test_architectures_are_named_in_a_file_or_a_list(ask: Ask, asked: Asked) -> None:
    Path("mine.txt").write_text("# of mine\n\n" + "\n".join(f"  {text} " for text in NAMED) + "\n")
    assert ask(*SMALL, "archs=mine.txt", "run=file").code == 0
    assert ask(*SMALL, f"archs=[{','.join(NAMED)}]", "run=list").code == 0
    assert digest(Path("results/file")) == digest(Path("results/list"))
    assert record("file")["archs"] == record("list")["archs"] == NAMED
    assert record("file")["sample"] == "given"
    assert record("file")["indices"] is None
    assert set(read_scores("results/file")["arch"]) == set(NAMED)
    Path("mine.txt").unlink()  # the record tells what was asked for
    good = asked(verify, "nasbench-verify", "results/file", "results/list")
    assert good.code == 0, good.out
    assert good.out.count("with all 5 cells that were asked for last") == 2


def test_they_are_named_by_text_in_an_enumerated_space_too(ask: Ask, asked: Asked) -> None:
    text = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"
    Path("cells.txt").write_text(f"{text}\n")
    assert ask("space=nasbench201", "proxy=params", "archs=cells.txt", "run=a").code == 0
    assert record("a")["archs"] is None
    assert read_scores("results/a")["arch"].tolist() == [text]
    [index] = read_scores("results/a")["index"]
    assert record("a")["indices"] == str(index)
    assert ask("space=nasbench201", "proxy=params", f"archs=[{text}]", "run=a").err.count("nothing left") == 1
    assert pq.read_schema(next(Path("results/a").rglob("*.parquet"))).field("index").type == "int32"
    assert asked(verify, "nasbench-verify", "results/a").code == 0


REFUSED = [
    ("n=all", "n=all: the architectures of open_chains cannot be listed: n=1000 draws some of them"),
    ("n=2000000", "at most 1,000,000 architectures of an open search space are drawn"),
    ("sampling=live", "those of open_chains cannot be listed"),
    ("sampling=stratified", "the architectures of open_chains cannot be listed"),
    ("sampling=stratified archs=[p]", "archs= leaves nothing to draw"),
    ("indices=5", "the architectures of open_chains have no numbers of their own; archs= names some"),
    ("indices=[c8]", "archs= names some by their texts"),
    ("indices=[5] archs=[p]", "archs= and indices= both name architectures"),
    ("archs=none.txt", "archs=none.txt cannot be read (No such file or directory)"),
    ("archs=empty.txt", "archs=empty.txt: the file names no architecture; write one text a line"),
    ("archs=comment.txt", "archs=comment.txt: the file names no architecture"),
    ("archs=binary.txt", "archs=binary.txt cannot be read (it is no text in UTF-8)"),
    ("archs=[]", "archs=[]: name at least one architecture"),
    ("archs=wrong.txt", "archs=wrong.txt, line 3: 'c7' has a convolution of 7 channels"),
    ("archs=twice.txt", "archs=twice.txt, line 4 names the architecture of twice.txt, line 1 again"),
    ("archs=[p,p]", "archs=[p] names the architecture of [p] again"),
    ("archs=[12]", "archs=[12]: '12' is no chain"),
    ("archs=3", "archs=3 cannot be read"),
    ("archs=a.txt,b.txt", "names several values: add -m"),
    (
        "space=numbered",
        "the search space numbered has no length, so it counts as an open one, but it lacks mutate",
    ),
    (
        "proxy=ntk_condition_thin",
        "scores networks of other sizes, and the search space open_chains has no resized",
    ),
    ("proxy=linear_regions", "runs a cell by itself, and the search space open_chains has no build_cell"),
]


@pytest.mark.parametrize(("words", "said"), REFUSED)
def test_what_cannot_be_is_told_in_one_line(words: str, said: str, ask: Ask) -> None:
    Path("empty.txt").write_text("\n")
    Path("comment.txt").write_text("# p\n")
    Path("binary.txt").write_bytes(b"\xff\xfe\x00")
    Path("wrong.txt").write_text("p\n\nc7\n")
    Path("twice.txt").write_text("p\nc8\n\np\n")
    answer = ask("proxy=params", *words.split())
    assert answer.code == 2
    assert said in answer.err
    assert len(answer.err.splitlines()) == 1
    assert not Path("results").exists()


def test_it_is_searched_as_well(ask: Ask, asked: Asked) -> None:
    options = ["space=open_chains", "guide=params", "seeds=2", "steps=30", "device=cpu", "workers=0"]
    for algorithm in ("random", "regularized_evolution", "aznas"):
        answer = asked(search, "nasbench-search", *options, f"algorithm={algorithm}", f"run={algorithm}")
        assert answer.code == 0, answer.err
        frame = load_search(f"results/{algorithm}", history=True)
        best = frame.groupby("seed")["told_params"].cummax()
        told = dict(zip(frame["index"], frame["told_params"], strict=True))
        assert [told[index] for index in frame["incumbent_index"]] == best.tolist()


def test_shards_come_to_the_same_as_one_run(ask: Ask, asked: Asked) -> None:
    Path("mine.txt").write_text("\n".join(NAMED))
    for sample in ("n=5", "archs=mine.txt"):
        name = sample.partition("=")[0]
        assert ask(*SMALL, sample, f"run={name}-whole").code == 0
        assert ask(*SMALL, sample, f"run={name}", "shard=0/2").code == 0
        part = asked(merge, "nasbench-merge", f"results/{name}")
        assert part.code == 1
        assert "shard 1/2 of which nothing is there" in part.out
        assert "incomplete: 1 shard not begun" in part.out
        assert ask(*SMALL, sample, f"run={name}", "shard=1/2").code == 0
        done = asked(merge, "nasbench-merge", f"results/{name}", "--remove")
        assert done.code == 0, done.out
        assert "5 of 5 cells have all scores" in done.out
        assert digest(Path("results", name)) == digest(Path("results", f"{name}-whole"))
        assert asked(verify, "nasbench-verify", f"results/{name}").code == 0


def test_shards_of_other_names_are_not_merged(ask: Ask, asked: Asked) -> None:
    assert ask("proxy=params", "archs=[p,c8]", "run=a", "shard=0/2").code == 0
    assert ask("proxy=params", "archs=[p,c4]", "run=a", "shard=1/2").code == 0
    answer = asked(merge, "nasbench-merge", "results/a")
    assert answer.code == 2
    assert "are of different configurations: archs=['p', 'c8'] and ['p', 'c4']" in answer.err


def test_one_of_each_class_is_scored_and_its_texts_are_known_again(ask: Ask, asked: Asked) -> None:
    answer = ask(*SMALL, "archs=[p-p,p-p-p,c8]", "dedupe=isomorphic", "run=a")
    assert answer.code == 0, answer.err
    assert "3 cells in 2 classes of isomorphic ones" in answer.err
    rows = read_scores("results/a", proxy="snip").set_index("arch")
    assert rows["copied_from"].to_dict() == {
        "p-p": index_of("open_chains", "p"),
        "p-p-p": index_of("open_chains", "p"),
        "c8": None,
    }
    assert rows.loc["p-p", "score"] == rows.loc["p-p-p", "score"]
    good = asked(verify, "nasbench-verify", "results/a")
    assert good.code == 0, good.out
    assert "4 rows of isomorphic cells" in good.out
    assert "snip: 3 rows of 3 cells equal to the bit" in good.out
    more = ask(*SMALL, "archs=[p-p,p-p-p-p]", "dedupe=isomorphic", "run=a")
    assert more.code == 0, more.err
    assert "1 cell scored now" not in more.err
    assert len(read_scores("results/a", proxy="snip")) == 4


def test_scores_of_another_run_are_taken_over(ask: Ask) -> None:
    assert ask(*SMALL, "n=4", "run=a").code == 0
    assert "8 scores taken over from a" in ask(*SMALL, "n=4", "run=b", "reuse=results").err
    assert digest(Path("results/a")) == digest(Path("results/b"))


def test_a_changed_number_is_found(ask: Ask, asked: Asked) -> None:
    assert ask("proxy=params", "n=3", "run=a").code == 0
    [file] = Path("results/a").rglob("*.parquet")
    table = pq.read_table(file)
    index = table["index"].to_pylist()
    column = table.column_names.index("index")
    pq.write_table(table.set_column(column, table.schema.field(column), [[index[0] + 1, *index[1:]]]), file)
    bad = asked(verify, "nasbench-verify", "results/a")
    assert bad.code == 1
    assert f"outside the space {index[0] + 1}" in bad.out


def of_four(space: str, text: str) -> int:
    """An index that many texts have."""
    return 2**40 + len(text)


def test_two_texts_of_one_index_never_meet(ask: Ask, asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_module, "index_of", of_four)
    same = "architectures 'c4' and 'c8' have the same index"
    together = ask("proxy=params", "archs=[c4,c8]", "run=a")
    assert together.code == 2
    assert same in together.err

    assert ask("proxy=params", "archs=[c4]", "run=a").code == 0
    later = ask("proxy=params", "archs=[c8]", "run=a")
    assert later.code == 2
    assert "architectures 'c8' and 'c4' have the same index" in later.err

    reused = ask("proxy=params", "archs=[c8]", "run=b", "reuse=results")
    assert "taken over" not in reused.err
    assert read_scores("results/b")["arch"].tolist() == ["c8"]

    assert ask("proxy=params", "archs=[c8]", "run=other", "shard=0/1").code == 0
    os.rename("results/other/shards", "results/a/shards")
    merged = asked(merge, "nasbench-merge", "results/a")
    assert merged.code == 2
    assert same in merged.err
    assert read_scores("results/a")["arch"].tolist() == ["c4"]


def test_without_accuracies_there_is_no_report(ask: Ask, asked: Asked) -> None:
    answer = ask("proxy=params", "n=2", "run=a")
    assert "no accuracies of open_chains on cifar10 are known to report against" in answer.err
    refused = asked(report, "nasbench-report", "results/a")
    assert refused.code == 2
    assert "no accuracies of open_chains are known: nasbench-train space=open_chains" in refused.err


def test_accuracies_are_joined_by_text(ask: Ask, asked: Asked) -> None:
    few = ["train_images=60", "val_images=30", "test_images=30", "epochs=1", "seeds=[0,1]"]
    made = asked(train, "nasbench-train", *FAST[:3], *few, "n=8", "run=bench")
    assert made.code == 0, made.err
    truth = ["truth=results/bench", "device=cpu", "workers=0", "reuse=none"]
    scored = asked(score, "nasbench-score", *truth, *SMALL[:1], "proxy.batch_size=4", "n=all", "run=a")
    assert scored.code == 0, scored.err
    assert "next: nasbench-report results/a" in scored.err
    table = load_truth("results/bench")
    assert list(load_scores("results/a").index) == list(table.index)
    answer = asked(report, "nasbench-report", "results/a", "--figures", "none", "--format", "html")
    assert answer.code == 0, answer.err
    assert "Correlations of 8 architectures" in answer.out
    metrics = pd.read_csv("results/a/tables/benchmark.csv")
    expected = load_scores("results/a")["params"].corr(table["digits_test"], method="kendall")
    row = metrics[(metrics["proxy"] == "params") & (metrics["split"] == "test")]
    assert row["kendall_tau"].tolist() == pytest.approx([expected], rel=1e-5)
    assert asked(verify, "nasbench-verify", "results/a").code == 0

    named = asked(
        score, "nasbench-score", *truth, "proxy=params", f"archs=[{table['arch'].iloc[3]}]", "run=b"
    )
    assert named.code == 0, named.err
    other = asked(score, "nasbench-score", *truth, "proxy=params", "archs=[c8-c8-c8-c8-c8-c8]", "run=b")
    assert "not among the 8 architectures of truth=results/bench" in other.err
    live = asked(report, "nasbench-report", "results/a", "--cells", "live")
    assert "open_chains does not tell which architectures are live; use --cells all" in live.err


def test_a_killed_run_is_taken_up_where_it_stopped(tmp_path: Path) -> None:
    information = tmp_path / "site" / "toy-1.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1\n")
    (information / "entry_points.txt").write_text(
        "[nasbench_eval.spaces]\nopen_chains = open_chains:OpenChains\n"
    )
    (information / "RECORD").write_text("")
    words = [*FAST[:2], "workers=1", "reuse=none", "save_every=0", "n=40", *SMALL]
    start = partial(
        subprocess.Popen,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "site"), *sys.path])},
        stderr=subprocess.PIPE,
        text=True,
    )
    command = [sys.executable, "-c", "import sys; from nasbench_eval.cli import score; sys.exit(score())"]
    killed = start([*command, *words, "run=a"], start_new_session=True)
    scores = tmp_path / "results" / "a" / "scores"
    for _ in range(600):
        if len(list(scores.rglob("part-*.parquet"))) > 2:
            break
        time.sleep(0.05)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    before = len(list(scores.rglob("part-*.parquet")))
    assert before > 2
    assert "finished" not in json.loads((tmp_path / "results/a/run.json").read_text())
    again, whole = (start([*command, *words, f"run={name}"]) for name in ("a", "whole"))
    said = again.communicate()[1]
    assert again.returncode == 0, said
    whole.communicate()
    scored_now = re.search(r"(\d+) cells? scored now", said)
    assert scored_now is not None
    assert int(scored_now[1]) < 40
    assert digest(tmp_path / "results" / "a") == digest(tmp_path / "results" / "whole")
