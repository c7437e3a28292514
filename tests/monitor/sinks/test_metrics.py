"""`/metrics`: what it says, by Prometheus' rules, from the start and after a sensor was tried again."""

from __future__ import annotations

import socket
from dataclasses import fields, replace
from typing import Any
from urllib.request import urlopen

import pytest
from refusals import refused

pytest.importorskip("prometheus_client", reason="needs the extra `metrics`")

from drsn_edge.errors import OutputError
from drsn_edge.monitor.sinks.metrics import MetricsServer
from drsn_edge.monitor.sinks.present import About
from drsn_edge.monitor.stages.results import (
    Alarm,
    AlarmState,
    Coverage,
    Decision,
    Result,
    Severity,
    Summary,
    WindowResult,
)
from drsn_edge.verdicts import Verdict
from firmware_bridge.wire.stream import StreamCounters

WORN = WindowResult(0, 0.0, Verdict.CLASS, "worn", {"worn": 1.0}, None, 0, 0.25)
LOST = WindowResult(0, 0.0, Verdict.NO_VERDICT, None, None, "lost samples", 3)
SEVERITY = Severity(0, 0.0, 1.25, 0.1, 0.4, 4.0, 3.0, "A", "g")
SUMMARY = Summary(0, 0, 0, {}, {}, None)


