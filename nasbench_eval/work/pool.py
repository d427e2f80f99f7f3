"""Worker processes, watched: one that dies or hangs costs what it was at, and is replaced.

Memory that runs short costs no score either: what failed for want of it is done again, alone, once everything
else is done.  Only what fails alone as well is recorded.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import NamedTuple, Protocol

from tqdm import tqdm

from nasbench_eval.errors import UsageError
from nasbench_eval.runs.rows import Row, Task
from nasbench_eval.work import processes

# Seconds after which no rows are told of if there are none.
_LOOK = 5.0
# How often a cell is begun alone before its worker's death is put down to it: something else may have been
# the cause of one.
_ATTEMPTS_ALONE = 2
# Shortages of memory after which there is one worker less for the rest of the run.
_SHORTAGES = 3
# What multiprocessing gives for the end of a worker whose server is gone: it may have been memory.
_UNKNOWN = 255
# Workers that may end in a row before they have begun.
_FALSE_STARTS = 3


class Item(NamedTuple):
    """An architecture to score, by its index, and the scores it lacks.

    Its text goes along where a process that was started before it was met could not know it.
    """

    cell: int
    tasks: tuple[Task, ...]
    text: str | None = None


class Scores(Protocol):
    """What a worker does.  It is pickled, and makes what it needs anew in the process that unpickles it."""

    def __call__(self, index: int, tasks: Sequence[Task], text: str | None = None) -> list[Row]:
        """The rows of an architecture; those that memory was short for have the status `oom`.

        Args:
            index: the architecture's.
            tasks: the rows that are asked for.
            text: its text, if an open space may not know it yet.

        Raises:
            UsageError: if no other architecture could be scored either.
        """
        ...

    def failure(
        self, index: int, tasks: Sequence[Task], status: str, error: str, seconds: float
    ) -> list[Row]:
        """The rows of an architecture whose process brought none."""
        ...

    def instant(self, index: int, tasks: tuple[Task, ...]) -> bool:
        """Whether the rows of an architecture are had in less time than it takes to ask a worker for them."""
        ...


class Workers(Protocol):
    """Has architectures scored by workers, wherever these are."""

    def round(self, todo: deque[Item]) -> Generator[list[Row], None, None]:
        """Hand out work, which may grow between rounds, and wait a while for the first rows.

        Raises:
            UsageError: if no worker can be had, or one of them raises it.
        """
        ...

    def close(self) -> None:
        """End the workers; what they are at is not waited for."""
        ...


@dataclass(eq=False)
class _Worker:
    """A process and what it is at, since a time of `time.monotonic`."""

    process: BaseProcess
    connection: Connection
    item: Item | None = None
    since: float = 0.0
    begun: bool = False


class At(NamedTuple):
    """What a worker is at: the architecture's index, and for how long."""

    pid: int
    cell: int
    seconds: float


