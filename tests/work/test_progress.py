"""How far a run is: `progress.json` for programs, one line for a terminal, `run.log` for later."""

from __future__ import annotations

import fcntl
import json
import math
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from nasbench_eval.errors import Terminated, UsageError
from nasbench_eval.runs.rows import Row
from nasbench_eval.runs.store import read_scores
from nasbench_eval.work import progress as progress_module
from nasbench_eval.work.pool import At
from nasbench_eval.work.progress import Progress

COMMAND = [sys.executable, "-c", "import sys; from nasbench_eval.cli import score; sys.exit(score())"]
TINY = [
    "space.channels=4",
    "space.cells_per_stage=1",
    "device=cpu",
    "reuse=none",
    "proxy.input=gaussian",
    "proxy.batch_size=4",
    "proxy.resolution=8",
    "run=mine",
]
# Cell 1651 has no path from input to output: its NASWOT is not finite.
DEAD = 1651


def row(index: int, status: str = "ok", label: str = "p", **more: Any) -> Row:
    place: Row = {"dataset": "a", "label": label, "index": index, "arch": f"arch-{index}", "seed": 0}
    place["score"] = {"ok": 1.0, "inf": math.inf}.get(status, math.nan)
    failed = status in ("oom", "error")
    return {**place, "status": status, "error": "ValueError: it broke" if failed else None, **more}


def read(folder: Path) -> dict[str, Any]:
    content = json.loads((folder / "progress.json").read_text())
    assert list(content) == [
        "state",
        "reason",
        "pid",
        "host",
        "started",
        "updated",
        "cells",
        "scores",
        "cells_per_hour",
        "seconds_left",
        "workers",
    ]
    return content  # type: ignore[no-any-return]


def log_of(folder: Path) -> list[str]:
    return (folder / "run.log").read_text().splitlines()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: now[0])
    return now


class Crew:
    """Stands for a pool."""

    limit, replaced = 3, 2

    def at(self) -> list[At]:
        return [At(4711, 17, 1.2345)]


def test_the_file_says_what_is_done_and_how_long_the_rest_takes(tmp_path: Path, clock: list[float]) -> None:
    with Progress(tmp_path) as progress:
        assert read(tmp_path)["state"] == "starting"
        progress.begin(total=10, lacking=6, pool=Crew())  # type: ignore[arg-type]
        said = read(tmp_path)
        assert (said["state"], said["cells"]) == ("running", {"asked": 10, "before": 4, "now": 0})
        assert (said["cells_per_hour"], said["seconds_left"]) == (0, None), "nothing to tell by"
        at = [{"pid": 4711, "cell": 17, "seconds": 1.2}]
        assert said["workers"] == {"limit": 3, "replaced": 2, "at": at}

        clock[0] += 6
        progress.done([row(1), row(1, "nan", "q")], {1})
        clock[0] += 14
        progress.done([row(2), row(2, "error", "q")], {2})
        said = read(tmp_path)
        assert said["cells"] == {"asked": 10, "before": 4, "now": 2}
        assert said["scores"] == {"ok": 2, "nan": 1, "inf": 0, "undefined": 0, "oom": 0, "error": 1}
        assert (said["cells_per_hour"], said["seconds_left"]) == (360, 40)
        assert progress.failed == 2
    said = read(tmp_path)
    assert (said["state"], said["reason"], said["workers"]) == ("finished", None, None)
    assert said["pid"] == os.getpid()
    assert datetime.fromisoformat(said["started"]) <= datetime.fromisoformat(said["updated"])
    assert abs(datetime.fromisoformat(said["updated"]) - datetime.now(UTC)).total_seconds() < 60


def test_a_proxy_that_fails_in_its_first_cells_is_told_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Progress(tmp_path) as progress:
        for index in range(60):
            late = "ok" if index == 49 else "error"
            mine = [row(index), row(index, "error", "q"), row(index, "nan", "r"), row(index, late, "late")]
            elsewhere = row(index, "error", "q") | {"dataset": "b"}
            progress.log_failures([*mine, row(index, "inf", "s"), elsewhere])
            assert ("warning" in capsys.readouterr().err) == (index == 49)
    warned = [line for line in log_of(tmp_path) if "failed in each" in line]
    assert len(warned) == 2
    assert warned[0].endswith("q failed in each of its first 50 cells; in cell 0: ValueError: it broke")
    assert warned[1].endswith("r failed in each of its first 50 cells; in cell 0: the score is nan")


