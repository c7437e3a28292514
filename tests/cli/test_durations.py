"""Every option that is a duration takes a number of seconds, or one with a unit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import click
import pytest

from drsn_edge.cli.main import cli
from drsn_edge.cli.options import Duration
from drsn_edge.support.durations import duration_s

Run = Callable[..., Any]


def options(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Option]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from options(command, (*path, name))
        else:
            yield from (((*path, name), each) for each in command.params if isinstance(each, click.Option))


DURATIONS = [(path, option) for path, option in options(cli) if isinstance(option.type, Duration)]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10s", 10), ("10", 10), ("0.5", 0.5), ("200ms", 0.2), ("10 min", 600), ("5m", 300), ("1.5h", 5400),
        ("7d", 604_800), ("4w", 2_419_200), (".5s", 0.5), (" 3s ", 3),
    ],
)  # fmt: skip
def test_a_duration_is_a_number_with_a_unit_or_of_seconds(text: str, seconds: float) -> None:
    assert duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "s", "ten", "-1s", "1,5s", "nan", "inf", "1e3", "10 s s", "10 sec onds", "٣s"])
def test_what_is_none_is_refused(text: str) -> None:
    assert duration_s(text) is None


def test_every_option_that_is_a_duration_is_one() -> None:
    found = {f"{' '.join(path)} {option.opts[-1]}" for path, option in DURATIONS}
    assert found >= {
        "monitor --duration", "monitor --trial", "monitor --latency", "record --duration", "learn --duration",
        "simulate --duration", "ports --timeout", "flash --confirmed-within", "convert --latency",
        "tune-alarms --cut", "history --since", "history --every",
    }  # fmt: skip
    for path, option in options(cli):
        words = f"{option.metavar or ''} {option.help or ''}".lower()
        assert "seconds" not in words or isinstance(option.type, Duration), (path, option.opts)


@pytest.mark.parametrize(
    ("path", "option"), DURATIONS, ids=lambda each: each.opts[-1] if isinstance(each, click.Option) else " ".join(each)
)
def test_units_are_taken_and_other_texts_are_refused_with_examples(
    run: Run, path: tuple[str, ...], option: click.Option
) -> None:
    context = click.Context(click.Command("any"))
    assert option.type.convert("2s", option, context) == 2
    assert option.type.convert("0.04 min", option, context) == 2.4
    done = run(*path, option.opts[-1], "soon")
    assert done.code == 2 and option.opts[-1] in done.err and "10s" in done.err and "min" in done.err


def test_a_duration_must_be_in_its_range() -> None:
    for kind, text in ((Duration(positive=True), "0"), (Duration(0.1), "50ms"), (Duration(), "99999999w")):
        with pytest.raises(click.BadParameter) as refused:
            kind.convert(text, None, None)
        assert repr(text) in refused.value.message and duration_s(text) is not None
