"""The examples as a user has them, and made-up digits for them."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(autouse=True)
def examples_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the examples find each other, as they do when Python runs one of them."""
    monkeypatch.syspath_prepend(str(EXAMPLES))


def idx_bytes(array: NDArray[np.uint8]) -> bytes:
    """Return an IDX file of bytes, by hand: two zeros, the type 8, the dimensions, each size, the values."""
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def write_digits(tmp_path: Path) -> Callable[[NDArray[np.uint8], NDArray[np.uint8]], Path]:
    """Return a function that writes images and labels as the files that the examples read, and returns their folder."""

    def write(images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> Path:
        for name, array in (("t10k-images-idx3-ubyte.gz", images), ("t10k-labels-idx1-ubyte.gz", labels)):
            (tmp_path / name).write_bytes(gzip.compress(idx_bytes(array)))
        return tmp_path

    return write


@pytest.fixture
def digits_folder(write_digits: Callable[[NDArray[np.uint8], NDArray[np.uint8]], Path]) -> Path:
    """Return a folder of 150 images; each is as bright as its class."""
    labels = (np.arange(150) % 10).astype(np.uint8)
    return write_digits(np.broadcast_to(20 * labels[:, None, None], (150, 28, 28)).astype(np.uint8), labels)
