"""Flashing over the real ways: an sshd on this machine, a serial line that drops and damages, an emulated Pi."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from drsn_edge.bundle.bundle import Bundle, with_extra
from firmware_bridge.gateway.client import RemoteGateway
from firmware_bridge.gateway.transports import ProcessLink
from firmware_bridge.virtual.endpoints import PtyEndpoint

pytestmark = pytest.mark.integration

REPOSITORY = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "drsn_edge.cli.main"]
TIMEOUT_S = 60.0


@pytest.fixture
def bundles(golden_bundle: Bundle, signed: Callable[[Bundle], bytes], tmp_path: Path) -> Callable[..., Path]:
    """Return what writes a signed bundle of some version; `padding` bytes larger if wanted."""

    def write(version: str, padding: int = 0) -> Path:
        manifest = replace(golden_bundle.manifest, name="pump", version=version)
        bundle = replace(golden_bundle, manifest=manifest)
        if padding:
            bundle = with_extra(bundle, "padding.bin", random.Random(0).randbytes(padding))
        path = tmp_path / f"{version}.drsn"
        path.write_bytes(signed(bundle))
        return path

    return write


def script(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(("#!/bin/sh", *lines, "")))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def drsn_edge(*arguments: Any, **environment: str) -> dict[str, Any]:
    done = subprocess.run(
        [*COMMAND, *map(str, arguments), "--json"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# --- ssh -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def ssh_target(tmp_path: Path, need: Callable[..., None]) -> Iterator[tuple[str, dict[str, str]]]:
    """Run an sshd on this machine with a key of its own; yield a target and the environment that reaches it."""
    need("ssh", "ssh-keygen")
    sshd = shutil.which("sshd") or "/usr/sbin/sshd"
    need(sshd)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)  # a short path, owned as sshd wants it
        for key in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)], check=True)
        (folder / "sshd_config").write_text(
            f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\nUsePAM no\n"
            f"AuthorizedKeysFile {folder}/user.pub\nStrictModes no\nPasswordAuthentication no\n"
        )
        host = " ".join((folder / "host.pub").read_text().split()[:2])
        (folder / "known").write_text(f"[127.0.0.1]:{port} {host}\n")
        (folder / "ssh_config").write_text(
            f"IdentityFile {folder}/user\nIdentitiesOnly yes\nUserKnownHostsFile {folder}/known\nBatchMode yes\n"
        )
        (folder / "bin").mkdir()
        script(folder / "bin" / "ssh", f'exec {shutil.which("ssh")} -F {folder}/ssh_config "$@"')
        state, trusted = tmp_path / "state", tmp_path / "trusted"
        program = script(
            folder / "drsn edge",  # a space, as paths may have
            f"export DRSN_EDGE_STATE={state} DRSN_EDGE_TRUST={trusted} PYTHONPATH={REPOSITORY}",
            f'exec {" ".join(COMMAND)} "$@"',
        )
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        daemon = subprocess.Popen([sshd, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=subprocess.DEVNULL)
        try:
            wait_for_port(port)
            user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
            target = f"ssh://{user}@127.0.0.1:{port}{str(program).replace(' ', '%20')}"
            yield target, {"PATH": f"{folder}/bin:{os.environ['PATH']}"}
        finally:
            daemon.terminate()
            daemon.wait()


def wait_for_port(port: int) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_gateway_behind_ssh_takes_keeps_and_gives_back(
    bundles: Callable[..., Path], ssh_target: tuple[str, dict[str, str]]
) -> None:
    target, environment = ssh_target
    flashed = drsn_edge("flash", bundles("1.0.0", 90_000), "--to", target, **environment)
    assert flashed["changed"] and flashed["bytes_again"] == 0 and flashed["connections"] == 1
    print(json.dumps({key: flashed[key] for key in ("bytes_sent", "seconds")}))
    assert drsn_edge("gateway", "confirm", "--at", target, **environment)["slot"]["version"] == "1.0.0"
    dry = drsn_edge("flash", bundles("1.1.0"), "--to", target, "--dry-run", **environment)
    assert not dry["changed"]
    drsn_edge("flash", bundles("1.1.0"), "--to", target, **environment)
    assert drsn_edge("gateway", "rollback", "--at", target, **environment)["slot"]["version"] == "1.0.0"
    status = drsn_edge("gateway", "status", "--at", target, **environment)
    assert [entry["event"] for entry in status["log"]] == ["trial begins", "confirmed", "trial begins", "trial ends"]


def test_ssh_that_leads_nowhere_says_so_at_once(
    bundles: Callable[..., Path], ssh_target: tuple[str, dict[str, str]]
) -> None:
    target, environment = ssh_target
    for wrong, words in ((f"{target}-nowhere", "Is drsn-edge installed there"), ("ssh://127.0.0.1:1", "exit code 255")):
        began = time.monotonic()
        done = subprocess.run(
            [*COMMAND, "flash", str(bundles("1.0.0")), "--to", wrong],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
        assert done.returncode == 1 and words in done.stderr, done.stderr
        assert time.monotonic() - began < 20


# --- A serial line -------------------------------------------------------------------------------------------------


class BadLine:
    """Two pseudo-terminals and what lies between: drops and damages frames, and is unplugged now and then."""

    def __init__(self, folder: Path, unplug_at: list[int], bad: float = 0.01) -> None:
        self.ends = [PtyEndpoint(folder / "flasher"), PtyEndpoint(folder / "gateway")]
        self.frames, self.unplugged = 0, 0
        self._random, self._bad, self._unplug_at = random.Random(7), bad, sorted(unplug_at, reverse=True)
        self._partial = [b"", b""]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> BadLine:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join()
        for end in self.ends:
            end.close()

    def _run(self) -> None:
        while not self._over.is_set():
            for number, end in enumerate(self.ends):
                *whole, self._partial[number] = (self._partial[number] + end.read(0.001)).split(b"\0")
                for frame in whole:
                    self._pass_on(frame, self.ends[1 - number])

    def _pass_on(self, frame: bytes, end: PtyEndpoint) -> None:
        self.frames += 1
        draw = self._random.random()
        if draw < self._bad:
            return
        if draw < 2 * self._bad and frame:
            place = self._random.randrange(len(frame))
            frame = frame[:place] + bytes([frame[place] ^ 0x11]) + frame[place + 1 :]
        end.write(frame + b"\0", self._over.is_set)
        if self._unplug_at and self.frames >= self._unplug_at[-1]:
            self._unplug_at.pop()
            self.unplugged += 1
            which = self.ends[self.unplugged % 2]
            which.unplug()
            time.sleep(0.2)
            self._partial = [b"", b""]
            which.replug()


def test_a_megabyte_over_a_bad_serial_line_that_is_unplugged_ten_times(
    bundles: Callable[..., Path], tmp_path: Path
) -> None:
    path = bundles("1.0.0", 1_000_000)
    with BadLine(tmp_path, [90 * (number + 1) for number in range(10)]) as line:
        environment = {"DRSN_EDGE_STATE": str(tmp_path / "state"), "DRSN_EDGE_TRUST": str(tmp_path / "trusted")}
        agent = subprocess.Popen(
            [*COMMAND, "agent", "--serial", line.ends[1].address],
            env={**os.environ, **environment},
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert agent.stderr is not None
            assert "serving on" in agent.stderr.readline()
            done = subprocess.run(
                [*COMMAND, "flash", str(path), "--to", f"serial:{line.ends[0].address}", "--json"],
                capture_output=True,
                text=True,
                timeout=300,
            )
        finally:
            agent.terminate()
            agent.wait(TIMEOUT_S)
    assert done.returncode == 0, done.stderr
    flashed = json.loads(done.stdout)
    assert line.unplugged == 10 and flashed["changed"] and flashed["slot"]["size"] == path.stat().st_size
    assert 0 < flashed["bytes_again"] < 200_000
    print(json.dumps({key: flashed[key] for key in ("bytes_sent", "bytes_again", "connections", "seconds")}))


# --- An emulated Pi ------------------------------------------------------------------------------------------------


def test_a_gateway_of_another_architecture_runs_the_gate_itself(
    bundles: Callable[..., Path], tmp_path: Path, emulated_pi: Callable[..., Any]
) -> None:
    python = emulated_pi().program(tmp_path / "pi-python")
    state = f"export DRSN_EDGE_STATE={tmp_path}/state DRSN_EDGE_TRUST={tmp_path}/trusted"
    agent = script(tmp_path / "agent", state, f"exec {python} -m drsn_edge.cli.main agent")
    gateway = RemoteGateway(lambda: ProcessLink([str(agent)]))
    try:
        assert gateway.ask("status")["machine"] == "aarch64"
        for version in ("1.0.0", "1.1.0"):
            data = bundles(version).read_bytes()
            done = gateway.flash(data, dry_run=False, new_contract=False, progress=lambda done, total: None)
            assert done.changed and done.slot["version"] == version
            gateway.ask("confirm") if version == "1.0.0" else gateway.ask("rollback", why="a test")
        state_now = gateway.ask("status")["state"]
    finally:
        gateway.close()
    assert state_now["slots"][state_now["confirmed"]]["version"] == "1.0.0" and state_now["trial"] is None
