"""A network between Keras and TFLite: its steps in order, with their numbers and what each step computes.

Keras has layers, a .tflite file has operators. This list of steps lies between them: each step becomes one int8
operator, so that rewriting (`quantize.network.rewrite`), calibration, training with fake quantization and the file
itself refer to the same tensors.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
Tensor = Any
"""A Keras tensor, symbolic or not: Keras publishes no type for it."""

Parameters = Mapping[tuple[str, str], Tensor]
"""(name of a step, "kernel" or "bias") -> its numbers."""


@dataclass(frozen=True)
class Step:
    """One operator and its numbers.

    Attributes:
        name: Unique name in the graph, also that of the computed tensor.
        op: One of `OPERATORS`.
        inputs: Names of the steps whose results are the operands.
        shape: Shape of the result without the batch.
        kernel: conv: (height, width, c_in, c_out); depthwise: (height, width, c, multiplier); dense: (c_in, c_out);
            scale: the factor.
        bias: conv, depthwise and dense: (c_out,); offset: the numbers that are added.
        strides: conv and depthwise: (height, width).
        padding: conv and depthwise: "same" or "valid".
        relu: Whether negative results become 0.
        trainable: Whether fine-tuning may change the numbers.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    shape: tuple[int, ...]
    kernel: FloatArray | None = None
    bias: FloatArray | None = None
    strides: tuple[int, int] = (1, 1)
    padding: str = "same"
    relu: bool = False
    trainable: bool = True

    @property
    def parameters(self) -> dict[tuple[str, str], FloatArray]:
        """The numbers of the step, keyed as in `Graph.parameters`."""
        held = {"kernel": self.kernel, "bias": self.bias}
        return {(self.name, part): numbers for part, numbers in held.items() if numbers is not None}


@dataclass(frozen=True)
class Graph:
    """Steps in an order of computation; the first is the input, the last the output."""

    steps: tuple[Step, ...]

    def __iter__(self) -> Iterator[Step]:
        """Yield the steps in order."""
        return iter(self.steps)

    @property
    def input(self) -> Step:
        """The step that stands for the network's input."""
        return self.steps[0]

    @property
    def output(self) -> Step:
        """The step whose result the network returns."""
        return self.steps[-1]

    @property
    def parameters(self) -> dict[tuple[str, str], FloatArray]:
        """All numbers of all steps."""
        return {key: numbers for step in self.steps for key, numbers in step.parameters.items()}

    def by_name(self) -> dict[str, Step]:
        """Return the steps by their names."""
        return {step.name: step for step in self.steps}

    def uses(self) -> Counter[str]:
        """Return how often the result of each step is used; the output counts once more."""
        return Counter([name for step in self.steps for name in step.inputs] + [self.output.name])

    def users(self, name: str) -> list[Step]:
        """Return the steps that use the result of the named step."""
        return [step for step in self.steps if name in step.inputs]

    def with_steps(self, *changed: Step) -> Graph:
        """Return the graph with these steps in place of the steps with the same names."""
        new = {step.name: step for step in changed}
        return Graph(tuple(new.get(step.name, step) for step in self.steps))

    def without(self, name: str, instead: str) -> Graph:
        """Return the graph without the named step; its users use the result of `instead`."""
        kept = [step for step in self.steps if step.name != name]
        rewired = [replace(step, inputs=tuple(instead if i == name else i for i in step.inputs)) for step in kept]
        return Graph(tuple(rewired))


def evaluate(
    graph: Graph,
    inputs: Tensor,
    parameters: Parameters | None = None,
    after: Callable[[Step, Tensor], Tensor] = lambda step, value: value,
    before_relu: Callable[[Step, Tensor], Tensor] = lambda step, value: value,
) -> Tensor:
    """Compute the network with keras.ops.

    Args:
        graph: The network.
        inputs: Shape (batch, *graph.input.shape).
        parameters: Numbers to use instead of those of the graph.
        after: Called with each step and its result; returns the result for its users, to watch ranges or to quantize.
        before_relu: The same for the result of a step before its relu, if any.
    """
    numbers = graph.parameters if parameters is None else parameters
    uses = graph.uses()
    results: dict[str, Tensor] = {}
    for step in graph:
        operands = [results[name] for name in step.inputs] or [inputs]
        result = OPERATORS[step.op](
            step, operands, numbers.get((step.name, "kernel")), numbers.get((step.name, "bias"))
        )
        result = before_relu(step, result)
        results[step.name] = after(step, ops.relu(result) if step.relu else result)
        uses.subtract(step.inputs)
        for name in step.inputs:
            if not uses[name]:  # no later step uses it: free the memory, which is large for many windows
                results.pop(name, None)
    return results[graph.output.name]


def until_still(graph: Graph, change: Callable[[Graph], Graph]) -> Graph:
    """Apply a function that rewrites one place until it finds no more; it then returns the same graph object."""
    while (changed := change(graph)) is not graph:
        graph = changed
    return graph


Operator = Callable[[Step, list[Tensor], Tensor, Tensor], Tensor]


def _plus(result: Tensor, bias: Tensor) -> Tensor:
    return result if bias is None else result + bias


def _conv(step: Step, operands: list[Tensor], kernel: Tensor, bias: Tensor) -> Tensor:
    return _plus(ops.conv(operands[0], kernel, step.strides, step.padding, "channels_last"), bias)


def _depthwise(step: Step, operands: list[Tensor], kernel: Tensor, bias: Tensor) -> Tensor:
    return _plus(ops.depthwise_conv(operands[0], kernel, step.strides, step.padding, "channels_last"), bias)


OPERATORS: Mapping[str, Operator] = {
    "input": lambda step, x, kernel, bias: x[0],
    "conv": _conv,
    "depthwise": _depthwise,
    "dense": lambda step, x, kernel, bias: _plus(ops.matmul(x[0], kernel), bias),
    "scale": lambda step, x, kernel, bias: x[0] * kernel,
    "offset": lambda step, x, kernel, bias: x[0] + bias,
    "add": lambda step, x, kernel, bias: x[0] + x[1],
    "sub": lambda step, x, kernel, bias: x[0] - x[1],
    "mul": lambda step, x, kernel, bias: x[0] * x[1],
    "mean": lambda step, x, kernel, bias: ops.mean(x[0], axis=(1, 2), keepdims=True),
    "relu": lambda step, x, kernel, bias: ops.relu(x[0]),
    "abs": lambda step, x, kernel, bias: ops.abs(x[0]),
    "leaky": lambda step, x, kernel, bias: ops.leaky_relu(x[0], float(kernel)),
    "hold": lambda step, x, kernel, bias: x[0],
    "sigmoid": lambda step, x, kernel, bias: ops.sigmoid(x[0]),
    "reshape": lambda step, x, kernel, bias: ops.reshape(x[0], (-1, *step.shape)),
}
"""Function of each op from operands, kernel and bias to the result before the relu."""

CONVOLUTIONS = frozenset({"conv", "depthwise", "dense"})
"""Steps with a kernel quantised per output channel and an int32 bias."""
