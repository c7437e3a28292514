"""What a gateway imports, TensorFlow is not among it."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

RUN_EVERYTHING = """
import sys
from pathlib import Path

import numpy as np

BANNED = ("tensorflow", "keras", "scipy", "matplotlib", "rich")


class Ban:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BANNED:
            raise ModuleNotFoundError(f"banned: {name}", name=name)


sys.meta_path.insert(0, Ban())
import drsn_edge.cli.main
import drsn_edge.cli.monitor
import drsn_edge.monitor.sinks.console
import drsn_edge.monitor.sinks.json_lines
from drsn_edge.bundle.bundle import read_bundle
from drsn_edge.monitor.stages.judge import Judge, model_of
from drsn_edge.monitor.stages.pipeline import Monitor
from drsn_edge.runtime.classifier import Classifier

bundle = read_bundle(Path(sys.argv[1]))
classifier = Classifier(bundle.model)
Monitor(Judge(model_of(bundle)))
assert classifier.logits(np.ones((1, 1, 64, 2), np.float32)).shape == (1, 3)
assert Classifier(bundle.model, "numpy").logits(np.ones((1, 1, 64, 2), np.float32)).shape == (1, 3)
print(sorted(set(BANNED) & set(sys.modules)))
"""


def test_a_gateway_judges_without_tensorflow(tiny_bundle_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", RUN_EVERYTHING, str(tiny_bundle_path)], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")


@pytest.mark.parametrize("command", ["train", "convert", "evaluate"])
def test_commands_that_need_the_training_extra_name_it(command: str, tmp_path: Path) -> None:
    arguments = {
        "train": ["--data", str(tmp_path), "--hold-out", "time=0.3", "--out", str(tmp_path / "run")],
        "convert": [str(tmp_path), "--out", str(tmp_path / "m.drsn")],
        "evaluate": [str(tmp_path)],
    }[command]
    script = RUN_EVERYTHING.partition("import drsn_edge.cli.monitor")[0] + "drsn_edge.cli.main.main()"
    done = subprocess.run(
        [sys.executable, "-c", script, command, *arguments], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: ") and "the extra `train`" in done.stderr
    assert done.stderr.endswith("[train]'\n") and " install " in done.stderr
    assert done.stderr.count("\n") == 1


def test_help_of_every_command_starts_without_numpy_or_an_interpreter() -> None:
    script = """
import sys, click
from drsn_edge.cli.main import cli
for name in cli.list_commands(click.Context(cli)):
    command = cli.get_command(click.Context(cli), name)
    command.get_help(click.Context(command, info_name=name))
print(sorted({"numpy", "ai_edge_litert", "tflite_runtime", "serial", "rich", "cryptography"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


of_wheels = pytest.mark.skipif(
    find_spec("ai_edge_litert") is None, reason="other builds of NumPy import more, and make no threads"
)
"""Marks what holds for the wheels that are pinned; a Pi of 32 bits has Debian's NumPy."""

MONITOR = """
import os, sys
others = len(os.listdir("/proc/self/task")) - 1 if sys.platform == "linux" else 0  # an emulator has threads of its own
from click import ClickException
from drsn_edge.cli.main import cli

try:
    cli(["monitor", "--replay", "none.drsnlog", "--model", sys.argv[1], *sys.argv[2:]], standalone_mode=False)
except ClickException:
    assert "drsn_edge.runtime.classifier" in sys.modules
else:
    raise AssertionError("There is no such log.")
"""


def ran_after_the_monitor(script: str, *arguments: str, **environment: str) -> str:
    """Return what a script prints that runs in the process of a monitor which has opened its bundle."""
    clean = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", MONITOR + script, *arguments],
        capture_output=True, text=True, timeout=60, env={**clean, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@of_wheels
def test_a_monitor_imports_nothing_that_its_options_do_not_ask_for(tiny_bundle_path: Path) -> None:
    script = """
spared = {"drsn_edge.bundle.signing", "drsn_edge.gateway.local_store", "drsn_edge.gateway.health_gate", "email",
          "importlib.metadata", "numpy.ma", "paho", "quantize.targets", "sqlite3", "ssl"}
commands = {name for name in cli.commands if f"drsn_edge.cli.{name}" in sys.modules}
print(sorted(spared & set(sys.modules)), sorted(commands))
"""
    assert ran_after_the_monitor(script, str(tiny_bundle_path)) == "[] ['monitor']\n"


@of_wheels
def test_what_a_monitor_computes_does_not_import_masked_arrays() -> None:
    script = """
import sys
import numpy as np
from drsn_edge.signal.bearing_lines import _level_db
from drsn_edge.signal.noise_alone import _is_machine_below
from drsn_edge.signal.quality import OffsetWatch, piles_up
from drsn_edge.signal.windows import centre
from firmware_bridge.wire.clock import robust_line

noise = np.random.default_rng(1).normal(size=(2048, 3))
robust_line(np.arange(32.0), np.arange(32.0) + noise[:32, 0])
watch = OffsetWatch()
for mean in noise[:100]:
    watch.jumped(mean, np.full(3, 2.0))
piles_up(np.sort((100 * noise[:, 0]).astype(np.int32)))
_level_db(np.square(noise[:, 0]), 100.0)
_is_machine_below(centre(noise[None].astype(np.float32)), 0.5)
print("numpy.ma" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr


@of_wheels
@pytest.mark.skipif(
    sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2, reason="counts threads in /proc, for two cores or more"
)
@pytest.mark.parametrize(
    ("given", "threads"), [({}, 1), ({"OMP_NUM_THREADS": "2"}, 2), ({"OPENBLAS_NUM_THREADS": "2"}, 2)]
)
def test_a_monitor_computes_matrices_on_one_thread_unless_the_user_wants_more(
    tiny_bundle_path: Path, given: dict[str, str], threads: int
) -> None:
    script = """
import time
counts = [len(os.listdir("/proc/self/task")) for _ in range(50) if time.sleep(0.01) is None]  # the monitor's own end
print(min(counts) - others)
"""
    assert ran_after_the_monitor(script, str(tiny_bundle_path), **given) == f"{threads}\n"
