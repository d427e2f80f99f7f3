"""What all fuzzing shares: how many cases, how valid input is spoiled, and what a refusal looks like."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from nasbench_eval.errors import UsageError

T = TypeVar("T")
S = TypeVar("S", str, bytes)

LONG = os.environ.get("FUZZING") == "long"
# Cases accepted and refused, by kind of input.
COUNTS: dict[str, list[int]] = {}
REFUSED: Any = object()
MOST = 600


def cases(fast: int, long: int) -> Any:
    """Settings of a fuzzed test: so many cases in `make test`, and in `make test-long`."""
    return settings(
        max_examples=long if LONG else fast,
        deadline=None,
        database=None,
        derandomize=not LONG,
        print_blob=LONG,
        suppress_health_check=list(HealthCheck),
    )


def told(what: str, call: Callable[[], T], kind: type[ValueError] = UsageError) -> T:
    """What a call gives, or `REFUSED` if it refuses its input as it should: in one line, with a reason."""
    count = COUNTS.setdefault(what, [0, 0])
    try:
        found = call()
    except kind as error:
        is_a_line(str(error))
        count[1] += 1
        return REFUSED  # type: ignore[no-any-return]
    count[0] += 1
    return found


def is_a_line(message: str) -> None:
    assert message.isprintable(), message
    assert 10 < len(message) <= MOST, message


def own(factory: pytest.TempPathFactory) -> Path:
    """A folder of this process for all cases: what other tests leave beside it would be read with each."""
    folder = factory.getbasetemp() / "fuzzed"
    folder.mkdir(exist_ok=True)
    return folder


def tree(folder: Path) -> dict[str, bytes]:
    """All that lies below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@st.composite
def spoiled(draw: st.DrawFn, whole: st.SearchStrategy[S], piece: st.SearchStrategy[S]) -> S:
    """Valid input after one to four edits: pieces put in, taken out or overwritten, and the end cut off."""
    text = draw(whole)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text)))
        size = draw(st.sampled_from([0, 1, 1, 2, 8, len(text)]))
        text = text[:at] + draw(piece) + text[at + size :]
    return text


# Values that stand in place of a right one.
odd_values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([2**31, 2**63, -(2**63), 10**30]),
    st.floats(),
    st.text(max_size=8),
    st.binary(max_size=8),
    st.lists(st.integers(0, 1), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)
