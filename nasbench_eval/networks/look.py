"""One forward pass through a network, to see how it is built: its head, its blocks, what no module shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.overrides import TorchFunctionMode

from nasbench_eval.errors import UsageError
from nasbench_eval.networks.activations import FUNCTIONS, MODULES
from nasbench_eval.networks.names import Normed
from nasbench_eval.networks.plain import plain
from nasbench_eval.spaces.base import Featured, Product
from nasbench_eval.wording import first_line

_ATTENTION = {
    F.softmax,
    torch.softmax,
    Tensor.softmax,
    F.scaled_dot_product_attention,
    F.multi_head_attention_forward,
}
# Products with weights.
_PRODUCTS = {F.linear, F.conv1d, F.conv2d, F.conv3d, F.multi_head_attention_forward}


class Call(NamedTuple):
    """A module's forward: its name, what came out, and in which state the tensor was then."""

    name: str
    y: Tensor
    version: int


@dataclass(frozen=True)
class Look:
    """What was seen of a network.

    Attributes:
        head: name of the linear layer that gives the logits; None where no single one does.
        classes: how many logits there are.
        blocks: names of the blocks of the body, in the order of the pass.
        maps: what gives the last features with positions, a module or an activation that is called, and in
            which of its calls; None without any.
        sites: the activations that are function calls, in the order of the pass: names and kinds.
        mutated: modules whose outputs are changed in place by what follows.
        attention: whether products of features weigh features.
        hidden: whether some of these are no `Product` that shows them.
        times: how often each module was met, by name.
        plain: what was met once, with a row of output a sample, and is a layer of a well-known kind.
        tokens: whether a block gives tokens (B, N, C) instead of maps.
        products: modules that call products with weights as functions, so that no layer shows them.
    """

    head: str | None
    classes: int
    blocks: tuple[str, ...]
    maps: tuple[str, int] | None
    sites: tuple[tuple[str, str], ...]
    mutated: frozenset[str]
    attention: bool
    hidden: bool
    times: Mapping[str, int]
    plain: frozenset[str]
    tokens: bool
    products: frozenset[str]


def channels_second(y: Tensor, x: Tensor) -> Tensor:
    """An output with its channels in the second dimension, where it has positions.

    Tokens (B, N, C) have them last.  Of four dimensions the two that have the proportions of the input
    x (B, C, H, W) are positions; if in doubt the last two.  Where windows or tokens of a sample stand in rows
    of their own, such as (B·W, N, C), they are put together again.
    """
    y = y.movedim(-1, 1) if y.ndim == 3 or (y.ndim == 4 and _channels_last(y, x)) else y
    rows, more = divmod(len(y), len(x))
    if y.ndim not in (2, 3, 4) or rows < 2 or more:
        return y
    return y.reshape(len(x), rows, y.shape[1], -1).transpose(1, 2).flatten(2)


def _channels_last(y: Tensor, x: Tensor) -> bool:
    """Whether the second and third dimension of maps look like positions, and the last two do not."""
    height, width = x.shape[-2:]

    def proportioned(h: int, w: int) -> bool:
        return abs(h * width - w * height) < max(height, width)

    return proportioned(*y.shape[1:3]) and not proportioned(*y.shape[2:])


def look(
    model: nn.Module,
    modules: Mapping[str, nn.Module],
    x: Tensor,
    head: str | None,
    blocks: Sequence[str] | None,
) -> Look:
    """Run a network once, in eval mode and without gradients, and say how it is built.

    Args:
        model: the network.
        modules: all modules in it by name.
        x: two inputs.
        head: name of the linear layer that gives the logits; None to find it.
        blocks: names of the blocks of its body; None to find them.

    Raises:
        UsageError: if it does not run, is no classifier, or lacks what was named.
    """
    watch = _Watch(modules, len(x))
    with torch.no_grad():
        try:
            with watch.watching(), watch:
                out = model(x)
        except UsageError:
            raise
        except Exception as error:
            shape = tuple(x.shape[1:])
            raise UsageError(
                f"the network does not take an input of {shape}: {first_line(error)}; "
                "say what it takes with input=(channels, height, width)"
            ) from error
        name, place = _head(watch, out, modules, head, lambda layer: _decides(layer, model, x))
    times = Counter(call.name for call in watch.events if isinstance(call, Call))
    body = [event for event in watch.events[:place] if isinstance(event, Call)]
    return Look(
        head=name,
        classes=out.shape[1],
        blocks=_blocks(model, modules, watch, blocks),
        maps=_maps(body, x, model.last_features if isinstance(model, Featured) else None),
        sites=tuple(site for site in watch.sites if site[0] in {call.name for call in body}),
        mutated=frozenset(c.name for c in body if c.name in modules and c.y._version != c.version),
        attention=any(event == "attention" for event in watch.events[:place]),
        hidden=watch.hidden,
        times=times,
        plain=frozenset(known for known in watch.plain if times[known] == 1) - _sharing(modules),
        tokens=any(call.y.ndim == 3 for call in body),
        products=frozenset(watch.products),
    )