def scrape(sink: MetricsServer) -> dict[str, float]:
    with urlopen(f"http://127.0.0.1:{sink.port}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def served(*results: Result, **about: Any) -> dict[str, float]:
    server = MetricsServer("127.0.0.1", 0)
    sink = server.sink("fan", StreamCounters, About(**about))
    for result in results:
        sink.take(result)
    found = scrape(server)
    server.close()
    return found


def test_metrics_say_what_windows_said_and_what_holds() -> None:
    counters = StreamCounters(samples_received=9, samples_lost=3)
    failing = {"history": "The disk is full.", "lines": None}
    server = MetricsServer("127.0.0.1", 0)
    sink = server.sink("fan", lambda: counters, About(failing=lambda: failing))
    server.sink("pump", lambda: StreamCounters(samples_lost=4))
    for result in (SEVERITY, WORN, WORN, LOST, Decision(WORN, 0.0), Decision(LOST, 0.0), SUMMARY):
        sink.take(result)
    found = scrape(server)
    assert found['drsn_edge_windows_total{detail="worn",machine="fan",verdict="CLASS"}'] == 2
    assert found['drsn_edge_windows_total{detail="lost samples",machine="fan",verdict="NO_VERDICT"}'] == 1
    decisions = {name: value for name, value in found.items() if "drsn_edge_decision{" in name and '"fan"' in name}
    assert decisions == {'drsn_edge_decision{detail="lost samples",machine="fan",verdict="NO_VERDICT"}': 1}
    assert found['drsn_edge_link_samples_lost_total{machine="fan"}'] == 3
    assert found['drsn_edge_link_samples_lost_total{machine="pump"}'] == 4
    assert {name: value for name, value in found.items() if name.startswith("drsn_edge_output_failing")} == {
        'drsn_edge_output_failing{machine="fan",output="history"}': 1,
        'drsn_edge_output_failing{machine="fan",output="lines"}': 0,
    }
    assert found['drsn_edge_novelty_ratio{machine="fan"}'] == 0.25
    counters = StreamCounters(samples_lost=5)
    assert scrape(server)['drsn_edge_link_samples_lost_total{machine="fan"}'] == 5
    server.close()
    server.close()
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", server.port), 0.5)


def test_each_metric_has_one_quantity_in_its_base_unit() -> None:
    found = served(SEVERITY)
    assert found['drsn_edge_velocity_rms_meters_per_second{machine="fan"}'] == pytest.approx(0.00125)
    assert found['drsn_edge_acceleration_rms_meters_per_second_squared{machine="fan"}'] == pytest.approx(0.980665)
    assert found['drsn_edge_acceleration_peak_meters_per_second_squared{machine="fan"}'] == pytest.approx(3.92266)
    assert found['drsn_edge_crest_factor_ratio{machine="fan"}'] == 4
    zones = {name[-3]: value for name, value in found.items() if name.startswith("drsn_edge_severity_zone")}
    assert zones == {"A": 1, "B": 0, "C": 0, "D": 0}
    volts = served(replace(SEVERITY, unit="V", velocity_rms_mm_s=None))
    assert (
        not [name for name in volts if "meters" in name] and volts['drsn_edge_crest_factor_ratio{machine="fan"}'] == 4
    )


def test_alarms_are_0_from_the_start_and_a_state_that_is_not_known_yet_is_said() -> None:
    names = ("worn", "UNKNOWN")
    before = served(alarms=lambda: names)
    assert [before[f'drsn_edge_alarm{{alarm="{name}",machine="fan"}}'] for name in names] == [0, 0]
    assert before['drsn_edge_decision{detail="no decision yet",machine="fan",verdict="NO_VERDICT"}'] == 1
    assert before['drsn_edge_last_measured_timestamp_seconds{machine="fan"}'] == 0
    raised, seen = (Alarm("worn", state, 0, 0.0, 0.0, 1.0) for state in (AlarmState.RAISED, AlarmState.ACKNOWLEDGED))
    after = served(raised, seen, alarms=lambda: names)
    assert after['drsn_edge_alarm{alarm="worn",machine="fan"}'] == 1
    assert after['drsn_edge_alarm_acknowledged{alarm="worn",machine="fan"}'] == 1
    assert after['drsn_edge_alarm{alarm="UNKNOWN",machine="fan"}'] == 0


def test_freshness_is_of_the_last_window_that_has_a_verdict() -> None:
    times = iter((100.0, 200.0, 300.0))
    server = MetricsServer("127.0.0.1", 0)
    sink = server.sink("fan", StreamCounters, now_s=lambda: next(times))
    for window in (WORN, LOST, LOST):
        sink.take(window)
    found = scrape(server)
    server.close()
    assert found['drsn_edge_last_measured_timestamp_seconds{machine="fan"}'] == 100
    assert found['drsn_edge_last_window_timestamp_seconds{machine="fan"}'] == 300


def test_a_sensor_that_is_tried_again_shows_one_decision_and_no_old_series() -> None:
    server = MetricsServer("127.0.0.1", 0)
    server.sink("fan", StreamCounters).take(Decision(WORN, 0.0))
    server.sink("fan", StreamCounters).take(Decision(LOST, 0.0))
    decisions = [name for name in scrape(server) if name.startswith("drsn_edge_decision")]
    server.close()
    assert decisions == ['drsn_edge_decision{detail="lost samples",machine="fan",verdict="NO_VERDICT"}']


def test_every_counter_of_the_link_is_served_and_every_metric_explained() -> None:
    counts = {each.name for each in fields(StreamCounters)} - {"losses_counted"}
    server = MetricsServer("127.0.0.1", 0)
    server.sink("fan", StreamCounters)
    with urlopen(f"http://127.0.0.1:{server.port}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    server.close()
    assert {f'drsn_edge_link_{name}_total{{machine="fan"}}' for name in counts} <= {
        line.rpartition(" ")[0] for line in lines
    }
    texts = {line.split()[2]: line.split(maxsplit=3)[3] for line in lines if line.startswith("# HELP")}
    assert all(len(text.split()) > 3 for text in texts.values()) and len(set(texts.values())) == len(texts)
    kinds = [line.split()[2:] for line in lines if line.startswith("# TYPE")]
    assert all(name.endswith("_total") == (kind == "counter") for name, kind in kinds)


def test_a_name_that_is_no_text_takes_no_page_away() -> None:
    server = MetricsServer("127.0.0.1", 0)
    server.sink("fan \udc80", StreamCounters)
    server.sink("pump", StreamCounters)
    assert 'drsn_edge_last_measured_timestamp_seconds{machine="pump"}' in scrape(server)
    server.close()


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, refused(OutputError, "cannot_listen"):
        MetricsServer("127.0.0.1", taken.getsockname()[1])


def test_coverage_that_is_off_is_a_gauge_that_is_there_from_the_start() -> None:
    off = Coverage(0, 0.0, True, 0.5, 0.8, 0.9, 500)
    name = 'drsn_edge_coverage_off{machine="fan"}'
    assert [served(*results)[name] for results in ((), (off,), (off, replace(off, off=False)))] == [0, 1, 0]


def test_unsure_windows_are_counted_by_their_verdict() -> None:
    unsure = WindowResult.unsure(0, 0.0, {"calm": 0.5, "worn": 0.5}, 0.5)
    found = served(unsure, Decision(unsure, 0.0))
    assert found['drsn_edge_windows_total{detail="",machine="fan",verdict="UNSURE"}'] == 1
    assert found['drsn_edge_decision{detail="",machine="fan",verdict="UNSURE"}'] == 1
    assert found['drsn_edge_last_measured_timestamp_seconds{machine="fan"}'] > 0
