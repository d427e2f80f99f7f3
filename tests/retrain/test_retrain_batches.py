"""Batches: what is in them, decided by seed and epoch, however many processes there are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from training_parts import batches, noise, recipe

from nasbench_eval.errors import UsageError
from nasbench_eval.retrain.batches import Batches, Draws, cut
from nasbench_eval.retrain.source import Part, Source
from nasbench_eval.retrain.team import Team

PLAIN = recipe("smoke", batch_size=8, cutout=4)
RICH = recipe("smoke", batch_size=8, auto_augment="rand-m9-mstd0.5", erasing=0.5, crop="resized", cutout=2)


def test_an_epoch_shows_each_image_at_most_once_and_leaves_the_rest_out() -> None:
    still = batches(recipe("smoke", batch_size=8, crop="none"), flips=False)
    seen = [(x, y) for x, y in still.train(1)]
    assert len(seen) == still.steps == 4
    x = torch.cat([x for x, _ in seen])
    part = noise().parts["train"]
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (still.source.dataset.mean, still.source.dataset.std))
    whole = (torch.from_numpy(part.images).permute(0, 3, 1, 2).float() - mean) / std
    places = [int((whole - image).abs().flatten(1).sum(1).argmin()) for image in x]
    assert len(set(places)) == 32
    torch.testing.assert_close(whole[places], x)
    assert torch.cat([y for _, y in seen]).tolist() == part.labels[places].tolist()


@pytest.mark.parametrize("made", [PLAIN, RICH], ids=["plain", "rich"])
def test_batches_depend_on_the_epoch_and_not_on_processes(made: object) -> None:
    whole = list(batches(made).train(3))  # type: ignore[arg-type]
    first, second = (list(batches(made, rank, 2).train(3)) for rank in (0, 1))  # type: ignore[arg-type]
    for (x, y), (a, b), (c, d) in zip(whole, first, second, strict=True):
        assert torch.equal(x, torch.cat([a, c]))
        assert torch.equal(y, torch.cat([b, d]))
    other = list(batches(made).train(4))  # type: ignore[arg-type]
    assert not torch.equal(other[0][0], whole[0][0])


def test_readers_make_no_difference_and_leave_the_global_generators_alone() -> None:
    alone, state = list(batches(RICH).train(1)), torch.get_rng_state()
    helped = list(batches(RICH, workers=1).train(1))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(a, b) for (a, _), (b, _) in zip(alone, helped, strict=True))


def test_cuts_against_a_loop() -> None:
    """Pixel by pixel: crop with a black border, mirror, scale, then cut out."""
    source = noise()
    pixels, count = torch.from_numpy(source.parts["train"].images), 37
    draws = Draws.of(count, 8, PLAIN, True, ("key",))
    chosen = torch.tensor([3, 30, 5])
    found = cut(pixels, chosen, draws, source.dataset, 4)
    for place, image in enumerate(chosen.tolist()):
        (top, left), (y0, x0) = draws.corners_N2[image].tolist(), draws.centres_N2[image].tolist()
        for row in range(8):
            for column in range(8):
                across = 7 - column if draws.flips_N[image] else column
                r, c = row + top - 1, across + left - 1
                inside = 0 <= r < 8 and 0 <= c < 8
                raw = pixels[image, r, c].tolist() if inside else [0, 0, 0]
                value = [
                    (v - m) / s for v, m, s in zip(raw, source.dataset.mean, source.dataset.std, strict=True)
                ]
                if y0 - 2 <= row < y0 + 2 and x0 - 2 <= column < x0 + 2:
                    value = [0.0, 0.0, 0.0]
                assert found[place, row, column].tolist() == pytest.approx(value, abs=1e-6)


def test_a_part_is_judged_whole_by_all_processes_together() -> None:
    shares = [list(batches(PLAIN, rank, 3).judge("val")) for rank in range(3)]
    assert sorted(int(y) for share in shares for _, ys in share for y in ys) == sorted(
        noise().parts["val"].labels
    )


@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_that_is_no_image_is_told_in_one_line(workers: int, tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    dataset = noise().dataset
    source = Source(dataset, ("a", "b", "c"), {"train": Part((bad,) * 8, np.zeros(8, np.int64))}, "0")
    made = Batches(source, PLAIN, ("key",), Team(), torch.device("cpu"), workers, True)
    with pytest.raises(UsageError, match=r"bad.png is no image that can be read"):
        list(made.train(1))


@pytest.mark.parametrize(("crop", "same"), [("pad", True), ("none", True), ("resized", False)])
def test_files_are_judged_as_images_in_memory_are(tmp_path: Path, crop: str, same: bool) -> None:
    """Whole, unless the recipe trains with parts of images: then the middle of them."""
    from PIL import Image

    source = noise()
    part = source.parts["train"]
    files = []
    for number, pixels in enumerate(part.images):
        files.append(tmp_path / f"{number}.png")
        Image.fromarray(pixels).save(files[-1])
    lazily = Source(source.dataset, source.classes, {"train": Part(tuple(files), part.labels)}, "")
    asked = recipe("smoke", batch_size=8, crop=crop)
    found, wanted = (
        torch.cat(
            [
                x
                for x, _ in Batches(each, asked, ("key",), Team(), torch.device("cpu"), 0, False).judge(
                    "train"
                )
            ]
        )
        for each in (lazily, source)
    )
    assert torch.allclose(found, wanted, atol=1e-5) == same
