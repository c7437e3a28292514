"""`drsn-edge ack` and `drsn-edge accept-mounting`: requests to a running monitor."""

from __future__ import annotations

from typing import Any

import click

from drsn_edge.cli.options import json_option
from drsn_edge.cli.output import print_json, print_text

_machine = click.option(
    "--machine",
    metavar="NAME",
    help="Machine to act on. Required where several are monitored.  [default: the only one]",
)


@click.command()
@_machine
@click.option(
    "--name", metavar="ALARM", help="Alarm to acknowledge, such as outer_race.  [default: all alarms of the machine]"
)
@json_option
def ack(machine: str | None, name: str | None, as_json: bool) -> None:
    """Acknowledge the alarms of a running monitor.

    Acknowledging ends a latched alarm whose cause has gone. Any other alarm stays raised and is marked as acknowledged.
    The command finds running monitors by their control sockets in the folder DRSN_EDGE_STATE, or in the state folders
    of the user and the system.

    \b
    Example:
      drsn-edge ack --machine "pump 3" --name outer_race
    """
    watched, answer = _asked("ack", machine, name)
    alarms = [str(alarm) for alarm in answer.get("alarms", [])]
    if as_json:
        _print_answer("ack", watched, answer, alarms=alarms)
        return
    print_text(f"{watched}: {'acknowledged ' + ', '.join(alarms) if alarms else 'no alarm is raised'}{_later(answer)}")


@click.command()
@_machine
@json_option
def accept_mounting(machine: str | None, as_json: bool) -> None:
    """Accept that a sensor was moved on purpose.

    The running monitor learns the new orientation from the next undamaged windows and judges windows again. Alarms are
    not acknowledged. First make sure that the axes point as they did in training: afterwards, the monitor also judges
    windows with swapped axes.

    \b
    Example:
      drsn-edge accept-mounting --machine "pump 3"
    """
    watched, answer = _asked("accept-mounting", machine)
    if as_json:
        _print_answer("accept-mounting", watched, answer)
        return
    print_text(f"{watched}: mounting accepted; orientation is learned from the next windows{_later(answer)}")


def _asked(do: str, machine: str | None, alarm: str | None = None) -> tuple[str, dict[str, Any]]:
    from drsn_edge.gateway.paths import monitor_folders
    from drsn_edge.monitor.control import ask, choose, watched

    chosen = choose(watched(monitor_folders()), machine)
    return chosen.machine, ask(chosen, do, alarm)


def _print_answer(kind: str, machine: str, answer: dict[str, Any], **more: Any) -> None:
    print_json(kind, {"machine": machine, **more, "taken": answer.get("taken") is True})


def _later(answer: dict[str, Any]) -> str:
    return "" if answer.get("taken") is True else " (takes effect when the sensor's port is open)"
