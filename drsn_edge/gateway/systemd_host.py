"""Services of drsn-edge on this machine: their user, their units, and their state in systemd."""

from __future__ import annotations

import grp
import os
import pwd
import re
import shlex
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from drsn_edge.errors import OutputError
from drsn_edge.gateway.paths import SYSTEM_STATE, SYSTEM_TRUST
from drsn_edge.gateway.systemd_unit import UNITS, USER, WRITTEN_BY, unit_name
from drsn_edge.support.files import write_file

_LARGEST_UNIT = 65_536
_PATIENCE_S = 90.0
"""Timeout of a command in seconds, longer than a service takes to stop (TimeoutStopSec of the unit)."""

_SYSUSERS = f"""\
# {WRITTEN_BY}: the user that its services run as, and the group that may read their files.
u {USER} - "drsn-edge monitor" {SYSTEM_STATE}
"""


@dataclass(frozen=True)
class ProgramOutput:
    """Exit status and output of a program, stderr included."""

    code: int
    text: str


def call(command: Sequence[str]) -> ProgramOutput:
    """Run a program of the system; the exit status of a missing program is 127."""
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=_PATIENCE_S,
            encoding="utf-8", errors="replace", check=False,
        )  # fmt: skip
    except FileNotFoundError:
        return ProgramOutput(127, f"{command[0]} is not installed")
    except (OSError, subprocess.TimeoutExpired) as exc:
        return ProgramOutput(1, str(exc))
    return ProgramOutput(done.returncode, done.stdout.strip())


def has_user(name: str) -> bool:
    """Tell whether the system has a user and a group with this name."""
    try:
        pwd.getpwnam(name)
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


@dataclass(frozen=True)
class Installed:
    """An installed service of drsn-edge.

    Attributes:
        name: Name given to `service install`.
        unit: Name of the unit.
        path: File of the unit.
        enabled: Whether systemd starts it at boot: `enabled`, `disabled`, ...; None if systemd does not answer.
        active: State of the service: `active`, `inactive`, `failed`, ...; None if systemd does not answer.
        command: Command that it runs.
    """

    name: str
    unit: str
    path: Path
    enabled: str | None
    active: str | None
    command: str


@dataclass(frozen=True)
class Removed:
    """A removed service, and what is left of it.

    Attributes:
        left: Files and folders that are left.
        warning: What systemd refused to do; None if nothing.
    """

    unit: str
    path: Path
    left: tuple[str, ...]
    warning: str | None


