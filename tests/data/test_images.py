"""Images: read, refused, and converted from small archives in the official formats."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nasbench_eval.data import images, pickles
from nasbench_eval.data.images import (
    DamagedImages,
    MissingImages,
    from_cifar_archive,
    from_imagenet16,
    images_path,
    load_images,
)
from nasbench_eval.errors import UsageError

DATA = os.environ.get("NASBENCH_EVAL_DATA", "")


def arrays(count: int = 20, side: int = 32, classes: int = 10) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "x_train": rng.integers(0, 256, (count, side, side, 3), dtype=np.uint8),
        "y_train": (np.arange(count) % classes).astype(np.uint8),
        "classes": np.array([f"class {k}" for k in range(classes)]),
    }


def write(folder: Path, dataset: str, **content: Any) -> Path:
    path = images_path(folder, dataset)
    path.parent.mkdir(exist_ok=True)
    np.savez(path, **content)
    return path


def test_load(tmp_path: Path) -> None:
    content = arrays()
    write(tmp_path, "cifar10", **content)
    loaded = load_images(tmp_path, "cifar10")
    np.testing.assert_array_equal(loaded.x, content["x_train"])
    np.testing.assert_array_equal(loaded.y, content["y_train"])
    assert (loaded.x.dtype, loaded.y.dtype) == (np.uint8, np.int64)
    assert loaded.num_classes == 10
    assert loaded.classes[3] == "class 3"


def test_missing_images_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(
        MissingImages, match=r"no images of cifar100 at .*nasbench-data.*proxy\.input=gaussian"
    ):
        load_images(tmp_path, "cifar100")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"x_train": np.zeros((20, 16, 16, 3), np.uint8)}, "not uint8 images of shape"),
        ({"x_train": np.zeros((20, 32, 32, 3), np.float32)}, "holds float32"),
        ({"x_train": np.uint8(3)}, "not uint8 images"),
        ({"y_train": np.zeros(19, np.uint8)}, "19 labels for 20 images"),
        ({"y_train": np.full(20, 10, np.uint8)}, "labels from 10 to 10 for 10 classes"),
        ({"y_train": np.zeros(20, np.float32)}, "has labels of float32, not whole numbers"),
        ({"classes": np.arange(10)}, "names its classes by int64, not by texts"),
        ({"classes": np.array(["one"])}, "names 1 classes; cifar10 has 10"),
        ({"classes": np.array([print] * 10, dtype=object)}, "cannot be read"),
    ],
)
def test_wrong_images(tmp_path: Path, change: dict[str, Any], match: str) -> None:
    write(tmp_path, "cifar10", **(arrays() | change))
    with pytest.raises(DamagedImages, match=match) as caught:
        load_images(tmp_path, "cifar10")
    assert "nasbench-data" in str(caught.value)


@pytest.mark.parametrize("kept", [0, 10, 5000, -1, -300])
def test_truncated_images(tmp_path: Path, kept: int) -> None:
    path = write(tmp_path, "cifar10", **arrays())
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DamagedImages, match=r"cannot be read|is truncated"):
        load_images(tmp_path, "cifar10")


def test_a_bare_array(tmp_path: Path) -> None:
    path = write(tmp_path, "cifar10", **arrays())
    with path.open("wb") as file:
        np.save(file, arrays()["x_train"])
    with pytest.raises(DamagedImages, match="cannot be read"):
        load_images(tmp_path, "cifar10")


def replaced(path: Path, name: str, content: bytes) -> None:
    """Put something else in the place of an archive's member."""
    with zipfile.ZipFile(path) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, raw in (members | {name: content}).items():
            archive.writestr(member, raw)


def test_a_member_that_is_no_array(tmp_path: Path) -> None:
    replaced(write(tmp_path, "cifar10", **arrays()), "x_train.npy", b"")
    with pytest.raises(DamagedImages, match="not all of its members are arrays"):
        load_images(tmp_path, "cifar10")


