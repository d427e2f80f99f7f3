"""Training: what it computes, that it repeats itself, and that no interruption shows in the outcome."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasbench_eval.errors import UsageError
from nasbench_eval.passes.weights import draw
from nasbench_eval.seeding import generator
from nasbench_eval.spaces.nasbench201 import NASBench201
from nasbench_eval.training import (
    Checkpoints,
    Diverged,
    Epoch,
    Folder,
    Memory,
    Training,
    epoch_batches,
    train,
)
from nasbench_eval.training.evaluate import evaluate

RECIPE = Training(3, images=50, batch_size=16, schedule=6)
KEY = (0, "noise", "a net")
CUT = "|none~0|+|none~0|none~1|+|none~0|nor_conv_1x1~1|none~2|"
WHOLE = "|nor_conv_3x3~0|+|avg_pool_3x3~0|skip_connect~1|+|nor_conv_1x1~0|nor_conv_3x3~1|skip_connect~2|"


def cell_network(text: str = WHOLE) -> nn.Module:
    """A drawn network of NAS-Bench-201, of the smallest size."""
    space = NASBench201(4, 1)
    network = space.build(space.parse(text), num_classes=3)
    draw(dict(network.named_modules()), "kaiming", 0)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def noise(count: int = 50, side: int = 8) -> tuple[Tensor, Tensor]:
    """Images of noise and labels out of three classes."""
    images = torch.randn(count, 3, side, side, generator=generator("images"))
    return images, torch.randint(3, (count,), generator=generator("labels"))


def outcome(
    epochs: int, checkpoints: Checkpoints | None = None, network: nn.Module | None = None, **options: Any
) -> tuple[dict[str, Tensor], list[tuple[float, ...]]]:
    """The state of a network after its training, and the history without the seconds."""
    network = network or cell_network()
    key = options.pop("key", KEY)
    recipe = replace(RECIPE, epochs=epochs, **options)
    history = train(network, *noise(), recipe, key=key, checkpoints=checkpoints)
    return dict(network.state_dict()), [(e.epoch, e.loss, e.accuracy, e.learning_rate) for e in history]


def assert_same(
    a: tuple[dict[str, Tensor], list[tuple[float, ...]]], b: tuple[dict[str, Tensor], list[tuple[float, ...]]]
) -> None:
    assert a[1] == b[1]
    assert a[0].keys() == b[0].keys()
    assert all(torch.equal(a[0][name], b[0][name]) for name in a[0])


def test_validation_asks_each_epochs_network_and_moves_nothing(tmp_path: Path) -> None:
    held_out = noise(20)
    network = cell_network()
    history = train(network, *noise(), RECIPE, key=KEY, validation=held_out)
    assert all(
        torch.equal(a, b) for a, b in zip(outcome(3)[0].values(), network.state_dict().values(), strict=True)
    )
    for epoch in history:
        shorter = cell_network()
        train(shorter, *noise(), replace(RECIPE, epochs=epoch.epoch), key=KEY)
        assert (epoch.val_loss, epoch.val_accuracy) == evaluate(shorter, *held_out)
    train(
        cell_network(),
        *noise(),
        replace(RECIPE, epochs=2),
        key=KEY,
        validation=held_out,
        checkpoints=Folder(tmp_path),
    )
    resumed = train(
        cell_network(), *noise(), RECIPE, key=KEY, validation=held_out, checkpoints=Folder(tmp_path)
    )
    assert [e.val_loss for e in resumed] == [e.val_loss for e in history]
    assert {e.val_loss for e in train(cell_network(), *noise(), RECIPE, key=KEY)} == {None}


def test_accuracy_rises_where_there_is_something_to_learn() -> None:
    images, labels = noise(96)
    # The class is in the brightness of one colour, which neither a flip nor a crop takes away.
    images[torch.arange(96), labels] += 2
    history = train(cell_network(), images, labels, Training(5, 96, 16, schedule=5), key=KEY)
    assert history[-1].accuracy > max(80, history[0].accuracy)
    assert history[-1].loss < history[0].loss
    assert all(e.seconds > 0 for e in history)


@pytest.mark.parametrize(
    ("count", "batch_size", "seen"), [(7, 3, 6), (8, 3, 8), (6, 3, 6), (3, 8, 3), (20, 8, 20)]
)
@pytest.mark.parametrize("side", [5, 8, 32])
def test_augmentation_is_flip_pad_crop_of_each_image(
    count: int, batch_size: int, seen: int, side: int
) -> None:
    images, labels = noise(count, side)
    border = side // 8
    order = torch.randperm(count, generator=generator("k", "order")).tolist()
    flips = torch.randint(2, (count,), generator=generator("k", "flips")).tolist()
    corners = torch.randint(2 * border + 1, (2, count), generator=generator("k", "crops")).tolist()
    expected = []
    for image, flip, top, left in zip(order, flips, *corners, strict=True):
        x = images[image].flip(-1) if flip else images[image]
        padded = F.pad(x, (border, border, border, border))
        expected.append(padded[:, top : top + side, left : left + side])
    for layout in (torch.contiguous_format, torch.channels_last):
        batches = list(epoch_batches(images.to(memory_format=layout), labels, batch_size, "k"))
        assert torch.equal(torch.cat([x for x, _ in batches]), torch.stack(expected[:seen]))
        assert torch.equal(torch.cat([y for _, y in batches]), labels[order[:seen]])
        assert all(x.is_contiguous(memory_format=torch.channels_last) for x, _ in batches)
        assert all(len(x) == batch_size for x, _ in batches[:-1])


def test_every_flip_and_every_crop_occurs() -> None:
    # One bright pixel in a corner tells by its place how the image was flipped and cropped.
    images = torch.zeros(4000, 3, 16, 16)
    images[:, :, 5, 3] = 1
    places = torch.cat(
        [x[:, 0].flatten(1).argmax(1) for x, _ in epoch_batches(images, images[:, 0, 0, 0], 64, 0)]
    )
    counts = places.bincount(minlength=256).view(16, 16)
    expected = torch.zeros(16, 16, dtype=torch.bool)
    expected[3:8, 1:6] = expected[3:8, 10:15] = True
    assert torch.equal(counts > 0, expected)
    assert counts[expected].min() > 40  # 80 on average


def test_learning_rate_falls_along_the_cosine() -> None:
    _, history = outcome(4, learning_rate=0.2, schedule=4)
    half = math.sqrt(0.5)
    assert [rate for *_, rate in history] == pytest.approx([0.2, 0.1 * (1 + half), 0.1, 0.1 * (1 - half)])
    assert Training(10).rate(11) == 0


class Linear(nn.Module):
    """The simplest network with a parameter that has no part in the logits."""

    def __init__(self, side: int = 8) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 3 * side * side, generator=generator("linear")) / 10)
        self.idle = nn.Parameter(torch.ones(2))

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.weight.T


def test_steps_are_those_of_nesterov_with_weight_decay() -> None:
    network = Linear()
    images, labels = noise()
    recipe = replace(RECIPE, epochs=2, learning_rate=0.05, momentum=0.8, weight_decay=0.01)
    weight, velocity = network.weight.detach().double(), torch.zeros(3, 192, dtype=torch.float64)
    history = train(network, images, labels, recipe, key=KEY)
    for epoch, told in enumerate(history, start=1):
        losses, hits = [], 0
        for x, y in epoch_batches(images, labels, recipe.batch_size, *KEY, "training", epoch):
            x_BD = x.flatten(1).double()
            logits = x_BD @ weight.T
            losses += F.cross_entropy(logits, y, reduction="none").tolist()
            hits += int((logits.argmax(1) == y).sum())
            gradient = (logits.softmax(1) - F.one_hot(y, 3)).T @ x_BD / len(y) + 0.01 * weight
            velocity = 0.8 * velocity + gradient
            weight = weight - recipe.rate(epoch) * (gradient + 0.8 * velocity)
        assert told.loss == pytest.approx(sum(losses) / 50, rel=1e-5)
        assert told.accuracy == pytest.approx(100 * hits / 50)
    torch.testing.assert_close(network.weight.detach().double(), weight, rtol=1e-4, atol=1e-6)
    # As in the benchmark, a parameter without a gradient does not decay either.
    assert torch.equal(network.idle, torch.ones(2))


def test_steps_of_adamw_are_those_of_its_definition() -> None:
    """Loshchilov & Hutter 2019, algorithm 2, with β = (0.9, 0.999) and ε = 1e-8."""
    network, (images, labels) = Linear(), noise()
    recipe = replace(RECIPE, epochs=2, learning_rate=0.01, weight_decay=0.1, optimizer="adamw")
    weight = network.weight.detach().double()
    m, v, t = torch.zeros_like(weight), torch.zeros_like(weight), 0
    history = train(network, images, labels, recipe, key=KEY)
    for epoch in range(1, len(history) + 1):
        for x, y in epoch_batches(images, labels, recipe.batch_size, *KEY, "training", epoch):
            x_BD, t = x.flatten(1).double(), t + 1
            gradient = ((x_BD @ weight.T).softmax(1) - F.one_hot(y, 3)).T @ x_BD / len(y)
            m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
            step = m / (1 - 0.9**t) / ((v / (1 - 0.999**t)).sqrt() + 1e-8)
            weight = weight - recipe.rate(epoch) * (step + 0.1 * weight)
    torch.testing.assert_close(network.weight.detach().double(), weight, rtol=1e-3, atol=1e-5)


def test_adamw_goes_on_where_it_was(tmp_path: Path) -> None:
    checkpoints = Folder(tmp_path / "one")
    outcome(1, checkpoints, optimizer="adamw")
    assert_same(outcome(3, checkpoints, optimizer="adamw"), outcome(3, optimizer="adamw"))
    assert outcome(2, optimizer="adamw")[1] != outcome(2)[1]


def test_a_recipe_of_sgd_is_told_as_before_there_was_another() -> None:
    assert "optimizer" not in RECIPE.identity()
    assert replace(RECIPE, optimizer="adamw").identity() == {**RECIPE.identity(), "optimizer": "adamw"}


def test_the_same_arguments_give_the_same_bits_and_another_key_does_not() -> None:
    assert_same(outcome(2), outcome(2))
    assert outcome(2)[1] != outcome(2, key=(1, *KEY[1:]))[1]


@pytest.mark.parametrize("kind", ["memory", "folder"])
def test_a_short_training_is_the_beginning_of_a_long_one(kind: str, tmp_path: Path) -> None:
    checkpoints = Memory() if kind == "memory" else Folder(tmp_path / "new" / "one")
    whole = outcome(3)
    one = outcome(1, checkpoints)
    assert_same(one, outcome(1))
    assert_same(outcome(3, checkpoints), whole)
    assert_same(outcome(3, checkpoints), whole)  # nothing is left to train
    assert_same(outcome(1, checkpoints), one)  # what is kept of later epochs is passed over
    checkpoints.clear()
    assert checkpoints.latest(9) is None
    assert not (tmp_path / "new" / "one").exists()
    checkpoints.clear()


def test_what_is_kept_is_not_what_is_trained_on() -> None:
    whole = outcome(3)
    checkpoints = Memory()
    outcome(2, checkpoints)
    assert_same(outcome(1, checkpoints), outcome(1))  # epoch 2 left epoch 1 as it was
    assert_same(outcome(3, checkpoints), whole)
    del checkpoints.states[3]
    assert_same(outcome(3, checkpoints), whole)  # and so did a training that went on from epoch 2


CHILD = """
import sys, torch
torch.set_num_threads(1)
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_training import Folder, outcome
outcome(500, Folder(Path({folder!r})), schedule=500)
"""


def test_a_killed_training_goes_on_where_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "epochs"
    program = CHILD.format(tests=str(Path(__file__).parent), folder=str(folder))
    child = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE)
    with child:
        patience = time.monotonic() + 120
        while not (folder / "epoch-003.pt").exists() and child.poll() is None and time.monotonic() < patience:
            time.sleep(0.002)
        os.kill(child.pid, signal.SIGKILL)
        assert child.stderr is not None
        assert child.stderr.read() == b""
    assert child.returncode == -signal.SIGKILL
    found = Folder(folder).latest(500)
    assert found is not None
    done = found[0]
    assert 3 <= done < 400
    assert_same(outcome(done + 2, Folder(folder), schedule=500), outcome(done + 2, schedule=500))


def test_a_file_half_written_is_passed_over(tmp_path: Path) -> None:
    outcome(1, Folder(tmp_path))
    (tmp_path / ".epoch-002.pt.tmp").write_bytes((tmp_path / "epoch-001.pt").read_bytes()[:1000])
    assert_same(outcome(2, Folder(tmp_path)), outcome(2))
    assert sorted(f.name for f in tmp_path.iterdir()) == ["epoch-001.pt", "epoch-002.pt"]


@pytest.mark.parametrize("damage", ["truncated", "empty", "flipped", "foreign"])
def test_a_damaged_file_is_set_aside(damage: str, tmp_path: Path) -> None:
    outcome(2, Folder(tmp_path))
    file = tmp_path / "epoch-002.pt"
    content = bytearray(file.read_bytes())
    if damage == "truncated":
        del content[len(content) // 2 :]
    elif damage == "empty":
        content.clear()
    elif damage == "flipped":
        # A bit of a weight, which only a checksum can tell from the right one.
        weight = cell_trained_bytes(tmp_path)
        place = content.index(weight)
        content[place] ^= 1
    file.write_bytes(content)
    if damage == "foreign":
        torch.save({"epoch": 2}, file)
    with pytest.warns(UserWarning, match=r"epoch-002\.pt is damaged .*set aside"):
        resumed = outcome(3, Folder(tmp_path))
    assert_same(resumed, outcome(3))
    assert (tmp_path / "_epoch-002.pt.damaged").exists()
    assert file.exists()
    Folder(tmp_path).clear()
    assert not tmp_path.exists()


def cell_trained_bytes(folder: Path) -> bytes:
    found = Folder(folder).latest(2)
    assert found is not None
    weight: Tensor = found[1]["network"]["classifier.weight"]
    return weight.numpy().tobytes()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"learning_rate": 0.05}, "learning_rate=0.1, now learning_rate=0.05"),
        ({"key": (1, "noise", "a net")}, "key="),
        ({"schedule": 7}, "schedule=6, now schedule=7"),
        ({"network": Linear()}, "another network"),
    ],
)
def test_checkpoints_of_another_training_are_refused(
    change: dict[str, Any], told: str, tmp_path: Path
) -> None:
    outcome(1, Folder(tmp_path))
    with pytest.raises(UsageError, match=told) as refused:
        outcome(2, Folder(tmp_path), **change)
    assert str(tmp_path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot write"):
        outcome(1, Folder(tmp_path / "file"))


def test_no_epochs_leave_the_network_as_drawn() -> None:
    network = cell_network()
    before = {name: t.clone() for name, t in network.state_dict().items()}
    assert train(network, *noise(), Training(0), key=KEY) == []
    assert all(torch.equal(t, before[name]) for name, t in network.state_dict().items())


def test_a_cell_that_cuts_its_input_trains() -> None:
    network = cell_network(CUT)
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    history = train(network, *noise(), RECIPE, key=KEY)
    assert len(history) == 3
    assert torch.equal(network.get_parameter("stem.0.weight"), before["stem.0.weight"])
    assert not torch.equal(network.get_parameter("classifier.bias"), before["classifier.bias"])


class Constant(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.idle = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros(len(x), 3)


def test_a_network_without_use_for_its_parameters_trains() -> None:
    history = train(Constant(), *noise(), RECIPE, key=KEY)
    assert [e.loss for e in history] == pytest.approx([math.log(3)] * 3)


def test_modes_flags_and_momenta_are_put_back() -> None:
    network = cell_network().eval()
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    norms[0].train()
    network.get_parameter("classifier.weight").requires_grad_(False)
    before = [m.training for m in network.modules()], [p.requires_grad for p in network.parameters()]
    with torch.no_grad():
        state, _ = outcome(2, network=network)
        assert not torch.is_grad_enabled()
    assert before == (
        [m.training for m in network.modules()],
        [p.requires_grad for p in network.parameters()],
    )
    assert [norm.momentum for norm in norms] == [1.0] * len(norms)
    assert all(p.grad is None for p in network.parameters())
    # Yet it was trained like one that came in order, whose running statistics move by a tenth a step.
    assert_same((state, []), (outcome(2)[0], []))
    assert int(state["stem.1.num_batches_tracked"]) == 2 * 4


def test_running_statistics_are_averages_with_a_momentum_of_a_tenth() -> None:
    network = nn.Sequential(nn.BatchNorm2d(3, momentum=None), nn.Flatten(), nn.Linear(192, 3))
    images, labels = noise()
    train(network, images, labels, replace(RECIPE, epochs=1), key=KEY)
    mean = torch.zeros(3)
    for x, _ in epoch_batches(images, labels, 16, *KEY, "training", 1):
        mean = 0.9 * mean + 0.1 * x.mean((0, 2, 3))
    torch.testing.assert_close(network[0].running_mean, mean)


def test_layers_that_draw_repeat_and_the_global_generator_stays() -> None:
    def network() -> nn.Module:
        return nn.Sequential(nn.Dropout(0.5), Linear())

    torch.manual_seed(5)
    state = torch.get_rng_state()
    whole = outcome(2, network=network())
    assert torch.equal(torch.get_rng_state(), state)
    checkpoints = Memory()
    outcome(1, checkpoints, network())
    torch.manual_seed(6)
    assert_same(outcome(2, checkpoints, network()), whole)


def test_divergence_is_told_and_the_networks_flags_put_back(tmp_path: Path) -> None:
    network = cell_network().eval()
    with pytest.raises(Diverged, match=r"diverged in epoch 1, at learning rate 1e\+30"):
        outcome(3, Folder(tmp_path), network, learning_rate=1e30)
    assert not network.training
    assert list(tmp_path.iterdir()) == []


def test_divergence_in_the_last_step_is_told() -> None:
    # A single step: its loss was finite, what it left is not.
    with pytest.raises(Diverged, match="a weight or a running statistic"):
        outcome(1, network=Linear(), learning_rate=1e38, weight_decay=1e38, batch_size=50)


def test_a_bar_is_shown_on_a_terminal_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    train(cell_network(), *noise(), RECIPE, key=KEY, progress="training")
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    train(cell_network(), *noise(), RECIPE, key=KEY)
    assert capsys.readouterr().err == ""
    train(cell_network(), *noise(), RECIPE, key=KEY, progress="training")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "training" in shown.err


def test_wrong_images_and_labels_are_told() -> None:
    images, labels = noise()
    wrong: list[tuple[Tensor, Tensor, Training, str]] = [
        (images[:, :1], labels, RECIPE, r"\(N, 3, R, R\)"),
        (images[..., 1:], labels, RECIPE, r"\(N, 3, R, R\)"),
        (images.double(), labels, RECIPE, "float64"),
        (images[:40], labels[:40], RECIPE, "of 50 images; got 40"),
        (images, labels[1:], RECIPE, r"\(50,\)"),
        (images, labels.int(), RECIPE, "int32"),
        (images, labels - 1, RECIPE, "not negative"),
        (images, labels + 1, RECIPE, "4 classes"),
        (images / 0, labels, RECIPE, "not finite"),
    ]
    for x, y, recipe, told in wrong:
        with pytest.raises(ValueError, match=told):
            train(cell_network(), x, y, recipe, key=KEY)
    with pytest.raises(ValueError, match="no parameters"):
        train(nn.Flatten(), images, labels, RECIPE, key=KEY)
    with pytest.raises(ValueError, match="float64"):
        train(cell_network().double(), images, labels, RECIPE, key=KEY)


@pytest.mark.parametrize(
    "option", [{"images": 1}, {"batch_size": 1}, {"learning_rate": 0.0}, {"learning_rate": math.inf}]
)
def test_a_recipe_that_cannot_be_followed(option: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(option)).replace("_", ".")):
        replace(RECIPE, **option)


def test_an_epoch_survives_its_way_through_a_file(tmp_path: Path) -> None:
    checkpoints = Folder(tmp_path)
    first = train(cell_network(), *noise(), RECIPE, key=KEY, checkpoints=checkpoints)
    again = train(cell_network(), *noise(), RECIPE, key=KEY, checkpoints=checkpoints)
    assert again == first
    assert again[0] == Epoch(**asdict(first[0]))
