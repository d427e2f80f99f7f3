"""What records hold: every proxy's passes are run once, on a small network, and their records are described.

The network is a cell of NAS-Bench-201 with 4 channels and one cell a stage; images are of noise.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch

from nasbench_eval import registry, testing
from nasbench_eval.data.batches import Batches
from nasbench_eval.passes import Engine, GradientObserver, LayerObserver, Request, layers, parameter_names
from nasbench_eval.passes.spec import PassSpec
from nasbench_eval.proxies.base import Proxy
from nasbench_eval.scoring.worker import built
from nasbench_eval.spaces.base import Network, SearchSpace

DATASET = "cifar10"
# Sizes that nothing else has, so that they are recognised in a shape.
BATCH, SIDE = 7, 12


@dataclass(frozen=True)
class Seen:
    """What came of one pass.

    Attributes:
        observer: the observer's class, as it is named in the passes' package, or what it derives from.
        keys: of the record, each with its shape.
    """

    observer: str
    keys: str


@cache
def _world() -> tuple[SearchSpace, Any, Batches]:
    datasets = {DATASET: testing.dataset(DATASET)}
    folder = tempfile.TemporaryDirectory()
    testing.write_images(Path(folder.name), DATASET)
    batches = Batches(0, datasets, Path(folder.name), torch.device("cpu"))
    batches._keep = folder  # type: ignore[attr-defined]  # the images live as long as what reads them
    space = testing.SPACE
    return space, space.parse(testing.CELLS[0]), batches


def small(proxy: Proxy) -> Proxy:
    """The proxy with recognisable sizes."""
    names = {field.name for field in fields(proxy)}  # type: ignore[arg-type]
    sizes = {"batch_size": BATCH, "resolution": SIDE}
    if getattr(proxy, "epochs", 0):
        sizes["training_images"] = 4 * BATCH
    return replace(proxy, **{k: v for k, v in sizes.items() if k in names})  # type: ignore[type-var]


@cache
def records(name: str) -> list[Seen]:
    """One entry a pass of a proxy, at its defaults but for batch size and resolution."""
    space, arch, batches = _world()
    proxy = small(registry.find("proxies", name)())
    found = []
    for spec in proxy.passes():
        forward = spec.forward
        if forward.resolution is None:
            spec = replace(spec, forward=replace(forward, resolution=SIDE))
        network = built(space, arch, forward, num_classes=10)
        engine = Engine(network, {DATASET: 10}, batches, (0, space.format(arch)), torch.device("cpu"))
        [outcome] = engine.run([Request(spec, DATASET, proxy.observe)])
        if outcome.record is None:
            raise RuntimeError(f"{name}: no record of {spec}") from outcome.error
        names = _sizes(network, spec)
        keys = ", ".join(f"`{key}` {shape(value, names)}" for key, value in outcome.record.items())
        found.append(Seen(_observer(proxy.observe(network, spec)), keys))
    return found


def _sizes(network: Network, spec: PassSpec) -> Mapping[int, str]:
    return {
        BATCH: "B",
        len(parameter_names(network, "weights")): "T",
        len(layers(network, "conv")): "L",
    }


def shape(value: Any, names: Mapping[int, str]) -> str:
    """The kind of a record's value; sizes that have a letter by their letter."""
    if isinstance(value, torch.Tensor):
        sizes = ", ".join(names.get(size, str(size)) for size in value.shape)
        comma = "," if value.ndim == 1 else ""
        return f"({sizes}{comma}) {str(value.dtype).removeprefix('torch.')}"
    if isinstance(value, list):
        return f"list of {len(value)} {type(value[0]).__name__}s" if value else "empty list"
    return type(value).__name__


def _observer(observer: Any) -> str:
    for public in (LayerObserver, GradientObserver):
        if type(observer) is public:
            return f"`{public.__name__}`"
    return f"its own, `{type(observer).__name__}`"
