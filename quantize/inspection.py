"""What a .tflite file is, and what int8 does to the windows that it is shown. No TensorFlow, no interpreter.

`inspect_file` needs the file alone. `measure_windows` runs windows through the integer engine and through the same
graph in float: how far the two are apart behind each operator, and what is left of the soft thresholds.

The threshold budget: int8 features are whole steps of their scale. A threshold tau below one such step sets nothing to
zero but what is zero already, so that shrinkage has vanished for its channel.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantize.engine import Engine
from quantize.targets.edgetpu import edgetpu_mapped, edgetpu_placement
from quantize.targets.lint import lint_file
from quantize.targets.names import TARGETS
from quantize.targets.placement import OperatorView, Placement
from quantize.targets.xnnpack import xnnpack_placement
from quantize.tflite.file import ModelFile, Operator, read_model
from quantize.tflite.memory import peak_of_file

FloatArray = NDArray[np.float32]
Progress = Callable[[int, int], None]
"""Called with the number of windows done and of all."""

_CHUNK = 16
"""Windows traced at a time: every intermediate result of all of them is kept."""


@dataclass(frozen=True)
class OperatorCount:
    """So many operators of one name and version."""

    name: str
    version: int
    count: int


@dataclass(frozen=True)
class ThresholdSite:
    """A soft threshold found in a graph: tau = LOGISTIC output times a mean, taken from features with a fused RELU.

    Attributes:
        operator: Place in the file of the MUL that makes tau, from 0.
        tau: Index of the tensor tau.
        features: Index of the tensor x that tau is taken from.
        thresholds: Number of thresholds: one per channel, or 1 where they share it.
        tau_scale: Scale of tau.
        features_scale: Scale of x.
    """

    operator: int
    tau: int
    features: int
    thresholds: int
    tau_scale: float
    features_scale: float


@dataclass(frozen=True)
class Inspection:
    """What a file says about itself.

    Attributes:
        file_bytes: Length of the file.
        operators: By name and version.
        macs: Multiply-accumulates of convolutions and dense layers for one window, fixed shortcuts included.
        peak_activation_bytes: See `quantize.tflite.memory`.
        xnnpack: What XNNPACK takes.
        edgetpu: What the Edge TPU takes, each operator by itself.
        edgetpu_mapped: Operators before the first that does not map: those that run on the Edge TPU.
        findings: Of the lint, by target.
        thresholds: The soft thresholds in the file's order.
    """

    file_bytes: int
    operators: tuple[OperatorCount, ...]
    macs: int
    peak_activation_bytes: int
    xnnpack: Placement
    edgetpu: Placement
    edgetpu_mapped: int
    findings: dict[str, tuple[str, ...]]
    thresholds: tuple[ThresholdSite, ...]


@dataclass(frozen=True)
class ThresholdBudget:
    """What is left of one soft threshold in int8, over the windows shown.

    Attributes:
        site: Where it is.
        tau_lsb: Mean of tau in steps of the features' scale, for each threshold.
    """

    site: ThresholdSite
    tau_lsb: tuple[float, ...]

    @property
    def dead_zone_codes(self) -> float:
        """Mean number of the features' codes that become zero, -tau to tau; 1 is zero alone."""
        return float(np.mean(2 * np.floor(self.tau_lsb) + 1))

    @property
    def vanished_share(self) -> float:
        """Share of the thresholds below one step, where shrinkage has vanished."""
        return float(np.mean(np.less(self.tau_lsb, 1)))


@dataclass(frozen=True)
class LayerNoise:
    """How far int8 is from float behind one operator.

    Attributes:
        operator: Place in the file, from 0.
        name: TFLite's name.
        sqnr_db: Power of the float values over that of the difference, dB; None where the two are equal or all is zero.
    """

    operator: int
    name: str
    sqnr_db: float | None


@dataclass(frozen=True)
class Measurement:
    """What windows showed: the budget of each soft threshold, and the noise behind each operator."""

    windows: int
    budgets: tuple[ThresholdBudget, ...]
    layers: tuple[LayerNoise, ...]


