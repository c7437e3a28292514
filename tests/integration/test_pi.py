"""The gateway on emulated Raspberry Pis: its own tests there, and an emulated sensor board on its port."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from boards import Counts, port_of, qemu, running, wave_file
from emulated_pi import KINDS, REPOSITORY, EmulatedPi

from drsn_edge.bundle.bundle import MODEL, Bundle, sha256, write_bundle
from drsn_edge.bundle.manifest import Manifest
from drsn_edge.runtime.classifier import Classifier
from drsn_edge.signal.contract import SignalContract
from drsn_edge.signal.windows import Scaling

pytestmark = pytest.mark.integration

Pi = Callable[[str], EmulatedPi]
TIMEOUT_S = 900
COMMON = [
    "runtime", "bundle/test_golden.py", "bundle/test_healthy.py", "gateway/test_follower.py", "signal/test_windows.py",
    "signal/test_quality.py",
    "monitor/stages/test_alarms.py", "firmware_bridge/test_stream.py", "firmware_bridge/test_messages.py",
]  # fmt: skip
TESTS = {
    "litert": [*COMMON, "gateway/test_local_store.py"],
    "litert-trixie": ["runtime/test_classifier.py", "bundle/test_golden.py"],
    "tflite-runtime": ["runtime/test_classifier.py"],
    "armv7l": [*COMMON, "gateway/test_local_store.py::test_the_life_of_a_bundle_on_a_gateway"],
}
"""What a gateway does, without pseudo-terminals, which the emulator's guests cannot open."""

ELSEWHERE = ["--ignore", "tests/runtime/test_edgetpu.py"]
"""Needs a compiler for the Pi."""


