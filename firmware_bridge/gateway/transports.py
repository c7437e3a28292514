"""Links to a gateway: ssh, a serial line, a Unix socket, a pair of pipes."""

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
"""A write of up to `select.PIPE_BUF` bytes never blocks once select() reports the descriptor as writable."""

_PATIENCE_S = 10.0
_SERIAL_PATIENCE_S = 0.4
_END_S, _TELLING_S = 5.0, 1.0
_MOST_LINES, _LONGEST_LINE = 200, 1000
_USER, _HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*"), re.compile(r"[A-Za-z0-9][A-Za-z0-9.:_-]*")


@dataclass(frozen=True)
class GatewayAddress:
    """Address of a gateway.

    Attributes:
        kind: ssh, serial, socket, file or local.
        place: USER@HOST for ssh, the port for serial, the path for socket and file.
        port: TCP port for ssh; None: the default of ssh.
        program: Path of `drsn-edge` on the gateway, for ssh.
        sudo: Whether to run `drsn-edge` with sudo on the gateway.
        baud_rate: Baud rate of a serial line.
    """

    kind: str
    place: str = ""
    port: int | None = None
    program: str = "drsn-edge"
    sudo: bool = False
    baud_rate: int = DEFAULT_BAUD_RATE


def parse_address(text: str) -> GatewayAddress:
    """Return the address that a text gives.

    Args:
        text: ssh://[USER@]HOST[:PORT][/PATH/TO/drsn-edge][?sudo], serial:PORT[?baud=N], socket:PATH,
            file:STATE-FOLDER, or local.

    Raises:
        ProtocolError: If the text has none of these forms.
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
        f"{text!r} is not the address of a gateway. Write ssh://USER@HOST, serial:/dev/ttyUSB0, socket:PATH, "
        "file:STATE-FOLDER or local.",
        "bad_address",
        got=text,
    )


def _ssh_address(text: str) -> GatewayAddress | None:
    try:
        parts = urlsplit(text)
        port = parts.port
        query = parse_qs(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        return None
    user, host = parts.username, parts.hostname
    # ssh takes a host that begins with a dash for an option.
    fits = host and _HOST.fullmatch(host) and (user is None or _USER.fullmatch(user))
    if not fits or parts.password is not None or parts.fragment or set(query) - {"sudo"}:
        return None
    place = f"{user}@{host}" if user else str(host)
    return GatewayAddress("ssh", place, port, unquote(parts.path) or "drsn-edge", "sudo" in query)


def open_link(address: GatewayAddress, tell: Callable[[str], object] = lambda text: None) -> ClientLink:
    """Open a connection to a gateway.

    Args:
        address: Address of the gateway, of the kind ssh, socket or serial.
        tell: Called with each line that ssh, or the gateway behind it, writes to standard error.

    Raises:
        PortError: If the connection cannot be opened.
    """
    if address.kind == "ssh":
        return ProcessLink(ssh_command(address), tell)
    if address.kind == "socket":
        return SocketLink(Path(address.place))
    return SerialLink(address.place, address.baud_rate)


def ssh_command(address: GatewayAddress) -> list[str]:
    """Return the command that runs the system's ssh and starts an agent on the gateway."""
    quoted = "'" + address.program.replace("'", "'\\''") + "'"
    remote = f"{'sudo -n ' if address.sudo else ''}{quoted} agent"
    port = [] if address.port is None else ["-p", str(address.port)]
    return ["ssh", "-T", "-o", "ConnectTimeout=15", "-o", "ServerAliveInterval=10", *port, "--", address.place, remote]


class DescriptorLink:
    """A link over two file descriptors, such as the pipes of an agent that ssh started."""

    def __init__(self, reading: int, writing: int) -> None:
        """Take over the descriptors; `close` closes them."""
        self._reading, self._writing = reading, writing

    @property
    def patience_s(self) -> float:
        """Seconds to wait for an answer."""
        return _PATIENCE_S

    def read(self) -> Received:
        """Return the bytes that come within about 50 ms.

        Raises:
            PortLostError: If the other end has closed the connection.
        """
        try:
            if not select.select([self._reading], [], [], _READ_S)[0]:
                return Received(b"", False)
            data = os.read(self._reading, _READ_BYTES)
        except OSError as exc:
            raise PortLostError(f"The connection to the gateway broke: {exc}.", "broken", reason=str(exc)) from exc
        if not data:
            raise self._closed()
        return Received(data, len(data) == _READ_BYTES)

    def write(self, data: bytes) -> None:
        """Send all of `data`.

        Raises:
            PortLostError: If the other end has closed the connection, or reads nothing for `_WRITE_S` seconds.
        """
        view = memoryview(data)
        try:
            while view:
                if not select.select([], [self._writing], [], _WRITE_S)[1]:
                    raise PortLostError(
                        f"The other end of the connection has read nothing for {_WRITE_S:g} s.",
                        "not_read",
                        seconds=_WRITE_S,
                    )
                view = view[os.write(self._writing, view[:_WRITE_BYTES]) :]
        except OSError as exc:
            raise self._closed() from exc

    def close(self) -> None:
        """Close both descriptors."""
        for descriptor in {self._reading, self._writing}:
            with suppress(OSError):
                os.close(descriptor)

    def _closed(self) -> PortLostError:
        return PortLostError("The other end closed the connection.", "closed")


