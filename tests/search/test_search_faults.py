"""Searches to which something happens: a worker dies, the disk is full."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest
from commands import Ask
from histories import history

SEARCH = "import sys; from nasbench_eval.cli import search; sys.exit(search())"
LIVE = ["space.channels=4", "space.cells_per_stage=1", "device=cpu", "guide=naswot", "seeds=2", "reuse=none"]
LIVE += ["proxy.batch_size=4", "proxy.resolution=8", "proxy.input=gaussian", "save_every=0"]


def start(*options: str, prepare: Callable[[], None] | None = None) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SEARCH, *LIVE, *options]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=prepare)


def workers(pid: int) -> list[int]:
    """The processes without children that a command's server of processes was forked into."""
    found: list[int] = []
    with suppress(OSError):  # it has ended meanwhile
        for child in map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()):
            below = workers(child)
            forked = b"forkserver" in Path(f"/proc/{child}/cmdline").read_bytes()
            found += below or ([child] if forked else [])
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_worker_that_dies_changes_nothing(ask: Ask) -> None:
    steps = ["steps=60", "lag=2", "workers=2"]
    assert ask(*LIVE, *steps, "run=whole").code == 0
    process = start(*steps, "run=hurt")
    trials, deadline = Path("results/hurt/history"), time.monotonic() + 120
    while not list(trials.glob("part-*")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.005)
    [victim, *_] = workers(process.pid)
    os.kill(victim, signal.SIGKILL)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert "when the others are done" in said, "the user is told"
    pd.testing.assert_frame_equal(history("results/whole"), history("results/hurt"), check_exact=True)


def test_a_full_disk_is_one_line_and_the_search_goes_on_from_there(ask: Ask) -> None:
    steps = ["steps=30", "workers=0"]
    assert ask(*LIVE, *steps, "run=whole").code == 0
    small = start(*steps, "run=cut", prepare=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000)))
    _, said = small.communicate(timeout=120)
    assert small.returncode == 2, said
    assert said.splitlines()[-1].startswith("error: cannot write")
    assert "File too large" in said.splitlines()[-1]
    again = ask(*LIVE, *steps, "run=cut")
    assert again.code == 0, again.err
    pd.testing.assert_frame_equal(history("results/whole"), history("results/cut"), check_exact=True)
