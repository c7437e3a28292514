"""`drsn-edge flash`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drsn_edge.cli.addresses import ADDRESS_HELP, reached
from drsn_edge.cli.options import Duration, PathType, json_option
from drsn_edge.cli.output import note, print_json, print_text

if TYPE_CHECKING:
    from drsn_edge.gateway.rollout import Member, RolloutResult
    from firmware_bridge.gateway.client import Flashed


@click.command()
@click.argument("bundle", type=PathType)
@click.option("--to", "address", metavar="ADDRESS", help=ADDRESS_HELP)
@click.option(
    "--fleet",
    type=PathType,
    metavar="TOML",
    help="File of several gateways: [[gateway]] tables with address and, if wanted, name.",
)
@click.option("--dry-run", is_flag=True, help="Say what would change, or why it would be refused; change nothing.")
@click.option(
    "--new-contract", is_flag=True, help="The gateway's sensor is another one than that of the bundle before."
)
@click.option(
    "--canary", type=click.IntRange(min=0), default=1, show_default=True, help="Of --fleet: gateways that go first."
)
@click.option("--batch", type=click.IntRange(min=1), default=4, show_default=True, help="Of --fleet: at once.")
@click.option(
    "--max-failures",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Of --fleet: more of them, and the rest is left as it is.",
)
@click.option(
    "--confirmed-within",
    type=Duration(),
    default="0",
    show_default=True,
    help="Of --fleet: wait so long for the canaries' monitors to confirm; 0: their gates are enough.",
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
    """Put BUNDLE onto a gateway, where it runs on trial until the monitor there has confirmed it.

    The gateway checks the signature, the version and the sensor before it keeps anything, reads back what it wrote, and
    runs the golden vectors on its own interpreter. Whatever is cut, the bundle before goes on.

    \b
    Example:
      drsn-edge flash machine.drsn --to ssh://pi@gateway
    """
    if (address is None) == (fleet is None):
        raise click.UsageError("Expected one of --to and --fleet.")
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
        return (
            f"{name} would go on trial at {address}; once confirmed, nothing below {done.slot['floor']} is taken there"
        )
    if not done.changed:
        return f"{name} runs at {address} already"
    resumed = f", {done.resumed_at / 1000:.1f} kB were there" if done.resumed_at else ""
    again = f", {done.bytes_again / 1000:.1f} kB sent again" if done.bytes_again else ""
    return f"{name} is on trial at {address} ({done.bytes_sent / 1000:.1f} kB in {done.seconds:.1f} s{resumed}{again})"


def _flash_fleet(
    data: bytes, file: Path, dry_run: bool, new_contract: bool, as_json: bool, options: dict[str, Any]
) -> int:
    """Flash them all, print a table, and return the exit code."""
    from drsn_edge.gateway.rollout import Plan, flash_fleet, read_members
    from firmware_bridge.support.shown import printable

    members = read_members(file)
    for member in members:
        with reached(member.address):  # names that mean nothing are said before anything happens
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
        print_text(f"{good} of {len(outcomes)} gateways")
    return int(good < len(outcomes))


def _result_words(outcome: RolloutResult, width: int) -> str:
    if outcome.why is not None:
        return f"{outcome.member.name:{width}}  {'FAILED' if outcome.is_failure else 'left'}  {outcome.why}"
    assert outcome.flashed is not None
    flashed = outcome.flashed
    how = "on trial" if flashed.changed else "unchanged"
    what = f"{flashed.slot['name']} {flashed.slot['version']}"
    return f"{outcome.member.name:{width}}  {how}  {what}  {flashed.seconds:.1f} s"