class Pool:
    """Scores architectures in processes of its own.

    Args:
        scorer: what each process does.
        workers: how many at most.
        timeout: seconds that an architecture may take, the start of its process included; None for any.
        warn: told what happened to a worker, a line each.

    Attributes:
        limit: how many workers there may be now.
        replaced: how many died or were ended.
    """

    def __init__(
        self, scorer: Scores, workers: int, timeout: float | None, warn: Callable[[str], None]
    ) -> None:
        self.scorer, self.timeout, self.warn = scorer, timeout, warn
        self.limit, self.replaced = workers, 0
        self._workers: list[_Worker] = []
        self._short: dict[Item, int] = {}  # what memory was short for, and how often it was begun alone
        self._shortages = self._false_starts = 0
        self._alone = workers == 1
        processes.prepare(type(scorer).__module__)

    def results(self, work: Iterable[Item]) -> Generator[list[Row], None, None]:
        """Rows as they are done, in any order; closing the generator ends the processes at once.

        An architecture may come in several parts; and none at all while there is nothing to tell.

        Raises:
            UsageError: if the workers end as soon as they start, or one of them raises it.
        """
        todo = deque(work)
        try:
            while self.busy(todo):
                yield from self.round(todo)
        finally:
            self.close()

    def busy(self, todo: deque[Item]) -> bool:
        """Whether anything is left to do or under way."""
        return bool(todo or self.at() or self._short)

    def round(self, todo: deque[Item]) -> Generator[list[Row], None, None]:
        """Hand out work, which may grow between rounds, and wait a while for the first rows."""
        if not todo and not self.at():  # nothing is left but what memory was short for
            self._alone, self.limit = True, 1
            todo.extend(self._short)
        self._give(todo)
        ready = self._ready()
        for worker in ready:
            yield from self._taken(worker, todo)
        if not ready:
            yield []

    def close(self) -> None:
        """End the processes."""
        self._end(list(self._workers))

    def at(self) -> list[At]:
        """What the workers are at."""
        now = time.monotonic()
        return [At(w.process.pid or 0, w.item.cell, now - w.since) for w in self._workers if w.item]

    def _give(self, todo: deque[Item]) -> None:
        """Hand out work to idle workers, new ones among them; end those above the limit."""
        idle = [worker for worker in self._workers if worker.item is None]
        while len(self._workers) > self.limit and idle:
            self._end([idle.pop()])
        while todo and (idle or len(self._workers) < self.limit):
            worker = idle.pop() if idle else self._started()
            worker.item, worker.since = todo.popleft(), time.monotonic()
            with suppress(OSError):  # it has died: this is seen where its result is asked for
                worker.connection.send(worker.item)

    def _ready(self) -> list[_Worker]:
        """Workers that have done something, or died, or taken too long; waits for the first, or a while."""
        busy = [worker for worker in self._workers if worker.item]
        left = _LOOK
        if self.timeout is not None:
            first = min(worker.since for worker in busy)
            left = min(max(first + self.timeout - time.monotonic(), 0.0), _LOOK)
        heard = wait([worker.connection for worker in busy], left)
        return [worker for worker in busy if worker.connection in heard or self._late(worker)]

    def _late(self, worker: _Worker) -> bool:
        return self.timeout is not None and time.monotonic() - worker.since > self.timeout

    def _taken(self, worker: _Worker, todo: deque[Item]) -> Generator[list[Row], None, None]:
        """What a worker brought, or what its end means for what it was at."""
        item, seconds = worker.item, time.monotonic() - worker.since
        assert item is not None
        if not worker.connection.poll():  # it is late
            self._replace(worker)
            text = f"TimeoutError: no result after {self.timeout:g} s, and its process was ended"
            yield self._failed(item, "error", text, seconds)
            return
        try:
            rows = worker.connection.recv()
        except (EOFError, OSError):
            yield from self._died(worker, item, seconds, todo)
            return
        if rows is None:  # it has begun
            worker.begun, self._false_starts = True, 0
            return
        if isinstance(rows, UsageError):
            raise rows
        worker.item = None
        short = [row for row in rows if row["status"] == "oom"]
        if short and not self._alone:
            self._replace(worker)  # what it holds on to may be what the others lack
            lacking = {Task(row["dataset"], row["label"]) for row in short}
            again = item._replace(tasks=tuple(sorted(lacking, key=item.tasks.index)))
            self._short[again] = 0
            self._note_shortage(again, "ran out of memory")
            rows = [row for row in rows if row["status"] != "oom"]
        else:
            self._short.pop(item, None)
        if rows:
            yield rows

    def _died(
        self, worker: _Worker, item: Item, seconds: float, todo: deque[Item]
    ) -> Generator[list[Row], None, None]:
        self._replace(worker)
        how = _end_of(worker.process)
        if not worker.begun:
            self._false_starts += 1
            if self._false_starts >= _FALSE_STARTS:
                raise UsageError(
                    f"worker processes end as they start ({how}); workers=0 scores without any, in the "
                    "command's own process"
                )
            todo.appendleft(item)
        elif worker.process.exitcode not in (-signal.SIGKILL, _UNKNOWN):
            yield self._failed(item, "error", f"its worker process {how}", seconds)
        elif not self._alone:
            self._short[item] = 0
            self._note_shortage(item, f"lost its worker ({how}, as for want of memory)")
        else:
            attempts = self._short.get(item, 0) + 1
            if attempts < _ATTEMPTS_ALONE:
                self._short[item] = attempts
                self.warn(f"cell {item.cell} lost its worker ({how}); it is begun once more")
            else:
                yield self._failed(item, "oom", f"its worker process {how} for want of memory", seconds)

    def _failed(self, item: Item, status: str, error: str, seconds: float) -> list[Row]:
        self._short.pop(item, None)
        self.warn(f"cell {item.cell}: {error}")
        return self.scorer.failure(item.cell, item.tasks, status, error, seconds)

    def _note_shortage(self, item: Item, what: str) -> None:
        self._shortages += 1
        self.warn(f"cell {item.cell} {what}; it is scored again, alone, when the others are done")
        if self._shortages % _SHORTAGES == 0 and self.limit > 1:
            self.limit -= 1
            self.warn(f"memory was short {self._shortages} times; from here on with {self.limit} at once")

    def _started(self) -> _Worker:
        ours, theirs = multiprocessing.Pipe()
        process = processes.start(_serve, self.scorer, theirs)
        theirs.close()
        worker = _Worker(process, ours)
        self._workers.append(worker)
        return worker

    def _replace(self, worker: _Worker) -> None:
        self.replaced += 1
        self._end([worker])

    def _end(self, workers: list[_Worker]) -> None:
        """End processes.  They hold nothing that is not on its way to the disk whole or not at all."""
        for worker in workers:
            self._workers.remove(worker)
            worker.process.kill()
        for worker in workers:
            worker.process.join()
            worker.connection.close()


def _end_of(process: BaseProcess) -> str:
    process.join()
    code = process.exitcode or 0
    if code == _UNKNOWN:
        return "is gone, and the server it came from"
    if code >= 0:
        return f"ended with code {code}"
    name = signal.Signals(-code).name if -code in {s.value for s in signal.Signals} else "a signal"
    return f"was killed by {name}"


def _serve(scorer: Scores, connection: Connection) -> None:
    """What a worker process does until its parent closes the connection, or ends."""
    # Ctrl-C and a scheduler's request are for the command, which ends its workers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    tqdm.set_lock(threading.RLock())  # a process that is killed would leave its semaphore behind
    answer: list[Row] | UsageError | None = None
    while True:
        try:
            connection.send(answer)
            item: Item = connection.recv()
        except (EOFError, OSError):  # nobody is there any more
            return
        try:
            answer = scorer(*item)
        except UsageError as error:
            answer = UsageError(str(error))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
