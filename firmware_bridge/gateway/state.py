"""The store's state: which bundle runs, which one could, and below which version nothing is taken. Bytes and values."""

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
    """What a verifier says of a bundle.

    Attributes:
        name: Floors are kept for each.
        version: MAJOR.MINOR.PATCH.
        floor: Lowest version of this name to be taken once this one is confirmed.
    """

    name: str
    version: str
    floor: str


@dataclass(frozen=True)
class Slot:
    """A bundle that lies in the store.

    Attributes:
        sha256: Of its file.
        size: In bytes.
        name: See `Description`, as for the rest.
        version: Likewise.
        floor: Likewise.
    """

    sha256: str
    size: int
    name: str
    version: str
    floor: str

    @property
    def file(self) -> str:
        """Its file's name, which follows from its content: nothing is ever written over a bundle."""
        return bundle_file(self.sha256)


@dataclass(frozen=True)
class State:
    """What the tiny file says; it is replaced whole.

    Attributes:
        slots: By name, those that hold a bundle.
        confirmed: The slot whose bundle has proved itself, None before there is one.
        trial: The slot whose bundle runs now and has not yet, None outside of trials.
        trial_starts: How often the trial's bundle was started.
        floors: Lowest version by bundle name.
        sequence: Grows with every change.
    """

    slots: Mapping[str, Slot] = field(default_factory=dict)
    confirmed: str | None = None
    trial: str | None = None
    trial_starts: int = 0
    floors: Mapping[str, str] = field(default_factory=dict)
    sequence: int = 0

    @property
    def running(self) -> Slot | None:
        """The bundle that is to run."""
        chosen = self.trial or self.confirmed
        return None if chosen is None else self.slots[chosen]

    @property
    def other(self) -> Slot | None:
        """The bundle that ran before, where it is still there."""
        return next((slot for key, slot in self.slots.items() if key not in (self.confirmed, self.trial)), None)


def bundle_file(sha256: str) -> str:
    """Return the name of the file of a bundle with this digest."""
    return f"{sha256}.drsn"


def is_version(version: str) -> bool:
    """Return whether this is MAJOR.MINOR.PATCH."""
    return _VERSION.fullmatch(version) is not None


def version_key(version: str) -> tuple[int, ...]:
    """Return what sorts versions MAJOR.MINOR.PATCH."""
    return tuple(map(int, version.split(".")))


def state_to_bytes(state: State) -> bytes:
    """Return the state as its file has it."""
    values = asdict(state)
    return (json.dumps({"schema": SCHEMA, "check": _check(values), "state": values}, indent=1) + "\n").encode()


def state_from_bytes(data: bytes) -> State:
    """Return the state in a file's bytes.

    Raises:
        ValueError: If they are not what `state_to_bytes` wrote.
    """
    try:
        document = json.loads(data)
        values = document["state"]
        if document["schema"] != SCHEMA or document["check"] != _check(values):
            raise ValueError("the check sum or the schema is another one")
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
