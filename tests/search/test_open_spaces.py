"""Searches in open spaces: their moves, the two evolutions of the MobileNetV2 papers, histories, reports."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commands import Ask, Asked
from histories import history
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

from nasbench_eval import load_search
from nasbench_eval.errors import UsageError
from nasbench_eval.search import elite
from nasbench_eval.search.algorithms.aznas import AZNAS
from nasbench_eval.search.algorithms.base import Problem
from nasbench_eval.search.algorithms.zen import Zen
from nasbench_eval.search.drawn import Drawn
from nasbench_eval.search.draws import Draws
from nasbench_eval.search.elite import Elite
from nasbench_eval.search.guide import ByRanks, ByValue, Judge
from nasbench_eval.search.history import Past, Values
from nasbench_eval.spaces.mobilenetv2 import START, MobileNetV2
from nasbench_eval.spaces.open import Known, known
from nasbench_eval.verify.cli import main as verify

LIMIT = 450_000_000
FREE = ["space=mobilenetv2", f"space.max_flops={LIMIT}", "dataset=imagenet1k", "device=cpu", "workers=0"]
FREE += ["algorithm=aznas", "algorithm.population=20", "guide=flops", "seeds=2", "steps=60"]
PASSES = ["guide=naswot", "proxy.batch_size=2", "proxy.resolution=32", "proxy.input=gaussian", "steps=8"]


def space(**options: int) -> Known:
    found = known(MobileNetV2(**{"max_flops": LIMIT, **options}), ())
    assert isinstance(found, Known)
    return found


def played(algorithm: AZNAS | Zen, within: Known, steps: int, judge: Judge, seeds: int = 2) -> Past:
    """A search that is told FLOPs of each architecture, once for each value of the judge."""
    running = algorithm.begin(Problem(Drawn(within), judge, seeds, steps))
    draws = Draws(0, range(seeds), running.uniforms)
    archs_TS = np.zeros((steps, seeds), np.int64)
    values_TSV = np.zeros((steps, seeds, len(judge.values)))
    free = MobileNetV2()
    for step in range(steps):
        archs_TS[step] = running.propose(Past(archs_TS[:step], values_TSV[:step]), draws.of(step))
        flops = [free.budgeted(within.arch(int(arch))) for arch in archs_TS[step]]
        values_TSV[step] = np.array(flops)[:, None]
    return Past(archs_TS, values_TSV)


ONE = ByValue(("flops",))


# Elites and ranks


def by_hand(judge: Judge, values_TV: Values) -> Values:
    """The fitness of all, of the ranks that SciPy gives the whole archive."""
    values_TV = np.where(np.isnan(values_TV), -np.inf, values_TV)
    if isinstance(judge, ByRanks):
        ranks = rankdata(values_TV, axis=0)
        fitness = np.log(ranks / len(ranks)).sum(1) if judge.rank == "log" else ranks.sum(1)
    else:
        fitness = values_TV[:, 0]
    return fitness.round(9)  # sums of other logarithms may come to the same but for the last bits


@given(
    st.sampled_from([ONE, ByRanks(("a", "b", "c")), ByRanks(("a", "b"), "log")]),
    st.integers(0, 10**6),
    st.integers(1, 12),
    st.lists(st.integers(1, 9), min_size=1, max_size=8),
    st.sampled_from([3, 20, elite.FEW]),
    st.sampled_from([1, 7, elite.HORIZON]),
)
@settings(max_examples=150, deadline=None)
def test_an_elite_is_that_of_a_full_ranking(
    judge: Judge, seed: int, size: int, told: list[int], few: int, horizon: int
) -> None:
    """However large an archive is ranked as a whole, and however seldom it is asked who may get there."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 6, (sum(told), 2, len(judge.values))).astype(float)
    values[rng.random(values.shape) < 0.1] = np.nan
    best, sofar = Elite(judge, 2, size, few), 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(elite, "HORIZON", horizon)
        for number in told:
            sofar += number
            best.extend(values[:sofar])
            for place in range(2):
                found = [best.step(place, at) for at in range(len(best))]
                fitness = by_hand(judge, values[:sofar, place])
                order = sorted(range(sofar), key=lambda step: (-fitness[step], step))[:size]
                assert fitness[found].tolist() == fitness[order].tolist()
                assert len(set(found)) == len(found)
                if getattr(judge, "rank", None) != "log":
                    assert found == order


