"""Scores of other runs are taken over where they are the same to the bit, and nowhere else."""

from __future__ import annotations

import copy
import json
import math
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from nasbench_eval.cli import score
from nasbench_eval.data.datasets import DataSet
from nasbench_eval.proxies.base import Proxy
from nasbench_eval.proxies.intrain import InTrain
from nasbench_eval.proxies.params import Params
from nasbench_eval.proxies.snip import Snip
from nasbench_eval.runs import parquet
from nasbench_eval.runs.store import Store, digest, read_scores
from nasbench_eval.runs.wanted import Wanted
from nasbench_eval.scoring.classes import representatives
from nasbench_eval.scoring.job import Job
from nasbench_eval.scoring.process import Scorer
from nasbench_eval.scoring.reuse import Taken, take_over
from nasbench_eval.spaces.nasbench201 import NASBench201
from nasbench_eval.work.progress import Progress
from nasbench_eval.work.runner import run_job

CIFAR10 = DataSet("cifar10", 10, 8, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
TINY = InTrain(batch_size=4, resolution=8)
CELLS = (5, 12, 3, 900, 77, 15000)
MACHINERY: dict[str, Any] = {
    "versions": {"torch": "2.9", "numpy": "2.3", "python": "3.12"},
    "commit": "abc",
    "device": "cpu",
    "device_name": "x86_64 AVX2",
    "processor": "one",
    "sources": {"shared": "s", "intrain": "i", "params": "p", "snip": "n"},
    "images": {},
}


def job_of(**proxies: Proxy) -> Job:
    return Job(NASBench201(4, 1), {"cifar10": CIFAR10}, proxies, seed=0)


JOB = job_of(intrain=TINY)


def run(
    folder: Path,
    cells: Sequence[int] = CELLS,
    job: Job = JOB,
    machinery: Mapping[str, Any] = MACHINERY,
    *,
    dedupe: bool = False,
    results: Path | None = None,
    retry_failed: bool = False,
) -> tuple[dict[str, int], int]:
    """A run that takes over what it may; returns what it did, by run, and how many cells it scored."""
    identity = {**job.identity(), "dedupe": "isomorphic" if dedupe else "none"}
    with closing(Store(folder, job.space.name, identity, machinery)) as store:
        stands_in = representatives(job.space, cells) if dedupe else {cell: cell for cell in cells}
        wanted = Wanted(job, stands_in, store, retry_failed=retry_failed)
        taken = take_over(wanted, results or folder.parent)
        run_job(Scorer(job, None, torch.device("cpu")), wanted, progress := Progress(), workers=0)
        store.finish({})
    assert not taken.passed_over
    return dict(taken.rows), len(progress.cells)


def changed(machinery: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Machinery with another value somewhere, or None for a part that was not recorded."""
    found = copy.deepcopy(dict(machinery))
    *parents, last = path.split(".")
    node = found
    for key in parents:
        node = node[key]
    if value is None:
        del node[last]
    else:
        node[last] = value
    return found


def same_rows(one: Path, other: Path) -> bool:
    """Whether two runs hold the same rows, but for seconds and from where they come."""
    frames = [read_scores(f).drop(columns=["seconds", "reused_from"]) for f in (one, other)]
    pd.testing.assert_frame_equal(*frames)
    return digest(one) == digest(other)


def test_a_larger_sample_computes_the_difference_and_has_the_same_rows(tmp_path: Path) -> None:
    assert run(tmp_path / "small", CELLS[:4]) == ({}, 4)
    assert run(tmp_path / "large") == ({"small": 4}, 2)
    assert run(tmp_path / "elsewhere" / "fresh", results=tmp_path / "elsewhere") == ({}, 6)
    assert same_rows(tmp_path / "large", tmp_path / "elsewhere" / "fresh")
    small, large = (read_scores(tmp_path / name).set_index("index") for name in ("small", "large"))
    taken = large["reused_from"] == "small"
    assert set(large.index[taken]) == set(CELLS[:4])
    assert large["reused_from"][~taken].isna().all()
    pd.testing.assert_series_equal(large["seconds"][taken], small["seconds"])
    record = json.loads((tmp_path / "large" / "run.json").read_text())
    assert record["reused"] == {"small": 4}
    assert json.loads((tmp_path / "small" / "run.json").read_text())["reused"] == {}


def test_several_runs_give_what_they_have(tmp_path: Path) -> None:
    run(tmp_path / "a", CELLS[:2])
    run(tmp_path / "sweep" / "b", CELLS[1:4], results=tmp_path / "nowhere")  # as a named multirun leaves it
    assert run(tmp_path / "c") == ({"a": 2, "sweep/b": 2}, 2)
    assert run(tmp_path / "c") == ({}, 0)


def test_other_labels_and_other_samples_of_the_same_reading_hit(tmp_path: Path) -> None:
    run(tmp_path / "a", CELLS[:3], job_of(mine=TINY, other=replace(TINY, layers="cell")))
    taken, scored = run(tmp_path / "b", CELLS[:3], job_of(yours=TINY, plain=Params()))
    assert taken == {"a": 3}
    assert scored == 3  # of the other proxy
    assert read_scores(tmp_path / "b", proxy="yours")["reused_from"].eq("a").all()
    assert read_scores(tmp_path / "b", proxy="plain")["reused_from"].isna().all()


OTHER_JOBS = {
    "seed": replace(JOB, seed=1),
    "space": replace(JOB, space=NASBench201(8, 1)),
    "data set": replace(JOB, datasets={"cifar10": replace(CIFAR10, mean=(1.0, 0.0, 0.0))}),
    "data set's name": replace(JOB, datasets={"other": replace(CIFAR10, name="other")}),
    "option": job_of(intrain=replace(TINY, layers="cell")),
    "resolution": job_of(intrain=replace(TINY, resolution=9)),
    "proxy": job_of(intrain=Params()),
}


@pytest.mark.parametrize("job", OTHER_JOBS.values(), ids=OTHER_JOBS.keys())
def test_what_decides_the_scores_must_be_the_same(tmp_path: Path, job: Job) -> None:
    run(tmp_path / "a", CELLS[:1])
    assert run(tmp_path / "b", CELLS[:1], job) == ({}, 1)


def test_another_version_of_a_proxy_misses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path / "a", CELLS[:1])
    monkeypatch.setattr(InTrain, "info", replace(InTrain.info, version=InTrain.info.version + 1))
    assert run(tmp_path / "b", CELLS[:1]) == ({}, 1)


OTHER_MACHINERY = [
    ("versions.torch", "2.10"),
    ("versions.numpy", "2.4"),
    ("versions.torch", None),
    ("versions", None),
    ("device", "cuda"),
    ("device_name", "x86_64 AVX512"),
    ("processor", "two"),
    ("processor", None),
    ("sources.shared", "t"),
    ("sources.intrain", "j"),
    ("sources.intrain", None),
    ("sources", None),
]


@pytest.mark.parametrize(("path", "value"), OTHER_MACHINERY)
def test_machinery_must_be_recorded_and_the_same(tmp_path: Path, path: str, value: object) -> None:
    other = changed(MACHINERY, path, value)
    run(tmp_path / "a", CELLS[:1], machinery=other)
    assert run(tmp_path / "b", CELLS[:1]) == ({}, 1)
    assert run(tmp_path / "c", CELLS[:1], machinery=other)[0].get("b") is None


@pytest.mark.parametrize(
    ("path", "value"),
    [("versions.python", "3.13"), ("commit", "def"), ("sources.snip", "m"), ("images", {"a": 1})],
)
def test_machinery_without_a_bearing_on_the_scores_may_differ(
    tmp_path: Path, path: str, value: object
) -> None:
    run(tmp_path / "a", CELLS[:1], machinery=changed(MACHINERY, path, value))
    assert run(tmp_path / "b", CELLS[:1]) == ({"a": 1}, 0)


def test_all_sessions_of_a_run_must_agree(tmp_path: Path) -> None:
    run(tmp_path / "a", CELLS[:1], machinery=changed(MACHINERY, "processor", "two"))
    run(tmp_path / "a", CELLS[:2])
    assert run(tmp_path / "b", CELLS[:2]) == ({}, 2)
    run(tmp_path / "c", CELLS[:1], machinery=changed(MACHINERY, "commit", "def"))
    run(tmp_path / "c", CELLS[:3])
    assert run(tmp_path / "d", CELLS[:3])[0] == {"b": 2, "c": 1}


def test_an_option_that_is_newer_than_a_run_had_its_default(tmp_path: Path) -> None:
    run(tmp_path / "a", CELLS[:1])
    record = json.loads((tmp_path / "a" / "run.json").read_text())
    del record["proxies"]["intrain"]["dead_layers"]
    (tmp_path / "a" / "run.json").write_text(json.dumps(record))
    assert run(tmp_path / "b", CELLS[:1], job_of(x=replace(TINY, dead_layers="collapsed"))) == ({}, 1)
    assert run(tmp_path / "c", CELLS[:1]) == ({"a": 1}, 0)


@pytest.mark.parametrize(("images", "hit"), [("x", True), ("y", False), (None, False)])
def test_images_that_are_read_must_be_the_same(tmp_path: Path, images: str | None, hit: bool) -> None:
    job = job_of(snip=Snip(batch_size=4), plain=Params())

    def machinery(images: str | None) -> dict[str, Any]:
        return {**MACHINERY, "images": {} if images is None else {"cifar10": images}}

    row = {"dataset": "cifar10", "index": 5, "arch": "", "seed": 0, "score": 1.0, "seconds": 1.0}
    row |= {"status": "ok", "error": None, "proxy_version": 1}
    with closing(Store(tmp_path / "a", job.space.name, job.identity(), machinery(images))) as store:
        store.add([{**row, "label": label} for label in job.proxies])
    with closing(Store(tmp_path / "b", job.space.name, job.identity(), machinery("x"))) as store:
        taken = take_over(Wanted(job, {5: 5}, store), tmp_path)
    assert taken.rows == {"a": 1 + hit}  # the parameter count reads none


def test_failures_are_computed_anew_and_results_that_are_not_finite_are_not(tmp_path: Path) -> None:
    run(tmp_path / "a")
    file = next((tmp_path / "a").rglob("*.parquet"))
    rows = parquet.read(file).to_pylist()
    for row, status in zip(rows, ("oom", "error", "nan", "inf"), strict=False):
        row |= {"status": status, "score": math.inf if status == "inf" else math.nan}
    parquet.write(file, rows, {})
    taken, scored = run(tmp_path / "b")
    assert (taken, scored) == ({"a": 4}, 2)
    counts = read_scores(tmp_path / "b")["status"].value_counts()
    assert counts.to_dict() == {"ok": 4, "nan": 1, "inf": 1}


def test_a_failure_of_its_own_gives_way_to_a_score_that_is_taken_over(tmp_path: Path) -> None:
    run(tmp_path / "a", CELLS[:1])
    run(tmp_path / "b", CELLS[:2], results=tmp_path / "nowhere")
    file = next((tmp_path / "b").rglob("*.parquet"))
    rows = parquet.read(file).to_pylist()
    parquet.write(file, [{**row, "status": "error"} for row in rows], {})
    assert run(tmp_path / "b", CELLS[:2]) == ({}, 0)
    assert run(tmp_path / "b", CELLS[:2], retry_failed=True) == ({"a": 1}, 1)
    assert read_scores(tmp_path / "b")["status"].to_list() == ["ok", "ok"]


def taken_by(folder: Path) -> Taken:
    with closing(Store(folder, JOB.space.name, JOB.identity(), MACHINERY)) as store:
        return take_over(Wanted(JOB, {cell: cell for cell in CELLS}, store), folder.parent)


def spoil_record(folder: Path) -> None:
    (folder / "run.json").write_bytes(b'{"space": {"name": "nasbe\xff')


def spoil_shard(folder: Path) -> None:
    next(folder.rglob("*.parquet")).write_bytes(b"PAR1 and then the power went")


@pytest.mark.parametrize("spoil", [spoil_record, spoil_shard])
def test_a_damaged_run_is_passed_over_in_one_line(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    for name in ("a", "b"):
        run(tmp_path / name, CELLS[:2], results=tmp_path / "nowhere")
    spoil(tmp_path / "a")
    taken = taken_by(tmp_path / "c")
    assert taken.rows == {"b": 2}
    [line] = taken.passed_over
    assert str(tmp_path / "a") in line
    assert "\n" not in line


@pytest.mark.parametrize(
    "content",
    ["[]", "3", "{}", '{"space": 3}', '{"earlier": 3}', '{"earlier": [3]}', '{"earlier": [], "proxies": []}'],
)
def test_what_is_no_run_of_ours_is_passed_over_in_silence(tmp_path: Path, content: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "run.json").write_text(content)
    (tmp_path / "file").write_text("")
    (tmp_path / "empty" / "deep").mkdir(parents=True)
    taken = taken_by(tmp_path / "c")
    assert not taken.rows
    assert not taken.passed_over


@pytest.mark.parametrize("key", ["space", "datasets", "proxies", "seed", "earlier", *MACHINERY])
@pytest.mark.parametrize("value", [None, 3, [], {}, {"intrain": 3}])
def test_whatever_stands_in_a_record_is_no_error(tmp_path: Path, key: str, value: object) -> None:
    (tmp_path / "a").mkdir()
    record = {**JOB.identity(), **MACHINERY, "earlier": [], key: value}
    (tmp_path / "a" / "run.json").write_text(json.dumps(record))
    taken = taken_by(tmp_path / "c")
    assert not taken.rows
    assert not taken.passed_over


def test_a_run_under_way_gives_what_it_has_on_the_disk(tmp_path: Path) -> None:
    with closing(Store(tmp_path / "a", JOB.space.name, JOB.identity(), MACHINERY)) as under_way:
        wanted = Wanted(JOB, {cell: cell for cell in CELLS}, under_way)
        scorer = Scorer(JOB, None, torch.device("cpu"))
        for cell in CELLS[:2]:
            wanted.fill(scorer(cell, JOB.tasks()))
        under_way.flush()
        (next((tmp_path / "a").rglob("*.parquet")).parent / ".part-00001.parquet.tmp").write_bytes(b"PAR")
        assert run(tmp_path / "b", CELLS[:3]) == ({"a": 2}, 1)


def test_a_deduped_run_takes_over_representatives_and_no_other_rows(tmp_path: Path) -> None:
    members = [i for i, first in representatives(JOB.space, range(3000)).items() if first == 57]
    assert len(members) > 2
    run(tmp_path / "plain", members)
    assert run(tmp_path / "deduped", members[1:], dedupe=True) == ({"plain": len(members) - 1}, 0)
    rows = read_scores(tmp_path / "deduped")
    assert rows["copied_from"].eq(57).all()
    assert rows["reused_from"].eq("plain").all()
    plain = read_scores(tmp_path / "plain").set_index("index")
    assert rows["score"].eq(plain["score"][57]).all()
    assert sorted(rows["seconds"])[-2:] == [0.0, plain["seconds"][57]]


def test_copies_are_no_scores_of_their_own(tmp_path: Path) -> None:
    members = [i for i, first in representatives(JOB.space, range(3000)).items() if first == 57][:3]
    run(tmp_path / "deduped", members[1:], dedupe=True)
    assert run(tmp_path / "plain", members[1:]) == ({}, 2)
    # What the representative scores as they do tell.
    assert run(tmp_path / "single", [57]) == ({"deduped": 1}, 0)
    assert read_scores(tmp_path / "single")["copied_from"].isna().all()


def test_other_runs_are_told_apart_by_their_records_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path / "a", CELLS[:1], OTHER_JOBS["seed"])
    read: list[Path] = []
    original = parquet.read

    def watched(file: Path, columns: Any = None) -> Any:
        read.append(file)
        return original(file, columns)

    monkeypatch.setattr(parquet, "read", watched)
    assert not taken_by(tmp_path / "b").rows
    assert not read


SMALL = ["space.channels=4", "space.cells_per_stage=1", "workers=1", "device=cpu", "proxy.batch_size=4"]
SMALL += ["proxy.resolution=8"]
Said = Callable[..., list[str]]


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Said:
    """Runs the command in an empty folder and returns the lines it says."""
    monkeypatch.chdir(tmp_path)

    def lines(*arguments: str) -> list[str]:
        monkeypatch.setattr(sys, "argv", ["nasbench-score", *SMALL, *arguments])
        assert score() == 0
        return capsys.readouterr().err.splitlines()

    return lines


def test_the_command_says_what_it_took_over_and_from_where(said: Said, tmp_path: Path) -> None:
    said("n=20", "run=a")
    (tmp_path / "results" / "broken").mkdir()
    (tmp_path / "results" / "broken" / "run.json").write_text("{")
    lines = said("n=40", "run=b")
    assert lines[1].startswith("passed over: results/broken/run.json cannot be read (")
    assert lines[2] == "20 scores taken over from a; reuse=none computes them anew"
    assert lines[-1].startswith("20 cells scored now; 0 of 20 scores failed; next:")
    assert said("n=40", "run=c", "reuse=none")[-1].startswith("40 cells scored now")
    assert same_rows(tmp_path / "results" / "b", tmp_path / "results" / "c")
    lines = said("indices=[5157,1157,57]", "run=d", "dedupe=isomorphic")
    assert "of 3 cells in 3 classes of isomorphic ones on cifar10" in lines[0]
    assert lines[-1].startswith("3 cells scored now; 0 of 3 scores failed; 2 scores copied from")


def test_the_command_knows_the_images_by_their_bytes(said: Said, tmp_path: Path, noise_images: Path) -> None:
    others = shutil.copytree(noise_images, tmp_path / "others")
    with np.load(others / "images" / "cifar10.npz") as images:
        arrays = {**images, "x_train": 255 - images["x_train"]}
    np.savez(others / "images" / "cifar10.npz", **arrays)
    command = ["proxy=snip", "n=2"]
    assert "scored now" in said(*command, "run=a", f"data={noise_images}")[-1]
    assert "scored now" in said(*command, "run=b", f"data={others}")[-1]
    assert said(*command, "run=c", f"data={others}")[1].startswith("2 scores taken over from b")
    record = json.loads((tmp_path / "results" / "c" / "run.json").read_text())
    assert record["images"].keys() == {"cifar10"}
    assert len({digest(tmp_path / "results" / name) for name in "abc"}) == 2
