"""Sets of images in idx files: where they are looked for, what must fit, and that the parts never meet."""

from __future__ import annotations

import gzip
import os
import struct
from pathlib import Path

import numpy as np
import pytest

from spikeloom.data.images import IMAGE_SETS, load_images
from spikeloom.data.splits import hold_out
from spikeloom.errors import FileError, ParameterError

FOUR = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def write(path: Path, array: np.ndarray) -> None:
    content = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def make(folder: Path, *, train: int = 120, test: int = 30, end: str = ".gz", size: int = 6) -> dict[str, np.ndarray]:
    """A set whose every training image is different."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (train + test, size, size))
    labels = np.concatenate([np.arange(train) % 10, np.arange(test) % 10])
    arrays = dict(zip(FOUR, (pixels[:train], labels[:train], pixels[train:], labels[train:]), strict=True))
    for name, array in arrays.items():
        write(folder / f"{name}{end}", array)
    return arrays


def test_pixels_and_labels_are_those_of_the_files(tmp_path: Path) -> None:
    arrays = make(tmp_path)
    parts = load_images(tmp_path, "mnist", validation=0.25, seed=3)
    assert parts.shape == (1, 6, 6)
    assert parts.sizes == {"train": 90, "validation": 30, "test": 30}
    assert parts.test.x.dtype == np.float32
    assert np.array_equal(parts.test.x[:, 0] * 255, arrays[FOUR[2]].astype(np.float32))
    assert np.array_equal(parts.test.y, arrays[FOUR[3]])
    by_image = {image.astype(np.uint8).tobytes(): y for image, y in zip(arrays[FOUR[0]], arrays[FOUR[1]], strict=True)}
    for part in (parts.train, parts.validation):
        bytes_of = [np.round(x[0] * 255).astype(np.uint8).tobytes() for x in part.x]
        assert [by_image[b] for b in bytes_of] == part.y.tolist()


def test_parts_never_meet_and_miss_nothing(tmp_path: Path) -> None:
    make(tmp_path)
    parts = load_images(tmp_path, "mnist", validation=0.2)
    seen = [{x.tobytes() for x in part.x} for part in (parts.train, parts.validation, parts.test)]
    assert [len(s) for s in seen] == [100, 20, 30]  # 12 of a class: 10 and 2
    assert len(set.union(*seen)) == 150
    assert np.bincount(parts.validation.y).tolist() == [2] * 10


def test_the_validation_part_depends_on_its_seed_alone(tmp_path: Path) -> None:
    make(tmp_path)
    first, again, other = (load_images(tmp_path, "mnist", seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.validation.x, again.validation.x)
    assert not np.array_equal(first.validation.x, other.validation.x)
    assert np.array_equal(first.test.x, other.test.x)


@pytest.mark.parametrize("end", ["", ".gz"])
@pytest.mark.parametrize("folder", ["", "fashion_mnist", "fashion-mnist", "FashionMNIST/raw"])
def test_files_are_found_where_people_have_them(tmp_path: Path, folder: str, end: str) -> None:
    make(tmp_path / folder, end=end)
    parts = load_images(str(tmp_path), "fashion-mnist")
    assert parts.class_names[0] == "T-shirt/top"
    assert len(parts.class_names) == 10


def test_the_spelling_with_a_dot(tmp_path: Path) -> None:
    make(tmp_path, end="")
    for name in FOUR:
        (tmp_path / name).rename(tmp_path / name.replace("-idx", ".idx"))
    assert len(load_images(tmp_path, "mnist").test) == 30


def test_a_missing_folder_says_what_and_where(tmp_path: Path) -> None:
    with pytest.raises(FileError) as caught:
        load_images(tmp_path / "nowhere", "mnist")
    text = str(caught.value)
    for word in ("MNIST", "nowhere", "train-images-idx3-ubyte.gz", "--data.root", "http"):
        assert word in text


@pytest.mark.parametrize("missing", FOUR)
def test_a_missing_file_is_named(tmp_path: Path, missing: str) -> None:
    make(tmp_path)
    (tmp_path / f"{missing}.gz").unlink()
    with pytest.raises(FileError, match=f"{missing} or {missing}.gz"):
        load_images(tmp_path, "mnist")


def test_a_truncated_file_is_named(tmp_path: Path) -> None:
    make(tmp_path)
    path = tmp_path / f"{FOUR[0]}.gz"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(FileError, match=f"{FOUR[0]}.gz.*damaged or cut off"):
        load_images(tmp_path, "mnist")


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    cases = {
        "counts": (FOUR[1], np.arange(119) % 10, "120 images and 119 labels"),
        "range": (FOUR[1], np.arange(120) % 11, "got 10 at 10, expected 0 to 9"),
        "absent": (FOUR[1], np.arange(120) % 9, r"no image of a class: got none of \[9\]"),
        "axes": (FOUR[0], np.zeros((120, 36)), "got 2 axes of uint8, expected 3"),
        "labels": (FOUR[3], np.zeros((30, 1)), "got 2 axes of uint8, expected 1"),
        "size": (FOUR[2], np.zeros((30, 5, 6)), "another size: got 5 x 6, expected 6 x 6"),
        "test range": (FOUR[3], np.full(30, 255), "got 255 at 0"),
    }
    for case, (name, array, message) in cases.items():
        folder = tmp_path / case
        make(folder)
        write(folder / f"{name}.gz", array)
        with pytest.raises(FileError, match=message):
            load_images(folder, "mnist")


def test_files_of_another_set_are_recognised(tmp_path: Path) -> None:
    # The file names are the same for both sets: a wrong folder must not give a result under a wrong name.
    make(tmp_path, train=sum(IMAGE_SETS["mnist"].counts), size=1)
    write(tmp_path / f"{FOUR[1]}.gz", np.repeat(np.arange(10), IMAGE_SETS["mnist"].counts))
    with pytest.raises(FileError, match="another set of images: got MNIST, expected Fashion-MNIST"):
        load_images(tmp_path, "fashion-mnist")
    assert len(load_images(tmp_path, "mnist").test) == 30


def test_unknown_names_and_splits(tmp_path: Path) -> None:
    make(tmp_path)
    with pytest.raises(ParameterError, match="Did you mean mnist"):
        load_images(tmp_path, "mnst")
    for validation in (0.0, 1.0, -1.0, float("nan")):
        with pytest.raises(ParameterError, match="validation part"):
            load_images(tmp_path, "mnist", validation=validation)
    with pytest.raises(ParameterError, match="too small"):
        load_images(tmp_path, "mnist", validation=0.01)


def test_hold_out_is_a_stratified_partition() -> None:
    labels = np.array([0] * 30 + [1] * 50 + [2] * 7)
    kept, held = hold_out(labels, validation=0.3, seed=9)
    assert sorted([*kept, *held]) == list(range(87))
    assert np.bincount(labels[held]).tolist() == [9, 15, 2]
    with pytest.raises(ParameterError, match="labels of a split"):
        hold_out(np.zeros(0, np.int64), validation=0.3, seed=9)


def real(name: str) -> Path:
    beside = Path(__file__).parents[2] / "shared" / "data"
    root = Path(os.environ.get("SPIKELOOM_DATA", beside))
    if not any((root / folder).is_dir() for folder in IMAGE_SETS[name].folders):
        pytest.skip(f"no {name} in SPIKELOOM_DATA or beside the repository")
    return root


@pytest.mark.parametrize("name", IMAGE_SETS)
def test_the_real_files(name: str) -> None:
    parts = load_images(real(name), name)
    known = IMAGE_SETS[name]
    assert sum(parts.sizes.values()) == 70000
    assert parts.sizes["test"] == 10000
    assert parts.shape == (1, 28, 28)
    counts = np.bincount(parts.train.y) + np.bincount(parts.validation.y)
    assert counts.tolist() == list(known.counts)
    assert np.abs(np.bincount(parts.validation.y) - np.array(known.counts) / 12).max() <= 0.5
    assert (float(parts.test.x.min()), float(parts.test.x.max())) == (0.0, 1.0)
