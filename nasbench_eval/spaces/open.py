"""Search spaces that cannot be counted, and how the rest of the package works on them.

An open space has no length and no order of its own: it draws architectures (`sample`), changes them
(`mutate`) and reads their texts.  Everything else in this package works on architectures by index.  `known`
makes one out of the other: the index of an architecture is a hash of its text, and the architectures that can
be asked for are those whose texts have been met.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from functools import cache, cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

import numpy as np

from nasbench_eval.errors import UsageError
from nasbench_eval.options.typed import made
from nasbench_eval.spaces.base import SearchSpace
from nasbench_eval.wording import shown

if TYPE_CHECKING:
    from torch import nn

# What an open space has to have.
METHODS = ("parse", "format", "canonical", "build", "sample", "mutate")
# Draws in a row that may bring nothing new before a sample is given up.
_IDLE = 1000


class OpenSpace(Protocol):
    """A set of architectures without a length.  Implementations are frozen dataclasses; fields are options.

    It may have `params` and `flops` (see `Sizes`), `build_cell` (see `CellSpace`), `weight_key`, `live`,
    `neighbours` and `resized` besides, as a `SearchSpace` has them; `stages` (see `StagedSpace`);
    limits that searches keep to (see `Limited`), and one of its size (see `Budgeted`); `choices`, `encode`
    and `decode` where architectures are lists of choices (see `ByChoices`); `has`, `of`, `edges`,
    `operations` and `groups` where they are supernets (see `search.moves.Supernets`); and `one_hot`, an
    architecture as numbers that distances between architectures can be taken of.
    """

    @property
    def name(self) -> str:
        """The space's one name: file stem, YAML stem, parquet value."""
        ...

    def parse(self, text: str) -> Any:
        """The architecture a text names.  Raises ValueError, saying what is wrong with the text."""
        ...

    def format(self, arch: Any) -> str:
        """The one text of an architecture; inverse of `parse`."""
        ...

    def canonical(self, arch: Any) -> Any:
        """One representative for all architectures isomorphic to this one."""
        ...

    def build(self, arch: Any, *, num_classes: int) -> nn.Module:
        """A network, or any module that gives logits (B, num_classes).

        Whoever runs it sets the parameters of convolutions, linear layers and normalisations.  Those of a
        module that is no `Network` which belong to other layers stay as they were built.
        """
        ...

    def sample(self, rng: np.random.Generator) -> Any:
        """An architecture at random, decided by the generator alone."""
        ...

    def mutate(self, arch: Any, rng: np.random.Generator) -> Any:
        """Another architecture of the space, one random edit away, decided by the generator alone."""
        ...


@runtime_checkable
class ByChoices(Protocol):
    """What a space has besides if its architectures are lists of choices, which policies learn."""

    @property
    def choices(self) -> tuple[int, ...]:
        """How many alternatives each choice has; empty if the space, as it is set, has no such form."""
        ...

    def encode(self, arch: Any) -> list[int]:
        """The choices that an architecture shows, −1 where it shows none.  Raises ValueError."""
        ...

    def decode(self, chosen: Sequence[int]) -> Any:
        """The architecture of these choices; those that it does not show make no difference."""
        ...


@runtime_checkable
class Limited(Protocol):
    """What an open space may offer besides: limits that the candidates of searches keep to."""

    @property
    def start(self) -> Any:
        """The architecture that searches start from."""
        ...

    def candidate(self, arch: Any, rng: np.random.Generator, draws: int) -> Any:
        """What so many draws make of an architecture: it may break a limit, or be the same."""
        ...

    def beyond(self, arch: Any, parent: Any = None) -> str | None:
        """In a few words the limit that an architecture breaks, further than its parent does; or None."""
        ...


@runtime_checkable
class Budgeted(Protocol):
    """What an open space may offer besides: a limit of the size of its networks."""

    @property
    def max_flops(self) -> float | None:
        """The limit; None for none."""
        ...

    def budgeted(self, arch: Any) -> float:
        """The number that is limited."""
        ...


