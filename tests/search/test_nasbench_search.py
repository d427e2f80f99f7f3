"""`nasbench-search` as its users meet it: histories, resuming, stored scores, one-line errors."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commands import Ask, Asked
from commands import scored as score_into
from histories import history

import nasbench_eval
from nasbench_eval.sampling import cells_of
from nasbench_eval.search import command, oracle
from nasbench_eval.search.stored import column_of
from nasbench_eval.spaces.nasbench201 import NASBench201
from nasbench_eval.truth import guiding, short
from nasbench_eval.verify.cli import main as verify

SMALL = ["space.channels=4", "space.cells_per_stage=1", "device=cpu", "guide=naswot", "seeds=2", "steps=14"]
SMALL += ["algorithm.population=4", "proxy.batch_size=4", "proxy.resolution=8", "proxy.input=gaussian"]
SUPERNET = ["space=nasbench201_supernet", "space.channels=3", "space.cells_per_stage=1", "device=cpu"]
CELLS = NASBench201()


def scored(folder: Path, *arguments: str) -> None:
    """Score small networks into a folder of runs that may not be there yet."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    score_into(folder, *arguments)


def same(one: Path | str, other: Path | str) -> None:
    pd.testing.assert_frame_equal(history(one), history(other), check_exact=True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ray=auto", "workers=0"], "ray= has workers score, and workers=0 has none"),
        (["ray=auto", "reuse=only"], "ray=auto: this search scores nothing that a cluster could help with"),
        (["ray=auto", "ray_gpus=1"], "ray_gpus=1: GPUs are used with device=cuda, here it is cpu"),
        (["ray=auto", "ray_gpus=1.5", "device=cuda"], "ray_gpus=1.5: above 1 Ray gives whole GPUs alone"),
        (["ray_gpus=1"], "ray_gpus= is about workers on a Ray cluster, which ray=ADDRESS names"),
    ],
)
def test_a_cluster_that_nothing_would_be_done_on(ask: Ask, arguments: list[str], said: str) -> None:
    answer = ask(*SMALL, *arguments)
    assert (answer.code, said in answer.err) == (2, True), answer.err


