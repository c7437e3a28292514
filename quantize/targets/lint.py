"""Check that a .tflite file is wholly int8 and that a target runs all of it. Needs no TensorFlow and no interpreter.

cpu               every operator is int8 and XNNPACK runs it, so that the graph stays in one partition
edgetpu           every operator is int8 and on the Edge TPU's list
tflite-runtime    every operator is int8 and known to tflite-runtime 2.14, for machines without a LiteRT wheel
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from quantize.errors import TargetError
from quantize.targets.edgetpu import edgetpu_placement
from quantize.targets.names import TARGETS
from quantize.targets.old_runtime import old_runtime_refuses
from quantize.targets.placement import Refusal, place
from quantize.targets.xnnpack import INT8_RULES, xnnpack_placement
from quantize.tflite.file import ModelFile, Operator, read_model

INT8_OPERATORS = frozenset(INT8_RULES)
"""Operators for which XNNPACK has int8 kernels, so that the graph stays in one partition on a CPU."""

_ISLAND_OPERATORS = frozenset({"QUANTIZE", "DEQUANTIZE", "CAST"})
_PARAMETER_TYPES = frozenset({"INT8", "INT32"})
"""int8 weights and activations; int32 biases, shapes and axes."""


@dataclass(frozen=True)
class LintReport:
    """The operators of a .tflite file, and why it does not suit a target.

    Attributes:
        operators: Number of operators by name.
        findings: Each reason once, in the file's order, those of the target last; empty if the file suits the target.
        target: One of `quantize.targets.names.TARGETS`.
    """

    operators: dict[str, int]
    findings: tuple[str, ...]
    target: str = "cpu"


def lint(model: bytes, target: str = "cpu") -> LintReport:
    """Return the operator counts of a .tflite file and every reason why it does not suit a target.

    Raises:
        ModelFileError: If the bytes are not a .tflite file.
        TargetError: If `target` is unknown.
    """
    return lint_file(read_model(model), target)


def lint_file(file: ModelFile, target: str = "cpu") -> LintReport:
    """Return the same as `lint`, for a file that was already read."""
    if target not in _CHECKS:
        raise TargetError(
            f"{target!r} is not a target. Choose one of {', '.join(TARGETS)}.",
            "unknown_target",
            target=target,
            choices=TARGETS,
        )
    counts = Counter(operator.name for operator in file.operators)
    findings = [finding for operator in file.operators for finding in _operator_findings(file, operator)]
    findings += [
        f"{end} {file.tensors[index].name!r} is {file.tensors[index].type}, not INT8"
        for end, indices in (("input", file.inputs), ("output", file.outputs))
        for index in indices
        if index >= 0 and file.tensors[index].type != "INT8"
    ]
    findings += _CHECKS[target](file)
    return LintReport(dict(sorted(counts.items())), tuple(dict.fromkeys(findings)), target)


def _operator_findings(file: ModelFile, operator: Operator) -> list[str]:
    if operator.name in _ISLAND_OPERATORS:
        return [f"{operator.name} marks the edge of a float island"]
    allowed = [(index, _PARAMETER_TYPES) for index in operator.inputs] + [
        (index, {"INT8"}) for index in operator.outputs
    ]
    return [
        f"{operator.name} works on {file.tensors[index].type} ({file.tensors[index].name!r})"
        for index, types in allowed
        if index >= 0 and file.tensors[index].type not in types
    ]


def _cpu_findings(file: ModelFile) -> list[str]:
    # This looks for XNNPACK's int8 kernels only: an operator on floats is reported as one without such a kernel.
    return [
        f"{operator.name} has no fast int8 kernel"
        for operator in file.operators
        if operator.name not in INT8_OPERATORS | _ISLAND_OPERATORS
    ] + _sentences(xnnpack_placement(file).refusals)


def _edgetpu_findings(file: ModelFile) -> list[str]:
    several = [f"the file has {file.subgraphs} sub-graphs, the Edge TPU takes one"] if file.subgraphs > 1 else []
    refusals = edgetpu_placement(file).refusals
    if not refusals:
        return several
    first, behind = refusals[0], len(file.operators) - refusals[0].index - 1
    lead = (
        f"{first} (operator {first.index + 1} of {len(file.operators)}; it and the {behind} behind it run on the CPU)"
    )
    return [*several, lead, *_sentences(refusals[1:])]


def _old_runtime_findings(file: ModelFile) -> list[str]:
    return _sentences(place(file, old_runtime_refuses).refusals)


def _sentences(refusals: tuple[Refusal, ...]) -> list[str]:
    return [str(refusal) for refusal in refusals]


_CHECKS: dict[str, Callable[[ModelFile], list[str]]] = {
    "cpu": _cpu_findings,
    "edgetpu": _edgetpu_findings,
    "tflite-runtime": _old_runtime_findings,
}
assert tuple(_CHECKS) == TARGETS
