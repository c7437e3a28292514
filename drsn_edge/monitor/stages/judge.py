"""The judge of windows by one model: the part of a monitor that a reload exchanges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

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
from drsn_edge.signal.windows import Centred, axis_means, centre
from drsn_edge.verdicts import AXES_TURNED, NOISE_ALONE, NOT_RUNNING, OFFSET_JUMPED, UNIT_DOUBTED


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

    def judge(self, window: CutWindow, offsets: OffsetWatch) -> WindowResult:
        """Return the verdict of a window.

        Args:
            window: The window as it was cut; the result is about the window without its margins.
            offsets: Offset watch of the stream; it takes the window's mean if the machine runs.
        """
        if window.defect is not None:
            return _without_verdict(window, window.defect)
        counts = window.counts[None].astype(np.float32)
        contract = self.contract
        samples = resampled(counts * window.scale.factors, window.cut, contract.window, contract.decimation)
        centred = centre(samples)
        reason = self._why_not(window, centred, offsets)
        if reason is not None:
            return _without_verdict(window, reason)
        if self._keep is not None:
            self._keep(samples)
        return self._classified(window, centred)

    def _why_not(self, window: CutWindow, centred: Centred, offsets: OffsetWatch) -> str | None:
        """Return why an undamaged window does not show a running machine that the model knows; None if it does."""
        if self._novelty is not None and self._novelty.has_other_unit(centred):
            return UNIT_DOUBTED
        if self._novelty is not None and not self._novelty.is_running(float(centred.rms[0])):
            return NOT_RUNNING
        if offsets.jumped(_means_of(window, centred), window.scale.full_scale):
            return OFFSET_JUMPED
        return NOISE_ALONE if self._is_noise(window, centred) else None

    def _is_noise(self, window: CutWindow, centred: Centred) -> bool:
        """Tell whether a window holds noise alone, at the model's rate where the sensor is decimated."""
        if window.cut.factor == 1:
            return self._noise.is_noise(window.first_sample, window.counts, centred)
        return self._noise.is_noise(int(window.first_sample / window.cut.ratio), centred.samples[0], centred)

    def _classified(self, window: CutWindow, centred: Centred) -> WindowResult:
        inputs = input_of(centred, self.contract, self._speed_hz)
        probabilities = softmax(self._model.classifier.logits(inputs))[0]
        scores = dict(zip(self.manifest.labels, probabilities.tolist(), strict=True))
        at, level = (window.first_sample, window.device_time_s), float(centred.rms[0])
        if self._novelty is None:
            return WindowResult.of_class(*at, max(scores, key=scores.__getitem__), scores, level_rms=level)
        novelty = float(self._novelty.of_centred(centred)[0])
        if not novelty <= 1:  # NaN is also unlike all training data
            return WindowResult.unknown(*at, scores, novelty, level)
        if self._novelty.is_turned(centred):
            return _without_verdict(window, AXES_TURNED)
        return WindowResult.of_class(*at, max(scores, key=scores.__getitem__), scores, novelty, level)


def _means_of(window: CutWindow, centred: Centred) -> NDArray[np.float64]:
    """Return the mean of each axis of the sensor's samples before resampling, which would change it a little."""
    if window.cut.ratio == 1.0:
        return centred.means[0]
    return np.asarray(axis_means(window.counts[None])[0] * window.scale.factors)


def _without_verdict(window: CutWindow, reason: str) -> WindowResult:
    return WindowResult.without_verdict(window.first_sample, window.device_time_s, reason, window.lost_samples)
