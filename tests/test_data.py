"""Data sets and splits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import datasets

from spikeloom.data.arrays import Labelled
from spikeloom.data.augment import random_crops, random_erasures, random_flips, random_shifts, shifted
from spikeloom.data.digits import load_digits
from spikeloom.data.splits import stratified_split
from spikeloom.errors import NonFiniteError, ParameterError, ShapeError


def test_digits_are_the_real_images() -> None:
    digits = load_digits()
    assert digits.x.shape == (1797, 64)
    assert digits.x.dtype == np.float32
    assert (float(digits.x.min()), float(digits.x.max())) == (0.0, 1.0)
    # Pixels are counts of 0 to 16, so dividing by 16 is exact.
    assert np.array_equal(digits.x * 16, np.round(digits.x * 16))
    # Class counts of the test part of the UCI data set, from its description.
    assert np.bincount(digits.y).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_digits_are_those_of_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its file is read without it, and by it where the file is elsewhere."""
    counts, labels = datasets.load_digits(return_X_y=True)
    for _ in range(2):
        digits = load_digits()
        assert np.array_equal(digits.x * 16, counts)
        assert np.array_equal(digits.y, labels)
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)


def test_digits_split_is_disjoint_complete_and_stratified() -> None:
    labels = load_digits().y
    split = stratified_split(labels, train=0.6, validation=0.2, seed=0)
    parts = [split.train, split.validation, split.test]
    assert sorted(np.concatenate(parts).tolist()) == list(range(1797))
    assert not set(split.train) & set(split.validation)
    assert not set(split.train) & set(split.test)
    assert not set(split.validation) & set(split.test)
    counts = np.bincount(labels)
    for part, share in zip(parts, (0.6, 0.2, 0.2), strict=True):
        assert np.abs(np.bincount(labels[part]) - share * counts).max() <= 1.0


def test_digits_split_has_no_image_twice() -> None:
    # Disjoint indices would not help if the data set itself repeated images.
    digits = load_digits()
    assert len(np.unique(digits.x, axis=0)) == 1797


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(8, 40), min_size=1, max_size=6),
    train=st.floats(0.3, 0.6),
    validation=st.floats(0.2, 0.25),
    seed=st.integers(0, 2**63 - 1),
)
def test_any_split_is_a_stratified_partition(sizes: list[int], train: float, validation: float, seed: int) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    split = stratified_split(labels, train=train, validation=validation, seed=seed)
    together = np.concatenate([split.train, split.validation, split.test])
    assert sorted(together.tolist()) == list(range(sum(sizes)))
    for label, size in enumerate(sizes):
        assert abs((labels[split.train] == label).sum() - train * size) <= 0.5 + 1e-9
        assert abs((labels[split.test] == label).sum() - (1 - train - validation) * size) <= 0.5 + 1e-9


def test_split_depends_on_the_seed_alone() -> None:
    labels = np.repeat(np.arange(3), 50)
    first, again, other = (stratified_split(labels, train=0.6, validation=0.2, seed=s) for s in (1, 1, 2))
    assert np.array_equal(first.test, again.test)
    assert not np.array_equal(first.test, other.test)


def test_another_class_moves_nobody() -> None:
    labels = np.repeat(np.arange(3), 50)
    fewer = stratified_split(labels[:100], train=0.6, validation=0.2, seed=5)
    more = stratified_split(labels, train=0.6, validation=0.2, seed=5)
    assert np.array_equal(more.train[more.train < 100], fewer.train)


@pytest.mark.parametrize(("train", "validation"), [(0.0, 0.2), (0.8, 0.2), (0.5, -0.1), (0.9, 0.9)])
def test_fractions_must_leave_a_test_part(train: float, validation: float) -> None:
    with pytest.raises(ParameterError, match="leave a test part"):
        stratified_split(np.zeros(10, int), train=train, validation=validation, seed=0)


def test_seeds_and_labels_must_be_in_range() -> None:
    for seed in (-1, 2**63):
        with pytest.raises(ParameterError, match="seed of a split"):
            stratified_split(np.zeros(10, int), train=0.6, validation=0.2, seed=seed)
    with pytest.raises(ParameterError, match="labels of a split: got -1"):
        stratified_split(np.full(10, -1), train=0.6, validation=0.2, seed=0)


def test_a_class_too_small_is_named() -> None:
    with pytest.raises(ParameterError, match=r"class 1 is too small.*2 samples"):
        stratified_split(np.array([0] * 20 + [1] * 2), train=0.6, validation=0.2, seed=0)


def test_labelled_refuses_what_does_not_fit() -> None:
    with pytest.raises(ShapeError, match="do not fit"):
        Labelled(np.zeros((3, 2), np.float32), np.zeros(4, np.int64))
    with pytest.raises(NonFiniteError, match="NaN or infinity"):
        Labelled(np.full((1, 2), np.nan, np.float32), np.zeros(1, np.int64))


