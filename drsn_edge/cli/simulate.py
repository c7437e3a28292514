"""`drsn-edge simulate`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drsn_edge.cli.options import Duration, PathType, catalogue_option, finite, json_option, seed_option
from drsn_edge.cli.output import note, print_json, print_text
from drsn_edge.simulation.names import CONDITIONS
from drsn_edge.support.json_text import json_text

if TYPE_CHECKING:
    from drsn_edge.recordings.recording import Recording
    from firmware_bridge.virtual.accelerometer import VirtualSummary
    from firmware_bridge.virtual.fault_plan import Totals
    from firmware_bridge.virtual.faults import FaultInjector


_FAULTS = """\b
Faults:
  flip 1e-5, drop-byte 1e-5, repeat-byte 1e-5    of each byte, with this probability
  drop-frame 0.01, repeat-frame 0.01             of each frame
  garbage at 10 for 2, stall at 10 for 2, unplug at 10 for 2
  overrun 80 at 10                               the sensor throws 80 samples away
  clip 0.5, stuck 0, swap 0                      share of the range; number of the axis
  bit 5, wrap 12                                 bit 5 stuck at 0; two's complement of 12 bits
  freeze 1024 at 10                              the last 1024 samples come again and again
  rate 0.01 at 10                                faster by this share, without notice
  clock-drift 1e-4, clock-step 0.5 at 10         of the device's clock
"""


@click.command(epilog=_FAULTS)
@click.option("--recording", metavar="FILE", help="What to play; FILE#3 takes capture 3 of a file.")
@click.option("--condition", type=click.Choice(CONDITIONS), help="Play a simulated machine instead, in this condition.")
@click.option(
    "--rpm",
    type=click.FloatRange(min=0, min_open=True),
    callback=finite,
    default=1480.0,
    show_default=True,
    help="Speed of the simulated machine's shaft, turns per minute.",
)
@click.option(
    "--duration",
    type=Duration(positive=True),
    default="60s",
    show_default=True,
    help="Length of the simulation.",
)
@click.option("--link", type=PathType, help="Symbolic link to make to the virtual port.")
@click.option(
    "--listen", metavar="HOST:PORT", help="Serve TCP here instead of a virtual port; port 0 takes a free one."
)
@click.option(
    "--speed",
    type=float,
    default=1.0,
    show_default=True,
    help="Playback speed, times real time; 0: as fast as it is read.",
)
@click.option("--snr-db", type=float, help="Add noise at this signal-to-noise ratio, dB.")
@click.option(
    "--noise",
    default="gaussian",
    show_default=True,
    metavar="KIND",
    help="Kind of the noise: gaussian, laplacian, pink or impulsive.",
)
@click.option("--loop", is_flag=True, help="Begin again at the end of the recording.")
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="TEXT",
    help="Fault of the sensor or the link, as listed below; repeatable.",
)
@click.option("--faults", "script", type=PathType, help="File of faults, one a line, as --fault takes them.")
@click.option("--truth", type=PathType, help="File to write what was done to, a JSON object a line, the sums last.")
@seed_option
@catalogue_option
@json_option
def simulate(
    link: Path | None,
    listen: str | None,
    speed: float,
    snr_db: float | None,
    noise: str,
    loop: bool,
    faults: tuple[str, ...],
    script: Path | None,
    truth: Path | None,
    seed: int,
    as_json: bool,
    **source: Any,
) -> None:
    """Stream a recording, or a simulated machine, from a virtual accelerometer in drsn-edge's wire format.

    Waits for a reader, plays, and ends when the recording does and the reader has gone. With --fault it does to its
    samples and its link what goes wrong in the field, the same for the same --seed.

    \b
    Example:
      drsn-edge simulate --recording outer_race.npz --link /tmp/sensor --speed 4 --fault "flip 1e-5"
    """
    if (source["recording"] is None) == (source["condition"] is None):
        raise click.UsageError("Expected --recording or --condition, one of them.")
    if (link is None) == (listen is None):
        raise click.UsageError("Expected --link or --listen, one of them.")
    from drsn_edge.cli.stopping import stop_on_signal
    from drsn_edge.simulation.virtual_sensor import Playback, virtual_sensor

    played = _played(seed=seed, **source)
    playback = Playback(speed or None, snr_db, noise, loop=loop, seed=seed)
    address = None if listen is None else _address(listen)
    with _injector(faults, script, truth, seed) as injector:
        sensor = virtual_sensor(played, playback, link=link, listen=address, faults=injector)
        with stop_on_signal() as stopped:
            note(_waiting(played, sensor.port))
            summary = sensor.run(stopped)
    _print(summary, injector.totals if faults or script else None, as_json=as_json)


def _played(
    recording: str | None, condition: str | None, rpm: float, duration: float, catalogue: Path | None, seed: int
) -> Recording:
    if recording is not None:
        from drsn_edge.recordings.loading.load import load_recording

        return load_recording(recording, catalogue)
    from drsn_edge.simulation.virtual_sensor import simulated_recording

    return simulated_recording(condition or "", rpm, duration, seed)


def _waiting(played: Recording, port: str) -> str:
    return (
        f"{played.name}: {played.sample_rate_hz:g} Hz, axes {','.join(played.axes)}, unit {played.unit}, "
        f"{played.duration_s:.1f} s; waiting for a reader at {port}"
    )


def _print(summary: VirtualSummary, faults: Totals | None, *, as_json: bool) -> None:
    if as_json:
        print_json("summary", {**asdict(summary), **({} if faults is None else {"faults": asdict(faults)})})
        return
    print_text(
        f"samples   {summary.samples_produced} produced, {summary.samples_sent} sent, "
        f"{summary.samples_dropped} dropped without a reader; {summary.values_clipped} values clipped"
    )
    if faults is not None:
        print_text(
            f"faults    {faults.samples_lost} samples lost, {faults.samples_repeated} repeated, "
            f"{faults.frames_damaged} of {faults.frames_sent} frames damaged, {faults.overruns} overruns"
        )


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise click.BadParameter(f"Expected HOST:PORT such as 127.0.0.1:5555, got {text!r}.", param_hint="--listen")
    return host or "127.0.0.1", int(port)


@contextmanager
def _injector(lines: tuple[str, ...], script: Path | None, truth: Path | None, seed: int) -> Iterator[FaultInjector]:
    """Yield what does the faults; the truth is written line by line, its sums at the end."""
    from firmware_bridge.support.regular_file import read_text_file
    from firmware_bridge.virtual.fault_script import parse_fault, parse_script
    from firmware_bridge.virtual.faults import FaultInjector

    faults = (*(parse_script(read_text_file(script).splitlines()) if script else ()), *map(parse_fault, lines))
    if truth is None:
        yield FaultInjector(faults, seed)
        return
    with truth.open("x") as file:

        def write(values: dict[str, Any]) -> None:
            file.write(f"{json_text(values)}\n")

        injector = FaultInjector(faults, seed, write)
        try:
            yield injector
        finally:
            write(injector.account())
