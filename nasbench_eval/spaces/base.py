"""What a search space has to offer, and the shape of the networks it builds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, overload

from torch import Tensor, nn

N = TypeVar("N", bound=nn.Module)
_DRAWN: tuple[Any, ...] = (nn.modules.conv._ConvNd, nn.modules.batchnorm._BatchNorm, nn.Linear)


class Network(nn.Module):
    """A classifier cut where the passes need it: body up to the last feature map, then the head.

    The cut lets one forward pass through the body serve several data sets whose networks differ only in
    the classifier.  `classifier` may be replaced by another linear layer with the same input width.
    """

    stem: nn.Module
    cells: nn.ModuleList
    classifier: nn.Linear

    def features(self, x_BCHW: Tensor) -> Tensor:
        """Feature maps (B, C, h, w) before global pooling, of images (B, 3, H, W)."""
        raise NotImplementedError

    def head(self, features_BChw: Tensor) -> Tensor:
        """Logits (B, classes) of feature maps (B, C, h, w)."""
        raise NotImplementedError

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Logits (B, classes) of images (B, 3, H, W)."""
        return self.head(self.features(x_BCHW))


def uninitialised(make: Callable[[], N]) -> N:
    """The module that `make` makes, without drawing the weights of its layers: they would be overwritten.

    A device without memory (`meta`) would do as well, and takes twice as long.
    """
    drawn = [kind.reset_parameters for kind in _DRAWN]
    for kind in _DRAWN:
        kind.reset_parameters = lambda self: None
    try:
        return make()
    finally:
        for kind, draw in zip(_DRAWN, drawn, strict=True):
            kind.reset_parameters = draw


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


@dataclass(frozen=True)
class Names(Sequence[str]):
    """The texts of a space's architectures by index, each made when it is first asked for."""

    space: SearchSpace
    _known: dict[int, str] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.space)

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
