"""What is told of an architecture, as one value: the text and the JSON of the command are made of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from nasbench_eval.errors import UsageError
from nasbench_eval.registry import nearest
from nasbench_eval.spaces.base import Counts, Graph, GraphSpace, NestedSpace, Part, Sizes
from nasbench_eval.spaces.open import index_of, is_open
from nasbench_eval.wording import first_line, shown

if TYPE_CHECKING:
    from nasbench_eval.show.known import Known
    from nasbench_eval.show.stages import Stage

T = TypeVar("T")
_WORD = re.compile(r"[A-Za-z]\w*")
# Texts of a space that are looked through for words, and the part of a text that is compared with them.
_SAMPLE, _LONGEST = 50, 1000
# Up to this resolution and so many parameters a network is run in earnest.
_SMALL, _LIGHT = 64, 50_000_000
# Of a resolution that a network does not take, how far another one is looked for: by a closed form, or by
# building networks.
_FAR, _NEAR = 64, 8


@dataclass(frozen=True)
class Name:
    """What an architecture is called in its space; what a space does not tell is None.

    Attributes:
        arch: its text.
        index: its position; of isomorphic architectures of which the space has one, the position of that one.
        canonical: the text of the one that stands for all that are isomorphic to it.
        canonical_index: the position of that one.
        live: whether every operation has a bearing on its output.
        neighbours: how many architectures are one edit away.
        graphs: its cells.
        parts: its blocks, where they are nested graphs.
    """

    arch: str
    index: int | None
    canonical: str | None
    canonical_index: int | None
    live: bool | None
    neighbours: int | None
    graphs: tuple[Graph, ...]
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True)
class Facts:
    """All that is told.

    Attributes:
        space: name of the search space.
        options: its options by name.
        size: how many architectures it has; None for a space that is not enumerated.
        name: what the architecture is called.
        dataset: the data set whose resolution and classes these are; None where another was asked for.
        resolution: height and width of the image in pixels.
        classes: of the classifier.
        stages: of the built network.
        known: of its trainings; or why nothing is known.
        counts: its sizes as others count them, by what they are.
    """

    space: str
    options: Mapping[str, Any]
    size: int | None
    name: Name
    dataset: str | None
    resolution: int
    classes: int
    stages: Sequence[Stage]
    known: Known | str
    counts: Mapping[str, float] = field(default_factory=dict)

    @property
    def params(self) -> int:
        """Trainable scalars of the network."""
        return sum(stage.params for stage in self.stages)

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one image, as the proxy `flops` counts them."""
        return sum(stage.macs for stage in self.stages)

    def json(self) -> dict[str, Any]:
        """Plain data, numbers as numbers."""
        name = asdict(self.name)
        graphs = name.pop("graphs")
        del name["parts"]  # the text says as much
        told: dict[str, Any] = {
            "space": {"name": self.space, "options": dict(self.options), "architectures": self.size},
            **name,
            "dataset": self.dataset,
            "resolution": self.resolution,
            "classes": self.classes,
            "params": self.params,
            "macs": self.macs,
            "twice_macs": 2 * self.macs,
            "counts": dict(self.counts),
            "stages": [asdict(stage) for stage in self.stages],
            "graphs": graphs,
        }
        if isinstance(self.known, str):
            return {**told, "known": None, "unknown_because": self.known}
        return {**told, "known": asdict(self.known), "unknown_because": None}


def size_of(space: Any) -> int | None:
    """How many architectures a space has; None where it is not enumerated."""
    return len(space) if hasattr(space, "__len__") and hasattr(space, "arch") else None


def options_of(space: Any) -> dict[str, Any]:
    """A space's options by name."""
    return {f.name: getattr(space, f.name) for f in fields(space)} if is_dataclass(space) else {}


def meant(text: str, space: Any) -> Any:
    """The architecture that a word of the command line means: a text of the space, or an index.

    A text comes first: that of a space may be made of digits alone.

    Raises:
        UsageError: if it is neither; an index outside is told with the nearest one.
    """
    number, size = text.strip(), size_of(space)
    digits = number.removeprefix("-").removeprefix("+")
    index = int(number) if size is not None and digits.isdecimal() and len(digits) < 20 else None
    try:
        return space.parse(text)
    except ValueError as error:
        if index is None or size is None:
            told = first_line(error)  # some spaces tell the nearest themselves
            hint = "" if "did you mean" in told else _hint(number, space)
            raise UsageError(f"{told}{hint}") from error
        inside = 0 <= index < size
        # Where texts are digits, 0012 and 9999999 are texts that went wrong, and no indices.
        if (str(index) != number or not inside) and space.format(space.arch(0)).isdecimal():
            raise UsageError(f"{first_line(error)}; an index is 0 to {size - 1}") from error
        if not inside:
            nearest = 0 if index < 0 else size - 1
            raise UsageError(
                f"{space.name} has architectures 0 to {size - 1}, and no {index}; the nearest is {nearest}"
            ) from error
        return space.arch(index)


