"""What XNNPACK's int8 kernels take and the others' do not. That the function stays is in test_rewrite.py."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from drsn_edge.models.config import BLOCK_KINDS, preset
from drsn_edge.models.drsn import build_model
from quantize.network.graph import Graph, Step
from quantize.network.keras_graph import read_keras
from quantize.network.rewrite import for_int8
from quantize.network.rewrite_cpu import for_cpu
from quantize.targets.names import TARGETS


def rewritten(block: str, size: str = "small", target: str = "cpu", window: int = 512) -> Graph:
    return for_int8(read_keras(build_model(preset(size, block=block, window=window, n_axes=1, n_classes=3))), target)


def operators(graph: Graph) -> Counter[str]:
    return Counter(step.op for step in graph)


def test_a_block_takes_one_absolute_value_and_one_mean() -> None:
    before, after = operators(rewritten("rsbu-cw", target="edgetpu")), operators(rewritten("rsbu-cw"))
    blocks = after["abs"]
    assert blocks == 3
    assert before["mean"] - after["mean"] == blocks
    assert before["abs"] == 0


def test_nothing_computes_the_negative_part_of_features() -> None:
    for step in rewritten("rsbu-cw"):
        assert not (step.op == "scale" and step.relu)


@pytest.mark.parametrize("size", ["nano", "small", "paper"])
def test_tau_is_repeated_along_rows_where_there_are_few_channels(size: str) -> None:
    graph = rewritten("rsbu-cw", size).by_name()
    thresholds = [step for step in graph.values() if step.op == "sub" and not step.relu]
    in_rows = {step.name.removesuffix("/rows"): step for step in thresholds if step.name.endswith("/rows")}
    assert in_rows
    assert {step.shape[-1] for step in in_rows.values()} == {128}
    assert all(graph[name].shape[-1] < 32 for name in in_rows)
    assert all(step.shape[-1] >= 32 for step in thresholds if step not in in_rows.values())


def test_the_copies_of_tau_are_no_weights() -> None:
    copies = [step for step in rewritten("rsbu-cw", "nano") if step.kernel is not None and "/minus" in step.name]
    assert copies
    assert not any(step.trainable for step in copies)


def test_time_steps_that_fill_no_rows_stay() -> None:
    assert [step for step in for_cpu(soft_threshold((1, 16, 16))) if step.op == "reshape"]
    assert not [step for step in for_cpu(soft_threshold((1, 15, 16))) if step.op == "reshape"]


@pytest.mark.parametrize("block", sorted(set(BLOCK_KINDS) - {"rsbu-cw", "rsbu-cs"}))
def test_networks_without_thresholds_are_left_alone(block: str) -> None:
    graph = rewritten(block, target="edgetpu")
    assert for_cpu(graph) is graph


@pytest.mark.parametrize("target", sorted(set(TARGETS) - {"cpu"}))
def test_other_targets_get_nothing_of_it(target: str) -> None:
    kinds = operators(rewritten("rsbu-cw", "nano", target))
    assert kinds["abs"] == kinds["leaky"] == 0


def test_a_result_that_something_else_reads_stays() -> None:
    read_twice = Step("out", "add", ("shrunk", "n"), (1, 16, 16))
    steps = for_cpu(Graph((*soft_threshold((1, 16, 16)), read_twice))).by_name()
    assert steps["n"].op == "scale" and steps["out"].inputs == ("shrunk", "n")
    assert steps["tau/minus"].kernel is not None


def soft_threshold(shape: tuple[int, int, int]) -> Graph:
    """Return the graph of `quantize.network.rewrite` for one soft threshold, tau the mean of x."""
    return Graph(
        (
            Step("x", "input", (), shape),
            Step("tau", "mean", ("x",), (1, 1, shape[-1])),
            Step("n", "scale", ("x",), shape, kernel=np.array(-1.0, np.float32), relu=True),
            Step("above", "sub", ("x", "tau"), shape, relu=True),
            Step("below", "sub", ("n", "tau"), shape, relu=True),
            Step("shrunk", "sub", ("above", "below"), shape),
        )
    )
