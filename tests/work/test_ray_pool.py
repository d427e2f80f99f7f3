"""Workers on a Ray cluster, with a Ray of this file that loses workers as it is told to."""

from __future__ import annotations

import signal
import sys
from collections import Counter, deque
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from nasbench_eval.errors import UsageError
from nasbench_eval.runs.rows import Row, Task
from nasbench_eval.work import ray_pool
from nasbench_eval.work.pool import Item
from nasbench_eval.work.ray_pool import RayPool

TASKS = (Task("a", "p"), Task("a", "q"))


class Acts:
    """Gives a row a task, unless a cell's worker is lost, hangs, or cannot go on."""

    def __init__(self, **what: tuple[str, int]) -> None:
        self.what = {int(cell[1:]): acts for cell, acts in what.items()}
        self.times: Counter[int] = Counter()

    def __call__(self, index: int, tasks: Sequence[Task], text: str | None = None) -> list[Row]:
        self.times[index] += 1
        what, often = self.what.get(index, ("", 0))
        if self.times[index] <= often:
            if what == "usage":
                raise UsageError("the disk is full")
            if what in ("lost", "hang", "error"):
                kinds = {"lost": LostError, "hang": HangError, "error": ArithmeticError}
                raise kinds[what]("at length\n\x1b[36mits node is gone\x1b[39m\n")
            return [_row(index, task, "oom" if task == TASKS[1] else "ok") for task in tasks]
        return [_row(index, task, "ok") for task in tasks]

    def failure(
        self, index: int, tasks: Sequence[Task], status: str, error: str, seconds: float
    ) -> list[Row]:
        return [{"index": index, "label": task.label, "status": status, "error": error} for task in tasks]


def _row(index: int, task: Task, status: str) -> Row:
    return {"index": index, "dataset": task.dataset, "label": task.label, "status": status}


class There:
    """A scorer on a node: it has met no architecture that the search met since."""

    def __init__(self, scorer: Acts) -> None:
        self.scorer = scorer

    def __call__(self, *item: Any) -> list[Row]:
        return self.scorer(*item)

    def failure(self, *words: Any) -> list[Row]:
        if words[3].startswith("ArithmeticError"):  # what it has just been told of
            return self.scorer.failure(*words)
        raise IndexError("no such architecture")


class LostError(BaseException):
    """What the Ray of this file raises for a worker that is gone: nothing that the worker could catch."""


class HangError(BaseException):
    """Never seen: a call that does this is not done."""


class Reference:
    """A call that somebody may wait for."""

    def __init__(self, todo: Callable[[], Any]) -> None:
        self.todo = todo
        self.answer: tuple[str, Any] | None = None


class Ray:
    """As much of Ray as the pool uses; calls are done when they are waited for."""

    exceptions = SimpleNamespace(RayError=LostError)

    def __init__(self, *, room: int = 2, starts: bool = True) -> None:
        self.room, self.starts = room, starts
        self.killed, self.left = 0, False

    def remote(self, **needs: float) -> Callable[[type], Any]:
        self.needs = needs
        return lambda kind: SimpleNamespace(remote=lambda scorer: self._actor(kind(scorer)))

    def _actor(self, made: Any) -> Any:
        def call(method: Callable[..., Any]) -> Any:
            def ask(*arguments: Any) -> Any:
                return Reference(lambda: method(*arguments))

            return SimpleNamespace(remote=ask)

        return SimpleNamespace(begin=call(made.begin), score=call(made.score))

    def put(self, value: Any) -> Any:
        return There(value)

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": self.room, "GPU": 1.0}

    def wait(self, references: list[Any], *, num_returns: int = 1, timeout: float) -> tuple[list, list]:
        for reference in references:
            if reference.answer is None and self.starts:
                try:
                    reference.answer = ("value", reference.todo())
                except HangError:
                    continue
                except LostError as error:
                    reference.answer = ("error", error)
        done = [reference for reference in references if reference.answer is not None]
        return done[:num_returns], done[num_returns:]

    def get(self, reference: Any) -> Any:
        kind, value = reference.answer
        if kind == "error":
            raise value
        return value

    def kill(self, actor: Any) -> None:
        self.killed += 1

    def shutdown(self) -> None:
        self.left = True


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Ray:
    ray = Ray()
    monkeypatch.setattr(ray_pool, "_joined", lambda address: (ray, True))
    return ray


def scored(
    scorer: Acts, said: list[str], *, cells: int = 6, timeout: float | None = None, rows: int | None = None
) -> list[Row]:
    """The rows of a list of architectures, by a pool that is closed in the end."""
    pool = RayPool(scorer, None, timeout, said.append, "auto", 0.0)  # type: ignore[arg-type]
    todo = deque(Item(cell, TASKS) for cell in range(cells))
    found: list[Row] = []
    try:
        for _ in range(1000):
            if len(found) >= (rows or 2 * cells):
                return found
            for some in pool.round(todo):
                found += some
    finally:
        pool.close()
    raise AssertionError(f"nobody scores what is left: {todo}")


def test_all_is_scored_once_by_as_many_workers_as_there_are_cores(cluster: Ray) -> None:
    scorer, said = Acts(), []
    rows = scored(scorer, said)
    assert sorted((row["index"], row["label"]) for row in rows) == [(c, t) for c in range(6) for t in "pq"]
    assert (set(scorer.times.values()), said) == ({1}, [])
    assert (cluster.killed, cluster.left) == (2, True)
    assert cluster.needs == {"num_cpus": 1, "num_gpus": 0.0}


