"""Rewrite a `Graph` into an equivalent graph that int8 kernels run faster and more precisely.

Each rewriting is a function from graph to graph; `for_int8` applies all of them. Results change by float rounding only.

- A factor or an offset per channel behind a convolution is folded into its kernel and bias, as for batch normalization;
  a factor behind a reshape also is.
- A relu is fused into the operator before it. A relu without such an operator gets one, because XNNPACK does not run a
  relu alone.
- relu(g x + b) = g relu(x + b / g) for g > 0, and g is folded into the kernel of the next convolution: one operator
  instead of two. The two are kept if g is not above 0, or if it would widen the range of x + b / g so far that all
  channels lose steps.
- A strided convolution of few channels pads each of its taps to the eight channels that int8 kernels process at once.
  As a convolution of stride 1 over blocks of `stride` samples it has `stride` times the channels and correspondingly
  fewer taps. Its kernel is padded with zeros, and a reshape costs a copy.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from quantize.network.graph import CONVOLUTIONS, FloatArray, Graph, Step, until_still
from quantize.network.rewrite_cpu import for_cpu

_FUSED = CONVOLUTIONS | {"add", "sub", "mul", "offset", "scale"}
"""Operators that a relu can be fused into."""

_CHANNELS_AT_ONCE = 8
"""Channels that int8 matrix kernels process at once; fewer channels are padded."""

_MOST_STRETCH = 4.0
"""Highest offset b / g relative to the median of 1 / g; a larger offset would cost the other channels their steps."""


def for_int8(graph: Graph, target: str = "cpu") -> Graph:
    """Return the graph in the form that is quantized for one of `quantize.targets.names.TARGETS`."""
    for rewriting in (fold_into_convolutions, absorb_factors, fuse_relus, hold_relus, blocks_for_strides):
        graph = rewriting(graph)
    return for_cpu(graph) if target == "cpu" else graph


def fold_into_convolutions(graph: Graph) -> Graph:
    """Fold factors and offsets per channel into a convolution whose result has no other user."""
    return until_still(graph, _fold_one)


def _fold_one(graph: Graph) -> Graph:
    steps, uses = graph.by_name(), graph.uses()
    for step in graph:
        if step.op not in ("scale", "offset"):
            continue
        before = steps[step.inputs[0]]
        numbers = step.kernel if step.op == "scale" else step.bias
        assert numbers is not None
        if uses[before.name] != 1 or before.relu:
            continue
        if before.op in CONVOLUTIONS and numbers.size in (1, before.shape[-1]):
            folded = _with_factor(before, numbers) if step.op == "scale" else _with_offset(before, numbers)
            return _renamed(graph.with_steps(folded).without(step.name, before.name), before.name, step.name)
        if before.op == "reshape" and numbers.size == 1:
            return _swapped(graph, before, step)
    return graph


def _swapped(graph: Graph, reshape: Step, after: Step) -> Graph:
    """Return the graph with a step of one number moved in front of the reshape, where it does not depend on shapes."""
    shape = graph.by_name()[reshape.inputs[0]].shape
    first = replace(after, name=reshape.name, inputs=reshape.inputs, shape=shape)
    second = replace(reshape, name=after.name, inputs=(reshape.name,))
    return graph.with_steps(first, second)


def _with_factor(step: Step, factor: FloatArray) -> Step:
    """Return a convolution whose result is multiplied by a factor per channel, or by one factor for all channels."""
    assert step.kernel is not None
    per_channel = np.broadcast_to(factor.reshape(-1), (step.shape[-1],))
    per_kernel = per_channel.reshape(step.kernel.shape[2:]) if step.op == "depthwise" else per_channel
    bias = None if step.bias is None else step.bias * per_channel
    return replace(step, kernel=(step.kernel * per_kernel).astype(np.float32), bias=bias)


def _with_offset(step: Step, offset: FloatArray) -> Step:
    per_channel = np.broadcast_to(offset.reshape(-1), (step.shape[-1],)).astype(np.float32)
    return replace(step, bias=per_channel if step.bias is None else step.bias + per_channel)


def absorb_factors(graph: Graph) -> Graph:
    """Move factors above 0 from in front of an offset and relu into the convolutions behind them."""
    return until_still(graph, _absorb_one)


def _absorb_one(graph: Graph) -> Graph:
    uses, steps = graph.uses(), graph.by_name()
    for relu in graph:
        offset = steps[relu.inputs[0]] if relu.op == "relu" else None
        if offset is None or offset.op != "offset" or uses[offset.name] != 1:
            continue
        scale = steps[offset.inputs[0]]
        users = graph.users(relu.name)
        if scale.op != "scale" or uses[scale.name] != 1 or not users or relu.name == graph.output.name:
            continue
        if not all(user.op in ("conv", "dense", "mean") for user in users):
            continue
        absorbed = _absorbed(graph, scale, offset, relu, users)
        if absorbed is not None:
            return absorbed
    return graph


def _absorbed(graph: Graph, scale: Step, offset: Step, relu: Step, users: list[Step]) -> Graph | None:
    factor, added = scale.kernel, offset.bias
    assert factor is not None and added is not None
    if factor.min() <= 0 or np.abs(added / factor).max() > _MOST_STRETCH * np.median(1 / factor):
        return None
    changed = []
    for user in users:
        while user.op == "mean":  # a mean over time keeps the factors of the channels
            following = graph.users(user.name)
            if len(following) != 1 or user.name == graph.output.name:
                return None
            user = following[0]
        if user.op not in ("conv", "dense") or user.kernel is None:
            return None
        changed.append(replace(user, kernel=(user.kernel * factor[..., :, None]).astype(np.float32)))
    moved = replace(offset, inputs=scale.inputs, bias=(added / factor).astype(np.float32))
    return graph.with_steps(moved, *changed).without(scale.name, scale.inputs[0])


def fuse_relus(graph: Graph) -> Graph:
    """Fuse each relu into the operator before it if that operator's result has no other user."""
    return until_still(graph, _fuse_one)


