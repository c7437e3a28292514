"""Which operators of a .tflite file a delegate (an accelerator or a set of kernels) runs, in how many partitions."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantize.errors import ModelFileError
from quantize.tflite.file import ModelFile, Operator, Tensor

Rule = Callable[["OperatorView"], str | None]
"""Returns why the delegate does not run an operator, to be read after the operator's name; None if it does."""


@dataclass(frozen=True)
class Refusal:
    """An operator that the delegate does not run.

    Attributes:
        index: Position in the file, from 0.
        operator: TFLite's name.
        reason: Why, to be read after the name.
    """

    index: int
    operator: str
    reason: str

    def __str__(self) -> str:
        return f"{self.operator} {self.reason}"


@dataclass(frozen=True)
class Placement:
    """The part of a graph that a delegate runs.

    Attributes:
        operators: Number of operators in the file.
        refusals: Operators that the delegate does not run, in the file's order.
        partitions: Pieces of the graph that the delegate runs; 1 for a graph without cuts.
    """

    operators: int
    refusals: tuple[Refusal, ...]
    partitions: int

    @property
    def taken(self) -> int:
        """Number of operators that the delegate runs."""
        return self.operators - len(self.refusals)


@dataclass(frozen=True)
class OperatorView:
    """An operator with its tensors, as the rules see it."""

    file: ModelFile
    operator: Operator

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Every tensor that the operator reads or writes."""
        return tuple(
            self.file.tensors[index] for index in (*self.operator.inputs, *self.operator.outputs) if index >= 0
        )

    @property
    def activations(self) -> tuple[Tensor, ...]:
        """The tensors that are not constants, inputs first."""
        return tuple(tensor for tensor in self.tensors if tensor.data is None)

    @property
    def output(self) -> Tensor | None:
        """The first output; None if there is none."""
        return self._at(self.operator.outputs, 0)

    def input(self, number: int) -> Tensor | None:
        """Return an input by its number; None if it is left out."""
        return self._at(self.operator.inputs, number)

    def values(self, number: int) -> NDArray[Any] | None:
        """Return the whole numbers of a constant input; None if the input is no constant of whole numbers."""
        tensor = self.input(number)
        if tensor is None or tensor.type not in ("INT32", "INT64"):
            return None
        try:
            return np.atleast_1d(tensor.array)
        except ModelFileError:
            return None

    @property
    def activation(self) -> str:
        """The fused activation; "NONE" if there is none."""
        return str(self.operator.options.get("activation", "NONE"))

    def _at(self, indices: tuple[int, ...], number: int) -> Tensor | None:
        return self.file.tensors[indices[number]] if number < len(indices) and indices[number] >= 0 else None


def place(file: ModelFile, rule: Rule) -> Placement:
    """Apply a rule to every operator and count the partitions."""
    reasons = [rule(OperatorView(file, operator)) for operator in file.operators]
    refusals = tuple(
        Refusal(index, operator.name, reason)
        for index, (operator, reason) in enumerate(zip(file.operators, reasons, strict=True))
        if reason is not None
    )
    return Placement(len(file.operators), refusals, count_partitions(file, [reason is None for reason in reasons]))


def count_partitions(file: ModelFile, taken: Sequence[bool]) -> int:
    """Return the number of partitions into which TFLite cuts the operators that a delegate runs.

    Partitions grow greedily: the first operator that is ready decides whether the partition is the delegate's, and
    every operator of the same kind joins as soon as all its inputs are computed.

    Source: PartitionGraphIntoIndependentNodeSubsets in tensorflow/lite/graph_info.cc.
    """
    written = {index for operator in file.operators for index in operator.outputs}
    needs = [written.intersection(operator.inputs) - {-1} for operator in file.operators]
    readers: dict[int, list[int]] = {}
    for number, tensors in enumerate(needs):
        for tensor in tensors:
            readers.setdefault(tensor, []).append(number)
    ready: dict[bool, list[int]] = {False: [], True: []}
    for number, tensors in enumerate(needs):
        if not tensors:
            ready[taken[number]].append(number)
    placed, pieces = 0, 0
    while ready[False] or ready[True]:
        kind = min(ready, key=lambda each: min(ready[each][:1], default=len(needs)))
        pieces += kind
        placed += _fill_piece(file, kind, taken, needs, readers, ready)
        heapq.heapify(ready[not kind])
    if placed < len(needs):
        raise ModelFileError(
            "Operators of the file wait for each other's results in a circle. Convert the model again.", "circle"
        )
    return pieces


def _fill_piece(
    file: ModelFile,
    kind: bool,
    taken: Sequence[bool],
    needs: list[set[int]],
    readers: dict[int, list[int]],
    ready: dict[bool, list[int]],
) -> int:
    """Place every operator of one kind that is ready or becomes ready; return their number."""
    placed = 0
    while ready[kind]:
        number = ready[kind].pop()
        placed += 1
        for tensor in file.operators[number].outputs:
            for reader in readers.pop(tensor, ()):
                needs[reader].discard(tensor)
                if not needs[reader]:
                    ready[taken[reader]].append(reader)
    return placed
