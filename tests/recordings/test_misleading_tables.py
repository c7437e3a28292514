"""Tables whose columns look like something else: none may give a wrong axis or rate without a word."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from refusals import refused

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.raw import RawRecording, Request
from drsn_edge.recordings.readers.table_file import read_table

_N = 3000
_INDEX = np.arange(_N)
_AXES = [f"{x:.4f},{y:.4f}" for x, y in np.random.default_rng(7).normal(0, 0.3, (_N, 2))]


def _read(folder: Path, lines: Sequence[str]) -> RawRecording:
    path = folder / "a.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    (raw,) = read_table(path, Request({}, 1 << 30))
    return raw


def _with(values: NDArray[Any], form: str, header: str = "") -> list[str]:
    return [
        *([header] if header else []),
        *(f"{value:{form}},{axes}" for value, axes in zip(values, _AXES, strict=True)),
    ]


@pytest.mark.parametrize(
    ("header", "scale"),
    [("time [min],x,y", 60), ("Time (h),x,y", 3600), ("elapsed in hours,x,y", 3600), ("time_min,x,y", 60)],
)
def test_minutes_and_hours_are_not_seconds(tmp_path: Path, header: str, scale: float) -> None:
    raw = _read(tmp_path, _with(_INDEX / 1000 / scale, ".9f", header))
    assert raw.stated["sample_rate_hz"] == pytest.approx(1000, rel=1e-4)


@pytest.mark.parametrize("header", ["Temperature,x,y", "Temp (°C),x,y", "speed,x,y", "rpm,x,y"])
def test_a_quantity_that_rises_slowly_gives_no_rate_and_is_no_axis(tmp_path: Path, header: str) -> None:
    raw = _read(tmp_path, _with(20 + _INDEX * 0.001, ".2f", header))
    assert raw.stated == {"axes": ("x", "y")}
    assert any("Left out" in remark for remark in raw.remarks)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(_INDEX % 256, id="8-bit counter"),
        pytest.param(_INDEX[::-1], id="falling counter"),
        pytest.param(
            np.cumsum(np.random.default_rng(1).integers(995, 1005, _N)) % 65536, id="16-bit clock with jitter"
        ),
    ],
)
def test_counters_without_a_name_are_no_axes(tmp_path: Path, values: NDArray[Any]) -> None:
    raw = _read(tmp_path, _with(values, "d"))
    assert raw.samples.n_channels == 2


@pytest.mark.parametrize("header", ["", "time,x,y"])
def test_captures_one_behind_the_other_are_not_one(tmp_path: Path, header: str) -> None:
    with refused(RecordingError, "uneven_times"):
        _read(tmp_path, _with(_INDEX % (_N // 2) / 1000, ".3f", header))


@pytest.mark.parametrize("n_axes", [2, 3])
def test_decimal_commas_between_commas_are_refused(tmp_path: Path, n_axes: int) -> None:
    samples = np.random.default_rng(2).normal(0, 1, (_N, n_axes))
    with refused(RecordingError, "two_commas"):
        _read(tmp_path, [",".join(f"{value:.1f}".replace(".", ",") for value in row) for row in samples])


def test_integers_between_commas_are_no_halves(tmp_path: Path) -> None:
    samples = np.random.default_rng(2).integers(0, 1000, (_N, 4))
    raw = _read(tmp_path, [",".join(map(str, row)) for row in samples])
    assert raw.samples.n_channels == 4


def test_the_sign_minus_is_read(tmp_path: Path) -> None:
    raw = _read(tmp_path, [line.replace("-", "−") for line in _AXES])
    assert next(iter(raw.samples.pieces(_N))).tolist() == [[float(cell) for cell in line.split(",")] for line in _AXES]


@pytest.mark.parametrize(
    ("line", "rate_hz"),
    [
        ("# Sampling rate: 25,600 Hz", None),
        ("# Sample rate 12 800 Hz", None),
        ("# Sample rate 25,6 kHz", 25_600),
        ("# fs = 1600,5 Hz", 1600.5),
    ],
)
def test_a_rate_with_thousands_separators_is_not_taken(tmp_path: Path, line: str, rate_hz: float | None) -> None:
    assert _read(tmp_path, [line, "x,y", *_AXES]).stated.get("sample_rate_hz") == rate_hz


@pytest.mark.parametrize("separator", [",", ";", "\t", " ", ", "])
@pytest.mark.parametrize("header", ["", "x,y"])
def test_the_time_of_a_serial_monitor_is_a_clock_and_takes_no_axis_away(
    tmp_path: Path, separator: str, header: str
) -> None:
    lines = [line.replace(",", separator) for line in ([header] if header else []) + _AXES]
    raw = _read(tmp_path, [f"14:03:{k // 200:02}.{k % 200 * 5:03} -> {line}" for k, line in enumerate(lines)])
    assert raw.stated["sample_rate_hz"] == pytest.approx(200)
    assert raw.stated.get("axes") == (("x", "y") if header else None)
    assert next(iter(raw.samples.pieces(_N))).tolist() == [[float(cell) for cell in line.split(",")] for line in _AXES]


def test_a_column_of_text_is_named_with_one_of_its_cells(tmp_path: Path) -> None:
    raw = _read(tmp_path, [f"S1 => {line}" for line in _AXES])
    assert any(repr(f"S1 => {_AXES[0].split(',')[0]}") in remark for remark in raw.remarks)


@pytest.mark.parametrize(
    ("header", "scale"),
    [
        ("Time [h],x,y", 3600),
        ("t/min,x,y", 60),
        ("Minuten,x,y", 60),
        ("Time (days),x,y", 86400),
        ("Zeit [d],x,y", 86400),
    ],
)
def test_a_stated_unit_of_time_counts(tmp_path: Path, header: str, scale: float) -> None:
    raw = _read(tmp_path, _with(_INDEX / 1600 / scale, ".14f", header))
    assert raw.stated["sample_rate_hz"] == pytest.approx(1600, rel=1e-4)


@pytest.mark.parametrize(
    ("line", "rate_hz"),
    [
        ("sampling time: 3 s", None),
        ("Duration: 0.05 s", None),
        ("measurement time 20 ms", None),
        ("sampling interval: 0.5 ms", 2000),
        ("Sample period: 0.001 s", 1000),
        ("Time increment: 0.0002 s", 5000),
        ("dt = 0.00025", 4000),
    ],
)
def test_only_words_of_an_interval_give_a_rate(tmp_path: Path, line: str, rate_hz: float | None) -> None:
    assert _read(tmp_path, [line, "x,y", *_AXES]).stated.get("sample_rate_hz") == rate_hz


@pytest.mark.parametrize("line", ["Sampling rate: 2 Hz", "sampling interval: 3 s", "fs = 2000 kHz"])
def test_a_rate_in_words_that_no_vibration_has_is_doubted(tmp_path: Path, line: str) -> None:
    raw = _read(tmp_path, [line, "x,y", *_AXES])
    assert "sample_rate_hz" not in raw.stated
    assert any("was not taken" in remark for remark in raw.remarks)


_LABELS = _INDEX // 800 % 3


@pytest.mark.parametrize("axes", ["x,y", "ax,ay", "acc_x,acc_y", "vib1,vib2", "ch1,ch2", "gFx,gFy", "x_g,y_g"])
@pytest.mark.parametrize(
    "other",
    ["temperature", "speed_rpm", "class", "y_true", "aT", "TgF", "total", "absolute acceleration", "magnitude",
     "motor current", "load", "torque", "gyro_z", "fault"],
)  # fmt: skip
def test_what_is_no_vibration_is_left_out_beside_axes_and_named(tmp_path: Path, axes: str, other: str) -> None:
    noise = np.random.default_rng(3).normal(5, 1, _N)
    raw = _read(tmp_path, _with(noise, ".3f", f"{other},{axes}"))
    assert raw.samples.n_channels == 2
    assert any("Left out" in remark and other in remark for remark in raw.remarks)
    assert raw.stated.get("unit") == ("g" if "g" in axes else None)


def test_a_total_with_the_unit_of_the_axes_is_left_out(tmp_path: Path) -> None:
    noise = np.random.default_rng(3).normal(5, 1, _N)
    raw = _read(tmp_path, _with(noise, ".3f", "Absolute acceleration (m/s^2),a x (m/s^2),a y (m/s^2)"))
    assert (raw.stated["axes"], raw.stated["unit"]) == (("a x", "a y"), "m/s2")
    raw = _read(tmp_path, _with(noise, ".3f", "total_acc_x,total_acc_y,total_acc_z"))
    assert raw.samples.n_channels == 3


def test_the_catalogue_takes_what_would_be_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("\n".join(_with(_LABELS, "d", "load,x,y")))
    (raw,) = read_table(path, Request({"axes": ("load", "x")}, 1 << 30))
    assert raw.stated["axes"] == ("load", "x")


@pytest.mark.parametrize("header", ["", "p,q,r", "state,x,y"])
@pytest.mark.parametrize("labels", [_LABELS, _INDEX // 1000], ids=["again", "rising"])
def test_a_column_of_labels_is_no_axis(tmp_path: Path, header: str, labels: NDArray[Any]) -> None:
    raw = _read(tmp_path, _with(labels, "d", header))
    assert raw.samples.n_channels == 2 and "sample_rate_hz" not in raw.stated
    assert any("label" in remark for remark in raw.remarks)


def test_axes_of_few_whole_numbers_are_axes(tmp_path: Path) -> None:
    counts = np.random.default_rng(3).integers(-3, 4, (_N, 2))
    assert _read(tmp_path, ["x,y", *(f"{a},{b}" for a, b in counts)]).samples.n_channels == 2
    assert _read(tmp_path, _with(counts[:, 0], "d", "a,b,c")).samples.n_channels == 3


@pytest.mark.parametrize(("n_lines", "n_columns"), [(20, 256), (3, 1024), (500, 65)])
def test_more_columns_than_a_recording_has_axes_are_refused(tmp_path: Path, n_lines: int, n_columns: int) -> None:
    rows = np.random.default_rng(4).normal(0, 1, (n_lines, n_columns)).round(3).tolist()
    lines = [",".join(map(str, row)) for row in rows]
    with refused(RecordingError, "transposed", columns=n_columns):
        _read(tmp_path, lines)


def test_the_catalogue_chooses_axes_among_many_columns(tmp_path: Path) -> None:
    rows = np.random.default_rng(4).normal(0, 1, (300, 80)).round(3).tolist()
    path = tmp_path / "a.csv"
    path.write_text("\n".join([",".join(f"c{k}" for k in range(80)), *(",".join(map(str, row)) for row in rows)]))
    (raw,) = read_table(path, Request({"axes": ("c7", "c70")}, 1 << 30))
    assert raw.stated["axes"] == ("c7", "c70")


@pytest.mark.parametrize("n_lines", [200, 3000])
def test_numbers_of_the_size_of_an_epoch_that_do_not_fall_are_a_clock(tmp_path: Path, n_lines: int) -> None:
    raw = _read(tmp_path, [f"{1700000000000 + 10 * (k // 4)},{line}" for k, line in enumerate(_AXES[:n_lines])])
    assert raw.samples.n_channels == 2
    assert raw.stated["sample_rate_hz"] == pytest.approx(400, rel=0.01)


@pytest.mark.parametrize("modulus", [16, 64, 128, 1024])
@pytest.mark.parametrize("first", [0, 5])
def test_a_counter_of_few_bits_is_no_axis(tmp_path: Path, modulus: int, first: int) -> None:
    raw = _read(tmp_path, _with((_INDEX + first) % modulus, "d"))
    assert raw.samples.n_channels == 2 and "sample_rate_hz" not in raw.stated


@pytest.mark.parametrize("header", ["", "time_s,x,y"])
@pytest.mark.parametrize("n_take", [300, 1000, 1500])
def test_takes_of_a_minute_or_of_few_samples_are_not_one(tmp_path: Path, header: str, n_take: int) -> None:
    stamps = _INDEX[: 2 * n_take] % n_take * (60 / n_take if n_take == 1500 else 0.002)
    lines = _with(_INDEX, "d", header)[bool(header) :][: 2 * n_take]
    rows = [f"{stamp:.4f},{line.partition(',')[2]}" for stamp, line in zip(stamps, lines, strict=True)]
    with refused(RecordingError, "uneven_times", sample=n_take - 1) as caught:
        _read(tmp_path, ([header] if header else []) + rows)
    assert "begins again" in str(caught.value)
