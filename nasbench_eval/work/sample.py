"""Which architectures a command asks for: drawn by its options, and told again from the record of a run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from nasbench_eval import sampling
from nasbench_eval.errors import UsageError
from nasbench_eval.options.quoting import CELLS, RANGE, numbers_of
from nasbench_eval.options.typed import RunOptions, Sampled
from nasbench_eval.runs.record import LATER, Record, within
from nasbench_eval.runs.split import split_of
from nasbench_eval.spaces.base import SearchSpace
from nasbench_eval.spaces.open import Known, index_of
from nasbench_eval.wording import first_line, shortened, some
from nasbench_eval.work.subject import LISTED, Subject, recorded

# The record of a run, which each of its files bears, lists the texts of `archs=`.
MOST_NAMED = 50_000


def drawn(options: Sampled, subject: Subject, n: int | str, sampling: str = "uniform") -> tuple[int, ...]:
    """The architectures that `indices=` or `archs=` names, or n drawn at random, by index.

    Args:
        options: of the command.
        subject: what there is to draw from.
        n: how many; `all` for every one.
        sampling: `uniform`; `live` for the live architectures alone, or `distinct` for one of each class of
            isomorphic ones.

    Raises:
        UsageError: if there are no such architectures.
    """
    if options.archs is not None:
        return _named(options, subject)
    if options.indices is not None:
        return _given(options.indices, subject)
    if subject.open is not None:
        return _drawn(subject.open, n, options.sample_seed, sampling)
    every = subject.sampled(sampling)
    if isinstance(n, str) or n > LISTED:
        subject.require_list()
    if isinstance(n, str):
        return tuple(every)
    if n > len(every):
        kind = "architectures" if sampling == "uniform" else f"{sampling} architectures"
        raise UsageError(f"n={n}: {subject.name} has {len(every)} {kind}; n=all takes them all")
    return uniform(every, n, options.sample_seed)


def uniform(every: Sequence[int], n: int, seed: int) -> tuple[int, ...]:
    """n of the architectures, each as likely as any other; a smaller n is a prefix of a larger one."""
    return tuple(every[place] for place in sampling.uniform(len(every), n, seed))


def _drawn(space: Known, n: int | str, seed: int, sampling: str) -> tuple[int, ...]:
    """n architectures of an open space."""
    if sampling != "uniform":
        raise UsageError(
            f"sampling={sampling} goes through all architectures, and those of {space.name} cannot be "
            "listed; sampling=uniform draws by the space's own sample"
        )
    if isinstance(n, str):
        raise UsageError(
            f"n={n}: the architectures of {space.name} cannot be listed: n=1000 draws some of them, archs= "
            "names some"
        )
    if n > LISTED:
        raise UsageError(f"n={n}: at most {LISTED:,} architectures of an open search space are drawn")
    return space.drawn(n, seed)


def stratified(options: RunOptions, subject: Subject, n: int | str) -> tuple[int, ...]:
    """n architectures in turn from ten bands of test accuracy (see `sampling.stratified`).

    Raises:
        UsageError: if there is nothing to draw, or the accuracies are not here.
    """
    if options.indices is not None or options.archs is not None or isinstance(n, str):
        given = "indices=" if options.indices is not None else "archs=" if options.archs else "n=all"
        raise UsageError(f"sampling=stratified draws a sample; {given} leaves nothing to draw, n=500 would")
    if isinstance(subject.space, Known):
        raise UsageError(
            f"sampling=stratified draws by the accuracies of a whole space, and the architectures of "
            f"{subject.space.name} cannot be listed; sampling=uniform draws by the space's own sample"
        )
    if n > (there := len(subject.architectures)):
        raise UsageError(f"n={n}: {subject.name} has {there} architectures; n=all takes them all")
    if len(subject.datasets) > 1:
        several = ", ".join(subject.datasets)
        raise UsageError(f"sampling=stratified draws by the accuracies of one data set, not of {several}")
    found = sampling.stratified(subject.accuracy(options.data), n, options.sample_seed)
    if len(found) < n:
        raise UsageError(f"n={n}: only {len(found)} architectures have an accuracy to be drawn by")
    return found


def _given(named: Sequence[int | str], subject: Subject) -> tuple[int, ...]:
    """The architectures of `indices=`, each once."""
    if isinstance(subject.space, Known):
        raise UsageError(
            f"indices=: the architectures of {subject.space.name} have no numbers of their own; archs= names "
            "some by their texts"
        )
    size, every = len(subject.space), subject.architectures
    indices = [index for item in named for index in _meant(item, subject.space)]
    if not indices:
        raise UsageError("indices=[]: name at least one architecture")
    if bad := [index for index in indices if not 0 <= index < size]:
        raise UsageError(f"indices={_list(bad)}: the space has architectures 0 to {size - 1}")
    known_ones = every if isinstance(every, range) else set(every)
    if unknown := sorted(index for index in set(indices) if index not in known_ones):
        known = f"the {len(every)} architectures of {subject.name}"
        raise UsageError(f"indices={_list(unknown)}: not among {known}")
    return tuple(dict.fromkeys(indices))


def _named(options: Sampled, subject: Subject) -> tuple[int, ...]:
    """The architectures of `archs=`, a text each."""
    if options.indices is not None:
        raise UsageError("archs= and indices= both name architectures; leave one of them out")
    texts = _texts(options.archs)
    if len(texts) > MOST_NAMED:
        raise UsageError(f"archs= names {len(texts):,} architectures; a run takes at most {MOST_NAMED:,}")
    found: dict[int, str] = {}
    for place, text in texts:
        try:
            index = subject.space.index(subject.space.parse(text))
        except ValueError as error:
            raise UsageError(f"archs={place}: {first_line(error)}") from error
        if index in found:
            raise UsageError(f"archs={place} names the architecture of {found[index]} again; name each once")
        found[index] = place
    every = subject.architectures if subject.open is None else found
    known_ones = every if isinstance(every, range) else set(every)
    if unknown := [place for index, place in found.items() if index not in known_ones]:
        known = f"the {len(every)} architectures of {subject.name}"
        raise UsageError(f"archs={unknown[0]}: not among {known}")
    return tuple(found)


def _texts(given: Path | Sequence[str] | None) -> list[tuple[str, str]]:
    """The texts of `archs=`, each with what messages call its place."""
    if not isinstance(given, Path):
        if not given:
            raise UsageError("archs=[]: name at least one architecture")
        return [(f"[{shortened(text, 100)}]", text) for text in given]
    try:
        lines = given.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no text in UTF-8"
        raise UsageError(
            f"archs={given} cannot be read ({reason}); it should be a file with one text a line, or "
            "'archs=[TEXT]'"
        ) from error
    numbered = [(f"{given}, line {number}", line.strip()) for number, line in enumerate(lines, 1)]
    texts = [(place, line) for place, line in numbered if line and not line.startswith("#")]
    if not texts:
        raise UsageError(f"archs={given}: the file names no architecture; write one text a line")
    return texts


def _meant(item: int | str, space: SearchSpace) -> Sequence[int]:
    """The architectures that an item of `indices=` means: an index, a range of them, a text or a hash."""
    if isinstance(item, int):
        if not 0 <= item < len(space):
            with suppress(ValueError):  # the texts of a space may be digits
                return (space.index(space.parse(str(item))),)
        return (item,)
    text = item.strip()
    if found := RANGE.fullmatch(text):
        numbers = numbers_of(found)
        # One number too many is told; the others of a range that ends far outside are not made.
        return numbers[: min(len(space), LISTED) + 1]
    try:
        return (space.index(space.parse(text)),)
    except ValueError as error:
        raise UsageError(f"{CELLS}: {first_line(error)}") from error


def _list(indices: Sequence[int]) -> str:
    """Indices as messages quote them, the first few."""
    return f"[{some(indices)}]"


def asked(record: Record, space: SearchSpace) -> Sequence[int] | str:
    """The cells that the command of a record asked for, in the order of the draw, or why they cannot be told.

    Of a shard these are its own, sorted.
    """
    sample = _sample(record, space)
    if isinstance(sample, str) or record.get("shard") is None:
        return sample
    try:
        split = split_of(str(record["shard"]), None)
        return sample if split is None else split.take(sample)
    except UsageError as error:
        return str(error)


def given(record: Record) -> list[int]:
    """The cells that were named with `indices=` or `archs=`, each once; none if the record does not tell."""
    texts, listed = record.get("archs"), record.get("indices")
    if isinstance(texts, list):
        name = str(within(record, "space").get("name"))
        return list(dict.fromkeys(index_of(name, str(text)) for text in texts[:MOST_NAMED]))
    if isinstance(listed, str):
        return sampling.cells_of(listed)
    # Records of earlier versions have them in the command alone.
    found = re.search(r"indices=\[([\d, ]*)\]", str(record.get("command", "")))
    return list(dict.fromkeys(int(i) for i in re.findall(r"\d+", found[1]))) if found else []


def is_uniform(record: Record) -> bool:
    """Whether a record's sample was drawn uniformly, of all or of a part, by a seed that it names."""
    was_drawn = record.get("sample") != "given" and isinstance(record.get("sample_seed"), int)
    return was_drawn and record.get("sampling", LATER["sampling"]) in ("uniform", "live", "distinct")


