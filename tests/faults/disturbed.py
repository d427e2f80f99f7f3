"""Real runs and what happens to them: the command in a session of its own, and the ways to disturb it."""

from __future__ import annotations

import itertools
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from nasbench_eval.runs.store import digest, read_scores

LONG = os.environ.get("FUZZING") == "long"
long_only = pytest.mark.skipif(not LONG, reason="a long test: make test-long")

# A test run started in the background inherits a Ctrl-C that is ignored; here it has to count.
COMMAND = [
    sys.executable,
    "-c",
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
    "from nasbench_eval.cli import score; sys.exit(score())",
]
# A cell takes some 15 ms.
TINY = [
    "space.channels=4",
    "space.cells_per_stage=1",
    "proxy=[snip,naswot,params]",
    "proxy.input=gaussian",
    "proxy.batch_size=4",
    "proxy.resolution=8",
]
CONTINUES = "the same command continues where it stopped"
_NUMBERS = itertools.count()
# Seconds that anything may take on a machine that is busy with other things.
PATIENCE = 120.0


def chance() -> random.Random:
    """Where and when something happens: always the same in `make test`; FAULTS_SEED repeats a long test."""
    seed = int(os.environ.get("FAULTS_SEED", random.SystemRandom().randrange(2**32) if LONG else 0))
    print(f"FAULTS_SEED={seed}")
    return random.Random(seed)


