"""An aarch64 userland with LiteRT under QEMU, in a cache folder: counts an inference's instructions, runs drsn-edge.

Needs Debian's packages qemu-user, mmdebstrap and gcc. The userland (230 MB) is fetched at the first use.
Counts are instructions, never cycles, and say nothing about memory.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PLATFORMS = (
    "manylinux_2_34_aarch64",
    "manylinux_2_28_aarch64",
    "manylinux_2_27_aarch64",
    "manylinux_2_17_aarch64",
    "manylinux2014_aarch64",
)
REQUIREMENTS = ("ai-edge-litert==2.3.0", "numpy==2.4.6", "click==8.5.1", "pyserial==3.5", "cryptography==50.0.2")
DEBIAN = "bookworm"
PACKAGES = "python3-minimal,libpython3.11-stdlib,libstdc++6,libgcc-s1"
DEBIAN_TOOLS = "qemu-user mmdebstrap gcc"
PLUGIN_SOURCE = Path(__file__).with_name("tcg_count.c")

BASE_FEATURES = "fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid"
CPUS = {
    "cortex-a72": ("0xd08", BASE_FEATURES),
    "cortex-a76": ("0xd0b", BASE_FEATURES + " atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp"),
}
"""Raspberry Pi 4 and 5: part number and features in /proc/cpuinfo. The second has the int8 dot product."""

_TIMEOUT_S = 900

GUEST = """
import os, sys
import numpy as np
from ai_edge_litert.interpreter import Interpreter
few, many, warm_up = 2, int(sys.argv[1]) + 2, 3
for path in sys.argv[2:]:
    interpreter = Interpreter(model_path=path, num_threads=1)
    interpreter.allocate_tensors()
    end = interpreter.get_input_details()[0]
    noise = np.random.default_rng(2).standard_normal(end["shape"])
    interpreter.set_tensor(end["index"], (noise * (40 if end["dtype"] is np.int8 else 1)).astype(end["dtype"]))
    invoke = interpreter.invoke
    for _ in range(warm_up):
        invoke()
    os.getppid()
    for _ in range(few):
        invoke()
    os.getppid()
    for _ in range(many):
        invoke()
    os.getppid()
"""
"""Runs each file a few and then more times, and asks the plugin for the count before, between and after."""


class EmulatedPi:
    """A userland in a folder, made at the first use."""

    def __init__(self, folder: Path) -> None:
        """Fetch what is missing.

        Raises:
            SystemExit: If a tool is missing or fails.
        """
        self.folder = folder
        for tool in ("qemu-aarch64", "mmdebstrap", "cc"):
            if shutil.which(tool) is None:
                raise SystemExit(
                    f"Expected {tool} on the PATH, got none. On Debian: apt install qemu-user mmdebstrap gcc."
                )
        self._fetch_userland()
        self.plugin = folder / "libtcg_count.so"
        run(["cc", "-shared", "-fPIC", "-O2", str(PLUGIN_SOURCE), "-o", str(self.plugin)])

    def program(self, path: Path, cpu: str = "cortex-a72") -> Path:
        """Write a program that is the emulated Pi's Python, with this drsn-edge, and return its path."""
        self._describe_cpu(cpu)
        start = path.with_name(f"{path.name}-start")
        start.mkdir()
        # What the guest takes for its own Python is not there for the host's kernel: it starts others by this program.
        (start / "sitecustomize.py").write_text(f"import sys\nsys.executable = {str(path)!r}\n")
        packages = f"{start}:{self._packages}:{Path(__file__).parents[1]}"
        path.write_text(
            f"#!/bin/sh\nexport QEMU_CPU={cpu} PYTHONHOME={self._root}/usr PYTHONPATH={packages}\n"
            f'exec qemu-aarch64 -L {self._root} {self._root}/usr/bin/python3.11 "$@"\n'
        )
        path.chmod(0o755)
        return path

    def count(self, cpu: str, files: list[bytes], runs: int = 4) -> list[int]:
        """Return the instructions of one inference of each .tflite file on one of `CPUS`."""
        self._describe_cpu(cpu)
        with tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder) / f"{number}.tflite" for number in range(len(files))]
            for path, data in zip(paths, files, strict=True):
                path.write_bytes(data)
            log, guest = Path(folder) / "log", Path(folder) / "guest.py"
            guest.write_text(GUEST)
            qemu = ["qemu-aarch64", "-L", str(self._root), "-plugin", str(self.plugin), "-d", "plugin", "-D", str(log)]
            python = [str(self._root / "usr/bin/python3.11"), str(guest), str(runs), *map(str, paths)]
            run([*qemu, *python], QEMU_CPU=cpu, PYTHONHOME=str(self._root / "usr"), PYTHONPATH=str(self._packages))
            counts = [int(line) for line in log.read_text().splitlines() if line.strip().isdigit()]
        if len(counts) != 3 * len(files):
            raise SystemExit(f"Expected 3 counts of each of {len(files)} files from the emulator, got {len(counts)}.")
        return [
            (after - 2 * between + before) // runs for before, between, after in zip(*[iter(counts)] * 3, strict=True)
        ]

    @property
    def _root(self) -> Path:
        return self.folder / "root"

    @property
    def _packages(self) -> Path:
        return self.folder / "packages"

    def _fetch_userland(self) -> None:
        done = self.folder / "fetched"
        wanted = " ".join((DEBIAN, PACKAGES, *REQUIREMENTS))
        if done.exists() and done.read_text() == wanted:
            return
        print(f"fetching an aarch64 userland to {self.folder}", file=sys.stderr)
        for old in (self._root, self._packages):
            shutil.rmtree(old, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        bootstrap = ["mmdebstrap", "--variant=extract", "--architectures=arm64", f"--include={PACKAGES}", DEBIAN]
        run([*bootstrap, str(self._root)])
        platforms = [argument for platform in PLATFORMS for argument in ("--platform", platform)]
        abis = [argument for abi in ("cp311", "abi3", "none") for argument in ("--abi", abi)]
        python = ["--implementation", "cp", "--python-version", "3.11"]
        pip = [sys.executable, "-m", "pip", "install", "-q", "--only-binary=:all:", "--target", str(self._packages)]
        run([*pip, *platforms, *abis, *python, *REQUIREMENTS])
        done.write_text(wanted)

    def _describe_cpu(self, cpu: str) -> None:
        """Put a Pi's /proc/cpuinfo into the userland: LiteRT's own look at the host's would crash it."""
        part, features = CPUS[cpu]
        core = (
            f"BogoMIPS\t: 108.00\nFeatures\t: {features}\nCPU implementer\t: 0x41\nCPU architecture: 8\n"
            f"CPU variant\t: 0x0\nCPU part\t: {part}\nCPU revision\t: 3\n"
        )
        file = self._root / "proc/cpuinfo"
        file.parent.mkdir(exist_ok=True)
        file.write_text("".join(f"processor\t: {number}\n{core}\n" for number in range(4)))


def run(command: list[str], **environment: str) -> None:
    """Run a command and raise SystemExit with its last words if it fails."""
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"{command[0]} failed with {done.returncode}: {done.stderr.strip()[-500:]}")
