from __future__ import annotations

import json
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from drsn_edge.errors import TrainingError
from drsn_edge.models.config import PRESETS, NetworkSizes, Stage, fitted, preset
from drsn_edge.signal.names import NOISE_KINDS
from drsn_edge.support import typed_table
from drsn_edge.support.toml_file import parse_toml
from drsn_edge.training import config_file
from drsn_edge.training.config_file import read_config, settings_from_table, table_from_settings, write_config
from drsn_edge.training.settings import RESEARCH, ResearchSettings, TrainSettings

SMALL = NetworkSizes(16, 15, 4, (Stage(16, 1, 2), Stage(32, 1, 2), Stage(64, 1, 2)), 3)
NETWORK = "[network]\nstem_channels = 4\nstem_kernel = 5\nstem_stride = 2\nkernel = 3\nstages = [[4, 1, 2]]\n"


def read(tmp_path: Path, text: str) -> Any:
    (tmp_path / "train.toml").write_text(text)
    return read_config(tmp_path / "train.toml")


def test_a_file_gives_what_it_sets_in_the_types_of_the_settings(tmp_path: Path) -> None:
    values = read(tmp_path, 'hold_out = "time=0.3"\nepochs = 3\nsnr_range_db = [-6, 12]\nnoise = ["pink"]\n')
    assert values == {"hold_out": "time=0.3", "epochs": 3, "snr_range_db": (-6.0, 12.0), "noise": ("pink",)}
    assert TrainSettings(**values) == TrainSettings("time=0.3", epochs=3, noise=("pink",))
    assert read(tmp_path, "") == {}


def test_the_example_in_the_docstring_is_the_preset_small(tmp_path: Path) -> None:
    example = (config_file.__doc__ or "").partition("\n\n")[2].partition("\n\nThe keys")[0]
    lines = [line.strip() for line in example.splitlines() if not line.strip().startswith("network =")]
    values = read(tmp_path, "\n".join(lines))
    assert values["network"] == SMALL
    sizes = {"window": 512, "n_axes": 3, "n_classes": 4}
    assert fitted(SMALL, **sizes, block="se") == preset("small", **sizes, block="se")


@given(
    settings=st.builds(
        TrainSettings,
        st.text(st.characters(exclude_categories=["Cs"])),
        network=st.sampled_from(["nano", SMALL, replace(SMALL, hidden_ratio=0.1)]),
        epochs=st.integers(1, 10**6),
        learning_rate=st.floats(1e-9, 10.0),
        noise=st.lists(st.sampled_from(NOISE_KINDS), min_size=1).map(tuple),
        snr_range_db=st.tuples(st.floats(-50, 0), st.floats(0, 50)),
        polarity=st.booleans(),
        seed=st.integers(0, 2**32 - 1),
        research=st.builds(
            ResearchSettings,
            clean_share=st.floats(0, 1),
            redraw_every=st.integers(1, 10**6),
            validation=st.booleans(),
        ),
    )
)
def test_what_is_written_is_read_back_exactly(settings: TrainSettings, tmp_path_factory: Any) -> None:
    path = tmp_path_factory.mktemp("config") / "config.toml"
    write_config(table_from_settings(settings), path)
    assert TrainSettings(**read_config(path)) == settings
    assert settings_from_table(table_from_settings(settings), "here") == settings


def test_the_file_is_written_whole(tmp_path: Path) -> None:
    write_config(table_from_settings(TrainSettings("time=0.3")), tmp_path / "config.toml")
    assert read_config(tmp_path / "config.toml").keys() == {each.name for each in fields(TrainSettings)}
    assert parse_toml((tmp_path / "config.toml").read_text())["research"].keys() == set(RESEARCH)


def test_the_page_lists_every_key_of_research_with_its_default() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "training-settings.md").read_text(encoding="utf-8")
    section = page.partition("\n## [research]\n")[2]
    rows = dict(re.findall(r"^\| `(\w+)` \| [^|]* \| (?:`([^`]+)`|-) \|", section, re.MULTILINE))
    defaults = {
        name: list(value) if isinstance(value, tuple) else value for name, value in vars(ResearchSettings()).items()
    }
    assert {name: json.loads(value or '""') for name, value in rows.items()} == defaults


def test_every_setting_has_a_reader() -> None:
    readers = {**typed_table._READERS, **config_file._OWN_READERS}
    for kind in (TrainSettings, ResearchSettings, NetworkSizes):
        assert {name for name, hint in get_type_hints(kind).items() if hint not in readers} == set()


