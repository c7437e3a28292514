"""Opening what judges a sensor's windows, from its configuration and a bundle, at the start and at each reload."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drsn_edge.bundle.bundle import read_bundle
from drsn_edge.bundle.manifest import Manifest
from drsn_edge.errors import BundleError, ContractError, DrsnEdgeError, RuntimeUnavailableError, SettingsError
from drsn_edge.monitor.sensor_config import SensorConfig
from drsn_edge.monitor.stages.judge import Judge, model_of
from drsn_edge.monitor.stages.settings import MonitorSettings, settings_for
from drsn_edge.monitor.stages.severity_limits import SeverityConfig, expect_speed, read_limits
from drsn_edge.monitor.stages.severity_meter import SeverityMeter
from drsn_edge.signal.resemblance import can_name, speeds_in_words
from firmware_bridge.errors import FirmwareBridgeError
from quantize.errors import QuantizeError

BUNDLE_FAULTS = (BundleError, ContractError, RuntimeUnavailableError, QuantizeError)
"""Errors that another bundle could cure; an invalid sink or invalid settings are no reason to roll back a bundle."""


@dataclass(frozen=True)
class Judging:
    """An opened bundle with the settings of one sensor.

    Attributes:
        path: File of the bundle.
        settings: Settings of decisions, alarms and captures.
        judge: Judge of windows.
        severity: Meter of the vibration severity; None: it is not measured.
    """

    path: Path
    settings: MonitorSettings
    judge: Judge
    severity: SeverityMeter | None

    @property
    def manifest(self) -> Manifest:
        """The bundle's manifest."""
        return self.judge.manifest

    @property
    def bundle(self) -> tuple[str, str]:
        """Name and version of the bundle."""
        return self.manifest.name, self.manifest.version


def open_judging(
    config: SensorConfig,
    path: Path,
    tell: Callable[[str], None],
    keep: Callable[[NDArray[np.float32]], object] | None = None,
) -> Judging:
    """Open a bundle for a sensor.

    Args:
        config: Configuration of the sensor.
        path: File of the bundle.
        tell: Called with messages for people.
        keep: See `Judge`.

    Raises:
        DrsnEdgeError, QuantizeError: If bundle, settings or limits cannot be used; one of `BUNDLE_FAULTS` if another
            bundle could cure that.
    """
    with bundle_faults(path):
        bundle = read_bundle(path)
    settings = settings_for(config.settings, config.votes, bundle.manifest, config.at_most_wrong)
    speed_hz = None if config.rpm is None else config.rpm / 60
    limits = _limits_of(config)
    with bundle_faults(path):
        model = model_of(bundle, path, config.runtime_choice, tell, config.unknown)
        judge = Judge(model, settings, speed_hz, keep)
    rate_hz = bundle.manifest.contract.sample_rate_hz
    if model.naming is not None and not (speed_hz is not None and can_name(rate_hz, speed_hz)):
        tell(
            "The bundle says what a change resembles only with the speed of the shaft, "
            f"{speeds_in_words(rate_hz)}. Add --rpm RPM (rpm in the sensors file)."
        )
    return Judging(path, settings, judge, SeverityMeter(limits, speed_hz) if config.severity or limits else None)


def is_fault_of_bundle(error: Exception, config: SensorConfig, before: Judging | None) -> bool:
    """Tell whether another bundle could cure an error of a reload.

    Settings that do not fit the new bundle count as its fault if they fit the bundle `before`.
    """
    if isinstance(error, BUNDLE_FAULTS) or not isinstance(error, SettingsError) or before is None:
        return isinstance(error, BUNDLE_FAULTS)
    try:
        settings_for(config.settings, config.votes, before.manifest, config.at_most_wrong)
    except SettingsError:
        return False
    return True


@contextmanager
def bundle_faults(path: Path) -> Iterator[None]:
    """Turn any unexpected error while a bundle is opened, lack of memory included, into a fault of that bundle."""
    try:
        yield
    except (DrsnEdgeError, FirmwareBridgeError, QuantizeError, OSError):
        raise
    except Exception as exc:
        kind = type(exc).__name__
        words = f"The bundle {path} cannot be opened: {kind}: {str(exc).rstrip('.')}. Convert it again."
        raise BundleError(words, "cannot_open", path=path, kind=kind) from exc


def _limits_of(config: SensorConfig) -> SeverityConfig | None:
    limits = None if config.limits is None else read_limits(config.limits)
    if limits is not None:
        expect_speed(limits, config.limits, config.rpm)
    return limits
