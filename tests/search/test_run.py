"""The search as a whole: stages, resuming, the time budget, failures, and what a training shares with another."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from refusals import refused

pytest.importorskip("tensorflow")

from drsn_edge.errors import DivergedError, OutputError, TrainingError
from drsn_edge.evaluation.classical import BASELINES
from drsn_edge.models.config import NetworkSizes, Stage
from drsn_edge.recordings.recording import Recording
from drsn_edge.search import runner as runner_module
from drsn_edge.search.features import Features, compute_features, joined, shown_rows
from drsn_edge.search.ground import Wishes, prepare
from drsn_edge.search.logits import FoldLogits
from drsn_edge.search.report import FOLDS_FILE, SEARCH_FILE, files_beside, search_files, text_of, to_json
from drsn_edge.search.run import Found, search
from drsn_edge.search.run_fold import DISCRIMINANTS, FoldJob, learning_rate, run_fold_job
from drsn_edge.search.store import Store, check_search_folder, has_search, remove_search, search_folder
from drsn_edge.training.settings import TrainSettings

TINY = NetworkSizes(4, 128, 128, (Stage(4, 1, 1),), 1, pooling="none")
FIXED = {"hold_out": "machine=9", "window": 1024, "hop": 512, "epochs": 2}


@pytest.fixture(scope="module")
def machines() -> list[Recording]:
    """Recordings of two classes on three machines, with a tone that tells the class."""
    made = []
    for number in range(6):
        label, machine = ("calm", "worn")[number % 2], number // 2
        rng = np.random.default_rng(number)
        tone = np.sin(np.arange(3000) * (0.3 if label == "calm" else 0.9))[:, None]
        samples = (tone + 0.5 * rng.normal(size=(3000, 1))).astype(np.float32)
        fields = {"machine": machine, "rpm": 600 + 100 * machine}
        made.append(Recording(f"r{number}", samples, 1000.0, ("x",), "g", label, f"r{number}", fields))
    held_out = [replace(each, name=f"{each.name}-9", fields={"machine": 9, "rpm": 900}) for each in made[:2]]
    return [*made, *(replace(each, samples=each.samples[::-1].copy(), group=each.name) for each in held_out)]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Run jobs in this process, with made-up logits for networks; return the names of what was run."""
    done: list[str] = []

    def run_jobs(function: Any, arguments: Sequence[Any], **more: Any) -> Iterator[tuple[int, Any]]:
        for index, argument in enumerate(arguments):
            if isinstance(argument, FoldJob):
                settings, levels = argument.settings, "-levels" * argument.settings.research.speed_trend
                name = f"{'plain ' * (settings.research.block == 'plain')}{settings.network}{levels}"
                done.append(f"{argument.kind} {name} {settings.epochs} {argument.fold}")
                yield index, _made_up(argument, more["shared"][0])
            else:
                yield index, function(argument)

    monkeypatch.setattr(runner_module, "run_jobs", run_jobs)
    return done


def _made_up(job: FoldJob, features: dict[str, Features]) -> FoldLogits:
    inputs = features[job.features]
    held = {name for name, _, _ in job.held_out}
    rows = np.flatnonzero(np.isin(inputs.shown_rows.recordings, list(held)))
    rng = np.random.default_rng(job.fold)
    truth = np.tile(np.eye(2, dtype=np.float32), job.network.subclasses)[inputs.shown_rows.labels[rows]]
    strength = {"spectral": 3, "spectral-dense": 0.5}.get(str(job.settings.network), 1) * (job.kind == "network")
    branches = max(1, len(job.network.branches))
    logits = strength * truth[None, :, None] + rng.normal(size=(2, len(rows), branches, truth.shape[1]))
    return FoldLogits(job.fold, rows, logits.astype(np.float32))


def test_families_are_trained_shortly_and_the_best_to_the_end(
    machines: list[Recording], here: list[str], tmp_path: Path
) -> None:
    found = search(machines, Wishes({**FIXED, "epochs": 12}), Store(tmp_path / "work"))
    trained = [line for line in here if line.startswith("network")]
    for family in ("spectral-levels", "spectral"):
        assert [line for line in trained if f" {family} 8" in line] == [f"network {family} 8 {n}" for n in range(3)]
    ended = [line for line in trained if " 12 " in line]
    assert set(ended) >= {f"network spectral{'-levels' * levels} 12 {n}" for levels in range(2) for n in range(3)}
    assert trained[-len(ended) :] == ended
    plain = f"{found.chosen.candidate.plain_of or found.chosen.candidate.family} without shrinkage"
    twins = {each.name for each in found.families.values() if each.plain_of}
    assert {each.candidate.family for each in found.judged} & twins == {plain}, "only the twin of the choice is trained"
    assert "without shrinkage" in text_of(found) and to_json(found)["blocks"].keys() == {"shrinkage", "plain"}
    assert "network spectral-dense-levels 12 0" not in trained and "network small 12 0" not in trained
    assert found.settings.network == "spectral" and found.settings.epochs == 12
    assert found.folds.names == ("machine=0", "machine=1", "machine=2")
    assert {each.candidate.name for each in found.judged} > set(BASELINES)
    assert not any("-9" in name for name in found.recordings), "the hold-out set is not looked at"


