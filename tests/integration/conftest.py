"""What several integration tests share."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from boards import FIRMWARE, Counts
from emulated_pi import EmulatedPi

from drsn_edge.recordings.loading.load import load_recordings


@pytest.fixture(scope="session")
def emulated_pi(need: Callable[..., None]) -> Callable[..., EmulatedPi]:
    """Return what returns an emulated Pi of a kind."""
    need("qemu-aarch64", "qemu-arm", "mmdebstrap", "cc")
    return EmulatedPi


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("firmware")

    def made(target: str) -> Path:
        command = ["make", "-s", "-C", str(FIRMWARE), f"BUILD={folder}", str(folder / target)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return folder / target

    return made


@pytest.fixture(scope="session")
def waveform(shared_data: Path) -> Counts:
    """Real vibration of the motor-fault set as counts that use the whole of int16."""
    samples = np.concatenate([each.samples for each in load_recordings(shared_data / "adi_mfs_mems")[:6]])
    return np.rint(samples * (32767 / np.abs(samples).max())).astype("<i2")
