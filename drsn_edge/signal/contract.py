"""The signal contract: what a model was trained on, and so what it may be shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from drsn_edge.errors import ContractError
from drsn_edge.signal.names import SCALINGS
from drsn_edge.signal.spectra import VIEWS, Spectra
from drsn_edge.signal.units import conversion_factor
from drsn_edge.signal.windows import Scaling
from drsn_edge.support.fields import items, number, text, texts, whole

LONGEST_WINDOW, MOST_AXES = 1 << 20, 16
RATE_TOLERANCE = 0.02
"""Relative difference of sample rates that a model is taken to stand: it moves every line of the spectrum by 2 %."""


@dataclass(frozen=True)
class SignalContract:
    """What the model was trained on.

    Attributes:
        sample_rate_hz: Samples per second.
        axes: Names of the axes in the order of the network's channels.
        unit: Unit of the samples before scaling.
        window: Samples per window.
        hop: Samples between window starts when streaming.
        scaling: What happens to a window before the network sees it.
        spectra: The views that the network sees instead of the scaled samples; None where it sees the samples.
    """

    sample_rate_hz: float
    axes: tuple[str, ...]
    unit: str
    window: int
    hop: int
    scaling: Scaling
    spectra: Spectra | None = None

    @property
    def needs_speed(self) -> bool:
        """Whether the shaft speed of a window must be known."""
        return self.spectra is not None and self.spectra.needs_speed

    @property
    def window_s(self) -> float:
        """Length of a window in seconds."""
        return self.window / self.sample_rate_hz

    @property
    def hop_s(self) -> float:
        """Seconds from one window to the next."""
        return self.hop / self.sample_rate_hz

    @property
    def input_shape(self) -> tuple[int, int]:
        """(steps, channels) of the network's input."""
        if self.spectra is None:
            return self.window, len(self.axes)
        return self.spectra.lines, sum(self.spectra.view_channels(len(self.axes)))


def contract_to_json(contract: SignalContract) -> dict[str, Any]:
    """Return the contract as plain JSON values; `spectra` is left out where the network sees the samples."""
    values = asdict(contract)
    if contract.spectra is None:
        del values["spectra"]
    else:
        values["spectra"] = {name: list(v) if isinstance(v, tuple) else v for name, v in values["spectra"].items()}
    return {**values, "axes": list(contract.axes)}


def contract_from_json(values: Mapping[str, Any]) -> SignalContract:
    """Return the contract that `contract_to_json` wrote.

    Raises:
        ContractError: If a key is missing, of a wrong type or out of range. Keys that are not known are left alone.
    """
    try:
        scaling = Scaling(text(values["scaling"], "kind"), number(values["scaling"], "divisor"))
        contract = SignalContract(
            sample_rate_hz=number(values, "sample_rate_hz"),
            axes=texts(values, "axes"),
            unit=text(values, "unit"),
            window=whole(values, "window"),
            hop=whole(values, "hop"),
            scaling=scaling,
            spectra=_spectra(values["spectra"]) if "spectra" in values else None,
        )
    except (KeyError, TypeError, ValueError) as exc:
        raise ContractError(
            f"Expected a signal contract with rate, axes, unit, window, hop, scaling: {exc!r}."
        ) from exc
    _check_spectra(contract)
    positive = min(contract.sample_rate_hz, contract.window, contract.hop, scaling.divisor) > 0
    positive = positive and max(contract.window, contract.hop) <= LONGEST_WINDOW
    named = 0 < len(contract.axes) == len(set(contract.axes)) and len(contract.axes) <= MOST_AXES
    if not positive or not named or scaling.kind not in SCALINGS:
        raise ContractError(
            f"Expected positive sizes, windows of at most {LONGEST_WINDOW} samples, at most {MOST_AXES} different axes "
            f"and a scaling among {', '.join(SCALINGS)}, got {contract}."
        )
    return contract


def _spectra(values: Mapping[str, Any]) -> Spectra:
    means, deviations = (tuple(number({key: n}, key) for n in items(values, key)) for key in ("means", "deviations"))
    lines, highest = whole(values, "lines"), number(values, "highest_order")
    return Spectra(texts(values, "views"), lines, highest, means, deviations)


def _check_spectra(contract: SignalContract) -> None:
    spectra = contract.spectra
    if spectra is None:
        return
    known = 0 < len(spectra.views) == len(set(spectra.views)) and set(spectra.views) <= set(VIEWS)
    sized = 0 < spectra.lines <= contract.window // 2 and spectra.highest_order > 0
    channels = sum(spectra.view_channels(len(contract.axes))) if known else 0
    standardised = len(spectra.means) == len(spectra.deviations) == channels and min(spectra.deviations, default=0) > 0
    if not (known and sized and standardised):
        raise ContractError(
            f"Expected spectra of views among {', '.join(VIEWS)}, with a mean and a deviation > 0 for each channel and "
            f"at most half a window of lines, got {spectra}."
        )


def stream_factor(
    contract: SignalContract,
    sample_rate_hz: float,
    axes: tuple[str, ...],
    unit: str,
    source: str = "sensor",
    rate_tolerance: float = RATE_TOLERANCE,
) -> float:
    """Check a sensor's or a recording's description against the contract; return the factor to the contract's unit.

    Args:
        contract: What the model was trained on.
        sample_rate_hz: Samples per second.
        axes: Names of the axes in their order.
        unit: Unit of the samples.
        source: What is checked, for the error.
        rate_tolerance: Share by which the rate may differ.

    Raises:
        ContractError: If rate, axes or unit do not fit.
    """
    deviation = sample_rate_hz / contract.sample_rate_hz - 1
    if not abs(deviation) <= rate_tolerance:
        raise ContractError(
            f"The model expects {contract.sample_rate_hz:g} Hz, the {source} reports {sample_rate_hz:g} Hz "
            f"({deviation:+.1%}). Use a sensor or a recording of that rate, or train on this one."
        )
    if axes != contract.axes:
        raise ContractError(
            f"The model expects the axes {','.join(contract.axes)}, the {source} reports {','.join(axes)}. "
            "Use a sensor or a recording with these axes, or train on these."
        )
    return conversion_factor(unit, contract.unit)
