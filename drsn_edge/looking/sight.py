"""What was seen of one recording: what its file states, what a catalogue adds, what its samples measure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from drsn_edge.looking.measures import Measures
from drsn_edge.looking.names import Name
from drsn_edge.recordings.metadata import READER_KEYS, RESERVED_KEYS, Metadata


@dataclass(frozen=True)
class Sight:
    """One recording that was looked at.

    Attributes:
        path: Path of its file below the folder, with `/` between the parts.
        recording: Name of the recording as `train` would call it.
        stated: Values that the file states.
        catalogued: Values that catalogues and folders state; they take precedence.
        measures: What its samples measure, in its unit.
        channels: Channels of the file.
        axes: Names of the axes that were taken.
        is_relative: True if the samples are fractions of full scale.
        is_whole: True if all samples are whole numbers, as counts of a converter are.
        rate_spread: Relative spread of the sampling interval; None if unknown.
        keys: Keys of the content, by which known data sets are recognised.
        remarks: Sentences of the reader.
        windows: Windows that were checked for damage.
        damage: Number of damaged windows for each reason.
        has_steps: Whether the values of some axis lie on the grid of a converter; None if that is not known.
        hum_db: How far the hum of each mains frequency in Hz stands out, in dB; empty if that is not known.
        jump_s: Time at which the mean of an axis jumps and stays, in seconds; None if it does not, or is not known.
    """

    path: str
    recording: str
    stated: Metadata
    catalogued: Metadata
    measures: Measures
    channels: int
    axes: tuple[str, ...]
    is_relative: bool = False
    is_whole: bool = False
    rate_spread: float | None = None
    keys: frozenset[str] = frozenset()
    remarks: tuple[str, ...] = ()
    windows: int = 0
    damage: Mapping[str, int] = field(default_factory=dict)
    has_steps: bool | None = None
    hum_db: Mapping[float, float] = field(default_factory=dict)
    jump_s: float | None = None

    @property
    def known(self) -> Metadata:
        """All values that are stated."""
        return {**self.stated, **self.catalogued}

    @property
    def name(self) -> Name:
        """Folders and stem of the file."""
        *folders, file = self.path.split("/")
        return Name(tuple(folders), stem_of(file))

    @property
    def stated_axes(self) -> tuple[str, ...]:
        """Names of the channels in the file; empty if it has none."""
        return cast("tuple[str, ...]", self.stated.get("axes", ()))

    @property
    def sample_rate_hz(self) -> float | None:
        """Sampling rate in Hz; None if nothing states it."""
        return cast("float | None", self.known.get("sample_rate_hz"))

    @property
    def unit(self) -> str | None:
        """Unit of the samples; None if nothing states it."""
        return cast("str | None", self.known.get("unit"))

    @property
    def label(self) -> str | None:
        """Label; None if nothing states it."""
        label = self.known.get("label")
        return None if label is None else str(label)

    @property
    def group(self) -> str | None:
        """Group; None if nothing states it, so that the file is a group of its own."""
        group = self.known.get("group")
        return None if group is None else str(group)

    @property
    def fields(self) -> Metadata:
        """Free fields, such as the speed."""
        return {key: value for key, value in self.known.items() if key not in RESERVED_KEYS | READER_KEYS}


def stem_of(file: str) -> str:
    """Return a file's name without a suffix of letters: `0001` of `0001.csv`, all of `2004.02.12.10.32.39`."""
    stem, dot, suffix = file.rpartition(".")
    return stem if dot and stem and suffix[:1].isalpha() else file
