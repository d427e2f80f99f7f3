"""What figures a report wrote."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        names: of all files, as seen from the report's folder, in the order of writing.
        titled: for a page, each figure's title and the last of its files.
        digests: of each file's inputs and of its content, by which the next report knows whether to draw it.
    """

    names: list[str] = field(default_factory=list)
    titled: list[tuple[str, Path]] = field(default_factory=list)
    digests: dict[str, list[str]] = field(default_factory=dict)

    def __add__(self, other: Written) -> Written:
        return Written(
            self.names + other.names, self.titled + other.titled, {**self.digests, **other.digests}
        )