def test_the_progress_says_what_is_being_done(machines: list[Recording], here: list[str], tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    wishes, store = Wishes({**FIXED, "epochs": 12}), Store(tmp_path / "work")
    search(machines, wishes, store, progress=lambda what, done, total: told.append((what, done, total)))
    stages = [what for what, _, _ in told]
    assert list(dict.fromkeys(stages)) == ["network inputs", "short trainings", "whole trainings"]
    assert told[0][1] == 0 and told[-1][1] == told[-1][2]
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)


def test_blocks_that_the_user_chose_have_no_plain_twin(
    machines: list[Recording], here: list[str], tmp_path: Path
) -> None:
    found = search(machines, Wishes({**FIXED, "block": "se"}), Store(tmp_path / "work"))
    assert found.settings.research.block == "se" and to_json(found)["blocks"] is None
    assert not any(each.plain_of for each in found.families.values())


def test_families_with_other_subclasses_have_other_discriminants(
    machines: list[Recording], here: list[str], tmp_path: Path
) -> None:
    at_loads = [
        replace(each, name=f"{each.name}@{load}", fields={**each.fields, "load": load}, samples=each.samples + load)
        for each in machines
        for load in (0, 1)
    ]
    found = search(at_loads, Wishes(FIXED), Store(tmp_path / "work"))
    told_apart = {name: family.settings().research.subclass_field for name, family in found.families.items()}
    assert told_apart["spectral-levels by load"] == "load" and told_apart["spectral-levels"] == ""
    searched = {name for name, family in found.families.items() if not family.plain_of}
    assert {each.candidate.family for each in found.judged} >= searched
    fitted = [line for line in here if line.startswith(f"{DISCRIMINANTS} ")]
    assert len(fitted) == 3 * 3, "a trend with subclasses, one without, and subclasses without a trend, in three folds"


