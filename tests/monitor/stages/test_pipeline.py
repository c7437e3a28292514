"""The monitor on synthetic events: what reaches the classifier, what is said, and that the books balance."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from drsn_edge.bundle.manifest import Manifest
from drsn_edge.bundle.votes import Votes
from drsn_edge.errors import BundleError, ContractError
from drsn_edge.monitor.stages.alarms import AlarmLimits, AlarmSettings
from drsn_edge.monitor.stages.freshness import STALLED_S
from drsn_edge.monitor.stages.judge import Judge, Model
from drsn_edge.monitor.stages.pipeline import ACCEPT_MOUNTING, ACKNOWLEDGE, Monitor
from drsn_edge.monitor.stages.results import Alarm, Decision, Result, Severity, Summary, WindowResult
from drsn_edge.monitor.stages.severity_meter import SeverityMeter
from drsn_edge.monitor.stages.stream_state import BEHIND_S, CAUGHT_UP_S, HostClock
from drsn_edge.runtime.tensor import TensorSpec
from drsn_edge.signal.novelty import Novelty
from drsn_edge.signal.spectra import Spectra
from drsn_edge.verdicts import AXES_TURNED, OFFSET_JUMPED, SKIPPED, Verdict
from firmware_bridge.wire.events import (
    DeviceLog,
    DeviceRestarted,
    Idle,
    LinkLost,
    LinkRestored,
    Note,
    Reply,
    SampleBlock,
    Status,
)
from firmware_bridge.wire.messages import DeviceState, LogLevel
from firmware_bridge.wire.messages import Result as Outcome
from firmware_bridge.wire.stream import StreamCounters

Said = Callable[[Iterable[Result]], list[Any]]

WINDOW, HOP = 64, 32
LOST, RESTORED = LinkLost("unplugged"), LinkRestored()
STREAMING = Status(DeviceState.STREAMING, 0, 0.0, 0)


def test_each_window_is_classified_and_the_decision_follows(
    bench: Any, sensor: Any, windows_of: Said, said: Said
) -> None:
    results = bench.take(sensor.hello(), sensor.blocks("calm", 9), sensor.blocks("worn", 9), sensor.blocks("loud", 9))
    windows = windows_of(results)
    assert [window.first_sample for window in windows] == [HOP * number for number in range(26)]
    assert [window.label for window in windows[:8]] == ["calm"] * 8
    assert [window.label for window in windows[-8:]] == ["loud"] * 8
    assert all(window.verdict is Verdict.CLASS and window.reason is None for window in windows)
    assert all(sum(window.scores.values()) == pytest.approx(1.0) for window in windows)
    assert said(results) == ["calm", "worn", "loud"]


def test_a_decision_comes_behind_its_window_and_is_dated_back(bench: Any, sensor: Any) -> None:
    results = bench.take(sensor.hello(), sensor.blocks("calm", 6))
    position = next(index for index, result in enumerate(results) if isinstance(result, Decision))
    assert position == 4  # windows 0 to 3 have voted
    assert results[position] == Decision(results[position - 1], 0.0)
    assert results[position].window.device_time_s == pytest.approx(3 * HOP / 4000)


@pytest.mark.parametrize(("unit", "scale"), [("g", 16 / 2**15), ("mg", 16_000 / 2**15), ("m/s2", 16 * 9.80665 / 2**15)])
@pytest.mark.parametrize("kind", ["rms", "fixed"])
def test_the_classifier_sees_the_contracts_unit(
    new_bench: Any, new_sensor: Any, tiny_contract: Any, unit: str, scale: float, kind: str
) -> None:
    bench = new_bench(scaling=replace(tiny_contract.scaling, kind=kind, divisor=0.25))
    sensor = new_sensor(unit=unit, scale=scale, full_scale=scale * 2**15)
    blocks = sensor.blocks("calm", 2)
    bench.take(sensor.hello(), blocks)
    accel_g = np.concatenate([block.samples for block in blocks]) * (16 / 2**15)
    centred = accel_g - accel_g.mean(axis=0)
    expected = centred / (0.25 if kind == "fixed" else np.sqrt((centred**2).mean()))
    assert len(bench.classifier.seen) == 1
    np.testing.assert_allclose(bench.classifier.seen[0], expected[None], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "problem", "facts"),
    [
        ({"sample_rate_hz": 3200.0}, "other_rate", {"expected": 4000.0, "got": 3200.0, "source": "sensor"}),
        ({"axes": ("y", "x")}, "other_axes", {"expected": ("x", "y"), "got": ("y", "x"), "source": "sensor"}),
        ({"unit": "V"}, "no_conversion", {"expected": "g", "got": "V"}),
    ],
)
def test_another_sensor_is_refused(
    bench: Any, new_sensor: Any, changes: dict[str, Any], problem: str, facts: dict[str, Any]
) -> None:
    with refused(ContractError, problem, **facts):
        bench.take(new_sensor(**changes).hello())


def test_another_sensor_is_refused_after_a_reconnection_too(bench: Any, sensor: Any, new_sensor: Any) -> None:
    bench.take(sensor.hello(), sensor.blocks("calm", 3), LOST, RESTORED)
    with pytest.raises(ContractError):
        bench.take(DeviceRestarted(1, 2), new_sensor(unit="V", session=2).hello())


def test_the_scale_is_that_of_the_newest_hello(
    new_bench: Any, sensor: Any, new_sensor: Any, tiny_contract: Any
) -> None:
    bench = new_bench(scaling=replace(tiny_contract.scaling, kind="fixed"))
    bench.take(sensor.hello(), sensor.blocks("calm", 2))
    finer = new_sensor(scale=sensor.scale / 4, full_scale=4.0, session=2)
    bench.take(DeviceRestarted(1, 2), finer.hello(), finer.blocks("calm", 2))
    first, second = bench.classifier.seen
    np.testing.assert_allclose(first, second * 4, rtol=1e-5)  # the same counts


def test_an_axis_that_is_mounted_the_other_way_round_is_turned(
    new_bench: Any, sensor: Any, new_sensor: Any, tiny_contract: Any
) -> None:
    bench = new_bench(scaling=replace(tiny_contract.scaling, kind="fixed"))
    bench.take(sensor.hello(), sensor.blocks("calm", 2))
    other = new_sensor(session=2)
    bench.take(DeviceRestarted(1, 2), replace(other.hello(), signs=(1, -1)), other.blocks("calm", 2))
    first, second = bench.classifier.seen
    np.testing.assert_allclose(first, second * [1, -1], rtol=1e-5)


def test_a_model_that_is_not_the_manifests_is_refused(manifest: Manifest, bench: Any) -> None:
    contract = replace(manifest.contract, window=128)
    other = replace(manifest, contract=contract, input=replace(bench.classifier.input, shape=(1, 1, 128, 2)))
    with refused(BundleError, "other_shapes", expected=((1, 1, 128, 2), (1, 3))):
        Model(other, bench.classifier)
    labels = replace(manifest, labels=("a", "b"), outputs=(replace(manifest.outputs[0], shape=(1, 2)),))
    with pytest.raises(BundleError):
        Model(labels, bench.classifier)


def orders_manifest(manifest: Manifest) -> Manifest:
    """Return the manifest of a model that sees the orders of both axes in 16 lines."""
    spectra = Spectra(("orders",), 16, 8.0, (0.0,) * 2, (1.0,) * 2)
    return replace(
        manifest,
        contract=replace(manifest.contract, spectra=spectra),
        input=TensorSpec("window", (1, 1, 16, 2), 0.05, 0),
    )


class OrdersClassifier:
    """Keeps what it is shown."""

    def __init__(self, of: Manifest) -> None:
        self.input, self.output = of.input, of.outputs[0]
        self.seen: list[Any] = []

    def logits(self, inputs: Any) -> Any:
        self.seen += list(inputs)
        return np.zeros((len(inputs), 3), np.float32)


def test_a_model_that_sees_shaft_orders_needs_the_speed(manifest: Manifest) -> None:
    of_orders = orders_manifest(manifest)
    for speed_hz in (None, 0.0, float("nan")):
        with refused(ContractError, "no_speed"):
            Judge(Model(of_orders, OrdersClassifier(of_orders)), speed_hz=speed_hz)  # type: ignore[arg-type]


def test_the_speed_decides_what_the_model_sees(manifest: Manifest, sensor: Any, new_sensor: Any) -> None:
    of_orders, shown = orders_manifest(manifest), []
    for speed_hz in (200.0, 400.0):
        classifier, played = OrdersClassifier(of_orders), new_sensor()
        monitor = Monitor(Judge(Model(of_orders, classifier), speed_hz=speed_hz))  # type: ignore[arg-type]
        for event in (played.hello(), *played.blocks("calm", 3)):
            monitor.take(event)
        shown.append(classifier.seen)
    assert [window.shape for window in shown[0]] == [(1, 16, 2)] * 2
    assert np.abs(shown[0][0] - shown[1][0]).max() > 0.1


# --- damage ------------------------------------------------------------------------------------------------------


def test_a_gap_spoils_the_windows_that_it_touches_and_no_other(bench: Any, sensor: Any, windows_of: Said) -> None:
    events = [sensor.hello(), *sensor.blocks("calm", 4)]
    sensor.lose(5)
    windows = windows_of(bench.take(events, sensor.blocks("calm", 6)))
    assert [(w.first_sample, w.lost_samples) for w in windows if w.lost_samples] == [(96, 5), (128, 5)]
    assert {w.reason for w in windows if w.lost_samples} == {"lost samples"}
    assert all(w.verdict is Verdict.CLASS for w in windows if not w.lost_samples)
    assert len(bench.classifier.seen) == len(windows) - 2


def test_an_overrun_of_estimated_size_0_spoils_the_windows_that_it_touches(
    bench: Any, sensor: Any, windows_of: Said
) -> None:
    blocks = sensor.blocks("calm", 10)
    blocks[4] = replace(blocks[4], overrun=True)
    windows = windows_of(bench.take(sensor.hello(), blocks))
    assert [w.first_sample for w in windows if w.reason == "overrun"] == [96]
    assert [w.first_sample for w in windows if w.verdict is not Verdict.CLASS] == [96]
    assert not any(w.lost_samples for w in windows)


@pytest.mark.parametrize("period", [40, 96, 1000])
def test_a_frozen_buffer_gets_no_verdict_once_it_came_a_second_time(
    bench: Any, sensor: Any, windows_of: Said, period: int
) -> None:
    frozen = sensor.block("calm", period).samples
    sensor.restart()
    blocks = [sensor.counts(np.roll(frozen, -32 * n, axis=0)[:32]) for n in range(3 * period // 32 + 8)]
    windows = windows_of(bench.take(sensor.hello(), blocks))
    again = [w for w in windows if w.first_sample >= period]
    assert again and {w.reason for w in again} == {"repeated samples"}
    assert all(w.verdict is Verdict.CLASS for w in windows if w.first_sample + WINDOW <= period)


@given(
    pieces=st.lists(
        st.tuples(
            st.sampled_from([0, 0, 1, 31, 64, 65, 10_000]),
            st.sampled_from(["calm", "flat", "clipped"]),
            st.integers(1, 90),
        ),
        max_size=25,
    ),
    hop=st.integers(1, 150),
)
def test_no_damaged_window_is_ever_classified(
    new_bench: Any, new_sensor: Any, pieces: list[tuple[int, str, int]], hop: int
) -> None:
    bench, sensor = new_bench(hop=hop), new_sensor()
    damaged: set[int] = set()
    results = bench.take(sensor.hello())
    for lost, kind, n in pieces:
        damaged |= set(range(sensor.position, sensor.position + lost))
        sensor.lose(lost)
        block = sensor.block("calm", n)
        if kind == "clipped":
            block.samples[::5, 0] = 32767
            damaged |= set(range(block.first_sample, block.first_sample + n, 5))
        elif kind == "flat":
            block.samples[:, 1] = 7
        results += bench.take(block)
    windows = [result for result in results if isinstance(result, WindowResult)]
    classified = [window for window in windows if window.verdict is Verdict.CLASS]
    assert len(classified) == len(bench.classifier.seen)
    for window in classified:
        assert not damaged & set(range(window.first_sample, window.first_sample + WINDOW))
        assert window.lost_samples == 0 and window.reason is None and window.label
    for window in windows:
        if window.verdict is Verdict.NO_VERDICT:
            assert window.reason and window.label is None and window.scores is None
    for seen in bench.classifier.seen:
        assert (np.ptp(seen, axis=1) > 0).all()


def test_a_window_with_one_clipped_or_flat_axis_is_not_classified(bench: Any, sensor: Any, windows_of: Said) -> None:
    for level in (32767, -32768, 0):
        block = sensor.block("calm", WINDOW + HOP)
        block.samples[:, 1] = level
        block.samples[::3, 1] = -100 if level else 0
        results = windows_of(bench.take(sensor.hello(), block))
        assert {window.reason for window in results} == {"clipped" if level else "flat line"}
        bench.monitor.take(DeviceRestarted(1, 1))
    assert bench.classifier.seen == []


def test_one_sided_clipping_of_an_adxl345_is_seen(bench: Any, new_sensor: Any, windows_of: Said) -> None:
    sensor = new_sensor(scale=1 / 256, full_scale=16.0)
    block = sensor.block("calm", WINDOW)
    block.samples[:6, 1] = 4095  # where its 13 bits end
    assert [window.reason for window in windows_of(bench.take(sensor.hello(), block))] == ["clipped"]


def test_a_sensor_whose_clock_is_off_gets_no_verdict(bench: Any, new_sensor: Any, said: Said) -> None:
    sensor = new_sensor(true_sample_rate_hz=3800.0)  # it says 4000
    results = bench.take(sensor.hello(), sensor.blocks("calm", 400))
    assert said(results) == ["calm", "sample rate off"]  # until the rate could be measured, then not any more
    assert bench.monitor.summary(StreamCounters()).sample_rate_hz == pytest.approx(3800.0)


def test_a_sensor_that_changes_its_rate_after_a_while_gets_no_verdict(bench: Any, sensor: Any, said: Said) -> None:
    results = bench.take(sensor.hello(), sensor.blocks("calm", 5000))  # 40 s
    sensor.true_sample_rate_hz = 3600.0
    results += bench.take(sensor.blocks("calm", 200))
    assert said(results) == ["calm", "sample rate off"]


def test_a_sensor_that_keeps_its_rate_is_judged_through_long_gaps(bench: Any, sensor: Any, windows_of: Said) -> None:
    results = bench.take(sensor.hello(), sensor.blocks("calm", 300))
    sensor.lose(40_000)
    results += bench.take(sensor.blocks("calm", 300))
    assert [window.lost_samples for window in windows_of(results) if window.verdict is Verdict.NO_VERDICT] == [40_000]


def test_damage_of_several_kinds_withdraws_the_class(bench: Any, sensor: Any, said: Said) -> None:
    results = bench.take(sensor.hello(), sensor.blocks("calm", 8))
    for _ in range(5):
        sensor.lose(3)
        results += bench.take(sensor.block("calm", 90))
        clipped = sensor.block("calm", 90)
        clipped.samples[::7] = 32767
        results += bench.take(clipped)
    assert said(results)[:2] in (["calm", "clipped"], ["calm", "lost samples"])


# --- what was never trained ------------------------------------------------------------------------------------------


class StrangeAbove(Novelty):
    """Calls a window the stranger the stronger its second axis is, without looking at its spectrum."""

    def of_centred(self, windows: Any) -> Any:
        return np.std(windows.samples[..., 1], axis=1) / np.float32(0.25)


def strange(**changes: Any) -> Novelty:
    nothing = np.zeros((1, 2), np.float32)
    return StrangeAbove(**{"lines": 1, "whitening": nothing, "prototypes": nothing, "limits": np.ones(1),
                           "quietest_rms": 0.05,
                           **changes})  # fmt: skip


def test_what_is_unlike_anything_trained_is_unknown_with_its_score(
    new_bench: Any, sensor: Any, said: Said, windows_of: Said
) -> None:
    bench = new_bench(novelty=strange())
    results = bench.take(sensor.hello(), sensor.blocks("calm", 10), sensor.blocks("worn", 10))
    windows = windows_of(results)
    assert [w.verdict for w in windows[:9]] == [Verdict.CLASS] * 9
    assert [w.verdict for w in windows[-8:]] == [Verdict.UNKNOWN] * 8
    assert said(results)[0] == "calm" and results[-1] is windows[-1]
    assert all(w.label is None and w.scores and w.reason is None and w.novelty > 1 for w in windows[-8:])
    assert all(w.novelty < 1 for w in windows[:9])
    decision = [result for result in results if isinstance(result, Decision)][-1]
    assert decision.window.verdict is Verdict.UNKNOWN
    summary = bench.monitor.summary(StreamCounters())
    assert summary.verdicts["UNKNOWN"] >= 8 and sum(summary.verdicts.values()) == len(windows)


def test_a_machine_that_stands_still_gets_no_verdict(new_bench: Any, sensor: Any, said: Said) -> None:
    bench = new_bench(novelty=strange(quietest_rms=1.0))
    assert said(bench.take(sensor.hello(), sensor.blocks("calm", 10))) == ["not running"]
    assert bench.classifier.seen == []


# --- links, restarts, silence ------------------------------------------------------------------------------------


def test_a_lost_link_is_a_decision_at_once_and_once(bench: Any, sensor: Any, said: Said, windows_of: Said) -> None:
    results = bench.take(sensor.hello(), sensor.blocks("calm", 8))
    lost = bench.take(LOST, Idle(), Idle())
    assert said(lost) == ["LINK LOST"]
    (decision,) = lost
    assert (decision.window.verdict, decision.window.label, decision.window.scores) == (Verdict.NO_VERDICT, None, None)
    assert (decision.window.first_sample, decision.since) == (7 * HOP, pytest.approx(7 * HOP / 4000))
    assert len(windows_of(results)) == 7


def test_the_link_comes_back_in_the_same_session(bench: Any, sensor: Any, said: Said, windows_of: Said) -> None:
    results = bench.take(sensor.hello(), sensor.blocks("calm", 8), LOST, RESTORED)
    sensor.lose(4000)
    results += bench.take(sensor.blocks("calm", 8))
    assert said(results) == ["calm", "LINK LOST", "calm"]
    assert [window.lost_samples for window in windows_of(results)] == [0] * 7 + [4000] + [0] * 7
    summary = bench.monitor.summary(StreamCounters())
    assert summary.link_losses == 1


def test_votes_from_before_a_lost_link_do_not_count(bench: Any, sensor: Any, said: Said) -> None:
    bench.take(sensor.hello(), sensor.blocks("calm", 8), LOST, RESTORED)
    assert said(bench.take(sensor.blocks("calm", 3))) == []
    assert said(bench.take(sensor.blocks("calm", 1))) == ["calm"]


def test_a_restart_begins_a_new_grid_and_new_votes(bench: Any, sensor: Any, windows_of: Said) -> None:
    bench.take(sensor.hello(), sensor.blocks("calm", 100), sensor.blocks("worn", 3))
    sensor.restart()
    results = bench.take(DeviceRestarted(1, 2), sensor.hello(), sensor.blocks("worn", 8))
    assert [window.first_sample for window in windows_of(results)] == [HOP * number for number in range(7)]
    (decision,) = [result for result in results if isinstance(result, Decision)]
    assert decision.since == 0.0  # not a time of the session before
    assert decision.window.first_sample == 3 * HOP


def test_a_link_that_is_lost_right_after_a_restart_is_dated_in_the_new_session(bench: Any, sensor: Any) -> None:
    bench.take(sensor.hello(), sensor.blocks("calm", 100))
    (decision,) = bench.take(DeviceRestarted(1, 2), LOST)
    assert (decision.window.first_sample, decision.since) == (0, 0.0)


def test_a_restart_mixes_no_samples_of_two_sessions(bench: Any, sensor: Any, windows_of: Said) -> None:
    bench.take(sensor.hello(), sensor.block("loud", WINDOW - 1))
    sensor.restart()
    assert bench.take(DeviceRestarted(1, 2), sensor.hello(), sensor.block("calm", WINDOW - 1)) == []
    assert [window.label for window in windows_of(bench.take(sensor.block("calm", 1)))] == ["calm"]


def test_the_rate_of_two_sessions_is_not_mixed(bench: Any, sensor: Any, said: Said) -> None:
    results = bench.take(sensor.hello(), sensor.blocks("calm", 3000))
    sensor.restart()
    sensor.true_sample_rate_hz = 3990.0
    results += bench.take(DeviceRestarted(1, 2), sensor.hello(), sensor.blocks("calm", 300))
    assert said(results) == ["calm"]
    assert bench.monitor.summary(StreamCounters()).sample_rate_hz == pytest.approx(3990.0)
    sensor.restart()
    sensor.true_sample_rate_hz = 3600.0
    assert said(bench.take(DeviceRestarted(2, 3), sensor.hello(), sensor.blocks("calm", 200))) == ["sample rate off"]


@pytest.mark.parametrize("event", [Idle(), STREAMING], ids=["idle", "status"])
def test_a_device_that_falls_silent_shows_nothing_any_more(bench: Any, sensor: Any, said: Said, event: Any) -> None:
    bench.take(sensor.hello(), sensor.blocks("calm", 8))
    bench.wait(STALLED_S)
    assert bench.take(event) == []
    bench.wait(WINDOW / 4000.0)
    assert said(bench.take(event, event)) == ["NO SAMPLES"]
    assert said(bench.take(sensor.blocks("calm", 3))) == []
    assert said(bench.take(sensor.blocks("calm", 2))) == ["calm"]


def test_silence_is_noticed_right_after_hello_and_after_a_reconnection(bench: Any, sensor: Any, said: Said) -> None:
    bench.take(sensor.hello())
    bench.wait(10.0)
    assert said(bench.take(Idle())) == ["NO SAMPLES"]
    assert said(bench.take(LOST)) == ["LINK LOST"]
    bench.wait(10.0)
    assert bench.take(Idle()) == []  # the link is still lost
    assert bench.take(RESTORED, Idle()) == []
    bench.wait(10.0)
    assert said(bench.take(Idle())) == ["NO SAMPLES"]


def test_a_slow_sensor_is_not_taken_for_a_silent_one(new_bench: Any, new_sensor: Any) -> None:
    bench = new_bench(sample_rate_hz=10.0)
    sensor = new_sensor(sample_rate_hz=10.0, true_sample_rate_hz=10.0)
    bench.take(sensor.hello())
    for _ in range(20):
        bench.wait(3.2)
        assert not [
            result
            for result in bench.take(Idle(), sensor.block())
            if isinstance(result, Decision) and result.window.reason
        ]


def test_nothing_is_said_before_the_first_hello(bench: Any) -> None:
    bench.wait(100.0)
    assert bench.take(Idle(), STREAMING) == []


# --- the summary -------------------------------------------------------------------------------------------------


def test_the_books_balance(bench: Any, sensor: Any, windows_of: Said) -> None:
    events: list[Any] = [sensor.hello(), *sensor.blocks("calm", 30)]
    sensor.lose(40)
    events += [*sensor.blocks("worn", 10), LOST, RESTORED]
    sensor.lose(1000)
    events += [*sensor.blocks("loud", 10), Status(DeviceState.ENDED, sensor.position, sensor.device_time_s, 0)]
    counters = StreamCounters(samples_received=50 * HOP, samples_lost=1040, crc_errors=3)
    results = list(bench.monitor.run(events, lambda: counters))
    summary, windows = results[-1], windows_of(results)
    assert isinstance(summary, Summary) and not any(isinstance(result, Summary) for result in results[:-1])
    assert summary.windows == len(windows) == sum(summary.verdicts.values())
    assert summary.verdicts == {
        verdict.value: sum(window.verdict is verdict for window in windows) for verdict in Verdict
    }
    assert summary.labels == {label: sum(window.label == label for window in windows) for label in summary.labels}
    assert sum(summary.labels.values()) == summary.verdicts["CLASS"]
    assert (summary.samples_received, summary.samples_lost, summary.link["crc_errors"]) == (50 * HOP, 1040, 3)
    assert not {"samples_received", "samples_lost"} & set(summary.link)
    assert summary.link_losses == 1


def test_a_run_without_anything_has_an_empty_summary(bench: Any) -> None:
    (summary,) = bench.monitor.run([], StreamCounters)
    assert (summary.windows, summary.samples_received, summary.sample_rate_hz) == (0, 0, None)
    assert summary.verdicts == {verdict.value: 0 for verdict in Verdict}


def test_results_come_as_the_events_do(bench: Any, sensor: Any) -> None:
    def endless() -> Any:
        yield sensor.hello()
        while True:
            yield sensor.block("calm")

    run = bench.monitor.run(endless(), StreamCounters)
    assert [next(run).first_sample for _ in range(3)] == [0, HOP, 2 * HOP]


# --- alarms ----------------------------------------------------------------------------------------------------------

ALARMS = AlarmSettings(("calm",), windows=4, limits=AlarmLimits(0.7, 0.4, 0.0, 0.0, latch=True))


def alarms_of(results: Iterable[Result]) -> list[tuple[str, str]]:
    return [(result.name, result.state.value) for result in results if isinstance(result, Alarm)]


def test_an_alarm_outlasts_a_lost_link_and_waits_for_a_person(new_bench: Any, sensor: Any) -> None:
    bench = new_bench(alarms=ALARMS)
    assert alarms_of(bench.take(sensor.hello(), sensor.blocks("worn", 9))) == [("worn", "RAISED")]
    assert alarms_of(bench.take(LOST, RESTORED, sensor.hello(), sensor.blocks("calm", 20))) == []
    assert alarms_of(bench.take(Note("something else"))) == []
    assert alarms_of(bench.take(Note(ACKNOWLEDGE))) == [("worn", "ACKNOWLEDGED"), ("worn", "CLEARED")]


def test_a_restart_or_a_silence_does_not_raise_one_of_two_halves(new_bench: Any, sensor: Any) -> None:
    bench = new_bench(alarms=ALARMS)
    bench.take(sensor.hello(), sensor.blocks("worn", 3))
    sensor.restart()
    assert alarms_of(bench.take(DeviceRestarted(1, 2), sensor.hello(), sensor.blocks("worn", 3))) == []
    bench.wait(60)
    assert alarms_of(bench.take(Idle(), sensor.blocks("worn", 2))) == []
    assert alarms_of(bench.take(sensor.blocks("worn", 2))) == [("worn", "RAISED")]


def test_without_settings_there_are_no_alarms(bench: Any, sensor: Any) -> None:
    assert alarms_of(bench.take(sensor.hello(), sensor.blocks("worn", 20), Note(ACKNOWLEDGE))) == []


# --- a machine that is too slow, another model ----------------------------------------------------------------------


def test_a_monitor_that_is_behind_skips_windows_until_it_has_caught_up(
    new_bench: Any, sensor: Any, windows_of: Said
) -> None:
    lag = [0.0]
    bench = new_bench(lag_s=lambda: lag[0])
    results = bench.take(sensor.hello(), sensor.blocks("calm", 5))
    lag[0] = BEHIND_S + 0.1
    results += bench.take(sensor.blocks("calm", 5))
    lag[0] = CAUGHT_UP_S + 0.1
    results += bench.take(sensor.blocks("calm", 5))
    lag[0] = CAUGHT_UP_S - 0.1
    sensor.lose(3)
    results += bench.take(sensor.blocks("calm", 5))
    windows = windows_of(results)
    assert [window.reason for window in windows[:14]] == [None] * 4 + [SKIPPED] * 10
    assert {window.reason for window in windows[14:16]} == {"lost samples"}  # damage is said first
    assert windows[-1].reason is None
    assert len(bench.classifier.seen) == [window.reason for window in windows].count(None)
    assert [window.first_sample for window in windows] == [HOP * number for number in range(len(windows))]
    assert bench.monitor.summary(StreamCounters()).windows_skipped == 10


def test_another_judge_goes_on_without_leaving_out_a_window(new_bench: Any, sensor: Any, windows_of: Said) -> None:
    bench, other = new_bench(alarms=ALARMS), new_bench(alarms=ALARMS)
    before = windows_of(bench.take(sensor.hello(), sensor.blocks("worn", 9)))
    bench.monitor.swap(other.monitor.judge)
    after = windows_of(bench.take(sensor.blocks("calm", 9)))
    assert [window.first_sample for window in (*before, *after)] == [HOP * number for number in range(17)]
    assert after[0].verdict is Verdict.CLASS and bench.monitor.summary(StreamCounters()).windows == 17
    assert len(other.classifier.seen) == len(after) and other.monitor.judge.conclusions.raised == ("worn",)
    assert alarms_of(bench.take(Note(ACKNOWLEDGE)))[0] == ("worn", "ACKNOWLEDGED")


def test_a_judge_for_another_sensor_is_refused_and_the_one_before_goes_on(new_bench: Any, sensor: Any) -> None:
    bench, other = new_bench(alarms=ALARMS), new_bench(alarms=ALARMS, sample_rate_hz=5000.0)
    results = bench.take(sensor.hello(), sensor.blocks("worn", 9))
    with pytest.raises(ContractError):
        bench.monitor.swap(other.monitor.judge)
    assert other.monitor.judge.conclusions.raised == ()
    results += bench.take(sensor.blocks("worn", 3))
    windows = [result for result in results if isinstance(result, WindowResult)]
    assert [window.first_sample for window in windows] == [HOP * number for number in range(11)]


def test_votes_begin_anew_with_another_judge_and_the_decision_is_said_again(
    new_bench: Any, sensor: Any, said: Said
) -> None:
    bench = new_bench()
    assert said(bench.take(sensor.hello(), sensor.blocks("calm", 9))) == ["calm"]
    bench.monitor.swap(new_bench().monitor.judge)
    assert said(bench.take(sensor.blocks("calm", 3))) == []  # of four votes
    assert said(bench.take(sensor.blocks("calm", 1))) == ["calm"]


def test_a_longer_window_begins_a_grid_of_its_own_at_the_next_sample(
    manifest: Manifest, bench: Any, sensor: Any, windows_of: Said
) -> None:
    bench.take(sensor.hello(), sensor.blocks("calm", 9))
    of_orders = orders_manifest(manifest)
    wider = replace(of_orders, contract=replace(of_orders.contract, window=128, hop=64))
    bench.monitor.swap(Judge(Model(wider, OrdersClassifier(wider)), speed_hz=200.0))  # type: ignore[arg-type]
    first = sensor.position
    assert [each.first_sample for each in windows_of(bench.take(sensor.blocks("calm", 6)))] == [first, first + 64]


def test_what_a_reload_knows_of_the_stream_outlasts_it(new_bench: Any, sensor: Any, windows_of: Said) -> None:
    bench = new_bench()
    bench.take(sensor.hello(), sensor.blocks("calm", 30))  # the offset is learned, the rate is not known yet
    bench.monitor.swap(new_bench().monitor.judge)
    assert {each.reason for each in windows_of(bench.take([moved(b) for b in sensor.blocks("calm", 20)]))} == {
        OFFSET_JUMPED
    }


def test_severity_goes_on_after_a_reload(manifest: Manifest, bench: Any, new_bench: Any, sensor: Any) -> None:
    monitor = Monitor(bench.monitor.judge, severity=SeverityMeter())
    monitor.take(sensor.hello())
    monitor.swap(new_bench().monitor.judge, SeverityMeter())
    results = [result for block in sensor.blocks("calm", 300) for result in monitor.take(block)]
    assert [each for each in results if isinstance(each, Severity)]


def test_where_a_monitor_ended_with_an_error_another_one_goes_on(new_bench: Any, sensor: Any, said: Said) -> None:
    before, after = new_bench(alarms=ALARMS), new_bench(alarms=ALARMS)
    before.take(sensor.hello(), sensor.blocks("worn", 9))
    judge = after.monitor.judge
    judge.conclusions.take_over(before.monitor.judge.conclusions.standing)
    after.monitor = Monitor(judge, HostClock(lambda: 0.0), before.monitor.stream.counts)
    assert said(after.take(sensor.hello(), sensor.blocks("worn", 9))) == []  # all outputs know that it is worn
    assert judge.conclusions.raised == ("worn",)
    assert after.monitor.summary(StreamCounters()).windows == 16


# --- freshness -------------------------------------------------------------------------------------------------------


def trickled(bench: Any, sensor: Any, seconds: float, every_s: float = 0.5) -> list[Result]:
    """Return what is said while the sensor sends one sample at a time, with an honest clock."""
    results: list[Result] = []
    for _ in range(round(seconds / every_s)):
        bench.wait(every_s)
        sensor.device_time_s += every_s
        results += bench.take(sensor.block("calm", 1))
    return results


def test_a_stream_that_falls_to_a_trickle_keeps_no_decision(bench: Any, sensor: Any, said: Said) -> None:
    assert said(bench.take(sensor.hello(), sensor.blocks("calm", 200))) == ["calm"]
    assert said(trickled(bench, sensor, STALLED_S)) == []
    assert said(trickled(bench, sensor, 8.0)) == ["TOO FEW SAMPLES"]
    bench.wait(10.0)
    assert said(bench.take(Idle(), Idle())) == ["NO SAMPLES"]
    assert said(trickled(bench, sensor, 3.0)) == []  # nothing better is known of it


@pytest.mark.parametrize(
    "event", [DeviceLog(LogLevel(1), "hello"), Reply(1, 2, Outcome(0), ""), Note("x")], ids=["log", "reply", "note"]
)
def test_a_device_that_talks_and_measures_nothing_keeps_no_decision(
    bench: Any, sensor: Any, said: Said, event: Any
) -> None:
    bench.take(sensor.hello(), sensor.blocks("calm", 8))
    bench.wait(STALLED_S + 1)
    assert said(bench.take(event, event)) == ["NO SAMPLES"]


def test_a_device_that_only_restarts_keeps_no_decision(bench: Any, sensor: Any, said: Said) -> None:
    results = bench.take(sensor.hello(), sensor.blocks("calm", 8))
    for session in range(2, 8):
        bench.wait(1.0)
        sensor.restart()
        results += bench.take(DeviceRestarted(session - 1, session), sensor.hello(), sensor.block("calm", WINDOW - 1))
    assert said(results) == ["calm", "TOO FEW SAMPLES"]


def test_a_class_does_not_outlast_its_last_good_window_however_many_votes_are_asked_for(
    new_bench: Any, sensor: Any, said: Said
) -> None:
    bench = new_bench(votes=Votes(30, 50))
    results = bench.take(sensor.hello(), sensor.blocks("calm", 60))
    for _ in range(8):
        bench.wait(0.5)
        sensor.lose(3)
        results += bench.take(sensor.blocks("calm", 2))
    assert said(results) == ["calm", "lost samples"]


def test_a_machine_that_is_behind_takes_no_stream_for_a_trickle(new_bench: Any, sensor: Any, said: Said) -> None:
    lag = [0.0]
    bench = new_bench(lag_s=lambda: lag[0])
    results = bench.take(sensor.hello(), sensor.blocks("calm", 8), sensor.block("calm", HOP - 1))
    bench.wait(2.9)  # what comes now had come 2.9 s ago
    lag[0] = 2.9
    assert said([*results, *bench.take(sensor.blocks("calm", 8))]) == ["calm"]


def test_severity_is_not_measured_at_a_rate_that_is_not_known(manifest: Manifest, bench: Any, sensor: Any) -> None:
    monitor = Monitor(Judge(Model(manifest, bench.classifier)), severity=SeverityMeter())
    results = monitor.take(sensor.hello())
    for block in sensor.blocks("calm", 1250):
        results += monitor.take(replace(block, device_time_s=5.0))
    assert [each for each in results if isinstance(each, Severity)] == []


# --- the mounting ----------------------------------------------------------------------------------------------------


def moved(block: SampleBlock, by: int = 4000) -> SampleBlock:
    return replace(block, samples=(block.samples + np.array([by, 0], np.int16)).astype(np.int16))


def test_acknowledging_acknowledges_alarms_and_nothing_else(new_bench: Any, sensor: Any, windows_of: Said) -> None:
    bench = new_bench(alarms=ALARMS)
    bench.take(sensor.hello(), sensor.blocks("worn", 30))
    assert alarms_of(bench.take(Note(f"{ACKNOWLEDGE} loud"))) == []
    assert alarms_of(bench.take(Note(f"{ACKNOWLEDGE} worn"))) == [("worn", "ACKNOWLEDGED")]
    results: list[Result] = []
    for _ in range(60):
        results += bench.take(moved(sensor.block("worn")), Note(ACKNOWLEDGE), Note(f"{ACKNOWLEDGE} worn"))
    reasons = [window.reason for window in windows_of(results)]
    assert set(reasons[2:]) == {OFFSET_JUMPED}
    bench.take(Note(ACCEPT_MOUNTING))
    accepted = windows_of(bench.take([moved(block) for block in sensor.blocks("worn", 20)]))
    assert {window.verdict for window in accepted} == {Verdict.CLASS}
    assert {window.reason for window in windows_of(bench.take(sensor.blocks("worn", 20)))[3:]} == {OFFSET_JUMPED}


def test_accepting_a_mounting_acknowledges_nothing(new_bench: Any, sensor: Any) -> None:
    bench = new_bench(alarms=ALARMS)
    bench.take(sensor.hello(), sensor.blocks("worn", 30))
    assert alarms_of(bench.take(Note(ACCEPT_MOUNTING))) == []
    assert alarms_of(bench.take(Note(ACKNOWLEDGE))) == [("worn", "ACKNOWLEDGED")]


def test_a_sensor_that_was_moved_while_the_device_was_off_is_noticed(bench: Any, sensor: Any, windows_of: Said) -> None:
    bench.take(sensor.hello(), sensor.blocks("calm", 30), LOST, RESTORED)
    sensor.restart()
    results = bench.take(DeviceRestarted(1, 2), sensor.hello(), [moved(block) for block in sensor.blocks("calm", 20)])
    assert {window.reason for window in windows_of(results)} == {OFFSET_JUMPED}


def test_another_sensor_has_an_offset_of_its_own(bench: Any, sensor: Any, windows_of: Said) -> None:
    bench.take(sensor.hello(), sensor.blocks("calm", 30))
    sensor.restart()
    other = replace(sensor.hello(), device_id="another")
    results = bench.take(DeviceRestarted(1, 2), other, [moved(block) for block in sensor.blocks("calm", 20)])
    assert {window.reason for window in windows_of(results)} == {None}


def test_another_range_after_a_restart_is_no_other_mounting(
    bench: Any, sensor: Any, new_sensor: Any, windows_of: Said
) -> None:
    bench.take(sensor.hello(), [moved(block, 6000) for block in sensor.blocks("calm", 30)])
    finer = new_sensor(scale=sensor.scale / 4, full_scale=4.0, session=2)
    results = bench.take(
        DeviceRestarted(1, 2), finer.hello(), [moved(block, 24_000) for block in finer.blocks("calm", 20)]
    )
    assert {window.reason for window in windows_of(results)} == {None}


def test_a_mounting_that_the_site_taught_is_asked_for_from_the_first_window(
    new_bench: Any, sensor: Any, windows_of: Said
) -> None:
    taught = np.array([0.0, 1.0])  # g: y is the one that hangs down
    for down, reason in ((0, OFFSET_JUMPED), (1, None)):
        bench = new_bench(novelty=strange(offset=taught))
        blocks = [replace(block, samples=block.samples.copy()) for block in sensor.blocks("calm", 20)]
        for block in blocks:
            block.samples[:, down] += round(1 / sensor.scale)
        assert {window.reason for window in windows_of(bench.take(sensor.hello(), blocks))} == {reason}
        sensor.restart()


def test_windows_of_axes_that_changed_places_get_no_verdict_but_stay_unknown(
    new_bench: Any, sensor: Any, said: Said
) -> None:
    class Turned(StrangeAbove):
        def are_turned(self, windows: Any) -> Any:
            return np.ones(len(windows.rms), bool)

    bench = new_bench(novelty=Turned(**vars(strange())))
    assert said(bench.take(sensor.hello(), sensor.blocks("calm", 10))) == [AXES_TURNED]
    assert said(bench.take(sensor.blocks("worn", 10)))[-1:] == [None]  # an alarm of UNKNOWN is not kept back
    assert bench.monitor.summary(StreamCounters()).verdicts["UNKNOWN"] > 5
