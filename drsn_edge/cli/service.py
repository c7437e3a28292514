"""`drsn-edge service install`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from drsn_edge import __version__
from drsn_edge.cli.options import PathType, json_option


@click.group()
def service() -> None:
    """Have systemd run the monitor.

    \b
    Example:
      drsn-edge service install --name pump3 -- --port /dev/ttyUSB0 --model /etc/drsn-edge/pump.drsn
    """


@service.command("install", context_settings={"ignore_unknown_options": True})
@click.argument("monitor_options", nargs=-1, type=click.UNPROCESSED, required=True)
@click.option("--name", default="monitor", show_default=True, help="Of the service, one for each sensor.")
@click.option(
    "--environment-file",
    type=PathType,
    help="File of NAME=VALUE lines for passwords (DRSN_EDGE_MQTT_PASSWORD), readable by root alone.",
)
@click.option("--print", "only_print", is_flag=True, help="Print the unit and change nothing.")
@json_option
def install_service(
    monitor_options: tuple[str, ...], name: str, environment_file: Path | None, only_print: bool, as_json: bool
) -> None:
    """Write a systemd unit that runs `drsn-edge monitor MONITOR_OPTIONS` from now on, restarts included.

    The service has a user of its own, may open serial ports (and an Edge TPU, where --runtime or the fleet's file names
    it) and write to /var/lib/drsn-edge, and nothing else. Give files (--fleet, --history, --record) relative to it.

    \b
    Example:
      drsn-edge service install --name pump3 -- --port /dev/ttyUSB0 --model /etc/drsn-edge/pump.drsn --history p3.sqlite
    """
    from drsn_edge.cli.monitor import monitor
    from drsn_edge.service import install, unit_name, unit_text

    asked = monitor.make_context("monitor", list(monitor_options)).params  # refused now, not at boot
    secrets = environment_file and environment_file.absolute()
    text = unit_text(name, monitor_options, __version__, secrets, _on_edgetpu(asked))
    path = None if only_print else install(name, text)
    if as_json:
        click.echo(json.dumps({"schema": 1, "type": "service", "unit": text, "path": path and str(path)}))
    elif path is None:
        click.echo(text, nl=False)
    else:
        click.echo(f"wrote {path}\nnow: systemctl daemon-reload && systemctl enable --now {unit_name(name)}")


def _on_edgetpu(asked: dict[str, Any]) -> bool:
    """Tell whether any sensor of a monitor asks for an Edge TPU; a fleet's file is refused now, too."""
    from drsn_edge.monitor.sensor_config import read_fleet
    from drsn_edge.state import SYSTEM_STATE

    if asked["fleet"] is None:
        return bool(asked["runtime"] == "edgetpu")
    fleet = SYSTEM_STATE / asked["fleet"]  # where the service looks for a relative one
    return any(each.runtime == "edgetpu" for each in read_fleet(fleet))
