"""The second derivative of a loss along two directions of the weights, without a second backward pass.

The tangent of a tensor says how it moves when the weights move along a direction.  With the tangents along u
and v, and the gradient λ_l of the loss L by the output of every layer f_l,

    D²L[u, v] = D²loss[z_u, z_v] + Σ_l ⟨λ_l, D²f_l[u, v]⟩,   z the tangents of the logits,

for whatever a layer's second derivative does to later layers is linear, and that is what λ_l sums up.  So two
forward passes of tangents are enough.  With x_u, y_u the tangents of a layer's input and output:

    convolution, linear   y_u = w ∗ x_u + u ∗ x
                          ⟨λ, D²f⟩ = ⟨λ, u ∗ x_v + v ∗ x_u⟩
    batch norm            y_u = γ r (x_u − m(x_u) − x̂ b_u)
                          ⟨λ, D²f⟩ = −Σ_c r (b_v ⟨μ, x_u⟩ + b_u ⟨μ, x_v⟩ + b_λ ⟨x_u, y_v⟩)
    ReLU, pooling, sums   linear where they are smooth: no second derivative; ReLU6 too

with u the layer's own part of the direction, x̂ = (x − m(x)) r, r = (σ² + ε)^(−1/2), m(·) the mean over a
channel c, b_z = m(z x̂), and μ the gradient of the loss by x.  Batch norm's Jacobian is symmetric, so that its
tangent is its own backward kernel.

Here u are the weights w themselves, and v = g their gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasbench_eval.spaces.base import Network

_norm_backward = torch.ops.aten.native_batch_norm_backward
_relu_backward = torch.ops.aten.threshold_backward
_LINEAR = (
    nn.Identity,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
    nn.Flatten,
    nn.Sequential,
    nn.ModuleList,
    nn.ModuleDict,
)
# How far the loss's rise along g may be from ‖g‖², relatively: rounding stays far below.
TOLERANCE = 1e-2


class Unseen(Exception):
    """A network computes something that its modules do not show."""


class Layer:
    """A layer that the forward pass went through, and what of it the tangents need.

    Attributes:
        name: its name in the network.
        module: the layer.
        watched: the tensor of the pass whose gradient `adjoint` is.
        adjoint: the gradient of the loss by `watched`; None where no path leads from it.
        idle: whether the layer's tangents do not matter, since its output has no bearing on the loss.
        g: the gradient of the loss by the layer's weight, if it has one.
        term: the layer's part of D²L, in float64.
    """

    def __init__(self, name: str, module: Any, watched: Tensor) -> None:
        self.name, self.module, self.watched = name, module, watched
        self.adjoint: Tensor | None = None
        self.g: Tensor | None = None
        self.term = torch.zeros((), dtype=torch.float64, device=watched.device)

    @property
    def idle(self) -> bool:
        return self.adjoint is None

    def along_weights(self, x_u: Tensor) -> Tensor:
        """The tangent of the output from that of the input, all weights moving by themselves."""
        raise NotImplementedError

    def along_gradient(self, x_v: Tensor) -> Tensor:
        """The same, all weights moving by their gradients; completes `term`."""
        raise NotImplementedError


class _Product(Layer):
    """A convolution or linear layer, y = w ∗ x + bias."""

    def __init__(self, name: str, module: Any, x: Tensor, y: Tensor) -> None:
        super().__init__(name, module, y)
        self.x, self.y = x.detach(), y.detach()
        self.first = False  # whether x is the network's input, which moves in no direction

    def _times(self, weight: Tensor, x: Tensor) -> Tensor:
        m = self.module
        if isinstance(m, nn.Linear):
            return F.linear(x, weight)
        return torch.conv2d(x, weight, None, m.stride, m.padding, m.dilation, m.groups)

    def along_weights(self, x_u: Tensor) -> Tensor:
        self.x_u = x_u
        bias = self.module.bias
        w_x = self.y if bias is None else self.y - bias.view(-1, *[1] * (self.y.ndim - 2))
        return w_x if self.first else self._times(self.module.weight, x_u).add_(w_x)

    def along_gradient(self, x_v: Tensor) -> Tensor:
        assert self.g is not None
        assert self.adjoint is not None
        g_x = self._times(self.g, self.x)
        if self.first:
            return g_x
        w_x_v = self._times(self.module.weight, x_v)
        g_x_u = self._times(self.g, self.x_u)
        self.term = (inner(self.adjoint, w_x_v) + inner(self.adjoint, g_x_u)).sum()
        del self.x_u
        return w_x_v.add_(g_x)


class _BatchNorm(Layer):
    """A batch norm on the statistics of the batch, which its running statistics hold."""

    def __init__(self, name: str, module: Any, x: Tensor, y: Tensor) -> None:
        super().__init__(name, module, x)
        self.x, self.n = x.detach(), x.numel() // x.shape[1]
        self.mean_C = module.running_mean
        self.r_C = (module.running_var * ((self.n - 1) / self.n) + module.eps).rsqrt()

    def _tangent(self, x_t: Tensor) -> tuple[Tensor, Tensor]:
        """y_t, and b_t."""
        m, statistics = self.module, (self.mean_C, self.r_C)
        y_t, n_b, _ = _norm_backward(
            x_t, self.x, m.weight, None, None, *statistics, True, m.eps, [True, True, True]
        )
        return y_t, n_b / self.n

    def along_weights(self, x_u: Tensor) -> Tensor:
        y_u, b_u = self._tangent(x_u)
        self.x_u, self.b_u = x_u, b_u
        return y_u

    def along_gradient(self, x_v: Tensor) -> Tensor:
        assert self.g is not None
        assert self.adjoint is not None
        y_v, b_v = self._tangent(x_v)
        b_λ = self.g / self.n
        μ_x_u, μ_x_v = inner(self.adjoint, self.x_u), inner(self.adjoint, x_v)
        self.term = -(self.r_C * (b_v * μ_x_u + self.b_u * μ_x_v + b_λ * inner(self.x_u, y_v))).sum()
        del self.x_u
        return y_v


class _Pointwise(Layer):
    """A layer whose tangent is one and the same linear map along any direction."""

    idle = False

    def along_gradient(self, x_v: Tensor) -> Tensor:
        return self.along_weights(x_v)


class _Relu(_Pointwise):
    def __init__(self, name: str, module: Any, x: Tensor, y: Tensor) -> None:
        super().__init__(name, module, y)
        self.y = y.detach()

    def along_weights(self, x_u: Tensor) -> Tensor:
        y_u: Tensor = _relu_backward(x_u, self.y, 0)
        return y_u


class _Relu6(_Pointwise):
    def __init__(self, name: str, module: Any, x: Tensor, y: Tensor) -> None:
        super().__init__(name, module, y)
        self.moves = (y > 0) & (y < 6)

    def along_weights(self, x_u: Tensor) -> Tensor:
        return x_u * self.moves


class _MaxPool(_Pointwise):
    def __init__(self, name: str, module: Any, x: Tensor, y: Tensor) -> None:
        super().__init__(name, module, y)
        m = module
        geometry = (m.kernel_size, m.stride, m.padding, m.dilation, m.ceil_mode)
        self.chosen = F.max_pool2d_with_indices(x.detach(), *geometry)[1]

    def along_weights(self, x_u: Tensor) -> Tensor:
        return x_u.flatten(2).gather(2, self.chosen.flatten(2)).view_as(self.chosen)


_KINDS: dict[type[nn.Module], Callable[[str, Any, Tensor, Tensor], Layer]] = {
    nn.Conv2d: _Product,
    nn.Linear: _Product,
    nn.BatchNorm2d: _BatchNorm,
    nn.ReLU: _Relu,
    nn.ReLU6: _Relu6,
    nn.MaxPool2d: _MaxPool,
}


def _kind(module: nn.Module) -> Callable[[str, Any, Tensor, Tensor], Layer] | None:
    return next((kind for of, kind in _KINDS.items() if isinstance(module, of)), None)


def covers(network: nn.Module) -> bool:
    """Whether the tangents of all layers are known here, batch norms being in training mode."""
    leaves = [module for module in network.modules() if not any(module.children())]
    return all(isinstance(m, _LINEAR) or (_kind(m) is not None and _is_plain(m)) for m in leaves)


def _is_plain(module: nn.Module) -> bool:
    """Whether a layer is set so, and computes what its class does: a subclass may pad or scale besides."""
    for of in (nn.Conv2d, nn.Linear, nn.BatchNorm2d):
        if isinstance(module, of) and type(module).forward is not of.forward:
            return False
    if "parametrizations" in module._modules:
        return False
    if isinstance(module, nn.Conv2d):
        own = type(module)._conv_forward is nn.Conv2d._conv_forward
        return own and module.padding_mode == "zeros"
    if isinstance(module, nn.BatchNorm2d):
        return module.affine and module.track_running_stats and module.momentum == 1
    return not isinstance(module, nn.MaxPool2d) or not module.return_indices


@contextmanager
def recorded(modules: Mapping[str, nn.Module], layers: list[Layer]) -> Iterator[None]:
    """Keep what the tangents need of each of these modules as the forward pass meets it."""

    def keep(make: Callable[..., Layer], module: nn.Module, args: Any, y: Tensor) -> None:
        layers.append(make(module, args[0], y))

    with ExitStack() as stack:
        for name, module in modules.items():
            if (kind := _kind(module)) is not None:
                hook = partial(keep, partial(kind, name))
                stack.callback(module.register_forward_hook(hook).remove)
        yield


@contextmanager
def adjoints_kept(layers: Sequence[Layer]) -> Iterator[None]:
    """Keep the gradients that the layers wait for, as a backward pass meets them."""
    with ExitStack() as stack:
        for layer in layers:
            layer.adjoint = None
            if isinstance(layer, _Product | _BatchNorm) and layer.watched.requires_grad:
                handle: Any = layer.watched.register_hook(partial(_keep_adjoint, layer))  # type: ignore[no-untyped-call]
                stack.callback(handle.remove)
        yield


def _keep_adjoint(layer: Layer, gradient: Tensor) -> None:
    layer.adjoint = gradient.detach()


@torch.no_grad()
def curvature(
    network: Network,
    x: Tensor,
    layers: Sequence[Layer],
    gradients: Mapping[str, Tensor],
    loss: Callable[[Tensor], Tensor],
) -> Tensor:
    """D²L[θ, g] = θᵀ H g, θ the weight tensors of convolution and linear layers; in float64.

    Args:
        network: whose weights they are.
        x: the input of the pass.
        layers: what `recorded` kept of it, the classifier last, with the adjoints of L's backward pass.
        gradients: of L by the parameters, by name.
        loss: L from the logits.

    Raises:
        Unseen: if the network computes something that its modules do not show, or meets a layer twice, so
            that tangents cannot be had from them.
    """
    names = [layer.name for layer in layers]
    if len(set(names)) < len(names):
        raise Unseen("a layer is met twice")
    for layer in layers:
        layer.g = gradients.get(f"{layer.name}.weight")
        if isinstance(layer, _Product):
            layer.first = layer.x.data_ptr() == x.data_ptr()
    z_u = _walk(network, x, [(layer, layer.along_weights) for layer in layers])
    z_v = _walk(network, x, [(layer, layer.along_gradient) for layer in layers])
    second, rise = _of_loss(loss, layers[-1].watched.detach(), z_u, z_v)
    _check(rise, [layer.g for layer in layers if isinstance(layer, _Product) and layer.g is not None])
    return second + torch.stack([layer.term for layer in layers]).sum()


def _walk(network: Network, x: Tensor, steps: Sequence[tuple[Layer, Callable[[Tensor], Tensor]]]) -> Tensor:
    """The tangent of the logits: the network with each layer's forward replaced by its tangent's."""
    waiting = iter(steps)

    def forward(module: nn.Module, x_t: Tensor) -> Tensor:
        layer, step = next(waiting)
        assert layer.module is module, "a forward pass meets its layers in the same order every time"
        return torch.zeros_like(layer.watched) if layer.idle else step(x_t)

    for layer, _ in steps:
        layer.module.forward = partial(forward, layer.module)
    try:
        return network.head(network.features(torch.zeros_like(x)))
    finally:
        for layer, _ in steps:
            del layer.module.forward


def _of_loss(
    loss: Callable[[Tensor], Tensor], logits: Tensor, z_u: Tensor, z_v: Tensor
) -> tuple[Tensor, Tensor]:
    """D²loss[z_u, z_v] and Dloss[z_v] at the logits, in float64."""
    with torch.enable_grad():
        logits.requires_grad_()
        (slope,) = torch.autograd.grad(loss(logits), logits, create_graph=True)
        moved = torch.autograd.grad(slope, logits, z_u)[0] if slope.requires_grad else torch.zeros_like(slope)
    return inner(moved, z_v).sum(), inner(slope.detach(), z_v).sum()


def _check(rise: Tensor, gradients: Sequence[Tensor]) -> None:
    """The loss has to rise along g by ‖g‖²: then nothing happened that the tangents did not see."""
    expected = torch.stack([g.double().square().sum() for g in gradients]).sum()
    if (rise - expected).abs() > TOLERANCE * expected:  # not where either is NaN
        raise Unseen(
            f"along the gradient the loss rises by {rise:.6g}, by the tangents; it is {expected:.6g}"
        )


def inner(a: Tensor, b: Tensor) -> Tensor:
    """Inner product a channel, (C,) in float64, of two tensors (B, C, ...)."""
    return (a * b).sum(dim=[d for d in range(a.ndim) if d != 1]).double()
