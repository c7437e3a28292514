from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from drsn_edge.evaluation.evaluation import Evaluation, Provenance, evaluation_to_json
from drsn_edge.evaluation.report import is_report_folder, render_page, save_report

PICTURES = ["calibration.png", "confusion.png", "noise.png", "thresholds.png"]
PNG = b"\x89PNG\r\n\x1a\n"
LOADING = {"src", "href", "srcset", "data", "action", "poster", "background", "style"}
LONG_LABELS = tuple(f"{part}_very_{weight}_$x^2$" for part in ("imbalance", "outer_race", "misalignment", "ball")
                    for weight in ("light", "heavy", "worn"))  # fmt: skip


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture
def page_of(made: Provenance) -> Callable[..., Page]:
    def render(evaluation: Evaluation, **data: Any) -> Page:
        values = evaluation_to_json(evaluation, made)
        values["data"] |= data
        return Page(render_page(values, {"Confusion": PNG}))

    return render


def test_the_folder_holds_the_page_the_pictures_and_the_figures(
    make_evaluation: Callable[..., Evaluation], made: Provenance, tmp_path: Path
) -> None:
    evaluation = make_evaluation(LONG_LABELS)
    save_report(evaluation, made, tmp_path / "report")
    assert is_report_folder(tmp_path / "report")
    names = sorted(path.name for path in (tmp_path / "report").iterdir())
    assert names == sorted([*PICTURES, "evaluation.json", "report.html"])
    assert json.loads((tmp_path / "report" / "evaluation.json").read_text()) == evaluation_to_json(evaluation, made)
    pictures = {(tmp_path / "report" / name).read_bytes() for name in PICTURES}
    assert len(pictures) == 4 and all(png.startswith(PNG) and png.endswith(b"IEND\xaeB`\x82") for png in pictures)
    page = Page((tmp_path / "report" / "report.html").read_text())
    sources = [attributes["src"] or "" for tag, attributes in page.tags if tag == "img"]
    embedded = {base64.b64decode(source.removeprefix("data:image/png;base64,"), validate=True) for source in sources}
    assert embedded == pictures


def test_the_page_refers_to_nothing_outside_and_runs_nothing(
    make_evaluation: Callable[..., Evaluation], made: Provenance, tmp_path: Path
) -> None:
    save_report(make_evaluation(), made, tmp_path / "report")
    text = (tmp_path / "report" / "report.html").read_text()
    page = Page(text)
    assert page.open == []
    assert not {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object", "embed", "base", "form"}
    for tag, attributes in page.tags:
        loads = {name: value for name, value in attributes.items() if name in LOADING or name.startswith("on")}
        assert all((tag, name) == ("img", "src") and (value or "").startswith("data:") for name, value in loads.items())
    assert not re.search(r"url\(|@import|https?:", text)
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in page.tags


def test_the_page_says_what_was_judged_and_how(
    make_evaluation: Callable[..., Evaluation], page_of: Callable[..., Page]
) -> None:
    evaluation = make_evaluation()
    text = page_of(evaluation).text
    low, high = evaluation.clean.accuracy_interval_95
    for words in (
        "pump 1.0.0", "made up", "nano", "rsbu-cw", "4000 Hz, axes x, y, unit g, windows of 64 samples", "Held out.",
        "12 from 2 recordings in folder", f"{evaluation.clean.accuracy:.4f}", f"{low:.4f} to {high:.4f}",
        "drsn-edge evaluate pump", "2026-01-01T00:00:00+00:00", "gaussian", "block 8", "drsn-edge 0.1.0",
    ):  # fmt: skip
        assert words in text, words


def test_the_page_warns_and_says_why_something_is_missing(
    make_evaluation: Callable[..., Evaluation], page_of: Callable[..., Page]
) -> None:
    page = page_of(make_evaluation(shrinks=False), warnings=["Beware of this."])
    assert "Beware of this." in page.text and "There is no shrinkage." in page.text
    assert ("p", {"class": "warning"}) in page.tags
    assert "block 1" not in page.text


def test_names_are_text_not_markup(make_evaluation: Callable[..., Evaluation], page_of: Callable[..., Page]) -> None:
    page = page_of(make_evaluation(("<script>x</script>", "b&amp;")), source="<img src=x onerror=y>")
    assert "script" not in {tag for tag, _ in page.tags}
    assert [attributes for tag, attributes in page.tags if tag == "img" and attributes["src"] == "x"] == []
    assert "<script>x</script>, b&amp;" in page.text


def test_a_network_without_thresholds_has_no_picture_of_them(
    make_evaluation: Callable[..., Evaluation], made: Provenance, tmp_path: Path
) -> None:
    save_report(make_evaluation(shrinks=False), made, tmp_path / "report")
    assert not (tmp_path / "report" / "thresholds.png").exists()


def test_another_folder_is_not_ours(tmp_path: Path, trained_run: Path) -> None:
    assert not is_report_folder(tmp_path) and not is_report_folder(trained_run)
