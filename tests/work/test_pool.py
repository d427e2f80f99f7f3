"""What happens to worker processes costs no more than what they were at, and no score."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from nasbench_eval.errors import UsageError
from nasbench_eval.runs.rows import Row, Task
from nasbench_eval.work.pool import Item, Pool

TASKS = (Task("a", "p"), Task("a", "q"))


@dataclass(frozen=True)
class Acts:
    """Gives a row a task, but for the cells that something happens to: `what` happens as often as it says.

    `folder` counts how often a cell was begun, and holds a file while a cell is at work.
    """

    folder: Path
    what: dict[int, tuple[str, int]]

    def __call__(self, cell: int, tasks: Sequence[Task], text: str | None = None) -> list[Row]:
        mark = self.folder / f"busy-{cell}"
        company = len(list(self.folder.glob("busy-*")))
        mark.touch()
        attempts = self.folder / f"attempts-{cell}"
        times = int(attempts.read_text()) if attempts.exists() else 0
        attempts.write_text(str(times + 1))
        what, often = self.what.get(cell, ("", 0))
        if times < often:
            if what in ("KILL", "SEGV"):
                mark.unlink()
                os.kill(os.getpid(), getattr(signal, f"SIG{what}"))
            if what == "server":
                mark.unlink()
                os.kill(os.getppid(), signal.SIGKILL)
                os.kill(os.getpid(), signal.SIGKILL)
            if what == "exit":
                mark.unlink()
                os._exit(3)
            if what == "hang":
                mark.unlink()
                time.sleep(600)
            if what == "usage":
                raise UsageError("the disk is full")
        time.sleep(0.02)
        mark.unlink(missing_ok=True)
        short = what == "oom" and times < often
        return [
            {
                "dataset": d,
                "label": label,
                "index": cell,
                "status": "oom" if short and label == "q" else "ok",
                "company": company,
            }
            for d, label in tasks
        ]

    def instant(self, cell: int, tasks: Sequence[Task]) -> bool:
        return False

    def failure(self, cell: int, tasks: Sequence[Task], status: str, error: str, seconds: float) -> list[Row]:
        return [
            {
                "dataset": d,
                "label": label,
                "index": cell,
                "status": status,
                "error": error,
                "seconds": seconds,
            }
            for d, label in tasks
        ]


@dataclass
class Outcome:
    rows: dict[tuple[int, str], Row]
    warned: list[str]
    pool: Pool
    order: list[int]


def results(
    folder: Path, what: dict[int, tuple[str, int]], cells: int = 8, workers: int = 2, timeout: float = 60
) -> Outcome:
    warned: list[str] = []
    pool = Pool(Acts(folder, what), workers, timeout, warned.append)
    outcome = Outcome({}, warned, pool, [])
    for rows in pool.results([Item(cell, TASKS) for cell in range(cells)]):
        for row in rows:
            key = (row["index"], row["label"])
            assert key not in outcome.rows, "no row comes twice"
            outcome.rows[key] = row
        outcome.order += [row["index"] for row in rows]
    assert outcome.rows.keys() == {(cell, label) for cell in range(cells) for _, label in TASKS}
    assert not multiprocessing.active_children()
    return outcome


def statuses(outcome: Outcome) -> dict[int, set[str]]:
    """What became of the cells whose rows are not all `ok`."""
    found: dict[int, set[str]] = {}
    for (cell, _), row in outcome.rows.items():
        found.setdefault(cell, set()).add(row["status"])
    return {cell: some for cell, some in found.items() if some != {"ok"}}


def test_every_cell_is_done_once(tmp_path: Path) -> None:
    outcome = results(tmp_path, {}, cells=20, workers=3)
    assert statuses(outcome) == {}
    assert outcome.pool.replaced == 0
    assert {file.read_text() for file in tmp_path.glob("attempts-*")} == {"1"}


@pytest.mark.parametrize(("what", "said"), [("SEGV", "was killed by SIGSEGV"), ("exit", "ended with code 3")])
def test_a_worker_that_dies_costs_its_cell_and_is_replaced(tmp_path: Path, what: str, said: str) -> None:
    outcome = results(tmp_path, {3: (what, 9)})
    assert statuses(outcome) == {3: {"error"}}
    assert outcome.rows[3, "p"]["error"] == f"its worker process {said}"
    assert outcome.pool.replaced == 1
    assert outcome.warned == [f"cell 3: its worker process {said}"]


def test_a_worker_that_hangs_is_ended_and_its_cell_recorded(tmp_path: Path) -> None:
    started = time.monotonic()
    outcome = results(tmp_path, {2: ("hang", 9)}, timeout=1.5)
    assert time.monotonic() - started < 30
    assert statuses(outcome) == {2: {"error"}}
    assert outcome.rows[2, "q"]["error"] == "TimeoutError: no result after 1.5 s, and its process was ended"
    assert outcome.rows[2, "q"]["seconds"] >= 1.5


@pytest.mark.parametrize("what", ["oom", "KILL", "server"])
def test_memory_that_ran_short_is_tried_again_alone(tmp_path: Path, what: str) -> None:
    outcome = results(tmp_path, {0: (what, 1)}, cells=12, workers=3)
    assert statuses(outcome) == {}
    assert outcome.order[-1] == 0, "when the others are done"
    assert outcome.rows[0, "q"]["company"] == 0
    assert "scored again, alone" in outcome.warned[0]
    assert (tmp_path / "attempts-0").read_text() == "2"


def test_rows_that_memory_was_enough_for_are_kept(tmp_path: Path) -> None:
    outcome = results(tmp_path, {5: ("oom", 1)}, workers=2)
    assert outcome.order.index(5) < len(outcome.order) - 1
    assert outcome.order.count(5) == 2


@pytest.mark.parametrize(("what", "attempts"), [("oom", 2), ("KILL", 3)])
@pytest.mark.parametrize("workers", [1, 2])
def test_what_lacks_memory_alone_is_recorded(tmp_path: Path, what: str, attempts: int, workers: int) -> None:
    outcome = results(tmp_path, {4: (what, 9)}, workers=workers)
    assert statuses(outcome) == {4: {"oom"} if what == "KILL" else {"ok", "oom"}}
    assert (tmp_path / "attempts-4").read_text() == str(attempts - (workers == 1))


def test_repeated_shortage_takes_a_worker_away(tmp_path: Path) -> None:
    outcome = results(tmp_path, dict.fromkeys(range(4), ("oom", 1)), cells=16, workers=3)
    assert statuses(outcome) == {}
    assert "memory was short 3 times; from here on with 2 at once" in outcome.warned


def test_what_no_worker_could_do_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the disk is full"):
        results(tmp_path, {1: ("usage", 9)})
    assert not multiprocessing.active_children()


@dataclass(frozen=True)
class NeverBegins(Acts):
    def __reduce__(self) -> tuple[object, tuple[int]]:
        return os._exit, (7,)


def test_workers_that_end_as_they_start_end_the_run(tmp_path: Path) -> None:
    pool = Pool(NeverBegins(tmp_path, {}), 2, 60, print)
    with pytest.raises(UsageError, match=r"end as they start \(ended with code 7\); workers=0"):
        list(pool.results([Item(0, TASKS)]))


def test_an_early_close_ends_the_processes(tmp_path: Path) -> None:
    pool = Pool(Acts(tmp_path, dict.fromkeys(range(1, 9), ("hang", 9))), 2, None, print)
    with closing(pool.results([Item(cell, TASKS) for cell in range(9)])) as rows:
        next(iter(_with_content(rows)))
        began = time.monotonic()
    assert time.monotonic() - began < 2
    assert not multiprocessing.active_children()


def _with_content(rows: Iterator[list[Row]]) -> Iterator[list[Row]]:
    return (some for some in rows if some)
