"""The control socket of a running monitor, by which commands on the same machine reach it.

Each running monitor listens on a Unix stream socket `monitor-PID.sock` in its state folder, mode 0660: only its user
and its group may connect. A request is one line of JSON, the answer is another, and then the connection is closed.

    {"do": "machines"}                                     -> {"ok": true, "machines": [{"machine": ..., "alarms": []}]}
    {"do": "ack", "machine": "pump 3", "alarm": "worn"}    -> {"ok": true, "alarms": ["worn"], "taken": true}
    {"do": "accept-mounting", "machine": "pump 3"}         -> {"ok": true, "taken": true}
    anything else                                          -> {"ok": false, "error": "..."}

Limits: 4 KiB and 5 s for a request, 64 KiB for an answer, 8 connections at a time (others wait), printable UTF-8.
"""

from __future__ import annotations

import errno
import grp
import json
import os
import pwd
import re
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from drsn_edge.errors import ControlError
from firmware_bridge.support.shown import printable

MOST_BYTES = 4096
MOST_SECONDS = 5.0
MOST_CONNECTIONS = 8
MOST_CHARACTERS = 200
MOST_ANSWER_BYTES = 65_536
MOST_MONITORS = 64
MOST_LISTING_SECONDS = 10.0
"""Time for all monitors of the given folders to list their machines."""

_MOST_WAITING = 32
"""Number of connections that the system keeps waiting."""

_NAME = re.compile(r"monitor-(\d{1,10})(-\d)?\.sock")
_LONGEST_PATH = 100
"""Bytes of a path that a socket takes on every system (Linux: 107)."""

_TAKEN_WITHIN_S = 2.0
_LEAST_S = 0.02
"""Shortest time for a monitor to answer, even after monitors that hang; a working one answers within it."""

Request = Mapping[str, Any]
Answer = dict[str, Any]
Handler = Callable[[Request], Answer]


class Controlled(Protocol):
    """A watched sensor that can be controlled."""

    @property
    def machine(self) -> str:
        """Name of the machine that it watches."""
        ...

    @property
    def alarms(self) -> tuple[str, ...]:
        """The alarms that are raised."""
        ...

    @property
    def waiting(self) -> bool:
        """Whether a request has not been carried out yet."""
        ...

    def acknowledge(self, alarm: str | None = None) -> None:
        """Acknowledge all alarms, or one."""

    def accept_mounting(self) -> None:
        """Accept the present mounting after the sensor was moved on purpose."""


class RefusedError(Exception):
    """A request that cannot be carried out; the message is the answer."""


def handlers_of(stations: Sequence[Controlled]) -> dict[str, Handler]:
    """Return the handlers of requests about these sensors, by the name of the request."""

    def machines(request: Request) -> Answer:
        return {"machines": [{"machine": each.machine, "alarms": list(each.alarms)} for each in stations]}

    def ack(request: Request) -> Answer:
        station, alarm = _chosen(stations, request), request.get("alarm")
        raised = station.alarms
        if alarm is not None and alarm not in raised:
            listed = f"Raised: {', '.join(raised)}." if raised else "No alarm is raised there."
            raise RefusedError(f"{station.machine} has no raised alarm {alarm}. {listed}")
        station.acknowledge(alarm)
        return {"alarms": [alarm] if alarm is not None else list(raised), "taken": _taken(station)}

    def accept_mounting(request: Request) -> Answer:
        station = _chosen(stations, request)
        station.accept_mounting()
        return {"taken": _taken(station)}

    return {"machines": machines, "ack": ack, "accept-mounting": accept_mounting}


