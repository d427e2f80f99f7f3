from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up import N, WriteRun

from nasbench_eval.report.analysis import analyse
from nasbench_eval.report.answer import with_answers
from nasbench_eval.report.draw import draw_latex, draw_markdown, draw_text, latex_escape
from nasbench_eval.report.scores import read_runs
from nasbench_eval.report.spec import TableSpec, load_table_spec
from nasbench_eval.report.tables import Reporter, Settings, Table, Truth


@pytest.fixture
def table(run: Path, truths: dict[str, Truth]) -> Table:
    spec = load_table_spec("table1")[1]
    return Reporter(read_runs([run]), truths, Settings(resamples=34)).table("table1", spec)


def test_terminal_fits_a_hundred_columns_and_shows_all(table: Table) -> None:
    text = draw_text(table, "test")
    lines = text.splitlines()
    assert max(map(len, lines)) <= 100
    zen = next(line for line in lines if line.startswith("zen "))
    assert zen.split()[1:3] == [str(N), "4"]
    assert zen.split()[-1] == "0.103"
    assert not any(line.startswith("zico ") for line in lines)
    unscored = re.search(r"^Not scored: (.*?)\.$", text, re.MULTILINE | re.DOTALL)
    assert unscored is not None
    assert {"zico", "te_nas", "gradsign"} <= set(re.split(r",\s+", unscored[1]))
    assert "a_name_far_too_long…" in text
    assert "No scores: CIFAR-100, test accuracy; ImageNet16-120, test accuracy." in text
    assert "ori-test" in text
    assert "34 resamples, seed 0" in text


def test_terminal_figures_are_the_tables(table: Table) -> None:
    row = table.rows[(table.rows["proxy"] == "snip") & (table.rows["split"] == "val")].iloc[0]
    line = next(line for line in draw_text(table, "val").splitlines() if line.startswith("snip "))
    interval = f"[{row['kendall_low']:.3f}, {row['kendall_high']:.3f}]"
    assert f"{row['kendall_tau']:.3f}" in line.split()
    assert interval in line
    assert f"[{row['spearman_low']:.3f}, {row['spearman_high']:.3f}]" in line


def test_rows_that_nobody_scored_are_drawn_if_asked_for(table: Table) -> None:
    every = replace(table, all_rows=True)
    line = next(line for line in draw_text(every, "test").splitlines() if line.startswith("zico "))
    assert line.split()[1:] == ["0", "–", "–", "–", "0.607", "–", "–", "0.802"]
    assert "Not scored" not in draw_text(every, "test")
    assert draw_markdown(every).count("## ") == draw_latex(every).count(r"\begin{table}") == 6


@pytest.mark.parametrize("kind", ["text", "markdown", "latex"])
def test_what_is_not_the_papers_is_below_the_rule_and_marked(table: Table, kind: str) -> None:
    text = {"text": draw_text(table, "test"), "markdown": draw_markdown(table), "latex": draw_latex(table)}[
        kind
    ]
    mark = {
        "text": r"^── not in the paper ─+$",
        "markdown": r"^\| \*\*not in the paper\*\* ",
        "latex": r"^.*emph\{not in the paper\}",
    }[kind]
    found = re.search(mark, text, re.MULTILINE)
    assert found is not None
    cell = r"^(\| )?intrain\\?_cell +"
    above, below = text[: found.start()], text[found.end() :]
    assert not re.search(cell, above, re.MULTILINE)
    assert re.search(cell, below, re.MULTILINE)
    assert re.search(r"^(\| )?intrain +[&|\d]", above, re.MULTILINE)