def inspect_file(model: bytes) -> Inspection:
    """Return what can be said of a file without running it.

    Raises:
        ModelFileError: If the bytes are not a whole .tflite file.
    """
    file = read_model(model)
    counts = Counter((operator.name, operator.version) for operator in file.operators)
    return Inspection(
        file_bytes=len(model),
        operators=tuple(OperatorCount(*which, count) for which, count in sorted(counts.items())),
        macs=sum(count_macs(OperatorView(file, operator)) for operator in file.operators),
        peak_activation_bytes=peak_of_file(file),
        xnnpack=xnnpack_placement(file),
        edgetpu=edgetpu_placement(file),
        edgetpu_mapped=edgetpu_mapped(file),
        findings={target: lint_file(file, target).findings for target in TARGETS},
        thresholds=find_thresholds(file),
    )


def count_macs(view: OperatorView) -> int:
    """Return the multiply-accumulates of one operator; 0 for all but convolutions and dense layers."""
    weights, output = view.input(1), view.output
    if weights is None or output is None:
        return 0
    outputs = math.prod(output.shape)
    per_output = {
        "CONV_2D": weights.shape[1:],
        "FULLY_CONNECTED": weights.shape[1:],
        "DEPTHWISE_CONV_2D": weights.shape[1:3],
    }.get(view.operator.name)
    return 0 if per_output is None else outputs * math.prod(per_output)


def find_thresholds(file: ModelFile) -> tuple[ThresholdSite, ...]:
    """Find the soft thresholds by the shape of the graph, whatever the names of the tensors."""
    writers = {index: operator for operator in file.operators for index in operator.outputs}
    readers: dict[int, list[Operator]] = {}
    for operator in file.operators:
        for index in operator.inputs:
            readers.setdefault(index, []).append(operator)
    sites = (
        _site(file, place, operator, readers)
        for place, operator in enumerate(file.operators)
        if operator.name == "MUL" and any(_is_logistic(index, writers) for index in operator.inputs)
    )
    return tuple(site for site in sites if site is not None)


def measure_windows(model: bytes, inputs: FloatArray, progress: Progress | None = None) -> Measurement:
    """Show windows to the integer engine and to the same graph in float.

    Args:
        model: The .tflite file.
        inputs: What the network sees, shape (n, 1, steps, channels), n at least 1.
        progress: Told how far it is.

    Raises:
        ModelFileError: If the file is damaged or takes other windows.
        UnsupportedOperatorError: If the engine does not run one of its operators.
    """
    engine = Engine(model)
    sites = find_thresholds(engine.file)
    written = [operator.outputs[0] for operator in engine.file.operators]
    signal, noise = dict.fromkeys(written, 0.0), dict.fromkeys(written, 0.0)
    taus = [np.zeros(site.thresholds) for site in sites]
    for first in range(0, len(inputs), _CHUNK):
        chunk = np.ascontiguousarray(inputs[first : first + _CHUNK], np.float32)
        codes, reals = engine.trace(_quantized(engine, chunk)), engine.trace_float(chunk)
        for index in written:
            real = reals[index].astype(np.float64)
            signal[index] += float(np.square(real).sum())
            noise[index] += float(np.square(_dequantized(engine, index, codes[index]) - real).sum())
        for site, tau in zip(sites, taus, strict=True):
            tau += _dequantized(engine, site.tau, codes[site.tau]).reshape(len(chunk), -1).sum(axis=0)
        if progress is not None:
            progress(first + len(chunk), len(inputs))
    return Measurement(
        windows=len(inputs),
        budgets=tuple(_budget(site, tau / len(inputs)) for site, tau in zip(sites, taus, strict=True)),
        layers=tuple(
            LayerNoise(place, operator.name, ratio_db(signal[operator.outputs[0]], noise[operator.outputs[0]]))
            for place, operator in enumerate(engine.file.operators)
        ),
    )


def ratio_db(signal: float, noise: float) -> float | None:
    """Return the ratio of two powers in dB, None where one of them is zero."""
    return 10 * math.log10(signal / noise) if signal > 0 and noise > 0 else None


