"""The history of a search on the disk: `history/part-00000.parquet` and so on in the folder of a run.

A row is a trial of a seed.  Each file is written whole, and holds all seeds' trials of some steps; a crash
costs what was not written yet, which the search proposes again to the bit.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pandas.api.types import is_numeric_dtype

from nasbench_eval.errors import UsageError
from nasbench_eval.files import set_aside, write_whole
from nasbench_eval.search.history import CLOCKS, History, Numbers
from nasbench_eval.spaces.base import Names
from nasbench_eval.spaces.open import Known
from nasbench_eval.wording import first_line, shown

_FIRST = ("seed", "step", "index", "arch")
_LAST = (*(f"{clock}_seconds" for clock in CLOCKS), "wall_seconds", "incumbent_index", "incumbent")


def column_of(value: str) -> str:
    """The name of the column that holds what a guide told."""
    return f"told_{value}"


@dataclass
class Trace:
    """A history with what only its record needs.

    Attributes:
        history: the trials.
        answers_TS: what each seed would have returned after each step; as many as steps were told.
        wall_T: seconds since the search began at which each step was told.
        ends_S: how many trials each seed has, once it has ended; −1 before.
    """

    history: History
    answers_TS: list[Numbers]
    wall_T: list[float]
    ends_S: Numbers


class HistoryFiles:
    """The one writer of a history.

    Args:
        folder: of the run.
        seeds: those of the searches.
        values: names of what the guide tells.
        names: texts of the architectures by number.
    """

    def __init__(self, folder: Path, seeds: Sequence[int], values: Sequence[str], names: Names) -> None:
        self.folder, self.seeds, self.values, self.names = folder / "history", seeds, values, names
        self.mended: list[str] = []
        self._written = 0

    @property
    def columns(self) -> list[str]:
        """The columns of a file, in order."""
        return [*_FIRST, *map(column_of, self.values), *_LAST]

    def read(self, *, mend: bool = True) -> Trace:
        """What is on the disk, up to the first hole.

        Args:
            mend: whether damaged files are set aside, or told as errors.

        Raises:
            UsageError: if a file is damaged, or cannot be renamed.
        """
        size = len(self.seeds)
        trace = Trace(History(size, len(self.values)), [], [], np.full(size, -1, np.int64))
        for file in sorted(self.folder.glob("part-*.parquet")):
            try:
                frame = self._read(file)
            except UsageError as error:
                if not mend:
                    raise
                self.mended.append(f"{error}: set aside as {set_aside(file).name}, its steps are done again")
                continue
            if int(frame["step"].min()) > trace.history.steps:
                break  # a hole: what follows is proposed again
            self._append(trace, frame[frame["step"] >= trace.history.steps])
        self._written = trace.history.steps
        return trace

    def fork(self, parent: Path, steps: int) -> Trace:
        """The first steps of another search's first seed, as the beginning of every seed of this one.

        Raises:
            UsageError: if it has no such history.
        """
        other = HistoryFiles(parent, (), self.values, self.names)
        frames = [other._read(file) for file in sorted(other.folder.glob("part-*.parquet"))]
        if not frames:
            raise UsageError(f"fork={parent}: there is no history of a search")
        rows = pd.concat(frames).drop_duplicates(["seed", "step"])
        first = rows[(rows["seed"] == rows["seed"].iloc[0]) & (rows["step"] < steps)].sort_values("step")
        if len(first) < steps:
            raise UsageError(f"fork_step={steps}: the history in {parent} has {len(first)} steps")
        trace = Trace(History(len(self.seeds), len(self.values)), [], [], np.full(len(self.seeds), -1))
        self._append(trace, pd.concat([first.assign(seed=seed) for seed in self.seeds]))
        return trace

    def _read(self, file: Path) -> pd.DataFrame:
        try:
            table = pq.read_table(file, page_checksum_verification=True)
        except Exception as error:  # Arrow's own, and what a damaged schema leads to
            raise UsageError(f"{file} is damaged ({first_line(error)})") from error
        if set(self.columns) - set(table.column_names) or not table.num_rows:
            raise UsageError(f"{file} is no history of this search")
        frame: pd.DataFrame = table.to_pandas()
        numbers = [name for name in self.columns if name not in ("arch", "incumbent")]
        if not all(is_numeric_dtype(frame[name]) for name in numbers):
            raise UsageError(f"{file} is no history of this search")
        if frame.duplicated(["seed", "step"]).any() or (
            self.seeds and not frame["seed"].isin(self.seeds).all()
        ):
            raise UsageError(f"{file} has trials twice, or of other seeds than this search's")
        self._meet(frame, file)
        return frame

    def _meet(self, frame: pd.DataFrame, file: Path) -> None:
        """Make the architectures of an open space known, which has no others than those it has met."""
        space = self.names.space
        if not isinstance(space, Known):
            return
        # An answer may be no trial: a policy's most probable architecture.
        for number, name in (("index", "arch"), ("incumbent_index", "incumbent")):
            met = frame.loc[frame[number] >= 0, [number, name]].drop_duplicates()
            for index, text in zip(met[number].tolist(), met[name].astype(str), strict=True):
                space.learn([text])
                if space.texts.get(index) != text:
                    raise UsageError(f"{file} has {shown(text)} under an index that is not its own")

    def _append(self, trace: Trace, frame: pd.DataFrame) -> None:
        history, places = trace.history, {seed: place for place, seed in enumerate(self.seeds)}
        for _, rows in frame.groupby("step", sort=True):
            archs = np.zeros(history.seeds, np.int64)
            values = np.full((history.seeds, len(self.values)), np.nan)
            seconds, answers = np.zeros((history.seeds, len(CLOCKS))), np.zeros(history.seeds, np.int64)
            if trace.answers_TS:
                answers = trace.answers_TS[-1].copy()
            at = np.array([places[seed] for seed in rows["seed"]])
            archs[at] = rows["index"]
            values[at] = rows[[column_of(value) for value in self.values]]
            seconds[at] = rows[[f"{clock}_seconds" for clock in CLOCKS]]
            answers[at] = rows["incumbent_index"]
            ended = np.isin(np.arange(history.seeds), at, invert=True) & (trace.ends_S < 0)
            trace.ends_S[ended] = history.steps
            history.tell(history.propose(archs), values, seconds)
            trace.answers_TS.append(answers)
            trace.wall_T.append(float(rows["wall_seconds"].iloc[0]))

    def write(self, trace: Trace) -> None:
        """Write the steps that were told since the last time.

        Raises:
            UsageError: if they cannot be written.
        """
        first, told = self._written, len(trace.answers_TS)
        if told > first:
            self._put(self._frame(trace, first, told), first)
            self._written = told

    def compact(self, trace: Trace) -> None:
        """One file in place of many.  A crash leaves every step on the disk, be it twice."""
        several = sorted(self.folder.glob("part-*.parquet"))
        if len(several) > 1:
            self._put(self._frame(trace, 0, len(trace.answers_TS)), 0)
            for file in several:
                if file.name != _name(0):
                    file.unlink()

    def _frame(self, trace: Trace, first: int, last: int) -> dict[str, NDArray[Any]]:
        """Rows of some steps, a seed's after the other's."""
        history = trace.history
        ends = np.where(trace.ends_S < 0, last, trace.ends_S)
        step_ST = np.broadcast_to(np.arange(first, last), (history.seeds, last - first))
        kept = step_ST < ends[:, None]
        archs = history.archs_TS[first:last].T[kept]
        answers = np.array(trace.answers_TS[first:last]).T[kept]
        wall = np.broadcast_to(np.array(trace.wall_T[first:last]), step_ST.shape)[kept]
        told = history.values_TSV[first:last].transpose(1, 0, 2)[kept]
        seconds = history.seconds_TSC[first:last].transpose(1, 0, 2)[kept]
        return {
            "seed": np.broadcast_to(np.array(self.seeds)[:, None], step_ST.shape)[kept],
            "step": step_ST[kept].astype(np.int32),
            "index": self._stored(archs),
            "arch": self._texts(archs),
            **{column_of(value): told[:, place] for place, value in enumerate(self.values)},
            **{f"{clock}_seconds": seconds[:, place] for place, clock in enumerate(CLOCKS)},
            "wall_seconds": wall,
            "incumbent_index": self._stored(answers),
            "incumbent": self._texts(answers),
        }

    def _stored(self, archs: Numbers) -> NDArray[Any]:
        """Numbers as they are written: in 32 bits, but for the hashes of an open space."""
        return archs if isinstance(self.names.space, Known) else archs.astype(np.int32)

    def _texts(self, archs: Numbers) -> Any:
        distinct, places = np.unique(archs, return_inverse=True)
        texts = pa.array([self.names[int(arch)] for arch in distinct], pa.string())
        return pa.DictionaryArray.from_arrays(pa.array(places.astype(np.int32)), texts)

    def _put(self, columns: dict[str, Any], first: int) -> None:
        buffer = io.BytesIO()
        pq.write_table(pa.table(columns), buffer, compression="zstd", write_page_checksum=True)
        write_whole(self.folder / _name(first), buffer.getvalue())


def _name(first: int) -> str:
    return f"part-{first:07d}.parquet"
