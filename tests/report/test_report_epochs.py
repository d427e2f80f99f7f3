"""What a proxy says over epochs of training, in bands of accuracy, counted by hand."""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_up import ARCHS, N, WriteRun

from nasbench_eval.errors import UsageError
from nasbench_eval.report import cli
from nasbench_eval.report.epochs import MEANINGS, draw_markdown, draw_text, over_epochs, series
from nasbench_eval.report.figure.epochs import draw_over_epochs
from nasbench_eval.report.scores import Scores, read_runs
from nasbench_eval.report.search import command
from nasbench_eval.report.tables import Truth

EPOCHS = (0, 3, 10)


def scores_of(write_run: WriteRun, **changed: dict[str, Any]) -> Scores:
    """A proxy with two columns of its own, whose third value is missing after ten epochs."""
    parts, proxies = {}, {}
    for k in EPOCHS:
        cka = k + np.random.default_rng(k).permutation(N) / N
        cka[2] = np.nan if k == 10 else cka[2]
        parts[f"moved_{k}", "cifar10"] = {"score": -cka, "cka": cka, "distance": 10 * cka}
        proxies[f"moved_{k}"] = {
            "name": "moved",
            "epochs": k,
            "batch_size": 8,
            **changed.get(f"moved_{k}", {}),
        }
    parts["intrain", "cifar10"] = {"score": np.ones(N)}
    proxies["intrain"] = {"name": "intrain"}
    return read_runs([write_run(parts, config={"proxies": proxies})])


def found(write_run: WriteRun, truth: Truth) -> tuple[Scores, pd.DataFrame]:
    scores = scores_of(write_run)
    held = series("moved", scores)
    assert list(held) == [("nasbench201", "cifar10")]
    labels = held["nasbench201", "cifar10"]
    assert [(k, part.label) for k, part in labels] == [(k, f"moved_{k}") for k in EPOCHS]
    return scores, over_epochs(labels, scores, truth)


def test_quartiles_of_each_band(write_run: WriteRun, truth: Truth) -> None:
    scores, table = found(write_run, truth)
    assert list(table) == list(MEANINGS)
    assert list(table["value"].unique()) == ["cka", "distance"]
    assert len(table) == 2 * 3 * len(EPOCHS)
    accuracy = truth.accuracy("cifar10", "test")
    order = np.argsort(accuracy)
    tenth = max(1, round(N / 10))
    for (value, band), rows in table.groupby(["value", "band"], sort=False):
        assert list(rows["epochs"]) == list(EPOCHS)
        for row in rows.to_dict("records"):
            held = accuracy[order]
            if band == "bad":
                cells = order[held <= np.quantile(accuracy, 0.1)]
            elif band == "good":
                cells = order[held >= np.quantile(accuracy, 0.9)]
            else:
                cells = order[(held >= np.quantile(accuracy, 0.45)) & (held <= np.quantile(accuracy, 0.55))]
            assert abs(len(cells) - tenth) <= 1
            frame = next(f for part, f in scores.frames.items() if part.label == f"moved_{row['epochs']}")
            values = frame[str(value)].to_numpy()[cells]
            finite = np.sort(values[np.isfinite(values)])
            assert (row["n"], row["n_failed"]) == (len(finite), len(cells) - len(finite))
            assert row["median"] == pytest.approx(np.median(finite))
            assert (row["lower"], row["upper"]) == pytest.approx(np.percentile(finite, [25, 75]).tolist())


def test_a_proxy_without_columns_has_its_score(write_run: WriteRun, truth: Truth) -> None:
    run = write_run(
        {("plain", "cifar10"): {"score": np.arange(N)}},
        config={"proxies": {"plain": {"name": "p", "epochs": 1}}},
    )
    scores = read_runs([run])
    [labels] = series("p", scores).values()
    assert set(over_epochs(labels, scores, truth)["value"]) == {"score"}


def test_a_band_that_nobody_scored(write_run: WriteRun, truth: Truth) -> None:
    best = int(np.argmax(truth.accuracy("cifar10", "test")))
    columns = {"index": [best], "score": [0.5], "arch": [ARCHS[best]]}
    config = {"proxies": {"plain": {"name": "p", "epochs": 1}}}
    scores = read_runs([write_run({("plain", "cifar10"): columns}, config=config)])
    [labels] = series("p", scores).values()
    table = over_epochs(labels, scores, truth)
    assert list(table["n"]) == [0, 0, 1]
    assert "–" in draw_text(table, "p")
    assert draw_over_epochs(table, "p", "cifar10") is not None


def test_text_and_figure(write_run: WriteRun, truth: Truth) -> None:
    _, table = found(write_run, truth)
    text, markdown = draw_text(table, "moved"), draw_markdown(table, "moved")
    assert max(map(len, text.splitlines())) <= 100
    for said in ("moved.cka on CIFAR-10", "moved.distance on CIFAR-10", "middling the middle tenth"):
        assert said in text
        assert said.replace("_", r"\_") in markdown
    figure = draw_over_epochs(table, "moved", "cifar10")
    assert figure is not None
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title() for axes in panels] == ["cka", "distance"]
    for axes in panels:
        lines = {line.get_label(): line for line in axes.lines}
        assert len(lines) == 3
        for label, line in lines.items():
            rows = table[(table["value"] == axes.get_title()) & (table["band"] == str(label).split(":")[0])]
            assert list(np.asarray(line.get_xdata())) == list(rows["epochs"])
            assert list(np.asarray(line.get_ydata())) == pytest.approx(list(rows["median"]))
    assert draw_over_epochs(table, "moved", "cifar100") is None


@pytest.mark.parametrize(
    ("name", "changed", "said"),
    [
        ("moves", {}, "unknown proxy of these runs 'moves'; did you mean moved"),
        ("intrain", {}, "'intrain' has no option epochs"),
        (
            "moved",
            {"moved_3": {"batch_size": 9}},
            "moved_0, moved_10, moved_3 differ in more than their epochs",
        ),
    ],
)
def test_what_is_refused(name: str, changed: dict[str, Any], said: str, write_run: WriteRun) -> None:
    with pytest.raises(UsageError, match=said):
        series(name, scores_of(write_run, **changed))


def test_the_command(
    write_run: WriteRun, truth: Truth, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = scores_of(write_run).runs[0].folder
    monkeypatch.setattr(command, "truth_of", lambda space, folder, live, benchmark: truth)

    def call(*options: str) -> int:
        monkeypatch.setattr(sys, "argv", ["nasbench-report", str(run), *options])
        return cli.main()

    assert call("--epochs", "moved") == 0
    assert "moved.cka on CIFAR-10" in capsys.readouterr().out
    folder = run / "tables" / "epochs"
    written = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    assert written == {"epochs.csv", "epochs.md", "report.json", "figures/epochs_cifar10.png"}
    assert list(pd.read_csv(folder / "epochs.csv")) == list(MEANINGS)
    assert json.loads((folder / "report.json").read_text())["runs"][0]["run"] == "run"
    assert call("--epochs", "moved", "--figures", "none") == 0
    assert not list(folder.rglob("*.png"))
    capsys.readouterr()
    assert call("--epochs", "moved", "--table", "lga") == 2
    said = capsys.readouterr().err
    assert said == "error: --table is an option of reports without --epochs; leave it out here\n"