def test_a_cell_in_several_parts_and_copies_count_once(tmp_path: Path) -> None:
    with Progress(tmp_path) as progress:
        progress.begin(total=5, lacking=5, pool=None)
        progress.done([row(1)], {1, 3, 4})  # 3 and 4 stand behind 1
        progress.done([row(1, label="q")], {1, 3, 4})
        progress.done([row(2)], {2})
    said = read(tmp_path)
    assert said["cells"] == {"asked": 5, "before": 0, "now": 4}
    assert said["scores"]["ok"] == 3
    assert progress.cells == {1, 2}


def test_copies_do_not_shorten_the_time_left(tmp_path: Path, clock: list[float]) -> None:
    """The first representatives stand for many architectures, the last ones for themselves."""
    with Progress(tmp_path) as progress:
        progress.begin(total=100, lacking=100, pool=None)
        clock[0] += 1
        progress.done([row(index, label="params") for index in range(50)], ())  # cost nothing
        progress.pace(8)
        clock[0] += 10
        progress.done([row(1), row(1, label="q")], range(90))
    said = read(tmp_path)
    assert (said["cells"]["now"], said["seconds_left"]) == (90, 30)


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        (KeyboardInterrupt(), "interrupted", "Ctrl-C"),
        (Terminated(), "interrupted", "asked to end by a signal"),
        (UsageError("the disk is full"), "failed", "the disk is full"),
        (ZeroDivisionError(), "failed", "ZeroDivisionError"),
    ],
)
def test_the_file_says_how_a_run_ended(tmp_path: Path, error: BaseException, state: str, reason: str) -> None:
    def run() -> None:
        with Progress(tmp_path) as progress:
            progress.begin(total=2, lacking=2, pool=None)
            progress.done([row(1)], {1})
            raise error

    with pytest.raises(type(error)):
        run()
    said = read(tmp_path)
    assert (said["state"], said["reason"]) == (state, reason)
    assert said["cells"]["now"] == 1
    log = log_of(tmp_path)
    assert f"ERROR   {state}: {reason}" in next(line for line in log if "ERROR" in line)
    assert any("Traceback" in line for line in log) == isinstance(error, ZeroDivisionError)


def test_the_file_is_whole_whenever_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_module, "_WRITE", 0.0)
    seen, over = [], threading.Event()

    def look() -> None:
        while not over.is_set():
            seen.append(read(tmp_path)["cells"]["now"])

    with Progress(tmp_path) as progress:
        reader = threading.Thread(target=look)
        progress.begin(total=400, lacking=400, pool=None)
        reader.start()
        for cell in range(400):
            progress.done([row(cell)], {cell})
        over.set()
        reader.join()
    assert seen == sorted(seen)
    assert len(set(seen)) > 10, "it was read while it was written"
    assert not list(tmp_path.glob(".*.tmp"))


def test_the_log_holds_each_stack_trace_once(tmp_path: Path) -> None:
    trace = 'Traceback (most recent call last):\n  File "net.py", line 7\nValueError: it broke\n'
    rows = [row(3, "error", label, traceback=trace) for label in ("p", "q")]
    rows += [row(3, "oom", "r"), row(3, "ok", "s"), row(3, "nan", "t"), row(3, "inf", "u")]
    rows += [row(3, "inf", "v", score=-math.inf)]
    with Progress(tmp_path) as progress:
        progress.log_failures(rows)
    assert all("traceback" not in each for each in rows), "the shards hold the first line"
    log = "\n".join(log_of(tmp_path))
    assert log.count("Traceback") == 1
    assert "WARNING cell 3, arch-3: error of p on a, q on a: Traceback (most recent call last):" in log
    assert "WARNING cell 3, arch-3: oom of r on a: ValueError: it broke" in log
    assert " s on a" not in log
    assert "WARNING cell 3, arch-3: nan of t on a: the score is nan" in log
    assert "WARNING cell 3, arch-3: inf of u on a: the score is inf" in log
    assert " v on a" not in log, "minus infinity is a score"


def test_the_log_goes_on_and_tells_how_far_a_run_is(tmp_path: Path, clock: list[float]) -> None:
    for _ in range(2):
        with Progress(tmp_path) as progress:
            progress.say("a headline")
            progress.warn("a warning")
            progress.begin(total=8, lacking=6, pool=None)
            clock[0] += 61
            progress.done([row(1, "inf")], {1})
    lines = log_of(tmp_path)
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ (INFO|WARNING) ", line) for line in lines)
    told = "INFO    3 of 8 cells, 59 an hour, about 0.1 h left; 1 score failed"
    said = ["INFO    a headline", "WARNING a warning", told]
    assert [line.partition(" ")[2] for line in lines] == said * 2


