"""The state of a bundle store: the slots, which one is confirmed, which one is on trial, and the version floors."""

from __future__ import annotations

import hashlib
import json
import re
import reprlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

SCHEMA = 1
SLOTS = ("a", "b")
MAX_STATE_BYTES = 65_536
MOST_NAMES = 64
_LONGEST_NAME = 200
_SHA256 = re.compile(r"[0-9a-f]{64}")
_VERSION = re.compile(r"[0-9]{1,9}\.[0-9]{1,9}\.[0-9]{1,9}")


@dataclass(frozen=True)
class Description:
    """A verifier's description of a bundle.

    Attributes:
        name: Name of the bundle. The store keeps a version floor for each name.
        version: MAJOR.MINOR.PATCH.
        floor: Lowest version of this name that the gateway accepts once this bundle is confirmed.
    """

    name: str
    version: str
    floor: str


@dataclass(frozen=True)
class Slot:
    """A bundle in the store.

    Attributes:
        sha256: SHA-256 of the bundle file, 64 hexadecimal digits.
        size: Size of the bundle file in bytes.
        name: See `Description.name`.
        version: See `Description.version`.
        floor: See `Description.floor`.
    """

    sha256: str
    size: int
    name: str
    version: str
    floor: str

    @property
    def file(self) -> str:
        """Name of the bundle file. It follows from the content, so that no bundle is ever overwritten."""
        return bundle_file(self.sha256)


@dataclass(frozen=True)
class State:
    """The content of the state file, which is always replaced as a whole.

    Attributes:
        slots: Slots that hold a bundle, by slot name.
        confirmed: Slot of the confirmed bundle; None before the first confirmation.
        trial: Slot of the bundle on trial; None outside a trial.
        trial_starts: Number of times that the bundle on trial was started.
        floors: Lowest version accepted, by bundle name.
        sequence: Number of the last change; it grows by 1 with every change.
    """

    slots: Mapping[str, Slot] = field(default_factory=dict)
    confirmed: str | None = None
    trial: str | None = None
    trial_starts: int = 0
    floors: Mapping[str, str] = field(default_factory=dict)
    sequence: int = 0

    @property
    def running(self) -> Slot | None:
        """The bundle to run: the one on trial, otherwise the confirmed one; None if there is neither."""
        chosen = self.trial or self.confirmed
        return None if chosen is None else self.slots[chosen]

    @property
    def other(self) -> Slot | None:
        """The bundle that ran before, if it is still in a slot."""
        return next((slot for key, slot in self.slots.items() if key not in (self.confirmed, self.trial)), None)


def bundle_file(sha256: str) -> str:
    """Return the file name of the bundle with this SHA-256."""
    return f"{sha256}.drsn"


def is_version(version: str) -> bool:
    """Return whether a text has the form MAJOR.MINOR.PATCH."""
    return _VERSION.fullmatch(version) is not None


def version_key(version: str) -> tuple[int, ...]:
    """Return a key that sorts versions of the form MAJOR.MINOR.PATCH."""
    return tuple(map(int, version.split(".")))


def state_to_bytes(state: State) -> bytes:
    """Return the content of the state file."""
    values = asdict(state)
    return (json.dumps({"schema": SCHEMA, "check": _check(values), "state": values}, indent=1) + "\n").encode()


def state_from_bytes(data: bytes) -> State:
    """Return the state in the content of a state file.

    Raises:
        ValueError: If `state_to_bytes` did not write this content.
    """
    try:
        document = json.loads(data)
        values = document["state"]
        if document["schema"] != SCHEMA or document["check"] != _check(values):
            raise ValueError("its checksum or schema does not match")
        slots = {key: Slot(**slot) for key, slot in values.pop("slots").items()}
        state = State(slots=slots, **values)
    except (KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise ValueError(repr(exc)) from exc
    sound = set(slots) <= set(SLOTS) and {state.confirmed, state.trial} <= {None, *slots}
    versions = [*state.floors.values(), *(version for slot in slots.values() for version in (slot.version, slot.floor))]
    sound = sound and all(_SHA256.fullmatch(slot.sha256) for slot in slots.values())
    names = (*state.floors, *(slot.name for slot in slots.values()))
    sound = sound and len(state.floors) <= MOST_NAMES and all(map(_is_name, names))
    counts = (state.trial_starts, state.sequence, *(slot.size for slot in slots.values()))
    sound = sound and all(type(count) is int and count >= 0 for count in counts)
    if not sound or not all(map(is_version, versions)):
        raise ValueError(f"impossible values: {reprlib.repr(state)}")
    return state


def _is_name(name: object) -> bool:
    return isinstance(name, str) and 0 < len(name) <= _LONGEST_NAME and name.isprintable()


def _check(values: Any) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
