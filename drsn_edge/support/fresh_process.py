"""A fresh Python process that runs the same drsn-edge, and no code of the current folder.

`python -m` and `python -c` look for every module in the current folder first: a `numpy.py` there would run, with sudo
as root. Isolated mode (-I) does not look there. It also ignores PYTHONPATH and packages installed for one user, so the
command line passes the search path: the folders of this process except the current one, and the places of drsn-edge's
own packages, which an editable install may have anywhere.

This file is also the program that the command line names, so it imports the standard library alone.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import json
import os
import runpy
import site
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

_PACKAGES = ("drsn_edge", "quantize", "firmware_bridge")


def python_command(module: str, *arguments: str) -> list[str]:
    """Return the command line of a Python that runs a module of drsn-edge as its main program.

    Args:
        module: Module to run, such as `drsn_edge.gateway.health_gate`.
        arguments: Arguments of the module.
    """
    where = {"path": search_path(), "packages": {name: _folder_of(name) for name in _PACKAGES}}
    return [sys.executable, "-I", str(Path(__file__).resolve()), json.dumps(where), module, *arguments]


def search_path() -> list[str]:
    """Return the folders from which a fresh Python may import, in order: those of this process but the current one."""
    installed = {
        *site.getsitepackages(),
        site.getusersitepackages(),
        *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib")),
    }
    return [each for each in sys.path if os.path.isabs(each) and (each in installed or not _is_current(each))]


def _is_current(folder: str) -> bool:
    try:
        return os.path.samefile(folder, os.curdir)
    except OSError:  # one of them is not there
        return False


def _folder_of(package: str) -> str:
    """Return the parent of a package's folder."""
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.submodule_search_locations is not None
    return str(Path(next(iter(spec.submodule_search_locations))).resolve().parent)


@contextmanager
def isolated_workers() -> Iterator[None]:
    """Make `multiprocessing` spawn its workers in isolated mode inside the block.

    `multiprocessing` starts workers by `python -c` with the flags of this interpreter, and offers no way to add a flag.
    The list of flags is replaced here; it is the same in Python 3.10 to 3.13. Workers still get this `sys.path`.
    """
    utilities: Any = importlib.import_module("multiprocessing.util")
    before = utilities._args_from_interpreter_flags
    utilities._args_from_interpreter_flags = lambda: ["-I", *before()]
    try:
        yield
    finally:
        utilities._args_from_interpreter_flags = before


class _Places:
    """Finds drsn-edge's packages in the folders where the process that called has them, and nothing else."""

    def __init__(self, folders: dict[str, str]) -> None:
        self._folders = folders

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        folder = self._folders.get(name)
        return None if folder is None else importlib.machinery.PathFinder.find_spec(name, [folder])


def _main() -> None:
    where, module = json.loads(sys.argv[1]), sys.argv[2]
    sys.argv = [module, *sys.argv[3:]]
    sys.path[:] = where["path"]
    sys.meta_path.insert(0, _Places(where["packages"]))
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _main()
