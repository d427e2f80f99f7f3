"""One architecture of each class is scored; the others bear its score and say so."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Collection, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import pytest
import torch
from commands import Asked, scored
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench_eval.data.datasets import DataSet
from nasbench_eval.errors import UsageError
from nasbench_eval.passes import Record
from nasbench_eval.proxies.base import Proxy, ProxyInfo
from nasbench_eval.proxies.intrain import InTrain
from nasbench_eval.proxies.params import Params
from nasbench_eval.runs.rows import Row
from nasbench_eval.runs.store import Store, digest, read_scores
from nasbench_eval.runs.wanted import Wanted
from nasbench_eval.scoring.classes import representatives
from nasbench_eval.scoring.job import Job
from nasbench_eval.scoring.process import Scorer
from nasbench_eval.spaces.nasbench101 import NASBench101
from nasbench_eval.spaces.nasbench201 import NASBench201
from nasbench_eval.verify.cli import main as verify
from nasbench_eval.work.progress import Progress
from nasbench_eval.work.runner import run_job

SPACE = NASBench201(4, 1)
DATASETS = {"cifar10": DataSet("cifar10", 10, 8, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))}
TINY = InTrain(batch_size=4, resolution=8)
EVERY = representatives(SPACE, range(len(SPACE)))
# 57 and 550 stand for others too, 5 and 12 for themselves.
BY_CLASS = {cell: [i for i, other in EVERY.items() if other == cell] for cell in (550, 57)}
CELLS = (5157, 57, 12, *BY_CLASS[57][-2:], 5)


def job_of(**proxies: Proxy) -> Job:
    return Job(SPACE, DATASETS, proxies, seed=0)


JOB = job_of(intrain=TINY)


def run(
    folder: Path,
    cells: Sequence[int] = CELLS,
    job: Job = JOB,
    *,
    dedupe: bool = True,
    retry: bool = False,
    own: Collection[str] = (),
) -> dict[str, int]:
    chosen = {"dedupe": "isomorphic" if dedupe else "none"}
    identity = {"proxies": {label: {} for label in job.proxies}, **chosen}
    with closing(Store(folder, SPACE.name, identity, {})) as store:
        stands_in = representatives(SPACE, cells) if dedupe else {c: c for c in cells}
        wanted = Wanted(job, stands_in, store, retry_failed=retry, own=own)
        run_job(Scorer(job, None, torch.device("cpu")), wanted, progress := Progress(), workers=0)
        store.finish({})
    return {"cells": len(progress.cells), "rows": progress.rows.total(), "failed": progress.failed}


def by_index(folder: Path) -> pd.DataFrame:
    return read_scores(folder).set_index("index")


def test_the_whole_space_has_6466_classes() -> None:
    assert len(set(EVERY.values())) == 6466
    assert all(EVERY[cell] == cell for cell in EVERY.values())


def test_no_two_cells_of_nasbench101_are_isomorphic() -> None:
    some = range(0, 423_624, 20_000)
    assert representatives(NASBench101(), some) == {i: i for i in some}


@given(st.lists(st.integers(0, len(SPACE) - 1), max_size=5))
def test_a_representative_is_the_same_in_any_company(indices: list[int]) -> None:
    assert representatives(SPACE, indices) == {i: EVERY[i] for i in indices}


def test_representatives_score_as_they_would_alone_and_the_others_bear_their_scores(tmp_path: Path) -> None:
    assert run(tmp_path / "deduped") == {"cells": 4, "rows": 4, "failed": 0}
    run(tmp_path / "plain", sorted({*CELLS, *(EVERY[c] for c in CELLS)}), dedupe=False)
    deduped, plain = by_index(tmp_path / "deduped"), by_index(tmp_path / "plain")
    assert list(deduped.index) == sorted(CELLS)
    for cell in CELLS:
        scored = EVERY[cell]
        for column in ("gamma", "resilience", "score", "status"):
            assert deduped[column][cell] == plain[column][scored]
        assert deduped["arch"][cell] == SPACE.format(SPACE.arch(cell))
        if scored == cell:
            assert pd.isna(deduped["copied_from"][cell])
        else:
            assert deduped["copied_from"][cell] == scored
    assert plain["copied_from"].isna().all()


def test_sizes_are_each_cells_own_whatever_stands_in_for_it(tmp_path: Path, asked: Asked) -> None:
    cells = [*BY_CLASS[57][-3:], 12]
    chosen = ["proxy=[params,flops,intrain]", "proxy.resolution=8", "dedupe=isomorphic", f"indices={cells}"]
    scored(tmp_path / "small", *chosen)
    rows = read_scores(tmp_path / "small")
    found = rows.pivot_table(index="index", columns="proxy", values="score")
    sizes = [SPACE.params(SPACE.arch(cell), num_classes=10) for cell in found.index]
    assert found["params"].tolist() == sizes
    assert len(set(sizes)) > 2  # isomorphic cells that are not of one size
    copied = rows[rows["copied_from"].notna()]
    assert (set(copied["proxy"]), set(copied["index"])) == ({"intrain"}, set(BY_CLASS[57][-3:]))
    assert set(copied["copied_from"]) == {57}
    answer = asked(verify, "nasbench-verify", tmp_path / "small")
    assert answer.code == 0, answer.out


def test_copied_sizes_of_an_older_folder_are_counted_anew(tmp_path: Path) -> None:
    sizes = job_of(params=Params(), intrain=TINY)
    older, newer = tmp_path / "older", tmp_path / "newer"
    run(older, job=sizes)  # once sizes were copied as other scores are
    run(newer, job=sizes, own=sizes.of_size)
    before, fresh = read_scores(older), read_scores(newer)
    copied = before[before["copied_from"].notna() & (before["proxy"] == "params")]["index"]
    assert len(copied) == 3
    again = run(older, job=sizes, own=sizes.of_size)
    assert (again["cells"], again["rows"]) == (3, 3)
    assert run(older, job=sizes, own=sizes.of_size)["rows"] == 0
    by = ["proxy", "index"]
    mended = read_scores(older).sort_values(by, ignore_index=True).drop(columns="seconds")
    pd.testing.assert_frame_equal(mended, fresh.sort_values(by, ignore_index=True).drop(columns="seconds"))


def test_seconds_stand_with_one_row_of_a_class(tmp_path: Path) -> None:
    run(tmp_path)
    seconds = by_index(tmp_path)["seconds"]
    assert (seconds[[57, 12, 5]] > 0).all()
    assert (seconds[BY_CLASS[57][-2:]] == 0).all()  # their representative has a row of its own
    assert seconds[5157] > 0  # 550 has none
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["copied"] == 3
    assert record["cells"] == len(CELLS)


def test_a_larger_sample_scores_no_class_twice(tmp_path: Path) -> None:
    more = (*CELLS, 550, *BY_CLASS[550][:3], 77)
    run(tmp_path / "grown")
    assert run(tmp_path / "grown", more) == {"cells": 1, "rows": 1, "failed": 0}
    assert run(tmp_path / "grown", more) == {"cells": 0, "rows": 0, "failed": 0}
    run(tmp_path / "fresh", more)
    assert digest(tmp_path / "grown") == digest(tmp_path / "fresh")
    grown, fresh = by_index(tmp_path / "grown"), by_index(tmp_path / "fresh")
    pd.testing.assert_frame_equal(grown.drop(columns="seconds"), fresh.drop(columns="seconds"))
    assert pd.isna(grown["copied_from"][550])


@dataclass(frozen=True)
class Trapped(Params):
    """Counts parameters; a cell with so many of them interrupts or breaks as long as a file is there."""

    info: ClassVar[ProxyInfo] = ProxyInfo("trapped", 1, "made up")
    trap: str = ""
    parameters: float = 0.0
    interrupts: bool = False

    def score(self, records: Sequence[Record]) -> dict[str, float]:
        score = super().score(records)
        if Path(self.trap).exists() and score["score"] == self.parameters:
            raise KeyboardInterrupt if self.interrupts else ArithmeticError("trapped")
        return score


def trapped(trap: Path, cell: int, *, interrupts: bool) -> Job:
    run(trap.parent / "one", [cell], job_of(p=Params()))
    parameters = by_index(trap.parent / "one")["score"][cell]
    return job_of(p=Trapped(trap=str(trap), parameters=parameters, interrupts=interrupts))


def test_an_interrupted_run_continues_to_the_same_rows(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    job = trapped(trap, 12, interrupts=True)
    trap.touch()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", job=job)
    kept = read_scores(tmp_path / "cut")
    assert 0 < len(kept) < len(CELLS)
    trap.unlink()
    run(tmp_path / "cut", job=job)
    run(tmp_path / "whole", job=job)
    cut, whole = by_index(tmp_path / "cut"), by_index(tmp_path / "whole")
    pd.testing.assert_frame_equal(cut.drop(columns="seconds"), whole.drop(columns="seconds"))


def test_a_failure_is_copied_as_a_failure_and_mended_with_its_representative(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    job = trapped(trap, 57, interrupts=False)
    trap.touch()
    failed = run(tmp_path / "run", job=job)["failed"]
    assert failed >= 1
    rows = by_index(tmp_path / "run")
    of_57 = [57, *BY_CLASS[57][-2:]]
    assert (rows["status"][of_57] == "error").all()
    assert (rows["error"][of_57] == "ArithmeticError: trapped").all()
    trap.unlink()
    assert run(tmp_path / "run", job=job)["cells"] == 0
    again = run(tmp_path / "run", job=job, retry=True)
    assert again == {"cells": failed, "rows": failed, "failed": 0}
    rows = by_index(tmp_path / "run")
    assert (rows["status"] == "ok").all()
    assert rows["score"][of_57].nunique() == 1


def test_deduped_and_plain_rows_do_not_mix(tmp_path: Path) -> None:
    run(tmp_path, dedupe=False)
    with pytest.raises(UsageError, match="made with dedupe=none, now dedupe=isomorphic"):
        run(tmp_path)


def made_up(cell: int, label: str) -> Row:
    place = {"dataset": "cifar10", "label": label, "index": cell, "arch": f"arch-{cell}", "seed": 0}
    return {**place, "score": cell / 7, "seconds": 1.0, "status": "ok", "error": None, "proxy_version": 1}


cells_of_few_classes = st.lists(
    st.sampled_from([*BY_CLASS[550], *BY_CLASS[57], *range(8)]), min_size=1, max_size=12, unique=True
)


@settings(max_examples=30)
@given(st.lists(st.tuples(cells_of_few_classes, st.integers(0, 12)), min_size=1, max_size=4))
def test_whatever_is_asked_for_and_wherever_it_stops(sessions: list[tuple[list[int], int]]) -> None:
    """Every row once, with its representative's score, and a second of time for each that was scored."""
    job = job_of(p=Params(), q=Params())
    asked, scored = set(), 0
    with tempfile.TemporaryDirectory() as folder:
        everything = [cell for cells, _ in sessions for cell in cells]
        for cells, stop in [*sessions, (everything, 1000)]:
            asked.update(cells)
            identity: dict[str, Any] = {"proxies": {"p": {}, "q": {}}, "dedupe": "isomorphic"}
            with closing(Store(Path(folder), SPACE.name, identity, {})) as store:
                wanted = Wanted(job, {cell: EVERY[cell] for cell in cells}, store)
                for cell, tasks in list(wanted.work())[:stop]:
                    wanted.fill([made_up(cell, task.label) for task in tasks])
                    scored += len(tasks)
                if stop == 1000:
                    assert not wanted.incomplete()
        rows = read_scores(Path(folder))
    for _, part in rows.groupby("proxy"):
        assert sorted(part["index"]) == sorted(asked)
    assert [score * 7 for score in rows["score"]] == pytest.approx([EVERY[i] for i in rows["index"]])
    assert rows["seconds"].sum() == scored == 2 * len({EVERY[i] for i in asked})
