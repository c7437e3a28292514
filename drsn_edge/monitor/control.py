"""The control socket of a running monitor: how commands on the same machine reach it.

Each running monitor listens on a Unix stream socket `monitor-PID.sock` in its state folder, mode 0660: its user and its
group may connect, nobody else. A request is one line of JSON, and so is the answer; then the connection ends.

    {"do": "machines"}                                     -> {"ok": true, "machines": [{"machine": ..., "alarms": []}]}
    {"do": "ack", "machine": "pump 3", "alarm": "worn"}    -> {"ok": true, "alarms": ["worn"], "taken": true}
    {"do": "accept-mounting", "machine": "pump 3"}         -> {"ok": true, "taken": true}
    anything else                                          -> {"ok": false, "error": "..."}

Bounds: 4 KiB and 5 s for a request, 64 KiB for an answer, 8 connections at a time (others wait), printable UTF-8.
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
"""For all monitors of some folders to say what they watch."""

_MOST_WAITING = 32
"""Connections that the system keeps until it is their turn."""

_NAME = re.compile(r"monitor-(\d{1,10})(-\d)?\.sock")
_LONGEST_PATH = 100
"""Bytes of a path that a socket takes on every system (Linux: 107)."""

_TAKEN_WITHIN_S = 2.0
_LEAST_S = 0.02
"""For a monitor of another folder, behind one whose monitors hang: one that does not has answered by then."""

Request = Mapping[str, Any]
Answer = dict[str, Any]
Handler = Callable[[Request], Answer]


class Controlled(Protocol):
    """What is controlled: a sensor that is watched."""

    @property
    def machine(self) -> str:
        """What it watches."""
        ...

    @property
    def alarms(self) -> tuple[str, ...]:
        """The alarms that are raised."""
        ...

    @property
    def waiting(self) -> bool:
        """Whether something that was asked for has not been done yet."""
        ...

    def acknowledge(self, alarm: str | None = None) -> None:
        """Somebody has seen the alarms, or that one."""

    def accept_mounting(self) -> None:
        """Somebody has moved the sensor on purpose."""


class RefusedError(Exception):
    """A request that cannot be met; its text is the answer."""


def handlers_of(stations: Sequence[Controlled]) -> dict[str, Handler]:
    """Return what answers the requests about some sensors, by the request's name."""

    def machines(request: Request) -> Answer:
        return {"machines": [{"machine": each.machine, "alarms": list(each.alarms)} for each in stations]}

    def ack(request: Request) -> Answer:
        station, alarm = _chosen(stations, request), request.get("alarm")
        raised = station.alarms
        if alarm is not None and alarm not in raised:
            listed = f"Raised: {', '.join(raised)}." if raised else "None is raised."
            raise RefusedError(f"No alarm {alarm} is raised at {station.machine}. {listed}")
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
    raise RefusedError(f"Expected the name of one machine of this monitor: {names}.")


def _taken(station: Controlled) -> bool:
    """Wait until what was asked for is done; a station that is being opened does it later."""
    until = time.monotonic() + _TAKEN_WITHIN_S
    while station.waiting and time.monotonic() < until:
        time.sleep(0.02)
    return not station.waiting


# --- the monitor's side ----------------------------------------------------------------------------------------------


