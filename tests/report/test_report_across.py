"""Proxies across benchmarks: ranks and agreement counted by hand, and the command."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import ARCHS, N, WriteRun
from scipy import stats

from nasbench_eval.errors import UsageError
from nasbench_eval.report import cli
from nasbench_eval.report.across import benchmarks as module
from nasbench_eval.report.across.benchmarks import Benchmark, benchmarks_of, combined_rows, protocol
from nasbench_eval.report.across.draw import draw_latex, draw_markdown, draw_text
from nasbench_eval.report.across.figure import draw_across, draw_agreement
from nasbench_eval.report.across.table import (
    AGREEMENT_MEANINGS,
    CELL_MEANINGS,
    PROXY_MEANINGS,
    across,
    agreement,
    ranked,
)
from nasbench_eval.report.scores import read_runs
from nasbench_eval.report.statistics.correlation import correlate
from nasbench_eval.report.tables import Settings, Truth

NAN = np.nan
SETTINGS = Settings(resamples=30)


def cells_of(table: dict[str, list[float]], names: str = "abc") -> pd.DataFrame:
    """Cells that all count; a proxy's values over benchmarks, NaN for what was not scored."""
    records = [
        {"proxy": proxy, "benchmark": name, "value": value, "counted": True}
        for proxy, values in table.items()
        for name, value in zip(names, values, strict=True)
        if not np.isnan(value)
    ]
    return pd.DataFrame(records)


# Ranks and agreement -----------------------------------------------------------------------------------


def test_ranks_are_taken_among_the_proxies_of_all_benchmarks() -> None:
    table = {"x": [0.9, 0.1, 0.5], "y": [0.5, 0.3, 0.5], "z": [0.1, 0.2, 0.9], "partly": [NAN, 0.4, 0.7]}
    cells, proxies = ranked(cells_of(table), list("abc"), "value")
    ranks = cells.pivot(index="proxy", columns="benchmark", values="rank")
    assert ranks.loc["x"].tolist() == [1, 3, 2.5]
    assert ranks.loc["y"].tolist() == [2, 1, 2.5]
    assert ranks.loc["z"].tolist() == [3, 2, 1]
    # Above all three of the field in b, below z alone in c; it pushes none of them down.
    assert ranks.loc["partly", ["b", "c"]].tolist() == [1, 2]
    by_name = proxies.set_index("proxy")
    assert by_name["mean_rank"].to_dict() == pytest.approx(
        {"x": 6.5 / 3, "y": 5.5 / 3, "z": 2, "partly": 1.5}
    )
    assert list(proxies["proxy"]) == ["y", "z", "x", "partly"]
    assert by_name.loc["x", ["worst", "worst_benchmark"]].tolist() == [0.1, "b"]
    assert by_name["benchmarks"].to_dict() == {"x": 3, "y": 3, "z": 3, "partly": 2}
    assert by_name["everywhere"].to_dict() == {"x": True, "y": True, "z": True, "partly": False}


def test_what_does_not_count_has_no_rank() -> None:
    cells = cells_of({"x": [0.9, 0.1, 0.5], "y": [0.5, 0.3, 0.4]})
    cells.loc[(cells["proxy"] == "y") & (cells["benchmark"] == "c"), "counted"] = False
    cells, proxies = ranked(cells, list("abc"), "value")
    assert list(proxies["proxy"]) == ["x", "y"]
    assert proxies["everywhere"].tolist() == [True, False]
    assert proxies["worst"].tolist() == [0.1, 0.3]
    assert np.isnan(cells.set_index(["proxy", "benchmark"]).loc[("y", "c"), "rank"])


tau_tables = st.integers(2, 6).flatmap(
    lambda size: st.lists(
        st.lists(st.floats(-1, 1).map(lambda x: round(x, 2)), min_size=3, max_size=3),
        min_size=size,
        max_size=size,
    )
)


