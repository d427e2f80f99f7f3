"""What a training is made with and what an epoch of it comes to.

Dong & Yang, "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search", ICLR 2020
(the recipe: section 2.2 and table 1).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from nasbench_eval.errors import ComesToNothing

Optimizer = Literal["sgd", "adamw"]


@dataclass(frozen=True)
class Training:
    """NAS-Bench-201's recipe scaled down: SGD with Nesterov momentum and a cosine schedule, flips and crops.

    Transformers hardly learn by it; AdamW (Loshchilov & Hutter, ICLR 2019) is for them.

    Attributes:
        epochs: how many to train; 0 leaves the network as drawn.
        images: size of the training set, drawn from the data set's training images.
        batch_size: images a step.
        learning_rate: at the start.
        momentum: Nesterov's; AdamW has averages of its own (0.9 and 0.999) instead.
        weight_decay: on all parameters; of AdamW it is the decoupled one.
        schedule: epochs over which the learning rate falls to zero along a cosine; at least `epochs`, and
            the same for all `epochs`, so that a short training is the beginning of a long one.
        flips: whether images are mirrored at random, which the likes of digits do not bear.
        optimizer: `sgd` or `adamw`.
    """

    epochs: int
    images: int = 2560
    batch_size: int = 64
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: int = 10
    flips: bool = True
    optimizer: Optimizer = "sgd"

    def __post_init__(self) -> None:
        if not 0 <= self.epochs <= self.schedule:
            raise ValueError(
                f"epochs are 0 to {self.schedule}, the length of the schedule; got {self.epochs}"
            )
        if self.images < 2 or self.batch_size < 2:
            raise ValueError(f"images and batch_size are 2 or more; got {self.images} and {self.batch_size}")
        if self.optimizer not in get_args(Optimizer):
            raise ValueError(f"an optimizer is {' or '.join(get_args(Optimizer))}; got {self.optimizer}")
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"a learning rate is positive and finite; got {self.learning_rate}")

    def rate(self, epoch: int) -> float:
        """The learning rate throughout an epoch, counted from 1: as in the benchmark, it falls in between."""
        return self.learning_rate * (1 + math.cos(math.pi * (epoch - 1) / self.schedule)) / 2

    def identity(self) -> dict[str, Any]:
        """All of it; an optimizer only where it is not SGD, as records had it before there was a choice."""
        recipe = asdict(self)
        if self.optimizer == "sgd":
            del recipe["optimizer"]
        return recipe


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to.

    Attributes:
        epoch: its number, from 1.
        loss: mean training cross-entropy, in nats.
        accuracy: training accuracy in percent, over the augmented images as they were seen.
        learning_rate: throughout the epoch.
        seconds: it took, validation included, of which writing the checkpoint is no part.
        val_loss: mean cross-entropy after the epoch on images to validate with; None where there are none.
        val_accuracy: in percent, on the same.
    """

    epoch: int
    loss: float
    accuracy: float
    learning_rate: float
    seconds: float
    val_loss: float | None = None
    val_accuracy: float | None = None


class Diverged(ComesToNothing):
    """A training after which the loss, a weight or a running statistic is infinite or not a number.

    Attributes:
        history: the epochs before.
    """

    history: tuple[Epoch, ...] = ()