def _chosen(stations: Sequence[Controlled], request: Request) -> Controlled:
    found = [each for each in stations if request.get("machine") in (None, each.machine)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(each.machine for each in stations)
    raise RefusedError(f"The request must name one machine of this monitor: {names}.")


def _taken(station: Controlled) -> bool:
    """Wait until the request is carried out, and return whether it was; a station that is opening does it later."""
    until = time.monotonic() + _TAKEN_WITHIN_S
    while station.waiting and time.monotonic() < until:
        time.sleep(0.02)
    return not station.waiting


# --- the monitor's side ----------------------------------------------------------------------------------------------


class ControlSocket:
    """Listens for requests until it is closed."""

    def __init__(self, folder: Path, handlers: Mapping[str, Handler]) -> None:
        """Begin to listen.

        Args:
            folder: The state folder; it is made if it is missing.
            handlers: Handlers of requests, by the name of the request.

        Raises:
            ControlError: If the socket cannot be made.
        """
        self._handlers = handlers
        self._closed = False
        self._room = threading.BoundedSemaphore(MOST_CONNECTIONS)
        try:
            folder.mkdir(mode=0o750, parents=True, exist_ok=True)
            _remove_stale(folder)
            self.path = _free(folder)
            self._listener = self._bound()
        except OSError as exc:
            raise ControlError(
                f"`drsn-edge ack` and `drsn-edge accept-mounting` cannot reach this monitor: it cannot make its "
                f"control socket in {folder} ({exc.strerror or exc}). Monitoring continues. To acknowledge alarms, "
                f"type: kill -USR1 {os.getpid()}",
                "no_socket",
                path=folder,
                reason=exc.strerror or str(exc),
            ) from exc
        threading.Thread(target=self._serve, name="control", daemon=True).start()

    def close(self) -> None:
        """Stop listening and remove the socket; further calls do nothing."""
        if self._closed:
            return
        self._closed = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for a connection
        self._listener.close()
        with suppress(OSError):
            if self.path.stat().st_ino == self._inode:
                self.path.unlink()

    def _bound(self) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | getattr(socket, "SOCK_CLOEXEC", 0))
        try:
            with suppress(OSError):
                os.fchmod(
                    listener.fileno(), 0o660
                )  # Linux makes the file with this mode, so it is never open to others
            with _address(self.path) as address:
                listener.bind(address)
            self.path.chmod(0o660)  # independent of the umask
            self._inode = self.path.stat().st_ino
            listener.listen(_MOST_WAITING)
        except OSError:
            listener.close()
            raise
        return listener

    def _serve(self) -> None:
        while not self._closed:
            self._room.acquire()
            try:
                link, _ = self._listener.accept()
            except OSError:
                self._room.release()
                if not self._closed:
                    time.sleep(0.1)  # perhaps no file descriptor is free just now
                continue
            try:
                threading.Thread(target=self._talk, args=(link,), name="control request", daemon=True).start()
            except RuntimeError:
                link.close()
                self._room.release()

    def _talk(self, link: socket.socket) -> None:
        try:
            with link, suppress(OSError):
                answer = self._answer(_read_line(link, MOST_BYTES, time.monotonic() + MOST_SECONDS))
                link.settimeout(MOST_SECONDS)
                link.sendall(json.dumps(answer).encode() + b"\n")
        finally:
            self._room.release()

    def _answer(self, line: bytes | None) -> Answer:
        try:
            request = _request(line)
            handler = self._handlers.get(request["do"])
            if handler is None:
                raise RefusedError(f"Unknown request. The requests are {', '.join(self._handlers)}.")
            return {"ok": True, **handler(request)}
        except RefusedError as exc:
            return {"ok": False, "error": str(exc)}


def _request(line: bytes | None) -> Request:
    if line is None:
        raise RefusedError(f"A request must be one line of at most {MOST_BYTES} bytes, sent within {MOST_SECONDS:g} s.")
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        raise RefusedError("A request must be one line of JSON in UTF-8.") from None
    if not isinstance(request, dict) or "do" not in request or not set(request) <= {"do", "machine", "alarm"}:
        raise RefusedError('A request must be an object with "do", and if needed "machine" and "alarm".')
    if not all(value is None or _is_name(value) for value in request.values()) or request["do"] is None:
        raise RefusedError(f"Values must be texts of at most {MOST_CHARACTERS} printable characters.")
    return request


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MOST_CHARACTERS and value.isprintable()


