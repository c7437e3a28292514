"""Userlands of Raspberry Pis under QEMU in a cache folder: they run drsn-edge and count the instructions of inferences.

There are four kinds: aarch64 with LiteRT (Bookworm and Trixie), aarch64 with tflite-runtime, and armv7l with
tflite-runtime and Debian's NumPy. The Debian packages qemu-user, mmdebstrap and gcc are required. Missing parts (230 MB
for aarch64 with LiteRT) are downloaded on first use. Counts are instructions, not cycles, and say nothing about memory.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
LOCKS = REPOSITORY / "requirements"
MIRROR = "http://deb.debian.org/debian"
"""Alone: nothing here faces a network, and the security archive's index of armhf can be out of step."""
DEBIAN_TOOLS = "qemu-user mmdebstrap gcc"
PLUGIN_SOURCE = Path(__file__).with_name("tcg_count.c")
TEST_PACKAGES = ("pytest", "pluggy", "iniconfig", "packaging", "pygments", "sortedcontainers")
LAST_PURE_HYPOTHESIS = "hypothesis==6.155.7"
"""Later versions hold compiled code, and have no wheel for every Pi."""

BASE_FEATURES = "fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid"
DOT_PRODUCT_FEATURES = BASE_FEATURES + " atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp"
CPUS = {
    "cortex-a53": ("0xd03", BASE_FEATURES),
    "cortex-a72": ("0xd08", BASE_FEATURES),
    "cortex-a76": ("0xd0b", DOT_PRODUCT_FEATURES),
}
"""Raspberry Pi 3 and Zero 2, 4, and 5: part number and features in /proc/cpuinfo. The last has the int8 dot product."""

_TIMEOUT_S = 900


@dataclass(frozen=True)
class Kind:
    """A userland.

    Attributes:
        machine: As Python's `platform.machine` has it.
        debian: Debian's name of the architecture.
        release: Debian's.
        python: That release's, such as 3.11.
        packages: Debian's, in the root.
        lock: The requirements that pip takes, in `requirements/`.
        wheels: Of these names in it; None: of all.
        cpu: What QEMU emulates unless told otherwise.
        platforms: Of its wheels, without the machine.
    """

    machine: str
    debian: str
    release: str
    python: str
    packages: str
    lock: str
    wheels: tuple[str, ...] | None
    cpu: str
    platforms: tuple[str, ...]


_LIBRARIES = "libstdc++6,libgcc-s1"
_PYTHON_311 = f"python3-minimal,libpython3.11-stdlib,{_LIBRARIES}"
_PYTHON_313 = f"python3-minimal,libpython3.13-stdlib,{_LIBRARIES}"
_BOOKWORM, _TRIXIE = ("bookworm", "3.11", _PYTHON_311), ("trixie", "3.13", _PYTHON_313)
_AARCH64 = ("manylinux_2_34", "manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014")

KINDS = {
    "litert": Kind("aarch64", "arm64", *_BOOKWORM, "gateway.txt", None, "cortex-a72", _AARCH64),
    "litert-trixie": Kind("aarch64", "arm64", *_TRIXIE, "gateway.txt", None, "cortex-a76", _AARCH64),
    "tflite-runtime": Kind("aarch64", "arm64", *_BOOKWORM, "tflite-runtime.txt", None, "cortex-a72", _AARCH64),
    "armv7l": Kind(
        "armv7l",
        "armhf",
        "bookworm",
        "3.11",
        f"{_PYTHON_311},python3-numpy,python3-cryptography",
        "tflite-runtime.txt",
        ("click", "pyserial", "tflite-runtime"),
        "cortex-a15",
        ("manylinux_2_34", "manylinux2014"),
    ),
}

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


