"""Is a .tflite file wholly int8, and made of operators with fast int8 kernels? No TensorFlow, no interpreter."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from quantize.tflite_file import ModelFile, Operator, read_model

INT8_OPERATORS = frozenset(
    {"ADD", "SUB", "MUL", "MEAN", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "LOGISTIC", "RESHAPE"}
)
"""Operators whose int8 kernels XNNPACK takes, so that the graph stays in one partition on a CPU."""

_ISLAND_OPERATORS = frozenset({"QUANTIZE", "DEQUANTIZE", "CAST"})
_PARAMETER_TYPES = frozenset({"INT8", "INT32"})
"""int8 weights and activations; int32 biases, shapes and axes."""


@dataclass(frozen=True)
class LintReport:
    """What a .tflite file is made of, and what is wrong with it (nothing where `findings` is empty)."""

    operators: dict[str, int]
    findings: tuple[str, ...]


def lint(model: bytes) -> LintReport:
    """Return the operator counts of a .tflite file and every reason why it is not a clean int8 network.

    Raises:
        ModelFileError: If the bytes are not a .tflite file.
    """
    file = read_model(model)
    counts = Counter(operator.name for operator in file.operators)
    findings = [finding for operator in file.operators for finding in _operator_findings(file, operator)]
    findings += [
        f"{end} {file.tensors[index].name!r} is {file.tensors[index].type}, not INT8"
        for end, indices in (("input", file.inputs), ("output", file.outputs))
        for index in indices
        if file.tensors[index].type != "INT8"
    ]
    return LintReport(dict(sorted(counts.items())), tuple(dict.fromkeys(findings)))


def _operator_findings(file: ModelFile, operator: Operator) -> list[str]:
    if operator.name in _ISLAND_OPERATORS:
        return [f"{operator.name} marks the edge of a float island"]
    findings = []
    if operator.name not in INT8_OPERATORS:
        findings.append(f"{operator.name} has no fast int8 kernel")
    allowed = [(index, _PARAMETER_TYPES) for index in operator.inputs] + [
        (index, {"INT8"}) for index in operator.outputs
    ]
    for index, types in allowed:
        if index >= 0 and file.tensors[index].type not in types:
            findings.append(f"{operator.name} works on {file.tensors[index].type} ({file.tensors[index].name!r})")
    return findings
