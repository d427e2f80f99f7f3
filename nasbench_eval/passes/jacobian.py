"""Backward passes beyond that of one scalar: a sample, an output, a block at a time.

Tensor legend: B samples, C channels, P positions of an output, K entries a kernel sums over.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.autograd.forward_ad as fwAD
import torch.nn.functional as F
from torch import Tensor, nn

from nasbench_eval.errors import Undefined
from nasbench_eval.passes.norms import own_statistics
from nasbench_eval.passes.tape import Seen
from nasbench_eval.spaces.base import Network
from nasbench_eval.wording import first_line

SampleGradient = Callable[[str, Tensor, Tensor], None]
# Most bytes of sample gradients held at once; beyond it parameters take turns, each turn with its own passes.
MEMORY_BOUND = 1 << 30


def gradients(
    scalar: Tensor, leaves: Sequence[Tensor], *, create_graph: bool = False, keep_graph: bool = False
) -> list[Tensor]:
    """Gradients of a scalar; zeros where no path leads from a leaf, as when a cell cuts its input off."""
    if not scalar.requires_grad:
        return [torch.zeros_like(leaf) for leaf in leaves]
    found = torch.autograd.grad(
        scalar, leaves, create_graph=create_graph, retain_graph=create_graph or keep_graph, allow_unused=True
    )
    return [torch.zeros_like(t) if g is None else g for t, g in zip(leaves, found, strict=True)]


def curvature(
    network: Network, x: Tensor, parameters: Sequence[Tensor], loss: Callable[[Tensor], Tensor]
) -> Tensor:
    """θᵀ H g in float64 of any network, by a pass of its own and a backward pass of its backward pass."""
    g = gradients(loss(network(x)), parameters, create_graph=True)
    product = torch.stack([(each.detach() * each).sum() for each in g]).sum()
    terms = [
        (p.detach() * hg).sum() for p, hg in zip(parameters, gradients(product, parameters), strict=True)
    ]
    return torch.stack(terms).sum(dtype=torch.float64)


def coupled_samples(objective_B: Tensor, parameters: Mapping[str, Tensor], show: SampleGradient) -> None:
    """∂objective_n/∂θ where batch norm makes every sample depend on all: a backward pass a sample.

    One at a time: folding the samples' cotangents into one batched backward pass is slower on a CPU
    (docs/explanation/performance.md).
    """
    objectives = objective_B.unbind() if objective_B.requires_grad else ()  # zeros where nothing leads to it
    for group in _groups(parameters, len(objective_B)):
        held = {name: p.new_zeros(len(objective_B), *p.shape) for name, p in group.items()}
        for n, objective in enumerate(objectives):
            found = torch.autograd.grad(objective, list(group.values()), retain_graph=True, allow_unused=True)
            for gradient_B, gradient in zip(held.values(), found, strict=True):
                if gradient is not None:
                    gradient_B[n] = gradient
        for name in group:
            show(name, group[name], held.pop(name))


def _groups(parameters: Mapping[str, Tensor], samples: int) -> Iterator[dict[str, Tensor]]:
    group: dict[str, Tensor] = {}
    held = 0
    for name, parameter in parameters.items():
        size = samples * parameter.numel() * parameter.element_size()
        if group and held + size > MEMORY_BOUND:
            yield group
            group, held = {}, 0
        group[name] = parameter
        held += size
    if group:
        yield group


def separate_samples(
    objective_B: Tensor,
    tape: Sequence[Seen],
    parameters: Mapping[str, Tensor],
    show: SampleGradient,
    plain: Collection[str] | None = None,
) -> None:
    """∂objective_n/∂θ where no sample sees another: one backward pass, then each layer's own products.

    Parameters of layers whose products are not known here take a backward pass a sample.

    Args:
        objective_B: a sample's objective each.
        tape: the layers that own parameters, with the inputs and outputs of this pass.
        parameters: those of interest by name; those of a layer that was not met have zeros.
        show: is handed each parameter's name, the parameter and its gradients (B, *shape).
        plain: names of the layers whose products are known; None for all, and then one not on the tape
            is idle.
    """
    waiting = dict(parameters)
    owned = {id(parameter) for parameter in parameters.values()}
    tape = [seen for seen in tape if any(id(p) in owned for p in seen.module.parameters(recurse=False))]
    if plain is not None:
        tape = [seen for seen in tape if seen.name in plain]
    for seen, gradient in zip(tape, by_outputs(objective_B.sum(), tape), strict=True):
        with torch.no_grad():
            found = _layer_gradients(seen, gradient)
        for kind, parameter in seen.module.named_parameters(recurse=False):
            name = f"{seen.name}.{kind}"
            if name not in parameters:
                continue
            if waiting.pop(name, None) is None:
                raise TypeError(f"no sample gradients are defined for '{seen.name}', which is met twice")
            show(name, parameter, found[kind].reshape(len(objective_B), *parameter.shape))
    if plain is not None and waiting:
        coupled_samples(objective_B, waiting, show)
        return
    for name, idle in waiting.items():
        show(name, idle, idle.new_zeros(len(objective_B), *idle.shape))


def by_outputs(scalar: Tensor, tape: Sequence[Seen]) -> list[Tensor]:
    """The gradient of a scalar by the output of each layer, zeros where no path leads from it."""
    leaves = [seen.y for seen in tape]
    reached = [y for y in leaves if y.requires_grad] if scalar.requires_grad else []
    found = iter(
        torch.autograd.grad(scalar, reached, retain_graph=True, allow_unused=True) if reached else ()
    )
    gradients = [next(found) if scalar.requires_grad and y.requires_grad else None for y in leaves]
    return [torch.zeros_like(y) if g is None else g for y, g in zip(leaves, gradients, strict=True)]


def _layer_gradients(seen: Seen, g: Tensor) -> dict[str, Tensor]:
    """The gradients by a layer's parameters, a sample each, from its input and the gradient by its output."""
    module, x = seen.module, seen.x
    if isinstance(module, nn.Conv2d) and _padded_by_number(module):
        by_kernel = _kernel_gradients if module.groups == 1 else _grouped_kernel_gradients
        return {"weight": by_kernel(module, x, g), "bias": g.flatten(2).sum(2)}
    if isinstance(module, nn.Linear) and x.ndim == 2:
        return {"weight": torch.einsum("bo,bi->boi", g, x), "bias": g}
    if isinstance(module, nn.Linear):
        g_BPO, x_BPI = g.flatten(1, -2), x.flatten(1, -2)
        return {"weight": g_BPO.mT @ x_BPI, "bias": g_BPO.sum(1)}
    if isinstance(module, nn.LayerNorm):
        kept = len(module.normalized_shape)
        found = g * F.layer_norm(x, module.normalized_shape, eps=module.eps)
        return {
            kind: each.flatten(1, -kept - 1).sum(1) if each.ndim > kept + 1 else each
            for kind, each in (("weight", found), ("bias", g))
        }
    if isinstance(module, nn.GroupNorm):
        found = g * F.group_norm(x, module.num_groups, eps=module.eps)
        return {"weight": found.flatten(2).sum(2), "bias": g.flatten(2).sum(2)}
    if isinstance(module, nn.BatchNorm2d):
        return {"weight": (g * normalised(module, x)).flatten(2).sum(2), "bias": g.flatten(2).sum(2)}
    raise TypeError(f"no sample gradients are defined for {type(module).__name__} '{seen.name}' as it is set")


