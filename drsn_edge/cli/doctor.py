"""`drsn-edge doctor`."""

from __future__ import annotations

import json
from collections import Counter

import click

from drsn_edge.cli.options import json_option


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
    from drsn_edge.doctor import Level, Machine, examine

    found = []
    for finding in examine(Machine()):
        found.append(finding)
        if not as_json:
            click.echo(f"{finding.level.value:5} {finding.check:14} {finding.what}")
            if finding.to_do is not None:
                click.echo(f"{'':20} type: {finding.to_do}")
    counts = Counter(finding.level for finding in found)
    if as_json:
        values = [{"check": f.check, "level": f.level.value, "what": f.what, "to_do": f.to_do} for f in found]
        click.echo(json.dumps({"schema": 1, "type": "doctor", "findings": values}))
    else:
        click.echo(f"{counts[Level.OK]} ok, {counts[Level.WARN]} to look at, {counts[Level.FAIL]} failed")
    ctx.exit(int(counts[Level.FAIL] > 0))
