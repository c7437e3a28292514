"""The signal contract: the form of the windows that a model was trained on and can classify."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from drsn_edge.errors import ContractError
from drsn_edge.signal.decimation import Decimation, decimation_from_json, decimation_to_json
from drsn_edge.signal.names import SCALINGS
from drsn_edge.signal.resampling import factor_of, is_followed
from drsn_edge.signal.spectra import VIEWS, Spectra
from drsn_edge.signal.units import conversion_factor
from drsn_edge.signal.windows import Scaling
from drsn_edge.support.fields import flag, items, number, text, texts, whole
from drsn_edge.support.invalid import InvalidValueError

LONGEST_WINDOW, MOST_AXES = 1 << 20, 16
RATE_TOLERANCE = 0.02
"""Largest relative difference of two sampling rates that a model tolerates: it shifts every spectral line by 2 %."""


@dataclass(frozen=True)
class SignalContract:
    """Form of the windows that a model was trained on.

    Attributes:
        sample_rate_hz: Sampling rate in Hz.
        axes: Names of the axes in the order of the network's channels.
        unit: Unit of the samples before scaling.
        window: Samples per window.
        hop: Samples between the starts of two windows when streaming.
        scaling: Scaling of a window before the network: `kind` and `divisor`.
        spectra: Views that are the network's input instead of the scaled samples. Left out: the input is the samples.
        decimation: Anti-alias filter for sensors whose rate is a multiple of this one. Left out: they are refused.
    """

    sample_rate_hz: float
    axes: tuple[str, ...]
    unit: str
    window: int
    hop: int
    scaling: Scaling
    spectra: Spectra | None = None
    decimation: Decimation | None = None

    @property
    def needs_speed(self) -> bool:
        """Whether the shaft speed of each window must be known."""
        return self.spectra is not None and self.spectra.needs_speed

    @property
    def window_s(self) -> float:
        """Length of a window in seconds."""
        return self.window / self.sample_rate_hz

    @property
    def hop_s(self) -> float:
        """Time from one window start to the next, in seconds."""
        return self.hop / self.sample_rate_hz

    @property
    def input_shape(self) -> tuple[int, int]:
        """Steps and channels of the network's input."""
        if self.spectra is None:
            return self.window, len(self.axes)
        return self.spectra.lines, sum(self.spectra.view_channels(len(self.axes)))


def contract_to_json(contract: SignalContract) -> dict[str, Any]:
    """Return the contract as plain JSON values; the keys `spectra` and `decimation` are absent without a value."""
    values = asdict(replace(contract, decimation=None))
    del values["decimation"]
    if contract.decimation is not None:
        values["decimation"] = decimation_to_json(contract.decimation)
    if contract.spectra is None:
        del values["spectra"]
    else:
        values["spectra"] = {name: list(v) if isinstance(v, tuple) else v for name, v in values["spectra"].items()}
    return {**values, "axes": list(contract.axes)}