def test_what_a_lost_worker_was_at_is_begun_again(cluster: Ray) -> None:
    scorer, said = Acts(c3=("lost", 2)), []
    rows = scored(scorer, said)
    assert {row["status"] for row in rows} == {"ok"}
    assert scorer.times[3] == 3
    assert said == ["cell 3 lost its worker on the Ray cluster; it is begun again: its node is gone"] * 2


def test_what_costs_three_workers_has_failed(cluster: Ray) -> None:
    said: list[str] = []
    rows = scored(Acts(c3=("lost", 9)), said)
    assert [row["error"] for row in rows if row["status"] == "error"] == [
        "it lost its worker 3 times: its node is gone"
    ] * 2
    assert {row["index"] for row in rows if row["status"] == "ok"} == {0, 1, 2, 4, 5}


def test_what_memory_was_short_for_is_scored_again_alone(cluster: Ray) -> None:
    scorer, said = Acts(c1=("oom", 1)), []
    rows = scored(scorer, said, rows=12)
    assert {row["status"] for row in rows} == {"ok"}
    assert (len(rows), scorer.times[1]) == (12, 2)
    assert said == ["cell 1 ran out of memory; it is scored again, alone, when the others are done"]
    short = scored(Acts(c1=("oom", 9)), [], rows=12)
    assert [row["label"] for row in short if row["status"] == "oom"] == ["q"]


def test_an_error_of_ours_costs_no_worker(cluster: Ray) -> None:
    said: list[str] = []
    rows = scored(Acts(c2=("error", 9)), said)
    errors = {row["error"] for row in rows if row["status"] == "error"}
    assert errors == {"ArithmeticError: at length"}
    assert said == []


def test_a_cluster_is_joined_when_there_is_something_to_score(
    monkeypatch: pytest.MonkeyPatch, cluster: Ray
) -> None:
    RayPool(Acts(), None, None, print, "auto", 0.0).close()  # type: ignore[arg-type]
    assert not cluster.left
    cluster.room = 500
    scored(Acts(), [], cells=1)
    assert cluster.killed == 1
    monkeypatch.setattr(ray_pool, "_joined", lambda address: (Ray(), False))
    pool = RayPool(Acts(), None, None, print, "auto", 0.0)  # type: ignore[arg-type]
    list(pool.round(deque([Item(0, TASKS)])))
    pool.close()
    assert not pool._ray.left


@pytest.mark.parametrize("room", [1, 3])
def test_what_is_begun_again_alone_has_a_worker(cluster: Ray, room: int) -> None:
    """Also where the last worker is the one that was lost, and where others are idle."""
    cluster.room = room
    scorer, said = Acts(c0=("lost", 2)), []
    rows = scored(scorer, said, cells=1, rows=2)
    assert ({row["status"] for row in rows}, scorer.times[0]) == ({"ok"}, 3)
    held: list[int] = []
    pool = RayPool(Acts(c0=("oom", 1)), room, None, said.append, "auto", 0.0)  # type: ignore[arg-type]
    todo = deque(Item(cell, TASKS) for cell in range(4))
    found: list[Row] = []
    for _ in range(100):
        if len(found) < 8:
            for some in pool.round(todo):
                found += some
            held.append(len(pool._workers))
    assert len(found) == 8
    assert held[-1] == 1, "what is scored alone shares its memory with idle workers"


def test_what_takes_too_long_has_failed(cluster: Ray, monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(0, 10_000, 10))
    monkeypatch.setattr(ray_pool.time, "monotonic", lambda: float(next(now)))
    said: list[str] = []
    rows = scored(Acts(c3=("hang", 999)), said, timeout=100)
    assert {row["index"] for row in rows if row["status"] == "error"} == {3}
    assert "cell 3: TimeoutError: no result after 100 s; it was ended" in said


def test_what_stops_one_worker_stops_the_search(cluster: Ray) -> None:
    with pytest.raises(UsageError, match="the disk is full"):
        scored(Acts(c0=("usage", 1)), [])
    assert cluster.left


def test_workers_that_never_start_end_the_search(cluster: Ray, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(self: Any) -> None:
        raise LostError("no module named nasbench_eval")

    monkeypatch.setattr(ray_pool._Scoring, "begin", lost)
    with pytest.raises(UsageError, match="end as they start: no module named nasbench_eval"):
        scored(Acts(), [])


def test_a_full_cluster_is_told_of(cluster: Ray, monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(0, 10_000, 40))
    monkeypatch.setattr(ray_pool.time, "monotonic", lambda: float(next(now)))
    cluster.starts = False
    said: list[str] = []
    pool = RayPool(Acts(), 3, None, said.append, "auto", 0.0)  # type: ignore[arg-type]
    for _ in range(3):
        assert list(pool.round(deque([Item(0, TASKS)]))) == [[]]
    assert said[0] == "the Ray cluster has no room yet for any of 3 workers; waiting (Ctrl-C ends it)"


def test_the_command_is_ended_as_without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray puts a handler of its own in the place of the command's."""
    module: Any = SimpleNamespace(is_initialized=lambda: False)
    module.init = lambda **options: signal.signal(signal.SIGTERM, signal.SIG_IGN)
    monkeypatch.setitem(sys.modules, "ray", module)
    before = signal.getsignal(signal.SIGTERM)
    assert ray_pool._joined("auto") == (module, True)
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize(("gpus", "expected"), [(0.0, 2), (0.25, 2), (1.0, 1)])
def test_workers_share_gpus(cluster: Ray, gpus: float, expected: int) -> None:
    pool = RayPool(Acts(), None, None, print, "auto", gpus)  # type: ignore[arg-type]
    list(pool.round(deque([Item(0, TASKS)])))
    assert pool.limit == expected
    assert cluster.needs["num_gpus"] == gpus
