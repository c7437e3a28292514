from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lines_schema import expect_described
from refusals import refused

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.loading.load import load_recordings

Run = Callable[..., Any]
HEADER = "x_g,y_g,z_g"


def save(path: Path, samples: Any, header: str = HEADER) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savetxt(path, samples, fmt="%.5f", delimiter=",", header=header, comments="")


def noise(seed: int, n: int = 4096, level: float = 0.1) -> Any:
    return np.random.default_rng(seed).normal(size=(n, 3)) * level + [0.0, 0.0, 1.0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, label in enumerate(("healthy", "worn"), start=1):
        for pump in (1, 2):
            save(tmp_path / "data" / f"pump{pump}_{label}.csv", noise(10 * number + pump))
    return tmp_path / "data"


def test_a_table_says_what_is_known_guessed_and_missing(run: Run, folder: Path) -> None:
    done = run("look", folder)
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].split() == ["file", "rate,", "Hz", "axes", "unit", "label", "group", "level"]
    assert lines[1].split()[:6] == ["pump1_healthy.csv", "-", "x,y,z", "g", "healthy?", "pump1?"]
    assert lines[5] == "4 recordings, 0.0 s; by label: healthy 2, worn 2"
    assert "missing\n  sample_rate_hz: 4 files, such as pump1_healthy.csv" in done.out


def test_the_proposed_catalogue_is_refused_until_it_is_confirmed(run: Run, folder: Path) -> None:
    done = run("look", folder, "--write-catalogue")
    assert done.code == 0 and "Fill in sample_rate_hz" in done.err
    text = (folder / "catalogue.toml").read_text().replace("# sample_rate_hz = 0", "sample_rate_hz = 1000")
    (folder / "catalogue.toml").write_text(text)
    with refused(RecordingError, "not_confirmed"):
        load_recordings(folder)
    (folder / "catalogue.toml").write_text(text.replace("confirmed = false", "confirmed = true"))
    found = {each.name: (each.label, each.group) for each in load_recordings(folder)}
    assert found == {f"pump{pump}_{label}": (label, f"pump{pump}") for pump in (1, 2) for label in ("healthy", "worn")}
    assert "?" not in run("look", folder).out


@pytest.mark.parametrize("name", ["catalogue.toml", "catalogue.csv"])
def test_a_catalogue_is_never_replaced(run: Run, folder: Path, name: str) -> None:
    (folder / name).write_text("")
    done = run("look", folder, "--write-catalogue")
    assert done.code == 1 and "never replaced" in done.err and (folder / name).read_text() == ""


def test_a_catalogue_is_written_for_one_folder_only(run: Run, folder: Path) -> None:
    assert run("look", folder, folder, "--write-catalogue").code == 2
    assert run("look", folder / "pump1_worn.csv", "--write-catalogue").code == 2


def test_damage_doubts_and_failures_stand_below_and_the_others_go_on(run: Run, folder: Path) -> None:
    save(folder / "pump3_healthy.csv", np.zeros((4096, 3)))
    spoilt = noise(5)
    spoilt[100] = np.nan
    save(folder / "pump3_worn.csv", spoilt)
    save(folder / "pump4_worn.csv", 9.81 * noise(7))
    (folder / "pump5_worn.npz").write_bytes(b"no archive\x1b[31m")
    (folder / "notes.docx").write_bytes(b"-")
    done = run("look", folder)
    assert done.code == 0
    assert "  pump3_healthy.csv: 4 of 4: flat line 4\n" in done.out
    assert "  pump3_worn.csv: 1 of 4: not a number 1, 3 NaN or infinite values\n" in done.out
    assert "not read\n  pump5_worn.npz: " in done.out and "\x1b" not in done.out
    assert "gravity in m/s2" in done.out
    assert "passed over\n  1 file in " in done.out and "notes.docx" in done.out


def test_one_file_and_folders_together_are_looked_at(run: Run, folder: Path) -> None:
    assert "1 recording, " in run("look", folder / "pump1_worn.csv").out
    save(folder.parent / "more" / "a.csv", noise(1))
    out = run("look", folder, folder.parent / "more").out
    assert "data/pump1_healthy.csv" in out and "more/a.csv" in out and "5 recordings" in out


def test_of_many_recordings_the_first_and_last_of_each_label_are_shown(run: Run, tmp_path: Path) -> None:
    for label in ("healthy", "worn"):
        for number in range(30):
            save(tmp_path / label / f"{number}.csv", noise(number, 100))
    lines = run("look", tmp_path).out.splitlines()
    assert [line.split()[0] for line in lines[1:8]] == [
        "healthy/0.csv", "healthy/1.csv", "...", "healthy/29.csv", "worn/0.csv", "worn/1.csv", "...",
    ]  # fmt: skip
    assert lines[3].startswith("... 27 more, level 0.")
    assert len(run("look", tmp_path, "--all").out.splitlines()) > 60


def test_json_is_as_the_schema_says(run: Run, folder: Path) -> None:
    (folder / "broken.npz").write_bytes(b"-")
    save(folder / "dead.csv", np.full((4096, 3), np.nan))
    line = json.loads(run("look", folder, "--json").out)
    expect_described("look", [line])
    assert [each["label"] for each in line["recordings"] if "pump1" in each["recording"]] == ["healthy", "worn"]
    assert line["recordings"][0]["level_rms"] == [None, None, None]


def test_a_picture_is_drawn(run: Run, folder: Path, tmp_path: Path) -> None:
    save(folder / "dead_3200Hz.csv", np.zeros((4096, 3)))
    save(folder / "loud_$x$_3200Hz.csv", 9.81 * noise(3))
    assert run("look", folder, "--picture", tmp_path / "look.png").code == 0
    assert (tmp_path / "look.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_replaces_no_recording(run: Run, folder: Path) -> None:
    path = folder / "dead_3200Hz.csv"
    save(path, np.zeros((4096, 3)))
    before = path.read_bytes()
    assert run("look", folder, "--picture", path).code == 1
    assert path.read_bytes() == before


def test_nothing_to_read_ends_with_1(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"-")
    done = run("look", tmp_path, "--write-catalogue", "--picture", tmp_path / "p.png")
    assert done.code == 1 and "No recording could be read." in done.out
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]
    assert run("look", tmp_path / "none").code == 1


def test_an_existing_catalogue_counts_and_is_named_where_it_is_wrong(run: Run, folder: Path) -> None:
    (folder / "catalogue.toml").write_text('[defaults]\nsample_rate_hz = 1000\nlabel = "all"\ngroup = "g"\n')
    out = run("look", folder).out
    assert "?" not in out and "4 recordings, 16.4 s; by label: all 4" in out
    (folder / "catalogue.toml").write_text("[defaults\n")
    assert run("look", folder).code == 1
