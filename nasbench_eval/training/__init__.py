"""Training: the one loop for everything that trains."""

from nasbench_eval.training.augment import epoch_batches
from nasbench_eval.training.checkpoints import Checkpoints, Folder, Memory
from nasbench_eval.training.loop import train
from nasbench_eval.training.recipe import Diverged, Epoch, Training

__all__ = ["Checkpoints", "Diverged", "Epoch", "Folder", "Memory", "Training", "epoch_batches", "train"]