@pytest.fixture(scope="session")
def models(tiny_models: Callable[[str], bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of the models that the tests on a Pi, which has no TensorFlow, are given."""
    folder = tmp_path_factory.mktemp("models")
    for target in ("cpu", "edgetpu", "tflite-runtime"):
        (folder / f"{target}.tflite").write_bytes(tiny_models(target))
    return folder


@pytest.fixture(scope="module")
def tested(emulated_pi: Pi, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Run the gateway's own tests on all kinds of Pi at once, and return (exit code, what was printed) by kind."""
    folder = tmp_path_factory.mktemp("pi")
    started = {}
    for kind, tests in TESTS.items():
        pi = emulated_pi(kind)
        python = pi.program(folder / kind, extra=(REPOSITORY, pi.test_packages))
        command = [
            "env", "-u", "DRSN_EDGE_REQUIRE_PARTS", f"DRSN_EDGE_TEST_MODELS={models}", str(python), "-m", "pytest",
            "-q", "-p", "no:cacheprovider", "--hypothesis-profile", "emulator", f"--basetemp={folder / kind}-tmp",
            *ELSEWHERE,
            *(f"tests/{test}" for test in tests),
        ]  # fmt: skip
        started[kind] = subprocess.Popen(
            command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
    ended = {kind: process.communicate(timeout=TIMEOUT_S)[0] for kind, process in started.items()}
    return {kind: (started[kind].returncode, said) for kind, said in ended.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_the_gateways_own_tests_pass_there(tested: dict[str, tuple[int, str]], kind: str) -> None:
    code, said = tested[kind]
    assert code == 0, said[-3000:]
    print(said.strip().splitlines()[-1])


@pytest.mark.parametrize("kind", KINDS)
def test_the_doctor_finds_an_interpreter_that_computes(emulated_pi: Pi, kind: str, tmp_path: Path) -> None:
    python = emulated_pi(kind).program(tmp_path / "python")
    done = subprocess.run(
        [python, "-m", "drsn_edge.cli.main", "doctor", "--json"], capture_output=True, text=True, timeout=TIMEOUT_S
    )
    findings = json.loads(done.stdout)["findings"]
    (found,) = [each for each in findings if each["check"] == "python"]
    assert found["what"].startswith(f"CPython {KINDS[kind].python}.") and found["level"] == "ok"
    assert found["what"].endswith(f" on {KINDS[kind].machine}")
    computing = " ".join(each["what"] for each in findings if each["check"] == "interpreter")
    wanted = "ai-edge-litert" if kind.startswith("litert") else "tflite-runtime"
    assert f"{wanted} " in computing and "computes" in computing and done.returncode == 0


@pytest.fixture(scope="session")
def vibration_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle for the emulated board's sensor: a network with random weights."""
    keras = pytest.importorskip("keras", reason="making a model needs the extra `train`")
    from drsn_edge.models.config import preset
    from drsn_edge.models.drsn import build_model
    from quantize.convert import to_int8

    keras.utils.set_random_seed(2)
    contract = SignalContract(26_667.0, ("x", "y", "z"), "g", window=1024, hop=1024, scaling=Scaling("rms"))
    network = build_model(preset("small", window=1024, n_axes=3, n_classes=4))
    windows = np.random.default_rng(0).normal(size=(16, 1, 1024, 3)).astype(np.float32)
    model = to_int8(network, windows, "cpu").data
    classifier = Classifier(model, "numpy")
    labels = ("calm", "worn", "loud", "loose")
    manifest = Manifest(
        "board", "1.0.0", contract, labels, classifier.input, (classifier.output,), {MODEL: sha256(model)}, "tests"
    )
    path = tmp_path_factory.mktemp("board") / "board.drsn"
    write_bundle(Bundle(replace(manifest, votes="1/1"), model), path)
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_a_board_a_wire_and_a_pi_give_decisions(
    build: Callable[[str], Path],
    need: Callable[..., None],
    waveform: Counts,
    emulated_pi: Pi,
    vibration_bundle: Path,
    kind: str,
    tmp_path: Path,
) -> None:
    need("qemu-system-arm", "arm-none-eabi-gcc", "make")
    python, elf = emulated_pi(kind).program(tmp_path / "python"), build("qemu-mps2-an386.elf")
    wave = wave_file(tmp_path / "wave.bin", waveform)
    log = tmp_path / "log"
    monitor: list[Any] = ["-m", "drsn_edge.cli.main", "monitor", "--model", vibration_bundle, "--json"]
    with running(*qemu("mps2-an386", elf, "0x21000000", wave)) as board:
        live: list[Any] = ["--port", port_of(board), "--record", log, "--duration", "12"]
        done = subprocess.run([python, *monitor, *live], capture_output=True, text=True, timeout=TIMEOUT_S)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    summary = lines[-1]
    windows = [line for line in lines if line["type"] == "window"]
    assert len(windows) > 10 and any(line["type"] == "decision" for line in lines)
    assert summary["samples_received"] > 20_000 and summary["link"]["crc_errors"] == 0
    judged = {line["first_sample"]: line["label"] for line in windows if line["verdict"] == "CLASS"}
    replayed = subprocess.run(
        [sys.executable, *map(str, monitor), "--replay", str(log), "--runtime", "numpy"],
        capture_output=True, text=True, timeout=TIMEOUT_S,
    )  # fmt: skip
    again = {
        line["first_sample"]: line["label"]
        for line in map(json.loads, replayed.stdout.splitlines())
        if line["type"] == "window"
    }
    same = Counter(again[first] == label for first, label in judged.items())
    print(kind, summary["samples_received"], summary["windows_skipped"], same)
    assert same[True] > 10 and same[False] <= 0.05 * same[True]  # another runtime, and a network of random weights


WITHOUT_A_RUNTIME = """
import sys

sys.modules["tflite_runtime"] = sys.modules["ai_edge_litert"] = None
from drsn_edge.cli.main import main

sys.argv[0] = "drsn-edge"
main()
"""


def test_a_pi_of_32_bits_without_a_runtime_learns_and_watches(emulated_pi: Pi, tmp_path: Path) -> None:
    pytest.importorskip("scipy", reason="simulating a machine needs the extra `train`")
    from drsn_edge.simulation.virtual_sensor import Playback, simulated_recording, virtual_sensor

    python, logs = emulated_pi("armv7l").program(tmp_path / "python"), {}
    for condition, seconds in (("healthy", 36.0), ("outer_race", 6.0)):
        logs[condition] = tmp_path / condition
        recording = simulated_recording(condition, 1480.0, seconds, 1)
        sensor = virtual_sensor(recording, Playback(speed=None), link=tmp_path / f"{condition}-port")
        thread = Thread(target=sensor.run, daemon=True)
        thread.start()
        record = [sys.executable, "-m", "drsn_edge.cli.main", "record", "--port", sensor.port, "--out", logs[condition]]
        subprocess.run([*map(str, record)], check=True, timeout=TIMEOUT_S, cwd=REPOSITORY)
        thread.join(10.0)
    bearing = "[bearing]\nn_balls = 9\nball_diameter_mm = 7.94\npitch_diameter_mm = 39.04\n"
    (tmp_path / "limits.toml").write_text(bearing)

    def there(*words: object) -> str:
        command = [str(python), "-c", WITHOUT_A_RUNTIME, *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, cwd=tmp_path)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    there("learn", "--replay", logs["healthy"], "--limits", "limits.toml", "--rpm", 1480, "--out", "pump.drsn")
    said = there("monitor", "--replay", logs["outer_race"], "--model", "pump.drsn", "--rpm", 1480, "--json")
    summary = json.loads(said.splitlines()[-1])
    assert summary["labels"]["healthy"] == 0 and summary["labels"]["like outer_race"] > 10, summary
