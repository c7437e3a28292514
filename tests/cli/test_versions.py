"""`drsn-edge --version` names the runtimes that are installed, without importing one."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from typing import Any

import numpy as np
import pytest

from drsn_edge import __version__


def test_each_version_has_a_line(run: Callable[..., Any]) -> None:
    done = run("--version")
    found = dict(line.split(" ", 1) for line in done.out.splitlines())
    assert (done.code, done.err) == (0, "")
    assert list(found)[:2] == ["drsn-edge", "Python"] and found["drsn-edge"] == __version__
    assert found["Python"] == platform.python_version() and found["numpy"] == np.__version__
    assert set(found) <= {"drsn-edge", "Python", "ai-edge-litert", "tflite-runtime", "numpy", "tensorflow"}


def test_what_is_not_installed_has_none(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.version", missing)
    assert run("--version").out == f"drsn-edge {__version__}\nPython {platform.python_version()}\n"


def test_nothing_is_imported_for_a_version() -> None:
    script = (
        "import atexit, sys\n"
        "atexit.register(lambda: print([n for n in ('numpy', 'tensorflow', 'ai_edge_litert') if n in sys.modules]))\n"
        "from drsn_edge.cli.main import cli\ncli(['--version'])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]"
