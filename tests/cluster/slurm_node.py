"""A SLURM cluster of one node, this machine: its daemons as processes, everything else in a folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol")
# Debian keeps daemons where not every PATH leads.
_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
# `cred_expire` is how long SLURM waits before it starts a requeued job again: 120 s by default, 5 at least.
_CONF = """\
ClusterName=trial
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={control}
SlurmdPort={node}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
CredType=cred/munge
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
MailProg=/bin/true
SlurmdTimeout=5
KillWait=2
SchedulerParameters=bf_interval=1,sched_interval=1,sched_min_interval=0
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory=2000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str | None:
    """Why no cluster can be started here; None if one can."""
    absent = [name for name in NEEDED if shutil.which(name, path=_PATH) is None]
    if absent:
        return f"SLURM is not installed ({', '.join(absent)}): apt-get install slurm-wlm munge"
    if os.getuid() != 0:
        return "a node's daemon starts jobs as their users, for which it has to be root"
    return None


class Node:
    """The cluster.

    Attributes:
        folder: of its configuration, state and logs.
        environment: for commands that are to find it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment: Mapping[str, str] = {
            **os.environ,
            "PATH": _PATH,
            "SLURM_CONF": str(folder / "slurm.conf"),
        }
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start its daemons, and wait until it takes jobs."""
        host = socket.gethostname().partition(".")[0]
        for name in ("state", "spool", "munge"):
            (self.folder / name).mkdir(mode=0o700)
        key = self.folder / "munge" / "key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        control, node = _free_ports()
        cores = min(2, os.cpu_count() or 1)
        text = _CONF.format(
            host=host, folder=self.folder, user="root", control=control, node=node, cores=cores
        )
        (self.folder / "slurm.conf").write_text(text)
        files = {"key-file": "key", "socket": "socket", "pid-file": "pid", "seed-file": "seed"}
        options = [f"--{option}={key.with_name(name)}" for option, name in files.items()]
        self._begin("munged", "--foreground", "--force", *options)
        self._begin("slurmctld", "-D")
        self._begin("slurmd", "-D")
        self.wait_until_idle()

    def _begin(self, name: str, *options: str) -> None:
        command = [shutil.which(name, path=_PATH) or name, *options]
        with (self.folder / f"{name}.out").open("ab") as log:
            self._running[name] = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)

    def kill_daemon(self) -> None:
        """The node's daemon dies; what it started does not."""
        self._running["slurmd"].kill()
        self._running["slurmd"].wait()

    def restart_daemon(self) -> None:
        self._begin("slurmd", "-D")

    def ask(self, *command: str) -> str:
        """What one of SLURM's commands prints."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{command}: {done.stderr}{self.log()}"
        return done.stdout

    def wait_until_idle(self) -> None:
        """Until the node takes jobs and has none."""
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with contextlib.suppress(AssertionError):
                if self.ask("sinfo", "--noheader", "--format=%T").strip() == "idle":
                    return
            time.sleep(0.2)
        raise AssertionError(f"the node does not come up: {self.log()}")

    def log(self) -> str:
        """The end of what its daemons said."""
        files = sorted(self.folder.glob("*.out"))
        return "".join(f"\n== {file.name}\n{file.read_text(errors='replace')[-1500:]}" for file in files)

    def stop(self) -> None:
        """End its jobs and its daemons."""
        with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
            self.ask("scancel", "--state=PENDING", "--user=root")
            self.ask("scancel", "--user=root")
            self.wait_until_idle()
        for process in reversed(self._running.values()):
            process.terminate()
        for process in self._running.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait()


def processes_of(folder: Path) -> Iterator[tuple[int, list[str]]]:
    """The processes whose command names a folder, and their commands."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
                if any(str(folder) in word for word in words):
                    yield int(entry.name), words


def parent(pid: int) -> int:
    """The process that started one."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def name(pid: int) -> str:
    """The name of a process's program; empty if it is gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def kill(pid: int) -> None:
    """End a process without notice, if it is still there."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _free_ports() -> tuple[int, int]:
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1]
