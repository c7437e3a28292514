"""`simulate` and `monitor` over a pseudo-terminal: in one process where that will do, in two where they are killed."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import click
import pytest
from fake_broker import FakeBroker
from refusals import expect, failure_of

from drsn_edge.errors import OutputError, SettingsError
from drsn_edge.monitor.sinks.topics import topic_part
from firmware_bridge.errors import NoBundleError

COMMAND = [sys.executable, "-m", "drsn_edge.cli.main"]
WINDOW, HOP = 64, 32
TIMEOUT_S = 20.0

Run = Callable[..., Any]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start `drsn-edge ARGUMENTS` as a process of its own, which does not outlive the test."""
    monkeypatch.delenv("DRSN_EDGE_PORT", raising=False)
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")
    started: list[subprocess.Popen[str]] = []

    def popen(*arguments: Any, **options: Any) -> subprocess.Popen[str]:
        command = [*COMMAND, *map(str, arguments)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
        started.append(subprocess.Popen(command, **pipes))
        return started[-1]

    yield popen
    for process in started:
        process.kill()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def finish(process: subprocess.Popen[str]) -> tuple[int, list[str], str]:
    """Read what is left, which may be more than a pipe holds, and wait; a process that hangs is killed: code -9.

    The text of stderr is empty where it goes to a file.
    """
    timer = threading.Timer(TIMEOUT_S, process.kill)
    timer.start()
    try:
        said = [] if process.stdout is None else process.stdout.read().splitlines()
        return process.wait(TIMEOUT_S), said, "" if process.stderr is None else process.stderr.read()
    finally:
        timer.cancel()


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def read_until(process: subprocess.Popen[str], wanted: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    """Read JSON lines up to the first that is wanted; the end of the output is a failure."""
    assert process.stdout is not None
    lines: list[dict[str, Any]] = []
    while not lines or not wanted(lines[-1]):
        text = process.stdout.readline()
        assert text, lines
        lines.append(json.loads(text))
    return lines


def is_window(line: dict[str, Any]) -> bool:
    return line["type"] == "window"


def json_of(done: Any) -> list[dict[str, Any]]:
    assert (done.code, done.err) == (0, ""), done
    return [json.loads(line) for line in done.out.splitlines()]


@pytest.fixture
def recording(tmp_path: Path, save_recording: Any) -> Path:
    return save_recording(tmp_path / "noise.npz")


# --- in one process ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [4000, 4001, WINDOW - 1, 1])
def test_every_sample_that_was_sent_is_received_and_judged(
    run: Run, playing: Any, tiny_bundle_path: Path, n: int
) -> None:
    with playing(n) as (port, sent):
        lines = json_of(run("monitor", "--port", port, "--model", tiny_bundle_path, "--json"))
    assert {line["schema"] for line in lines} == {1}
    windows = [line for line in lines if is_window(line)]
    assert [line["first_sample"] for line in windows] == list(range(0, n - WINDOW + 1, HOP))
    assert {line["verdict"] for line in windows} <= {"CLASS"}
    assert all(set(line["scores"]) == {"calm", "worn", "loud"} for line in windows)
    summary = lines[-1]
    assert summary["type"] == "summary" and [line["type"] for line in lines].count("summary") == 1
    assert (summary["samples_received"], summary["samples_lost"]) == (n, 0)
    assert (sent[0].samples_sent, sent[0].samples_dropped, sent[0].ended) == (n, 0, True)
    assert summary["windows"] == len(windows)


def test_another_unit_is_converted(run: Run, playing: Any, tiny_bundle_path: Path) -> None:
    with playing(500, unit="m/s2") as (port, _):
        lines = json_of(run("monitor", "--port", port, "--model", tiny_bundle_path, "--json"))
    assert {line["verdict"] for line in lines if is_window(line)} == {"CLASS"}


def test_without_json_there_are_decisions_and_the_summary(run: Run, playing: Any, tiny_bundle_path: Path) -> None:
    with playing() as (port, _):
        done = run("monitor", "--port", port, "--model", tiny_bundle_path, "--votes", "1/1")
    assert (done.code, done.err) == (0, "")
    *decisions, samples, windows, link = done.out.splitlines()
    assert decisions and all(", since " in line for line in decisions)
    assert samples == "samples   4000 received, 0 lost; rate by the sensor's clock not measured"
    assert windows.startswith("windows   124 judged, 0 without a verdict, 0 unknown; classes: ")
    assert link == "link      0 times lost, 0 damaged frames"


def test_the_port_may_come_from_the_environment(
    run: Run, playing: Any, tiny_bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with playing(500) as (port, _):
        monkeypatch.setenv("DRSN_EDGE_PORT", str(port))
        lines = json_of(run("monitor", "--model", tiny_bundle_path, "--json"))
    assert lines[-1]["samples_received"] == 500


@pytest.mark.parametrize("seconds", [0, 0.4])
def test_a_duration_ends_the_run_cleanly(run: Run, playing: Any, tiny_bundle_path: Path, seconds: float) -> None:
    with playing(loop=True, speed=1.0) as (port, sent):
        begun = time.monotonic()
        lines = json_of(run("monitor", "--port", port, "--model", tiny_bundle_path, "--json", "--duration", seconds))
        assert seconds <= time.monotonic() - begun < seconds + 2.0
    assert lines[-1]["type"] == "summary"
    assert (lines[-1]["samples_received"] > 0) == (seconds > 0)
    assert sent[0].ended is False


def test_a_sensor_of_another_kind_ends_it_with_exit_1(run: Run, playing: Any, tiny_bundle_path: Path) -> None:
    with playing(axes=("x", "y", "z")) as (port, _):
        done = run("monitor", "--port", port, "--model", tiny_bundle_path)
    assert done.code == 1
    assert done.err.count("\n") == 1 and "x,y,z" in done.err


# --- in processes of their own -----------------------------------------------------------------------------------


def test_two_commands_one_wire(start: Start, recording: Path, tiny_bundle_path: Path, tmp_path: Path) -> None:
    port = tmp_path / "sensor"
    simulator = start("simulate", "--recording", recording, "--link", port, "--speed", 0, "--json")
    wait_until(port.exists)
    code, lines, err = finish(start("monitor", "--port", port, "--model", tiny_bundle_path, "--json"))
    assert (code, err) == (0, "")
    heard = json.loads(lines[-1])
    code, (said,), err = finish(simulator)
    sent = json.loads(said)
    assert code == 0 and sent["schema"] == 1 and sent["ended"] is True
    assert err.count("\n") == 1 and "4000 Hz, axes x,y, unit g, 1.0 s; waiting for a reader" in err
    assert sent["samples_produced"] == sent["samples_sent"] == heard["samples_received"] == 4000
    assert sent["values_clipped"] == heard["samples_lost"] == 0
    assert not os.path.lexists(port)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop_both_end_with_a_summary(
    start: Start, recording: Path, tiny_bundle_path: Path, tmp_path: Path, number: signal.Signals
) -> None:
    port = tmp_path / "sensor"
    simulator = start("simulate", "--recording", recording, "--link", port, "--loop", "--json")
    wait_until(port.exists)
    monitor = start("monitor", "--port", port, "--model", tiny_bundle_path, "--json")
    lines = read_until(monitor, is_window)
    monitor.send_signal(number)
    code, rest, err = finish(monitor)
    lines += map(json.loads, rest)
    assert (code, err) == (0, "")
    assert lines[-1]["type"] == "summary" and lines[-1]["windows"] == sum(map(is_window, lines)) > 0
    simulator.send_signal(number)
    code, (said,), _ = finish(simulator)
    assert (code, json.loads(said)["ended"]) == (0, False)
    assert not os.path.lexists(port)


def test_a_simulator_that_dies_is_a_lost_link_and_its_successor_is_heard(
    start: Start, recording: Path, tiny_bundle_path: Path, tmp_path: Path
) -> None:
    port = tmp_path / "sensor"
    play = ["simulate", "--recording", recording, "--link", port, "--loop"]
    first = start(*play)
    wait_until(port.exists)
    monitor = start("monitor", "--port", port, "--model", tiny_bundle_path, "--json")
    lines = read_until(monitor, is_window)
    first.kill()
    lost = read_until(monitor, lambda line: line["type"] == "decision" and line["reason"] == "LINK LOST")[-1]
    assert (lost["verdict"], lost["label"], lost["scores"], lost["schema"]) == ("NO_VERDICT", None, None, 1)
    assert lost["first_sample"] >= lines[-1]["first_sample"]
    start(*play)
    again = read_until(monitor, is_window)
    assert (again[-1]["first_sample"], again[-1]["verdict"]) == (0, "CLASS")  # another session
    monitor.send_signal(signal.SIGINT)
    code, rest, err = finish(monitor)
    summary = json.loads(rest[-1])
    assert (code, err) == (0, "")
    assert (summary["link_losses"], summary["link"]["restarts"]) == (1, 1)


def test_a_simulator_that_hangs_shows_nothing_until_it_goes_on(
    start: Start, recording: Path, tiny_bundle_path: Path, tmp_path: Path
) -> None:
    port = tmp_path / "sensor"
    simulator = start("simulate", "--recording", recording, "--link", port, "--loop")
    wait_until(port.exists)
    monitor = start("monitor", "--port", port, "--model", tiny_bundle_path, "--json")
    read_until(monitor, is_window)
    simulator.send_signal(signal.SIGSTOP)
    stalled = read_until(monitor, lambda line: line["type"] == "decision" and line["reason"] == "NO SAMPLES")[-1]
    assert (stalled["verdict"], stalled["label"], stalled["lost_samples"]) == ("NO_VERDICT", None, 0)
    simulator.send_signal(signal.SIGCONT)
    assert read_until(monitor, is_window)[-1]["verdict"] == "CLASS"  # it caught up: nothing was lost
    monitor.send_signal(signal.SIGTERM)
    code, rest, err = finish(monitor)
    assert (code, err, json.loads(rest[-1])["samples_lost"]) == (0, "", 0)


def test_a_reader_that_has_seen_enough_causes_no_traceback(
    start: Start, recording: Path, tiny_bundle_path: Path, tmp_path: Path
) -> None:
    port = tmp_path / "sensor"
    start("simulate", "--recording", recording, "--link", port, "--loop")
    wait_until(port.exists)
    monitor = start("monitor", "--port", port, "--model", tiny_bundle_path, "--json")
    assert monitor.stdout is not None and monitor.stderr is not None
    assert json.loads(monitor.stdout.readline())["type"] == "window"
    monitor.stdout.close()
    assert monitor.wait(TIMEOUT_S) in (0, 1)
    assert monitor.stderr.read() == ""


def printing_and_writing(
    start: Start, recording: Path, bundle: Path, folder: Path
) -> tuple[subprocess.Popen[str], Path]:
    """Start a monitor that prints JSON; return it and the file of lines that it writes, too."""
    start("simulate", "--recording", recording, "--link", folder / "sensor", "--loop")
    wait_until((folder / "sensor").exists)
    lines = folder / "lines.jsonl"
    return start("monitor", "--port", folder / "sensor", "--model", bundle, "--json", "--lines", lines), lines


def test_a_reader_that_has_gone_ends_no_other_output(
    start: Start, recording: Path, tiny_bundle_path: Path, tmp_path: Path
) -> None:
    monitor, lines = printing_and_writing(start, recording, tiny_bundle_path, tmp_path)
    assert monitor.stdout is not None and monitor.stderr is not None
    monitor.stdout.readline()
    monitor.stdout.close()
    assert "Nobody reads standard output" in monitor.stderr.readline()
    there = lines.stat().st_size
    wait_until(lambda: lines.stat().st_size > there)
    monitor.send_signal(signal.SIGINT)
    assert (monitor.wait(TIMEOUT_S), monitor.stderr.read()) == (0, "")
    assert json.loads(lines.read_text().splitlines()[-1])["type"] == "summary"


def test_a_reader_that_has_stopped_holds_up_no_end(
    start: Start, recording: Path, tiny_bundle_path: Path, tmp_path: Path
) -> None:
    monitor, lines = printing_and_writing(start, recording, tiny_bundle_path, tmp_path)
    assert monitor.stdout is not None and monitor.stderr is not None
    os.set_blocking(monitor.stdout.fileno(), False)
    while True:  # until the pipe is full, and all waits for its reader
        wait_until(lambda: lines.exists() and lines.stat().st_size > 0)
        before = lines.stat().st_size
        time.sleep(1.0)
        if lines.stat().st_size == before:
            break
    monitor.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    assert monitor.poll() is None
    monitor.send_signal(signal.SIGTERM)
    assert monitor.wait(5) == 1
    assert "Aborted" in monitor.stderr.read()


def test_a_second_monitor_is_refused_while_the_first_reads(
    start: Start, run: Run, recording: Path, tiny_bundle_path: Path, tmp_path: Path
) -> None:
    port = tmp_path / "sensor"
    start("simulate", "--recording", recording, "--link", port, "--loop")
    wait_until(port.exists)
    monitor = start("monitor", "--port", port, "--model", tiny_bundle_path, "--json")
    read_until(monitor, is_window)
    done = run("monitor", "--port", port, "--model", tiny_bundle_path)
    assert done.code == 1 and f"in use by python ({monitor.pid})" in done.err and done.err.count("\n") == 1
    monitor.send_signal(signal.SIGINT)
    code, rest, _ = finish(monitor)
    assert (code, json.loads(rest[-1])["samples_lost"]) == (0, 0)


# --- replay ----------------------------------------------------------------------------------------------------------


def timeless(lines: Sequence[str | dict[str, Any]]) -> tuple[list[dict[str, Any]], list[datetime]]:
    """Return lines without their `time`, which a replay takes from the log, and the times."""
    found = [json.loads(line) if isinstance(line, str) else dict(line) for line in lines]
    return found, [datetime.fromisoformat(line.pop("time")) for line in found]


def are_the_same(replayed: Sequence[str | dict[str, Any]], said: Sequence[str | dict[str, Any]]) -> bool:
    """Tell whether lines are the same but for moments."""
    (then, times_then), (now, times_now) = timeless(replayed), timeless(said)
    assert all(time.tzinfo is not None for time in times_now)
    apart = [abs((one - other).total_seconds()) for one, other in zip(times_then, times_now, strict=True)]
    return then == now and max(apart) < 5


def test_a_replay_says_what_was_said(
    run: Run, start: Start, recording: Path, tiny_bundle_path: Path, tmp_path: Path
) -> None:
    faults = ["unplug at 1 for 3.5", "drop-frame 0.01", "flip 1e-6", "stall at 5 for 3", "clip 0.2 at 8.2 for 0.5"]
    link = tmp_path / "sensor"
    sensor = start("simulate", "--recording", recording, "--link", link, "--loop", *[
        argument for fault in faults for argument in ("--fault", fault)
    ])  # fmt: skip
    wait_until(link.exists)
    live = start("monitor", "--port", link, "--model", tiny_bundle_path, "--json", "--votes", "2/3",
                 "--record", tmp_path / "logs", "--duration", 10, stdout=(tmp_path / "live").open("w"))  # fmt: skip
    code, _, err = finish(live)
    assert (code, err) == (0, "")
    sensor.kill()
    said = (tmp_path / "live").read_text().splitlines()
    again = run("monitor", "--replay", tmp_path / "logs", "--model", tiny_bundle_path, "--json", "--votes", "2/3")
    assert (again.code, again.err) == (0, "")
    assert are_the_same(again.out.splitlines(), said)
    reasons = {line["reason"] for line in map(json.loads, said) if line["type"] == "decision"}
    assert {"LINK LOST", "NO SAMPLES"} <= reasons and '"verdict": "CLASS"' in "".join(said)


SETTINGS = """
[decision]
votes = "2/3"

[alarms]
normal = ["calm"]
windows = 3
on = 0.35
off = 0.34
on_delay_s = 0.0
off_delay_s = 0.05
latch = true

[capture]
folder = "captures"
before_s = 0.5
after_s = 0.5
"""


def test_alarms_are_acknowledged_by_a_signal_captured_and_replayed(
    run: Run, start: Start, recording: Path, tiny_bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "monitor.toml").write_text(SETTINGS)
    settings = ("--model", tiny_bundle_path, "--settings", tmp_path / "monitor.toml", "--json", "--machine", "fan")
    sensor = start("simulate", "--recording", recording, "--link", tmp_path / "sensor", "--loop")
    wait_until((tmp_path / "sensor").exists)
    live = start("monitor", "--port", tmp_path / "sensor", *settings, "--record", tmp_path / "logs", "--duration", 30)
    lines = read_until(live, lambda line: line["type"] == "alarm")
    live.send_signal(signal.SIGUSR1)
    lines += read_until(live, lambda line: line["type"] == "alarm" and line["state"] == "ACKNOWLEDGED")
    live.send_signal(signal.SIGTERM)
    code, rest, err = finish(live)
    assert (code, err) == (0, "")
    sensor.kill()
    lines += map(json.loads, rest)
    kept = sorted(path.name for path in (tmp_path / "captures").iterdir())
    assert next(line["capture"] for line in lines if line["type"] == "alarm") in kept
    again = run("monitor", "--replay", tmp_path / "logs", *settings)
    assert (again.code, again.err) == (0, "")
    replayed = list(map(json.loads, again.out.splitlines()))
    for line in (*lines, *replayed):
        line.pop("capture", None)  # its name has the time, and is another where a file is there already
    assert are_the_same(replayed, lines)
    windows = run("monitor", "--replay", tmp_path / "captures" / kept[0], "--model", tiny_bundle_path, "--json")
    assert windows.code == 0 and '"verdict": "CLASS"' in windows.out


def test_alarms_are_published_measured_and_acknowledged_through_a_broker(
    start: Start, recording: Path, tiny_bundle_path: Path, tmp_path: Path
) -> None:
    pytest.importorskip("paho.mqtt", reason="needs the extra `mqtt`")
    (tmp_path / "monitor.toml").write_text(SETTINGS.partition("[capture]")[0])
    broker = FakeBroker()
    with socket.create_server(("127.0.0.1", 0)) as free:
        metrics = free.getsockname()[1]
    sensor = start("simulate", "--recording", recording, "--link", tmp_path / "sensor", "--loop")
    wait_until((tmp_path / "sensor").exists)
    live = start(
        "monitor", "--port", tmp_path / "sensor", "--model", tiny_bundle_path, "--settings", tmp_path / "monitor.toml",
        "--json", "--machine", "fan/1", "--mqtt", f"mqtt://127.0.0.1:{broker.port}/plant", "--mqtt-gateway", "g",
        "--mqtt-client-id", "me", "--metrics", metrics, "--duration", 30,
    )  # fmt: skip
    base = f"plant/g/{topic_part('fan/1')}"

    def page() -> str:
        with urlopen(f"http://127.0.0.1:{metrics}/metrics") as answer:
            return str(answer.read().decode())

    name = read_until(live, lambda line: line["type"] == "alarm")[-1]["name"]
    at = f"{base}/alarm/{topic_part(name)}"

    def states() -> list[str]:
        return [json.loads(payload)["state"] for payload in broker.of(at)]

    def retained_alarms() -> dict[str, dict[str, float]]:
        return dict(json.loads(broker.retained.get(f"{base}/state", "{}")).get("alarms", {}))

    broker.wait_for(lambda: "RAISED" in states() and broker.subscribed)
    assert f'drsn_edge_alarm{{alarm="{name}",machine="fan/1"}} 1' in page()
    assert states()[0] == "CLEARED" and broker.client_ids == ["me"]
    broker.publish(f"{base}/acknowledge", b"")
    read_until(live, lambda line: line["type"] == "alarm" and line["state"] == "ACKNOWLEDGED")
    broker.wait_for(lambda: "ACKNOWLEDGED" in states() and retained_alarms().get(name, {}).get("acknowledged_s"))
    broker.close()
    wait_until(lambda: 'drsn_edge_output_failing{machine="fan/1",output="mqtt"} 1' in page())
    live.send_signal(signal.SIGTERM)
    assert finish(live)[0] == 0
    state = json.loads(broker.retained[f"{base}/state"])
    assert state["bundle"]["name"] == "tiny"
    assert state["measured_s"] > 1e9 and state["alarms"][name]["acknowledged_s"] >= state["alarms"][name]["raised_s"]
    sensor.kill()


def test_settings_that_are_wrong_end_it_before_the_port_is_opened(
    run: Run, tiny_bundle_path: Path, tmp_path: Path
) -> None:
    (tmp_path / "monitor.toml").write_text("[alarms]\nnormal = ['healthy']\n")
    settings = tmp_path / "monitor.toml"
    failure = failure_of("monitor", "--port", "/dev/absent", "--model", tiny_bundle_path, "--settings", settings)
    expect(failure, SettingsError, "unknown_class", place=f"{settings}, line 2", got="healthy")


def test_what_is_replayed_must_be_said_clearly(run: Run, tiny_bundle_path: Path, tmp_path: Path, monkeypatch) -> None:
    model = ("monitor", "--model", tiny_bundle_path)
    for wrong in ([], ["--port", "x", "--replay", "y"], ["--replay", "y", "--record", "z"]):
        done = run(*model, *wrong)
        assert done.code == 2 and all(name in done.err for name in (*wrong[::2], "--replay"))
    empty = run(*model, "--replay", tmp_path)
    assert empty.code == 1 and type(empty.why) is OutputError and "*.drsnlog" in empty.err
    monkeypatch.setenv("DRSN_EDGE_PORT", "/dev/absent")
    assert type(run(*model, "--replay", tmp_path).why) is OutputError


def test_a_full_disk_ends_the_log_and_not_the_verdicts(
    run: Run, playing: Any, tiny_bundle_path: Path, tmp_path: Path, monkeypatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("firmware_bridge.wire.raw_log.RawLogWriter._segment", full)
    with playing() as (port, _):
        done = run("monitor", "--port", port, "--model", tiny_bundle_path, "--json", "--record", tmp_path / "logs")
    assert done.code == 0 and done.err.count("No space left") == 1
    assert json.loads(done.out.splitlines()[-1])["samples_received"] == 4000


def test_outputs_fail_one_by_one_verdicts_go_on_and_the_state_says_so(
    start: Start, recording: Path, tiny_bundle_path: Path, tmp_path: Path
) -> None:
    def no_long_files() -> None:  # what the system says of them is what it says of a full disk, but for the number
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    sensor = start("simulate", "--recording", recording, "--link", tmp_path / "sensor", "--loop")
    wait_until((tmp_path / "sensor").exists)
    with socket.create_server(("127.0.0.1", 0)) as free:
        metrics = free.getsockname()[1]
    live = start(
        "monitor", "--port", tmp_path / "sensor", "--model", tiny_bundle_path, "--json", "--metrics", metrics,
        "--lines", tmp_path / "lines.jsonl", "--history", tmp_path / "history", "--record", tmp_path / "logs",
        "--duration", 30, preexec_fn=no_long_files,
    )  # fmt: skip

    def failing() -> dict[str, float]:
        with urlopen(f"http://127.0.0.1:{metrics}/metrics") as answer:
            text = answer.read().decode()
        return {name: float(on) for name, on in re.findall(r'output_failing\{.*output="(\w+)"\} (\S+)', text)}

    read_until(live, is_window)
    assert set(failing()) == {"lines", "history", "log", "metrics", "stdout"}
    while sum(failing().values()) < 3:
        read_until(live, is_window)
    after = [read_until(live, is_window)[-1] for _ in range(50)]
    assert {line["verdict"] for line in after} == {"CLASS"}
    live.send_signal(signal.SIGTERM)
    code, rest, said = finish(live)
    summary = json.loads(rest[-1])
    assert code == 0 and summary["samples_lost"] == 0
    said_at_the_end = [line for line in said.splitlines() if " lost" in line and "at the end" in line]
    assert sorted("windows" in line for line in said_at_the_end) == [False, True]  # of the lines, of the history
    warnings = [line for line in said.splitlines() if line.startswith("Warning: ") and line not in said_at_the_end]
    told = [sum(each in line for line in warnings) for each in ("lines.jsonl", "the history", ".drsnlog")]
    assert told[0] in (1, 2) and told[1:] == [1, 1]  # a write that fits in part has no room left, the next is too large
    assert all("Could not write" in line for line in warnings if "lines.jsonl" in line)
    whole = (tmp_path / "lines.jsonl").read_text().splitlines()[:-1]  # the last one may be cut
    assert len(whole) > 100 and all(json.loads(line) for line in whole)
    sensor.kill()


# --- severity --------------------------------------------------------------------------------------------------------


def test_severity_and_its_zone_stand_beside_the_class(
    run: Run, playing: Any, tiny_bundle_path: Path, tmp_path: Path
) -> None:
    limits = tmp_path / "limits.toml"
    limits.write_text("[zones]\nvelocity_mm_s = [0.001, 0.002, 1e6]\n")
    with playing(16_000) as (port, _):
        lines = json_of(run("monitor", "--port", port, "--model", tiny_bundle_path, "--json", "--limits", limits))
    found = [line for line in lines if line["type"] == "severity"]
    assert [line["device_time_s"] for line in found] == [0, 1, 2] and {line["zone"] for line in found} == {"C"}
    assert all(line["velocity_rms_mm_s"] > 0.002 and 2.5 < line["kurtosis"] < 3.5 for line in found)
    limits.write_text("[zones]\n")
    wrong = run("monitor", "--port", "x", "--model", tiny_bundle_path, "--limits", limits)
    assert wrong.code == 1 and type(wrong.why) is SettingsError


# --- several sensors, another model while it runs ---------------------------------------------------------------------


def test_two_ports_are_watched_at_once_and_one_that_fails_costs_the_other_nothing(
    start: Start, recording: Path, tiny_bundle_path: Path, tmp_path: Path
) -> None:
    links = [tmp_path / "a", tmp_path / "b"]
    sensors = [start("simulate", "--recording", recording, "--link", link, "--loop") for link in links]
    for link in links:
        wait_until(link.exists)
    ports = [argument for link in (*links, tmp_path / "absent") for argument in ("--port", link)]
    errors = tmp_path / "stderr"
    with errors.open("w") as file:
        both = start("monitor", *ports, "--model", tiny_bundle_path, "--json", "--duration", 60, stderr=file)
    seen: dict[str, int] = {}
    read_until(both, lambda line: seen.update({line["machine"]: seen.get(line["machine"], 0) + 1}) or (
        seen.get("a", 0) > 20 and seen.get("b", 0) > 20 and "Trying again" in errors.read_text()
    ))  # fmt: skip
    both.send_signal(signal.SIGTERM)
    code, rest = finish(both)[:2]
    summaries = {line["machine"]: line for line in map(json.loads, rest) if line["type"] == "summary"}
    assert code == 0 and set(summaries) == {"a", "b", "absent"}
    assert summaries["absent"]["samples_received"] == 0
    assert all(line["samples_lost"] == 0 for line in summaries.values())
    told = errors.read_text()
    assert re.search(r"absent: There is no device at .* Trying again", told)
    assert "absent: no samples were received. There is no device at" in told
    for sensor in sensors:
        sensor.kill()


def test_a_file_of_sensors_says_what_is_watched(run: Run, playing: Any, tiny_bundle_path: Path, tmp_path: Path) -> None:
    with playing(2000) as (port, _):
        sensors = tmp_path / "sensors.toml"
        sensors.write_text(
            f'lines = "all.jsonl"\n[[sensor]]\nmachine = "pump 3"\nport = "{port}"\nmodel = "{tiny_bundle_path}"\n'
        )
        done = run("monitor", "--sensors", sensors)
    assert (done.code, done.err) == (0, "") and "samples   2000 received, 0 lost" in done.out
    lines = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert {line["machine"] for line in lines} == {"pump 3"} and lines[-1]["samples_received"] == 2000


@pytest.mark.parametrize(
    ("text", "line", "problem", "facts"),
    [
        ("", None, "no_sensors", {}),
        ("[[sensor]]\nport = 3", 2, "wrong_type", {"key": "port", "expected": "text", "got": "3"}),
        ("model = 'm'\n[[sensor]]\nmachine = 'a'", None, "no_port", {"machine": "a"}),
        ("model = 'm'\n[[sensor]]\nport = 'a'\n[[sensor]]\nport = 'a'", None, "not_distinct", {"key": "port"}),
        ("model = 'm'\n[[sensor]]\nport = 'a'\nprot = 1", 4, "unknown_key", {"key": "prot"}),
        ("model = 'm'\n[[sensor]]\nport = 'a'\ntext_unit = 'g'", None, "text_format", {"port": "a"}),
        (
            "model = 'm'\n[[sensor]]\nport = 'a'\ntext_unit = 'furlong'\ntext_range = 2",
            None, "unknown_unit", {"port": "a"},
        ),
        ("model = 'm'\nruntime = 'tpu'\n[[sensor]]\nport = 'a'", None, "invalid_choice", {"got": "tpu"}),
        ("model = 'm'\n[[sensor]]\nport = 'a'\nfallback = 'gpu'", None, "invalid_choice", {"key": "fallback"}),
        ("model = 'm'\nmqtt_cert = 'c'\n[[sensor]]\nport = 'a'", 2, "changes_nothing", {"key": "mqtt_cert"}),
        ("[[sensor", None, "not_toml", {}),
        (
            "model = 'm'\n[[sensor]]\nport = 'a'\nmachine = \"l\\u001b]0;own\\u0007\"",
            4, "invalid_name", {"key": "machine"},
        ),
        ("model = 'm'\n[[sensor]]\nport = \"/dev/\\u001b[31m\"", 3, "invalid_name", {"key": "port"}),
        ("model = 'm'\n[[sensor]]\nport = 'a'\nmachine = 'fan '", 4, "invalid_name", {"got": "fan "}),
        ("model = 'm'\n[[sensor]]\nport = 'a'\nmachine = ''", 4, "invalid_name", {"got": ""}),
        (
            "model = 'm'\n[[sensor]]\nport = 'a'\nmachine = '\u00e9'\n[[sensor]]\nport = 'b'\nmachine = 'e\u0301'",
            None, "not_distinct", {"key": "machine"},
        ),
    ],
)  # fmt: skip
def test_a_file_of_sensors_that_is_wrong_is_refused(
    tmp_path: Path, text: str, line: int | None, problem: str, facts: dict[str, Any]
) -> None:
    path = tmp_path / "sensors.toml"
    path.write_text(text)
    where = {} if line is None else {"place": f"{path}, line {line}"}
    expect(failure_of("monitor", "--sensors", path), SettingsError, problem, **where, **facts)


def test_sensors_that_would_share_a_client_id_are_refused_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "sensors.toml"
    path.write_text(
        "model = 'm'\nmqtt = 'mqtt://b'\nmqtt_client_id = 'i'\n[[sensor]]\nport = 'a'\n[[sensor]]\nport = 'b'"
    )
    failure = failure_of("monitor", "--sensors", path)
    assert type(failure) is SettingsError and str(path) in str(failure) and failure.__cause__ is not None
    expect(failure.__cause__, SettingsError, "shared_client_id", machines=("a", "b"), client_id="i")


def test_a_sensor_without_a_model_needs_an_active_bundle(tmp_path: Path) -> None:
    (tmp_path / "sensors.toml").write_text("[[sensor]]\nport = 'a'")
    expect(failure_of("monitor", "--sensors", tmp_path / "sensors.toml"), NoBundleError, "none_active")


@pytest.mark.parametrize("name", ["", " ", "fan ", "fan\x1b[31m", "a\u202eb", "s\udcff"])
def test_a_name_that_cannot_be_told_from_another_is_refused(run: Run, tiny_bundle_path: Path, name: str) -> None:
    done = run("monitor", "--model", tiny_bundle_path, "--port", "a", "--machine", name)
    assert done.code == 2 and "--machine" in done.err
    assert done.err.replace("\n", "").isprintable()


def test_ways_that_contradict_each_other_are_refused(run: Run, tiny_bundle_path: Path) -> None:
    model = ("--model", tiny_bundle_path)
    for named, *more in (
        ("--machine", "--port", "a", "--port", "b", "--machine", "c"),
        ("--port a", "--port", "a", "--port", "a"),
        ("--sensors", "--port", "a", "--sensors", "b"),
    ):
        done = run("monitor", *model, *more)
        assert done.code == 2 and isinstance(done.why, click.UsageError) and named in done.err
    assert "--model" in run("monitor", "--port", "a").err
    for unused in (("--mqtt-gateway", "g"), ("--mqtt-key", "k"), ("--mqtt", "mqtt://b", "--mqtt-ca", "c")):
        done = run("monitor", *model, "--port", "a", *unused)
        assert done.code == 2 and isinstance(done.why, click.UsageError) and unused[-2] in done.err
    ports = ("--port", "/a/ttyUSB0", "--port", "/b/ttyUSB0")
    done = run("monitor", *model, *ports, "--mqtt", "mqtt://b")
    assert done.code == 2 and isinstance(done.why, click.UsageError) and done.err.count("ttyUSB0") > 1


def test_a_bundle_is_read_anew_and_a_broken_one_is_left_alone(
    start: Start, recording: Path, tiny_bundle_path: Path, tmp_path: Path
) -> None:
    model = tmp_path / "m.drsn"
    model.write_bytes(tiny_bundle_path.read_bytes())
    sensor = start("simulate", "--recording", recording, "--link", tmp_path / "sensor", "--loop")
    wait_until((tmp_path / "sensor").exists)
    live = start("monitor", "--port", tmp_path / "sensor", "--model", model, "--json", "--duration", 30)
    lines = read_until(live, is_window)
    assert live.stderr is not None
    live.send_signal(signal.SIGHUP)
    assert "tiny 1.0.0 was reloaded" in live.stderr.readline()
    model.write_bytes(b"broken")
    live.send_signal(signal.SIGHUP)
    assert "The previous bundle and settings stay in use" in live.stderr.readline()
    for _ in range(20):
        lines += read_until(live, is_window)
    live.send_signal(signal.SIGTERM)
    code, rest, err = finish(live)
    lines += map(json.loads, rest)
    assert (code, err) == (0, "")
    firsts = [line["first_sample"] for line in lines if is_window(line)]
    assert firsts == list(range(0, HOP * len(firsts), HOP))  # neither left out nor doubled
    assert lines[-1]["windows"] == len(firsts) and lines[-1]["samples_lost"] == 0
    sensor.kill()
