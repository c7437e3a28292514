"""The systemd unit of a service that keeps a monitor running."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from drsn_edge.errors import OutputError
from drsn_edge.gateway.paths import SYSTEM_STATE
from drsn_edge.support.files import write_file
from drsn_edge.support.fresh_process import python_command
from firmware_bridge.support.programs import find_program

UNITS = Path("/etc/systemd/system")
USER = "drsn-edge"
"""The user and the group of all services. They also exist while none runs, so that others can join the group."""

WRITTEN_BY = "Written by drsn-edge"
"""Beginning of the first line of a unit that drsn-edge wrote."""

WATCHDOG_S = 60
ALIVE_EVERY_S = 10.0
"""Period in seconds of the monitor's keep-alive message to systemd."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,60}")

_UNIT = """\
# {written_by} {version}; `drsn-edge service install` writes it again.
[Unit]
Description=drsn-edge monitor {name}
# The monitor waits for a sensor that is plugged in later, however long that takes.
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart={command}
# Read the bundle and the settings again, without losing a sample.
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
RestartSec=5
# The monitor reports every {alive:g} s; systemd restarts a monitor that hangs.
WatchdogSec={watchdog}
# After SIGTERM the monitor writes what is still in memory.
TimeoutStopSec=20

# A user of its own, and the group of serial ports. Members of the group {user} may read the state folder.
User={user}
Group={user}
SupplementaryGroups={groups}
StateDirectory=drsn-edge
StateDirectoryMode=0750
WorkingDirectory={state}
UMask=0027
RemoveIPC=yes

# The service can write the state folder alone, and open no device but serial ports{and_edgetpu}.
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
DevicePolicy=closed
DeviceAllow=char-ttyUSB rw
DeviceAllow=char-ttyACM rw
DeviceAllow=char-ttyS rw
DeviceAllow=char-ttyAMA rw
{devices}NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
Environment=PYTHONUNBUFFERED=1 DRSN_EDGE_STATE={state}
{environment}
[Install]
WantedBy=multi-user.target
"""


_EDGETPU = {
    "groups": "dialout plugdev",
    "devices": "DeviceAllow=char-usb_device rw\nDeviceAllow=char-apex rw\n",
    "and_edgetpu": " and an Edge TPU",
}
_NO_EDGETPU = {"groups": "dialout", "devices": "", "and_edgetpu": ""}


def unit_name(name: str) -> str:
    """Return the file name of a service's unit.

    Raises:
        OutputError: If the name of the service is invalid.
    """
    if not _NAME.fullmatch(name):
        words = f"{name!r} is not a valid service name. Use letters, digits, '.', '_' and '-' for --name."
        raise OutputError(words, "invalid_name", got=name)
    return f"drsn-edge-{name}.service"


def unit_text(
    name: str, arguments: Sequence[str], version: str, environment_file: Path | None = None, on_edgetpu: bool = False
) -> str:
    """Return the unit that runs `drsn-edge monitor ARGUMENTS`.

    Args:
        name: Name of the service.
        arguments: Arguments of `monitor`.
        version: Version of drsn-edge.
        environment_file: File of environment variables for passwords, which systemd reads: mode 0600, owned by root.
        on_edgetpu: Whether the service may open an Edge TPU.

    Raises:
        OutputError: If the name or an argument cannot stand in a unit.
    """
    unit_name(name)
    program = [*_program(), "monitor", *arguments]
    environment = "" if environment_file is None else f"EnvironmentFile={environment_file}\n"
    return _UNIT.format(
        written_by=WRITTEN_BY, user=USER, version=version, name=name,
        command=" ".join(map(quoted, program)), watchdog=WATCHDOG_S, alive=ALIVE_EVERY_S,
        state=SYSTEM_STATE, environment=environment, **(_EDGETPU if on_edgetpu else _NO_EDGETPU),
    )  # fmt: skip


def quoted(argument: str) -> str:
    """Return an argument in the syntax of ExecStart: in quotes if needed, with `%` and `$` doubled.

    Raises:
        OutputError: If it has a line break or another control character.
    """
    if any(not character.isprintable() for character in argument):
        words = f"The argument {argument!r} cannot stand in a systemd unit: it has a control character. Remove that."
        raise OutputError(words, "not_printable", got=argument)
    plain = argument.replace("%", "%%").replace("$", "$$")
    if plain and re.fullmatch(r"[\w@%+=:,./$-]+", plain):
        return plain
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


def install(name: str, text: str, folder: Path = UNITS) -> Path:
    """Write a unit, completely or not at all, and return its path.

    Raises:
        OutputError: If this user may not write it.
    """
    path = place_of(name, folder)
    write_file(path, text.encode())
    return path


def place_of(name: str, folder: Path = UNITS) -> Path:
    """Return the path of a service's unit.

    Raises:
        OutputError: If this user may not write it.
    """
    path = folder / unit_name(name)
    if not folder.is_dir():
        words = f"The folder {folder} of systemd does not exist: this machine does not run systemd. Use --print."
        raise OutputError(words, "no_systemd", path=folder)
    if not os.access(folder, os.W_OK):
        words = f"You may not write {path}. Run the command with sudo, or use --print."
        raise OutputError(words, "not_permitted", path=path)
    return path


def _program() -> list[str]:
    """Return the command that runs this drsn-edge, with absolute paths, since systemd does not use the user's PATH."""
    beside = Path(sys.executable).with_name("drsn-edge")
    found = str(beside) if beside.is_file() else find_program("drsn-edge")
    return [found] if found else python_command("drsn_edge.cli.main")
