"""Which options each command uses, and when: an option that would change nothing is refused.

Each command has a table of its options with the conditions (`drsn_edge.support.uses`) under which they count. Options
that exclude each other, such as --port, --replay and --sensors, are checked by the command itself.
`tests/cli/test_modes.py` fails for an option without a line here. `--json` and `--help` always count.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

import click
from click.core import ParameterSource

from drsn_edge.support.uses import SENSOR_USES, Uses, why_unused

EVERYWHERE = ("--json", "--help")


def _with(*needs: str, never: tuple[str, ...] = ()) -> Uses:
    return Uses(needs, never)


def _without(*never: str) -> Uses:
    return Uses((), never)


def _always(names: str) -> dict[str, Uses]:
    return dict.fromkeys(names.split(), Uses())


def _of_sensors(names: str) -> dict[str, Uses]:
    return {name: SENSOR_USES.get(name, Uses()) for name in names.split()}


_RUNTIME = _of_sensors("--runtime --fallback --edgetpu-library --edgetpu-device")
_SOURCE = _of_sensors("--port --baud --text-unit --text-range --text-scale --text-axes")


def _beside(table: Mapping[str, Uses], *never: str) -> dict[str, Uses]:
    """Return a table with more conditions under which its options do not count."""
    return {name: Uses(uses.needs, (*uses.never, *never)) for name, uses in table.items()}


def _or_sensors(names: str) -> dict[str, Uses]:
    """Return a table of options that may count for a sensor of a file, which is checked when the file is read."""
    found = _of_sensors(names)
    return {name: Uses((*uses.needs, "--sensors") if uses.needs else (), uses.never) for name, uses in found.items()}


_NAMED_INPUTS = ("--inputs~waveform", "--inputs~bands", "--inputs~spectra")

USES: dict[str, dict[str, Uses]] = {
    "accept-mounting": _always("--machine"),
    "ack": _always("--machine --name"),
    "agent": {**_always("--serial --socket"), "--baud": _with("--serial")},
    "learn": {
        **_beside(_SOURCE, "--replay", "--show", "--remove"),
        **_beside(_always("--replay --label --out"), "--show", "--remove"),
        "--duration": _without("--replay", "--show", "--remove"),
        "--install": Uses(),
        "--service": _without("--replay", "--show", "--remove"),
        **dict.fromkeys(
            _always("--name --model-version --false-unknown --limits --force"),
            Uses(("--out", "--install", "--service"), ("--show", "--remove")),
        ),
        "--model": _without("--out", "--install", "--service"),
        "--rpm": _without("--show", "--remove"),
        "--show": _without("--remove"),
        "--remove": Uses(),
    },
    "bench": {**_RUNTIME, **_always("--picture")},
    "bundle diff": {},
    "bundle edgetpu": _always("--compiled --out"),
    "bundle reissue": _always("--as --key --out"),
    "bundle show": {},
    "bundle sign": _always("--key --out"),
    "bundle verify": _always("--key --gate"),
    "classify": {
        **_always("--model --catalogue --memory --settings --votes --at-most-wrong --rpm --no-unknown"),
        **_always("--out --cluster"),
        "--picture": _without("--out"),
        "--workers": _without("--cluster"),
        **_RUNTIME,
    },
    "convert": {
        **_always("--out --name --model-version --floor --votes --latency --budget-mb --max-drop --false-unknown"),
        **_always("--target --qat --learned-only"),
        **dict.fromkeys(_always("--data --catalogue --epochs --learning-rate --resume --force"), _with("--qat")),
    },
    "demo": _always("--out --speed --seed"),
    "doctor": {},
    "evaluate": {
        **_always("--run --data --snr-db --seed --out"),
        "--only": _with("--data"),
        "--catalogue": _with("--data"),
        "--force": _with("--out"),
    },
    "firmware flash": {**_always("--board --port --image --tool --dry-run"), "--baud": _without("--dry-run")},
    "flash": {
        **_always("--to --fleet --dry-run --new-contract"),
        "--canary": _with("--fleet"),
        "--batch": _with("--fleet"),
        "--max-failures": _with("--fleet"),
        "--confirmed-within": _with("--fleet", never=("--dry-run",)),
    },
    "gateway confirm": _always("--at"),
    "gateway rollback": _always("--at --why"),
    "gateway slots": _always("--at"),
    "gateway status": _always("--at"),
    "history": _always("--since --every --machine --picture"),
    "inspect": {
        **_always("--target --run --out"),
        "--windows": _with("--run"),
        "--force": _with("--out"),
    },
    "keys new": _always("--key --name"),
    "keys show": {"--key": _without("--trusted"), "--trusted": Uses()},
    "keys trust": _always("--state"),
    "keys untrust": _always("--state"),
    "look": _always("--catalogue --memory --all --picture --write-catalogue"),
    "models": _always("--block"),
    "monitor": {
        **_beside(_SOURCE, "--replay", "--sensors"),
        **_or_sensors("--baud --keep-days --fallback --edgetpu-library --edgetpu-device"),
        **_or_sensors("--mqtt-ca --mqtt-cert --mqtt-key --mqtt-gateway --mqtt-topics"),
        "--baud": _without("--port~socket://", "--replay"),
        "--mqtt-client-id": _with("--mqtt", never=("--sensors",)),
        "--runtime": Uses(),
        **_always("--port --replay --sensors"),
        "--speed": _with("--replay"),
        "--trial": _without("--model", "--replay"),
        "--machine": _without("--sensors"),
        "--record": _without("--replay"),
        **_always("--model --duration --settings --votes --rpm --threads --no-unknown --severity --limits --lines"),
        **_always("--history --mqtt --metrics --latency --at-most-wrong"),
        "--plain": _without("--json"),
    },
    "ports": {**_always("--hello --port"), "--baud": _with("--hello"), "--timeout": _with("--hello")},
    "record": {**_SOURCE, **_always("--out --name --duration --rotate-mb --label --group")},
    "reproduce": {**_always("--data --results --seeds --cluster --only --write"), "--workers": _without("--cluster")},
    "search": {
        **_always("--data --catalogue --hold-out --label-field --keep-labels --allow-leaks --most-damaged --rate"),
        **_always("--window --hop --network --inputs --seed --for --without-speed --time-budget --cluster"),
        **_always("--out --config --resume --force"),
        "--workers": _without("--cluster"),
    },
    "sensor": {**_always("--port --set-rate --set-range --self-test --reset"), "--baud": _without("--port~socket://")},
    "service list": {},
    "service remove": {},
    "service install": _always("--name --environment-file --print"),
    "simulate": {
        "--rpm": _with("--condition"),
        "--duration": _with("--condition"),
        "--catalogue": _with("--recording"),
        "--noise": _with("--snr-db"),
        "--seed": _with("--condition", "--snr-db", "--fault", "--faults"),
        **_always("--recording --condition --link --listen --speed --snr-db --loop --fault --faults --truth"),
    },
    "train": {
        **_always("--data --hold-out --label-field --allow-leaks --out --config --network --window --hop --epochs"),
        **_always("--learning-rate --snr-db --noise --polarity --inputs --class-weights --keep-labels --patience"),
        **_always("--catalogue --seed --resume --force --most-damaged --rate --simulate-faults"),
        **dict.fromkeys(("--for", "--without-speed"), _without(*_NAMED_INPUTS)),
    },
    "tune-alarms": {
        **_always("--model --catalogue --normal --false-alarms --announced --settings --cut --rpm --no-unknown"),
        **_always("--out --picture"),
        **_RUNTIME,
    },
}  # fmt: skip


# --- at the command line ---------------------------------------------------------------------------------------------


def flags_of(option: click.Option) -> tuple[str, ...]:
    """Return the long flags of an option."""
    return tuple(flag for flag in (*option.opts, *option.secondary_opts) if flag.startswith("--"))


def options_of(command: click.Command) -> dict[str, click.Option]:
    """Return the options of a command by long flag, without those that always count."""
    options = [each for each in command.params if isinstance(each, click.Option) and not each.hidden]
    return {flag: each for each in options for flag in flags_of(each) if flag not in EVERYWHERE}


def check(context: click.Context, path: str) -> None:
    """Refuse typed options that would change nothing.

    Args:
        context: Parsed context of the command.
        path: Name of the command, such as "gateway status".

    Raises:
        click.UsageError: With the option and the one that it conflicts with or needs.
    """
    options = {
        flag: each for each in context.command.params if isinstance(each, click.Option) for flag in flags_of(each)
    }

    def source_of(option: click.Option) -> ParameterSource | None:
        return context.get_parameter_source(option.name or "")

    def value_of(flag: str) -> Any:
        option = options.get(flag)
        if option is None or source_of(option) in (ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP, None):
            return None
        value = context.params.get(option.name or "")
        on = flag not in option.secondary_opts and not (option.is_flag and option.flag_value is False)
        return value if not isinstance(value, bool) else (True if value is on else None)

    for name, uses in USES.get(path, {}).items():
        option = options.get(name)
        if option is None or source_of(option) is not ParameterSource.COMMANDLINE or value_of(name) is None:
            continue
        why = why_unused(uses, value_of)
        if why is not None:
            raise click.UsageError(f"{name} {why}", context)


def enforce(command: click.Command, path: str) -> None:
    """Make a command, or every command of a group, check its options first; `path` is its name as in `check`."""
    if isinstance(command, click.Group):
        for name, each in command.commands.items():
            enforce(each, f"{path} {name}")
    elif command.callback is not None:
        command.callback = _checked(command.callback, path)


def _checked(callback: Callable[..., Any], path: str) -> Callable[..., Any]:
    @wraps(callback)
    def called(*arguments: Any, **options: Any) -> Any:
        check(click.get_current_context(), path)
        return callback(*arguments, **options)

    return called
