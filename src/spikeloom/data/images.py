"""Sets of small grey images in the four idx files of MNIST: the same names, the same layout, other pictures.

MNIST: Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, "Gradient-based learning applied to document recognition",
Proc. IEEE 86(11), 1998. Fashion-MNIST: H. Xiao, K. Rasul and R. Vollgraf, arXiv:1708.07747, 2017.
Nothing is downloaded.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from ..errors import FileError, ParameterError, did_you_mean
from .arrays import Labelled
from .idx import read_idx
from .splits import hold_out


@dataclass(frozen=True)
class ImageSet:
    """What is known of a set before its files are read.

    ``folders`` are looked for below the root, in order, before the root itself; ``counts`` are the images of each class
    in the official training files, by which a folder of another set is recognised.
    """

    title: str
    class_names: tuple[str, ...]
    folders: tuple[str, ...]
    counts: tuple[int, ...]
    source: str


@dataclass(frozen=True)
class ImageParts:
    """Three disjoint parts, ``x`` [N, 1, H, W] in [0, 1]; ``test`` is the official test set, whole."""

    train: Labelled
    validation: Labelled
    test: Labelled
    class_names: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Channels, height and width of an image."""
        return self.train.x.shape[1:]

    @property
    def sizes(self) -> dict[str, int]:
        """The number of images of each part."""
        return {"train": len(self.train), "validation": len(self.validation), "test": len(self.test)}


_CLOTHES = "T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot"
IMAGE_SETS = MappingProxyType(
    {
        "mnist": ImageSet(
            "MNIST",
            tuple("0123456789"),
            ("mnist", "MNIST", "MNIST/raw"),
            (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949),
            "http://yann.lecun.com/exdb/mnist/ and its mirrors, such as https://ossci-datasets.s3.amazonaws.com/mnist/",
        ),
        "fashion-mnist": ImageSet(
            "Fashion-MNIST",
            tuple(_CLOTHES.split(",")),
            ("fashion-mnist", "fashion_mnist", "FashionMNIST", "FashionMNIST/raw"),
            (6000,) * 10,
            "https://github.com/zalandoresearch/fashion-mnist (folder data/fashion)",
        ),
    }
)


def load_images(root: str | Path, name: str, *, validation: float = 1 / 12, seed: int = 0) -> ImageParts:
    """Read the set ``name`` from its four files, with or without ``.gz``, in ``root`` or a folder of its name there.

    The fraction ``validation`` of every class of the official training set becomes the validation part (about 5000 of
    60000 by default), chosen by ``seed`` alone; the official test set is left as it is.

    Raises :class:`ParameterError` for an unknown name or split, and :class:`FileError` for a file that is missing (and
    says which names were looked for, and where they come from), that is damaged, or that does not fit the others:
    counts that differ, labels out of range, a class without training images.
    """
    if name not in IMAGE_SETS:
        raise ParameterError(f"no set of images {name!r}", mend=did_you_mean(name, IMAGE_SETS))
    known = IMAGE_SETS[name]
    folder = _folder(Path(root), known)
    pixels, labels = _pair(folder, known, "train")
    _check_is(known, labels, folder)
    absent = sorted(set(range(len(known.class_names))) - set(labels.tolist()))
    if absent:
        what = f"{folder}: the training set has no image of a class"
        raise FileError(what, got=f"none of {absent}", expected=f"all classes 0 to {len(known.class_names) - 1}")
    test_pixels, test_labels = _pair(folder, known, "t10k")
    if test_pixels.shape[1:] != pixels.shape[1:]:
        got, expected = (" x ".join(map(str, p.shape[1:])) for p in (test_pixels, pixels))
        raise FileError(f"{folder}: the test images have another size", got=got, expected=expected)
    kept, held = hold_out(labels, validation=validation, seed=seed)
    return ImageParts(
        train=_labelled(pixels[kept], labels[kept]),
        validation=_labelled(pixels[held], labels[held]),
        test=_labelled(test_pixels, test_labels),
        class_names=known.class_names,
    )


def _names(part: str, content: str) -> list[str]:
    """The spellings in use of one of the four file names."""
    kind = "idx3" if content == "images" else "idx1"
    return [f"{part}-{content}{joint}{kind}-ubyte{end}" for joint in "-." for end in ("", ".gz")]


def _folder(root: Path, known: ImageSet) -> Path:
    """The first folder that holds any of the files."""
    folders = [root / folder for folder in known.folders] + [root]
    for folder in folders:
        if any(os.path.exists(folder / n) for part in ("train", "t10k") for n in _names(part, "images")):
            return folder
    looked = ", ".join(str(f) for f in folders)
    what = f"the files of {known.title} are not there"
    raise FileError(what, got=f"none in {looked}", expected=_names("train", "images")[1], mend=_mend(known))


def _file(folder: Path, known: ImageSet, part: str, content: str) -> Path:
    names = _names(part, content)
    for name in names:
        if os.path.exists(folder / name):
            return folder / name
    what = f"{folder}: a file of {known.title} is missing"
    raise FileError(what, expected=" or ".join(names), mend=_mend(known))


def _mend(known: ImageSet) -> str:
    return f"Get the four files from {known.source} and name their folder with --data.root."


def _pair(folder: Path, known: ImageSet, part: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images and labels of one part, checked against each other."""
    images, marks = (_file(folder, known, part, content) for content in ("images", "labels"))
    pixels, labels = read_idx(images), read_idx(marks)
    for path, array, axes in ((images, pixels, 3), (marks, labels, 1)):
        if array.ndim != axes or array.dtype != np.uint8:
            got = f"{array.ndim} axes of {array.dtype}"
            raise FileError(f"{path} is another kind of array", got=got, expected=f"{axes} axes of uint8")
    if len(pixels) != len(labels):
        what = f"{images} and {marks.name} do not fit"
        raise FileError(what, got=f"{len(pixels)} images and {len(labels)} labels", expected="as many of both")
    if labels.max() >= len(known.class_names):
        first = int(np.flatnonzero(labels >= len(known.class_names))[0])
        what = f"{marks}: a label is out of range"
        raise FileError(what, got=f"{labels[first]} at {first}", expected=f"0 to {len(known.class_names) - 1}")
    return pixels, labels.astype(np.int64)


def _check_is(known: ImageSet, labels: NDArray[np.int64], folder: Path) -> None:
    """Raise FileError for another set's files, whose names are the same and whose result would bear this set's name."""
    counts = tuple(np.bincount(labels, minlength=len(known.class_names)).tolist())
    for other in IMAGE_SETS.values():
        if other is not known and counts == other.counts:
            what = f"{folder} holds another set of images"
            raise FileError(what, got=other.title, expected=known.title, mend=_mend(known))


def _labelled(pixels: NDArray[np.uint8], labels: NDArray[np.int64]) -> Labelled:
    x = pixels[:, None].astype(np.float32)
    x /= 255.0
    return Labelled(x, labels)


__all__ = ["IMAGE_SETS", "ImageParts", "ImageSet", "load_images"]