def index_of(space: str, text: str) -> int:
    """The index of an architecture of an open space: 63 bits of the text, the same on every machine."""
    digest = hashlib.sha256(f"{space}\x1f{text}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def finder(space: Any, archs: Sequence[str]) -> Callable[[str], int | None]:
    """Tells the place of an architecture in a list of texts; None for one that is not there.

    The same text comes first.  Otherwise it is the one text that means the same network (`canonical`); where
    several do, none is taken, since they may differ in what is known of them.  Texts are read only if need
    be: some spaces import large packages for it.
    """
    exact = {text: place for place, text in enumerate(archs)}

    def key(text: str) -> str:
        try:
            return str(space.format(space.canonical(space.parse(text))))
        except ValueError:
            return text

    @cache
    def by_key() -> dict[str, list[int]]:
        places: dict[str, list[int]] = {}
        for place, text in enumerate(archs):
            places.setdefault(key(text), []).append(place)
        return places

    def place(text: str) -> int | None:
        if text in exact:
            return exact[text]
        same = by_key().get(key(text), [])
        return same[0] if len(same) == 1 else None

    return place


class Known:
    """What is added to the class of an open space so that its architectures have an index (see `known`).

    The texts that it knows are no part of what the space is: they are in no comparison, no hash and no
    record.  They go along when it is sent to another process.
    """

    if TYPE_CHECKING:
        name: str

        def parse(self, text: str) -> Any: ...
        def format(self, arch: Any) -> str: ...
        def canonical(self, arch: Any) -> Any: ...
        def sample(self, rng: np.random.Generator) -> Any: ...

    @cached_property
    def _texts(self) -> dict[int, str]:
        return {}

    def __reduce__(self) -> tuple[Any, ...]:
        options = {field.name: getattr(self, field.name) for field in fields(cast(Any, self))}
        return _restored, (type(self).__mro__[2], options, self._texts)

    def __len__(self) -> int:
        raise UsageError(f"the search space {self.name} has no length: its architectures cannot be counted")

    def __bool__(self) -> bool:
        return True  # and no question of length

    @property
    def texts(self) -> Mapping[int, str]:
        """The texts that are known, by index, in the order in which they were met."""
        return MappingProxyType(self._texts)

    def arch(self, index: int) -> Any:
        """The architecture of an index.  Raises IndexError where its text is not known."""
        if index not in self._texts:
            raise IndexError(f"{self.name} knows no architecture of the index {index}")
        return self.parse(self._texts[index])

    def index(self, arch: Any) -> int:
        """The index of an architecture, which is known from now on.

        Raises:
            UsageError: if another one has the same.
        """
        text = self.format(arch)
        index = index_of(self.name, text)
        self.require(index, text)
        self._texts.setdefault(index, text)
        return index

    def learn(self, texts: Iterable[object]) -> None:
        """Make the architectures that texts name known; a text that names none is passed over.

        Raises:
            UsageError: if two have the same index.
        """
        for text in map(str, texts):
            if self._texts.get(index_of(self.name, text)) != text:
                with suppress(ValueError):
                    self.index(self.parse(text))

    def require(self, index: int, text: str) -> None:
        """Refuse a text where another one is known to have its index.

        Raises:
            UsageError: naming both.
        """
        if (other := self._texts.get(index, text)) != text:
            raise UsageError(same_index(index, other, text))

    def means(self, index: int, text: str) -> bool:
        """Whether the architecture of an index, which is known, is that of a text, or stands for it."""
        if text == self._texts[index]:
            return True
        try:
            return self.format(self.canonical(self.parse(text))) == self._texts[index]
        except ValueError:
            return False

    def drawn(self, n: int, seed: int) -> tuple[int, ...]:
        """n different architectures, drawn by `sample`; a smaller n is a prefix of a larger one.

        Raises:
            UsageError: if there seem to be fewer.
        """
        rng, found, idle = np.random.default_rng(seed), dict[int, None](), 0
        while len(found) < n:
            before = len(found)
            found[self.index(self.sample(rng))] = None
            idle = 0 if len(found) > before else idle + 1
            if idle == _IDLE:
                raise UsageError(
                    f"n={n}: {len(found)} different architectures of {self.name} were drawn, and {_IDLE:,} "
                    "more draws gave no other"
                )
        return tuple(found)


def same_index(index: int, one: str, other: str) -> str:
    """What to say of two texts of the same index."""
    return (
        f"the architectures {shown(one)} and {shown(other)} have the same index {index}, so that their "
        "scores cannot be told apart; they cannot stand in one run"
    )


def is_open(space: object) -> bool:
    """Whether a space has no length of its own."""
    return isinstance(space, Known) or open_class(type(space))


def open_class(cls: type) -> bool:
    """Whether the spaces of a class have no length of their own."""
    return not hasattr(cls, "__len__")


def known(space: object, texts: Iterable[str]) -> SearchSpace:
    """An open space whose architectures have an index, as those of an enumerated space do.

    It has the options and methods of the space, and is equal to any other of the same options.  `index` gives
    the index of every architecture and makes it known; `arch` gives the architecture back.

    Args:
        space: an `OpenSpace`, or one that this function gave; it stays as it is.
        texts: of architectures that are to be known at once.

    Raises:
        UsageError: if the space lacks a method, or two of the texts have the same index.
        ValueError: if a text names no architecture.
    """
    cls = type(space).__mro__[2] if isinstance(space, Known) else type(space)
    if lacking := [name for name in METHODS if not callable(getattr(cls, name, None))]:
        name = getattr(space, "name", cls.__name__)
        raise UsageError(
            f"the search space {name} has no length, so it counts as an open one, but it lacks "
            f"{', '.join(lacking)}"
        )
    options = {field.name: getattr(space, field.name) for field in fields(cast(Any, space))}
    found: SearchSpace = _restored(cls, options, dict(space.texts) if isinstance(space, Known) else {})
    for text in texts:
        found.index(found.parse(text))
    return found


def space_of(node: Any) -> SearchSpace:
    """A search space from the name of its class and its options; an open one with no text known yet.

    Args:
        node: `{"name": ..., option: value, ...}`.

    Raises:
        UsageError: if there is no such class, an option of it will not do, or a method is missing.
    """
    space: SearchSpace = made("spaces", node)
    return known(space, ()) if is_open(space) else space


@cache
def _class(cls: type) -> type:
    """The class of a space with `Known` added, which comes first; it has no name of its own."""
    about = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    return type(cls.__name__, (Known, cls), about)


def _restored(cls: type, options: Mapping[str, Any], texts: dict[int, str]) -> Any:
    """A space of known texts, without a call of its class: the options have been checked before."""
    space: Any = object.__new__(_class(cls))
    for name, value in options.items():
        object.__setattr__(space, name, value)
    vars(space)["_texts"] = texts
    return space
