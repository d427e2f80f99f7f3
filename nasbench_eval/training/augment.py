"""Flips and crops of an epoch's images, all of a batch at once.

Tensor legend: N images, B images of a batch, C channels, R height and width, P pixels of all images.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from nasbench_eval.seeding import generator


def epoch_batches(
    images_NCHW: Tensor, labels_N: Tensor, batch_size: int, *key: object, flips: bool = True
) -> Iterator[tuple[Tensor, Tensor]]:
    """Augmented batches (B, 3, R, R), in channels-last order, and labels (B,) of one epoch.

    Each image is mirrored or not (never without `flips`), then cut at random from its copy with a border of
    R // 8 zeros: 4 pixels at R = 32, as in the benchmark.  There the border is black; here it is the data
    set's mean colour, for the images are normalised already.

    Args:
        images_NCHW: (N, 3, R, R).
        labels_N: their classes.
        batch_size: images a batch; the last may be smaller, and is left out if it is a single image.
        key: what all draws depend on; they are made on the CPU, so that every device gets the same.
    """
    count, channels, _, side = images_NCHW.shape
    device, border = images_NCHW.device, images_NCHW.shape[-1] // 8
    order_N = torch.randperm(count, generator=generator(*key, "order")).to(device)
    flips_N = torch.randint(2, (count,), generator=generator(*key, "flips")).bool().to(device) & flips
    corners_2N = torch.randint(2 * border + 1, (2, count), generator=generator(*key, "crops")).to(device)
    # One row a pixel: taking rows by their numbers is faster than indexing by image, row and column.
    pixels_PC = images_NCHW.permute(0, 2, 3, 1).reshape(-1, channels)
    places_R = torch.arange(side, device=device)
    for start in range(0, count - (count % batch_size == 1), batch_size):
        now = slice(start, start + batch_size)
        rows_BR, columns_BR = corners_2N[:, now, None] - border + places_R
        columns_BR = torch.where(flips_N[now, None], side - 1 - columns_BR, columns_BR)
        outside_BRR = _outside(rows_BR, side)[:, :, None] | _outside(columns_BR, side)[:, None, :]
        first_BR = (order_N[now, None] * side + rows_BR.clamp(0, side - 1)) * side
        chosen_BRR = first_BR[:, :, None] + columns_BR.clamp(0, side - 1)[:, None, :]
        x_BRRC = pixels_PC.index_select(0, chosen_BRR.flatten()).view(-1, side, side, channels)
        yield x_BRRC.masked_fill_(outside_BRR[..., None], 0).permute(0, 3, 1, 2), labels_N[order_N[now]]


def _outside(places: Tensor, side: int) -> Tensor:
    return (places < 0) | (places >= side)
