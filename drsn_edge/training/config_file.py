"""The settings of a training as a TOML file: what `drsn-edge train --config` reads and a run folder records.

    hold_out = "load_hp=3"
    network = "small"               # or a table [network] of custom sizes, as below
    window = 1024
    snr_range_db = [-6, 12]

    [network]
    stem_channels = 16
    stem_kernel = 15
    stem_stride = 4
    stages = [[16, 1, 2], [32, 1, 2], [64, 1, 2]]   # channels, blocks, stride
    kernel = 3
    hidden_ratio = 1.0

    [research]
    style_mix = 0.5

The keys are the attributes of `TrainSettings` and, in the table `[research]`, those of `ResearchSettings`. Only
`hold_out` is required.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any

from drsn_edge import __version__
from drsn_edge.errors import TrainingError
from drsn_edge.models.config import NetworkSizes, Stage
from drsn_edge.support.toml_file import read_document
from drsn_edge.support.typed_table import Reader, list_of, text, typed_values, whole
from drsn_edge.training.settings import RESEARCH, ResearchSettings, TrainSettings


def read_config(path: Path) -> dict[str, Any]:
    """Return the settings in a configuration file, with the names and types of `TrainSettings`.

    Raises:
        TrainingError: If the file is missing, unreadable or not TOML, or has an unknown key or an invalid value.
    """
    document = read_document(path, "settings of a training", TrainingError)
    return _settings(document.values, str(path))


def read_named(path: Path) -> dict[str, Any]:
    """Return the settings that a configuration file names, in one flat table as `settings_from` takes it.

    Beside `read_config`, defaults of the table [research] are left out, and `inputs` may be "auto".

    Raises:
        TrainingError: As for `read_config`.
    """
    document = read_document(path, "settings of a training", TrainingError)
    values = _settings(document.values, str(path))
    research = values.pop("research", None)
    named = document.values.get("research", {}) if research is not None else {}
    return {**values, **{name: getattr(research, name) for name in named}}


def settings_from_table(table: Mapping[str, Any], source: str) -> TrainSettings:
    """Return the settings of a table from `table_from_settings`; `source` names the table in errors.

    Raises:
        TrainingError: If a key is unknown or a value is invalid.
    """
    return TrainSettings(**_settings(table, source))


def table_from_settings(settings: TrainSettings) -> dict[str, Any]:
    """Return all settings, including defaults, as values of TOML and JSON; settings that are None are left out."""
    return _plain(settings)


def write_config(table: Mapping[str, Any], path: Path) -> None:
    """Write the settings of a table, so that `--config` repeats the training on the same recordings."""
    import tomli_w  # only in the extra `train`; reading does not need it

    header = f"# Settings of a training by drsn-edge {__version__}: drsn-edge train --config {path.name} ...\n"
    path.write_text(header + tomli_w.dumps(table), encoding="utf-8")


def _plain(value: Any) -> Any:
    if isinstance(value, Stage):
        return list(vars(value).values())
    if is_dataclass(value):
        return {name: _plain(each) for name, each in vars(value).items() if each is not None}
    return [_plain(each) for each in value] if isinstance(value, tuple) else value


def _settings(table: Mapping[str, Any], source: str) -> dict[str, Any]:
    misplaced = [key for key in table if key in RESEARCH]
    if misplaced:
        raise TrainingError(
            f"{source}: {misplaced[0]} belongs in the table [research]. Move it there.",
            "misplaced_key",
            place=source,
            key=misplaced[0],
        )
    return _values(TrainSettings, table, source)


def _values(kind: type, table: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Return the values of the table in the types of the dataclass `kind`."""
    return typed_values(kind, table, lambda _: source, TrainingError, _OWN_READERS)


def _sizes(table: Mapping[str, Any], source: str) -> NetworkSizes:
    values = _values(NetworkSizes, table, source)
    for each in fields(NetworkSizes):
        if each.default is MISSING and each.name not in values:
            raise TrainingError(
                f"{source}: {each.name} is missing. Add it; the table has {', '.join(values) or 'nothing'}.",
                "missing_key",
                place=source,
                key=each.name,
            )
    with _naming(source):
        return NetworkSizes(**values)


def _research(value: object, where: str) -> ResearchSettings | None:
    if not isinstance(value, dict):
        return None
    source = f"{where}, [research]"
    values = _values(ResearchSettings, value, source)
    with _naming(source):
        return ResearchSettings(**values)


@contextmanager
def _naming(source: str) -> Iterator[None]:
    """Put the place of a table in front of an error about its values."""
    try:
        yield
    except TrainingError as exc:
        raise TrainingError(f"{source}: {exc}", exc.problem, **{**exc.facts, "place": source}) from exc


def _stage(value: object) -> Stage | None:
    sizes = list_of(whole, 3)(value)
    return None if sizes is None else Stage(*sizes)


def _network(value: object, where: str) -> Any:
    return _sizes(value, f"{where}, [network]") if isinstance(value, dict) else text(value)


_OWN_READERS: Mapping[Any, Reader] = {
    ResearchSettings: Reader(_research, "a table"),
    str | NetworkSizes: Reader(_network, "a name or a table"),
    tuple[Stage, ...]: Reader(lambda value, _: list_of(_stage)(value), "a list of [channels, blocks, stride]"),
}
