"""One look at files and folders: each file is read once, piece by piece."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from drsn_edge.datasets.doubts import Profile, doubts_about
from drsn_edge.datasets.profile import hum_of, jump_of
from drsn_edge.errors import RecordingError
from drsn_edge.looking.checking import WINDOW, Checking
from drsn_edge.looking.find import Find, Found, find
from drsn_edge.looking.layouts import Layout, layout_of
from drsn_edge.looking.measures import Measures, Measuring
from drsn_edge.looking.mixed import mixed_sentences
from drsn_edge.looking.names import Guess, Name, fields_of
from drsn_edge.looking.proposal import Proposal, default_axes, propose
from drsn_edge.looking.report import Failure, Look
from drsn_edge.looking.sight import Sight, stem_of
from drsn_edge.recordings.loading.catalogue import built_in_catalogues
from drsn_edge.recordings.loading.complete import catalogued_values, chosen_axes, factors_of, relabelled_unit
from drsn_edge.recordings.loading.load import read_raw
from drsn_edge.recordings.metadata import READER_KEYS, Metadata
from drsn_edge.recordings.raw import RawRecording

PIECE = 64 * WINDOW
_MOST_KEPT = 1_500_000
"""Values of the beginning of a recording that are kept for hum and jumps: 19 s of three axes at 26.7 kHz."""
_COUNTS_FROM = 20.0
"""Smallest peak of whole numbers that are taken for counts of a converter."""


def look(
    paths: Sequence[Path],
    catalogue: Path | None,
    memory_bytes: int,
    progress: Callable[[int, int], None] | None = None,
) -> Look:
    """Look at files and folders.

    Args:
        paths: Files and folders, which are searched with their sub-folders.
        catalogue: Catalogue that is used instead of those around the files.
        memory_bytes: Most memory for a file of a format that must be in memory as a whole.
        progress: Called after each file with the number of files done and of all files.

    Raises:
        RecordingError: If a path leads nowhere, or a folder or a catalogue cannot be read. A file that cannot be read
            is a failure in the result.
    """
    found = find(paths, catalogue)
    sights: list[Sight] = []
    failures: list[Failure] = []
    for done, each in enumerate(found.files, start=1):
        try:
            sights += _sights(each, memory_bytes)
        except RecordingError as exc:
            failures.append(Failure(each.path, _reason(exc, each), exc.problem or ""))
        if progress is not None:
            progress(done, len(found.files))
    proposal = propose(sights)
    profiles = [_profile(sight, proposal) for sight in sights]
    doubts = (*mixed_sentences(profiles), *(doubt.sentence for doubt in doubts_about(profiles)))
    return Look(tuple(sights), tuple(failures), found.passed_over, doubts, _with_steering(proposal, found))


def _profile(sight: Sight, proposal: Proposal) -> Profile:
    """Return what doubts are about, with guesses where nothing is stated."""
    guessed = {key: guess.value for key, guess in proposal.guesses[sight.path].items()}
    label, group, unit = (str({**guessed, **sight.known}.get(key, "")) for key in ("label", "group", "unit"))
    rate = {**guessed, **sight.known}.get("sample_rate_hz", math.nan)
    return Profile(
        sight.recording,
        label,
        group or sight.path,
        unit,
        sight.measures.mean,
        sight.measures.total_level,
        sight.axes,
        float(cast(float, rate)),
        sight.has_steps,
        sight.hum_db,
        sight.jump_s,
    )


def _reason(exc: RecordingError, each: Find) -> str:
    """Return the first line of an error, without the path that the report names itself."""
    return str(exc).partition("\n")[0].removeprefix(str(each.source.path)).lstrip(": ")


def _with_steering(proposal: Proposal, found: Found) -> Proposal:
    """Add the guesses without which some files are not read."""
    guesses = {path: dict(values) for path, values in proposal.guesses.items()}
    for each in found.files:
        for key, value in each.read_with.items():
            if each.path in guesses and isinstance(value, (str, int, float)):
                guesses[each.path].setdefault(key, Guess(value, each.why))
    return Proposal(guesses, proposal.missing, found.other_paths)


def _sights(each: Find, memory_bytes: int) -> Iterator[Sight]:
    for raw in read_raw(each.source, memory_bytes, each.read_with):
        yield _sight(each, raw)


def _sight(each: Find, raw: RawRecording) -> Sight:
    built_in = [one for one in built_in_catalogues() if one.recognise in raw.keys]
    catalogued = catalogued_values(raw, each.source, built_in)
    of_built_in = catalogued_values(raw, replace(each.source, catalogues=()), built_in)
    if each.source.label is not None:
        catalogued = {"label": each.source.label, **catalogued}
    stated = {key: value for key, value in raw.stated.items() if key not in READER_KEYS}
    known = {**stated, **catalogued}
    axes, columns = _axes(each, raw, catalogued)
    rate = known.get("sample_rate_hz") or _guessed_rate(each, raw)
    factors = factors_of(raw, {"full_scale": 1.0, **known})
    seen = _seen(_pieces(raw, columns, factors), len(columns), cast("float | None", rate), _speed_hz(known))
    return Sight(
        path=each.path,
        recording=each.path if raw.capture is None else f"{each.path}#{raw.capture}",
        stated=stated,
        catalogued=catalogued,
        measures=seen.measures,
        channels=raw.samples.n_channels,
        axes=axes,
        is_relative=raw.is_relative,
        is_whole=seen.is_whole and not factors,
        rate_spread=raw.rate_spread,
        keys=raw.keys,
        remarks=(*raw.remarks, *relabelled_unit(stated, catalogued, of_built_in)),
        windows=seen.checking.windows,
        damage=seen.checking.damage,
        has_steps=seen.checking.has_steps,
        hum_db=seen.hum_db,
        jump_s=seen.jump_s,
    )


def _axes(each: Find, raw: RawRecording, catalogued: Metadata) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return names and channels of the axes, as stated, else as published, else all in their order."""
    layout = _layout(each, raw)
    published = {} if layout is None else layout.guesses(each.path, raw.samples.n_channels)
    if "axes" in catalogued or ("axes" in raw.stated and "axes" not in published):
        return chosen_axes(raw, catalogued, each.source.path)
    if "axes" in published:
        with suppress(RecordingError):
            return chosen_axes(raw, {"axes": cast("tuple[str, ...]", published["axes"].value)}, each.source.path)
    names = default_axes(raw.samples.n_channels)
    return names, tuple(range(len(names)))


