from __future__ import annotations

import re
from pathlib import Path

import pytest
from made_up import N

from nasbench_eval.report.draw import draw_latex, draw_markdown, draw_text, latex_escape
from nasbench_eval.report.scores import read_runs
from nasbench_eval.report.spec import load_table_spec
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
    assert next(line for line in lines if line.startswith("zico ")).split()[1:] == (
        ["0", "–", "–", "–", "0.607", "–", "–", "0.802"]
    )
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


@pytest.mark.parametrize("kind", ["text", "markdown", "latex"])
def test_ours_are_below_the_rule_and_marked(table: Table, kind: str) -> None:
    text = {"text": draw_text(table, "test"), "markdown": draw_markdown(table), "latex": draw_latex(table)}[
        kind
    ]
    mark = {"text": r"^── ours ─+$", "markdown": r"^\| \*\*ours\*\* ", "latex": r"^.*emph\{ours\}"}[kind]
    found = re.search(mark, text, re.MULTILINE)
    assert found is not None
    cell = r"^(\| )?intrain\\?_cell +"
    above, below = text[: found.start()], text[found.end() :]
    assert not re.search(cell, above, re.MULTILINE)
    assert re.search(cell, below, re.MULTILINE)
    assert re.search(r"^(\| )?intrain +[&|\d]", above, re.MULTILINE)


def test_markdown_is_a_table_a_section(table: Table) -> None:
    text = draw_markdown(table)
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        f"## {dataset}, {split} accuracy"
        for split in ("test", "validation")
        for dataset in ("CIFAR-10", "CIFAR-100", "ImageNet16-120")
    ]
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {10}
    # Head, rule, fourteen published, the mark, five of ours, the run's own.
    assert len(rows) == 6 * (2 + 14 + 1 + 7)


def test_latex_is_well_formed(table: Table) -> None:
    text = draw_latex(table)
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


def test_latex_escape() -> None:
    assert latex_escape(r"a_b & 5 % {γ} \x") == r"a\_b \& 5 \% \{$\gamma$\} \textbackslash{}x"


def test_published_figures_keep_the_papers_decimals(run: Path, truths: dict[str, Truth]) -> None:
    spec = load_table_spec("table3")[1]
    text = draw_text(Reporter(read_runs([run]), truths, Settings(resamples=0)).table("table3", spec), "test")
    line = next(line for line in text.splitlines() if line.startswith("Additive"))
    assert line.split()[-1] == "0.80"
    assert "0.59 " in line
