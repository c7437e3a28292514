"""No option is ever ignored: each is declared, and is either refused or changes what the command does."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import pytest
from refusals import expect, failure_of

import drsn_edge.inspection.model_file
import drsn_edge.monitor.assembly  # noqa: F401  # both take names of their own before a test replaces those names
from drsn_edge.cli.main import cli
from drsn_edge.cli.modes import USES, flags_of, options_of
from drsn_edge.cli.options import Duration, refuse_renamed
from drsn_edge.errors import SettingsError, TrainingError
from drsn_edge.support.uses import Uses, why_unused

Run = Callable[..., Any]
GROUPS = {name: command for name, command in cli.commands.items() if isinstance(command, click.Group)}
COMMANDS = {
    **{name: command for name, command in cli.commands.items() if name not in GROUPS},
    **{f"{name} {inner}": command for name, group in GROUPS.items() for inner, command in group.commands.items()},
}


# --- declarations ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(COMMANDS))
def test_every_option_of_every_command_is_declared(path: str) -> None:
    declared = USES.get(path)
    assert declared is not None, f"{path} has no table in drsn_edge/cli/modes.py"
    for option in set(options_of(COMMANDS[path]).values()):
        assert set(flags_of(option)) & set(declared), f"{path} {flags_of(option)} is not in its table"
    assert set(declared) <= set(options_of(COMMANDS[path])), "the table names options that are not there"


@pytest.mark.parametrize("path", sorted(USES))
def test_conditions_name_options_of_the_command(path: str) -> None:
    known = {flag for each in COMMANDS[path].params if isinstance(each, click.Option) for flag in flags_of(each)}
    for uses in USES[path].values():
        for condition in (*uses.needs, *uses.never):
            assert re.split("[=~]", condition)[0] in known, condition


@pytest.mark.parametrize(
    ("uses", "values", "words"),
    [
        (Uses(), {}, None),
        (Uses(needs=("--a",)), {}, "without --a"),
        (Uses(needs=("--a", "--b=c")), {"--b": "c"}, None),
        (Uses(needs=("--a", "--b=c")), {"--b": "d"}, "without --a or --b c"),
        (Uses(never=("--a",)), {"--a": 0}, "with --a"),
        (Uses(never=("--a~x",)), {"--a": ("x1", "2x")}, "with --a x..."),
        (Uses(never=("--a~x",)), {"--a": ("x1", "2")}, None),
        (Uses(never=("--a",)), {"--a": ()}, None),
    ],
)
def test_what_keeps_an_option_from_counting(uses: Uses, values: dict[str, Any], words: str | None) -> None:
    why = why_unused(uses, values.get)
    assert (why is None) == (words is None) and (words or "") in (why or "")


def test_an_option_that_was_renamed_answers_with_its_new_name(run: Run) -> None:
    done = run("monitor", "--fleet", "plant.toml")
    assert done.code == 2 and "--fleet" in done.err and "--sensors plant.toml" in done.err
    timed = run("convert", "run", "--out", "a.drsn", "--budget-ms", "40")
    assert timed.code == 2 and "--latency 40ms" in timed.err
    cut = run("tune-alarms", "recordings", "--model", "a.drsn", "--trial", "100")
    assert cut.code == 2 and "--trial" in cut.err and "--cut 100" in cut.err


def test_a_command_that_was_renamed_answers_with_its_new_name() -> None:
    context = click.Context(click.Group("tool"), info_name="tool")
    refuse_renamed(context, ["begin", "--old"], {"old": "new"})
    with pytest.raises(click.UsageError) as told:
        refuse_renamed(context, ["old", "--port", "/dev/my port"], {"old": "new"})
    assert told.value.exit_code == 2 and "tool new --port '/dev/my port'" in told.value.message


@pytest.mark.parametrize(("old", "new"), [("baseline", "learn"), ("calibrate", "tune-alarms")])
def test_the_command_line_knows_what_was_renamed(run: Run, old: str, new: str) -> None:
    done = run(old, "--model", "pump.drsn", "--help")
    assert done.code == 2 and f"`{old}`" in done.err and f"drsn-edge {new} --model pump.drsn" in done.err
    assert old not in cli.commands and new in cli.commands


# --- every pair of option and mode -----------------------------------------------------------------------------------

SENSORS = '[[sensor]]\nmachine = "a"\nport = "/dev/a"\n[[sensor]]\nmachine = "b"\nport = "/dev/b"\n'
MODES: dict[str, dict[str, list[str]]] = {
    "monitor": {
        "port": ["--port", "/dev/p", "--model", "m.drsn"],
        "ports": ["--port", "/dev/p", "--port", "/dev/q", "--model", "m.drsn"],
        "socket": ["--port", "socket://127.0.0.1:5", "--model", "m.drsn"],
        "replay": ["--replay", "r.drsnlog", "--model", "m.drsn"],
        "sensors": ["--sensors", "sensors.toml", "--model", "m.drsn"],
        "followed": ["--port", "/dev/p"],
        "sensors followed": ["--sensors", "sensors.toml"],
    },
    "simulate": {
        "recording": ["--recording", "r.npz", "--link", "l"],
        "condition": ["--condition", "healthy", "--link", "l"],
        "listen": ["--recording", "r.npz", "--listen", ":0"],
    },
    "flash": {"one": ["m.drsn", "--to", "local"], "fleet": ["m.drsn", "--fleet", "f.toml"]},
    "record": {
        "port": ["--port", "/dev/p", "--out", "o"],
        "socket": ["--port", "socket://127.0.0.1:5", "--out", "o"],
        "text": ["--port", "/dev/p", "--out", "o", "--text-unit", "g", "--text-range", "2"],
    },
    "learn": {
        "port": ["--port", "/dev/p", "--model", "m.drsn"],
        "replay": ["--replay", "r.drsnlog", "--model", "m.drsn"],
        "show": ["--show", "--model", "m.drsn"],
        "remove": ["--remove", "--model", "m.drsn"],
        "out": ["--port", "/dev/p", "--out", "new.drsn"],
        "out of logs": ["--replay", "r.drsnlog", "--out", "new.drsn"],
        "install": ["--port", "/dev/p", "--install"],
        "show installed": ["--show", "--install"],
        "remove installed": ["--remove", "--install"],
    },
}
VALUES: dict[str, list[str]] = {
    "--port": ["--port", "/dev/other"],
    "--model": ["--model", "other.drsn"],
    "--sensors": ["--sensors", "others.toml"],
    "--replay": ["--replay", "other.drsnlog"],
    "--baud": ["--baud", "9600"],
    "--text-unit": ["--text-unit", "g", "--text-range", "3"],
    "--text-range": ["--text-range", "4"],
    "--text-scale": ["--text-scale", "0.5"],
    "--text-axes": ["--text-axes", "a,b"],
    "--votes": ["--votes", "4/6"],
    "--false-unknown": ["--false-unknown", "2"],
    "--at-most-wrong": ["--at-most-wrong", "2"],
    "--runtime": ["--runtime", "numpy"],
    "--fallback": ["--fallback", "cpu"],
    "--latency": ["--latency", "70ms"],
    "--metrics": ["--metrics", "0"],
    "--mqtt": ["--mqtt", "mqtt://127.0.0.1"],
    "--mqtt-topics": ["--mqtt-topics", "homeassistant"],
    "--condition": ["--condition", "ball"],
    "--recording": ["--recording", "other.npz"],
    "--listen": ["--listen", ":1"],
    "--noise": ["--noise", "pink"],
    "--fault": ["--fault", "flip 1e-5"],
    "--faults": ["--faults", "script"],
    "--truth": ["--truth", "truth"],
}
COMPANIONS = {
    "--text-range": ["--text-unit", "g"],
    "--text-scale": ["--text-unit", "g", "--text-range", "2"],
    "--text-axes": ["--text-unit", "g", "--text-range", "2"],
    "--keep-days": ["--history", "h.sqlite"],
    "--mqtt-topics": ["--mqtt", "mqtts://127.0.0.1"],
    "--mqtt-ca": ["--mqtt", "mqtts://127.0.0.1"],
    "--mqtt-cert": ["--mqtt", "mqtts://127.0.0.1", "--mqtt-key", "client.pem"],
    "--mqtt-key": ["--mqtt", "mqtts://127.0.0.1", "--mqtt-cert", "client.pem"],
    "--mqtt-client-id": ["--mqtt", "mqtt://127.0.0.1"],
    "--mqtt-gateway": ["--mqtt", "mqtt://127.0.0.1"],
    "--fallback": ["--runtime", "edgetpu"],
    "--noise": ["--snr-db", "3"],
    "--seed": ["--snr-db", "3"],
}
"""What an option needs beside it in the modes where it counts."""


def typed(path: str, flag: str) -> list[str]:
    """Return an option with a value that is not its default."""
    if flag in VALUES:
        return VALUES[flag]
    option = options_of(COMMANDS[path])[flag]
    if option.is_flag:
        return [flag]
    kind = option.type
    if isinstance(kind, click.types.IntParamType | click.types.FloatParamType | Duration):
        return [flag, "7"]
    if isinstance(kind, click.Choice):
        return [flag, str(kind.choices[-1])]
    return [flag, "7" if "duration" in flag or "days" in flag else "other"]


PAIRS = [
    (path, mode, flag)
    for path, found in MODES.items()
    for mode in found
    for flag in sorted(USES[path])
    if not (flag in found[mode] and options_of(COMMANDS[path])[flag].is_flag)  # that is the mode
]


@pytest.fixture
def assembled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> Callable[..., tuple[Any, Any]]:
    """Return what runs a command up to where it would begin to work: what it printed, and what it was about to do."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sensors.toml").write_text(SENSORS)
    (tmp_path / "others.toml").write_text(SENSORS.replace("/dev/a", "/dev/c"))
    (tmp_path / "f.toml").write_text("[[gateway]]\naddress = 'file:a'\n")
    (tmp_path / "script").write_text("flip 1e-6\n")
    taken: list[Any] = []

    def take(*values: Any, **named: Any) -> Any:
        taken.append((values, {name: value for name, value in named.items() if not callable(value)}))
        raise click.exceptions.Exit(0)

    def keep(*values: Any, **named: Any) -> Any:
        taken.append((values, named))
        return Anything(take)

    def open_source(make: Callable[[Any], Any], *values: Any, **named: Any) -> None:
        taken.append((values, named))
        with suppress(Exception):
            make(None)
        raise click.exceptions.Exit(0)

    monkeypatch.setattr("drsn_edge.cli.monitor._run", take)
    monkeypatch.setattr("drsn_edge.monitor.mqtt_check.tls_context", lambda *_: None)  # it would read certificates
    monkeypatch.setattr("drsn_edge.cli.stopping.stop_on_signal", keep)
    monkeypatch.setattr("drsn_edge.recordings.loading.load.load_recording", keep)
    monkeypatch.setattr("drsn_edge.simulation.virtual_sensor.simulated_recording", keep)
    monkeypatch.setattr("drsn_edge.cli.simulate._injector", keep)
    monkeypatch.setattr("drsn_edge.simulation.virtual_sensor.virtual_sensor", take)
    monkeypatch.setattr("drsn_edge.recordings.recorder.record_source", open_source)
    monkeypatch.setattr("drsn_edge.recordings.recorder.LogKeeper", keep)
    monkeypatch.setattr("drsn_edge.recordings.recorder.log_name", lambda: "now")
    monkeypatch.setattr("firmware_bridge.sources.serial_port.SerialSource", take)
    monkeypatch.setattr("firmware_bridge.sources.text.TextSource", take)
    monkeypatch.setattr("drsn_edge.bundle.bundle.read_bundle", keep)
    monkeypatch.setattr("drsn_edge.bundle.bundle.bundle_to_bytes", lambda _: b"")
    monkeypatch.setattr("drsn_edge.cli.flash._flash_fleet", take)
    monkeypatch.setattr("drsn_edge.cli.flash.reached", keep)
    monkeypatch.setattr("drsn_edge.monitor.stages.learned.novelty_to_extend", keep)
    monkeypatch.setattr("drsn_edge.monitor.stages.learned.load", take)
    monkeypatch.setattr("drsn_edge.monitor.stages.learned.path_of", take)
    monkeypatch.setattr("drsn_edge.monitor.stages.learned.healthy_label", keep)
    monkeypatch.setattr("drsn_edge.cli.learn._listen", take)
    monkeypatch.setattr("drsn_edge.cli.learn.learn_bundle", take)
    monkeypatch.setattr("drsn_edge.cli.learn._see_installed", take)

    def call(*arguments: str) -> tuple[Any, Any]:
        taken.clear()
        done = run(*arguments)
        return done, re.sub(r" at 0x[0-9a-f]+", "", repr(taken))

    return call


