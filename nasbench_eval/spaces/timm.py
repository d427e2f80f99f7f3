"""timm: the image classifiers that people use, by their names in the package `timm`, without weights.

Wightman, "PyTorch Image Models" (huggingface/pytorch-image-models, Apache-2.0).  The space is open: its
architectures are names, which grow with each version of timm, and have no order of their own.  timm is
imported when a name is first read.
"""

from __future__ import annotations

import random
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench_eval.errors import UsageError
from nasbench_eval.registry import nearest
from nasbench_eval.wording import first_line, shown

if TYPE_CHECKING:
    from torch import nn

# The name of a training recipe behind a model's name, as in `resnet50.a1_in1k`.
_TAG = re.compile(r"[A-Za-z0-9_-]+")
# Tiny networks that timm has for its own tests are no networks that people use.
_FOR_TESTS = "test_*"
# CrossViT scales images to its own two sizes, whatever they are; made for another size it fails on most.
_RESCALING = ("crossvit",)
# How often a mutation leaves the family.
_ELSEWHERE = 0.25


@dataclass(frozen=True)
class Timm:
    """The search space.  An architecture is timm's name of it, such as `resnet50`.

    Args:
        img_size: the size of images that networks are made for whose weights depend on it, in pixels: vision
            transformers, as a rule.  None leaves each with its own.  Networks that take images of any size
            are the same whatever it is.
    """

    img_size: int | None = None

    def __post_init__(self) -> None:
        if self.img_size is not None and self.img_size < 1:
            raise ValueError("img_size is at least 1")

    @property
    def name(self) -> str:
        return "timm"

    def parse(self, text: str) -> str:
        """The architecture that a name of timm's names; a recipe behind it (`resnet50.a1_in1k`) is dropped.

        Raises:
            ValueError: if timm has no such model.
            UsageError: if timm is not installed, or cannot be imported.
        """
        arch, dot, tag = text.strip().partition(".")
        timm = _timm()
        old: dict[str, str | None] = timm.models.get_deprecated_models()
        if arch in old:
            now = f"; it is called {shown(old[arch])} now" if old[arch] else ""
            raise ValueError(f"{shown(arch)} is an old name that timm has given up{now}")
        if arch not in _places():
            near = nearest(arch, _places()) if arch else []
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise ValueError(f"{shown(arch)} is no model of timm {timm.__version__}{hint}")
        if dot and not _TAG.fullmatch(tag):
            raise ValueError(f"{shown(tag)} after {arch} is no name of a training recipe")
        return arch

    def format(self, arch: str) -> str:
        """timm's name of the architecture."""
        return arch

    def canonical(self, arch: str) -> str:
        """The architecture itself: of two names timm does not say whether they are the same network."""
        return arch

    def build(self, arch: str, *, num_classes: int) -> nn.Module:
        """The network, initialised as timm does it, by random numbers that the name alone decides.

        No weights are downloaded.  Python's, NumPy's and PyTorch's global generators are left as they were.

        Raises:
            ValueError: if it cannot be built for images of that size.
        """
        timm = _timm()
        options: dict[str, Any] = {"num_classes": num_classes}
        if self.img_size is not None and _fixed_size(arch):
            options["img_size"] = self.img_size
        with _seeded(arch), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # timm's own, about functions of PyTorch
            try:
                network: nn.Module = timm.create_model(arch, pretrained=False, **options)
            except (ArithmeticError, AssertionError, RuntimeError, TypeError, ValueError) as error:
                if "img_size" not in options or "memory" in str(error):
                    raise  # a fault of timm's or of this package, or no room for the weights
                what = f"{arch} for images of {self.img_size} pixels"
                raise ValueError(f"timm cannot build {what}: {first_line(error)}") from error
        return network

    def sample(self, rng: np.random.Generator) -> str:
        """A classifier at random, each with the same probability."""
        names = _classifiers()
        return names[int(rng.integers(len(names)))]

    def mutate(self, arch: str, rng: np.random.Generator) -> str:
        """Another classifier of the same family, a module of timm; one time in four any other.

        Any other, too, where the family has none: so every classifier can be reached from every other.
        """
        places = _places()
        family = [name for name in _classifiers() if places[name] == places[arch] and name != arch]
        others = family
        if not family or rng.random() < _ELSEWHERE:
            others = [name for name in _classifiers() if name != arch]
        return others[int(rng.integers(len(others)))]

    def family(self, arch: str) -> str:
        """The module of timm that defines the architecture, such as `resnet`."""
        return _places()[arch]


@lru_cache(maxsize=1)
def _timm() -> Any:
    if find_spec("timm") is None:
        raise UsageError("space=timm needs the package timm, an extra: pip install 'nasbench_eval[timm]'")
    from nasbench_eval.spaces._torchvision import import_torchvision  # brings PyTorch with it

    import_torchvision()  # timm imports it, and it may need help
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return import_module("timm")
    except Exception as error:  # whatever a broken installation raises
        raise UsageError(f"timm cannot be imported: {type(error).__name__}: {first_line(error)}") from error


@lru_cache(maxsize=1)
def _places() -> dict[str, str]:
    """The module of each of timm's models, in the models' order."""
    timm = _timm()
    place = {name: module for module in timm.list_modules() for name in timm.list_models(module=module)}
    return {name: place[name] for name in timm.list_models()}


@lru_cache(maxsize=1)
def _classifiers() -> tuple[str, ...]:
    """Names of the models that timm has as classifiers, but those for tests, in timm's order."""
    timm = _timm()
    names = timm.list_models(exclude_filters=_FOR_TESTS)
    return tuple(name for name in names if (known := _config(name)) is None or known.num_classes > 0)


def _config(arch: str) -> Any:
    return _timm().get_pretrained_cfg(arch, allow_unregistered=True)


def _fixed_size(arch: str) -> bool:
    known = _config(arch)
    return known is not None and bool(known.fixed_input_size) and _places()[arch] not in _RESCALING


@contextmanager
def _seeded(arch: str) -> Iterator[None]:
    """All global generators seeded by the architecture, and put back afterwards."""
    import torch

    from nasbench_eval.seeding import seed_of

    seed = seed_of("timm", arch)
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            random.seed(seed)
            np.random.seed(seed % 2**32)
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


SPACE = Timm
