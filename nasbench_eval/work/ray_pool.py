"""Workers on a Ray cluster: actors on its nodes, in place of processes of this machine.

A node that is lost costs what its workers were at; others take that over.
"""

from __future__ import annotations

import re
import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from nasbench_eval.errors import UsageError
from nasbench_eval.runs.rows import Row, Task
from nasbench_eval.wording import counted, first_line, printable
from nasbench_eval.work.pool import Item, Scores

# Seconds after which no rows are told of if there are none.
_LOOK = 5.0
# How many workers an architecture may cost.
_ATTEMPTS = 3
# Seconds without a worker after which it is told that there is none.
_PATIENCE = 60.0
_COLOURS = re.compile(r"\x1b\[[\d;]*m")


class _Scoring:
    """What a worker does, on a node of the cluster."""

    def __init__(self, scorer: Scores) -> None:
        self.scorer = scorer

    def begin(self) -> None:
        """Tells that it is there."""

    def score(self, item: Item) -> list[Row] | UsageError:
        """The rows of an architecture."""
        start = time.monotonic()
        try:
            return self.scorer(*item)
        except UsageError as error:
            return UsageError(str(error))
        except Exception as error:  # an error of ours costs no worker
            text = f"{type(error).__name__}: {first_line(error)}"
            return self.scorer.failure(item.cell, item.tasks, "error", text, time.monotonic() - start)


@dataclass(eq=False)
class _Worker:
    """An actor, what it owes if anything, and what that is about, since a time of `time.monotonic`."""

    actor: Any
    owes: Any
    item: Item | None = None
    since: float = 0.0


