"""Any classifier as a `Network`: cut before its head, its layers named, its activations shown.

The network itself stays as it is: passes run through a copy.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.batchnorm import _NormBase
from torch.overrides import TorchFunctionMode

from nasbench_eval.errors import UsageError
from nasbench_eval.networks.activations import ELSEWHERE, FUNCTIONS, MODULES, Called
from nasbench_eval.networks.layout import layout
from nasbench_eval.networks.look import Look, channels_second, look
from nasbench_eval.networks.names import named, taken_apart, unwrapped
from nasbench_eval.networks.traits import Traits, traits_of
from nasbench_eval.spaces.base import Network
from nasbench_eval.wording import first_line


class _Reached(BaseException):  # past whatever errors a forward pass catches
    """A forward pass has come to the head."""


class Adapted(Network):
    """A copy of a classifier, cut into body and head where its last linear layer is.

    Everything but normalisations runs in eval mode: nothing is dropped, so that a score is no matter of luck.
    Attention runs as plain products, which can be differentiated twice.

    Args:
        model: the network; it is copied.
        shape: of an input, (C, H, W).
        head: name of the layer that gives the logits; None to find it.
        blocks: names of the blocks of the body; None to find them.

    Raises:
        UsageError: if it is no network that passes can run through.
    """

    def __init__(
        self,
        model: nn.Module,
        shape: tuple[int, int, int],
        head: str | None = None,
        blocks: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        object.__setattr__(self, "source", unwrapped(model))  # no module of this one
        self.source: nn.Module
        self.model = taken_apart(_copied(self.source))
        for parameter in self.model.parameters():
            parameter.requires_grad_(parameter.is_floating_point())
        self._names = named(self.model)
        self._moody = [m for m in self.model.modules() if type(m).train is not nn.Module.train]
        device = next((p.device for p in self.model.parameters()), torch.device("cpu"))
        self.train(False)
        x = torch.ones(2, *shape, device=device)
        try:
            self.look = self._seen_in(layout(self.model), x, head, blocks)
        except (
            UsageError,
            RuntimeError,
        ):  # as where maps are viewed as rows, and for kernels in three dimensions
            self.look = self._seen_in(torch.contiguous_format, x, head, blocks)
        if self.look.head is None:  # a layer that nothing calls stands for the head
            self.classifier, self.classifier_name = nn.Linear(1, self.look.classes), "(head)"
        else:
            classifier = self._names[self.look.head]
            assert isinstance(classifier, nn.Linear)
            self.classifier, self.classifier_name = classifier, self.look.head
        self.cells = nn.ModuleList([self._names[name] for name in self.look.blocks])
        self.stem = nn.Identity()  # shown what the first block is shown
        self.sites = nn.ModuleList([Called(kind) for _, kind in self.look.sites])
        self.has_calls = bool(self.look.sites) or self.look.head is None
        self._x: Tensor = x
        self._phi: Tensor | None = None
        self._logits: Tensor | None = None
        self._maps: Tensor | None = None
        self._met = 0
        if len(self.cells):
            self.cells[0].register_forward_pre_hook(self._enter)
        if self.look.maps is not None and self.look.maps[0] in self._names:
            self._names[self.look.maps[0]].register_forward_hook(self._tap)

    @cached_property
    def traits(self) -> Traits:
        """What proxies ask of a network before they score it."""
        return traits_of(self.seen_modules(), self.look)

    def _seen_in(
        self, layout: torch.memory_format, x: Tensor, head: str | None, blocks: Sequence[str] | None
    ) -> Look:
        """A look at the network with its tensors in such a layout, which it has from now on."""
        self.tensor_layout = layout
        self.model.to(memory_format=layout)  # type: ignore[call-overload]
        self._refresh()
        with self._plain():
            return look(self.model, self._names, x.to(memory_format=layout), head, blocks)

    # How the passes see it

    def seen_modules(self) -> dict[str, nn.Module]:
        sites = zip((name for name, _ in self.look.sites), self.sites, strict=True)
        return {**self._names, **dict(sites), "(entry)": self.stem}

    def seen_classifier(self) -> Mapping[str, nn.Module]:
        return {} if self.look.head is None else super().seen_classifier()

    def seen_blocks(self) -> dict[str, nn.Module]:
        return dict(zip(self.look.blocks, self.cells, strict=True))

    def seen_heads(self, classes: Mapping[str, int]) -> dict[str, nn.Linear]:
        return dict.fromkeys(classes, self.classifier)

    def use_head(self, head: nn.Module) -> None:
        assert head is self.classifier

    def seen_as(self, y: Tensor) -> Tensor:
        return channels_second(y, self._x)

    def kept_tensors(self, init: str) -> dict[str, Tensor]:
        tensors = tensors_of(named(self.source))
        return tensors if init == "keep" else {name: tensors[name] for name in self.traits.opaque}

    def plain_layers(self) -> Collection[str]:
        return self.look.plain

    def release_pass(self) -> None:
        self._phi = self._maps = self._logits = None

    def train(self, mode: bool = True) -> Adapted:
        self.training = mode
        self.model.eval()
        for module in self.model.modules():
            if isinstance(module, _NormBase):
                module.training = mode
        return self

    def _refresh(self) -> None:
        """Have modules forget what they keep between passes in eval mode: it is of other weights.

        timm's attention biases are such; a module forgets them when it is told to train.
        """
        for module in self._moody:
            module.train()
        if self._moody:
            self.train(self.training)

    # The pass

    def features(self, x: Tensor) -> Tensor:
        """The last features with positions, channels second; what the head reads where there are none."""
        self.release_pass()
        self._refresh()
        x = x.to(memory_format=self.tensor_layout)
        self._x, self._met = x, 0
        handle = self.classifier.register_forward_pre_hook(self._reach, with_kwargs=True)
        try:
            with self._plain(), handle, self._copies(), self._calls_shown():
                self._logits = self.model(x)
        except _Reached:
            pass
        end = self._logits if self._phi is None else self._phi
        assert end is not None
        return end if self._maps is None else self.seen_as(self._maps)

    def head(self, features: Tensor) -> Tensor:
        if self._phi is None:
            assert self._logits is not None, "the features come first"
            return self._logits
        logits: Tensor = self.classifier(self._phi)
        return logits

    def _reach(self, module: nn.Module, args: tuple[Tensor, ...], kwargs: Mapping[str, Tensor]) -> None:
        self._phi = args[0] if args else kwargs["input"]
        raise _Reached

    def _enter(self, block: nn.Module, args: tuple[Any, ...]) -> None:
        if args and isinstance(args[0], Tensor):
            self.stem(args[0])

    def _tap(self, module: nn.Module, args: object, y: Tensor) -> None:
        self._met += 1
        assert self.look.maps is not None
        if self._met == self.look.maps[1]:
            self._maps = y.clone() if self.look.maps[0] in self.look.mutated else y

    @contextmanager
    def _copies(self) -> Iterator[None]:
        """Where an output is changed in place by what follows, that changes a copy.

        The hooks come after those of the observers, who keep the output as it was.
        """
        with ExitStack() as stack:
            for name in self.look.mutated if torch.is_grad_enabled() else ():
                stack.enter_context(
                    self._names[name].register_forward_hook(lambda module, args, y: y.clone())
                )
            yield

    def _calls_shown(self) -> AbstractContextManager[object]:
        """Activations that are function calls go through their `sites`, if an observer watches any."""
        maps = None if self.look.maps is None else self.look.maps[0]
        tapped = self.shows_features and maps not in self._names and maps is not None
        if not (tapped or any(site._forward_hooks for site in self.sites)):
            return nullcontext()
        return _Shown(self._names, self.sites, self._tapped(maps) if tapped else nullcontext())

    def _tapped(self, name: str | None) -> AbstractContextManager[object]:
        site = self.sites[[name for name, _ in self.look.sites].index(str(name))]
        return site.register_forward_hook(self._tap)

    @contextmanager
    def _plain(self) -> Iterator[None]:
        """Without kernels that cannot be differentiated twice or that pass modules over."""
        fast = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)
        try:
            with sdpa_kernel(SDPBackend.MATH):
                yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fast)


class _Shown(TorchFunctionMode):
    """Lets the activations that are function calls go through the modules that stand for them."""

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        sites: nn.ModuleList,
        tap: AbstractContextManager[object],
    ) -> None:
        super().__init__()
        self._tap = tap
        self._modules = [module for module in modules.values() if isinstance(module, tuple(MODULES))]
        self._waiting = iter(sites)
        self._inside = 0
        self._hooks = ExitStack()

    def __enter__(self) -> _Shown:
        self._hooks.enter_context(self._tap)
        for module in self._modules:
            self._hooks.enter_context(module.register_forward_pre_hook(self._count(1)))
            self._hooks.enter_context(module.register_forward_hook(self._count(-1)))
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        self._hooks.close()

    def _count(self, step: int) -> Any:
        def hook(*_: object) -> None:
            self._inside += step

        return hook

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func not in FUNCTIONS or self._inside:
            return func(*args, **kwargs)
        site = next(self._waiting, None)
        if not isinstance(site, Called) or site.kind != FUNCTIONS[func]:
            raise RuntimeError("the network calls other activations than when it was looked at")
        named = {key: value for key, value in kwargs.items() if key not in ("input", "inplace")}
        rest = [False if value is True else value for value in args[1:]]  # in place, by position
        site.compute = lambda x: ELSEWHERE.get(func, func)(x, *rest, **named)
        return site(args[0] if args else kwargs["input"])


@torch.no_grad()
def checked(model: nn.Module) -> None:
    """Refuse what passes cannot run through.

    Raises:
        UsageError: saying what it is and what to do.
    """
    if not isinstance(model, nn.Module):
        raise UsageError(f"a network is a torch.nn.Module; got a {type(model).__name__}")
    if isinstance(model, torch.jit.ScriptModule):
        raise UsageError("a scripted network cannot be looked into; pass the module that it was made of")
    parameters = dict(model.named_parameters())
    if any(isinstance(p, nn.parameter.UninitializedParameter) for p in parameters.values()):
        raise UsageError("the network has lazy layers without a shape yet; run one batch through it first")
    if not parameters:
        raise UsageError("the network has no parameters")
    devices = {str(p.device) for p in parameters.values()}
    if "meta" in devices:
        raise UsageError("the network lies on the device meta, without values; build it on the CPU")
    if len(devices) > 1:
        raise UsageError(f"the network lies on {', '.join(sorted(devices))}; move it to one device")
    for name, parameter in parameters.items():
        if parameter.dtype in (torch.float16, torch.bfloat16):
            raise UsageError(f"{name} is in {parameter.dtype}; pass network.float()")
        # A sum is quick, and finite unless an entry is not, or so many are huge that the sum overflows.
        if (
            parameter.is_floating_point()
            and not parameter.detach().sum().isfinite()
            and not parameter.isfinite().all()
        ):
            raise UsageError(f"{name} has entries that are not finite; draw the network's weights anew")


def _copied(model: nn.Module) -> nn.Module:
    """A copy in float32.  Tensors on a graph that modules keep as attributes are copied without it."""
    memo = {
        id(tensor): tensor.detach().clone()
        for module in model.modules()
        for value in vars(module).values()
        for tensor in (value.values() if isinstance(value, dict) else [value])
        if isinstance(tensor, Tensor) and not tensor.is_leaf
    }
    try:
        return copy.deepcopy(model, memo).float()
    except Exception as error:
        raise UsageError(
            f"the network cannot be copied ({first_line(error)}); pass a function that builds it"
        ) from error


def tensors_of(modules: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """All parameters and buffers by name."""
    return {
        f"{name}.{kind}" if name else kind: tensor
        for name, module in modules.items()
        for own in (module.named_parameters(recurse=False), module.named_buffers(recurse=False))
        for kind, tensor in own
    }