class _Watch(TorchFunctionMode):
    """Keeps what happens in a pass: outputs of modules, activations that are called, attention."""

    def __init__(self, modules: Mapping[str, nn.Module], samples: int) -> None:
        super().__init__()
        self.modules, self.samples = modules, samples
        # Hooks may make a weight of other parameters, or another input or output.
        self.hooked = {n for n, m in modules.items() if m._forward_pre_hooks or m._forward_hooks}
        self.events: list[Any] = []
        self.sites: list[tuple[str, str]] = []
        self.plain: set[str] = set()
        self.products: set[str] = set()
        self.hidden = False
        self.shows = any(isinstance(module, Product) for module in modules.values())
        self.began: dict[str, int] = {}
        self._inside: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in FUNCTIONS and not any(
            isinstance(self.modules[name], tuple(MODULES)) for name in self._inside
        ):
            owner, kind = self._inside[-1] if self._inside else "", FUNCTIONS[func]
            name = f"{owner}.{kind}#{len(self.sites)}".lstrip(".")  # a module may call several
            self.sites.append((name, kind))
            y = func(*args, **(kwargs or {}))
            self.events.append(Call(name, y, y._version))
            return y
        if func in _PRODUCTS and self._inside:
            owner = self._inside[-1]
            if not isinstance(self.modules[owner], (_ConvNd, nn.Linear)):
                self.products.add(owner or "the network itself")
        if func in _ATTENTION:
            self.events.append("attention")
            self.hidden |= not self.shows
        return func(*args, **(kwargs or {}))

    @contextmanager
    def watching(self) -> Iterator[None]:
        handles = []
        for name, module in self.modules.items():
            handles.append(module.register_forward_pre_hook(self._enter(name)))
            handles.append(module.register_forward_hook(self._leave(name)))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _enter(self, name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: object) -> None:
            self._inside.append(name)
            if isinstance(module, nn.MultiheadAttention | Product):
                self.events.append("attention")
                self.hidden |= not isinstance(module, Product)
            self.began[name] = len(self.events)

        return hook

    def _leave(self, name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[object, ...], y: object) -> None:
            self._inside.pop()
            if not isinstance(y, Tensor):
                return
            self.events.append(Call(name, y, y._version))
            x = args[0] if args else None
            if not isinstance(x, Tensor) or len(y) != self.samples or name in self.hooked:
                return
            if plain(module, x, y):
                self.plain.add(name)

        return hook


def _sharing(modules: Mapping[str, nn.Module]) -> set[str]:
    """Names of the modules that share a parameter with another."""
    own = {
        name: [id(p) for p in module._parameters.values() if p is not None]
        for name, module in modules.items()
    }
    owners = Counter(place for places in own.values() for place in places)
    return {name for name, places in own.items() if any(owners[place] > 1 for place in places)}


def _head(
    watch: _Watch,
    out: object,
    modules: Mapping[str, nn.Module],
    named: str | None,
    decides: Callable[[nn.Module], bool],
) -> tuple[str | None, int]:
    """The layer that gives the logits, if one does, and how many events there were before it."""
    if not isinstance(out, Tensor):
        raise UsageError(
            f"the network gives {_said(out)} instead of logits (B, classes); wrap it so that it gives these"
        )
    if out.ndim != 2 or len(out) != 2:
        raise UsageError(
            f"the network gives outputs of shape {tuple(out.shape)} for two inputs, no logits (B, classes)"
        )
    if named is not None and not isinstance(modules.get(named), nn.Linear):
        linear = [name for name, module in modules.items() if isinstance(module, nn.Linear)]
        raise UsageError(f"head={named} is no linear layer of the network; it has {_some(linear)}")
    calls = [
        (place, call)
        for place, call in enumerate(watch.events)
        if isinstance(call, Call) and isinstance(modules.get(call.name), nn.Linear)
    ]
    for _, call in reversed(calls):
        if named is not None and call.name != named:
            continue
        if named is None and not _leads_to(call.y, out):
            continue
        itself = call.y.data_ptr() == out.data_ptr() and call.y._version == call.version
        if named is None and not itself and not decides(modules[call.name]):
            continue
        if sum(other.name == call.name for _, other in calls) > 1:
            raise UsageError(f"the layer {call.name} that gives the logits is met more than once in a pass")
        if tuple(call.y.shape) != tuple(out.shape):
            raise UsageError(f"head={call.name} gives {tuple(call.y.shape)}, the network {tuple(out.shape)}")
        return call.name, watch.began[call.name]
    if named is not None:
        raise UsageError(f"head={named}: the layer is not met in a pass")
    return None, len(watch.events)


