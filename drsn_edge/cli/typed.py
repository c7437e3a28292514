"""Which options a person typed, in contrast to defaults and the environment."""

from __future__ import annotations

from typing import Any

import click
from click.core import ParameterSource


def is_typed(context: click.Context, name: str) -> bool:
    """Tell whether a parameter was given on the command line."""
    return context.get_parameter_source(name) is ParameterSource.COMMANDLINE


def typed_of_sensor(context: click.Context) -> dict[str, Any]:
    """Return the typed values of the options that a sensor of a file may set itself."""
    from drsn_edge.monitor.sensor_config import SensorConfig

    names = [name for name in SensorConfig.__dataclass_fields__ if name in context.params]
    return {name: context.params[name] for name in names if is_typed(context, name)}
