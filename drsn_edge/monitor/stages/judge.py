"""The judge of windows by one model: the part of a monitor that a reload exchanges."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from drsn_edge.bundle.bundle import Bundle
from drsn_edge.bundle.manifest import Manifest
from drsn_edge.bundle.open_model import check_model, classifier_of, naming_of, novelty_of
from drsn_edge.errors import SettingsError
from drsn_edge.monitor.stages.conclusions import Conclusions
from drsn_edge.monitor.stages.learned import known_by
from drsn_edge.monitor.stages.results import Decision, WindowResult
from drsn_edge.monitor.stages.settings import MonitorSettings
from drsn_edge.monitor.stages.stream_state import CutWindow
from drsn_edge.monitor.stages.unlike import Unlike
from drsn_edge.runtime.classifier import Classifier, softmax
from drsn_edge.runtime.names import AUTO, RuntimeChoice
from drsn_edge.signal.contract import SignalContract
from drsn_edge.signal.evidence import Evidence
from drsn_edge.signal.likeness import NOT_LOCATED
from drsn_edge.signal.network_input import check_speed, input_of
from drsn_edge.signal.noise_alone import NoiseWatch, Signs
from drsn_edge.signal.novelty import Novelty
from drsn_edge.signal.quality import OffsetWatch
from drsn_edge.signal.resampling import resampled
from drsn_edge.signal.resemblance import Naming
from drsn_edge.signal.windows import Centred, FloatArray, centre
from drsn_edge.verdicts import AXES_TURNED, NOISE_ALONE, NOT_RUNNING, OFFSET_JUMPED, UNIT_DOUBTED, Verdict

_MOST_TOGETHER = 16
"""Most windows that are judged together; more would leave the cache of a small processor."""

_KEPT_BYTES = 4 << 20
"""Twice as many bytes are kept for the next batch. glibc returns freed memory to the system until a larger piece than
the threshold was freed, and a batch that fetches its memory again takes a fifth longer."""


@dataclass(frozen=True)
class Model:
    """An opened bundle: its manifest, its classifier and its novelty detection.

    Attributes:
        manifest: Manifest of the bundle.
        classifier: The classifier; None: the bundle has no network, and a window that is not UNKNOWN is of its label.
        novelty: Novelty detection; None: nothing is UNKNOWN.
        naming: What a change is named by; None: no change is named.

    Raises:
        BundleError: If the model does not fit the manifest.
    """

    manifest: Manifest
    classifier: Classifier | None
    novelty: Novelty | None = None
    naming: Naming | None = None

    def __post_init__(self) -> None:
        """Check the model against the manifest."""
        if self.classifier is not None:
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
        SettingsError: If the bundle has no network, and windows may not be UNKNOWN.
    """
    if not unknown and not bundle.manifest.has_network:
        named = f"{bundle.manifest.name} {bundle.manifest.version}"
        words = (
            f"The bundle {named} has no network, so UNKNOWN is all that it can find. Leave --no-unknown (unknown = "
            "false in the sensors file) out."
        )
        raise SettingsError(words, "only_unknown", bundle=named)
    classifier = classifier_of(bundle, choice, tell)
    novelty = None
    if unknown:
        novelty = novelty_of(bundle) if path is None else known_by(path, bundle, tell)
    return Model(bundle.manifest, classifier, novelty, naming_of(bundle))


class _Scored(NamedTuple):
    """What the model makes of a window.

    Attributes:
        probabilities: Probability of each class; None without a network.
        novelty: See `Novelty.novelty`; None without novelty detection.
        is_turned: See `Novelty.are_turned`; False if it is unknown.
    """

    probabilities: list[float] | None
    novelty: float | None
    is_turned: bool


