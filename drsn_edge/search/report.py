"""The report of a search: its table, `search.json` and `inner_folds.npz`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from drsn_edge import __version__
from drsn_edge.recordings.recording import Recording
from drsn_edge.search.choose import Estimate, Interval, Judged
from drsn_edge.search.run import Found
from drsn_edge.support.arrays import archive_of
from drsn_edge.support.json_text import json_text
from drsn_edge.support.wording import counted
from drsn_edge.training.checkpoint import fingerprint
from drsn_edge.training.config_file import table_from_settings
from drsn_edge.training.settings import TrainSettings
from firmware_bridge.support.regular_file import read_regular
from firmware_bridge.support.shown import printable

SCHEMA = 1
SEARCH_FILE, FOLDS_FILE = "search.json", "inner_folds.npz"
_MOST_SHOWN = 12
_MOST_BYTES = 256 << 20
_LONGEST_WORDS = 300
_MAY_DIFFER = {"seed": 0, "learning_rate": 0.0}


def search_files(found: Found, recordings: Sequence[Recording]) -> dict[str, bytes]:
    """Return the files of a search on these recordings by name, as a run folder holds them."""
    values = {**to_json(found), "recordings": _digest(recordings)}
    return {SEARCH_FILE: (json_text(values) + "\n").encode(), FOLDS_FILE: _inner_folds(found)}


def files_beside(folder: Path, settings: TrainSettings, recordings: Sequence[Recording]) -> dict[str, bytes]:
    """Return the files of the search in a folder if it chose these settings on these recordings, else none.

    The seed and the learning rate may differ.
    """
    try:
        content = read_regular(folder / SEARCH_FILE, _MOST_BYTES)
        values = json.loads(content)
        expectation_of(content)
        chosen, wanted = ({**each, **_MAY_DIFFER} for each in _settings_of(values, settings))
        if chosen != wanted or values["recordings"] != _digest(recordings):
            return {}
        return {SEARCH_FILE: content, FOLDS_FILE: read_regular(folder / FOLDS_FILE, _MOST_BYTES)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _settings_of(values: Any, settings: TrainSettings) -> tuple[dict[str, Any], dict[str, Any]]:
    return dict(values["choice"]["settings"]), table_from_settings(settings)


def expectation_of(content: bytes) -> dict[str, Any]:
    """Return what the search of a `search.json` expected of its choice, in figures and in words.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: If it is not one.
    """
    values = json.loads(content)
    figures, folds = values["choice"]["expected"], values["inner_folds"]
    expected = Estimate(**{name: Interval(**each) for name, each in figures.items()})
    words = printable(expectation(expected, folds["held_out"], folds["place"], len(folds["alike"])), _LONGEST_WORDS)
    return {"expected": figures, "expected_in_words": words}


def _digest(recordings: Sequence[Recording]) -> str:
    return hashlib.sha256(json.dumps(fingerprint(recordings)).encode()).hexdigest()


def to_json(found: Found) -> dict[str, Any]:
    """Return a search as plain JSON values."""
    steady = found.without_speed
    return {
        "schema": SCHEMA,
        "version": __version__,
        "hold_out": found.wishes.fixed["hold_out"],
        "target": found.wishes.target,
        "inner_folds": {
            "field": found.folds.field,
            "held_out": found.folds.held_out,
            "names": list(found.folds.names),
            "place": found.folds.place,
            "alike": [found.folds.names[number] for number in found.folds.alike],
        },
        "remarks": list(found.remarks),
        "choice": {
            "name": found.chosen.candidate.name,
            "needs_speed": found.chosen.candidate.needs_speed,
            "macs": found.chosen.candidate.macs,
            "settings": table_from_settings(found.settings),
            "expected": asdict(found.expected),
        },
        "blocks": _by_blocks(found),
        "without_speed": None if steady is None else {"name": steady.candidate.name, "score": steady.score},
        "candidates": [_row(each, found.short_scores.get(each.candidate.name)) for each in found.judged],
        "seconds": round(found.seconds, 1),
    }


def _row(judged: Judged, short_score: float | None) -> dict[str, Any]:
    candidate, member = judged.candidate, judged.candidate.member
    return {
        "name": candidate.name,
        "family": candidate.family,
        "inputs": member.inputs if member else None,
        "view_weights": list(member.view_weights) if member else None,
        "discriminants": member.discriminants if member else None,
        "macs": candidate.macs,
        "epochs": candidate.epochs,
        "needs_speed": candidate.needs_speed,
        "choosable": candidate.is_choosable,
        "short_score": short_score,
        **asdict(judged.estimate),
        "by_fold": judged.by_fold.tolist(),
    }


def _inner_folds(found: Found) -> bytes:
    """Return the logits of the choice for each window as recorded that a fold holds out."""
    truth = found.truths[found.chosen.candidate.family]
    folds = found.chosen.candidate.folds
    rows = np.concatenate([rows for rows, _ in folds])
    return archive_of(
        logits=np.concatenate([logits[0] for _, logits in folds]),
        noisy_logits=np.concatenate([logits[1] for _, logits in folds]),
        labels=truth.labels[rows],
        fold=np.concatenate([np.full(len(rows), number) for number, (rows, _) in enumerate(folds)]),
        fold_names=np.array(found.folds.names),
        recordings=np.array(found.recordings)[truth.recordings[rows]],
        novelty=np.full(len(rows), np.nan, np.float32),
        held_out=np.array(found.folds.held_out),
    )


def text_of(found: Found) -> str:
    """Return the table of the best candidates, the choice, and what was left out."""
    chosen = found.chosen.candidate
    shown = [each for each in found.judged if each.candidate.is_choosable][:_MOST_SHOWN]
    shown += [each for each in found.judged if each not in shown and _stands_for_others(each, found)]
    names = [each.candidate.name for each in shown]
    width = max(map(len, names))
    rows = [
        f"{len(found.judged)} candidates, judged by the inner folds {', '.join(found.folds.names)}",
        f"  {'':{width}}{'as recorded':>13}{'white 0 dB':>12}{'epochs':>8}",
    ]
    for each in sorted(shown, key=lambda judged: -judged.score):
        clean, noisy = each.by_fold.mean(axis=0)
        mark = "*" if each is found.chosen else " "
        rows.append(f"{mark} {each.candidate.name:{width}}{clean:13.3f}{noisy:12.3f}{each.candidate.epochs or '':>8}")
    folds = found.folds
    rows += [
        f"chosen: {chosen.name}",
        expectation(found.expected, folds.held_out, folds.place, len(folds.alike)),
        *block_notes(found),
        *speed_notes(found),
    ]
    return "\n".join([*rows, *found.remarks])


def _stands_for_others(judged: Judged, found: Found) -> bool:
    """Return whether a candidate is the best one of its family, a baseline, or the choice."""
    first = next(each for each in found.judged if each.candidate.family == judged.candidate.family)
    return judged is first or judged is found.chosen


def expectation(expected: Estimate, held_out: str, place: str, folds: int) -> str:
    """Return what is expected, as a sentence.

    Args:
        expected: The estimate.
        held_out: What the inner folds hold out, in words.
        place: Where that lies among what is trained on, as in `InnerFolds.place`.
        folds: Number of the folds that the estimate is for.
    """
    where = f", {place} that are trained on" if place else ""
    return (
        f"Expected balanced accuracy with {held_out}{where} ({counted(folds, 'inner fold')}): "
        f"{_in_words(expected.clean)} as recorded, {_in_words(expected.noisy)} with white noise at 0 dB."
    )


def _in_words(interval: Interval) -> str:
    return f"{interval.mean:.3f} ({interval.low:.3f} to {interval.high:.3f})"


def block_notes(found: Found) -> list[str]:
    """Return how plain blocks compare with shrinkage blocks; nothing where only one kind was trained to the end."""
    scores = _by_blocks(found)
    if scores is None:
        return []
    shrinkage, plain = scores["shrinkage"], scores["plain"]
    figures = (
        f"Mean score of the chosen network over all inner folds: {shrinkage:.3f} with shrinkage, {plain:.3f} without."
    )
    if found.chosen.candidate.plain_of:
        return [f"{figures} Plain blocks are cheaper and chosen; --block rsbu-cw takes shrinkage."]
    return [figures]


def _by_blocks(found: Found) -> dict[str, float] | None:
    """Return the best scores of the chosen family with shrinkage and with plain blocks."""
    name = found.chosen.candidate.plain_of or found.chosen.candidate.family
    plain = [each.score for each in found.judged if each.candidate.plain_of == name]
    shrinkage = [each.score for each in found.judged if each.candidate.family == name]
    return {"shrinkage": shrinkage[0], "plain": plain[0]} if plain and shrinkage else None


def speed_notes(found: Found) -> list[str]:
    """Return what follows from inputs that need the shaft speed; nothing if the choice needs none."""
    if not found.chosen.candidate.needs_speed:
        return []
    steady = found.without_speed
    other = ""
    if steady is not None:
        points = 100 * (found.chosen.score - steady.score)
        other = (
            f" The best candidate that needs no speed, {steady.candidate.name}, is {points:.1f} percentage points "
            "behind; --without-speed chooses it."
        )
    return [f"The chosen network needs the shaft speed: `monitor` will need --rpm.{other}"]


def is_search_result(folder: Path) -> bool:
    """Return whether a folder holds the result of a search and no run."""
    return (folder / SEARCH_FILE).is_file() and not (folder / "model.keras").exists()