@dataclass(frozen=True)
class Host:
    """This machine, or a folder that stands for it.

    Attributes:
        root: Root of its file system.
        call: Runs a program of the machine.
        has_user: Tells whether it has a user and a group with a name.
    """

    root: Path = Path("/")
    call: Callable[[Sequence[str]], ProgramOutput] = call
    has_user: Callable[[str], bool] = has_user

    @property
    def units(self) -> Path:
        """Folder of systemd units."""
        return self._under(UNITS)

    def make_user(self) -> bool:
        """Make the user and the group of the services if they are missing; return whether they were missing.

        Raises:
            OutputError: If they cannot be made; the message says what to type.
        """
        if self.has_user(USER):
            return False
        folder = self._under(Path("/etc/sysusers.d"))
        path = folder / "drsn-edge.conf"
        if folder.is_dir():  # so that an image made of this system also has the user
            write_file(path, _SYSUSERS.encode())
            if self.call(["systemd-sysusers", str(path)]).code == 0 and self.has_user(USER):
                return True
        command = [
            "useradd", "--system", "--user-group", "--no-create-home", "--home-dir", str(SYSTEM_STATE),
            "--shell", "/usr/sbin/nologin", USER,
        ]  # fmt: skip
        answer = self.call(command)
        if answer.code or not self.has_user(USER):
            raise OutputError(
                f"Could not make the user {USER}, as which services run: {answer.text or 'it is still missing'}. "
                f"Type this, then install the service again: sudo {shlex.join(command)}",
                "no_user",
                user=USER,
                reason=answer.text,
            )
        return True

    def installed(self) -> list[Installed]:
        """Return the installed services of drsn-edge, sorted by name.

        Raises:
            OutputError: If the folder of units cannot be read.
        """
        try:
            paths = sorted(self.units.glob("drsn-edge-*.service"))
        except OSError as exc:
            words = f"Could not read {self.units}: {exc.strerror}. Run the command with sudo."
            raise OutputError(words, "cannot_read", path=self.units, reason=exc.strerror) from exc
        found = [(path, text) for path in paths if (text := _ours(path)) is not None]
        states = self._states([path.name for path, _ in found])
        return [
            Installed(
                path.name.removeprefix("drsn-edge-").removesuffix(".service"), path.name, path,
                *states.get(path.name, (None, None)), _command(text),
            )
            for path, text in found
        ]  # fmt: skip

    def start(self, name: str) -> bool:
        """Start a service now and at every boot; return False where systemd does not run: then at every boot only.

        Raises:
            OutputError: If systemd refuses.
        """
        unit, runs = unit_name(name), self._runs
        for command in ([["daemon-reload"]] if runs else []) + [["enable", *(["--now"] if runs else []), unit]]:
            answer = self.call(["systemctl", *command])
            if answer.code:
                words = f"{unit} was written, but systemd did not start it: {answer.text}. Look at `systemctl status "
                raise OutputError(f"{words}{unit}`.", "cannot_start", unit=unit, reason=answer.text)
        return runs

    def remove(self, name: str) -> Removed:
        """Stop and disable a service of drsn-edge and remove its unit; the files that it has written stay.

        Raises:
            OutputError: If the service does not exist, is not ours, or cannot be stopped or removed.
        """
        path = self.units / unit_name(name)
        text = self._to_remove(path, name)
        runs = self._runs
        answer = self.call(["systemctl", "disable", *(["--now"] if runs else []), path.name])
        if runs and answer.code:
            words = f"Could not stop {path.name}: {answer.text}. Nothing was removed."
            raise OutputError(words, "cannot_stop", unit=path.name, reason=answer.text)
        try:
            path.unlink()
        except OSError as exc:
            words = f"Could not remove {path}: {exc.strerror}. Run the command with sudo."
            raise OutputError(words, "cannot_remove", path=path, reason=exc.strerror) from exc
        warning = None
        if runs:
            answer = self.call(["systemctl", "daemon-reload"])
            self.call(["systemctl", "reset-failed", path.name])
            warning = f"systemd did not reload its units: {answer.text}" if answer.code else None
        return Removed(path.name, path, tuple(self._left(path, text)), warning)

    @property
    def _runs(self) -> bool:
        """Whether systemd runs; not so in an image that is being made."""
        return self._under(Path("/run/systemd/system")).is_dir()

    def _to_remove(self, path: Path, name: str) -> str:
        if not os.path.lexists(path):
            names = [each.name for each in self.installed()]
            there = f"Installed: {', '.join(names)}." if names else "No service is installed."
            words = f"There is no service {name} of drsn-edge: {path} does not exist. {there}"
            raise OutputError(words, "no_such_service", name=name, path=path, installed=names)
        text = _ours(path)
        if text is None:
            words = f"{path} was not written by `drsn-edge service install`, and was left alone."
            raise OutputError(words, "not_ours", path=path)
        if not os.access(self.units, os.W_OK):
            words = f"You may not remove {path}. Run the command with sudo."
            raise OutputError(words, "not_permitted", path=path)
        return text

    def _states(self, units: Sequence[str]) -> dict[str, tuple[str | None, str | None]]:
        if not units:
            return {}
        properties = "--property=Id,UnitFileState,ActiveState"
        answer = self.call(["systemctl", "show", properties, "--", *units])
        if answer.code:
            return {}
        states: dict[str, tuple[str | None, str | None]] = {}
        for block in answer.text.split("\n\n"):
            values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
            states[values.get("Id", "")] = (values.get("UnitFileState") or None, values.get("ActiveState") or None)
        return states

    def _left(self, path: Path, text: str) -> list[str]:
        """Return the files, folders and users that a removed unit leaves behind."""
        folders = [SYSTEM_STATE, SYSTEM_TRUST.parent, path.with_name(f"{path.name}.d")]
        secrets = re.findall(r"^EnvironmentFile=(.+)$", text, re.MULTILINE)
        found = [str(each) for each in folders if self._under(each).exists()]
        found += [each for each in secrets if self._under(Path(each)).exists()]
        return [*found, *([f"the user and group {USER}"] if self.has_user(USER) else [])]

    def _under(self, path: Path) -> Path:
        return path if path.is_relative_to(self.root) else self.root / path.relative_to("/")


def _ours(path: Path) -> str | None:
    """Return the text of a unit that drsn-edge wrote; None for any other, such as the link of a masked unit."""
    if path.is_symlink() or not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST_UNIT).decode(errors="replace")
    except OSError:
        return None
    return text if text.startswith(f"# {WRITTEN_BY}") else None


def _command(text: str) -> str:
    """Return the command of a unit in shell syntax."""
    line = next((line for line in text.splitlines() if line.startswith("ExecStart=")), "ExecStart=")
    value = line.removeprefix("ExecStart=").replace("%%", "%").replace("$$", "$")
    try:
        return shlex.join(shlex.split(value))
    except ValueError:
        return value
