"""The ports of a virtual accelerometer: a pseudo-terminal or a TCP port. One reader at a time."""

from __future__ import annotations

import errno
import math
import os
import select
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from firmware_bridge.errors import VirtualDeviceError

_TICK_S = 0.02
"""Longest wait before `stop` is called again."""


class Endpoint(Protocol):
    """The device's end of a wire; a reader may be present at the other end."""

    @property
    def address(self) -> str:
        """The port for the reader to open."""
        ...

    def present(self) -> bool:
        """Return whether a reader has the port open."""
        ...

    def read(self, timeout_s: float) -> bytes:
        """Return received bytes as soon as there are any; no bytes after `timeout_s`."""
        ...

    def write(self, data: bytes, stop: Callable[[], bool]) -> bool:
        """Write all of `data`; return False if the reader leaves, or `stop` returns True, before the end."""
        ...

    def unplug(self) -> None:
        """Remove the port, as if the device was unplugged."""
        ...

    def replug(self) -> None:
        """Restore the port at the same address."""
        ...

    def close(self) -> None:
        """Remove the port; harmless when repeated."""
        ...


class _Descriptor:
    """Common part of both endpoints: a non-blocking file descriptor, -1 while there is none."""

    _fd = -1

    def present(self) -> bool:
        return self._fd >= 0 and not self._poll(0, 0.0) & (select.POLLHUP | select.POLLERR)

    def _poll(self, events: int, timeout_s: float) -> int:
        poller = select.poll()
        poller.register(self._fd, events)
        return next((found for _, found in poller.poll(math.ceil(timeout_s * 1000))), 0)

    def write(self, data: bytes, stop: Callable[[], bool]) -> bool:
        while data and not stop():
            found = self._poll(select.POLLOUT, _TICK_S) if self._fd >= 0 else select.POLLHUP
            if found & (select.POLLHUP | select.POLLERR):
                return False
            if found & select.POLLOUT:
                data = data[self._try_write(data) :]
        return not data

    def _try_write(self, data: bytes) -> int:
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0
        except (BrokenPipeError, ConnectionResetError):  # a closed socket; a closed terminal shows at the next poll
            return 0


class PtyEndpoint(_Descriptor):
    """A pseudo-terminal, with an optional symbolic link to it. Linux and macOS."""

    def __init__(self, link: Path | None) -> None:
        """Open the pseudo-terminal and create the link.

        Raises:
            VirtualDeviceError: If this system has no pseudo-terminals, or the link is in use or cannot be created.
        """
        self._link = link
        if link is not None:
            _check_link(link)
        self._open()

    def _open(self) -> None:
        self._fd, self._slave_name = _open_pty()
        if self._link is not None:
            self._make_link(self._link)

    @property
    def address(self) -> str:
        """The link if there is one, otherwise the pseudo-terminal."""
        return self._slave_name if self._link is None else str(self._link)

    def read(self, timeout_s: float) -> bytes:
        """Return received bytes; see `Endpoint`."""
        if self._fd < 0:
            time.sleep(timeout_s)
            return b""
        found = self._poll(select.POLLIN, timeout_s)
        if found & select.POLLIN:
            return self._try_read()
        if found & select.POLLHUP:
            time.sleep(timeout_s)  # poll() does not wait while no reader is present
        return b""

    def _try_read(self) -> bytes:
        try:
            return os.read(self._fd, 4096)
        except OSError as exc:
            if exc.errno not in (errno.EIO, errno.EAGAIN):
                raise
            return b""

    def unplug(self) -> None:
        """Close the terminal and remove the link."""
        self.close()

    def replug(self) -> None:
        """Open another terminal and link it; without a link, its name may differ from the first one."""
        if self._fd < 0:
            self._open()

    def close(self) -> None:
        """Remove the link and close the terminal; harmless when repeated."""
        if self._fd < 0:
            return
        if self._link is not None and self._link.is_symlink() and os.readlink(self._link) == self._slave_name:
            self._link.unlink()
        os.close(self._fd)
        self._fd = -1

    def _make_link(self, link: Path) -> None:
        """Create or replace the link in one step, so that a waiting reader always finds a whole link."""
        temporary = link.with_name(f".{link.name}.{os.getpid()}")
        try:
            temporary.symlink_to(self._slave_name)
            temporary.replace(link)
        except OSError as exc:
            self.close()
            raise VirtualDeviceError(
                f"Could not create the link {link} to the port: {exc.strerror or exc}. Choose another path.",
                "no_link",
                path=link,
                reason=exc.strerror,
            ) from exc


