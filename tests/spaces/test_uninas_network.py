"""UniNAS networks against blocks written out by hand, with copied weights, and closed forms against counts.

Tensor legend: B batch, C channels, H heads, D channels of a head, N positions, S side of the maps.
"""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasbench_eval.benchmark.trainer import count_flops
from nasbench_eval.networks.adapted import Adapted
from nasbench_eval.spaces._uninas_graph import BLOCKS
from nasbench_eval.spaces._uninas_layers import PositionBias
from nasbench_eval.spaces._uninas_network import UniNASBlock
from nasbench_eval.spaces.uninas import UniNAS

SPACE = UniNAS(resolution=64)
THIN = UniNAS(resolution=32, widths=(32, 64, 32, 64), depths=(1, 1, 1, 1), stem=(8, 16))
# Of the publication and of the authors' package: parameters, FLOPs by 2·MAC and as declared, at 224 pixels;
# parameters at 64 pixels.
VECTORS = {
    "resnet": (24_817_416, 9_027_084_288, 9.038, 24_817_416),
    "efficientnet": (23_864_136, 6_069_882_880, 6.162, 23_864_136),
    "vit": (26_398_156, 18_338_555_904, 18.645, 26_231_116),
    "coatnet": (26_871_124, 8_426_244_096, 8.506, 26_822_644),
}
EXAMPLE = '[["E","E"],["E","R","R"],["T","T","T","T","T"],["E","R"]]'


def block_of(letter: str, width_in: int = 64, width: int = 64, stride: int = 1, side: int = 6) -> UniNASBlock:
    """A block whose parameters are all drawn."""
    torch.manual_seed(0)
    block = UniNASBlock(BLOCKS[letter], width_in, width, stride, side)
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.2)
    return block.eval()


class Weights:
    """A block's parameters in the order in which the definition names them."""

    def __init__(self, block: nn.Module) -> None:
        self._all = iter(block.parameters())

    def __call__(self) -> Tensor:
        return next(self._all)

    def norm(self, x_BCSS: Tensor) -> Tensor:
        """Layer norm over channels: ε 1e-6."""
        mean, var = x_BCSS.mean(1, keepdim=True), x_BCSS.var(1, correction=0, keepdim=True)
        shape = (1, -1, 1, 1)
        return (x_BCSS - mean) / (var + 1e-6).sqrt() * self().view(shape) + self().view(shape)

    def batch_norm(self, x: Tensor) -> Tensor:
        """Untouched statistics: mean 0, variance 1, ε 1e-5."""
        return x / (1 + 1e-5) ** 0.5 * self().view(1, -1, 1, 1) + self().view(1, -1, 1, 1)

    def conv(self, x: Tensor, **options: Any) -> Tensor:
        return F.conv2d(x, self(), self(), **options)


def residual(w: Weights, x: Tensor) -> Tensor:
    y = w.norm(x)
    for _ in range(2):
        y = F.gelu(w.batch_norm(w.conv(y, padding=1)))
    return x + y


def inverted(w: Weights, x: Tensor) -> Tensor:
    y = w.conv(w.norm(x))
    y = F.gelu(w.batch_norm(y))
    y = F.conv2d(y, w(), padding=2, groups=y.shape[1])
    y = F.gelu(w.batch_norm(y))
    squeezed = F.gelu(w.conv(y.mean((2, 3), keepdim=True)))
    y = y * torch.sigmoid(w.conv(squeezed))
    return x + w.batch_norm(w.conv(y))


def transformer(w: Weights, x: Tensor) -> Tensor:
    b, c, s, _ = x.shape
    heads = c // 32
    qkv = w.conv(w.norm(x))
    table = w()
    bias = torch.zeros(heads, s * s, s * s)
    for (one, (y1, x1)), (two, (y2, x2)) in itertools.product(
        enumerate(itertools.product(range(s), range(s))), repeat=2
    ):
        bias[:, one, two] = table[:, y2 - y1 + s - 1, x2 - x1 + s - 1]
    pieces = qkv.chunk(3 * heads, dim=1)  # q, k and v of the first head, then of the second
    out = []
    for head in range(heads):
        q, k, v = (piece.flatten(2).mT for piece in pieces[3 * head : 3 * head + 3])
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=bias[head])
        out.append(attended.mT.reshape(b, 32, s, s))
    x = x + w.conv(torch.cat(out, 1))
    y = w.conv(w.norm(x))
    return x + w.conv(F.gelu(w.norm(y)))


@pytest.mark.parametrize(("letter", "oracle"), [("R", residual), ("E", inverted), ("T", transformer)])
def test_a_block_is_what_its_definition_says(letter: str, oracle: Any) -> None:
    block, x = block_of(letter), torch.randn(2, 64, 6, 6)
    torch.testing.assert_close(block(x), oracle(Weights(block), x), rtol=1e-4, atol=1e-4)