class _Shown(NamedTuple):
    """What an undamaged window shows, independent of the windows before it.

    Attributes:
        samples: Samples in the contract's unit, shape (1, window, axes).
        centred: The same without their means, the only one.
        means: Mean of each axis of the sensor's samples before resampling, in the contract's unit.
        level: RMS over all axes, in the contract's unit.
        reason: Why it does not show a running machine that the model knows; None if it may.
        signs: Signs of noise alone; None if they are not known before the windows before it.
        scored: What the model makes of it; None if it has a reason or holds noise alone.
    """

    samples: FloatArray
    centred: Centred
    means: NDArray[np.float64]
    level: float
    reason: str | None
    signs: Signs | None
    scored: _Scored | None


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
            SettingsError: If the bundle cannot promise the asked share of wrong classes.
        """
        check_speed(model.manifest.contract, speed_hz)
        np.empty(_KEPT_BYTES, np.uint8)  # freed at once; see there
        self._model, self._speed_hz, self._keep = model, speed_hz, keep
        self._novelty, self._noise = model.novelty, NoiseWatch(model.manifest.noise_limit)
        contract = self.contract
        self._evidence = Evidence(contract.window / contract.sample_rate_hz, contract.hop_s)
        self._unlike = Unlike(contract, model.naming, speed_hz)
        self.conclusions = Conclusions(settings or MonitorSettings(), model.manifest)
        """The decision and the alarms."""
        promised = self.conclusions.promised
        self._least_score = 0.0 if promised is None else promised.limit

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
        return None if self._novelty is None else self._novelty.offset

    def explained(self, decision: Decision) -> Decision:
        """Return a decision with what differs from what was learned, and what that resembles.

        Only a bundle without a network has learned from one machine, so that a change of that machine can be told.
        """
        if self._novelty is None or not self._unlike.is_so:
            return decision
        return replace(decision, differences=self._unlike.differences(self._novelty), resembles=self._unlike.resembles)

    def forget_noise(self) -> None:
        """Forget earlier signs of noise after a restart of the sensor."""
        self._noise.reset()

    def look_at(self, windows: Sequence[CutWindow]) -> Iterator[Look]:
        """Yield what each window shows by itself, whatever came before it; `judge` takes them in order.

        Only some windows are looked at before they are yielded, so that those before an error still get a verdict.
        """
        for at in range(0, len(windows), _MOST_TOGETHER):
            yield from self._looks(windows[at : at + _MOST_TOGETHER])

    def _looks(self, windows: Sequence[CutWindow]) -> list[Look]:
        shown: list[_Shown | None] = [None] * len(windows)
        sound = [number for number, each in enumerate(windows) if each.defect is None]
        for _, group in groupby(sound, lambda number: (windows[number].cut, id(windows[number].scale))):
            numbers = [*group]
            for number, each in zip(numbers, self._shown([windows[n] for n in numbers]), strict=True):
                shown[number] = each
        return [Look(window, each) for window, each in zip(windows, shown, strict=True)]

    def judge(self, look: Look, offsets: OffsetWatch) -> WindowResult:
        """Return the verdict of a window.

        Args:
            look: The window as `look_at` saw it; the result is about the window without its margins.
            offsets: Offset watch of the stream; it takes the window's mean if the machine runs.
        """
        window, shown = look
        result = self._verdict(window, shown, offsets)
        if result.verdict is Verdict.NO_VERDICT:
            self._unlike.clear()
        return result

    def _verdict(self, window: CutWindow, shown: _Shown | None, offsets: OffsetWatch) -> WindowResult:
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
        """Return what undamaged windows of one cut and scale show.

        The model computes none that will have no verdict, as far as a window shows it by itself.
        """
        cut, scale, contract = windows[0].cut, windows[0].scale, self.contract
        counts = np.stack([each.counts for each in windows])
        by_axis = np.ascontiguousarray(counts.transpose(0, 2, 1), np.float32)  # loops over time are far longer
        by_axis *= scale.factors[:, None]
        samples = resampled(by_axis.transpose(0, 2, 1), cut, contract.window, contract.decimation)
        centred = centre(samples)
        means = centred.means if cut.ratio == 1.0 else _means_of(counts) * scale.factors
        levels = centred.rms.tolist()
        reasons = self._reasons(centred, levels)
        may = [number for number, reason in enumerate(reasons) if reason is None]
        among = centred.some(may)
        signs = self._noise.signs(among, cut.window if cut.factor == 1 else contract.window)
        judged = [number for number, each in enumerate(signs) if each is None or not each.is_alone]
        scored = dict(zip((may[number] for number in judged), self._scored(among.some(judged)), strict=True))
        signs_of = dict(zip(may, signs, strict=True))
        return [
            _Shown(samples[at : at + 1], centred.part(slice(at, at + 1)), *facts, signs_of.get(at), scored.get(at))
            for at, facts in enumerate(zip(means, levels, reasons, strict=True))
        ]

    def _reasons(self, centred: Centred, levels: Sequence[float]) -> list[str | None]:
        """Return why each window does not show a running machine in the unit of the training; None if it may."""
        novelty = self._novelty
        if novelty is None:
            return [None] * len(levels)
        doubted = novelty.have_other_unit(centred)
        return [
            UNIT_DOUBTED if is_doubted else None if novelty.is_running(level) else NOT_RUNNING
            for is_doubted, level in zip(doubted, levels, strict=True)
        ]

    def _scored(self, centred: Centred) -> list[_Scored]:
        """Return what the model makes of windows, all at once."""
        if not len(centred):
            return []
        probabilities, novelty = self._probabilities(centred), self._novelty
        if novelty is None:
            return [_Scored(each, None, False) for each in probabilities]
        novelties = novelty.of_centred(centred).tolist()
        known = [number for number, multiple in enumerate(novelties) if multiple <= 1]
        turned = dict(zip(known, novelty.are_turned(centred.some(known)).tolist(), strict=True)) if known else {}
        return [
            _Scored(each, multiple, turned.get(number, False))
            for number, (each, multiple) in enumerate(zip(probabilities, novelties, strict=True))
        ]

    def _probabilities(self, centred: Centred) -> Sequence[list[float] | None]:
        """Return the probability of each class for each window; None for each without a network."""
        classifier = self._model.classifier
        if classifier is None:
            return [None] * len(centred)
        inputs = input_of(centred, self.contract, self._speed_hz)
        return cast(list[list[float]], softmax(classifier.logits(inputs), self.manifest.temperature).tolist())

    def _why_not(self, window: CutWindow, shown: _Shown, offsets: OffsetWatch) -> str | None:
        """Return why an undamaged window does not show a running machine that the model knows; None if it does."""
        if shown.reason is not None:
            return shown.reason
        if offsets.jumped(shown.means, window.scale.full_scale):
            return OFFSET_JUMPED
        return NOISE_ALONE if self._is_noise(window, shown) else None

    def _is_noise(self, window: CutWindow, shown: _Shown) -> bool:
        """Tell whether a window holds noise alone, at the model's rate where the sensor is decimated."""
        centred, signs = shown.centred, shown.signs
        if window.cut.factor == 1:
            return self._noise.is_noise(window.first_sample, window.counts, centred, signs)
        return self._noise.is_noise(int(window.first_sample / window.cut.ratio), centred.samples[0], centred, signs)

    def _classified(self, window: CutWindow, shown: _Shown) -> WindowResult:
        assert shown.scored is not None  # what holds noise alone by itself does so after any other windows
        probabilities, novelty, is_turned = shown.scored
        if probabilities is None:
            return self._compared(window, shown, novelty, is_turned)
        scores = dict(zip(self.manifest.labels, probabilities, strict=True))
        at, level = (window.first_sample, window.device_time_s), shown.level
        if novelty is not None and not novelty <= 1:  # NaN is also unlike all training data
            return WindowResult.unknown(*at, scores, novelty, level)
        if is_turned:
            return _without_verdict(window, AXES_TURNED)
        best = max(scores, key=scores.__getitem__)
        if scores[best] < self._least_score:
            return WindowResult.unsure(*at, scores, novelty, level)
        return WindowResult.of_class(*at, best, scores, novelty, level)

    def _compared(self, window: CutWindow, shown: _Shown, novelty: float | None, is_turned: bool) -> WindowResult:
        """Return the verdict of a bundle without a network: it follows from the novelty of the last second."""
        at, level = (window.first_sample, window.device_time_s), shown.level
        evidence = None if novelty is None else self._evidence.take(window.device_time_s, novelty)
        if evidence is not None and evidence > 1:
            self._unlike.take(shown.samples, window.device_time_s)
            resembles = self._unlike.resembles
            if resembles in (None, NOT_LOCATED):
                return WindowResult.unknown(*at, None, evidence, level)
            return WindowResult.of_class(*at, resembles, None, evidence, level)
        self._unlike.clear()
        if is_turned:
            return _without_verdict(window, AXES_TURNED)
        return WindowResult.of_class(*at, self.manifest.labels[0], None, evidence, level)


def _means_of(counts: NDArray[Any]) -> NDArray[np.float64]:
    """Return the means of the axes of windows of counts, (n, window, axes) to (n, axes); resampling changes them."""
    return np.asarray(np.add.reduce(counts, axis=1, dtype=np.int64) / counts.shape[1])


def _without_verdict(window: CutWindow, reason: str) -> WindowResult:
    return WindowResult.without_verdict(window.first_sample, window.device_time_s, reason, window.lost_samples)
