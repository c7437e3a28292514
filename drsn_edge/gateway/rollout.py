"""Many gateways, one bundle: a few first, the rest in batches, and an end where too many fail."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drsn_edge.errors import DrsnEdgeError, SettingsError
from drsn_edge.support.toml_file import read_document
from firmware_bridge.errors import FirmwareBridgeError
from firmware_bridge.gateway.client import Flashed

_LOOK_EVERY_S = 2.0


@dataclass(frozen=True)
class Member:
    """A gateway of a fleet.

    Attributes:
        name: For the table.
        address: As `drsn-edge flash --to` takes it.
    """

    name: str = ""
    address: str = ""


@dataclass(frozen=True)
class RolloutResult:
    """How it went with one gateway.

    Attributes:
        member: Which.
        flashed: What happened; None: nothing.
        why: What was wrong, or why it was left out; None: nothing.
        is_failure: Whether it was tried and failed.
    """

    member: Member
    flashed: Flashed | None
    why: str | None = None
    is_failure: bool = False


@dataclass(frozen=True)
class Plan:
    """How to go about it.

    Attributes:
        canaries: Gateways that go first, one after the other.
        batch: Gateways at once, after that.
        most_failures: More than these, and the rest is left as it is.
        confirmed_within_s: How long to wait for the canaries to prove themselves; 0: the gate there is enough.
    """

    canaries: int = 1
    batch: int = 4
    most_failures: int = 0
    confirmed_within_s: float = 0.0


def read_members(path: Path) -> list[Member]:
    """Read a file of gateways: a table [[gateway]] with `address`, and `name` if wanted, for each.

    Raises:
        SettingsError: If it cannot be read, or holds anything that it may not.
    """
    document = read_document(path, "gateways", SettingsError)
    tables = document.values.get("gateway")
    are_tables = isinstance(tables, list) and all(isinstance(each, dict) for each in tables)
    if len(document.values) > 1 or not tables or not are_tables:
        raise SettingsError(f'{path}: Expected tables [[gateway]] with address = "ssh://...", and nothing else.')
    members = [Member(**document.typed(Member, each, "gateway", number)) for number, each in enumerate(tables)]
    addresses = [member.address for member in members]
    if not all(addresses) or len(set(addresses)) < len(addresses):
        raise SettingsError(f"{path}: Expected an address of each gateway, each another one.")
    return [Member(member.name or member.address, member.address) for member in members]


def flash_fleet(
    members: Sequence[Member],
    plan: Plan,
    flash: Callable[[Member], Flashed],
    ask: Callable[[Member], dict[str, Any]],
    tell: Callable[[RolloutResult], object],
    sleep: Callable[[float], object] = time.sleep,
) -> list[RolloutResult]:
    """Flash all of them, canaries first; return an outcome for each, in their order.

    Args:
        members: The fleet.
        plan: How.
        flash: Flashes one.
        ask: Returns the status of one.
        tell: Given each outcome as it comes.
        sleep: Waits so many seconds.
    """
    outcomes: list[RolloutResult] = []

    def go_on() -> bool:
        return sum(outcome.is_failure for outcome in outcomes) <= plan.most_failures

    def take(outcome: RolloutResult) -> None:
        outcomes.append(outcome)
        tell(outcome)

    for member in members[: plan.canaries]:
        if go_on():
            take(_proved(_tried(member, flash), plan.confirmed_within_s, ask, sleep))
    with ThreadPoolExecutor(plan.batch) as pool:
        for start in range(plan.canaries, len(members), plan.batch):
            if go_on():
                for outcome in pool.map(lambda member: _tried(member, flash), members[start : start + plan.batch]):
                    take(outcome)
    for member in members[len(outcomes) :]:
        take(RolloutResult(member, None, "left as it is: too many failed before"))
    return outcomes


def _tried(member: Member, flash: Callable[[Member], Flashed]) -> RolloutResult:
    try:
        return RolloutResult(member, flash(member))
    except (DrsnEdgeError, FirmwareBridgeError, OSError) as exc:
        return RolloutResult(member, None, str(exc), is_failure=True)


def _proved(
    outcome: RolloutResult, within_s: float, ask: Callable[[Member], dict[str, Any]], sleep: Callable[[float], object]
) -> RolloutResult:
    """Wait until the gateway has confirmed what it was given, if that is asked for."""
    if outcome.flashed is None or not within_s:
        return outcome
    digest = outcome.flashed.slot["sha256"]
    waited_s = 0.0
    while True:
        try:
            state = ask(outcome.member)["state"]
        except (DrsnEdgeError, FirmwareBridgeError, OSError) as exc:
            return RolloutResult(outcome.member, outcome.flashed, str(exc), is_failure=True)
        held = {name: slot["sha256"] for name, slot in state["slots"].items()}
        if held.get(state["confirmed"]) == digest:
            return outcome
        if held.get(state["trial"]) != digest or waited_s >= within_s:
            gone = held.get(state["trial"]) != digest
            why = "it was rolled back there" if gone else f"it was not confirmed within {within_s:g} s"
            return RolloutResult(outcome.member, outcome.flashed, why, is_failure=True)
        sleep(_LOOK_EVERY_S)
        waited_s += _LOOK_EVERY_S
