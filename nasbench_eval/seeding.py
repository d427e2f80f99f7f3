"""Seeds from content, so that no draw depends on the order in which draws are made."""

from __future__ import annotations

import hashlib

import torch


def seed_of(*parts: object) -> int:
    """A 63-bit seed from the text of the parts: the same in every process, platform and version."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(*parts: object) -> torch.Generator:
    """A CPU generator seeded by `seed_of(*parts)`; draws move to the device afterwards."""
    return torch.Generator().manual_seed(seed_of(*parts))


def signs_like(tensor: torch.Tensor, coins: torch.Generator) -> torch.Tensor:
    """Random ±1 of a tensor's shape, type, device and layout; eight entries a drawn byte."""
    bytes_N = torch.randint(0, 256, (-(-tensor.numel() // 8),), generator=coins, dtype=torch.uint8)
    bits_N8 = (bytes_N[:, None] >> torch.arange(8, dtype=torch.uint8)).bitwise_and_(1)
    heads = bits_N8.flatten()[: tensor.numel()].view(tensor.shape)
    return torch.empty_like(tensor).copy_(heads).mul_(2).sub_(1)
