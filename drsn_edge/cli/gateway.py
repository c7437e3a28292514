"""`drsn-edge gateway`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import click

from drsn_edge.cli.addresses import ADDRESS_HELP, complete_address, reached
from drsn_edge.cli.options import json_option
from drsn_edge.cli.output import print_json, print_text
from drsn_edge.support.wall_time import second_in_words

_ERROR = re.compile(r"^[A-Z]\w*Error: ")
"""The class of an error, which the log keeps for programs."""

at_option = click.option(
    "--at",
    default="local",
    show_default=True,
    metavar="ADDRESS",
    shell_complete=complete_address,
    help=ADDRESS_HELP,
)


@click.group()
def gateway() -> None:
    """Show, confirm and roll back a gateway's bundles.

    \b
    Example:
      drsn-edge gateway status --at ssh://pi@gateway
    """


@gateway.command()
@at_option
@json_option
def status(at: str, as_json: bool) -> None:
    """Show the running bundle, its trial and the latest events.

    \b
    Example:
      drsn-edge gateway status
    """
    found = _asked(at, "status")
    if as_json:
        print_json("gateway", found)
        return
    _show(_status_lines(found))


@gateway.command()
@at_option
@json_option
def slots(at: str, as_json: bool) -> None:
    """List the two slots and the lowest accepted versions.

    \b
    Example:
      drsn-edge gateway slots
    """
    state = _asked(at, "status")["state"]
    if as_json:
        print_json("slots", state)
        return
    _show(_slots_lines(state))


@gateway.command()
@at_option
@json_option
def confirm(at: str, as_json: bool) -> None:
    """Confirm the bundle that is on trial.

    A gateway refuses versions below the floor of a confirmed bundle. A running monitor confirms a bundle by itself
    after the time of `monitor --trial`.

    \b
    Example:
      drsn-edge gateway confirm --at ssh://pi@gateway
    """
    slot = _asked(at, "confirm")["slot"]
    if as_json:
        print_json("confirmed", {"slot": slot})
    else:
        _show([f"confirmed  {_slot_words(slot)}"])


@gateway.command()
@at_option
@click.option(
    "--why", default="requested", show_default=True, metavar="TEXT", help="Reason to write into the gateway's log."
)
@json_option
def rollback(at: str, why: str, as_json: bool) -> None:
    """End a trial, or return to the previous bundle.

    A previous bundle with a version below the floor of the confirmed bundle is refused.

    \b
    Example:
      drsn-edge gateway rollback --why "calls everything worn"
    """
    slot = _asked(at, "rollback", why=why)["slot"]
    if as_json:
        print_json("rolled back", {"slot": slot})
    else:
        _show([f"runs now   {'nothing' if slot is None else _slot_words(slot)}"])


def _show(lines: Iterable[str]) -> None:
    """Print lines with text of a gateway, whose control characters are escaped."""
    from firmware_bridge.support.shown import printable

    print_text("\n".join(map(printable, lines)))


def _status_lines(found: dict[str, Any]) -> list[str]:
    state = found["state"]
    running = state["slots"].get(state["trial"] or state["confirmed"])
    lines = [
        "gateway    {} ({}, drsn-edge {})".format(*(found.get(key, "?") for key in ("node", "machine", "drsn_edge"))),
        f"runs       {'nothing' if running is None else _slot_words(running)}",
    ]
    if state["trial"] is not None:
        before = state["slots"].get(state["confirmed"])
        lines += [
            f"on trial   started {state['trial_starts']} times, not confirmed yet",
            f"previous   {'nothing' if before is None else _slot_words(before)}",
        ]
    return lines + [f"{_when(entry.get('time_s'))}  {_entry_words(entry)}" for entry in found["log"][-8:]]


def _slots_lines(state: dict[str, Any]) -> list[str]:
    roles = {state["trial"]: "on trial", state["confirmed"]: "confirmed"}
    lines = []
    for name in ("a", "b"):
        slot = state["slots"].get(name)
        lines.append(f"{name}  {'empty' if slot is None else _slot_words(slot)}  {roles.get(name, '')}".rstrip())
    return lines + [f"{name}: {floor} or newer" for name, floor in state["floors"].items()]


def _asked(at: str, op: str, **fields: Any) -> dict[str, Any]:
    with reached(at) as found:
        return found.ask(op, **fields)


def _slot_words(slot: dict[str, Any]) -> str:
    return f"{slot['name']} {slot['version']}  {slot['sha256'][:12]}  {slot['size'] / 1000:.1f} kB"


def _entry_words(entry: dict[str, Any]) -> str:
    what = " ".join(str(entry[key]) for key in ("name", "version") if key in entry)
    why = f": {_ERROR.sub('', str(entry['why']))}" if "why" in entry else ""
    return f"{entry.get('event', '?')} {what}".rstrip() + why


def _when(time_s: Any) -> str:
    try:
        return second_in_words(float(time_s))
    except (TypeError, ValueError, OverflowError):  # a log may come from elsewhere
        return "?"