def test_a_block_with_stride_halves_both_ways() -> None:
    block, x = block_of("R", 32, 64, stride=2, side=3), torch.randn(2, 32, 6, 6)
    short, weights = dict(block.named_parameters()), Weights(block)
    [weights() for _ in range(2)]
    y = F.conv2d(F.avg_pool2d(x, 2), short["short.1.weight"], short["short.1.bias"])
    halved = weights.conv(F.avg_pool2d(weights.norm(x), 2))
    for _ in range(2):
        halved = F.gelu(weights.batch_norm(weights.conv(halved, padding=1)))
    torch.testing.assert_close(block(x), y + halved, rtol=1e-4, atol=1e-4)


HEAD = {
    "k": ["depth3"],
    "map": ["position_bias", "softmax", "conv3"],
    "out": ["layer_norm", "conv1"],
    "q": ["conv1", "gelu"],
    "v": [{"split": [["conv3"], ["gelu"]]}, {"expand": [["gelu"]]}],
}


def test_heads_that_share_their_form_compute_what_heads_with_forms_of_their_own_do() -> None:
    def network(heads: Any) -> nn.Module:
        halves = [[[{"attention": heads}], []]]
        text = json.dumps([halves, ["R"], ["R"], ["R"]])
        space = UniNAS(resolution=32, widths=(64, 64, 64, 64), stem=(8, 64))
        return space.build(space.parse(text), num_classes=5)

    shared, apart = network(HEAD), network([HEAD, {**HEAD, "q": ["conv1", "gelu", "identity"]}])
    groups = dict(shared.named_parameters())
    with torch.no_grad():
        for parameter in shared.parameters():
            parameter.copy_(torch.randn(parameter.shape) * 0.2)
        for name, parameter in apart.named_parameters():
            at = name.find(".cores.")
            if at < 0:
                parameter.copy_(groups[name])
                continue
            which = int(name[at + len(".cores.") :].split(".")[0])
            whole = groups[name.replace(f".cores.{which}.", ".cores.0.")]
            part = whole[which : which + 1] if len(whole) == 2 else whole.chunk(2)[which]
            parameter.copy_(part.reshape(parameter.shape))
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(shared.eval()(x), apart.eval()(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", VECTORS)
def test_sizes_are_those_of_the_publication_and_of_the_authors_package(name: str) -> None:
    params, flops, declared, small = VECTORS[name]
    space, arch = UniNAS(), SPACE.parse(name)
    assert space.params(arch, num_classes=1000) == params
    assert 2 * space.flops(arch, resolution=224, num_classes=1000) == flops
    assert SPACE.params(arch, num_classes=1000) == small
    counted = space.counts(arch, resolution=224, num_classes=1000)
    # The authors' T has a GELU of 4C channels that is counted as one of C.
    missed = sum(
        9 * width * (56 >> stage) ** 2
        for stage, (blocks, width) in enumerate(zip(arch.blocks, arch.widths, strict=True))
        for block in blocks
        if block == BLOCKS["T"]
    )
    found = counted["FLOPs as the authors declare those of operations"] - missed
    assert round(found / 1e9, 3) == declared


def test_the_example_of_the_authors_package_has_its_parameters() -> None:
    assert UniNAS().params(UniNAS().parse(EXAMPLE), num_classes=1000) == 32_938_660
    assert SPACE.params(SPACE.parse(EXAMPLE), num_classes=1000) == 32_897_860


@pytest.mark.parametrize(("letter", "first", "second"), [("R", 74_112, 0), ("T", 74_211, 74_976)])
def test_the_halves_of_a_block_have_the_parameters_that_are_known(
    letter: str, first: int, second: int
) -> None:
    width, side = (64, 56) if letter == "R" else (96, 56)
    block = UniNASBlock(BLOCKS[letter], width, width, 1, side)
    halves = [sum(p.numel() for p in half.parameters()) for half in (block.half1, block.half2)]
    assert halves == [first, second]


def test_closed_forms_are_those_of_networks_and_gradients_are_finite() -> None:
    rng, arch = np.random.default_rng(0), THIN.start
    x = torch.randn(2, 3, 32, 32)
    for step in range(1000):
        arch = THIN.sample(rng) if step % 50 == 0 else THIN.mutate(arch, rng)
        if step % 9:
            continue
        text, network = THIN.format(arch), THIN.build(arch, num_classes=7)
        assert sum(p.numel() for p in network.parameters()) == THIN.params(arch, num_classes=7), text
        assert count_flops(network, x[:1]) == THIN.flops(arch, resolution=32, num_classes=7), text
        network(x).square().sum().backward()
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        assert gradients, text
        assert all(bool(g.isfinite().all()) for g in gradients), text


def test_a_position_bias_serves_maps_of_other_sizes() -> None:
    network = SPACE.build(SPACE.parse("vit"), num_classes=10).eval()
    for side in (32, 96):
        assert network(torch.randn(1, 3, side, side)).isfinite().all()


def test_channels_of_a_map_share_the_bias_of_their_head() -> None:
    """As inside of `expand`, which gives a head's map four channels."""
    bias, x = PositionBias(2, 2), torch.randn(3, 8, 4, 4)
    nn.init.normal_(bias.table)
    added = torch.unflatten(bias(x) - x, 1, (2, 4))
    torch.testing.assert_close(added, added[:1, :, :1].expand_as(added))
    assert not torch.allclose(added[:, 0], added[:, 1])
    gradient = torch.randn(x.shape)
    (whole,) = torch.autograd.grad((bias(x[:1]) * gradient[:1]).sum(), [bias.table])
    torch.testing.assert_close(bias.first_entries(x, gradient)["table"][0].float(), whole[0, 0, 0])
    text = '[[[[{"attention":{"map":[{"expand":[["position_bias"]]},"softmax"]}}],[]]],["T"],["T"],["T"]]'
    space = UniNAS(resolution=32, widths=(64, 64, 64, 64), depths=(1, 1, 1, 1))
    network = space.build(space.parse(text), num_classes=3)
    assert sum(p.numel() for p in network.parameters()) == space.params(space.parse(text), num_classes=3)
    assert network.eval()(torch.randn(1, 3, 32, 32)).isfinite().all()


def test_images_that_are_not_square_are_refused_where_positions_matter() -> None:
    network = SPACE.build(SPACE.parse("vit"), num_classes=3).eval()
    with pytest.raises(ValueError, match="square images"):
        network(torch.zeros(1, 3, 32, 128))
    SPACE.build(SPACE.parse("resnet"), num_classes=3).eval()(torch.zeros(1, 3, 32, 64))


@pytest.mark.parametrize(("built_for", "side"), [(3, 3), (2, 3), (4, 3)])
def test_the_first_entry_of_a_position_bias_is_known_without_a_backward_pass(
    built_for: int, side: int
) -> None:
    bias, x = PositionBias(2, built_for), torch.randn(2, 2, side**2, side**2)
    gradient = torch.randn(x.shape)
    for sample, found in enumerate(bias.first_entries(x, gradient)["table"]):
        (whole,) = torch.autograd.grad((bias(x[sample : sample + 1]) * gradient[sample]).sum(), [bias.table])
        torch.testing.assert_close(found.float(), whole[0, 0, 0])


def test_the_last_features_are_those_of_the_last_norm_however_small() -> None:
    """At 32 pixels they have one position, fewer than maps before them."""
    network = THIN.build(THIN.parse("vit"), num_classes=3)
    assert Adapted(network, (3, 32, 32)).look.maps == ("norm", 1)


def test_an_attribute_of_that_name_in_another_network_means_nothing() -> None:
    class Own(nn.Sequential):
        last_features = "0"

    def network(kind: type[nn.Sequential]) -> nn.Module:
        layers = [nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3), nn.Flatten(), nn.Linear(5 * 28**2, 2)]
        return kind(*layers)

    maps = [Adapted(network(kind), (3, 32, 32)).look.maps for kind in (nn.Sequential, Own)]
    assert maps[0] == maps[1] == ("2", 1)


def test_weights_are_decided_by_the_text_and_move_no_global_generator() -> None:
    torch.manual_seed(3)
    state = torch.get_rng_state()
    one, two = (THIN.build(THIN.parse("coatnet"), num_classes=10) for _ in range(2))
    assert torch.equal(state, torch.get_rng_state())
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(a, b)


def test_dropped_paths_leave_the_short_way_and_grow_with_depth() -> None:
    """Of an image, y − x is 0 or S(x) / (1 − p), and never anything else out of training."""
    block = block_of("R")
    images = torch.randn(1, 64, 6, 6).expand(400, -1, -1, -1)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        whole = block(images[:1]) - images[:1]
        block.drop_path = 0.25
        assert torch.equal(block(images[:1]) - images[:1], whole)
        for module in (block, block.half1):  # the norms inside stay as they are
            module.training = module is block
        change = block(images) - images
    dropped = (change == 0).flatten(1).all(1)
    assert dropped.float().mean() == pytest.approx(0.25, abs=0.09)  # four standard deviations
    torch.testing.assert_close(change[~dropped], (whole / 0.75).expand_as(change[~dropped]))


def test_both_halves_of_a_block_are_dropped_by_themselves() -> None:
    """y of an image is one of x, x + S₁, x + S₂ and x + S₁ + S₂, each a quarter of the time for p = 1/2."""
    block = block_of("T")
    images = torch.randn(1, 64, 6, 6).expand(400, -1, -1, -1)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        x = images[:1]
        first = x + 2 * block.half1(block.norm1(x))
        seconds = [each + 2 * block.half2(block.norm2(each)) for each in (x, first)]
        block.drop_path = 0.5
        y = block.train()(images)
        kinds = torch.cat([x, first, *seconds])
        nearest = (y[:, None] - kinds).flatten(2).abs().amax(2).min(1)
    torch.testing.assert_close(nearest.values, torch.zeros(400), atol=1e-3, rtol=0)
    shares = torch.bincount(nearest.indices, minlength=4) / 400
    torch.testing.assert_close(shares, torch.full((4,), 0.25), atol=0.09, rtol=0)  # four standard deviations


def test_the_last_block_drops_as_often_as_asked() -> None:
    network = THIN.build(THIN.parse("resnet"), num_classes=3)
    network.drop_paths(0.3)
    assert [block.drop_path for block in network.blocks] == pytest.approx([0, 0.1, 0.2, 0.3])
