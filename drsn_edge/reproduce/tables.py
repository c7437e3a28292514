"""Write the tables of the document on accuracy from results: all its figures are computed here."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from drsn_edge.errors import OutputError
from drsn_edge.evaluation.conditions import NoiseCondition
from drsn_edge.reproduce.jobs import JobResult, Score
from drsn_edge.reproduce.protocols import PAPER_KINDS, PAPER_SNRS_DB, PROTOCOLS, Protocol
from drsn_edge.reproduce.statistics import CONFIDENCE, Difference, SeedSummary, over_seeds, paired_difference
from drsn_edge.support.files import write_file


def accuracy(score: Score) -> float:
    """Return the share of correctly classified windows, 0 to 1."""
    return score.accuracy


def macro_f1(score: Score) -> float:
    """Return the F1 score averaged over classes, 0 to 1."""
    return score.macro_f1


def write_markdown(results: Sequence[JobResult], path: Path) -> None:
    """Write the document, replacing an earlier version.

    Raises:
        OutputError: If the file is something else, or cannot be written.
    """
    if path.exists() and not path.read_bytes().startswith(_TITLE.encode()):
        raise OutputError(
            f"{path} is not a document of `drsn-edge reproduce`, and stays unchanged. Choose another --write.",
            "holds_something_else",
            path=path,
        )
    write_file(path, as_markdown(results).encode())


def as_markdown(results: Sequence[JobResult]) -> str:
    """Return the whole document for these results; protocols without a result are left out."""
    parts = [_HEAD.format(versions=_versions(results))]
    for protocol in PROTOCOLS:
        found = [result for result in results if result.job.protocol == protocol.name]
        if found:
            table = _paper_table(found) if protocol.name == "paper" else _split_table(protocol, found)
            parts.append(f"## {protocol.title}\n\n{protocol.text}\n\n{table}\n\n{_spent(found)}")
    return "\n\n".join(parts) + "\n"


_TITLE = "# Accuracy\n"

_HEAD = f"""{_TITLE}
`drsn-edge reproduce` writes this page from its results file; edit neither by hand. Figures are in percent: the mean
over seeds of the mean over folds, +- the sample deviation over seeds. Hold-out windows of one recording are not
independent: the deviation shows how much trainings vary, not how accurate the model is on another machine.
{{versions}}"""


def _versions(results: Sequence[JobResult]) -> str:
    found = sorted({", ".join(f"{name} {version}" for name, version in o.versions.items()) for o in results})
    return f"Versions: {'; '.join(found)}." if found else "No results yet."


def _spent(results: Sequence[JobResult]) -> str:
    hours = sum(result.seconds for result in results) / 3600
    return f"{len(results)} trainings and fits, {hours:.1f} core hours."


def _split_table(protocol: Protocol, results: Sequence[JobResult]) -> str:
    folds = list(dict.fromkeys(result.job.hold_out for result in results))
    conditions = list(dict.fromkeys(str(score.condition) for result in results for score in result.scores))
    metric = macro_f1 if protocol.is_judged_by_f1 else accuracy
    what = "macro-F1" if protocol.is_judged_by_f1 else "accuracy"
    rows = [["model", what, *(f"`{fold.partition(',')[0]}`" for fold in folds), "mean", "seeds", "windows"]]
    for model in dict.fromkeys(result.job.model for result in results):
        of_model = [result for result in results if result.job.model == model]
        for condition in conditions:
            by_fold = [over_seeds((o for o in of_model if o.job.hold_out == fold), condition, metric) for fold in folds]
            mean = over_seeds(of_model, condition, metric) if all(by_fold) else None
            windows = sum({o.job.hold_out: o.scores[0].windows for o in of_model}.values())
            seeds = "" if mean is None else str(mean.seeds)
            rows.append([model, condition, *map(_percent, by_fold), _percent(mean), seeds, str(windows)])
    return _markdown_table(rows)


def _paper_table(found: Sequence[JobResult]) -> str:
    """Return the table over noise settings and seeds with results of all models: other means cannot be compared."""
    models = list(dict.fromkeys(result.job.model for result in found))
    counts = Counter((result.job.settings, result.job.seed) for result in found)
    results = [result for result in found if counts[result.job.settings, result.job.seed] == len(models)]
    rows = [["noise", "SNR", *models, "difference"]]
    for kind in PAPER_KINDS:
        for snr_db in PAPER_SNRS_DB:
            name = str(NoiseCondition(kind, snr_db))
            cell = [o for o in results if str(o.scores[0].condition) == name]
            means = [over_seeds((o for o in cell if o.job.model == model), name, accuracy) for model in models]
            rows.append([kind, f"{snr_db:g} dB", *map(_percent, means), _points(_cw_over_resnet(cell))])
    rows.append(["all", "", *(_mean_of(results, model) for model in models), _points(_cw_over_resnet(results))])
    return (
        f"{_markdown_table(rows)}\n\nThe difference is DRSN-CW - ResNet in points, paired by noise, SNR and seed, with "
        f"its {CONFIDENCE * 100:g} % interval (Student's t over the pairs)."
    )


def _cw_over_resnet(results: Sequence[JobResult]) -> Difference | None:
    return paired_difference(results, "rsbu-cw", "residual", accuracy)


def _mean_of(results: Sequence[JobResult], model: str) -> str:
    found = [score.accuracy for result in results if result.job.model == model for score in result.scores]
    return f"{100 * sum(found) / len(found):.2f}" if found else ""


def _percent(summary: SeedSummary | None) -> str:
    if summary is None:
        return ""
    deviation = "" if math.isnan(summary.deviation) else f" +- {100 * summary.deviation:.1f}"
    return f"{100 * summary.mean:.1f}{deviation}"


def _points(found: Difference | None) -> str:
    if found is None:
        return ""
    interval = "" if math.isnan(found.low) else f" ({100 * found.low:+.2f} to {100 * found.high:+.2f})"
    return f"{100 * found.mean:+.2f}{interval}"


def _markdown_table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])