def block(path: Path) -> None:
    """What stands there can be neither written nor replaced."""
    (path / "in_the_way").mkdir(parents=True)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: block(folder / "progress.json"),
        lambda folder: block(folder / ".progress.json.tmp"),
        lambda folder: block(folder / "run.log"),
        lambda folder: (folder / "run.log").symlink_to("/dev/full"),
        lambda folder: (folder / ".progress.json.tmp").symlink_to("/dev/full"),
        lambda folder: folder.rmdir(),
    ],
    ids=["progress.json", "its temporary", "run.log", "full log", "full disk", "no folder"],
)
def test_files_that_cannot_be_written_end_no_run(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    spoil(folder)
    with Progress(folder) as progress:
        progress.begin(total=1, lacking=1, pool=None)
        progress.warn("something")
        progress.log_failures([row(1, "error")])
        progress.done([row(1, "error")], {1})
    assert progress.failed == 1


def test_without_a_folder_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Progress() as progress:
        progress.begin(total=1, lacking=1, pool=None)
        progress.done([row(1)], {1})
    assert not list(tmp_path.iterdir())


def test_what_is_no_terminal_gets_headline_warnings_and_outcome(tmp_path: Path) -> None:
    command = [*COMMAND, *TINY, "proxy=[naswot,params]", f"indices=[1,2,3,{DEAD}]", "workers=2"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0
    lines = done.stderr.splitlines()
    assert lines[0].endswith("of 4 cells on cifar10; 2 workers on cpu; into results/mine")
    assert lines[1:] == [
        "4 cells scored now; 0 of 8 scores failed; 1 score of −∞, which ranks lowest; "
        "next: nasbench-report results/mine"
    ]
    assert not done.stdout
    said = read(tmp_path / "results" / "mine")
    assert (said["state"], said["cells"]["now"]) == ("finished", 4)
    assert said["scores"]["ok"] == 7
    assert [line.split(" ", 2)[2].strip() for line in log_of(tmp_path / "results" / "mine")] == lines

    shard = next((tmp_path / "results").rglob("proxy=naswot/part-00000.parquet"))
    shard.write_bytes(shard.read_bytes()[:-9])
    lines = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stderr.splitlines()
    assert len(lines) == 3
    assert lines[1].startswith("warning: ")
    assert "is damaged: set aside as _part-00000.parquet.damaged, its cells are scored again" in lines[1]
    assert lines[2].startswith("4 cells scored now; 0 of 4 scores failed; 1 score of −∞")


def test_a_terminal_gets_one_line_with_rate_time_left_and_failures(tmp_path: Path) -> None:
    terminal, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 140, 0, 0))
    cells = f"[{DEAD},{','.join(map(str, range(120)))}]"
    process = subprocess.Popen(
        [*COMMAND, *TINY, "proxy=naswot", f"indices={cells}", "workers=2"], cwd=tmp_path, stderr=theirs
    )
    os.close(theirs)
    shown = b""
    deadline = time.monotonic() + 60
    while select.select([terminal], [], [], deadline - time.monotonic())[0]:
        try:
            shown += os.read(terminal, 4096)
        except OSError:  # nobody is left to write
            break
    os.close(terminal)
    assert process.wait(timeout=60) == 0
    head, bar, *after = shown.decode().replace("\r\n", "\n").rstrip("\n").split("\n")
    assert head.startswith("nasbench201: naswot of 121 cells")
    assert len(after) == 1
    dead = (read_scores(tmp_path / "results" / "mine")["status"] != "ok").sum()
    assert after[0].startswith(f"121 cells scored now; 0 of 121 scores failed; {dead} scores of −∞, which")
    states = [text for text in bar.split("\r") if text.strip()]
    assert len(states) > 2, "one line, written over and over"
    under_way = r"^ +\d+%\|.*\| \d+/121 \[\d\d:\d\d<\d\d:\d\d, +[\d.]+cell/s, \d+ failed\]$"
    assert any(re.match(under_way, text.rstrip()) for text in states), states
    assert "121/121 [" in states[-1]
    assert ", 0 failed]" in states[-1]
