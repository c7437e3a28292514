"""`drsn-edge simulate`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drsn_edge.cli.completion import a_file, any_of
from drsn_edge.cli.options import Duration, HostPort, PathType, catalogue_option, finite, json_option, seed_option
from drsn_edge.cli.output import note, print_json, print_text, say
from drsn_edge.cli.sections import SectionedCommand, section
from drsn_edge.simulation.names import CONDITIONS
from drsn_edge.support.json_text import json_text

if TYPE_CHECKING:
    from drsn_edge.recordings.loading.report import Report
    from drsn_edge.recordings.recording import Recording
    from firmware_bridge.virtual.accelerometer import VirtualSummary
    from firmware_bridge.virtual.fault_plan import Totals
    from firmware_bridge.virtual.faults import FaultInjector


_FAULTS = """\b
Faults, with times in seconds:
  flip 1e-5, drop-byte 1e-5               probability per byte
  repeat-byte 1e-5                        probability per byte
  drop-frame 0.01, repeat-frame 0.01      probability per frame
  garbage at 10 for 2                     only noise for 2 s
  stall at 10 for 2                       nothing for 2 s, then all at once
  unplug at 10 for 2                      the port is gone for 2 s
  overrun 80 at 10                        the sensor drops 80 samples
  clip 0.5                                share of the range
  stuck 0, swap 0                         number of the axis
  bit 5, wrap 12                          bit 5 stuck at 0; wrap at 12 bits
  freeze 1024 at 10                       the last 1024 samples repeat
  rate 0.01 at 10                         sampling rate +1 % without notice
  clock-drift 1e-4, clock-step 0.5 at 10  drift and step of the device's clock
"""


_SIGNAL = section(
    "Signal",
    click.option(
        "--recording", metavar="FILE", shell_complete=a_file, help="Recording to play. FILE#3 is capture 3 of a file."
    ),
    catalogue_option,
    click.option(
        "--condition",
        type=click.Choice(CONDITIONS),
        help="Condition of a simulated machine to play instead of --recording.",
    ),
    click.option(
        "--rpm",
        type=click.FloatRange(min=0, min_open=True),
        callback=finite,
        default=1480.0,
        show_default=True,
        metavar="RPM",
        help="Shaft speed of the simulated machine, in revolutions per minute.",
    ),
    click.option(
        "--duration",
        type=Duration(positive=True),
        default="60s",
        show_default=True,
        help="Length of the simulation, in seconds or with a unit: 90s, 10min.",
    ),
    click.option("--loop", is_flag=True, help="Start again at the end of the recording."),
    click.option(
        "--speed",
        type=float,
        default=1.0,
        show_default=True,
        metavar="FACTOR",
        help="Playback speed, as a multiple of real time; 0 plays as fast as it is read.",
    ),
    click.option(
        "--snr-db",
        type=float,
        metavar="DB",
        help="Signal-to-noise ratio of noise to add, in dB.  [default: no noise]",
    ),
    click.option(
        "--noise",
        default="gaussian",
        show_default=True,
        metavar="KIND",
        shell_complete=any_of("gaussian", "laplacian", "pink", "impulsive"),
        help="Kind of the noise to add: gaussian, laplacian, pink or impulsive.",
    ),
)

_PORT = section(
    "Port",
    click.option("--link", type=PathType, metavar="PATH", help="Symbolic link to create to the virtual serial port."),
    click.option(
        "--listen",
        metavar="HOST:PORT",
        type=HostPort(),
        help="Address to serve TCP at instead of a virtual serial port. Port 0 takes a free port.",
    ),
)

_FAULTS_AND_RESULT = section(
    "Faults and result",
    click.option(
        "--fault",
        "faults",
        multiple=True,
        metavar="FAULT",
        help="Fault of the sensor or the link, as listed below. Repeatable.",
    ),
    click.option(
        "--faults", "script", type=PathType, metavar="FILE", help="File with one fault per line, as for --fault."
    ),
    click.option(
        "--truth",
        type=PathType,
        metavar="FILE",
        help="File to write the applied faults to, as JSON lines with the totals last.",
    ),
    seed_option,
    json_option,
)


@click.command(cls=SectionedCommand, epilog=_FAULTS)
@_SIGNAL
@_PORT
@_FAULTS_AND_RESULT
def simulate(
    link: Path | None,
    listen: tuple[str, int] | None,
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
    """Stream a recording from a virtual accelerometer.

    The virtual sensor plays a recording or a simulated machine. It speaks the protocol of drsn-edge's sensors, waits
    for a reader, and ends when the recording is over and the reader has closed the port. --fault damages samples or the
    link as happens in the field. The same --seed repeats the same damage.

    \b
    Example:
      drsn-edge simulate --recording ball.npz --link sensor --fault "flip 1e-5"
    """
    if (source["recording"] is None) == (source["condition"] is None):
        raise click.UsageError("The virtual sensor plays one signal. Type either --recording or --condition.")
    if (link is None) == (listen is None):
        raise click.UsageError("The virtual sensor has one port. Type either --link or --listen.")
    from drsn_edge.cli.stopping import stop_on_signal
    from drsn_edge.recordings.loading.report import Report
    from drsn_edge.simulation.virtual_sensor import Playback, virtual_sensor

    report = Report()
    played = _played(seed=seed, report=report, **source)
    playback = Playback(speed or None, snr_db, noise, loop=loop, seed=seed)
    with _injector(faults, script, truth, seed) as injector:
        sensor = virtual_sensor(played, playback, link=link, listen=listen, faults=injector)
        with stop_on_signal() as stopped:
            note(_waiting(played, sensor.port))
            for line in report.remarks():
                say(line)
            summary = sensor.run(stopped)
    _print(summary, injector.totals if faults or script else None, as_json=as_json)


def _played(
    recording: str | None,
    condition: str | None,
    rpm: float,
    duration: float,
    catalogue: Path | None,
    seed: int,
    report: Report,
) -> Recording:
    if recording is not None:
        from drsn_edge.recordings.loading.load import load_recording

        return load_recording(recording, catalogue, report)
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
        f"{summary.samples_dropped} dropped for lack of a reader; {summary.values_clipped} values clipped"
    )
    if faults is not None:
        print_text(
            f"faults    {faults.samples_lost} samples lost, {faults.samples_repeated} repeated, "
            f"{faults.frames_damaged} of {faults.frames_sent} frames damaged, {faults.overruns} overruns"
        )


@contextmanager
def _injector(lines: tuple[str, ...], script: Path | None, truth: Path | None, seed: int) -> Iterator[FaultInjector]:
    """Yield the injector of the faults. Applied faults are written line by line to `truth`, with the totals last."""
    from drsn_edge.errors import OutputError, SettingsError
    from drsn_edge.support.text_file import read_text
    from firmware_bridge.virtual.fault_script import parse_fault, parse_script
    from firmware_bridge.virtual.faults import FaultInjector

    faults = (
        *(parse_script(read_text(script, "faults", SettingsError).splitlines()) if script else ()),
        *map(parse_fault, lines),
    )
    if truth is None:
        yield FaultInjector(faults, seed)
        return
    try:
        file = truth.open("x")
    except OSError as exc:
        words = f"Could not write {truth}: {exc.strerror}. Choose another file with --truth."
        raise OutputError(words, "cannot_open", path=truth, reason=exc.strerror) from exc
    with file:

        def write(values: dict[str, Any]) -> None:
            file.write(f"{json_text(values)}\n")

        injector = FaultInjector(faults, seed, write)
        try:
            yield injector
        finally:
            write(injector.account())
