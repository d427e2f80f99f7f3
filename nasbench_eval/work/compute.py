"""What a process computes with: one thread, and the precision that is asked for."""

from __future__ import annotations

import atexit
import ctypes
import gc
import sys

import torch

from nasbench_eval.passes.spec import Precision


def configure_process(device: torch.device, precision: Precision = "float32") -> None:
    """Settle what a scoring process computes with: one thread, no reduced precision, memory kept for reuse.

    One thread a process beats several on the small layers of these networks, and makes scores independent
    of the number of cores.
    """
    torch.set_num_threads(1)
    atexit.register(gc.freeze)  # at its end as well, no time on a search for garbage (see `errors.guard`)
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
        torch.backends.cudnn.allow_tf32 = precision == "tf32"
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False
    elif sys.platform == "linux":
        _keep_memory()


def _keep_memory() -> None:
    """Have glibc keep freed memory: handing activations back after each layer costs more than the layer."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # not glibc
        return
    trim_threshold, mmap_max = -1, -4  # M_TRIM_THRESHOLD, M_MMAP_MAX of malloc.h
    mallopt(mmap_max, 0)
    mallopt(trim_threshold, -1)  # as size_t: never
