"""Version floors: the lowest version of each bundle name that a gateway accepts."""

from __future__ import annotations

from collections.abc import Mapping

from firmware_bridge.errors import VersionFloorError
from firmware_bridge.gateway.state import Slot, State, version_key


def expect_floor(state: State, name: str, version: str) -> None:
    """Raise an error if a version is below the floor of its name.

    Raises:
        VersionFloorError: If the version is below the floor.
    """
    floor = state.floors.get(name)
    if floor is not None and version_key(version) < version_key(floor):
        raise VersionFloorError(
            f"This gateway accepts {name} {floor} or newer, got {version}. To return to an older model, sign it under "
            "a newer version.",
            name=name,
            floor=floor,
            got=version,
        )


def is_below_floor(state: State, slot: Slot) -> bool:
    """Return whether the bundle in a slot is below the floor of its name."""
    try:
        expect_floor(state, slot.name, slot.version)
    except VersionFloorError:
        return True
    return False


def raised(floors: Mapping[str, str], slot: Slot) -> dict[str, str]:
    """Return the floors, with that of the slot's bundle raised if the bundle asks for a higher one."""
    highest = max(floors.get(slot.name, slot.floor), slot.floor, key=version_key)
    return {**floors, slot.name: highest}
