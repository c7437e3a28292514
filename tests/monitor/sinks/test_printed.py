"""Standard output as one of several outputs, and outputs that fail in ways that nobody foresaw."""

from __future__ import annotations

import errno
import io
import json
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from drsn_edge.errors import OutputError
from drsn_edge.monitor.sinks import MOST_ERRORS, WELL_AFTER_S, Guarded
from drsn_edge.monitor.sinks.json_lines import JsonLinesSink
from drsn_edge.monitor.sinks.printed import PrintedSink
from drsn_edge.monitor.stages.results import (
    Alarm,
    AlarmState,
    Decision,
    Severity,
    Summary,
    WindowResult,
    to_json,
    to_text,
)
from drsn_edge.monitor.stages.severity_meter import SeverityMeter
from drsn_edge.signal.vibration import Measures
from drsn_edge.verdicts import Verdict

WINDOW = WindowResult(0, 0.0, Verdict.CLASS, "calm", {"calm": 1.0}, None, 0)
NAN, INF = float("nan"), float("inf")


class Failing:
    """A sink that raises what it is told, as long as it is told."""

    def __init__(self, error: Exception | None) -> None:
        self.error, self.taken = error, 0

    def take(self, result: Any) -> None:
        self.taken += 1
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        self.take(None)


@pytest.mark.parametrize(
    "error", [OutputError("full"), OverflowError("int"), ValueError("NaN"), OSError(28, "full"), RecursionError()]
)
def test_whatever_an_output_raises_is_said_once_and_ends_nothing(error: Exception) -> None:
    said: list[str] = []
    sink = Failing(error)
    guarded = Guarded("history", sink, said.append)
    for _ in range(5):
        guarded.take(WINDOW)
    guarded.close()
    assert len(said) == 1 and sink.taken == 6 and guarded.failing == said[0]


def pipe_without_reader() -> Any:
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w")


def test_a_lone_standard_output_whose_reader_has_gone_ends_the_run() -> None:
    with pipe_without_reader() as stream:
        sink = PrintedSink(JsonLinesSink(stream), stream, alone=True)
        guarded = Guarded("stdout", sink, lambda _: None, passes=(BrokenPipeError,))
        guarded.take(WINDOW)
        with pytest.raises(BrokenPipeError):
            guarded.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def test_beside_other_outputs_it_is_given_up_and_said_once() -> None:
    said: list[str] = []
    with pipe_without_reader() as stream:
        sink = PrintedSink(JsonLinesSink(stream), stream, alone=False)
        guarded = Guarded("stdout", sink, said.append, passes=(BrokenPipeError,))
        for _ in range(3):
            guarded.take(WINDOW)
            guarded.flush()
        guarded.close()
    assert len(said) == 1 and "Nobody reads standard output" in said[0] and guarded.failing == said[0]


def test_a_disk_that_is_full_under_standard_output_may_have_room_again() -> None:
    said: list[str] = []
    times = iter([0.0, WELL_AFTER_S])
    failing = Failing(OSError(errno.ENOSPC, "No space left on device"))
    printed = PrintedSink(failing, io.StringIO(), alone=True)
    guarded = Guarded("stdout", printed, said.append, now_s=lambda: next(times))
    guarded.take(WINDOW)
    failing.error = None
    guarded.take(WINDOW)
    assert "No space left" in said[0] and guarded.failing is None


@pytest.mark.parametrize(
    "result",
    [
        replace(WINDOW, device_time_s=NAN, novelty=INF, level_rms=NAN, scores={"calm": NAN}),
        Decision(replace(WINDOW, novelty=NAN), -INF),
        Alarm("worn", AlarmState.RAISED, 0, NAN, INF, NAN),
        Severity(0, NAN, NAN, INF, INF, NAN, NAN, None, "g"),
        Summary(0, 0, 0, {}, {}, NAN),
    ],
)
def test_json_has_no_number_that_is_none(result: Any) -> None:
    text = to_text(result)
    assert "NaN" not in text and "Infinity" not in text
    assert None in to_json(result).values()


