"""The shards of a run: disjoint ranges of its cells, each scored into a folder of its own.

`RUN/shards/3-of-8/` is the folder of a run like any other; `nasbench-merge RUN` joins the shards.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from nasbench_eval.errors import UsageError
from nasbench_eval.wording import shown

_FOLDER = "shards"


class Split(NamedTuple):
    """One of `of` shards, counted from 0; its text is `3/8`."""

    shard: int
    of: int

    def __str__(self) -> str:
        return f"{self.shard}/{self.of}"

    def take(self, indices: Sequence[int]) -> tuple[int, ...]:
        """This shard's part of a sample: a range of its sorted indices, as long as any other's or one longer.

        Raises:
            UsageError: if there are more shards than architectures.
        """
        if self.of > len(indices):
            raise UsageError(
                f"shard={self}: a sample of {len(indices)} cannot be split into {self.of} shards"
            )
        first, end = (len(indices) * shard // self.of for shard in (self.shard, self.shard + 1))
        return tuple(sorted(indices)[first:end])

    def folder(self, run: Path) -> Path:
        """Where the shard of a run in this folder is scored into."""
        return run / _FOLDER / f"{self.shard}-of-{self.of}"


def split_of(shard: int | str | None, shards: int | None) -> Split | None:
    """The shard that `shard=3/8`, or `shard=3 shards=8`, names; None if neither is given.

    Raises:
        UsageError: if it is no shard, or one of the two is missing.
    """
    if shard is None and shards is None:
        return None
    if shard is None:
        raise UsageError(
            f"shards={shards}: which of them? Name one with shard=, or all: -m 'shard=range({shards})'"
        )
    if isinstance(shard, str):
        found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", shard)
        if found is None:
            raise UsageError(
                f"shard={shown(shard)[1:-1]} will not do; it should be i/k, as in 0/8, or a number beside "
                "shards="
            )
        split = Split(int(found[1]), int(found[2]))
        if shards not in (None, split.of):
            raise UsageError(f"shard={shard} and shards={shards} contradict each other")
    elif shards is None:
        raise UsageError(f"shard={shard}: of how many? Write shard={shard}/8, or add shards=8")
    else:
        split = Split(shard, shards)
    if not 0 <= split.shard < split.of:
        raise UsageError(f"shard={split}: {split.of} shards are counted from 0 to {split.of - 1}")
    return split


def shard_folders(run: Path) -> dict[Split, Path]:
    """The folders of a run's shards that are there, in order."""
    found = {}
    for folder in (run / _FOLDER).glob("*-of-*"):
        if name := re.fullmatch(r"([0-9]{1,9})-of-([0-9]{1,9})", folder.name):
            found[Split(int(name[1]), int(name[2]))] = folder
    return dict(sorted(found.items()))