def cache_folder() -> Path:
    """Return the folder of the userlands."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return Path(os.environ.get("DRSN_EDGE_PI", cache / "drsn-edge" / "pi"))


class EmulatedPi:
    """A userland in the cache folder, created on first use."""

    def __init__(self, kind: str = "litert") -> None:
        """Download the missing parts.

        Raises:
            SystemExit: If a tool is missing or fails.
        """
        self.kind = KINDS[kind]
        self.qemu = f"qemu-{'arm' if self.kind.machine == 'armv7l' else self.kind.machine}"
        folder = cache_folder()
        self.root, self.packages = folder / f"root-{self.kind.release}-{self.kind.debian}", folder / f"packages-{kind}"
        self.test_packages, self.plugin = folder / "packages-tests", folder / "libtcg_count.so"
        for tool in (self.qemu, "mmdebstrap", "cc"):
            if shutil.which(tool) is None:
                raise SystemExit(f"{tool} is not on the PATH. On Debian, type: apt install {DEBIAN_TOOLS}")
        folder.mkdir(parents=True, exist_ok=True)
        self._fetch_root()
        self._fetch_packages()
        self._fetch_test_packages()
        run(["cc", "-shared", "-fPIC", "-O2", str(PLUGIN_SOURCE), "-o", str(self.plugin)])

    def program(self, path: Path, cpu: str | None = None, extra: tuple[Path, ...] = (REPOSITORY,)) -> Path:
        """Write a program that is the emulated Pi's Python, and return its path.

        Args:
            path: Path of the program.
            cpu: What QEMU emulates; None: what the kind has.
            extra: Folders that it finds modules in, beside its packages.
        """
        cpu = cpu or self.kind.cpu
        self._describe_cpu(cpu)
        start = path.with_name(f"{path.name}-start")
        start.mkdir()
        # What the guest takes for its own Python is not there for the host's kernel: it starts others by this program.
        (start / "sitecustomize.py").write_text(f"import sys\nsys.executable = {str(path)!r}\n")
        found = ":".join(map(str, (start, self.packages, *extra, self.root / "usr/lib/python3/dist-packages")))
        path.write_text(
            f"#!/bin/sh\nexport QEMU_CPU={cpu} PYTHONHOME={self.root}/usr PYTHONPATH={found}\n"
            f'exec {self.qemu} -L {self.root} {self._libraries} {self.python} "$@"\n'
        )
        path.chmod(0o755)
        return path

    def counted(
        self,
        cpu: str,
        arguments: list[str],
        extra: tuple[Path, ...] = (),
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> tuple[str, list[tuple[int, int]]]:
        """Run its Python on one of `CPUS`; return what was printed, and the counts whenever it called os.getppid.

        Args:
            cpu: What QEMU emulates.
            arguments: Arguments of Python.
            extra: Folders that it finds modules in, before its packages.
            folder: Where it runs; None: here.
            environment: Further variables.
        """
        self._describe_cpu(cpu)
        found = ":".join(map(str, (*extra, self.packages)))
        python = [self.qemu, "-L", str(self.root), self.python, *arguments]
        home = {"QEMU_CPU": cpu, "PYTHONHOME": str(self.root / "usr"), "PYTHONPATH": found}
        return counted(python, self.plugin, folder=folder, environment={**home, **(environment or {})})

    def count(self, cpu: str, files: list[bytes], runs: int = 4) -> list[int]:
        """Return the instructions of one inference of each .tflite file on one of `CPUS`, by LiteRT."""
        self._describe_cpu(cpu)
        with tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder) / f"{number}.tflite" for number in range(len(files))]
            for path, data in zip(paths, files, strict=True):
                path.write_bytes(data)
            paths.insert(0, paths[0])  # with the first one Python adapts the loop: a thousand instructions more
            guest = Path(folder) / "guest.py"
            guest.write_text(GUEST)
            _, logged = self.counted(cpu, [str(guest), str(runs), *map(str, paths)])
        counts = [instructions for instructions, _ in logged]
        if len(counts) != 3 * len(paths):
            raise SystemExit(f"The emulator returned {len(counts)} counts for {len(paths)} files; each needs 3.")
        found = [
            (after - 2 * between + before) // runs for before, between, after in zip(*[iter(counts)] * 3, strict=True)
        ]
        return found[1:]

    @property
    def python(self) -> str:
        """The path of its Python."""
        return f"{self.root}/usr/bin/python{self.kind.python}"

    @property
    def _libraries(self) -> str:
        """Where Debian's NumPy finds its BLAS: nobody has set up the alternatives."""
        if self.kind.machine != "armv7l":
            return ""
        folder = self.root / "usr/lib/arm-linux-gnueabihf"
        return f"-E LD_LIBRARY_PATH={folder}/blas:{folder}/lapack"

    def _fetch_root(self) -> None:
        kind = self.kind
        bootstrap = ["mmdebstrap", "--variant=extract", f"--architectures={kind.debian}", f"--include={kind.packages}"]
        if fresh(self.root, kind.packages):
            run([*bootstrap, kind.release, str(self.root), MIRROR])
            if not (self.root / "lib").exists():  # Trixie's base-files would make it
                (self.root / "lib").symlink_to("usr/lib")
            done(self.root, kind.packages)

    def _fetch_packages(self) -> None:
        kind, lock = self.kind, LOCKS / self.kind.lock
        wanted = lock.read_text() + str(kind)
        if not fresh(self.packages, wanted):
            return
        if kind.wheels is None:
            self._pip(self.packages, "--require-hashes", "-r", str(lock))
            self._pip(self.packages, "--no-deps", *(pinned(name) for name in ("cryptography", "cffi", "pycparser")))
        else:
            self._pip(self.packages, "--no-deps", *(pinned(name, kind.lock) for name in kind.wheels))
        done(self.packages, wanted)

    def _fetch_test_packages(self) -> None:
        wanted = " ".join([*map(pinned, TEST_PACKAGES), LAST_PURE_HYPOTHESIS])
        if fresh(self.test_packages, wanted):
            pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(self.test_packages)]
            run([*pip, "--platform", "any", "--only-binary=:all:", *wanted.split()])
            done(self.test_packages, wanted)

    def _pip(self, target: Path, *what: str) -> None:
        platforms = [part for each in self.kind.platforms for part in ("--platform", f"{each}_{self.kind.machine}")]
        abis = [
            argument
            for abi in (f"cp{self.kind.python.replace('.', '')}", "abi3", "none")
            for argument in ("--abi", abi)
        ]
        python = ["--implementation", "cp", "--python-version", self.kind.python]
        pip = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "-q",
            "--upgrade",
            "--only-binary=:all:",
            "--target",
            str(target),
        ]
        run([*pip, *platforms, *abis, *python, *what])

    def _describe_cpu(self, cpu: str) -> None:
        """Put a Pi's /proc/cpuinfo into the userland: LiteRT would crash on that of the host."""
        if self.kind.machine == "armv7l":
            core = (
                "model name\t: ARMv7 Processor rev 4 (v7l)\nBogoMIPS\t: 38.40\n"
                "Features\t: half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae\n"
                "CPU implementer\t: 0x41\nCPU architecture: 7\nCPU variant\t: 0x2\nCPU part\t: 0xc0f\n"
                "CPU revision\t: 4\n"
            )
        else:
            part, features = CPUS[cpu]
            core = (
                f"BogoMIPS\t: 108.00\nFeatures\t: {features}\nCPU implementer\t: 0x41\nCPU architecture: 8\n"
                f"CPU variant\t: 0x0\nCPU part\t: {part}\nCPU revision\t: 3\n"
            )
        file = self.root / "proc/cpuinfo"
        file.parent.mkdir(exist_ok=True)
        file.write_text("".join(f"processor\t: {number}\n{core}\n" for number in range(4)))


