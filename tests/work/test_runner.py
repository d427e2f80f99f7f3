"""Processes, interruptions and order change nothing about the rows."""

from __future__ import annotations

import io
import multiprocessing
import os
import re
import signal
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import pytest
import torch

from nasbench_eval.data.datasets import DataSet
from nasbench_eval.errors import Terminated, UsageError
from nasbench_eval.passes import ForwardSpec, PassSpec, Record
from nasbench_eval.proxies.base import Proxy, ProxyInfo
from nasbench_eval.proxies.intrain import InTrain
from nasbench_eval.proxies.params import Params
from nasbench_eval.proxies.snip import Snip
from nasbench_eval.runs.rows import Row, Task
from nasbench_eval.runs.store import Store, digest, read_scores
from nasbench_eval.runs.wanted import Wanted
from nasbench_eval.scoring.job import Job
from nasbench_eval.scoring.process import Scorer
from nasbench_eval.spaces.nasbench201 import NASBench201
from nasbench_eval.work.progress import Progress
from nasbench_eval.work.runner import run_job

CPU = torch.device("cpu")
DATASETS = {"cifar10": DataSet("cifar10", 10, 8, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))}
CELLS = (5, 12, 3, 900, 77, 15000)


@dataclass(frozen=True)
class Doomed(Params):
    """Counts parameters until a cell that takes its process down, as long as a file is there."""

    info: ClassVar[ProxyInfo] = ProxyInfo("doomed", 1, "made up")
    trap: str = ""
    how: str = "interrupt"

    def score(self, records: Sequence[Record]) -> dict[str, float]:
        score = super().score(records)
        if Path(self.trap).exists() and score["score"] in TRAPPED:
            if self.how == "interrupt":
                raise KeyboardInterrupt
            if self.how == "error":
                raise ArithmeticError("trapped")
            os.kill(os.getpid(), signal.SIGKILL)
        return score


TRAPPED = {7974.0}  # what the tenth cell has


def job_of(**proxies: Proxy) -> Job:
    return Job(NASBench201(4, 1), DATASETS, proxies, seed=0)


SMALL: dict[str, Any] = {"batch_size": 4, "resolution": 8, "input": "gaussian"}
JOB = job_of(intrain=InTrain(**SMALL), snip=Snip(**SMALL))


def run(
    folder: Path, job: Job = JOB, cells: Sequence[int] = CELLS, workers: int = 0, retry_failed: bool = False
) -> dict[str, int]:
    identity = {"proxies": {label: {} for label in job.proxies}}
    store = Store(folder, job.space.name, identity, {})
    with Progress(folder) as progress, closing(store):
        wanted = Wanted(job, {cell: cell for cell in cells}, store, retry_failed=retry_failed)
        run_job(Scorer(job, None, CPU), wanted, progress, workers=workers)
        store.finish({})
    return {"cells": len(progress.cells), "rows": progress.rows.total(), "failed": progress.failed}


def test_order_and_processes_change_no_bit(tmp_path: Path) -> None:
    assert run(tmp_path / "one") == {"cells": 6, "rows": 12, "failed": 0}
    run(tmp_path / "again")
    run(tmp_path / "backwards", cells=CELLS[::-1])
    run(tmp_path / "two", workers=2)
    assert len({digest(tmp_path / name) for name in ("one", "again", "backwards", "two")}) == 1
    assert not multiprocessing.active_children()


def test_proxies_asked_for_one_by_one_give_the_same_folder(tmp_path: Path) -> None:
    run(tmp_path / "together")
    for label, proxy in JOB.proxies.items():
        run(tmp_path / "apart", job_of(**{label: proxy}))
    assert digest(tmp_path / "together") == digest(tmp_path / "apart")


def test_only_what_is_missing_is_scored(tmp_path: Path) -> None:
    run(tmp_path, job_of(intrain=JOB.proxies["intrain"]), CELLS[:2])
    assert run(tmp_path, JOB, CELLS[:3]) == {"cells": 3, "rows": 4, "failed": 0}
    assert run(tmp_path, JOB, CELLS[:3]) == {"cells": 0, "rows": 0, "failed": 0}
    assert len(read_scores(tmp_path)) == 6


