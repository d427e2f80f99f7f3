"""A network of nested graphs, for whoever draws it and says what became of another one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

# Whether an operation is in both networks, in the later one alone, or in the earlier one alone.
Mark = Literal["kept", "new", "gone"]


@dataclass(frozen=True)
class Box:
    """An operation, or one around sequences of others.

    Attributes:
        name: what it is.
        mark: what became of it.
        bodies: what is inside: sequences by name, side by side.
    """

    name: str
    mark: Mark = "kept"
    bodies: tuple[tuple[str, Boxes], ...] = ()


Boxes: TypeAlias = "tuple[Box, ...]"


@dataclass(frozen=True)
class Part:
    """A block of a network.

    Attributes:
        stage: number of its stage, from 1.
        title: its place in a word, such as `2.3`, and its known name if it has one.
        halves: its sequences by name.
    """

    stage: int
    title: str
    halves: tuple[tuple[str, Boxes], ...]
