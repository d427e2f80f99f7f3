"""The run's folder: every row once whatever happens, and no two readings under one name."""

from __future__ import annotations

import copy
import json
import math
import os
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from nasbench_eval.errors import UsageError
from nasbench_eval.runs import store as store_module
from nasbench_eval.runs.rows import Row, Task
from nasbench_eval.runs.store import Store, digest, read_scores

IDENTITY: dict[str, Any] = {
    "space": {"name": "toy", "channels": 4},
    "seed": 0,
    "datasets": {"a": {"num_classes": 10}},
    "proxies": {"p": {"name": "p", "version": 1, "layers": "conv"}},
}


def row(index: int, label: str = "p", dataset: str = "a", **columns: float) -> Row:
    place = {"dataset": dataset, "label": label, "index": index, "arch": f"arch-{index}", "seed": 0}
    found = {"score": index / 7, "seconds": 0.1, "status": "ok", "error": None, "proxy_version": 1}
    return {**place, **columns, **found}


def opened(folder: Path, identity: dict[str, Any] = IDENTITY, **record: object) -> Store:
    return Store(folder, "toy", identity, record)


def indices(folder: Path) -> list[int]:
    return [int(i) for i in read_scores(folder)["index"]]


def write_shards(folder: Path, *shards: list[int]) -> None:
    """An interrupted run: shards, not merged."""
    run = opened(folder)
    for shard in shards:
        run.add([row(i) for i in shard])
        run.flush()
    run.close()


class Crash(BaseException):
    """Stands for the end of the process: nothing in the package may catch it."""


def test_rows_come_back_with_the_types_and_values_they_had(tmp_path: Path) -> None:
    run = opened(tmp_path)
    run.add([{**row(3, gamma=1.5), "score": math.inf, "status": "inf"}, row(1, gamma=math.nan)])
    run.close()
    scores = read_scores(tmp_path)
    assert list(scores["index"]) == [1, 3]
    assert scores["score"].to_list() == [1 / 7, math.inf]
    assert scores["status"].to_list() == ["ok", "inf"]
    assert math.isnan(scores["gamma"][0])
    assert set(scores.columns) >= {"arch", "seed", "seconds", "error", "proxy_version", "space", "dataset"}
    metadata = pq.read_schema(next(tmp_path.rglob("*.parquet"))).metadata
    assert json.loads(metadata[b"nasbench_eval"])["proxies"] == IDENTITY["proxies"]


def test_an_interrupted_run_knows_what_is_done(tmp_path: Path) -> None:
    write_shards(tmp_path, [4, 2], [9])
    again = opened(tmp_path)
    assert again.indices(Task("a", "p")) == {2, 4, 9}
    assert again.indices(Task("a", "other")) == set()
    again.add([row(5)])
    again.finish({"finished": "now"})
    again.close()
    assert indices(tmp_path) == [2, 4, 5, 9]
    assert [f.name for f in tmp_path.rglob("*.parquet")] == ["part-00000.parquet"]


def test_rows_reach_the_disk_when_30_seconds_are_at_risk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(store_module.time, "monotonic", lambda: now[0])
    run = opened(tmp_path)
    for second, on_disk in [(29, []), (31, [0, 1]), (60, [0, 1]), (62, [0, 1, 2, 3])]:
        now[0] = 1000.0 + second
        run.add([row({29: 0, 31: 1, 60: 2, 62: 3}[second])])
        assert sorted(run.indices(Task("a", "p"))) == on_disk
    now[0] = 1000.0 + 62 + 10_000  # after 10,062 s, 2 % are 201 s
    run.add([row(4)])
    now[0] += 200
    run.add([row(5)])
    assert sorted(run.indices(Task("a", "p"))) == [0, 1, 2, 3, 4]
    run.close()