@pytest.mark.parametrize(
    ("text", "problem", "facts"),
    [
        ("epoch = 3", "unknown_key", {"key": "epoch"}),
        ("[training]\nepochs = 3", "unknown_key", {"key": "training"}),
        ("epochs = 3.0", "wrong_type", {"key": "epochs", "expected": "a whole number", "got": "3.0"}),
        ("epochs = true", "wrong_type", {"key": "epochs", "expected": "a whole number", "got": "True"}),
        ('epochs = "3"', "wrong_type", {"key": "epochs", "expected": "a whole number", "got": "'3'"}),
        ('learning_rate = "fast"', "wrong_type", {"key": "learning_rate", "expected": "a number"}),
        ("polarity = 1", "wrong_type", {"key": "polarity", "expected": "true or false", "got": "1"}),
        ("hold_out = 3", "wrong_type", {"key": "hold_out", "expected": "text"}),
        ("network = 3", "wrong_type", {"key": "network", "expected": "a name or a table"}),
        ('noise = "pink"', "wrong_type", {"key": "noise", "got": "'pink'"}),
        ("noise = [3]", "wrong_type", {"key": "noise", "got": "[3]"}),
        ("snr_range_db = [1]", "wrong_type", {"key": "snr_range_db", "got": "[1]"}),
        ("snr_range_db = 3", "wrong_type", {"key": "snr_range_db", "got": "3"}),
        ("snr_range_db = [1, true]", "wrong_type", {"key": "snr_range_db", "got": "[1, True]"}),
        ("[epochs]\na = 1", "wrong_type", {"key": "epochs", "expected": "a whole number"}),
        ("style_mix = 0.5", "misplaced_key", {"key": "style_mix"}),
        ("research = 3", "wrong_type", {"key": "research", "expected": "a table", "got": "3"}),
    ],
)
def test_what_a_file_may_not_say_is_named(tmp_path: Path, text: str, problem: str, facts: dict[str, Any]) -> None:
    with refused(TrainingError, problem, place=tmp_path / "train.toml", **facts):
        read(tmp_path, text)


@pytest.mark.parametrize(("text", "line"), [("epochs = \n", 1), ("\x00", 1), ("a = " + "[" * 5000, None)])
def test_a_file_that_is_not_toml_is_refused_with_its_line(tmp_path: Path, text: str, line: int | None) -> None:
    with refused(TrainingError, "not_toml", path=tmp_path / "train.toml", line=line):
        read(tmp_path, text)


LISTS = "a list of [channels, blocks, stride]"


@pytest.mark.parametrize(
    ("text", "problem", "facts"),
    [
        (NETWORK + "depth = 3", "unknown_key", {"key": "depth"}),
        (NETWORK.replace("kernel = 3\n", ""), "missing_key", {"key": "kernel"}),
        (NETWORK.replace("[[4, 1, 2]]", "[4, 1, 2]"), "wrong_type", {"key": "stages", "expected": LISTS}),
        (NETWORK.replace("[[4, 1, 2]]", "[[4, 1]]"), "wrong_type", {"key": "stages", "expected": LISTS}),
        (NETWORK.replace("[[4, 1, 2]]", "[[4, 1, 2.0]]"), "wrong_type", {"key": "stages", "expected": LISTS}),
        (NETWORK.replace("[[4, 1, 2]]", "[[4, 0, 2]]"), "out_of_range", {"setting": "blocks of each stage", "got": 0}),
        (NETWORK.replace("[[4, 1, 2]]", "[[4, 1, 0]]"), "out_of_range", {"setting": "stride of each stage", "got": 0}),
        (NETWORK.replace("[[4, 1, 2]]", "[[2, 1, 2]]"), "falling_widths", {"got": [4, 2]}),
        (NETWORK.replace("[[4, 1, 2]]", "[]"), "no_stage", {}),
        (NETWORK.replace("stem_kernel = 5", "stem_kernel = 0"), "out_of_range", {"setting": "stem_kernel", "got": 0}),
        (NETWORK.replace("stem_stride = 2", "stem_stride = -2"), "out_of_range", {"setting": "stem_stride", "got": -2}),
        (NETWORK + "hidden_ratio = nan", "out_of_range", {"setting": "hidden_ratio", "got": "nan"}),
    ],
)
def test_what_the_sizes_of_a_network_may_not_be_is_named(
    tmp_path: Path, text: str, problem: str, facts: dict[str, Any]
) -> None:
    with refused(TrainingError, problem, place=f"{tmp_path / 'train.toml'}, [network]", **facts):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "problem", "facts"),
    [
        ("seed = 3", "unknown_key", {"key": "seed"}),
        ("batch_size = 0", "out_of_range", {"setting": "batch_size", "got": 0, "least": 2}),
        ("redraw_every = 1.5", "wrong_type", {"key": "redraw_every", "expected": "a whole number"}),
    ],
)
def test_what_settings_of_research_may_not_be_is_named(
    tmp_path: Path, text: str, problem: str, facts: dict[str, Any]
) -> None:
    with refused(TrainingError, problem, place=f"{tmp_path / 'train.toml'}, [research]", **facts):
        read(tmp_path, f"[research]\n{text}")


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    for path, problem in (
        (tmp_path / "missing.toml", "missing"),
        (tmp_path, "unreadable"),
        (tmp_path / "binary.toml", "not_utf8"),
    ):
        with refused(TrainingError, problem, path=path):
            read_config(path)


def test_presets_can_be_written_as_tables() -> None:
    """Every preset is a point of what a file can describe."""
    names = [each.name for each in fields(NetworkSizes)]
    for name, config in PRESETS.items():
        sizes = NetworkSizes(**{key: getattr(config, key) for key in names})
        assert fitted(sizes, window=2048, n_axes=1, n_classes=3) == preset(name, window=2048, n_axes=1, n_classes=3)