def test_whole_pixels_are_moved_exactly() -> None:
    image = torch.arange(1.0, 13.0).reshape(1, 3, 4)
    moved = shifted(image, torch.tensor([[1.0, -2.0]]))[0]
    expected = torch.zeros(3, 4)
    expected[1:, :2] = image[0, :2, 2:]
    assert torch.equal(moved, expected)


def test_fractions_of_pixels_are_interpolated() -> None:
    images = torch.zeros(2, 5, 5)
    images[:, 2, 2] = 1.0
    moved = shifted(images, torch.tensor([[0.25, 0.5], [0.0, 0.0]]))
    # Bilinear: the products of the parts along both axes.
    assert moved[0, 2:4, 2:4].tolist() == [[0.375, 0.375], [0.125, 0.125]]
    assert moved[0].sum().item() == 1.0
    assert torch.equal(moved[1], images[1])


def test_random_shifts_stay_in_range_and_follow_their_generator() -> None:
    ramp = torch.arange(8.0).expand(1000, 8, 8)
    first, again = (random_shifts(ramp, 0.5, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first, again)
    moved = ramp[:, 4, 4] - first[:, 4, 4]  # on a ramp the change is the offset
    assert moved.abs().max() <= 0.5
    assert moved.mean().abs() < 0.05
    assert moved.std().item() == pytest.approx(1 / 12**0.5, rel=0.05)  # of an even distribution of width 1


def numbered(count: int = 400, *channels: int) -> torch.Tensor:
    """Images whose pixels all differ, and of which none is zero."""
    return torch.arange(1.0, 21.0).reshape(4, 5).expand(count, *channels, 4, 5).clone()


def test_channels_move_together() -> None:
    images = numbered(3, 2)
    offsets = torch.tensor([[0.5, -1.0], [0.0, 0.0], [2.0, 1.5]])
    moved = shifted(images, offsets)
    for channel in range(2):
        assert torch.equal(moved[:, channel], shifted(images[:, channel], offsets))


def test_flips_mirror_half_of_the_images() -> None:
    images = numbered(400, 1)
    flipped = random_flips(images, torch.Generator().manual_seed(0))
    mirrored = (flipped == images.flip(-1)).flatten(1).all(1)
    assert torch.equal(flipped[~mirrored], images[~mirrored])
    assert 160 < int(mirrored.sum()) < 240  # 4 standard deviations


def test_crops_are_windows_of_the_padded_image() -> None:
    images = numbered(500, 2)
    cropped = random_crops(images, 1, torch.Generator().manual_seed(0))
    padded = torch.nn.functional.pad(images[0], (1, 1, 1, 1))
    windows = [padded[:, row : row + 4, column : column + 5] for row in range(3) for column in range(3)]
    found = [next(k for k, window in enumerate(windows) if torch.equal(window, image)) for image in cropped]
    counts = np.bincount(found, minlength=9)
    assert counts.min() > 28  # 500 / 9 = 55.6, four standard deviations of 7.0 below
    assert torch.equal(random_crops(images, 0, torch.Generator()), images)


@pytest.mark.parametrize("side", [1, 2, 3, 9])
def test_erased_squares_are_squares_around_a_pixel(side: int) -> None:
    images = numbered(300, 2)
    erased = random_erasures(images, side, torch.Generator().manual_seed(side))
    assert torch.equal(erased[:, 0], erased[:, 1])
    expected = set()
    for row in range(4):
        for column in range(5):
            image = images[0, 0].clone()
            top, left = row - side // 2, column - side // 2
            image[max(0, top) : top + side, max(0, left) : left + side] = 0.0
            expected.add(tuple(image.flatten().tolist()))
    assert {tuple(image[0].flatten().tolist()) for image in erased} == expected
    assert torch.equal(random_erasures(images, 0, torch.Generator()), images)


def test_changes_follow_their_generator_and_leave_the_images_alone() -> None:
    images = numbered(20, 1)
    before = images.clone()
    state = torch.get_rng_state()
    for change in (random_flips, lambda i, g: random_crops(i, 2, g), lambda i, g: random_erasures(i, 2, g)):
        first, again, other = (change(images, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
        assert torch.equal(first, again)
        assert not torch.equal(first, other)
        assert first.shape == images.shape
        assert torch.equal(images, before)
    assert torch.equal(torch.get_rng_state(), state)


def test_changes_refuse_what_they_cannot_do() -> None:
    generator, flat = torch.Generator(), torch.zeros(2, 2)
    for change in (random_flips, lambda i, g: random_crops(i, 1, g), lambda i, g: random_erasures(i, 1, g)):
        with pytest.raises(ShapeError, match=r"images: got shape \(2, 2\)"):
            change(flat, generator)
    for value in (-1, 1.5, True):
        with pytest.raises(ParameterError, match="padding"):
            random_crops(numbered(1), value, generator)  # type: ignore[reportArgumentType]
        with pytest.raises(ParameterError, match="side of the square"):
            random_erasures(numbered(1), value, generator)  # type: ignore[reportArgumentType]