def test_a_cluster_without_ray(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    answer = ask(*SMALL, "ray=auto")
    assert answer.code == 2
    assert "ray= needs Ray: pip install 'nasbench_eval[ray]' here and on every node" in answer.err


def test_a_search_leaves_a_history_and_can_go_on(ask: Ask) -> None:
    first = ask(*SMALL, "run=whole", "workers=0")
    assert first.code == 0, first.err
    assert "regularized_evolution guided by naswot on cifar10, 2 seeds of 14 steps" in first.err
    found = history("results/whole")
    assert found.groupby("seed")["step"].apply(list).tolist() == [list(range(14))] * 2
    told, best = found[column_of("naswot")], found.groupby("seed")[column_of("naswot")].cummax()
    by_cell = dict(zip(found["index"], told, strict=True))
    assert [by_cell[index] for index in found["incumbent_index"]] == best.tolist()
    record = json.loads(Path("results/whole/run.json").read_text())
    assert record["search"]["algorithm"]["population"] == 4
    assert record["search"]["budget"]["evaluations"] == 14

    assert ask(*SMALL, "run=short", "workers=0", "steps=6").code == 0
    assert ask(*SMALL, "run=short", "workers=0").code == 0
    same("results/whole", "results/short")


def test_where_the_steps_decide_the_schedule_more_of_them_are_another_search(ask: Ask) -> None:
    options = [o for o in SMALL if not o.startswith(("guide", "algorithm", "steps"))]
    options += ["algorithm=successive_halving", "guide=[flops,naswot]", "workers=0", "run=a"]
    assert ask(*options, "steps=12").code == 0
    assert history("results/a")["told_naswot"].isna().sum() == 2 * 9
    answer = ask(*options, "steps=16")
    assert answer.code == 2
    assert "its schedule is 12, now 16" in answer.err


@pytest.mark.parametrize("lag", [1, 3])
def test_workers_and_their_number_change_nothing(ask: Ask, lag: int) -> None:
    for workers in (0, 2):
        command = [*SMALL, "reuse=none", f"lag={lag}", f"workers={workers}", f"run=w{workers}"]
        assert ask(*command).code == 0
    same("results/w0", "results/w2")


def test_a_lag_is_part_of_the_result(ask: Ask) -> None:
    for lag in (1, 4):
        assert ask(*SMALL, f"lag={lag}", f"run=lag{lag}", "workers=0").code == 0
    assert not history("results/lag1").equals(history("results/lag4"))


def test_killed_at_any_moment_it_comes_to_the_same_history(ask: Ask, tmp_path: Path) -> None:
    slow = [*SMALL, "reuse=none", "lag=2", "workers=2", "save_every=0"]
    assert ask(*slow, "run=whole").code == 0
    body = "import sys; from nasbench_eval.cli import search; sys.exit(search())"
    command = [sys.executable, "-c", body, *slow, "run=cut"]
    for _ in range(2):
        process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
        parts, deadline = tmp_path / "results/cut/history", time.monotonic() + 60
        before = len(list(parts.glob("part-*")))
        while process.poll() is None and len(list(parts.glob("part-*"))) <= before + 2:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert ask(*slow, "run=cut").code == 0
    same("results/whole", "results/cut")
    assert [file.name for file in (tmp_path / "results/cut/history").iterdir()] == ["part-0000000.parquet"]


def test_a_damaged_history_is_set_aside_and_searched_again(ask: Ask) -> None:
    assert ask(*SMALL, "run=a", "workers=0").code == 0
    before = history("results/a")
    file = Path("results/a/history/part-0000000.parquet")
    file.write_bytes(file.read_bytes()[:-100])
    again = ask(*SMALL, "run=a", "workers=0")
    assert again.code == 0
    assert "part-0000000.parquet is damaged" in again.err
    pd.testing.assert_frame_equal(before, history("results/a"), check_exact=True)


def test_seeds_do_not_see_each_other(ask: Ask) -> None:
    assert ask(*SMALL, "run=two", "workers=0").code == 0
    assert ask(*SMALL, "run=one", "workers=0", "seeds=[1]").code == 0
    both = history("results/two")
    pd.testing.assert_frame_equal(
        both[both["seed"] == 1].reset_index(drop=True), history("results/one"), check_exact=True
    )


def test_stored_scores_cost_nothing_and_change_nothing(ask: Ask, tmp_path: Path) -> None:
    options = ["proxy=naswot", "proxy.batch_size=4", "proxy.resolution=8", "proxy.input=gaussian"]
    scored(tmp_path / "results/all", *options, "n=60")
    narrow = [*SMALL, "n=60"]
    live = ask(*narrow, "run=live", "reuse=none", "workers=0")
    assert live.code == 0, live.err
    stored = ask(*narrow, "run=stored", "reuse=only")
    assert stored.code == 0, stored.err
    assert "60 scores known from all (60)" in stored.err
    same("results/live", "results/stored")
    drawn = set(pd.read_parquet("results/all/scores")["index"])
    assert set(history("results/stored")["index"]) <= drawn
    assert not list(Path("results/stored/scores").rglob("*.parquet"))
    record = json.loads(Path("results/stored/run.json").read_text())
    assert set(cells_of(record["search"]["members"])) == drawn


def test_a_missing_score_is_told_with_its_cells(ask: Ask, tmp_path: Path) -> None:
    options = ["proxy=naswot", "proxy.batch_size=4", "proxy.resolution=8", "proxy.input=gaussian"]
    scored(tmp_path / "results/few", *options, "indices=range(0,60)")
    answer = ask(*SMALL, "run=a", "reuse=only")
    assert answer.code == 2
    [line] = [line for line in answer.err.splitlines() if line.startswith("error")]
    assert "no scores of naswot for cell" in line
    assert "the runs at hand have 60 of 15,625" in line
    # Other options, another seed, another data set: none of them is the same score.
    for number, other in enumerate(("proxy.batch_size=8", "seed=1", "dataset=[cifar100]")):
        assert "have 0 of 15,625" in ask(*SMALL, f"run=b{number}", "reuse=only", other).err


def test_a_failure_ranks_lowest_and_is_told_once(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    from nasbench_eval.proxies import naswot

    def broken(self: object, records: object) -> dict[str, float]:
        raise RuntimeError("no score")

    monkeypatch.setattr(naswot.PROXY, "score", broken)
    assert ask(*SMALL, "run=a", "workers=0").code == 0
    found = history("results/a")
    assert found[column_of("naswot")].isna().all()
    assert found["incumbent_index"].ge(0).all()


def test_budgets_end_each_seed_for_itself(ask: Ask, accuracies: np.ndarray) -> None:
    options = ["guide=val", "algorithm=random", "seeds=3", "steps=1000"]
    assert ask(*options, "simulated_seconds=500", "run=a").code == 0
    found = pd.read_parquet("results/a/history")
    spent = found.groupby("seed")["simulated_seconds"].cumsum()
    last = found["step"] == found.groupby("seed")["step"].transform("max")
    assert (spent[last] >= 500).all()
    assert (spent[~last] < 500).all()
    assert found[last]["step"].nunique() > 1
    assert ask(*options, "simulated_seconds=500", "run=a").code == 0  # nothing is left to do
    pd.testing.assert_frame_equal(found, pd.read_parquet("results/a/history"))


def test_an_oracle_finds_the_best_validation_accuracy(ask: Ask, accuracies: np.ndarray) -> None:
    assert ask("guide=val", "seeds=20", "steps=800", "run=a").code == 0
    found = history("results/a")
    last = found[found["step"] == 799]
    assert accuracies[last["incumbent_index"]].mean() > np.sort(accuracies)[-100]


TE_NAS = [*SUPERNET, "algorithm=prune", "guide=[ntk_condition,expressivity]", "workers=0", "seeds=2"]
TE_NAS += ["proxy.batch_size=4", "proxy.resolution=8", "proxy.ntk_condition.input=gaussian"]


def test_a_supernet_is_pruned_to_a_cell_that_the_report_knows(ask: Ask, asked: Asked) -> None:
    first = ask(*TE_NAS, "run=a")
    assert first.code == 0, first.err
    found = history("results/a")
    assert found.groupby("seed").size().tolist() == [58, 58]
    assert found["index"].max() < 2**31
    supernets = found[found["step"].isin([0, 25, 44, 57])].sort_values(["seed", "step"])["arch"].tolist()
    assert [text.count(",") for text in supernets] == [18, 12, 6, 0] * 2
    cell = found["incumbent"].iloc[-1]
    assert cell == supernets[-1]
    assert CELLS.format(CELLS.parse(cell)) == cell

    assert ask(*TE_NAS, "run=a").code == 0  # nothing is left to do
    pd.testing.assert_frame_equal(found, history("results/a"), check_exact=True)
    cut = [*TE_NAS, "run=b", "save_every=0"]
    assert ask(*cut, "steps=30").code == 0
    assert ask(*cut).code == 0
    same("results/a", "results/b")
    late = ask(*TE_NAS, "run=c", "lag=5", "reuse=results")
    assert late.code == 0, late.err
    again = history("results/c")
    assert again["incumbent"].iloc[-1] == cell
    assert again["step"].max() > 57

    good = asked(verify, "nasbench-verify", "results/a")
    assert good.code == 0, good.out
    ends = nasbench_eval.load_search("results/a", truth=False)
    assert ends["index"].tolist() == [CELLS.index(CELLS.parse(cell))] * 2
    trials = nasbench_eval.load_search("results/a", truth=False, history=True)
    assert (trials["incumbent_index"] >= 0).sum() == 2 * 2
    assert (trials["index"] >= 0).sum() == 2


def test_cells_of_a_supernet_share_their_weights(ask: Ask) -> None:
    options = [*SUPERNET, "space.masks=single", "algorithm=reinforce", "guide=snip", "seeds=2", "steps=5"]
    options += ["proxy.batch_size=4", "proxy.resolution=8", "proxy.input=gaussian", "workers=0"]
    told = {}
    for weights in ("shared", "own"):
        answer = ask(*options, f"space.weights={weights}", f"run={weights}")
        assert answer.code == 0, answer.err
        told[weights] = history(f"results/{weights}")
        assert told[weights]["index"].max() < 15_625
        for index, text in zip(told[weights]["index"], told[weights]["arch"], strict=True):
            assert CELLS.format(CELLS.arch(index)) == text
    first = [frame[frame["step"] == 0] for frame in told.values()]
    assert first[0]["arch"].tolist() == first[1]["arch"].tolist()
    assert first[0][column_of("snip")].tolist() != first[1][column_of("snip")].tolist()


def test_a_guide_sees_no_test_accuracy(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the test accuracies are, every guide of accuracies leads to the same history."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"cifar10_val": rng.uniform(10, 90, 15625)})
    monkeypatch.setattr(oracle, "data_folder", lambda data: Path())
    monkeypatch.setattr(short, "training_seconds", lambda *names: (np.ones(15625), np.zeros(15625, bool)))
    for number in range(2):
        for column in ("cifar10_test", "cifar10_test_run0", "cifar100_test"):
            table[column] = rng.permutation(table["cifar10_val"])
        monkeypatch.setattr(guiding, "load_table", lambda *names: table)
        assert ask("guide=val", "seeds=3", "steps=60", f"run={number}").code == 0
    same("results/0", "results/1")


def test_it_goes_on_from_another_search(ask: Ask) -> None:
    assert ask(*SMALL, "run=parent", "workers=0").code == 0
    fork = ["fork=results/parent", "fork_step=8", "seeds=[5,6]", "steps=12"]
    child = ask(*SMALL, *fork, "run=child", "workers=0")
    assert child.code == 0, child.err
    parent, found = history("results/parent"), history("results/child")
    begin = parent[(parent["seed"] == 0) & (parent["step"] < 8)]["index"].tolist()
    for seed in (5, 6):
        assert found[(found["seed"] == seed) & (found["step"] < 8)]["index"].tolist() == begin
    ends = [found[(found["seed"] == seed) & (found["step"] >= 8)]["index"].tolist() for seed in (5, 6)]
    assert ends[0] != ends[1]
    assert (
        "fork_step=99: the history in results/parent has 14 steps"
        in ask(*SMALL, "fork=results/parent", "fork_step=99", "run=late", "workers=0").err
    )


def test_verify_replays_the_history(ask: Ask, asked: Asked) -> None:
    assert ask(*SMALL, "run=a", "workers=0", "lag=2").code == 0
    good = asked(verify, "nasbench-verify", "results/a", "--no-scores")
    assert good.code == 0, good.out
    assert "replay      proposed and answered again to the bit" in good.out
    file = Path("results/a/history/part-0000000.parquet")
    frame = pd.read_parquet(file)
    frame.loc[frame["step"] == 9, "index"] = frame["index"].iloc[0]
    frame.to_parquet(file)
    bad = asked(verify, "nasbench-verify", "results/a", "--no-scores")
    assert bad.code == 1
    assert "the proposal of seed 0 at step 9 is not what the algorithm makes of the history" in bad.out


@pytest.mark.parametrize("lag", [1, 3])
def test_verify_replays_the_last_answer_too(ask: Ask, asked: Asked, lag: int) -> None:
    assert ask(*SMALL, "run=a", "workers=0", f"lag={lag}").code == 0
    file = Path("results/a/history/part-0000000.parquet")
    frame = pd.read_parquet(file)
    last = (frame["step"] == 13) & (frame["seed"] == 1)
    frame.loc[last, "incumbent_index"] = 5
    frame.to_parquet(file)
    bad = asked(verify, "nasbench-verify", "results/a", "--no-scores")
    assert bad.code == 1
    assert "the answer of seed 1 at step 13 is not what the algorithm makes of the history" in bad.out


@pytest.mark.parametrize("fault", ["twice", "another seed", "text"])
def test_an_odd_history_is_told_in_one_line(ask: Ask, asked: Asked, fault: str) -> None:
    assert ask(*SMALL, "run=a", "workers=0").code == 0
    file = Path("results/a/history/part-0000000.parquet")
    frame = pd.read_parquet(file)
    if fault == "twice":
        frame = pd.concat([frame, frame.head(1)])
    elif fault == "another seed":
        frame.loc[frame["seed"] == 1, "seed"] = 7
    else:
        frame["step"] = frame["step"].astype(str)
    frame.to_parquet(file)
    bad = asked(verify, "nasbench-verify", "results/a", "--no-scores")
    assert bad.code == 1
    [line] = [line for line in bad.out.splitlines() if "  history  " in line]
    assert "FAIL" in line


def test_a_fork_goes_on_with_what_the_same_guide_told(ask: Ask) -> None:
    assert ask(*SMALL, "run=parent", "workers=0").code == 0
    fork = ["fork=results/parent", "fork_step=3", "workers=0"]
    others = {"proxy.batch_size=8": "proxies", "dataset=[cifar100]": "datasets", "seed=3": "seed"}
    for number, (other, what) in enumerate(others.items()):
        answer = ask(*SMALL, *fork, other, f"run=child{number}")
        assert answer.code == 2
        assert f"that search was told of other {what} than this one" in answer.err
        assert not Path(f"results/child{number}").exists(), "nothing that the right command would trip over"


def test_proxies_have_the_options_that_a_run_scored_them_with(ask: Ask, tmp_path: Path) -> None:
    options = ["proxy.batch_size=4", "proxy.resolution=8", "proxy.input=gaussian"]
    scored(tmp_path / "results/all", "proxy=[naswot,params]", *options, "n=60")
    small = [*(each for each in SMALL if each not in options and not each.startswith("guide=")), "n=60"]
    from_run = [*small, "options_from=results/all", "reuse=only"]
    assert ask(*from_run, "guide=naswot", "run=like").code == 0
    assert ask(*SMALL, "n=60", "reuse=only", "run=said").code == 0
    same("results/like", "results/said")
    # Of two runs that hold the scores, the one that is named gives them, whatever the others are called.
    shutil.copytree("results/all", "results/a_copy")
    assert ask(*from_run, "guide=naswot", "run=named").code == 0
    assert json.loads(Path("results/named/run.json").read_text())["search"]["whence"] == ["all: 60 scores"]
    told = ask(*small, "options_from=results/a_copy", "reuse=only", "guide=naswot", "run=named")
    assert (told.code, 'its options_from is "all", now "a_copy"' in told.err) == (2, True), told.err
    # Wherever it lies.
    shutil.move("results/a_copy", "elsewhere")
    shutil.move("results/all", "all")
    from_there = [*small, "options_from=elsewhere", "reuse=only"]
    assert ask(*from_there, "guide=naswot", "run=there").code == 0
    record = json.loads(Path("results/there/run.json").read_text())
    assert (record["search"]["whence"], record["search"]["options_from"]) == (
        ["elsewhere: 60 scores"],
        "elsewhere",
    )
    shutil.move("all", "results/all")
    assert ask(*from_run, "guide=[naswot,params]", "run=both").code == 0
    told = ask(*from_run, "guide=naswot", "proxy.batch_size=8", "run=other")
    assert (told.code, "the runs at hand have 0 of" in told.err) == (2, True), told.err
    told = ask(*from_run, "guide=[naswot,intrain]", "run=more")
    assert told.code == 2
    assert "options_from=results/all: that run has no intrain; it has naswot, params" in told.err
    told = ask(*small, "guide=naswot", "options_from=results/none")
    assert (told.code, "results/none/run.json cannot be read" in told.err) == (2, True), told.err


def test_of_another_packages_proxy_scores_of_other_code_are_not_taken(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A version answers for a formula of this package alone."""
    options = ["proxy=naswot", "proxy.batch_size=4", "proxy.resolution=8", "proxy.input=gaussian"]
    scored(tmp_path / "results/all", *options, "n=60")
    record = Path("results/all/run.json")
    now = json.loads(record.read_text())
    only = [*SMALL, "n=60", "reuse=only"]

    def claim(**changes: object) -> None:
        record.write_text(json.dumps({**now, **changes}))

    claim(sources={**now["sources"], "naswot": "other"})
    assert ask(*only, "run=ours").code == 0
    whence = json.loads(Path("results/ours/run.json").read_text())["search"]["whence"]
    assert whence == ["all: 60 scores"]
    monkeypatch.setattr(command, "foreign", lambda cls: cls.__name__ == "Naswot")
    claim()
    assert ask(*only, "run=same").code == 0
    for changes in ({"sources": {**now["sources"], "naswot": "other"}}, {"sources": {}}):
        claim(**changes)
        assert "the runs at hand have 0 of" in ask(*only, "run=changed").err
    claim(mixed=["naswot"])
    assert "the runs at hand have 0 of" in ask(*only, "run=changed").err


def test_options_are_shown_without_images(ask: Ask) -> None:
    answer = ask("guide=teg", "--cfg", "job")
    assert answer.code == 0, answer.err
    assert "reads images of cifar10" in ask("guide=teg", "reuse=none").err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["guide=inttrain"], "unknown guide 'inttrain'; did you mean intrain"),
        (["algorithm=evolutoin_teg"], "unknown algorithm 'evolutoin_teg'; did you mean evolution_teg?"),
        (["algorithm.populatoin=3"], "unknown option 'algorithm.populatoin'"),
        (["steps=0"], "steps=0 will not do; it should be at least 1"),
        (["lag=0"], "lag=0 will not do"),
        (["proxy_seconds=0"], "proxy_seconds=0 will not do"),
        (["seeds=0"], "seeds=0 will not do"),
        (["seeds=[1,1]"], "name at least one, and each once"),
        (["guide=[val,intrain]"], "guide=val guides alone"),
        (["guide=val", "proxy.batch_size=3"], "guide=val has no options; leave proxy.batch_size= out"),
        (["dataset=[cifar10,cifar100]"], "a search is on one data set; -m dataset=cifar10,cifar100"),
        (["experiment=table1"], "experiment=table1 is one of nasbench-score"),
        (
            ["space=nasbench101", "algorithm=reinforce"],
            "algorithm=reinforce needs a space whose architectures",
        ),
        (["space=nasbench101", "mutation=node"], "mutation=node is for nasbench201"),
        (["algorithm=prune"], "needs a supernet with all of its masks: space=nasbench201_supernet"),
        ([*SUPERNET, "algorithm=prune", "space.masks=single"], "needs a supernet with all of its masks"),
        ([*SUPERNET, "space.weights=none"], "weights=none will not do; it should be shared or own"),
        ([*SUPERNET, "algorithm=prune", "algorithm.prune=0"], "prune is at least 1"),
        (["fork=results/x"], "fork= and fork_step= go together"),
        (["fork=results/x", "fork_step=3"], "fork=results/x: there is no history of a search"),
        (["simulated_seconds=9"], "simulated_seconds= never ends a search guided by flops"),
        (["guide=val", "proxy_seconds=9"], "proxy_seconds= never ends a search guided by val"),
        (["n=20000"], "n=20000: the space has 15625 architectures"),
        (["n=0"], "n=0 will not do"),
        (["algorithm.sample=0"], "population and sample are at least 1"),
        (["truth=digits", "guide=accuracy_12"], "truth=digits has val"),
    ],
)
def test_mistakes_are_one_line(ask: Ask, options: list[str], said: str) -> None:
    answer = ask("guide=flops", "workers=0", "reuse=none", *options)
    assert answer.code == 2
    [line] = answer.err.splitlines()[-1:]
    assert line.startswith("error: ")
    assert said in line


def test_a_folder_of_another_search_is_refused(ask: Ask) -> None:
    assert ask(*SMALL, "run=a", "workers=0").code == 0
    answer = ask(*SMALL, "run=a", "workers=0", "algorithm.population=5")
    assert answer.code == 2
    assert "holds another search: its algorithm is" in answer.err
    other = ask(*SMALL, "run=a", "workers=0", "n=50")
    assert other.code == 2
    assert 'holds another search: its n is "all", now 50' in other.err
    before = history("results/a")
    for more in ("steps=14", "steps=20"):
        elsewhere = ask(*SMALL, "run=a", "workers=0", "dataset=[cifar100]", more)
        assert elsewhere.code == 2
        assert 'its dataset is "cifar10", now "cifar100"' in elsewhere.err
    pd.testing.assert_frame_equal(history("results/a"), before)
    assert list(json.loads(Path("results/a/run.json").read_text())["datasets"]) == ["cifar10"]


def test_a_run_of_scores_is_no_search(ask: Ask, tmp_path: Path) -> None:
    scored(tmp_path / "results/all", "proxy=naswot", "proxy.input=gaussian", "indices=[1,2]")
    answer = ask(*SMALL, "run=all", "workers=0")
    assert answer.code == 2
    assert "results/all holds no search; choose another folder" in answer.err
    assert ask(*SMALL, "run=searched", "workers=0").code == 0
    with pytest.raises(SystemExit):
        scored(tmp_path / "results/searched", "proxy=naswot", "proxy.input=gaussian", "indices=[1,2]")


@pytest.fixture
def accuracies(monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Validation accuracies of a made-up benchmark, and a hundred seconds a training or so."""
    rng = np.random.default_rng(0)
    values, seconds = rng.uniform(10, 90, 15625), rng.uniform(50, 150, 15625)
    monkeypatch.setattr(oracle, "data_folder", lambda data: Path())
    monkeypatch.setattr(guiding, "validation", lambda *names: values)
    monkeypatch.setattr(short, "training_seconds", lambda *names: (seconds, np.zeros(15625, bool)))
    return values
