"""The images of the examples: read, split and made noisy, always in the same way."""

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
"""Four fifths of them are one batch."""

SPLIT_SEED = 2019
NOISE_SEED = 2020
"""The same split and the same noise for every network and seed."""


class ImagesError(DrsnEdgeError):
    """The images are missing, damaged, or not what the example needs."""


@dataclass(frozen=True)
class Images:
    """Images with their classes.

    Attributes:
        pixels: float32, shape (n, height, width, channels); 0 to 1, and above with noise.
        labels: Class of each, shape (n,).
    """

    pixels: NDArray[np.float32]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Split:
    """What to train on and what to test on."""

    train: Images
    test: Images


def read_digits(folder: Path) -> Images:
    """Read MNIST's test images from the two files as they are published.

    Args:
        folder: With `IMAGES_FILE` and `LABELS_FILE`.

    Raises:
        ImagesError: If a file is missing, damaged or not such a file, or the two do not belong together.
    """
    pixels = read_idx(folder / IMAGES_FILE, IMAGES_MAGIC)
    labels = read_idx(folder / LABELS_FILE, LABELS_MAGIC)
    if pixels.shape[1:] != (SIDE, SIDE):
        raise ImagesError(f"Expected images of {SIDE} x {SIDE} pixels in {IMAGES_FILE}, got {_by(pixels.shape[1:])}.")
    if len(pixels) != len(labels):
        raise ImagesError(
            f"Expected as many labels as images in {folder}, got {len(labels)} and {len(pixels)}. Get both files again."
        )
    if len(labels) < FEWEST_IMAGES:
        raise ImagesError(f"Expected at least {FEWEST_IMAGES} images in {folder}, got {len(labels)}.")
    if labels.max() >= N_CLASSES:
        raise ImagesError(f"Expected labels from 0 to {N_CLASSES - 1} in {LABELS_FILE}, got {labels.max()}.")
    return as_images(pixels[..., np.newaxis], labels)


def read_idx(path: Path, magic: int) -> NDArray[np.uint8]:
    """Return the array of a gzipped IDX file of bytes.

    Args:
        path: Of the file.
        magic: The number that it must begin with.

    Raises:
        ImagesError: If there is no such file, or it is damaged or another kind of file.
    """
    data = _unpacked(path)
    header = struct.Struct(f">I{magic & 0xFF}I")
    if len(data) < header.size:
        raise ImagesError(f"Expected a header of {header.size} bytes in {path}, got {len(data)}. Get the file again.")
    found, *shape = header.unpack_from(data)
    if found != magic:
        raise ImagesError(f"Expected the magic number {magic} in {path}, got {found}. Is it the right file?")
    if len(data) != header.size + math.prod(shape):
        raise ImagesError(
            f"Expected {_by(shape)} bytes after the header of {path}, got {len(data) - header.size}. "
            "Get the file again."
        )
    return np.frombuffer(data, np.uint8, offset=header.size).reshape(shape)


def as_images(pixels: NDArray[np.uint8], labels: NDArray[np.uint8]) -> Images:
    """Return images of bytes, shape (n, height, width, channels), as numbers from 0 to 1."""
    return Images(pixels.astype(np.float32) / np.float32(255), labels.astype(np.int64).reshape(-1))


def split_images(images: Images) -> Split:
    """Return four fifths to train on and one to test on, by a shuffle that is always the same.

    Of the 10,000 digits these are 8,000 and 2,000.
    """
    order = np.random.default_rng(SPLIT_SEED).permutation(len(images))
    cut = len(images) * 4 // 5
    return Split(_chosen(images, order[:cut]), _chosen(images, order[cut:]))


def shorten(split: Split, n_images: int) -> Split:
    """Return the first images of both sides, about `n_images` in all, to try a program out."""
    n_train = n_images * 4 // 5
    return Split(
        _chosen(split.train, np.arange(min(n_train, len(split.train)))),
        _chosen(split.test, np.arange(min(n_images - n_train, len(split.test)))),
    )


def add_noise(split: Split, amplitude: float) -> Split:
    """Add uniform noise from 0 to `amplitude` to each pixel.

    As in the articles it is drawn once: an image looks the same in every epoch. It is the same for every network.
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
        raise ImagesError(f"Expected the file {path}, got none. Name the digits' folder with --data.") from exc
    except (EOFError, zlib.error, gzip.BadGzipFile) as exc:
        raise ImagesError(f"Expected a whole gzip file, got {path}: {exc}. Get the file again.") from exc
    except OSError as exc:
        raise ImagesError(f"Could not read {path}: {exc.strerror or exc}.") from exc


def _by(shape: tuple[int, ...] | list[int]) -> str:
    return " x ".join(map(str, shape))
