"""Trains a network: seeded, resumable, its progress shown."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Training:
    """NAS-Bench-201's recipe scaled down: SGD with Nesterov momentum and a cosine schedule, flips and crops.

    Attributes:
        epochs: how many to train; 0 leaves the network as drawn.
        images: size of the training set, drawn from the data set's training images.
        batch_size: images a step.
        learning_rate: at the start.
        momentum: Nesterov's.
        weight_decay: on all parameters.
        schedule: epochs over which the learning rate falls to zero along a cosine; at least `epochs`, and
            the same for all `epochs`, so that a short training is the beginning of a long one.
    """

    epochs: int
    images: int = 2560
    batch_size: int = 64
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: int = 10

    def __post_init__(self) -> None:
        if not 0 <= self.epochs <= self.schedule:
            raise ValueError(f"epochs are 0 to {self.schedule}, the length of the schedule; got {self.epochs}")
