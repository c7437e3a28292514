"""Rewrite a `Graph` further for XNNPACK, in ways that suit no other target: LEAKY_RELU, and rows.

XNNPACK's int8 LEAKY_RELU costs a third of an ADD of two tensors. An ADD with one operand repeated along time calls the
kernel for every time step, which is slow for few channels. Therefore

- |x| becomes LEAKY_RELU with the slope -1: one operator and one mean instead of two and two;
- relu(n - tau) becomes relu(-tau - x) for n = relu(-x) and tau >= 0, which needs no n;
- with few channels, tau is repeated and subtracted from rows of several time steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from quantize.network.graph import Graph, Step, until_still

_ROW = 128
"""Channels of a row; with more, repeating tau costs more than it saves."""

_FEW_CHANNELS = 32
"""Number of channels from which the reshapes into rows and back cost more than the rows save."""


def for_cpu(graph: Graph) -> Graph:
    """Return a graph of `quantize.network.rewrite.for_int8` in the form that XNNPACK runs fastest."""
    for change in (_absolute_one, _negative_side_one, _rows_one):
        graph = until_still(graph, change)
    return graph


def _absolute_one(graph: Graph) -> Graph:
    """Replace one mean(x) + 2 mean(relu(-x)) by the mean of |x|."""
    steps = graph.by_name()
    for step in graph:
        if step.op != "sub":
            continue
        left, right = (steps[name] for name in step.inputs)
        if left.op != "mean" or not _is_scale(right, -2.0) or steps[right.inputs[0]].op != "mean":
            continue
        x, n = left.inputs[0], steps[steps[right.inputs[0]].inputs[0]]
        if _is_negative_part(n, x):
            absolute = Step(f"{step.name}/abs", "abs", (x,), n.shape)
            return _replaced(graph, step, absolute, Step(step.name, "mean", (absolute.name,), step.shape))
    return graph


def _negative_side_one(graph: Graph) -> Graph:
    """Replace one relu(relu(-x) - tau) by relu(-tau - x) if the graph also has relu(x - tau)."""
    steps = graph.by_name()
    for step, x in _thresholded(graph):
        tau = step.inputs[1]
        beside = [user for user in graph.users(tau) if user.op == "sub" and user.inputs == (x, tau) and user.relu]
        if beside:
            minus = Step(
                f"{tau}/minus", "scale", (tau,), steps[tau].shape, kernel=np.full((), -1.0, np.float32), trainable=False
            )
            return _replaced(graph, step, minus, replace(step, inputs=(minus.name, x)))
    return graph


def _thresholded(graph: Graph) -> Iterator[tuple[Step, str]]:
    """Yield each relu(n - tau) with the x whose negative part n is."""
    steps = graph.by_name()
    for step in graph:
        if step.op == "sub" and step.relu:
            n = steps[step.inputs[0]]
            if n.op == "scale" and _is_negative_part(n, n.inputs[0]):
                yield step, n.inputs[0]


def _rows_one(graph: Graph) -> Graph:
    """Rewrite one soft threshold over few channels on rows of several time steps."""
    steps, uses = graph.by_name(), graph.uses()
    for step in graph:
        if step.op != "sub" or any(uses[name] != 1 for name in step.inputs):
            continue
        above, below = (steps[name] for name in step.inputs)
        if not (above.op == below.op == "sub" and above.relu and below.relu and above.inputs[0] == below.inputs[1]):
            continue
        x, tau, minus = above.inputs[0], steps[above.inputs[1]], steps[below.inputs[0]]
        times, shape = _ROW // step.shape[-1], step.shape
        fits = len(shape) == 3 and tau.shape == (1, 1, shape[-1]) and shape[0] * shape[1] % max(1, times) == 0
        if not fits or shape[-1] >= _FEW_CHANNELS or times < 2 or minus.inputs != (tau.name,) or minus.op != "scale":
            continue
        return _in_rows(graph, step, above, below, x, tau, minus, times)
    return graph


def _in_rows(graph: Graph, step: Step, above: Step, below: Step, x: str, tau: Step, minus: Step, times: int) -> Graph:
    height, width, channels = step.shape
    wide, one = (1, height * width // times, channels * times), (1, 1, channels * times)
    repeat = np.tile(np.eye(channels, dtype=np.float32), (1, times))[None, None]
    rows = Step(f"{x}/rows", "reshape", (x,), wide)
    plus = Step(f"{tau.name}/rows", "conv", (tau.name,), one, kernel=repeat, padding="valid", trainable=False)
    return _replaced(
        graph.without(minus.name, minus.name),
        step,
        rows,
        plus,
        Step(minus.name, "conv", (tau.name,), one, kernel=-repeat, padding="valid", trainable=False),
        replace(above, inputs=(rows.name, plus.name), shape=wide),
        replace(below, inputs=(minus.name, rows.name), shape=wide),
        Step(f"{step.name}/rows", "sub", (above.name, below.name), wide),
        Step(step.name, "reshape", (f"{step.name}/rows",), step.shape),
    )


def _replaced(graph: Graph, step: Step, *instead: Step) -> Graph:
    """Return the graph with these steps in place of one, without steps that no longer have a user."""
    names = {each.name for each in instead}
    steps = [each for each in graph if each.name not in names]
    at = next(i for i, each in enumerate(graph) if each.name == step.name)
    at -= sum(each.name in names for each in graph.steps[:at])
    return _without_unseen(Graph((*steps[:at], *instead, *steps[at:])))


def _without_unseen(graph: Graph) -> Graph:
    while True:
        uses = graph.uses()
        seen = Graph(tuple(step for step in graph if uses[step.name] or step.op == "input"))
        if len(seen.steps) == len(graph.steps):
            return graph
        graph = seen


def _is_scale(step: Step, factor: float) -> bool:
    return step.op == "scale" and not step.relu and step.kernel is not None and bool((step.kernel == factor).all())


def _is_negative_part(step: Step, x: str) -> bool:
    """Return whether a step is relu(-x)."""
    minus = step.op == "scale" and step.kernel is not None and bool((step.kernel == -1.0).all())
    return minus and step.relu and step.inputs == (x,)