def test_markdown_is_a_table_a_section(table: Table) -> None:
    assert [line for line in draw_markdown(table).splitlines() if line.startswith("## ")] == [
        "## CIFAR-10, test accuracy",
        "## CIFAR-10, validation accuracy",
    ]
    text = draw_markdown(replace(table, all_rows=True))
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        f"## {dataset}, {split} accuracy"
        for split in ("test", "validation")
        for dataset in ("CIFAR-10", "CIFAR-100", "ImageNet16-120")
    ]
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {10}
    # Head, rule, fourteen published, six that are not the paper's, the run's own; each below its mark.
    assert len(rows) == 6 * (2 + 14 + 1 + 6 + 1 + 1)


def test_latex_is_well_formed(table: Table) -> None:
    text = draw_latex(replace(table, all_rows=True))
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == 6
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == 6
    assert text.isascii()
    plain = re.sub(r"\\[{}]", "", text)
    assert plain.count("{") == plain.count("}")
    assert not re.search(r"(?<!\\)[_#]", text)
    body = [line for line in text.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    assert {len(re.findall(r"(?<!\\)&", line)) for line in body} == {8}
    assert len(body) == 6 * (1 + 14 + 7)
    negative = table.rows[table.rows["kendall_tau"] < 0].iloc[0]["kendall_tau"]
    assert f"$-${-negative:.3f}" in text


def uncompared(write_run: WriteRun, truths: dict[str, Truth], resamples: int = 40) -> Table:
    """Of accuracies that no paper has figures of: a clear winner that is not told apart from its twin."""
    accuracy = truths["nasbench201"].accuracy("cifar10", "test")
    rng = np.random.default_rng(0)
    scores = {
        "worst": -accuracy,
        "twin": accuracy + rng.normal(0, 1, N),
        "best": accuracy + rng.normal(0, 1, N),
    }
    scores["best"][:2] = accuracy[:2]
    run = write_run({(name, "cifar10"): {"score": score} for name, score in scores.items()})
    spec = TableSpec("Mine", "nasbench201", "made up", ["cifar10"], others=True)
    settings = Settings(resamples=resamples)
    table = Reporter(read_runs([run]), truths, settings).table("mine", spec)
    return with_answers(table, analyse([table], read_runs([run]), truths, settings))


def test_where_there_is_no_paper_the_best_is_first_and_said(
    write_run: WriteRun, truths: dict[str, Truth]
) -> None:
    table = uncompared(write_run, truths)
    text = draw_text(table, "test", "val")
    assert "paper" not in text.replace("not in the paper", "")
    assert "–" not in text
    taus = [float(line.split()[3]) for line in text.splitlines() if re.match("(worst|twin|best) ", line)]
    assert taus[:3] == sorted(taus[:3], reverse=True)
    winner, twin = sorted(["best", "twin"], key=lambda name: text.index(f"\n{name} "))
    assert f"\nbest: {winner}; not told apart from {twin}\n" in text
    assert text.count("validation accuracy") == 1
    assert f"best: {winner}; not told apart from {twin}" in draw_markdown(table)
    assert f" Best: {winner}; not told apart from {twin}." in draw_latex(table)
    heads = re.findall(r"^\| proxy .*", draw_markdown(table), re.MULTILINE)
    assert [row.count("|") for row in heads] == [8, 8]


def test_without_resamples_nothing_is_told_apart_and_no_column_is_empty(
    write_run: WriteRun, truths: dict[str, Truth]
) -> None:
    text = draw_text(uncompared(write_run, truths, resamples=0), "test")
    assert "95 %" not in text
    assert "not told apart from" in text
    assert "brackets" not in text


def test_latex_escape() -> None:
    assert latex_escape(r"a_b & 5 % {γ} \x") == r"a\_b \& 5 \% \{$\gamma$\} \textbackslash{}x"


def test_published_figures_keep_the_papers_decimals(run: Path, truths: dict[str, Truth]) -> None:
    spec = load_table_spec("table3")[1]
    text = draw_text(Reporter(read_runs([run]), truths, Settings(resamples=0)).table("table3", spec), "test")
    line = next(line for line in text.splitlines() if line.startswith("Additive"))
    assert line.split()[-1] == "0.80"
    assert "0.59 " in line
