"""The images of the examples: reading, splitting and adding noise, always in the same way."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drsn_edge.errors import DrsnEdgeError

IMAGES_FILE, IMAGES_MAGIC = "t10k-images-idx3-ubyte.gz", 2051
LABELS_FILE, LABELS_MAGIC = "t10k-labels-idx1-ubyte.gz", 2049
"""The last byte of a magic number is the number of dimensions."""

SIDE = 28
N_CLASSES = 10
FEWEST_IMAGES = 125
"""Lowest number of images: four fifths of them are one batch."""

SPLIT_SEED = 2019
NOISE_SEED = 2020
"""The same split and the same noise for every network and seed."""


class ImagesError(DrsnEdgeError):
    """The images are missing or damaged, or do not suit the example."""


@dataclass(frozen=True)
class Images:
    """Images with their classes.

    Attributes:
        pixels: float32, shape (n, height, width, channels); 0 to 1 without noise.
        labels: Class of each image, shape (n,).
    """

    pixels: NDArray[np.float32]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Split:
    """Images to train on, and images to test on."""

    train: Images
    test: Images


def read_digits(folder: Path) -> Images:
    """Read MNIST's test images from their two published files.

    Args:
        folder: Folder with `IMAGES_FILE` and `LABELS_FILE`.

    Raises:
        ImagesError: If a file is missing, damaged or of another kind, or the two do not belong together.
    """
    pixels = read_idx(folder / IMAGES_FILE, IMAGES_MAGIC)
    labels = read_idx(folder / LABELS_FILE, LABELS_MAGIC)
    if pixels.shape[1:] != (SIDE, SIDE):
        raise ImagesError(
            f"The images in {IMAGES_FILE} have {_by(pixels.shape[1:])} pixels, but MNIST's have {SIDE} x {SIDE}.",
            "image_size",
            file=IMAGES_FILE,
            got=pixels.shape[1:],
        )
    if len(pixels) != len(labels):
        raise ImagesError(
            f"{folder} has {len(labels)} labels for {len(pixels)} images. Download both files again.",
            "label_count",
            path=folder,
            labels=len(labels),
            images=len(pixels),
        )
    if len(labels) < FEWEST_IMAGES:
        raise ImagesError(
            f"{folder} has {len(labels)} images; the example needs at least {FEWEST_IMAGES}.",
            "too_few_images",
            path=folder,
            got=len(labels),
            least=FEWEST_IMAGES,
        )
    if labels.max() >= N_CLASSES:
        raise ImagesError(
            f"{LABELS_FILE} has the label {labels.max()}; labels go from 0 to {N_CLASSES - 1}.",
            "label_range",
            file=LABELS_FILE,
            got=int(labels.max()),
        )
    return as_images(pixels[..., np.newaxis], labels)


def read_idx(path: Path, magic: int) -> NDArray[np.uint8]:
    """Return the array of a gzipped IDX file of bytes.

    Args:
        path: The file.
        magic: Number at the start of the file.

    Raises:
        ImagesError: If the file is missing, damaged or of another kind.
    """
    data = _unpacked(path)
    header = struct.Struct(f">I{magic & 0xFF}I")
    if len(data) < header.size:
        raise ImagesError(
            f"{path} has {len(data)} bytes, fewer than its header of {header.size}. Download the file again.",
            "no_header",
            path=path,
            expected=header.size,
            got=len(data),
        )
    found, *shape = header.unpack_from(data)
    if found != magic:
        raise ImagesError(
            f"{path} starts with the magic number {found} instead of {magic}: it is another kind of file. Download "
            "it again.",
            "magic_number",
            path=path,
            expected=magic,
            got=found,
        )
    if len(data) != header.size + math.prod(shape):
        raise ImagesError(
            f"{path} should have {_by(shape)} bytes after its header, but has {len(data) - header.size}. Download the "
            "file again.",
            "wrong_size",
            path=path,
            shape=tuple(shape),
            got=len(data) - header.size,
        )
    return np.frombuffer(data, np.uint8, offset=header.size).reshape(shape)


def as_images(pixels: NDArray[np.uint8], labels: NDArray[np.uint8]) -> Images:
    """Return images of bytes, shape (n, height, width, channels), as numbers 0 to 1."""
    return Images(pixels.astype(np.float32) / np.float32(255), labels.astype(np.int64).reshape(-1))


def split_images(images: Images) -> Split:
    """Return four fifths of the images to train on and one fifth to test on, by a fixed shuffle.

    The 10,000 digits give 8,000 and 2,000 images.
    """
    order = np.random.default_rng(SPLIT_SEED).permutation(len(images))
    cut = len(images) * 4 // 5
    return Split(_chosen(images, order[:cut]), _chosen(images, order[cut:]))


def shorten(split: Split, n_images: int) -> Split:
    """Return the first images of both sides, about `n_images` in total, for a quick run."""
    n_train = n_images * 4 // 5
    return Split(
        _chosen(split.train, np.arange(min(n_train, len(split.train)))),
        _chosen(split.test, np.arange(min(n_images - n_train, len(split.test)))),
    )


def add_noise(split: Split, amplitude: float) -> Split:
    """Add uniform noise from 0 to `amplitude` to each pixel.

    The noise is drawn once, as in the articles: it is the same in all epochs and for all networks.
    """
    random = np.random.default_rng(NOISE_SEED)
    return Split(_noisy(split.train, amplitude, random), _noisy(split.test, amplitude, random))


def _noisy(images: Images, amplitude: float, random: np.random.Generator) -> Images:
    noise = np.float32(amplitude) * random.random(images.pixels.shape, np.float32)
    return Images(images.pixels + noise, images.labels)


def _chosen(images: Images, indices: NDArray[np.int64]) -> Images:
    return Images(images.pixels[indices], images.labels[indices])


def _unpacked(path: Path) -> bytes:
    try:
        return gzip.decompress(path.read_bytes())
    except FileNotFoundError as exc:
        raise ImagesError(
            f"{path} does not exist. Name the folder of the digits with --data.", "missing", path=path
        ) from exc
    except (EOFError, zlib.error, gzip.BadGzipFile) as exc:
        raise ImagesError(
            f"{path} is not a complete gzip file: {exc}. Download the file again.", "not_gzip", path=path
        ) from exc
    except OSError as exc:
        raise ImagesError(f"Could not read {path}: {exc.strerror or exc}.", "unreadable", path=path) from exc


def _by(shape: tuple[int, ...] | list[int]) -> str:
    return " x ".join(map(str, shape))
