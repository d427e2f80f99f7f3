"""The rows a run still lacks, and the architectures whose scores fill them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Generic, Protocol, TypeVar

from nasbench_eval.runs.rows import Row, Task
from nasbench_eval.runs.store import Store
from nasbench_eval.spaces.base import Names, SearchSpace
from nasbench_eval.spaces.open import Known


class Workload(Protocol):
    """What there is to do with each architecture."""

    @property
    def space(self) -> SearchSpace:
        """The search space."""
        ...

    def tasks(self) -> tuple[Task, ...]:
        """The rows that each architecture should have."""
        ...


W = TypeVar("W", bound=Workload)


class Wanted(Generic[W]):
    """What is left to do: one scored architecture fills the rows of all that it stands for.

    Args:
        job: what to score.
        stands_in: for each architecture asked for the one that is scored in its place: itself, or the
            representative of its class.  By index.
        store: where the rows go.  Representatives that it has the scores of are copied at once.
        retry_failed: whether what ended as `oom` or `error` is wanted again, and nothing else; such rows
            leave the disk at once.
        apart: whether an architecture's rows have nothing in common, so that a worker had better bring each
            as soon as it has it.
        own: labels whose rows are each architecture's own, whatever stands in for it.  Copies that the
            folder has of them, from before this was so, leave the disk.

    Attributes:
        asked: the architectures asked for.
        copied: rows that were filled with another architecture's scores.

    Raises:
        UsageError: if the store cannot be read or written.
    """

    def __init__(
        self,
        job: W,
        stands_in: Mapping[int, int],
        store: Store,
        *,
        retry_failed: bool = False,
        apart: bool = False,
        own: Collection[str] = (),
    ) -> None:
        self.job, self.store, self.apart = job, store, apart
        self.asked = tuple(stands_in)
        self.copied = 0
        self._stands_in, self._own, self._names = stands_in, own, Names(job.space)
        if isinstance(job.space, Known):
            texts = store.texts(job.tasks())
            for index, text in texts.items():
                job.space.require(index, text)
            job.space.learn(texts.values())
        self._members: dict[int, list[int]] = {}
        for member, cell in stands_in.items():
            self._members.setdefault(cell, []).append(member)
        asked = set(self.asked)
        if retry_failed:
            self._lacking = {task: asked & store.failed(task) for task in job.tasks()}
            for task, lacking in self._lacking.items():
                store.drop_failed(task, lacking)
        else:
            for task in job.tasks():
                if task.label in own:
                    store.drop_copies(task, asked)
            self._lacking = {task: asked - store.indices(task) for task in job.tasks()}
        if any(member != cell for member, cell in stands_in.items()):
            for task in job.tasks():
                held = store.scores_of(task, self.cells(task))
                self.fill({**row, "seconds": 0.0} for row in held)  # spent already, for another row

    def cells(self, task: Task) -> set[int]:
        """The architectures whose scores a task lacks."""
        lacking = self._lacking[task]
        return set(lacking) if task.label in self._own else {self._stands_in[member] for member in lacking}

    def work(self) -> Iterator[tuple[int, tuple[Task, ...]]]:
        """What to do at one go: architectures with tasks that lack their scores, in the order asked for."""
        # Those that only stand in for others come where the first of these does.
        for cell in dict.fromkeys(each for pair in self._stands_in.items() for each in reversed(pair)):
            tasks = tuple(t for t in self._lacking if self._filled_by(cell, t))
            if self.apart:
                yield from ((cell, (task,)) for task in tasks)
            elif tasks:
                yield cell, tasks

    def _filled_by(self, cell: int, task: Task) -> list[int]:
        """The architectures that lack a row which the scores of this one fill."""
        members = (cell,) if task.label in self._own else self._members.get(cell, ())
        return [member for member in members if member in self._lacking[task]]

    def lacks(self, index: int) -> bool:
        """Whether an architecture asked for still lacks a row."""
        return any(index in lacking for lacking in self._lacking.values())

    def incomplete(self) -> int:
        """How many of the architectures asked for lack a row."""
        return len(set().union(*self._lacking.values()))

    def fill(self, rows: Iterable[Row], *, reused_from: str | None = None) -> list[Row]:
        """Hand the rows of scored architectures to the store, for each architecture that lacks them.

        `seconds` stay with one row, that of the architecture itself if it is asked for; the others have 0, so
        that their sum is what was spent.

        Args:
            rows: with `dataset` and `label`; `index` is that of the architecture which was scored.
            reused_from: the run that they are taken over from.

        Returns:
            The rows that were filled.
        """
        filled: list[Row] = []
        for row in rows:
            task, cell = Task(row["dataset"], row["label"]), row["index"]
            members = self._filled_by(cell, task)
            self._lacking[task].difference_update(members)
            if reused_from is not None:
                row = {**row, "reused_from": reused_from}
            for member in sorted(members, key=lambda m: m != cell):
                copied_from = None if member == cell else cell
                filled.append(
                    {**row, "index": member, "arch": self._names[member], "copied_from": copied_from}
                )
                row = {**row, "seconds": 0.0}
        self.copied += sum(row["copied_from"] is not None for row in filled)
        self.store.add(filled)
        return filled