def _fuse_one(graph: Graph) -> Graph:
    uses, steps = graph.uses(), graph.by_name()
    for step in graph:
        if step.op != "relu":
            continue
        before = steps[step.inputs[0]]
        if before.op in _FUSED and uses[before.name] == 1:
            return _renamed(
                graph.with_steps(replace(before, relu=True)).without(step.name, before.name), before.name, step.name
            )
    return graph


def hold_relus(graph: Graph) -> Graph:
    """Mark each relu without an operator, and each offset of zeros only, as the step "hold".

    The converter would remove such an offset and leave its relu alone; `quantize.convert` writes one that stays.
    """
    return Graph(tuple(_held(step) for step in graph))


def _held(step: Step) -> Step:
    is_nothing = step.op == "offset" and step.relu and step.bias is not None and not step.bias.any()
    return replace(step, op="hold", bias=None, relu=True) if step.op == "relu" or is_nothing else step


def blocks_for_strides(graph: Graph) -> Graph:
    """Rewrite strided convolutions of an input with few channels as convolutions over blocks of samples."""
    source = graph.input
    users = graph.users(source.name)
    if not users or not all(_gains_by_blocks(user, source) for user in users):
        return graph
    block = users[0].strides[1]
    if any(user.strides[1] != block for user in users):
        return graph
    height, width, channels = source.shape
    shape = (height, width // block, channels * block)
    blocks = Step(f"{source.name}/blocks", "reshape", (source.name,), shape)
    changed = [_over_blocks(user, source.shape[1], blocks.name) for user in users]
    rewritten = graph.with_steps(*changed)
    return Graph((rewritten.input, blocks, *rewritten.steps[1:]))


def _gains_by_blocks(step: Step, source: Step) -> bool:
    if step.op != "conv" or step.kernel is None or step.padding != "same" or len(source.shape) != 3:
        return False
    (rows, _), stride = step.kernel.shape[:2], step.strides[1]
    one_row = rows == 1 and step.strides[0] in (1, stride) and source.shape[0] == 1
    return one_row and stride > 1 and source.shape[1] % stride == 0 and source.shape[2] < _CHANNELS_AT_ONCE


def _over_blocks(step: Step, width: int, blocks: str) -> Step:
    """Return the convolution over blocks of `stride` samples; each tap moves to the block and place of its sample."""
    assert step.kernel is not None
    _, taps, channels, outputs = step.kernel.shape
    stride = step.strides[1]
    before = max(0, (-(-width // stride) - 1) * stride + taps - width) // 2  # padding of "same" on the left
    reach = max(-(-before // stride), (taps - 1 - before) // stride)
    kernel = np.zeros((1, 2 * reach + 1, stride, channels, outputs), np.float32)
    for tap in range(taps):
        at, inside = divmod(tap - before, stride)
        kernel[0, at + reach, inside] = step.kernel[0, tap]
    shape = (1, 2 * reach + 1, stride * channels, outputs)
    return replace(step, inputs=(blocks,), kernel=kernel.reshape(shape), strides=(1, 1))


def _renamed(graph: Graph, old: str, new: str) -> Graph:
    """Return the graph with a step named after the step folded into it, so that outputs and thresholds keep names."""
    steps = [
        replace(step, name=new if step.name == old else step.name,
                inputs=tuple(new if name == old else name for name in step.inputs))
        for step in graph
    ]  # fmt: skip
    return Graph(tuple(steps))
