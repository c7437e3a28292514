from __future__ import annotations

import json

from click.testing import CliRunner

from drsn_edge.cli.main import cli
from drsn_edge.models.config import PRESETS


def test_models_lists_what_each_network_costs() -> None:
    done = CliRunner().invoke(cli, ["models", "--json"])
    assert done.exit_code == 0, done.output
    sizes = {size["name"]: size for size in json.loads(done.stdout)}
    assert set(sizes) == set(PRESETS)
    assert sizes["paper"]["parameters"] == 11552
    assert sizes["nano"]["macs"] <= 150_000
    assert all(size["int8_bytes"] > size["peak_activation_bytes"] > size["window"] for size in sizes.values())
