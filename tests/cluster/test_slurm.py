"""A sweep of shards on a SLURM cluster of one node, whose tasks are queued again, killed and lost with it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from slurm_node import Node, kill, missing, name, parent, processes_of
from sweeps import begin, here, long_only, shards_of

from nasbench_eval.merge import cli as merge
from nasbench_eval.work.slurm import as_accounts, queue_command

SWEEP = ["-m", "hydra/launcher=slurm", "shards=2", "shard=range(2)", "run=split", "n=400", "save_every=1"]
SWEEP += [f"hydra.launcher.{o}" for o in ("gpus_per_node=0", "cpus_per_task=1", "mem_gb=1", "timeout_min=30")]
WATCHED = "sacct: Slurm accounting storage is disabled; tasks are watched with squeue instead\n"


def test_the_queue_stands_in_for_the_accounts() -> None:
    command = ["sacct", "-o", "JobID,State,NodeList", "--parsable2", "-j", "7", "-j", "9"]
    assert queue_command(command)[-1] == "--jobs=7,9"
    said = as_accounts("7_0|COMPLETED|a\n7_1|CONFIGURING|\n7_2|PENDING|\n9|OUT_OF_MEMORY|b\n")
    states = [line.split("|")[1] for line in said.splitlines()[1:]]
    assert states == ["COMPLETED", "RUNNING", "PENDING", "OUT_OF_MEMORY"]
    submitit = pytest.importorskip("submitit.slurm.slurm", reason="the extra slurm is not installed")
    assert submitit.SlurmInfoWatcher().read_info(said)["7_2"]["State"] == "PENDING"


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="the extra slurm is not installed")
    if (reason := missing()) is not None:
        pytest.skip(reason)
    # The path of a socket has to be short, which those of pytest's folders are not.
    with tempfile.TemporaryDirectory(prefix="slurm", ignore_cleanup_errors=True) as folder:
        cluster = Node(Path(folder))
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()


@pytest.fixture
def sweep(node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sweep]:
    for variable in ("PATH", "SLURM_CONF"):
        monkeypatch.setenv(variable, node.environment[variable])
    node.wait_until_idle()
    made = Sweep(node, tmp_path, monkeypatch)
    yield made
    made.command.kill()
    made.command.communicate()


class Sweep:
    """A run of two shards as an array, and the run that they make up."""

    def __init__(self, node: Node, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.node, self.folder, self.monkeypatch = node, folder, monkeypatch
        self.run = folder / "runs" / "split"
        self.command = self.begin()

    def begin(self) -> subprocess.Popen[str]:
        return begin(self.folder, *SWEEP, f"results={self.folder}/runs")

    def wait_for_rows(self) -> None:
        """Until a shard, or as many as run at a time, has rows on the disk and is not finished."""
        until = time.monotonic() + 120
        while time.monotonic() < until and self.command.poll() is None:
            begun = [s for s in shards_of(self.run) if list(s.rglob("part-*"))]
            if begun and not any('"finished"' in (s / "run.json").read_text() for s in begun):
                return
            time.sleep(0.05)
        raise AssertionError(f"no shard was being scored: {self.node.log()}")

    def tasks(self) -> list[int]:
        """The processes that score: Python's, not those of `srun`, which name the same command."""
        found = dict(processes_of(self.folder / "runs" / ".multirun"))
        return sorted(pid for pid, words in found.items() if "python" in Path(words[0]).name)

    def kill_all_tasks(self) -> None:
        """Everything that SLURM started for them; first what would tell SLURM of the others' deaths."""
        started = [pid for pid, _ in processes_of(self.folder / "runs" / ".multirun")]
        everything = {*started, *map(parent, started)} - {self.command.pid, os.getpid(), 1}
        for pid in sorted(everything, key=lambda pid: name(pid) != "slurmstepd"):
            kill(pid)

    def jobs(self) -> list[str]:
        """The tasks of the array that run, as SLURM names them."""
        return self.node.ask("squeue", "--noheader", "--array", "--states=RUNNING", "--format=%i").split()

    def restarts(self) -> int:
        """How many attempts at a shard there were beyond the first ones."""
        logs = (shard / "run.log" for shard in shards_of(self.run))
        return sum(log.read_text().count("workers on cpu") - 1 for log in logs)

    def wait_for_restart(self) -> None:
        """Until a shard is scored for the second time."""
        until = time.monotonic() + 120
        while self.restarts() < 1:
            assert time.monotonic() < until, self.node.log()
            assert self.command.poll() is None, "the command ended before"
            time.sleep(0.05)

    def end(self) -> tuple[int, str]:
        """The command's exit code and what it said."""
        said = self.command.communicate(timeout=300)[1]
        return self.command.returncode, said

    def check(self) -> None:
        """Merged it is the run in one piece: the same digest."""
        self.monkeypatch.setattr("sys.argv", ["nasbench-merge", str(self.run)])
        assert merge.main() == 0
        here(self.folder, self.monkeypatch, "n=400", "results=runs", "run=whole")
        digests = [
            json.loads((self.run.with_name(run) / "run.json").read_text())["scores_sha256"]
            for run in ("split", "whole")
        ]
        assert digests[0] == digests[1]


@long_only
def test_a_task_is_queued_again_and_the_daemon_dies(sweep: Sweep) -> None:
    """Neither ends the command; the daemon's death alone ends no task."""
    sweep.wait_for_rows()
    sweep.node.ask("scontrol", "requeue", sweep.jobs()[0])
    sweep.wait_for_restart()
    sweep.node.kill_daemon()
    sweep.node.restart_daemon()
    assert sweep.end() == (0, WATCHED)
    assert sweep.restarts() == 1
    sweep.check()


@long_only
def test_a_node_dies(sweep: Sweep) -> None:
    """Its daemon and all that it started are gone; when it is back, SLURM begins the tasks again."""
    sweep.wait_for_rows()
    sweep.node.kill_daemon()
    sweep.kill_all_tasks()
    sweep.node.restart_daemon()
    assert sweep.end() == (0, WATCHED)
    assert sweep.restarts() >= 1
    sweep.check()


@long_only
@pytest.mark.parametrize("how", ["kill", "scancel"])
def test_a_task_is_killed(sweep: Sweep, how: str) -> None:
    """SLURM begins no such task again.  The command says so, without accounts too, and continues later."""
    sweep.wait_for_rows()
    if how == "kill":
        kill(sweep.tasks()[0])
    else:
        sweep.node.ask("scancel", sweep.jobs()[0])
    code, said = sweep.end()
    assert code == 2
    assert said.startswith(WATCHED)
    assert re.fullmatch(
        r"error: a run of the sweep came to no end .*continues where it stopped\n", said[len(WATCHED) :]
    )
    sweep.node.wait_until_idle()  # nobody waits for the other task any more
    sweep.command = sweep.begin()
    assert sweep.end() == (0, WATCHED)
    sweep.check()
