"""Describe a .tflite file, and measure the effect of int8 on windows. Needs no TensorFlow and no interpreter.

`inspect_file` needs the file alone. `measure_windows` runs windows through the integer engine and through the same
graph in float; it reports the difference behind each operator, and how int8 changes the soft thresholds.

The threshold budget: int8 features are whole steps of their scale. A threshold tau below one step sets only values to
zero that are already zero, so that shrinkage has no effect on its channel.
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
"""Called with the number of windows that are done, and the number of all windows."""

_CHUNK = 16
"""Windows that are traced at a time; all their intermediate results are kept in memory."""


@dataclass(frozen=True)
class OperatorCount:
    """The number of operators with this name and version."""

    name: str
    version: int
    count: int


@dataclass(frozen=True)
class ThresholdSite:
    """A soft threshold found in a graph: tau = LOGISTIC output * mean, subtracted from features with a fused RELU.

    Attributes:
        operator: Position in the file of the MUL that computes tau, from 0.
        tau: Index of the tensor tau.
        features: Index of the tensor x that tau is subtracted from.
        thresholds: Number of thresholds: one per channel, or 1 if all channels share it.
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
    """The description of a file.

    Attributes:
        file_bytes: Length of the file, in bytes.
        operators: Number of operators by name and version.
        macs: Multiply-accumulates of the file's operators for one window; see `count_macs`.
        peak_activation_bytes: Peak memory of activations, in bytes; see `quantize.tflite.memory`.
        xnnpack: Operators that XNNPACK runs.
        edgetpu: Operators that map to the Edge TPU, each judged by itself.
        edgetpu_mapped: Number of operators that run on the Edge TPU: all before the first that does not map.
        findings: Findings of the lint, by target.
        thresholds: Soft thresholds in the file's order.
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
    """One soft threshold in int8, averaged over the measured windows.

    Attributes:
        site: Position of the soft threshold in the graph.
        tau_lsb: Mean of tau for each threshold, in steps (LSB) of the features' scale.
    """

    site: ThresholdSite
    tau_lsb: tuple[float, ...]

    @property
    def dead_zone_codes(self) -> float:
        """Mean number of codes of the features from -tau to tau, which become zero; 1 means zero alone."""
        return float(np.mean(2 * np.floor(self.tau_lsb) + 1))

    @property
    def vanished_share(self) -> float:
        """Share of the thresholds below one step, 0 to 1: their shrinkage has no effect."""
        return float(np.mean(np.less(self.tau_lsb, 1)))


@dataclass(frozen=True)
class LayerNoise:
    """The quantization noise behind one operator.

    Attributes:
        operator: Position in the file, from 0.
        name: TFLite's name.
        sqnr_db: Signal-to-quantization-noise ratio: power of the float values over the power of their difference from
            int8, in dB; None if the two are equal or all values are zero.
    """

    operator: int
    name: str
    sqnr_db: float | None


@dataclass(frozen=True)
class Measurement:
    """The measurement over windows: the budget of each soft threshold, and the noise behind each operator."""

    windows: int
    budgets: tuple[ThresholdBudget, ...]
    layers: tuple[LayerNoise, ...]


def inspect_file(model: bytes) -> Inspection:
    """Describe a file without running it.

    Raises:
        ModelFileError: If the bytes are not a complete .tflite file.
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
    """Return the multiply-accumulates of one operator for one window; 0 for other than convolutions and dense layers.

    Every number of a kernel counts as it stands in the file. The sum over a file is therefore above that of the trained
    network (`count_macs` of the network's configuration): it includes the 0/1 kernels of shortcuts, the taps of zeros
    by which a strided convolution is rewritten, and the convolutions that repeat thresholds along rows (see
    `quantize.network.rewrite` and `rewrite_cpu`).
    """
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
    """Find the soft thresholds by the structure of the graph; names of tensors do not matter."""
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
    """Run windows through the integer engine and through the same graph in float.

    Args:
        model: The .tflite file.
        inputs: Inputs of the network, shape (n, 1, steps, channels), n at least 1.
        progress: Called after each chunk of windows.

    Raises:
        ModelFileError: If the file is damaged or takes windows of another shape.
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
    """Return the ratio of two powers in dB; None if one of them is zero."""
    return 10 * math.log10(signal / noise) if signal > 0 and noise > 0 else None


def inspection_to_json(inspection: Inspection) -> dict[str, Any]:
    """Return an inspection as plain JSON values; `taken` is the number of operators that the delegate runs."""
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
    """Return whether a tensor is the result of a LOGISTIC, reshaped or not."""
    writer = writers.get(index)
    if writer is not None and writer.name == "RESHAPE" and writer.inputs:
        writer = writers.get(writer.inputs[0])
    return writer is not None and writer.name == "LOGISTIC"


def _site(file: ModelFile, place: int, operator: Operator, readers: dict[int, list[Operator]]) -> ThresholdSite | None:
    """Return the soft threshold whose tau this MUL computes; None if it computes no tau."""
    tau = operator.outputs[0] if operator.outputs else -1
    features = list(dict.fromkeys(_shrunk(file, tau, readers)))
    if not features or math.prod(file.tensors[tau].shape[:-1]) != 1:
        return None
    # tau is subtracted from x and from its negative part n; n has the finer scale.
    x = max(features, key=lambda index: _scale(file, index))
    if not (_scale(file, tau) > 0 and _scale(file, x) > 0):
        return None
    return ThresholdSite(place, tau, x, file.tensors[tau].shape[-1], _scale(file, tau), _scale(file, x))


def _shrunk(file: ModelFile, tau: int, readers: dict[int, list[Operator]]) -> Iterator[int]:
    """Yield the tensors that tau is subtracted from with a RELU behind the subtraction."""
    for reader in readers.get(tau, ()):
        if reader.name == "CONV_2D" and reader.inputs[0] == tau:  # repeats tau along a row of several time steps
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
