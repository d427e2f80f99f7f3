"""`nasbench-retrain` as its users meet it: in this process, and in processes that are killed."""

from __future__ import annotations

import csv
import json
import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import Ask, Asked
from safetensors.torch import load_file

import nasbench_eval
from nasbench_eval.cli import retrain
from nasbench_eval.errors import UsageError
from nasbench_eval.report.cli import main as report
from nasbench_eval.retrain.states import States

CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"
THIN = ["space.channels=8", "space.cells_per_stage=1", "threads=1", "device=cpu"]
SMALL = [f"arch={CELL}", *THIN, "images=mine.npz", "recipe.batch_size=12", "recipe.epochs=4"]
MAINS = {"nasbench-retrain": retrain, "nasbench-report": report}


@pytest.fixture
def ask(asked: Asked, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ask:
    """Runs a command in a folder with 60 images of 8 x 8 pixels, of three classes that differ in colour."""
    rng, y = np.random.default_rng(0), np.arange(60) % 3
    x = rng.integers(0, 160, (60, 8, 8, 3), dtype=np.uint8)
    x[np.arange(60), :, :, y] += 60
    np.savez(tmp_path / "mine.npz", x=x, y=y, classes=np.array(["red", "green", "blue"]))
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    yield lambda command, *arguments: asked(MAINS[command], command, *arguments)
    torch.set_num_threads(threads)


def curves(run: Path) -> list[list[str]]:
    """A run's curves without its clocks."""
    with (run / "curves.csv").open() as lines:
        return [
            [v for k, v in row.items() if k not in ("seconds", "waited")] for row in csv.DictReader(lines)
        ]


def alone(work: Callable[..., Any], *arguments: Any) -> int | None:
    """Do something in a process of its own; its exit code, −9 if it was killed."""
    process = multiprocessing.get_context("fork").Process(target=work, args=arguments)
    process.start()
    process.join(60)
    return process.exitcode


def run(words: list[str], environment: dict[str, str] | None = None, killed_after: int | None = None) -> None:
    """The command in a forked process, which is killed once the state of an epoch is kept."""
    os.environ.update(environment or {})
    sys.argv = ["nasbench-retrain", *words]
    sys.stderr = Path(f"said-{os.environ.get('RANK', '0')}").open("w")  # noqa: SIM115 - as long as it lives
    save = States.save

    def saved(self: States, epoch: int, state: Any) -> None:
        save(self, epoch, state)
        if epoch == killed_after:
            os.kill(os.getpid(), signal.SIGKILL)

    States.save = saved  # type: ignore[method-assign]
    code = retrain()
    sys.stderr.flush()
    os._exit(code)


def test_a_tiny_network_learns_digits(ask: Ask, tmp_path: Path) -> None:
    """2 seconds of one core; 97.5 % when this was written."""
    answer = ask("nasbench-retrain", f"arch={CELL}", *THIN, "recipe.epochs=8", "run=digits")
    assert answer.code == 0, answer.err
    folder = tmp_path / "results" / "digits"
    record = json.loads((folder / "retrain.json").read_text())
    assert record["result"]["last"]["test"] >= 95
    assert (record["arch"], record["recipe"]["name"], record["recipe_changes"]) == (
        CELL,
        "smoke",
        {"epochs": 8},
    )
    assert record["images"]["train"] == 1079
    network = nasbench_eval.load_network(folder)
    assert not network.training
    assert sum(p.numel() for p in network.parameters()) == record["params"]
    told = ask("nasbench-report", folder)
    assert told.code == 0
    assert f"last epoch (8): test {record['result']['last']['test']:.2f} %" in told.out
    card = (folder / "model_card.md").read_text()
    assert CELL in card
    assert "changed: epochs=8" in card
    assert ask("nasbench-retrain", f"arch={CELL}", *THIN, "recipe.epochs=8", "run=digits").err.startswith(
        "nothing left to train"
    )


def test_loaded_weights_give_the_recorded_accuracy(ask: Ask, tmp_path: Path) -> None:
    assert ask("nasbench-retrain", *SMALL, "run=mine").code == 0
    folder = tmp_path / "results" / "mine"
    record = json.loads((folder / "retrain.json").read_text())
    for which in ("best", "last"):
        network = nasbench_eval.load_network(folder, which)  # type: ignore[arg-type]
        # The division is that of the command: all images are judged, of which each part is a share.
        with np.load("mine.npz") as arrays:
            x, y = torch.from_numpy(arrays["x"]).float(), torch.from_numpy(arrays["y"])
        mean, std = (torch.tensor(record["dataset"][name]) for name in ("mean", "std"))
        hits = (network(((x - mean) / std).permute(0, 3, 1, 2)).argmax(1) == y).float().mean()
        shares = [record["result"][which][part] * record["images"][part] / 60 for part in ("val", "test")]
        assert sum(shares) <= 100 * float(hits) <= sum(shares) + 100 * record["images"]["train"] / 60
    again = nasbench_eval.load_network(folder)
    for name, tensor in load_file(folder / "best.safetensors").items():
        assert torch.equal(tensor, again.state_dict()[name])


def test_a_killed_training_continues_to_the_same_bits(ask: Ask, tmp_path: Path) -> None:
    extra = [*SMALL, "recipe.average=0.9", "recipe.mixup=0.2"]
    assert ask("nasbench-retrain", *extra, "run=whole").code == 0
    assert alone(run, [*extra, "run=killed"], None, 2) == -signal.SIGKILL
    assert [len(curves(tmp_path / "results" / "killed"))] == [1]  # the second is in the state alone
    assert ask("nasbench-retrain", *extra, "run=killed").code == 0
    whole, killed = (tmp_path / "results" / name for name in ("whole", "killed"))
    assert curves(whole) == curves(killed)
    for name in ("best", "last"):
        one, other = (load_file(folder / f"{name}.safetensors") for folder in (whole, killed))
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)
    assert not (killed / ".state").exists()


