"""What the engine is asked for, what it needs for that, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple, Protocol

from torch import Tensor

from nasbench_eval.passes.observer import Observer, Record
from nasbench_eval.passes.spec import ForwardSpec, PassSpec
from nasbench_eval.spaces.base import Network

Observe = Callable[[Network, PassSpec], Observer]


class Inputs(Protocol):
    """Where the engine takes its batches from: the same for every architecture."""

    def input(self, forward: ForwardSpec, dataset: str | None) -> Tensor:
        """Images (B, 3, R, R) in float32 on the engine's device; of pieces (B, pieces · 3, R, R)."""
        ...

    def labels(self, forward: ForwardSpec, dataset: str) -> Tensor:
        """Class labels (B,) for that input, int64."""
        ...

    def training_set(self, dataset: str, images: int, resolution: int) -> tuple[Tensor, Tensor]:
        """Images (N, 3, R, R) to train on, normalised, float32, and their labels (N,), on the device."""
        ...


class Request(NamedTuple):
    """A pass asked for and the maker of its observer.

    `spec.forward.resolution` is set.  `dataset` is None where neither input nor head depends on it.
    """

    spec: PassSpec
    dataset: str | None
    observe: Observe


@dataclass(frozen=True)
class Outcome:
    """What a request came to: a record or the exception that prevented it, and what its pass took.

    Attributes:
        record: what the observer made of the pass; None if an exception prevented it.
        spans: seconds of each stretch of work, by a key that is the stretch's own.  A stretch that several
            requests share is in the outcomes of all of them.
        error: the exception.
    """

    record: Record | None
    spans: Mapping[object, float]
    error: Exception | SystemExit | None = None


_NUMBERS = count()


def span(seconds: float) -> dict[object, float]:
    """A stretch of work under a key of its own."""
    return {next(_NUMBERS): seconds}


def seconds_of(outcomes: Iterable[Outcome]) -> float:
    """What requests took together: each stretch once, however many of them share it."""
    return sum({key: took for outcome in outcomes for key, took in outcome.spans.items()}.values())