class Anything:
    """Stands for whatever a command works with; a gateway takes what it is flashed with."""

    def __init__(self, take: Callable[..., Any]) -> None:
        self.flash = take

    def __getattr__(self, name: str) -> Any:
        return Anything(self.flash)

    def __call__(self, *values: Any, **named: Any) -> Any:
        return Anything(self.flash)

    def __getitem__(self, index: int) -> Any:
        return Anything(self.flash)

    def __enter__(self) -> Any:
        return Anything(self.flash)

    def __exit__(self, *_: Any) -> None:
        return None

    def __repr__(self) -> str:
        return "anything"


@pytest.mark.parametrize(("path", "mode", "flag"), PAIRS)
def test_an_option_is_refused_or_changes_what_is_done(
    assembled: Callable[..., tuple[Any, Any]], path: str, mode: str, flag: str
) -> None:
    base = [*path.split(), *MODES[path][mode]]
    option, beside = typed(path, flag), [flag]
    before, plain = assembled(*base)
    assert before.code == 0 and plain != "[]", before
    after, changed = assembled(*base, *option)
    if after.code == 2 and flag in COMPANIONS:
        assert flag in after.err, after
        beside += [each for each in COMPANIONS[flag] if each.startswith("--")]
        base += [] if set(beside[1:]) & set(base) else COMPANIONS[flag]
        before, plain = assembled(*base)
        after, changed = assembled(*base, *option)
    if after.code == 2:
        named = re.findall(r"--[a-z-]+", after.err.splitlines()[-1])
        wrong = f"{flag} was refused for its value? Then VALUES lacks one that is taken. {after}"
        assert set(beside) & set(named) and len(set(named)) > 1, wrong
    else:
        assert changed != plain or after.code != before.code, "it changes nothing"