# Algorithms


@pytest.mark.parametrize("judge", [ONE, ByRanks(("a", "b"), "log")])
def test_an_evolution_fills_its_budget_and_never_leaves_it(judge: Judge) -> None:
    within, free = space(), MobileNetV2()
    past = played(AZNAS(population=30), within, 250, judge)
    start = free.budgeted(free.parse(START))
    assert (past.values_TSV <= LIMIT).all()
    assert (past.values_TSV.max((0, 2)) > 0.97 * LIMIT).all()
    assert max(within.arch(int(arch)).layers for arch in past.archs_TS.flat) <= 14
    assert (past.values_TSV[:11].min((0, 2)) != start).all()  # the start itself is no candidate


def test_no_network_is_proposed_twice() -> None:
    within = space()
    past = played(AZNAS(population=5), within, 200, ONE)
    for archs in past.archs_TS.T.tolist():
        networks = {within.format(within.canonical(within.arch(arch))) for arch in archs}
        assert len(networks) == len(archs)


def test_with_a_lower_limit_a_search_goes_up_to_it_and_stays() -> None:
    within = space(min_flops=400_000_000)
    flops_TS = played(AZNAS(population=10), within, 150, ONE).values_TSV[..., 0]
    assert (flops_TS[-30:] >= 400_000_000).all()
    assert flops_TS[0].max() < 400_000_000


def test_zen_s_tries_count_and_the_worst_of_its_population_leaves() -> None:
    within = space()
    past = played(Zen(population=12), within, 400, ONE)
    for seed in range(2):
        archs, flops = past.archs_TS[:, seed].tolist(), past.values_TSV[:, seed, 0]
        assert len(set(archs)) < len(archs), "a try that fails is its parent once more"
        population: list[tuple[float, int]] = []
        for step, arch in enumerate(archs):
            parents = {archs[at] for _, at in population}
            if arch in archs[:step]:  # nothing new: it can only be a parent, or what was met before
                continue
            if arch != within.index(within.parse(START)):
                population.append((flops[step], step))
            if len(population) > 12:
                population.remove(min(population))
            assert parents or step < 12
        assert min(population)[0] > np.median(flops)


def test_a_failed_try_costs_nothing(ask: Ask) -> None:
    """On the clock of proxy seconds either: its trial is an architecture that was paid for before."""
    zen = [o for o in FREE if not o.startswith("algorithm")] + ["algorithm=zen", "algorithm.population=4"]
    assert ask(*zen, *PASSES, "steps=40", "seeds=1", "run=zen").code == 0
    frame = pd.read_parquet("results/zen/history").astype({"arch": str})
    again = frame["arch"].duplicated()
    assert again.any()
    assert (frame.loc[again, "proxy_seconds"] == 0).all()
    assert (frame.loc[~again, "proxy_seconds"] > 0).all()


def test_a_space_with_candidates_has_to_tell_its_limits() -> None:
    class Careless(MobileNetV2):
        beyond = None  # type: ignore[assignment]

    careless = known(Careless(), ())
    assert isinstance(careless, Known)
    with pytest.raises(UsageError, match="has `candidate`, but not `beyond` or `start`"):
        Drawn(careless)


