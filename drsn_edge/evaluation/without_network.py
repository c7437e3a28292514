"""Evaluation of a model without a network: labelled windows in, shares of UNKNOWN and AUROC of novelty out.

Figures are given for single windows, and for evidence over `TIME_S`: the median novelty of successive windows, see
`drsn_edge.signal.evidence`. Neither windows nor seconds overlap.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drsn_edge.bundle.bundle import Bundle
from drsn_edge.bundle.open_model import naming_of, novelty_of
from drsn_edge.datasets.windows import WindowSet
from drsn_edge.errors import ContractError, DrsnEdgeError
from drsn_edge.evaluation.data import EvaluationData
from drsn_edge.evaluation.metrics import wilson_interval
from drsn_edge.evaluation.rows import evidence_of, stretches_of
from drsn_edge.signal.contract import SignalContract, contract_to_json
from drsn_edge.signal.evidence import TIME_S, combined, windows_in
from drsn_edge.signal.novelty import Novelty
from drsn_edge.signal.resemblance import Naming
from drsn_edge.support.wording import counted
from drsn_edge.training.healthy_run import HealthyRun

SCHEMA = 1

HELD_OUT = "hold-out set"
"""Name of the healthy windows of a run that stand in where the recordings have none."""

Doubles = NDArray[np.float64]

_CHUNK = 256
_DIFFERS, _SELDOM = 0.95, 0.5
"""AUROC from which a label differs from the healthy one, and share of UNKNOWN below which that is hidden."""


@dataclass(frozen=True)
class HealthyModel:
    """A model without a network, of a run folder or of a bundle.

    Attributes:
        name: Name of the run folder, or the name in the bundle.
        kind: "run folder" or "bundle".
        version: MAJOR.MINOR.PATCH of a bundle; None for a run folder.
        generator: Program and version that wrote it.
        label: Its healthy label.
        contract: Its signal contract.
        novelty: Its novelty detection.
        unknown_share: Share of the windows of a healthy machine that may be UNKNOWN; None: not known.
        naming: What it names changes by; None: it names none.
    """

    name: str
    kind: str
    version: str | None
    generator: str
    label: str
    contract: SignalContract
    novelty: Novelty
    unknown_share: float | None
    naming: Naming | None = None


@dataclass(frozen=True)
class UnknownShare:
    """The share of windows, or of seconds, that are UNKNOWN.

    Attributes:
        count: Number of windows, or of seconds without overlap.
        unknown: Share of them that are UNKNOWN, 0 to 1; None without any.
        interval_95: Wilson's 95 % confidence interval of the share, as if they were independent; None without any.
        auroc: Area under the ROC curve of novelty, these against the healthy ones; None for the healthy label, for a
            recording, and without healthy ones.
    """

    count: int
    unknown: float | None
    interval_95: tuple[float, float] | None
    auroc: float | None = None


@dataclass(frozen=True)
class Figures:
    """The figures of a label or a recording.

    Attributes:
        name: Label or recording.
        windows: Figures of single windows.
        seconds: Figures of evidence over `TIME_S`.
        resembles: Number of UNKNOWN seconds by what they resemble, such as `like outer_race` or `not located`, the most
            frequent first; empty if the model names no changes, or the shaft speed is unknown.
    """

    name: str
    windows: UnknownShare
    seconds: UnknownShare
    resembles: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class NoveltyEvaluation:
    """The figures of a model without a network on labelled windows.

    Attributes:
        model: The model.
        data: The windows.
        labels: Figures of each label that occurs, the healthy one, or what stands in for it, first.
        recordings: Figures of each recording, in order.
    """

    model: HealthyModel
    data: EvaluationData
    labels: tuple[Figures, ...]
    recordings: tuple[Figures, ...]


def model_of_bundle(bundle: Bundle) -> HealthyModel:
    """Return the model of a bundle without a network.

    Raises:
        BundleError: If its novelty is damaged.
    """
    manifest, novelty = bundle.manifest, novelty_of(bundle)
    assert novelty is not None  # `read_bundle` refuses a bundle without network and novelty
    label, contract, share = manifest.labels[0], manifest.contract, manifest.unknown_share
    named = manifest.name, "bundle", manifest.version, manifest.generator
    return HealthyModel(*named, label, contract, novelty, share, naming_of(bundle))


def model_of_run(run: HealthyRun) -> HealthyModel:
    """Return the model of a run folder without a network."""
    named = run.name, "run folder", None, f"drsn-edge {run.config['version']}"
    return HealthyModel(*named, run.label, run.contract, run.novelty, run.metrics["unknown_share"], run.naming)


def check_same_run(model: HealthyModel, contract: SignalContract, labels: tuple[str, ...], run: object) -> None:
    """Raise ContractError if the contract or the label of a run differs from those of the model."""
    if (model.contract, (model.label,)) != (contract, labels):
        words = f"{model.name} was not converted from the run {run}, whose contract or label is another."
        raise ContractError(f"{words} Choose another --run.", "other_run", model=model.name, path=run)


def evaluate_novelty(
    model: HealthyModel, data: EvaluationData, labels: Sequence[str], held_out: WindowSet | None = None
) -> NoveltyEvaluation:
    """Evaluate a model without a network on every window of `data`.

    Args:
        model: The model.
        data: Windows in the contract's unit, without overlap.
        labels: Labels of the windows by their class index; the first is the healthy one.
        held_out: Healthy windows that stand in where `data` has none.

    Raises:
        DrsnEdgeError: If a novelty is not finite.
    """
    judged = _judged(model, data.windows)
    of_labels = {label: judged.of(judged.windows.labels == number) for number, label in enumerate(labels)}
    if not len(of_labels[model.label]) and held_out is not None:
        of_labels = {HELD_OUT: _judged(model, held_out), **of_labels}
    found = {label: each for label, each in of_labels.items() if len(each)}
    healthy = next((found[name] for name in (model.label, HELD_OUT) if name in found), None)
    by_label = [_figures(model, label, each, None if each is healthy else healthy) for label, each in found.items()]
    names = dict.fromkeys(judged.windows.recordings.tolist())
    by_recording = [_figures(model, name, judged.of(judged.windows.recordings == name), None) for name in names]
    return NoveltyEvaluation(model, data, tuple(by_label), tuple(by_recording))


def held_out_figures(model: HealthyModel, held_out: WindowSet) -> Figures:
    """Return the figures of healthy windows without overlap.

    Raises:
        DrsnEdgeError: If a novelty is not finite.
    """
    return _figures(model, model.label, _judged(model, held_out), None)


@dataclass(frozen=True)
class _Judged:
    """Windows with their novelties, shape (n,), by recording and in the order of time; `count` of them are a second."""

    windows: WindowSet
    novelties: Doubles
    window: int
    count: int

    def __len__(self) -> int:
        return len(self.novelties)

    def of(self, chosen: NDArray[np.bool_]) -> _Judged:
        """Return the windows that are chosen."""
        return _Judged(self.windows.pick(np.flatnonzero(chosen)), self.novelties[chosen], self.window, self.count)

    def seconds(self) -> Doubles:
        """Return the median novelty of each second; a second has no gap."""
        names, starts = self.windows.recordings, self.windows.first_samples
        follows = (names[1:] == names[:-1]) & (np.diff(starts) == self.window)
        rows = np.split(self.novelties, np.flatnonzero(~follows) + 1)
        return np.concatenate([combined(row, self.count)[:: self.count] for row in rows])


def _judged(model: HealthyModel, windows: WindowSet) -> _Judged:
    ordered = windows.pick(np.lexsort((windows.first_samples, windows.recordings)))
    parts = [ordered.windows[at : at + _CHUNK] for at in range(0, len(ordered), _CHUNK)]
    novelties = np.concatenate([np.empty(0), *(model.novelty.novelty(part) for part in parts)])
    if not np.isfinite(novelties).all():
        words = "The novelty of some windows is not finite. Check the recordings for outliers."
        raise DrsnEdgeError(words, "novelty_not_finite", windows=len(windows))
    window_s = model.contract.window / model.contract.sample_rate_hz
    return _Judged(ordered, novelties, model.contract.window, windows_in(TIME_S, window_s, window_s))


def _figures(model: HealthyModel, name: str, found: _Judged, healthy: _Judged | None) -> Figures:
    windows = _share(found.novelties, None if healthy is None else healthy.novelties)
    seconds = _share(found.seconds(), None if healthy is None else healthy.seconds())
    return Figures(name, windows, seconds, _resembled(model, found.windows))


def _resembled(model: HealthyModel, windows: WindowSet) -> Mapping[str, int]:
    """Return the number of UNKNOWN stretches by what they resemble."""
    naming, contract, said = model.naming, model.contract, Counter[str]()
    for each in () if naming is None else stretches_of(windows, contract):
        if naming is not None and evidence_of(model.novelty, contract, each.samples)[-1] > 1:
            said[naming.label_of(each.samples, contract.sample_rate_hz, each.shaft_hz)] += 1
    return dict(said.most_common())


def _share(novelties: Doubles, healthy: Doubles | None) -> UnknownShare:
    hits, trials = int((novelties > 1).sum()), len(novelties)
    if not trials:
        return UnknownShare(0, None, None)
    auroc = None if healthy is None or not len(healthy) else area_under_roc(novelties, healthy)
    return UnknownShare(trials, hits / trials, wilson_interval(hits, trials), auroc)


def area_under_roc(faulty: NDArray[np.floating], healthy: NDArray[np.floating]) -> float:
    """Return the share of pairs in which the faulty window is the more novel one, shape (n,) and (m,); half if equal.

    Source: Mann and Whitney 1947, the statistic U divided by n * m.
    """
    ordered = np.sort(healthy)
    below, not_above = (np.searchsorted(ordered, faulty, side) for side in ("left", "right"))
    return float((below + not_above).mean() / (2 * len(healthy)))


def hidden_in_words(found: NoveltyEvaluation) -> tuple[str, ...]:
    """Return a sentence for each label that differs from the healthy one and is seldom UNKNOWN all the same."""
    said = []
    for each in found.labels:
        auroc, unknown = each.windows.auroc, each.windows.unknown
        if auroc is not None and unknown is not None and auroc >= _DIFFERS and unknown < _SELDOM:
            said.append(
                f"{each.name} is more novel than {found.model.label} (AUROC {auroc:.3f}), but by less than the limit "
                "allows for loads and speeds that were never learned."
            )
    return tuple(said)


def novelty_evaluation_to_json(found: NoveltyEvaluation) -> dict[str, Any]:
    """Return the figures as plain JSON values, schema 1: fields are only ever added."""
    model = found.model
    return {
        "schema": SCHEMA,
        "type": "novelty-evaluation",
        "model": {name: getattr(model, name) for name in ("name", "kind", "version", "generator")},
        "healthy": model.label,
        "contract": contract_to_json(model.contract),
        "unknown_share": model.unknown_share,
        "operating_points": len(model.novelty.prototypes),
        "evidence_s": TIME_S,
        "data": found.data.facts(),
        "labels": [asdict(each) for each in found.labels],
        "in_words": list(hidden_in_words(found)),
        "recordings": [asdict(each) for each in found.recordings],
    }


def novelty_evaluation_text(found: NoveltyEvaluation) -> str:
    """Return the figures as lines of text."""
    model, data = found.model, found.data
    rows = (*found.labels, *found.recordings)
    width = max(11, *(len(each.name) + 1 for each in rows))
    name = " ".join(filter(None, (model.name, model.version)))
    return "\n".join(
        [
            f"{name} ({model.kind} without a network), {model.label} or UNKNOWN",
            f"{counted(len(data.windows), 'window')} from {data.source}{f', {data.rule}' if data.rule else ''}",
            *data.rates,
            *(f"Warning: {warning}" for warning in data.warnings),
            asked_text(model),
            f"{'':{width}}{'windows':>8}{'UNKNOWN':>9}{'interval':>17}{'AUROC':>7}{'seconds':>9}{'UNKNOWN':>9}{'AUROC':>7}"
            f"{'  what UNKNOWN stretches resemble' if any(each.resembles for each in rows) else ''}",
            *(_row(each, width) for each in found.labels),
            *hidden_in_words(found),
            "by recording",
            *(_row(each, width) for each in found.recordings),
        ]
    )


def asked_text(model: HealthyModel) -> str:
    """Return a sentence about the share of UNKNOWN that the model was made for, and about what is printed beside it."""
    what = "UNKNOWN: single windows, and seconds by their median novelty; 95 % interval as if windows were independent"
    return what if model.unknown_share is None else f"{what}; {model.unknown_share:.1%} was set for healthy windows"


def _row(found: Figures, width: int) -> str:
    windows, seconds = found.windows, found.seconds
    low, high = windows.interval_95 or (0.0, 1.0)
    row = f"{found.name:{width}}{windows.count:8}{_percent(windows.unknown):>9}{f'{low:.1%} to {high:.1%}':>17}"
    row += f"{_area(windows.auroc):>7}{seconds.count:9}{_percent(seconds.unknown):>9}{_area(seconds.auroc):>7}"
    names = ", ".join(f"{name} {count}" for name, count in found.resembles.items())
    return f"{row:{width + 65}}{f'  {names}' if names else ''}".rstrip()


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _area(auroc: float | None) -> str:
    return "" if auroc is None else f"{auroc:.3f}"
