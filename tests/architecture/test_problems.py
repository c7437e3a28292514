"""Every error of the three packages is built with the name of its problem; one without it is found."""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
import rooms

ROOT = Path(__file__).parents[2]
ROOTS = {
    ("drsn_edge.errors", "DrsnEdgeError"),
    ("drsn_edge.support.invalid", "InvalidValueError"),
    ("firmware_bridge.errors", "FirmwareBridgeError"),
    ("quantize.errors", "QuantizeError"),
}
SAYS_IT_ALL = {
    "UnsignedError": "a bundle has a signature or none",
    "UntrustedKeyError": "a key is trusted or not",
    "VersionFloorError": "a version is below the floor or not",
    "StoreBusyError": "another process holds the one lock",
    "PortPermissionError": "the system refuses the port to this user",
    "PortBusyError": "another program holds the port",
    "UnknownCommandError": "an opcode is known or not",
}
"""Classes of a single problem, and what that is."""
IMPORTS = "from drsn_edge.errors import DrsnEdgeError, SplitError"
_SNAKE_CASE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")

Name = tuple[str, str]
"""A module, and a name in it."""


class Wrong(NamedTuple):
    """An error that is built or raised without a problem's name."""

    module: str
    line: int
    error: str


def names_in(module: str, tree: ast.Module) -> dict[str, Name]:
    """Return where the names come from that a module imports or defines as classes."""
    found: dict[str, Name] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {each.asname or each.name: (node.module, each.name) for each in node.names}
        elif isinstance(node, ast.ClassDef):
            found[node.name] = (module, node.name)
    return found


def own_errors(trees: Mapping[str, ast.Module], names: Mapping[str, Mapping[str, Name]]) -> set[Name]:
    """Return the classes of errors: the roots, and everything below them."""
    bases = {
        (module, node.name): {names[module].get(ast.unparse(base)) for base in node.bases}
        for module, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    found = set(ROOTS)
    while below := {name for name, of in bases.items() if of & found} - found:
        found |= below
    return found


def passed_classes(tree: ast.Module, classes: set[str]) -> set[str]:
    """Return the parameters and fields that hold a class of errors: `error: type[DrsnEdgeError]`."""
    return {
        node.arg if isinstance(node, ast.arg) else ast.unparse(node.target)
        for node in ast.walk(tree)
        if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation is not None
        if (text := ast.unparse(node.annotation)).startswith("type[") and set(re.findall(r"\w+", text)) & classes
    }


def is_named(call: ast.Call) -> bool:
    """Return whether the second argument is a problem: a text in snake_case, or one that is passed on."""
    return len(call.args) > 1 and not isinstance(call.args[0], ast.Starred) and _is_problem(call.args[1])


def _is_problem(node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str) and _SNAKE_CASE.fullmatch(node.value) is not None
    if isinstance(node, ast.IfExp):
        return _is_problem(node.body) and _is_problem(node.orelse)
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    return name == "problem"


def unnamed(root: Path) -> Iterator[Wrong]:
    """Yield every error below a root that is built or raised without the name of its problem."""
    trees = {name: ast.parse(file.read_text(encoding="utf-8")) for name, file in rooms.modules(root).items()}
    names = {module: names_in(module, tree) for module, tree in trees.items()}
    own = own_errors(trees, names)
    for module, tree in trees.items():
        classes = {name for name, origin in names[module].items() if origin in own}
        built = classes | passed_classes(tree, classes)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _last_name(node.func) in built and not is_named(node):
                yield Wrong(module, node.lineno, _last_name(node.func))
            elif isinstance(node, ast.Raise) and _last_name(node.exc) in classes:
                yield Wrong(module, node.lineno, _last_name(node.exc))


def _last_name(node: ast.expr | None) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


@pytest.fixture
def planted(tmp_path: Path) -> Callable[[str], list[str]]:
    """Return what finds the errors without a problem in a module that consists of some lines."""
    for module in {module for module, _ in ROOTS}:
        file = Path(*module.split(".")).with_suffix(".py")
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, tmp_path / file)

    def find(lines: str) -> list[str]:
        (tmp_path / "drsn_edge" / "planted.py").write_text(f"{IMPORTS}\n{lines}\n", encoding="utf-8")
        return [wrong.error for wrong in unnamed(tmp_path)]

    return find


def test_every_error_names_its_problem_unless_its_class_says_it_all() -> None:
    found = list(unnamed(ROOT))
    assert [wrong for wrong in found if wrong.error not in SAYS_IT_ALL] == []
    assert {wrong.error for wrong in found} == set(SAYS_IT_ALL), "the list names a class whose errors name problems"


@pytest.mark.parametrize(
    "line",
    [
        'raise SplitError("The hold-out set is empty.")',
        'raise SplitError("The hold-out set is empty.", path="a.csv")',
        'raise SplitError("The hold-out set is empty.", "")',
        'raise SplitError("The hold-out set is empty.", "Empty side")',
        'raise SplitError("The hold-out set is empty.", f"empty_{side}")',
        'raise SplitError("The hold-out set is empty.", "empty_side" if side else "Empty")',
        'raise SplitError("The hold-out set is empty.", side)',
        "raise SplitError",
        "raise SplitError from None",
        "def late():\n    error = SplitError(words)\n    raise error",
        "def late(error: type[DrsnEdgeError]):\n    raise error(words)",
        "class EmptyError(SplitError):\n    pass\nraise EmptyError(words)",
    ],
)
def test_an_error_without_the_name_of_a_problem_is_found(planted: Callable[[str], list[str]], line: str) -> None:
    assert len(planted(line)) == 1


@pytest.mark.parametrize(
    "line",
    [
        'raise SplitError("The hold-out set is empty.", "empty_side", side="hold-out") from exc',
        'raise SplitError(words, "empty_side" if side else "no_groups")',
        "raise SplitError(words, exc.problem, **exc.facts)",
        "raise SplitError(words, problem)",
        "def late(error: type[DrsnEdgeError]):\n    raise error(words, 'empty_side')",
        "raise ValueError(words)",
        "class SplitError(ValueError):\n    pass\nraise SplitError(words)",
        "raise",
        "raise error",
    ],
)
def test_a_named_or_a_foreign_error_is_none(planted: Callable[[str], list[str]], line: str) -> None:
    assert planted(line) == []