def _read_line(link: socket.socket, most: int, until: float) -> bytes | None:
    """Return the first line without its line feed; None if it does not arrive within the limits."""
    data = b""
    while b"\n" not in data:
        left_s = until - time.monotonic()
        if left_s <= 0 or len(data) >= most:
            return None
        link.settimeout(left_s)
        try:
            some = link.recv(min(4096, most - len(data)))
        except TimeoutError:
            return None
        if not some:
            return None
        data += some
    return data.partition(b"\n")[0]


@contextmanager
def _address(path: Path) -> Iterator[str]:
    """Yield an address for bind or connect: the path, or a short path to it if it is too long."""
    if len(os.fsencode(path)) <= _LONGEST_PATH:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        short = Path(f"/proc/self/fd/{folder}")
        if not short.is_dir():
            raise OSError(errno.ENAMETOOLONG, "the path is too long for a socket: set DRSN_EDGE_STATE to a shorter one")
        yield str(short / path.name)
    finally:
        os.close(folder)


def _sockets(folder: Path) -> list[tuple[Path, int]]:
    """Return the sockets of monitors in a folder, each with its process id; at most `MOST_MONITORS`."""
    found = []
    for entry in sorted(os.scandir(folder), key=lambda each: each.name):
        match = _NAME.fullmatch(entry.name)
        if match and stat.S_ISSOCK(entry.stat(follow_symlinks=False).st_mode):
            found.append((Path(entry.path), int(match[1])))
    return found[:MOST_MONITORS]


def _remove_stale(folder: Path) -> None:
    """Remove the sockets of monitors that were killed: nobody listens, and the process no longer exists."""
    for path, process in _sockets(folder):
        with suppress(OSError):
            if not _is_alive(process) and not _listens(path):
                path.unlink()


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return process != os.getpid()


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link, _address(path) as address:
        link.settimeout(MOST_SECONDS)
        return link.connect_ex(address) not in (errno.ECONNREFUSED, errno.ENOENT)


def _free(folder: Path) -> Path:
    """Return a free path for this process; a process in a container may have the same id and share the folder."""
    names = [f"monitor-{os.getpid()}.sock", *(f"monitor-{os.getpid()}-{number}.sock" for number in range(1, 10))]
    for name in names:
        if not os.path.lexists(folder / name):
            return folder / name
    raise OSError(errno.EEXIST, f"{names[0]} and nine more already exist")


# --- the commands' side ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Watched:
    """A machine that a running monitor watches.

    Attributes:
        socket: Control socket of the monitor.
        process: Process id of the monitor.
        machine: Name of the machine.
        alarms: Alarms that are raised.
    """

    socket: Path
    process: int
    machine: str
    alarms: tuple[str, ...]


def watched(folders: Sequence[Path]) -> list[Watched]:
    """Return the machines of all monitors with these state folders.

    Monitors that do not answer within `MOST_LISTING_SECONDS` are left out.

    Raises:
        ControlError: If there is none, or this user may not reach it.
    """
    found: list[Watched] = []
    troubles: list[ControlError] = []
    until = time.monotonic() + MOST_LISTING_SECONDS
    for folder in folders:
        try:
            sockets = _sockets(folder)
        except PermissionError:
            troubles.append(_denied(folder))
            continue
        except OSError:
            continue  # the folder does not exist
        for number, (path, process) in enumerate(sockets):
            share_s = max(until - time.monotonic(), 0) / (
                len(sockets) - number
            )  # some may hang; the others keep their share
            found += _machines_of(path, process, troubles, min(MOST_SECONDS, max(share_s, _LEAST_S)))
    if not found and troubles:
        raise troubles[0]
    if not found:
        raise ControlError(
            f"No running monitor was found in {' or '.join(map(str, folders))}. Start one with drsn-edge monitor, or "
            "set DRSN_EDGE_STATE to its state folder. A monitor that replays a log does not listen.",
            "no_monitor",
            folders=tuple(folders),
        )
    return found


