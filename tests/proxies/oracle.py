"""What the proxies' oracles share: small networks, fixed inputs, and a bare twin of the network scored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasbench_eval.passes import Engine, ForwardSpec, Request
from nasbench_eval.passes.weights import draw
from nasbench_eval.proxies.base import Proxy
from nasbench_eval.spaces.base import Network
from nasbench_eval.spaces.nasbench201 import NASBench201

KEY = (3, "architecture")
CLASSES = 5
B, R = 6, 8
MIXED = "|nor_conv_3x3~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|"
DEAD_BRANCH = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_1x1~2|"
IDENTITY = "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"
NOTHING = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"

Build = Callable[[], Network]


def cell(text: str = MIXED) -> Build:
    """Builds a small network of NAS-Bench-201."""
    space = NASBench201(channels=4, cells_per_stage=1)
    return lambda: space.build(space.parse(text), num_classes=CLASSES)


class Softmax(Network):
    """Nothing but pooling and a linear classifier of the three colours: all is known in closed form."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.cells, self.classifier = nn.Identity(), nn.ModuleList(), nn.Linear(3, CLASSES)

    def features(self, x_BCHW: Tensor) -> Tensor:
        return x_BCHW

    def head(self, features_BChw: Tensor) -> Tensor:
        return self.classifier(features_BChw.mean(dim=(2, 3)))


class Chain(Softmax):
    """Two 1x1 convolutions in a row, and with `norms` a batch norm behind each; no activation."""

    def __init__(self, norms: bool = False) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 1, bias=False)
        self.cells = nn.ModuleList([nn.Conv2d(4, 6, 1, bias=False)])
        self.norms = nn.ModuleList([nn.BatchNorm2d(4), nn.BatchNorm2d(6)] if norms else [])
        self.classifier = nn.Linear(6, CLASSES)

    def features(self, x_BCHW: Tensor) -> Tensor:
        for i, conv in enumerate((self.stem, *self.cells)):
            x_BCHW = conv(x_BCHW)
            if self.norms:
                x_BCHW = self.norms[i](x_BCHW)
        return x_BCHW


class Smooth(Softmax):
    """Convolutions and tanh, without batch norm: samples do not see each other, and nothing has a kink."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.cells = nn.ModuleList([nn.Conv2d(4, 6, 3, padding=1, stride=2)])
        self.classifier = nn.Linear(6, CLASSES)

    def features(self, x_BCHW: Tensor) -> Tensor:
        return torch.tanh(self.cells[0](torch.tanh(self.stem(x_BCHW))))


class Spatial(Softmax):
    """Logits at each position, as for segmentation."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.cells = nn.ModuleList([nn.ReLU(), nn.Conv2d(4, 6, 3, padding=1)])
        self.classifier = nn.Linear(6, CLASSES)

    def features(self, x_BCHW: Tensor) -> Tensor:
        x_BCHW = self.stem(x_BCHW)
        for block in self.cells:
            x_BCHW = block(x_BCHW)
        return x_BCHW

    def head(self, features_BChw: Tensor) -> Tensor:
        return self.classifier(features_BChw.movedim(1, -1)).movedim(-1, 1)


class Fixed:
    """Inputs and labels from generators of their own, float32."""

    def input(self, forward: ForwardSpec, dataset: str | None = None) -> Tensor:
        assert forward.resolution is not None
        channels = 1 if forward.body == "cell" else 3
        shape = (forward.batch_size, channels, forward.resolution, forward.resolution)
        if forward.source == "ones":
            return torch.ones(shape)
        seed = 100 + forward.batch + 1000 * forward.offset
        x = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        if forward.noise:
            x = x + forward.noise * torch.randn(shape, generator=torch.Generator().manual_seed(200))
        return x

    def labels(self, forward: ForwardSpec, dataset: str = "d") -> Tensor:
        generator = torch.Generator().manual_seed(300 + forward.batch + 1000 * forward.offset)
        return torch.randint(CLASSES, (forward.batch_size,), generator=generator)


def batch(
    number: int = 0, *, noise: float = 0.0, ones: bool = False, b: int = B, offset: int = 0
) -> tuple[Tensor, Tensor]:
    """What a pass is shown, in float64, and its labels."""
    source: Any = "ones" if ones else "gaussian"
    forward = ForwardSpec("kaiming", source, b, R, batch=number, noise=noise, offset=offset)
    return Fixed().input(forward).double(), Fixed().labels(forward)


def columns(proxy: Proxy, build: Build) -> dict[str, float]:
    """All columns the package gives, of inputs with R pixels."""
    engine = Engine(build(), {"d": CLASSES}, Fixed(), KEY, torch.device("cpu"))
    requests = [
        Request(replace(spec, forward=replace(spec.forward, resolution=R)), "d", proxy.observe)
        for spec in proxy.passes()
    ]
    records = []
    for outcome in engine.run(requests):
        if outcome.error is not None:
            raise outcome.error
        assert outcome.record is not None
        records.append(outcome.record)
    return proxy.score(records)


def score(proxy: Proxy, build: Build) -> float:
    """The score the package gives."""
    return columns(proxy, build)["score"]


def twin(build: Build, init: Any, repeat: int = 0) -> Network:
    """The network with the same weights, in float64 and training mode, which no engine has touched."""
    network = build()
    draw(dict(network.named_modules()), init, *KEY, repeat)
    return network.double().train()


def weights(network: nn.Module) -> dict[str, nn.Parameter]:
    """Weight tensors of convolution and linear layers: those of more than one dimension."""
    return {name: p for name, p in network.named_parameters() if p.ndim > 1}


def loss_gradients(network: Network, number: int = 0) -> dict[str, Tensor]:
    """Gradients of the mean cross-entropy by all parameters."""
    x, t = batch(number)
    network.zero_grad()
    F.cross_entropy(network(x), t).backward()
    return {n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in network.named_parameters()}


@contextmanager
def outputs_of(network: nn.Module, *kinds: type[nn.Module]) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """Inputs and outputs of all modules of some kinds, in the order of the calls."""
    seen: list[tuple[Tensor, Tensor]] = []
    handles = [
        module.register_forward_hook(lambda m, args, y: seen.append((args[0], y)))
        for module in network.modules()
        if isinstance(module, kinds)
    ]
    yield seen
    for handle in handles:
        handle.remove()
