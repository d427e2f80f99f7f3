"""Figures: that they show the table's rows, and nothing of the machine that drew them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up import N, WriteRun
from made_up_figures import assert_legends_cover_no_panel, assert_nothing_is_cut_off, computed, texts

from nasbench_eval.report import FORMATS
from nasbench_eval.report.draw import caption, draw_markdown
from nasbench_eval.report.figure import draw_figure, write_figure
from nasbench_eval.report.figure.style import COLUMN, PAGE, lines, number, short
from nasbench_eval.report.scores import read_runs
from nasbench_eval.report.spec import RowSpec, SweepSpec, TableSpec, load_table_spec
from nasbench_eval.report.tables import Reporter, Settings, Table, Truth
from nasbench_eval.report.truths import truth_of
from nasbench_eval.spaces.nasbench201 import NASBench201
from nasbench_eval.truth import tables as truth_tables
from nasbench_eval.truth.ceiling import Agreement, Ceiling, noise_ceiling

AGREEMENT = Agreement(kendall_tau=0.908, spearman_rho=0.986, pairs=3, n=13_400)
CEILING = Ceiling(kendall_tau=0.957, spearman_rho=0.996, runs=2.08, agreement=AGREEMENT)


def compute(folder: Path, truths: dict[str, Truth], name: str = "table1", resamples: int = 9) -> Table:
    return computed(folder, truths, name, resamples=resamples)[0]


@pytest.fixture
def noisy(truth: Truth) -> dict[str, Truth]:
    """Accuracies of two training runs, on one data set's test images alone."""
    known = {("cifar10", "test"): CEILING}
    return {"nasbench201": replace(truth, ceiling=lambda dataset, split: known.get((dataset, split)))}


@pytest.fixture
def run(write_run: WriteRun) -> Path:
    names = {
        "cifar10": ["snip", "zen", "zico", "params", "mine_$1_and_$2_for_a_long_name"],
        "cifar100": ["zen"],
    }
    parts = {
        (name, dataset): {"score": np.random.default_rng(number).normal(size=N)}
        for dataset, labels in names.items()
        for number, name in enumerate(labels)
    }
    parts["flops", "cifar10"] = {"score": np.full(N, 1.0)}  # constant, hence without a correlation
    return write_run(parts)


def test_bars_are_the_measured_rows_in_order(run: Path, truths: dict[str, Truth]) -> None:
    table = compute(run, truths)
    figure = draw_figure(table)
    assert figure is not None
    assert figure.get_figwidth() == PAGE
    assert [axes.get_title() for axes in figure.axes] == ["CIFAR-10, n = 60", "CIFAR-100, n = 60"]
    test = table.rows[(table.rows["split"] == "test") & table.rows["kendall_tau"].notna()]
    for axes, dataset in zip(figure.axes, ["cifar10", "cifar100"], strict=True):
        rows = test[test["dataset"] == dataset]
        for bars, column in zip(axes.containers, ["kendall_tau", "spearman_rho"], strict=True):
            assert [bar.get_width() for bar in bars] == pytest.approx(rows[column].tolist())
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["snip", "zen", "zico", "params", "mine_$1_and_$2_for_a_…"]
    bottom, top = figure.axes[0].get_ylim()
    assert bottom > top  # the first row is at the top


def test_whiskers_and_published_figures(run: Path, truths: dict[str, Truth]) -> None:
    table = compute(run, truths)
    figure = draw_figure(table)
    assert figure is not None
    whiskers = figure.axes[1].collections[0].get_segments()
    row = table.rows.set_index(["proxy", "dataset", "split"]).loc[("zen", "cifar100", "test")]
    assert whiskers[0][:, 0].tolist() == [row["kendall_low"], row["kendall_high"]]
    diamonds = [line.get_xdata() for line in figure.axes[1].lines if line.get_marker() == "D"]
    assert [list(x) for x in diamonds] == [[row["published_tau"]], [row["published_rho"]]]
    shown = texts(figure)
    assert "whiskers: 95 % bootstrap" in shown
    assert "published (InTrain, Table 1)" in shown
    assert "test accuracy" in shown
    bare = draw_figure(compute(run, truths, resamples=0))
    assert bare is not None
    assert "whiskers" not in texts(bare)


