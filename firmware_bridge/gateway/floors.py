"""Floors: for each name of a bundle, the lowest version that a gateway still takes."""

from __future__ import annotations

from collections.abc import Mapping

from firmware_bridge.errors import VersionFloorError
from firmware_bridge.gateway.state import Slot, State, version_key


def expect_floor(state: State, name: str, version: str) -> None:
    """Refuse a version that is below the floor of its name.

    Raises:
        VersionFloorError: If it is.
    """
    floor = state.floors.get(name)
    if floor is not None and version_key(version) < version_key(floor):
        raise VersionFloorError(
            f"Expected {name} {floor} or newer on this gateway, got {version}. To go back to an older model, sign "
            "it under a newer version."
        )


def is_below_floor(state: State, slot: Slot) -> bool:
    """Tell whether a slot's bundle is older than its floor."""
    try:
        expect_floor(state, slot.name, slot.version)
    except VersionFloorError:
        return True
    return False


def raised(floors: Mapping[str, str], slot: Slot) -> dict[str, str]:
    """Return the floors with that of a slot's bundle, which a floor never goes below."""
    highest = max(floors.get(slot.name, slot.floor), slot.floor, key=version_key)
    return {**floors, slot.name: highest}
