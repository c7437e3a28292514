"""Lost samples by the counters of a table, and lines below its numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from refusals import refused

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.raw import RawRecording, Request, whole
from drsn_edge.recordings.readers import table_file
from drsn_edge.recordings.readers.table_file import read_table

N = 2000
X = np.random.default_rng(12).normal(0, 0.1, N + 20).round(4)
INDEX = np.arange(N + 20)


def read(folder: Path, text: str | bytes, **values: object) -> RawRecording:
    path = folder / "a.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    (raw,) = read_table(path, Request(values))  # type: ignore[arg-type]
    return raw


def table(header: str, *columns: object) -> str:
    rows = zip(*(column.tolist() for column in columns), strict=True)  # type: ignore[attr-defined]
    return "\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n"


def lossy(*values: object) -> list[object]:
    """Return columns without samples 800 to 803 and 1700."""
    return [np.delete(np.asarray(value), [800, 801, 802, 803, 1700]) for value in values]


COUNTERS = {
    "count": ("count,x", INDEX),
    "seq in steps of 4": ("seq,x", 4 * INDEX + 17),
    "8 bits": ("n,x", (INDEX + 99) % 2**8),
    "16 bits": ("sample,x", (INDEX + 2**16 - 900) % 2**16),
    "16 bits, lost where it begins again": ("index,x", (INDEX + 2**16 - 802) % 2**16),
    "32 bits": ("seq,x", (INDEX + 2**32 - 900) % 2**32),
    "a name of any kind": ("k1,x", INDEX % 256),
}


@pytest.mark.parametrize(("is_kept", "has_clock"), [(True, False), (False, True)])
@pytest.mark.parametrize("kind", COUNTERS)
def test_samples_that_a_counter_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, has_clock: bool, is_kept: bool
) -> None:
    monkeypatch.setattr(table_file, "_KEPT_BYTES", 8 << 20 if is_kept else 0)
    header, count = COUNTERS[kind]
    n_left = len(INDEX) - 5
    columns, header = lossy(count, X), header + ("," + "time_s" if has_clock else "")
    text = table(header, *columns, *([np.arange(n_left) / 1000] if has_clock else []))
    with refused(RecordingError, "missing_samples", missing=5, count=2, sample=799, column=header.split(",")[0]):
        read(tmp_path, text)
    raw = read(tmp_path, text, time_column="-", axes=("x",))
    assert whole(raw.samples).shape == (n_left, 1)
    unhurt = table(header, count, X, *([INDEX / 1000] if has_clock else []))
    assert whole(read(tmp_path, unhurt).samples).shape == (len(INDEX), 1)


def test_a_nameless_counter(tmp_path: Path) -> None:
    with refused(RecordingError, "missing_samples", missing=5):
        read(tmp_path, table("", *lossy(INDEX % 256, X, X)).lstrip())


def test_a_short_table_and_a_jump_behind_the_first_lines(tmp_path: Path) -> None:
    with refused(RecordingError, "missing_samples", missing=2, sample=39):
        read(tmp_path, table("seq,x", np.delete(INDEX[:60], [40, 41]), X[:58]))
    index = np.delete(np.arange(200_000), 199_000)
    with refused(RecordingError, "missing_samples", missing=1, sample=198_999):
        read(tmp_path, table("seq,x", index, np.resize(X, len(index))))


NO_COUNTERS = {
    "packets of 32": INDEX // 32,
    "packets of 32, some lost": INDEX // 32 + (INDEX > 900),
    "an index within packets of 32": INDEX % 32,
    "an index within blocks of 1000": INDEX % 1000,
    "an index within blocks of 250": INDEX % 250,
    "blocks of unequal length": np.concatenate([np.arange(n) for n in (1000, 400, 600, 20)]),
    "a sensor of its own": (INDEX * 1.7).astype(int),
    "counting down": INDEX[::-1],
    "repeated lines": INDEX - (INDEX > 900) - (INDEX > 1200),
}


@pytest.mark.parametrize("kind", NO_COUNTERS)
def test_what_counts_no_samples_lacks_none(tmp_path: Path, kind: str) -> None:
    raw = read(tmp_path, table("index,x,y", NO_COUNTERS[kind], X, X))
    assert whole(raw.samples).shape == (len(INDEX), 2)


def test_a_counter_with_many_jumps_is_doubted(tmp_path: Path) -> None:
    raw = read(tmp_path, table("seq,x", INDEX[INDEX % 20 != 7], X[INDEX % 20 != 7]))
    assert "Column seq jumps after 5.3% of the lines" in " ".join(raw.remarks)


def test_cells_of_a_counter_that_are_no_numbers(tmp_path: Path) -> None:
    lines = ["seq,x", *(f"{at},0.{at % 7}" for at in range(150_000))]
    lines[149_001] = ",0.5"
    assert whole(read(tmp_path, "\n".join(lines)).samples).shape == (150_000, 1)
    del lines[140_000]
    with refused(RecordingError, "missing_samples", missing=1, sample=139_998):
        read(tmp_path, "\n".join(lines))


# --- below the numbers --------------------------------------------------------------------------------------------

ROWS = "time;x;y\n" + "".join(f"{k / 500:.3f};{X[k]};{X[k + 9]}\n" for k in range(N))
FOOTERS = {
    "words": "End of data\n",
    "words without a line end": "\n\n*** end ***",
    "comments between": "# end\n\nEnd of file\n# really\nbye\n",
    "statistics": "Mean;0.1;0.2\nStd;0.2;0.3\nMax;;0.2\n",
    "semicolons": "Samples;2000\n;;\nOperator;Doe;;;\n",
}


@pytest.mark.parametrize(("encoding", "line_end"), [("utf-8", "\r\n"), ("utf-16", "\n"), ("cp1252", "\r")])
@pytest.mark.parametrize("kind", FOOTERS)
def test_lines_below_the_numbers_are_left_out(tmp_path: Path, kind: str, line_end: str, encoding: str) -> None:
    text = (ROWS + FOOTERS[kind]).replace("\n", line_end)
    raw = read(tmp_path, text.encode(encoding))
    assert whole(raw.samples).shape == (N, 2) and raw.stated["sample_rate_hz"] == 500
    assert "after line 2001" in raw.remarks[-1] and "left out" in raw.remarks[-1]


def test_lines_below_the_numbers_of_a_large_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_file, "_KEPT_BYTES", 0)
    rows = "x;y\n" + ROWS.partition("\n")[2].replace(";", "0;", 1) * 30
    rows = "\n".join(line.partition(";")[2] if at else "x;y" for at, line in enumerate(rows.splitlines()))
    raw = read(tmp_path, rows + "\nEnd\nMean;0.2\n")
    assert whole(raw.samples).shape == (30 * N, 2)
    assert raw.remarks == ("The 2 lines after line 60001, such as 'End', are no samples and were left out.",)


@pytest.mark.parametrize("end", ["4.000", "6.0", "4.000;0.1", "4.000;-", "4.000;0.1;", "4.000;0.1;-", "4.000;0.1;1e-"])
def test_a_last_line_that_was_cut_off_is_left_out(tmp_path: Path, end: str) -> None:
    raw = read(tmp_path, ROWS + end)
    assert whole(raw.samples).shape == (N, 2)
    assert raw.remarks[-1] == "The last line, behind line 2001, is cut off and was left out."


def test_a_last_line_with_all_cells_is_a_sample(tmp_path: Path) -> None:
    raw = read(tmp_path, ROWS + "4.000;0.1;0.2")
    assert whole(raw.samples).shape == (N + 1, 2)


@pytest.mark.parametrize(
    ("below", "problem"),
    [
        ("End\n" + "4.000;0.1;0.2\n", "value_count"),
        ("4.000;0.1;0.2;0.3\n", "value_count"),
        ("4.000;0.1\n", "value_count"),
        ("a;b\n1;2\n3;4\n", "value_count"),
        ("4.000;0.1;over\n", "not_a_number"),
        ("4.000;over;0.1", "not_a_number"),
        ("words\n" * 60, "value_count"),
    ],
)
def test_what_may_be_samples_is_not_left_out(tmp_path: Path, below: str, problem: str) -> None:
    with refused(RecordingError, problem, line=2002):
        read(tmp_path, ROWS + below)