# --- a file of sensors and what is typed beside it -------------------------------------------------------------------

FILE = """model = "top.drsn"
rpm = 1000.0
[[sensor]]
machine = "a"
port = "/dev/a"
rpm = 1.0
[[sensor]]
machine = "b"
port = "/dev/b"
"""


def planned(monkeypatch: pytest.MonkeyPatch, run: Run, *arguments: Any) -> dict[str, Any]:
    plans: list[Any] = []
    monkeypatch.setattr("drsn_edge.cli.monitor._run", plans.append)
    done = run("monitor", *arguments)
    assert done.code == 0, done
    return {each.machine: each for each in plans[0].plan.sensors}


def test_a_sensors_own_value_goes_before_what_was_typed_and_that_before_the_files_top(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "sensors.toml"
    file.write_text(FILE)
    plain = planned(monkeypatch, run, "--sensors", file)
    assert (plain["a"].rpm, plain["b"].rpm, plain["a"].model) == (1.0, 1000.0, tmp_path / "top.drsn")
    found = planned(monkeypatch, run, "--sensors", file, "--rpm", 50, "--model", "typed.drsn", "--history", "h.sqlite")
    assert (found["a"].rpm, found["b"].rpm) == (1.0, 50.0)
    assert {(each.model, each.history) for each in found.values()} == {(Path("typed.drsn"), Path("h.sqlite"))}


@pytest.mark.parametrize(
    ("text", "option", "words"),
    [
        (FILE.replace("rpm = 1000.0\n", "").replace('"/dev/b"', '"/dev/b"\nrpm = 2.0'), ["--rpm", "3"], "--rpm"),
        (FILE, ["--fallback", "cpu"], "--runtime edgetpu"),
        (FILE, ["--keep-days", "3"], "--history"),
        (FILE, ["--mqtt-ca", "ca.pem"], "--mqtt"),
        (FILE, ["--trial", "3"], "--trial"),
        (FILE, ["--machine", "pump"], "--sensors"),
        (FILE, ["--text-unit", "g", "--text-range", "2"], "--sensors"),
        (FILE, ["--port", "/dev/c"], "--sensors"),
        (FILE, ["--replay", "logs"], "--replay"),
        (FILE.replace("/dev/", "socket://h:"), ["--baud", "9600"], "--port socket://"),
    ],
)
def test_what_reaches_no_sensor_of_the_file_is_refused(
    run: Run, tmp_path: Path, text: str, option: list[str], words: str
) -> None:
    (tmp_path / "sensors.toml").write_text(text)
    done = run("monitor", "--sensors", tmp_path / "sensors.toml", *option)
    assert done.code == 2 and words in done.err and "--sensors" in done.err, done


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("keep_days = 3.0", r"line 10: keep_days .*\bhistory"),
        ('mqtt_topics = "homeassistant"', r"line 10: mqtt_topics .*\bmqtt\b"),
        ('fallback = "cpu"', r"line 10: fallback .*\bruntime edgetpu"),
    ],
)
def test_a_key_that_changes_nothing_is_refused_with_its_line(run: Run, tmp_path: Path, line: str, words: str) -> None:
    (tmp_path / "sensors.toml").write_text(FILE + line)
    done = run("monitor", "--sensors", tmp_path / "sensors.toml")
    assert done.code == 1 and type(done.why) is SettingsError and re.search(words, done.err), done


@pytest.mark.parametrize(
    ("line", "problem", "facts"),
    [
        ("spectrum_lines = 64", "setting_unused", {"setting": "spectrum_lines", "needs": "log spectra"}),
        ("highest_order = 8", "setting_unused", {"setting": "highest_order", "needs": "spectra"}),
        ("gain_range_db = 3", "setting_unused", {"setting": "gain_range_db", "needs": "scaling fixed"}),
        ("validation = false", "patience_without_validation", {}),
    ],
)
def test_training_refuses_what_its_inputs_do_not_use(
    run: Run, tmp_path: Path, line: str, problem: str, facts: dict[str, str]
) -> None:
    (tmp_path / "c.toml").write_text(f'hold_out = "time=0.2"\ninputs = "waveform"\n[research]\n{line}\n')
    arguments = (
        "train",
        "--data",
        "absent",
        "--out",
        tmp_path / "run",
        "--config",
        tmp_path / "c.toml",
        "--patience",
        "3",
    )
    assert run(*arguments).code == 1
    expect(failure_of(*arguments), TrainingError, problem, **facts)