def _hint(text: str, space: Any) -> str:
    """The nearest word of the space to the first one that it does not know, or that an index will do."""
    size = size_of(space)
    if size is not None:
        some = [space.arch(index) for index in range(0, size, max(1, size // _SAMPLE))]
    elif hasattr(space, "sample"):
        rng = np.random.default_rng(0)
        some = [space.sample(rng) for _ in range(_SAMPLE)]
    else:
        return ""
    words = {word for arch in some for word in _WORD.findall(space.format(arch))}
    unknown = (word for word in _WORD.findall(text[:_LONGEST]) if word not in words)
    near = next((found[0] for word in unknown if (found := nearest(word, words))), None)
    if near is not None:
        return f"; did you mean {near}?"
    return f"; an index from 0 to {size - 1} will do as well" if size is not None else ""


def name_of(space: Any, arch: Any) -> Name:
    """What an architecture is called."""
    canonical = space.canonical(arch) if hasattr(space, "canonical") else None
    enumerated = size_of(space) is not None and hasattr(space, "index")
    if is_open(space):
        text, standing = space.format(arch), None if canonical is None else space.format(canonical)
        return Name(
            arch=text,
            index=index_of(space.name, text),
            canonical=standing,
            canonical_index=None if standing is None else index_of(space.name, standing),
            live=None,
            neighbours=None,
            graphs=tuple(space.graphs(arch)) if isinstance(space, GraphSpace) else (),
            parts=tuple(space.parts(arch)) if isinstance(space, NestedSpace) else (),
        )
    return Name(
        arch=space.format(arch),
        index=int(space.index(arch)) if enumerated else None,
        canonical=None if canonical is None else space.format(canonical),
        canonical_index=int(space.index(canonical)) if enumerated and canonical is not None else None,
        live=bool(space.live(arch)) if hasattr(space, "live") else None,
        neighbours=len(space.neighbours(arch)) if hasattr(space, "neighbours") else None,
        graphs=tuple(space.graphs(arch)) if isinstance(space, GraphSpace) else (),
    )


def stages_of(space: Any, arch: Any, resolution: int, classes: int) -> Sequence[Stage]:
    """The network of an architecture by stage.

    Raises:
        UsageError: if it takes no images of that resolution (naming the nearest that it takes), or cannot be
            built.
    """
    if isinstance(space, Sizes):
        _require(lambda r: space.flops(arch, resolution=r, num_classes=classes), resolution, _FAR)
    from nasbench_eval.show.stages import NoForward

    def rows(resolution: int) -> Sequence[Stage]:
        return _rows(space, arch, resolution, classes)

    try:
        return rows(resolution) if isinstance(space, Sizes) else _require(rows, resolution, _NEAR)
    except NoForward as error:
        raise UsageError(f"the network takes no images of {resolution} pixels: {error}") from error
    except (RuntimeError, TypeError, MemoryError, OverflowError) as error:
        raise UsageError(f"the network cannot be built: {shown(first_line(error), 300)}") from error


def counts_of(space: Any, arch: Any, resolution: int, classes: int) -> Mapping[str, float]:
    """What a space counts besides, for a resolution that its network takes."""
    if not isinstance(space, Counts):
        return {}
    return dict(space.counts(arch, resolution=resolution, num_classes=classes))


def _rows(space: Any, arch: Any, resolution: int, classes: int) -> Sequence[Stage]:
    import torch

    from nasbench_eval.show.stages import stages

    try:
        with torch.device("meta"):  # no memory for weights that nobody reads
            net = space.build(arch, num_classes=classes)
        # To pass shapes alone takes a second to get ready.
        if resolution > _SMALL or sum(p.numel() for p in net.parameters()) > _LIGHT:
            return stages(net, resolution)
    except (NotImplementedError, RuntimeError, ValueError):  # a network that makes tensors of its own
        pass
    return stages(space.build(arch, num_classes=classes), resolution)


def _require(takes: Callable[[int], T], resolution: int, far: int) -> T:
    """What `takes` makes of a resolution.  Raises UsageError, with the nearest one that it takes."""
    try:
        return takes(resolution)
    except ValueError as error:
        around = range(max(1, resolution - far), resolution + far + 1)
        for other in sorted(around, key=lambda r: abs(r - resolution))[1:]:
            if _takes(takes, other):
                wrong = f"resolution {resolution} will not do: {first_line(error)}"
                raise UsageError(f"{wrong}; the nearest is {other}") from error
        raise


def _takes(takes: Callable[[int], T], resolution: int) -> bool:
    try:
        takes(resolution)
    except ValueError:
        return False
    return True
