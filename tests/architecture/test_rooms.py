"""Imports run one way between the rooms; what would break that is found."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import rooms

ROOT = Path(__file__).parents[2]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a copy of all sources, to plant something in."""
    for package in rooms.PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__", "firmware"))
    (tmp_path / rooms.PAGE).parent.mkdir(parents=True)
    shutil.copy(ROOT / rooms.PAGE, tmp_path / rooms.PAGE)
    return tmp_path


def plant(root: Path, module: str, line: str) -> None:
    file = root / f"{module.replace('.', '/')}.py"
    file.write_text(f"{file.read_text(encoding='utf-8')}\n{line}\n", encoding="utf-8")


def test_imports_run_down_and_the_page_lists_every_room() -> None:
    plan = rooms.survey(ROOT)
    assert (plan.file_circles, plan.room_circles, plan.upward, plan.unlisted, plan.gone) == ([], [], [], [], [])
    assert plan.commands == []


def test_an_import_of_a_room_above_is_found(copy: Path) -> None:
    plant(copy, "drsn_edge.signal.units", "def late():\n    from drsn_edge.cli.main import main  # noqa")
    plan = rooms.survey(copy)
    assert plan.upward == [rooms.Import("drsn_edge.signal.units", "drsn_edge.cli.main")]
    assert any({"drsn_edge.cli", "drsn_edge.signal"} <= set(circle) for circle in plan.room_circles)


def test_a_package_that_learns_of_drsn_edge_is_found(copy: Path) -> None:
    plant(copy, "firmware_bridge.wire.cobs", "from drsn_edge import __version__")
    assert rooms.survey(copy).upward == [rooms.Import("firmware_bridge.wire.cobs", "drsn_edge")]


def test_a_circle_of_two_files_of_one_room_is_found(copy: Path) -> None:
    plant(copy, "drsn_edge.signal.windows", "import drsn_edge.signal.network_input")
    plan = rooms.survey(copy)
    assert any({"drsn_edge.signal.windows", "drsn_edge.signal.network_input"} <= set(c) for c in plan.file_circles)
    assert plan.room_circles == []


def test_a_command_that_imports_another_one_is_found(copy: Path) -> None:
    plant(copy, "drsn_edge.cli.ports", "def late():\n    from drsn_edge.cli.sensor import sensor  # noqa")
    assert rooms.survey(copy).commands == [rooms.Import("drsn_edge.cli.ports", "drsn_edge.cli.sensor")]


def test_a_room_that_the_page_lacks_is_found(copy: Path) -> None:
    (copy / "drsn_edge" / "attic").mkdir()
    (copy / "drsn_edge" / "attic" / "__init__.py").write_text('"""Dust in, dust out."""\n')
    assert rooms.survey(copy).unlisted == ["drsn_edge.attic"]
