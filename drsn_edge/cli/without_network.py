"""What `train`, `convert` and `evaluate` do with healthy recordings alone: no network, and options that need one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drsn_edge.cli.output import note, print_text, print_values
from drsn_edge.cli.progress import counting_bar, spinner
from drsn_edge.cli.reading import read_folder
from drsn_edge.cli.typed import is_typed
from drsn_edge.support.notice import as_line
from drsn_edge.support.wording import counted

if TYPE_CHECKING:
    from drsn_edge.bundle.healthy import HealthyOptions
    from drsn_edge.conversion.healthy import HealthyConversion
    from drsn_edge.evaluation.data import EvaluationData
    from drsn_edge.evaluation.without_network import HealthyModel
    from drsn_edge.recordings.recording import Recording
    from drsn_edge.signal.bearing import BearingGeometry
    from drsn_edge.training.healthy import HealthyTraining
    from drsn_edge.training.healthy_run import HealthyRun

_OF_TRAIN = ("target", "without_speed", "resume")
"""Options of `train` that are no settings and need a network."""

_OF_CONVERT = ("target", "max_drop", "qat", "data", "catalogue", "epochs", "learning_rate", "resume", "force")
_OF_EVALUATE = ("snrs_db", "seed", "out", "force")


def bearing_of(path: Path) -> BearingGeometry:
    """Return the bearing of a limits file.

    Raises:
        SettingsError: If the file cannot be read, or has no [bearing].
    """
    from drsn_edge.errors import SettingsError
    from drsn_edge.monitor.stages.severity_limits import read_limits

    bearing = read_limits(path).bearing
    if bearing is None:
        words = f"{path} has no [bearing], by whose geometry changes are named. Add it (docs/how-to/healthy.md)."
        raise SettingsError(words, "no_bearing", path=path)
    return bearing.geometry


def expect_no_bearing(path: Path | None, recordings: Sequence[Recording]) -> None:
    """Refuse to name changes by geometry where recordings of faults are there to be learned.

    Raises:
        SettingsError: If a file of a bearing was named.
    """
    from drsn_edge.errors import SettingsError

    if path is not None:
        labels = sorted({each.label or "none" for each in recordings})
        words = f"--simulate-faults is for healthy recordings alone, and these have the labels {', '.join(labels)}."
        raise SettingsError(f"{words} Leave it out.", "needs_healthy_alone", labels=tuple(labels))


def train_healthy(
    ctx: click.Context,
    recordings: Sequence[Recording],
    fixed: Mapping[str, Any],
    out: Path,
    bearing: BearingGeometry | None,
    *,
    as_json: bool,
) -> None:
    """Learn healthy recordings alone, write the run folder, and print how often hold-out windows are UNKNOWN.

    Args:
        ctx: Context of `train`.
        recordings: Recordings with one label, that of a healthy machine.
        fixed: Settings that the user typed or wrote into the file.
        out: Run folder to write.
        bearing: The bearing under the sensor, by which changes are named; None: no change is named.
        as_json: Whether to print JSON.

    Raises:
        SettingsError: If a setting needs a network.
        DrsnEdgeError: If the recordings cannot be split, or are too short.
    """
    from drsn_edge.evaluation.after_learning import evaluate_healthy
    from drsn_edge.training.healthy import RESEARCH, SETTINGS
    from drsn_edge.training.healthy_run import save_healthy_run

    unused = [name for name in fixed if name not in (*SETTINGS, *RESEARCH)]
    why = f"All recordings are {recordings[0].label}, so that no network is trained"
    _refuse(ctx, [*unused, *_typed(ctx, _OF_TRAIN)], why)
    training = _learn(recordings, fixed, bearing)
    with counting_bar("simulating faults") as bar:
        metrics = evaluate_healthy(training, out.name, bar)
    save_healthy_run(training, metrics, out)
    for warning in metrics["warnings"]:
        note(as_line(warning))
    if as_json:
        print_values(metrics)
    else:
        print_text(_metrics_text(metrics, out))


def _learn(
    recordings: Sequence[Recording], fixed: Mapping[str, Any], bearing: BearingGeometry | None
) -> HealthyTraining:
    from drsn_edge.datasets.damage import damage_lines
    from drsn_edge.training.classes import classes_text, count_classes
    from drsn_edge.training.feed import split_recordings
    from drsn_edge.training.healthy import HOLD_OUT, learn_healthy
    from drsn_edge.training.settings import settings_from

    settings = settings_from({"hold_out": HOLD_OUT, **fixed, "validation": False})
    with counting_bar("checking recordings for damage") as bar:
        split = split_recordings(recordings, settings, bar, least_classes=1)
    rows = [*map(str, split.rates), classes_text(count_classes(split, settings)), *damage_lines(split.damage)]
    note("\n".join([*rows, *(as_line(doubt.sentence) for doubt in split.doubts)]))
    with spinner("learning"):
        return learn_healthy(recordings, split, settings, bearing)


def convert_healthy_run(
    ctx: click.Context, run: Path, out: Path, *, options: Mapping[str, Any], as_json: bool
) -> None:  # fmt: skip
    """Write the bundle of a run folder without a network.

    Args:
        ctx: Context of `convert`.
        run: The run folder.
        out: Bundle to write.
        options: Values of the options that matter without a network, by name.
        as_json: Whether to print JSON.

    Raises:
        SettingsError: If an option needs a network.
        DrsnEdgeError: If the run is damaged, or the bundle cannot be made.
    """
    from drsn_edge.bundle.bundle import write_bundle
    from drsn_edge.conversion.healthy import convert_healthy
    from drsn_edge.support.files import check_new_file
    from drsn_edge.training.healthy_run import load_healthy_run

    _refuse(ctx, _typed(ctx, _OF_CONVERT), f"The run {run} has no network")
    check_new_file(out)
    loaded = load_healthy_run(run)
    fields = {name: value for name, value in options.items() if name != "learned_only"}
    decided = _bundle_options(loaded, **fields)
    with counting_bar("making the bundle") as bar:
        conversion = convert_healthy(loaded, decided, learned_only=options["learned_only"], show=bar)
    size = write_bundle(conversion.bundle, out)
    if as_json:
        print_values({**_conversion_values(conversion), "bundle": str(out), "bytes": size})
    else:
        print_text(_conversion_text(conversion, out, size))


def _bundle_options(
    run: HealthyRun,
    *,
    name: str | None,
    model_version: str,
    latency_s: float | None,
    budget_mb: float,
    false_unknown: float,
    **others: Any,
) -> HealthyOptions:
    from drsn_edge.bundle.healthy import HealthyOptions
    from drsn_edge.conversion.budget import budget_of

    budget = budget_of(run.contract, None if latency_s is None else 1000 * latency_s, budget_mb)
    return HealthyOptions(name or run.name, model_version, unknown_share=false_unknown, budget=budget, **others)


def has_no_network(path: Path) -> bool:
    """Tell whether a run folder or a bundle is without a network.

    Raises:
        BundleError: If a file is no bundle, or a damaged one.
    """
    from drsn_edge.bundle.bundle import read_bundle
    from drsn_edge.training.run_folder import is_healthy_run

    return not read_bundle(path).manifest.has_network if path.is_file() else is_healthy_run(path)


def evaluate_without_network(
    ctx: click.Context, path: Path, run: Path | None, data: Path | None, only: str | None, catalogue: Path | None
) -> None:
    """Print how often a model without a network calls windows of each label UNKNOWN.

    Args:
        ctx: Context of `evaluate`.
        path: Run folder or bundle without a network.
        run: Run folder whose hold-out set a bundle is evaluated on; None: `data`.
        data: Folder of recordings with any labels; None: the hold-out set.
        only: `FIELD=VALUE` that chooses some of the recordings; None for all.
        catalogue: Catalogue of the recordings; None: the one in their folder.

    Raises:
        SettingsError: If an option needs a network.
        DrsnEdgeError: If the model is damaged, or the recordings do not fit it.
    """
    from drsn_edge.evaluation.data import recordings_data
    from drsn_edge.evaluation.without_network import (
        evaluate_novelty,
        novelty_evaluation_text,
        novelty_evaluation_to_json,
    )

    _refuse(ctx, _typed(ctx, _OF_EVALUATE), f"{path} has no network")
    model, held_out = _model_of(path, run)
    if data is None:
        assert held_out is not None  # a bundle needs --run or --data
        found = evaluate_novelty(model, held_out, (model.label,))
    else:
        recordings = [_with_label_of(model, each) for each in read_folder(data, catalogue, None)]
        labels = (model.label, *sorted({each.label for each in recordings if each.label} - {model.label}))
        windows = recordings_data(recordings, data, only, model.contract, labels)
        found = evaluate_novelty(model, windows, labels, None if held_out is None else held_out.windows)
    if ctx.params["as_json"]:
        print_values(novelty_evaluation_to_json(found))
    else:
        print_text(novelty_evaluation_text(found))


def _with_label_of(model: HealthyModel, recording: Recording) -> Recording:
    """Return a recording of a healthy machine with the model's own name for one; any other recording as it is."""
    from drsn_edge.support.palette import is_healthy

    return replace(recording, label=model.label) if is_healthy(recording.label or "") else recording


