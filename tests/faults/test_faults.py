"""Commands, workers, files and disks that fail: what a run holds in the end is what it would have held."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from disturbed import (
    CONTINUES,
    LONG,
    Command,
    chance,
    damage,
    fills_at,
    long_only,
    same_scores,
    scores,
    signal_one,
    state,
)

from nasbench_eval.runs.store import read_scores

Start = Callable[..., Command]
Undisturbed = Callable[[int], Path]


def finish(command: Start, folder: Path, *options: str) -> Command:
    """Let a run come to its end, with what failed scored again."""
    last = command(folder, *options)
    assert last.end() == 0, last.said
    if read_scores(folder / "results" / "mine")["status"].isin(["oom", "error"]).any():
        last = command(folder, *options, "retry_failed=true")
        assert last.end() == 0, last.said
    return last


def test_a_disturbed_run_gives_the_scores_of_one_that_is_not(
    command: Start, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    luck, run, options = chance(), tmp_path / "results" / "mine", ("n=200", "workers=2", "save_every=0.2")
    killed = command(tmp_path, *options)
    assert killed.wait_until(lambda: list(run.rglob("part-*.parquet")))
    time.sleep(luck.uniform(0, 0.3))
    killed.send(signal.SIGKILL)
    killed.process.wait()

    asked_to_end = command(tmp_path, *options)  # at once: a worker that is still there does not keep the lock
    assert asked_to_end.under_way(run)
    assert killed.end() == -signal.SIGKILL
    time.sleep(luck.uniform(0, 0.3))
    asked_to_end.send(signal.SIGTERM)
    assert asked_to_end.end() == 143, asked_to_end.said
    assert asked_to_end.said.splitlines()[-1] == f"terminated; {CONTINUES}"
    assert state(run) == (asked_to_end.process.pid, "interrupted")
    assert 0 < len(scores(run)) < 3 * 200

    shards = sorted(run.rglob("part-*.parquet"))
    shards[0].write_bytes(shards[0].read_bytes()[:-100])
    (run / "run.json").write_text("{")
    shards = sorted(run.rglob("part-*.parquet"))
    mended = command(tmp_path, *options)
    assert mended.wait_until(lambda: len(list(run.rglob("part-*.parquet"))) > len(shards))
    assert signal_one(luck, mended.workers(), signal.SIGKILL)
    assert mended.end() == 0, mended.said
    warned = [line for line in mended.said.splitlines() if line.startswith("warning: ")]
    assert any(f"{shards[0].name} is damaged: set aside" in line for line in warned)
    assert any("run.json is damaged" in line and "made good" in line for line in warned)
    assert any("lost its worker (was killed by SIGKILL" in line for line in warned)
    same_scores(run, undisturbed(200))


@long_only
def test_fifty_kills_of_one_run(command: Start, undisturbed: Undisturbed, tmp_path: Path) -> None:
    luck, run = chance(), tmp_path / "results" / "mine"
    kills = 0
    while True:
        save_every = luck.choice(["0", "0.05", "0.2"])
        session = command(tmp_path, "n=3000", "workers=2", f"save_every={save_every}")
        if not session.under_way(run):
            break
        if kills < 60:
            time.sleep(luck.uniform(0, 0.6))
            session.send(signal.SIGKILL, group=luck.random() < 0.3)
        code = session.end()
        if code == 0:
            break
        assert code == -signal.SIGKILL, session.said
        kills += 1
        if list(run.rglob("part-*.parquet")):
            scores(run)  # each row once, whenever it is looked at
    assert session.process.returncode == 0, session.said
    print(f"{kills} kills")
    assert kills >= 50
    assert not list(run.rglob("*damaged*")), "a kill alone damages nothing"
    same_scores(run, undisturbed(3000))


@long_only
def test_kills_while_a_run_is_finished(command: Start, undisturbed: Undisturbed, tmp_path: Path) -> None:
    """When shards are merged and the record is completed."""
    luck, base, options = chance(), tmp_path / "base", ("n=200", "workers=1", "save_every=0")
    first = command(base, *options)
    first.wait_until(lambda: len(list(base.rglob("proxy=snip/part-*.parquet"))) > 50)
    first.send(signal.SIGKILL)
    assert first.end() == -signal.SIGKILL, "it was not finished"
    outcomes = Counter[str]()
    for number in range(10):
        folder = tmp_path / str(number)
        shutil.copytree(base, folder)
        run = folder / "results" / "mine"
        session = command(folder, *options)
        assert session.under_way(run)
        time.sleep(luck.uniform(0, 4))
        session.send(signal.SIGKILL)
        session.process.wait()
        files = Counter(file.parent.name for file in run.rglob("part-*.parquet"))
        outcomes[
            "merged" if files["proxy=params"] == 1 else "begun" if min(files.values()) == 1 else "not"
        ] += 1
        scores(run)
        last_session = finish(command, folder, *options)
        assert "warning" not in last_session.said
        same_scores(run, undisturbed(200))
    print(outcomes)


@long_only
def test_everything_that_can_go_wrong(command: Start, undisturbed: Undisturbed, tmp_path: Path) -> None:
    luck, run, options = chance(), tmp_path / "results" / "mine", ("n=2000", "workers=2")
    done = Counter[str]()
    for _ in range(18):
        what = luck.choice(["worker", "worker", "crash", "server", "SIGTERM", "SIGINT", "SIGKILL"])
        session = command(tmp_path, *options, f"save_every={luck.choice(['0', '0.2'])}")
        if not (session.under_way(run) and session.busy()):
            break
        time.sleep(luck.uniform(0, 0.8))
        if what in ("worker", "crash"):
            number = signal.SIGKILL if what == "worker" else signal.SIGSEGV
            for _ in range(luck.randint(1, 3)):
                signal_one(luck, session.workers(), number)
                time.sleep(luck.uniform(0, 0.2))
        elif what == "server":
            signal_one(luck, session.servers(), signal.SIGKILL)
            signal_one(luck, session.processes()[1:], signal.SIGKILL)
            time.sleep(luck.uniform(0, 0.5))
        else:
            session.send(getattr(signal, what), group=luck.random() < 0.5)
        if what in ("worker", "crash", "server"):
            session.send(luck.choice([signal.SIGKILL, signal.SIGTERM]))
        code = session.end()
        done[what] += 1
        assert code in (-signal.SIGKILL, 128 + signal.SIGINT, 128 + signal.SIGTERM, 0), session.said
        for _ in range(luck.randint(0, 2)):
            done[damage(luck, run).partition(" of ")[0]] += 1
    print(dict(done))
    finish(command, tmp_path, *options)
    same_scores(run, undisturbed(2000))


@long_only
def test_a_power_cut_after_every_start(command: Start, undisturbed: Undisturbed, tmp_path: Path) -> None:
    """Damage between starts that are cheap: none of them has much to do."""
    luck, run, options = chance(), tmp_path / "results" / "mine", ("n=200", "workers=1", "save_every=0.2")
    finish(command, tmp_path, *options)
    done = Counter[str]()
    for _ in range(12):
        for _ in range(luck.randint(1, 3)):
            done[damage(luck, run).partition(" of ")[0]] += 1
        session = command(tmp_path, *options)
        assert session.end() == 0, session.said
        same_scores(run, undisturbed(200))
    print(dict(done))


@long_only
def test_a_worker_that_hangs(command: Start, undisturbed: Undisturbed, tmp_path: Path) -> None:
    luck, run, options = chance(), tmp_path / "results" / "mine", ("n=1500", "workers=2")
    session = command(tmp_path, *options, "timeout=2", "save_every=0.2")
    for _ in range(2):
        assert session.under_way(run)
        assert session.busy()
        time.sleep(luck.uniform(0, 0.5))
        assert signal_one(luck, session.workers(), signal.SIGSTOP)
        time.sleep(3)
    assert session.end() == 0, session.said
    told = "TimeoutError: no result after 2 s, and its process was ended"
    assert told in session.said
    found = read_scores(run)
    failed = found[found["status"] == "error"]
    assert len(failed) >= 3
    assert set(failed["error"]) == {told}
    assert told in (run / "run.log").read_text()

    again = command(tmp_path, *options)
    assert again.end() == 0
    assert "nothing left to score" in again.said, "a failure is a row"
    mended = command(tmp_path, *options, "retry_failed=true")
    assert mended.end() == 0
    assert f"{failed['index'].nunique()} cells scored now" in mended.said.replace("1 cell ", "1 cells ")
    same_scores(run, undisturbed(1500))


# Full disks


def test_a_full_disk_is_one_line_and_costs_no_row(
    command: Start, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    luck, run, options = chance(), tmp_path / "results" / "mine", ("n=200", "save_every=0.1")
    for _ in range(6 if LONG else 1):
        # A shard of few rows has 7 kB, the record 2 kB; the log as well may come to its end.
        limit = luck.randrange(2500, 9000) if LONG else 8500
        workers = luck.choice(["0", "2"]) if LONG else "0"
        full = command(tmp_path, *options, f"workers={workers}", prepare=fills_at(limit))
        code = full.end()
        assert code in ((0, 2) if LONG else (2,)), full.said
        if code == 2:
            assert "error: cannot write" in full.said.splitlines()[-1]
            assert "File too large" in full.said.splitlines()[-1]
        assert not list(run.rglob(".*.tmp")), "half a file would take room"
    finish(command, tmp_path, *options, "workers=0")
    same_scores(run, undisturbed(200))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=160k", "tmpfs", str(place)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root can make a small disk")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@long_only
def test_a_disk_that_fills_up_and_is_given_room(
    command: Start, undisturbed: Undisturbed, small_disk: Path
) -> None:
    run, options = small_disk / "results" / "mine", ("n=200", "workers=2", "save_every=0.1")
    for _ in range(2):
        full = command(small_disk, *options)
        assert full.end() == 2, full.said
        assert "No space left on device" in full.said.splitlines()[-1]
        assert state(run) is not None
    subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk)], check=True)
    finish(command, small_disk, *options)
    same_scores(run, undisturbed(200))


# Several commands


def test_the_same_command_twice_at_once(command: Start, undisturbed: Undisturbed, tmp_path: Path) -> None:
    run, options = tmp_path / "results" / "mine", ("n=200", "save_every=0.2", "workers=0")
    both = [command(tmp_path, *options) for _ in range(2)]
    refused, scored = sorted(both, key=lambda each: -each.end())
    assert [each.process.returncode for each in (refused, scored)] == [2, 0], refused.said + scored.said
    assert refused.said == (
        "error: another process is writing to results/mine; wait for it or choose run=NAME\n"
    )
    same_scores(run, undisturbed(200))


@long_only
def test_shards_at_once_and_one_of_them_twice(
    command: Start, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    shard = [command(tmp_path, "n=200", "workers=1", f"shard={which}/2") for which in (0, 1, 1)]
    codes = [each.end() for each in shard]
    assert codes[0] == 0
    assert sorted(codes[1:]) == [0, 2]
    run = tmp_path / "results" / "mine"
    parts = [read_scores(run / "shards" / name) for name in ("0-of-2", "1-of-2")]
    assert not set(parts[0]["index"]) & set(parts[1]["index"])
    whole = scores(undisturbed(200))
    assert len(parts[0]) + len(parts[1]) == len(whole)
    for part in parts:
        keys = ["dataset", "proxy", "index"]
        joined = part.merge(whole, on=keys, suffixes=("", "_whole"))
        assert len(joined) == len(part)
        assert joined["score"].equals(joined["score_whole"])


@pytest.mark.parametrize("replaced", [False, pytest.param(True, marks=long_only)])
def test_a_folder_that_is_deleted_under_a_run(
    command: Start, undisturbed: Undisturbed, tmp_path: Path, replaced: bool
) -> None:
    run, options = tmp_path / "results" / "mine", ("n=200", "save_every=0.5", "workers=0")
    first = command(tmp_path, *options)
    assert first.wait_until(lambda: len(list(run.rglob("part-*.parquet"))) >= 3)
    time.sleep(0.1)  # it has written something, and will not for a while
    first.send(signal.SIGSTOP)
    shutil.rmtree(run)
    second = command(tmp_path, *options) if replaced else None
    if second is not None:
        assert second.under_way(run)
    first.send(signal.SIGCONT)
    assert first.end() == 2, first.said
    said = "results/mine was deleted or replaced while scores were written to it; start the command again"
    assert first.said.splitlines()[-1] == f"error: {said}"
    assert not list(run.rglob("part-*.parquet")) or second is not None
    if second is not None:
        assert second.end() == 0, second.said
        same_scores(run, undisturbed(200))


@long_only
def test_another_configuration_is_refused_by_a_run_that_is_not_finished(
    command: Start, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    run, options = tmp_path / "results" / "mine", ("n=200", "workers=2")
    killed = command(tmp_path, *options, "save_every=0.1")
    assert killed.wait_until(lambda: list(run.rglob("part-*.parquet")))
    killed.send(signal.SIGKILL)
    killed.end()
    for other, said in (
        ("seed=1", "seed was made with seed=0, now seed=1"),
        ("proxy.batch_size=5", "was made with batch_size=4, now batch_size=5"),
        ("dedupe=isomorphic", "dedupe was made with dedupe=none, now dedupe=isomorphic"),
    ):
        before = {file: file.read_bytes() for file in run.rglob("*") if file.suffix in (".json", ".parquet")}
        refused = command(tmp_path, *options, other)
        assert refused.end() == 2
        assert said in refused.said
        after = {file: file.read_bytes() for file in run.rglob("*") if file.suffix in (".json", ".parquet")}
        assert after == before
    finish(command, tmp_path, *options)
    same_scores(run, undisturbed(200))


# Ctrl-C

LARGE = ("n=60", "proxy.input=gaussian", "proxy.batch_size=64", "proxy.resolution=64", "save_every=0.5")


def ctrl_c(session: Command, *, group: bool = True) -> float:
    """Seconds from Ctrl-C to the command's end."""
    began = time.monotonic()
    session.send(signal.SIGINT, group=group)
    assert session.process.wait(60) == 130, session.said
    took = time.monotonic() - began
    assert session.end() == 130
    assert session.said.splitlines()[-1] == f"interrupted; {CONTINUES}"
    return took


