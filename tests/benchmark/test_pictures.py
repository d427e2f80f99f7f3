"""Images of one's own: what is read is what was written, and what cannot be used is told in one line."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from nasbench_eval.benchmark import pictures as module
from nasbench_eval.benchmark.files import PARTS
from nasbench_eval.benchmark.pictures import Pictures, divide, prepared, read
from nasbench_eval.errors import UsageError

T = TypeVar("T")
Arrays = dict[str, Any]
CLASSES = ("circle", "square", "triangle")
SPRUNG: list[bool] = []


def nowhere() -> NoReturn:
    raise AssertionError("the data folder is not asked for")


def taken(source: Path | str, resolution: int | None = None) -> Pictures:
    return read(str(source), resolution, nowhere)


def told(call: Callable[[], T]) -> T | None:
    """What a call gives; None if it refuses, as it should in one line."""
    try:
        return call()
    except UsageError as error:
        line = str(error)
    assert line.isprintable()
    assert 10 < len(line) <= 600
    return None


def coloured(count: int = 12, side: int = 8, classes: int = 3) -> Arrays:
    """Images of noise, each with its class."""
    x = np.random.default_rng(count).integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    return {"x": x, "y": np.arange(count) % classes}


def npz(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mine.npz"


def test_arrays_are_read_as_they_are(file: Path) -> None:
    arrays = coloured()
    found = taken(npz(file, **arrays))
    assert found.x.dtype == np.uint8
    assert found.y.dtype == np.int64
    np.testing.assert_array_equal(found.x, arrays["x"])
    np.testing.assert_array_equal(found.y, arrays["y"])
    assert found.classes == ("0", "1", "2")
    assert found.part is None
    named = taken(npz(file, **arrays, classes=np.array(CLASSES)))
    assert named.classes == CLASSES


@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.float32, np.float64, np.uint16])
@pytest.mark.parametrize("axis", [False, True])
def test_grey_images_of_any_kind_of_number(file: Path, kind: Any, axis: bool) -> None:
    grey = np.arange(256).reshape(4, 8, 8)
    x = grey[..., None] if axis else grey
    found = taken(npz(file, x=x.astype(kind), y=np.array([0, 1, 0, 1])))
    for colour in range(3):
        np.testing.assert_array_equal(found.x[..., colour], grey)


def test_fractions_are_taken_for_shades(file: Path) -> None:
    grey = np.arange(256).reshape(4, 8, 8)
    for kind in (np.float16, np.float32, np.float64):
        found = taken(npz(file, x=(grey / 255).astype(kind), y=np.array([0, 1, 0, 1])))
        np.testing.assert_array_equal(found.x[..., 0], grey)
    above = (grey / 255).astype(np.float32)
    above[above == 1] = np.nextafter(np.float32(1), np.float32(2))  # as resizing leaves it
    np.testing.assert_array_equal(taken(npz(file, x=above, y=np.array([0, 1, 0, 1]))).x[..., 0], grey)
    # Whole numbers up to 1 are shades: black, and all but black.
    found = taken(npz(file, x=(grey > 100).astype(int), y=np.array([0, 1, 0, 1])))
    assert found.x.max() == 1


@pytest.mark.parametrize("parts", [("train", "val", "test"), ("train", "test"), ("train",)])
def test_a_divided_file_keeps_its_parts(file: Path, parts: tuple[str, ...]) -> None:
    arrays: Arrays = {}
    for number, part in enumerate(parts):
        made = coloured(6 + 3 * number)
        arrays |= {f"x_{part}": made["x"], f"y_{part}": made["y"]}
    found = taken(npz(file, **arrays))
    assert found.part is not None
    for part in parts:
        mine = found.part == PARTS.index(part)
        np.testing.assert_array_equal(found.x[mine], arrays[f"x_{part}"])
        np.testing.assert_array_equal(found.y[mine], arrays[f"y_{part}"])


def test_official_images_are_those_of_the_data_folder(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    made = coloured(12, 32)
    npz(
        tmp_path / "images" / "cifar10.npz",
        x_train=made["x"],
        y_train=made["y"].astype(np.uint8),
        x_test=made["x"][:3],
        y_test=made["y"][:3].astype(np.uint8),
        classes=np.array(CLASSES),
    )
    found = read("cifar10", None, lambda: tmp_path)
    assert found.classes == CLASSES
    assert np.bincount(found.part).tolist() == [12, 0, 3]  # type: ignore[arg-type]
    with pytest.raises(
        UsageError, match=r"images=cifar100: there are none at .*cifar100\.npz; nasbench-data"
    ):
        read("cifar100", None, lambda: tmp_path)


def test_digits_are_those_of_scikit_learn() -> None:
    sklearn = pytest.importorskip("sklearn.datasets")
    found, bunch = taken("digits"), sklearn.load_digits()
    assert found.x.shape == (1797, 8, 8, 3)
    assert found.classes == tuple("0123456789")
    np.testing.assert_array_equal(found.y, bunch.target)
    np.testing.assert_array_equal(found.x[..., 1], np.rint(bunch.images * 255 / 16))
    assert taken("digits", 16).x.shape == (1797, 16, 16, 3)


def test_resizing_takes_means_of_pixels(file: Path) -> None:
    found = taken(npz(file, **coloured(4, 8, 2)), 4)
    before = coloured(4, 8, 2)["x"].reshape(4, 4, 2, 4, 2, 3).mean(axis=(2, 4))
    assert np.abs(found.x - before).max() <= 1  # rows are rounded before columns
    assert taken(file, 12).x.shape == (4, 12, 12, 3)
    np.testing.assert_array_equal(taken(file, 8).x, coloured(4, 8, 2)["x"])


def shade(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (8, 8)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three classes of four images, the third of them in a folder of its own."""
    for label, name in enumerate(CLASSES):
        for number in range(3):
            shade(tmp_path / "shapes" / name / f"{number}.png", (label, number, 0))
        shade(tmp_path / "shapes" / name / "more" / "3.PNG", (label, 3, 0))
    return tmp_path / "shapes"