class Command:
    """One start of `nasbench-score` in a folder; the run's folder is `results/mine` in it.

    Args:
        folder: the working directory.
        options: beside those of `TINY`.
        tiny: whether these are given.
        prepare: called in the command's process before it becomes one.
    """

    def __init__(
        self,
        folder: Path,
        *options: str,
        tiny: bool = True,
        prepare: Callable[[], None] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # What it says has room, whatever becomes of a small disk.
        self._said = (folder.parent if folder.is_mount() else folder) / f"said-{next(_NUMBERS)}.txt"
        fixed = [*(TINY if tiny else ()), "run=mine", "device=cpu", "reuse=none"]
        with self._said.open("wb") as said:
            self.process = subprocess.Popen(
                [*COMMAND, *fixed, *options],
                cwd=folder,
                env={name: value for name, value in os.environ.items() if name != "NASBENCH_EVAL_DATA"},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
                preexec_fn=prepare,
            )

    @property
    def said(self) -> str:
        """All that it said."""
        return self._said.read_text()

    def processes(self) -> list[int]:
        """The processes that live of those that it started, itself among them."""
        return [
            pid for pid, state, _, session in _processes() if session == self.process.pid and state != "Z"
        ]

    def servers(self) -> list[int]:
        """The process that its workers are forked from, if it is there yet."""
        return [p for p in self._children(self.process.pid) if b"forkserver" in _command_line(p)]

    def workers(self) -> list[int]:
        return [worker for server in self.servers() for worker in self._children(server)]

    def _children(self, pid: int) -> list[int]:
        return [child for child, state, parent, _ in _processes() if parent == pid and state != "Z"]

    def wait_until(self, happened: Callable[[], Any]) -> bool:
        """Wait until something has happened; False if the command ended before."""
        deadline = time.monotonic() + PATIENCE
        while not happened():
            assert time.monotonic() < deadline, self.said
            if self.process.poll() is not None:
                return bool(happened())
            time.sleep(0.005)
        return True

    def under_way(self, run: Path) -> bool:
        """Wait until it scores; False if it ended before."""
        return self.wait_until(lambda: state(run) == (self.process.pid, "running"))

    def busy(self) -> bool:
        """Wait until its workers score; False if it ended before."""
        return self.wait_until(lambda: self.process.poll() is None and self.workers())

    def send(self, number: int, *, group: bool = False) -> None:
        """A signal for the command, or for all its processes, as a terminal sends Ctrl-C."""
        with suppress(ProcessLookupError):  # it has ended by itself
            (os.killpg if group else os.kill)(self.process.pid, number)

    def end(self) -> int:
        """Wait for its end; returns its exit code.  None of its processes is left then."""
        code = self.process.wait(PATIENCE)
        deadline = time.monotonic() + 30
        while left := self.processes():
            assert time.monotonic() < deadline, [_command_line(pid) for pid in left]
            time.sleep(0.01)
        if code != -signal.SIGKILL:  # else a worker may find that nobody is there to start it
            assert "Traceback" not in self.said, self.said
        return code

    def kill(self) -> None:
        """End all of it whatever it is at."""
        for pid in self.processes():
            _signal(pid, signal.SIGKILL)
        self.process.wait()


def _processes() -> list[tuple[int, str, int, int]]:
    """Of every process its number, state, parent and session."""
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            _, _, fields = file.read_text().rpartition(")")
        except OSError:  # it has ended
            continue
        status, parent, _, session, *_ = fields.split()
        found.append((int(file.parent.name), status, int(parent), int(session)))
    return found


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _signal(pid: int, number: int) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def signal_one(chance: random.Random, pids: Sequence[int], number: int) -> bool:
    """Send a signal to one of these processes; False if none of them lives."""
    return bool(pids) and _signal(chance.choice(pids), number)


def state(run: Path) -> tuple[int, str] | None:
    """The process and the state that progress.json names; it is valid whenever it is read."""
    try:
        content = json.loads((run / "progress.json").read_text())
    except FileNotFoundError:
        return None
    return content["pid"], content["state"]


# What a loss of power, or a disk, does to files


def truncate(chance: random.Random, file: Path) -> None:
    os.truncate(file, chance.randrange(file.stat().st_size))


def zero_the_end(chance: random.Random, file: Path) -> None:
    size = file.stat().st_size
    start = chance.randrange(size)
    with file.open("r+b") as opened:
        opened.seek(start)
        opened.write(bytes(size - start))


def lose_a_block(chance: random.Random, file: Path) -> None:
    """Zeros in place of 512 bytes."""
    blocks = range(0, file.stat().st_size, 512)
    with file.open("r+b") as opened:
        opened.seek(chance.choice(blocks))
        opened.write(bytes(512)[: file.stat().st_size - opened.tell()])


def _shards(run: Path) -> list[Path]:
    return sorted(run.rglob("part-*.parquet"))


def damage(chance: random.Random, run: Path) -> str:
    """Do something to the files of a run that nobody writes to; returns what."""
    how = chance.choice(["shard", "shard", "shard", "record", "no record", "leftovers", "merged"])
    shards = _shards(run)
    if how == "shard" and shards:
        spoil = chance.choice([truncate, zero_the_end, lose_a_block])
        spoil(chance, file := chance.choice(shards))
        return f"{spoil.__name__} of {file.name}"
    if how == "merged" and shards:
        shard = chance.choice(shards)
        (shard.parent / ".merged.parquet").write_bytes(shard.read_bytes()[: chance.randrange(2000)])
    elif how == "record":
        (run / "run.json").write_bytes(chance.choice([b"", b"{", b"null", b"[]", chance.randbytes(3000)]))
    elif how == "no record":
        (run / "run.json").unlink(missing_ok=True)
    else:
        for folder in {run, *(shard.parent for shard in shards)}:
            (folder / f".{chance.choice(['run.json', 'part-00001.parquet'])}.tmp").write_bytes(b"PAR1\0\0")
        (run / ".progress.json.tmp").write_bytes(b"{")
    return how


def fills_at(size: int) -> Callable[[], None]:
    """For a command that can write no file larger than this, as on a full disk; and its processes neither."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


# What comes of a run


def scores(run: Path) -> pd.DataFrame:
    """Its rows in one order, without what tells of their making."""
    frame = read_scores(run).drop(columns=["seconds"])
    assert not frame.duplicated(["dataset", "proxy", "index"]).any(), "no row comes twice"
    return frame.sort_values(["dataset", "proxy", "index"]).reset_index(drop=True)


def same_scores(run: Path, other: Path) -> None:
    """Row for row, and by the digest that run.json holds."""
    pd.testing.assert_frame_equal(scores(run), scores(other), check_exact=True)
    recorded = [json.loads((folder / "run.json").read_text())["scores_sha256"] for folder in (run, other)]
    assert recorded == [digest(other)] * 2
    assert state(run) is not None
    assert json.loads((run / "progress.json").read_text())["state"] == "finished"