@long_only
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("proxy", ["snip", "intrain", "zico"])
def test_ctrl_c_ends_large_networks_within_two_seconds(
    command: Start, tmp_path: Path, workers: int, proxy: str
) -> None:
    luck, run, took = chance(), tmp_path / "results" / "mine", []
    for _ in range(4):
        session = command(tmp_path, *LARGE, f"proxy={proxy}", f"workers={workers}", tiny=False)
        assert session.under_way(run)
        time.sleep(luck.uniform(0, 4))
        took.append(round(ctrl_c(session), 2))
        assert state(run) == (session.process.pid, "interrupted")
    print(f"{proxy}, {workers} workers: {took}")
    assert max(took) < 2


@long_only
def test_ctrl_c_at_any_time(command: Start, undisturbed: Undisturbed, tmp_path: Path) -> None:
    luck, run, options, took = chance(), tmp_path / "results" / "mine", ("n=200", "save_every=0.2"), []
    for number in range(12):
        session = command(tmp_path, *options, f"workers={number % 3}")
        assert session.wait_until(lambda s=session: s.processes()[1:] or state(run))  # type: ignore[misc]
        time.sleep(luck.uniform(0, 3))
        if session.process.poll() is None:
            took.append(round(ctrl_c(session, group=luck.random() < 0.7), 2))
    print(took)
    assert max(took) < 2
    finish(command, tmp_path, *options, "workers=2")
    same_scores(run, undisturbed(200))
