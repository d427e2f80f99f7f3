"""The loop against closed forms on small networks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from training_parts import Linear, batches, course, recipe

from nasbench_eval.data.datasets import DataSet
from nasbench_eval.errors import UsageError
from nasbench_eval.retrain.loop import Course, Diverged
from nasbench_eval.retrain.network import Trained, arch_named, built
from nasbench_eval.retrain.states import States, write_weights
from nasbench_eval.retrain.teacher import Teacher, affine, distilled
from nasbench_eval.spaces.darts import DARTS
from nasbench_eval.spaces.nasbench201 import NASBench201

# One step of plain gradient descent.
STEP = recipe(
    "smoke",
    epochs=1,
    batch_size=32,
    warmup_epochs=0,
    momentum=0.0,
    weight_decay=0.0,
    optimizer="momentum",
    crop="none",
)


def after_one_step(network: nn.Module, made: object, folder: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Images and classes of the only batch, once the network is trained with it."""
    [batch] = batches(made).train(1)  # type: ignore[arg-type]
    course(network, made, folder).run()  # type: ignore[arg-type]
    return batch


def test_a_step_of_gradient_descent_with_clipped_gradients(tmp_path: Path) -> None:
    network, before = Linear(), Linear()
    x, y = after_one_step(network, replace(STEP, clip_norm=0.5), tmp_path)
    F.cross_entropy(before(x), y).backward()  # type: ignore[no-untyped-call]
    norm = torch.cat([p.grad.flatten() for p in before.parameters() if p.grad is not None]).norm()
    assert norm > 0.5
    for new, old in zip(network.parameters(), before.parameters(), strict=True):
        assert old.grad is not None
        torch.testing.assert_close(new, old - 0.1 * old.grad * 0.5 / norm)


def test_decay_and_momentum_over_two_steps(tmp_path: Path) -> None:
    """v ← 0.9 v + g + 0.01 θ, θ ← θ − 0.1 v."""
    made = replace(STEP, batch_size=16, momentum=0.9, weight_decay=0.01, moves="epoch")
    network, ours = Linear(), Linear()
    steps = list(batches(made).train(1))
    assert len(steps) == 2
    course(network, made, tmp_path).run()
    speeds = [torch.zeros_like(p) for p in ours.parameters()]
    for x, y in steps:
        gradients = torch.autograd.grad(F.cross_entropy(ours(x), y), list(ours.parameters()))
        with torch.no_grad():
            for p, v, g in zip(ours.parameters(), speeds, gradients, strict=True):
                v.mul_(0.9).add_(g + 0.01 * p)
                p.sub_(0.1 * v)
    for new, old in zip(network.parameters(), ours.parameters(), strict=True):
        torch.testing.assert_close(new, old)


def test_the_moving_average_is_judged_and_kept(tmp_path: Path) -> None:
    """After steps 1, 2, 3 the average has the first weights, then shares of the others."""
    made = replace(STEP, batch_size=12, average=0.5)
    seen: list[torch.Tensor] = []
    watched = course(Linear(), made, tmp_path)
    inner = watched.optimizer.step

    def step(*arguments: object) -> object:
        found = inner(*arguments)
        seen.append(next(watched.network.parameters()).detach().clone())
        return found

    watched.optimizer.step = step  # type: ignore[method-assign, assignment]
    watched.run()
    shares = [min(0.5, 1 - (1 + n) ** (-2 / 3)) for n in (1, 2)]
    expected = seen[0]
    for share, weight in zip(shares, seen[1:], strict=True):
        expected = share * expected + (1 - share) * weight
    torch.testing.assert_close(next(watched.judged.parameters()), expected)


def darts(auxiliary: bool = True) -> nn.Module:
    space = DARTS(channels=4, layers=3, auxiliary=auxiliary)
    arch = space.sample(np.random.default_rng(0))
    made = recipe("darts_cifar", auxiliary=0.4 if auxiliary else 0.0)
    dataset = replace(batches(STEP).source.dataset, resolution=32)
    return built(space, arch, made, dataset, ("key",))


