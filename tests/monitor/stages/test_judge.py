"""Windows are judged together: the same results as one by one, and no work for windows without a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from drsn_edge.bundle.manifest import Manifest
from drsn_edge.monitor.stages.judge import Judge, Model
from drsn_edge.monitor.stages.results import WindowResult
from drsn_edge.monitor.stages.stream_state import CutWindow, Scale
from drsn_edge.runtime.tensor import TensorSpec
from drsn_edge.signal.mounting import BANDS, Mounting
from drsn_edge.signal.novelty import Novelty
from drsn_edge.signal.quality import OffsetWatch
from drsn_edge.signal.resampling import cut_for
from drsn_edge.verdicts import AXES_TURNED, NOISE_ALONE, NOT_RUNNING, OFFSET_JUMPED

WINDOW, LINES = 1024, 8


class ByLevel:
    """Gives logits that follow from each window, and counts the windows."""

    input = TensorSpec("window", (1, 1, WINDOW, 2), 0.05, 0)
    output = TensorSpec("logits", (1, 2), 0.1, 0)

    def __init__(self) -> None:
        self.seen = 0

    def logits(self, inputs: Any) -> Any:
        self.seen += len(inputs)
        return np.abs(inputs[:, 0, ::2]).mean(axis=1)


@pytest.fixture
def judge(manifest: Manifest) -> Judge:
    """Judge by a model with novelty detection and mounting."""
    rng, classifier = np.random.default_rng(0), ByLevel()
    contract = replace(manifest.contract, window=WINDOW, hop=WINDOW // 2, axes=("x", "y"))
    of_level = replace(
        manifest, contract=contract, input=classifier.input, outputs=(classifier.output,), labels=("calm", "worn"),
        noise_limit=None,
    )  # fmt: skip
    prototypes = rng.normal(size=(5, 2 * LINES)).astype(np.float32)
    relation = Mounting(rng.normal(size=(9, BANDS, 4)).astype(np.float32))
    known = Novelty(
        LINES, np.eye(2 * LINES, dtype=np.float32), prototypes, np.full(5, 6, np.float32), 1, 9, mounting=relation
    )
    return Judge(Model(of_level, classifier, known))  # type: ignore[arg-type]


def windows(n: int, ratio: float = 1.0) -> list[CutWindow]:
    """Return windows of a machine, of noise, of a machine that stands still, damaged ones and jumped offsets."""
    rng, cut = np.random.default_rng(1), cut_for(ratio, WINDOW, WINDOW // 2)
    scale, found = Scale(np.array([1e-3, 2e-3], np.float32), 32767.0), []
    for number, kind in enumerate(rng.integers(0, 8, n).tolist()):
        noise = rng.normal(size=(cut.window, 2)) * 3000
        tones = 4000 * np.sin(np.arange(cut.window)[:, None] * [0.5, 1.9] + rng.uniform(0, 6, 2))
        samples = {0: noise, 1: noise / 1e4, 2: tones + noise + 9000}.get(kind, tones + noise / rng.uniform(2, 20))
        counts = np.clip(np.rint(samples), -32000, 32000).astype(np.int16)
        found.append(CutWindow(number * cut.hop, 0.1 * number, counts, 0, "clipped" if kind == 3 else None, cut, scale))
    return found


def judged(judge: Judge, slices: Sequence[Sequence[CutWindow]]) -> list[WindowResult]:
    """Return the results of slices; noise and offsets are those of a new stream."""
    offsets = OffsetWatch(None)
    judge.forget_noise()
    return [judge.judge(look, offsets) for some in slices for look in judge.look_at(some)]


@pytest.mark.parametrize("ratio", [1.0, 1.013])
def test_the_slices_change_no_bit_of_a_result(judge: Judge, ratio: float) -> None:
    every = windows(60, ratio)
    alone = judged(judge, [[window] for window in every])
    assert len({(each.verdict, each.reason) for each in alone}) > 4
    for seed in range(5):
        cuts = np.sort(np.random.default_rng(seed).integers(0, len(every), 6)).tolist()
        slices = [every[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(every)], strict=True)]
        assert judged(judge, slices) == alone


def test_the_model_computes_no_window_that_shows_by_itself_that_it_gets_no_verdict(judge: Judge) -> None:
    classifier: Any = judge._model.classifier
    results = judged(judge, [windows(60)])
    without = [each.reason for each in results if each.scores is None]
    assert {"clipped", NOT_RUNNING, NOISE_ALONE} <= set(without)
    later = {OFFSET_JUMPED, AXES_TURNED}
    assert classifier.seen == sum(each.scores is not None or each.reason in later for each in results)


def test_windows_well_before_an_error_get_a_verdict(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    every, offsets, found = windows(60), OffsetWatch(None), []
    alone = judged(judge, [every])
    judge.forget_noise()
    classifier: Any = judge._model.classifier
    classifier.seen, compute = 0, classifier.logits

    def unplugged(inputs: Any) -> Any:
        if classifier.seen + len(inputs) > 30:
            raise RuntimeError("unplugged")
        return compute(inputs)

    monkeypatch.setattr(classifier, "logits", unplugged)
    with pytest.raises(RuntimeError):
        for look in judge.look_at(every):
            found.append(judge.judge(look, offsets))
    assert len(found) >= 16 and found == alone[: len(found)]
