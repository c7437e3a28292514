"""The ways to a gateway: ssh, a serial line, a unix socket, a pair of pipes."""

from __future__ import annotations

import os
import re
import select
import socket
import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import parse_qs, unquote, urlsplit

from firmware_bridge.errors import PortAbsentError, PortLostError, ProtocolError
from firmware_bridge.gateway.client import ClientLink
from firmware_bridge.sources.byte_link import Received
from firmware_bridge.sources.link import Link
from firmware_bridge.support.programs import find_program
from firmware_bridge.support.shown import printable
from firmware_bridge.wire.frames import MAX_ENCODED

DEFAULT_BAUD_RATE = 115_200
_READ_S = 0.05
_READ_BYTES = 65_536
_WRITE_S, _WRITE_BYTES = 30.0, select.PIPE_BUF
"""So many bytes never block where a descriptor can be written at all."""

_PATIENCE_S = 10.0
_SERIAL_PATIENCE_S = 0.4
_END_S, _TELLING_S = 5.0, 1.0
_MOST_LINES, _LONGEST_LINE = 200, 1000
_USER, _HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*"), re.compile(r"[A-Za-z0-9][A-Za-z0-9.:_-]*")


@dataclass(frozen=True)
class GatewayAddress:
    """Where a gateway is.

    Attributes:
        kind: ssh, serial, socket, file or local.
        place: Host with its user, port or path.
        port: Of ssh; None: its own.
        program: `drsn-edge` on the other side of ssh.
        sudo: Whether to call it with sudo there.
        baud_rate: Of a serial line.
    """

    kind: str
    place: str = ""
    port: int | None = None
    program: str = "drsn-edge"
    sudo: bool = False
    baud_rate: int = DEFAULT_BAUD_RATE


def parse_address(text: str) -> GatewayAddress:
    """Return what a text means.

    Args:
        text: ssh://[USER@]HOST[:PORT][/PATH/TO/drsn-edge][?sudo], serial:PORT[?baud=N], socket:PATH,
            file:STATE-FOLDER, or local.

    Raises:
        ProtocolError: If it means nothing.
    """
    kind, _, rest = text.partition(":")
    if text == "local":
        return GatewayAddress("local")
    if kind in ("socket", "file") and rest:
        return GatewayAddress(kind, rest)
    if kind == "serial" and rest:
        place, _, query = rest.partition("?")
        baud = re.fullmatch(r"baud=([1-9][0-9]{2,6})", query)
        if not query or baud:
            return GatewayAddress(kind, place, baud_rate=int(baud[1]) if baud else DEFAULT_BAUD_RATE)
    if kind == "ssh" and (found := _ssh_address(text)) is not None:
        return found
    raise ProtocolError(
        f"Expected a gateway as ssh://USER@HOST, serial:/dev/ttyUSB0, socket:PATH, file:STATE-FOLDER or local, got "
        f"{text!r}."
    )


