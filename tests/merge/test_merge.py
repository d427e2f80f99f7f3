"""`nasbench-merge` gives what a run in one piece gives, and tells exactly what is missing."""

from __future__ import annotations

import fcntl
import json
import math
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import commands
import numpy as np
import pandas as pd
import pytest
from commands import Ask, Asked
from hypothesis import given
from hypothesis import strategies as st

from nasbench_eval import sampling
from nasbench_eval.cli import score
from nasbench_eval.errors import UsageError
from nasbench_eval.merge import messages, missing, removal
from nasbench_eval.merge.cli import main
from nasbench_eval.merge.missing import Sample, ranges
from nasbench_eval.merge.sources import Source, own_scores
from nasbench_eval.runs import parquet
from nasbench_eval.runs.record import read_record
from nasbench_eval.runs.rows import Task
from nasbench_eval.runs.split import Split, shard_folders
from nasbench_eval.runs.store import digest, read_scores
from nasbench_eval.spaces.nasbench201 import NASBench201
from nasbench_eval.truth import own as benchmark
from nasbench_eval.truth import tables
from nasbench_eval.verify import cli as verify_cli

N, K = 11, 3
CELLS = sorted(sampling.uniform(15625, N, 0))
Row = dict[str, Any]


def scored(folder: Path, *arguments: str) -> None:
    commands.scored(folder, "proxy=[snip,params]", "proxy.input=gaussian", *arguments)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same sample in one piece and in three shards."""
    folder = tmp_path_factory.mktemp("runs")
    scored(folder / "whole", f"n={N}")
    for shard in range(K):
        scored(folder / "run", f"n={N}", f"shard={shard}/{K}")
    return folder


@pytest.fixture
def whole(made: Path) -> Path:
    return made / "whole"


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """A copy of the shards: 11 cells, two proxies."""
    return shutil.copytree(made / "run", tmp_path / "run")


@pytest.fixture
def merge(asked: Asked) -> Ask:
    """Runs the command."""
    return partial(asked, main, "nasbench-merge")


def shard(run: Path, number: int, of: int = K) -> Path:
    return Split(number, of).folder(run)


def part(folder: Path, label: str = "snip") -> Path:
    [file] = (folder / "scores").rglob(f"proxy={label}/part-*.parquet")
    return file


def rewrite(file: Path, change: Callable[[list[Row]], object]) -> None:
    """Change the rows of a file in place."""
    table = parquet.read(file)
    rows = table.to_pylist()
    change(rows)
    parquet.write(file, rows, parquet.record_of(table))


def record(folder: Path, **changes: Any) -> dict[str, Any]:
    """The content of run.json, with changes; None takes a part away."""
    file = folder / "run.json"
    known: dict[str, Any] = {**json.loads(file.read_text()), **changes}
    known = {key: value for key, value in known.items() if value is not None or key not in changes}
    file.write_text(json.dumps(known))
    return known


def tree(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file but locks with its content and time."""
    files = (file for file in folder.rglob("*") if file.is_file() and file.name != ".lock")
    return {str(f.relative_to(folder)): (f.read_bytes(), f.stat().st_mtime_ns) for f in files}


def rows_of(folder: Path) -> pd.DataFrame:
    """All that a run says of scores, but for timings."""
    return read_scores(folder).drop(columns="seconds")


