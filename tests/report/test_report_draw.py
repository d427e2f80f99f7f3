from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up import N, WriteRun

from nasbench_eval.errors import UsageError
from nasbench_eval.report import cli
from nasbench_eval.report.draw import draw_latex, draw_markdown, draw_text, latex_escape
from nasbench_eval.report.scores import read_runs
from nasbench_eval.report.spec import load_table_spec
from nasbench_eval.report.tables import CSV_COLUMNS, Reporter, Settings, Table, Truth
from nasbench_eval.spaces.nasbench201 import NASBench201


@pytest.fixture
def run(write_run: WriteRun) -> Path:
    labels = ["grasp", "snip", "zen", "intrain", "intrain_cell", "a_name_far_too_long_for_a_narrow_column"]
    parts = {}
    for number, label in enumerate(labels):
        score, gamma, resilience = np.random.default_rng(number).normal(size=(3, N))
        if label == "zen":
            score[:4] = np.nan
        parts[label, "cifar10"] = {"score": score, "gamma": gamma, "resilience": resilience}
    return write_run(parts, config={"seed": 3, "n": 1, "cells": N, "data": "/somewhere/private"})


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
    assert len(rows) == 6 * (2 + 14 + 1 + 6)


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
    assert len(body) == 6 * (1 + 14 + 6)
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


# The command -------------------------------------------------------------------------------------------


def call(monkeypatch: pytest.MonkeyPatch, truth: Truth, *arguments: object) -> int:
    monkeypatch.setattr(cli, "load_truth", lambda space, folder: truth)
    monkeypatch.setattr(sys, "argv", ["nasbench-report", *map(str, arguments)])
    return cli.main()


def test_command_writes_and_prints(
    run: Path, truth: Truth, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, truth, run, "--resamples", 5) == 0
    printed = capsys.readouterr()
    assert "test accuracy" in printed.out
    assert "validation accuracy" not in printed.out
    folder = run / "tables"
    endings = ("csv", "md", "tex", "png", "pdf")
    expected = {f"{name}.{end}" for name in ("table1", "table3") for end in endings}
    assert {path.name for path in folder.iterdir()} == expected | {"report.json"}
    csv = pd.read_csv(folder / "table1.csv")
    assert list(csv.columns) == CSV_COLUMNS
    assert set(csv["split"]) == {"test", "val"}
    record = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert record["settings"] == {"failures": "worst", "resamples": 5, "seed": 0, "cells": "all"}
    assert record["runs"] == [{"run": "run", "seed": 3, "cells": N}]
    assert {"proxy": "zen", "dataset": "cifar10", "split": "val", "n": N, "n_failed": 4, "n_tied": 4} in (
        record["tables"]["table1"]["rows"]
    )


def test_command_repeats_itself_exactly(run: Path, truth: Truth, monkeypatch: pytest.MonkeyPatch) -> None:
    for out in ("a", "b"):
        assert call(monkeypatch, truth, run, "--resamples", 5, "--out", run / out) == 0
    for path in (run / "a").iterdir():
        assert path.read_bytes() == (run / "b" / path.name).read_bytes()


def test_command_options(
    run: Path, truth: Truth, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--split", "val", "--failures", "omit", "--seed", 9, "--resamples", 5, "--table", "table1"]
    assert call(monkeypatch, truth, run, *options) == 0
    printed = capsys.readouterr().out
    assert "validation accuracy" in printed
    assert "left out" in printed
    assert "seed 9" in printed
    assert set(pd.read_csv(run / "tables" / "table1.csv")["split"]) == {"val"}
    assert not (run / "tables" / "table3.csv").exists()


@pytest.mark.parametrize(
    ("wish", "names"),
    [
        (["--table", "table3"], {"table3"}),
        (["--table", "table3", "--table", "table1"], {"table1", "table3"}),
        (["--table", "table1,table3"], {"table1", "table3"}),
    ],
)
def test_tables_may_be_named_before_the_run(
    run: Path, truth: Truth, monkeypatch: pytest.MonkeyPatch, wish: list[str], names: set[str]
) -> None:
    assert call(monkeypatch, truth, "--resamples", 0, *wish, run) == 0
    assert {path.stem for path in (run / "tables").glob("*.csv")} == names


def test_a_folder_that_cannot_be_written_exits_two(
    run: Path, truth: Truth, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "file").touch()
    assert call(monkeypatch, truth, run, "--resamples", 0, "--out", run / "file" / "tables") == 2
    printed = capsys.readouterr().err
    assert printed.startswith(f"error: cannot write {run / 'file' / 'tables'}: ")
    assert printed.count("\n") == 1


def test_an_interrupt_promises_no_continuation(
    run: Path, truth: Truth, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "read_runs", interrupted)
    assert call(monkeypatch, truth, run) == 130
    assert capsys.readouterr().err == "\ninterrupted; run the same command again for the tables\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--table", "table2"], "unknown table 'table2'; did you mean table"),
        (["--table", "nowhere.yaml"], "no table definition"),
        (["--resamples", "-1"], "must be 0 or more"),
    ],
)
def test_errors_are_one_line_and_exit_two(
    run: Path,
    truth: Truth,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    assert call(monkeypatch, truth, run, *arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert message in printed.err
    assert not (run / "tables").exists()


def test_the_papers_tables_are_those_about_the_runs_space(write_run: WriteRun) -> None:
    parts = {("snip", "cifar10"): {"score": np.arange(N, dtype=float)}}

    def tables(space: str) -> list[str]:
        scores = read_runs([write_run(parts, name=space, space=space)])
        return [name for name, _ in cli.wished_tables(None, scores)]

    assert tables("nasbench201") == ["table1", "table3"]
    assert tables("nasbench101") == ["figure2"]
    with pytest.raises(UsageError, match="no table of the package is about elsewhere"):
        tables("elsewhere")


def test_a_missing_run_exits_two(
    tmp_path: Path, truth: Truth, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, truth, tmp_path / "absent") == 2
    assert "no run folder" in capsys.readouterr().err


def test_accuracies_come_from_the_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pd.DataFrame({"cifar10_val": [1.0, 2.0], "cifar10_test": [3.0, 4.0]})
    asked: list[tuple[str, Path]] = []
    monkeypatch.setattr(
        cli.truth_tables, "load_table", lambda space, folder: asked.append((space, folder)) or frame
    )
    found = cli.load_truth("nasbench201", tmp_path)
    assert asked == [("nasbench201", tmp_path)]
    assert found.archs is not None
    assert found.archs[1462] == NASBench201().format(NASBench201().arch(1462))
    assert len(found.archs) == 15625
    assert found.accuracy("cifar10", "val").tolist() == [1.0, 2.0]


def test_a_missing_data_folder_exits_two(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["nasbench-report", str(run), "--data", str(tmp_path / "absent")])
    assert cli.main() == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "there is no data folder" in printed.err
