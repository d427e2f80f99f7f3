"""What searches found: every column against a computation by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_up_searches import TRUTH, N, made_up_accuracy, trials, write
from scipy.stats import wilcoxon

from nasbench_eval.report.search.draw import draw_latex, draw_markdown, draw_text
from nasbench_eval.report.search.judge import COLUMNS, SEED_MEANINGS, compare, per_seed, table_of
from nasbench_eval.report.search.published import published
from nasbench_eval.report.search.read import read_search
from nasbench_eval.report.search.rows import Row, rows_of

TEST, VAL = made_up_accuracy("cifar10", "test"), made_up_accuracy("cifar10", "val")


def rows(*folders: Path) -> list[Row]:
    return rows_of([read_search(folder) for folder in folders], [TRUTH] * len(folders))


def seeds(answers: list[int | None], steps: int = 2, **options: Any) -> list[pd.DataFrame]:
    """Searches that have an answer from their first step on."""
    return [
        trials(
            [answer or 0] * steps, {"snip": [1.0] * steps}, seed=seed, incumbents=[answer] * steps, **options
        )
        for seed, answer in enumerate(answers)
    ]


def test_means_and_deviations_over_seeds(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", seeds([100, 700, 1000], simulated=3), members="0-998,1000")
    table = table_of(rows(folder))
    assert list(table.columns) == COLUMNS
    line = table.iloc[0]
    answers = [100, 700, 1000]
    assert line["members"] == 1000
    assert (line["seeds"], line["answers"], line["evaluations"]) == (3, 3, 2)
    assert line["test_accuracy"] == pytest.approx(TEST[answers].mean())
    assert line["test_std"] == pytest.approx(np.std(TEST[answers], ddof=1))
    assert line["val_accuracy"] == pytest.approx(VAL[answers].mean())
    assert line["val_std"] == pytest.approx(np.std(VAL[answers], ddof=1))
    assert line["best_test_accuracy"] == 90
    assert line["regret"] == pytest.approx(90 - TEST[answers].mean())
    assert (line["proxy_seconds"], line["simulated_seconds"], line["wall_seconds"]) == (4, 6, 1)


def test_a_single_seed_has_no_deviation(tmp_path: Path) -> None:
    line = table_of(rows(write(tmp_path / "a", seeds([5])))).iloc[0]
    assert math.isnan(line["test_std"])
    assert line["no_comparison"] == "no random search"


def test_seeds_without_an_answer_are_left_out_and_counted(tmp_path: Path) -> None:
    found = rows(write(tmp_path / "a", seeds([5, None, 9])))
    line = table_of(found).iloc[0]
    assert (line["seeds"], line["answers"]) == (3, 2)
    assert line["test_accuracy"] == pytest.approx(TEST[[5, 9]].mean())
    each = per_seed(found[0])
    assert list(each.columns) == list(SEED_MEANINGS)
    assert each["index"].tolist() == [5, -1, 9]
    assert each["test_accuracy"].isna().tolist() == [False, True, False]


def test_random_search_is_met_at_as_many_evaluations(tmp_path: Path) -> None:
    # After two steps random search has 500 in every seed; its third step would beat everything.
    random = [
        trials([500, 500, N - 1], {"snip": [1, 1, 9]}, seed=seed, incumbents=[500, 500, N - 1])
        for seed in range(8)
    ]
    answers = [100, 501, 502, 503, 504, 505, 500, 510]
    found = rows(
        write(tmp_path / "a", seeds(answers)),
        write(tmp_path / "r", random, algorithm="random"),
    )
    beside = compare(found[0], found)
    assert (beside.guide, beside.pairs, beside.better, beside.ties) == ("snip", 8, 6 / 8, 1 / 8)
    differences = (TEST[answers] - TEST[500]).round(9)
    assert beside.p == pytest.approx(wilcoxon(differences).pvalue)
    assert compare(found[1], found).why == "random search"


@pytest.mark.parametrize(
    ("answers", "random", "why"),
    [
        ([1, 2, 3, 4, 5], [9] * 5, "n < 6"),
        ([9, 9, 9, 4, 5, 6], [9] * 6, "ties"),
        ([1] * 6, [9] * 6, ""),
    ],
)
def test_why_there_is_no_test(tmp_path: Path, answers: list[int], random: list[int], why: str) -> None:
    found = rows(
        write(tmp_path / "a", seeds(list(answers))),
        write(tmp_path / "r", seeds(list(random)), algorithm="random"),
    )
    beside = compare(found[0], found)
    assert beside.why == why
    assert math.isnan(beside.p) == bool(why)


def test_a_shorter_random_search_is_no_match(tmp_path: Path) -> None:
    found = rows(
        write(tmp_path / "a", seeds([1] * 6, steps=3)),
        write(tmp_path / "r", seeds([1] * 6, steps=2), algorithm="random"),
    )
    assert compare(found[0], found).why == "shorter"


def test_of_random_searches_the_shortest_that_is_long_enough_is_met(tmp_path: Path) -> None:
    found = rows(
        write(tmp_path / "a", seeds([1] * 6, steps=3)),
        write(tmp_path / "short", seeds([0] * 6, steps=2), algorithm="random"),
        write(tmp_path / "enough", seeds([5] * 6, steps=4), algorithm="random"),
        write(tmp_path / "long", seeds([N - 1] * 6, steps=9), algorithm="random"),
    )
    assert [row.algorithm for row in found[1:]] == [f"random (steps={steps})" for steps in (2, 4, 9)]
    beside = compare(found[0], found)
    assert (beside.pairs, beside.better) == (6, float(TEST[1] > TEST[5]))
    assert compare(found[0], found[:2]).why == "shorter"


def test_a_share_of_few_pairs_is_no_percentage(tmp_path: Path) -> None:
    found = rows(
        write(tmp_path / "a", seeds([9, 1, 9, 1])),
        write(tmp_path / "r", seeds([5, 5, 5], steps=2), algorithm="random"),
    )
    better = int((TEST[[9, 1, 9]] > TEST[5]).sum())
    [line] = [line for line in draw_text(table_of(found)).splitlines() if line.startswith("regularized")][:1]
    assert f"{better} of 3" in line


def test_random_search_needs_the_same_guide_or_be_the_only_one_of_its_kind(tmp_path: Path) -> None:
    def random(name: str, steps: int = 2, **options: Any) -> Path:
        history = [part.rename(columns={"told_snip": f"told_{name}"}) for part in seeds([2] * 6, steps)]
        return write(tmp_path / name, history, algorithm="random", guide=name, **options)

    search = write(tmp_path / "a", seeds([1] * 6))
    other, another, val = random("naswot"), random("zen"), random("val", kind="val")
    longer = random("synflow", steps=9)
    for folders, expected in (
        ([search, other], ("naswot", "")),
        ([search, val], ("", "no random search")),
        ([search, other, another], ("", "several")),
        ([search, other, longer], ("", "several")),
    ):
        found = rows(*folders)
        beside = compare(found[0], found)
        assert (beside.guide, beside.why) == expected


def test_random_search_needs_the_same_options_of_the_guide(tmp_path: Path) -> None:
    def told_after(epochs: int, answer: int, **options: Any) -> Path:
        proxies = {"snip": {"name": "snip", "epochs": epochs}}
        name = f"{options.get('algorithm', 'search')}-{epochs}"
        return write(tmp_path / name, seeds([answer] * 6), record={"proxies": proxies}, **options)

    searches = [told_after(epochs, 5) for epochs in (0, 3, 7)]
    randoms = [told_after(epochs, answer, algorithm="random") for epochs, answer in ((0, 2), (3, 9))]
    found = rows(*searches, *randoms)
    assert [row.method for row in found].count("random") == 2
    by_epochs = {row.runs[0].record["proxies"]["snip"]["epochs"]: row for row in found[:3]}
    assert compare(by_epochs[0], found).better == float(TEST[5] > TEST[2])
    assert compare(by_epochs[3], found).better == float(TEST[5] > TEST[9])
    assert TEST[2] < TEST[5] < TEST[9]
    assert compare(by_epochs[7], found).why == "several"


@pytest.mark.parametrize(
    ("algorithm", "kind", "values", "dataset", "row", "split"),
    [
        ("reinforce", "aggregate", ["ntk_condition_thin", "linear_regions_thin", "ntk_mse_thin"], "cifar10",
         "Table 2: REINFORCE + TEG", "val"),
        ("evolution_teg", "accuracy_12", ["accuracy_12"], "cifar10", "Table 2: Evolution", "val"),
        ("evolution_teg", "val", ["val"], "cifar100", "Table 2: Evolution", "test"),
        ("fp_nas", "aggregate", ["ntk_mse", "linear_regions", "ntk_condition"], "cifar10",
         "Table 2: FP-NAS + TEG", "test"),
        ("prune", "aggregate", ["ntk_condition", "linear_regions"], "cifar10", "Table 2: TE-NAS", "test"),
        ("prune", "val", ["val"], "cifar10", "", ""),
        ("reinforce", "proxy", ["ntk_mse"], "cifar100", "Table 5: ntk_mse", "test"),
        ("reinforce", "proxy", ["ntk_mse"], "cifar10", "", ""),
        ("reinforce", "proxy", ["snip"], "cifar100", "", ""),
        ("reinforce", "aggregate", ["ntk_mse", "snip"], "cifar100", "", ""),
        ("random", "val", ["val"], "cifar10", "", ""),
    ],
)  # fmt: skip
def test_the_papers_rows(
    tmp_path: Path, algorithm: str, kind: str, values: list[str], dataset: str, row: str, split: str
) -> None:
    history = trials([1], {name: [1.0] for name in values})
    folder = write(
        tmp_path / "a", [history], algorithm=algorithm, guide="g", kind=kind, values=values, dataset=dataset
    )
    found = published(rows(folder)[0])
    assert (found.row if found else "", found.split if found else "") == (row, split)


def test_the_papers_figures(tmp_path: Path) -> None:
    history = trials([1], {"val": [1.0]})
    folder = write(
        tmp_path / "a", [history], algorithm="reinforce", guide="val", kind="val", dataset="cifar100"
    )
    found = published(rows(folder)[0])
    assert found is not None
    assert (found.accuracy, found.std, found.seconds) == (68.40, 5.93, 35900)


def test_the_drawn_table(multirun: Path) -> None:
    found = rows(*sorted(multirun.iterdir()))
    table = table_of(found)
    text = draw_text(table, ["a note with $ and _"])
    assert max(map(len, text.splitlines())) <= 100
    assert "CIFAR-100 (best mean test accuracy of the space 90.00)" in text
    assert "simulated s" not in text  # no search spent any
    assert "paper" not in text
    head = [line for line in draw_markdown(table).splitlines() if line.startswith("| algorithm")]
    assert len(head) == 2
    latex = draw_latex(table, ["a note with $ and _"])
    assert r"$\pm$" in latex
    assert r"\$ and \_" in latex
    assert latex.count(r"\begin{tabular}") == 2


def test_long_names_keep_both_ends(tmp_path: Path) -> None:
    folders = [
        write(tmp_path / f"{steps}", seeds([1, 2]), guide="linear_regions_thin", values=["snip"], steps=steps)
        for steps in (500, 501)
    ]
    lines = draw_text(table_of(rows(*folders))).splitlines()
    assert max(map(len, lines)) <= 100
    assert [line.split()[0].rpartition("...")[2] for line in lines if line.startswith("reg")][:2] == [
        "s=500)", "s=501)",
    ]  # fmt: skip


def test_cells_do_not_touch(tmp_path: Path) -> None:
    table = table_of(rows(write(tmp_path / "a", seeds([1, 2]))))
    wide = {
        "seeds": 100, "answers": 99, "evaluations": 20_000, "val_accuracy": 21.25, "val_std": 13.7,
        "test_accuracy": 20.94, "test_std": 13.63, "regret": 100.0, "share_beats_random": 0.58, "pairs": 99,
        "no_comparison": "no random search",
    }  # fmt: skip
    assert wide.keys() <= set(table.columns)
    lines = draw_text(table.assign(**wide)).splitlines()
    [row] = [line for line in lines if "13.70" in line]
    assert len(row) <= 100
    figures = "99/100 20,000 21.25 ± 13.70 20.94 ± 13.63 100.00 58 % no random"
    assert " ".join(row.split()).endswith(figures)


def test_validation_accuracies_of_the_paper_are_marked(tmp_path: Path) -> None:
    history = [part.rename(columns={"told_snip": "told_val"}) for part in seeds([1, 2], proxy=0, simulated=9)]
    found = rows(write(tmp_path / "a", history, algorithm="reinforce", guide="val", kind="val"))
    text = draw_text(table_of(found))
    assert "90.00 ± 1.16 v" in text
    assert "It can only be validation accuracy" in " ".join(text.split())
    assert "proxy s" not in text
