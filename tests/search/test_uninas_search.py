"""Searches in the UniNAS space: walks, climbs and evolutions within limits, and reports of them."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
from commands import Ask
from histories import history

from nasbench_eval.spaces.uninas import UniNAS

SPACE = UniNAS(resolution=32, widths=(32, 32, 64, 64), depths=(1, 1, 1, 1), stem=(8, 16))
OPTIONS = ["space.resolution=32", "space.widths=[32,32,64,64]", "space.depths=[1,1,1,1]", "space.stem=[8,16]"]
LIMIT = 300_000
FREE = ["space=uninas", *OPTIONS, f"space.max_params={LIMIT}", "dataset=cifar10", "device=cpu", "workers=0"]
FREE += ["guide=params", "seeds=2", "steps=40"]


def texts(folder: str, seed: int) -> list[str]:
    trials = history(folder)
    return trials[trials["seed"] == seed].sort_values("step")["arch"].tolist()


def operations(text: str) -> int:
    counted = SPACE.counts(SPACE.parse(text), resolution=32, num_classes=1000)
    return int(counted["operations, which max_nodes limits"])


@pytest.mark.parametrize("start", ["coatnet", "vit", "resnet", "efficientnet"])
def test_a_walk_begins_where_it_is_told_to_and_edits_one_operation_a_step(ask: Ask, start: str) -> None:
    answer = ask(*FREE, "algorithm=random_walk", f"algorithm.start={start}", "run=a")
    assert answer.code == 0, answer.err
    for seed in (0, 1):
        walked = texts("results/a", seed)
        assert walked[0] == SPACE.format(SPACE.parse(start))
        for before, after in pairwise(walked):
            # An operation comes with nothing inside, and goes with all that is inside.
            assert operations(after) <= operations(before) + 1
            assert before != after
        assert all(SPACE.params(SPACE.parse(text), num_classes=1000) <= LIMIT for text in walked)


def test_a_climb_goes_up_and_an_evolution_has_more_parents(ask: Ask) -> None:
    for name in ("hill_climbing", "mu_plus_one"):
        assert ask(*FREE, f"algorithm={name}", f"run={name}").code == 0
        trials = history(f"results/{name}")
        params = [SPACE.params(SPACE.parse(text), num_classes=10) for text in trials["incumbent"]]
        told = trials.assign(params=params).groupby("seed")["params"]
        assert told.is_monotonic_increasing.all()
        assert (told.last() > told.first()).all()


@pytest.mark.parametrize("name", ["hill_climbing", "random_walk", "aznas_small", "zen"])
def test_a_random_start_is_another_for_each_seed(ask: Ask, name: str) -> None:
    assert ask(*FREE, f"algorithm={name}", "algorithm.start=random", "run=a", "steps=3").code == 0
    assert texts("results/a", 0)[0] != texts("results/a", 1)[0]


def test_a_start_may_be_given_as_json(ask: Ask) -> None:
    text = SPACE.format(SPACE.parse('[["R"],[[["conv3"],["zero"]]],["T"],["E"]]'))
    quoted = json.dumps(text)
    answer = ask(*FREE, "algorithm=random_walk", f"algorithm.start={quoted}", "run=a", "steps=3")
    assert answer.code == 0, answer.err
    assert texts("results/a", 0)[0] == text


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["algorithm.start=coatnat"], "did you mean coatnet"),
        (["algorithm.start=resnet", "space.max_params=240000"], "is beyond the limits: it has"),
        (["space.max_params=1e5"], "is beyond a limit"),
        (["space.widths=[32,32,64,60]"], "multiples of 32"),
        (["algorithm=local_search"], "does not list the neighbours"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(ask: Ask, options: list[str], line: str) -> None:
    answer = ask(*FREE, "algorithm=hill_climbing", *options, "run=a")
    assert answer.code == 2
    assert line in answer.err
    assert len(answer.err.strip().splitlines()) == 1, answer.err


def test_a_search_killed_goes_on_to_the_same_history(ask: Ask) -> None:
    assert ask(*FREE, "algorithm=mu_plus_one", "algorithm.mu=5", "run=whole").code == 0
    assert ask(*FREE, "algorithm=mu_plus_one", "algorithm.mu=5", "run=parts", "steps=15").code == 0
    assert ask(*FREE, "algorithm=mu_plus_one", "algorithm.mu=5", "run=parts").code == 0
    pd.testing.assert_frame_equal(history("results/whole"), history("results/parts"))


def test_scored_by_passes_and_reported_with_what_changed(ask: Ask, tell: Ask) -> None:
    passes = [
        "guide=vkdnw",
        "proxy.batch_size=4",
        "proxy.resolution=32",
        "proxy.choose=random",
        "proxy.dead=drop",
    ]
    kept = [option for option in FREE if not option.startswith("guide=")]
    assert ask(*kept, *passes, "algorithm=mu_plus_one", "steps=6", "run=a").code == 0
    told = tell("results/a", "--out", "out")
    assert told.code == 0, told.err
    assert Path("out/figures/graph_cifar10_1.png").stat().st_size > 10_000
    changes = pd.read_csv("out/changes.csv", keep_default_na=False)
    answers = pd.read_csv("out/seeds.csv")["arch"].tolist()
    changed = any(text != SPACE.format(SPACE.start) for text in answers)
    assert changed == bool(len(changes))
    assert set(changes["half"]) <= {"S1", "S2"}
    assert (changes["new"] + changes["gone"]).astype(bool).all()
