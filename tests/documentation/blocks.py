"""Run the command blocks of a page of the docs, and compare what they print with what the page shows.

    python tests/documentation/blocks.py docs/tutorial.md ...

A block of commands is fenced as `console`: lines `$ command`, continued by a backslash, and below each command what it
prints. All blocks of a page run in order, in one bash and one folder. HTML comments on the line before a fence, which
readers do not see, say what is special:

    <!-- needs: data -->        the block is not run: it needs `data` (a public data set), `root` or `hardware`
    <!-- file: pump.toml -->    the block is saved under this name when the page reaches it
    <!-- exit: 1 -->            the last command ends with this status, and prints exactly what is shown
    <!-- output: exact -->      numbers are compared, too

and at the top of a page what its folder holds at first:

    <!-- given: demo -->        `drsn-edge-demo/`, as `drsn-edge demo` leaves it
    <!-- given: checkout -->    the project itself, installed in its `.venv`

Each shown line has to be among the lines that the command printed, in the order shown. Numbers, hexadecimal names and
bars may differ, but what is shown as 0 lost, damaged or restarted has to be 0; `...` stands for anything.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[2]
NEEDS = {"data", "root", "hardware"}
COMMAND_TIMEOUT_S = 400.0

_FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>`{3,}|:{3,})(?P<info>[^\n`]*)$")
_COMMENT = re.compile(r"^ *<!-- *(?P<key>needs|file|exit|output|given): *(?P<value>.*?) *-->$")
_NOTHING = r"(?:lost|times lost|damaged|overruns|restarts)\b"
_VARIES = re.compile(r"\b(?=\w*\d)[0-9a-f]{8,}\b|(?!0 " + _NOTHING + r")\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|[▁-▏█]+")


@dataclass(frozen=True)
class Command:
    """One command of a page.

    Attributes:
        text: What is typed, without the prompt.
        shown: Lines that the page shows below it.
        line: Line of the page, from 1.
        exit_status: How it has to end.
        exact: Whether all of its output is shown, numbers included.
    """

    text: str
    shown: tuple[str, ...]
    line: int
    exit_status: int = 0
    exact: bool = False


@dataclass(frozen=True)
class SavedFile:
    """A block of a page that is saved under a name."""

    name: str
    text: str
    line: int


@dataclass
class Page:
    """What a page has to run.

    Attributes:
        given: What its folder holds at first: "demo", "checkout" or nothing.
        steps: Commands and files, in the page's order.
        left_out: Number of blocks of each need that keeps them from being run.
        mistakes: Comments that mean nothing, with their line.
    """

    given: set[str] = field(default_factory=set)
    steps: list[Command | SavedFile] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)
    mistakes: list[str] = field(default_factory=list)


def parsed(text: str) -> Page:
    """Return what a page of the docs has to run."""
    page, marks = Page(), dict[str, str]()
    lines = iter(enumerate(text.splitlines(), 1))
    for number, line in lines:
        if comment := _COMMENT.match(line):
            marks[comment["key"]] = comment["value"]
            if comment["key"] == "given":
                page.given |= {marks.pop("given")}
        elif fence := _FENCE.match(line):
            _add_block(page, fence["info"].strip(), list(_body(lines, fence)), number, marks)
            marks = {}
        elif marks and line.strip():
            page.mistakes.append(f"line {number}: {marks} stands before no block")
            marks = {}
    return page


def _body(lines: Iterator[tuple[int, str]], fence: re.Match[str]) -> Iterator[str]:
    for _, line in lines:
        if line.strip() == fence["ticks"]:
            return
        yield line.removeprefix(fence["indent"])


def _add_block(page: Page, kind: str, body: list[str], line: int, marks: dict[str, str]) -> None:
    if "file" in marks:
        page.steps.append(SavedFile(marks["file"], "\n".join(body) + "\n", line))
    elif kind == "console":
        needs = {need.strip() for need in marks["needs"].split(",")} if "needs" in marks else set()
        page.mistakes.extend(f"line {line}: nothing is called {need}" for need in sorted(needs - NEEDS))
        for need in needs:
            page.left_out[need] = page.left_out.get(need, 0) + 1
        commands = [] if needs else list(_commands(body, line, marks))
        if not needs and not commands:
            page.mistakes.append(f"line {line}: no line begins with `$ `")
        page.steps.extend(commands)
    elif marks:
        page.mistakes.append(f"line {line}: {marks} stands before a block of {kind or 'text'}")


def _commands(body: list[str], line: int, marks: dict[str, str]) -> Iterator[Command]:
    starts = [at for at, text in enumerate(body) if text.startswith("$ ")]
    for start, end in itertools.pairwise([*starts, len(body)]):
        after = start + 1
        while after < end and body[after - 1].endswith("\\"):
            after += 1
        typed = "\n".join([body[start][2:], *body[start + 1 : after]])
        is_last = end == len(body)
        status = int(marks.get("exit", 0)) if is_last else 0
        shown = tuple(text for text in body[after:end] if text.strip())
        yield Command(typed, shown, line + 1 + start, status, (status != 0) or marks.get("output") == "exact")


def difference(command: Command, printed: str) -> str | None:
    """Return the first shown line that is not in what was printed, None if all are there, in their order."""
    if command.exit_status:
        wanted, got = _folded("\n".join(command.shown)), _folded(printed)
        return None if re.fullmatch(_pattern(wanted, exact=True), got) else wanted
    lines = iter(_folded(line) for line in printed.splitlines())
    for shown in command.shown:
        pattern = re.compile(_pattern(_folded(shown), exact=command.exact))
        if _folded(shown) != "..." and not any(
            pattern.fullmatch(line if command.exact else _VARIES.sub("#", line)) for line in lines
        ):
            return shown
    return None


def _folded(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def _pattern(shown: str, *, exact: bool) -> str:
    said = shown if exact else _VARIES.sub("#", shown)
    return ".*".join(re.escape(part) for part in said.split("..."))


@dataclass(frozen=True)
class Ran:
    """How a command went.

    Attributes:
        command: The command.
        printed: Its standard output and standard error.
        status: Its exit status.
        seconds: How long it took.
        wrong: What differs from the page, None if nothing does.
    """

    command: Command
    printed: str
    status: int
    seconds: float
    wrong: str | None


class _Shell:
    """One bash that takes a page's commands one by one."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._script = folder.parent / "command.sh"
        self._process = subprocess.Popen(
            ["bash", "--norc", "--noprofile"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        self._number = 0

    def run(self, text: str) -> tuple[str, int]:
        """Return what a command printed, and its status; 124 if it took too long."""
        self._number += 1
        end = f"--- end of command {self._number}, status "
        self._script.write_text(text + "\n", encoding="utf-8")
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        stdin.write(f". '{self._script}' </dev/null; printf '\\n{end}%d\\n' $?\n".encode())
        stdin.flush()
        return self._until(end.encode(), stdout)

    def _until(self, end: bytes, stdout: IO[bytes]) -> tuple[str, int]:
        read, until = b"", time.monotonic() + COMMAND_TIMEOUT_S
        while time.monotonic() < until:
            read += stdout.read() or b""
            printed, mark, status = read.partition(end)
            if mark and b"\n" in status:
                return printed.decode(errors="replace"), int(status.split(b"\n")[0])
            if self._process.poll() is not None:
                return read.decode(errors="replace"), self._process.returncode
            time.sleep(0.02)
        return read.decode(errors="replace"), 124

    def close(self) -> None:
        """End the shell and all that it started."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self._process.pid, number)
            except ProcessLookupError:
                break
            time.sleep(0.3)
        self._process.wait()


def run_page(path: Path, work: Path, demo: Path | None = None) -> Iterator[Ran]:
    """Run the commands of a page in a new folder, and yield how each went; the first that differs is the last.

    Args:
        path: The page.
        work: Empty folder to work in.
        demo: Folder that `drsn-edge demo` left, for pages that are given it.
    """
    page = parsed(path.read_text(encoding="utf-8"))
    folder = work / "page"
    folder.mkdir(parents=True)
    (work / "home").mkdir()
    binaries = Path(sys.executable).parent
    if "demo" in page.given:
        assert demo is not None, "the page is given the demo's folder"
        shutil.copytree(demo, folder / "drsn-edge-demo")
    if "checkout" in page.given:
        binaries = checkout(folder)
    shell = _Shell(folder, environment(work, binaries))
    try:
        for step in page.steps:
            if isinstance(step, SavedFile):
                (folder / step.name).parent.mkdir(parents=True, exist_ok=True)
                (folder / step.name).write_text(step.text, encoding="utf-8")
                continue
            began = time.monotonic()
            printed, status = shell.run(step.text)
            wrong = f"exit status {status}" if status != step.exit_status else difference(step, printed)
            yield Ran(step, printed, status, time.monotonic() - began, wrong)
            if wrong is not None:
                return
    finally:
        shell.close()


def environment(work: Path, binaries: Path) -> dict[str, str]:
    """Return the environment of a page: nothing of the user's own, a terminal of 80 columns."""
    kept = {name: os.environ[name] for name in ("PYTHONPATH", "LANG", "TMPDIR") if name in os.environ}
    return kept | {
        "PATH": f"{binaries}:{os.environ['PATH']}",
        "HOME": str(work / "home"),
        "DRSN_EDGE_STATE": str(work / "state"),
        "DRSN_EDGE_TRUST": str(work / "trusted"),
        "LC_ALL": "C.UTF-8",
        "COLUMNS": "80",
        "TERM": "dumb",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }


def checkout(folder: Path) -> Path:
    """Make a folder a copy of this project, installed in a `.venv` that borrows this environment's packages.

    Returns:
        The folder of the environment's programs.
    """
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in listed.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    venv.create(folder / ".venv", symlinks=True)
    binaries = folder / ".venv" / "bin"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    borrowed = folder / ".venv" / "lib" / version / "site-packages" / "borrowed.pth"
    borrowed.write_text(f"{folder}\n{sysconfig.get_path('purelib')}\n{sysconfig.get_path('platlib')}\n")
    program = binaries / "drsn-edge"
    program.write_text(f"#!{binaries / 'python'}\nfrom drsn_edge.cli.main import main\n\nmain()\n")
    program.chmod(0o755)
    for name in ("train", "dev", "docs"):
        (folder / ".venv" / f"{name}.stamp").touch()
    return binaries


def demo_folder(work: Path) -> Path:
    """Run the demo as fast as it goes, and return the folder that it leaves."""
    work.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "drsn_edge.cli.main", "demo", "--speed", "0"]
    subprocess.run(command, cwd=work, check=True, capture_output=True, timeout=600)
    return work / "drsn-edge-demo"


def main() -> int:
    """Run the pages that are named, and return 1 if one differs."""
    work = Path(tempfile.mkdtemp(prefix="docs-"))
    status, demo = 0, None
    for number, name in enumerate(sys.argv[1:]):
        page = parsed(Path(name).read_text(encoding="utf-8"))
        for mistake in page.mistakes:
            print(f"{name}, {mistake}")
            status = 1
        if "demo" in page.given and demo is None:
            demo = demo_folder(work)
        began = time.monotonic()
        for ran in run_page(Path(name), work / str(number), demo):
            print(f"{name}:{ran.command.line}: {ran.seconds:6.1f} s  $ {ran.command.text.splitlines()[0]}", flush=True)
            if ran.wrong is not None:
                print(f"  differs: {ran.wrong}\n  printed:\n{ran.printed.rstrip()}")
                status = 1
        print(f"{name}: {time.monotonic() - began:.1f} s, left out: {page.left_out or 'nothing'}")
    shutil.rmtree(work, ignore_errors=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