def contract_from_json(values: Mapping[str, Any]) -> SignalContract:
    """Return the contract that `contract_to_json` wrote.

    Raises:
        ContractError: If a key is missing, or has a wrong type or range. Unknown keys are ignored.
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
            decimation=decimation_from_json(values["decimation"]) if "decimation" in values else None,
        )
    except InvalidValueError as exc:
        raise ContractError(f"The signal contract is damaged: {exc}.", exc.problem, **exc.facts) from exc
    except KeyError as exc:
        field = exc.args[0]
        words = f"The signal contract is damaged: it has no {field}."
        raise ContractError(words, "missing_field", field=field) from exc
    except (TypeError, ValueError) as exc:
        raise ContractError(f"The signal contract is damaged: {exc}.", "damaged", reason=str(exc)) from exc
    _check_spectra(contract)
    positive = min(contract.sample_rate_hz, contract.window, contract.hop, scaling.divisor) > 0
    positive = positive and max(contract.window, contract.hop) <= LONGEST_WINDOW
    named = 0 < len(contract.axes) == len(set(contract.axes)) and len(contract.axes) <= MOST_AXES
    if not positive or not named or scaling.kind not in SCALINGS:
        raise ContractError(
            f"The signal contract needs positive sizes, windows of at most {LONGEST_WINDOW} samples, 1 to {MOST_AXES} "
            f"different axes and a scaling among {', '.join(SCALINGS)}, got {contract}.",
            "contract_out_of_range",
            got=contract,
        )
    return contract


def _spectra(values: Mapping[str, Any]) -> Spectra:
    means, deviations = (tuple(number({key: n}, key) for n in items(values, key)) for key in ("means", "deviations"))
    lines, highest = whole(values, "lines"), number(values, "highest_order")
    slopes = tuple(number({"slopes": n}, "slopes") for n in items(values, "slopes")) if "slopes" in values else ()
    absolute = flag(values, "absolute_bands") if "absolute_bands" in values else False
    return Spectra(texts(values, "views"), lines, highest, means, deviations, absolute, slopes)


def _check_spectra(contract: SignalContract) -> None:
    spectra = contract.spectra
    if spectra is None:
        return
    known = 0 < len(spectra.views) == len(set(spectra.views)) and set(spectra.views) <= set(VIEWS)
    sized = 0 < spectra.lines <= contract.window // 2 and spectra.highest_order > 0
    channels = sum(spectra.view_channels(len(contract.axes))) if known else 0
    standardised = len(spectra.means) == len(spectra.deviations) == channels and min(spectra.deviations, default=0) > 0
    slopes = spectra.lines * len(contract.axes) if "bands" in spectra.views else 0
    sloped = len(spectra.slopes) in (0, slopes)
    if not (known and sized and standardised and sloped):
        raise ContractError(
            f"The spectra of the signal contract need different views of {', '.join(VIEWS)}, a mean and a deviation "
            "> 0 for each channel, a slope for each line and axis of the bands or none, and at most half as many lines "
            f"as samples, got {spectra}.",
            "spectra_out_of_range",
            got=spectra,
        )


def stream_factor(
    contract: SignalContract,
    sample_rate_hz: float,
    axes: tuple[str, ...],
    unit: str,
    source: str = "sensor",
    *,
    resamples: bool = False,
) -> float:
    """Check a sensor's or a recording's description against the contract; return the factor to the contract's unit.

    Args:
        contract: Contract of the model.
        sample_rate_hz: Sampling rate in Hz.
        axes: Names of the axes in their order.
        unit: Unit of the samples.
        source: "sensor", "recording" or another source of samples, for the error.
        resamples: Whether the caller resamples a rate that is a little off, and decimates multiples of the model's.

    Raises:
        ContractError: If rate, axes or unit do not fit.
    """
    if not _rate_fits(contract, sample_rate_hz, resamples=resamples):
        raise _other_rate(contract, sample_rate_hz, source, resamples=resamples)
    if axes != contract.axes:
        raise ContractError(
            f"The model was trained with the axes {','.join(contract.axes)}, but the {source} has {','.join(axes)}. "
            f"Use a sensor or a recording with {','.join(contract.axes)}, or train a model with {','.join(axes)}.",
            "other_axes",
            expected=contract.axes,
            got=axes,
            source=source,
        )
    return conversion_factor(unit, contract.unit)


def _rate_fits(contract: SignalContract, sample_rate_hz: float, *, resamples: bool) -> bool:
    ratio = sample_rate_hz / contract.sample_rate_hz
    if not resamples:
        return abs(ratio - 1) <= RATE_TOLERANCE
    factor = 1 if contract.decimation is None else factor_of(ratio)
    return is_followed(ratio, factor)


def _other_rate(contract: SignalContract, sample_rate_hz: float, source: str, *, resamples: bool) -> ContractError:
    ours, ratio = f"{contract.sample_rate_hz:g} Hz", sample_rate_hz / contract.sample_rate_hz
    or_multiple = " or a whole multiple of it" if resamples and contract.decimation is not None else ""
    return ContractError(
        f"The model was trained at {ours}, but the {source} has {sample_rate_hz:g} Hz ({ratio - 1:+.1%}). Use a sensor "
        f"or a recording with {ours}{or_multiple}, or train a model at {sample_rate_hz:g} Hz.",
        "other_rate",
        expected=contract.sample_rate_hz,
        got=sample_rate_hz,
        source=source,
    )