@pytest.mark.parametrize("operation", ["write", "replace"])
@pytest.mark.parametrize("call", [1, 2, 3])
def test_a_crash_in_a_flush_neither_loses_nor_doubles_what_was_flushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str, call: int
) -> None:
    write_shards(tmp_path, [0, 1])
    run = opened(tmp_path)
    run.add([row(2), row(3), row(2, dataset="b"), row(2, "q")])
    crash_at(monkeypatch, operation, call)
    with pytest.raises(Crash):
        run.flush()
    monkeypatch.undo()
    run._lock.close()  # the process is gone, and with it the lock

    again = opened(tmp_path)
    for task in (Task("a", "p"), Task("b", "p"), Task("a", "q")):
        missing = {2, 3} - again.indices(task) if task == Task("a", "p") else {2} - again.indices(task)
        again.add([row(i, task.label, task.dataset) for i in missing])
    again.finish({})
    again.close()
    scores = read_scores(tmp_path)
    assert not scores.duplicated(["dataset", "proxy", "index"]).any()
    assert list(scores.query("dataset == 'a' and proxy == 'p'")["index"]) == [0, 1, 2, 3]
    assert len(scores) == 6
    assert not list(tmp_path.rglob("*.tmp"))


def crash_at(monkeypatch: pytest.MonkeyPatch, operation: str, call: int) -> None:
    """End the process at the n-th write (half of it done), rename (before it) or deletion (before it)."""
    target, name = {"write": (os, "fsync"), "replace": (os, "replace"), "unlink": (Path, "unlink")}[operation]
    real, calls = getattr(target, name), iter(range(1, 1000))

    def fake(*args: Any, **options: Any) -> Any:
        if next(calls) == call:
            if operation == "write":
                os.ftruncate(args[0], 5)
            raise Crash
        return real(*args, **options)

    if operation == "write":  # fsync serves files and folders; count files only

        def fsync(handle: int) -> None:
            if os.path.isfile(f"/proc/self/fd/{handle}"):
                fake(handle)

        monkeypatch.setattr(os, "fsync", fsync)
    else:
        monkeypatch.setattr(target, name, fake)


@pytest.mark.parametrize(
    ("operation", "call"),
    [("write", 1), ("replace", 1), ("unlink", 1), ("unlink", 2), ("unlink", 3), ("replace", 2)],
)
def test_a_crash_in_a_merge_leaves_every_row_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str, call: int
) -> None:
    write_shards(tmp_path, [5, 0], [3], [4, 1, 2])
    run = opened(tmp_path)
    crash_at(monkeypatch, operation, call)
    with pytest.raises(Crash):
        run.finish({})
    monkeypatch.undo()
    run._lock.close()

    again = opened(tmp_path)
    assert sorted(again.indices(Task("a", "p"))) == [0, 1, 2, 3, 4, 5]
    assert indices(tmp_path) == [0, 1, 2, 3, 4, 5]
    again.finish({})
    again.close()
    assert indices(tmp_path) == [0, 1, 2, 3, 4, 5]
    assert [f.name for f in tmp_path.rglob("*.parquet")] == ["part-00000.parquet"]


def test_an_interrupt_inside_a_flush_is_made_good_by_closing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = opened(tmp_path)
    run.add([row(0), row(1), row(0, "q")])
    real = os.replace

    def interrupted(*args: Any) -> None:
        real(*args)
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run.flush()
    run.close()
    assert indices(tmp_path) == [0, 1, 0]


def test_a_full_disk_is_one_error_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = opened(tmp_path)
    run.add([row(0), row(0, "q")])
    real, calls = os.fsync, iter(range(100))

    def full(handle: int) -> None:
        if next(calls) >= 2:  # the first shard and its folder fit
            raise OSError(28, "No space left on device")
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsageError, match="No space left"):
        run.flush()
    monkeypatch.undo()
    run.close()
    assert len(read_scores(tmp_path)) == 2


def test_a_half_written_file_is_ignored_and_removed(tmp_path: Path) -> None:
    write_shards(tmp_path, [0])
    partition = next(tmp_path.rglob("part-*.parquet")).parent
    leftover = partition / ".part-00001.parquet.tmp"
    leftover.write_bytes(b"PAR1 and then the power went")
    assert indices(tmp_path) == [0]
    assert len(pd.read_parquet(tmp_path / "scores")) == 1
    opened(tmp_path).close()
    assert not leftover.exists()


DAMAGE = [b"", b"PAR1", b"truncated"]


