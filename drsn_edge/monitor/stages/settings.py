"""The file of `monitor --settings`: how the decision is made, which classes raise an alarm, and what is captured.

    [decision]
    votes = "4/5"                  # windows that must agree to change the decision
    at_most_wrong = 2              # percent of the windows of a class that may be wrong; others are UNSURE

    [alarms]
    normal = ["healthy"]           # classes that raise no alarm; every other class, and UNKNOWN, does
    evidence = "mean"              # mean probability of the class over `windows` windows; "votes": its share of them
    windows = 10
    on = 0.7                       # an alarm is pending while the evidence is at least this ...
    on_delay_s = 5.0               # ... and is raised after this many seconds without a break
    off = 0.4                      # an alarm is ending while the evidence is below this ...
    off_delay_s = 30.0             # ... and is cleared after this many seconds without a break
    latch = false                  # true: the alarm stays until it is acknowledged
    inhibit_after_start_s = 0.0    # seconds after a standstill in which windows do not count
    inhibit_level_change = 0.3     # nor do they while the vibration level changes by 30 % (speed or load changes) ...
    inhibit_s = 10.0               # ... and for this many seconds afterwards

    [alarms.class.outer_race]      # limits of one class, or of UNKNOWN, that differ
    on = 0.5
    latch = true

    [capture]
    folder = "captures"            # holds one raw log for each alarm
    before_s = 10.0
    after_s = 10.0
    keep = 100                     # files; the oldest are removed first

Only `normal` and `folder` are required. Without at_most_wrong no window is UNSURE, without [alarms] there is no alarm,
and without [capture] nothing is captured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, NoReturn

from drsn_edge.bundle.manifest import Manifest
from drsn_edge.bundle.votes import Votes, parse_votes
from drsn_edge.errors import SettingsError
from drsn_edge.monitor.stages.abstention import point_for
from drsn_edge.monitor.stages.alarms import EVIDENCE, UNKNOWN, AlarmLimits, AlarmSettings, alarm_names
from drsn_edge.support.shares import SHARE_IN_PERCENT, Share
from drsn_edge.support.toml_file import Document, quoted, read_document

_LIMITS = tuple(each.name for each in fields(AlarmLimits))


@dataclass(frozen=True)
class CaptureSettings:
    """The signal that is kept around an alarm.

    Attributes:
        folder: Folder for the files, a raw log for each alarm. A relative path starts at the folder in which the
            monitor is started.
        before_s: Seconds of signal that are kept from before the alarm.
        after_s: Seconds of signal that are kept from after the alarm.
        keep: Number of files that are kept, at least 1; the oldest are removed first.
    """

    folder: str
    before_s: float = 10.0
    after_s: float = 10.0
    keep: int = 100


@dataclass(frozen=True)
class DecisionSettings:
    """The table [decision].

    Attributes:
        votes: Votes K/N that change the decision: K of the last N windows must agree.
        at_most_wrong: Percent of the windows of a class that may be wrong, as far as the bundle can promise it; a
            window that is too close to call is UNSURE. Left out: no window is UNSURE.
    """

    votes: str = "4/5"
    at_most_wrong: Share | None = None


@dataclass(frozen=True)
class MonitorSettings:
    """The whole file.

    Attributes:
        votes: Votes that change the decision.
        alarms: Settings of alarms; None: no alarms.
        capture: Settings of captures; None: nothing is captured.
        at_most_wrong: Share of the windows with CLASS that may be wrong, above 0 and below 1; None: no window is
            UNSURE.
    """

    votes: Votes = field(default_factory=Votes)
    alarms: AlarmSettings | None = None
    capture: CaptureSettings | None = None
    at_most_wrong: float | None = None


def read_settings(path: Path, labels: Sequence[str]) -> MonitorSettings:
    """Read a settings file for a model with these labels.

    Raises:
        SettingsError: If it cannot be read or holds an invalid value, with the line of the value.
    """
    return _Reading(read_document(path, "settings", SettingsError), tuple(labels)).settings()


def settings_for(
    path: Path | None, votes: str | None, manifest: Manifest, at_most_wrong: float | None = None
) -> MonitorSettings:
    """Return the settings of a file, or of the bundle without a file; `votes` and `at_most_wrong` override both.

    Raises:
        SettingsError: If the file or the votes are invalid, or the bundle cannot promise `at_most_wrong`.
    """
    settings = MonitorSettings() if path is None else read_settings(path, manifest.labels)
    if at_most_wrong is not None:
        settings = replace(settings, at_most_wrong=at_most_wrong)
    point_for(manifest, settings.at_most_wrong)
    votes = votes or (manifest.votes if path is None else None)
    if votes is None:
        return settings
    try:
        return replace(settings, votes=parse_votes(votes))
    except ValueError as exc:
        words = f"Invalid votes {votes!r}: {exc} Write K/N, such as 4/5."
        raise SettingsError(words, "invalid_votes", key="votes", got=votes) from exc


@dataclass(frozen=True)
class _Reading:
    document: Document
    labels: tuple[str, ...]

    def settings(self) -> MonitorSettings:
        known, document = ("decision", "alarms", "capture"), self.document.values
        for name, table in document.items():
            if name not in known:
                self._fail((name,), f"unknown key {name!r}; the tables are [{'], ['.join(known)}]", "unknown_key")
            if not isinstance(table, dict):
                self._fail((name,), f"{name} must be a table [{name}], got {table!r}", "not_a_table", got=table)
        decision = DecisionSettings(**self._values(DecisionSettings, ("decision",), document.get("decision", {})))
        return MonitorSettings(
            self._votes(decision.votes),
            self._alarms(document["alarms"]) if "alarms" in document else None,
            self._capture(document["capture"]) if "capture" in document else None,
            decision.at_most_wrong,
        )

    def _votes(self, text: str) -> Votes:
        try:
            return parse_votes(text)
        except ValueError as exc:
            words = f'votes must look like "4/5", got {text!r} ({exc})'
            self._fail(("decision", "votes"), words, "invalid_votes", got=text)

    def _alarms(self, table: Mapping[str, Any]) -> AlarmSettings:
        path = ("alarms",)
        own = {name: value for name, value in table.items() if name in _LIMITS}
        classes = table.get("class", {})
        rest = {name: value for name, value in table.items() if name not in (*_LIMITS, "class")}
        for hidden in ("limits", "classes"):  # attributes, but not keys
            if hidden in rest:
                self._fail((*path, hidden), f"unknown key {hidden!r}", "unknown_key")
        if "normal" not in rest:
            words = f"normal is missing: the classes that raise no alarm, of {', '.join(self.labels)}"
            self._fail((*path, "normal"), words, "missing_key")
        limits = self._limits(path, own, AlarmLimits())
        values = self._values(AlarmSettings, path, rest)
        settings = AlarmSettings(**values, limits=limits, classes=self._classes(classes, limits))
        self._check_alarms(settings)
        return settings

    def _classes(self, tables: Any, limits: AlarmLimits) -> dict[str, AlarmLimits]:
        path = ("alarms", "class")
        if not isinstance(tables, dict):
            self._fail(path, "class must be tables such as [alarms.class.outer_race]", "not_a_table", got=tables)
        for name, table in tables.items():
            if not isinstance(table, dict):
                self._fail((*path, name), f"{name} must be a table, got {table!r}", "not_a_table", got=table)
            self._check_label((*path, name), name)
        return {name: self._limits((*path, name), table, limits) for name, table in tables.items()}

    def _limits(self, path: tuple[str, ...], table: Mapping[str, Any], defaults: AlarmLimits) -> AlarmLimits:
        limits = replace(defaults, **self._values(AlarmLimits, path, table))
        if not 0 < limits.off <= limits.on <= 1:
            where = (*path, "off" if "off" in table else "on")
            words = f"limits must satisfy 0 < off <= on <= 1, got off {limits.off:g} and on {limits.on:g}"
            self._fail(where, words, "invalid_limits", off=limits.off, on=limits.on)
        self._not_negative(path, limits)
        return limits

    def _check_alarms(self, settings: AlarmSettings) -> None:
        for name in settings.normal:
            self._check_label(("alarms", "normal"), name)
        if not alarm_names(settings, self.labels):
            words = "normal lists every class and UNKNOWN, so nothing raises an alarm"
            self._fail(("alarms", "normal"), words, "nothing_is_an_alarm")
        if settings.evidence not in EVIDENCE:
            words = f"evidence must be one of {', '.join(EVIDENCE)}, got {settings.evidence!r}"
            self._fail(("alarms", "evidence"), words, "invalid_choice", got=settings.evidence)
        if settings.windows < 1:
            words = f"windows must be at least 1, got {settings.windows}"
            self._fail(("alarms", "windows"), words, "too_small", got=settings.windows)
        self._not_negative(("alarms",), settings)

    def _check_label(self, path: tuple[str, ...], name: str) -> None:
        if name not in (*self.labels, UNKNOWN):
            known = ", ".join((*self.labels, UNKNOWN))
            self._fail(path, f"the model has no class {name!r}; it has {known}", "unknown_class", got=name)

    def _capture(self, table: Mapping[str, Any]) -> CaptureSettings:
        path = ("capture",)
        if "folder" not in table:
            self._fail((*path, "folder"), "folder is missing: the folder that captures are written to", "missing_key")
        settings = CaptureSettings(**self._values(CaptureSettings, path, table))
        self._not_negative(path, settings)
        if settings.keep < 1:
            self._fail((*path, "keep"), f"keep must be at least 1, got {settings.keep}", "too_small", got=settings.keep)
        return settings

    def _values(self, kind: type, path: tuple[str, ...], table: Mapping[str, Any]) -> dict[str, Any]:
        return self.document.typed(kind, table, *path, own={Share | None: SHARE_IN_PERCENT})

    def _not_negative(self, path: tuple[str, ...], values: Any) -> None:
        for each in fields(values):
            value = getattr(values, each.name)
            if isinstance(value, float) and not 0 <= value < math.inf:
                words = f"{each.name} must be a finite number of at least 0, got {value:g}"
                self._fail((*path, each.name), words, "negative", got=value)

    def _fail(self, path: Sequence[str], words: str, problem: str, **facts: object) -> NoReturn:
        """Raise SettingsError about the key at the end of `path`."""
        place = self.document.place(*path)
        raise SettingsError(f"{place}: {words}. Correct it there.", problem, place=place, key=path[-1], **facts)


def settings_toml(settings: MonitorSettings) -> str:
    """Return the text of a file that `read_settings` reads as these settings."""
    votes, share = f"{settings.votes.needed}/{settings.votes.window_count}", settings.at_most_wrong
    parts = [_table("decision", {"votes": votes, "at_most_wrong": None if share is None else round(100 * share, 10)})]
    if settings.alarms is not None:
        own = {name: value for name, value in vars(settings.alarms).items() if name not in ("limits", "classes")}
        parts.append(_table("alarms", {**own, **asdict(settings.alarms.limits)}))
        parts += [_table(f"alarms.class.{quoted(n)}", asdict(each)) for n, each in settings.alarms.classes.items()]
    if settings.capture is not None:
        parts.append(_table("capture", asdict(settings.capture)))
    return "\n".join(parts)


def _table(name: str, values: Mapping[str, Any]) -> str:
    lines = [f"{key} = {_toml(value)}" for key, value in values.items() if value is not None]
    return "\n".join([f"[{name}]", *lines]) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return quoted(value) if isinstance(value, str) else repr(value)
