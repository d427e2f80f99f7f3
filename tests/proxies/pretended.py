"""A pretended device: tensors that say they are elsewhere, hold real numbers, and refuse to meet the CPU's.

Inside `pretended()` the device `meta` stands for a GPU.  A tensor that is made there or moved there is a
`Pretended`: it reports `meta` as its device and keeps its values in a CPU tensor.  Every operation is
computed on these values, after a look at what meets: a tensor of the CPU beside one of the device is refused,
as CUDA refuses it.  So passes and observers run to the end on any machine, a tensor made on the wrong device
is found, and the scores can be compared with the CPU's.

PyTorch's own `meta` and fake tensors hold no values: wherever a number is read back (`.item()`, eigenvalues,
a branch on `.any()`) they would have to be patched, and what comes behind it would not be tried.

Allowed, as on CUDA: scalars of the CPU (0-d tensors) as single arguments, copies from one device to the
other, and indices that lie on the CPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

DEVICE = torch.device("meta")
_aten = torch.ops.aten
_MOVES = {_aten.copy_.default, _aten._to_copy.default}
_INDEXED = {_aten.index.Tensor, _aten.index_put_.default, _aten.index_put.default}
_READ = {_aten._local_scalar_dense.default, _aten.equal.default, _aten.is_nonzero.default}


class WrongDevice(RuntimeError):
    """Tensors of different devices met."""


class Pretended(Tensor):
    """A tensor of the pretended device; `held` has its values, on the CPU."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> Pretended:
        made: Pretended = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=DEVICE,
            requires_grad=False,
        )
        made.held = held
        return made

    def data_ptr(self) -> int:
        return self.held.data_ptr()

    def tolist(self) -> Any:
        return self.held.tolist()

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"Pretended({self.held!r})"

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(func, args, kwargs or {})


class _Mode(TorchDispatchMode):
    """Sees the operations that no tensor of the device takes part in as well: those that make one."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(func, args, kwargs or {})


@contextmanager
def pretended() -> Iterator[torch.device]:
    """The device exists inside; gives it."""
    overwritten = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)  # a moved parameter is another object
    # Autocast, which the engine switches off for each pass, knows no such device.
    autocast = mock.patch.object(torch, "autocast", return_value=nullcontext())
    try:
        with autocast, _Mode():
            yield DEVICE
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(overwritten)


def _computed(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    here = any(isinstance(leaf, Pretended) for leaf in tree_flatten((args, kwargs))[0])
    asked = kwargs.get("device")
    there = here if asked is None else torch.device(asked).type == DEVICE.type
    if here:
        _check_meeting(func, args, kwargs)
    if there and kwargs.get("generator") is not None:
        raise WrongDevice(f"{func}: a generator of the CPU cannot draw on the device")
    if asked is not None:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    found = func(*tree_map(_held, args), **tree_map(_held, kwargs))
    if func in _READ:
        return found
    written = _written(func, args, kwargs)
    if written is not None:  # in place: the very tensor that was given
        return written
    return tree_map(_wrapped, found) if there else _alone(func, args, found)


def _check_meeting(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    if func in _MOVES:
        return
    given = list(zip(func._schema.arguments, args, strict=False))
    given += [(a, kwargs[a.name]) for a in func._schema.arguments if a.name in kwargs]
    for argument, value in given:
        if func in _INDEXED and argument.name == "indices" and isinstance(args[0], Pretended):
            continue
        written = argument.alias_info is not None and argument.alias_info.is_write
        listed = isinstance(value, list | tuple)
        for each in value if listed else (value,):
            foreign = isinstance(each, Tensor) and not isinstance(each, Pretended)
            if foreign and (each.ndim > 0 or listed or written):
                raise WrongDevice(
                    f"{func}: '{argument.name}' {tuple(each.shape)} lies on the CPU, others on the device"
                )


def _written(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The argument that the operation returns as it changes it; None if it returns something new."""
    returns = func._schema.returns
    if len(returns) != 1 or returns[0].alias_info is None or not returns[0].alias_info.is_write:
        return None
    for argument, value in zip(func._schema.arguments, args, strict=False):
        if argument.alias_info is not None and argument.alias_info.is_write:
            return value
    return next(
        (
            kwargs[a.name]
            for a in func._schema.arguments
            if a.name in kwargs and a.alias_info is not None and a.alias_info.is_write
        ),
        None,
    )


def _held(value: Any) -> Any:
    return value.held if isinstance(value, Pretended) else value


def _wrapped(value: Any) -> Any:
    return Pretended(value) if isinstance(value, Tensor) and not isinstance(value, Pretended) else value


def _alone(func: Any, args: tuple[Any, ...], found: Any) -> Any:
    """What is brought to the CPU has memory of its own there, as after a transfer."""
    return found.clone() if func is _aten._to_copy.default and found is _held(args[0]) else found
