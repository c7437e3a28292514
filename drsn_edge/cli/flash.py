"""`drsn-edge flash`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drsn_edge.cli.addresses import ADDRESS_HELP, complete_address, reached
from drsn_edge.cli.options import Duration, PathType, json_option
from drsn_edge.cli.output import note, print_json, print_text

if TYPE_CHECKING:
    from drsn_edge.gateway.rollout import Member, RolloutResult
    from firmware_bridge.gateway.client import Flashed


@click.command()
@click.argument("bundle", type=PathType)
@click.option("--to", "address", metavar="ADDRESS", shell_complete=complete_address, help=ADDRESS_HELP)
@click.option(
    "--fleet",
    type=PathType,
    metavar="FILE",
    help="TOML file of several gateways, each a table [[gateway]] with address and an optional name.",
)
@click.option(
    "--dry-run", is_flag=True, help="Report what would change, or why the bundle is refused, without changing anything."
)
@click.option(
    "--new-contract",
    is_flag=True,
    help="Accept a bundle whose sensor differs from that of the running bundle in axes, unit or sampling rate.",
)
@click.option(
    "--canary",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    metavar="N",
    help="Number of gateways of --fleet that are flashed first, one at a time.",
)
@click.option(
    "--batch",
    type=click.IntRange(min=1),
    default=4,
    show_default=True,
    metavar="N",
    help="Number of gateways of --fleet that are flashed at the same time.",
)
@click.option(
    "--max-failures",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="N",
    help="Number of gateways of --fleet that may fail. After one more failure, the remaining gateways are not flashed.",
)
@click.option(
    "--confirmed-within",
    type=Duration(),
    default="0",
    show_default=True,
    help="Time within which the monitors of the canary gateways must confirm the bundle, in seconds or with a unit; "
    "0 does not wait for a confirmation.",
)
@json_option
@click.pass_context
def flash(
    ctx: click.Context,
    /,
    bundle: Path,
    address: str | None,
    fleet: Path | None,
    dry_run: bool,
    new_contract: bool,
    as_json: bool,
    **plan: Any,
) -> None:
    """Put a bundle on a gateway, on trial.

    The gateway checks signature, version and sensor, reads back the written bytes, and runs the golden vectors (windows
    with their expected logits) on its own interpreter; without a network, it compares their novelties. BUNDLE then runs
    on trial until the gateway's monitor confirms it. If anything fails or is interrupted, the previous bundle keeps
    running.

    \b
    Example:
      drsn-edge flash machine.drsn --to ssh://pi@gateway
    """
    if (address is None) == (fleet is None):
        raise click.UsageError("A bundle needs one destination. Type --to ADDRESS or --fleet FILE.")
    from drsn_edge.bundle.bundle import bundle_to_bytes, read_bundle
    from drsn_edge.cli.progress import bytes_bar
    from firmware_bridge.support.shown import printable

    found = read_bundle(bundle)
    data = bundle_to_bytes(found)
    if fleet is not None:
        ctx.exit(_flash_fleet(data, fleet, dry_run, new_contract, as_json, plan))
    assert address is not None
    with bytes_bar(f"to {address}") as bar, reached(address) as gateway:
        done = gateway.flash(data, dry_run=dry_run, new_contract=new_contract, progress=bar)
    if as_json:
        print_json("flashed", {"dry_run": dry_run, **asdict(done)})
    else:
        print_text(printable(_words(done, address, dry_run)))


def _words(done: Flashed, address: str, dry_run: bool) -> str:
    name = f"{done.slot['name']} {done.slot['version']}"
    if dry_run:
        refused = f"versions below {done.slot['floor']} are refused there"
        return f"{name} would go on trial at {address}; once confirmed, {refused}"
    if not done.changed:
        return f"{name} already runs at {address}"
    resumed = f", resumed after {done.resumed_at / 1000:.1f} kB" if done.resumed_at else ""
    again = f", {done.bytes_again / 1000:.1f} kB sent again" if done.bytes_again else ""
    return f"{name} is on trial at {address} ({done.bytes_sent / 1000:.1f} kB in {done.seconds:.1f} s{resumed}{again})"


def _flash_fleet(
    data: bytes, file: Path, dry_run: bool, new_contract: bool, as_json: bool, options: dict[str, Any]
) -> int:
    """Flash all gateways of a file, print a table, and return the exit code."""
    from drsn_edge.gateway.rollout import Plan, flash_fleet, read_members
    from firmware_bridge.support.shown import printable

    members = read_members(file)
    for member in members:
        with reached(member.address):  # a wrong address is refused before anything happens
            pass

    def flash_one(member: Member) -> Flashed:
        with reached(member.address) as gateway:
            return gateway.flash(data, dry_run=dry_run, new_contract=new_contract, progress=lambda done, total: None)

    def ask_one(member: Member) -> dict[str, Any]:
        with reached(member.address) as gateway:
            return gateway.ask("status")

    def tell(outcome: RolloutResult) -> None:
        show = note if as_json else print_text
        show(printable(_result_words(outcome, width)))

    width = max(len(member.name) for member in members)
    within_s = 0.0 if dry_run else options["confirmed_within"]
    plan = Plan(options["canary"], options["batch"], options["max_failures"], within_s)
    outcomes = flash_fleet(members, plan, flash_one, ask_one, tell)
    good = sum(outcome.why is None for outcome in outcomes)
    if as_json:
        print_json("fleet", {"gateways": [asdict(outcome) for outcome in outcomes]})
    else:
        print_text(
            f"{good} of {len(outcomes)} gateways flashed"
            if not dry_run
            else f"{good} of {len(outcomes)} gateways would take it"
        )
    return int(good < len(outcomes))


def _result_words(outcome: RolloutResult, width: int) -> str:
    if outcome.why is not None:
        return f"{outcome.member.name:{width}}  {'FAILED' if outcome.is_failure else 'left'}  {outcome.why}"
    assert outcome.flashed is not None
    flashed = outcome.flashed
    how = "on trial" if flashed.changed else "unchanged"
    what = f"{flashed.slot['name']} {flashed.slot['version']}"
    return f"{outcome.member.name:{width}}  {how}  {what}  {flashed.seconds:.1f} s"