def verified(folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["nasbench-verify", str(folder), "--no-scores"])
    return verify_cli.main()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    with (folder / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def test_merged_shards_are_the_run_in_one_piece(
    run: Path, whole: Path, merge: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {name: content for name, content in tree(run).items() if name.startswith("shards")}
    merged = merge(run)
    assert (merged.code, merged.err) == (0, "")
    assert merged.out.splitlines() == [
        "3 of 3 shards here",
        "11 of 11 cells have all scores",
        "22 rows of 2 proxies on 1 data set, 22 of them new to the run",
        f"merged into {run}; next: nasbench-report {run}",
    ]
    assert digest(run) == digest(whole)
    pd.testing.assert_frame_equal(rows_of(run), rows_of(whole))
    for label in ("snip", "params"):
        table = parquet.read(part(run, label))
        assert table["index"].to_pylist() == CELLS
        assert table.schema.equals(parquet.read(part(whole, label)).schema)
    assert {name: content for name, content in tree(run).items() if name.startswith("shards")} == before
    assert verified(run, monkeypatch) == 0


def test_every_row_is_copied_as_it_is(run: Path, merge: Ask) -> None:
    def mark(rows: list[Row]) -> None:
        rows[0].update(seconds=123.5, reused_from="another", error=None)
        rows[1].update(copied_from=3, status="nan", score=math.nan, error="no number")

    rewrite(part(shard(run, 1)), mark)
    expected = parquet.read(part(shard(run, 1))).to_pylist()
    assert merge(run).code == 0
    rows = {row["index"]: row for row in parquet.read(part(run)).to_pylist()}
    for row in expected:
        assert repr(rows[row["index"]]) == repr(row)


def test_the_record_is_that_of_the_whole(run: Path, whole: Path, merge: Ask) -> None:
    for number, seconds in enumerate((1.25, 2.5, 4.0)):
        record(shard(run, number), seconds_last_session=seconds, finished=f"2026-01-0{number + 1}T00:00:00")
    record(shard(run, 2), device_name="another", earlier=[{"device": "cpu", "device_name": "a third"}])
    merge(run)
    one, other = read_record(run), read_record(whole)
    assert one["merged"] == K
    assert one["seconds_last_session"] == 7.8
    assert one["finished"] == "2026-01-03T00:00:00"
    assert shlex.split(one["command"])[-1] == "n=11"
    named = [session["device_name"] for session in one["earlier"]]
    assert (one["device_name"], named) == (other["device_name"], ["another", "a third"])
    own = {"merged", "shard_seconds", "seconds_last_session", "finished", "earlier", "command"}
    assert {k: v for k, v in one.items() if k not in own} == {k: v for k, v in other.items() if k not in own}


def test_merging_again_changes_nothing(run: Path, merge: Ask) -> None:
    merge(run)
    before = tree(run)
    merged = merge(run)
    assert merged.code == 0
    assert "22 rows of 2 proxies on 1 data set, 0 of them new to the run" in merged.out
    after = tree(run)
    assert {name: content for name, (content, _) in after.items()} == {
        name: content for name, (content, _) in before.items()
    }
    assert [name for name in after if after[name] != before[name]] == ["run.json"]  # its time


def test_a_missing_shard_is_told_by_its_cells_and_its_command(
    run: Path, whole: Path, merge: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(shard(run, 1))
    merged = merge(run)
    assert merged.code == 1
    lacking = Split(1, K).take(CELLS)
    told = f"shard 1/3 of which nothing is there: cells {', '.join(map(str, lacking))}; score it with: "
    [line] = [line for line in merged.out.splitlines() if line.startswith("shard")]
    assert line.startswith(told)
    assert merged.out.splitlines()[:2] == [
        "2 of 3 shards here",
        f"{N - len(lacking)} of 11 cells have all scores",
    ]
    assert merged.out.endswith(f"merged into {run}; incomplete: 1 shard not begun\n")
    assert sorted(set(read_scores(run)["index"])) == [c for c in CELLS if c not in lacking]
    assert "finished" not in json.loads((run / "run.json").read_text())

    monkeypatch.setattr(sys, "argv", shlex.split(line.removeprefix(told)))
    assert score() == 0
    merged = merge(run)
    assert merged.code == 0
    assert "8 of them new" in merged.out
    assert digest(run) == digest(whole)


def test_a_shard_in_part_is_told_by_proxy_and_cells(run: Path, merge: Ask) -> None:
    mine = Split(2, K).take(CELLS)
    rewrite(part(shard(run, 2)), lambda rows: rows.pop(0))
    rewrite(part(shard(run, 1)), lambda rows: rows.clear() or rows.append({**ROW, "index": CELLS[0]}))
    record(shard(run, 2), finished=None)
    rewrite(part(shard(run, 0), "params"), lambda rows: rows.pop(1))
    rewrite(part(shard(run, 0)), lambda rows: rows.pop(1))
    merged = merge(run, "--check")
    assert merged.code == 1
    lines = [re.sub("; score.*", "", line) for line in merged.out.splitlines()]
    assert lines[3:-1] == [
        f"shard 0/3: 1 cell lacks all scores: {CELLS[1]}",
        f"shard 1/3: 4 cells lack snip on cifar10: {', '.join(map(str, Split(1, K).take(CELLS)))}",
        f"shard 2/3: 1 cell lacks snip on cifar10: {mine[0]}",
    ]
    assert lines[-1] == "incomplete: 3 shards in part"
    assert all(f"shard={i}/3" in merged.out for i in range(K))


ROW: Row = {
    "index": 0,
    "arch": NASBench201().format(NASBench201().arch(CELLS[0])),
    "seed": 0,
    "score": math.nan,
    "seconds": 1.0,
    "status": "oom",
    "error": "it broke",
    "proxy_version": 1,
}


def test_rows_that_are_there_twice_are_taken_once(run: Path, whole: Path, merge: Ask) -> None:
    scored(run, "n=5")  # the run itself holds some of the cells
    rows = parquet.read(part(shard(run, 0))).to_pylist()
    rewrite(part(shard(run, 2)), lambda mine: mine.extend(rows))
    merged = merge(run)
    assert merged.code == 0
    assert "12 of them new" in merged.out
    assert digest(run) == digest(whole)
    assert not read_scores(run).duplicated(["proxy", "index"]).any()


def test_a_failure_gives_way_to_a_score(run: Path, whole: Path, merge: Ask) -> None:
    good = parquet.read(part(shard(run, 0))).to_pylist()
    failed = {"score": math.nan, "status": "oom", "error": "it broke"}
    rewrite(part(shard(run, 0)), lambda rows: [row.update(failed) for row in rows])
    merged = merge(run)
    assert merged.code == 0
    assert f"{len(good)} oom: retry_failed=true scores them again" in merged.out
    assert digest(run) != digest(whole)
    rewrite(part(shard(run, 0)), lambda rows: rows.clear() or rows.extend(good))
    merged = merge(run)
    assert f"{len(good)} of them new to the run" in merged.out
    assert "oom" not in merged.out
    assert digest(run) == digest(whole)
    rewrite(part(shard(run, 0)), lambda rows: [row.update(failed) for row in rows])
    assert " 0 of them new to the run" in merge(run).out
    assert digest(run) == digest(whole)


def contradict(run: Path) -> None:
    [row, *_] = parquet.read(part(shard(run, 0))).to_pylist()
    other = {**row, "score": math.nextafter(row["score"], math.inf)}
    rewrite(part(shard(run, 1)), lambda rows: rows.append(other))


def test_a_contradiction_is_refused(run: Path, merge: Ask) -> None:
    contradict(run)
    before = tree(run)
    merged = merge(run)
    assert (merged.code, merged.out) == (2, "")
    said = f"shard 0/3 and shard 1/3 have different scores of snip on cifar10 at {CELLS[0]}, and were made on"
    assert merged.err.startswith(f"error: {said}")
    assert tree(run) == before


@pytest.mark.parametrize("facts", [{"device": "cuda"}, {"processor": "another"}])
def test_other_machines_may_differ_and_the_first_is_kept(
    facts: dict[str, str], run: Path, whole: Path, merge: Ask
) -> None:
    contradict(run)
    record(shard(run, 1), **facts)
    merged = merge(run)
    assert merged.code == 0
    assert "1 row came out otherwise on another kind of machine, by at most " in merged.out
    assert "e-16 of the score: the first of each is kept" in merged.out
    assert digest(run) == digest(whole)
    assert "1 row came out otherwise" in merge(run, "--remove").out
    assert not (run / "shards").exists()


def test_what_is_neither_a_score_nor_a_failure_contradicts_as_well(run: Path, merge: Ask) -> None:
    [row, *_] = parquet.read(part(shard(run, 0))).to_pylist()
    rewrite(part(shard(run, 1)), lambda rows: rows.append({**row, "score": math.nan, "status": "nan"}))
    assert merge(run).code == 2


def of_another_seed(run: Path) -> None:
    record(shard(run, 1), seed=1)


def of_another_width(run: Path) -> None:
    record(shard(run, 1), space={"name": "nasbench201", "channels": 8, "cells_per_stage": 1})


def of_other_options(run: Path) -> None:
    proxies = read_record(shard(run, 1))["proxies"]
    record(shard(run, 1), proxies={**proxies, "snip": {**proxies["snip"], "batch_size": 64}})


def of_another_data_set(run: Path) -> None:
    datasets = read_record(shard(run, 1))["datasets"]
    record(shard(run, 1), datasets={"cifar10": {**datasets["cifar10"], "num_classes": 9}})


def of_another_split(run: Path) -> None:
    shutil.copytree(shard(run, 1), shard(run, 1, 4))
    record(shard(run, 1, 4), shard="1/4")


def of_another_shard(run: Path) -> None:
    record(shard(run, 1), shard="2/3")


def without_record(run: Path) -> None:
    (shard(run, 1) / "run.json").unlink()


def of_named_cells(run: Path) -> None:
    for number in range(K):
        cells = "1,2,3" if number == 1 else "1,2,4"
        record(shard(run, number), sample="given", command=f"nasbench-score 'indices=[{cells}]'")


def of_too_many(run: Path) -> None:
    for number in range(K):
        record(shard(run, number), n=20_000)


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "seed": (of_another_seed, "shard 0/3 and shard 1/3 .* of different configurations: seed=0 and 1"),
    "space": (of_another_width, "space.channels=4 and 8"),
    "options": (of_other_options, "snip.batch_size=4 and 64"),
    "data set": (of_another_data_set, "cifar10.num_classes=10 and 9"),
    "n": (lambda run: record(shard(run, 1), n=12), "n=11 and 12"),
    "draw": (lambda run: record(shard(run, 1), sample_seed=4), "sample_seed=0 and 4"),
    "given": (of_named_cells, r"indices=\[1, 2, 4\] and \[1, 2, 3\]"),
    "sampling": (lambda run: record(shard(run, 1), sampling="stratified"), "'uniform' and 'stratified'"),
    "dedupe": (lambda run: record(shard(run, 1), dedupe="isomorphic"), "dedupe='none' and 'isomorphic'"),
    "precision": (lambda run: record(shard(run, 1), precision="bf16"), "precision='float32' and 'bf16'"),
    "split": (of_another_split, "different splits: 3 of 3, 1 of 4"),
    "shard": (of_another_shard, "run.json is that of shard='2/3'"),
    "no record": (without_record, "1-of-3 holds scores, but no run.json says of what"),
    "record": (lambda run: (shard(run, 1) / "run.json").write_text("{"), "run.json cannot be read"),
    "size": (of_too_many, "n=20000: the space has 15625"),
    "damaged": (lambda run: part(shard(run, 1)).write_bytes(b"PAR1"), "part-00000.parquet is damaged"),
    "none": (lambda run: shutil.rmtree(run / "shards"), "holds no shards"),
    "absent": (shutil.rmtree, "holds no shards"),
}


@pytest.mark.parametrize(("spoil", "said"), REFUSED.values(), ids=REFUSED.keys())
@pytest.mark.parametrize("option", ["--check", "--remove"])
def test_what_is_no_run_in_shards_is_refused_before_anything_is_written(
    spoil: Callable[[Path], object], said: str, option: str, run: Path, merge: Ask
) -> None:
    spoil(run)
    before = tree(run)
    merged = merge(run, option)
    assert (merged.code, merged.out) == (2, "")
    assert re.search(said, merged.err), merged.err
    assert merged.err.count("\n") == 1
    assert tree(run) == before


def test_scores_of_another_configuration_in_the_run_are_refused(run: Path, merge: Ask) -> None:
    scored(run, "n=3")
    record(run, seed=1)
    before = tree(run)
    for options in ([], ["--check"]):
        merged = merge(run, *options)
        assert merged.code == 2
        assert "holds scores of another configuration than its shards: seed=1 and 0" in merged.err
        assert tree(run) == before
    (run / "run.json").unlink()
    assert "holds scores, but no run.json" in merge(run).err


def test_words_that_are_no_options_are_refused(run: Path, merge: Ask) -> None:
    assert "not allowed with argument" in merge(run, "--check", "--remove").err
    assert "see --help" in merge().err
    assert merge("--help").out.startswith("usage: nasbench-merge")


class Crash(BaseException):
    """Stands for the end of the process: nothing in the package may catch it."""


def crash_at(monkeypatch: pytest.MonkeyPatch, target: Any, name: str, call: int) -> None:
    """End the process before the n-th call."""
    real, calls = getattr(target, name), iter(range(1, 1000))

    def fake(*args: Any, **options: Any) -> Any:
        if next(calls) == call:
            raise Crash
        return real(*args, **options)

    monkeypatch.setattr(target, name, fake)


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize(("target", "name"), [(os, "replace"), (os, "fsync"), (Path, "unlink")])
def test_a_crash_at_any_moment_is_made_good_by_the_same_command(
    target: Any, name: str, begun: bool, run: Path, whole: Path, merge: Ask, tmp_path: Path
) -> None:
    if begun:  # the run has rows, in several files
        scored(run, "n=4")
        scored(run, "n=5")
    fresh, calls = shutil.copytree(run, tmp_path / "fresh"), 0
    while True:
        shutil.rmtree(run)
        shutil.copytree(fresh, run)
        calls += 1
        with pytest.MonkeyPatch.context() as patch:
            crash_at(patch, target, name, calls)
            try:
                assert merge(run, "--remove").code == 0
                break
            except Crash:
                pass
        merged = merge(run, "--remove")
        assert merged.code == 0, merged
        assert digest(run) == digest(whole)
        assert not (run / "shards").exists()
        record = read_record(run)
        assert "finished" in record
        assert record["scores_sha256"] == digest(run)
        assert not list(run.rglob("*.tmp")) + list(run.rglob(".merged.parquet"))
    assert calls > 3 or name == "unlink"


def test_shards_are_removed_once_their_rows_are_in_the_run(
    run: Path, whole: Path, merge: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    merged = merge(run, "--remove")
    assert merged.code == 0
    assert "3 shards deleted\n" in merged.out
    assert not (run / "shards").exists()
    assert digest(run) == digest(whole)
    assert verified(run, monkeypatch) == 0
    before = tree(run)
    for option in ("--remove", "--check"):
        merged = merge(run, option)
        assert merged.code == 0
        assert "0 of 3 shards here; the rows of 3 are in the run\n" in merged.out
        assert "11 of 11 cells have all scores" in merged.out
    assert tree(run) == before


def test_a_shard_in_use_or_in_part_or_with_more_in_it_is_kept(run: Path, merge: Ask) -> None:
    (shard(run, 0) / "notes.txt").touch()
    rewrite(part(shard(run, 1)), lambda rows: rows.pop(0))
    with locked(shard(run, 2)):
        merged = merge(run, "--remove")
    assert merged.code == 1
    assert "still being scored: 2/3; what is on the disk is taken" in merged.out
    assert "shard 0/3 is kept: there is more in it (notes.txt)" in merged.out
    assert "shard 1/3 is kept: it is not complete" in merged.out
    assert "shard 2/3 is kept: another process is writing to it" in merged.out
    assert len(shard_folders(run)) == 3
    merged = merge(run, "--remove")
    assert "1 shard deleted" in merged.out
    assert [str(split) for split in shard_folders(run)] == ["0/3", "1/3"]
    (shard(run, 0) / "notes.txt").unlink()
    merged = merge(run, "--remove")
    assert merged.out.startswith("2 of 3 shards here; the rows of the other 1 are in the run\n")
    assert [str(split) for split in shard_folders(run)] == ["1/3"]
    assert len(read_record(run)["shard_seconds"]) == 3


@pytest.mark.parametrize("change", [{"seconds": 7.0}, {"score": 0.5}])
def test_rows_that_came_after_the_merge_keep_a_shard(
    change: Row, run: Path, merge: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if a process had been scoring between the two readings."""
    record(shard(run, 1), device="cuda")  # else other scores of a cell were refused
    real = removal.kept_out

    @contextmanager
    def late(folder: Path) -> Iterator[bool]:
        with real(folder) as alone:
            if folder == shard(run, 1):
                rows = parquet.read(part(folder)).to_pylist()
                index = 15000 if "seconds" in change else rows[0]["index"]
                rewrite(part(folder), lambda mine: mine.append({**rows[0], "index": index, **change}))
            yield alone

    monkeypatch.setattr(removal, "kept_out", late)
    merged = merge(run, "--remove")
    assert "shard 1/3 is kept: its rows of snip on cifar10 are not those of the run" in merged.out
    assert [str(split) for split in shard_folders(run)] == ["1/3"]


@pytest.mark.parametrize(("target", "name", "call"), [(shutil, "rmtree", 4), (os, "rmdir", 3)])
def test_a_deletion_that_was_cut_short_is_finished(
    target: Any, name: str, call: int, run: Path, whole: Path, merge: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        crash_at(patch, target, name, call)
        with pytest.raises(Crash):
            merge(run, "--remove")
    assert list((run / "shards").glob(".*.removed"))
    assert merge(run, "--remove").code == 0
    assert not (run / "shards").exists()
    assert digest(run) == digest(whole)


def test_a_check_writes_nothing(run: Path, merge: Ask) -> None:
    before = tree(run)
    merged = merge(run, "--check")
    assert (merged.code, merged.out.splitlines()[-1]) == (0, "nothing is missing")
    shutil.rmtree(shard(run, 1))
    assert merge(run, "--check").code == 1
    after = tree(run)
    assert after == {name: file for name, file in before.items() if "1-of-3" not in name}
    assert not (run / "run.json").exists()


def test_a_run_that_is_written_to_is_left_alone(run: Path, merge: Ask) -> None:
    before = tree(run)
    with locked(run):
        merged = merge(run)
    assert merged.code == 2
    assert "another process is writing to" in merged.err
    assert tree(run) == before


def test_a_shard_that_is_being_scored_gives_what_is_on_its_disk(run: Path, whole: Path, merge: Ask) -> None:
    rows = parquet.read(part(shard(run, 1))).to_pylist()
    rewrite(part(shard(run, 1)), lambda mine: mine.pop())
    record(shard(run, 1), finished=None)
    with locked(shard(run, 1)):
        merged = merge(run)
    assert merged.code == 1
    assert f"shard 1/3: 1 cell lacks snip on cifar10: {rows[-1]['index']}\n" in merged.out  # no command
    rewrite(part(shard(run, 1)), lambda mine: mine.append(rows[-1]))
    assert merge(run).code == 0
    assert digest(run) == digest(whole)


def test_an_unfinished_swap_in_a_shard_is_read_once(run: Path, whole: Path, merge: Ask) -> None:
    file = part(shard(run, 1))
    rows = parquet.read(file).to_pylist()
    rewrite(file, lambda mine: mine.__delitem__(slice(2, None)))
    parquet.write(file.with_name("part-00001.parquet"), rows[2:], read_record(shard(run, 1)))
    with pytest.MonkeyPatch.context() as patch:
        crash_at(patch, os, "replace", 2)  # the merged file is whole, the former ones are gone
        with pytest.raises(Crash):
            parquet.compact(file.parent)
    assert [f.name for f in file.parent.iterdir()] == [".merged.parquet"]
    assert merge(run).code == 0
    assert digest(run) == digest(whole)


def test_a_file_that_goes_while_it_is_read_is_read_where_it_went(
    run: Path, whole: Path, merge: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = part(shard(run, 1))
    rows = parquet.read(file).to_pylist()
    rewrite(file, lambda mine: mine.__delitem__(slice(2, None)))
    parquet.write(file.with_name("part-00001.parquet"), rows[2:], read_record(shard(run, 1)))
    real, done = parquet.read, []

    def compacted_meanwhile(path: Path, columns: Any = None) -> Any:
        if path.name == "part-00001.parquet" and not done:
            done.append(path)
            parquet.compact(path.parent)
        return real(path, columns)

    monkeypatch.setattr(parquet, "read", compacted_meanwhile)
    assert merge(run).code == 0
    assert done
    assert digest(run) == digest(whole)


def test_a_long_list_stands_in_a_file(run: Path, merge: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "MOST", 2)
    shutil.move(shard(run, 1), run.parent / "later")
    merged = merge(run)
    mine = Split(1, K).take(CELLS)
    assert f"cells {mine[0]}, {mine[1]} and {len(mine) - 2} more ranges; score" in merged.out
    assert f"all ranges stand in {run / 'missing.txt'}" in merged.out
    full = f"shard 1/3 of which nothing is there: cells {', '.join(map(str, mine))}\n"
    assert (run / "missing.txt").read_text() == full
    assert full.strip() in merge(run, "--check").out
    shutil.move(run.parent / "later", shard(run, 1))
    assert merge(run).code == 0
    assert not (run / "missing.txt").exists()


def test_named_cells_are_told_by_the_command(tmp_path: Path, merge: Ask) -> None:
    run = tmp_path / "run"
    for number in (0, 2):
        scored(run, "indices=[9,3,5,4,11,12]", f"shard={number}/3")
    merged = merge(run)
    assert merged.code == 1
    assert "shard 1/3 of which nothing is there: cells 5, 9; " in merged.out
    assert "indices=[9,3,5,4,11,12]" in merged.out


def test_named_cells_are_told_by_the_record(tmp_path: Path, merge: Ask) -> None:
    """Ranges and texts in the command mean what they meant when it was given."""
    run, fourth = tmp_path / "a (run)", NASBench201().arch(3)
    for number in (0, 2):
        cells = f"indices=[9,range(3,6),range(11,13),'{NASBench201().format(fourth)}']"
        scored(run, cells, f"shard={number}/3")
    merged = merge(run)
    assert merged.code == 1
    [line] = [line for line in merged.out.splitlines() if line.startswith("shard")]
    assert line.startswith("shard 1/3 of which nothing is there: cells 5, 9; score it with: ")
    words = shlex.split(line.partition("score it with: ")[2])
    scored(run, *(word for word in words[1:] if not word.startswith(("results=", "run="))))
    assert merge(run).code == 0


def stratified(run: Path) -> None:
    for folder in shard_folders(run).values():
        record(folder, sampling="stratified")


def test_a_stratified_sample_is_judged_by_numbers(run: Path, merge: Ask) -> None:
    stratified(run)
    assert merge(run, "--check").code == 0
    rewrite(part(shard(run, 0)), lambda rows: rows.pop(0))
    shutil.rmtree(shard(run, 2))
    merged = merge(run)
    assert merged.code == 1
    assert "shard 0/3: 1 cell lacks snip on cifar10: which of them cannot be told here; " in merged.out
    assert "shard 2/3 of which nothing is there: 4 cells; score it with: " in merged.out
    shutil.rmtree(shard(run, 1))  # its rows are in the run by now
    told = [line.partition(";")[0] for line in merge(run).out.splitlines() if line.startswith("shard")]
    assert told == [f"shard {i}/3 of which nothing is there: up to 4 cells" for i in (1, 2)]


def test_a_stratified_sample_is_drawn_again_where_there_are_accuracies(
    run: Path, merge: Ask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    accuracies = np.full(15625, np.nan)
    accuracies[CELLS] = np.linspace(10, 90, N)
    monkeypatch.setattr(tables, "load_table", lambda space, folder: pd.DataFrame())
    monkeypatch.setattr(tables, "accuracy", lambda table, dataset, split: accuracies)
    stratified(run)
    lacking = parquet.read(part(shard(run, 0))).to_pylist()[0]["index"]
    rewrite(part(shard(run, 0)), lambda rows: rows.pop(0))
    assert f"lacks snip on cifar10: {lacking}; " in merge(run, f"data={tmp_path}").out
    assert "there is no data folder" in merge(run, "--data", tmp_path / "absent").err


def test_a_sample_of_a_benchmark_of_ones_own_is_drawn_from_its_cells(
    run: Path, merge: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(name: str) -> None:
        raise UsageError(f"no benchmark {name}")

    for folder in shard_folders(run).values():
        record(folder, truth="mine")
    lacking = parquet.read(part(shard(run, 0))).to_pylist()[0]["index"]
    rewrite(part(shard(run, 0)), lambda rows: rows.pop(0))
    for every in (CELLS, [*CELLS, 15624]):  # all of its cells, and a draw from them
        own = SimpleNamespace(indices=every)
        monkeypatch.setattr(benchmark, "load", lambda name, own=own: own)
        sample = {every[place] for place in sampling.uniform(len(every), N, 0)}
        out = merge(run, "--check").out
        assert (f"shard 0/3: 1 cell lacks snip on cifar10: {lacking}; " in out) == (lacking in sample)
        assert ("shard 2/3: 1 cell lacks all scores: 15624; " in out) == (15624 in sample)
    monkeypatch.setattr(benchmark, "load", absent)
    assert "1 cell lacks snip on cifar10: which of them cannot be told here; " in merge(run, "--check").out


def test_of_trainings_the_command_for_all_of_them_comes_next(run: Path, merge: Ask) -> None:
    for folder in shard_folders(run).values():
        record(folder, division="abc", command="nasbench-train n=11 shards=3 shard=0")
    merged = merge(run)
    assert merged.out.endswith(f"; next: nasbench-train n=11 run=run results={run.parent}\n")
    assert read_record(run)["division"] == "abc"
    record(shard(run, 2), division="abd")
    assert "division='abc' and 'abd'" in merge(run).err


def test_a_space_that_is_not_installed_is_merged_by_numbers(
    run: Path, whole: Path, merge: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(node: Any) -> Any:
        raise UsageError("no such space")

    monkeypatch.setattr(missing, "space_of", absent)
    assert merge(run).code == 0
    assert digest(run) == digest(whole)


def test_a_run_grows_by_shards_of_other_numbers(tmp_path: Path, merge: Ask) -> None:
    run = tmp_path / "run"
    for number in range(2):
        scored(run, "n=4", f"shard={number}/2")
    assert merge(run, "--remove").code == 0
    for number in range(K):
        scored(run, "n=9", f"shard={number}/3", "proxy=[snip,flops]")
    merged = merge(run, "--remove")
    assert merged.code == 0, merged.out
    assert "9 of 9 cells have all scores" in merged.out
    assert read_record(run)["rows"]["cifar10"] == {"flops": 9, "params": 4, "snip": 9}
    assert list(read_record(run)["shard_seconds"]) == ["0/3", "1/3", "2/3"]
    assert merge(run, "--check").code == 0
    scored(run, "n=10", "proxy=[snip,params,flops]")  # all of them in one piece
    assert "10 of 10 cells have all scores" in merge(run).out


def test_a_proxy_that_one_shard_was_not_asked_for_yet_is_missing(run: Path, merge: Ask) -> None:
    for number in (0, 1):
        scored(run, f"n={N}", f"shard={number}/{K}", "proxy=[snip,params,flops]")
    merged = merge(run)
    cells = ", ".join(map(str, Split(2, K).take(CELLS)))
    assert merged.code == 1
    assert f"shard 2/3: 4 cells lack flops on cifar10: {cells}; " in merged.out


def test_shards_can_be_verified_before_they_are_merged(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in (run, run.parent):
        assert verified(folder, monkeypatch) == 0
        out = capsys.readouterr().out
        assert out.endswith("3 runs: 30 ok, 0 failed, 0 skipped\n")
        assert "2 partitions with all 4 cells that were asked for last" in out
    rewrite(part(shard(run, 1)), lambda rows: rows.pop())
    assert verified(run, monkeypatch) == 1
    assert "snip on cifar10 lacks 1 of 4 cells" in capsys.readouterr().out


def test_the_command_stands_for_itself(run: Path, whole: Path) -> None:
    code = "import sys; from nasbench_eval.merge.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, "run"], cwd=run.parent, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("merged into run; next: nasbench-report run\n")
    assert digest(run) == digest(whole)


def test_the_command_for_a_shard_leads_into_this_run(run: Path, tmp_path: Path) -> None:
    known = read_record(shard(run, 0))
    words = shlex.split(messages.score_command(known, run, Split(1, 3)))
    assert words[-2:] == [f"results={tmp_path}", "shard=1/3"]
    assert f"run={run.name}" in words
    assert not any(word.startswith("shards=") for word in words)
    known["command"] = "nasbench-score run=a/b shard=3 shards=8 retry_failed=true"
    assert messages.score_command(known, tmp_path / "a/b", Split(1, 8)) == (
        f"nasbench-score run=a/b results={tmp_path} shard=1/8"
    )
    assert messages.score_command(known, tmp_path / "c", Split(1, 8)) == (
        f"nasbench-score run=c results={tmp_path} shard=1/8"
    )
    known["command"] = "nasbench-score 'torn"
    assert messages.score_command(known, Path("results/c"), Split(1, 8)) == "nasbench-score run=c shard=1/8"


def test_foreign_partitions_are_not_taken(run: Path, merge: Ask) -> None:
    mine = part(shard(run, 1)).parent
    shutil.copytree(mine, mine.with_name("proxy=other"))
    assert "holds scores of which" in merge(run).err
    assert own_scores(run) is None
    assert Source(run, read_record(shard(run, 0)), None, False).table(Task("cifar10", "absent")) is None


@given(st.sets(st.integers(0, 60), min_size=1))
def test_ranges_are_exact(cells: set[int]) -> None:
    texts = ranges(np.array(sorted(cells)))
    back = [pair.split("-") for pair in texts]
    assert [i for pair in back for i in range(int(pair[0]), int(pair[-1]) + 1)] == sorted(cells)
    assert len(texts) == len([i for i in cells if i - 1 not in cells])


@given(st.integers(1, 200), st.data())
def test_a_shards_part_is_what_it_takes(n: int, data: st.DataObject) -> None:
    of = data.draw(st.integers(1, n))
    cells = np.array(sorted(data.draw(st.sets(st.integers(0, 1000), min_size=n, max_size=n))))
    shard = data.draw(st.integers(0, of - 1))
    assert tuple(cells[Sample(n, of, cells).part(shard)]) == Split(shard, of).take(cells.tolist())