def pinned(name: str, lock: str = "dev.txt") -> str:
    """Return name==version of a package that a requirements file pins for Python 3.11."""
    found = re.findall(rf"^({re.escape(name)}==\S+)(.*?)\\?$", (LOCKS / lock).read_text(), re.MULTILINE)
    versions = [version for version, marker in found if "< '3.11'" not in marker and ">= '3.12'" not in marker]
    if len(versions) != 1:
        raise SystemExit(f"requirements/{lock} must pin one version of {name}, got {versions or 'none'}.")
    return versions[0]


def fresh(folder: Path, wanted: str) -> bool:
    """Return whether a folder must be created; a folder with other contents is removed."""
    note = folder.with_name(f"{folder.name}.done")
    if note.exists() and note.read_text() == wanted:
        return False
    print(f"fetching {folder.name} to {folder.parent}", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    note.unlink(missing_ok=True)
    return True


def done(folder: Path, wanted: str) -> None:
    """Note what a folder holds."""
    folder.with_name(f"{folder.name}.done").write_text(wanted)


def counted(
    command: list[str],
    plugin: Path,
    getppid: int = 173,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> tuple[str, list[tuple[int, int]]]:
    """Run a command of QEMU with the counting plugin; return what was printed, and each line of the plugin's log.

    Args:
        command: QEMU's, without the plugin.
        plugin: What `PLUGIN_SOURCE` was built to.
        getppid: The number of that system call on the emulated architecture.
        folder: Where the command runs; None: here.
        environment: Further variables.
    """
    with tempfile.TemporaryDirectory() as logs:
        log = Path(logs) / "log"
        qemu = [command[0], "-plugin", f"{plugin},getppid={getppid}", "-d", "plugin", "-D", str(log)]
        printed = run([*qemu, *command[1:]], folder, environment)
        return printed, logged_counts(log.read_text())


def logged_counts(log: str) -> list[tuple[int, int]]:
    """Return the instructions and the system calls of each line of the plugin's log; other lines are QEMU's own."""
    found = [re.fullmatch(r"(\d+) (\d+)", line.strip()) for line in log.splitlines()]
    return [(int(each[1]), int(each[2])) for each in found if each]


def run(command: list[str], folder: Path | None = None, environment: Mapping[str, str] | None = None) -> str:
    """Run a command and return what it printed; raise SystemExit with the end of its stderr if it fails."""
    ended = subprocess.run(
        command,
        env={**os.environ, **(environment or {})},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    if ended.returncode != 0:
        raise SystemExit(f"{command[0]} failed with {ended.returncode}: {ended.stderr.strip()[-500:]}")
    return ended.stdout