def test_a_severity_that_is_no_number_is_none(new_sensor: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    sensor = new_sensor()
    meter = SeverityMeter()
    meter.take(sensor.hello())
    assert sum(len(meter.take(sensor.block(n=400))) for _ in range(40))
    found = Measures(INF, 1.0, 1.0, 1.0, 1.0)
    monkeypatch.setattr("drsn_edge.monitor.stages.severity_meter.measure", lambda *_: found)
    assert not sum(len(meter.take(sensor.block(n=400))) for _ in range(40))


class Gathering(Failing):
    """A sink that can keep results, and writes them at the end of a slice."""

    def take(self, result: Any) -> None:
        """Keep it."""

    def flush(self) -> None:
        super().take(None)


def test_a_slice_that_cannot_be_written_is_said_as_a_result_that_cannot() -> None:
    said: list[str] = []
    now_s = [0.0]
    sink = Gathering(OutputError("full"))
    guarded = Guarded("lines", sink, said.append, now_s=lambda: now_s[0])
    for _ in range(3):
        guarded.take(WINDOW)
        guarded.flush()
        now_s[0] += WELL_AFTER_S
    assert said == ["full"] == [guarded.failing]
    sink.error = None
    guarded.flush()
    now_s[0] += WELL_AFTER_S
    guarded.flush()
    assert said[1:] == ['The output "lines" can be written again.'] and guarded.failing is None


def test_another_error_is_said_once_too_and_errors_that_always_differ_do_not_flood() -> None:
    said: list[str] = []
    now_s = [0.0]
    sink = Failing(None)
    guarded = Guarded("lines", sink, said.append, now_s=lambda: now_s[0])

    def take(*errors: str | None) -> None:
        for error in errors:
            sink.error = None if error is None else OutputError(error)
            guarded.take(WINDOW)
            now_s[0] += 1

    take("full", "full", None, "not permitted", "full", "not permitted")
    assert said == ["full", "not permitted"] and guarded.failing == "not permitted"
    take(*(f"error {number}" for number in range(100)))
    assert len(said) == MOST_ERRORS and guarded.failing == "error 99"
    take(None)
    now_s[0] += WELL_AFTER_S
    take(None, "full", "error 1")
    assert said[MOST_ERRORS:] == ['The output "lines" can be written again.', "full", "error 1"]


def test_a_loss_at_the_end_is_said_however_many_errors_came_before() -> None:
    said: list[str] = []
    sink = Failing(None)
    guarded = Guarded("lines", sink, said.append)
    for number in range(2 * MOST_ERRORS):
        sink.error = OutputError(f"error {number}")
        guarded.take(WINDOW)
    sink.error = OutputError("2 results are lost")
    guarded.close()
    assert said[MOST_ERRORS:] == ["2 results are lost"]


@pytest.mark.parametrize("name", ["history", "mine", "my own output"])
def test_any_name_of_an_output_fits_its_sentences(name: str) -> None:
    said: list[str] = []

    class Closing(Failing):
        def close(self) -> None:
            """Close without an error."""

    guarded = Guarded(name, Closing(ValueError("NaN")), said.append)
    guarded.take(WINDOW)
    guarded.close()
    assert [text.split(f'"{name}"')[0] for text in said] == ["Could not write the output ", "The output "]


def test_a_sink_that_keeps_nothing_has_nothing_to_write() -> None:
    sink = Failing(None)
    Guarded("lines", sink, lambda _: None).flush()
    PrintedSink(sink, io.StringIO(), alone=True).flush()
    assert sink.taken == 0


NUMBERS = st.floats() | st.none()
TEXTS = st.text(max_size=8) | st.none()
WINDOWS = st.builds(
    WindowResult,
    first_sample=st.integers(0, 2**63),
    device_time_s=st.floats() | st.integers(0, 99),
    verdict=st.sampled_from(Verdict),
    label=TEXTS,
    scores=st.none() | st.dictionaries(st.text(max_size=8), st.floats(0, 1) | st.floats(), max_size=6),
    reason=TEXTS,
    lost_samples=st.integers(0, 2**63),
    novelty=NUMBERS,
    level_rms=NUMBERS,
)


@given(WINDOWS, st.floats())
@example(replace(WINDOW, scores={"a": 1e-4, "b": 9.9999995e-5, "c": 0.9990005, "d": 0.5, "e": 0.0, "f": -0.0}), 1.0)
@example(replace(WINDOW, scores={"a": np.float64(0.1234565), "b": np.float64(2e-7)}, novelty=np.float64(2)), 1.0)
def test_the_text_of_a_window_is_its_json(window: WindowResult, since_s: float) -> None:
    for result in (window, Decision(window, since_s)):
        assert to_text(result) == json.dumps(to_json(result), allow_nan=False)