@pytest.mark.parametrize("content", DAMAGE)
def test_a_damaged_shard_is_set_aside_and_its_cells_are_scored_again(tmp_path: Path, content: bytes) -> None:
    write_shards(tmp_path, [0], [1, 2], [3])
    before = read_scores(tmp_path)
    shard = sorted(tmp_path.rglob("part-*.parquet"))[1]
    shard.write_bytes(content)
    with pytest.raises(UsageError, match=r"part-00001\.parquet is damaged .*the command that made the run"):
        read_scores(tmp_path)  # who only reads changes nothing
    assert shard.read_bytes() == content

    run = opened(tmp_path)
    aside = shard.with_name("_part-00001.parquet.damaged")
    assert run.mended == [
        f"{shard} is damaged: set aside as {aside.name}, its cells are scored again",
    ]
    assert aside.read_bytes() == content
    assert run.indices(Task("a", "p")) == {0, 3}
    run.add([row(1), row(2)])
    run.finish({})
    run.close()
    pd.testing.assert_frame_equal(read_scores(tmp_path), before)
    assert opened_and_closed(tmp_path) == []
    assert aside.exists()
    assert len(pd.read_parquet(tmp_path / "scores")) == 4, "pandas passes over what is set aside"


def opened_and_closed(folder: Path) -> list[str]:
    run = opened(folder)
    run.close()
    return run.mended


def test_shards_of_the_same_name_are_set_aside_one_beside_the_other(tmp_path: Path) -> None:
    write_shards(tmp_path, [0])
    [shard] = tmp_path.rglob("part-*.parquet")
    for content in (b"first", b"second", b"third"):
        shard.write_bytes(content)
        assert len(opened_and_closed(tmp_path)) == 1
    aside = [shard.with_name(f"_{shard.name}.damaged{number}") for number in ("", "-2", "-3")]
    assert [file.read_bytes() for file in aside] == [b"first", b"second", b"third"]


@pytest.mark.parametrize("content", DAMAGE)
def test_a_damaged_merged_shard_is_set_aside_and_no_row_is_lost(tmp_path: Path, content: bytes) -> None:
    write_shards(tmp_path, [0], [1])
    before = read_scores(tmp_path)
    merged = next(tmp_path.rglob("part-*.parquet")).with_name(".merged.parquet")
    merged.write_bytes(content)
    assert "set aside as _merged.parquet.damaged" in opened_and_closed(tmp_path)[0]
    assert not merged.exists()
    pd.testing.assert_frame_equal(read_scores(tmp_path), before)


RECORDS = ["", "{", "null", '{"earlier": [3]}', None]


@pytest.mark.parametrize("content", RECORDS)
def test_a_lost_record_is_made_good_from_the_shards(tmp_path: Path, content: str | None) -> None:
    both = {**IDENTITY, "proxies": {**IDENTITY["proxies"], "q": {"name": "q", "version": 1}}}
    write_shards(tmp_path, [0])
    run = opened(tmp_path, both, commit="one")
    run.add([row(1), row(1, "q")])
    run.close()
    before = json.loads((tmp_path / "run.json").read_text())
    spoil_record(tmp_path, content)

    run = opened(tmp_path, commit="two")
    assert "made good from the files of scores" in run.mended[0]
    assert run.indices(Task("a", "p")) == {0, 1}
    run.close()
    after = json.loads((tmp_path / "run.json").read_text())
    assert {**after, "commit": "one", "earlier": []} == before
    assert after["earlier"] == [{"commit": "one"}]
    assert set_aside_record(tmp_path) == content
    with pytest.raises(UsageError, match="seed=0, now seed=1"):  # what is known again is held to
        opened(tmp_path, {**IDENTITY, "seed": 1})


def spoil_record(folder: Path, content: str | None) -> None:
    (folder / "run.json").unlink()
    if content is not None:
        (folder / "run.json").write_text(content)


def set_aside_record(folder: Path) -> str | None:
    found = [file.read_text() for file in folder.glob("_run.json.damaged*")]
    assert len(found) < 2
    return found[0] if found else None


