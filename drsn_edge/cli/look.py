"""`drsn-edge look`."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drsn_edge.cli.options import PathType, catalogue_option, json_option, memory_option
from drsn_edge.cli.output import note, print_json, print_text
from drsn_edge.cli.sections import SectionedCommand, section
from drsn_edge.errors import OutputError
from drsn_edge.support.notice import Notice, as_line

if TYPE_CHECKING:
    from drsn_edge.looking.report import Look
    from drsn_edge.looking.sight import Sight

_PNG = b"\x89PNG\r\n\x1a\n"


@click.command(cls=SectionedCommand)
@click.argument("paths", metavar="FOLDER...", type=PathType, nargs=-1, required=True)
@section(
    "Recordings",
    catalogue_option,
    memory_option,
)
@section(
    "Result",
    click.option("--all", "every", is_flag=True, help="Show every recording and every line, however many."),
    click.option(
        "--picture",
        type=PathType,
        metavar="FILE",
        help="Draw levels, offsets and spectra by label into this PNG file. Needs the extra `plots`.",
    ),
    click.option(
        "--write-catalogue",
        is_flag=True,
        help="Write the guesses into catalogue.toml in the folder, for a person to confirm. A file is never replaced.",
    ),
    json_option,
)
def look(
    paths: tuple[Path, ...],
    catalogue: Path | None,
    memory: int,
    every: bool,
    picture: Path | None,
    write_catalogue: bool,
    as_json: bool,
) -> None:
    """Look at recordings before anything is trained.

    FOLDER is a folder of recordings, searched with its sub-folders, or a file. The exit status is 0 if anything could
    be read, whatever was found in it.

    \b
    Example:
      drsn-edge look recordings/ --picture look.png --write-catalogue
    """
    if picture is not None:
        from drsn_edge.looking.plot import save_look  # before the work: it may be missing
    from drsn_edge.cli.progress import counting_bar
    from drsn_edge.looking.look import look as look_at
    from drsn_edge.looking.text import look_text

    if picture is not None:
        _check_picture(picture)
    target = _target(paths) if write_catalogue else None
    with counting_bar("looking") as bar:
        found = look_at(paths, catalogue, memory, progress=bar)
    if picture is not None and found.sights:
        save_look(found, picture)
    if as_json:
        print_json("look", _values(found))
    else:
        print_text(look_text(found, every=every))
    if target is not None and found.sights:
        _write(found, target)
    if not found.sights:
        raise click.exceptions.Exit(1)


def _check_picture(path: Path) -> None:
    """Raise OutputError if a file that is no picture, such as a recording, would be replaced."""
    try:
        with path.open("rb") if path.is_file() else nullcontext() as file:
            is_other = file is not None and file.read(len(_PNG)) not in (_PNG, b"")
    except OSError:  # the one who writes says why
        return
    if is_other:
        words = f"{path} is no PNG file and is not replaced. Name another file for --picture."
        raise OutputError(words, "exists", path=path)


def _target(paths: tuple[Path, ...]) -> Path:
    """Return the catalogue to write; raise OutputError before the work if it cannot be written."""
    from drsn_edge.recordings.loading.catalogues import NAMES

    if len(paths) != 1 or not paths[0].is_dir():
        raise click.UsageError("--write-catalogue needs one folder. Name the folder that holds all recordings.")
    for name in NAMES:
        path = paths[0] / name
        if os.path.lexists(path):
            words = f"There is a catalogue at {path}, which is never replaced. Edit it, or move it away."
            raise OutputError(words, "exists", path=path)
    return paths[0] / NAMES[0]


def _write(found: Look, target: Path) -> None:
    from drsn_edge.looking.catalogue_text import catalogue_text
    from drsn_edge.support.files import write_file

    write_file(target, catalogue_text(found.proposal).encode())
    gaps = f" Fill in {', '.join(found.proposal.missing)}." if found.proposal.missing else ""
    words = f"wrote {target}.{gaps} Look through it, then set confirmed = true in it."
    note(as_line(Notice(words)))


def _values(found: Look) -> dict[str, Any]:
    return {
        "recordings": [_recording(found, sight) for sight in found.sights],
        "not_read": [{"file": each.path, "reason": each.reason, "problem": each.problem} for each in found.failures],
        "missing": {key: list(paths) for key, paths in found.proposal.missing.items()},
        "doubts": list(found.doubts),
        "passed_over": list(found.passed_over),
    }


def _recording(found: Look, sight: Sight) -> dict[str, Any]:
    measures = sight.measures
    guesses = found.proposal.guesses.get(sight.path, {})
    return {
        "recording": sight.recording,
        "sample_rate_hz": found.rate_of(sight),
        "rate_spread": sight.rate_spread,
        "axes": list(sight.axes),
        "unit": found.unit_of(sight),
        "label": found.label_of(sight),
        "group": found.group_of(sight),
        "fields": dict(sight.fields),
        "samples": measures.n_samples,
        "duration_s": found.seconds_of(sight),
        "level_rms": measures.level.tolist(),
        "mean": measures.mean.tolist(),
        "lowest": measures.lowest.tolist(),
        "highest": measures.highest.tolist(),
        "windows": sight.windows,
        "damaged": dict(sight.damage),
        "not_finite": measures.n_wrong,
        "guessed": {key: {"value": guess.value, "why": guess.why} for key, guess in guesses.items()},
        "remarks": list(sight.remarks),
    }
