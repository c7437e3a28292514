"""Rollout of one bundle to many gateways: canaries first, the rest in batches, and a stop after too many failures."""

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
        name: Name in the table of results.
        address: Address, as `drsn-edge flash --to` takes it.
    """

    name: str = ""
    address: str = ""


@dataclass(frozen=True)
class RolloutResult:
    """The result of one gateway.

    Attributes:
        member: The gateway.
        flashed: The result of flashing; None: it was not flashed.
        why: What failed, or why the gateway was left out; None: nothing failed.
        is_failure: Whether an attempt failed.
    """

    member: Member
    flashed: Flashed | None
    why: str | None = None
    is_failure: bool = False


@dataclass(frozen=True)
class Plan:
    """The plan of a rollout.

    Attributes:
        canaries: Number of gateways that are flashed first, one after the other.
        batch: Number of gateways that are flashed at once afterwards.
        most_failures: Number of failures after which the rollout goes on; one more stops it.
        confirmed_within_s: Time in seconds to wait until a canary confirms the bundle; 0: do not wait.
    """

    canaries: int = 1
    batch: int = 4
    most_failures: int = 0
    confirmed_within_s: float = 0.0


def read_members(path: Path) -> list[Member]:
    """Read a gateways file: one table [[gateway]] with `address`, and optionally `name`, for each gateway.

    Raises:
        SettingsError: If the file cannot be read or holds anything else.
    """
    document = read_document(path, "gateways", SettingsError)
    tables = document.values.get("gateway")
    are_tables = isinstance(tables, list) and all(isinstance(each, dict) for each in tables)
    if len(document.values) > 1 or not tables or not are_tables:
        words = f'{path} must have a table [[gateway]] with address = "ssh://..." for each gateway, and nothing else.'
        raise SettingsError(words, "no_gateways", path=path)
    members = [Member(**document.typed(Member, each, "gateway", number)) for number, each in enumerate(tables)]
    addresses = [member.address for member in members]
    if not all(addresses) or len(set(addresses)) < len(addresses):
        words = f"{path}: every [[gateway]] needs an address of its own. Correct the missing or repeated addresses."
        raise SettingsError(words, "addresses", path=path)
    return [Member(member.name or member.address, member.address) for member in members]


def flash_fleet(
    members: Sequence[Member],
    plan: Plan,
    flash: Callable[[Member], Flashed],
    ask: Callable[[Member], dict[str, Any]],
    tell: Callable[[RolloutResult], object],
    sleep: Callable[[float], object] = time.sleep,
) -> list[RolloutResult]:
    """Flash a fleet, canaries first; return a result for each gateway, in the order of `members`.

    Args:
        members: The fleet.
        plan: The plan.
        flash: Flashes one gateway.
        ask: Returns the status of one gateway.
        tell: Called with each result when it is there.
        sleep: Waits for a number of seconds.
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
        take(RolloutResult(member, None, "not flashed: too many gateways failed before"))
    return outcomes


def _tried(member: Member, flash: Callable[[Member], Flashed]) -> RolloutResult:
    try:
        return RolloutResult(member, flash(member))
    except (DrsnEdgeError, FirmwareBridgeError, OSError) as exc:
        return RolloutResult(member, None, str(exc), is_failure=True)


def _proved(
    outcome: RolloutResult, within_s: float, ask: Callable[[Member], dict[str, Any]], sleep: Callable[[float], object]
) -> RolloutResult:
    """Wait until the gateway has confirmed the bundle, unless `within_s` is 0."""
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
