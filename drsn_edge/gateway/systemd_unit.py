"""A systemd unit that keeps a monitor running."""

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
"""The user and the group of all services. It is there when none runs, so that others can be put into its group."""

WRITTEN_BY = "Written by drsn-edge"
"""How the first line of a unit of ours begins."""

WATCHDOG_S = 60
ALIVE_EVERY_S = 10.0
"""How often a monitor that goes round says so."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,60}")

_UNIT = """\
# {written_by} {version}; `drsn-edge service install` writes it anew.
[Unit]
Description=drsn-edge monitor {name}
# A sensor that is plugged in later is waited for, however long that takes.
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart={command}
# Bundle and settings anew, without losing a sample.
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
RestartSec=5
# The monitor reports every {alive:g} s as long as it goes round; a hang ends in a restart.
WatchdogSec={watchdog}
# SIGTERM lets it write what waits.
TimeoutStopSec=20

# A user of its own, and the group that serial ports belong to. Who is in the group {user} may read the state folder.
User={user}
Group={user}
SupplementaryGroups={groups}
StateDirectory=drsn-edge
StateDirectoryMode=0750
WorkingDirectory={state}
UMask=0027
RemoveIPC=yes

# Nothing of the machine can be written but the state folder, and no device opened but serial ports{and_edgetpu}.
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
    """Return the file name of the unit of a service.

    Raises:
        OutputError: If the name cannot be part of one.
    """
    if not _NAME.fullmatch(name):
        raise OutputError(f"Expected a name of letters, digits, '.', '_' and '-', got {name!r}. Choose another --name.")
    return f"drsn-edge-{name}.service"


def unit_text(
    name: str, arguments: Sequence[str], version: str, environment_file: Path | None = None, on_edgetpu: bool = False
) -> str:
    """Return the unit that runs `drsn-edge monitor ARGUMENTS`.

    Args:
        name: Of the service.
        arguments: Of `monitor`.
        version: Of drsn-edge.
        environment_file: Read by systemd, for passwords: mode 0600, root's own.
        on_edgetpu: Whether it may open one.

    Raises:
        OutputError: If the name or an argument cannot be in a unit.
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
    """Return an argument as ExecStart takes it: in quotes where needed, `%` and `$` doubled.

    Raises:
        OutputError: If it has a line break or another control character.
    """
    if any(not character.isprintable() for character in argument):
        raise OutputError(f"Expected arguments that can be printed, got {argument!r}.")
    plain = argument.replace("%", "%%").replace("$", "$$")
    if plain and re.fullmatch(r"[\w@%+=:,./$-]+", plain):
        return plain
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


def install(name: str, text: str, folder: Path = UNITS) -> Path:
    """Write a unit, whole or not at all, and return its path.

    Raises:
        OutputError: If that is not this user's to do.
    """
    path = place_of(name, folder)
    write_file(path, text.encode())
    return path


def place_of(name: str, folder: Path = UNITS) -> Path:
    """Return where the unit of a service is to be written.

    Raises:
        OutputError: If that is not this user's to do.
    """
    path = folder / unit_name(name)
    if not folder.is_dir():
        raise OutputError(f"Expected the folder {folder} of systemd, which is not here. Does this machine run systemd?")
    if not os.access(folder, os.W_OK):
        raise OutputError(f"Not allowed to write {path}: call it with sudo, or use --print.")
    return path


def _program() -> list[str]:
    """Return the command that runs this drsn-edge, by absolute paths: systemd knows no PATH of users."""
    beside = Path(sys.executable).with_name("drsn-edge")
    found = str(beside) if beside.is_file() else find_program("drsn-edge")
    return [found] if found else python_command("drsn_edge.cli.main")