def test_a_folder_has_a_subfolder_a_class(folder: Path) -> None:
    found = taken(folder)
    assert found.classes == CLASSES
    assert found.part is None
    assert found.x.shape == (12, 8, 8, 3)
    np.testing.assert_array_equal(found.x[:, 4, 4, 0], found.y)
    assert sorted(found.x[found.y == 1, 0, 0, 1]) == [0, 1, 2, 3]


def test_what_tools_leave_behind_is_no_class_and_no_image(folder: Path) -> None:
    shade(folder / ".thumbnails" / "0.png", (9, 9, 9))
    shade(folder / "circle" / ".ipynb_checkpoints" / "0-checkpoint.png", (9, 9, 9))
    shade(folder / "circle" / "._0.png", (9, 9, 9))
    (folder / "circle" / "notes.txt").write_text("no image")
    (folder / "readme.md").write_text("no class")
    assert taken(folder).classes == CLASSES
    assert len(taken(folder).x) == 12


@pytest.mark.parametrize("parts", [("train", "val", "test"), ("train", "test")])
def test_a_divided_folder_keeps_its_parts(tmp_path: Path, parts: tuple[str, ...]) -> None:
    for part in parts:
        for name in CLASSES:
            for number in range(2):
                shade(tmp_path / "made" / part / name / f"{number}.png", (PARTS.index(part), number, 0))
    found = taken(tmp_path / "made")
    assert found.classes == CLASSES
    np.testing.assert_array_equal(found.x[:, 0, 0, 0], found.part)
    division = divide(found, (None, 3, None), 0, "made")
    assert set(found.x[division.test, 0, 0, 0]) == {2}
    shade(tmp_path / "made" / "valid" / "circle" / "0.png", (1, 2, 3))
    with pytest.raises(UsageError, match=r"holds train, and beside it valid: which part is that\?"):
        taken(tmp_path / "made")


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    for name in ("plane", "train"):
        shade(tmp_path / "transport" / name / "0.png", (1, 2, 3))
    assert taken(tmp_path / "transport").classes == ("plane", "train")


