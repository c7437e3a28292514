"""The judge of windows by one model: the part of a monitor that a reload exchanges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from drsn_edge.bundle.bundle import Bundle
from drsn_edge.bundle.manifest import Manifest
from drsn_edge.bundle.open_model import check_model, novelty_of, open_classifier
from drsn_edge.monitor.stages.conclusions import Conclusions
from drsn_edge.monitor.stages.learned import known_by
from drsn_edge.monitor.stages.results import WindowResult
from drsn_edge.monitor.stages.settings import MonitorSettings
from drsn_edge.monitor.stages.stream_state import CutWindow
from drsn_edge.runtime.classifier import Classifier, softmax
from drsn_edge.runtime.names import AUTO, RuntimeChoice
from drsn_edge.signal.contract import SignalContract
from drsn_edge.signal.network_input import check_speed, input_of
from drsn_edge.signal.noise_alone import NoiseWatch
from drsn_edge.signal.novelty import Novelty
from drsn_edge.signal.quality import OffsetWatch
from drsn_edge.signal.resampling import resampled
from drsn_edge.signal.windows import Centred, FloatArray, axis_means, centre
from drsn_edge.verdicts import AXES_TURNED, NOISE_ALONE, NOT_RUNNING, OFFSET_JUMPED, UNIT_DOUBTED

_MOST_TOGETHER = 16
"""Most windows that are judged together; more would leave the cache of a small processor."""


@dataclass(frozen=True)
class Model:
    """An opened bundle: its manifest, its classifier and its novelty detection.

    Attributes:
        manifest: Manifest of the bundle.
        classifier: The classifier.
        novelty: Novelty detection; None: nothing is UNKNOWN.

    Raises:
        BundleError: If the model does not fit the manifest.
    """

    manifest: Manifest
    classifier: Classifier
    novelty: Novelty | None = None

    def __post_init__(self) -> None:
        """Check the model against the manifest."""
        check_model(self.manifest, self.classifier)


def model_of(
    bundle: Bundle,
    path: Path | None = None,
    choice: RuntimeChoice = AUTO,
    tell: Callable[[str], None] = lambda words: None,
    unknown: bool = True,
) -> Model:
    """Open a bundle: its model on an interpreter, and its novelty detection with the data learned on site.

    Args:
        bundle: The bundle.
        path: File of the bundle, beside which the data learned on site lies; None: nothing was learned.
        choice: Choice of the runtime.
        tell: Called with messages for people.
        unknown: Whether windows may be UNKNOWN.

    Raises:
        BundleError: If a member is damaged or does not fit the manifest.
        RuntimeUnavailableError: If no runtime here can run it.
    """
    classifier = open_classifier(bundle, choice, tell)
    novelty = None
    if unknown:
        novelty = novelty_of(bundle) if path is None else known_by(path, bundle, tell)
    return Model(bundle.manifest, classifier, novelty)


class _Shown(NamedTuple):
    """What an undamaged window shows, independent of the windows before it.

    Attributes:
        samples: Samples in the contract's unit, shape (1, window, axes).
        centred: The same without their means, the only one.
        inputs: Input of the network, shape (1, 1, steps, channels).
        level: RMS over all axes, in the contract's unit.
        has_other_unit: See `Novelty.have_other_unit`.
        novelty: See `Novelty.novelty`; None without novelty detection.
        is_turned: See `Novelty.are_turned`.
    """

    samples: FloatArray
    centred: Centred
    inputs: FloatArray
    level: float
    has_other_unit: bool
    novelty: float | None
    is_turned: bool


class Look(NamedTuple):
    """A window and what it shows; None if it is damaged."""

    window: CutWindow
    shown: _Shown | None


class Judge:
    """Judges windows by one model, and draws conclusions from them."""

    def __init__(
        self,
        model: Model,
        settings: MonitorSettings | None = None,
        speed_hz: float | None = None,
        keep: Callable[[NDArray[np.float32]], object] | None = None,
    ) -> None:
        """Prepare for windows of any stream.

        Args:
            model: The opened bundle.
            settings: Settings of decision and alarms; None: default votes, no alarms.
            speed_hz: Speed of the shaft in Hz, for a model of shaft orders.
            keep: Called with each classified window, shape (1, window, axes), in the contract's unit.

        Raises:
            ContractError: If the model needs the speed of the shaft and it is not given.
        """
        check_speed(model.manifest.contract, speed_hz)
        self._model, self._speed_hz, self._keep = model, speed_hz, keep
        self._novelty, self._noise = model.novelty, NoiseWatch(model.manifest.noise_limit)
        self.conclusions = Conclusions(settings or MonitorSettings(), model.manifest)
        """The decision and the alarms."""

    @property
    def manifest(self) -> Manifest:
        """Manifest of the bundle."""
        return self._model.manifest

    @property
    def contract(self) -> SignalContract:
        """Signal contract of the model."""
        return self._model.manifest.contract

    @property
    def taught_offset(self) -> NDArray[np.float64] | None:
        """Mean of each axis that was learned on site, shape (axes,), in the contract's unit; None: not learned."""
        site = None if self._novelty is None else self._novelty.site
        return None if site is None else site.mean

    def forget_noise(self) -> None:
        """Forget earlier signs of noise after a restart of the sensor."""
        self._noise.reset()

    def look_at(self, windows: Sequence[CutWindow]) -> list[Look]:
        """Return what each window shows by itself, whatever came before it; `judge` then takes them in order."""
        shown: list[_Shown | None] = [None] * len(windows)
        sound = [number for number, each in enumerate(windows) if each.defect is None]
        for _, group in groupby(sound, lambda number: (windows[number].cut, id(windows[number].scale))):
            numbers = [*group]
            for at in range(0, len(numbers), _MOST_TOGETHER):
                chosen = numbers[at : at + _MOST_TOGETHER]
                for number, each in zip(chosen, self._shown([windows[n] for n in chosen]), strict=True):
                    shown[number] = each
        return [Look(window, each) for window, each in zip(windows, shown, strict=True)]

    def judge(self, look: Look, offsets: OffsetWatch) -> WindowResult:
        """Return the verdict of a window.

        Args:
            look: The window as `look_at` saw it; the result is about the window without its margins.
            offsets: Offset watch of the stream; it takes the window's mean if the machine runs.
        """
        window, shown = look
        if shown is None:
            assert window.defect is not None
            return _without_verdict(window, window.defect)
        reason = self._why_not(window, shown, offsets)
        if reason is not None:
            return _without_verdict(window, reason)
        if self._keep is not None:
            self._keep(shown.samples)
        return self._classified(window, shown)

    def _shown(self, windows: Sequence[CutWindow]) -> list[_Shown]:
        """Return what undamaged windows of one cut and scale show."""
        contract, novelty = self.contract, self._novelty
        cut, scale = windows[0].cut, windows[0].scale
        samples = np.concatenate([
            resampled(each.counts[None].astype(np.float32) * scale.factors, cut, contract.window, contract.decimation)
            for each in windows
        ])  # fmt: skip
        centred = centre(samples)
        inputs = input_of(centred, contract, self._speed_hz)
        n = len(windows)
        other_unit = [False] * n if novelty is None else novelty.have_other_unit(centred)
        novelties = [None] * n if novelty is None else novelty.of_centred(centred).tolist()
        turned = np.zeros(n, bool) if novelty is None else novelty.are_turned(centred)
        levels = centred.rms.tolist()
        each = zip(levels, other_unit, novelties, turned.tolist(), strict=True)
        return [
            _Shown(samples[at : at + 1], centred.one(at), inputs[at : at + 1], *facts) for at, facts in enumerate(each)
        ]

    def _why_not(self, window: CutWindow, shown: _Shown, offsets: OffsetWatch) -> str | None:
        """Return why an undamaged window does not show a running machine that the model knows; None if it does."""
        if shown.has_other_unit:
            return UNIT_DOUBTED
        if self._novelty is not None and not self._novelty.is_running(shown.level):
            return NOT_RUNNING
        if offsets.jumped(_means_of(window, shown.centred), window.scale.full_scale):
            return OFFSET_JUMPED
        return NOISE_ALONE if self._is_noise(window, shown.centred) else None

    def _is_noise(self, window: CutWindow, centred: Centred) -> bool:
        """Tell whether a window holds noise alone, at the model's rate where the sensor is decimated."""
        if window.cut.factor == 1:
            return self._noise.is_noise(window.first_sample, window.counts, centred)
        return self._noise.is_noise(int(window.first_sample / window.cut.ratio), centred.samples[0], centred)

    def _classified(self, window: CutWindow, shown: _Shown) -> WindowResult:
        probabilities = softmax(self._model.classifier.logits(shown.inputs))[0]
        scores = dict(zip(self.manifest.labels, probabilities.tolist(), strict=True))
        at, level, novelty = (window.first_sample, window.device_time_s), shown.level, shown.novelty
        if novelty is None:
            return WindowResult.of_class(*at, max(scores, key=scores.__getitem__), scores, level_rms=level)
        if not novelty <= 1:  # NaN is also unlike all training data
            return WindowResult.unknown(*at, scores, novelty, level)
        if shown.is_turned:
            return _without_verdict(window, AXES_TURNED)
        return WindowResult.of_class(*at, max(scores, key=scores.__getitem__), scores, novelty, level)


def _means_of(window: CutWindow, centred: Centred) -> NDArray[np.float64]:
    """Return the mean of each axis of the sensor's samples before resampling, which would change it a little."""
    if window.cut.ratio == 1.0:
        return centred.means[0]
    return np.asarray(axis_means(window.counts[None])[0] * window.scale.factors)


def _without_verdict(window: CutWindow, reason: str) -> WindowResult:
    return WindowResult.without_verdict(window.first_sample, window.device_time_s, reason, window.lost_samples)
