"""`nasbench-score` as its users meet it: most calls in this process, a few in one of their own."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import shlex
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from commands import Ask, Asked

from nasbench_eval import __version__
from nasbench_eval.cli import score
from nasbench_eval.runs.store import digest, read_scores

# All of them compute what they score, whatever stands in the folders beside theirs.
TINY = ["space.channels=4", "space.cells_per_stage=1", "workers=1", "device=cpu", "reuse=none"]
SMALL = [*TINY, "proxy.batch_size=4", "proxy.resolution=8"]
# A test run started in the background inherits a Ctrl-C that is ignored; here it has to count.
COMMAND = [
    sys.executable,
    "-c",
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
    "from nasbench_eval.cli import score; sys.exit(score())",
]


@pytest.fixture
def ask(asked: Asked, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ask:
    """Runs the command in an empty folder, its working directory."""
    monkeypatch.chdir(tmp_path)
    return partial(asked, score, "nasbench-score")


def scored(folder: Path) -> Path:
    """The one run in a folder of runs."""
    [record] = folder.rglob("run.json")
    return record.parent


def test_a_run_and_its_repetition(ask: Ask, tmp_path: Path) -> None:
    command = ["space=nasbench201", "dataset=cifar10", "proxy=intrain", "n=3", *SMALL]
    first = ask(*command)
    assert first.code == 0, first.err
    run = scored(tmp_path / "results")
    lines = first.err.splitlines()
    assert lines[0].startswith("nasbench201: intrain of 3 cells on cifar10; 1 worker on cpu; into results/")
    folder = run.relative_to(tmp_path)
    assert lines[-1] == f"3 cells scored now; 0 of 3 scores failed; next: nasbench-report {folder}"
    record = json.loads((run / "run.json").read_text())
    assert record["command"] == "nasbench-score " + shlex.join(command)
    assert record["n"] == 3
    assert record["seed"] == 0
    assert record["proxies"]["intrain"]["batch_size"] == 4
    assert record["scores_sha256"] == digest(run)
    assert len(pd.read_parquet(run / "scores")) == 3

    again = ask(*command)
    assert again.code == 0
    assert "nothing left to score" in again.err
    more = ask(*command, "n=5")
    assert "2 cells scored now" in more.err
    assert len(read_scores(run)) == 5
    assert ask(*command, "n=3", "results=elsewhere").code == 0
    assert digest(scored(tmp_path / "elsewhere")) == record["scores_sha256"]


def test_several_proxies_and_data_sets_in_one_run(ask: Ask, tmp_path: Path) -> None:
    answer = ask(
        "proxy=table1", "dataset=[cifar10,cifar100]", "n=2", "proxy.input=gaussian", "run=all", *SMALL
    )
    assert answer.code == 0, answer.err
    together = read_scores(tmp_path / "results" / "all")
    assert set(together["dataset"]) == {"cifar10", "cifar100"}
    assert len(together) == 2 * 2 * together["proxy"].nunique()

    assert ask("proxy=zico", "dataset=[cifar100]", "n=2", "proxy.input=gaussian", "run=one", *SMALL).code == 0
    alone = read_scores(tmp_path / "results" / "one")
    same = together.query("proxy == 'zico' and dataset == 'cifar100'")
    assert list(alone["score"]) == list(same["score"])


def test_a_sweep_runs_every_combination(ask: Ask, tmp_path: Path) -> None:
    answer = ask("n=1", "-m", "dataset=cifar10,cifar100", "proxy.layers=conv,cell", *SMALL)
    assert answer.code == 0, answer.err
    records = [json.loads(f.read_text()) for f in (tmp_path / "results").glob("*/run.json")]
    made = {(*r["datasets"], r["proxies"]["intrain"]["layers"]) for r in records}
    assert made == {(d, k) for d in ("cifar10", "cifar100") for k in ("conv", "cell")}
    assert {r["command"].split()[2] for r in records} == {"dataset=cifar10", "dataset=cifar100"}


def test_a_sweep_with_a_name_shares_a_folder_of_that_name(ask: Ask, tmp_path: Path) -> None:
    assert ask("-m", "seed=0,1", "proxy=params", "n=1", "run=mine", *TINY).code == 0
    assert len(list((tmp_path / "results" / "mine").glob("*/run.json"))) == 2


WRONG = [
    ("proxy=intrian", "unknown proxy 'intrian'; did you mean intrain"),
    ("proxy=SNIP", "unknown proxy 'SNIP'; did you mean snip?"),
    ("dataset=CIFAR10", "unknown data set 'CIFAR10'; did you mean cifar10?"),
    ("truth=Digits proxy=params", "embedded is digits; did you mean digits?"),
    ("proxie=snip", "unknown option 'proxie'; did you mean proxy"),
    ("--proxy snip", "--proxy: options are written without dashes, proxy=snip"),
    ("--n=5", "--n=5: options are written without dashes, n=5"),
    ("--proxy.layers conv", "without dashes, proxy.layers=conv"),
    ("proxy=[intrain, snip]", "write it without blanks, 'proxy=[intrain,snip]'"),
    ("n = 5", "cannot read 'n = 5': write it without blanks, n=5"),
    ("seed=1 n= 5", "cannot read 'n= 5': write it without blanks, n=5"),
    ("seed=1 n =5", "cannot read 'n =5': write it without blanks, n=5"),
    ("n=0", "error: n=0 will not do; it should be at least 1, or all or auto"),
    ("truth=digits dataset=cifar10", "truth=digits brings its own images; leave dataset=cifar10 out"),
    ("run=a/../../x", "run=a/../../x: must lie inside the results folder; move that with results=PATH"),
    ("proxy=[intrain,snipp]", "unknown proxy 'snipp'; did you mean snip?"),
    ("dataset=cifar11", "unknown data set 'cifar11'; did you mean cifar10"),
    ("space=nasbench210", "unknown search space 'nasbench210'; did you mean nasbench201 or nasbench101"),
    ("experiment=tabel1", "unknown experiment 'tabel1'; did you mean table1"),
    ("nn=3", "unknown option 'nn'; did you mean n?"),
    ("++nn=3", "unknown option 'nn'; did you mean n?"),
    ("batch_size=8", "did you mean proxy.batch_size"),
    ("proxy.layrs=cell", "unknown option 'proxy.layrs'; did you mean proxy.layers"),
    ("proxy.intrain.layrs=cell", "did you mean proxy.intrain.layers"),
    ("space.chanels=4", "did you mean space.channels"),
    ("proxy.layers=cel", "layers=cel will not do; it should be conv"),
    ("proxy=[intrain,snip] proxy.layers=cel proxy.input=gaussian", "intrain: layers=cel will not do"),
    ("proxy.batch_size=0", "intrain: batch_size=0 will not do; it should be at least 1"),
    ("n=abc", "n=abc will not do; it should be a whole number, or all or auto"),
    ("n=-1", "n=-1 will not do"),
    ("n=15626", "the space has 15625"),
    ("seed=x", "seed=x will not do"),
    ("device=gpu", "it should be auto, cpu or cuda"),
    ("results=/proc/no/such", "cannot write to /proc/no/such"),
    ("proxy=[", "cannot read 'proxy=[': write option=value"),
    ("proxy intrain", "cannot read 'proxy': write option=value"),
    ("=3", "cannot read '=3'"),
    ("proxy=[]", "no proxy is chosen"),
    ("~dataset", "no data set is chosen"),
    ("space=null", "no search space is chosen"),
    ("proxy=intrain,snip", "add -m for a run of each, or write 'proxy=[intrain,snip]'"),
    ("-m proxy=intrain,snipp", "unknown proxy 'snipp'; did you mean snip?"),
    ("-m proxy=[params],[zne]", "unknown proxy 'zne'; did you mean zen"),
    ("-m proxy.layers=conv,cel", "layers=cel will not do"),
    ("-m seed=0,x", "seed=x will not do"),
    ("-m seed=interval(0,1)", "does not support sweep type"),
    ("-m seed=range(0,1000000000)", "'seed=range(0,1000000000)' names more than 10000 runs"),
    ("-m seed=range(0,999) sample_seed=range(0,999)", "names more than 10000 runs"),
    ("-m seed=range(0,3,0)", "names more than 10000 runs"),
    ("-m seed=range(3,0)", "'seed=range(3,0)' names no value"),
    ("-m seed=0,1 proxy=params results=/proc/no/such", "cannot write /proc/no"),
    ("--co x", "--co could match"),
    ("experiment=null", "must be a string or a list"),
    (f"data={'x' * 300} sampling=stratified", "no data folder"),
    ("--foo", "unknown flag '--foo'"),
    ("--cfg jobs", "invalid choice: 'jobs'"),
    ("--config-name other", "--config-name is not offered"),
    ("--help proxy=foo", "unknown proxy 'foo'"),
    ("seed=${nothing}", "'nothing' not found"),
    ("proxy=snip", "or ask for Gaussian inputs with proxy.input=gaussian"),
    ("proxy=[snip,intrain] data=.", "no images of cifar10 at images/cifar10.npz"),
    ("proxy=snip data=/nowhere", "no data folder /nowhere"),
    ("-m proxy=intrain,snip", "reads images of cifar10"),
]


@pytest.mark.parametrize(("line", "said"), WRONG, ids=[line for line, _ in WRONG])
def test_a_mistake_is_one_line_and_writes_nothing(ask: Ask, tmp_path: Path, line: str, said: str) -> None:
    answer = ask(*shlex.split(line))
    assert answer.code == 2
    assert answer.err.startswith("error: ")
    assert answer.err.count("\n") == 1
    assert said in answer.err
    assert not answer.out
    assert not list(tmp_path.iterdir())


def test_changed_options_are_refused_in_an_old_folder(ask: Ask, tmp_path: Path) -> None:
    assert ask("run=mine", "n=1", *SMALL).code == 0
    before = digest(tmp_path / "results" / "mine")
    answer = ask("run=mine", "n=2", *SMALL, "proxy.layers=cell")
    assert answer.code == 2
    assert "intrain was made with layers=conv, now layers=cell" in answer.err
    assert answer.err.count("\n") == 1
    assert digest(tmp_path / "results" / "mine") == before


def test_images_are_read_where_they_are(ask: Ask, tmp_path: Path, noise_images: Path) -> None:
    command = ["proxy=snip", "n=2", "proxy.batch_size=4", *TINY]
    assert ask(*command, f"data={noise_images}", "run=images").code == 0
    assert ask(*command, "proxy.input=gaussian", "run=noise").code == 0
    images, noise = (read_scores(tmp_path / "results" / name) for name in ("images", "noise"))
    assert images["score"].max() > 0
    assert images["score"].max() != noise["score"].max()


def test_the_configuration_can_be_shown(ask: Ask, tmp_path: Path) -> None:
    answer = ask("--cfg", "job", "proxy=[zen]", "seed=7")
    assert answer.code == 0
    assert "seed: 7" in answer.out
    assert "repeats: 1" in answer.out
    assert not list(tmp_path.iterdir())


def test_help_fits_100_columns_and_names_the_choices(ask: Ask) -> None:
    answer = ask("--help")
    assert answer.code == 0
    assert max(map(len, answer.out.splitlines())) <= 100
    for text in ("intrain_cell", "cifar100", "nasbench201", "table3", "n=", "$NASBENCH_EVAL_DATA", "-m "):
        assert text in answer.out
    for example in re.findall(r"^  nasbench-score (.*)$", answer.out, re.MULTILINE):
        shown = ask("--cfg", "job", *(a for a in shlex.split(example) if a != "-m" and "," not in a))
        assert shown.code == 0, example


def test_the_version(ask: Ask) -> None:
    assert ask("--version").out == f"nasbench-score {__version__}\n"


class Session:
    """A run in a process of its own, in front of a terminal of its own."""

    def __init__(self, folder: Path) -> None:
        self.terminal, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
        options = ["workers=2", "device=cpu", "proxy=synflow", "n=all", "run=mine"]
        self.process = subprocess.Popen(
            [*COMMAND, *TINY[:2], *options], cwd=folder, stderr=theirs, start_new_session=True
        )
        os.close(theirs)
        self.shown = ""

    def read_until(self, pattern: str | None) -> None:
        """Read the terminal until something is shown, or to the end; not longer than a minute."""
        deadline = time.monotonic() + 60
        while pattern is None or not re.search(pattern, self.shown):
            assert select.select([self.terminal], [], [], deadline - time.monotonic())[0], self.shown
            try:
                self.shown += os.read(self.terminal, 4096).decode(errors="replace")
            except OSError:  # nobody is left to write
                return

    def workers(self) -> list[int]:
        """The processes that score: children of the server which the command has started."""
        servers = [c for c in children_of(self.process.pid) if "forkserver" in command_line(c)]
        return [worker for server in servers for worker in children_of(server)]

    def end(self) -> int:
        """Read on to the end; returns the exit code."""
        self.read_until(None)
        return self.process.wait(timeout=60)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """A run under way, its rate and the time left on show."""
    run = Session(tmp_path)
    try:
        run.read_until(r"[1-9]\d*/15625 \[[\d:]+<[\d:]+, +[\d.]+cell/s")
        yield run
    finally:
        run.process.kill()
        run.process.wait()
        os.close(run.terminal)


def children_of(pid: int) -> list[int]:
    return [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


def gone_soon(workers: list[int]) -> bool:
    deadline = time.monotonic() + 30
    while not all(map(gone, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return all(map(gone, workers))


def gone(pid: int) -> bool:
    """Whether a process has ended, if only as a zombie whose new parent has not looked yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@linux
