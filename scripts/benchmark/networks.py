"""What `nasbench_eval.score` costs on networks of no search space, in bare passes of the same network."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

import nasbench_eval
from benchmark.processes import peak_bytes
from benchmark.unit import timed
from nasbench_eval.spaces._torchvision import import_torchvision

# timm's names.
MODELS = {"ResNet-18": "resnet18", "MobileNetV2": "mobilenetv2_100"}
BATCH_SIZE, RESOLUTION, CLASSES = 64, 64, 10
_CPU = torch.device("cpu")


def model(name: str) -> nn.Module:
    """A network without weights of its own."""
    import_torchvision()
    import timm

    built: nn.Module = timm.create_model(name, pretrained=False, num_classes=CLASSES)
    return built


def cost(name: str, labels: Sequence[str], repeats: int) -> dict[str, Any]:
    """Seconds of a call of `score`, the copy of the network included, over those of a bare pass.

    The two take turns; each counts with its fastest.
    """
    torch.set_num_threads(1)
    network = model(name)
    action = bare(network)
    action()
    scored, passed = [], []
    for _ in range(repeats):
        passed.append(timed(action, _CPU))
        scored.append(timed(lambda: told(network, labels), _CPU))
    return {"seconds": min(scored), "bare_seconds": min(passed), "ratio": min(scored) / min(passed)}


def told(network: nn.Module, labels: Sequence[str]) -> None:
    """The scores of a network at the batch size and resolution of this module."""
    sized = {"batch_size": BATCH_SIZE, "resolution": RESOLUTION}
    options = {label: sized for label in labels if label not in ("synflow", "flops", "params")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", nasbench_eval.ScoreWarning)
        nasbench_eval.score(network, list(labels), input=(3, RESOLUTION, RESOLUTION), options=options)


def bare(network: nn.Module) -> Any:
    """One forward-backward pass by all parameters, channels last, in training mode."""
    network = network.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    x = torch.randn(BATCH_SIZE, 3, RESOLUTION, RESOLUTION).to(memory_format=torch.channels_last)
    labels = torch.randint(CLASSES, (BATCH_SIZE,))
    parameters = list(network.parameters())
    return lambda: torch.autograd.grad(F.cross_entropy(network(x), labels), parameters)


def peak(name: str, labels: Sequence[str] | None) -> int:
    """The largest resident set in bytes of this process, which runs a bare pass or scores."""
    torch.set_num_threads(1)
    network = model(name)
    if labels is None:
        bare(network)()
    else:
        told(network, labels)
    return peak_bytes()