def test_what_broke_is_scored_again_if_asked_for_and_nothing_else(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    trap.touch()
    job = job_of(doomed=Doomed(trap=str(trap), how="error"), params=Params())
    cells = tuple(range(40))
    broken = run(tmp_path / "run", job, cells)["failed"]
    assert 0 < broken < 40
    log = (tmp_path / "run" / "run.log").read_text()
    assert log.count("error of doomed on cifar10: Traceback (most recent call last):") == broken
    assert "ArithmeticError: trapped" in log
    assert run(tmp_path / "run", job, cells)["cells"] == 0, "a failure is a row"
    again = run(tmp_path / "run", job, range(60), retry_failed=True)
    assert again == {"cells": broken, "rows": broken, "failed": broken}
    assert (read_scores(tmp_path / "run", proxy="doomed")["status"] == "error").sum() == broken
    trap.unlink()
    again = run(tmp_path / "run", job, cells, retry_failed=True)
    assert again == {"cells": broken, "rows": broken, "failed": 0}
    assert run(tmp_path / "run", job, cells, retry_failed=True)["cells"] == 0
    doomed, params = (read_scores(tmp_path / "run", proxy=p) for p in ("doomed", "params"))
    assert doomed["index"].to_list() == list(cells)
    assert doomed["score"].to_list() == params["score"].to_list()


def test_a_run_cut_short_keeps_its_rows_and_continues(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    trap.touch()
    job = job_of(doomed=Doomed(trap=str(trap)))
    cells = tuple(range(40))
    plain = job_of(doomed=Params())
    run(tmp_path / "plain", plain, cells)
    expected = read_scores(tmp_path / "plain")[["index", "score"]]
    first_trapped = next(i for i, score in expected.to_numpy() if score in TRAPPED)
    assert 2 < first_trapped < 39

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", job, cells)
    assert '"state": "interrupted"' in (tmp_path / "cut" / "progress.json").read_text()
    kept = set(read_scores(tmp_path / "cut")["index"])
    assert 0 < len(kept) < len(cells)
    trap.unlink()
    assert run(tmp_path / "cut", job, cells)["cells"] == len(cells) - len(kept)
    pd.testing.assert_frame_equal(read_scores(tmp_path / "cut")[["index", "score"]], expected)


@dataclass(frozen=True)
class Huge(Params):
    def passes(self) -> tuple[PassSpec, ...]:
        return (PassSpec(ForwardSpec("kaiming", "ones", 10**9, 1000)),)


@pytest.mark.parametrize(
    ("proxy", "said"),
    [
        (Huge(), "p on cifar10: no such input: .*can't allocate"),
        (Snip(batch_size=4, resolution=8), "real images of cifar10 .* no data folder"),
    ],
)
def test_inputs_that_cannot_be_had_are_told_before_anything_else(proxy: Proxy, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Scorer(job_of(p=proxy), None, CPU).check_inputs()


def test_progress_shows_rate_time_left_and_failures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    run(tmp_path, job_of(p=Params()), CELLS[:2])
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    run(tmp_path, job_of(p=Params()), tuple(range(200, 240)) + CELLS[:2])
    monkeypatch.undo()
    lines = shown.getvalue().split("\r")
    assert re.search(r"2/42 \[", lines[1]), "what was there already counts as done"
    assert re.search(r"/42 \[\d\d:\d\d<\d\d:\d\d, +[\d.]+cell/s, 0 failed\]", lines[-1])


def test_a_seed_of_its_own_for_every_architecture(tmp_path: Path) -> None:
    """The score of a cell is the same in any company, and moves with the run's seed."""
    run(tmp_path / "all")
    run(tmp_path / "single", cells=CELLS[3:4])
    run(tmp_path / "seed", replace(JOB, seed=1), CELLS[3:4])
    whole, single, other = (read_scores(tmp_path / name) for name in ("all", "single", "seed"))
    same = whole[whole["index"] == CELLS[3]]
    assert list(same["score"]) == list(single["score"])
    assert not set(other["score"]) & set(single["score"])


class Instant:
    """Rows in no time at all, until it is interrupted."""

    def __init__(self, stop: BaseException, at: int) -> None:
        self.stop, self.at = stop, at

    def __call__(self, index: int, tasks: Sequence[Task], text: str | None = None) -> list[Row]:
        if index == self.at:
            raise self.stop
        return [
            {
                **task._asdict(),
                "index": index,
                "arch": "",
                "seed": 0,
                "score": float(index),
                "seconds": 0.0,
                "status": "ok",
                "error": None,
                "proxy_version": 1,
            }
            for task in tasks
        ]

    def instant(self, index: int, tasks: tuple[Task, ...]) -> bool:
        return True

    def failure(
        self, index: int, tasks: Sequence[Task], status: str, error: str, seconds: float
    ) -> list[Row]:
        raise NotImplementedError


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), Terminated()])
@pytest.mark.parametrize("together", [0.0, 1000.0])
def test_rows_had_at_once_are_kept_to_the_last_when_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: BaseException, together: float
) -> None:
    monkeypatch.setattr("nasbench_eval.work.runner._TOGETHER", together)
    job = job_of(params=Params())
    identity = {"proxies": {"params": {"name": "params"}}}
    with closing(Store(tmp_path, job.space.name, identity, {})) as store:
        wanted = Wanted(job, {cell: cell for cell in range(2000)}, store)
        with pytest.raises(type(stop)), Progress(tmp_path) as progress:
            run_job(Instant(stop, 1234), wanted, progress, workers=2)
    assert read_scores(tmp_path)["index"].to_list() == list(range(1234))
