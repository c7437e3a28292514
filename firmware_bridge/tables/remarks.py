"""Sampling rates that the lines above a table state in words: `data_rate = 2000.0 Hz`, `Delta_X 0.0001`."""

from __future__ import annotations

import re
from collections.abc import Sequence

_VALUE = (
    r"[\s:=,;\t\"]{1,30}([0-9]{1,12}(?:[.,][0-9]{1,15})?(?:[eE][+-]?[0-9]{1,2})?)"
    r"(?![ \u00a0\u202f][0-9]{3}(?![0-9]))\s{0,2}"
)
_RATE = re.compile(
    r"(?<![a-z])(?:data[ _-]?rate|sampl(?:e|es|ing)?[ _-]?(?:rate|freq(?:uency)?\.?)(?:[ _]?hz)?|frequency of sampling|"
    r"samplerate|samplingrate|abtastrate|abtastfrequenz|samples?[ _](?:per|/)[ _](?:second|sec|s)|fs|f_s|odr)"
    r"(?:\s?[\[(](k?hz)[\])])?" + _VALUE + r"(khz|hz|ksps|sps|s/s|1/s)?(?![a-z0-9])",
    re.IGNORECASE,
)
_STEP = re.compile(
    r"(?<![a-z])(?:delta(?:[ _]?[xt])?|dt|sampl(?:e|ing)[ _-]?(?:interval|period)|time[ _]?step|"
    r"(?:(?:x|time)[ _-]?)?increment)"
    r"(?:\s?[\[(](s|ms|us|sec)[\])])?" + _VALUE + r"(ms|us|µs|sec|s)?(?![a-z0-9])",
    re.IGNORECASE,
)
_THOUSANDS = re.compile(r"[0-9]{1,3},[0-9]{3}")
"""A rate in Hz that may be read in two ways, `25,600`, is none."""
_LONGEST = 400
_FACTORS = {"khz": 1e3, "ksps": 1e3}
_STEPS = {"ms": 1e-3, "us": 1e-6, "µs": 1e-6}
_OF_ANYTHING = tuple(word + end for word in ("delta", "increment") for end in (" ", ":", "=", "\t"))


def rates_in(lines: Sequence[str]) -> set[float]:
    """Return the different sampling rates in Hz that lines state, to six digits."""
    found = set()
    for line in lines:
        text = line[:_LONGEST]
        for match in _RATE.finditer(text):
            unit = (match[3] or match[1] or "").lower()
            if not (unit not in _FACTORS and _THOUSANDS.fullmatch(match[2])):
                found.add(_number(match[2]) * _FACTORS.get(unit, 1.0))
        for match in _STEP.finditer(text):
            unit = (match[3] or match[1] or "").lower()
            if match[0].lower().startswith(_OF_ANYTHING) and not unit:
                continue  # a difference of anything
            step_s = _number(match[2]) * _STEPS.get(unit, 1.0)
            found.add(1.0 / step_s if step_s else 0.0)
    return {float(f"{rate:.6g}") for rate in found if rate > 0}


def _number(text: str) -> float:
    return float(text.replace(",", "."))