def by_entry(network: Network, x: Tensor, modules: Mapping[str, nn.Module], name: str) -> Tensor:
    """∂f_k(x_n)/∂θ[0, …, 0] of a parameter by its name, (B, K), by a forward pass of tangents.

    Where an operation has no tangent, by a backward pass of a backward pass.

    Raises:
        Undefined: if an operation has no second derivative either.
    """
    owner, _, kind = name.rpartition(".")
    parameter = modules[owner]._parameters[kind]
    assert parameter is not None
    # Layers may share it.
    places = [
        (module, each)
        for module in modules.values()
        for each, p in module._parameters.items()
        if p is parameter
    ]
    direction = torch.zeros_like(parameter)
    direction[(0,) * direction.ndim] = 1.0
    try:
        with torch.no_grad(), fwAD.dual_level(), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # PyTorch's own, of how it has some tangents
            dual: Any = fwAD.make_dual(parameter.detach(), direction)  # type: ignore[no-untyped-call]
            for module, each in places:
                module._parameters[each] = dual
            logits = network.head(network.features(x.detach()))
            tangent = fwAD.unpack_dual(logits).tangent  # type: ignore[no-untyped-call]
            return torch.zeros_like(logits) if tangent is None else tangent.clone()
    except (NotImplementedError, RuntimeError):
        pass
    finally:
        for module, each in places:
            module._parameters[each] = parameter
    try:
        return _by_entry_backwards(network, x, parameter)
    except (NotImplementedError, RuntimeError) as error:
        raise Undefined(f"no tangents can be had of this network: {first_line(error)}") from None


