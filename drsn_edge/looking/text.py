"""A look as text for a terminal: a table of recordings, then damage, gaps, doubts and what was passed over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from drsn_edge.looking.catalogue_text import missing_text
from drsn_edge.looking.report import Failure, Look
from drsn_edge.looking.sight import Sight
from drsn_edge.support.wording import counted, plain
from firmware_bridge.support.shown import printable

_MOST_ROWS = 40
"""Most recordings that are all shown; of more, the first and last of each label."""
_FIRST, _LAST = 2, 1
_MOST_LINES = 12
_WIDEST_FILE, _WIDEST_CELL = 36, 18


def look_text(look: Look, *, every: bool = False) -> str:
    """Return the report; `every` shows the row of each recording."""
    parts = [_table(look, every), *_damaged(look, every), *_failed(look, every), *_guessed(look), *_missing(look)]
    parts += [*_section("doubts", look.doubts, every), *_section("remarks", _remarks(look), every)]
    return "\n".join([*parts, *_section("passed over", look.passed_over, every)])


def _table(look: Look, every: bool) -> str:
    if not look.sights:
        return "No recording could be read."
    header = ("file", "rate, Hz", "spread", "axes", "unit", "label", "group", "seconds", "level")
    cells = [header, *(_row(look, sight) for sight in look.sights)]
    shown = [0, *(1 + number for number in _chosen(look, every))]
    columns = [column for column in range(len(header)) if column < 2 or any(row[column] != "-" for row in cells[1:])]
    widths = [max(len(cells[row][column]) for row in shown) for column in columns]
    lines, previous = [], -1
    for row in shown:
        if row > previous + 1 and previous >= 0:
            lines.append(_left_out(look, previous, row - 1))
        line = (_aligned(cells[row][column], width, column) for column, width in zip(columns, widths, strict=True))
        lines.append("  ".join(line).rstrip())
        previous = row
    if previous < len(look.sights):
        lines.append(_left_out(look, previous, len(look.sights)))
    return "\n".join([*lines, _summary(look)])


def _aligned(cell: str, width: int, column: int) -> str:
    return cell.rjust(width) if column in (1, 2, 7, 8) else cell.ljust(width)


def _summary(look: Look) -> str:
    seconds = sum(sight.measures.n_samples / (look.rate_of(sight) or float("inf")) for sight in look.sights)
    total = f"{counted(len(look.sights), 'recording')}, {_duration(seconds)}"
    labels = Counter(look.label_of(sight) or "no label" for sight in look.sights)
    shown = ", ".join(f"{printable(label, _WIDEST_CELL)} {count}" for label, count in labels.most_common(_MOST_LINES))
    return f"{total}; by label: {shown}{', ...' if len(labels) > _MOST_LINES else ''}"


def _duration(seconds: float) -> str:
    return (
        f"{seconds:.1f} s"
        if seconds < 120
        else f"{seconds / 60:.1f} min"
        if seconds < 7200
        else f"{seconds / 3600:.1f} h"
    )


def _left_out(look: Look, start: int, end: int) -> str:
    levels = [sight.measures.total_level for sight in look.sights[start:end]]
    return f"... {end - start} more, level {plain(min(levels))} to {plain(max(levels))}"


def _chosen(look: Look, every: bool) -> list[int]:
    """Return the numbers of the recordings that are shown: of many, the first and the last of each label."""
    if every or len(look.sights) <= _MOST_ROWS:
        return list(range(len(look.sights)))
    by_label: dict[str | None, list[int]] = {}
    for number, sight in enumerate(look.sights):
        by_label.setdefault(look.label_of(sight), []).append(number)
    chosen = {number for numbers in by_label.values() for number in (*numbers[:_FIRST], *numbers[-_LAST:])}
    return sorted(chosen)


def _row(look: Look, sight: Sight) -> tuple[str, ...]:
    def known(key: str, shown: Callable[[object], str]) -> str:
        if key in sight.known:
            return shown(sight.known[key])
        guess = look.guess(sight, key)
        return "-" if guess is None else f"{shown(guess.value)}?"

    seconds = sight.measures.n_samples / (look.rate_of(sight) or float("nan"))
    return (
        _end_of(sight.recording),
        known("sample_rate_hz", lambda value: _rate(float(str(value)))),
        "-" if sight.rate_spread is None else f"{100 * sight.rate_spread:.2f} %",
        known("axes", lambda value: _cell(",".join(map(str, value)) if isinstance(value, tuple) else str(value))),
        known("unit", _cell),
        known("label", _cell),
        known("group", _cell),
        "-" if seconds != seconds else f"{seconds:.2f}" if seconds < 100 else f"{seconds:.0f}",
        plain(sight.measures.total_level),
    )


def _rate(value: float) -> str:
    return f"{value:.0f}" if value == round(value) else f"{value:.1f}"


def _cell(value: object) -> str:
    return printable(value, _WIDEST_CELL)


def _end_of(name: str) -> str:
    """Return a name, or the end of a long one, where files of one folder differ."""
    text = printable(name, 1000)
    return text if len(text) <= _WIDEST_FILE else f"...{text[3 - _WIDEST_FILE :]}"


def _section(title: str, lines: Iterable[str], every: bool = False) -> list[str]:
    found = list(lines)
    if not found:
        return []
    shown = found if every else found[:_MOST_LINES]
    more = [f"and {len(found) - len(shown)} more (--all)"] if len(found) > len(shown) else []
    return ["", title, *(f"  {line}" for line in (*shown, *more))]


def _damaged(look: Look, every: bool) -> list[str]:
    damaged = [sight for sight in look.sights if sight.damage or sight.measures.n_wrong]
    damaged.sort(key=lambda sight: -sum(sight.damage.values()) / max(sight.windows, 1))
    return _section("damaged (windows, of all, why)", map(_damage, damaged), every)


def _damage(sight: Sight) -> str:
    total = sum(sight.damage.values())
    reasons = [f"{reason} {count}" for reason, count in sorted(sight.damage.items(), key=lambda each: -each[1])]
    if sight.measures.n_wrong:
        reasons.append(counted(sight.measures.n_wrong, "NaN or infinite value"))
    return f"{_end_of(sight.recording)}: {total} of {sight.windows}: {', '.join(reasons)}"


def _failed(look: Look, every: bool) -> list[str]:
    """Return the files that could not be read; those with the same problem in one line, unless `every`."""
    by_problem: dict[object, list[Failure]] = {}
    for number, failure in enumerate(look.failures):
        by_problem.setdefault(number if every else failure.problem, []).append(failure)
    lines = (
        f"{_end_of(found[0].path)}{f' and {len(found) - 1} more' if len(found) > 1 else ''}: "
        f"{printable(found[0].reason, 300)}"
        for found in by_problem.values()
    )
    return _section("not read", lines, every)


def _guessed(look: Look) -> list[str]:
    """Return which keys are guesses, by value and origin."""
    counts: dict[str, Counter[str]] = {}
    for guesses in look.proposal.guesses.values():
        for key, guess in guesses.items():
            value = ",".join(guess.value) if isinstance(guess.value, tuple) else str(guess.value)
            counts.setdefault(key, Counter())[f"{printable(value, 40)} ({printable(guess.why, 60)})"] += 1
    lines = [f"{key}: {_most(values)}" for key, values in counts.items()]
    return _section("guessed, marked ? (--write-catalogue writes all for you to confirm)", lines)


def _most(values: Counter[str]) -> str:
    shown = ", ".join(value for value, _ in values.most_common(2))
    return f"{shown} and {counted(len(values) - 2, 'other value')}" if len(values) > 2 else shown


def _missing(look: Look) -> list[str]:
    return _section("missing", missing_text(look.proposal))


def _remarks(look: Look) -> Sequence[str]:
    """Return each remark of a reader once, with the number of files."""
    counts = Counter(remark for sight in look.sights for remark in sight.remarks)
    return [f"{printable(text, 300)}{f' ({count} files)' if count > 1 else ''}" for text, count in counts.items()]