def test_ctrl_c_stops_everything_in_one_line_and_keeps_the_rows(
    ask: Ask, tmp_path: Path, session: Session
) -> None:
    workers = session.workers()
    assert len(workers) == 2, session.shown
    os.killpg(session.process.pid, signal.SIGINT)
    assert session.end() == 130
    assert session.shown.splitlines()[-1] == "interrupted; the same command continues where it stopped"
    assert "Traceback" not in session.shown
    assert gone_soon(workers)

    kept = read_scores(tmp_path / "results" / "mine")
    assert 0 < len(kept) < 15625
    assert kept["index"].is_unique
    chosen = [*kept["index"].head(2), *sorted(set(range(15625)) - set(kept["index"]))[:2]]
    answer = ask(f"indices={chosen}".replace(" ", ""), *TINY, "proxy=synflow", "run=mine")
    assert "2 cells scored now" in answer.err
    scores = read_scores(tmp_path / "results" / "mine")
    assert scores["index"].is_unique
    assert len(scores) == len(kept) + 2


@linux
def test_no_worker_outlives_a_killed_parent_and_the_run_continues(
    ask: Ask, tmp_path: Path, session: Session
) -> None:
    workers = session.workers()
    assert len(workers) == 2, session.shown
    session.process.kill()
    session.end()
    assert gone_soon(workers)
    answer = ask("indices=[1,2]", *TINY, "proxy=synflow", "run=mine")
    assert answer.code == 0, answer.err
    assert read_scores(tmp_path / "results" / "mine")["index"].is_unique


