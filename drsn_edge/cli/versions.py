"""`drsn-edge --version`: the versions of drsn-edge, Python and the installed runtimes."""

from __future__ import annotations

import platform

import click

from drsn_edge import __version__
from drsn_edge.cli.output import print_text

_PACKAGES = ("ai-edge-litert", "tflite-runtime", "numpy", "tensorflow")


def versions() -> dict[str, str]:
    """Return versions by name: drsn-edge, Python, and those packages that are installed, without importing any."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"drsn-edge": __version__, "Python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _print_versions(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        print_text("\n".join(f"{name} {version}" for name, version in versions().items()))
        ctx.exit()


version_option = click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_versions,
    help="Print the versions of drsn-edge and its runtimes.",
)
