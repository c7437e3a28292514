"""`drsn-edge service install`, `list` and `remove`."""

from __future__ import annotations

import os
import re
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from drsn_edge import __version__
from drsn_edge.cli.options import PathType, json_option
from drsn_edge.cli.output import note, print_json, print_text
from drsn_edge.support.wall_time import iso_time

if TYPE_CHECKING:
    from drsn_edge.gateway.systemd_host import Host


@click.group()
def service() -> None:
    """Install, list and remove systemd services of the monitor.

    \b
    Example:
      drsn-edge service install --name pump3 -- --port /dev/ttyUSB0
    """


@service.command("install", context_settings={"ignore_unknown_options": True})
@click.argument("monitor_options", nargs=-1, type=click.UNPROCESSED, required=True)
@click.option(
    "--name",
    default="monitor",
    show_default=True,
    metavar="NAME",
    help="Name of the service, different for each service on this machine.",
)
@click.option(
    "--environment-file",
    type=PathType,
    metavar="FILE",
    help="File with a NAME=VALUE per line for secrets such as DRSN_EDGE_MQTT_PASSWORD. Make it readable by root only.",
)
@click.option("--print", "only_print", is_flag=True, help="Print the unit and change nothing.")
@json_option
@click.pass_context
def install_service(
    ctx: click.Context,
    /,
    monitor_options: tuple[str, ...],
    name: str,
    environment_file: Path | None,
    only_print: bool,
    as_json: bool,
) -> None:
    """Install a systemd service that runs the monitor.

    The service runs `drsn-edge monitor MONITOR_OPTIONS` at every boot, as the user drsn-edge, which is created if it is
    missing. The service may open serial ports and, if the options ask for one, an Edge TPU. It may write to
    /var/lib/drsn-edge only, and members of the group drsn-edge may read its files. Paths of --sensors, --history and
    --record are relative to that folder.

    \b
    Example:
      drsn-edge service install --name p3 -- --port /dev/ttyUSB0 --history p3.db
    """
    from drsn_edge.cli.modes import check
    from drsn_edge.gateway.systemd_unit import USER, install, place_of, unit_name, unit_text

    context = _monitor(ctx).make_context("monitor", list(monitor_options))
    check(context, "monitor")  # at the command line instead of at boot
    secrets = environment_file and environment_file.absolute()
    text = unit_text(name, monitor_options, __version__, secrets, _on_edgetpu(context))
    path, made_user = None, False
    if not only_print:
        host = _host()
        place_of(name, host.units)  # refused before anything is changed
        made_user = host.make_user()
        path = install(name, text, host.units)
    if as_json:
        values = {"unit": text, "path": path and str(path), "user": USER, "made_user": made_user}
        print_json("service", values)
    elif path is None:
        print_text(text, end="")
    else:
        who = os.environ.get("SUDO_USER", "")
        who = who if re.fullmatch(r"[A-Za-z0-9._-]+", who) else "NAME"
        made = f"made user and group {USER}\n" if made_user else ""
        print_text(
            f"{made}wrote {path}\nto start it: systemctl daemon-reload && systemctl enable --now {unit_name(name)}\n"
            f"to read its files without sudo: usermod -aG {USER} {who}"
        )


@service.command("list")
@json_option
def list_services(as_json: bool) -> None:
    """List the services that `service install` wrote.

    The list shows name, state, state at boot and command.

    \b
    Example:
      drsn-edge service list
    """
    found = _host().installed()
    if as_json:
        now = iso_time(time.time())
        values = [{**asdict(each), "path": str(each.path)} for each in found]
        print_json("services", {"time": now, "services": values})
        return
    width = max((len(each.name) for each in found), default=0)
    for each in found:
        print_text(f"{each.name:{width}}  {each.active or '?':8}  {each.enabled or '?':8}  {each.command}")
    if not found:
        print_text("no service of drsn-edge is installed; `drsn-edge service install` writes one")


@service.command("remove")
@click.argument("name")
@json_option
def remove_service(name: str, as_json: bool) -> None:
    """Stop a service and remove its unit.

    NAME is the name that `service install --name NAME` gave. Files that the service wrote are kept.

    \b
    Example:
      drsn-edge service remove pump3
    """
    done = _host().remove(name)
    if as_json:
        values = {"unit": done.unit, "path": str(done.path), "left": done.left, "warning": done.warning}
        print_json("removed", {"time": iso_time(time.time()), **values})
        return
    if done.warning is not None:
        note(f"Warning: {done.warning}")
    print_text(f"removed {done.path}")
    print_text("\n".join(f"kept {each}" for each in done.left) or "no other files of it exist")


def _monitor(context: click.Context) -> click.Command:
    """Return the command whose options the service gets."""
    group = context.find_root().command
    assert isinstance(group, click.Group)
    return group.commands["monitor"]


def _host() -> Host:
    """Return the machine that the command runs on."""
    from drsn_edge.gateway.systemd_host import Host

    return Host()


def _on_edgetpu(context: click.Context) -> bool:
    """Tell whether any sensor of a monitor asks for an Edge TPU. A wrong file of sensors is refused here already."""
    from drsn_edge.cli.typed import typed_of_sensor
    from drsn_edge.gateway.paths import SYSTEM_STATE
    from drsn_edge.monitor.sensor_config import read_sensors

    asked = context.params
    if asked["sensors"] is None:
        return bool(asked["runtime"] == "edgetpu")
    file = SYSTEM_STATE / asked["sensors"]  # where the service looks for a relative one
    return any(each.runtime == "edgetpu" for each in read_sensors(file, typed_of_sensor(context)))
