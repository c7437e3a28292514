"""The rooms of the project, and which way imports run between them: `make rooms`.

A room is a folder of Python files, or a file that lies in one of the three packages itself.
docs/development/architecture.md lists the rooms from the top down. An import may run down that list and never up; no
rooms and no files import each other in a circle. An import inside a function counts as any
other: it says as much about what a file needs. No command imports another one; only the group of all commands does.

    python tests/architecture/rooms.py [ROOT]

prints what was found below ROOT (default: this checkout) and ends with status 1 where something is wrong.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

PACKAGES = ("drsn_edge", "quantize", "firmware_bridge")
PAGE = Path("docs", "development", "architecture.md")
COMMANDS, GROUP = "drsn_edge.cli", "drsn_edge.cli.main"
_ROW = re.compile(r"^\| `([\w.]+)` \| (.*) \|$", re.M)

Arrows = Mapping[str, Collection[str]]


class Import(NamedTuple):
    """A module that imports another one."""

    importer: str
    imported: str


def modules(root: Path) -> dict[str, Path]:
    """Return the Python files below the packages by the names that imports give them."""
    files = [file for package in PACKAGES for file in sorted((root / package).rglob("*.py"))]
    return {_name(file.relative_to(root)): file for file in files}


def _name(file: Path) -> str:
    parts = file.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(files: Mapping[str, Path]) -> list[Import]:
    """Return every import of one of the files by another, wherever in a file it stands."""
    found = {
        Import(name, imported)
        for name, file in files.items()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        for imported in _imported(node, files)
        if imported != name
    }
    return sorted(found)


def _imported(node: ast.AST, files: Mapping[str, Path]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (each.name for each in node.names if each.name in files)
    elif isinstance(node, ast.ImportFrom) and node.module in files:
        for each in node.names:
            submodule = f"{node.module}.{each.name}"
            yield submodule if submodule in files else str(node.module)


def room_of(module: str, files: Mapping[str, Path]) -> str:
    """Return the room of a module: its folder, or itself where it lies in a package's own folder."""
    folder = module if files[module].name == "__init__.py" else module.rpartition(".")[0]
    return module if folder in PACKAGES else folder


def arrows_between(rooms: Mapping[str, str], found: Sequence[Import]) -> dict[str, set[str]]:
    """Return, for each room, those that its files import from."""
    arrows: dict[str, set[str]] = defaultdict(set)
    for importer, imported in found:
        if rooms[importer] != rooms[imported]:
            arrows[rooms[importer]].add(rooms[imported])
    return arrows


def circles(arrows: Arrows) -> list[list[str]]:
    """Return the sets of places that all reach each other (Tarjan's strongly connected components, of two or more)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(place: str) -> None:
        index[place] = low[place] = len(index)
        stack.append(place)
        for other in sorted(arrows.get(place, ())):
            if other not in index:
                visit(other)
            if other in stack:
                low[place] = min(low[place], low[other])
        if low[place] == index[place]:
            members = stack[stack.index(place) :]
            del stack[stack.index(place) :]
            if len(members) > 1:
                found.append(sorted(members))

    for place in sorted(arrows):
        if place not in index:
            visit(place)
    return found


def listed_rooms(page: str) -> dict[str, str]:
    """Return the rooms of the page with what it says of each, from the top down."""
    return dict(_ROW.findall(page))


def upward(order: Sequence[str], rooms: Mapping[str, str], found: Sequence[Import]) -> list[Import]:
    """Return the imports that run up the list of rooms."""
    height = {room: len(order) - place for place, room in enumerate(order)}
    return [
        each
        for each in found
        if height.get(rooms[each.importer], 0) < height.get(rooms[each.imported], 0)
    ]  # fmt: skip


def is_command(file: Path) -> bool:
    """Tell whether a file of the command line defines a command or a group of them."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef))
    decorators = (ast.unparse(each) for function in functions for each in function.decorator_list)
    return any(words.startswith(("click.command(", "click.group(")) for words in decorators)


def between_commands(files: Mapping[str, Path], found: Sequence[Import]) -> list[Import]:
    """Return the imports of one command by another."""
    commands = {name for name in files if name.startswith(f"{COMMANDS}.") and is_command(files[name])}
    return [each for each in found if each.importer in commands - {GROUP} and each.imported in commands]


def first_line(file: Path) -> str:
    """Return the first line of a module's docstring."""
    return (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").partition("\n")[0]


class Plan(NamedTuple):
    """What was found.

    Attributes:
        rooms: What each says of itself.
        arrows: The rooms that each imports from.
        file_circles: Files that import each other.
        room_circles: Rooms that import each other.
        upward: Imports that run up the list of docs/development/architecture.md.
        commands: Imports of one command by another.
        unlisted: Rooms that the list lacks, or has with other words.
        gone: Rooms of the list that are not there.
    """

    rooms: Mapping[str, str]
    arrows: Arrows
    file_circles: list[list[str]]
    room_circles: list[list[str]]
    upward: list[Import]
    commands: list[Import]
    unlisted: list[str]
    gone: list[str]


def survey(root: Path) -> Plan:
    """Return the plan of a checkout."""
    files = modules(root)
    found = imports(files)
    room_by_module = {module: room_of(module, files) for module in files}
    rooms = {room: first_line(files[room]) for room in sorted(set(room_by_module.values()))}
    by_file: dict[str, set[str]] = defaultdict(set)
    for importer, imported in found:
        by_file[importer].add(imported)
    arrows = arrows_between(room_by_module, found)
    page = root / PAGE
    listed = listed_rooms(page.read_text(encoding="utf-8")) if page.exists() else {}
    return Plan(
        rooms,
        arrows,
        circles(by_file),
        circles(arrows),
        upward([*listed], room_by_module, found),
        between_commands(files, found),
        [room for room, words in rooms.items() if listed.get(room) != words],
        [room for room in listed if room not in rooms],
    )


def main() -> int:
    """Print the plan; return 1 where it is broken."""
    plan = survey(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[2])
    print(f"{len(plan.rooms)} rooms, {sum(map(len, plan.arrows.values()))} arrows between them")
    found: dict[str, Sequence[str | Sequence[str]]] = {
        "circle of files": plan.file_circles,
        "circle of rooms": plan.room_circles,
        "import that runs up": plan.upward,
        "import of a command by another": plan.commands,
        "room that docs/development/architecture.md lacks or describes otherwise": plan.unlisted,
        "room of docs/development/architecture.md that is not there": plan.gone,
    }
    for what, places in found.items():
        print(f"{len(places)} x {what}")
        for place in places:
            print("   ", place if isinstance(place, str) else " -> ".join(place))
    return int(any(found.values()))


if __name__ == "__main__":
    sys.exit(main())
