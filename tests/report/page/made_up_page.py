"""Runs and accuracies made up for the tests of the interactive page."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nasbench_eval.errors import UsageError
from nasbench_eval.report.html import write_html
from nasbench_eval.report.scores import Part, Run, Scores
from nasbench_eval.report.spec import AggregateSpec, RowSpec, TableSpec
from nasbench_eval.report.tables import Reporter, Settings, Table, Truth

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
CELLS_201 = [
    f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"
    for a, b, c, d, e, f in itertools.product(OPERATIONS, repeat=6)
]
CELLS_101 = [
    "|output~0|",
    "|conv3x3~0|maxpool3x3~0~1|output~1~2|",
    "|conv3x3~0|conv1x1~0~1|maxpool3x3~0~2|conv3x3~1~3|conv1x1~4|output~0~3~5|",
]
N = 40
EVIL = "</script><img src=x onerror=\"document.title='broken'\">&amp;{{7*7}}'"


def made_up_scores(
    labels: list[str], archs: list[str], datasets: list[str], space: str = "nasbench201", command: str = ""
) -> Scores:
    run = Run(Path("made_up"), {"command": command} if command else {})
    frames = {}
    for number, (label, dataset) in enumerate(itertools.product(labels, datasets)):
        score = np.random.default_rng(number).lognormal(0, 3, len(archs))
        rows = {
            "index": np.arange(len(archs)),
            "arch": archs,
            "score": score,
            "half": score / 2,
            "status": "ok",
        }
        frames[Part(space, dataset, label)] = pd.DataFrame(rows)
    return Scores((run,), frames, dict.fromkeys(frames, run))


def made_up_truth(archs: list[str]) -> Truth:
    def accuracy(dataset: str, split: str) -> np.ndarray[Any, Any]:
        if dataset == "imagenet16_120":
            raise UsageError("no such data set")
        return 10 + 80 * np.random.default_rng(len(dataset + split)).random(len(archs)).round(3)

    return Truth(archs, accuracy)


def compute(scores: Scores, truths: dict[str, Truth], spec: TableSpec, name: str = "mine") -> Table:
    return Reporter(scores, truths, Settings(resamples=9)).table(name, spec)


def spec_of(space: str = "nasbench201", **other: Any) -> TableSpec:
    rows = [
        RowSpec("snip"),
        RowSpec("half", title="Half of snip", proxy="snip", value="half"),
        RowSpec("both", aggregate=AggregateSpec("rank_sum", ["snip", "zen"])),
        RowSpec("absent"),
    ]
    return TableSpec("Made up", space, "made up", ["cifar10", "cifar100"], rows=rows, others=True, **other)


def scores_with_failures() -> Scores:
    archs = CELLS_201[:N]
    found = made_up_scores(
        ["snip", "zen", "zico"], archs, ["cifar10", "cifar100"], command="nasbench-score n=40"
    )
    zen, zico = (Part("nasbench201", "cifar10", label) for label in ("zen", "zico"))
    failed = found.frames[zen].assign(status="ok")
    failed.loc[[3, 4], "score"] = [-np.inf, np.nan]
    failed.loc[4, "status"] = "nan"
    found.frames[zen] = failed
    found.frames[zico] = found.frames[zico].iloc[10:].reset_index(drop=True)
    return found


def page_of(folder: Path, scores: Scores, **other: Any) -> str:
    given = {"tables": (), "truths": {}, "record": {}, "command": "nasbench-report made_up"} | other
    path = write_html(folder, scores=scores, **given)
    assert path == folder / "report.html"
    return path.read_text(encoding="utf-8")