def test_what_unpacks_to_too_much_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, "cifar10", **arrays())
    monkeypatch.setattr(images, "_MOST", 1 << 20)
    load_images(tmp_path, "cifar10")
    replaced(path, "more.npy", bytes(1 << 20))
    with pytest.raises(DamagedImages, match=r"it unpacks to 1\d{6} bytes, more than 1048576"):
        load_images(tmp_path, "cifar10")


def test_a_claim_to_more_than_the_memory_is_refused(tmp_path: Path) -> None:
    claim = "{'descr': '|u1', 'fortran_order': False, 'shape': (10000000000000, 32, 32, 3), }\n"
    header = b"\x93NUMPY\x01\x00" + len(claim).to_bytes(2, "little") + claim.encode()
    replaced(write(tmp_path, "cifar10", **arrays()), "x_train.npy", header)
    with pytest.raises(DamagedImages, match="cannot be read"):
        load_images(tmp_path, "cifar10")


def test_images_without_labels(tmp_path: Path) -> None:
    write(tmp_path, "cifar10", x_train=arrays()["x_train"])
    with pytest.raises(DamagedImages, match="has no array classes"):
        load_images(tmp_path, "cifar10")


@pytest.mark.parametrize("dataset", ["cifar10", "cifar100", "imagenet16_120"])
def test_the_real_images(dataset: str) -> None:
    if not images_path(Path(DATA or "/nowhere"), dataset).is_file():
        pytest.skip("NASBENCH_EVAL_DATA names no folder with images")
    loaded = load_images(Path(DATA), dataset)
    assert len(set(np.bincount(loaded.y).tolist())) == 1, "balanced"
    assert loaded.num_classes == int(loaded.y.max()) + 1


def channel_first(x: np.ndarray) -> np.ndarray:
    """As the archives keep an image: all red values, then all green, then all blue."""
    return np.stack([np.concatenate([image[:, :, c].ravel() for c in range(3)]) for image in x])


def cifar_archive(path: Path, dataset: str, per_class: int = 4, **extra: Any) -> np.ndarray:
    """A small archive with the official layout; returns its training images, batch after batch."""
    ten = dataset == "cifar10"
    classes = 10 if ten else 100
    rng = np.random.default_rng(1)
    root = "cifar-10-batches-py" if ten else "cifar-100-python"
    names = ([f"data_batch_{i}" for i in range(1, 6)] if ten else ["train"]) + (
        ["test_batch"] if ten else ["test"]
    )
    seen = []
    with tarfile.open(path, "w:gz") as tar:

        def add(name: str, data: Any) -> None:
            raw = pickle.dumps(data, protocol=2)
            info = tarfile.TarInfo(f"{root}/{name}")
            info.size = len(raw)
            tar.addfile(info, io.BytesIO(raw))

        for name in names:
            y = rng.permutation(np.repeat(np.arange(classes), per_class))
            x = rng.integers(0, 256, (len(y), 32, 32, 3), dtype=np.uint8)
            seen.append((x, y))
            labels = {"labels" if ten else "fine_labels": y.tolist(), "coarse_labels": [0] * len(y)}
            add(name, {"data": channel_first(x), **labels, **extra})
        meta = "batches.meta" if ten else "meta"
        add(meta, {"label_names" if ten else "fine_label_names": [f"c{k}" for k in range(classes)]})
    return seen


@pytest.mark.parametrize("dataset", ["cifar10", "cifar100"])
def test_cifar_archive(tmp_path: Path, dataset: str) -> None:
    path = tmp_path / "archive.tar.gz"
    seen = cifar_archive(path, dataset)
    classes = 10 if dataset == "cifar10" else 100
    found = from_cifar_archive(path, dataset, train=3 * classes, test=2 * classes)
    for part, batches, per_class in (("train", seen[:-1], 3), ("test", seen[-1:], 2)):
        x, y = (np.concatenate([batch[i] for batch in batches]) for i in (0, 1))
        taken, left = [], dict.fromkeys(range(classes), per_class)
        for position, label in enumerate(y.tolist()):
            if left[label]:
                left[label] -= 1
                taken.append(position)
        np.testing.assert_array_equal(found[f"x_{part}"], x[taken])
        np.testing.assert_array_equal(found[f"y_{part}"], y[taken])
        assert found[f"y_{part}"].dtype == np.uint8
    write(tmp_path, dataset, **found)
    assert load_images(tmp_path, dataset).classes[:2] == ("c0", "c1")


