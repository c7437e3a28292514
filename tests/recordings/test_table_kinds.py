"""Tables as data sets and programs write them, each kind with numbers of its own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from refusals import refused

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.raw import RawRecording, Request, whole
from drsn_edge.recordings.readers import table_file
from drsn_edge.recordings.readers.table_file import read_table

N = 1200
NOISE = np.random.default_rng(8).normal(0, 0.1, (N, 3)).round(5)
INDEX = np.arange(N)


def columns(*each: Sequence[object], separator: str = ",", decimal: str = ".") -> str:
    """Return lines of the given columns; numbers of numpy's floats have five digits."""
    lines = [
        separator.join(f"{cell:.5f}".replace(".", decimal) if isinstance(cell, float) else str(cell) for cell in row)
        for row in zip(*each, strict=True)
    ]
    return "\n".join(lines) + "\n"


X, Y, Z = (NOISE[:, axis].tolist() for axis in range(3))


def read(folder: Path, text: str, encoding: str = "utf-8", **values: object) -> RawRecording:
    """Write a table and read it with what a catalogue states."""
    path = folder / "a.csv"
    path.write_bytes(text.encode(encoding))
    (raw,) = read_table(path, Request(values))  # type: ignore[arg-type]
    return raw


def said(raw: RawRecording) -> str:
    """Return all remarks."""
    return " ".join(raw.remarks)


BEGIN = datetime(2024, 6, 1, 23, 59, 59, 400_000)
TIMES = [BEGIN + timedelta(seconds=index / 800) for index in INDEX.tolist()]

CLOCKS: dict[str, tuple[str, Sequence[object], float]] = {
    "Edge Impulse": ("timestamp,x,y", [1234 + 10 * k for k in INDEX.tolist()], 100.0),
    "microseconds": ("micros,x,y", [77 + int(312.5 * k) for k in INDEX.tolist()], 3200.0),
    "microseconds that wrap": ("micros,x,y", [(2**32 - 999 + int(312.5 * k)) % 2**32 for k in INDEX.tolist()], 3200.0),
    "milliseconds at 3200 Hz": ("millis,x,y", [int(k / 3.2) for k in INDEX.tolist()], 3200.0),
    "epoch in seconds": ("time,x,y", [f"{1718000000 + k / 800:.5f}" for k in INDEX.tolist()], 800.0),
    "epoch in us": ("ts,x,y", [1718000000000000 + 1250 * k for k in INDEX.tolist()], 800.0),
    "epoch in ns": ("t,x,y", [1718000000000000000 + 1250000 * k for k in INDEX.tolist()], 800.0),
    "epoch in ms under another name": (
        "time_s,x,y",
        [f"{1718000000000 + 1.25 * k:.2f}" for k in INDEX.tolist()],
        800.0,
    ),
    "seconds of a name with words": ("Elapsed Time (s),x,y", [f"{k / 800:.6f}" for k in INDEX.tolist()], 800.0),
    "four decimals": ("Zeit,x,y", [f"{k / 12800:.4f}" for k in INDEX.tolist()], 12800.0),
    "ISO 8601": ("timestamp,x,y", [time.isoformat() + "Z" for time in TIMES], 800.0),
    "with a space": ("Date and time,x,y", [str(time) for time in TIMES], 800.0),
    "of Europe": ("Datum,x,y", [time.strftime("%d.%m.%Y %H:%M:%S.%f") for time in TIMES], 800.0),
    "of America": ("Time,x,y", [time.strftime("%m/%d/%Y %I:%M:%S.%f %p") for time in TIMES], 800.0),
    "time of day": ("whatever,x,y", [time.strftime("%H:%M:%S.%f") for time in TIMES], 800.0),
    "by its even steps": ("a,x,y", [f"{0.5 + k / 800:.6f}" for k in INDEX.tolist()], 800.0),
    "days of a spreadsheet": ("time,x,y", [f"{45000 + k / 800 / 86400:.10f}" for k in INDEX.tolist()], 800.0),
}


