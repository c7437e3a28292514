"""The docs do what they say: every command block runs, the site builds, opens from disk and asks no other host."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from html import unescape
from pathlib import Path
from urllib.parse import unquote

import pytest
from blocks import ROOT, parsed, run_page
from parallel import MadeOnce

pytestmark = pytest.mark.integration

PAGES = {
    str(path.relative_to(ROOT)): parsed(path.read_text(encoding="utf-8"))
    for path in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
}
RUN = {name for name, page in PAGES.items() if page.steps}
FROM_ANOTHER_HOST = (
    r"<(?:script|img|iframe|audio|video|source)\b[^>]*\bsrc=\"(?:https?:)?//[^\"]*",
    r"<link\b(?![^>]*rel=\"canonical\")[^>]*\bhref=\"(?:https?:)?//[^\"]*",
    r"url\([\"']?(?:https?:)?//[^)]*",
    r"@import[^;]*//[^;]*",
)
CHROMIUM = (
    "chromium",
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def check(name: str, work: Path, demo: Path | None = None) -> None:
    """Fail unless each command of a page does what the page shows."""
    for ran in run_page(ROOT / name, work, demo):
        assert ran.wrong is None, f"line {ran.command.line}: {ran.command.text}\n{ran.wrong}\nprinted:\n{ran.printed}"


@pytest.fixture(scope="module")
def demo(made_once: MadeOnce) -> Path:
    """Return the folder that the demo leaves: README runs it, and pages that are given it take a copy."""
    return made_once("readme", partial(check, "README.md")) / "page" / "drsn-edge-demo"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "docs", str(folder / "html")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    return folder / "html"


def test_the_commands_of_the_readme_do_what_it_shows(demo: Path):
    assert (demo / "demo.drsn").is_file()


# The longest page comes first, so that no other worker waits for it at the end.
@pytest.mark.parametrize("name", ["docs/tutorial.md", *sorted(RUN - {"docs/tutorial.md", "README.md"})])
def test_the_commands_of_a_page_do_what_it_shows(name: str, tmp_path: Path, request: pytest.FixtureRequest):
    check(name, tmp_path / "work", request.getfixturevalue("demo") if "demo" in PAGES[name].given else None)


def test_every_mark_of_a_page_means_something():
    assert {name: page.mistakes for name, page in PAGES.items() if page.mistakes} == {}


def test_the_tutorial_runs_as_a_whole():
    assert len(PAGES["docs/tutorial.md"].steps) >= 10
    assert PAGES["docs/tutorial.md"].left_out == {}


def test_the_site_asks_no_other_host(site: Path):
    found = {
        f"{path.relative_to(site)}: {match}"
        for path in site.rglob("*")
        if path.suffix in (".html", ".css", ".js", ".svg")
        for pattern in FROM_ANOTHER_HOST
        for match in re.findall(pattern, path.read_text(encoding="utf-8"))
    }
    assert found == set()
    assert len(list(site.rglob("*.html"))) > 30


def test_no_link_of_the_site_leads_nowhere(site: Path):
    broken = set()
    for page in site.rglob("*.html"):
        for link in re.findall(r"<a [^>]*?href=\"([^\"]*)", page.read_text(encoding="utf-8")):
            where, _, anchor = unescape(link).partition("#")
            target = page.parent / unquote(where).partition("?")[0] if where else page
            if re.match(r"https?://[a-z]", where):
                continue
            if not target.exists() or (anchor and f'id="{unquote(anchor)}"' not in target.read_text(encoding="utf-8")):
                broken.add(f"{page.relative_to(site)}: {link}")
    assert broken == set()


def test_the_search_works_from_disk(site: Path, tmp_path: Path, need: Callable[..., None]):
    need("chromium")
    command = [*CHROMIUM, f"--user-data-dir={tmp_path}", "--virtual-time-budget=8000", "--dump-dom"]
    done = subprocess.run([*command, f"{(site / 'search.html').as_uri()}?q=drsnlog"], capture_output=True, timeout=120)
    results = re.findall(r"<li[^>]*><a href=\"([^\"?#]+)", done.stdout.decode().partition('class="search"')[2])
    assert "reference/raw-log.html" in results
