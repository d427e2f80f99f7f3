"""The MobileNetV2-like space of Zen-NAS, ZiCo, AZ-NAS and VKDNW: inverted residuals of any widths and depths.

Lin et al., "Zen-NAS: A Zero-Shot NAS for High-Performance Image Recognition", ICCV 2021; Li et al., "ZiCo:
Zero-shot NAS via Inverse Coefficient of Variation on Gradients", ICLR 2023; Lee & Ham, "AZ-NAS: Assembling
Zero-Cost Proxies for Network Architecture Search", CVPR 2024.  The space is open: widths have no upper limit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from nasbench_eval.spaces import _mobilenetv2_counts as counting
from nasbench_eval.spaces._graph import Graph
from nasbench_eval.spaces._mbconv import halved, require, row_graph
from nasbench_eval.spaces._mobilenetv2_blocks import Residual, Structure, read, written
from nasbench_eval.spaces._mobilenetv2_moves import TypeWeights, candidate, joined
from nasbench_eval.spaces._stage import Stage, StageBlock

if TYPE_CHECKING:
    from nasbench_eval.spaces._network import Network

# Where the published searches start.
START = (
    "SuperConvK3BNRELU(3,8,2,1)SuperResIDWE6K3(8,32,2,8,1)SuperResIDWE6K3(32,48,2,32,1)"
    "SuperResIDWE6K3(48,96,2,48,1)SuperResIDWE6K3(96,128,2,96,1)SuperConvK1BNRELU(128,2048,1,1)"
)
# Images and classes that a budget of FLOPs is about.
BUDGET_RESOLUTION, BUDGET_CLASSES = 224, 1000
# Mutations that lead from the start to a sample.
_STEPS = 10


@dataclass(frozen=True)
class MobileNetV2:
    """The search space.  An architecture is a structure string, whose blocks `_mobilenetv2_blocks` describes.

    Args:
        se: squeeze-and-excitation in every inverted residual.  The published searches score networks without
            it, and train those that they find with it.
        shortcuts: whether a unit's input is added to its output.  Zen-NAS and ZiCo score networks without.
        max_layers: limit of the depth that sampling and mutation keep to, the layers of all blocks.  The
            published searches allow 14 for 400 to 600 million FLOPs, and 16 for more.
        max_flops: limit of FLOPs that sampling and mutation keep to, as the published searches count them
            (`repo_flops` without squeeze-and-excitation, 224 pixels, 1,000 classes).  None sets none.
        min_flops: lower limit of the same FLOPs.  What lies below it may change to what has as many at
            least, until it is reached; the published searches have none.
        type_weights: how a mutation draws expansion and kernel of a block: `aznas`, as the code of all four
            publications does, with weights from 12 for the first of the 12 types to 1 for the last, or
            `uniform`.
    """

    # The data set that its networks are made for, which `nasbench-show` takes.
    judged_on: ClassVar[str] = "imagenet1k"

    se: bool = False
    shortcuts: bool = True
    max_layers: int = 14
    max_flops: int | None = None
    min_flops: int | None = None
    type_weights: TypeWeights = "aznas"

    def __post_init__(self) -> None:
        if self.max_layers < _start().layers:
            raise ValueError(f"max_layers is at least {_start().layers}, the depth of the start")
        if self.max_flops is not None and self.max_flops < (least := _budgeted(_start())):
            raise ValueError(f"max_flops is at least {least:,.0f}, the FLOPs of the start")
        if self.min_flops is not None and self.max_flops is not None and self.min_flops > self.max_flops:
            raise ValueError(f"min_flops={self.min_flops} is above max_flops={self.max_flops}")

    @property
    def name(self) -> str:
        return "mobilenetv2"

    def parse(self, text: str) -> Structure:
        """The structure that a string names; of any depth and size.

        Blanks are dropped, and a name before a `|` inside the parentheses.

        Raises:
            ValueError: if it is none.
        """
        return read(text)

    def format(self, arch: Structure) -> str:
        """The structure string."""
        return written(arch)

    def canonical(self, arch: Structure) -> Structure:
        """The structure with neighbouring blocks in one where that is the same network (see `joined`)."""
        return replace(arch, blocks=tuple(joined(arch.blocks, self.shortcuts)))

    def build(self, arch: Structure, *, num_classes: int) -> Network:
        """The network: its `cells` are the inverted residuals and the last 1x1 convolution.

        With squeeze-and-excitation a batch of one image cannot be trained: its batch norms need two.
        """
        from nasbench_eval.spaces._mobilenetv2_network import InvertedResidualNetwork
        from nasbench_eval.spaces._network import uninitialised

        return uninitialised(
            lambda: InvertedResidualNetwork(arch, num_classes, se=self.se, shortcuts=self.shortcuts)
        )

    def params(self, arch: Structure, *, num_classes: int) -> int:
        """Trainable scalars of the network, batch norm and classifier included."""
        return counting.params(arch, num_classes, se=self.se, shortcuts=self.shortcuts)

    def flops(self, arch: Structure, *, resolution: int, num_classes: int) -> int:
        """Multiply-accumulates of convolutions and classifier for one image.

        Raises:
            ValueError: if there is no image of that resolution.
        """
        require(resolution)
        return counting.macs(arch, resolution, num_classes, se=self.se, shortcuts=self.shortcuts)

    def repo_flops(
        self,
        arch: Structure,
        resolution: int = BUDGET_RESOLUTION,
        classes: int = BUDGET_CLASSES,
        se: bool = False,
    ) -> float:
        """FLOPs as the published searches count them; with shortcuts, whatever the option says.

        Raises:
            ValueError: if there is no image of that resolution.
        """
        require(resolution)
        return counting.repo_flops(arch, resolution, classes, se=se)

    def ptflops(
        self,
        arch: Structure,
        resolution: int = BUDGET_RESOLUTION,
        classes: int = BUDGET_CLASSES,
        se: bool = False,
    ) -> int:
        """FLOPs as ptflops 0.7 counts those of the network: the kind that publications state.

        Raises:
            ValueError: if there is no image of that resolution.
        """
        require(resolution)
        return counting.ptflops(arch, resolution, classes, se=se, shortcuts=self.shortcuts)

    def budgeted(self, arch: Structure) -> float:
        """The number that `max_flops` limits."""
        return _budgeted(arch)

    def counts(self, arch: Structure, *, resolution: int, num_classes: int) -> dict[str, float]:
        """What `nasbench-show` tells of sizes besides."""
        return {
            "layers, the depth that max_layers limits": arch.layers,
            "in-repo FLOPs without SE (budget)": self.repo_flops(arch, resolution, num_classes),
            "ptflops without SE": self.ptflops(arch, resolution, num_classes),
            "ptflops with SE": self.ptflops(arch, resolution, num_classes, se=True),
        }

    def sample(self, rng: np.random.Generator) -> Structure:
        """The start of the published searches after 10 mutations.

        These are two for each of the five blocks of the start that can change.  With more the networks grow:
        widths have no upper limit.  Without `max_flops` half of the samples are beyond 450 million FLOPs, and
        one in twenty is beyond 2 billion; with it none is beyond the limit.
        """
        arch = _start()
        for _ in range(_STEPS):
            arch = self.mutate(arch, rng)
        return arch

    def mutate(self, arch: Structure, rng: np.random.Generator, draws: int = 1) -> Structure:
        """Another network that keeps to the limits: `candidate`, repeated until it gives one.

        Of a structure beyond a limit it is one that is not further beyond it.

        Args:
            arch: the structure.
            rng: all chance.
            draws: blocks that may change: 1 for the first candidates of the published searches, then 2.
        """
        here = self.canonical(arch)
        while True:
            other = self.candidate(arch, rng, draws)
            if self.beyond(other, arch) is None and self.canonical(other) != here:
                return other

    def candidate(self, arch: Structure, rng: np.random.Generator, draws: int = 1) -> Structure:
        """What a published search tries next: it may be beyond a limit, or the structure itself.

        Each draw picks one of all blocks.  Of the first it draws another width, of the last nothing, and of
        the others type, both widths and layers at once; any of them may stay what it is.
        """
        return candidate(arch, rng, draws, self.type_weights)

    def beyond(self, arch: Structure, parent: Structure | None = None) -> str | None:
        """Which limit a structure is beyond, and is further beyond than its parent; None for none."""
        if arch.layers > max(self.max_layers, 0 if parent is None else parent.layers):
            return f"it has {arch.layers} layers, max_layers={self.max_layers}"
        if self.max_flops is None and self.min_flops is None:
            return None
        flops = _budgeted(arch)
        above = self.max_flops is not None and flops > self.max_flops
        below = self.min_flops is not None and flops < self.min_flops
        if not (above or below):
            return None
        before = None if parent is None else _budgeted(parent)
        if above and (before is None or flops > before):
            return f"it has {flops:,.0f} FLOPs, max_flops={self.max_flops}"
        if below and (before is None or flops < before):
            return f"it has {flops:,.0f} FLOPs, min_flops={self.min_flops}"
        return None

    @property
    def start(self) -> Structure:
        """Where the published searches start."""
        return _start()

    def stages(self, arch: Structure, *, resolution: int) -> tuple[Stage, ...]:
        """The blocks of inverted residuals by the size of what they put out."""
        require(resolution)
        side, found = halved(resolution, arch.stem.stride), dict[int, list[Residual]]()
        for block in arch.blocks:
            side = halved(side, block.stride)
            found.setdefault(side, []).append(block)
        return tuple(Stage(side, tuple(map(_shown, blocks))) for side, blocks in found.items())

    def graphs(self, arch: Structure) -> tuple[Graph, ...]:
        """The row of blocks, for those who draw it.

        `5x E4K7 88-96 /2` are five layers of expansion 4 and kernel 7, with a bottleneck of 88 channels, an
        output of 96 and stride 2.
        """
        blocks = [str(_shown(block)) + " /2" * (block.stride == 2) for block in arch.blocks]
        stem, head = f"K3 {arch.stem.width_out} /{arch.stem.stride}", f"K1 {arch.head.width_out}"
        return (row_graph((stem, *blocks, head)),)


@cache
def _start() -> Structure:
    return read(START)


def _budgeted(arch: Structure) -> float:
    """The number that a budget limits."""
    return counting.repo_flops(arch, BUDGET_RESOLUTION, BUDGET_CLASSES, se=False)


def _shown(block: Residual) -> StageBlock:
    widths = f"{block.bottleneck}-{block.width_out}"
    return StageBlock(block.layers, block.width_out, f"E{block.expansion}K{block.kernel}", widths)


SPACE = MobileNetV2