def first_drawn(record: Record, space: SearchSpace, n: int) -> Sequence[int]:
    """The first n architectures, or all, in the order in which a uniform sample (see `is_uniform`) is drawn.

    Raises:
        UsageError: if the benchmark or the search space is not here, or has fewer.
    """
    if (listless := _listless(record, space)) is not None:
        return listless.drawn(min(n, LISTED), record["sample_seed"])
    every = _architectures(record, space)
    return uniform(every, min(len(every), n), record["sample_seed"])


def _listless(record: Record, space: SearchSpace) -> Known | None:
    """The space of a record, if its sample was drawn from an open one."""
    return space if isinstance(space, Known) and record.get("truth") is None else None


def _architectures(record: Record, space: SearchSpace) -> Sequence[int]:
    """The architectures that a record's sample was drawn from."""
    sampling = record.get("sampling", LATER["sampling"])
    if record.get("truth") is None and sampling not in ("live", "distinct"):
        return range(len(space))
    return recorded(record).sampled(sampling)


def _sample(record: Record, space: SearchSpace) -> Sequence[int] | str:
    """The cells that all shards of a command were asked for, or why they cannot be told."""
    n, command = record.get("n"), str(record.get("command", ""))
    listless = _listless(record, space)
    try:
        every = () if listless is not None else _architectures(record, space)
    except UsageError as error:
        return str(error)
    if not isinstance(n, int) or not 0 < n <= (LISTED if listless is not None else len(every)):
        return f"n={n} is no number of cells of the space"
    if record.get("sample") == "given" or "indices=" in command:
        indices = given(record)
        told = len(indices) == n and (isinstance(space, Known) or max(indices) < len(space))
        return indices if told else "the record does not tell which cells were given"
    if listless is not None:
        if not is_uniform(record):
            return "the record does not say by which seed the sample was drawn"
        try:
            return listless.drawn(n, record["sample_seed"])
        except UsageError as error:
            return str(error)
    if n == len(every):
        return every
    if not is_uniform(record):
        return "a stratified sample is drawn by accuracies, which are not part of the run"
    if not isinstance(record.get("sample_seed"), int):
        return "the record does not say by which seed the sample was drawn"
    return uniform(every, n, record["sample_seed"])
