"""The command nasbench-report: what it prints and writes, and how it answers mistakes."""

from __future__ import annotations

import errno
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up import N, WriteRun

from nasbench_eval.errors import UsageError
from nasbench_eval.report import cli, command, truths
from nasbench_eval.report.scores import read_runs
from nasbench_eval.report.tables import CSV_COLUMNS, Truth
from nasbench_eval.spaces.nasbench201 import NASBench201


def call(monkeypatch: pytest.MonkeyPatch, truth: Truth, *arguments: object) -> int:
    monkeypatch.setattr(command, "truth_of", lambda space, folder, live, benchmark: truth)
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
    endings = ("csv", "md", "tex", "png")
    expected = {f"{name}.{end}" for name in ("table1", "table3") for end in endings}
    assert {path.name for path in folder.iterdir()} == expected | {"report.json", "figures", "statistics"}
    csv = pd.read_csv(folder / "table1.csv")
    assert list(csv.columns) == CSV_COLUMNS
    assert set(csv["split"]) == {"test", "val"}
    record = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert record["settings"] == {"failures": "worst", "resamples": 5, "seed": 0, "cells": "all"}
    assert record["runs"] == [{"run": "run", "seed": 3, "cells": N}]
    assert {
        "proxy": "zen",
        "dataset": "cifar10",
        "split": "val",
        "n": N,
        "n_failed": 4,
        "n_lowest": 0,
        "n_tied": 4,
    } in (record["tables"]["table1"]["rows"])


@pytest.mark.parametrize(
    ("wish", "endings"), [("pdf,svg", {"pdf", "svg"}), ("none", set()), ("svg,png", {"png", "svg"})]
)
def test_figures_are_written_in_the_formats_asked_for(
    run: Path, truth: Truth, monkeypatch: pytest.MonkeyPatch, wish: str, endings: set[str]
) -> None:
    options = ["--resamples", 0, "--no-statistics", "--table", "table3"]
    assert call(monkeypatch, truth, run, *options, "--figures", "png,pdf,svg") == 0
    assert call(monkeypatch, truth, run, *options, f"figures={wish}") == 0
    folder = run / "tables"
    written = {path.suffix[1:] for path in folder.rglob("*") if path.is_file()}
    assert written == {"csv", "md", "tex", "json"} | endings
    assert {path.suffix[1:] for path in folder.glob("table3.*")} == {"csv", "md", "tex"} | endings


def test_an_unknown_format_is_refused(
    run: Path, truth: Truth, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, truth, run, "figures=png,gif") == 2
    assert "there is no format gif; there are png, pdf, svg, or none" in capsys.readouterr().err


def test_command_repeats_itself_exactly(run: Path, truth: Truth, monkeypatch: pytest.MonkeyPatch) -> None:
    for out in ("a", "b"):
        assert call(monkeypatch, truth, run, "--resamples", 5, "--out", run / out) == 0
    files = [path.relative_to(run / "a") for path in (run / "a").rglob("*") if path.is_file()]
    assert len(files) > 15
    for name in files:
        assert (run / "a" / name).read_bytes() == (run / "b" / name).read_bytes(), name