def _model_of(path: Path, run: Path | None) -> tuple[HealthyModel, EvaluationData | None]:
    """Return the model, and the hold-out set of its run folder, or of the one that was named for a bundle."""
    from drsn_edge.bundle.bundle import read_bundle
    from drsn_edge.evaluation.data import UNKNOWN_RUN, held_out_data, with_warning
    from drsn_edge.evaluation.without_network import check_same_run, model_of_bundle, model_of_run
    from drsn_edge.training.healthy_run import load_healthy_run
    from drsn_edge.training.run_folder import read_run

    if path.is_dir():
        loaded = load_healthy_run(path)
        return model_of_run(loaded), held_out_data(loaded, path)
    model = model_of_bundle(read_bundle(path))
    if run is None:
        return model, None
    record = read_run(run)
    check_same_run(model, record.contract, record.labels, run)
    return model, with_warning(held_out_data(record, run), UNKNOWN_RUN)


def _typed(ctx: click.Context, names: Iterable[str]) -> list[str]:
    return [name for name in names if is_typed(ctx, name)]


def _refuse(ctx: click.Context, names: Sequence[str], why: str) -> None:
    """Raise SettingsError if there are settings or options, by the names of their values, that need a network."""
    if not names:
        return
    from drsn_edge.errors import SettingsError

    shown = {param.name: max(param.opts, key=len) for param in ctx.command.params}
    said = tuple(shown[name] if is_typed(ctx, name) else name for name in names)
    have, them = ("has", "it") if len(said) == 1 else ("have", "them")
    words = f"{why}: {', '.join(said)} {have} no meaning. Leave {them} out."
    raise SettingsError(words, "needs_network", settings=said)


