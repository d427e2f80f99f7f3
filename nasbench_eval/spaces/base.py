"""What a search space has to offer; the shape of the networks it builds is in `_network`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, Protocol, overload, runtime_checkable

from nasbench_eval.spaces._graph import Graph as Graph
from nasbench_eval.spaces._graph import GraphEdge as GraphEdge
from nasbench_eval.spaces._nested import Box as Box
from nasbench_eval.spaces._nested import Boxes as Boxes
from nasbench_eval.spaces._nested import Mark as Mark
from nasbench_eval.spaces._nested import Part as Part
from nasbench_eval.spaces._stage import Stage as Stage
from nasbench_eval.spaces._stage import StageBlock as StageBlock

if TYPE_CHECKING:
    from nasbench_eval.spaces._network import Drawn as Drawn
    from nasbench_eval.spaces._network import Featured as Featured
    from nasbench_eval.spaces._network import Network as Network
    from nasbench_eval.spaces._network import Product as Product
    from nasbench_eval.spaces._network import summed as summed
    from nasbench_eval.spaces._network import uninitialised as uninitialised
    from nasbench_eval.spaces._task_head import TaskHead as TaskHead

# What a network is for.  `classification` has a linear layer and cross-entropy; the heads of the others say
# themselves what they put out, and by what loss.
Task = Literal["classification", "regression", "segmentation", "autoencoding", "normals", "jigsaw"]
# Pieces of an image, three times three, that networks for jigsaws see in an order which they have to tell.
PIECES = 9
# What PyTorch is needed for is imported when it is asked for: to name architectures it is not needed.
_NETWORKS = ("Drawn", "Featured", "Network", "Product", "summed", "uninitialised")


def __getattr__(name: str) -> Any:
    if name == "TaskHead":
        return import_module("nasbench_eval.spaces._task_head").TaskHead
    if name in _NETWORKS:
        return getattr(import_module("nasbench_eval.spaces._network"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class SearchSpace(Protocol):
    """A finite, ordered set of architectures.  Implementations are frozen dataclasses; fields are options."""

    @property
    def name(self) -> str:
        """The space's one name: file stem, YAML stem, parquet value."""
        ...

    def __len__(self) -> int: ...

    def arch(self, index: int) -> Any:
        """The architecture at a position in the benchmark's own order.  Raises IndexError outside it."""
        ...

    def index(self, arch: Any) -> int:
        """The position of an architecture, or of the one that stands for it; inverse of `arch`."""
        ...

    def parse(self, text: str) -> Any:
        """The architecture a text names.  Raises ValueError, saying what is wrong with the text."""
        ...

    def format(self, arch: Any) -> str:
        """The benchmark's text for an architecture; inverse of `parse`."""
        ...

    def build(self, arch: Any, *, num_classes: int) -> Network:
        """An uninitialised network: whoever runs it sets every parameter."""
        ...

    def resized(self, *, channels: int | None, cells: int | None) -> SearchSpace:
        """The same architectures in networks with other channels in the stem and other cells a stage.

        None keeps what the space has.
        """
        ...

    def live(self, arch: Any) -> bool:
        """Whether every operation of an architecture has a bearing on its output."""
        ...

    def canonical(self, arch: Any) -> Any:
        """One representative for all architectures isomorphic to this one."""
        ...

    def neighbours(self, arch: Any) -> list[Any]:
        """The other architectures of the space that one edit leads to."""
        ...


@runtime_checkable
class Sizes(Protocol):
    """What a search space may offer besides: the sizes of its networks, without building them."""

    def params(self, arch: Any, *, num_classes: int) -> int:
        """Trainable scalars of the network that `build` makes, batch norm and classifier included."""
        ...

    def flops(self, arch: Any, *, resolution: int, num_classes: int) -> int:
        """Multiply-accumulates of its convolutions, products of features and classifier for one image.

        Raises:
            ValueError: if the network takes no image of that resolution.
        """
        ...


@runtime_checkable
class TaskSpace(Protocol):
    """What a search space offers besides if its networks do not only classify.

    Its networks have the heads: `Network.task_head`.
    """

    @property
    def tasks(self) -> Sequence[Task]:
        """What they can do."""
        ...

    def sizes(self, task: Task) -> Sizes:
        """The sizes of the networks with the head of a task; `num_classes` are its outputs."""
        ...


@runtime_checkable
class Counts(Protocol):
    """What a search space may offer besides: sizes as others count them, for `nasbench-show`."""

    def counts(self, arch: Any, *, resolution: int, num_classes: int) -> Mapping[str, float]:
        """Numbers, by what they are in a few words.

        Raises:
            ValueError: if the network takes no image of that resolution.
        """
        ...


@runtime_checkable
class CellSpace(Protocol):
    """What a search space offers besides if its cell can be run by itself."""

    def build_cell(self, arch: Any, *, num_classes: int) -> Network:
        """An uninitialised network without a stem: one cell of the space's width C, what follows the cells in
        the whole network, and a classifier.  It takes feature maps (B, C, h, w) of any size.
        """
        ...


@runtime_checkable
class DigitSpace(Protocol):
    """What a search space offers besides if the index of an architecture has a digit for each of its choices.

    Searches can learn the choices then, or keep to some of the architectures.
    """

    @property
    def choices(self) -> tuple[int, ...]:
        """How many alternatives each choice has, at least 2; the first one's digit is the foremost."""
        ...


@runtime_checkable
class ComparedSpace(Protocol):
    """What a space with an order offers besides if its architectures, no lists of choices, can be compared.

    Searches can keep to some of the architectures then.
    """

    def traits(self, arch: Any) -> Sequence[int]:
        """Whole numbers, as many for each architecture; two differ by how many of them are not the same."""
        ...


@runtime_checkable
class GraphSpace(Protocol):
    """What a search space offers besides if its architectures can be drawn as graphs."""

    def graphs(self, arch: Any) -> Sequence[Graph]:
        """The graphs that make up an architecture: one of each kind of cell."""
        ...


@runtime_checkable
class NestedSpace(Protocol):
    """What a search space offers besides if its networks are nested graphs, for those who draw them."""

    def parts(self, arch: Any, before: Any = None) -> Sequence[Part]:
        """The blocks of an architecture; where an earlier one is given, with what became of it.

        Raises:
            ValueError: if the two cannot be compared.
        """
        ...


@runtime_checkable
class StagedSpace(Protocol):
    """What a search space offers besides if its networks consist of stages, for reports of searches."""

    def stages(self, arch: Any, *, resolution: int) -> Sequence[Stage]:
        """The stages of an architecture at images of a resolution, from the first to the last."""
        ...


@runtime_checkable
class WeightSharing(Protocol):
    """What a search space offers besides if the text of an architecture does not decide its weights."""

    def weight_key(self, arch: Any) -> str:
        """What weights are drawn from, beside the run's seed and a tensor's name.

        Architectures with the same key have the same weights where they have tensors of the same name and
        shape.
        """
        ...


def weight_key(space: SearchSpace, arch: Any) -> str:
    """What an architecture's weights are drawn from: its text, unless the space says something else."""
    return space.weight_key(arch) if isinstance(space, WeightSharing) else space.format(arch)


@dataclass(frozen=True)
class Names(Sequence[str]):
    """The texts of a space's architectures by index, each made when it is first asked for."""

    space: SearchSpace
    _known: dict[int, str] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.space)

    def holds(self, index: int) -> bool:
        """Whether the space has, or an open one knows, an architecture of this index."""
        with suppress(IndexError):
            return bool(self[index])
        return False

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if index not in self._known:
            self._known[index] = self.space.format(self.space.arch(index))
        return self._known[index]