@pytest.mark.parametrize("kind", CLOCKS)
def test_a_clock_gives_the_rate_and_is_no_axis(tmp_path: Path, kind: str) -> None:
    header, stamps, rate = CLOCKS[kind]
    raw = read(tmp_path, f"{header}\n{columns(stamps, X, Y)}")
    assert raw.stated["axes"] == ("x", "y")
    assert raw.stated["sample_rate_hz"] == pytest.approx(rate, rel=1e-3)
    assert raw.rate_spread is not None and "is a clock" in said(raw)
    np.testing.assert_array_equal(whole(raw.samples), NOISE[:, :2])


def test_hour_minute_second_and_less_are_one_clock(tmp_path: Path) -> None:
    us = [(9 * 3600 + 59 * 60 + 59) * 1_000_000 + 960_000 + int(39.0625 * k) for k in INDEX.tolist()]  # to 10 o'clock
    coarse = [[v // size % most for v in us] for size, most in ((3_600_000_000, 24), (60_000_000, 60), (1_000_000, 60))]
    text = columns(*coarse, [f"{v % 1_000_000}.0" for v in us], X, Y)
    named = read(tmp_path, f"hour,minute,second,us,h,v\n{text}")
    assert (named.stated["axes"], named.stated["sample_rate_hz"]) == (("h", "v"), pytest.approx(25600, rel=1e-3))
    bare = read(tmp_path, text, axes=("h", "v"))
    assert (bare.stated["axes"], bare.stated["sample_rate_hz"]) == (("h", "v"), pytest.approx(25600, rel=1e-3))


@pytest.mark.parametrize(
    ("header", "counts"),
    [
        ("index,x,y\n", INDEX.tolist()),
        ("#,x,y\n", INDEX.tolist()),
        (",x,y\n", INDEX.tolist()),
        ("Unnamed: 0,x,y\n", INDEX.tolist()),
        ("Sample No.,x,y\n", (INDEX + 1).tolist()),
        ("seq,x,y\n", (INDEX % 256).tolist()),
        ("", ((65000 + INDEX) % 65536).tolist()),
    ],
)
def test_a_counter_is_no_axis(tmp_path: Path, header: str, counts: list[int]) -> None:
    raw = read(tmp_path, header + columns(counts, X, Y))
    np.testing.assert_array_equal(whole(raw.samples), NOISE[:, :2])
    assert "is a counter" in said(raw) and "sample_rate_hz" not in raw.stated


@pytest.mark.parametrize("name", ["count", "sample", "n", "t", "x", "value", "time domain"])
def test_a_signal_of_whatever_name_stays_an_axis(tmp_path: Path, name: str) -> None:
    raw = read(tmp_path, f"{name}\n{columns(X)}")
    assert raw.stated["axes"] == (name,)


def test_a_slow_ramp_with_noise_is_an_axis_and_so_is_a_clock_that_the_catalogue_names(tmp_path: Path) -> None:
    ramp = (INDEX * 0.001 + NOISE[:, 0] / 50).tolist()
    assert read(tmp_path, "b,load\n" + columns(X, ramp)).stated["axes"] == ("b", "load")
    even = (INDEX * 0.001).tolist()
    assert read(tmp_path, "a,load\n" + columns(X, even), axes=("a", "load")).stated["axes"] == ("a", "load")


LABVIEW = "LabVIEW Measurement\t\nDate\t2024/06/01\n***End_of_Header***\t\nDelta_X\t1.0E-4\n***End_of_Header***\t\n"
CATMAN = "Export\n\nKanäle: 2\n\nZeit\tKanal 1\tKanal 2\nT\tCH1\tCH2\ns\tm/s²\tm/s²\n"
SECONDS = [f"{k / 10000:.5f}" for k in INDEX.tolist()]
COMMAS = [text.replace(".", ",") for text in SECONDS]


TAB = "\t"
DECIMAL_COMMAS = columns(COMMAS, X, Y, separator=TAB, decimal=",")
SEMICOLONS = DECIMAL_COMMAS.replace(TAB, ";")
TABS = columns(SECONDS, X, Y, separator=TAB)
POINTS = columns(SECONDS, X, Y)


@pytest.mark.parametrize(
    ("text", "encoding", "axes", "unit"),
    [
        (f"#time,a_x,a_y\n{POINTS}", "utf-8", ("a_x", "a_y"), None),
        (f"# t x y\n{columns(SECONDS, X, Y, separator=' ')}", "utf-8", ("x", "y"), None),
        (f"{LABVIEW}X_Value\tA\tA (1)\tComment\n{TABS}", "utf-8", ("A", "A (1)"), None),
        (f"{CATMAN}{DECIMAL_COMMAS}", "cp1252", ("CH1", "CH2"), "m/s2"),
        (f"sep=;\nZeit [s];X [g];Y [g]\n{SEMICOLONS}", "utf-16", ("X", "Y"), "g"),
        (f'"Time (s)","Acc x (m/s^2)","Acc y (m/s^2)"\n{POINTS}', "utf-16-le", ("Acc x", "Acc y"), "m/s2"),
        (f"Time,X,Y\n[s],[mm/s²],[mm/s²]\n{POINTS}", "utf-8-sig", ("X", "Y"), "mm/s2"),
        (f"Delta : 0.0001 s\nX [g];Y [g];\n{columns(X, Y, [''] * N, separator=';')}", "latin-1", ("X", "Y"), "g"),
        (f"% fs = 10000\n{columns(X, Y, separator='  ')}", "utf-8", None, None),
    ],
)  # fmt: skip
def test_programs(tmp_path: Path, text: str, encoding: str, axes: tuple[str, ...] | None, unit: str | None) -> None:
    raw = read(tmp_path, text, encoding)
    assert (raw.stated.get("axes"), raw.stated.get("unit")) == (axes, unit)
    assert raw.stated["sample_rate_hz"] == pytest.approx(10000, rel=1e-6)
    np.testing.assert_array_equal(whole(raw.samples), NOISE[:, :2])


def test_columns_of_other_quantities_are_left_out_and_named(tmp_path: Path) -> None:
    raw = read(tmp_path, "a (g),b (g),w (deg/s)\n" + columns(X, Y, Z))
    assert raw.stated == {"axes": ("a", "b"), "unit": "g"} and "w (deg/s)" in said(raw)
    raw = read(tmp_path, "accX,accY,gyrX\n" + columns(X, Y, Z))
    assert raw.stated["axes"] == ("accX", "accY") and "gyrX" in said(raw)
    raw = read(tmp_path, "x,y,state\n" + columns(X, Y, ["normal"] * N))
    assert raw.stated["axes"] == ("x", "y") and "'normal'" in said(raw)
    assert "y is constant" in said(read(tmp_path, "x,y\n" + columns(X, [0.0] * N)))


@pytest.mark.parametrize(
    ("header", "axes", "chosen"),
    [
        ("a,b,c\n", ("c", "a"), [2, 0]),
        ("A [g],b_g,C (g)\n", ("c", "a"), [2, 0]),
        ("a,b,c\n", ("x", "-", "z"), [0, 2]),
        ("", ("x", "-", "z"), [0, 2]),
        ("", ("x", "y", "z"), [0, 1, 2]),
    ],
)
def test_axes_of_the_catalogue(tmp_path: Path, header: str, axes: tuple[str, ...], chosen: list[int]) -> None:
    raw = read(tmp_path, header + columns(X, Y, Z), axes=axes)
    assert raw.stated["axes"] == tuple(name for name in axes if name != "-")
    np.testing.assert_array_equal(whole(raw.samples), NOISE[:, chosen])


@pytest.mark.parametrize(("header", "axes"), [("a,b,c\n", ("a", "d")), ("", ("x", "y")), ("a,b,c\n", ("x",))])
def test_axes_that_do_not_fit(tmp_path: Path, header: str, axes: tuple[str, ...]) -> None:
    with refused(RecordingError, "unknown_axes", catalogue=axes):
        read(tmp_path, header + columns(X, Y, Z), axes=axes)


def test_the_catalogue_says_which_column_is_the_clock_and_what_it_counts(tmp_path: Path) -> None:
    text = "tick,other,x\n" + columns((4 * INDEX).tolist(), [f"{k / 100:.2f}" for k in INDEX.tolist()], X)
    assert read(tmp_path, text, time_column="tick", time_unit="us").stated["sample_rate_hz"] == pytest.approx(250e3)
    assert read(tmp_path, text, time_column="2", time_unit="s").stated["sample_rate_hz"] == pytest.approx(100)
    assert "sample_rate_hz" not in read(tmp_path, text, time_column="-").stated
    with refused(RecordingError, "time_column", wanted="clock"):
        read(tmp_path, text, time_column="clock")


def test_a_rate_that_others_contradict(tmp_path: Path) -> None:
    clock = "timestamp,x\n" + columns((10 * INDEX).tolist(), X)
    raw = read(tmp_path, clock, sample_rate_hz=103.0)
    assert "sample_rate_hz" not in raw.stated and "103 Hz" in said(raw)
    words = f"# sampling rate: 200 Hz\n{clock}"
    assert read(tmp_path, words).stated["sample_rate_hz"] == pytest.approx(100) and "200 Hz" in said(
        read(tmp_path, words)
    )
    two = read(tmp_path, "# fs = 100\n# data_rate: 0.2 kHz\nx\n" + columns(X))
    assert "sample_rate_hz" not in two.stated and "several rates" in said(two)


def test_a_doubtful_unit_is_named(tmp_path: Path) -> None:
    raw = read(tmp_path, "time_s,x\n" + columns([f"{1.25 * k:.2f}" for k in INDEX.tolist()], X))
    assert raw.stated["sample_rate_hz"] == 0.8 and "800 Hz" in said(raw) and "time_unit" in said(raw)


@pytest.mark.parametrize("header", ["time_s", "timestamp", "whatever"])
def test_missing_samples_are_found_in_any_clock(tmp_path: Path, header: str) -> None:
    stamps = [f"{(k + 40 * (k > 700)) / 800:.6f}" for k in INDEX.tolist()]
    text = f"{header},x\n" + columns(stamps, X)
    with refused(RecordingError, "uneven_times", sample=700, count=1):
        read(tmp_path, text)
    raw = read(tmp_path, text, time_column="-", sample_rate_hz=800.0, axes=("x",))
    np.testing.assert_array_equal(whole(raw.samples), NOISE[:, :1])


def test_samples_in_lines(tmp_path: Path) -> None:
    raw = read(tmp_path, ",".join(map(str, X)) + "\n")
    np.testing.assert_array_equal(whole(raw.samples), NOISE[:, :1])
    with refused(RecordingError, "transposed", columns=N) as caught:
        read(tmp_path, "\n".join(",".join(map(str, axis)) for axis in (X, Y, Z)))
    assert len(str(caught.value)) < 300


def test_a_large_table_is_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_file, "_KEPT_BYTES", 0)
    raw = read(tmp_path, "t,x,y\n" + columns(SECONDS, X, Y))
    assert raw.samples.n_samples == N and raw.stated["sample_rate_hz"] == 10000
    pieces = list(raw.samples.pieces(100))
    assert max(map(len, pieces)) == 100
    np.testing.assert_array_equal(np.concatenate(pieces), NOISE[:, :2])
    np.testing.assert_array_equal(whole(raw.samples), NOISE[:, :2])  # from the start at each call
    late = read(tmp_path, "x,y\n" + columns(X, Y) + "1,oops\n")
    with refused(RecordingError, "not_a_number", path=tmp_path / "a.csv", line=N + 2, got="oops"):
        whole(late.samples)
