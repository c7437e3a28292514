"""The report as text, from the values of `drsn_edge.inspection.report` or of a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from drsn_edge.bundle.promise import promise_from_json
from drsn_edge.evaluation.generalisation import Generalisation, from_json
from drsn_edge.evaluation.kept_promise import kept_from_json
from drsn_edge.inspection.without_network import early_lines, rows_of
from drsn_edge.support.wording import counted

_WORST_LAYERS = 5
Values = Mapping[str, Any]


def report_text(report: Values) -> str:
    """Return a report as lines of text."""
    parts = [_file_text(report), _budget_text(report["measurement"]), _noise_text(report["measurement"])]
    parts += [_accuracy_text(report), _backends_text(report["backends"])]
    parts += [_generalisation_text(report), _promise_text(report)]
    return "\n".join(part for part in parts if part)


def generalisation_of(report: Values) -> Generalisation | None:
    """Return the report's figures on generalisation; their words come from this version, not from the report."""
    return from_json((report.get("run") or {}).get("generalisation"))


def _generalisation_text(report: Values) -> str:
    found = generalisation_of(report)
    if found is None:
        return ""
    validation = "" if found.validation is None else f", validation {found.validation:.4f}"
    lines = [f"accuracy        after training: hold-out set ({found.rule}) {found.held_out:.4f}{validation}"]
    return "\n".join([*lines, *([f"Warning: {found.warning}"] if found.warning else [])])


def _promise_text(report: Values) -> str:
    values, kept = report.get("promise"), kept_from_json((report.get("run") or {}).get("at_most_wrong"))
    lines = [] if values is None else promise_from_json(values).in_words
    lines += ["when converted:", *(each.in_words for each in kept)] if kept else []
    return f"promise{'':9}" + f"\n{'':16}".join(lines) if lines else ""


def _file_text(report: Values) -> str:
    model, compiler = report["model"], report["edgetpu_compiler"]
    if model is None:
        rows = (f"{name:16}{words}" for name, words in rows_of(report["novelty"]).items())
        first = f"{report['file']['name']} ({report['file']['kind']})"
        return "\n".join([first, *rows, *early_lines(report["novelty"])])
    activations_kb = model["peak_activation_bytes"] / 1000
    operators = ", ".join(f"{each['count']} {each['name']} v{each['version']}" for each in model["operators"])
    lines = [
        f"{report['file']['name']} ({report['file']['kind']})",
        f"file            {model['file_bytes'] / 1000:.1f} kB, activations {activations_kb:.1f} kB",
        f"operations      {model['macs']} multiply-accumulates per window in the int8 file, fixed shortcuts included",
        f"operators       {operators}",
        f"XNNPACK         {_xnnpack_words(model['xnnpack'])}",
        f"Edge TPU        {_edgetpu_words(model['edgetpu'])}",
        *(f"{target:16}{_findings_words(found)}" for target, found in model["findings"].items()),
        f"thresholds      {_thresholds_words(model['thresholds'])}",
    ]
    if compiler:
        differences = "; ".join(compiler["differences"]) or "agrees with the lint"
        lines.append(f"Edge TPU compiler {compiler['version']}: {differences}")
    return "\n".join(lines)


def _xnnpack_words(found: Values) -> str:
    pieces = counted(found["partitions"], "partition")
    if not found["refusals"]:
        return f"all {counted(found['operators'], 'operator')}, in {pieces}"
    return f"{found['taken']} of {found['operators']} operators, in {pieces}; first left out: {_first(found)}"


def _edgetpu_words(found: Values) -> str:
    if not found["refusals"]:
        return f"all {found['operators']} operators"
    return f"the first {found['mapped']} of {found['operators']} operators, the rest on the CPU: {_first(found)}"


def _first(found: Values) -> str:
    first = found["refusals"][0]
    return f"{first['operator']} {first['reason']} (operator {first['index'] + 1})"


def _findings_words(findings: list[str]) -> str:
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    return f"does not suit: {findings[0]}{more}" if findings else "suits"


def _thresholds_words(sites: list[Values]) -> str:
    if not sites:
        return "none: this network has no shrinkage"
    return f"{counted(len(sites), 'block')} with {', '.join(str(site['thresholds']) for site in sites)} thresholds"


def _budget_text(measured: Values | None) -> str:
    if not measured or not measured["budgets"]:
        return ""
    lines = [
        f"thresholds over {counted(measured['windows'], 'window')}: tau in steps (LSB) of the features that it is "
        "subtracted from",
        f"{'block':>7}{'lowest':>9}{'median':>9}{'highest':>9}{'codes set to 0':>16}{'below 1 step':>14}",
    ]
    for number, each in enumerate(measured["budgets"], start=1):
        least, median, most = np.quantile(each["tau_lsb"], (0, 0.5, 1))
        lines.append(
            f"{number:7}{least:9.2f}{median:9.2f}{most:9.2f}{each['dead_zone_codes']:16.1f}{each['vanished_share']:14.1%}"
        )
    return "\n".join(lines)


def _noise_text(measured: Values | None) -> str:
    if not measured:
        return ""
    known = [each for each in measured["layers"] if each["sqnr_db"] is not None]
    if not known:
        return "int8 noise      none: int8 and float are equal behind every operator"
    worst = sorted(known, key=lambda each: each["sqnr_db"])[:_WORST_LAYERS]
    words = ", ".join(f"{each['sqnr_db']:.1f} at {each['name']} {each['operator'] + 1}" for each in worst)
    at_logits = f"{known[-1]['sqnr_db']:.1f} dB at the logits"
    return f"int8 noise      signal-to-quantization-noise ratio {at_logits}; lowest: {words}"


def _accuracy_text(report: Values) -> str:
    rows = report["accuracy"]
    if not rows:
        return ""
    run = report["run"]
    columns = ["float32", *(["calibrated"] if rows[0].get("calibrated") is not None else []), "int8", "same_class"]
    lines = [
        f"accuracy on {run['windows']} of {counted(run['held_out'], 'hold-out window')} of {run['name']}",
        f"{'':18}" + "".join(f"{column.replace('_', ' '):>12}" for column in columns),
    ]
    for row in rows:
        name = f"{row['kind']} {row['snr_db']:g} dB" if row["kind"] else "as recorded"
        lines.append(f"{name:18}" + "".join(f"{_share(row[column]):>12}" for column in columns))
    return "\n".join(lines)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _backends_text(backends: Values | None) -> str:
    if not backends:
        return ""
    lines = [
        f"backends on {counted(backends['windows'], 'window')}: share of equal logits, largest difference, windows "
        "with different classes"
    ]
    for each in backends["comparisons"]:
        steps = {int(step): count for step, count in each["lsb_differences"].items()}
        equal = steps.get(0, 0) / max(1, sum(steps.values()))
        pair = f"{each['first']} / {each['second']}"
        lines.append(f"  {pair:38}{equal:8.1%}{max(map(abs, steps), default=0):5} LSB{each['class_flips']:6}")
    lines += [f"  {name} did not run: {reason}" for name, reason in backends["failures"].items()]
    return "\n".join(lines)