class ControlSocket:
    """Listens until it is closed. Where it cannot, it says so once, and the monitor goes on without."""

    def __init__(self, folder: Path, handlers: Mapping[str, Handler]) -> None:
        """Begin to listen.

        Args:
            folder: The state folder, made if it is missing.
            handlers: What answers a request, by its name.

        Raises:
            ControlError: If there can be no socket.
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
                f"This monitor cannot be reached by `drsn-edge ack` and `drsn-edge accept-mounting`: no control socket "
                f"in {folder} ({exc.strerror or exc}). Everything else goes on; kill -USR1 {os.getpid()} acknowledges."
            ) from exc
        threading.Thread(target=self._serve, name="control", daemon=True).start()

    def close(self) -> None:
        """Listen no more, and remove the socket; harmless when repeated."""
        if self._closed:
            return
        self._closed = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes what waits for a connection
        self._listener.close()
        with suppress(OSError):
            if self.path.stat().st_ino == self._inode:
                self.path.unlink()

    def _bound(self) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | getattr(socket, "SOCK_CLOEXEC", 0))
        try:
            with suppress(OSError):
                os.fchmod(listener.fileno(), 0o660)  # Linux makes the file with this mode: never open to others
            with _address(self.path) as address:
                listener.bind(address)
            self.path.chmod(0o660)  # whatever the umask
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
                    time.sleep(0.1)  # of file descriptors, for example, there may be none just now
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
                raise RefusedError(f"Expected one of {', '.join(self._handlers)}.")
            return {"ok": True, **handler(request)}
        except RefusedError as exc:
            return {"ok": False, "error": str(exc)}


def _request(line: bytes | None) -> Request:
    if line is None:
        raise RefusedError(f"Expected one line of at most {MOST_BYTES} bytes within {MOST_SECONDS:g} s.")
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        raise RefusedError("Expected one line of JSON in UTF-8.") from None
    if not isinstance(request, dict) or "do" not in request or not set(request) <= {"do", "machine", "alarm"}:
        raise RefusedError('Expected an object with "do", and "machine" or "alarm" where they matter.')
    if not all(value is None or _is_name(value) for value in request.values()) or request["do"] is None:
        raise RefusedError(f"Expected texts of at most {MOST_CHARACTERS} printable characters.")
    return request


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MOST_CHARACTERS and value.isprintable()


def _read_line(link: socket.socket, most: int, until: float) -> bytes | None:
    """Return what comes before a line's end, None if there is no such within the bounds."""
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
    """Yield what a socket is bound or connected to: the path, or a short one where it would be too long."""
    if len(os.fsencode(path)) <= _LONGEST_PATH:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        short = Path(f"/proc/self/fd/{folder}")
        if not short.is_dir():
            raise OSError(errno.ENAMETOOLONG, "its path is too long for a socket: set DRSN_EDGE_STATE to a shorter one")
        yield str(short / path.name)
    finally:
        os.close(folder)


def _sockets(folder: Path) -> list[tuple[Path, int]]:
    """Return the sockets of monitors in a folder, each with its process; at most `MOST_MONITORS`."""
    found = []
    for entry in sorted(os.scandir(folder), key=lambda each: each.name):
        match = _NAME.fullmatch(entry.name)
        if match and stat.S_ISSOCK(entry.stat(follow_symlinks=False).st_mode):
            found.append((Path(entry.path), int(match[1])))
    return found[:MOST_MONITORS]


def _remove_stale(folder: Path) -> None:
    """Remove the sockets of monitors that were killed: nobody listens there, and the process is gone."""
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
    """Return a path for this process; another one of the same number may share the folder from a container."""
    names = [f"monitor-{os.getpid()}.sock", *(f"monitor-{os.getpid()}-{number}.sock" for number in range(1, 10))]
    for name in names:
        if not os.path.lexists(folder / name):
            return folder / name
    raise OSError(errno.EEXIST, f"{names[0]} and nine more are there already")


# --- the commands' side ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Watched:
    """A machine that a running monitor watches.

    Attributes:
        socket: Of the monitor.
        process: Of the monitor.
        machine: Its name.
        alarms: That are raised.
    """

    socket: Path
    process: int
    machine: str
    alarms: tuple[str, ...]


