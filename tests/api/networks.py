"""Small networks with what the benchmarks' do not have."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Activation = Callable[[Tensor], Tensor]


class Plain(nn.Module):
    """Two convolutions with batch norm and a residual, activated by a function or a module."""

    def __init__(self, activation: Activation = F.relu, *, classes: int = 10, inplace: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 8, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, classes)
        self.activation, self.inplace = activation, inplace

    def forward(self, x: Tensor) -> Tensor:
        x = self.activation(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(x))
        if self.inplace:
            y += x
        else:
            y = y + x
        return self.fc(self.activation(y).mean(dim=(2, 3)))


class Grouped(nn.Module):
    """Grouped and depthwise convolutions, a squeeze-and-excitation gate, no normalisation, dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.grouped = nn.Conv2d(8, 12, 3, padding=1, groups=2)
        self.depthwise = nn.Conv2d(12, 12, 5, padding=4, dilation=2, groups=12, bias=False)
        self.squeeze, self.excite = nn.Linear(12, 4), nn.Linear(4, 12)
        self.act, self.drop = nn.SiLU(inplace=True), nn.Dropout(0.5)
        self.fc = nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.grouped(self.act(self.stem(x))))
        x = self.depthwise(x)
        gate = self.excite(F.relu(self.squeeze(x.mean(dim=(2, 3))))).sigmoid()
        x = x * gate[:, :, None, None]
        return self.fc(self.drop(x.mean(dim=(2, 3))))


class Block(nn.Module):
    """A transformer's block, with heads by hand."""

    def __init__(self, width: int, heads: int = 2) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.fc1, self.fc2 = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.gamma = nn.Parameter(torch.full((width,), 0.5))
        self.heads = heads

    def forward(self, x_BNC: Tensor) -> Tensor:
        B, N, C = x_BNC.shape
        q, k, v = self.qkv(self.norm1(x_BNC)).reshape(B, N, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(B, N, C)
        x_BNC = x_BNC + self.gamma * self.proj(mixed)
        return x_BNC + self.fc2(F.gelu(self.fc1(self.norm2(x_BNC))))


class Transformer(nn.Module):
    """Patches of 8 x 8 pixels, a class token, positions, blocks."""

    def __init__(self, width: int = 8, blocks: int = 3) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 8, stride=8)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(0.02 * torch.ones(1, 17, width))
        self.blocks = nn.Sequential(*[Block(width) for _ in range(blocks)])
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x_BNC = self.patches(x).flatten(2).transpose(1, 2)
        x_BNC = torch.cat([self.token.expand(len(x), -1, -1), x_BNC], dim=1) + self.positions
        return self.head(self.norm(self.blocks(x_BNC))[:, 0])


class Residual(nn.Module):
    """A block with group norm, as many networks for small batches have."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv, self.norm, self.act = (
            nn.Conv2d(width, width, 3, padding=1),
            nn.GroupNorm(2, width),
            nn.ReLU6(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.act(self.norm(self.conv(x)))


def group_normed() -> nn.Module:
    """A sequence of blocks, flattened before the classifier."""
    blocks = nn.Sequential(*[Residual(4) for _ in range(3)])
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10)]
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), blocks, *head)


def drawn(network: nn.Module, seed: int = 0) -> nn.Module:
    """The network with weights of its own, none of them zero."""
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=g))
    return network
