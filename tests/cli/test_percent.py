"""Every option that is a share takes a percent as a number, with or without its sign."""

from __future__ import annotations

import click
import pytest

from drsn_edge.cli.main import cli
from drsn_edge.cli.options import Percent, percent_of


@pytest.mark.parametrize(
    ("text", "percent"), [("1", 1), ("2.5", 2.5), ("10%", 10), ("10 %", 10), (" .5% ", 0.5), ("0", 0), ("100", 100)]
)
def test_a_percent_is_a_number_with_or_without_its_sign(text: str, percent: float) -> None:
    assert percent_of(text) == percent
    assert Percent().convert(text, None, None) == pytest.approx(percent / 100)


@pytest.mark.parametrize("text", ["", "%", "ten", "-1", "1,5", "nan", "inf", "1e1", "10 %%", "10 percent", "٣"])
def test_what_is_none_is_refused_with_examples(text: str) -> None:
    assert percent_of(text) is None
    with pytest.raises(click.BadParameter) as refused:
        Percent().convert(text, None, None)
    assert repr(text) in refused.value.message and "1, 2.5 or 10%" in refused.value.message


@pytest.mark.parametrize(
    ("kind", "text", "limit"),
    [
        (Percent(), "101", "at least 0 % and at most 100 %"),
        (Percent(1), "0.5", "at least 1 %"),
        (Percent(below=True), "100%", "less than 100 %"),
        (Percent(at_most=20), "21", "at most 20 %"),
    ],
)
def test_a_percent_must_be_in_its_range(kind: Percent, text: str, limit: str) -> None:
    with pytest.raises(click.BadParameter) as refused:
        kind.convert(text, None, None)
    assert repr(text) in refused.value.message and limit in refused.value.message


def test_a_default_is_a_percent_as_well_and_help_shows_it_as_it_is_typed() -> None:
    option = click.Option(["--wrong"], type=Percent(), default="2%", show_default=True)
    command = click.Command("any", params=[option])
    context = command.make_context("any", [])
    assert context.params == {"wrong": 0.02}
    assert "[default: 2%]" in command.get_help(context)


def test_a_share_that_was_converted_stays_as_it_is() -> None:
    assert Percent().convert(Percent().convert("7%", None, None), None, None) == pytest.approx(0.07)


def test_every_option_that_is_a_share_is_one() -> None:
    """Its help says so, or its metavar; what is typed is a percent."""
    commands = [*cli.commands.values(), *(c for g in cli.commands.values() if isinstance(g, click.Group) for c in
                                          g.commands.values())]  # fmt: skip
    options = [(c.name, o) for c in commands for o in c.params if isinstance(o, click.Option) and not o.hidden]
    found = {f"{name} {option.opts[0]}" for name, option in options if isinstance(option.type, Percent)}
    assert found >= {"tune-alarms --announced", "convert --max-drop", "convert --false-unknown"}
    for name, option in options:
        if name == "train":  # its shares belong into its file of settings, where a share is a number from 0 to 1
            continue
        says = f"{option.metavar or ''} {option.help or ''}".lower()
        is_number = isinstance(option.type, click.types.FloatParamType)
        assert not (is_number and ("share" in says or "percent" in says or "0-1" in says)), (name, option.opts)
