"""Every link between the project's documents leads to a file, and every anchor to a heading of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\]\((?P<file>[^)\s#]*)(?:#(?P<anchor>[^)\s]*))?\)")
ABSOLUTE = re.compile(r"[a-z]+:", re.ASCII)


def documents() -> list[Path]:
    folders = ("docs", "firmware_bridge", "examples", "benchmarks", "drsn_edge", "quantize")
    found = [*ROOT.glob("*.md"), *(page for folder in folders for page in (ROOT / folder).rglob("*.md"))]
    return sorted(page for page in found if "node_modules" not in page.parts)


def prose(text: str) -> str:
    """Return a document without its blocks of code, whose brackets are no links, and without code in lines."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^ *(`{3,}).*?^ *\1", "", text, flags=re.DOTALL | re.MULTILINE))


def anchors(text: str) -> set[str]:
    """Return the anchors of a document's headings, as GitHub and the site make them."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ +(.+?) *$", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.M), re.M):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        number = 0
        while (unique := f"{slug}-{number}" if number else slug) in found:
            number += 1
        found.add(unique)
    return found | set(re.findall(r"^\(([\w-]+)\)=$", text, re.M))


def broken(page: Path) -> Iterator[str]:
    for link in LINK.finditer(prose(page.read_text(encoding="utf-8"))):
        if ABSOLUTE.match(link["file"]):
            continue
        target = page.parent / link["file"] if link["file"] else page
        if not target.exists():
            yield f"{link[0]}: no such file"
        elif link["anchor"] and target.suffix == ".md":
            text = target.read_text(encoding="utf-8")
            included = re.findall(r"^```\{include\} (\S+)", text, re.M)
            texts = [text, *((target.parent / name).read_text(encoding="utf-8") for name in included)]
            if link["anchor"] not in set().union(*map(anchors, texts)):
                yield f"{link[0]}: no such heading"


@pytest.mark.parametrize("page", documents(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_anchors_lead_somewhere(page: Path):
    assert list(broken(page)) == []


def test_a_broken_link_is_found(tmp_path: Path):
    (tmp_path / "other.md").write_text("# A heading (2 %)\n")
    page = tmp_path / "page.md"
    page.write_text("[a](other.md#a-heading-2-) [b](other.md#no) [c](gone.md) [d](https://x.y) `[e](f)` [g](#h)\n# G\n")
    assert [line.partition(":")[0] for line in broken(page)] == ["](other.md#no)", "](gone.md)", "](#h)"]
