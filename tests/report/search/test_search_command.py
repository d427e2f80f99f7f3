"""nasbench-report on searches: what it writes, and how it answers mistakes."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up_searches import NAMES, TRUTH, N, trials, write
from test_search_figures import write_scores

import nasbench_eval
from nasbench_eval.errors import UsageError
from nasbench_eval.report import cli
from nasbench_eval.report.search import command, judge, truths
from nasbench_eval.report.truths import truth_of


def call(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["nasbench-report", *map(str, arguments)])
    return cli.main()


def test_a_folder_of_searches(
    multirun: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, multirun) == 0
    printed = capsys.readouterr().out
    assert "What the searches found" in printed
    folder = multirun / "tables"
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    figures = {"search_evaluations", "search_seconds", "cells_cifar10", "cells_cifar100"}
    assert files == {"search.csv", "search.md", "search.tex", "report.json"} | {
        f"figures/{f}.png" for f in figures
    }
    table = pd.read_csv(folder / "search.csv")
    assert list(table.columns) == judge.COLUMNS
    assert len(table) == 12
    assert (table["pairs"][table["algorithm"] != "random"] == 6).all()
    record = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert len(record["runs"]) == 12
    assert record["runs"][0]["search"]["steps"] == 12


def test_a_search_without_a_trial_yet_is_left_out(
    multirun: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seeds = len(nasbench_eval.load_search(multirun, truth=False))
    waiting = write(multirun / "waiting", [])
    assert call(monkeypatch, multirun, "--figures", "none") == 0
    said = f"left out, without a trial yet: {waiting}"
    assert " ".join(capsys.readouterr().out.split()).count("left out, without a trial yet") == 1
    assert len(pd.read_csv(multirun / "tables" / "search.csv")) == 12
    assert said in json.loads((multirun / "tables" / "report.json").read_text())["notes"]
    with pytest.warns(UserWarning, match="left out, without a trial yet"):
        assert len(nasbench_eval.load_search(multirun, truth=False)) == seeds
    assert call(monkeypatch, waiting) == 2
    assert "waiting holds no trials yet; run the search first" in capsys.readouterr().err


def test_it_repeats_itself_exactly(multirun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for out in ("a", "b"):
        assert call(monkeypatch, multirun, "--out", multirun.parent / out, "--figures", "none") == 0
    written = sorted(path.name for path in (multirun.parent / "a").iterdir())
    assert written == ["report.json", "search.csv", "search.md", "search.tex"]  # and no figures
    for name in written:
        assert (multirun.parent / "a" / name).read_bytes() == (multirun.parent / "b" / name).read_bytes()


def test_figures_of_an_earlier_report_are_taken_away(multirun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in sorted(multirun.iterdir())[2:]:
        shutil.rmtree(folder)
    assert call(monkeypatch, multirun, "--figures", "pdf,png") == 0
    assert call(monkeypatch, multirun, "--figures", "pdf") == 0
    assert {path.suffix for path in (multirun / "tables" / "figures").iterdir()} == {".pdf"}


def test_tau_and_landscape(
    multirun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    index = list(range(0, N, 1000))
    scores = np.random.default_rng(0).normal(size=(3, len(index)))
    names = ("snip", "naswot", "synflow")
    run = write_scores(tmp_path / "scores", index, **dict(zip(names, scores.tolist(), strict=True)))
    folders = sorted(multirun.glob("cifar10-*"))
    out = tmp_path / "out"
    assert call(monkeypatch, *folders, "--tau", run, "--landscape", run, "--out", out) == 0
    table = pd.read_csv(out / "tau.csv")
    assert len(table) == 6
    assert table["spearman_rho"].notna().all()
    figures = {path.stem for path in (out / "figures").iterdir()}
    assert {"tau_random", "tau_regularized_evolution", "landscape_random_snip_cifar10"} <= figures
    assert call(monkeypatch, *folders, "--tau", run / "nothing", "--out", out) == 2
    assert "neither a table" in capsys.readouterr().err


def test_forks_are_drawn_and_not_averaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    history = [trials([5, 9000, 40, 7 + seed], {"snip": [1, 8, 3, 4]}, seed=seed) for seed in (0, 1)]
    folder = write(tmp_path / "fork", history, fork={"parent": "x", "step": 2})
    assert call(monkeypatch, folder) == 2
    assert "--landscape draws them" in capsys.readouterr().err
    assert call(monkeypatch, folder, "--landscape", "none") == 0
    assert not (folder / "tables" / "search.csv").exists()
    plain = write(tmp_path / "plain", [trials([5, 6], {"snip": [1, 2]})])
    assert call(monkeypatch, folder, plain, "--out", tmp_path / "out") == 0
    assert len(pd.read_csv(tmp_path / "out" / "search.csv")) == 1
    assert "not in the table" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--table", "table1"], "--table is an option of reports of scores"),
        (["--cells", "live"], "--cells is an option of reports of scores"),
        (["format=html"], "--format is an option of reports of scores"),
        (["--landscape", "/nowhere"], "there is no run folder /nowhere"),
    ],
)
def test_options_of_scores_are_refused(
    multirun: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    options: list[str], said: str,
) -> None:  # fmt: skip
    assert call(monkeypatch, multirun, *options) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1
    assert not (multirun / "tables").exists()


def test_options_of_searches_are_refused_of_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_scores(tmp_path / "scores", [1, 2], snip=[1.0, 2.0])
    for option in ("--tau", "--landscape"):
        assert call(monkeypatch, run, option, "x") == 2
        assert f"{option} is an option of reports of searches" in capsys.readouterr().err


def test_several_folders_need_a_place(
    multirun: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, *sorted(multirun.iterdir())) == 2
    assert "say where to with --out" in capsys.readouterr().err


def test_faults_are_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = write_scores(tmp_path / "scores", [1, 2], snip=[1.0, 2.0])
    folder = write(tmp_path / "a", [trials([1, 2], {"snip": [1, 2]})])
    empty = write(tmp_path / "empty", [])
    (tmp_path / "file").write_text("")
    for arguments, said in (
        ([folder, scores], "report searches apart from scores"),
        ([empty], "holds no trials yet"),
        ([folder, "--out", tmp_path / "file"], "choose a folder with --out"),
        ([folder, "--truth", "digits"], "is about nasbench201 on digits"),
    ):
        assert call(monkeypatch, *arguments) == 2
        error = capsys.readouterr().err
        assert said in error, arguments
        assert len(error.splitlines()) == 1


def test_a_space_without_truth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(truths, "truth_of", truth_of)
    folder = write(tmp_path / "a", [trials([1, 2], {"snip": [1, 2]})], space="another")
    assert call(monkeypatch, folder, "--data", tmp_path) == 2
    assert "search space with ground truth 'another'" in capsys.readouterr().err


def test_indicators(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "truth_of", lambda space, folder, live, benchmark: TRUTH)
    rng = np.random.default_rng(0)
    index = list(range(0, N, 100))
    run = write_scores(
        tmp_path / "scores", index, **{n: rng.normal(size=len(index)).tolist() for n in ("a", "b")}
    )
    assert call(monkeypatch, run, "--indicators", "a,b", "--resamples", 5) == 0
    folder = run / "tables" / "indicators"
    files = {path.name for path in folder.rglob("*") if path.is_file()}
    assert {"indicators.csv", "exclusive.csv", "none.csv", "none.png", "exclusive.png"} <= files
    assert pd.read_csv(folder / "indicators.csv")["proxy"].tolist() == ["a", "b", "rank_sum"]
    for wish, said in (("a,c", "no scores of 'c'"), ("a", "two or more labels")):
        assert call(monkeypatch, run, "--indicators", wish) == 2
        assert said in capsys.readouterr().err


def test_load_search(multirun: Path) -> None:
    each = nasbench_eval.load_search(multirun)
    assert list(each.columns) == list(judge.SEED_MEANINGS)
    assert len(each) == 12 * 6
    assert each["arch"].tolist() == [NAMES[index] for index in each["index"]]
    one = nasbench_eval.load_search(str(multirun / "cifar10-random-snip"), history=True)
    assert len(one) == 6 * 12
    assert {"told_snip", "incumbent", "test_accuracy", "algorithm", "run_seed"} <= set(one.columns)
    ends = one[one["step"] == 11].set_index("seed")["test_accuracy"]
    wanted = each[each["run"] == "cifar10-random-snip"].set_index("seed")["test_accuracy"]
    pd.testing.assert_series_equal(ends, wanted)


def test_a_history_needs_no_accuracies(multirun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> object:
        raise AssertionError("accuracies were read")

    monkeypatch.setattr(truths, "truth_of", refused)
    for history in (False, True):
        frame = nasbench_eval.load_search(multirun, history=history, truth=False)
        assert not {"val_accuracy", "test_accuracy", "regret"} & set(frame.columns)


def test_load_search_refuses_a_run_of_scores(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no search"):
        nasbench_eval.load_search(write_scores(tmp_path / "scores", [1], snip=[1.0]))


def test_the_embedded_benchmark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(truths, "truth_of", truth_of)
    digits = nasbench_eval.load_truth("digits")["digits_test"]
    known, unknown = int(digits.index[0]), next(i for i in range(N) if i not in digits.index)
    history = [trials([index], {"snip": [1.0]}, seed=seed) for seed, index in enumerate((known, unknown))]
    folder = write(tmp_path / "a", history, dataset="digits", record={"truth": "digits"})
    assert call(monkeypatch, folder, "--figures", "none") == 0
    line = pd.read_csv(folder / "tables" / "search.csv").iloc[0]
    assert (line["seeds"], line["answers"]) == (2, 1)
    assert line["test_accuracy"] == pytest.approx(digits[known], abs=1e-6)
    assert line["best_test_accuracy"] == pytest.approx(digits.max(), abs=1e-6)
    assert "1 seed without an architecture of known test accuracy" in " ".join(
        capsys.readouterr().out.split()
    )