@pytest.mark.parametrize("parts", [("Training", "Testing"), ("val", "test"), ("Train", "dev", "test")])
def test_parts_of_other_names_are_not_taken_for_classes(tmp_path: Path, parts: tuple[str, ...]) -> None:
    for part in parts:
        for name in CLASSES:
            shade(tmp_path / "made" / part / name / "0.png", (1, 2, 3))
    with pytest.raises(UsageError, match=r"if these are parts and no classes, call them train, val, test"):
        taken(tmp_path / "made")


def test_more_images_than_find_room_are_told_before_they_are_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST", 12 * 8 * 8 * 3)
    assert len(taken(folder).x) == 12
    with pytest.raises(UsageError, match=r"12 images, which are too much at 16 x 16 pixels; resolution=32"):
        taken(folder, 16)


def test_other_sizes_are_cut_to_their_middle_square_and_scaled(folder: Path) -> None:
    # Red left and right of a green square.
    image = Image.new("RGB", (32, 16), (200, 0, 0))
    image.paste((0, 200, 0), (8, 0, 24, 16))
    image.save(folder / "circle" / "0.png")
    for resolution, side in ((None, 8), (4, 4)):
        found = taken(folder, resolution)
        assert found.x.shape == (12, side, side, 3)
        # Scaling mixes in a little of what lies next to the edge.
        assert np.abs(found.x[0].astype(int) - (0, 200, 0)).max() < 40


def test_images_of_other_modes_become_red_green_and_blue(tmp_path: Path) -> None:
    shades = np.arange(64).reshape(8, 8)
    made: dict[str, Any] = {
        "grey": Image.fromarray((4 * shades).astype(np.uint8)),
        # 16 bits: Pillow cuts them off at 255 where it is left to itself.
        "deep": Image.fromarray((4 * 257 * shades).astype(np.uint16)),
        "alpha": Image.fromarray(np.stack([4 * shades] * 3 + [255 + 0 * shades], -1).astype(np.uint8)),
    }
    for name, image in made.items():
        (tmp_path / "modes" / name).mkdir(parents=True)
        image.save(tmp_path / "modes" / name / "0.png")
    for found in taken(tmp_path / "modes").x:
        np.testing.assert_array_equal(found, np.repeat(4 * shades[..., None], 3, -1))


def with_(**changes: Any) -> Arrays:
    return {key: value for key, value in {**coloured(), **changes}.items() if value is not None}


def spoilt(value: float, index: int = 7) -> Any:
    x = np.full((12, 8, 8, 3), 0.5)
    x[index, 1, 2, 0] = value
    return x


class Trap:
    """Springs if it is ever unpickled."""

    def __reduce__(self) -> Any:
        return SPRUNG.append, (True,)


