r"""Measure what the naming of changes says of real faults of a bearing, from healthy recordings and geometry alone.

    python benchmarks/healthy_naming.py --data recordings/ --results docs/results/healthy_naming.json

CWRU: limits and the logistic regression see the healthy machine at loads 0 to 2 and faults simulated into it. Judged
are the 36 recordings of real faults, and the healthy machine at load 3. Windows last one second and do not overlap.

Two machines of the simulator have geometries and resonances of their own. Their faults come from another program than
those that the logistic regression sees, and nothing was tuned on them.

The motor faults, a machine with three axes and four speeds, are judged by the rule of the product alone.

Three methods are compared at the same share of healthy windows that get a name: the combs of
`drsn_edge.signal.naming`, the single lines of `drsn_edge.signal.bearing_lines`, and a logistic regression on the levels
and leads of the combs.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from json_rows import json_rows
from machine import machine
from numpy.typing import NDArray
from scipy.stats import beta
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from drsn_edge.recordings.loading.load import load_recordings
from drsn_edge.signal.bearing import SKF_6205, BearingGeometry
from drsn_edge.signal.bearing_lines import Bearing, line_levels_db
from drsn_edge.signal.likeness import DEFECTS
from drsn_edge.signal.naming import NAMES, Look, Usual, look
from drsn_edge.signal.noise import add_noise
from drsn_edge.simulation.fault_signals import Fault, Place, resonances_of, with_fault
from drsn_edge.simulation.machine import SEVERITY_RANGE_G, Condition, Machine, Sensor
from drsn_edge.simulation.simulator import VibrationSimulator, vary_machine
from drsn_edge.support.files import write_file

Windows = NDArray[np.float32]

SNRS_DB = (None, 0.0, -5.0, -10.0)
SEVERITIES_DB = (-20.0, -10.0, 0.0, 10.0)
NORMAL = "normal"
CLASSES = (NORMAL, "outer_race", "inner_race", "ball")
LINE_OF = {"outer_race": "BPFO", "inner_race": "BPFI", "ball": "BSF", "cage": "FTF"}
PREFIXES = {"normal": NORMAL, "OR": "outer_race", "IR": "inner_race", "B": "ball"}
NOISES = 5
"""Draws of noise for each healthy window that sets limits."""


@dataclass(frozen=True)
class Group:
    """Windows of one condition at one speed, with what each method measures in them.

    Attributes:
        windows: Windows, shape (n, window, axes).
        sample_rate_hz: Sampling rate in Hz.
        shaft_hz: Turns of the shaft per second.
        bearing: Bearing under the sensor.
        truth: One of `CLASSES`.
        size: Label of the recording, such as OR007.
        recording: Name of the recording.
        snr_db: Noise that was added; None: none.
    """

    windows: Windows
    sample_rate_hz: float
    shaft_hz: float
    bearing: BearingGeometry
    truth: str
    size: str
    recording: str
    snr_db: float | None = None

    def noisy(self, snr_db: float | None, rng: np.random.Generator, draws: int = 1) -> Group:
        """Return the group with noise at a ratio, each window `draws` times."""
        if snr_db is None:
            return self
        made = add_noise(np.concatenate([self.windows] * draws), snr_db, rng)
        return Group(**{**vars(self), "windows": made, "snr_db": snr_db})


@dataclass(frozen=True)
class Seen:
    """What is measured in the windows of a group: combs and single lines, one entry for each window."""

    group: Group
    combs: list[Look]
    lines: list[dict[str, float]]


def measured(group: Group) -> Seen:
    """Return the levels of combs and of single lines in each window of a group."""
    rate, shaft, bearing = group.sample_rate_hz, group.shaft_hz, group.bearing
    lines_hz = Bearing(bearing).lines_hz(shaft)
    return Seen(
        group,
        [look(each, rate, shaft, bearing) for each in group.windows],
        [line_levels_db(each, rate, lines_hz) for each in group.windows],
    )


# --- methods: each gives a defect and a surplus for a window; a surplus above 0 is a name ------------------------

Said = tuple[str, float]
Method = Callable[[Seen, int], Said]


def by_combs(usual: Usual) -> Method:
    """Return the rule of the product. A window without a leading comb has the level that exceeds its limit most."""

    def said(seen: Seen, index: int) -> Said:
        found = seen.combs[index]
        surpluses = usual.surpluses(found)
        name = usual.name_of(found)
        over = {each: found.levels[each].level_db - usual.limits_db[each] for each in CLASSES[1:]}
        best = max(over, key=over.__getitem__)
        return (name, surpluses.get(name, 1.0)) if name else (best, min(over[best], 0.0))

    return said


def by_lines(typical: Mapping[str, float]) -> Callable[[float], Method]:
    """Return, for a limit, the plain rule: the line that is furthest above its typical healthy level."""

    def at(limit: float) -> Method:
        def said(seen: Seen, index: int) -> Said:
            over = {name: seen.lines[index][LINE_OF[name]] - typical[name] - limit for name in DEFECTS}
            best = max(DEFECTS, key=over.__getitem__)
            return best, over[best]

        return said

    return at


def by_regression(trained: Any) -> Callable[[float], Method]:
    """Return, for a limit, the likeliest defect if its logarithm of odds against `normal` is above the limit."""
    names = list(trained.classes_)

    def at(limit: float) -> Method:
        def said(seen: Seen, index: int) -> Said:
            odds = trained.predict_log_proba(features(seen.combs[index : index + 1]))[0]
            over = {name: odds[names.index(name)] - odds[names.index(NORMAL)] - limit for name in DEFECTS}
            best = max(DEFECTS, key=over.__getitem__)
            return best, over[best]

        return said

    return at


def features(combs: Sequence[Look]) -> NDArray[np.float64]:
    """Return levels and leads, shape (n, 2 * names)."""
    return np.array([[value for name in NAMES for value in vars(each.levels[name]).values()] for each in combs])


def surpluses(method: Method, groups: Sequence[Seen]) -> NDArray[np.float64]:
    """Return the surplus of every window."""
    return np.array([method(seen, index)[1] for seen in groups for index in range(len(seen.combs))])


def matched(at: Callable[[float], Method], healthy: Sequence[Seen], share: float) -> Method:
    """Return a method with the limit above which this share of the healthy windows lies."""
    return at(float(np.quantile(surpluses(at(0.0), healthy), 1 - share)))


def trained_on(healthy: Sequence[Seen], seed: int) -> Any:
    """Return a logistic regression trained on healthy windows and on faults simulated into them."""
    rng = np.random.default_rng(seed)
    seen, truth = (
        [each for group in healthy for each in group.combs],
        [NORMAL for group in healthy for _ in group.combs],
    )
    for group in (each.group for each in healthy if each.group.snr_db is None):
        place = Place(
            group.sample_rate_hz, group.shaft_hz, group.bearing, resonances_of(group.windows, group.sample_rate_hz)
        )
        for name in DEFECTS:
            for severity_db in SEVERITIES_DB:
                for snr_db in (None, -5.0):
                    fault = Fault(
                        name, severity_db, rng.uniform(0, 0.015), rng.uniform(-0.01, 0.01), rng.uniform(0.3, 1), snr_db
                    )
                    made = with_fault(group.windows, fault, place, int(rng.integers(2**31)))
                    found = measured(Group(**{**vars(group), "windows": made}))
                    seen += found.combs
                    truth += [name] * len(found.combs)
    regression = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000, class_weight="balanced"))
    return regression.fit(features(seen), truth)


def methods(healthy: Sequence[Seen], seed: int = 0) -> tuple[dict[str, Method], float]:
    """Return the three methods, and the share of the healthy windows that each of them names."""
    clean = [each for seen in healthy if seen.group.snr_db is None for each in seen.combs]
    combs = by_combs(Usual.of(clean, healthy[0].group.windows.shape[2]))
    share = float(np.mean(surpluses(combs, healthy) > 0))
    typical = {
        name: float(np.median([each[LINE_OF[name]] for seen in healthy for each in seen.lines])) for name in DEFECTS
    }
    return {
        "combs": combs,
        "single lines": matched(by_lines(typical), healthy, share),
        "logistic regression": matched(by_regression(trained_on(healthy, seed)), healthy, share),
    }, share


# --- figures -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """What a method says of a window: the name, None if it is not located, and the likeliest of the three defects."""

    truth: str
    size: str
    recording: str
    named: str | None
    guess: str


def outcomes(method: Method, judged: Sequence[Seen]) -> list[Outcome]:
    """Return the outcome of every window."""
    found = []
    for seen in judged:
        for index in range(len(seen.combs)):
            name, surplus = method(seen, index)
            group = seen.group
            named = name if surplus > 0 else None
            found.append(Outcome(group.truth, group.size, group.recording, named, name))
    return found


def macro_f1(outcomes: Sequence[Outcome], said: Callable[[Outcome], str | None]) -> float:
    """Return the mean F1 over `CLASSES`, where each class weighs the same however many windows it has."""
    rows = {truth: [said(each) for each in outcomes if each.truth == truth] for truth in CLASSES}
    share = {truth: {name: row.count(name) / len(row) for name in CLASSES} for truth, row in rows.items() if row}
    scores = []
    for name in share:
        right = share[name][name]
        wrong = sum(share[truth][name] for truth in share if truth != name)
        scores.append(2 * right / (1 + right + wrong))
    return float(np.mean(scores))


def figures(found: Sequence[Outcome]) -> dict[str, Any]:
    """Return all figures of one method at one noise."""
    faults, normal = [each for each in found if each.truth != NORMAL], [each for each in found if each.truth == NORMAL]
    named = [each for each in faults if each.named]
    sizes = {size: [each for each in found if each.size == size] for size in dict.fromkeys(each.size for each in found)}
    return {
        "fault windows": len(faults),
        "named": of(len(named), len(faults)),
        "named, 95 % over recordings": over_recordings(
            faults, lambda part: share_of(part, lambda each: bool(each.named))
        ),
        "right of named": of(sum(each.named == each.truth for each in named), len(named)),
        "right of named, 95 % over recordings": over_recordings(
            faults, lambda part: share_of([each for each in part if each.named], lambda each: each.named == each.truth)
        ),
        "false alarms without a gate": of(sum(bool(each.named) for each in normal), len(normal)),
        "macro-F1 behind a perfect gate": round(macro_f1(found, behind_gate), 3),
        "macro-F1 behind a perfect gate, best guess of three": round(macro_f1(found, forced), 3),
        "macro-F1 without a gate": round(macro_f1(found, lambda each: each.named or NORMAL), 3),
        "by size": {
            size: {
                "windows": len(rows),
                "right by the best guess": round(share_of(rows, lambda each: forced(each) == each.truth), 4),
                "right": of(sum((each.named or NORMAL) == each.truth for each in rows), len(rows)),
                "said": {name: sum((each.named or "not located") == name for each in rows) for name in said_in(rows)},
            }
            for size, rows in sizes.items()
        },
    }


def said_in(rows: Sequence[Outcome]) -> list[str]:
    return sorted({each.named or "not located" for each in rows})


def behind_gate(outcome: Outcome) -> str | None:
    return NORMAL if outcome.truth == NORMAL else outcome.named


def forced(outcome: Outcome) -> str | None:
    return NORMAL if outcome.truth == NORMAL else outcome.named or outcome.guess


def share_of(rows: Sequence[Outcome], is_so: Callable[[Outcome], bool]) -> float:
    return float(np.mean([is_so(each) for each in rows])) if rows else float("nan")


def of(count: int, n: int) -> list[float]:
    """Return a share and its 95 % interval by Clopper and Pearson, as if windows were independent."""
    if n == 0:
        return [float("nan")] * 3
    low = float(beta.ppf(0.025, count, n - count + 1)) if count else 0.0
    high = float(beta.ppf(0.975, count + 1, n - count)) if count < n else 1.0
    return [round(count / n, 4), round(low, 4), round(high, 4)]


def over_recordings(rows: Sequence[Outcome], figure: Callable[[list[Outcome]], float]) -> list[float]:
    """Return the 95 % interval of a figure when recordings are drawn with repetition."""
    by_recording: dict[str, list[Outcome]] = {}
    for each in rows:
        by_recording.setdefault(each.recording, []).append(each)
    rng, parts = np.random.default_rng(0), list(by_recording.values())
    drawn = [figure([each for k in rng.integers(len(parts), size=len(parts)) for each in parts[k]]) for _ in range(500)]
    known = [value for value in drawn if not np.isnan(value)] or [float("nan")]
    return [round(float(value), 4) for value in np.quantile(known, (0.025, 0.975))]


# --- machines ----------------------------------------------------------------------------------------------------


def cwru(data: Path) -> tuple[list[Group], list[Group]]:
    """Return the healthy groups that set limits, and the groups that are judged."""
    groups = []
    for each in load_recordings(data / "cwru"):
        windows = seconds_of(each.samples, each.sample_rate_hz)
        label = str(each.label)
        truth = next(name for prefix, name in PREFIXES.items() if label.startswith(prefix))
        load = float(each.fields["load_hp"])
        group = Group(windows, each.sample_rate_hz, float(each.fields["rpm"]) / 60, SKF_6205, truth, label, each.name)
        groups.append((load, group))
    healthy = [group for load, group in groups if group.truth == NORMAL and load < 3]
    return healthy, [group for load, group in groups if group.truth != NORMAL or load == 3]


def seconds_of(samples: Windows, sample_rate_hz: float) -> Windows:
    """Return windows of one second, which do not overlap."""
    length = round(sample_rate_hz)
    return np.stack([samples[at : at + length] for at in range(0, len(samples) - length + 1, length)])


MACHINES = {
    "fan, 13 balls": Machine(
        rpm=2960,
        bearing=BearingGeometry(13, 6.75, 38.5, 0.0),
        resonance_hz=3400,
        damping_ratio=0.04,
        gear_mesh_g=0.02,
        sensor=Sensor(lsb_g=0.0, noise_density_g_rthz=2e-4),
    ),
    "pump, 8 balls, 15 degrees": Machine(
        rpm=990,
        bearing=BearingGeometry(8, 15.1, 65.0, 15.0),
        resonance_hz=1900,
        damping_ratio=0.07,
        gear_teeth=23,
        sensor=Sensor(lsb_g=0.0, noise_density_g_rthz=2e-4),
    ),
}
SIMULATED_RATE_HZ, SIMULATED_SECONDS, SEVERITIES, MOUNTED = 8000.0, 12, 4, 4


def simulated(nominal: Machine, seed: int) -> tuple[list[Group], list[Group]]:
    """Return the healthy groups and the judged groups of a machine of the simulator, along its loaded axis.

    Among the judged is the healthy machine after it was taken apart and mounted again: other amplitudes, another
    resonance and another tilt of the sensor, at the same speed.
    """

    def group(condition: Condition, size: str, number: int, machine: Machine = nominal) -> Group:
        simulator = VibrationSimulator(machine, condition, SIMULATED_RATE_HZ, seed + number)
        samples = simulator.samples(round(SIMULATED_SECONDS * SIMULATED_RATE_HZ))[:, :1]
        truth = NORMAL if condition.name == "healthy" else condition.name
        windows = seconds_of(samples, SIMULATED_RATE_HZ)
        return Group(windows, SIMULATED_RATE_HZ, nominal.shaft_hz, nominal.bearing, truth, size, f"{size} {number}")

    healthy = [group(Condition(), NORMAL, number) for number in range(2)]
    judged = [group(Condition(), NORMAL, 10)]
    for number in range(MOUNTED):
        again = replace(vary_machine(nominal, np.random.default_rng(number)), rpm=nominal.rpm)
        judged.append(group(Condition(), "normal, mounted again", 30 + number, again))
    for name in CLASSES[1:]:
        for number, severity in enumerate(np.geomspace(*SEVERITY_RANGE_G[name], SEVERITIES).tolist()):
            judged.append(group(Condition(name, severity), f"{name} {severity:.2f} g", 20 + number))
    return healthy, judged


MOTOR_BEARING = BearingGeometry(n_balls=8, ball_diameter_mm=7.9375, pitch_diameter_mm=33.48)
"""ER-12K of the fault simulator: balls of 0.3125 in on a pitch circle of 1.318 in."""

MOTOR_LABELS = {
    "normal": NORMAL,
    "inner": "inner_race",
    "outer": "outer_race",
    "ball": "ball",
    "imbalance": "imbalance",
    "misaligned": "misalignment",
    "bent": "bent shaft",
}


def motors(data: Path) -> dict[str, Any]:
    """Return what the combs and the lines of the shaft say of the motor faults, with limits for each speed.

    The limits see the first second of the healthy recordings at both loads of a speed. Judged are both seconds of each
    fault, and the second second of the healthy machine.
    """
    said: dict[str, list[str]] = {}
    recordings = load_recordings(data / "adi_mfs_mems")
    for rpm in sorted({float(each.fields["rpm"]) for each in recordings}):
        here = [each for each in recordings if float(each.fields["rpm"]) == rpm]
        looks = {
            each.name: [
                look(window, each.sample_rate_hz, rpm / 60, MOTOR_BEARING)
                for window in seconds_of(each.samples, each.sample_rate_hz)
            ]
            for each in here
        }
        usual = Usual.of([looks[each.name][0] for each in here if each.label == NORMAL], here[0].samples.shape[1])
        for each in here:
            judged = looks[each.name][each.label == NORMAL :]
            said.setdefault(str(each.label), []).extend(usual.name_of(found) or "not located" for found in judged)
    return {
        label: {
            "truth": MOTOR_LABELS[label.split("_")[0]],
            "windows": len(names),
            "right": of(sum(name == MOTOR_LABELS[label.split("_")[0]] for name in names), len(names)),
            "said": {name: names.count(name) for name in sorted(set(names))},
        }
        for label, names in sorted(said.items())
    }


def measure(healthy: list[Group], judged: list[Group]) -> dict[str, Any]:
    """Return the figures of each method at each noise."""
    rng = np.random.default_rng(1)
    taught = [measured(group.noisy(snr_db, rng, NOISES)) for snr_db in SNRS_DB for group in healthy]
    chosen, share = methods(taught)
    found: dict[str, Any] = {
        "share of healthy windows named, in each method": round(share, 4),
        "methods": {name: {} for name in chosen},
    }
    for snr_db in SNRS_DB:
        seen = [measured(group.noisy(snr_db, rng, NOISES if group.truth == NORMAL else 1)) for group in judged]
        for name, method in chosen.items():
            key = "clean" if snr_db is None else f"{snr_db:g} dB"
            found["methods"][name][key] = figures(outcomes(method, seen))
    return found


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the folders cwru and adi_mfs_mems")
    parser.add_argument("--results", type=Path, required=True, help="file to write")
    parser.add_argument("--simulated", action="store_true", help="measure the simulated machines alone")
    arguments = parser.parse_args()
    found = {} if arguments.simulated else {"cwru": measure(*cwru(arguments.data))}
    found |= {name: measure(*simulated(nominal, 100)) for name, nominal in MACHINES.items()}
    if not arguments.simulated:
        found["motor faults"] = motors(arguments.data)
    write_file(arguments.results, json_rows({"machine": machine(), **found}).encode())


if __name__ == "__main__":
    main()
