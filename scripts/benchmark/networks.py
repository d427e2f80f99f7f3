"""What `nasbench_eval.score` costs on networks of no search space, in bare passes of the same network."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

import nasbench_eval
from benchmark.processes import peak_bytes
from benchmark.readings import FEW_PASS, FEW_PASS_TITLE
from benchmark.unit import timed
from nasbench_eval.spaces._torchvision import import_torchvision
from nasbench_eval.spaces.uninas import UniNAS

# timm's names; the third is of the UniNAS space.
MODELS = {"ResNet-18": "resnet18", "MobileNetV2": "mobilenetv2_100"}
COATNET = "CoAtNet"
# Proxies with options that are scored at once, by what the report calls them.
Asked = Mapping[str, Mapping[str, Any]]
FEWEST = "intrain, products=fewest"
INTRAIN: dict[str, Asked] = {"intrain": {"intrain": {}}, FEWEST: {"intrain": {"products": "fewest"}}}
FEW: dict[str, Asked] = {FEW_PASS_TITLE: {label: {} for label in FEW_PASS}}
ASKED: dict[str, dict[str, Asked]] = {
    **dict.fromkeys(MODELS, INTRAIN | FEW),
    COATNET: INTRAIN | {"vkdnw": {"vkdnw": {}}},
}
BATCH_SIZE, RESOLUTION, CLASSES = 64, 64, 10
_CPU = torch.device("cpu")


def model(name: str) -> nn.Module:
    """A network without weights of its own."""
    if name == COATNET:
        space = UniNAS()
        network = space.build(space.start, num_classes=CLASSES)
        for parameter in network.parameters():
            nn.init.normal_(parameter, std=0.02)
        return network
    import_torchvision()
    import timm

    built: nn.Module = timm.create_model(MODELS[name], pretrained=False, num_classes=CLASSES)
    return built


def costs(name: str, asked: Mapping[str, Asked], repeats: int) -> dict[str, dict[str, Any]]:
    """Seconds of calls of `score`, the copy of the network included, over those of a bare pass.

    All take turns; each counts with its fastest.
    """
    torch.set_num_threads(1)
    network = model(name)
    action = bare(network)
    action()
    passed: list[float] = []
    scored: dict[str, list[float]] = {what: [] for what in asked}
    for _ in range(repeats):
        for what, proxies in asked.items():
            passed.append(timed(action, _CPU))
            scored[what].append(timed(lambda of=proxies: told(network, of), _CPU))
    bare_seconds = min(passed)
    return {
        what: {"seconds": min(times), "bare_seconds": bare_seconds, "ratio": min(times) / bare_seconds}
        for what, times in scored.items()
    }


def told(network: nn.Module, asked: Asked) -> None:
    """The scores of a network at the batch size and resolution of this module."""
    sized = {"batch_size": BATCH_SIZE, "resolution": RESOLUTION}
    options = {
        label: {**sized, **given}
        for label, given in asked.items()
        if label not in ("synflow", "flops", "params")
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", nasbench_eval.ScoreWarning)
        nasbench_eval.score(network, list(asked), input=(3, RESOLUTION, RESOLUTION), options=options)


def bare(network: nn.Module) -> Any:
    """One forward-backward pass by all parameters, channels last, in training mode."""
    network = network.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    x = torch.randn(BATCH_SIZE, 3, RESOLUTION, RESOLUTION).to(memory_format=torch.channels_last)
    labels = torch.randint(CLASSES, (BATCH_SIZE,))
    parameters = list(network.parameters())
    return lambda: torch.autograd.grad(F.cross_entropy(network(x), labels), parameters, allow_unused=True)


def peak(name: str, asked: Asked | None) -> int:
    """The largest resident set in bytes of this process, which runs a bare pass or scores."""
    torch.set_num_threads(1)
    network = model(name)
    if asked is None:
        bare(network)()
    else:
        told(network, asked)
    return peak_bytes()
