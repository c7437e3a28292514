from __future__ import annotations

import json
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    write_config(settings, path)
    assert TrainSettings(**read_config(path)) == settings
    assert settings_from_table(table_from_settings(settings), "here") == settings


def test_the_file_is_written_whole(tmp_path: Path) -> None:
    write_config(TrainSettings("time=0.3"), tmp_path / "config.toml")
    assert read_config(tmp_path / "config.toml").keys() == {each.name for each in fields(TrainSettings)}
    assert parse_toml((tmp_path / "config.toml").read_text())["research"].keys() == set(RESEARCH)


def test_the_page_lists_every_key_of_research_with_its_default() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "training-settings.md").read_text(encoding="utf-8")
    section = page.partition("\n## [research]\n")[2]
    rows = dict(re.findall(r"^\| `(\w+)` \| [^|]* \| `([^`]+)` \|", section, re.MULTILINE))
    defaults = {
        name: list(value) if isinstance(value, tuple) else value for name, value in vars(ResearchSettings()).items()
    }
    assert {name: json.loads(value) for name, value in rows.items()} == defaults


def test_every_setting_has_a_reader() -> None:
    readers = {**typed_table._READERS, **config_file._OWN_READERS}
    for kind in (TrainSettings, ResearchSettings, NetworkSizes):
        assert {name for name, hint in get_type_hints(kind).items() if hint not in readers} == set()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("epoch = 3", "unknown key 'epoch'.* hold_out, network, .*, seed, "),
        ("[training]\nepochs = 3", "unknown key 'training'"),
        ("epochs = 3.0", r"epochs must be a whole number, got 3\.0"),
        ("epochs = true", "epochs must be a whole number, got True"),
        ('epochs = "3"', "epochs must be a whole number, got '3'"),
        ('learning_rate = "fast"', "learning_rate must be a number"),
        ("polarity = 1", "polarity must be true or false, got 1"),
        ("hold_out = 3", "hold_out must be text"),
        ("network = 3", "network must be a name or a table"),
        ('noise = "pink"', "noise must be a list of texts"),
        ("noise = [3]", "noise must be a list of texts"),
        ("snr_range_db = [1]", "snr_range_db must be two numbers"),
        ("snr_range_db = 3", "snr_range_db must be two numbers"),
        ("snr_range_db = [1, true]", "snr_range_db must be two numbers"),
        ("[epochs]\na = 1", "epochs must be a whole number"),
        ("epochs = \n", r"not valid TOML: .*line 1"),
        ("\x00", "not valid TOML"),
        ("a = " + "[" * 5000, "not valid TOML"),
        (NETWORK + "depth = 3", r"\[network\]: unknown key 'depth'.* stem_channels, .*hidden_ratio, "),
        (NETWORK.replace("kernel = 3\n", ""), r"\[network\]: Expected kernel there too"),
        (NETWORK.replace("[[4, 1, 2]]", "[4, 1, 2]"), r"stages must be a list of \[channels, blocks, stride\]"),
        (NETWORK.replace("[[4, 1, 2]]", "[[4, 1]]"), r"stages must be a list of \[channels, blocks, stride\]"),
        (NETWORK.replace("[[4, 1, 2]]", "[[4, 1, 2.0]]"), r"stages must be a list of \[channels, blocks, stride\]"),
        (NETWORK.replace("[[4, 1, 2]]", "[[4, 0, 2]]"), r"\[network\]: Expected blocks of each stage .* at least 1"),
        (NETWORK.replace("[[4, 1, 2]]", "[[4, 1, 0]]"), "stride of each stage .* at least 1, got 0"),
        (NETWORK.replace("[[4, 1, 2]]", "[[2, 1, 2]]"), "widths that never shrink"),
        (NETWORK.replace("[[4, 1, 2]]", "[]"), "at least one stage"),
        (NETWORK.replace("stem_kernel = 5", "stem_kernel = 0"), "stem_kernel of the network to be at least 1, got 0"),
        (NETWORK.replace("stem_stride = 2", "stem_stride = -2"), "stem_stride of the network to be at least 1"),
        (NETWORK + "hidden_ratio = nan", "hidden_ratio above 0"),
        ("style_mix = 0.5", r"Expected style_mix in the table \[research\], got it outside"),
        ("research = 3", "research must be a table, got 3"),
        ("[research]\nseed = 3", r"\[research\]: unknown key 'seed'.* block, .*style_mix, "),
        ("[research]\nbatch_size = 0", r"\[research\]: Expected batch_size of at least 2, got 0"),
        ("[research]\nredraw_every = 1.5", r"\[research\]: redraw_every must be a whole number"),
    ],
)
def test_what_a_file_may_not_say_is_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(TrainingError, match=rf"(?s)train\.toml.*{says}"):
        read(tmp_path, text)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "missing.toml", tmp_path, tmp_path / "binary.toml"):
        with pytest.raises(TrainingError, match=path.name):
            read_config(path)


def test_presets_can_be_written_as_tables() -> None:
    """Every preset is a point of what a file can describe."""
    names = [each.name for each in fields(NetworkSizes)]
    for name, config in PRESETS.items():
        sizes = NetworkSizes(**{key: getattr(config, key) for key in names})
        assert fitted(sizes, window=2048, n_axes=1, n_classes=3) == preset(name, window=2048, n_axes=1, n_classes=3)
