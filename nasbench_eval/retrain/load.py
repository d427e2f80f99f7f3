"""A trained network, from the folder of the run that trained it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from torch import nn

from nasbench_eval.errors import UsageError
from nasbench_eval.retrain.network import without_auxiliary
from nasbench_eval.retrain.outcome import read
from nasbench_eval.retrain.parts import extra
from nasbench_eval.retrain.states import BEST, LAST
from nasbench_eval.spaces.open import space_of
from nasbench_eval.wording import first_line


def load_network(folder: str | Path, which: Literal["best", "last"] | None = None) -> nn.Module:
    """The network that `nasbench-retrain` has left in a folder, on the CPU and in eval mode.

    It takes images (B, 3, R, R) as the record has them: red, green and blue from 0 to 255, less `mean`,
    divided by `std`, and gives logits (B, classes).

    Args:
        folder: of the run.
        which: `best` for the epoch that did best on the images to validate with, `last` for the last one;
            None for the best if there is one.

    Raises:
        UsageError: if there is no such network, or its files are damaged.
    """
    path = Path(folder)
    record = read(path)
    file = path / {"best": BEST, "last": LAST}[which or ("best" if (path / BEST).exists() else "last")]
    if not os.path.isfile(file):  # unlike Path's, no error on what cannot be a name
        raise UsageError(
            f"{path} holds no {file.name}; the training has not come so far, or had no images for it"
        )
    space = space_of(record["space"])
    try:
        network: nn.Module = space.build(
            space.parse(record["arch"]), num_classes=record["dataset"]["num_classes"]
        )
        without_auxiliary(network)  # its weights are not kept
        network.load_state_dict(extra("safetensors.torch").load_file(file))
    except UsageError:
        raise
    except Exception as error:  # whatever a damaged file leads to
        raise UsageError(f"{file} does not hold the network of its record ({first_line(error)})") from error
    return network.requires_grad_(False).eval()
