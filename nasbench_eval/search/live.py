"""Brings the values of architectures that nobody has scored yet: in worker processes, or in this one."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nasbench_eval.errors import UsageError
from nasbench_eval.runs.rows import Row, Task
from nasbench_eval.runs.store import Store
from nasbench_eval.search.history import CLOCKS, Numbers
from nasbench_eval.search.scores import Known
from nasbench_eval.wording import ranges
from nasbench_eval.work.pool import Item, Scores, Workers
from nasbench_eval.work.progress import Progress


@dataclass(frozen=True)
class NothingElse:
    """Has no more than what is known already, and says so.

    Attributes:
        known: what has been told.
        values: names of what is told.
        size: architectures that there are; None where they cannot be counted.
        why: what the user may do.
    """

    known: Known
    values: Sequence[str]
    size: int | None
    why: str

    def order(self, archs: Numbers, columns: Sequence[int]) -> None:
        """What is not known is told when it is waited for."""

    def wait(self, archs: Numbers, columns: Sequence[int]) -> None:
        has = self.known.has(archs, columns)
        if not has.all():
            column = columns[int((~has).any(0).argmax())]
            cells = ranges(set(archs[~has.all(1)].tolist()))
            of = "" if self.size is None else f" of {self.size:,}"
            raise UsageError(
                f"no scores of {self.values[column]} for cell {cells}: the runs at hand have "
                f"{self.known.count(column):,}{of}; {self.why}"
            )


class Live:
    """Has architectures scored that are not known, in the order in which they are asked for.

    Args:
        scorer: scores an architecture.
        tasks: the rows of an architecture, a value each.
        known: where values go.
        store: where rows go.
        progress: told of failures.
        pool: of workers; None scores in this process.
        texts: of the architectures of an open space by index, which grows as the search meets more of them.
    """

    def __init__(
        self,
        scorer: Scores,
        tasks: Sequence[Task],
        known: Known,
        store: Store,
        progress: Progress,
        pool: Workers | None,
        texts: Mapping[int, str] | None = None,
    ) -> None:
        self.scorer, self.tasks, self.known = scorer, tuple(tasks), known
        self.store, self.progress, self.pool = store, progress, pool
        self._texts = {} if texts is None else texts
        self._todo: deque[Item] = deque()
        self._ordered: set[tuple[int, int]] = set()

    def order(self, archs: Numbers, columns: Sequence[int]) -> None:
        """Put architectures on the list whose values in these columns are neither known nor ordered."""
        distinct = np.unique(archs)
        for arch, has in zip(distinct.tolist(), self.known.has(distinct, columns), strict=True):
            lacking = [c for c, there in zip(columns, has, strict=True) if not there]
            lacking = [c for c in lacking if (arch, c) not in self._ordered]
            if lacking:
                self._ordered.update((arch, c) for c in lacking)
                tasks = tuple(self.tasks[c] for c in lacking)
                if self.scorer.instant(arch, tasks):
                    self._take(self.scorer(arch, tasks))
                else:
                    self._todo.append(Item(arch, tasks, self._texts.get(arch)))

    def wait(self, archs: Numbers, columns: Sequence[int]) -> None:
        """Take what workers bring until all of these are known."""
        self.order(archs, columns)
        while not self.known.has(archs, columns).all():
            if self.pool is None:
                self._take(self.scorer(*self._todo.popleft()))
            else:
                for rows in self.pool.round(self._todo):
                    self._take(rows)

    def close(self) -> None:
        """End the workers; what they are at is not waited for."""
        if self.pool is not None:
            self.pool.close()

    def _take(self, rows: list[Row]) -> None:
        self.progress.log_failures(rows)
        self.store.add([{**row, "copied_from": None} for row in rows])
        self.progress.done(rows, ())
        for row in rows:
            column = self.tasks.index(Task(row["dataset"], row["label"]))
            seconds = np.zeros((1, len(CLOCKS)))
            seconds[0, CLOCKS.index("proxy")] = row["seconds"]
            self.known.add(column, [row["index"]], [row["score"]], seconds)
