"""`drsn-edge ack` and `drsn-edge accept-mounting`: what a person tells a running monitor."""

from __future__ import annotations

from typing import Any

import click

from drsn_edge.cli.options import json_option
from drsn_edge.cli.output import print_json, print_text

_machine = click.option(
    "--machine", metavar="NAME", help="Machine that is meant, where running monitors watch several.  [default: the one]"
)


@click.command()
@_machine
@click.option("--name", metavar="ALARM", help="Acknowledge this alarm only, e.g. outer_race.  [default: all of them]")
@json_option
def ack(machine: str | None, name: str | None, as_json: bool) -> None:
    """Acknowledge the alarms of a machine that a running monitor watches.

    A latched alarm whose cause is gone ends by it; any other one stays raised and counts as seen. Nothing else changes.
    Finds monitors by their control sockets in the state folder (DRSN_EDGE_STATE, or the user's and the system's).

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
    """Accept that a sensor was moved on purpose, so that its windows are judged again.

    The running monitor learns anew which way the sensor lies, from the next windows without damage. It acknowledges no
    alarm. Check before that axes still point as they did in training: a window of swapped axes is judged then, too.

    \b
    Example:
      drsn-edge accept-mounting --machine "pump 3"
    """
    watched, answer = _asked("accept-mounting", machine)
    if as_json:
        _print_answer("accept-mounting", watched, answer)
        return
    print_text(f"{watched}: mounting accepted, and learned anew from the next windows{_later(answer)}")


def _asked(do: str, machine: str | None, alarm: str | None = None) -> tuple[str, dict[str, Any]]:
    from drsn_edge.gateway.paths import monitor_folders
    from drsn_edge.monitor.control import ask, choose, watched

    chosen = choose(watched(monitor_folders()), machine)
    return chosen.machine, ask(chosen, do, alarm)


def _print_answer(kind: str, machine: str, answer: dict[str, Any], **more: Any) -> None:
    print_json(kind, {"machine": machine, **more, "taken": answer.get("taken") is True})


def _later(answer: dict[str, Any]) -> str:
    return "" if answer.get("taken") is True else " (as soon as the sensor's port is open)"
