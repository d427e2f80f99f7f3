"""How messages quote and count: one printable line, numbers as they are read, long lists cut short."""

from __future__ import annotations

from collections.abc import Collection, Sequence

# Of many items of the same kind so many are named.
SHOWN = 3


def counted(number: int, what: str, several: str | None = None) -> str:
    """`1 cell`, `2,000 cells`; `several` is the plural where it takes more than an s."""
    return f"{number:,} {what if number == 1 else several or what + 's'}"


def shown(value: object, most: int = 100) -> str:
    """A value as messages quote it: its text in Python, on one line, without its middle where it is long."""
    return shortened(repr(value), most)


def shortened(text: str, most: int) -> str:
    """A text without its middle where it is longer than `most` characters."""
    # The end stays as well: it is there that messages say what to do.
    half = (most - 3) // 2
    return text if len(text) <= most else f"{text[:half]}...{text[-half:]}"


def printable(text: str) -> str:
    """A text with what a terminal would obey, or break a line at, written out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def first_line(error: BaseException) -> str:
    """What an error of a library comes down to: the first line of what it says, or else its kind."""
    return str(error).strip().partition("\n")[0].rstrip() or type(error).__name__


def some(items: Sequence[object], separator: str = ", ") -> str:
    """The first few items, and how many more there are."""
    told = [str(item) for item in items[:SHOWN]]
    more = len(items) - SHOWN
    return separator.join([*told, *([f"and {more:,} more"] if more > 0 else [])])


def ranges(numbers: Collection[int]) -> str:
    """Whole numbers as compact ranges, `3, 5-9`, the first few of them."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return some([str(first) if first == last else f"{first}-{last}" for first, last in runs])