def _leads_to(y: Tensor, out: Tensor) -> bool:
    """Whether an output of the network is that of a layer, or its softmax."""
    if y.shape != out.shape:
        return False
    return (
        torch.equal(y, out)
        or torch.allclose(y.log_softmax(1), out, atol=1e-6)
        or torch.allclose(y.softmax(1), out, atol=1e-6)
    )


def _decides(layer: nn.Module, model: nn.Module, x: Tensor) -> bool:
    """Whether the output of the network follows that of a layer: equal ones may be so by chance."""
    moved: list[Tensor] = []

    def move(module: nn.Module, args: object, y: Tensor) -> Tensor:
        noise = torch.randn(y.shape, generator=torch.Generator().manual_seed(0))
        moved.append(y + noise.to(y))
        return moved[-1].clone()  # which may be changed in place

    with layer.register_forward_hook(move):
        out = model(x)
    return _leads_to(moved[-1], out)


def _said(out: object) -> str:
    if isinstance(out, tuple | list):
        return f"{len(out)} outputs"
    if isinstance(out, dict):
        return f"a dictionary with {_some([str(key) for key in out])}"
    return f"a {type(out).__name__}"


def _some(names: Sequence[str], most: int = 6) -> str:
    shown = ", ".join(names[:most]) or "none"
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def _maps(body: Sequence[Call], x: Tensor, named: str | None) -> tuple[str, int] | None:
    """The last output with positions before the head; the last with several, if there is one.

    A `Featured` network names the module that gives it.
    """
    met: Counter[str] = Counter()
    placed: list[tuple[str, int, int]] = []
    for call in body:
        met[call.name] += 1
        if call.y.ndim >= 3 and len(call.y) == len(x):
            positions = channels_second(call.y, x)[0, 0].numel()
            placed.append((call.name, met[call.name], positions))
    several = [each for each in placed if each[2] > 1]
    if named is not None:
        several = [each for each in placed if each[0] == named]
    if not (several or placed):
        return None
    name, times, _ = (several or placed)[-1]
    return name, times


def _blocks(
    model: nn.Module, modules: Mapping[str, nn.Module], watch: _Watch, named: Sequence[str] | None
) -> tuple[str, ...]:
    """The blocks by name, in the order in which they were met first."""
    if named is not None:
        for name in named:
            if name not in modules:
                raise UsageError(
                    f"blocks: the network has no module {name}; it has {_some(list(modules)[1:])}"
                )
            if name not in watch.began:
                raise UsageError(f"blocks: the module {name} is not met in a pass")
        return tuple(named)
    names = {id(module): name for name, module in modules.items()}
    found = [names[id(block)] for block in repeated(model) if id(block) in names]
    met = [name for name in found if name in watch.began]
    return tuple(sorted(met, key=lambda name: watch.began[name]))


def repeated(module: nn.Module) -> list[nn.Module]:
    """The modules that a network repeats, at the highest level where it repeats any.

    Lists and sequences are looked through.  What stands beside a repeated module in the same list counts as
    well: a network's blocks need not be of one kind.
    """
    rows = [
        (group, block)
        for group, child in module.named_children()
        for block in _rows(child)
        if next(block.children(), None) is not None and not isinstance(block, Normed)
    ]
    kinds = Counter(type(block) for _, block in rows)
    groups = {group for group, block in rows if kinds[type(block)] > 1}
    if groups:
        return [block for group, block in rows if group in groups]
    for _, block in rows:
        if found := repeated(block):
            return found
    return []


def _rows(module: nn.Module) -> Iterator[nn.Module]:
    """The modules of a list, a sequence or a dictionary, one by one; any other module itself."""
    plain = isinstance(module, nn.ModuleList | nn.ModuleDict) and type(module).forward is nn.Module.forward
    if plain or (isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward):
        for child in module.children():
            yield from _rows(child)
    else:
        yield module