@pytest.mark.parametrize("content", [c for c in RECORDS if c is not None])
def test_a_damaged_record_of_no_scores_is_begun_anew(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content)
    run = opened(tmp_path)
    assert "set aside as _run.json.damaged and begun anew" in run.mended[0]
    run.close()
    assert json.loads((tmp_path / "run.json").read_text())["proxies"] == IDENTITY["proxies"]
    assert set_aside_record(tmp_path) == content
    assert opened_and_closed(tmp_path) == []


@pytest.mark.parametrize("content", RECORDS)
def test_scores_that_nothing_says_the_configuration_of_are_refused(
    tmp_path: Path, content: str | None
) -> None:
    write_shards(tmp_path, [0])
    [shard] = tmp_path.rglob("part-*.parquet")
    pq.write_table(pq.ParquetFile(shard).read().replace_schema_metadata({}), shard)
    spoil_record(tmp_path, content)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    for _ in range(2):  # the refused one does not keep the lock
        with pytest.raises(UsageError, match=r"run\.json"):
            opened(tmp_path)
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


def test_a_folder_that_was_deleted_is_not_written_to(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    for again in (False, True):
        run = opened(folder)
        run.add([row(0)])
        shutil.rmtree(folder)
        if again:  # another command has begun there
            opened(folder).close()
        with pytest.raises(UsageError, match="deleted or replaced while scores were written"):
            run.flush()
        with pytest.raises(UsageError, match="deleted or replaced"):
            run.close()
        assert not list(folder.rglob("*.parquet"))
    opened(folder).close()  # and none of them keeps the lock


@pytest.mark.parametrize("again", [False, True])
def test_a_run_is_not_finished_in_a_folder_that_was_deleted(tmp_path: Path, again: bool) -> None:
    folder = tmp_path / "run"
    run = opened(folder)
    run.add([row(0)])
    run.flush()
    shutil.rmtree(folder)
    if again:
        opened(folder, seed_later=1).close()
    before = (folder / "run.json").read_bytes() if again else None
    with pytest.raises(UsageError, match="deleted or replaced"):
        run.finish({"finished": "now"})
    run.close()
    assert folder.exists() == again
    assert not again or (folder / "run.json").read_bytes() == before


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("seed",), 1, "seed=0, now seed=1"),
        (("space", "channels"), 8, "channels=4, now channels=8"),
        (("proxies", "p", "layers"), "cell", "layers=conv, now layers=cell"),
        (("proxies", "p", "version"), 2, "version=1, now version=2"),
        (("proxies", "p", "new"), 3, "new=None, now new=3"),
        (("datasets", "a", "num_classes"), 11, "num_classes=10, now num_classes=11"),
    ],
)
def test_a_folder_never_mixes_two_readings(
    tmp_path: Path, path: tuple[str, ...], value: object, said: str
) -> None:
    write_shards(tmp_path, [0])
    before = (tmp_path / "run.json").read_bytes()
    changed = copy.deepcopy(IDENTITY)
    node = changed
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    with pytest.raises(UsageError, match=said):
        opened(tmp_path, changed)
    assert (tmp_path / "run.json").read_bytes() == before
    opened(tmp_path).close()  # the refused one does not keep the lock


def test_a_folder_gains_proxies_and_data_sets(tmp_path: Path) -> None:
    write_shards(tmp_path, [0])
    more = {**IDENTITY, "datasets": {"b": {"num_classes": 5}}, "proxies": {"q": {"name": "q"}}}
    run = opened(tmp_path, more)
    run.add([row(0, "q", "b")])
    run.finish({})
    run.close()
    known = json.loads((tmp_path / "run.json").read_text())
    assert set(known["datasets"]) == {"a", "b"}
    assert set(known["proxies"]) == {"p", "q"}
    assert len(read_scores(tmp_path)) == 2
    assert len(read_scores(tmp_path, proxy="q", dataset="b")) == 1
    with pytest.raises(UsageError, match="no scores of other"):
        read_scores(tmp_path, proxy="other")


def test_only_one_process_writes(tmp_path: Path) -> None:
    first = opened(tmp_path)
    with pytest.raises(UsageError, match="another process"):
        opened(tmp_path)
    first.close()
    opened(tmp_path).close()


