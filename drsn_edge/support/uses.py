"""When an option, or a key of a file, has an effect, and what prevents it.

A condition is another option as a person types it:

    "--history"            the option is given
    "--runtime=edgetpu"    the option has this value
    "--mqtt~mqtts://"      the option's value contains this; of several values, each one
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Uses:
    """Conditions under which an option has an effect.

    Attributes:
        needs: Conditions, at least one of which must hold; empty: no condition.
        never: Conditions, none of which may hold.
    """

    needs: tuple[str, ...] = ()
    never: tuple[str, ...] = ()


_PROCESSORS = ("--runtime=litert", "--runtime=tflite-runtime", "--runtime=numpy")

SENSOR_USES = {
    "--baud": Uses(never=("--port~socket://",)),
    "--text-range": Uses(needs=("--text-unit",)),
    "--text-scale": Uses(needs=("--text-unit",)),
    "--text-axes": Uses(needs=("--text-unit",)),
    "--fallback": Uses(needs=("--runtime=edgetpu",)),
    "--edgetpu-library": Uses(never=_PROCESSORS),
    "--edgetpu-device": Uses(never=_PROCESSORS),
    "--keep-days": Uses(needs=("--history",)),
    "--mqtt-ca": Uses(needs=("--mqtt~mqtts://",)),
    "--mqtt-cert": Uses(needs=("--mqtt~mqtts://",)),
    "--mqtt-key": Uses(needs=("--mqtt-cert",)),
    "--mqtt-client-id": Uses(needs=("--mqtt",)),
    "--mqtt-gateway": Uses(needs=("--mqtt",)),
    "--mqtt-topics": Uses(needs=("--mqtt",)),
}
"""Options of one sensor, on the command line or in a sensors file; any other option always has an effect."""


def why_unused(uses: Uses, value_of: Callable[[str], Any]) -> str | None:
    """Return why an option has no effect, as the words that follow its name; None if it has one.

    Args:
        uses: Conditions of the option.
        value_of: Given an option as it is typed, returns its value; None if it is not given.
    """
    for condition in uses.never:
        if _holds(condition, value_of):
            return f"changes nothing with {_typed(condition)}: leave one of the two out."
    if uses.needs and not any(_holds(condition, value_of) for condition in uses.needs):
        wanted = " or ".join(map(_typed, uses.needs))
        return f"changes nothing without {wanted}: add {wanted}, or leave this out."
    return None


def _holds(condition: str, value_of: Callable[[str], Any]) -> bool:
    name, sign, wanted = _parts(condition)
    value = value_of(name)
    if value is None or value == () or value == "":
        return False
    if sign == "=":
        return bool(value == wanted)
    texts = value if isinstance(value, tuple) else (value,)
    return sign != "~" or all(wanted in str(text) for text in texts)


def _parts(condition: str) -> tuple[str, str, str]:
    for sign in "=~":
        name, found, wanted = condition.partition(sign)
        if found:
            return name, sign, wanted
    return condition, "", ""


def _typed(condition: str) -> str:
    name, sign, wanted = _parts(condition)
    return {"": name, "=": f"{name} {wanted}", "~": f"{name} {wanted}..."}[sign]
