"""Which architectures a command asks for: drawn by its options, and told again from the record of a run."""

from __future__ import annotations

import re
from collections.abc import Sequence

from nasbench_eval import sampling
from nasbench_eval.errors import UsageError
from nasbench_eval.options.quoting import CELLS, RANGE, numbers_of
from nasbench_eval.options.typed import RunOptions, Sampled
from nasbench_eval.runs.record import LATER, Record
from nasbench_eval.runs.split import split_of
from nasbench_eval.spaces.base import SearchSpace
from nasbench_eval.wording import first_line, some
from nasbench_eval.work.subject import LISTED, Subject, recorded


def drawn(options: Sampled, subject: Subject, n: int | str, sampling: str = "uniform") -> tuple[int, ...]:
    """The architectures that `indices=` names, or n drawn at random, by index.

    Args:
        options: of the command.
        subject: what there is to draw from.
        n: how many; `all` for every one.
        sampling: `uniform`, or `live` for the live architectures alone.

    Raises:
        UsageError: if there are no such architectures.
    """
    if options.indices is not None:
        return _given(options.indices, subject)
    every = subject.sampled(sampling)
    if isinstance(n, str) or n > LISTED:
        subject.require_list()
    if isinstance(n, str):
        return tuple(every)
    if n > len(every):
        kind = "live architectures" if sampling == "live" else "architectures"
        raise UsageError(f"n={n}: {subject.name} has {len(every)} {kind}; n=all takes them all")
    return uniform(every, n, options.sample_seed)


def uniform(every: Sequence[int], n: int, seed: int) -> tuple[int, ...]:
    """n of the architectures, each as likely as any other; a smaller n is a prefix of a larger one."""
    return tuple(every[place] for place in sampling.uniform(len(every), n, seed))


def stratified(options: RunOptions, subject: Subject, n: int | str) -> tuple[int, ...]:
    """n architectures in turn from ten bands of test accuracy (see `sampling.stratified`).

    Raises:
        UsageError: if there is nothing to draw, or the accuracies are not here.
    """
    if options.indices is not None or isinstance(n, str):
        given = "n=all" if options.indices is None else "indices="
        raise UsageError(f"sampling=stratified draws a sample; {given} leaves nothing to draw, n=500 would")
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


def _meant(item: int | str, space: SearchSpace) -> Sequence[int]:
    """The architectures that an item of `indices=` means: an index, a range of them, a text or a hash."""
    if isinstance(item, int):
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


def asked(record: Record, size: int) -> Sequence[int] | str:
    """The cells that the command of a record asked for, in the order of the draw, or why they cannot be told.

    Of a shard these are its own, sorted.
    """
    sample = _sample(record, size)
    if isinstance(sample, str) or record.get("shard") is None:
        return sample
    try:
        split = split_of(str(record["shard"]), None)
        return sample if split is None else split.take(sample)
    except UsageError as error:
        return str(error)


def given(record: Record) -> list[int]:
    """The cells that were named with `indices=`, each once; none if the record does not tell."""
    listed = record.get("indices")
    if isinstance(listed, str):
        return sampling.cells_of(listed)
    # Records of earlier versions have them in the command alone.
    found = re.search(r"indices=\[([\d, ]*)\]", str(record.get("command", "")))
    return list(dict.fromkeys(int(i) for i in re.findall(r"\d+", found[1]))) if found else []


def is_uniform(record: Record) -> bool:
    """Whether a record's sample was drawn uniformly, of all or of the live ones, by a seed that it names."""
    was_drawn = record.get("sample") != "given" and isinstance(record.get("sample_seed"), int)
    return was_drawn and record.get("sampling", LATER["sampling"]) in ("uniform", "live")


def architectures(record: Record, size: int) -> Sequence[int]:
    """The architectures that a record's sample was drawn from.

    Raises:
        UsageError: if the benchmark or the search space is not here.
    """
    sampling = record.get("sampling", LATER["sampling"])
    if record.get("truth") is None and sampling != "live":
        return range(size)
    return recorded(record).sampled(sampling)


def _sample(record: Record, size: int) -> Sequence[int] | str:
    """The cells that all shards of a command were asked for, or why they cannot be told."""
    n, command = record.get("n"), str(record.get("command", ""))
    try:
        every = architectures(record, size)
    except UsageError as error:
        return str(error)
    if not isinstance(n, int) or not 0 < n <= len(every):
        return f"n={n} is no number of cells of the space"
    if record.get("sample") == "given" or "indices=" in command:
        indices = given(record)
        told = len(indices) == n and max(indices) < size
        return indices if told else "the record does not tell which cells were given"
    if n == len(every):
        return every
    if not is_uniform(record):
        return "a stratified sample is drawn by accuracies, which are not part of the run"
    if not isinstance(record.get("sample_seed"), int):
        return "the record does not say by which seed the sample was drawn"
    return uniform(every, n, record["sample_seed"])
