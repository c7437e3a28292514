"""`drsn-edge bench`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from drsn_edge.cli.options import PathType, json_option, runtime_choice
from drsn_edge.cli.output import note, print_json, print_text

if TYPE_CHECKING:
    from drsn_edge.diagnostics.bench import Benched
    from drsn_edge.runtime.names import RuntimeChoice


@click.command()
@click.argument("bundle", type=PathType, required=False)
@runtime_choice
@click.option(
    "--picture", type=PathType, metavar="FILE", help="Draw the result into this PNG file. Needs the extra `plots`."
)
@json_option
def bench(bundle: Path | None, choice: RuntimeChoice, picture: Path | None, as_json: bool) -> None:
    """Measure the cost of a bundle on this machine.

    BUNDLE is a file. Without it, the command measures the active bundle of this gateway. The report ends with the
    number of sensors that this machine can serve. Measure on an idle machine.

    \b
    Example:
      drsn-edge bench machine.drsn --picture bench.png
    """
    from drsn_edge.bundle.bundle import read_bundle
    from drsn_edge.diagnostics.bench import bench as measured

    if bundle is None:
        from drsn_edge.gateway.local_store import open_store

        bundle = open_store("drsn-edge bench").active().path
    if picture is not None:
        from drsn_edge.diagnostics.bench_plot import save_bench
    bar = sys.stderr.isatty()
    found = measured(bundle, choice, lambda what: note(f"measuring: {what}") if bar else None)
    manifest = read_bundle(bundle).manifest
    name = f"{manifest.name} {manifest.version}"
    if picture is not None:
        save_bench(found, name, picture)
    if as_json:
        values = {**asdict(found), "latencies_ms": None, "latency_ms": _quantiles(found)}
        del values["latencies_ms"]
        print_json("bench", {"bundle": name, **values})
    else:
        print_text(_as_text(found, name))


def _quantiles(found: Benched) -> dict[str, float]:
    return {
        "median": found.quantile_ms(0.5),
        "p90": found.quantile_ms(0.9),
        "p99": found.quantile_ms(0.99),
        "p999": found.quantile_ms(0.999),
        "most": max(found.latencies_ms),
    }


def _as_text(found: Benched, name: str) -> str:
    quantiles = "  ".join(f"{key} {value:.3g}" for key, value in _quantiles(found).items())
    threads = "  ".join(f"{count}: {rate:.0f}" for count, rate in found.windows_per_s.items())
    what, of = ("inference", "interpreter and model") if found.runtime else ("novelty", "novelty")
    energy = "not measurable on this machine" if found.energy_mj is None else f"{found.energy_mj:.3g} mJ per window"
    lines = [
        f"bundle      {name} on {found.runtime or 'NumPy, without a network'}",
        f"start       {found.start_s:.2f} s until the first window, which takes {found.first_ms:.3g} ms",
        f"{what:12}{quantiles} ms ({len(found.latencies_ms)} windows, one thread{_against(found)})",
        f"windows/s   by number of threads: {threads}",
        f"memory      {found.memory_mb:.0f} MB for {of}{_memory(found)}; process {found.process_mb:.0f} MB",
        f"energy      {energy}",
    ]
    if found.operators_us is not None:
        slowest = list(found.operators_us.items())[:5]
        lines.append(f"operators   {', '.join(f'{kind} {us:.0f} µs' for kind, us in slowest)} (in the NumPy engine)")
    share = 100 * found.pipeline_share
    lines.append(f"pipeline    {share:.2f} % of a core per sensor; this machine can serve {found.sensors} such sensors")
    return "\n".join(lines)


def _against(found: Benched) -> str:
    if found.budget_ms is None:
        return ""
    return f"; budget {found.budget_ms:.3g} ms {'kept' if found.quantile_ms(0.99) <= found.budget_ms else 'EXCEEDED'}"


def _memory(found: Benched) -> str:
    if found.budget_mb is None:
        return ""
    return f" (budget {found.budget_mb:g} MB {'kept' if found.memory_mb <= found.budget_mb else 'EXCEEDED'})"
