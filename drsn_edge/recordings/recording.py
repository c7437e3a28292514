"""The value that loading returns: one stretch of evenly sampled, labelled vibration."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

FieldValue = str | int | float | bool


class Described:
    """What follows from values that every recording has, in memory or not."""

    name: str
    group: str
    fields: Mapping[str, FieldValue]

    @property
    def speed_hz(self) -> float:
        """Shaft speed in turns per second, from the field `rpm`; NaN if that is not a number."""
        rpm = self.fields.get("rpm")
        return rpm / 60 if isinstance(rpm, int | float) and not isinstance(rpm, bool) else math.nan

    @property
    def known(self) -> Mapping[str, FieldValue]:
        """The fields, `group` and `name`: the names that `--hold-out FIELD=VALUE` and `--label-field FIELD` take."""
        return {**self.fields, "group": self.group, "name": self.name}


@dataclass(frozen=True)
class Recording(Described):
    """One uninterrupted stretch of samples with all values that are needed to interpret it.

    Attributes:
        name: Unique within a data folder: the file's path below the folder without suffix (`fault/1`), with `#3` for
            capture 3 of a file of captures.
        samples: float32, shape (n_samples, n_axes), finite, in `unit`.
        sample_rate_hz: Sampling rate in Hz, > 0.
        axes: Name of each column of `samples`.
        unit: Unit of `samples`: one of `drsn_edge.signal.units.KNOWN_UNITS`, or the name of an uncalibrated unit
            ("counts").
        label: Condition of the machine; None if unknown.
        group: Common to all recordings of one session; the file's path below the folder without suffix unless the file
            or a catalogue states another.
        fields: Further values (rpm, load_hp, ...).
    """

    name: str
    samples: NDArray[np.float32]
    sample_rate_hz: float
    axes: tuple[str, ...]
    unit: str
    label: str | None
    group: str
    fields: Mapping[str, FieldValue] = field(default_factory=dict)

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.sample_rate_hz

    @property
    def n_samples(self) -> int:
        """Samples of each axis."""
        return len(self.samples)

    def pieces(self, most_samples: int) -> Iterator[NDArray[np.float32]]:
        """Yield the samples in order, at most `most_samples` at a time."""
        for first in range(0, len(self.samples), most_samples):
            yield self.samples[first : first + most_samples]