def test_a_folder_that_cannot_be_made_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot write to"):
        opened(tmp_path / "file" / "run")


def test_pandas_reads_a_whole_run_and_a_partition(tmp_path: Path) -> None:
    run = opened(tmp_path)
    run.add([row(0, gamma=1.0), row(1, gamma=2.0), row(0, "q"), row(1, "q", "b", layers=4.0)])
    run.close()
    whole = pd.read_parquet(tmp_path / "scores")
    assert len(whole) == 4
    assert set(whole["proxy"]) == {"p", "q"}
    assert set(whole["dataset"]) == {"a", "b"}
    assert sorted(whole["score"]) == [0, 0, 1 / 7, 1 / 7]
    part = pd.read_parquet(tmp_path / "scores" / "space=toy" / "dataset=a" / "proxy=p")
    assert part["gamma"].to_list() == [1.0, 2.0]
    everything = read_scores(tmp_path)
    assert everything.query("proxy == 'p'")["gamma"].to_list() == [1.0, 2.0]
    assert everything.query("dataset == 'b'")["layers"].to_list() == [4.0]


def test_the_digest_tells_scores_and_nothing_else(tmp_path: Path) -> None:
    def made(name: str, *rows: Row) -> str:
        run = opened(tmp_path / name)
        run.add(rows)
        run.close()
        return digest(tmp_path / name)

    plain = made("plain", row(0), row(1), row(0, "q"))
    assert made("order", row(0, "q"), row(1), row(0)) == plain
    assert made("timing", {**row(0), "seconds": 9.0}, row(1), row(0, "q")) == plain
    assert made("bit", {**row(0), "score": math.nextafter(0, 1)}, row(1), row(0, "q")) != plain
    assert made("label", row(0), row(1), row(0, "r")) != plain
    assert made("status", {**row(0), "status": "nan"}, row(1), row(0, "q")) != plain
    assert made("fewer", row(0), row(0, "q")) != plain


def failed(index: int, status: str, label: str = "p") -> Row:
    return {**row(index, label), "score": math.nan, "status": status, "error": "it broke"}


def test_what_broke_has_a_row_and_gives_way_if_dropped(tmp_path: Path) -> None:
    run = opened(tmp_path)
    run.add([row(0), failed(1, "oom"), failed(2, "nan"), failed(3, "error"), failed(1, "oom", "q")])
    run.flush()
    run.add([failed(4, "error")])
    run.flush()
    run.add([failed(5, "inf"), row(6)])
    run.close()

    again, task = opened(tmp_path), Task("a", "p")
    untouched = next(tmp_path.rglob("proxy=p/part-00002.parquet")).stat().st_mtime_ns
    assert again.indices(task) == set(range(7)), "a failure is a row"
    assert again.failed(task) == {1, 3, 4}, "what could come out otherwise next time"
    again.drop_failed(task, [1, 2, 4])  # 3 is not asked for: its row stays
    assert list(read_scores(tmp_path, proxy="p")["index"]) == [0, 2, 3, 5, 6]
    assert list(read_scores(tmp_path, proxy="q")["index"]) == [1]
    kept = sorted(tmp_path.rglob("proxy=p/*.parquet"))
    assert [f.name for f in kept] == ["part-00000.parquet", "part-00002.parquet"]
    assert kept[1].stat().st_mtime_ns == untouched
    again.add([row(1), row(4)])
    again.finish({})
    again.close()
    scores = read_scores(tmp_path, proxy="p")
    assert list(scores["index"]) == [0, 1, 2, 3, 4, 5, 6]
    assert list(scores["status"]) == ["ok", "ok", "nan", "error", "ok", "inf", "ok"]
    metadata = pq.read_schema(next(tmp_path.rglob("proxy=p/*.parquet"))).metadata
    assert json.loads(metadata[b"nasbench_eval"])["proxies"] == IDENTITY["proxies"]