def test_a_start_is_named_by_its_text() -> None:
    zen400 = (
        "SuperConvK3BNRELU(3,16,2,1)SuperResIDWE1K7(16,40,2,40,1)SuperResIDWE1K7(40,64,2,64,1)"
        "SuperResIDWE4K7(64,96,2,96,5)SuperResIDWE2K7(96,224,2,224,5)SuperConvK1BNRELU(224,2048,1,1)"
    )
    within = space()
    past = played(AZNAS(start=zen400), within, 10, ONE)
    named = within.parse(zen400)
    for arch in past.archs_TS.flat:  # one draw changes one block, and cuts it in two at most
        here = within.arch(int(arch))
        assert sum(block not in named.blocks for block in here.blocks) <= 3
    with pytest.raises(UsageError, match="is beyond the limits: it has 399,976,216 FLOPs, max_flops=3"):
        played(AZNAS(start=zen400), space(max_flops=300_000_000), 1, ONE)
    with pytest.raises(UsageError, match=r"algorithm.start=.*widths do not chain"):
        played(AZNAS(start=zen400.replace("(16,40", "(24,40")), within, 1, ONE)


# The command


def test_a_search_leaves_a_history_that_verify_repeats(ask: Ask, asked: Asked) -> None:
    assert ask(*FREE, "run=whole").code == 0
    assert ask(*FREE, "run=cut", "steps=23").code == 0
    assert ask(*FREE, "run=cut").code == 0
    pd.testing.assert_frame_equal(history("results/whole"), history("results/cut"), check_exact=True)
    assert history("results/whole")["index"].dtype == np.int64
    checked = asked(verify, "nasbench-verify", "results/cut")
    assert checked.code == 0, checked.out
    assert "proposed and answered again to the bit" in checked.out


def test_workers_learn_the_architectures_that_a_search_meets(ask: Ask) -> None:
    for workers in (0, 2):
        answer = ask(*FREE, *PASSES, "lag=2", "reuse=none", f"run=w{workers}", f"workers={workers}")
        assert answer.code == 0, answer.err
    pd.testing.assert_frame_equal(history("results/w0"), history("results/w2"), check_exact=True)
    assert history("results/w2")["told_naswot"].notna().all()


def test_scores_of_a_search_are_known_to_the_next(ask: Ask) -> None:
    assert ask(*FREE, "run=a").code == 0
    again = ask(*FREE, "run=b", "algorithm=zen", "reuse=only")
    assert again.code == 2
    assert "no scores of flops for cell" in again.err
    assert "; reuse=results scores what is missing" in again.err
    same = ask(*FREE, "run=c", "reuse=only")
    assert same.code == 0, same.err
    pd.testing.assert_frame_equal(history("results/a"), history("results/c"), check_exact=True)