def inspection_to_json(inspection: Inspection) -> dict[str, Any]:
    """Return an inspection as plain JSON values; `taken` is the number of operators that are."""
    return {
        **{name: getattr(inspection, name) for name in ("file_bytes", "macs", "peak_activation_bytes")},
        "operators": [asdict(each) for each in inspection.operators],
        "xnnpack": _placement_to_json(inspection.xnnpack),
        "edgetpu": {
            "operators": inspection.edgetpu.operators,
            "mapped": inspection.edgetpu_mapped,
            "refusals": [asdict(each) for each in inspection.edgetpu.refusals],
        },
        "findings": {target: list(findings) for target, findings in inspection.findings.items()},
        "thresholds": [asdict(site) for site in inspection.thresholds],
    }


def measurement_to_json(measurement: Measurement) -> dict[str, Any]:
    """Return a measurement as plain JSON values."""
    return {
        "windows": measurement.windows,
        "budgets": [
            {
                **asdict(budget),
                "tau_lsb": list(budget.tau_lsb),
                "dead_zone_codes": budget.dead_zone_codes,
                "vanished_share": budget.vanished_share,
            }
            for budget in measurement.budgets
        ],
        "layers": [asdict(layer) for layer in measurement.layers],
    }


def _placement_to_json(placement: Placement) -> dict[str, Any]:
    return {
        "operators": placement.operators,
        "taken": placement.taken,
        "partitions": placement.partitions,
        "refusals": [asdict(each) for each in placement.refusals],
    }


def _is_logistic(index: int, writers: dict[int, Operator]) -> bool:
    """Tell whether a tensor is what a LOGISTIC wrote, in whatever shape."""
    writer = writers.get(index)
    if writer is not None and writer.name == "RESHAPE" and writer.inputs:
        writer = writers.get(writer.inputs[0])
    return writer is not None and writer.name == "LOGISTIC"


def _site(file: ModelFile, place: int, operator: Operator, readers: dict[int, list[Operator]]) -> ThresholdSite | None:
    """Return the soft threshold whose tau this MUL makes, None where it makes none."""
    tau = operator.outputs[0] if operator.outputs else -1
    features = list(dict.fromkeys(_shrunk(file, tau, readers)))
    if not features or math.prod(file.tensors[tau].shape[:-1]) != 1:
        return None
    # x and its negative part n are both shrunk; n is made of x, and has the finer scale.
    x = max(features, key=lambda index: _scale(file, index))
    if not (_scale(file, tau) > 0 and _scale(file, x) > 0):
        return None
    return ThresholdSite(place, tau, x, file.tensors[tau].shape[-1], _scale(file, tau), _scale(file, x))


def _shrunk(file: ModelFile, tau: int, readers: dict[int, list[Operator]]) -> Iterator[int]:
    """Yield what tau is subtracted from, where only what is left above zero is kept."""
    for reader in readers.get(tau, ()):
        if reader.name == "CONV_2D" and reader.inputs[0] == tau:  # tau repeated along a row of several time steps
            writers = {index: operator for operator in file.operators for index in operator.outputs}
            rows = _shrunk(file, reader.outputs[0], readers)
            yield from (writers[row].inputs[0] for row in rows if row in writers and writers[row].name == "RESHAPE")
        if reader.name == "SUB" and len(reader.inputs) == 2 and reader.inputs[1] == tau and reader.inputs[0] >= 0:
            after = [each.name for output in reader.outputs for each in readers.get(output, ())]
            if reader.options.get("activation") == "RELU" or after == ["RELU"]:
                yield reader.inputs[0]


def _scale(file: ModelFile, index: int) -> float:
    scales = file.tensors[index].scales
    return scales[0] if len(scales) == 1 and math.isfinite(scales[0]) else 0.0


def _budget(site: ThresholdSite, mean_tau: NDArray[np.float64]) -> ThresholdBudget:
    return ThresholdBudget(site, tuple((mean_tau / site.features_scale).tolist()))


def _quantized(engine: Engine, inputs: FloatArray) -> NDArray[np.int8]:
    how = engine.quantization(engine.input)
    return np.clip(np.rint(inputs / np.float32(how.scale)) + how.zero_point, -128, 127).astype(np.int8)


def _dequantized(engine: Engine, tensor: int, codes: NDArray[np.int8]) -> NDArray[np.float64]:
    how = engine.quantization(tensor)
    return how.scale * (codes.astype(np.float64) - how.zero_point)