def choose(found: Sequence[Watched], machine: str | None) -> Watched:
    """Return the machine with a name, or the only machine for None.

    Raises:
        ControlError: If no machine matches, or several do.
    """
    meant = [each for each in found if machine in (None, each.machine)]
    if len(meant) == 1:
        return meant[0]
    listed = ", ".join(f"{each.machine} (process {each.process})" for each in (meant or found))
    if not meant:
        words = f"No machine {machine} is watched here. Choose another --machine: {listed}."
        raise ControlError(words, "no_such_machine", machine=machine, watched=_names(found))
    if machine is None:
        words = f"Several machines are watched here. Choose one with --machine: {listed}."
        raise ControlError(words, "several_machines", watched=_names(found))
    words = f"Several monitors watch {machine}: {listed}. Stop one, or start it with another --machine."
    raise ControlError(words, "several_monitors", machine=machine, watched=_names(meant))


def _names(watched: Sequence[Watched]) -> list[str]:
    return [each.machine for each in watched]


def ask(one: Watched, do: str, alarm: str | None = None) -> Answer:
    """Send a monitor a request about one of its machines, and return the answer.

    Raises:
        ControlError: If the monitor does not answer, or refuses.
    """
    try:
        answer = _ask(one.socket, {"do": do, "machine": one.machine, **({} if alarm is None else {"alarm": alarm})})
    except OSError as exc:
        raise ControlError(
            f"The monitor of {one.machine} (process {one.process}) has ended: {exc.strerror or exc}. Try again.",
            "ended",
            machine=one.machine,
            process=one.process,
        ) from exc
    if answer.get("ok") is not True:
        words = printable(answer.get("error") or f"The monitor of {one.machine} refused.")
        raise ControlError(words, "refused", machine=one.machine)
    return answer


def _ask(path: Path, request: Request, most_s: float = MOST_SECONDS) -> Answer:
    """Send a request, and wait for the answer for at most `most_s` seconds."""
    until = time.monotonic() + most_s
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.settimeout(most_s)
        try:
            with _address(path) as address:
                _connect(link, address, until)
            link.sendall(json.dumps(request).encode() + b"\n")
            line = _read_line(link, MOST_ANSWER_BYTES, until)
            answer = None if line is None else json.loads(line)
        except (TimeoutError, ValueError, RecursionError):
            answer = None
    if not isinstance(answer, dict):
        words = f"The monitor behind {path} does not answer and may hang. Restart it."
        raise ControlError(words, "no_answer", path=path)
    return answer


def _connect(link: socket.socket, address: str, until: float) -> None:
    """Connect; if too many others wait already, a socket with a timeout fails at once, and is tried again."""
    while True:
        try:
            link.connect(address)
            return
        except BlockingIOError:
            if time.monotonic() >= until:
                raise TimeoutError from None
            time.sleep(0.02)


def _machines_of(path: Path, process: int, troubles: list[ControlError], most_s: float) -> list[Watched]:
    """Return the machines of a monitor; none if it has ended or cannot be reached, which is added to `troubles`."""
    try:
        listed = _ask(path, {"do": "machines"}, most_s).get("machines")
    except PermissionError:
        troubles.append(_denied(path))
        return []
    except ControlError as exc:
        troubles.append(exc)
        return []
    except OSError:
        return []  # the monitor was killed or has just ended
    found = []
    for each in listed if isinstance(listed, list) else []:
        if isinstance(each, dict) and isinstance(each.get("alarms"), list):
            alarms = tuple(printable(alarm) for alarm in each["alarms"])
            found.append(Watched(path, process, printable(each.get("machine") or ""), alarms))
    return found


def _denied(path: Path) -> ControlError:
    return ControlError(f"You may not talk to the monitor at {path}: {_open_to(path)}", "not_permitted", path=path)


def _open_to(path: Path) -> str:
    try:
        status = path.stat()
        user, group = _user(status.st_uid), _group(status.st_gid)
    except OSError:
        return "it belongs to another user. Use sudo, or join the group of its state folder."
    owned = f"it belongs to the user {user} and the group {group}."
    if status.st_gid == 0:
        return f"{owned} Use sudo."
    return f"{owned} Join the group (sudo usermod -aG {group} $USER) and log in again, or use sudo."


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
