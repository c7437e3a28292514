"""`keys`, `bundle`, `flash`, `gateway`, `agent`, and a monitor that follows them while it streams."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from refusals import expect, failure_of

from drsn_edge.bundle.bundle import Bundle, Written, read_bundle, with_extra, write_bundle
from drsn_edge.bundle.manifest import Budget
from drsn_edge.errors import BundleError, ContractError, GateError, KeyFileError, OutputError, UntrustedKeyError
from firmware_bridge.errors import PortAbsentError, ProtocolError, RefusedError

COMMAND = [sys.executable, "-m", "drsn_edge.cli.main"]
HOP = 32
TIMEOUT_S = 60.0

Run = Callable[..., Any]


@pytest.fixture
def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> Path:
    """Return the state folder of a gateway that trusts this user's key."""
    monkeypatch.setenv("DRSN_EDGE_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("DRSN_EDGE_KEY_PASSPHRASE", raising=False)
    assert run("keys", "new", "--name", "works").code == 0
    assert run("keys", "trust", tmp_path / "config" / "drsn-edge" / "signing.key.pub").code == 0
    return tmp_path / "state"


@pytest.fixture
def make(tmp_path: Path, golden_bundle: Bundle, run: Run, gateway: Path) -> Callable[..., Path]:
    """Return what writes a signed bundle of some version, with changes of its manifest."""

    def write(version: str, **changes: Any) -> Path:
        path = tmp_path / f"pump-{version}.drsn"
        manifest = replace(golden_bundle.manifest, name="pump", version=version, **changes)
        write_bundle(replace(golden_bundle, manifest=manifest), path)
        assert run("bundle", "sign", path).code == 0
        return path

    return write


def status(run: Run, *options: Any) -> dict[str, Any]:
    done = run("gateway", "status", "--json", *options)
    assert done.code == 0, done
    return json.loads(done.out)


def test_a_key_is_made_shown_and_trusted(tmp_path: Path, gateway: Path, run: Run, monkeypatch: Any) -> None:
    line = run("keys", "show").out
    assert line.startswith("drsn-ed25519 ") and line.endswith(" works\n")
    key_id = json.loads(run("keys", "show", "--json").out)["keys"][0]["id"]
    assert run("keys", "show", "--trusted").out == f"{key_id}  works\n"
    done = run("keys", "new")
    assert done.code == 1 and type(done.why) is KeyFileError
    piped = subprocess.run([*COMMAND, "keys", "trust", "-", "--json"], input=line, capture_output=True, text=True)
    assert json.loads(piped.stdout)["id"] == key_id
    monkeypatch.setenv("DRSN_EDGE_STATE", str(tmp_path / "other"))
    assert f"({tmp_path / 'other' / 'trusted'})" in run("keys", "show", "--trusted").out


def test_a_bundle_is_shown_checked_and_compared(make: Callable[..., Path], run: Run, tmp_path: Path) -> None:
    first, second = make("1.0.0"), make("1.1.0", votes="2/3")
    shown = run("bundle", "show", first).out
    assert "bundle     pump 1.0.0" in shown and "500 ms per window, 200 MB" in shown
    assert json.loads(run("bundle", "show", first, "--json").out)["manifest"]["version"] == "1.0.0"
    assert run("bundle", "verify", first).out.startswith("complete, and signed by ")
    gate = run("bundle", "verify", first, "--gate").out
    assert "16 golden windows: litert" in gate and "the reference computes the same logits" in gate
    done = run("bundle", "diff", first, second)
    assert done.code == 1 and done.out.splitlines() == ["version: 1.0.0 -> 1.1.0", "votes: - -> 2/3"]
    assert (run("bundle", "diff", first, first).out, run("bundle", "diff", first, first).code) == ("no difference\n", 0)
    other = tmp_path / "other.key"
    made = run("keys", "new", "--key", other)
    assert made.code == 0 and f"drsn-edge keys show --key {other} | ssh GATEWAY sudo drsn-edge keys trust -" in made.out
    assert f"drsn-edge keys trust {other}.pub" in made.out
    assert run("bundle", "sign", first, "--key", other, "--out", tmp_path / "o.drsn").code == 0
    refused = run("bundle", "verify", tmp_path / "o.drsn")
    assert refused.code == 1 and type(refused.why) is UntrustedKeyError
    assert run("bundle", "verify", tmp_path / "o.drsn", "--key", f"{other}.pub").code == 0


def test_a_key_that_is_not_there_yet_is_made_by_a_command(tmp_path: Path, run: Run, monkeypatch: Any) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    done = run("keys", "show")
    assert done.code == 1 and "drsn-edge keys new" in done.err and "Errno" not in done.err
    expect(done.why, KeyFileError, "missing", path=tmp_path / "config" / "drsn-edge" / "signing.key")
    done = run("keys", "show", "--key", tmp_path / "other.key")
    assert done.code == 1 and f"drsn-edge keys new --key {tmp_path}/other.key" in done.err


@pytest.mark.parametrize("by", ["id", "name", "file"])
def test_a_key_is_trusted_no_more(make: Callable[..., Path], run: Run, tmp_path: Path, gateway: Path, by: str) -> None:
    run("flash", make("1.0.0"), "--to", "local")
    run("gateway", "confirm")
    newer, public = make("1.1.0"), tmp_path / "config" / "drsn-edge" / "signing.key.pub"
    key_id = json.loads(run("keys", "show", "--json").out)["keys"][0]["id"]
    done = run("keys", "untrust", {"id": key_id, "name": "works", "file": public}[by])
    assert done.code == 0 and f"no longer trusted: {key_id}" in done.out and "no key" in done.out
    assert "pump 1.0.0 is on this gateway and signed by this key" in done.out
    assert run("keys", "show", "--trusted", "--json").out.count(key_id) == 0
    refused = run("flash", newer, "--to", "local")
    assert refused.code == 1 and key_id in refused.err
    assert run("gateway", "status").out.count("runs       pump 1.0.0") == 1


def test_a_key_that_is_not_trusted_is_said_with_those_that_are(run: Run, tmp_path: Path, gateway: Path) -> None:
    key_id = json.loads(run("keys", "show", "--json").out)["keys"][0]["id"]
    done = run("keys", "untrust", "nobody")
    assert done.code == 1 and type(done.why) is KeyFileError and f"{key_id} (works)" in done.err
    run("keys", "new", "--key", tmp_path / "second.key", "--name", "works")
    run("keys", "trust", tmp_path / "second.key.pub")
    done = run("keys", "untrust", "works")
    assert done.code == 1 and type(done.why) is KeyFileError and key_id in done.err
    done = run("keys", "untrust", key_id, "--json")
    found = json.loads(done.out)
    assert found["id"] == key_id and len(found["left"]) == 1 and found["bundles"] == []
    assert run("keys", "untrust", "works").code == 0
    none = run("keys", "untrust", "works")
    assert none.code == 1 and type(none.why) is KeyFileError and key_id not in none.err


def test_an_older_content_comes_back_under_a_newer_version(
    make: Callable[..., Path], run: Run, gateway: Path, tmp_path: Path
) -> None:
    older = make("1.0.0")
    for path in (older, make("1.1.0")):
        run("flash", path, "--to", "local")
        run("gateway", "confirm")
    assert run("flash", older, "--to", "local").code == 1  # below the floor
    done = run("bundle", "reissue", older, "--as", "1.2.0")
    back = tmp_path / "pump-1.2.0.drsn"
    assert done.code == 0 and str(back) in done.out and "pump 1.0.0 as 1.2.0" in done.out
    changed = json.loads(run("bundle", "diff", older, back, "--json").out)["changed"]
    assert changed == {"version": ["1.0.0", "1.2.0"]}
    assert read_bundle(back).model == read_bundle(older).model
    assert run("flash", back, "--to", "local").code == 0
    assert status(run)["state"]["floors"] == {"pump": "1.1.0"}  # until it is confirmed
    run("gateway", "confirm")
    assert status(run)["state"]["floors"] == {"pump": "1.2.0"}


def test_what_a_bundle_or_a_device_says_is_shown_as_text(make: Callable[..., Path], run: Run, tmp_path: Path) -> None:
    from drsn_edge.cli.ports import _lines
    from firmware_bridge.sources.ports import Port

    first = make("1.0.0")
    found = read_bundle(first)
    values = {**json.loads(found.manifest_bytes), "later": "\x1b]0;owned\x07"}
    text = (json.dumps(values, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()
    write_bundle(replace(found, written=Written(found.manifest, text), signature=None), tmp_path / "later.drsn")
    done = run("bundle", "diff", first, tmp_path / "later.drsn")
    assert done.code == 1 and "\\x1b]0;owned\\x07" in done.out and "\x1b" not in done.out
    port = Port("/dev/ttyUSB0", "\x1b[31mred", "1:2", "\ud800", held_by=((1, "\x07bell"),))
    assert _lines(port, None).isprintable()


@pytest.mark.parametrize("version", ["1.0.0", "0.9.0", "2", "1.0.0.1", "../2.0.0", ""])
def test_a_version_that_is_not_newer_is_refused(make: Callable[..., Path], run: Run, version: str) -> None:
    done = run("bundle", "reissue", make("1.0.0"), "--as", version)
    assert done.code == 1 and type(done.why) is BundleError


def test_a_bundle_is_never_reissued_over_another_file(make: Callable[..., Path], run: Run, tmp_path: Path) -> None:
    path = make("1.0.0")
    (tmp_path / "pump-1.1.0.drsn").write_text("precious")
    done = run("bundle", "reissue", path, "--as", "1.1.0")
    assert done.code == 1 and (tmp_path / "pump-1.1.0.drsn").read_text() == "precious"
    expect(done.why, OutputError, "exists", path=tmp_path / "pump-1.1.0.drsn")
    assert json.loads(run("bundle", "reissue", path, "--as", "1.1.0", "--out", tmp_path / "b.drsn", "--json").out)["of"]


def test_a_bundle_goes_on_trial_and_stays_or_goes(make: Callable[..., Path], run: Run, gateway: Path) -> None:
    one, two = make("1.0.0"), make("1.1.0")
    assert "pump 1.0.0 is on trial at local" in run("flash", one, "--to", "local").out
    assert run("gateway", "confirm").out.startswith("confirmed  pump 1.0.0")
    before = status(run)
    dry = run("flash", two, "--to", "local", "--dry-run")
    assert dry.out == "pump 1.1.0 would go on trial at local; once confirmed, versions below 1.1.0 are refused there\n"
    assert status(run) == before
    flashed = json.loads(run("flash", two, "--to", "local", "--json").out)
    assert flashed["changed"] and flashed["trial"] and flashed["slot"]["version"] == "1.1.0"
    shown = run("gateway", "status").out
    assert "runs       pump 1.1.0" in shown and "previous   pump 1.0.0" in shown
    assert run("gateway", "slots").out.splitlines()[1].endswith("on trial")
    assert run("gateway", "rollback", "--why", "calls all worn").out.startswith("runs now   pump 1.0.0")
    assert "calls all worn" in run("gateway", "status").out
    assert [name for name in os.listdir(gateway / "bundles") if name.endswith(".drsn")] == [
        f"{before['state']['slots']['a']['sha256']}.drsn"
    ]


def test_what_the_gateway_refuses_is_said_here_and_there(make: Callable[..., Path], run: Run) -> None:
    good, slow = make("1.0.0"), make("1.1.0", budget=Budget(1e-6, 200.0))
    run("flash", good, "--to", "local")
    run("gateway", "confirm")
    for options in ((), ("--dry-run",)):
        done = run("flash", slow, "--to", "local", *options)
        assert done.code == 1 and type(done.why) is GateError and "1e-06 ms" in done.err and done.out == ""
    found = status(run)
    assert found["state"]["slots"][found["state"]["confirmed"]]["version"] == "1.0.0"
    shown = run("gateway", "status").out
    assert re.search(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}  refused: .* ms", shown, re.MULTILINE)
    assert found["log"][-1]["why"].startswith("GateError: ")  # for programs


@pytest.mark.parametrize(
    "address",
    [
        "",
        "pi@gateway",
        "ssh://",
        "ssh://-oProxyCommand=x",
        "ssh://pi:secret@host",
        "ssh://h?x",
        "serial:",
        "serial:/x?y=1",
    ],
)
def test_an_address_that_means_nothing_is_refused(make: Callable[..., Path], run: Run, address: str) -> None:
    assert run("flash", make("1.0.0"), "--to", address).code == 2
    expect(failure_of("flash", make("1.0.0"), "--to", address), ProtocolError, "bad_address", got=address)


def test_an_agent_on_a_socket_serves_one_after_the_other(
    make: Callable[..., Path], run: Run, tmp_path: Path, serving: Callable[..., None]
) -> None:
    path = tmp_path / "agent"
    serving("--socket", path, ready=path)
    assert path.stat().st_mode & 0o077 == 0
    flashed = json.loads(run("flash", make("1.0.0"), "--to", f"socket:{path}", "--json").out)
    assert flashed["changed"] and flashed["connections"] == 1 and flashed["bytes_again"] == 0
    assert run("gateway", "confirm", "--at", f"socket:{path}").code == 0
    assert status(run, "--at", f"socket:{path}") == status(run)
    refused = failure_of("gateway", "confirm", "--at", f"socket:{path}")
    expect(refused, RefusedError, "no_trial", kind="TrialError")


def test_a_gateway_that_is_not_there_is_said(make: Callable[..., Path], run: Run, tmp_path: Path) -> None:
    refused = failure_of("flash", make("1.0.0"), "--to", f"socket:{tmp_path}/nobody")
    expect(refused, PortAbsentError, "no_agent", path=tmp_path / "nobody")


def test_an_image_takes_a_bundle_that_its_gateway_will_try(make: Callable[..., Path], run: Run, tmp_path: Path) -> None:
    image = tmp_path / "mnt" / "drsn-edge"
    bundle = make("1.0.0", budget=Budget(1e-6, 200.0))  # of another machine: this one's speed says nothing
    done = run("flash", bundle, "--to", f"file:{image}")
    assert done.code == 1 and type(done.why) is UntrustedKeyError
    public = tmp_path / "config" / "drsn-edge" / "signing.key.pub"
    assert run("keys", "trust", public, "--state", image).code == 0
    assert run("flash", bundle, "--to", f"file:{image}").code == 0
    assert (image / "bundles" / "state.json").is_file()


def test_a_fleet_is_flashed_after_its_canary(make: Callable[..., Path], run: Run, tmp_path: Path) -> None:
    public = tmp_path / "config" / "drsn-edge" / "signing.key.pub"
    names = ["a", "b", "c"]
    for name in names:
        run("keys", "trust", public, "--state", tmp_path / name)
    fleet = tmp_path / "fleet.toml"
    fleet.write_text("".join(f'[[gateway]]\nname = "{n}"\naddress = "file:{tmp_path / n}"\n' for n in names))
    done = run("flash", make("1.0.0"), "--fleet", fleet)
    assert done.code == 0 and done.out.splitlines()[-1] == "3 of 3 gateways flashed", done
    assert [line.split()[:3] for line in done.out.splitlines()[:3]] == [[n, "on", "trial"] for n in names]
    failing = run("flash", make("1.1.0"), "--fleet", fleet, "--json")  # trials go on everywhere
    assert failing.code == 1
    outcomes = json.loads(failing.out)["gateways"]
    assert [outcome["is_failure"] for outcome in outcomes] == [True, False, False]
    assert "too many gateways failed before" in outcomes[2]["why"]
    for text in (
        "",
        "x = 1",
        '[[gateway]]\nname = "a"',
        "[[gateway]]\naddress = 3",
        '[[gateway]]\naddress = "local"\n' * 2,
    ):
        fleet.write_text(text)
        assert run("flash", make("1.0.0"), "--fleet", fleet).code == 1


# --- A monitor that follows --------------------------------------------------------------------------------------


@pytest.fixture
def serving(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Return what starts `drsn-edge agent OPTIONS` and waits for a path to be there."""
    started: list[subprocess.Popen[bytes]] = []

    def serve(*options: Any, ready: Path) -> None:
        started.append(subprocess.Popen([*COMMAND, "agent", *map(str, options)], stderr=subprocess.DEVNULL))
        wait_until(ready.exists)

    yield serve
    for process in started:
        process.terminate()
        process.wait(TIMEOUT_S)


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Watching:
    """A monitor without --model, whose output is read as it comes."""

    def __init__(self, port: Path, *options: str) -> None:
        command = [*COMMAND, "monitor", "--port", str(port), "--json", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.lines: list[dict[str, Any]] = []
        self.said: list[str] = []
        self._threads = [
            threading.Thread(
                target=self._read, args=(self.process.stdout, lambda text: self.lines.append(json.loads(text)))
            ),
            threading.Thread(target=self._read, args=(self.process.stderr, self.said.append)),
        ]
        for thread in self._threads:
            thread.start()

    @staticmethod
    def _read(pipe: Any, take: Callable[[str], object]) -> None:
        for text in pipe:
            take(text)

    def heard(self, words: str) -> None:
        wait_until(lambda: any(words in text for text in self.said))
        self.said.clear()

    def end(self) -> dict[str, Any]:
        self.process.send_signal(signal.SIGTERM)
        for thread in self._threads:
            thread.join(TIMEOUT_S)
        assert self.process.wait(TIMEOUT_S) == 0, self.said
        return self.lines[-1]


@pytest.fixture
def watching() -> Iterator[Callable[..., Watching]]:
    started: list[Watching] = []

    def watch(*arguments: Any) -> Watching:
        started.append(Watching(*arguments))
        return started[-1]

    yield watch
    for each in started:
        each.process.kill()
        each.process.wait()


def test_a_monitor_follows_flash_rollback_and_confirm_without_losing_a_sample(
    make: Callable[..., Path], run: Run, playing: Any, watching: Callable[..., Watching]
) -> None:
    run("flash", make("1.0.0"), "--to", "local")
    with playing(loop=True, speed=1.0) as (port, sent):
        monitor = watching(port, "--trial", "1")
        monitor.heard("pump 1.0.0 has worked for 1 s and is confirmed")
        run("flash", make("1.1.0"), "--to", "local")
        monitor.heard("pump 1.1.0 was reloaded")
        assert run("gateway", "rollback").code == 0
        monitor.heard("pump 1.0.0 was reloaded")
        run("flash", make("1.1.0"), "--to", "local")
        monitor.heard("pump 1.1.0 has worked for 1 s and is confirmed")
        assert status(run)["state"]["trial"] is None
        summary = monitor.end()
    windows = [line for line in monitor.lines if line["type"] == "window"]
    assert [line["first_sample"] for line in windows] == list(range(0, HOP * len(windows), HOP))
    assert {line["verdict"] for line in windows} == {"CLASS"}
    assert summary["samples_lost"] == summary["windows_skipped"] == 0
    assert sent == [] or sent[0].samples_dropped == 0


def test_a_bundle_that_does_not_fit_the_sensor_is_rolled_back_while_the_old_one_goes_on(
    make: Callable[..., Path], run: Run, playing: Any, watching: Callable[..., Watching], golden_bundle: Bundle
) -> None:
    run("flash", make("1.0.0"), "--to", "local")
    run("gateway", "confirm")
    other = make("1.1.0", contract=replace(golden_bundle.manifest.contract, axes=("a", "b")))
    with playing(loop=True, speed=1.0) as (port, _):
        monitor = watching(port)
        wait_until(lambda: monitor.lines)
        assert run("flash", other, "--to", "local", "--new-contract").code == 0
        monitor.heard("The previous bundle and settings stay in use")
        monitor.heard("pump 1.0.0 is active")
        summary = monitor.end()
    state = status(run)
    assert state["state"]["trial"] is None and "axes a,b" in state["log"][-1]["why"]
    assert summary["samples_lost"] == 0
    windows = [line["first_sample"] for line in monitor.lines if line["type"] == "window"]
    assert windows == list(range(0, HOP * len(windows), HOP))


def test_a_bundle_that_takes_all_memory_is_rolled_back_while_the_old_one_goes_on(
    make: Callable[..., Path], run: Run, playing: Any, watching: Callable[..., Watching], tmp_path: Path
) -> None:
    """One that the gate did not see, as into an image: the monitor's own gate has to be passed, too."""
    run("flash", make("1.0.0"), "--to", "local")
    run("gateway", "confirm")
    huge = b"\x93NUMPY\1\0\x40\0{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999,)}"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ("lines", "whitening", "prototypes", "limits", "quietest_rms"):
            archive.writestr(f"{name}.npy", huge.ljust(74) + bytes(8))
    evil = read_bundle(make("1.1.0"))
    write_bundle(with_extra(evil, "novelty.npz", buffer.getvalue()), tmp_path / "evil.drsn")
    assert run("bundle", "sign", tmp_path / "evil.drsn").code == 0
    with playing(loop=True, speed=1.0) as (port, _):
        monitor = watching(port)
        wait_until(lambda: monitor.lines)
        done = run("flash", tmp_path / "evil.drsn", "--to", "local")
        assert done.code == 1 and "novelty.npz" in done.err
        from drsn_edge.gateway.local_store import open_store

        data = (tmp_path / "evil.drsn").read_bytes()
        open_store("a test that trusts itself", gated=False).install(data)
        monitor.heard("novelty.npz")
        wait_until(lambda: status(run)["state"]["trial"] is None)
        count = len(monitor.lines)
        wait_until(lambda: len(monitor.lines) > count + 5)
        assert monitor.end()["samples_lost"] == 0


def test_a_bundle_that_lacks_a_class_of_the_settings_is_rolled_back_while_the_old_one_goes_on(
    make: Callable[..., Path], run: Run, playing: Any, watching: Callable[..., Watching], tmp_path: Path
) -> None:
    run("flash", make("1.0.0"), "--to", "local")
    run("gateway", "confirm")
    (tmp_path / "monitor.toml").write_text('[alarms]\nnormal = ["calm"]\n')
    other = make("1.1.0", labels=("good", "worn", "loud"))
    with playing(loop=True, speed=1.0) as (port, _):
        monitor = watching(port, "--settings", str(tmp_path / "monitor.toml"))
        wait_until(lambda: monitor.lines)
        assert run("flash", other, "--to", "local").code == 0
        monitor.heard("pump 1.0.0 is active")
        monitor.end()
    state = status(run)
    assert state["state"]["trial"] is None and "calm" in state["log"][-1]["why"]


def test_a_monitor_that_starts_with_a_bundle_for_another_sensor_leaves_the_old_one_for_its_next_start(
    make: Callable[..., Path], run: Run, playing: Any, golden_bundle: Bundle
) -> None:
    run("flash", make("1.0.0"), "--to", "local")
    run("gateway", "confirm")
    other = make("1.1.0", contract=replace(golden_bundle.manifest.contract, axes=("a", "b")))
    run("flash", other, "--to", "local", "--new-contract")
    with playing() as (port, _):
        done = run("monitor", "--port", port)
        assert done.code == 1 and type(done.why) is ContractError and "a,b" in done.err
    with playing() as (port, _):
        assert run("monitor", "--port", port).code == 0
    assert status(run)["state"]["trial"] is None


def test_a_sink_that_cannot_be_opened_is_no_fault_of_the_bundle_on_trial(
    make: Callable[..., Path], run: Run, playing: Any, tmp_path: Path
) -> None:
    run("flash", make("1.0.0"), "--to", "local")
    run("gateway", "confirm")
    run("flash", make("1.1.0"), "--to", "local")
    (tmp_path / "file").write_bytes(b"")
    with playing() as (port, _):
        assert run("monitor", "--port", port, "--history", tmp_path / "file" / "history.db").code == 1
    state = status(run)["state"]
    assert state["slots"][state["trial"]]["version"] == "1.1.0"


def test_the_gate_runs_a_new_bundle_each_way_that_a_following_sensor_does(
    make: Callable[..., Path], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("flash", make("1.0.0"), "--to", "local").code == 0
    asked: list[tuple[str, str]] = []
    monkeypatch.setattr(
        "drsn_edge.gateway.health_gate.run_gate", lambda path, choice: asked.append((choice.runtime, choice.fallback))
    )
    sensors = tmp_path / "plant.toml"
    sensors.write_text(
        f"[[sensor]]\nport = '/dev/absent'\nmodel = '{make('2.0.0')}'\nruntime = 'litert'\n"
        "[[sensor]]\nport = '/dev/absent2'\nruntime = 'numpy'\n[[sensor]]\nport = '/dev/absent3'\n"
    )
    done = run("monitor", "--sensors", sensors, "--duration", 3)
    assert done.code == 1 and "No sample came from /dev/absent" in done.err, done.err  # from none of them
    assert asked == [("numpy", "cpu"), ("auto", "cpu")]


def test_without_a_bundle_the_monitor_says_where_one_comes_from(run: Run, gateway: Path, playing: Any) -> None:
    with playing() as (port, _):
        done = run("monitor", "--port", port)
    assert done.code == 1 and "drsn-edge flash BUNDLE --to" in done.err


def test_a_replay_takes_the_active_bundle_and_counts_no_start(
    make: Callable[..., Path], run: Run, playing: Any, tmp_path: Path
) -> None:
    run("flash", make("1.0.0"), "--to", "local")
    with playing() as (port, _):
        assert run("monitor", "--port", port, "--record", tmp_path / "log").code == 0
    before = status(run)
    assert run("monitor", "--replay", tmp_path / "log").code == 0
    assert status(run) == before and before["state"]["trial_starts"] == 1
    assert read_bundle(make("1.0.0")).manifest.name == "pump"
