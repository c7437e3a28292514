"""The runner of the docs' commands: what it runs, what it leaves out, and that it notices what differs."""

from __future__ import annotations

from pathlib import Path

import pytest
from blocks import Command, SavedFile, difference, parsed, run_page

PAGE = """
# A page

<!-- file: folder/pump.toml -->
```toml
rate = 3
```

```console
$ cat folder/pump.toml
rate = 3
$ echo one; echo "two \\
three"
one
...
```

<!-- needs: root -->
```console
$ rm -rf /
```

<!-- exit: 3 -->
```console
$ (echo "Error: no"; exit 3)
Error: no
```
"""


def test_a_page_is_read_as_commands_and_files():
    page = parsed(PAGE)
    assert page.mistakes == []
    assert page.left_out == {"root": 1}
    assert page.steps == [
        SavedFile("folder/pump.toml", "rate = 3\n", 5),
        Command("cat folder/pump.toml", ("rate = 3",), 10),
        Command('echo one; echo "two \\\nthree"', ("one", "..."), 12),
        Command('(echo "Error: no"; exit 3)', ("Error: no",), 25, 3, True),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "<!-- needs: luck -->\n```console\n$ true\n```\n",
        "<!-- exit: 1 -->\nwords\n",
        "<!-- exit: 1 -->\n```toml\na = 1\n```\n",
        "```console\nno prompt\n```\n",
    ],
)
def test_a_mark_that_means_nothing_is_a_mistake(text: str):
    assert len(parsed(text).mistakes) == 1


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        (("samples 57600 received",), "samples   57601 received\n"),
        (("a", "...", "c"), "a\nb\nc\n"),
        (("40 received, 10 lost",), "44 received, 20 lost\n"),
        (("wrote run (... kB)",), "first\nwrote run (166.8 kB)\n"),
        (("runs pump 59b9517e4e08",), "runs pump a668e8bc6e23\n"),
        (("healthy ███▇ 65.5%",), "healthy ▁▇█ 3%\n"),
    ],
)
def test_numbers_and_what_is_left_out_may_differ(shown: tuple[str, ...], printed: str):
    assert difference(Command("x", shown, 1), printed) is None


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        (("samples 5 lost",), "samples 5 received\n"),
        (("57600 received, 0 lost",), "57600 received, 5 lost\n"),
        (("57600 received, 5 lost",), "57600 received, 0 lost\n"),
        (("b", "a"), "a\nb\n"),
        (("a", "a"), "a\n"),
        (("words",), ""),
    ],
)
def test_other_words_and_another_order_differ(shown: tuple[str, ...], printed: str):
    assert difference(Command("x", shown, 1), printed) in shown


def test_a_wrong_call_prints_exactly_what_is_shown():
    command = Command("x", ("Error: no 5,", "at all."), 1, 1, True)
    assert difference(command, "Error: no 5, at all.\n") is None
    assert difference(command, "Error: no 6, at all.\n") is not None
    assert difference(command, "Error: no 5, at all.\nmore\n") is not None


def test_a_page_runs_in_one_folder_and_ends_what_it_started(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text(PAGE.replace("$ cat", "$ sleep 100 &\n$ export A=5\n$ cat"))
    ran = list(run_page(page, tmp_path / "work"))
    assert [each.wrong for each in ran] == [None] * 5
    assert [each.status for each in ran] == [0, 0, 0, 0, 3]


@pytest.mark.parametrize(
    ("block", "wrong"),
    [
        ("```console\n$ echo a\nb\n$ echo never\n```", "b"),
        ("```console\n$ exit 4\n```", "exit status 4"),
        ("```console\n$ false\n```", "exit status 1"),
        ("<!-- exit: 1 -->\n```console\n$ true\n```", "exit status 0"),
        ("<!-- output: exact -->\n```console\n$ echo 5\n6\n```", "6"),
    ],
)
def test_the_first_difference_ends_the_page(tmp_path: Path, block: str, wrong: str):
    page = tmp_path / "page.md"
    page.write_text(block + "\n")
    ran = list(run_page(page, tmp_path / "work"))
    assert [each.wrong for each in ran] == [wrong]
