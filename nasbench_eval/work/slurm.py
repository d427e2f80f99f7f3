"""How the tasks of a SLURM array are, also where the cluster keeps no accounts.

submitit asks `sacct`.  Many small clusters have no accounting, and there it warns at every look and never
learns that a task was killed, so that the command would wait for ever.  Here `squeue` is asked then, which
every cluster has and which knows a task for some minutes after its end (MinJobAge), and one line says so.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import pairwise

# States of which nothing more will come.  Any other is a task that waits or runs, for all that is asked here.
_ENDED = {
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "REVOKED",
    "TIMEOUT",
}
# Seconds between two looks at most: a task is told for 300 s after its end unless the cluster says otherwise.
_SECONDS = 60


def watch_tasks() -> None:
    """Have submitit look after SLURM's tasks as this module says."""
    from submitit.slurm.slurm import SlurmInfoWatcher, SlurmJob

    class Watcher(SlurmInfoWatcher):
        """submitit's, which makes the command and reads what `sacct` answers."""

        told = ""

        def update(self) -> None:
            command = self._make_command()
            if command is None:
                return
            self._num_calls += 1
            answer, error = _answer(command)
            if error:
                self._tell(error)
                answer, _ = _answer(queue_command(command))  # what was known of a task that is gone stays
                answer = as_accounts(answer)
            self._info_dict.update(self.read_info(answer))
            self._last_status_check = time.time()

        def _tell(self, error: str) -> None:
            if error != self.told:
                self.told = error
                print(f"sacct: {error}; tasks are watched with squeue instead", file=sys.stderr)

    SlurmJob.watcher = Watcher(delay_s=_SECONDS)


def queue_command(accounts: Sequence[str]) -> list[str]:
    """`squeue` for the jobs that a `sacct` command asks about, ended tasks and every task of an array too."""
    jobs = [word for flag, word in pairwise(accounts) if flag == "-j"]
    return [
        "squeue",
        "--noheader",
        "--array",
        "--states=all",
        "--format=%i|%T|%N",
        f"--jobs={','.join(jobs)}",
    ]


def as_accounts(queue: str) -> str:
    """What `squeue` says as `sacct` would: a table whose states are known to submitit."""
    lines = ["JobID|State|NodeList"]
    for line in queue.splitlines():
        job, state, nodes = line.split("|")
        known = state if state in _ENDED or state == "PENDING" else "RUNNING"
        lines.append(f"{job}|{known}|{nodes}")
    return "\n".join(lines)


def _answer(command: Sequence[str]) -> tuple[str, str]:
    """What a command prints, and the first line of its error, if it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        return "", error.strerror or str(error)
    if done.returncode:
        return "", done.stderr.strip().partition("\n")[0] or f"exit code {done.returncode}"
    return done.stdout, ""