def test_the_split_that_was_chosen_is_shown(run: Path, truths: dict[str, Truth]) -> None:
    reporter = Reporter(read_runs([run]), truths, Settings(resamples=0))
    figure = draw_figure(reporter.table("table1", load_table_spec("table1")[1], ["val"]))
    assert figure is not None
    assert "validation accuracy" in texts(figure)


def test_files_are_the_same_every_time(run: Path, truths: dict[str, Truth], tmp_path: Path) -> None:
    table = compute(run, truths)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        assert write_figure(table, tmp_path / name, FORMATS) == ["table1.png", "table1.pdf", "table1.svg"]
    for ending in FORMATS:
        first, second = ((tmp_path / name / f"table1.{ending}").read_bytes() for name in ("a", "b"))
        assert first == second
        assert 1000 < len(first) < 300_000
        assert b"atplotlib.org" not in first
        assert b"CreationDate" not in first
        assert b"<dc:" not in first
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or pyplot.get_fignums() == []


def test_nothing_measured_is_nothing_drawn(
    write_run: WriteRun, truths: dict[str, Truth], tmp_path: Path
) -> None:
    table = compute(write_run({("snip", "cifar10"): {"score": np.zeros(N)}}), truths)
    assert draw_figure(table) is None
    assert write_figure(table, tmp_path) == []
    assert not list(tmp_path.glob("table1.*"))


def test_a_sweep_is_drawn_as_lines(write_run: WriteRun, truths: dict[str, Truth]) -> None:
    spec = load_table_spec("lga")[1]
    assert spec.sweep is not None
    parts = {
        (spec.sweep.name(proxy, value), "cifar10"): {"score": np.random.default_rng(value).normal(size=N)}
        for proxy in ("lga", "ntk_mean")
        for value in (0, 3, 10)
    }
    table = compute(write_run(parts), truths, "lga")
    figure = draw_figure(table)
    assert figure is not None
    assert figure.get_figwidth() == COLUMN
    lines = {line.get_label(): line for line in figure.axes[0].lines if len(line.get_xdata())}
    assert list(lines) == ["lga", "ntk_mean"]
    rows = table.rows.set_index(["proxy", "split"])
    expected = [rows.loc[(f"lga_{value}", "test"), "kendall_tau"] for value in (0, 3, 10)]
    assert list(lines["lga"].get_ydata()) == pytest.approx(expected)
    assert np.round(lines["lga"].get_xdata()).tolist() == [0, 3, 10]
    assert "Paper" not in caption(table)


def test_the_noise_ceiling_is_drawn_where_it_is_known(run: Path, noisy: dict[str, Truth]) -> None:
    table = compute(run, noisy)
    assert table.ceilings == {("cifar10", "test"): CEILING}
    figure = draw_figure(table)
    assert figure is not None
    first, second = (
        [line.get_xdata()[0] for line in axes.lines if line.get_linestyle() == "--"] for axes in figure.axes
    )
    assert first == [0.957, 0.996]
    assert second == []
    assert "noise ceiling (where known)" in texts(figure)
    assert_nothing_is_cut_off(figure)
    assert_legends_cover_no_panel(figure)


def test_without_two_training_runs_there_is_no_ceiling(run: Path, truths: dict[str, Truth]) -> None:
    table = compute(run, truths)
    assert table.ceilings == {}
    figure = draw_figure(table)
    assert figure is not None
    assert "ceiling" not in texts(figure)
    assert "ceiling" not in caption(table)