class ProcessLink(DescriptorLink):
    """A program that speaks the protocol on its standard input and output, such as ssh with an agent behind it.

    Lines on its standard error are passed on to the user as printable text: ssh reports its own errors there, and the
    messages of the gateway. ssh asks for passwords on the terminal itself.
    """

    def __init__(self, command: Sequence[str], tell: Callable[[str], object] = lambda text: None) -> None:
        """Start the program.

        Args:
            command: Program and arguments.
            tell: Called from another thread with each of the first `_MOST_LINES` lines of standard error.

        Raises:
            PortAbsentError: If the program is missing or cannot be started.
        """
        program = find_program(command[0])
        if program is None:
            raise PortAbsentError(
                f"The program {command[0]} is not on the PATH. Install it.", "no_program", program=command[0]
            )
        call = [program, *command[1:]]
        try:
            self._process = subprocess.Popen(
                call, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
            )
        except OSError as exc:
            raise PortAbsentError(
                f"Could not start {program}: {exc.strerror}. Check its permissions.",
                "not_started",
                program=program,
                reason=exc.strerror,
            ) from exc
        assert self._process.stdin is not None and self._process.stdout is not None
        super().__init__(self._process.stdout.fileno(), self._process.stdin.fileno())
        self._telling = threading.Thread(target=_pass_on, args=(self._process.stderr, tell), daemon=True)
        self._telling.start()

    def close(self) -> None:
        """Close the program's standard input, and end the program."""
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

    def _closed(self) -> PortLostError:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_S)
        self._telling.join(_TELLING_S)
        code = self._process.returncode
        program = Path(str(self._process.args[0])).name  # type: ignore[index]
        hint = (
            " Is drsn-edge installed there, and on the PATH? Give its path with ssh://HOST/PATH/TO/drsn-edge."
            if code == 127
            else ""
        )
        return PortLostError(
            f"{program} ended with exit code {code}; its messages are above.{hint}",
            "program_ended",
            program=program,
            exit_code=code,
        )


def _pass_on(pipe: IO[bytes], tell: Callable[[str], object]) -> None:
    """Pass on the first `_MOST_LINES` lines as printable text; read and discard the rest, so that no writer blocks."""
    for _ in range(_MOST_LINES):
        line = pipe.readline(_LONGEST_LINE)
        if not line:
            return
        tell(printable(line.decode(errors="replace").rstrip("\r\n")))
    while pipe.read(_READ_BYTES):
        pass


class SocketLink(DescriptorLink):
    """A link over a Unix socket."""

    def __init__(self, path: Path) -> None:
        """Connect.

        Raises:
            PortAbsentError: If no agent listens on the socket.
        """
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.connect(str(path))
        except OSError as exc:
            self._socket.close()
            raise PortAbsentError(
                f"No agent answers at {path}: {exc.strerror or exc}. Start one: drsn-edge agent --socket {path}",
                "no_agent",
                path=path,
                reason=exc.strerror or str(exc),
            ) from exc
        super().__init__(self._socket.fileno(), self._socket.fileno())

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class SerialLink:
    """A link over a serial line, or over a URL that pyserial knows."""

    def __init__(self, port: str, baud_rate: int) -> None:
        """Open the port.

        Raises:
            PortError: If the port cannot be opened.
        """
        self._link = Link(port, baud_rate)
        self._link.open()
        self._patience_s = _SERIAL_PATIENCE_S + 2 * 10 * MAX_ENCODED / baud_rate

    @property
    def patience_s(self) -> float:
        """Seconds to wait for an answer: twice the longest frame on the line, and a margin for the gateway."""
        return self._patience_s

    def read(self) -> Received:
        """Return the bytes that come within about 50 ms; raise PortLostError if the port is gone."""
        return self._link.read()

    def write(self, data: bytes) -> None:
        """Send all of `data`; raise PortLostError if the port is gone."""
        self._link.write(data)

    def close(self) -> None:
        """Close the port."""
        self._link.close()
