"""`nasbench-data --nasbench101` from end to end, on a synthetic benchmark behind a loopback address."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from made_up101 import entries, write

from nasbench_eval.truth import build, nasbench101
from nasbench_eval.truth.nasbench101 import COLUMNS, VAL_RUNS, load, save
from nasbench_eval.truth.sources import NASBENCH101_FULL_SOURCE, NASBENCH101_SOURCE, Source

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def file(table101: pd.DataFrame, tmp_path: Path) -> Path:
    return write(tmp_path / "my.tfrecord", entries(table101))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "new"


def test_convert_a_file(run: Run, file: Path, table101: pd.DataFrame, out: Path) -> None:
    code, said, err = run("--out", out, "--nasbench101", file)
    assert (code, err) == (0, "")
    assert f"note: {file} has neither of the official files' checksums" in said
    assert (
        "built nasbench101.parquet: 600 architectures, 108 epochs, best test accuracy 93.50, all single runs"
    ) in said
    assert [path.name for path in out.iterdir()] == [nasbench101.FILE]
    pd.testing.assert_frame_equal(load(out, COLUMNS), table101, rtol=1e-12)
    assert file.is_file()
    code, said, _ = run("--out", out, "--nasbench101", file)
    assert code == 0
    assert "kept nasbench101.parquet" in said


def test_an_official_file_needs_no_note(
    run: Run, file: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    official = Source("https://example.org/x", sha256=hashlib.sha256(file.read_bytes()).hexdigest())
    monkeypatch.setattr(build, "NASBENCH101_FULL_SOURCE", official)
    code, said, _ = run("--out", out, "--nasbench101", file)
    assert code == 0
    assert "note:" not in said


def test_download_and_convert(
    run: Run,
    file: Path,
    table101: pd.DataFrame,
    out: Path,
    served: tuple[Path, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, address = served
    raw = file.read_bytes()
    (folder / "x.tfrecord").write_bytes(raw[:1000])
    source = Source(f"{address}/x.tfrecord", sha256=hashlib.sha256(raw).hexdigest(), size=len(raw))
    monkeypatch.setattr(build, "NASBENCH101_SOURCE", source)
    code, _, err = run("--out", out, "--nasbench101")
    assert code == 2
    assert err.count("\n") == 1
    assert "does not have the pinned sha256" in err
    assert not list(out.rglob("*.*"))
    (folder / "x.tfrecord").write_bytes(raw)
    code, said, err = run("--nasbench101", "--out", out)
    assert (code, err) == (0, "")
    assert f"fetching {address}/x.tfrecord" in said
    assert "built nasbench101.parquet" in said
    assert [path.name for path in out.iterdir()] == [nasbench101.FILE], "no downloads are left behind"
    pd.testing.assert_frame_equal(load(out, COLUMNS), table101, rtol=1e-12)


def test_a_wrong_file_leaves_nothing(run: Run, file: Path, out: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])
    code, _, err = run("--out", out, "--nasbench101", file)
    assert code == 2
    assert err.count("\n") == 1
    assert "record 1800 at byte" in err
    assert not out.exists()
    code, _, err = run("--out", out, "--nasbench101", file.parent / "nowhere")
    assert code == 2
    assert "which is no file" in err


def test_another_benchmark_in_the_same_format(
    run: Run, file: Path, table101: pd.DataFrame, out: Path
) -> None:
    write(file, entries(table101.iloc[:-1]))
    code, _, err = run("--out", out, "--nasbench101", file)
    assert code == 2
    assert "truncated: it has 599 of 600 rows" in err
    assert not out.exists()


@pytest.mark.parametrize("wrong", [False, True])
def test_a_table_that_lacks_runs_or_is_wrong_is_replaced(
    run: Run, file: Path, table101: pd.DataFrame, out: Path, wrong: bool
) -> None:
    path = save(table101.drop(columns=list(VAL_RUNS)), out)
    if wrong:
        path.write_bytes(b"no parquet")
    code, said, _ = run("--out", out, "--nasbench101", file)
    assert code == 0
    assert ("replacing a wrong table" if wrong else "replacing a table that lacks single runs") in said
    assert set(VAL_RUNS) <= set(load(out).columns)


def test_check(run: Run, lawful: pd.DataFrame, table101: pd.DataFrame, out: Path) -> None:
    build.nasbench201.save(lawful, out)
    code, said, _ = run("--out", out, "--check")
    assert code == 0
    assert "missing: no NAS-Bench-101 table" in said
    path = save(table101.drop(columns=list(VAL_RUNS)), out)
    code, said, _ = run("--out", out, "--check")
    assert code == 0
    assert "ok nasbench101.parquet: 600 architectures" in said
    assert "not all single runs" in said
    path.write_bytes(path.read_bytes()[:-9])
    code, said, _ = run("--out", out, "--check")
    assert code == 2
    assert "nasbench101.parquet: the file is truncated" in said


@pytest.mark.parametrize("other", [["--check"], ["--nats", "x"], ["--imagenet16", "x"]])
def test_nothing_else_goes_with_it(run: Run, out: Path, other: list[str]) -> None:
    code, _, err = run("--out", out, "--nasbench101", "file", *other)
    assert code == 2
    assert "leave out --check, --nats and --imagenet16" in err


def test_the_sources_are_https_and_pinned() -> None:
    for source in (NASBENCH101_SOURCE, NASBENCH101_FULL_SOURCE):
        assert source.url.startswith("https://")
        assert len(source.sha256 or "") == 64