def test_the_caption_says_the_noise_ceiling(run: Path, noisy: dict[str, Truth]) -> None:
    said = (
        "Agreement of two training runs: τ 0.908, ρ 0.986 with test accuracy on CIFAR-10 (13,400 "
        "architectures). Noise ceiling, estimated from it for a score without error: τ 0.957, ρ 0.996 with "
        "test accuracy on CIFAR-10 (means of 2.08 runs)."
    )
    table = compute(run, noisy)
    assert said in caption(table)
    assert said in draw_markdown(table)
    validation = Reporter(read_runs([run]), noisy).table("table1", load_table_spec("table1")[1], ["val"])
    assert "ceiling" not in caption(validation)


def test_a_warning_where_runs_hardly_agree(run: Path, truth: Truth) -> None:
    weak = Ceiling(0.7, 0.8, 3, Agreement(0.49, 0.6, 3, N))
    table = compute(run, {"nasbench201": replace(truth, ceiling=lambda dataset, split: weak)})
    said = "Warning: runs agree to less than τ 0.5 with test accuracy on CIFAR-10"
    assert said in caption(table)
    assert "Warning" not in caption(compute(run, {"nasbench201": truth}))


def test_a_space_has_no_ceiling_for_a_stratified_sample(write_run: WriteRun, noisy: dict[str, Truth]) -> None:
    parts = {("snip", "cifar10"): {"score": np.arange(float(N))}}
    assert compute(write_run(parts), noisy).ceilings
    assert not compute(write_run(parts, name="even", config={"sampling": "stratified"}), noisy).ceilings


def test_the_ceiling_is_that_of_the_judged_cells(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    runs = np.random.default_rng(0).normal(size=(200, 2)) + np.arange(200)[:, None] / 100
    frame = pd.DataFrame(runs, columns=["cifar10_test_run0", "cifar10_test_run1"])
    monkeypatch.setattr(truth_tables, "load_table", lambda space, folder: frame)
    space = NASBench201()
    live = np.array([space.live(space.arch(index)) for index in range(200)])
    assert 0 < live.sum() < 200
    for wish, judged in ((False, runs), (True, runs[live])):
        truth = truth_of("nasbench201", tmp_path, wish, None)
        assert truth.ceiling("cifar10", "test") == noise_ceiling(judged)
        assert truth.ceiling("cifar10", "val") is None


def test_a_sweep_has_its_ceiling_above(write_run: WriteRun, noisy: dict[str, Truth]) -> None:
    rng = np.random.default_rng(0)
    parts = {(f"lga_{value}", "cifar10"): {"score": rng.normal(size=N)} for value in (0, 1)}
    figure = draw_figure(compute(write_run(parts), noisy, "lga"))
    assert figure is not None
    [line] = [line for line in figure.axes[0].lines if line.get_linestyle() == "--"]
    assert list(line.get_ydata()) == [0.957, 0.957]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["lga", "noise ceiling"]
    assert_nothing_is_cut_off(figure)


def test_words_of_figures() -> None:
    assert number(-0.0784) == "−0.078"
    assert short("a" * 22) == "a" * 22
    assert short("a" * 23) == "a" * 21 + "…"
    assert lines(["One.", "Two."], COLUMN) == "One. Two."
    assert lines(["One" * 20, "Two" * 20], COLUMN) == "One" * 20 + "\n" + "Two" * 20


def test_a_sweep_makes_its_rows(tmp_path: Path) -> None:
    spec = load_table_spec("lga")[1]
    assert len(spec.rows) == 4 * 5
    assert spec.rows[2] == RowSpec("lga_3", options={"name": "lga", "epochs": 3})
    sweep = SweepSpec(["lga"], "epochs", [0, 3])
    own = TableSpec("t", "nasbench201", "made up", ["cifar10"], sweep=sweep)
    assert [row.name for row in own.sweep.rows()] == ["lga_0", "lga_3"]


def test_a_mistake_does_not_wait_for_matplotlib() -> None:
    code = "import sys, nasbench_eval.report.command; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