def _metrics_text(metrics: Mapping[str, Any], out: Path) -> str:
    from drsn_edge.evaluation.early import early_text, found_early

    held_out, points, windows = metrics["held_out"], metrics["operating_points"], metrics["learned_windows"]
    return "\n".join(
        [
            f"hold-out set        {metrics['split']}, {counted(metrics['held_out_windows'], 'window')}",
            *_share_rows(held_out, metrics["unknown_share"]),
            f"learned             {counted(points, 'operating point')} from {counted(windows, 'window')}",
            *_left_out_rows(metrics["left_out"]),
            *(metrics[key] for key in ("leak", "remark") if metrics[key]),
            *early_text(found_early(metrics["early"])),
            *metrics["in_words"],
            f"wrote {out}",
        ]
    )


def _left_out_rows(left_out: Mapping[str, int]) -> list[str]:
    said = ", ".join(f"{count} {reason}" for reason, count in left_out.items())
    return [f"left out            {said}"] if said else []


def _share_rows(held_out: Mapping[str, Any], asked: float | None) -> list[str]:
    set_to = "" if asked is None else f"; {asked:.1%} was set"
    windows, seconds = held_out["windows"], held_out["seconds"]
    return [
        f"windows UNKNOWN     {_share_text(windows)}{set_to}",
        f"seconds UNKNOWN     {_share_text(seconds)}; by the median novelty of each second",
    ]


def _share_text(share: Mapping[str, Any]) -> str:
    if share["unknown"] is None:
        return "none is long enough"
    low, high = share["interval_95"]
    return f"{share['unknown']:.1%} of {share['count']}, 95 % interval {low:.1%} to {high:.1%}"


def _conversion_values(conversion: HealthyConversion) -> dict[str, Any]:
    from drsn_edge.evaluation.early import early_to_json

    noise = conversion.noise
    return {
        "network": None,
        "operating_points": len(conversion.model.novelty.prototypes),
        "unknown_share": conversion.model.unknown_share,
        "held_out": asdict(conversion.held_out),
        "early": early_to_json(conversion.early),
        "noise_alone": None if noise is None else asdict(noise),
    }


def _conversion_text(conversion: HealthyConversion, out: Path, size: int) -> str:
    from drsn_edge.evaluation.after_learning import in_words
    from drsn_edge.evaluation.early import early_text

    model = conversion.model
    rows = [*_share_rows(asdict(conversion.held_out), model.unknown_share), *early_text(conversion.early)]
    names = conversion.bundle.manifest.names_changes
    return "\n".join([*rows, *in_words(model, names), f"wrote {out} ({size / 1000:.1f} kB)"])