def _by_entry_backwards(network: Network, x: Tensor, parameter: Tensor) -> Tensor:
    """The same: v ↦ ∂⟨v, f⟩/∂θ[0, …, 0] is linear, and its gradient is what is asked for."""
    with torch.enable_grad():
        logits = network.head(network.features(x.detach()))
        v = torch.zeros_like(logits).requires_grad_()
        [g] = gradients((v * logits).sum(), [parameter], create_graph=True)
        return gradients(g.flatten()[0], [v])[0]


def _padded_by_number(conv: nn.Conv2d) -> bool:
    return conv.padding_mode == "zeros" and isinstance(conv.padding, tuple)


def _kernel_gradients(conv: nn.Conv2d, x: Tensor, g: Tensor) -> Tensor:
    """(B, O, C, height, width) from x (B, C, H, W) and g (B, O, h, w), viewed as channels-last memory is."""
    g_BOP = g.movedim(1, -1).flatten(1, 2).mT
    if conv.kernel_size == (1, 1) and conv.stride == (1, 1) and conv.padding == (0, 0):
        return g_BOP @ x.movedim(1, -1).flatten(1, 2)
    assert not isinstance(conv.padding, str)
    (rows, columns), (down, right) = conv.kernel_size, conv.stride
    (above, left), (dilated_down, dilated_right) = conv.padding, conv.dilation
    x_BHWC = F.pad(x.movedim(1, -1), (0, 0, left, left, above, above)).contiguous()
    sample, row, column, channel = x_BHWC.stride()
    met = x_BHWC.as_strided(
        (len(x), *g.shape[2:], rows, columns, x.shape[1]),
        (sample, down * row, right * column, dilated_down * row, dilated_right * column, channel),
    )
    found = g_BOP @ met.flatten(1, 2).flatten(2)
    return found.view(len(x), g.shape[1], rows, columns, x.shape[1]).movedim(-1, 2)


def _grouped_kernel_gradients(conv: nn.Conv2d, x: Tensor, g: Tensor) -> Tensor:
    """The same of a grouped convolution, kernel place by place: (B, O, C / groups, height, width)."""
    assert not isinstance(conv.padding, str)
    (rows, columns), (down, right) = conv.kernel_size, conv.stride
    (above, left), (dilated_down, dilated_right) = conv.padding, conv.dilation
    padded = F.pad(x, (left, left, above, above))
    B, G = len(x), conv.groups
    g_BGOP = g.flatten(2).reshape(B, G, g.shape[1] // G, -1)
    places = []
    for row in range(rows):
        for column in range(columns):
            met = padded[:, :, row * dilated_down :: down, column * dilated_right :: right]
            met_BGCP = met[..., : g.shape[2], : g.shape[3]].reshape(B, G, x.shape[1] // G, -1)
            places.append(torch.einsum("bgop,bgcp->bgoc", g_BGOP, met_BGCP).flatten(1, 2))
    return torch.stack(places, dim=-1).view(B, g.shape[1], x.shape[1] // G, rows, columns)


def normalised(norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    """x̂ of a batch norm that uses running statistics (`eval` mode) or each sample's own."""
    if norm.training:
        mean, r = own_statistics(x, norm.eps)
        return (x - mean) * r
    assert norm.running_mean is not None
    assert norm.running_var is not None
    return F.batch_norm(x, norm.running_mean, norm.running_var, eps=norm.eps)


def by_block(seen: Seen, g_out: Tensor) -> Tensor:
    """∂⟨g_out, y⟩/∂x of a block y = f(x), x its one input."""
    if not (seen.y.requires_grad and seen.x.requires_grad):
        return torch.zeros_like(seen.x)
    (g_in,) = torch.autograd.grad(seen.y, seen.x, g_out, retain_graph=True, allow_unused=True)
    return torch.zeros_like(seen.x) if g_in is None else g_in.detach()
