"""What is released: the archive of sources tests itself, and both archives carry the types."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PACKAGES = ("drsn_edge", "quantize", "firmware_bridge")
QUICK = (
    "tests/support",
    "tests/cli/test_documentation.py",
    "tests/firmware_bridge/test_vectors.py",
    "tests/architecture",
)

pytestmark = pytest.mark.integration


def run(*command: str | Path, folder: Path, expected: int = 0) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    parts = [str(part) for part in command]
    done = subprocess.run(parts, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == expected, done.stdout + done.stderr
    return done.stdout


def build(target: str, folder: Path) -> Path:
    run(sys.executable, "-m", "hatchling", "build", "-t", target, "-d", folder, folder=REPOSITORY)
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the unpacked archive of sources."""
    folder = tmp_path_factory.mktemp("sources")
    with tarfile.open(build("sdist", tmp_path_factory.mktemp("sdist"))) as archive:
        archive.extractall(folder, filter="data")
    (unpacked,) = folder.iterdir()
    return unpacked


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", tmp_path_factory.mktemp("wheel"))


def collected(folder: Path) -> list[str]:
    lines = run(sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", folder=folder)
    return sorted(line for line in lines.splitlines() if "::" in line)


def test_the_sources_hold_every_test(sources: Path) -> None:
    assert collected(sources) == collected(REPOSITORY)


def test_the_tests_pass_in_the_unpacked_sources(sources: Path) -> None:
    assert " passed" in run(sys.executable, "-m", "pytest", "-q", *QUICK, folder=sources)


def test_a_wheel_can_be_built_from_the_unpacked_sources(sources: Path, wheel: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path, folder=sources)
    with zipfile.ZipFile(wheel) as ours, zipfile.ZipFile(tmp_path / wheel.name) as theirs:
        assert sorted(theirs.namelist()) == sorted(ours.namelist())


def test_both_archives_say_that_they_carry_types(sources: Path, wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert {f"{package}/py.typed" for package in PACKAGES} <= set(archive.namelist())
    assert all((sources / package / "py.typed").is_file() for package in PACKAGES)


def test_a_type_checker_uses_the_types_of_an_installed_wheel(wheel: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv", folder=tmp_path)
    python = tmp_path / "venv" / "bin" / "python"
    (packages,) = (tmp_path / "venv" / "lib").glob("python3.*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    users = tmp_path / "user.py"
    users.write_text(
        "from drsn_edge.errors import DrsnEdgeError\n"
        "from firmware_bridge.errors import FirmwareBridgeError\n"
        "from quantize.errors import QuantizeError\n"
        "wrong: int = DrsnEdgeError('a')\n"
        "also: int = FirmwareBridgeError('a')\n"
        "another: int = QuantizeError('a')\n"
    )
    said = run(
        sys.executable, "-m", "mypy", "--python-executable", python, "--config-file=", users,
        folder=tmp_path, expected=1,
    )  # fmt: skip
    assert said.count("Incompatible types in assignment") == 3 and "Found 3 errors" in said
