"""A network between Keras and TFLite: its steps in order, with their numbers, and what each of them computes.

Keras knows layers, a .tflite file knows operators. Between them lies this list of steps, each of which becomes one int8
operator: so rewriting (`quantize.network.rewrite`), calibration, training with fake quantisation and the file itself
all speak of the same tensors.
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
        name: Its own in the graph; the tensor that it computes goes by it too.
        op: One of `OPERATORS`.
        inputs: Names of the steps whose results it works on.
        shape: Of its result without the batch.
        kernel: Of conv (height, width, c_in, c_out), depthwise (height, width, c, multiplier) and dense (c_in, c_out);
            the factor of scale.
        bias: Of conv, depthwise and dense (c_out,); what offset adds.
        strides: Of conv and depthwise, (height, width).
        padding: Of conv and depthwise, "same" or "valid".
        relu: Whether negative results become 0.
        trainable: Whether fine-tuning may change its numbers.
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
        """The step's own numbers, as `Graph.parameters` holds them."""
        held = {"kernel": self.kernel, "bias": self.bias}
        return {(self.name, part): numbers for part, numbers in held.items() if numbers is not None}


@dataclass(frozen=True)
class Graph:
    """Steps in an order in which they can be computed; the first is the input and the last the output."""

    steps: tuple[Step, ...]

    def __iter__(self) -> Iterator[Step]:
        """Yield the steps in order."""
        return iter(self.steps)

    @property
    def input(self) -> Step:
        """The step that stands for what the network is given."""
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
        """Return how often the result of each step is worked on; the output counts once more."""
        return Counter([name for step in self.steps for name in step.inputs] + [self.output.name])

    def users(self, name: str) -> list[Step]:
        """Return the steps that work on the result of this one."""
        return [step for step in self.steps if name in step.inputs]

    def with_steps(self, *changed: Step) -> Graph:
        """Return the graph with these steps in the place of those of the same names."""
        new = {step.name: step for step in changed}
        return Graph(tuple(new.get(step.name, step) for step in self.steps))

    def without(self, name: str, instead: str) -> Graph:
        """Return the graph without a step, whose users work on the result of `instead`."""
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
        graph: What to compute.
        inputs: Shape (batch, *graph.input.shape).
        parameters: Numbers to use instead of the graph's own.
        after: Given each step and its result, returns what its users shall see: to watch ranges, or to quantise.
        before_relu: The same for what a step computes before its relu, whether it has one or not.
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
            if not uses[name]:  # nothing else will work on it: the memory of many windows is worth having back
                results.pop(name, None)
    return results[graph.output.name]


def until_still(graph: Graph, change: Callable[[Graph], Graph]) -> Graph:
    """Apply a rewriting of one place until it finds none: it then returns the very graph that it was given."""
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
"""What each step computes from its operands, kernel and bias, before its relu."""

CONVOLUTIONS = frozenset({"conv", "depthwise", "dense"})
"""Steps with a kernel quantised per output channel and an int32 bias."""