def test_statistics_are_written_without_accuracies(
    run: Path, truth: Truth, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call(monkeypatch, truth, run, "--resamples", 5) == 0
    folder = run / "tables" / "statistics"
    assert {path.name for path in folder.iterdir()} == {
        f"{name}.csv" for name in ("metrics", "strata", "paired", "paired_given", "between")
    }
    metrics = pd.read_csv(folder / "metrics.csv")
    assert set(metrics["split"]) == {"test", "val"}
    assert {"ndcg", "regret_1", "overlap_10", "weighted_tau", "partial_tau_given_flops"} <= set(
        metrics.columns
    )
    assert not any("accuracy" in column for path in folder.iterdir() for column in pd.read_csv(path).columns)
    assert call(monkeypatch, truth, run, "--resamples", 0, "--no-statistics", "--out", run / "plain") == 0
    assert not (run / "plain" / "statistics").exists()


@pytest.mark.parametrize("wish", [["--format", "html"], ["format=html"]])
def test_a_page(run: Path, truth: Truth, monkeypatch: pytest.MonkeyPatch, wish: list[str]) -> None:
    options = [*wish, "resamples=5", "--table", "table3", "--data", "/private/a", "data=/private/b"]
    assert call(monkeypatch, truth, run, *options) == 0
    page = (run / "tables" / "report.html").read_text(encoding="utf-8")
    assert f"nasbench-report {run} {' '.join(wish).replace('format=', '--format=')}" in page
    assert "/private" not in page
    assert "the best accuracy found" in page
    assert "rank by score and by accuracy" not in page  # the page plots ranks itself
    for title in ("Statistics", "Within strata of accuracy", "Is the row better than the column?"):
        assert title in page
    assert not (run / "tables" / "table1.csv").exists()


def test_a_page_without_plotly_is_refused_at_once(
    run: Path, truth: Truth, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    assert call(monkeypatch, truth, run, "format=html") == 2
    assert "pip install 'nasbench_eval[html]'" in capsys.readouterr().err
    assert not (run / "tables").exists()


def test_what_an_earlier_report_wrote_goes(run: Path, truth: Truth, monkeypatch: pytest.MonkeyPatch) -> None:
    assert call(monkeypatch, truth, run, "--resamples", 0, "format=html") == 0
    (run / "tables" / "figures" / "mine.txt").touch()
    assert call(monkeypatch, truth, run, "--resamples", 0, "--no-statistics", "--table", "table3") == 0
    left = {str(path.relative_to(run / "tables")) for path in (run / "tables").rglob("*") if path.is_file()}
    assert "figures/mine.txt" in left
    assert not {name for name in left if name.startswith("statistics/") or "alike" in name}
    assert "report.html" not in left


def test_nothing_measured_is_no_crash(
    write_run: WriteRun, truth: Truth, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = write_run({("snip", "cifar100"): {"score": np.arange(N)}}, config={"seed": 0})
    assert call(monkeypatch, truth, run, "--resamples", 0, "--table", "table3", "format=html") == 0
    assert (run / "tables" / "report.html").exists()
    assert not (run / "tables" / "statistics").exists()


def test_seeds(
    run: Path,
    write_run: WriteRun,
    truth: Truth,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = write_run({("snip", "cifar10"): {"score": np.arange(N)}}, name="other", config={"seed": 4})
    assert call(monkeypatch, truth, run, "--resamples", 0, "--seeds", other) == 0
    printed = capsys.readouterr().out
    about_seeds = printed[printed.index("Over seeds") : printed.index("written to")]
    assert max(map(len, about_seeds.splitlines())) <= 100
    assert json.loads((run / "tables" / "report.json").read_text())["seeds"] == [{"run": "other", "seed": 4}]
    frame = pd.read_csv(run / "tables" / "statistics" / "seeds.csv")
    assert frame["proxy"].tolist() == ["snip", "snip"]
    assert frame["seeds"].tolist() == [2, 2]
    assert call(monkeypatch, truth, run, "--resamples", 0, "--seeds", run) == 2
    assert "each needs one of its own" in capsys.readouterr().err


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

    monkeypatch.setattr(command, "read_runs", interrupted)
    assert call(monkeypatch, truth, run) == 130
    assert capsys.readouterr().err == "\ninterrupted; run the same command again for the tables\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--table", "table2"], "unknown table 'table2'; did you mean table"),
        (["--table", "nowhere.yaml"], "no table definition"),
        (["--resamples", "-1"], "must be 0 or more"),
        (["--seed", "-1"], "--seed must be 0 or more; got -1"),
        (["--split", "train"], "unknown split 'train'"),
        (["--no-such"], "unrecognized arguments: --no-such"),
        (["x" * 300], "there is no run folder xxx"),
        (["table=" + "x" * 300 + ".yaml"], "no table definition"),
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

    def tables(space: str, *splits: str) -> list[str]:
        scores = read_runs([write_run(parts, name=f"{space}{len(splits)}", space=space)])
        return [name for name, _ in command.wished_tables(None, scores, splits)]

    assert tables("nasbench201", "test") == ["table1", "table3"]
    assert tables("nasbench101", "test", "val") == ["figure2"]
    with pytest.raises(UsageError, match="no accuracies of elsewhere are known"):
        tables("elsewhere", "test")
    run = read_runs([write_run(parts, name="val", space="nasbench101")])
    with pytest.raises(UsageError, match="no table about nasbench101 has the split val"):
        command.wished_tables(None, run, ["val"])


def test_a_missing_run_exits_two(
    tmp_path: Path, truth: Truth, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, truth, tmp_path / "absent") == 2
    assert "no run folder" in capsys.readouterr().err


def test_accuracies_come_from_the_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pd.DataFrame({"cifar10_val": [1.0, 2.0], "cifar10_test": [3.0, 4.0]})
    asked: list[tuple[str, Path]] = []
    monkeypatch.setattr(
        truths.tables, "load_table", lambda space, folder: asked.append((space, folder)) or frame
    )
    found = truths.truth_of("nasbench201", tmp_path, False, None)
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


def test_the_folder_of_a_sweep_names_the_runs_in_it(
    write_run: WriteRun, truth: Truth, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run({("snip", "cifar10"): {"score": np.arange(N, dtype=float)}}, name="sweep/one (1)")
    assert call(monkeypatch, truth, run.parent) == 2
    assert f"report one of the runs in it: '{run}'" in capsys.readouterr().err
    (run / "shards").mkdir()
    shutil.rmtree(run / "scores")
    assert call(monkeypatch, truth, run) == 2
    assert f"its shards are not merged: nasbench-merge '{run}'" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_not_said_to_miss_a_page(
    write_run: WriteRun, truth: Truth, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file system that is read-only refuses to delete even what is not there."""
    run = write_run({("snip", "cifar10"): {"score": np.arange(N, dtype=float)}})

    def refuse(path: Path, *_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    (run / "tables").mkdir()
    monkeypatch.setattr(Path, "unlink", refuse)
    monkeypatch.setattr(Path, "write_text", refuse)
    assert call(monkeypatch, truth, run, "--resamples", 0, "--no-statistics") == 2
    said = capsys.readouterr().err
    assert "Read-only file system" in said
    assert "report.html" not in said
