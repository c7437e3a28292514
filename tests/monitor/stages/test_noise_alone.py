"""A sensor that fell off measures its own noise: no class, whatever the network says of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from drsn_edge.bundle.manifest import Manifest
from drsn_edge.monitor.stages.judge import Judge, Model
from drsn_edge.monitor.stages.pipeline import Monitor
from drsn_edge.monitor.stages.results import Decision, Result, WindowResult
from drsn_edge.runtime.tensor import TensorSpec
from drsn_edge.verdicts import Verdict
from firmware_bridge.wire.events import DeviceRestarted, SampleBlock
from firmware_bridge.wire.messages import Hello

SCALE, RATE_HZ = 16 / 2**15, 4000.0
NOISE, MACHINE = 0.05, 0.2


class Sure:
    """Calls everything by the first name."""

    def __init__(self, window: int, axes: int) -> None:
        self.input = TensorSpec("window", (1, 1, window, axes), 0.05, 0)
        self.output = TensorSpec("logits", (1, 2), 0.1, 0)

    def logits(self, inputs: Any) -> Any:
        return np.array([[9.0, 0.0]] * len(inputs), np.float32)


class Site:
    """A sensor with so many axes, on a machine or off it, and the monitor of a bundle with windows of this length."""

    def __init__(
        self, manifest: Manifest, window: int, axes: int, noise_limit: float | None = None, rate_hz: float = RATE_HZ
    ) -> None:
        names = tuple("xyz"[:axes])
        contract = replace(manifest.contract, window=window, hop=window // 2, axes=names)
        sure = Sure(window, axes)
        outputs, labels = (sure.output,), ("calm", "worn")
        self._manifest = replace(
            manifest, contract=contract, input=sure.input, outputs=outputs, labels=labels, noise_limit=noise_limit
        )
        self.kept: list[Any] = []
        self._monitor = Monitor(Judge(Model(self._manifest, sure), keep=self.kept.append))  # type: ignore[arg-type]
        self._rng = np.random.default_rng(4)
        self._hop, self._axes, self._position = window // 2, axes, 0
        self._rate_hz = rate_hz
        self._monitor.take(Hello(1, "site", "1.0.0", "fake", names, "g", SCALE, 16.0, rate_hz))

    def see(self, windows: int, noise_g: float, machine_g: float = 0.0) -> list[Result]:
        results: list[Result] = []
        for _ in range(windows):
            block = SampleBlock(self._position, self._position / self._rate_hz, self._counts(noise_g, machine_g), 0)
            self._position += self._hop
            results += self._monitor.take(block)
        return results

    def restart(self) -> None:
        self._monitor.take(DeviceRestarted(1, 2))
        self._position = 0

    def _counts(self, noise_g: float, machine_g: float) -> NDArray[np.int16]:
        t = np.arange(self._position, self._position + self._hop)[:, None]
        shaft = sum(np.sin(2 * np.pi * order * 0.0123 * t) / order for order in (1, 2, 3))
        noise = self._rng.normal(size=(self._hop, self._axes))
        return np.rint((noise_g * noise + machine_g * shaft) / SCALE).astype(np.int16)


def verdicts(results: list[Result]) -> list[tuple[Verdict, str | None]]:
    return [(each.verdict, each.reason) for each in results if isinstance(each, WindowResult)]


@pytest.mark.parametrize("axes", [1, 3])
@pytest.mark.parametrize("noise_g", [0.017, 0.3, 2.0])
def test_noise_alone_gets_no_verdict_and_is_not_kept(manifest: Manifest, axes: int, noise_g: float) -> None:
    site = Site(manifest, 1024, axes)
    found = verdicts(site.see(200, noise_g))
    assert found.count((Verdict.NO_VERDICT, "noise alone")) > 0.97 * len(found)
    assert len(site.kept) == sum(verdict is Verdict.CLASS for verdict, _ in found)


def test_a_machine_in_as_much_noise_is_judged(manifest: Manifest) -> None:
    assert set(verdicts(Site(manifest, 1024, 3).see(100, NOISE, NOISE))) == {(Verdict.CLASS, None)}


def test_the_decision_goes_when_the_sensor_falls_off_and_comes_back_with_it(manifest: Manifest) -> None:
    site = Site(manifest, 1024, 3)
    results = site.see(20, NOISE, MACHINE) + site.see(40, NOISE) + site.see(20, NOISE, MACHINE)
    decisions = [each.window.label or each.window.reason for each in results if isinstance(each, Decision)]
    assert decisions == ["calm", "noise alone", "calm"]


def test_short_windows_are_withheld_once_there_is_enough_of_it(manifest: Manifest) -> None:
    site = Site(manifest, 128, 2)
    found = verdicts(site.see(100, NOISE))
    assert found[:13] == [(Verdict.CLASS, None)] * 13
    assert found[20:].count((Verdict.NO_VERDICT, "noise alone")) > 0.9 * len(found[20:])
    site.restart()
    assert verdicts(site.see(10, NOISE)) == [(Verdict.CLASS, None)] * 9


@pytest.mark.parametrize("rate_hz", [0.97 * RATE_HZ, 1.03 * RATE_HZ])
@pytest.mark.parametrize("window", [128, 1024])
def test_a_sensor_of_another_rate_is_judged_by_its_own_samples(manifest: Manifest, rate_hz: float, window: int) -> None:
    found = verdicts(Site(manifest, window, 2, rate_hz=rate_hz).see(60, NOISE))[20:]
    assert found.count((Verdict.NO_VERDICT, "noise alone")) > 0.9 * len(found)
    assert set(verdicts(Site(manifest, window, 2, rate_hz=rate_hz).see(60, NOISE, NOISE))) == {(Verdict.CLASS, None)}


def test_a_bundle_whose_machine_looks_like_noise_says_so(manifest: Manifest) -> None:
    assert set(verdicts(Site(manifest, 1024, 1, noise_limit=1.0).see(50, NOISE))) == {(Verdict.CLASS, None)}