class TcpEndpoint(_Descriptor):
    """A TCP port that accepts one connection at a time, like a serial device server."""

    def __init__(self, host: str, port: int) -> None:
        """Listen; port 0 takes a free one.

        Raises:
            VirtualDeviceError: If the port is taken, or this user may not listen on it.
        """
        self._where = (host, port)
        self._connection: socket.socket | None = None
        self._listener: socket.socket | None = None
        self._listen()

    def _listen(self) -> None:
        try:
            self._listener = socket.create_server(self._where, backlog=1)
        except OSError as exc:
            host, port = self._where
            reason = os.strerror(exc.errno) if exc.errno and exc.errno > 0 else exc.strerror or str(exc)
            raise VirtualDeviceError(
                f"Could not listen on {host}:{port}: {reason}. Choose another address or port.",
                "cannot_listen",
                address=f"{host}:{port}",
                reason=reason,
            ) from exc
        self._where = self._listener.getsockname()[:2]
        self._listener.setblocking(False)

    @property
    def address(self) -> str:
        """The port as a pyserial URL."""
        return "socket://{}:{}".format(*self._where)

    def present(self) -> bool:
        """Return whether a reader is connected."""
        self._accept()
        if self._connection is not None and not super().present():
            self._hang_up()
        return self._connection is not None

    def read(self, timeout_s: float) -> bytes:
        """Return received bytes; see `Endpoint`."""
        if not self.present():
            time.sleep(timeout_s)
            return b""
        if not self._poll(select.POLLIN, timeout_s) & select.POLLIN:
            return b""
        with suppress(OSError):
            if data := os.read(self._fd, 4096):
                return data
        self._hang_up()
        return b""

    def write(self, data: bytes, stop: Callable[[], bool]) -> bool:
        """Write all of `data`; see `Endpoint`."""
        done = super().write(data, stop)
        if not done and not stop():
            self._hang_up()
        return done

    def unplug(self) -> None:
        """Close the connection and stop listening."""
        self.close()

    def replug(self) -> None:
        """Listen on the same port again."""
        if self._listener is None:
            self._listen()

    def close(self) -> None:
        """Close the connection and the port; harmless when repeated."""
        self._hang_up()
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _accept(self) -> None:
        if self._listener is None or self._connection is not None:
            return
        with suppress(BlockingIOError):
            self._connection, _ = self._listener.accept()
            self._connection.setblocking(False)
            self._fd = self._connection.fileno()

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None
        self._fd = -1


def _open_pty() -> tuple[int, str]:
    """Return the non-blocking descriptor of the master, and the name of the slave, which is set to raw mode."""
    try:
        import tty

        master, slave = os.openpty()
    except (ImportError, AttributeError) as exc:
        raise VirtualDeviceError(
            "A virtual accelerometer needs pseudo-terminals, which this system lacks. Run it on Linux or macOS.",
            "no_pseudo_terminals",
        ) from exc
    tty.setraw(slave)
    name = os.ttyname(slave)
    os.close(slave)
    os.set_blocking(master, False)
    return master, name


def _check_link(link: Path) -> None:
    """Refuse to replace anything but a dangling link. Call it before the new port takes a name that is free now."""
    if link.exists():
        raise VirtualDeviceError(
            f"The link {link} exists and is in use. If another virtual accelerometer runs there, choose another path; "
            "otherwise remove it.",
            "link_in_use",
            path=link,
        )
