"""What a training is made with: one recipe a file of configs/recipe.  Nothing here needs PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

Share = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes:
        name: the recipe's one name, its YAML stem.
        epochs: how many; the schedule is of this length.
        batch_size: images a step, over all processes; what is left of an epoch is left out.
        optimizer: timm's name of one: `sgd` has Nesterov momentum, `momentum` has plain momentum.
        learning_rate: at its highest.
        momentum: of the optimizers that have one.
        weight_decay: how much.
        decay: which tensors decay: `all`, or `weights`, those of convolutions and linear layers alone: no
            biases, normalisations or tables.
        moves: whether the learning rate moves every `epoch` or every `step`.
        warmup_epochs: in which it rises in a line; the cosine follows upon them and ends with the training.
        warmup_rate: where it starts to rise.
        final_rate: where the cosine ends.
        label_smoothing: share of a label that goes to all classes alike.
        mixup, cutmix: the parameters α of the Beta distributions; 0 for none.
        crop: `pad` cuts at random from the image with a border of an eighth of its side; `resized` takes a
            part of random size and shape; `none` takes it as it is.
        smallest_crop: share of an image that `resized` takes at least.
        flips: whether images are mirrored at random; null: unless they are digits.
        cutout: side of a square of the mean colour at a random place, in pixels; 0 for none.
        color_jitter: how much brightness, contrast, saturation and hue change; empty for none.
        auto_augment: timm's text of a policy, such as `rand-m9-mstd0.5` or `original`; null for none.
        erasing: how often a rectangle is erased.
        drop_path: how often a path of the network is dropped, image by image; in UniNAS's networks one of
            the last block, and those before it less often.
        drop_path_rises: from 0 in a line, epoch by epoch; else it is the same in all epochs.
        auxiliary: weight of the auxiliary head's loss; 0 for none.
        distillation: weight of the teacher's part of the loss, where `teacher=` names one.
        temperature: that logits are divided by in that part.
        clip_norm: most that the norm of all gradients may be; null for any.
        average: decay of a moving average of the weights, which is judged in their place; null for none.
        batch_norm_momentum: weight of a new batch in running statistics, as PyTorch has it.
        init: `kaiming` (fan-in), or `torch_default`.
    """

    name: str
    epochs: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=2)]
    optimizer: Literal["sgd", "momentum", "adamw", "lamb", "rmsprop"]
    learning_rate: Positive
    momentum: Share
    weight_decay: Amount
    decay: Literal["all", "weights"]
    moves: Literal["epoch", "step"]
    warmup_epochs: Count
    warmup_rate: Amount
    final_rate: Amount
    label_smoothing: Share
    mixup: Amount
    cutmix: Amount
    crop: Literal["pad", "resized", "none"]
    smallest_crop: Annotated[float, Field(gt=0, le=1)]
    flips: bool | None
    cutout: Count
    color_jitter: tuple[Amount, ...]
    auto_augment: str | None
    erasing: Share
    drop_path: Share
    drop_path_rises: bool
    auxiliary: Amount
    distillation: Amount
    temperature: Positive
    clip_norm: Positive | None
    average: Share | None
    batch_norm_momentum: Annotated[float, Field(gt=0, le=1)]
    init: Literal["kaiming", "torch_default"]

    def __post_init__(self) -> None:
        if self.warmup_epochs >= self.epochs:
            raise ValueError(f"warmup_epochs={self.warmup_epochs} leaves none of epochs={self.epochs}")
        if len(self.color_jitter) not in (0, 3, 4):
            raise ValueError("color_jitter is brightness, contrast, saturation and, if there is one, hue")

    @property
    def plain(self) -> bool:
        """Whether images are only cut, mirrored and cut out of: a batch at a time, without Pillow."""
        return not (self.crop == "resized" or self.color_jitter or self.auto_augment or self.erasing)

    def dropped(self, epoch: int) -> float:
        """How often a path is dropped in an epoch, counted from 1.

        DARTS's code raises it by epoch / epochs, counted from 0, so that it is never reached in full.
        """
        return self.drop_path * ((epoch - 1) / self.epochs if self.drop_path_rises else 1)