HALF = coloured(6)
WRONG: list[tuple[str, Arrays, str]] = [
    ("no images", with_(x=np.zeros((0, 8, 8, 3)), y=np.zeros(0, int)), "holds no images"),
    ("no pixels", with_(x=np.zeros((12, 0, 0, 3))), "has images of 0 x 0 pixels"),
    ("no x", with_(x=None), "has no array x; it has y"),
    ("no y", with_(y=None), "has no array y; it has x"),
    ("nothing", {"z": np.zeros(3)}, "has no array x; it has none"),
    ("one class", with_(y=np.zeros(12, int)), "has images of one class alone, '0'"),
    ("a class without images", with_(y=np.arange(12) % 3 * 2), "names the class '1', but has no image of it"),
    (
        "a name without images",
        with_(classes=np.array([*CLASSES, "star"])),
        "names the class 'star', but has no image of it",
    ),
    (
        "channels first",
        with_(x=np.zeros((12, 3, 8, 8))),
        "has x of shape (12, 3, 8, 8); images are N x H x W",
    ),
    ("flat", with_(x=np.zeros((12, 64))), "has x of shape (12, 64)"),
    ("alpha", with_(x=np.zeros((12, 8, 8, 4))), "has x of shape (12, 8, 8, 4)"),
    ("not square", with_(x=np.zeros((12, 8, 6, 3))), "has images of 8 x 6 pixels; they have to be square"),
    ("nan", with_(x=spoilt(np.nan)), "has a NaN or an infinity in x, in image 7"),
    ("infinity", with_(x=spoilt(-np.inf, 3)), "has a NaN or an infinity in x, in image 3"),
    ("too bright", with_(x=spoilt(300)), "has x from 0.5 to 300; pixels are 0 to 255, or 0 to 1"),
    ("negative", with_(x=spoilt(-1)), "has x from -1 to 0.5; pixels"),
    ("16 bits", with_(x=np.full((12, 8, 8, 3), 65535, np.uint16)), "has x from 65535 to 65535"),
    ("texts for images", with_(x=np.full((12, 8, 8), "a")), "has x of <U1, not numbers"),
    ("complex", with_(x=np.zeros((12, 8, 8), complex)), "has x of complex128, not numbers"),
    ("texts for labels", with_(y=np.array(list("abc") * 4)), "has y of <U1 and shape (12,), not a whole"),
    ("fractions for labels", with_(y=np.arange(12) % 3 / 2), "has y of float64 and shape (12,)"),
    ("one-hot", with_(y=np.eye(12, dtype=int)), "has y of int64 and shape (12, 12)"),
    ("too few labels", with_(y=np.arange(9) % 3), "has 9 labels in y for 12 images in x"),
    ("negative label", with_(y=np.arange(12) % 3 - 1), "has the label -1 in y; classes count from 0"),
    ("large label", with_(y=np.arange(12) % 3 + 10**6), "has the label 1000002, but 12 images"),
    ("huge label", with_(y=np.full(12, 2**64 - 1, np.uint64)), "has the label 18446744073709551615 in y"),
    ("too few names", with_(classes=np.array(CLASSES[:2])), "names 2 classes by <U6, and has labels up to 2"),
    ("numbers for names", with_(classes=np.arange(3)), "names 3 classes by int64"),
    ("pickled images", with_(x=np.array([Trap()] * 12, object)), "cannot be read (Object arrays cannot be"),
    ("pickled labels", with_(y=np.array([Trap()] * 12, object)), "cannot be read (Object arrays cannot be"),
    ("no labels of a part", {"x_train": HALF["x"]}, "has no array y_train"),
    (
        "parts of different sizes",
        {"x_train": HALF["x"], "y_train": HALF["y"], "x_test": coloured(6, 4)["x"], "y_test": HALF["y"]},
        "has images of (4, 4, 3) in x_test and of (8, 8, 3) before",
    ),
]


