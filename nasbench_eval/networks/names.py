"""The names of a network's modules, as weights are drawn by: a wrapper around a module changes nothing."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


class Normed(nn.Module):
    """A batch norm and what was part of it: taken apart, so that its own output can be seen.

    timm's `BatchNormAct2d` is a batch norm that drops and activates in the same forward.
    """

    def __init__(self, norm: nn.Module, drop: nn.Module, act: nn.Module) -> None:
        super().__init__()
        self.norm, self.drop, self.act = norm, drop, act

    def forward(self, x):  # type: ignore[no-untyped-def]
        return self.act(self.drop(self.norm(x)))


_PLAIN = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def taken_apart(model: nn.Module) -> nn.Module:
    """The same network, in place: batch norms that activate as well are split, nothing works in place."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if _activates(child):
                setattr(parent, name, _split(child))
    for module in model.modules():
        if getattr(module, "inplace", None) is True:
            module.inplace = False  # type: ignore[assignment]
    return _split(model) if _activates(model) else model


def _activates(module: nn.Module) -> bool:
    return (
        isinstance(module, _BatchNorm)
        and set(module._modules) == {"drop", "act"}
        and any(isinstance(module, kind) for kind in _PLAIN)
    )


def _split(norm: nn.Module) -> Normed:
    drop, act = norm._modules.pop("drop"), norm._modules.pop("act")
    assert drop is not None
    assert act is not None
    norm.__class__ = next(kind for kind in _PLAIN if isinstance(norm, kind))
    return Normed(norm, drop, act)


def unwrapped(model: nn.Module) -> nn.Module:
    """The network inside wrappers that compute nothing: compiled, parallel, or a `Sequential` of one."""
    while True:
        if isinstance(model, nn.parallel.DataParallel | nn.parallel.DistributedDataParallel):
            model = model.module
        elif isinstance(inner := getattr(model, "_orig_mod", None), nn.Module):
            model = inner
        elif _transparent(model):
            model = model[0]  # type: ignore[index]
        else:
            return model


def _transparent(module: nn.Module) -> bool:
    """Whether a module does what the only module in it does."""
    hooks = module._forward_hooks or module._forward_pre_hooks
    return type(module) is nn.Sequential and len(module) == 1 and not hooks


def named(model: nn.Module) -> dict[str, nn.Module]:
    """All modules by name, the network itself by the empty name; a shared one by its first.

    A `Sequential` of one module lends it its name, as does what a batch norm was taken apart into.
    """
    found: dict[str, nn.Module] = {}
    known: set[int] = set()

    def walk(module: nn.Module, name: str) -> None:
        if id(module) in known:
            return
        known.add(id(module))
        if _transparent(module):
            walk(module[0], name)  # type: ignore[index]
            return
        if isinstance(module, Normed):
            walk(module.norm, name)
            for part in ("drop", "act"):
                walk(getattr(module, part), f"{name}.{part}")
            return
        found[name] = module
        for part, child in module.named_children():
            walk(child, f"{name}.{part}" if name else part)

    walk(model, "")
    return found