def team(words: list[str], killed_after: int | None = None) -> list[int | None]:
    """The command in two processes, as torchrun starts them; their exit codes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("fork")
    processes = []
    for rank in range(2):
        place = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
        place |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        processes.append(context.Process(target=run, args=(words, place, killed_after)))
        processes[-1].start()
    for process in processes:
        process.join(90)
    for process in processes:
        if process.is_alive():  # a process that waits for ever fails the test, and does not outlive it
            process.kill()
    return [process.exitcode for process in processes]


# Layer norms: what a batch norm sees of a batch depends on how it is shared.
TOKENS = ["space=timm", "space.img_size=32", "arch=test_convnext", "images=mine.npz", "resolution=32"]
TOKENS += ["threads=1", "device=cpu", "recipe.batch_size=12", "recipe.epochs=2", "recipe.learning_rate=0.01"]


def test_two_processes_are_one_with_the_doubled_batch(ask: Ask, tmp_path: Path) -> None:
    assert ask("nasbench-retrain", *TOKENS, "run=one").code == 0
    assert team([*TOKENS, "run=two"]) == [0, 0], Path("said-0").read_text() + Path("said-1").read_text()
    one, two = (tmp_path / "results" / name for name in ("one", "two"))
    ours, theirs = ([[float(v) for v in row] for row in curves(run)] for run in (one, two))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)
    before, after = (load_file(run / "last.safetensors") for run in (one, two))
    for name, tensor in before.items():
        torch.testing.assert_close(after[name], tensor, rtol=1e-3, atol=1e-5)
    assert json.loads((two / "retrain.json").read_text())["processes"] == 2


# Batch norms of timm's own kind, with an activation within.
GATED = ["space=timm", "arch=test_efficientnet", *TOKENS[3:]]


@pytest.mark.parametrize("words", [[*SMALL, "recipe.learning_rate=0.01"], GATED], ids=["cell", "timm"])
def test_batch_norms_of_two_processes_can_be_those_of_one(words: list[str], ask: Ask, tmp_path: Path) -> None:
    words = [*words, "recipe.epochs=2"]
    assert ask("nasbench-retrain", *words, "run=one").code == 0
    for name, more in (("apart", []), ("two", ["sync_batch_norm=true"])):
        said = team([*words, *more, f"run={name}"])
        assert said == [0, 0], Path("said-0").read_text() + Path("said-1").read_text()
    files = (tmp_path / "results" / name / "last.safetensors" for name in ("one", "two", "apart"))
    one, two, apart = map(load_file, files)
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-3, atol=1e-4)
    assert max(float((apart[name] - tensor).abs().max()) for name, tensor in one.items()) > 1e-2
    assert "batch norms synchronised" in (tmp_path / "results" / "two" / "model_card.md").read_text()


def test_batch_norms_that_are_synchronised_make_another_training(ask: Ask, tmp_path: Path) -> None:
    words = [*SMALL, "recipe.epochs=2", "run=mine"]
    assert ask("nasbench-retrain", *words).code == 0
    for more in (["sync_batch_norm=true"], []):
        answer = ask("nasbench-retrain", *words, *more)
        assert answer.code == 2 * len(more)
        assert ("its sync_batch_norm is not the same" in answer.err) == bool(more)


# Three of its convolutions lead nowhere, and have no gradient.
DEAD = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"


def test_several_processes_do_not_wait_for_operations_that_lead_nowhere(ask: Ask, tmp_path: Path) -> None:
    words = [*SMALL, f"arch={DEAD}", "recipe.epochs=2", "run=dead"]
    assert team(words) == [0, 0], Path("said-0").read_text() + Path("said-1").read_text()
    assert len(curves(tmp_path / "results" / "dead")) == 2


def test_the_same_images_divided_in_another_way_are_another_training(ask: Ask, tmp_path: Path) -> None:
    words = [*SMALL, "recipe.epochs=2", "run=mine"]
    assert ask("nasbench-retrain", *words, "val_images=0", "test_images=12").code == 0
    answer = ask("nasbench-retrain", *words, "val_images=12", "test_images=0")
    assert answer.code == 2
    assert "results/mine holds another training" in answer.err


def test_a_damaged_state_costs_one_epoch(ask: Ask, tmp_path: Path) -> None:
    assert ask("nasbench-retrain", *SMALL, "run=whole").code == 0
    assert alone(run, [*SMALL, "run=damaged"], None, 3) == -signal.SIGKILL
    whole, damaged = (tmp_path / "results" / name for name in ("whole", "damaged"))
    assert sorted(file.name for file in (damaged / ".state").glob("epoch-*.pt")) == [
        "epoch-002.pt",
        "epoch-003.pt",
    ]
    (damaged / ".state" / "epoch-003.pt").write_bytes(b"cut off")
    with pytest.warns(UserWarning, match="is damaged"):
        answer = ask("nasbench-retrain", *SMALL, "run=damaged")
    assert answer.code == 0
    assert [line[:9] for line in answer.err.splitlines() if line.startswith("epoch")] == [
        "epoch 3/4",
        "epoch 4/4",
    ]
    assert curves(whole) == curves(damaged)
    one, other = (load_file(folder / "best.safetensors") for folder in (whole, damaged))
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_a_lost_process_is_told_in_one_line_and_the_training_continues(ask: Ask, tmp_path: Path) -> None:
    codes = team([*TOKENS, "run=lost"], killed_after=1)
    assert codes == [-signal.SIGKILL, 2]
    last = Path("said-1").read_text().splitlines()[-1]
    assert last.startswith("error: process 1 of 2 has lost another one")
    answer = ask("nasbench-retrain", *TOKENS, "run=lost")
    assert answer.code == 0
    assert [line[:9] for line in answer.err.splitlines() if line.startswith("epoch")] == ["epoch 2/2"]


def test_a_training_that_diverges_keeps_its_curves(ask: Ask, tmp_path: Path) -> None:
    answer = ask("nasbench-retrain", *SMALL, "recipe.learning_rate=1e20", "run=mad")
    assert answer.code == 2
    assert "training diverged in epoch" in answer.err.splitlines()[-1]
    assert "try a smaller recipe.learning_rate" in answer.err
    assert (tmp_path / "results" / "mad" / "curves.csv").exists()
    assert "diverged" in ask("nasbench-report", "results/mad").out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["images=absent/"], "images=absent/: there is no such file or folder"),
        (["recipe=smok"], "unknown recipe 'smok'; did you mean smoke?"),
        (["recipe.epoch=3"], "unknown option 'recipe.epoch'"),
        (["recipe.epochs=0"], "recipe smoke: epochs=0 will not do"),
        (["recipe.warmup_epochs=4"], "warmup_epochs=4 leaves none of epochs=4"),
        (["recipe.batch_size=50"], "recipe.batch_size=50 is more than the 36 images to train with"),
        (["recipe.auto_augment=rnd-m9"], "recipe.auto_augment=rnd-m9 is no policy of timm's"),
        (["arch=nonsense"], "arch=nonsense"),
        (["arch=" + "7" * 5000], "arch=777"),
        (["val_images=58"], "val_images=58: 48 images are left for that"),
        (["train_images=2"], "the 2 images to train with have none of class 'blue'"),
        (["precision=fp8"], "precision=fp8 will not do"),
    ],
)
def test_a_mistake_is_told_in_one_line_before_the_first_epoch(ask: Ask, words: list[str], said: str) -> None:
    answer = ask("nasbench-retrain", *SMALL, *words)
    assert answer.code == 2
    assert said in answer.err
    assert "epoch 1" not in answer.err
    assert len([line for line in answer.err.splitlines() if line.startswith("error")]) == 1


def test_no_room_on_the_disk_is_told_at_the_start(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 1000})()
    monkeypatch.setattr("nasbench_eval.retrain.config.shutil.disk_usage", lambda path: usage)
    answer = ask("nasbench-retrain", *SMALL)
    assert answer.code == 2
    assert "0 MB are free there" in answer.err


def test_another_training_in_the_folder_is_not_touched(ask: Ask, tmp_path: Path) -> None:
    assert ask("nasbench-retrain", *SMALL, "recipe.epochs=2", "run=mine").code == 0
    before = (tmp_path / "results/mine/retrain.json").read_text()
    answer = ask("nasbench-retrain", *SMALL, "recipe.epochs=2", "seed=1", "run=mine")
    assert answer.code == 2
    assert "results/mine holds another training (its seed is not the same)" in answer.err
    assert (tmp_path / "results/mine/retrain.json").read_text() == before


def test_a_folder_of_files_as_imagenet_has_it(ask: Ask, tmp_path: Path) -> None:
    """train/ and val/, each with a subfolder a class: nothing is left to test with."""
    from PIL import Image

    with np.load("mine.npz") as arrays:
        for number, (pixels, label) in enumerate(zip(arrays["x"], arrays["y"], strict=True)):
            file = tmp_path / "net" / ("val" if number % 5 == 0 else "train") / f"n{label}" / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).resize((20, 16)).save(file)
    words = [f"arch={CELL}", *THIN, "recipe=aznas_150", "recipe.epochs=2", "recipe.warmup_epochs=1"]
    words += [
        "images=net/",
        "resolution=16",
        "recipe.batch_size=12",
        "recipe.learning_rate=0.05",
        "workers=1",
    ]
    answer = ask("nasbench-retrain", *words, "run=net")
    assert answer.code == 0, answer.err
    record = json.loads((tmp_path / "results/net/retrain.json").read_text())
    assert {part: record["images"][part] for part in ("train", "val")} == {"train": 48, "val": 12}
    assert set(record["result"]["last"]) == {"epoch", "val"}


def test_without_images_to_validate_with_the_last_network_counts(ask: Ask, tmp_path: Path) -> None:
    assert ask("nasbench-retrain", *SMALL, "val_images=0", "run=all").code == 0
    folder = tmp_path / "results" / "all"
    record = json.loads((folder / "retrain.json").read_text())
    assert set(record["result"]) == {"last", "latency_ms"}
    assert not (folder / "best.safetensors").exists()
    nasbench_eval.load_network(folder)
    with pytest.raises(UsageError, match=r"holds no best.safetensors"):
        nasbench_eval.load_network(folder, "best")


def test_what_is_no_trained_network_is_not_loaded(ask: Ask, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no retrain.json"):
        nasbench_eval.load_network(tmp_path)
    assert ask("nasbench-retrain", *SMALL, "recipe.epochs=2", "run=mine").code == 0
    file = tmp_path / "results/mine/best.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(UsageError, match="does not hold the network of its record"):
        nasbench_eval.load_network(tmp_path / "results/mine")


def test_an_exported_network_computes_the_same(ask: Ask, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="the extra `export` is not installed")
    runtime = pytest.importorskip("onnxruntime", reason="the extra `export` is not installed")
    answer = ask("nasbench-retrain", *SMALL, "recipe.epochs=2", "export=onnx", "run=onnx")
    assert answer.code == 0, answer.err
    folder = tmp_path / "results/onnx"
    x = torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    [theirs] = runtime.InferenceSession(folder / "network.onnx").run(None, {"images": x.numpy()})
    np.testing.assert_allclose(nasbench_eval.load_network(folder)(x).numpy(), theirs, rtol=1e-4, atol=1e-5)


def test_curves_for_tensorboard_are_those_of_the_file(ask: Ask, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the extra `export` is not installed")
    assert ask("nasbench-retrain", *SMALL, "tensorboard=true", "run=board").code == 0
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "results/board/tensorboard")).Reload()
    with (tmp_path / "results/board/curves.csv").open() as lines:
        losses = [float(row["loss"]) for row in csv.DictReader(lines)]
    assert [event.value for event in events.Scalars("loss")] == pytest.approx(losses)


def test_a_student_learns_from_a_training_that_is_left(ask: Ask, tmp_path: Path) -> None:
    assert ask("nasbench-retrain", *SMALL, "run=teacher").code == 0
    taught = [*SMALL, "recipe.distillation=1", "teacher=results/teacher", "seed=1", "run=student"]
    answer = ask("nasbench-retrain", *taught)
    assert answer.code == 0, answer.err
    record = json.loads((tmp_path / "results/student/retrain.json").read_text())
    assert (record["teacher"]["name"], record["teacher"]["data"]) == ("teacher", "mine")
    card = (tmp_path / "results/student/model_card.md").read_text()
    assert "* teacher: teacher; what it was trained with is extra data: mine" in card
    alone = ask("nasbench-retrain", *SMALL, "recipe.distillation=1", "seed=1", "run=alone")
    assert alone.code == 0, alone.err
    assert curves(tmp_path / "results/student") != curves(tmp_path / "results/alone")
    again = ask("nasbench-retrain", *SMALL, "recipe.distillation=1", "seed=1", "run=student")
    assert "holds another training (its recipe is not the same)" in again.err
    (tmp_path / "results/teacher").rename(tmp_path / "results/moved")
    moved = [word.replace("results/teacher", "results/moved") for word in taught]
    assert "nothing left to train" in ask("nasbench-retrain", *moved).err
    unfinished = json.loads((tmp_path / "results/moved/retrain.json").read_text()) | {"finished": None}
    (tmp_path / "results/moved/retrain.json").write_text(json.dumps(unfinished))
    assert "the training there has not come to its end" in ask("nasbench-retrain", *moved).err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["teacher=results/none", "recipe.distillation=1"], "results/none"),
        (["teacher=results/other"], "nothing is taken from it with recipe.distillation=0"),
        (["teacher=results/other", "recipe.distillation=1"], "it knows other classes than mine has"),
        (["teacher=timm:resnet17", "recipe.distillation=1"], "timm has no network of that name"),
    ],
)
def test_a_teacher_that_will_not_do(ask: Ask, tmp_path: Path, words: list[str], said: str) -> None:
    others = np.load(tmp_path / "mine.npz")
    np.savez(tmp_path / "other.npz", x=others["x"], y=others["y"], classes=np.array(["cat", "dog", "cow"]))
    if "results/other" in words[0]:
        short = [word for word in SMALL if "epochs" not in word and "mine" not in word]
        assert ask("nasbench-retrain", *short, "images=other.npz", "recipe.epochs=2", "run=other").code == 0
    answer = ask("nasbench-retrain", *SMALL, *words, "run=student")
    assert (answer.code, said in answer.err) == (2, True), answer.err
    assert len(answer.err.strip().splitlines()) <= 2
