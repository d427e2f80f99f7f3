"""The study of UniNAS networks: families, agreement of trainings, correlations within families and across."""

from __future__ import annotations

import math
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "study_uninas.py"
SPEC: Any = spec_from_file_location("study_uninas", SCRIPT)
study: Any = module_from_spec(SPEC)
SPEC.loader.exec_module(study)
FAMILIES = study.FAMILIES


def text(blocks: str) -> str:
    return "[" + ",".join(f'["{letter}"]' for letter in blocks) + "]"


@pytest.mark.parametrize(("blocks", "expected"), [("RERE", 0), ("RETT", 1), ("TTTT", 2)])
def test_a_family_is_how_many_blocks_attend(blocks: str, expected: int) -> None:
    assert study.family(text(blocks)) == FAMILIES[expected]


def test_attention_that_an_edit_brought_counts() -> None:
    assert study.family('[[[["conv1",{"attention":{}}],[]]],["R"],["R"],["R"]]') == FAMILIES[1]
    assert study.family('[[[[{"expand":[[{"attention":{}}]]}],[]]],["T"],["T"],["T"]]') == FAMILIES[2]


def made_up() -> tuple[pd.DataFrame, pd.Series, pd.Series]:
    """Scores that know families alone, and ones that know all but families."""
    rng = np.random.default_rng(0)
    names = [f"{name}{n}" for name in FAMILIES for n in range(30)]
    families = pd.Series(np.repeat(FAMILIES, 30), index=names)
    level = families.map({"convolutional": 90.0, "hybrid": 60.0, "transformer": 30.0})
    own = pd.Series(rng.normal(0, 3, 90), index=names)
    scores = pd.DataFrame({"across": level + rng.normal(0, 0.1, 90), "within": own, "params": own - level})
    return scores, level + own, families


def test_correlations_within_families_and_across_them_are_told_apart() -> None:
    scores, accuracy, families = made_up()
    scores.loc[scores.index[:5], "within"] = np.nan
    table = pd.DataFrame(study.ranked(scores, {"digits": accuracy}, families)).set_index(["proxy", "family"])
    assert table.loc[("across", "all"), "tau"] > 0.6
    assert abs(table.loc[("across", "mean within"), "tau"]) < 0.2
    assert table.loc[("within", "mean within"), "tau"] == pytest.approx(1)
    assert table.loc[("within", "convolutional"), "n"] == 25
    expected = kendalltau(scores["across"], accuracy).statistic
    assert table.loc[("across", "all"), "tau"] == pytest.approx(expected)


def test_agreement_of_trainings_is_the_mean_over_pairs() -> None:
    _, accuracy, families = made_up()
    rng = np.random.default_rng(1)
    runs = pd.DataFrame({seed: accuracy + rng.normal(0, 0.5, len(accuracy)) for seed in "abc"})
    runs.loc[runs.index[0], "c"] = math.nan
    told = study.agreements(runs, families).set_index("family")
    known = runs.dropna()
    pairs = [kendalltau(known[a], known[b]).statistic for a, b in ("ab", "ac", "bc")]
    assert told.loc["all", "tau"] == pytest.approx(np.mean(pairs))
    assert told.loc["all", "n"] == 89
    assert told.loc["convolutional", "n"] == 29
    assert told.loc["all", "std_of_a_network"] < 1 < told.loc["all", "std_between_networks"]


def test_sizes_and_the_figure_are_of_every_family() -> None:
    scores, accuracy, families = made_up()
    judged = {"digits": accuracy, "cifar10": accuracy.iloc[::2]}
    assert study.sizes(judged, families, scores)["n"].tolist() == [90, 30, 30, 30, 45, 15, 15, 15]
    axes = study.drawn(judged, families).axes
    assert [sum(len(dots.get_offsets()) for dots in each.collections) for each in axes] == [90, 45]
