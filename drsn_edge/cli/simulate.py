"""`drsn-edge simulate`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from drsn_edge.cli.options import PathType, catalogue_option, json_option, seed_option


@click.command()
@click.option("--recording", required=True, metavar="FILE", help="What to play; FILE#3 takes capture 3 of a file.")
@click.option("--link", type=PathType, required=True, help="Symbolic link to make to the virtual port.")
@click.option("--speed", type=float, default=1.0, show_default=True, help="Times real time; 0: as fast as it is read.")
@click.option("--snr-db", type=float, help="Add noise at this signal-to-noise ratio, dB.")
@click.option(
    "--noise",
    default="gaussian",
    show_default=True,
    metavar="KIND",
    help="Its kind: gaussian, laplacian, pink or impulsive.",
)
@click.option("--loop", is_flag=True, help="Begin again at the end of the recording.")
@seed_option
@catalogue_option
@json_option
def simulate(
    recording: str,
    link: Path,
    speed: float,
    snr_db: float | None,
    noise: str,
    loop: bool,
    seed: int,
    catalogue: Path | None,
    as_json: bool,
) -> None:
    """Stream a recording from a virtual accelerometer, over a pseudo-terminal and in drsn-edge's wire format.

    Waits for a reader, plays, and ends when the recording does and the reader has gone.

    \b
    Example:
      drsn-edge simulate --recording outer_race.npz --link /tmp/sensor --speed 4
    """
    from drsn_edge.cli.stopping import stop_on_signal
    from drsn_edge.recordings import load_recording
    from drsn_edge.replay import virtual_sensor

    played = load_recording(recording, catalogue)
    sensor = virtual_sensor(played, link=link, speed=speed or None, snr_db=snr_db, noise=noise, loop=loop, seed=seed)
    with stop_on_signal() as stopped:
        click.echo(
            f"{played.name}: {played.sample_rate_hz:g} Hz, axes {','.join(played.axes)}, unit {played.unit}, "
            f"{played.duration_s:.1f} s; waiting for a reader at {sensor.port}",
            err=True,
        )
        summary = sensor.run(stopped)
    if as_json:
        click.echo(json.dumps({"schema": 1, "type": "summary", **asdict(summary)}))
    else:
        click.echo(
            f"samples   {summary.samples_produced} produced, {summary.samples_sent} sent, "
            f"{summary.samples_dropped} dropped without a reader; {summary.values_clipped} values clipped"
        )
