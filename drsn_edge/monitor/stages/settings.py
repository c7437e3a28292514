"""What `monitor --settings` reads: how a decision is made, what is an alarm, and what is kept of one.

    [decision]
    votes = "4/5"                  # windows that must agree

    [alarms]
    normal = ["healthy"]           # classes that are none; every other one, and UNKNOWN, is
    evidence = "mean"              # of the probabilities over `windows` windows, or "votes": the share that says so
    windows = 10
    on = 0.7                       # pending from here on ...
    on_delay_s = 5.0               # ... and an alarm after so long without a break
    off = 0.4                      # ending below ...
    off_delay_s = 30.0             # ... and over after so long
    latch = false                  # true: stays until it is acknowledged
    inhibit_after_start_s = 0.0    # do not count what comes so soon after a standstill
    inhibit_level_change = 0.3     # nor while the level of vibration changes by 30 %: the speed or the load does
    inhibit_s = 10.0               # nor so long after that

    [alarms.class.outer_race]      # whatever is different for one class, or for UNKNOWN
    on = 0.5
    latch = true

    [capture]
    folder = "captures"            # a raw log for each alarm
    before_s = 10.0
    after_s = 10.0
    keep = 100                     # files; the oldest go first

Everything may be left out but `normal` and `folder`; without a table, there are no alarms, or nothing is kept of them.
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
from drsn_edge.monitor.stages.alarms import EVIDENCE, UNKNOWN, AlarmLimits, AlarmSettings, alarm_names
from drsn_edge.support.toml_file import Document, quoted, read_document

_LIMITS = tuple(each.name for each in fields(AlarmLimits))


@dataclass(frozen=True)
class CaptureSettings:
    """What is kept of the signal around an alarm.

    Attributes:
        folder: For the files.
        before_s: Seconds before the alarm was raised.
        after_s: Seconds after it.
        keep: Most files; the oldest are removed.
    """

    folder: str
    before_s: float = 10.0
    after_s: float = 10.0
    keep: int = 100


@dataclass(frozen=True)
class MonitorSettings:
    """All of a file.

    Attributes:
        votes: What it takes to change the decision.
        alarms: None: there are none.
        capture: None: nothing is kept.
    """

    votes: Votes = field(default_factory=Votes)
    alarms: AlarmSettings | None = None
    capture: CaptureSettings | None = None


def read_settings(path: Path, labels: Sequence[str]) -> MonitorSettings:
    """Read a file of settings for a model with these labels.

    Raises:
        SettingsError: If it cannot be read, or holds anything that it may not, with the line where that stands.
    """
    return _Reading(read_document(path, "settings", SettingsError), tuple(labels)).settings()


def settings_for(path: Path | None, votes: str | None, manifest: Manifest) -> MonitorSettings:
    """Return the settings of a file, or the bundle's where there is none; votes that are given go before.

    Raises:
        SettingsError: If the file or the votes cannot be used.
    """
    settings = MonitorSettings() if path is None else read_settings(path, manifest.labels)
    votes = votes or (manifest.votes if path is None else None)
    if votes is None:
        return settings
    try:
        return replace(settings, votes=parse_votes(votes))
    except ValueError as exc:
        raise SettingsError(f"Expected votes K/N such as 4/5, got {votes!r}: {exc}") from exc


@dataclass(frozen=True)
class _Reading:
    document: Document
    labels: tuple[str, ...]

    def settings(self) -> MonitorSettings:
        known, document = ("decision", "alarms", "capture"), self.document.values
        for name, table in document.items():
            if name not in known or not isinstance(table, dict):
                self._fail((name,), f"Expected tables [{'], ['.join(known)}], got {name!r}")
        return MonitorSettings(
            self._votes(document.get("decision", {})),
            self._alarms(document["alarms"]) if "alarms" in document else None,
            self._capture(document["capture"]) if "capture" in document else None,
        )

    def _votes(self, table: Mapping[str, Any]) -> Votes:
        for name in table:
            if name != "votes":
                self._fail(("decision", name), f"Expected votes, got {name!r}")
        try:
            return parse_votes(table["votes"]) if table else Votes()
        except (ValueError, TypeError) as exc:
            self._fail(("decision", "votes"), f'Expected votes as "4/5", got {table["votes"]!r} ({exc})')

    def _alarms(self, table: Mapping[str, Any]) -> AlarmSettings:
        path = ("alarms",)
        own = {name: value for name, value in table.items() if name in _LIMITS}
        classes = table.get("class", {})
        rest = {name: value for name, value in table.items() if name not in (*_LIMITS, "class")}
        for hidden in ("limits", "classes"):  # attributes, but no keys
            if hidden in rest:
                self._fail((*path, hidden), f"Expected other keys than {hidden!r}")
        if "normal" not in rest:
            self._fail(path, f"Expected normal, the classes that are no alarm, among {', '.join(self.labels)}")
        limits = self._limits(path, own, AlarmLimits())
        values = self._values(AlarmSettings, path, rest)
        settings = AlarmSettings(**values, limits=limits, classes=self._classes(classes, limits))
        self._check_alarms(settings)
        return settings

    def _classes(self, tables: Any, limits: AlarmLimits) -> dict[str, AlarmLimits]:
        path = ("alarms", "class")
        if not isinstance(tables, dict):
            self._fail(path, "Expected tables such as [alarms.class.outer_race]")
        for name, table in tables.items():
            if not isinstance(table, dict):
                self._fail((*path, name), f"Expected a table [alarms.class.{name}], got {table!r}")
            self._check_label((*path, name), name)
        return {name: self._limits((*path, name), table, limits) for name, table in tables.items()}

    def _limits(self, path: tuple[str, ...], table: Mapping[str, Any], defaults: AlarmLimits) -> AlarmLimits:
        limits = replace(defaults, **self._values(AlarmLimits, path, table))
        if not 0 < limits.off <= limits.on <= 1:
            where = (*path, "off" if "off" in table else "on")
            self._fail(where, f"Expected 0 < off <= on <= 1, got off {limits.off:g} and on {limits.on:g}")
        self._not_negative(path, limits)
        return limits

    def _check_alarms(self, settings: AlarmSettings) -> None:
        for name in settings.normal:
            self._check_label(("alarms", "normal"), name)
        if not alarm_names(settings, self.labels):
            self._fail(("alarms", "normal"), "Expected at least one class, or UNKNOWN, that is an alarm")
        if settings.evidence not in EVIDENCE:
            got = repr(settings.evidence)
            self._fail(("alarms", "evidence"), f"Expected evidence among {', '.join(EVIDENCE)}, got {got}")
        if settings.windows < 1:
            self._fail(("alarms", "windows"), f"Expected at least 1 window, got {settings.windows}")
        self._not_negative(("alarms",), settings)

    def _check_label(self, path: tuple[str, ...], name: str) -> None:
        if name not in (*self.labels, UNKNOWN):
            known = ", ".join((*self.labels, UNKNOWN))
            self._fail(path, f"Expected classes of the model among {known}, got {name!r}")

    def _capture(self, table: Mapping[str, Any]) -> CaptureSettings:
        path = ("capture",)
        if "folder" not in table:
            self._fail(path, "Expected folder, for the files")
        settings = CaptureSettings(**self._values(CaptureSettings, path, table))
        self._not_negative(path, settings)
        if settings.keep < 1:
            self._fail((*path, "keep"), f"Expected to keep at least 1 file, got {settings.keep}")
        return settings

    def _values(self, kind: type, path: tuple[str, ...], table: Mapping[str, Any]) -> dict[str, Any]:
        return self.document.typed(kind, table, *path)

    def _not_negative(self, path: tuple[str, ...], values: Any) -> None:
        for each in fields(values):
            value = getattr(values, each.name)
            if isinstance(value, float) and not 0 <= value < math.inf:
                self._fail((*path, each.name), f"Expected {each.name} of at least 0, got {value:g}")

    def _fail(self, path: Sequence[str], words: str) -> NoReturn:
        raise SettingsError(f"{self.document.place(*path)}: {words}. Correct it there.")


def settings_toml(settings: MonitorSettings) -> str:
    """Return a file that `read_settings` reads as these settings."""
    parts = [f'[decision]\nvotes = "{settings.votes.needed}/{settings.votes.window_count}"\n']
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