@settings(max_examples=40)
@given(tau_tables, st.permutations("abc"))
def test_laws_of_mean_ranks(values: list[list[float]], order: list[str]) -> None:
    table = {f"p{number}": row for number, row in enumerate(values)}
    _, proxies = ranked(cells_of(table), list("abc"), "value")
    _, turned = ranked(cells_of(table), order, "value")
    _, stretched = ranked(
        cells_of({k: [x**3 + x for x in v] for k, v in table.items()}), list("abc"), "value"
    )
    mean = proxies.set_index("proxy")["mean_rank"]
    assert mean.mean() == pytest.approx((len(values) + 1) / 2)
    for other in (turned, stretched):
        assert other.set_index("proxy")["mean_rank"].to_dict() == pytest.approx(mean.to_dict())


def test_agreement_is_tau_over_the_proxies_that_both_have() -> None:
    table = {"x": [0.9, 0.1, NAN], "y": [0.5, 0.3, 0.5], "z": [0.1, 0.2, 0.9], "w": [0.3, 0.25, NAN]}
    found = agreement(cells_of(table), list("abc"), "value").set_index(["benchmark", "other"])
    expected = stats.kendalltau([0.9, 0.5, 0.1, 0.3], [0.1, 0.3, 0.2, 0.25]).statistic
    assert found.loc[("a", "b"), "agreement"] == pytest.approx(expected)
    assert found["proxies"].tolist() == [4, 2, 2]
    assert found["agreement"].isna().tolist() == [False, True, True]  # two proxies have no order to agree on


# From runs ---------------------------------------------------------------------------------------------