def watched(folders: Sequence[Path]) -> list[Watched]:
    """Return every machine that is watched by monitors whose state folders these are.

    Those that have not answered within `MOST_LISTING_SECONDS` are left out.

    Raises:
        ControlError: If there is none, or it may not be reached by this user.
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
            continue  # there is none
        for number, (path, process) in enumerate(sockets):
            share_s = max(until - time.monotonic(), 0) / (len(sockets) - number)  # some may hang: others have theirs
            found += _machines_of(path, process, troubles, min(MOST_SECONDS, max(share_s, _LEAST_S)))
    if not found and troubles:
        raise troubles[0]
    if not found:
        raise ControlError(
            f"No running monitor was found in {' or '.join(map(str, folders))}. Start one (drsn-edge monitor), or say "
            "where it keeps its state: DRSN_EDGE_STATE=FOLDER. A monitor that replays does not listen."
        )
    return found


def choose(found: Sequence[Watched], machine: str | None) -> Watched:
    """Return the one that is meant.

    Raises:
        ControlError: If there is none of that name, or several could be meant.
    """
    meant = [each for each in found if machine in (None, each.machine)]
    if len(meant) == 1:
        return meant[0]
    listed = ", ".join(f"{each.machine} (process {each.process})" for each in (meant or found))
    if not meant:
        raise ControlError(f"No machine {machine} is watched here. Choose another --machine: {listed}.")
    if machine is None:
        raise ControlError(f"Several machines are watched here. Choose one with --machine: {listed}.")
    raise ControlError(f"Several monitors watch {machine}: {listed}. Stop one, or start it with another --machine.")


def ask(one: Watched, do: str, alarm: str | None = None) -> Answer:
    """Ask a monitor for something about one of its machines, and return its answer.

    Raises:
        ControlError: If it does not answer, or refuses.
    """
    try:
        answer = _ask(one.socket, {"do": do, "machine": one.machine, **({} if alarm is None else {"alarm": alarm})})
    except OSError as exc:
        raise ControlError(
            f"The monitor of {one.machine} (process {one.process}) has gone: {exc.strerror or exc}. Try again."
        ) from exc
    if answer.get("ok") is not True:
        raise ControlError(printable(answer.get("error") or "The monitor refused."))
    return answer


def _ask(path: Path, request: Request, most_s: float = MOST_SECONDS) -> Answer:
    """Ask, and wait for the answer for at most so long."""
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
        raise ControlError(f"The monitor behind {path} does not answer. Does it hang? Restart it.")
    return answer


def _connect(link: socket.socket, address: str, until: float) -> None:
    """Connect; where too many others wait already, a socket with a time limit says so at once, and is tried again."""
    while True:
        try:
            link.connect(address)
            return
        except BlockingIOError:
            if time.monotonic() >= until:
                raise TimeoutError from None
            time.sleep(0.02)


def _machines_of(path: Path, process: int, troubles: list[ControlError], most_s: float) -> list[Watched]:
    """Return what a monitor watches; nothing where it has ended, or with a trouble that is added."""
    try:
        listed = _ask(path, {"do": "machines"}, most_s).get("machines")
    except PermissionError:
        troubles.append(_denied(path))
        return []
    except ControlError as exc:
        troubles.append(exc)
        return []
    except OSError:
        return []  # it was killed, or has just ended
    found = []
    for each in listed if isinstance(listed, list) else []:
        if isinstance(each, dict) and isinstance(each.get("alarms"), list):
            alarms = tuple(printable(alarm) for alarm in each["alarms"])
            found.append(Watched(path, process, printable(each.get("machine") or ""), alarms))
    return found


def _denied(path: Path) -> ControlError:
    return ControlError(f"Not permitted to talk to the monitor at {path}: {_open_to(path)}")


def _open_to(path: Path) -> str:
    try:
        status = path.stat()
        user, group = _user(status.st_uid), _group(status.st_gid)
    except OSError:
        return "it is another user's. Use sudo, or join the group of its state folder."
    owned = f"it belongs to the user {user} and the group {group}."
    if status.st_gid == 0:
        return f"{owned} Use sudo."
    return f"{owned} Join the group (sudo usermod -aG {group} $USER) and log in anew, or use sudo."


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
