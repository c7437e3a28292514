"""Completion in a real bash: commands, options, choices, files and names, without a slow import."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from drsn_edge.models.config import PRESETS
from drsn_edge.runtime.names import RUNTIMES
from drsn_edge.simulation.names import CONDITIONS

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")

SCRIPT = """
source <(_DRSN_EDGE_COMPLETE=bash_source drsn-edge) || exit 1
complete -p drsn-edge > /dev/null || exit 2
COMP_WORDS=({words}) COMP_CWORD={at}
compopt() {{ echo "compopt $*"; }}
_drsn_edge_completion drsn-edge
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture(scope="session")
def on_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a program `drsn-edge`, as an installation has it."""
    folder = tmp_path_factory.mktemp("bin")
    program = folder / "drsn-edge"
    program.write_text(f"#!{sys.executable}\nfrom drsn_edge.cli.main import main\nmain()\n")
    program.chmod(0o755)
    return folder


def completed(on_path: Path, *words: str, folder: Path | None = None) -> list[str]:
    """Return what bash offers for the last of the words behind `drsn-edge`."""
    typed = ["drsn-edge", *words]
    script = SCRIPT.format(words=shlex.join(typed), at=len(typed) - 1)
    environment = {**os.environ, "PATH": f"{on_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "--norc", "-c", script], capture_output=True, text=True, timeout=60, env=environment, cwd=folder
    )
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["mon"], ["monitor"]),
        (["bundle", "ver"], ["verify"]),
        (["monitor", "--his"], ["--history"]),
        (["monitor", "--runtime", ""], list(RUNTIMES)),
        (["simulate", "--condition", "in"], [each for each in CONDITIONS if each.startswith("in")]),
        (["train", "--network", "s"], [each for each in PRESETS if each.startswith("s")]),
        (["train", "--noise", "im"], ["impulsive"]),
        (["flash", "machine.drsn", "--to", "lo"], ["local"]),
        (["baseline", "--mo"], []),
    ],
)
def test_bash_completes_commands_options_choices_and_names(on_path: Path, words: list[str], offered: list[str]) -> None:
    assert completed(on_path, *words) == offered


def test_a_file_is_left_to_bash(on_path: Path) -> None:
    assert completed(on_path, "monitor", "--model", "mach") == ["compopt", "-o", "default"]
    assert completed(on_path, "simulate", "--recording", "outer") == ["compopt", "-o", "default"]


def test_completing_imports_nothing_slow(on_path: Path) -> None:
    heavy = ["tensorflow", "keras", "scipy", "matplotlib", "rich", "serial", "numpy", "sklearn"]
    script = (
        "import atexit, sys\n"
        f"atexit.register(lambda: print([name for name in {heavy} if name in sys.modules], file=sys.stderr))\n"
        "sys.argv = ['drsn-edge']\nfrom drsn_edge.cli.main import cli\ncli(prog_name='drsn-edge')"
    )
    environment = {
        **os.environ,
        "_DRSN_EDGE_COMPLETE": "bash_complete",
        "COMP_WORDS": "drsn-edge monitor --votes 4/5 --mqtt mqtt://broker --port",
        "COMP_CWORD": "6",
    }
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, env=environment)
    assert done.stderr == "[]\n"