def test_a_stopped_search_continues_to_the_same_result(
    machines: list[Recording], here: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = search(machines, Wishes(FIXED), Store(tmp_path / "whole"))
    done = [*here]
    here.clear()

    def stop(store: Store, name: str, result: FoldLogits) -> None:
        if len(here) == 5:
            raise KeyboardInterrupt
        put(store, name, result)

    put = Store.put
    monkeypatch.setattr(Store, "put", stop)
    with pytest.raises(KeyboardInterrupt):
        search(machines, Wishes(FIXED), Store(tmp_path / "work"))
    monkeypatch.setattr(Store, "put", put)
    stopped = [*here]
    here.clear()
    resumed = search(machines, Wishes(FIXED), Store(tmp_path / "work"), resume=True)
    assert set(here) == set(done) - set(stopped[:4]) and len(here) == len(done) - 4
    assert {**to_json(resumed), "seconds": 0} == {**to_json(whole), "seconds": 0}
    here.clear()
    search(machines, Wishes(FIXED), Store(tmp_path / "work"), resume=True)
    assert here == []


def test_a_search_of_something_else_is_not_resumed(machines: list[Recording], here: list[str], tmp_path: Path) -> None:
    work = tmp_path / "run.search"
    search(machines, Wishes(FIXED), Store(work))
    for other in (Wishes({**FIXED, "seed": 1}), Wishes({**FIXED, "window": 512})):
        with refused(TrainingError, "other_search", path=work):
            search(machines, other, Store(work), resume=True)
    with refused(TrainingError, "stopped_search", path=work):
        check_search_folder(work, resume=False, force=False)
    assert search_folder(tmp_path / "run") == work and has_search(work)
    (work / "plan.json").write_text("garbage")
    with refused(TrainingError, "damaged"):
        search(machines, Wishes(FIXED), Store(work), resume=True)
    remove_search(work)
    assert not work.exists()
    for make in (lambda: work.write_text("notes"), lambda: work.symlink_to("nowhere")):
        make()
        with refused(OutputError, "holds_something_else", path=work):
            check_search_folder(work, resume=False, force=True)
        work.unlink()


def test_a_used_up_time_budget_leaves_a_choice_and_is_said(
    machines: list[Recording], here: list[str], tmp_path: Path
) -> None:
    found = search(machines, Wishes(FIXED, time_budget_s=1e-9), Store(tmp_path / "work"))
    assert [line for line in here if line.startswith("network")] == [f"network spectral-levels 2 {n}" for n in range(3)]
    assert found.settings.network == "spectral" and found.settings.research.speed_trend
    assert any("time budget" in remark and "the baseline lda" in remark for remark in found.remarks)


def test_no_family_is_trained_to_the_end_after_the_time_budget(
    machines: list[Recording], here: list[str], tmp_path: Path
) -> None:
    wishes = Wishes({**FIXED, "epochs": 12}, time_budget_s=1e-9)
    found = search(machines, wishes, Store(tmp_path / "work"))
    assert [line for line in here if line.startswith("network")] == [f"network spectral-levels 8 {n}" for n in range(3)]
    assert found.settings.epochs == 12 and found.chosen.candidate.epochs == 8
    (late,) = [remark for remark in found.remarks if "time budget" in remark]
    assert "the short training of spectral" in late and "the whole training of spectral-levels" in late
    assert "linear discriminants" in late and "inputs-" not in late


def test_a_family_whose_loss_is_no_number_is_left_out_and_said(
    machines: list[Recording], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = {"spectral-dense"}

    def run_jobs(function: Any, arguments: Sequence[Any], **more: Any) -> Iterator[tuple[int, Any]]:
        for index, argument in enumerate(arguments):
            if not isinstance(argument, FoldJob):
                yield index, function(argument)
            elif argument.settings.network in failing and argument.kind == "network":
                yield (
                    index,
                    FoldLogits(
                        argument.fold, np.empty(0, np.int64), np.empty((0, 0, 0, 0), np.float32), "nan in epoch 1."
                    ),
                )
            else:
                yield index, _made_up(argument, more["shared"][0])

    monkeypatch.setattr(runner_module, "run_jobs", run_jobs)
    found = search(machines, Wishes(FIXED), Store(tmp_path / "work"))
    assert found.settings.network == "spectral"
    assert any("spectral-dense-levels-short is left out: nan in epoch 1." in remark for remark in found.remarks)
    failing |= {"spectral"}
    with refused(DivergedError, "loss"):
        search(machines, Wishes(FIXED), Store(tmp_path / "other"))


def test_the_best_candidate_without_speed_is_named_and_can_be_wanted(
    machines: list[Recording], here: list[str], tmp_path: Path
) -> None:
    found = search(machines, Wishes(FIXED), Store(tmp_path / "work"))
    if found.chosen.candidate.needs_speed:
        assert found.without_speed is not None and not found.without_speed.candidate.needs_speed
        assert "--without-speed" in text_of(found) and "--rpm" in text_of(found)
    steady = search(machines, Wishes(FIXED, without_speed=True), Store(tmp_path / "steady"))
    assert steady.settings.inputs == "bands" and steady.without_speed is None
    assert "--rpm" not in text_of(steady)


@pytest.mark.parametrize("rule", ["time=0.3", "windows=0.3", "fold=1/3", "rpm=600"])
def test_every_rule_has_inner_folds(machines: list[Recording], rule: str) -> None:
    ground = prepare(machines, Wishes({"hold_out": rule, "window": 256}))
    assert len(ground.folds.folds) >= 2
    for jobs in ground.features.values():
        held_out = {(span.recording.name, span.start) for span in ground.split.held_out}
        assert not held_out & {(span.recording.name, span.start) for job in jobs for span in job.split.train}


def test_a_sensor_gets_a_network_on_waveforms(machines: list[Recording], here: list[str], tmp_path: Path) -> None:
    found = search(machines, Wishes({"hold_out": "machine=9", "epochs": 2}, target="sensor"), Store(tmp_path / "work"))
    assert found.settings.inputs == "waveform" and not found.chosen.candidate.needs_speed
    searched = {each.candidate.family for each in found.judged if not each.candidate.plain_of}
    assert searched == {"small-1024", "small-2048", *BASELINES}


# The files.


@pytest.fixture
def found(machines: list[Recording], here: list[str], tmp_path: Path) -> Found:
    return search(machines, Wishes(FIXED), Store(tmp_path / "work"))


def test_the_files_hold_the_choice_and_its_logits(found: Found, machines: list[Recording], tmp_path: Path) -> None:
    for name, content in search_files(found, machines).items():
        (tmp_path / name).write_bytes(content)
    values = json.loads((tmp_path / SEARCH_FILE).read_text())
    assert values["choice"]["settings"]["network"] == found.settings.network
    assert values["inner_folds"]["names"] == list(found.folds.names)
    best = next(each for each in values["candidates"] if each["name"] == values["choice"]["name"])
    with np.load(tmp_path / FOLDS_FILE) as file:
        right = file["logits"].argmax(axis=1) == file["labels"]
        by_fold = [right[file["fold"] == fold].mean() for fold in range(3)]
        assert file["logits"].dtype == np.float32 and set(file["recordings"]) == set(found.recordings)
    np.testing.assert_allclose(by_fold, [clean for clean, _ in best["by_fold"]])


def test_a_configuration_beside_a_search_brings_it_along(
    found: Found, machines: list[Recording], tmp_path: Path
) -> None:
    files = search_files(found, machines)
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    assert files_beside(tmp_path, found.settings, machines) == files
    assert files_beside(tmp_path, replace(found.settings, seed=7), machines) == files
    assert files_beside(tmp_path, replace(found.settings, epochs=3), machines) == {}
    assert files_beside(tmp_path, found.settings, machines[1:]) == {}
    (tmp_path / SEARCH_FILE).write_text("[]")
    assert files_beside(tmp_path, found.settings, machines) == {}


# One job.


@pytest.fixture(scope="module")
def ground(machines: list[Recording]) -> Any:
    return prepare(machines, Wishes({**FIXED, "network": TINY, "inputs": "bands", "batch_size": 8}))


@pytest.fixture(scope="module")
def features(ground: Any) -> dict[str, Features]:
    return {name: joined([compute_features(job) for job in jobs]) for name, jobs in ground.features.items()}


def job_of(ground: Any, fold: int, **changes: Any) -> FoldJob:
    runner = runner_module.Runner(ground, Wishes(FIXED), Store(Path("unused")), 0.0, lambda what, done, total: None)
    jobs = [job for job in runner._short_jobs().values() if job.fold == fold and job.kind == "network"]
    return replace(jobs[0], **changes)


def test_a_job_gives_the_same_bits_whatever_ran_before(ground: Any, features: dict[str, Features]) -> None:
    first = run_fold_job(job_of(ground, 0), features)
    other = run_fold_job(job_of(ground, 1), features)
    again = run_fold_job(job_of(ground, 0), features)
    np.testing.assert_array_equal(first.logits, again.logits)
    assert first.logits.shape == (2, len(first.rows), 1, 2)
    assert not set(first.rows) & set(other.rows)


def test_rows_are_known_before_windows_are_cut(ground: Any, features: dict[str, Features]) -> None:
    for name, jobs in ground.features.items():
        rows = shown_rows(jobs)
        np.testing.assert_array_equal(rows.recordings, features[name].shown_rows.recordings)
        np.testing.assert_array_equal(rows.first_samples, features[name].shown_rows.first_samples)
        np.testing.assert_array_equal(rows.labels, features[name].shown_rows.labels)


def test_discriminants_tell_the_tones_apart(ground: Any, features: dict[str, Features]) -> None:
    for kind in (DISCRIMINANTS, "lda"):
        found = run_fold_job(job_of(ground, 2, kind=kind), features)
        labels = features[found_name(ground)].shown_rows.labels[found.rows]
        assert (found.logits[0, :, 0].argmax(axis=1) == labels).mean() > 0.9, kind


def found_name(ground: Any) -> str:
    return next(iter(ground.features))


def test_a_loss_that_is_no_number_is_a_result(ground: Any, features: dict[str, Features]) -> None:
    job = job_of(ground, 0)
    hot = replace(job, settings=replace(job.settings, learning_rate=1e30, epochs=3))
    found = run_fold_job(hot, features)
    assert "epoch" in found.failure and found.logits.size == 0


def test_a_fold_without_a_window_on_one_side_is_a_result(ground: Any, features: dict[str, Features]) -> None:
    job = job_of(ground, 0)
    short = tuple((name, start, start + 1000) for name, start, _ in job.held_out)
    for changed in (replace(job, held_out=short), replace(job, train=short)):
        found = run_fold_job(changed, features)
        assert "No window of 1024 samples" in found.failure and found.logits.size == 0


def test_the_learning_rate_is_that_of_a_training() -> None:
    from drsn_edge.training.fit import learning_rates

    schedule = learning_rates(0.01, 57)
    for step in range(57):
        assert learning_rate(0.01, step, 57) == pytest.approx(float(schedule(step)), rel=1e-4, abs=1e-8)


def test_settings_of_a_found_network_are_those_of_a_training(found: Found) -> None:
    assert isinstance(found.settings, TrainSettings) and found.settings.hold_out == "machine=9"
