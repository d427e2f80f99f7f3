"""Networks of one's own, handed over by name, as what the passes know: a search space of just these."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from nasbench_eval.errors import UsageError
from nasbench_eval.networks.adapted import Adapted, checked
from nasbench_eval.seeding import seed_of
from nasbench_eval.wording import first_line

Factory = Callable[[], nn.Module]
Networks = nn.Module | Factory | Mapping[str, nn.Module | Factory]
# What a network is called that is handed over without a name.
ALONE = "network"
# The global generators and switches are for one at a time.
_turn = threading.RLock()


@dataclass(frozen=True)
class Given:
    """One network, as a search space of one architecture: its name.

    Attributes:
        model: the network.
        label: its name; its weights are drawn by it.
        shape: of an input, (C, H, W).
        head: name of the layer that gives its logits; None to find it.
        blocks: names of its blocks; None to find them.
        ready: its copy that passes run through, where there is one already.
    """

    model: nn.Module = field(compare=False)
    label: str
    shape: tuple[int, int, int]
    head: str | None
    blocks: tuple[str, ...] | None
    name: str = "given"
    ready: Adapted | None = field(default=None, compare=False)

    def look(self) -> Adapted:
        """The network's copy, looked at before any pass.

        Raises:
            UsageError: if it is no network that passes can run through.
        """
        try:
            return Adapted(self.model, self.shape, self.head, self.blocks)
        except UsageError as error:
            raise UsageError(f"{self.label}: {error}") from None

    def __len__(self) -> int:
        return 1

    def arch(self, index: int) -> str:
        return self.label

    def index(self, arch: str) -> int:
        return 0

    def parse(self, text: str) -> str:
        return text

    def format(self, arch: str) -> str:
        return arch

    def canonical(self, arch: str) -> str:
        return arch

    def live(self, arch: str) -> bool:
        return True

    def neighbours(self, arch: str) -> list[str]:
        return []

    def build(self, arch: str, *, num_classes: int) -> Adapted:
        return self.ready or Adapted(self.model, self.shape, self.head, self.blocks)


def given(
    networks: Networks,
    shape: tuple[int, int, int],
    seed: int,
    head: str | None = None,
    blocks: Sequence[str] | None = None,
) -> Iterator[Given]:
    """The networks one by one; those that a function builds are built when it is their turn.

    Raises:
        UsageError: if something is no network.
    """
    if isinstance(networks, Mapping):
        if not networks:
            raise UsageError("no network was handed over")
        named = {str(name): network for name, network in networks.items()}
    else:
        named = {ALONE: networks}
    for name, network in named.items():
        if not (isinstance(network, nn.Module) or callable(network)):
            raise UsageError(
                f"{name} is a {type(network).__name__}; hand over a network, or a function that builds one"
            )
        model = network if isinstance(network, nn.Module) else built(network, name, seed)
        try:
            checked(model)
        except UsageError as error:
            raise UsageError(f"{name}: {error}") from None
        yield Given(model, name, shape, head, None if blocks is None else tuple(blocks))


def built(make: Factory, name: str, seed: int) -> nn.Module:
    """What a function builds; what it draws depends on the seed and the name alone.

    Raises:
        UsageError: if it raises, or builds no network.
    """
    with untouched():
        settle(seed_of(seed, "build", name))
        try:
            model = make()
        except Exception as error:
            raise UsageError(
                f"{name}: the function that builds it raised {type(error).__name__}: {first_line(error)}"
            ) from error
    if not isinstance(model, nn.Module):
        raise UsageError(f"{name}: the function builds a {type(model).__name__}, no torch.nn.Module")
    return model


def settle(seed: int) -> None:
    """Seed the global generators."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


@contextmanager
def untouched() -> Iterator[None]:
    """The global generators are afterwards as they were, whatever happens meanwhile.  Threads take turns."""
    with _turn:
        numpy_state, state = np.random.get_state(), random.getstate()
        try:
            with torch.random.fork_rng():
                yield
        finally:
            np.random.set_state(numpy_state)
            random.setstate(state)


@contextmanager
def ordinary() -> Iterator[None]:
    """PyTorch as it starts: gradients, float32, the CPU, whatever modes and defaults are set around."""
    dtype = torch.get_default_dtype()
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        stack.callback(torch.set_default_dtype, dtype)
        torch.set_default_dtype(torch.float32)
        yield