def _ssh_address(text: str) -> GatewayAddress | None:
    try:
        parts = urlsplit(text)
        port = parts.port
        query = parse_qs(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        return None
    user, host = parts.username, parts.hostname
    # ssh would take what begins with a dash for an option of its own.
    fits = host and _HOST.fullmatch(host) and (user is None or _USER.fullmatch(user))
    if not fits or parts.password is not None or parts.fragment or set(query) - {"sudo"}:
        return None
    place = f"{user}@{host}" if user else str(host)
    return GatewayAddress("ssh", place, port, unquote(parts.path) or "drsn-edge", "sudo" in query)


def open_link(address: GatewayAddress, tell: Callable[[str], object] = lambda text: None) -> ClientLink:
    """Open a connection.

    Args:
        address: Where to.
        tell: Given what ssh says, and the other side by it.

    Raises:
        PortError: If it cannot be.
    """
    if address.kind == "ssh":
        return ProcessLink(ssh_command(address), tell)
    if address.kind == "socket":
        return SocketLink(Path(address.place))
    return SerialLink(address.place, address.baud_rate)


def ssh_command(address: GatewayAddress) -> list[str]:
    """Return the call of the system's ssh that starts an agent on the other side."""
    quoted = "'" + address.program.replace("'", "'\\''") + "'"
    remote = f"{'sudo -n ' if address.sudo else ''}{quoted} agent"
    port = [] if address.port is None else ["-p", str(address.port)]
    return ["ssh", "-T", "-o", "ConnectTimeout=15", "-o", "ServerAliveInterval=10", *port, "--", address.place, remote]


class DescriptorLink:
    """Two file descriptors; also those of an agent that was started with pipes."""

    def __init__(self, reading: int, writing: int) -> None:
        """Take them over."""
        self._reading, self._writing = reading, writing

    @property
    def patience_s(self) -> float:
        """How long an answer may take."""
        return _PATIENCE_S

    def read(self) -> Received:
        """Return what comes within some 50 ms; PortLostError at the end."""
        try:
            if not select.select([self._reading], [], [], _READ_S)[0]:
                return Received(b"", False)
            data = os.read(self._reading, _READ_BYTES)
        except OSError as exc:
            raise PortLostError(f"The connection broke: {exc}.") from exc
        if not data:
            raise PortLostError(self._why_over())
        return Received(data, len(data) == _READ_BYTES)

    def write(self, data: bytes) -> None:
        """Send all of it; PortLostError when nobody reads any more, be it that nobody does for a long time."""
        view = memoryview(data)
        try:
            while view:
                if not select.select([], [self._writing], [], _WRITE_S)[1]:
                    raise PortLostError(f"The other end has read nothing for {_WRITE_S:g} s.")
                view = view[os.write(self._writing, view[:_WRITE_BYTES]) :]
        except OSError as exc:
            raise PortLostError(self._why_over()) from exc

    def close(self) -> None:
        """Close both."""
        for descriptor in {self._reading, self._writing}:
            with suppress(OSError):
                os.close(descriptor)

    def _why_over(self) -> str:
        return "The other end closed the connection."


class ProcessLink(DescriptorLink):
    """A program that speaks the protocol on its standard input and output, as ssh does with an agent behind it.

    What it says on standard error, a person is told as text: ssh tells there what is wrong, and passes on what the
    other side says. It asks for passwords on the terminal itself.
    """

    def __init__(self, command: Sequence[str], tell: Callable[[str], object] = lambda text: None) -> None:
        """Start it.

        Args:
            command: Its call.
            tell: Given each line of its standard error, up to `_MOST_LINES`, from another thread.

        Raises:
            PortAbsentError: If there is no such program.
        """
        program = find_program(command[0])
        if program is None:
            raise PortAbsentError(f"Expected the program {command[0]} on the PATH, there is none. Install it.")
        call = [program, *command[1:]]
        try:
            self._process = subprocess.Popen(
                call, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
            )
        except OSError as exc:
            raise PortAbsentError(f"Expected the program {command[0]}, could not start it: {exc.strerror}.") from exc
        assert self._process.stdin is not None and self._process.stdout is not None
        super().__init__(self._process.stdout.fileno(), self._process.stdin.fileno())
        self._telling = threading.Thread(target=_pass_on, args=(self._process.stderr, tell), daemon=True)
        self._telling.start()

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._telling.join(_TELLING_S)
        self._process.stdout.close()

    def _why_over(self) -> str:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_S)
        self._telling.join(_TELLING_S)
        code = self._process.returncode
        program = Path(str(self._process.args[0])).name  # type: ignore[index]
        hint = " Is drsn-edge installed there, and on the PATH? ssh://HOST/PATH/TO/drsn-edge names it." * (code == 127)
        return f"{program} ended with exit code {code}; what it said is above.{hint}"


def _pass_on(pipe: IO[bytes], tell: Callable[[str], object]) -> None:
    """Tell lines as text until their end; so many are told, the others thrown away, so that nobody has to wait."""
    for _ in range(_MOST_LINES):
        line = pipe.readline(_LONGEST_LINE)
        if not line:
            return
        tell(printable(line.decode(errors="replace").rstrip("\r\n")))
    while pipe.read(_READ_BYTES):
        pass


class SocketLink(DescriptorLink):
    """A unix socket."""

    def __init__(self, path: Path) -> None:
        """Connect.

        Raises:
            PortAbsentError: If nobody listens there.
        """
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.connect(str(path))
        except OSError as exc:
            self._socket.close()
            raise PortAbsentError(f"Expected an agent at {path}: {exc.strerror or exc}. Does it run?") from exc
        super().__init__(self._socket.fileno(), self._socket.fileno())

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


class SerialLink:
    """A serial line, or what pyserial takes for one."""

    def __init__(self, port: str, baud_rate: int) -> None:
        """Open it.

        Raises:
            PortError: If it cannot be.
        """
        self._link = Link(port, baud_rate)
        self._link.open()
        self._patience_s = _SERIAL_PATIENCE_S + 2 * 10 * MAX_ENCODED / baud_rate

    @property
    def patience_s(self) -> float:
        """How long an answer may take: twice the longest frame on the line, and some for the machine."""
        return self._patience_s

    def read(self) -> Received:
        """Return what comes within some 50 ms; PortLostError when the port is gone."""
        return self._link.read()

    def write(self, data: bytes) -> None:
        """Send all of it; PortLostError when the port is gone."""
        self._link.write(data)

    def close(self) -> None:
        """Close the port."""
        self._link.close()