def _guessed_rate(each: Find, raw: RawRecording) -> float | None:
    layout = _layout(each, raw)
    *folders, file = each.path.split("/")
    guesses = {**fields_of(Name(tuple(folders), stem_of(file)))}
    if layout is not None:
        guesses.update(layout.guesses(each.path, raw.samples.n_channels))
    guess = guesses.get("sample_rate_hz")
    return None if guess is None else float(cast(float, guess.value))


def _layout(each: Find, raw: RawRecording) -> Layout | None:
    names = cast("tuple[str, ...]", raw.stated.get("axes", ()))
    return layout_of(each.path, raw.keys, raw.samples.n_channels, names)


def _pieces(raw: RawRecording, columns: Sequence[int], factors: Sequence[float]) -> Iterator[NDArray[np.float64]]:
    chosen = list(columns)
    for stored in raw.samples.pieces(PIECE):
        piece = stored[:, chosen].astype(np.float64)
        for factor in factors:
            piece *= factor
        yield piece


def _speed_hz(known: Metadata) -> float:
    rpm = known.get("rpm")
    return rpm / 60 if isinstance(rpm, (int, float)) and not isinstance(rpm, bool) else math.nan


@dataclass(frozen=True)
class _Seen:
    """What one pass over the samples found, see `Sight`."""

    measures: Measures
    checking: Checking
    is_whole: bool
    hum_db: Mapping[float, float]
    jump_s: float | None


def _seen(pieces: Iterator[NDArray[np.float64]], n_axes: int, sample_rate_hz: float | None, speed_hz: float) -> _Seen:
    """Make one pass over the samples; hum and jumps are looked for in their beginning."""
    measuring, checking = Measuring(n_axes, sample_rate_hz), Checking()
    is_whole, room = True, _MOST_KEPT // n_axes
    beginning: list[NDArray[np.float32]] = []
    for piece in pieces:
        measuring.take(piece)
        checking.take(piece)
        is_whole = is_whole and bool((piece == np.rint(piece)).all())
        if room > 0:
            beginning.append(piece[:room].astype(np.float32))
            room -= len(beginning[-1])
    measures = measuring.result()
    peak = float(np.max(np.abs([measures.lowest, measures.highest]), initial=0.0))
    hum_db, jump_s = _heard(beginning, sample_rate_hz, speed_hz)
    return _Seen(measures, checking, is_whole and peak >= _COUNTS_FROM, hum_db, jump_s)


def _heard(
    beginning: Sequence[NDArray[np.float32]], sample_rate_hz: float | None, speed_hz: float
) -> tuple[Mapping[float, float], float | None]:
    """Return hum and jump; nothing without a rate, or where a value is no number."""
    samples = np.concatenate(beginning) if beginning else np.empty((0, 1), np.float32)
    if not len(samples) or sample_rate_hz is None or not np.isfinite(samples).all():
        return {}, None
    return hum_of(samples, sample_rate_hz, speed_hz), jump_of(samples, sample_rate_hz)
