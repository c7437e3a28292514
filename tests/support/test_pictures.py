"""What pictures share: how they are written, what a legend shows, and an axis of time."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from refusals import refused

pytest.importorskip("matplotlib", reason="pictures need the extra `plots`")

from matplotlib.colors import to_hex

from drsn_edge.errors import OutputError
from drsn_edge.support.pictures import PAGE_DPI, SCREEN_DPI, new_figure, patches_of, png_of, save_picture
from drsn_edge.support.time_axis import draw_time_axis

HOUR = 3600.0
NOW = 1_800_000_000.0


def size_of(png: bytes) -> tuple[int, int]:
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    return int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")


def test_a_picture_has_the_size_of_where_it_is_shown(tmp_path: Path) -> None:
    figure = new_figure(2, 1)
    save_picture(figure, tmp_path / "a.png")
    assert size_of((tmp_path / "a.png").read_bytes()) == (2 * SCREEN_DPI, SCREEN_DPI)
    assert size_of(png_of(figure)) == (2 * PAGE_DPI, PAGE_DPI)


def test_a_picture_that_cannot_be_drawn_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"before")
    figure = new_figure(2, 1)
    figure.subplots().set_title("$\\nothing$")
    with pytest.raises(ValueError, match="nothing"):
        save_picture(figure, path)
    assert path.read_bytes() == b"before" and list(tmp_path.iterdir()) == [path]
    with refused(OutputError, "cannot_write", path=tmp_path / "absent" / "a.png"):
        save_picture(new_figure(2, 1), tmp_path / "absent" / "a.png")


def test_a_legend_shows_the_states_that_occur() -> None:
    colours = {"healthy": "#228833", "worn": "#ee6677"}
    assert [(each.get_label(), to_hex(each.get_facecolor())) for each in patches_of(colours, {"worn"})] == [
        ("worn", "#ee6677")
    ]
    assert [each.get_label() for each in patches_of(colours)] == ["healthy", "worn"]


@pytest.mark.parametrize(
    ("length_s", "expected"),
    [(80.0, r"\d\d:\d\d:\d\d"), (420.0, r"\d\d:\d\d"), (5 * HOUR, r"\d\d:\d\d"), (240 * HOUR, r"\d\d [A-Z][a-z]{2}")],
)
def test_a_tick_that_is_a_day_has_its_month(length_s: float, expected: str) -> None:
    axes = new_figure(13, 4).subplots()
    draw_time_axis(axes, NOW - length_s, NOW)
    axes.figure.canvas.draw()
    words = [label.get_text() for label in axes.get_xticklabels()]
    assert len(words) >= 3 and all(re.fullmatch(expected, each) for each in words)