def test_a_proxy_of_another_package_needs_no_file_here(tmp_path: Path) -> None:
    site = tmp_path / "site"
    information = site / "other_package-1.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: other-package\nVersion: 1\n")
    (information / "entry_points.txt").write_text(
        "[nasbench_eval.proxies]\nweighed = other_package:Weighed\n"
        "deaf = other_package:Deaf\nbroken = other_package:Absent\n"
    )
    (site / "other_package.py").write_text(
        "import signal\n"
        "from dataclasses import dataclass, replace\n"
        "from typing import ClassVar\n"
        "from nasbench_eval.proxies.params import Params\n"
        "@dataclass(frozen=True)\n"
        "class Weighed(Params):\n"
        "    info: ClassVar = replace(Params.info, name='weighed')\n"
        "    weight: float = 1.0\n"
        "    sides: tuple[int, ...] = (1, 2)\n"
        "    def score(self, records):\n"
        "        return {'score': self.weight * super().score(records)['score']}\n"
        "@dataclass(frozen=True)\n"
        "class Deaf(Params):\n"
        "    info: ClassVar = replace(Params.info, name='deaf')\n"
        "    def score(self, records):\n"
        "        blocked = signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])\n"
        "        return {'score': blocked + 2 * (signal.getsignal(signal.SIGINT) == signal.SIG_IGN)}\n"
    )

    options = ["proxy=[weighed,params,deaf]", "proxy.weight=2.5", "n=3", "run=mine", *TINY[:2], "device=cpu"]
    done = subprocess.run(
        [*COMMAND, *options, "workers=2"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(site), *sys.path])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    plain, weighed = (read_scores(tmp_path / "results" / "mine", proxy=p) for p in ("params", "weighed"))
    assert list(weighed["score"]) == [2.5 * score for score in plain["score"]]
    deaf = read_scores(tmp_path / "results" / "mine", proxy="deaf")
    assert list(deaf["score"]) == [3, 3, 3], "Ctrl-C is for the parent alone, from a worker's first moment on"


