"""NI TDMS: every sample as npTDMS reads it, in pieces; groups, rates, units and scales."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recording_files import AXES, SAMPLES, tdms_bytes
from refusals import refused

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.raw import RawRecording, Request, whole
from drsn_edge.recordings.readers.tdms_file import read_tdms

nptdms = pytest.importorskip("nptdms")

G = {"wf_increment": 1 / 25600, "unit_string": "g"}


def written(path: Path, *segments: dict[str, tuple[Any, dict[str, Any]]]) -> Path:
    """Write segments; each has numbers and properties by `group/channel`."""
    with nptdms.TdmsWriter(path) as writer:
        for segment in segments:
            objects = [
                nptdms.ChannelObject(*name.split("/"), values, stated) for name, (values, stated) in segment.items()
            ]
            writer.write_segment(objects)
    return path


def read(path: Path, **values: Any) -> list[RawRecording]:
    """Read a file with what a catalogue states."""
    return read_tdms(path, Request(values))


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8"])
def test_equals_what_was_written(tmp_path: Path, dtype: str) -> None:
    rng = np.random.default_rng(1)
    x, y = (rng.integers(0, 100, 1000) / (3 if dtype[0] == "f" else 1)).astype(dtype).reshape(2, 500)
    half = {"m/x": (x[:200], G), "m/y": (y[:200], G)}
    (raw,) = read(written(tmp_path / "a.tdms", half, {"m/x": (x[200:], G)}, {"m/y": (y[200:], G)}))
    np.testing.assert_array_equal(whole(raw.samples), np.stack([x, y], axis=1))
    pieces = list(raw.samples.pieces(77))
    assert [len(piece) for piece in pieces] == [77] * 6 + [38]
    assert raw.stated == {"axes": ("x", "y"), "sample_rate_hz": 25600.0, "unit": "g"}
    assert (raw.capture, raw.remarks) == (None, ())


def test_reads_parts_of_a_large_chunk(tmp_path: Path) -> None:
    x = np.random.default_rng(2).normal(size=(2, 200_000))
    (raw,) = read(written(tmp_path / "a.tdms", {"m/x": (x[0], G), "m/y": (x[1], G)}))
    np.testing.assert_array_equal(np.concatenate(list(raw.samples.pieces(65_536))), x.T)


def test_interleaved(tmp_path: Path) -> None:
    first, second = SAMPLES.ravel().reshape(2, 20)
    data = bytearray(tdms_bytes(dict(zip(AXES, (first, second), strict=True))))
    data[4] |= 1 << 5
    (tmp_path / "a.tdms").write_bytes(data)
    np.testing.assert_array_equal(whole(read(tmp_path / "a.tdms")[0].samples), SAMPLES)


def test_every_layout_that_nptdms_tests(tmp_path: Path) -> None:
    scenarios = pytest.importorskip("nptdms.test.scenarios")
    compared = 0
    for scenario in scenarios.get_scenarios():
        file, expected = scenario.values
        path = tmp_path / "a.tdms"
        path.write_bytes(file.get_bytes_io_file().read())
        for (group, channel), values in expected.items():
            try:
                raws = read(path, variable=f"{group}/{channel}")
            except RecordingError as error:
                assert error.problem in ("not_an_axis", "unknown_variable")
                continue
            np.testing.assert_array_equal(whole(raws[0].samples)[:, 0], values, err_msg=scenario.id)
            compared += 1
    assert compared > 20


def test_scales_of_labview_are_applied(tmp_path: Path) -> None:
    scale = {"NI_Number_Of_Scales": 1, "NI_Scale[0]_Scale_Type": "Linear", "NI_Scaling_Status": "unscaled"}
    scale |= {"NI_Scale[0]_Linear_Slope": 0.5, "NI_Scale[0]_Linear_Y_Intercept": -1.0}
    x = np.arange(10, dtype=np.int16)
    (raw,) = read(written(tmp_path / "a.tdms", {"m/x": (x, {**G, **scale})}))
    np.testing.assert_array_equal(whole(raw.samples)[:, 0], 0.5 * x - 1)


def test_raw_daqmx_is_scaled_and_read_in_pieces(tmp_path: Path) -> None:
    made = pytest.importorskip("nptdms.test.test_daqmx")
    util = pytest.importorskip("nptdms.test.util")
    name = "NI_Scale[1]_Linear"
    scale = {
        "NI_Number_Of_Scales": (3, util.hexlify_value("<i", 2)),
        "NI_Scale[1]_Scale_Type": (0x20, util.hexlify_value("<I", 6) + util.string_hexlify("Linear")),
        f"{name}_Slope": (10, util.hexlify_value("<d", 0.25)),
        f"{name}_Y_Intercept": (10, util.hexlify_value("<d", 1.0)),
        f"{name}_Input_Source": (3, util.hexlify_value("<i", 0)),
    }
    metadata = util.segment_objects_metadata(
        util.root_metadata(),
        util.group_metadata(),
        *(
            made.daqmx_channel_metadata(each, 4, [4], [made.daqmx_scaler_metadata(0, 3, offset)], scale)
            for each, offset in (("x", 0), ("y", 2))
        ),
    )
    file = util.GeneratedFile()
    counts = np.arange(-6, 10, dtype="<i2").reshape(8, 2)
    file.add_segment(made.segment_toc(), metadata, counts.tobytes().hex())
    (tmp_path / "a.tdms").write_bytes(file.get_bytes_io_file().read())
    (raw,) = read(tmp_path / "a.tdms")
    np.testing.assert_array_equal(np.concatenate(list(raw.samples.pieces(3))), 0.25 * counts + 1)
    with refused(RecordingError, "needs_memory", path=tmp_path / "a.tdms"):
        read_tdms(tmp_path / "a.tdms", Request(memory_bytes=10))


def test_each_group_is_a_recording(tmp_path: Path) -> None:
    x = np.arange(10.0)
    path = written(tmp_path / "a.tdms", {"idle/x": (x, G), "load/x": (2 * x, G), "notes/text": (["a", "b"], {})})
    raws = read(path)
    assert [(raw.capture, whole(raw.samples)[1, 0]) for raw in raws] == [(0, 1.0), (1, 2.0)]
    (raw,) = read(path, variable="load")
    assert (raw.capture, whole(raw.samples)[1, 0]) == (None, 2.0)


def test_other_channels_are_left_out_and_named(tmp_path: Path) -> None:
    x = np.arange(10.0)
    stamps = np.arange(10).astype("M8[us]")
    others = {
        "m/Time": (x, {}),
        "m/stamp": (stamps, {}),
        "m/note": (["a"] * 10, {}),
        "m/spindle": (x, {"unit_string": "A"}),
    }
    (raw,) = read(written(tmp_path / "a.tdms", {"m/x": (x, G), **others}))
    assert raw.stated["axes"] == ("x",)
    said = " ".join(raw.remarks)
    assert all(
        name in said for name in ("m/Time, m/stamp left out: it is a clock", "m/note", "m/spindle", "the unit A")
    )


@pytest.mark.parametrize(
    "stamps",
    [np.arange(2000) * 1e-3, np.datetime64("2026-01-02T23:59:59", "us") + 1000 * np.arange(2000)],
    ids=["seconds", "time stamps"],
)
def test_a_clock_gives_the_rate_that_the_channels_do_not_state(tmp_path: Path, stamps: Any) -> None:
    x = np.random.default_rng(3).normal(size=2000)
    count = np.arange(2000, dtype=np.int32)
    channels: dict[str, tuple[Any, dict[str, Any]]] = {
        "m/Time": (stamps, {}),
        "m/Acc x [g]": (x, {}),
        "m/Sample": (count, {}),
    }
    (raw,) = read(written(tmp_path / "a.tdms", channels))
    assert raw.stated == {"axes": ("Acc x",), "unit": "g", "sample_rate_hz": pytest.approx(1000, rel=1e-6)}
    assert raw.rate_spread is not None and raw.rate_spread < 1e-3
    assert any("m/Sample left out: it is a counter" in remark for remark in raw.remarks)
    late = stamps + np.where(count > 999, stamps[500] - stamps[0], stamps[0] - stamps[0])
    with refused(RecordingError, "uneven_times", sample=999):
        read(written(tmp_path / "b.tdms", {"m/Time (s)": (late, {}), "m/Acc x [g]": (x, {})}))


def test_channels_of_different_rates_are_chosen_by_the_catalogue(tmp_path: Path) -> None:
    x = np.arange(10.0)
    path = written(tmp_path / "a.tdms", {"m/fast": (x, G), "m/slow": (x, {**G, "wf_increment": 0.1})})
    with refused(RecordingError, "channels_differ", path=path, key="sampling rate") as caught:
        read(path)
    assert 'variable = ["m/fast"]' in str(caught.value) and str(caught.value).count("\n") < 3
    (raw,) = read(path, variable="m/slow")
    assert raw.stated["sample_rate_hz"] == 10.0


@pytest.mark.parametrize("lost", [8, 9, 40, 160, 200])
def test_a_file_that_ends_early_is_read_as_far_as_all_channels_go_and_said(tmp_path: Path, lost: int) -> None:
    path, x = tmp_path / "a.tdms", np.arange(100.0)
    written(path, {"m/x": (x, G), "m/y": (-x, G)}, {"m/x": (100 + x, G), "m/y": (-100 - x, G)})
    path.write_bytes(path.read_bytes()[:-lost])
    (raw,) = read(path)
    n = 200 - -(-lost // 8)
    both = np.concatenate([x, 100 + x])[:n]
    np.testing.assert_array_equal(whole(raw.samples), np.stack([both, -both], axis=1))
    assert raw.samples.n_samples == n and "ends inside" in raw.remarks[0]


def test_an_index_file_is_not_used_and_nothing_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.tdms"
    path.write_bytes(tdms_bytes()[:-4])
    (tmp_path / "a.tdms_index").write_bytes(b"nonsense")
    assert read(path, variable="motor/X")[0].samples.n_channels == 1
    assert capsys.readouterr() == ("", "")


def test_refuses_descriptions_that_would_take_all_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.tdms"
    path.write_bytes(tdms_bytes(NI_Number_Of_Scales=2_000_000_000))
    with refused(RecordingError, "damaged", path=path, reason="ValueError: a channel has more than 64 scales"):
        read(path)
    file = io.BytesIO()
    with nptdms.TdmsWriter(file) as writer:
        for number in range(50):
            writer.write_segment([nptdms.ChannelObject("m", str(number), np.zeros(1), {})])
    path.write_bytes(file.getvalue())
    assert len(read(path, variable="m")[0].stated["axes"]) == 50  # type: ignore[arg-type]
    monkeypatch.setattr("drsn_edge.recordings.readers.tdms_runs._MOST_SEGMENTS", 20)
    with refused(RecordingError, "damaged", path=path):
        read(path)


def test_says_how_to_get_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.tdms").write_bytes(tdms_bytes())
    monkeypatch.setitem(sys.modules, "nptdms", None)
    with refused(RecordingError, "package_missing", package="npTDMS", extra="formats") as caught:
        read(tmp_path / "a.tdms")
    assert "[formats]" in str(caught.value)
