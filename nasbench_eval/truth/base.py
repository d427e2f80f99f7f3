"""What a table of ground truth offers: what is said of it, where it comes from, and how it is checked.

A table is a module of `truth.public` with a class `TRUTH`, and a YAML file of the same name beside it that
says everything else.  Other packages bring theirs through the entry-point group `nasbench_eval.truths`.

The table that has the name of a search space is the one that reports on this space judge by.  Others are
asked for by name.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from omegaconf import OmegaConf
from pydantic import Field

from nasbench_eval import registry
from nasbench_eval.data.folder import whole_file
from nasbench_eval.errors import UsageError
from nasbench_eval.options.typed import typed
from nasbench_eval.spaces.open import is_open
from nasbench_eval.truth import places
from nasbench_eval.truth.columns import percent_fault
from nasbench_eval.truth.errors import MissingTruth, TruthError
from nasbench_eval.truth.parquet import read
from nasbench_eval.truth.sources import Source
from nasbench_eval.wording import first_line, shown, some

# Values are pinned to so many parts of one: rounding of texts stays below, and what tells rows apart above.
_PARTS = 1e6


@dataclass(frozen=True)
class Stored:
    """The table as it lies in the data folder.

    Attributes:
        file: its name there.
        rows: how many it has.
        key: columns that name an architecture, and perhaps a data set.
        values: columns of numbers; further columns are passed over.
        key_sha256, values_sha256: `digest_of_keys` and `digest_of_values`; None where the module checks more
            than that by itself.
    """

    file: str
    rows: Annotated[int, Field(ge=1)]
    key: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    key_sha256: str | None = None
    values_sha256: str | None = None


@dataclass(frozen=True)
class TruthInfo:
    """What is said of a table.

    Attributes:
        name: its one name: file stem of the module, and what options take.
        title: how tables and figures call it.
        space: the search space whose architectures it has.
        about: in words what its numbers are, for the head of a table.
        datasets: the data sets that they are on.
        splits: the columns of a data set, `<data set>_<split>`, and what each is in words.
        judged: the splits that a report judges by unless others are named; empty for all.
        lower: splits of which a lower value is the better one.
        percent: whether they are percentages.
        home: where the table's authors publish it.
        licence: of the public files; `none stated` where there is none.
        sources: the public files that it is built from.
        stored: the table in the data folder.
        command: what builds it, without the name of the program.
    """

    name: str
    title: str
    space: str
    about: str
    datasets: tuple[str, ...]
    splits: Mapping[str, str]
    home: str
    licence: str
    stored: Stored
    judged: tuple[str, ...] = ()
    lower: tuple[str, ...] = ()
    percent: bool = True
    sources: tuple[Source, ...] = field(default=())
    command: str = ""

    @property
    def build(self) -> str:
        """The command that builds the table."""
        return f"nasbench-data {self.command or self.name}".rstrip()


def facts(module: str) -> TruthInfo:
    """What the YAML file beside a module says of its table.

    Args:
        module: `__file__` of the module.

    Raises:
        UsageError: if the file does not say what it should.
    """
    path = Path(module).with_suffix(".yaml")
    try:
        content: Any = OmegaConf.to_container(OmegaConf.load(path))
    except Exception as error:  # OmegaConf, its YAML parser and the file system each raise their own
        raise UsageError(f"{path} cannot be read ({first_line(error)})") from error
    if not isinstance(content, dict):
        raise UsageError(f"{path} says nothing of a table")
    return typed(TruthInfo, {"name": path.stem, **content}, str(path))


@dataclass(frozen=True)
class PublicTable:
    """A table out of public files.  Its class says how they become one; the rest is in `info`."""

    info: ClassVar[TruthInfo]

    def from_files(self, files: Sequence[Path]) -> pd.DataFrame:
        """The table as it is stored, out of the public files in the order of `info.sources`.

        Raises:
            TruthError: if they are not what they should be.
        """
        raise NotImplementedError

    def joined(self, table: pd.DataFrame) -> pd.DataFrame:
        """The stored table as reports join it.

        Returns:
            `arch`, texts of the space, or for an enumerated one `index`; a row an architecture, in any order.
            And columns `<data set>_<split>`, perhaps also `<data set>_<split>_run0` and so on.
        """
        return table

    def load(self, folder: Path) -> pd.DataFrame:
        """The checked table of a data folder, as `joined` gives it, put into the order of its space.

        Returns:
            Of an enumerated space a row an architecture, in its order; NaN where the table has none of it.

        Raises:
            MissingTruth: if the folder lacks it.
            TruthError: if it is damaged or another one.
            UsageError: if its rows name no architectures of the space, or one of them twice.
        """
        return self.ordered(self.joined(self.read(folder)))

    def ordered(self, table: pd.DataFrame) -> pd.DataFrame:
        """A joined table in the order of its space.  Raises UsageError."""
        space = registry.find("spaces", self.info.space)()
        if is_open(space):
            if (twice := table["arch"][table["arch"].duplicated()]).size:
                raise UsageError(f"{self.info.name} has {shown(twice.iloc[0])} in two rows")
            return table
        index = places.indices(table, space, self.info.name)
        if index == list(range(len(space))):
            return table
        every = range(len(space))
        found = table.drop(columns=["index", "arch"], errors="ignore").set_axis(index).reindex(every)
        texts = [space.format(space.arch(each)) for each in every]
        return found.assign(index=every, arch=texts)

    def read(self, folder: Path) -> pd.DataFrame:
        """The checked table as it is stored.  Raises MissingTruth, TruthError."""
        path = folder / self.info.stored.file
        if not os.path.isfile(path):  # unlike Path's, no error on what cannot be a name
            raise MissingTruth(f"no table of {self.info.title} at {path}; build it with `{self.info.build}`")
        table = read(path, self._rebuild, (*self.info.stored.key, *self.info.stored.values))
        try:
            self.check(table)
        except TruthError as error:
            raise TruthError(f"{path}: {error}") from error
        return table

    def save(self, table: pd.DataFrame, folder: Path) -> None:
        """Check the table and write it, whole or not at all.  Raises TruthError, UsageError."""
        self.check(table)
        with whole_file(folder / self.info.stored.file) as temporary:
            table[[*self.info.stored.key, *self.info.stored.values]].to_parquet(temporary, index=False)

    def describe(self, folder: Path) -> str:
        """Load and check the table; one line on it.  Raises MissingTruth, TruthError."""
        table = self.load(folder)
        on = ", ".join(self.info.datasets)
        return f"{self.info.stored.file}: {len(table):,} architectures of {self.info.space} on {on}"

    def check(self, table: pd.DataFrame) -> None:
        """Refuse another table than the published one.

        Raises:
            TruthError: says what is wrong and what to do.
        """
        stored = self.info.stored
        if missing := [name for name in (*stored.key, *stored.values) if name not in table.columns]:
            raise self._refused(f"the table lacks {some(missing)}")
        if len(table) != stored.rows:
            raise self._refused(f"the table has {len(table):,} rows instead of {stored.rows:,}")
        for name in stored.values:
            if table[name].dtype.kind not in "iuf":
                raise self._refused(f"the column {name} holds {table[name].dtype}, not numbers")
        if stored.key_sha256 and digest_of_keys(table, stored.key) != stored.key_sha256:
            raise self._refused("the architectures are not those of the published table, in its order")
        if stored.values_sha256 and digest_of_values(table, stored.values) != stored.values_sha256:
            raise self._refused(
                "the numbers are not the published ones, or are shuffled against the architectures"
            )

    @property
    def _rebuild(self) -> str:
        return f"delete it and build it again with `{self.info.build}`"

    def _refused(self, what: str) -> TruthError:
        return TruthError(f"{what}; {self._rebuild}")


def digest_of_keys(table: pd.DataFrame, columns: Sequence[str]) -> str:
    """sha256 of columns as texts: a line a row, a tab between them."""
    texts = [table[name].astype(str).tolist() for name in columns]
    lines = "".join("\t".join(row) + "\n" for row in zip(*texts, strict=True))
    return hashlib.sha256(lines.encode()).hexdigest()


def digest_of_values(table: pd.DataFrame, columns: Iterable[str]) -> str:
    """sha256 of columns of numbers, one after another: to six decimals, as 64-bit integers."""
    sha256 = hashlib.sha256()
    for name in columns:
        values = table[name].to_numpy(np.float64)
        none = np.iinfo(np.int64).min
        parts = np.where(np.isfinite(values), np.rint(np.nan_to_num(values) * _PARTS), none)
        sha256.update(parts.astype("<i8").tobytes())
    return sha256.hexdigest()


def csv(path: Path) -> pd.DataFrame:
    """A public CSV file.  Raises TruthError."""
    try:
        table: pd.DataFrame = pd.read_csv(path)
        return table
    except Exception as error:  # the parser's own, of the file system, of the encoding
        raise TruthError(f"{path} is no CSV file ({first_line(error)})") from error


def require_percent(table: pd.DataFrame, columns: Iterable[str]) -> None:
    """Refuse columns that are no percentages.  Raises TruthError."""
    for name in columns:
        values: NDArray[np.float64] = table[name].to_numpy(np.float64)
        if fault := percent_fault(values[np.isfinite(values)]):
            raise TruthError(f"the column {name} {fault}")
