"""Values that Hydra's grammar would misread or refuse, quoted before Hydra sees them.

Hydra reads values in a grammar of its own: letters outside ASCII, `=`, `#`, parentheses or an apostrophe are
errors in it, and `1e5` is a number.  The name of a folder is none of that, and neither is the text of a cell.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException

from nasbench_eval.errors import UsageError
from nasbench_eval.wording import shown

# Options whose values are names of files and folders, or the text of an architecture: taken as they stand.
ARCH = "arch"
PATHS = (ARCH, "data", "fork", "images", "options_from", "results", "run", "truth")
# Options whose values are lists of numbers, in which ranges may stand.
CELLS, SEEDS = "indices", "seeds"
# The option whose value is a file, or a list of texts in brackets.
ARCHS = "archs"
RANGE = re.compile(r"range\(\s*(-?\d+)\s*(?:,\s*(-?\d+)\s*)?(?:,\s*(-?\d+)\s*)?\)")
_OPTION = re.compile(rf"(\+{{0,2}})({'|'.join((*PATHS, CELLS, SEEDS, ARCHS))})=(.*)", re.DOTALL)
# What Hydra's grammar does with values; a folder of such a name has to be put in quotes.
_FUNCTIONS = re.compile(r"(?:choice|range|interval|glob|shuffle|sort|tag|str|int|float|bool|json_str)\(.*\)")
_QUOTED = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", re.DOTALL)
_MOST_SEEDS = 10_000


def quoted(argument: str, *, multirun: bool, seeds_counted: bool = False) -> str:
    """An `option=value` as Hydra reads it rightly; what it reads rightly anyway stays as it is.

    In a sweep a comma still stands between values, unless it is quoted.

    Args:
        argument: as typed.
        multirun: whether it may name several runs.
        seeds_counted: whether `seeds=4` means four of them, not the one of that number.

    Raises:
        UsageError: if there are several values, or more than can be, and no sweep to take them.
    """
    if not (found := _OPTION.fullmatch(argument)):
        return argument
    plus, key, value = found.groups()
    if seeds_counted and key == SEEDS and re.fullmatch(r"[\s\d,]*", value):
        return argument
    if key in PATHS or (key == ARCHS and not value.lstrip().startswith("[")):
        values = list(split(value))
        if len(values) > 1 and not multirun:
            raise several(argument)
        told = ",".join(_path(key, v) for v in values)
    else:
        told = ",".join(_list(key, v) for v in split(value)) if multirun else _list(key, value)
    return f"{plus}{key}={told}"


def plain(argument: str) -> str:
    """An argument without the quotes that `quoted` gave it: as it was typed."""
    found = _OPTION.fullmatch(argument)
    if not found or found[2] not in (*PATHS, ARCHS) or not _QUOTED.fullmatch(found[3]):
        return argument
    bare = f"{found[1]}{found[2]}={_read(f'{found[2]}={found[3]}')}"
    try:
        return bare if quoted(bare, multirun=False) == argument else argument
    except UsageError:  # a comma, which the quotes are needed for
        return argument


def several(argument: str) -> UsageError:
    """The mistake of naming several values where a run takes one, or takes a list."""
    key, _, value = argument.partition("=")
    alone = key.lstrip("+") in (*PATHS, ARCHS)
    instead = shlex.quote(f"{key}={_in_quotes(value)}" if alone else f"{key}=[{value}]")
    return UsageError(
        f"{shown(argument)} names several values: add -m for a run of each, or write {instead} "
        f"{'if it is one name' if alone else 'where one run takes several'}"
    )


def split(text: str) -> Iterator[str]:
    """The parts of a text between commas, but not those inside quotes, brackets or parentheses."""
    part, depth, place = "", 0, 0
    while place < len(text):
        quote = _QUOTED.match(text, place) if not part.strip("([ ") else None
        taken = quote[0] if quote else text[place]
        place += len(taken)
        if taken == "," and not depth:
            yield part
            part = ""
            continue
        depth = max(0, depth + (taken in tuple("([{")) - (taken in tuple(")]}")))
        part += taken
    yield part


def _path(key: str, value: str) -> str:
    """A value that is taken as it stands, quoted where Hydra would take it for something else."""
    bare = value.strip()
    listed = bare[:1] in ("[", "{") and key != ARCH  # of an architecture, a text of the space
    if not bare or bare == "null" or listed or _QUOTED.fullmatch(bare) or _FUNCTIONS.fullmatch(bare):
        return value
    return bare if _read(f"{key}={bare}") == bare else _in_quotes(bare)


def _read(argument: str) -> object:
    """What Hydra makes of an argument; None where it makes nothing of it."""
    try:
        override = OverridesParser.create().parse_override(argument)
        value = None if override.is_sweep_override() else override.value()
        return value.text if isinstance(value, QuotedString) else value
    except (HydraException, ValueError):  # the latter of a number with more digits than Python reads
        return None


def _in_quotes(text: str) -> str:
    return QuotedString(text=text, quote=Quote.single).with_quotes()


def _list(key: str, value: str) -> str:
    """The value of an option that takes a list; one item alone, or a range, is a list as well."""
    bare = value.strip()
    if len(list(split(bare))) > 1 or bare in ("", "null"):
        return value
    if bare.startswith("[") and bare.endswith("]"):
        inner = bare[1:-1]
    elif bare[0] in "[{$":
        return value
    else:
        inner = bare
    item = {CELLS: _cell, ARCHS: _text}.get(key, _seed)
    return f"[{','.join(item(each.strip()) for each in split(inner) if each.strip())}]"


def _cell(item: str) -> str:
    """An item of `indices=`: numbers stay, ranges, texts and hashes are for the search space to read.

    What begins with a zero is no number: it may be the text of a space whose texts are digits.
    """
    plain = re.fullmatch(r"[+-]?(0|[1-9]\d*)", item) or _QUOTED.fullmatch(item) or item[0] in "[{$"
    return item if plain else _in_quotes(item)


def _text(item: str) -> str:
    """An item of `archs=`, which is a text, whatever it looks like."""
    return item if _QUOTED.fullmatch(item) else _in_quotes(item)


def _seed(item: str) -> str:
    """An item of `seeds=`: a range is written out."""
    if not (found := RANGE.fullmatch(item)):
        return item
    numbers = numbers_of(found)
    if len(numbers) > _MOST_SEEDS:
        raise UsageError(f"seeds={shown(item)[1:-1]} names more than {_MOST_SEEDS} seeds; name fewer")
    return ",".join(map(str, numbers))


def numbers_of(found: re.Match[str]) -> range:
    """The numbers of a range as Python counts them: `range(0,10)` are 0 to 9.

    Raises:
        UsageError: if its steps are of no length.
    """
    first, last, step = (None if number is None else int(number) for number in found.groups())
    if step == 0:
        raise UsageError(f"{found[0]} will not do: its step is 0")
    return range(first or 0, last, step or 1) if last is not None else range(first or 0)
