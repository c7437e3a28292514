"""Draw the rooms of the project and what flows between them, as an SVG.

    python benchmarks/pictures/architecture.py --write docs/pictures/architecture.svg

The picture of docs/development/architecture.md. It fails for a room that the page does not list.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

PAGE = Path(__file__).parents[2] / "docs" / "development" / "architecture.md"
WIDTH, BOX, HEIGHT, GAP, TOP = 512, 222, 52, 26, 96
LEFT, RIGHT = 10, WIDTH - 22 - BOX
INK, LINE = "#222222", "#666666"
DRSN_EDGE, QUANTIZE, BRIDGE = "#dce9f7", "#fbe8d3", "#dff0dc"


@dataclass(frozen=True)
class Box:
    """A room, or several that work together, and what they make of what.

    Attributes:
        rooms: Their names.
        what: What comes in and what goes out.
        colour: Of the package.
    """

    rooms: tuple[str, ...]
    what: str
    colour: str = DRSN_EDGE


WORKSTATION = (
    Box(("drsn_edge.recordings",), "files → recordings"),
    Box(("drsn_edge.datasets",), "recordings → windows on two sides"),
    Box(("drsn_edge.training", "drsn_edge.models"), "windows → run folder"),
    Box(("drsn_edge.conversion",), "run folder → int8 model, checked"),
    Box(("quantize.convert",), "Keras model → int8 .tflite", QUANTIZE),
    Box(("drsn_edge.bundle",), "model, contract → signed bundle"),
    Box(("drsn_edge.gateway",), "bundle → flash, here or over ssh"),
)
GATEWAY = (
    Box(("firmware_bridge.boards",), "board and firmware → bytes", BRIDGE),
    Box(("firmware_bridge.sources",), "port, log or text → bytes", BRIDGE),
    Box(("firmware_bridge.wire",), "bytes → frames → blocks", BRIDGE),
    Box(("drsn_edge.monitor.stages",), "blocks → verdicts, alarms"),
    Box(("drsn_edge.monitor",), "results of each sensor → outputs"),
    Box(("drsn_edge.monitor.sinks",), "results → lines, history, MQTT"),
    Box(("firmware_bridge.gateway",), "two slots: trial, confirm, roll back", BRIDGE),
)
JUDGE, SINKS = 3, 5
"""Places of what judges windows, and of what takes the results, on the gateway."""
SHARED = (
    ("drsn_edge.signal", "drsn_edge.runtime", "drsn_edge.verdicts", "drsn_edge.support", "drsn_edge.errors"),
    ("quantize.engine", "quantize.tflite", "quantize.network", "quantize.targets", "quantize.training"),
)


def svg() -> str:
    rows = max(len(WORKSTATION), len(GATEWAY))
    bottom = TOP + rows * (HEIGHT + GAP)
    height = bottom + 126
    body = [*head(), *column(LEFT, WORKSTATION), *column(RIGHT, GATEWAY), *crossings(), *shared(bottom)]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
            'font-family="DejaVu Sans, Arial, sans-serif" role="img">',
            "<title>The rooms of drsn-edge, and what flows between them</title>",
            '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
            f'orient="auto"><path d="M0 0L10 5L0 10z" fill="{LINE}"/></marker></defs>',
            f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
            *body,
            "</svg>\n",
        ]
    )


def head() -> Iterator[str]:
    yield box(LEFT, 10, Box(("drsn_edge.cli",), "a command parses, calls one function, prints"), WIDTH - 32, 40)
    yield text(LEFT + BOX / 2, TOP - 16, "on the workstation", 14, bold=True)
    yield text(RIGHT + BOX / 2, TOP - 16, "on the gateway", 14, bold=True)


def column(x: float, boxes: tuple[Box, ...]) -> Iterator[str]:
    for number, each in enumerate(boxes):
        y = TOP + number * (HEIGHT + GAP)
        yield box(x, y, each, BOX, HEIGHT)
        if number + 1 < len(boxes) and not (boxes is GATEWAY and number == SINKS):
            yield arrow(x + BOX / 2, y + HEIGHT, x + BOX / 2, y + HEIGHT + GAP)


def crossings() -> Iterator[str]:
    """Yield the way of a bundle: from the workstation into a slot, and from there to what judges windows."""
    last = TOP + 6 * (HEIGHT + GAP) + HEIGHT / 2
    yield arrow(LEFT + BOX, last, RIGHT, last)
    judge, edge = TOP + JUDGE * (HEIGHT + GAP) + HEIGHT / 2, RIGHT + BOX + 14
    yield path(f"M{RIGHT + BOX} {last}L{edge} {last}L{edge} {judge}L{RIGHT + BOX + 1} {judge}")


def shared(y: float) -> Iterator[str]:
    yield text(WIDTH / 2, y + 8, "below: rooms that many others use", 14, bold=True)
    for row, (names, colour) in enumerate(zip(SHARED, (DRSN_EDGE, QUANTIZE), strict=True)):
        at = y + 20 + row * 46
        yield f'<rect x="{LEFT}" y="{at}" width="{WIDTH - 32}" height="38" rx="5" fill="{colour}" stroke="{LINE}"/>'
        package = names[0].partition(".")[0]
        yield text(LEFT + 10, at + 24, package, 13, bold=True, anchor="start")
        rest = ", ".join(name.partition(".")[2] for name in names)
        yield text(LEFT + 100, at + 24, rest, 13, anchor="start")


def box(x: float, y: float, of: Box, width: float, height: float) -> str:
    names = " + ".join([of.rooms[0], *(name.rpartition(".")[2] for name in of.rooms[1:])])
    middle = x + width / 2
    return "".join(
        [
            f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="5" fill="{of.colour}" stroke="{LINE}"/>',
            text(middle, y + height / 2 - 4, names, 13, bold=True),
            text(middle, y + height / 2 + 14, of.what, 12),
        ]
    )


def text(x: float, y: float, words: str, size: int, *, bold: bool = False, anchor: str = "middle") -> str:
    style = f'font-size="{size}" text-anchor="{anchor}" fill="{INK}"' + (' font-weight="bold"' if bold else "")
    return f'<text x="{x:g}" y="{y:g}" {style}>{escape(words)}</text>'


def arrow(x: float, y: float, to_x: float, to_y: float) -> str:
    return path(f"M{x:g} {y:g}L{to_x:g} {to_y:g}")


def path(way: str) -> str:
    return f'<path d="{way}" fill="none" stroke="{LINE}" stroke-width="1.5" marker-end="url(#head)"/>'


def drawn_rooms() -> set[str]:
    """Return the rooms that the picture names."""
    return {room for each in (*WORKSTATION, *GATEWAY) for room in each.rooms} | {room for row in SHARED for room in row}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, required=True, help="SVG")
    arguments = parser.parse_args()
    page = PAGE.read_text(encoding="utf-8")
    unknown = sorted(room for room in drawn_rooms() if f"| `{room}` |" not in page)
    if unknown:
        raise SystemExit(f"{PAGE} does not list {', '.join(unknown)}. Correct the picture's rooms in {__file__}.")
    arguments.write.write_text(svg(), encoding="utf-8")


if __name__ == "__main__":
    main()
