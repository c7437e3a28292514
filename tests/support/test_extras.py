from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import Distribution, PathDistribution
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drsn_edge.bundle.bundle import Bundle, write_bundle
from drsn_edge.monitor.sinks.history import HistorySink
from drsn_edge.monitor.stages.results import WindowResult
from drsn_edge.support import extras
from drsn_edge.support.extras import EXTRA_OF, missing_module, pip_line
from drsn_edge.verdicts import Verdict

ROOT = Path(__file__).parents[2]


@pytest.fixture
def installed(tmp_path: Path) -> Callable[[Any], Distribution]:
    """Return an installation that pip has written this of, None for nothing."""

    def make(origin: Any) -> Distribution:
        folder = tmp_path / "drsn_edge-0.1.0.dist-info"
        folder.mkdir(exist_ok=True)
        (folder / "METADATA").write_text("Name: drsn-edge\nVersion: 0.1.0\n")
        if origin is not None:
            (folder / "direct_url.json").write_text(origin if isinstance(origin, str) else json.dumps(origin))
        return PathDistribution(folder)

    return make


def test_a_clone_is_installed_from_its_folder(installed: Callable[[Any], Distribution]) -> None:
    assert shlex.split(extras._source("plots", ROOT, None)) == ["-e", f"{ROOT}[plots]"]
    editable = installed({"url": "file:///elsewhere", "dir_info": {"editable": True}})
    assert shlex.split(extras._source("plots", ROOT, editable)) == ["-e", f"{ROOT}[plots]"]


def test_a_wheel_is_named_by_its_path_while_it_is_there(
    installed: Callable[[Any], Distribution], tmp_path: Path
) -> None:
    wheel = tmp_path / "a folder" / "drsn_edge-0.1.0-py3-none-any.whl"
    origin = installed({"url": wheel.as_uri(), "archive_info": {}})
    gone = extras._source("signing", tmp_path, origin)
    assert shlex.split(gone, comments=True) == [f"{wheel.name}[signing]"] and "folder" in gone
    wheel.parent.mkdir()
    wheel.touch()
    assert shlex.split(extras._source("signing", tmp_path, origin)) == [f"{wheel}[signing]"]


@pytest.mark.parametrize(
    ("origin", "said"),
    [
        (
            {"url": "https://git.example/drsn", "vcs_info": {"vcs": "git", "commit_id": "abc123"}},
            "drsn-edge[mqtt] @ git+https://git.example/drsn@abc123",
        ),
        ({"url": "https://x.example/d.whl", "archive_info": {}}, "drsn-edge[mqtt] @ https://x.example/d.whl"),
        (None, "drsn_edge-0.1.0-py3-none-any.whl[mqtt]"),
        ("no json", "drsn_edge-0.1.0-py3-none-any.whl[mqtt]"),
        ("[]", "drsn_edge-0.1.0-py3-none-any.whl[mqtt]"),
    ],
)
def test_other_origins(installed: Callable[[Any], Distribution], tmp_path: Path, origin: Any, said: str) -> None:
    assert shlex.split(extras._source("mqtt", tmp_path, installed(origin)), comments=True) == [said]


def test_a_folder_that_was_installed_from_is_named(installed: Callable[[Any], Distribution], tmp_path: Path) -> None:
    folder = tmp_path / "clone"
    folder.mkdir()
    assert shlex.split(extras._source("view", tmp_path, installed({"url": folder.as_uri(), "dir_info": {}}))) == [
        f"{folder}[view]"
    ]


def test_pip_is_that_of_this_python(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    monkeypatch.setattr(shutil, "which", lambda name: str(tmp_path / "bin" / name))
    assert pip_line("plots").startswith("pip install ")
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/pip")
    assert pip_line("plots").startswith(f"{tmp_path}/bin/python -m pip install ")
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    assert pip_line("plots").startswith(f"uv pip install --python {tmp_path}/bin/python ")


def test_a_missing_module_is_said_with_its_extra() -> None:
    said = missing_module("matplotlib.figure")
    assert said is not None and "`plots`" in said and said.endswith(pip_line("plots"))
    assert "`train`" in (missing_module("matplotlib", "evaluate") or "")
    assert "`train`" in (missing_module("tomli_w") or "") and missing_module("json") is None


def test_no_line_names_an_index_that_does_not_have_the_project() -> None:
    """It is on none: whoever says what to install asks `pip_line`."""
    files = [path for name in ("drsn_edge", "firmware_bridge", "quantize") for path in (ROOT / name).rglob("*.py")]
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*.py")]
    for path in (*files, *pages):
        assert "install 'drsn-edge" not in path.read_text() and "install drsn-edge[" not in path.read_text(), path


def test_each_extra_is_in_pyproject_and_training_brings_the_pictures() -> None:
    from drsn_edge.support.toml_file import parse_toml

    extra = parse_toml((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(EXTRA_OF.values()) <= set(extra)
    assert "drsn-edge[plots,formats]" in extra["train"]
    assert {line.partition(">")[0] for line in extra["plots"]} == {"matplotlib", "jinja2"}


WITHOUT = """
import sys

for name in ("tensorflow", "keras", "scipy", "sklearn", "rich", "tomli_w", "pandas", "h5py", "nptdms", "pyarrow"):
    sys.modules[name] = None
from drsn_edge.diagnostics import bench
from drsn_edge.cli.main import cli

bench._WINDOWS, bench._PIPELINE_STREAM_S = 50, 1.0
for line in sys.stdin:
    cli.main(line.rstrip("\\n").split("|"), prog_name="drsn-edge", standalone_mode=False)
"""


def test_pictures_and_pages_need_no_tensorflow(
    golden_bundle: Bundle, save_recording_to: Callable[..., Path], tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib", reason="pictures need the extra `plots`")
    pytest.importorskip("jinja2", reason="pages need the extra `plots`")
    bundle, history, data = tmp_path / "b.drsn", tmp_path / "h.sqlite", tmp_path / "data"
    write_bundle(golden_bundle, bundle)
    sink = HistorySink(history, "pump")
    sink.take(WindowResult(0, 0.0, Verdict.CLASS, "calm", {"calm": 0.9}, None, 0))
    sink.close()
    data.mkdir()
    for number, label in enumerate(("calm", "worn")):
        save_recording_to(data / f"{label}.npz", label, number)
    calls = [
        ["classify", data, "--model", bundle, "--picture", tmp_path / "classify.png"],
        ["history", history, "--picture", tmp_path / "history.png"],
        ["bench", bundle, "--picture", tmp_path / "bench.png"],
        ["inspect", bundle, "--out", tmp_path / "page"],
        ["tune-alarms", data, "--model", bundle, "--normal", "calm", "--false-alarms", "1e9", "--announced", "0%",
         "--picture", tmp_path / "tune-alarms.png"],
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT],
        input="".join("|".join(map(str, call)) + "\n" for call in calls),
        capture_output=True, text=True, timeout=120, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for name in ("classify", "history", "bench", "tune-alarms"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "page" / "report.html").is_file()


@pytest.fixture
def save_recording_to() -> Callable[..., Path]:
    def save(path: Path, label: str, seed: int) -> Path:
        noise = np.random.default_rng(seed).normal(size=(2, 40_000))
        np.savez(path, x=noise, fs=4000, axes=["x", "y"], unit="g", label=label)
        return path

    return save
