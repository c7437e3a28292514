"""`drsn-edge doctor`."""

from __future__ import annotations

from collections import Counter

import click

from drsn_edge.cli.options import json_option
from drsn_edge.cli.output import print_json, print_text

_LONGEST_LINE = 4000


@click.command()
@json_option
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Check this gateway and list what to repair.

    Each finding states its cause and a command to type. Nothing is changed. The exit code is 1 if a check fails.

    \b
    Example:
      drsn-edge doctor
    """
    from drsn_edge.diagnostics.doctor import ExaminedMachine, Level, examine
    from firmware_bridge.support.shown import printable

    found = []
    for finding in examine(ExaminedMachine()):
        found.append(finding)
        if not as_json:
            print_text(printable(f"{finding.level.value:5} {finding.check:14} {finding.what}", _LONGEST_LINE))
            if finding.to_do is not None:
                print_text(printable(f"{'':20} type: {finding.to_do}", _LONGEST_LINE))
    counts = Counter(finding.level for finding in found)
    if as_json:
        values = [{"check": f.check, "level": f.level.value, "what": f.what, "to_do": f.to_do} for f in found]
        print_json("doctor", {"findings": values})
    else:
        print_text(f"{counts[Level.OK]} ok, {counts[Level.WARN]} warnings, {counts[Level.FAIL]} failed")
    ctx.exit(int(counts[Level.FAIL] > 0))