def test_a_history_under_another_index_is_set_aside(ask: Ask, asked: Asked) -> None:
    assert ask(*FREE, "run=a").code == 0
    before = history("results/a")
    file = Path("results/a/history/part-0000000.parquet")
    frame = pd.read_parquet(file)
    frame.loc[5, "index"] += 1
    frame.to_parquet(file)
    checked = asked(verify, "nasbench-verify", "results/a")
    assert checked.code == 1
    assert "FAIL  history" in checked.out
    assert "under an index that is not its own" in checked.out
    again = ask(*FREE, "run=a")
    assert again.code == 0
    assert "is damaged" in again.err or "not its own" in again.err
    pd.testing.assert_frame_equal(before, history("results/a"), check_exact=True)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["algorithm=local_search"], "mobilenetv2 does not list the neighbours of an architecture"),
        (["algorithm=reinforce"], "lists of choices"),
        (["n=100"], "n=: a search of mobilenetv2, which is open, keeps to no sample of it"),
        (["space.max_flops=1000"], "max_flops is at least 162,396,776, the FLOPs of the start"),
        (["space.min_flops=500000000"], "min_flops=500000000 is above max_flops=450000000"),
        (["mutation=node"], "mutation=node is for nasbench201"),
        (["guide=val"], "mobilenetv2"),
        (["algorithm.population=1"], "population is at least 2"),
        (["space=nasbench201", "algorithm=aznas", "algorithm.start=x"], "is for open search spaces"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(ask: Ask, options: list[str], line: str) -> None:
    other = {"space": "space=nasbench201" in options, "algorithm": options[0].startswith("algorithm=")}
    given = [o for o in FREE if not other.get(o.partition("=")[0].partition(".")[0])]
    answer = ask(*given, *options, "run=a")
    assert answer.code == 2
    assert line in answer.err
    assert len(answer.err.strip().splitlines()) == 1, answer.err


# What is made of it


def test_a_report_tells_sizes_stages_and_curves(ask: Ask, tell: Ask) -> None:
    assert ask(*FREE, "run=a").code == 0
    assert ask(*FREE, "run=b", "algorithm=zen", "guide=[flops,params]").code == 0
    told = tell("results/a", "results/b", "--out", "out")
    assert told.code == 0, told.err
    assert max(map(len, told.out.splitlines())) <= 100
    assert "With an open search space no accuracies are joined" in " ".join(told.out.split())
    written = {path.name for path in Path("out").rglob("*") if path.is_file()}
    assert {"search.csv", "search.md", "search.tex", "seeds.csv", "stages.csv", "answers.txt"} <= written
    assert {"networks_imagenet1k.png", "search_told_imagenet1k.png", "search_flops_imagenet1k.png"} <= written
    seeds = pd.read_csv("out/seeds.csv")
    free = MobileNetV2()
    for line in seeds.to_dict("records"):
        arch = free.parse(line["arch"])
        assert line["budgeted"] == free.budgeted(arch) <= LIMIT
        assert line["params"] == free.params(arch, num_classes=1000)
    stages = pd.read_csv("out/stages.csv")
    layers = stages.groupby(["algorithm", "seed"])["layers"].sum()
    assert layers.between(4, 12).all()
    assert sorted(stages["pixels"].unique()) == [7, 14, 28, 56]
    assert Path("out/answers.txt").read_text().splitlines() == list(dict.fromkeys(seeds["arch"]))


def test_rows_are_told_apart_by_what_differs_alone(ask: Ask, tell: Ask) -> None:
    """Not by whence scores came, nor by what is not set."""
    assert ask(*FREE, "run=a").code == 0
    assert ask(*FREE, "run=b", "seeds=[2]").code == 0
    assert ask(*FREE, "run=c", "space.max_flops=600000000").code == 0
    record = Path("results/a/run.json")
    old = json.loads(record.read_text())
    del old["search"]["whence"], old["space"]["min_flops"]  # as before there was such an option
    record.write_text(json.dumps(old))
    told = tell("results/a", "results/b", "results/c", "--out", "out")
    assert told.code == 0, told.err
    table = pd.read_csv("out/search.csv")
    assert table["algorithm"].tolist() == ["aznas (max_flops=450000000)", "aznas (max_flops=600000000)"]
    assert table["seeds"].tolist() == [3, 2]


def test_what_needs_accuracies_is_refused(ask: Ask, tell: Ask) -> None:
    assert ask(*FREE, "run=a").code == 0
    for options in (["--tau", "results/a"], ["--truth", "digits"]):
        told = tell("results/a", *options)
        assert told.code == 2
        assert "is an option of reports of searches with accuracies" in told.err
    told = tell("results/a", "--landscape", "none")
    assert told.code == 2
    assert "needs a search space with `one_hot`, which mobilenetv2 lacks" in told.err
    assert ask("algorithm=random", "guide=flops", "steps=3", "seeds=1", "workers=0", "run=cells").code == 0
    told = tell("results/a", "results/cells", "--out", "out")
    assert told.code == 2
    assert "with searches of nasbench201, and none with those of mobilenetv2, which is open" in told.err


def test_searches_are_pandas_frames(ask: Ask) -> None:
    assert ask(*FREE, "run=a").code == 0
    frame = load_search("results/a")
    assert frame["seed"].tolist() == [0, 1]
    assert (frame["budgeted"] <= LIMIT).all()
    trials = load_search("results/a", history=True)
    assert len(trials) == 120
    assert "test_accuracy" not in trials
    shutil.rmtree("results/a")
    with pytest.raises(UsageError, match="holds no search"):
        load_search("results/a")
