"""How single images are shown to a network: transforms of torchvision and timm, as a recipe asks for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nasbench_eval.data.datasets import DataSet
from nasbench_eval.errors import UsageError
from nasbench_eval.retrain.parts import timm_part
from nasbench_eval.retrain.recipe import Recipe
from nasbench_eval.retrain.source import CENTRE
from nasbench_eval.wording import first_line

View = Callable[[Any], Any]


def view(recipe: Recipe, dataset: DataSet, flips: bool) -> View:
    """From an image of Pillow's to a tensor (3, R, R), by the global generators.

    Raises:
        UsageError: if a policy's text is none of timm's.
    """
    side, data = dataset.resolution, timm_part("data")
    from torchvision import transforms

    steps: list[Any] = []
    if recipe.crop == "resized":
        scale = (recipe.smallest_crop, 1.0)
        steps.append(data.RandomResizedCropAndInterpolation(side, scale=scale, interpolation="bicubic"))
    else:
        steps += _middle(side, side)
        steps += [transforms.RandomCrop(side, padding=side // 8)] if recipe.crop == "pad" else []
    steps += [transforms.RandomHorizontalFlip()] if flips else []
    if recipe.auto_augment:
        steps.append(_policy(recipe.auto_augment, dataset))
    if recipe.color_jitter:
        steps.append(transforms.ColorJitter(*recipe.color_jitter))
    steps += _numbers(dataset)
    if recipe.cutout:
        steps.append(_Cutout(recipe.cutout))
    if recipe.erasing:
        steps.append(
            timm_part("data.random_erasing").RandomErasing(recipe.erasing, mode="const", device="cpu")
        )
    composed: View = transforms.Compose(steps)
    return composed


def looked_at(recipe: Recipe, dataset: DataSet) -> View:
    """From an image of Pillow's to (3, R, R), without any chance.

    It is the middle of the image where the recipe trains with parts of images, and else all of it.
    """
    timm_part("data")  # so that torchvision can be imported
    from torchvision import transforms

    side = dataset.resolution
    whole = round(side / CENTRE) if recipe.crop == "resized" else side
    composed: View = transforms.Compose([*_middle(whole, side), *_numbers(dataset)])
    return composed


def _middle(whole: int, side: int) -> list[Any]:
    """The middle square of so many pixels of an image whose shorter side is brought to `whole`."""
    from torchvision import transforms
    from torchvision.transforms import InterpolationMode

    return [transforms.Resize(whole, InterpolationMode.BICUBIC), transforms.CenterCrop(side)]


def _numbers(dataset: DataSet) -> list[Any]:
    from torchvision import transforms

    mean, std = ([value / 255 for value in values] for values in (dataset.mean, dataset.std))
    return [transforms.ToTensor(), transforms.Normalize(mean, std)]


def _policy(text: str, dataset: DataSet) -> Any:
    auto = timm_part("data.auto_augment")
    settings = {
        "translate_const": int(0.45 * dataset.resolution),
        "img_mean": tuple(round(value) for value in dataset.mean),
    }
    make = auto.rand_augment_transform if text.startswith("rand") else auto.auto_augment_transform
    try:
        return make(text, settings)
    except (AssertionError, KeyError, ValueError) as error:
        raise UsageError(
            f"recipe.auto_augment={text} is no policy of timm's ({first_line(error)}); rand-m9-mstd0.5 and "
            "original are"
        ) from error


class _Cutout:
    """A square of the mean colour at a random place, as far as it is inside (DeVries & Taylor 2017)."""

    def __init__(self, side: int) -> None:
        self.side = side

    def __call__(self, x_3RR: Any) -> Any:
        import torch

        first = [int(torch.randint(size, ())) - self.side // 2 for size in x_3RR.shape[1:]]
        (top, bottom), (left, right) = ((max(0, at), max(0, at + self.side)) for at in first)
        x_3RR[:, top:bottom, left:right] = 0
        return x_3RR
