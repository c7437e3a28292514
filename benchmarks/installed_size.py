"""Measure the disk space of the gateway's install, package by package.

    python benchmarks/installed_size.py > docs/results/installed_size.json

Creates a new virtual environment with the locked requirements and a wheel of this folder, and counts all files except
those of pip. The exit code is 0 only if the size is below the limit.
"""

from __future__ import annotations

import json
import platform
import sys
import tempfile
from importlib.metadata import Distribution, distributions
from pathlib import Path

from emulated_pi import LOCKS, REPOSITORY, run

BAR_BYTES = 190_000_000
LEFT_OUT = ("pip", "setuptools")


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        environment = Path(folder) / "venv"
        run([sys.executable, "-m", "venv", str(environment)])
        pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "-q"]
        run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, str(REPOSITORY)])
        run([*pip, "--require-hashes", "-r", str(LOCKS / "gateway.txt")])
        run([*pip, "--no-deps", *map(str, Path(folder).glob("*.whl"))])
        found = distributions(path=[str(next(environment.glob("lib/python*/site-packages")))])
        sizes = {each.metadata["Name"]: size_bytes(each) for each in found}
    packages = {name: size for name, size in sorted(sizes.items(), key=lambda item: -item[1]) if name not in LEFT_OUT}
    total = sum(packages.values())
    where = f"{platform.system()} {platform.machine()}"
    print(json.dumps({"platform": where, "python": platform.python_version(), "packages": packages, "bytes": total}))
    return 0 if total <= BAR_BYTES else 1


def size_bytes(distribution: Distribution) -> int:
    """Return the size in bytes of the files in a package's own list."""
    files = [Path(str(distribution.locate_file(file))) for file in distribution.files or []]
    return sum(file.stat().st_size for file in files if file.is_file())


if __name__ == "__main__":
    sys.exit(main())
