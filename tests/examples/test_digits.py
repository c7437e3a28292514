from __future__ import annotations

import gzip
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from refusals import refused

IMAGES, LABELS = "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"


@pytest.fixture
def digits() -> Any:
    return import_module("digits")


def change(path: Path, position: int, value: int) -> None:
    """Change one byte of what is packed."""
    data = bytearray(gzip.decompress(path.read_bytes()))
    data[position] = value
    path.write_bytes(gzip.compress(bytes(data)))


def shorten(path: Path, n_bytes: int) -> None:
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:n_bytes]))


def test_digits_are_numbers_from_0_to_1(digits_folder: Path, digits: Any) -> None:
    change(digits_folder / IMAGES, 16 + 28, 255)  # the first pixel of the second row of the first image
    images = digits.read_digits(digits_folder)
    assert images.pixels.shape == (150, 28, 28, 1)
    assert (images.pixels.dtype, images.labels.dtype) == (np.float32, np.int64)
    assert images.pixels[0, 1, 0, 0] == 1
    np.testing.assert_allclose(images.pixels[1], 20 / 255, rtol=1e-6)
    assert images.labels[:12].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]


@pytest.mark.parametrize("name", [IMAGES, LABELS])
@pytest.mark.parametrize(
    ("spoil", "problem", "facts"),
    [
        (lambda path: path.unlink(), "missing", {}),
        (lambda path: path.write_bytes(path.read_bytes()[:-12]), "not_gzip", {}),
        (lambda path: path.write_bytes(b"no gzip at all"), "not_gzip", {}),
        (lambda path: path.write_bytes(path.read_bytes()[:20] + b"\xff" * 60), "not_gzip", {}),
        (lambda path: (path.unlink(), path.mkdir()), "unreadable", {}),
        (lambda path: path.write_bytes(b""), "no_header", {"got": 0}),
        (lambda path: shorten(path, 7), "no_header", {"got": 7}),
        (lambda path: shorten(path, 100), "wrong_size", {"images": 150}),
        (lambda path: change(path, 2, 13), "magic_number", {}),
        (lambda path: change(path, 7, 151), "wrong_size", {"images": 151}),
    ],
)
def test_a_bad_file_is_refused(
    digits_folder: Path, digits: Any, name: str, spoil: Any, problem: str, facts: dict[str, int]
) -> None:
    spoil(digits_folder / name)
    with refused(digits.ImagesError, problem) as caught:
        digits.read_digits(digits_folder)
    found: dict[str, Any] = {**caught.value.facts}
    if problem == "wrong_size":
        found["images"] = found["shape"][0]
    if problem == "magic_number":
        magic = {IMAGES: 2051, LABELS: 2049}[name]
        assert (found["expected"], found["got"]) == (magic, magic + (13 - 8) * 256)
    assert found["path"] == digits_folder / name
    assert facts.items() <= found.items()


def test_images_in_place_of_labels_are_refused(digits_folder: Path, digits: Any) -> None:
    (digits_folder / LABELS).write_bytes((digits_folder / IMAGES).read_bytes())
    with refused(digits.ImagesError, "magic_number", path=digits_folder / LABELS, expected=2049, got=2051):
        digits.read_digits(digits_folder)


def zeros(*shape: int) -> NDArray[np.uint8]:
    return np.zeros(shape, np.uint8)


@pytest.mark.parametrize(
    ("images", "labels", "problem", "facts"),
    [
        (zeros(150, 28, 28), zeros(149), "label_count", {"labels": 149, "images": 150}),
        (zeros(150, 28, 27), zeros(150), "image_size", {"file": IMAGES, "got": (28, 27)}),
        (zeros(150, 28, 28), zeros(150) + np.uint8(10), "label_range", {"file": LABELS, "got": 10}),
        (zeros(124, 28, 28), zeros(124), "too_few_images", {"least": 125, "got": 124}),
        (zeros(0, 28, 28), zeros(0), "too_few_images", {"least": 125, "got": 0}),
    ],
)
def test_files_that_do_not_belong_together_are_refused(
    write_digits: Any,
    digits: Any,
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    problem: str,
    facts: dict[str, Any],
) -> None:
    folder = write_digits(images, labels)
    with refused(digits.ImagesError, problem, **facts):
        digits.read_digits(folder)


def marked(digits: Any, n: int) -> Any:
    """Return images whose only pixel is their number, and whose label is too."""
    return digits.Images(np.arange(n, dtype=np.float32).reshape(n, 1, 1, 1), np.arange(n))


@pytest.mark.parametrize(("n", "n_train"), [(10_000, 8_000), (150, 120), (126, 100)])
def test_a_split_has_each_image_once(digits: Any, n: int, n_train: int) -> None:
    split = digits.split_images(marked(digits, n))
    assert (len(split.train), len(split.test)) == (n_train, n - n_train)
    assert sorted([*split.train.labels, *split.test.labels]) == list(range(n))
    assert split.test.labels.tolist() != list(range(n_train, n))
    np.testing.assert_array_equal(split.train.pixels.ravel(), split.train.labels)
    np.testing.assert_array_equal(digits.split_images(marked(digits, n)).test.labels, split.test.labels)


def test_a_short_split_is_the_beginning_of_both_sides(digits: Any) -> None:
    split = digits.split_images(marked(digits, 1000))
    short = digits.shorten(split, 400)
    np.testing.assert_array_equal(short.train.labels, split.train.labels[:320])
    np.testing.assert_array_equal(short.test.pixels, split.test.pixels[:80])
    assert len(digits.shorten(split, 5000).train) == 800


@given(amplitude=st.floats(0.01, 2))
def test_noise_is_uniform_fixed_and_different_on_each_image(amplitude: float) -> None:
    digits = import_module("digits")
    images = digits.Images(np.full((40, 28, 28, 1), 0.25, np.float32), np.arange(40))
    noisy = digits.add_noise(digits.Split(images, images), amplitude)
    noise = (noisy.train.pixels - 0.25) / amplitude
    assert noisy.train.pixels.dtype == np.float32
    assert noise.min() > -1e-4 and noise.max() < 1 + 1e-4
    np.testing.assert_allclose([noise.mean(), noise.std()], [0.5, 12**-0.5], atol=0.01)
    assert not np.array_equal(noisy.train.pixels, noisy.test.pixels)
    assert not np.array_equal(noisy.train.pixels[0], noisy.train.pixels[1])
    again = digits.add_noise(digits.Split(images, images), amplitude)
    np.testing.assert_array_equal(again.test.pixels, noisy.test.pixels)
