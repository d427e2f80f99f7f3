"""Workers on a Ray cluster: actors on its nodes, in place of processes of this machine.

A node that is lost costs what its workers were at; others take that over.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from nasbench_eval.errors import UsageError
from nasbench_eval.runs.rows import Row
from nasbench_eval.wording import counted, first_line
from nasbench_eval.work.pool import Item, Scores

# Seconds after which no rows are told of if there are none.
_LOOK = 5.0
# How many workers an architecture may cost.
_ATTEMPTS = 3
# Seconds without a worker after which it is told that there is none.
_PATIENCE = 60.0


class _Scoring:
    """What a worker does, on a node of the cluster."""

    def __init__(self, scorer: Scores) -> None:
        self.scorer = scorer

    def begin(self) -> None:
        """Tells that it is there."""

    def score(self, item: Item) -> list[Row] | UsageError:
        """The rows of an architecture."""
        try:
            return self.scorer(*item)
        except UsageError as error:
            return UsageError(str(error))


@dataclass(eq=False)
class _Worker:
    """An actor, what it owes if anything, and what that is about, since a time of `time.monotonic`."""

    actor: Any
    owes: Any
    item: Item | None = None
    since: float = 0.0


class RayPool:
    """Scores architectures on a Ray cluster; the same to its callers as `Pool`.

    Args:
        scorer: what each worker does.
        workers: how many; None for one a core of the cluster, or one a share of its GPUs.
        timeout: seconds that an architecture may take; None for any.
        warn: told what happened to a worker, a line each.
        address: of the cluster, as `ray.init` takes it: `auto` for the one of this machine.
        gpus: of them, how many a worker takes; a fraction has several share one.

    Attributes:
        limit: how many workers there are to be.
        replaced: how many were lost or ended.

    Raises:
        UsageError: if Ray is not installed, or there is no such cluster.
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
        self.timeout, self.warn, self.replaced = timeout, warn, 0
        self._ray = _joined(address)
        self._make = self._ray.remote(num_cpus=1, num_gpus=gpus)(_Scoring)
        self._scorer = self._ray.put(scorer)
        self.limit = workers or _room(self._ray, gpus)
        self._workers: list[_Worker] = []
        self._attempts: Counter[Item] = Counter()
        self._in_a_row = 0
        self._alone_since: float | None = time.monotonic()

    def round(self, todo: deque[Item]) -> Generator[list[Row], None, None]:
        """Hand out work, which may grow between rounds, and wait a while for the first rows."""
        while len(self._workers) < self.limit:
            actor = self._make.remote(self._scorer)
            self._workers.append(_Worker(actor, actor.begin.remote()))
        for worker in self._workers:
            if todo and worker.owes is None:
                worker.item, worker.since = todo.popleft(), time.monotonic()
                worker.owes = worker.actor.score.remote(worker.item)
        ready = self._ready()
        for worker in ready:
            yield from self._taken(worker, todo)
        if not ready:
            self._note_nobody()
            yield []

    def close(self) -> None:
        """End the workers, and leave the cluster."""
        for worker in self._workers:
            self._ray.kill(worker.actor)
        self._workers.clear()
        self._ray.shutdown()

    def _ready(self) -> list[_Worker]:
        """Workers that did something, or are lost, or took too long; waits a while for the first."""
        owing = {worker.owes: worker for worker in self._workers if worker.owes is not None}
        if not owing:
            return []
        done, _ = self._ray.wait(list(owing), num_returns=1, timeout=_LOOK)
        late = [worker for worker in owing.values() if worker.owes not in done and self._late(worker)]
        return [owing[reference] for reference in done] + late

    def _late(self, worker: _Worker) -> bool:
        asked = worker.item is not None and self.timeout is not None
        return asked and time.monotonic() - worker.since > (self.timeout or 0.0)

    def _taken(self, worker: _Worker, todo: deque[Item]) -> Generator[list[Row], None, None]:
        """What a worker brought, or what its end means for what it was at."""
        item = worker.item
        if item is not None and self._late(worker) and not self._ray.wait([worker.owes], timeout=0)[0]:
            self._lose(worker)
            yield self._failed(
                item, worker, f"TimeoutError: no result after {self.timeout:g} s; it was ended"
            )
            return
        try:
            answer = self._ray.get(worker.owes)
        except self._ray.exceptions.RayError as error:
            self._lose(worker)
            yield from self._lost(worker, first_line(error), todo)
            return
        worker.owes = worker.item = None
        self._in_a_row, self._alone_since = 0, None
        if isinstance(answer, UsageError):
            raise answer
        if item is not None and answer:
            yield answer

    def _lose(self, worker: _Worker) -> None:
        self.replaced += 1
        self._workers.remove(worker)
        self._ray.kill(worker.actor)
        if not any(other.owes is None or other.item for other in self._workers):
            self._alone_since = time.monotonic()

    def _lost(self, worker: _Worker, why: str, todo: deque[Item]) -> Generator[list[Row], None, None]:
        """An architecture whose worker is gone is begun again elsewhere, but not for ever."""
        self._in_a_row += 1
        if self._in_a_row > 2 * self.limit + _ATTEMPTS:
            raise UsageError(f"workers on the Ray cluster end as they start: {why}")
        if worker.item is None:
            return
        self._attempts[worker.item] += 1
        if self._attempts[worker.item] < _ATTEMPTS:
            self.warn(f"cell {worker.item.cell} lost its worker on the Ray cluster; it is begun again: {why}")
            todo.appendleft(worker.item)
        else:
            yield self._failed(worker.item, worker, f"it lost its worker {_ATTEMPTS} times: {why}")

    def _failed(self, item: Item, worker: _Worker, error: str) -> list[Row]:
        self.warn(f"cell {item.cell}: {error}")
        scorer: Scores = self._ray.get(self._scorer)
        seconds = time.monotonic() - worker.since
        return scorer.failure(item.cell, item.tasks, "error", error, seconds)

    def _note_nobody(self) -> None:
        """Say so if the cluster has had no room for a worker for long."""
        if self._alone_since is not None and time.monotonic() - self._alone_since > _PATIENCE:
            self._alone_since = time.monotonic()
            workers = counted(self.limit, "worker")
            self.warn(f"the Ray cluster has no room yet for any of {workers}; waiting (Ctrl-C ends it)")


def _joined(address: str) -> Any:
    """Ray, joined to a cluster.  Raises UsageError."""
    try:
        import ray
    except ImportError as error:
        raise UsageError("ray= needs Ray: pip install 'nasbench_eval[ray]' here and on every node") from error
    if ray.is_initialized():
        return ray
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise UsageError(
            f"ray={address}: there is no such cluster ({first_line(error)}); `ray start --head` starts one"
        ) from error
    return ray


def _room(ray: Any, gpus: float) -> int:
    """How many workers the cluster has room for now."""
    there = ray.cluster_resources()
    room = int(there.get("CPU", 0))
    if gpus:
        room = min(room, int(there.get("GPU", 0) / gpus))
    return max(room, 1)
