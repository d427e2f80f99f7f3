"""Seeds from content, so that no draw depends on the order in which draws are made."""

from __future__ import annotations

import hashlib
from functools import lru_cache

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
    bytes_N = torch.randint(0, 256, (-(-tensor.numel() // 8),), generator=coins)
    signs = _signs_of_bytes().index_select(0, bytes_N).flatten()[: tensor.numel()]
    return torch.empty_like(tensor).copy_(signs.view(tensor.shape))


@lru_cache(maxsize=1)
def _signs_of_bytes() -> torch.Tensor:
    """Row n are the bits of n, the lowest first, as ±1."""
    bits = (torch.arange(256)[:, None] >> torch.arange(8)) & 1
    return 2.0 * bits - 1.0
