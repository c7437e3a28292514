"""The base install in an environment of its own: no TensorFlow in it, and a model really runs there."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from drsn_edge.bundle.bundle import read_bundle

REPOSITORY = Path(__file__).parents[2]
INSTALL_TIMEOUT_S = 600

pytestmark = pytest.mark.integration


def run(*command: object, timeout_s: float = 60, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=timeout_s, **options)  # type: ignore[call-overload]


def interpreter(version: str) -> str:
    """Return a Python of that version, or skip: not every machine has them all."""
    ours = f"{sys.version_info[0]}.{sys.version_info[1]}"
    found = sys.executable if version == ours else shutil.which(f"python{version}")
    if found is None or run(found, "-c", "import venv, ensurepip").returncode:
        pytest.skip(f"Python {version} with venv is not on this machine")
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    built = run(
        sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, REPOSITORY,
        timeout_s=INSTALL_TIMEOUT_S,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module", params=["3.10", "3.11", "3.12", "3.13"])
def gateway(request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the bin folder of a fresh environment with the gateway's locked requirements and our wheel."""
    python = interpreter(request.param)
    folder = tmp_path_factory.mktemp("gateway") / "venv"
    run(python, "-m", "venv", folder, timeout_s=INSTALL_TIMEOUT_S).check_returncode()
    pip = [folder / "bin" / "python", "-m", "pip", "install", "-q"]
    for what in (["--require-hashes", "-r", REPOSITORY / "requirements" / "gateway.txt"], ["--no-deps", wheel]):
        installed = run(*pip, *what, timeout_s=INSTALL_TIMEOUT_S)
        assert installed.returncode == 0, installed.stderr
    return folder / "bin"


def test_it_holds_no_training_packages(gateway: Path) -> None:
    for module in ("tensorflow", "keras", "scipy", "matplotlib"):
        assert run(gateway / "python", "-c", f"import {module}").returncode != 0


def test_train_says_which_extra_is_missing(gateway: Path, tmp_path: Path) -> None:
    trained = run(
        gateway / "drsn-edge", "train", "--data", tmp_path, "--hold-out", "time=0.3", "--out", tmp_path / "run"
    )
    assert trained.returncode == 1
    assert "the extra `train`" in trained.stderr and "Traceback" not in trained.stderr
    line = trained.stderr.partition("Type: ")[2].strip()
    assert line.endswith("drsn_edge-0.1.0-py3-none-any.whl[train]'"), line
    # The line works: it is the wheel that the install came from, and pip gets as far as choosing its parts.
    tried = run("sh", "-c", f"{line} --dry-run --no-index --no-deps --force-reinstall", timeout_s=INSTALL_TIMEOUT_S)
    assert tried.returncode == 0 and "drsn-edge" in tried.stdout, tried.stderr


def test_the_doctor_has_nothing_against_it(gateway: Path) -> None:
    done = run(gateway / "drsn-edge", "doctor", "--json")
    findings = json.loads(done.stdout)["findings"]
    assert done.returncode == 0 and [each for each in findings if each["level"] == "fail"] == []
    assert any("ai-edge-litert" in each["what"] and "computes" in each["what"] for each in findings)


def test_monitor_judges_a_streamed_recording(gateway: Path, tiny_bundle_path: Path, tmp_path: Path) -> None:
    judges(gateway, tiny_bundle_path, tmp_path)


def test_without_any_interpreter_numpy_does_the_work(wheel: Path, tiny_bundle_path: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", tmp_path / "venv", timeout_s=INSTALL_TIMEOUT_S).check_returncode()
    pip = [tmp_path / "venv" / "bin" / "python", "-m", "pip", "-q"]
    for what in (
        ["install", "--require-hashes", "-r", REPOSITORY / "requirements" / "gateway.txt"],
        ["install", "--no-deps", wheel],
        ["uninstall", "-y", "ai-edge-litert"],
    ):
        done = run(*pip, *what, timeout_s=INSTALL_TIMEOUT_S)
        assert done.returncode == 0, done.stderr
    gateway = tmp_path / "venv" / "bin"
    found = json.loads(run(gateway / "drsn-edge", "doctor", "--json").stdout)["findings"]
    (warning,) = [each for each in found if each["check"] == "interpreter"]
    assert warning["level"] == "warn" and "NumPy" in warning["what"]
    judges(gateway, tiny_bundle_path, tmp_path)
    refused = run(
        gateway / "drsn-edge", "monitor", "--replay", tmp_path, "--model", tiny_bundle_path, "--runtime", "litert"
    )
    assert refused.returncode == 1 and "Traceback" not in refused.stderr


def judges(gateway: Path, tiny_bundle_path: Path, tmp_path: Path) -> None:
    contract = read_bundle(tiny_bundle_path).manifest.contract
    n_samples, n_axes = 20 * contract.window, len(contract.axes)
    recording = tmp_path / "noise.npz"
    samples = np.random.default_rng(0).standard_normal((n_axes, n_samples)).astype(np.float32)
    np.savez(recording, x=samples, fs=contract.sample_rate_hz, axes=np.array(contract.axes), unit=contract.unit)
    link = tmp_path / "sensor"
    play = [gateway / "drsn-edge", "simulate", "--recording", recording, "--link", link, "--speed", "0", "--json"]
    with subprocess.Popen([str(part) for part in play], stdout=subprocess.PIPE, text=True) as simulator:
        wait_for(link, simulator)
        judged = run(gateway / "drsn-edge", "monitor", "--port", link, "--model", tiny_bundle_path, "--json")
        played, _ = simulator.communicate(timeout=60)
    assert judged.returncode == 0, judged.stderr
    lines = [json.loads(line) for line in judged.stdout.splitlines()]
    windows, summary = [line for line in lines if line["type"] == "window"], lines[-1]
    assert {window["verdict"] for window in windows} == {"CLASS"}
    assert len(windows) == 1 + (n_samples - contract.window) // contract.hop
    assert summary["samples_received"] == json.loads(played)["samples_sent"] == n_samples
    assert summary["samples_lost"] == 0


def wait_for(link: Path, simulator: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 30
    while not link.exists():
        assert simulator.poll() is None
        assert time.monotonic() < deadline, f"no port at {link}"
        time.sleep(0.02)
