"""When an option, or a key of a file, counts, and what keeps it from that.

A condition is another option as a person types it:

    "--history"            that option is given
    "--runtime=edgetpu"    it has this value
    "--mqtt~mqtts://"      its value (each, of several) contains this
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Uses:
    """When an option counts.

    Attributes:
        needs: Conditions of which one must hold; empty: none must.
        never: Conditions of which none may hold.
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
"""Of what is said of one sensor, at the command line or in a file of several; what is not here always counts."""


def why_unused(uses: Uses, value_of: Callable[[str], Any]) -> str | None:
    """Return what keeps an option from counting, as words behind its name; None if it counts.

    Args:
        uses: Of the option.
        value_of: Given an option as it is typed, returns its value; None where it is not given.
    """
    for condition in uses.never:
        if _holds(condition, value_of):
            return f"changes nothing with {_typed(condition)}: leave one of them out."
    if uses.needs and not any(_holds(condition, value_of) for condition in uses.needs):
        wanted = " or ".join(map(_typed, uses.needs))
        return f"changes nothing without {wanted}: add that, or leave it out."
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