def test_the_auxiliary_loss_has_its_weight(tmp_path: Path) -> None:
    """loss = H(logits) + 0.4 · H(auxiliary logits), and the gradients are its own."""
    network = darts().train()
    made = recipe("darts_cifar", drop_path=0.0)
    x = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    y = torch.tensor([0, 1, 2, 0])
    training = course(network, made, tmp_path)
    x = x.contiguous(memory_format=training.layout)  # for the same rounding
    main, beside = network.both(x)  # type: ignore[operator]
    expected = F.cross_entropy(main, y) + 0.4 * F.cross_entropy(beside, y)
    weight = network.auxiliary[-1].weight  # type: ignore[index, union-attr]
    [gradient] = torch.autograd.grad(0.4 * F.cross_entropy(beside, y), [weight], retain_graph=True)
    training.optimizer.step = lambda *a: None  # type: ignore[method-assign, assignment]
    training.recipe = replace(made, clip_norm=None)
    found = training._step(Trained(network), x, y, 1, 0)
    assert float(found[0]) / 4 == pytest.approx(float(expected.detach()), rel=1e-5)
    torch.testing.assert_close(weight.grad, gradient, rtol=1e-4, atol=1e-7)


def test_dropped_paths_are_zero_or_scaled() -> None:
    """Of an image a path is 0, or itself / (1 − p), each as often as p says; never where it skips."""
    network = darts(auxiliary=False)
    network.drop_paths(0.25)  # type: ignore[operator]
    cell = network.cells[0].train()  # type: ignore[index, union-attr]
    x = torch.ones(4000, 1, 1, 1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        shown = cell._term(nn.Flatten(1, 1), x).flatten()
    assert set(shown.tolist()) == {0.0, float(torch.tensor(1) / 0.75)}
    assert float((shown == 0).float().mean()) == pytest.approx(0.25, abs=0.03)  # 4 standard deviations
    assert torch.equal(cell._term(nn.Identity(), x), x)
    assert torch.equal(cell.eval()._term(nn.Flatten(1, 1), x), x)


def test_paths_are_dropped_as_the_epoch_says(tmp_path: Path) -> None:
    seen: list[float] = []

    class Watched(Linear):
        def drop_paths(self, share: float) -> None:
            seen.append(share)

    made = replace(STEP, epochs=4, drop_path=0.2, drop_path_rises=True)
    course(Watched(), made, tmp_path).run()
    assert seen == pytest.approx([0, 0.05, 0.1, 0.15])


@pytest.mark.parametrize("side", [1, 2])
def test_images_lie_as_the_network_bears_them(side: int, tmp_path: Path) -> None:
    """Channels first where a 1×1 convolution with a stride has few inputs, channels last elsewhere."""

    class Strided(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Conv2d(3, 4, side, stride=2)
            self.head = nn.Linear(4, 3)
            self.seen: set[bool] = set()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.seen.add(x.is_contiguous())
            logits: torch.Tensor = self.head(self.body(x).mean((2, 3)))
            return logits

    network = Strided()
    course(network, STEP, tmp_path).run()
    assert network.seen == {side == 1}


def test_a_loss_that_is_not_finite_ends_the_training_and_keeps_the_epochs_before(tmp_path: Path) -> None:
    network = Linear()
    training = course(network, replace(STEP, epochs=3), tmp_path)

    def spoil(point: object) -> None:
        with torch.no_grad():
            network.layer.weight[0, 0] = float("nan")

    training.told = spoil
    with pytest.raises(Diverged, match=r"diverged in epoch 2, at learning rate .*: the loss is nan"):
        training.run()
    assert [point.epoch for point in training.history] == [1]
    assert (tmp_path / "curves.csv").read_text().count("\n") == 2


def test_another_training_is_not_continued(tmp_path: Path) -> None:
    course(Linear(), replace(STEP, epochs=2), tmp_path).run()
    other = Course(
        Linear(), replace(STEP, epochs=2), batches(STEP), States(tmp_path), {"of": "another"}, ("key",)
    )
    with pytest.raises(UsageError, match="holds another training"):
        other.run()


def test_what_a_recipe_asks_of_a_network_is_refused_where_it_has_none() -> None:
    space, dataset = NASBench201(4, 1), batches(STEP).source.dataset
    arch = arch_named(space, "15")
    with pytest.raises(UsageError, match=r"auxiliary=0.4 needs an auxiliary head.*space.auxiliary=true"):
        built(space, arch, replace(STEP, auxiliary=0.4), dataset, ())
    with pytest.raises(UsageError, match=r"drop_path=0.2: networks of nasbench201 have no paths to drop"):
        built(space, arch, replace(STEP, drop_path=0.2), dataset, ())
    small = DARTS(channels=4, layers=3, auxiliary=True)
    found = small.sample(np.random.default_rng(0))
    with pytest.raises(UsageError, match=r"cannot take images of 8 x 8 pixels .*resolution="):
        built(small, found, recipe("darts_cifar"), dataset, ())
    with pytest.raises(UsageError, match="no network is named"):
        arch_named(space, None)
    with pytest.raises(UsageError, match="arch=99999"):
        arch_named(space, "99999")


def test_weights_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot write"):
        write_weights(tmp_path / "file" / ("x" * 300), {"a": torch.ones(1)}, 1)
    assert not [f for f in tmp_path.rglob("*") if f.is_file()]


class Dropping(Linear):
    """Drops pixels before its layer."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(F.dropout(x, 0.5, self.training))


def test_layers_that_draw_continue_as_if_nothing_had_happened(tmp_path: Path) -> None:
    made = replace(STEP, epochs=3)
    whole = course(Dropping(), made, tmp_path / "whole")
    whole.run()

    def interrupt(point: object) -> None:
        raise KeyboardInterrupt

    broken = course(Dropping(), made, tmp_path / "broken")
    broken.told = interrupt
    with pytest.raises(KeyboardInterrupt):
        broken.run()
    torch.rand(7)  # the global generator is somewhere else by then
    again = course(Dropping(), made, tmp_path / "broken")
    again.run()
    assert len(again.history) == 3
    for one, other in zip(whole.network.parameters(), again.network.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_teacher_s_part_of_the_loss(tmp_path: Path) -> None:
    """0.5 · T² Σ p (log p − log q) a batch image, p and q softmax of logits over T = 2."""
    network, before, teacher = Linear(), Linear(), nn.Linear(192, 3)
    made = replace(STEP, distillation=0.5, temperature=2.0)
    trained = course(network, made, tmp_path)
    trained.teacher = lambda x: teacher(x.flatten(1)).detach()
    trained.run()
    [(x, y)] = batches(made).train(1)
    logits, taught = before(x) / 2, teacher(x.flatten(1)).detach() / 2
    p, q = taught.softmax(1), logits.softmax(1)
    part = 4 * (p * (p.log() - q.log())).sum(1).mean()
    (F.cross_entropy(2 * logits, y) + 0.5 * part).backward()  # type: ignore[no-untyped-call]
    for new, old in zip(network.parameters(), before.parameters(), strict=True):
        assert old.grad is not None
        torch.testing.assert_close(new, old - 0.1 * old.grad)


def test_what_is_known_already_teaches_nothing() -> None:
    logits = torch.randn(4, 3, requires_grad=True)
    part = distilled(logits, logits.detach(), 3.0)
    part.backward()  # type: ignore[no-untyped-call]
    assert float(part.detach()) == pytest.approx(0, abs=1e-6)
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad, torch.zeros(4, 3), atol=1e-6, rtol=0)


def test_a_teacher_sees_images_as_it_was_trained_with_them() -> None:
    """Of another normalisation, and of another size."""
    ours = DataSet("ours", 3, 8, (120.0, 110.0, 100.0), (60.0, 50.0, 40.0))
    theirs = DataSet("theirs", 3, 4, (10.0, 20.0, 30.0), (1.0, 2.0, 4.0))
    pixels = torch.rand(2, 3, 1, 1).expand(2, 3, 8, 8) * 255
    given, expected = ((pixels - _column(of.mean)) / _column(of.std) for of in (ours, theirs))
    seen: list[torch.Tensor] = []

    class Looks(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(x)
            return x.mean((2, 3))

    Teacher(Looks(), *affine(ours, theirs.mean, theirs.std), side=4)(given)
    torch.testing.assert_close(seen[0], expected[..., :4, :4], rtol=1e-4, atol=1e-3)


def _column(values: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor(values)[:, None, None]
