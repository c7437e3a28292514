"""Messages of a running monitor to systemd: ready, alive, status, stopping."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from drsn_edge.gateway.systemd_unit import ALIVE_EVERY_S


class Notifier:
    """Reports to systemd that the service is ready, alive or stopping; without systemd it does nothing."""

    def __init__(self, address: str | None, now_s: Callable[[], float] = time.monotonic) -> None:
        """Prepare for the socket at an address, the value of NOTIFY_SOCKET; None: no systemd."""
        self._address = "\0" + address[1:] if address and address.startswith("@") else address
        self._now_s = now_s
        self._due_s = 0.0
        self._said = ""

    @property
    def is_heard(self) -> bool:
        """Whether there is a systemd to report to."""
        return self._address is not None

    def ready(self) -> None:
        """Report that the service is ready."""
        self._send("READY=1")

    def alive(self) -> None:
        """Report that the service is alive, at most once every `ALIVE_EVERY_S`."""
        now_s = self._now_s()
        if self._address and now_s >= self._due_s:
            self._due_s = now_s + ALIVE_EVERY_S
            self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """Set the line that `systemctl status` shows, if it has changed."""
        line = " ".join(text.split())
        if line != self._said:
            self._said = line
            self._send(f"STATUS={line}")

    def stopping(self) -> None:
        """Report that the service is stopping."""
        self._send("STOPPING=1")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as link:
                link.sendto(text.encode(errors="replace"), self._address)
        except OSError:
            return  # systemd restarts a service that it does not hear from
