from __future__ import annotations

import socket
from pathlib import Path

import pytest

from drsn_edge.monitor.systemd_notify import Notifier


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_hears_what_it_waits_for(tmp_path: Path, abstract: bool) -> None:
    address = f"@drsn-edge-test-{id(tmp_path)}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind("\0" + address[1:] if abstract else address)
        systemd.settimeout(1)
        clock = [0.0]
        notifier = Notifier(address, lambda: clock[0])
        notifier.ready()
        for _ in range(250):
            notifier.alive()
            notifier.status("The disk\nis full.")
            clock[0] += 0.1
        notifier.stopping()
        heard = [systemd.recv(100) for _ in range(6)]
    status = b"STATUS=The disk is full."
    assert heard == [b"READY=1", b"WATCHDOG=1", status, *[b"WATCHDOG=1"] * 2, b"STOPPING=1"]


def test_without_systemd_nothing_happens() -> None:
    for address in (None, "", "/absent/socket"):
        notifier = Notifier(address)
        notifier.ready()
        notifier.alive()
        notifier.stopping()
