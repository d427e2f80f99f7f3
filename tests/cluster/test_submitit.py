"""Sweeps through submitit, which stands between Hydra and SLURM; here it runs jobs on this machine."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import pytest
from sweeps import begin, complete, here, long_only, rows, shards_of

pytest.importorskip("submitit", reason="the extra slurm is not installed")
pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="the extra slurm is not installed")

TWO = ["-m", "hydra/launcher=local", "shards=2", "shard=range(2)", "results=runs", "run=split"]


def test_shards_of_a_local_sweep_make_up_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, said = complete(tmp_path, *TWO, "n=5")
    assert code == 0, said
    here(tmp_path, monkeypatch, "n=5", "results=runs", "run=whole")
    pieces = shards_of(tmp_path / "runs" / "split")
    assert [piece.name for piece in pieces] == ["0-of-2", "1-of-2"]
    pd.testing.assert_frame_equal(rows(pieces), rows([tmp_path / "runs" / "whole"]), check_exact=True)


@long_only
def test_an_error_of_one_job_reaches_the_command(tmp_path: Path) -> None:
    taken = tmp_path / "runs" / "split" / "shards" / "1-of-2"
    taken.mkdir(parents=True)
    with (taken / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        code, said = complete(tmp_path, *TWO, "n=5")
    assert code == 2
    assert "Traceback" not in said
    job, error = said.splitlines()
    assert job.startswith("Error executing job")
    assert "'shard=1'" in job
    assert error.startswith("error: another process is writing to runs/split/shards/1-of-2")
    code, said = complete(tmp_path, *TWO, "n=5")
    assert code == 0, said
    assert len(rows(shards_of(tmp_path / "runs" / "split"))) == 10


@long_only
@pytest.mark.parametrize("number", [signal.SIGUSR2, signal.SIGKILL])
def test_a_job_that_is_stopped_half_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """SIGUSR2 is how SLURM announces that time is up or another job takes the place; SIGKILL is no notice."""
    command = begin(tmp_path, *TWO, "n=240", "save_every=1")
    os.kill(_job_of(command, tmp_path), number)
    said = command.communicate(timeout=300)[1]
    pieces = tmp_path / "runs" / "split"
    if number == signal.SIGKILL:
        assert command.returncode == 2
        assert re.fullmatch(r"error: a run of the sweep came to no end .*continues where it stopped\n", said)
        _until_one_is_finished(pieces)  # nobody waits for the other job any more
        assert len(rows(shards_of(pieces))) < 480
        assert complete(tmp_path, *TWO, "n=240")[0] == 0
    else:  # it was begun again
        assert command.returncode == 0, said
        logs = "".join(file.read_text() for file in (tmp_path / "runs" / ".multirun").rglob("*.err"))
        assert logs.count("shard 0/2") + logs.count("shard 1/2") == 3
    here(tmp_path, monkeypatch, "n=240", "results=runs", "run=whole")
    pd.testing.assert_frame_equal(
        rows(shards_of(pieces)), rows([tmp_path / "runs" / "whole"]), check_exact=True
    )


def _job_of(command: subprocess.Popen[str], folder: Path) -> int:
    """The process of a job that is scoring."""
    until = time.monotonic() + 120
    while time.monotonic() < until and command.poll() is None:
        for log in (folder / "runs" / ".multirun").glob("*/.submitit/*/*_log.err"):
            controller = log.parent.name
            shard = re.search(r"shard (\d)/2", log.read_text())
            if shard and list((folder / "runs" / "split" / "shards" / f"{shard[1]}-of-2").rglob("part-*")):
                [child] = Path(f"/proc/{controller}/task/{controller}/children").read_text().split()
                return int(child)
        time.sleep(0.05)
    raise AssertionError("no job wrote a row before the command ended")


def _until_one_is_finished(run: Path) -> None:
    until = time.monotonic() + 120
    while not any('"finished"' in (shard / "run.json").read_text() for shard in shards_of(run)):
        assert time.monotonic() < until
        time.sleep(0.1)