class RayPool:
    """Scores architectures on a Ray cluster, which it joins when there is something to score.

    What memory was short for is scored again alone, as `Pool` does, and so is what has cost two workers.

    Args:
        scorer: what each worker does.
        workers: how many at most; None for one a core of the cluster, or one a share of its GPUs.
        timeout: seconds that an architecture may take; None for any.
        warn: told what happened to a worker, a line each.
        address: of the cluster, as `ray.init` takes it: `auto` for the one of this machine.
        gpus: of them, how many a worker takes; a fraction has several share one.

    Attributes:
        limit: how many workers there may be; 0 until the cluster is joined.
        replaced: how many were lost or ended.
    """

    def __init__(
        self,
        scorer: Scores,
        workers: int | None,
        timeout: float | None,
        warn: Callable[[str], None],
        address: str,
        gpus: float,
    ) -> None:
        self.scorer, self.timeout, self.warn = scorer, timeout, warn
        self.address, self.gpus, self.limit, self.replaced = address, gpus, 0, 0
        self._asked, self._ours = workers, False
        self._ray: Any = None
        self._workers: list[_Worker] = []
        self._attempts: Counter[Item] = Counter()
        self._apart: deque[Item] = deque()  # what is to be scored alone
        self._alone: Item | None = None
        self._in_a_row = 0
        self._nobody_since: float | None = None

    def round(self, todo: deque[Item]) -> Generator[list[Row], None, None]:
        """Hand out work, which may grow between rounds, and wait a while for the first rows.

        Raises:
            UsageError: if Ray is not installed, there is no such cluster, or its workers end as they start.
        """
        if self._ray is None:
            self._join()
        self._give(todo)
        ready = self._ready()
        for worker in ready:
            yield from self._taken(worker, todo)
        if not ready:
            self._note_nobody()
            yield []

    def close(self) -> None:
        """End the workers, and leave the cluster if it was joined here."""
        for worker in list(self._workers):
            self._end(worker)
        if self._ours:
            self._ray.shutdown()

    def _join(self) -> None:
        self._ray, self._ours = _joined(self.address)
        self._make = self._ray.remote(num_cpus=1, num_gpus=self.gpus)(_Scoring)
        self._there = self._ray.put(self.scorer)
        self.limit = self._asked or _room(self._ray, self.gpus)
        self._nobody_since = time.monotonic()

    def _busy(self) -> int:
        return sum(worker.item is not None for worker in self._workers)

    def _give(self, todo: deque[Item]) -> None:
        """Hand out work to idle workers, of which there are as many as find work; alone what has to be."""
        if self._alone is None and self._apart and not todo and not self._busy():
            self._alone = self._apart.popleft()
            todo.appendleft(self._alone)
        most = self.limit if self._alone is None else 1
        idle = [worker for worker in self._workers if worker.item is None]
        while len(self._workers) > most and idle:  # what these hold on to may be what another lacks
            self._end(idle.pop())
        while len(self._workers) < min(most, self._busy() + len(todo)):
            actor = self._make.remote(self._there)
            self._workers.append(_Worker(actor, actor.begin.remote()))
        for worker in self._workers:
            if todo and worker.owes is None:
                worker.item, worker.since = todo.popleft(), time.monotonic()
                worker.owes = worker.actor.score.remote(worker.item)

    def _ready(self) -> list[_Worker]:
        """Workers that did something, or are lost, or took too long; waits a while for the first."""
        owing = {worker.owes: worker for worker in self._workers if worker.owes is not None}
        if not owing:
            return []
        self._ray.wait(list(owing), num_returns=1, timeout=_LOOK)
        done, _ = self._ray.wait(list(owing), num_returns=len(owing), timeout=0)  # it gives the first alone
        late = [worker for worker in owing.values() if worker.owes not in done and self._late(worker)]
        return [owing[reference] for reference in done] + late

    def _late(self, worker: _Worker) -> bool:
        asked = worker.item is not None and self.timeout is not None
        return asked and time.monotonic() - worker.since > (self.timeout or 0.0)

    def _taken(self, worker: _Worker, todo: deque[Item]) -> Generator[list[Row], None, None]:
        """What a worker brought, or what its end means for what it was at."""
        item = worker.item
        if item is not None and not self._ray.wait([worker.owes], timeout=0)[0]:  # it is late
            self._lose(worker)
            yield self._failed(
                item, worker, f"TimeoutError: no result after {self.timeout:g} s; it was ended"
            )
            return
        try:
            answer = self._ray.get(worker.owes)
        except self._ray.exceptions.RayError as error:
            self._lose(worker)
            yield from self._lost(worker, _reason(error), todo)
            return
        worker.owes = worker.item = None
        self._in_a_row, self._nobody_since = 0, None
        if isinstance(answer, UsageError):
            raise answer
        if item is not None:
            yield self._kept(item, answer)

    def _kept(self, item: Item, rows: list[Row]) -> list[Row]:
        """Rows that are final; what memory was short for beside others is done again alone."""
        alone, self._alone = item == self._alone, None if item == self._alone else self._alone
        short = {Task(row["dataset"], row["label"]) for row in rows if row["status"] == "oom"}
        if not short or alone:
            return rows
        self._apart.append(item._replace(tasks=tuple(task for task in item.tasks if task in short)))
        self.warn(f"cell {item.cell} ran out of memory; it is scored again, alone, when the others are done")
        return [row for row in rows if row["status"] != "oom"]

    def _end(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        with suppress(Exception):  # whatever has become of it
            self._ray.kill(worker.actor)

    def _lose(self, worker: _Worker) -> None:
        self.replaced += 1
        self._end(worker)
        if worker.item is not None and worker.item == self._alone:
            self._alone = None
        if not any(other.owes is None or other.item for other in self._workers):
            self._nobody_since = time.monotonic()

    def _lost(self, worker: _Worker, why: str, todo: deque[Item]) -> Generator[list[Row], None, None]:
        """An architecture whose worker is gone is begun again, at last alone, but not for ever."""
        self._in_a_row += 1
        if self._in_a_row > 2 * self.limit + _ATTEMPTS:
            raise UsageError(f"workers on the Ray cluster end as they start: {why}")
        if (item := worker.item) is None:
            return
        self._attempts[item] += 1
        if self._attempts[item] == _ATTEMPTS:
            yield self._failed(item, worker, f"it lost its worker {_ATTEMPTS} times: {why}")
            return
        self.warn(f"cell {item.cell} lost its worker on the Ray cluster; it is begun again: {why}")
        if self._attempts[item] == _ATTEMPTS - 1:
            self._apart.append(item)
        else:
            todo.appendleft(item)

    def _failed(self, item: Item, worker: _Worker, error: str) -> list[Row]:
        self.warn(f"cell {item.cell}: {error}")
        return self.scorer.failure(item.cell, item.tasks, "error", error, time.monotonic() - worker.since)

    def _note_nobody(self) -> None:
        """Say so if the cluster has had no room for a worker for long."""
        if self._nobody_since is not None and time.monotonic() - self._nobody_since > _PATIENCE:
            self._nobody_since = time.monotonic()
            workers = counted(self.limit, "worker")
            self.warn(f"the Ray cluster has no room yet for any of {workers}; waiting (Ctrl-C ends it)")


def _joined(address: str) -> tuple[Any, bool]:
    """Ray, joined to a cluster, and whether that was done here.  Raises UsageError."""
    try:
        import ray
    except ImportError as error:
        raise UsageError("ray= needs Ray: pip install 'nasbench_eval[ray]' here and on every node") from error
    if ray.is_initialized():
        return ray, False
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise UsageError(
            f"ray={address}: there is no such cluster ({first_line(error)}); `ray start --head` starts one"
        ) from error
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)  # Ray has put its own in its place
    return ray, True


def _room(ray: Any, gpus: float) -> int:
    """How many workers the cluster has room for now."""
    there = ray.cluster_resources()
    room = int(there.get("CPU", 0))
    if gpus:
        room = min(room, int(there.get("GPU", 0) / gpus))
    return max(room, 1)


def _reason(error: BaseException) -> str:
    """Why a worker was lost: Ray tells it at length, and the end of it last."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return printable(_COLOURS.sub("", lines[-1] if lines else type(error).__name__))
