"""What a proxy is: the passes it watches, what it keeps of them, and the formula that makes a score."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

from nasbench_eval.errors import Undefined
from nasbench_eval.networks.traits import Traits
from nasbench_eval.passes import ForwardSpec, Observer, PassSpec, Record
from nasbench_eval.passes.spec import Init, Source
from nasbench_eval.spaces.base import Network, Sizes
from nasbench_eval.wording import some

# What proxies of a head or of blocks say of a network that has none.
NO_HEAD = "its logits are not those of one linear layer; name one with head=NAME if there is one"
NO_BLOCKS = "no repeated blocks were found in it; name them with blocks=[...]"


def remark(text: str, names: Iterable[str]) -> list[str]:
    """A reading about some things; none where there are none."""
    listed = ", ".join(sorted(names))
    return [text.format(listed)] if listed else []


def functions(traits: Traits, what: str) -> list[str]:
    """A reading about products with weights that no layer shows."""
    called = sorted(traits.products)
    return [f"products in {some(called)} not {what}"] if called else []


def need(met: object, otherwise: str) -> None:
    """Refuse a network that lacks something.  Raises `Undefined` with the reason."""
    if not met:
        raise Undefined(otherwise)


@dataclass(frozen=True)
class ProxyInfo:
    """What is fixed about a proxy.

    Attributes:
        name: its one name: module, YAML, parquet value, figure label.
        version: raised whenever a change moves scores.
        columns: the numbers stored beside `score`.
        reference: paper and equation.
    """

    name: str
    version: int
    reference: str
    columns: tuple[str, ...] = ()


@runtime_checkable
class Proxy(Protocol):
    """A zero-cost proxy: a frozen dataclass whose fields are its options in Hydra."""

    info: ClassVar[ProxyInfo]

    def passes(self) -> tuple[PassSpec, ...]:
        """The passes it watches, in the order in which `score` gets their records."""
        ...

    def observe(self, net: Network, spec: PassSpec) -> Observer:
        """An observer for one of the passes on one network."""
        ...

    def score(self, records: Sequence[Record]) -> dict[str, float]:
        """The columns and the `score`, higher predicting a better network."""
        ...


class Data(Protocol):
    """What of a data set decides the size of a network."""

    @property
    def num_classes(self) -> int:
        """Outputs of the classifier."""
        ...

    @property
    def resolution(self) -> int:
        """Height and width of its images in pixels."""
        ...


@runtime_checkable
class Choosy(Protocol):
    """A proxy that says on what networks it is defined, and is asked of those that no space has built."""

    def readings(self, traits: Traits) -> list[str]:
        """How its definition is read on a network beyond those that its paper has; none where it is not.

        Raises:
            Undefined: if it has no meaning there, with the reason.
        """
        ...


@runtime_checkable
class OfSize(Protocol):
    """A proxy that knows its score without a pass where a search space tells the size of its networks."""

    def from_size(self, space: Sizes, arch: object, data: Data) -> dict[str, float]:
        """The columns and the `score`, the same as from the passes.

        Raises:
            ValueError: if the network takes no such image; the passes then say so.
        """
        ...


@dataclass(frozen=True)
class Batch:
    """Options every proxy on a mini-batch has.

    Attributes:
        init: distribution of the weights: kaiming, torch_default or gaussian; keep takes those of a network
            of one's own.
        input: what the network is shown: images, gaussian, uniform, ones or perturbed_ones.
        batch_size: samples B in a mini-batch.
        resolution: height and width R of the input in pixels; null takes the data set's own.
    """

    init: Init = "kaiming"
    input: Source = "images"
    batch_size: int = 64
    resolution: int | None = None

    def readings(self, traits: Traits) -> list[str]:
        """How it is read on such a network (see `Choosy`)."""
        kept = traits.opaque if self.init != "keep" else ()
        return [
            *([f"{some(kept)} kept as built"] if kept else []),
            *([f"weights of {some(traits.made)} left out"] if traits.made else []),
        ]

    def forward(self, **fields: object) -> ForwardSpec:
        """The forward pass of these options; `fields` set the rest of the spec."""
        return ForwardSpec(
            init=self.init,
            source=self.input,
            batch_size=self.batch_size,
            resolution=self.resolution,
            **fields,  # type: ignore[arg-type]
        )


@dataclass(frozen=True)
class Sized(Batch):
    """Options of a proxy that may be scored on a thin network and averaged over mini-batches.

    Attributes:
        channels: width C of the network; null takes the search space's own.
        cells: cells N a stage of the network; null takes the search space's own.
        batches: mini-batches the score is averaged over.
    """

    channels: int | None = None
    cells: int | None = None
    batches: int = 1

    def __post_init__(self) -> None:
        if self.batches < 1:
            raise ValueError(f"batches are at least 1; got {self.batches}")

    def forwards(self, **fields: object) -> tuple[ForwardSpec, ...]:
        """A forward pass for each mini-batch; `fields` set the rest of the spec."""
        size = {"channels": self.channels, "cells": self.cells}
        return tuple(self.forward(batch=b, **size, **fields) for b in range(self.batches))
