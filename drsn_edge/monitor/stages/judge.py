"""What one model says of windows: the part of a monitor that a reload swaps."""

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
from drsn_edge.verdicts import AXES_TURNED, NOISE_ALONE, NOT_RUNNING, OFFSET_JUMPED


@dataclass(frozen=True)
class Model:
    """A bundle that is open: what its windows mean, what runs it, and what it knows.

    Attributes:
        manifest: What the model means.
        classifier: The model.
        novelty: What tells the trained from the new; None: nothing is UNKNOWN.

    Raises:
        BundleError: If the model is not the one that the manifest describes.
    """

    manifest: Manifest
    classifier: Classifier
    novelty: Novelty | None = None

    def __post_init__(self) -> None:
        """Check them."""
        check_model(self.manifest, self.classifier)


def model_of(
    bundle: Bundle,
    path: Path | None = None,
    choice: RuntimeChoice = AUTO,
    tell: Callable[[str], None] = lambda words: None,
    unknown: bool = True,
) -> Model:
    """Open a bundle: its model on an interpreter, and what it knows, with what was learned on site.

    Args:
        bundle: As it was read.
        path: Where it lies, with what was learned on site beside it; None: nothing was.
        choice: What shall run it.
        tell: Given what a person should read.
        unknown: Whether something may be UNKNOWN.

    Raises:
        BundleError: If a member of it is damaged or does not fit the manifest.
        RuntimeUnavailableError: If nothing here runs it.
    """
    classifier = open_classifier(bundle, choice, tell)
    novelty = None
    if unknown:
        novelty = novelty_of(bundle) if path is None else known_by(path, bundle, tell)
    return Model(bundle.manifest, classifier, novelty)


class Judge:
    """Says what windows show, by one model, and what follows from it."""

    def __init__(
        self,
        model: Model,
        settings: MonitorSettings | None = None,
        speed_hz: float | None = None,
        keep: Callable[[NDArray[np.float32]], object] | None = None,
    ) -> None:
        """Prepare for windows of any stream.

        Args:
            model: That judges.
            settings: What it takes to change the decision, and what is an alarm; None: the usual votes, no alarms.
            speed_hz: Turns of the shaft per second, for a model that sees shaft orders.
            keep: Given each window that is classified, shape (1, window, axes), in the contract's unit.

        Raises:
            ContractError: If the model needs the shaft's speed and it is not given.
        """
        check_speed(model.manifest.contract, speed_hz)
        self._model, self._speed_hz, self._keep = model, speed_hz, keep
        self._novelty, self._noise = model.novelty, NoiseWatch(model.manifest.noise_limit)
        self.conclusions = Conclusions(settings or MonitorSettings(), model.manifest)
        """The decision and the alarms."""

    @property
    def manifest(self) -> Manifest:
        """What the model means."""
        return self._model.manifest

    @property
    def contract(self) -> SignalContract:
        """What windows must be."""
        return self._model.manifest.contract

    @property
    def taught_offset(self) -> NDArray[np.float64] | None:
        """Mean of each axis that was taught on site, shape (axes,), in the contract's unit; None: none was."""
        site = None if self._novelty is None else self._novelty.site
        return None if site is None else site.mean

    def forget_noise(self) -> None:
        """The sensor began anew: what looked like noise before says nothing of it."""
        self._noise.reset()

    def judge(self, window: CutWindow, offsets: OffsetWatch) -> WindowResult:
        """Say what a window shows.

        Args:
            window: As it was cut; the result is of the window without its margins.
            offsets: Of the stream; it takes in the window's mean where the machine runs.
        """
        if window.defect is not None:
            return _without_verdict(window, window.defect)
        counts = window.counts[None].astype(np.float32)
        samples = resampled(counts * window.scale.factors, window.cut, self.contract.window)
        centred = centre(samples)
        reason = self._why_not(window, centred, offsets)
        if reason is not None:
            return _without_verdict(window, reason)
        if self._keep is not None:
            self._keep(samples)
        return self._classified(window, centred)

    def _why_not(self, window: CutWindow, centred: Centred, offsets: OffsetWatch) -> str | None:
        """Return why a window without damage does not show a running machine as the model knows it; None if it does."""
        if self._novelty is not None and not self._novelty.is_running(float(centred.rms[0])):
            return NOT_RUNNING
        if offsets.jumped(_means_of(window, centred), window.scale.full_scale):
            return OFFSET_JUMPED
        return NOISE_ALONE if self._noise.is_noise(window.first_sample, window.counts, centred) else None

    def _classified(self, window: CutWindow, centred: Centred) -> WindowResult:
        inputs = input_of(centred, self.contract, self._speed_hz)
        probabilities = softmax(self._model.classifier.logits(inputs))[0]
        scores = dict(zip(self.manifest.labels, probabilities.tolist(), strict=True))
        at, level = (window.first_sample, window.device_time_s), float(centred.rms[0])
        if self._novelty is None:
            return WindowResult.of_class(*at, max(scores, key=scores.__getitem__), scores, level_rms=level)
        novelty = float(self._novelty.of_centred(centred)[0])
        if not novelty <= 1:  # no number is unlike all that was trained, too
            return WindowResult.unknown(*at, scores, novelty, level)
        if self._novelty.is_turned(centred):
            return _without_verdict(window, AXES_TURNED)
        return WindowResult.of_class(*at, max(scores, key=scores.__getitem__), scores, novelty, level)


def _means_of(window: CutWindow, centred: Centred) -> NDArray[np.float64]:
    """Return the mean of each axis of the sensor's own samples, which resampling changes a little."""
    if window.cut.ratio == 1.0:
        return centred.means[0]
    return np.asarray(axis_means(window.counts[None])[0] * window.scale.factors)


def _without_verdict(window: CutWindow, reason: str) -> WindowResult:
    return WindowResult.without_verdict(window.first_sample, window.device_time_s, reason, window.lost_samples)