@pytest.mark.parametrize("operation", ["write", "replace", "unlink"])
def test_a_crash_while_failures_are_dropped_loses_no_other_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    run = opened(tmp_path)
    for rows in ([row(0), failed(1, "oom")], [failed(2, "error")], [row(3)]):
        run.add(rows)
        run.flush()
    run.close()
    run, task = opened(tmp_path), Task("a", "p")
    crash_at(monkeypatch, operation, 1)
    with pytest.raises(Crash):
        run.drop_failed(task, range(4))
    monkeypatch.undo()
    run._lock.close()

    again = opened(tmp_path)
    again.drop_failed(task, range(4))
    assert again.indices(task) == {0, 3}
    assert again.failed(task) == set()
    again.add([row(1), row(2)])
    again.finish({})
    again.close()
    assert indices(tmp_path) == [0, 1, 2, 3]
    assert not list(tmp_path.rglob("*.tmp"))


def test_the_record_counts_what_is_on_disk(tmp_path: Path) -> None:
    write_shards(tmp_path, [4, 2], [9])
    run = opened(tmp_path, n=1)
    run.add([row(2, "q"), row(7, "q", "b")])
    run.finish({})
    run.close()
    known = json.loads((tmp_path / "run.json").read_text())
    assert known["cells"] == 3
    assert known["rows"] == {"a": {"p": 3, "q": 1}, "b": {"q": 1}}
    opened(tmp_path).close()
    assert not {"cells", "rows"} & json.loads((tmp_path / "run.json").read_text()).keys()  # more is to come


def test_the_record_says_what_holds_now(tmp_path: Path) -> None:
    run = opened(tmp_path, commit="one", device="cpu", n=1)
    run.add([row(0)])
    run.finish({"finished": "yesterday"})
    run.close()
    known = json.loads((tmp_path / "run.json").read_text())
    assert known["scores_sha256"] == digest(tmp_path)
    assert known["finished"] == "yesterday"
    assert known["earlier"] == []

    for _ in range(2):
        opened(tmp_path, commit="two", device="cpu", n=2).close()
    known = json.loads((tmp_path / "run.json").read_text())
    assert "finished" not in known  # more is to come
    assert "scores_sha256" not in known
    assert (known["commit"], known["n"]) == ("two", 2)
    assert known["earlier"] == [{"commit": "one", "device": "cpu"}]


def with_intrain(**options: Any) -> dict[str, Any]:
    return {**IDENTITY, "proxies": {"i": {"name": "intrain", "version": 1, "layers": "cell", **options}}}


def scored(folder: Path, identity: dict[str, Any]) -> None:
    run = opened(folder, identity)
    run.add([row(1, label="i")])
    run.close()


def test_an_option_that_a_run_does_not_know_yet_had_its_default(tmp_path: Path) -> None:
    scored(tmp_path, with_intrain())
    opened(tmp_path, with_intrain(dead_layers="literal")).close()
    assert json.loads((tmp_path / "run.json").read_text())["proxies"]["i"]["dead_layers"] == "literal"


def test_such_an_option_at_another_value_is_another_configuration(tmp_path: Path) -> None:
    scored(tmp_path, with_intrain())
    with pytest.raises(UsageError, match="dead_layers=literal, now dead_layers=collapsed"):
        opened(tmp_path, with_intrain(dead_layers="collapsed"))


def test_a_proxy_whose_scores_were_deleted_may_come_back_with_other_options(tmp_path: Path) -> None:
    scored(tmp_path, with_intrain())
    for file in (tmp_path / "scores/space=toy/dataset=a/proxy=i").iterdir():
        file.unlink()
    opened(tmp_path, with_intrain(dead_layers="collapsed")).close()


@pytest.mark.parametrize("first", ["uniform", None])
def test_uniform_and_stratified_samples_do_not_mix(tmp_path: Path, first: str | None) -> None:
    before = IDENTITY if first is None else {**IDENTITY, "sampling": first}  # None: older than the option
    opened(tmp_path, before).close()
    opened(tmp_path, {**IDENTITY, "sampling": "uniform"}).close()
    with pytest.raises(UsageError, match="made with sampling=uniform, now sampling=stratified"):
        opened(tmp_path, {**IDENTITY, "sampling": "stratified"})