def test_cifar_archives_that_are_wrong(tmp_path: Path) -> None:
    path = tmp_path / "archive.tar.gz"
    cifar_archive(path, "cifar10")
    with pytest.raises(UsageError, match=r"20 images of class 0 where 500 are needed"):
        from_cifar_archive(path, "cifar10")
    with pytest.raises(UsageError, match="no official cifar100 archive"):
        from_cifar_archive(path, "cifar100")
    path.write_bytes(path.read_bytes()[:4000])
    with pytest.raises(UsageError, match=r"no official cifar10 archive|damaged"):
        from_cifar_archive(path, "cifar10")
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(UsageError, match="no official cifar10 archive"):
        from_cifar_archive(path, "cifar10")


class Trap:
    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> Any:
        return (os.mkdir, (self.path,))


def test_cifar_code_is_named_and_not_run(tmp_path: Path) -> None:
    cifar_archive(tmp_path / "archive.tar.gz", "cifar10", extra=Trap(tmp_path / "sprung"))
    with pytest.raises(pickles.PickleRefused, match=r"asks for 'posix\.mkdir'"):
        from_cifar_archive(tmp_path / "archive.tar.gz", "cifar10", train=10, test=10)
    assert not (tmp_path / "sprung").exists()


@pytest.fixture
def imagenet16(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, np.ndarray, np.ndarray]:
    """Two of the ten batches, with labels from 1 to 130, and their own checksums."""
    rng = np.random.default_rng(2)
    folder = tmp_path / "ImageNet16"
    folder.mkdir()
    xs, ys, sums = [], [], []
    for number in (1, 2):
        y = rng.permutation(np.repeat(np.arange(1, 131), 2))
        x = rng.integers(0, 256, (len(y), 16, 16, 3), dtype=np.uint8)
        raw = pickle.dumps(
            {"data": channel_first(x), "labels": y.tolist(), "mean": np.zeros(768)}, protocol=3
        )
        (folder / f"train_data_batch_{number}").write_bytes(raw)
        xs.append(x)
        ys.append(y)
        sums.append(hashlib.md5(raw).hexdigest())
    monkeypatch.setattr(images, "IMAGENET16_MD5", (*sums, *images.IMAGENET16_MD5[2:]))
    return folder, np.concatenate(xs), np.concatenate(ys)


@pytest.mark.parametrize("per_class", [1, 2, 3])
def test_imagenet16(imagenet16: tuple[Path, np.ndarray, np.ndarray], tmp_path: Path, per_class: int) -> None:
    folder, x, y = imagenet16
    found = from_imagenet16(folder, per_class=per_class)
    assert found["x_train"].shape == (120 * per_class, 16, 16, 3)
    assert np.bincount(found["y_train"]).tolist() == [per_class] * 120
    for label in (1, 77, 120):
        np.testing.assert_array_equal(
            found["x_train"][found["y_train"] == label - 1], x[y == label][:per_class]
        )
    write(tmp_path, "imagenet16_120", **found)
    assert load_images(tmp_path, "imagenet16_120").num_classes == 120


def test_imagenet16_files_are_not_read_unless_official(
    imagenet16: tuple[Path, np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = imagenet16[0]
    with pytest.raises(UsageError, match=r"no file .*train_data_batch_3"):
        from_imagenet16(folder, per_class=5)
    with (folder / "train_data_batch_2").open("ab") as file:
        file.write(b"x")
    monkeypatch.setattr(pickles, "load", lambda *args, **kwargs: pytest.fail("unpickled"))
    with (folder / "train_data_batch_1").open("ab") as file:
        file.write(b"x")
    with pytest.raises(UsageError, match=r"train_data_batch_1 has md5 .* it was not read"):
        from_imagenet16(folder, per_class=3)


def test_the_official_checksums_are_ten() -> None:
    assert len(set(images.IMAGENET16_MD5)) == 10
    assert all(len(md5) == 32 for md5 in images.IMAGENET16_MD5)