def made_of(write_run: WriteRun, truth: Truth) -> list[Benchmark]:
    """Two data sets: `few` is scored on a third of the architectures, `odd` on one data set alone."""
    rng = np.random.default_rng(3)
    parts: dict[tuple[str, str], dict[str, Any]] = {}
    for dataset in ("cifar10", "cifar100"):
        for label in ("naswot", "zen", "ntk_condition_thin", "linear_regions"):
            parts[label, dataset] = {"score": rng.normal(size=N)}
    parts["odd", "cifar10"] = {"score": np.where(np.arange(N) < 4, NAN, rng.normal(size=N))}
    parts["few", "cifar100"] = {"score": rng.normal(size=N // 3)}
    config = {"proxies": {"naswot": {"batch_size": 8, "input": "images"}}, "finished": "2026-01-02T03:04:05"}
    scores = read_runs([write_run(parts, config=config)])
    return [
        Benchmark(f"nasbench201/{name}", name.upper(), "nasbench201", name, "test", scores, truth)
        for name in ("cifar10", "cifar100")
    ]


def test_each_correlation_is_that_of_the_tables(write_run: WriteRun, truth: Truth) -> None:
    every = made_of(write_run, truth)
    table = across(every, SETTINGS)
    assert list(table.cells) == list(CELL_MEANINGS)
    assert list(table.proxies) == list(PROXY_MEANINGS)
    assert list(table.agreement) == list(AGREEMENT_MEANINGS)
    cells = table.cells.set_index(["proxy", "benchmark"])
    for benchmark in every:
        for part, frame in benchmark.scores.frames.items():
            if part.dataset != benchmark.dataset:
                continue
            accuracy = truth.accuracy(part.dataset, "test")[frame["index"]]
            wanted = correlate(frame["score"], accuracy, resamples=30, seed=0)
            row = cells.loc[(part.label, benchmark.name)]
            assert (row["kendall_tau"], row["spearman_rho"]) == pytest.approx((wanted.tau, wanted.rho))
            assert (row["kendall_low"], row["kendall_high"]) == pytest.approx(
                (wanted.tau_low, wanted.tau_high)
            )
            assert (row["n"], row["n_failed"]) == (wanted.n, wanted.n_failed)
    assert not cells.loc[("few", "nasbench201/cifar100"), "counted"]
    assert cells["counted"].sum() == len(cells) - 1
    # TE-NAS's members are there, those of AZ-NAS are not.
    assert "te_nas" in set(table.proxies["proxy"])
    assert "az_nas" not in set(table.proxies["proxy"])


def test_spearman_may_rank(write_run: WriteRun, truth: Truth) -> None:
    table = across(made_of(write_run, truth), SETTINGS, measure="rho")
    values = table.values()
    cells = table.cells.set_index(["proxy", "benchmark"])
    assert (
        values.loc["zen", "nasbench201/cifar10"] == cells.loc[("zen", "nasbench201/cifar10"), "spearman_rho"]
    )
    assert "Spearman ρ with accuracy" in draw_text(table).replace("\n", " ")


def test_facts_of_a_column(write_run: WriteRun, truth: Truth) -> None:
    first, *_ = made_of(write_run, truth)
    assert protocol(first) == "batch size 8 (1)"  # images are NASWOT's default
    facts = module.facts_of(first)
    assert (facts.run, facts.date) == ("run", "2026-01-02")


def test_rows_are_labels_aggregates_and_columns() -> None:
    rows = {row.name: row for row in combined_rows()}
    assert {"az_nas", "te_nas", "vkdnw_agg", "vkdnw_agg_16", "log_synflow"} <= set(rows)
    assert rows["log_synflow"].label == "synflow"
    assert "gamma" not in rows  # a row of the table about the parts of one proxy


def test_drawn(write_run: WriteRun, truth: Truth) -> None:
    table = across(made_of(write_run, truth), SETTINGS)
    text, markdown, latex = draw_text(table), draw_markdown(table, ["across.png"]), draw_latex(table)
    assert max(map(len, text.splitlines())) <= 100
    assert "![across.png](across.png)" in markdown
    few = next(line for line in text.splitlines() if line.startswith("few"))
    assert "*" in few
    assert "–" in few
    odd = next(line for line in markdown.splitlines() if line.startswith("| odd"))
    rank = table.proxies.set_index("proxy").loc["odd", "mean_rank"]
    assert f"({rank:.1f})" in odd
    assert latex.count(r"\cellcolor") == len(table.cells)
    assert latex.count("{") == latex.count("}")


def test_figures_show_each_cell(write_run: WriteRun, truth: Truth) -> None:
    every = made_of(write_run, truth)
    table = across(every, SETTINGS)
    figure = draw_across(table)
    assert figure is not None
    shown = [text.get_text() for axes in figure.axes for text in axes.texts]
    values = table.values().to_numpy()
    texts = [f"{value:.2f}".replace("-", "−") for value in values[np.isfinite(values)]]
    assert all(any(other.removesuffix("*") == text for other in shown) for text in texts)
    assert draw_agreement(table) is not None
    alone = across(every[:1], Settings(resamples=0))
    assert draw_agreement(alone) is None
    assert np.isnan(alone.mean_agreement)
    assert alone.proxies["everywhere"].all()


# The command -------------------------------------------------------------------------------------------


def call(monkeypatch: pytest.MonkeyPatch, truth: Truth, *arguments: object) -> int:
    monkeypatch.setattr(module, "truth_of", lambda space, folder, live, benchmark: truth)
    monkeypatch.setattr(sys, "argv", ["nasbench-report", *map(str, arguments)])
    return cli.main()


@pytest.fixture
def two(write_run: WriteRun) -> list[Path]:
    rng = np.random.default_rng(5)
    labels = ("snip", "zen", "naswot")
    return [
        write_run({(label, name): {"score": rng.normal(size=N)} for label in labels}, name=f"run_{name}")
        for name in ("cifar10", "cifar100")
    ]


def test_the_command(
    two: list[Path], truth: Truth, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any
) -> None:
    pytest.importorskip("plotly")
    out = tmp_path / "out"
    assert call(monkeypatch, truth, *two, "--across", "--resamples", 9, "--format", "html", "--out", out) == 0
    printed = capsys.readouterr().out
    assert "nasbench201, CIFAR-100" in printed
    names = {"across.csv", "across.md", "across.tex", "across.png", "across_agreement.png"}
    names |= {"across_proxies.csv", "across_agreement.csv", "report.json", "report.html"}
    assert {path.name for path in out.iterdir()} == names
    page = (out / "report.html").read_text()
    assert "Proxies across benchmarks" in page
    assert "This page holds benchmark accuracies" not in page
    record = json.loads((out / "report.json").read_text())
    assert [run["run"] for run in record["runs"]] == ["run_cifar10", "run_cifar100"]
    assert (
        call(monkeypatch, truth, *two, "--across", "--resamples", 0, "--figures", "none", "--out", out) == 0
    )
    assert pd.read_csv(out / "across.csv")["interval"].eq("no resamples").all()
    assert not (out / "report.html").exists()


def test_a_single_run_needs_no_folder(two: list[Path], truth: Truth, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ["--across", "--resamples", 0, "--figures", "none"]
    assert call(monkeypatch, truth, two[0], *options) == 0
    assert (two[0] / "tables" / "across" / "across.md").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--across"], "several runs are reported together with --across: say where to with --out"),
        (["--across", "--table", "table1", "--out", "x"], "--table is an option of reports without --across"),
        (["--across", "--pool", "zen", "--out", "x"], "--pool is an option of reports with --ensemble"),
        (["--measure", "rho"], "--measure is an option of reports with --across or --ensemble"),
        (["--across", "--truth", "digits", "--out", "x"], "--truth is an option of reports without --across"),
        (["--across", "--aggregate", "az_nas", "--out", "x"], "unknown member of aggregate 'az_nas'"),
    ],
)
def test_what_is_refused(
    options: list[str],
    said: str,
    two: list[Path],
    truth: Truth,
    monkeypatch: Any,
    tmp_path: Path,
    capsys: Any,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, truth, *two, *options) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_runs_are_given_once(two: list[Path], truth: Truth, monkeypatch: Any, capsys: Any) -> None:
    assert call(monkeypatch, truth, two[0], two[0], "--across", "--out", "x") == 2
    assert "is given twice" in capsys.readouterr().err


def test_validation_accuracy_where_there_is_no_other(
    two: list[Path], truth: Truth, monkeypatch: pytest.MonkeyPatch
) -> None:
    def accuracy(dataset: str, split: str) -> np.ndarray[Any, Any]:
        return truth.accuracy(dataset, split) * (NAN if (dataset, split) == ("cifar100", "test") else 1)

    monkeypatch.setattr(module, "truth_of", lambda *_: Truth(ARCHS, accuracy))
    assert [each.split for each in benchmarks_of(two, None, "both")] == ["test", "val"]
    assert [each.split for each in benchmarks_of(two, None, "val")] == ["val", "val"]
    with pytest.raises(UsageError, match=r"nasbench201 on cifar100, of which no test accuracies are known"):
        benchmarks_of(two, None, "test")


def test_benchmarks_of_the_same_name_are_told_apart(
    write_run: WriteRun, truth: Truth, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [write_run({("zen", "cifar10"): {"score": np.arange(N)}}, name=name) for name in ("one", "two")]
    monkeypatch.setattr(module, "truth_of", lambda *_: truth)
    names = [each.name for each in benchmarks_of(runs, None, "both")]
    assert names == ["nasbench201/cifar10 (one)", "nasbench201/cifar10 (two)"]
    table = across(benchmarks_of(runs, None, "both"), Settings(resamples=0))
    assert list(table.cells["benchmark"]) == names


def test_runs_whose_folders_have_one_name(
    write_run: WriteRun, truth: Truth, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = write_run({("zen", "cifar10"): {"score": np.arange(N)}}, name="run")
    second = first.parent / "elsewhere" / "run"
    shutil.copytree(first, second)
    monkeypatch.setattr(module, "truth_of", lambda *_: truth)
    found = benchmarks_of([first, second], None, "both")
    assert len({each.name for each in found}) == 2
    assert len(across(found, Settings(resamples=0)).cells) == 2


def test_a_correlation_of_what_failures_leave_counts_as_such(
    write_run: WriteRun, truth: Truth, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With failures left out, a proxy that failed nearly everywhere has a τ of few architectures."""
    few = np.where(np.arange(N) < 8, np.arange(N), NAN)
    run = write_run({("zen", "cifar10"): {"score": np.arange(N)}, ("snip", "cifar10"): {"score": few}})
    monkeypatch.setattr(module, "truth_of", lambda *_: truth)
    for failures, counted in (("worst", True), ("omit", False)):
        cells = across(benchmarks_of([run], None, "both"), Settings(failures, resamples=0)).cells  # type: ignore[arg-type]
        assert cells.set_index("proxy")["counted"].to_dict() == {"zen": True, "snip": counted}
