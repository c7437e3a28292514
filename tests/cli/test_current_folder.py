"""Nothing of the current folder runs, whatever it is called: with sudo it would run as root."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drsn_edge.bundle.bundle import Bundle, write_bundle
from drsn_edge.reproduce.jobs import Job, JobResult, Score, as_settings
from drsn_edge.support.fresh_process import python_command, search_path

Run = Callable[..., Any]

MODULES = (
    "ai_edge_litert", "click", "dataclasses", "drsn_edge", "firmware_bridge", "json", "multiprocessing", "numpy",
    "pathlib", "pickle", "quantize", "random", "resource", "runpy", "serial", "signal", "sitecustomize", "socket",
    "subprocess", "tempfile", "threading", "usercustomize",
)  # fmt: skip
"""What some process of ours imports, the standard library's included; each as a module and as a package."""

PROGRAMS = ("avrdude", "drsn-edge", "edgetpu_compiler", "ssh", "systemctl", "timedatectl", "vcgencmd")


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Stand in a folder full of traps; return what tells which of them were run."""
    folder, marks = tmp_path / "current", tmp_path / "ran"
    folder.mkdir()
    for name in MODULES:
        trap = f"open({str(marks)!r}, 'a').write({name!r} + chr(10))\n"
        (folder / f"{name}.py").write_text(trap)
        if name in ("drsn_edge", "quantize", "firmware_bridge"):
            (folder / name).mkdir()
            (folder / name / "__init__.py").write_text(trap)
    for name in PROGRAMS:
        (folder / name).write_text(f"#!/bin/sh\necho {name} >> {marks}\n")
        (folder / name).chmod(0o755)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setenv("PATH", f".::{os.environ['PATH']}")
    return lambda: sorted(set(marks.read_text().split())) if marks.exists() else []


@pytest.fixture
def bundle_file(golden_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> Path:
    """Return a bundle that this gateway trusts."""
    monkeypatch.setenv("DRSN_EDGE_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert run("keys", "new", "--name", "works").code == 0
    assert run("keys", "trust", tmp_path / "config" / "drsn-edge" / "signing.key.pub").code == 0
    path = tmp_path / "b.drsn"
    write_bundle(golden_bundle, path)
    assert run("bundle", "sign", path).code == 0
    return path


def test_gate_flash_bench_and_doctor_run_their_own_code(
    run: Run, bundle_file: Path, ran: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from drsn_edge.diagnostics import bench

    monkeypatch.setattr(bench, "_WINDOWS", 20)
    monkeypatch.setattr(bench, "_PIPELINE_STREAM_S", 0.1)
    verified = run("bundle", "verify", "--gate", bundle_file)
    assert (verified.code, ran()) == (0, []), verified.err
    assert (run("flash", bundle_file, "--to", "local").code, ran()) == (0, [])
    assert (run("bench", bundle_file).code, ran()) == (0, [])
    run("doctor")
    assert ran() == []


def test_backends_and_the_edge_tpu_are_tried_by_their_own_code(
    tiny_model: bytes, ran: Callable[[], list[str]], edgetpu_library: str
) -> None:
    from drsn_edge.inspection.backends import run_backends
    from drsn_edge.runtime import coral

    report = run_backends(tiny_model, np.zeros((2, 1, 64, 2), np.int8))
    assert report.comparisons and not report.failures
    coral.expect_edgetpu(tiny_model, edgetpu_library, "usb:7")  # a device that no other test has tried
    assert ran() == []


def stand_in(of: Job, data: Path) -> JobResult:
    """Stand in for a training: workers import it from this file."""
    return JobResult(of, tuple(Score(condition, 10, 0.5, 0.5) for condition in of.conditions), 1.5, {"drsn-edge": "0"})


def test_the_workers_of_a_sweep_run_their_own_code(tmp_path: Path, ran: Callable[[], list[str]]) -> None:
    from drsn_edge.evaluation.conditions import CLEAN
    from drsn_edge.reproduce.sweep import run_sweep

    job = Job("p", "d", "rsbu-cw", "rpm=600", 1, as_settings({"window": 64}), (CLEAN,))
    found = list(run_sweep([job], tmp_path, tmp_path / "results.jsonl", stand_in, workers=1))
    assert (len(found), ran()) == (1, [])


def test_programs_of_the_current_folder_are_not_found(
    run: Run, tiny_model: bytes, tmp_path: Path, ran: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from drsn_edge.gateway import systemd_unit as service
    from quantize.targets.edgetpu_compiler import compile_model

    monkeypatch.setenv("PATH", ".::bin")
    assert run("gateway", "status", "--at", "ssh://gateway.invalid").code == 1
    (tmp_path / "uno.elf").write_bytes(b"an image")
    call = ("firmware", "flash", "--board", "uno", "--port", "/dev/ttyX", "--image", tmp_path / "uno.elf")
    assert run(*call).code == 1
    assert compile_model(tiny_model) is None
    run("doctor")
    monkeypatch.setattr(sys, "executable", "/usr/bin/python-elsewhere")
    unit = service.unit_text("pump", [], "0")
    start = next(line for line in unit.splitlines() if line.startswith("ExecStart="))
    assert "./drsn-edge" not in start and " -I " in start  # its folder is the service's own, which it may write
    assert ran() == []


def test_a_fresh_process_imports_the_very_package_of_this_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An editable install, PYTHONPATH and packages of one user: -I alone would find none of them."""
    import drsn_edge

    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "of_one_user.py").write_text("WORDS = 'found'\n")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "of_the_folder.py").write_text("WORDS = 'found'\n")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(sys, "path", ["", "relative", str(tmp_path / "here"), *sys.path, str(tmp_path / "own")])
    assert str(tmp_path / "own") in search_path()
    assert not {"", "relative", str(tmp_path / "here")} & set(search_path())
    (tmp_path / "own" / "reporting.py").write_text(
        "import importlib.util, sys, drsn_edge, quantize, firmware_bridge, of_one_user\n"
        "print(drsn_edge.__file__, importlib.util.find_spec('of_the_folder'), sys.argv[1:], sys.flags.isolated)\n"
    )
    done = subprocess.run(python_command("reporting", "a b", "é"), capture_output=True, text=True, timeout=60)
    assert done.stdout.split(" ", 1) == [drsn_edge.__file__, "None ['a b', 'é'] 1\n"], done.stderr


def test_what_a_board_is_flashed_with_does_not_start_in_the_current_folder(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """openocd would run the interface/stlink.cfg that lies there."""
    program = tmp_path / "bin" / "openocd"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\npwd > {tmp_path}/stood\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    (tmp_path / "board.elf").write_bytes(b"an image")
    monkeypatch.chdir(tmp_path)
    call = ("firmware", "flash", "--board", "stm32f405", "--port", "/dev/ttyX", "--image", "board.elf")
    assert run(*call, "--tool", "openocd").code == 1
    assert (tmp_path / "stood").read_text().strip() != str(tmp_path)
