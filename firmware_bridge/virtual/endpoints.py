"""Where a virtual accelerometer is plugged in: a pseudo-terminal, or a TCP port. One reader at a time."""

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
"""How long to wait at most before asking `stop` again."""


class Endpoint(Protocol):
    """A wire with one other end, which may be there or not."""

    @property
    def address(self) -> str:
        """What a reader opens."""
        ...

    def present(self) -> bool:
        """Whether somebody is at the other end."""
        ...

    def read(self, timeout_s: float) -> bytes:
        """Return what came, at once where something did, else nothing after the time."""
        ...

    def write(self, data: bytes, stop: Callable[[], bool]) -> bool:
        """Write all of it, as fast as it is taken; False if the reader leaves, or stop says so, before that."""
        ...

    def unplug(self) -> None:
        """Pull the plug: whoever reads finds the port gone."""
        ...

    def replug(self) -> None:
        """Plug it in again, under the same address."""
        ...

    def close(self) -> None:
        """Take everything away; harmless when repeated."""
        ...


class _Descriptor:
    """What both have in common: a descriptor that does not block, -1 while there is none."""

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
        except (BrokenPipeError, ConnectionResetError):  # a terminal's end shows at the next poll, a socket's here
            return 0


class PtyEndpoint(_Descriptor):
    """A pseudo-terminal, with a symbolic link to it if wanted. Linux and macOS."""

    def __init__(self, link: Path | None) -> None:
        """Open it.

        Raises:
            VirtualDeviceError: If there are none here, or the link is something else, in use or cannot be made.
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
        """The link if there is one, else the pseudo-terminal itself."""
        return self._slave_name if self._link is None else str(self._link)

    def read(self, timeout_s: float) -> bytes:
        """Return what came; see `Endpoint`."""
        if self._fd < 0:
            time.sleep(timeout_s)
            return b""
        found = self._poll(select.POLLIN, timeout_s)
        if found & select.POLLIN:
            return self._try_read()
        if found & select.POLLHUP:
            time.sleep(timeout_s)  # poll() does not wait while nobody is there
        return b""

    def _try_read(self) -> bytes:
        try:
            return os.read(self._fd, 4096)
        except OSError as exc:
            if exc.errno not in (errno.EIO, errno.EAGAIN):
                raise
            return b""

    def unplug(self) -> None:
        """Close the terminal and take its link away."""
        self.close()

    def replug(self) -> None:
        """Open another terminal, to which the link leads; without a link its name may be another."""
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
        """Create or replace the link in one step, so that a reader that waits for it never sees half of it."""
        temporary = link.with_name(f".{link.name}.{os.getpid()}")
        try:
            temporary.symlink_to(self._slave_name)
            temporary.replace(link)
        except OSError as exc:
            self.close()
            raise VirtualDeviceError(f"Could not put a link to the port at {link}: {exc}") from exc


class TcpEndpoint(_Descriptor):
    """A TCP port that takes one connection after the other, as a serial device server does."""

    def __init__(self, host: str, port: int) -> None:
        """Listen; port 0 takes a free one.

        Raises:
            VirtualDeviceError: If that cannot be: the port is taken, or not this user's to take.
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
            raise VirtualDeviceError(f"Could not listen on {host}:{port}: {exc}. Choose another port.") from exc
        self._where = self._listener.getsockname()[:2]
        self._listener.setblocking(False)

    @property
    def address(self) -> str:
        """A URL of pyserial's."""
        return "socket://{}:{}".format(*self._where)

    def present(self) -> bool:
        """Whether somebody is connected."""
        self._accept()
        if self._connection is not None and not super().present():
            self._hang_up()
        return self._connection is not None

    def read(self, timeout_s: float) -> bytes:
        """Return what came; see `Endpoint`."""
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
        """Write all of it; see `Endpoint`."""
        done = super().write(data, stop)
        if not done and not stop():
            self._hang_up()
        return done

    def unplug(self) -> None:
        """Close the connection and listen no more."""
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
    """Return the master's descriptor, which does not block, and the name of the slave, which is raw and closed."""
    try:
        import tty

        master, slave = os.openpty()
    except (ImportError, AttributeError) as exc:
        raise VirtualDeviceError("A virtual accelerometer needs pseudo-terminals: run it on Linux or macOS.") from exc
    tty.setraw(slave)
    name = os.ttyname(slave)
    os.close(slave)
    os.set_blocking(master, False)
    return master, name


def _check_link(link: Path) -> None:
    """Refuse to replace what we did not leave behind ourselves. To be asked before the new port takes a free name."""
    if link.exists():
        raise VirtualDeviceError(
            f"Expected {link} to be free or a link to a port that is gone, but it is in use. "
            "Is another virtual accelerometer running? Otherwise remove it, or choose another name."
        )