@pytest.mark.parametrize(("arrays", "said"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_a_file_that_will_not_do_is_told_in_one_line(file: Path, arrays: Arrays, said: str) -> None:
    npz(file, **arrays)
    with pytest.raises(UsageError, match=re.escape(said)) as raised:
        taken(file)
    assert str(raised.value).isprintable()
    assert "mine.npz" in str(raised.value)
    assert not SPRUNG


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 and no more"])
def test_a_file_of_something_else_is_told_in_one_line(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(UsageError, match=r"mine\.npz (cannot be read|is truncated)"):
        taken(file)


@pytest.mark.parametrize("source", ["nowhere", "", "x" * 300, "a\0b", "cifar11"])
def test_what_is_not_there_is_told_with_what_there_may_be(source: str) -> None:
    with pytest.raises(
        UsageError, match=r"^images=.*there is no such file or folder; .*one of digits, cifar10"
    ):
        taken(source)


FOLDERS: list[tuple[str, Callable[[Path], object], str]] = [
    ("empty", lambda f: f.mkdir(), "holds no images: a subfolder a class is wanted, with files .png"),
    ("no subfolders", lambda f: shade(f / "0.png", (1, 2, 3)), "holds no images: a subfolder a class"),
    ("empty subfolders", lambda f: (f / "circle").mkdir(parents=True), "holds no images"),
    (
        "one class",
        lambda f: shade(f / "circle" / "0.png", (1, 2, 3)),
        "has images of one class alone, 'circle'",
    ),
]


@pytest.mark.parametrize(("make", "said"), [w[1:] for w in FOLDERS], ids=[w[0] for w in FOLDERS])
def test_a_folder_that_will_not_do_is_told(tmp_path: Path, make: Callable[[Path], object], said: str) -> None:
    make(tmp_path / "photos")
    with pytest.raises(UsageError, match=re.escape(f"photos {said}")):
        taken(tmp_path / "photos")


def test_a_class_without_images_and_an_unreadable_file_are_named(folder: Path) -> None:
    (folder / "star").mkdir()
    with pytest.raises(UsageError, match="names the class 'star', but has no image of it"):
        taken(folder)
    shade(folder / "star" / "0.png", (1, 2, 3))
    whole = (folder / "star" / "0.png").read_bytes()
    for content in (b"", b"no image", whole[: len(whole) // 2], whole[:50] + bytes(5) + whole[55:]):
        (folder / "star" / "0.png").write_bytes(content)
        for resolution in (None, 4):
            with pytest.raises(UsageError, match=r"star/0\.png is no image that can be read \(.*remove or"):
                taken(folder, resolution)


def labelled(*counts: int, part: Any = None) -> Pictures:
    y = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    x = np.zeros((len(y), 1, 1, 3), np.uint8)
    return Pictures(x, y, tuple(f"class {n}" for n in range(len(counts))), part)


@given(
    counts=st.lists(st.integers(10, 60), min_size=2, max_size=5),
    sizes=st.tuples(*[st.none() | st.integers(10, 20)] * 3),
    seed=st.integers(0, 5),
)
def test_parts_are_disjoint_stratified_and_as_large_as_asked_for(
    counts: list[int], sizes: tuple[int | None, ...], seed: int
) -> None:
    pictures = labelled(*counts)
    division = told(lambda: divide(pictures, sizes, seed, "mine"))
    if division is None:
        return
    parts = [getattr(division, part) for part in PARTS]
    every = np.concatenate(parts)
    assert len(np.unique(every)) == len(every)
    fifth, total = len(pictures.y) // 5, sum(counts)
    for part, size, wish in zip(parts, map(len, parts), sizes, strict=True):
        if part is not parts[0]:
            assert size == (wish or fifth)
        shares = np.bincount(pictures.y[part], minlength=len(counts)) / size
        assert np.abs(shares - np.array(counts) / total).max() < len(counts) / size
    assert len(parts[0]) == (sizes[0] or total - len(parts[1]) - len(parts[2]))
    again = divide(pictures, sizes, seed, "mine")
    assert all(np.array_equal(getattr(again, p), getattr(division, p)) for p in PARTS)
    other = divide(pictures, sizes, seed + 1, "mine")
    assert not np.array_equal(other.test, division.test)


def test_a_small_sample_to_train_with_leaves_the_test_images_as_they_are() -> None:
    pictures = labelled(50, 50)
    small, large = (divide(pictures, (size, None, None), 0, "mine") for size in (10, 40))
    np.testing.assert_array_equal(small.test, large.test)
    np.testing.assert_array_equal(small.val, large.val)
    np.testing.assert_array_equal(small.train, large.train[:10])


def test_given_parts_are_kept_and_a_missing_one_is_drawn_from_those_to_train_with() -> None:
    part = np.repeat([0, 2], [60, 30])
    pictures = labelled(45, 45, part=part)
    division = divide(pictures, (None, None, None), 0, "mine")
    assert set(division.test) == set(np.flatnonzero(part == 2))
    assert len(division.val) == 12
    assert set(division.val) | set(division.train) == set(np.flatnonzero(part == 0))
    assert len(divide(pictures, (None, None, 10), 0, "mine").test) == 10


@pytest.mark.parametrize(
    ("counts", "sizes", "said"),
    [
        ((30, 30), (None, None, 61), "mine has 60 images left to test with, of 60; 61 are asked for"),
        ((30, 30), (None, 50, 20), "mine has 40 images left to validate with, of 60; 50 are asked for"),
        ((30, 30), (49, None, None), "mine has 36 images left to train with, of 60; 49 are asked for"),
        ((30, 30), (None, 30, 30), "mine has 0 images left to train with, of 60; at least one of each"),
        ((30, 30), (None, None, 1), "the 1 images of mine to test with have none of class 'class 1'"),
        ((60, 2), (None, None, None), "images of mine to"),
        ((2, 2), (None, None, None), "the 1 images of mine to validate with have none of class"),
    ],
)
def test_a_division_that_cannot_be_had_is_told(
    counts: tuple[int, ...], sizes: tuple[int | None, ...], said: str
) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        divide(labelled(*counts), sizes, 0, "mine")


def test_noise_is_drawn_once_and_copies_are_of_the_images_to_judge_by(file: Path) -> None:
    pictures = taken(npz(file, **coloured(60)))
    division = divide(pictures, (None, None, None), 0, "mine")
    plain = prepared(pictures, division, 0, 1, 0)
    np.testing.assert_array_equal(plain["train"][0], pictures.x[division.train])
    noisy, again, other = (prepared(pictures, division, 1.0, 3, seed) for seed in (0, 0, 1))
    assert len(noisy["train"][1]) == len(division.train)
    for part in ("val", "test"):
        images, labels = noisy[part]
        np.testing.assert_array_equal(labels, np.tile(pictures.y[getattr(division, part)], 3))
        first, second, _ = images.reshape(3, -1, 8, 8, 3)
        assert not np.array_equal(first, second)
        np.testing.assert_array_equal(images, again[part][0])
        assert not np.array_equal(images, other[part][0])


kinds = st.sampled_from([np.uint8, np.int64, np.uint64, np.float32, np.bool_, "S3", "U3", "M8[s]", "V3", "O"])
shapes = st.sampled_from(
    [(), (0,), (6,), (6, 1), (6, 8, 8), (6, 8, 8, 1), (6, 8, 8, 3), (6, 8, 4, 3), (0, 8, 8), (6, 0, 0, 3)]
)
odd_arrays = st.one_of(
    st.tuples(shapes, kinds).map(lambda made: np.zeros(*made)),
    st.integers(-(2**63), 2**63 - 1).map(lambda label: np.full(6, label)),
    st.sampled_from(
        [np.full((6, 8, 8), np.nan), np.full((6, 8, 8), 1e300), np.full(6, 2**64 - 1, np.uint64)]
    ),
    st.lists(st.integers(-2, 9), min_size=6, max_size=6).map(np.array),
    st.lists(st.text(max_size=3), min_size=1, max_size=9).map(np.array),
)
NAMES = ["x", "y", "classes", *(f"{a}_{part}" for part in PARTS for a in "xy")]


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(
    arrays=st.dictionaries(st.sampled_from(NAMES), odd_arrays, max_size=4),
    good=st.sampled_from(["", "_train"]),
    whole=st.integers(0, 9),
    resolution=st.sampled_from([None, 4]),
)
def test_whatever_a_file_holds_is_images_or_one_line(
    arrays: Arrays, good: str, whole: int, resolution: int | None, tmp_path: Path
) -> None:
    made = coloured(6)
    packed = io.BytesIO()
    np.savez(packed, **{f"x{good}": made["x"], f"y{good}": made["y"], **arrays})
    content = packed.getvalue()
    path = tmp_path / "mine.npz"
    path.write_bytes(content if whole else content[: len(content) // 2])
    found = told(lambda: taken(path, resolution))
    if found is None:
        return
    assert found.x.dtype == np.uint8
    assert found.x.shape == (len(found.y), found.x.shape[1], found.x.shape[1], 3)
    assert found.y.dtype == np.int64
    assert set(found.y) == set(range(len(found.classes)))
    assert len(found.classes) > 1