def test_the_recorded_command_names_no_folder_of_this_machine(ask: Ask, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    assert ask("proxy=params", "dataset=cifar10", "n=1", f"results={elsewhere}", f"data={tmp_path}").code == 0
    record = json.loads((scored(elsewhere) / "run.json").read_text())
    assert record["command"] == "nasbench-score proxy=params dataset=cifar10 n=1"


@pytest.mark.parametrize(
    "command",
    [
        "from nasbench_eval.cli import score as main; sys.argv = ['nasbench-score', '--help']",
        "from nasbench_eval.cli import score as main; sys.argv = ['nasbench-score', '--cfg', 'job']",
        "from nasbench_eval.report.cli import main; sys.argv = ['nasbench-report', '--help']",
        "from nasbench_eval.truth.cli import main; sys.argv = ['nasbench-data', 'data=.', '--check']",
    ],
)
def test_an_output_that_nobody_reads_ends_the_command_quietly(tmp_path: Path, command: str) -> None:
    """As in `nasbench-report RUN | head -1`."""
    reading, writing = os.pipe()
    os.close(reading)
    call = [sys.executable, "-c", f"import sys; {command}; sys.exit(main())"]
    done = subprocess.run(call, stdout=writing, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    os.close(writing)
    assert done.stderr == ""
    assert done.returncode in (0, 141)  # argparse passes over it
