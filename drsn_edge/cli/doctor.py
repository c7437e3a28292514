"""`drsn-edge doctor`."""

from __future__ import annotations

import json
from collections import Counter

import click

from drsn_edge.cli.options import json_option

_LONGEST_LINE = 4000


@click.command()
@json_option
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Look at everything that a gateway needs, and say what is wrong, why, and what to type; nothing is changed.

    Exit code 1 if something fails.

    \b
    Example:
      drsn-edge doctor
    """
    from drsn_edge.diagnostics.doctor import Level, Machine, examine
    from firmware_bridge.support.shown import printable

    found = []
    for finding in examine(Machine()):
        found.append(finding)
        if not as_json:
            click.echo(printable(f"{finding.level.value:5} {finding.check:14} {finding.what}", _LONGEST_LINE))
            if finding.to_do is not None:
                click.echo(printable(f"{'':20} type: {finding.to_do}", _LONGEST_LINE))
    counts = Counter(finding.level for finding in found)
    if as_json:
        values = [{"check": f.check, "level": f.level.value, "what": f.what, "to_do": f.to_do} for f in found]
        click.echo(json.dumps({"schema": 1, "type": "doctor", "findings": values}))
    else:
        click.echo(f"{counts[Level.OK]} ok, {counts[Level.WARN]} to look at, {counts[Level.FAIL]} failed")
    ctx.exit(int(counts[Level.FAIL] > 0))
