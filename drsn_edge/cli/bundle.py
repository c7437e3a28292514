"""`drsn-edge bundle`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drsn_edge.cli.options import PathType, json_option
from drsn_edge.cli.output import print_json, print_text
from drsn_edge.cli.signing_key import key_option, passphrase
from drsn_edge.support.json_text import json_text
from drsn_edge.support.wording import counted

if TYPE_CHECKING:
    from drsn_edge.bundle.bundle import Bundle
    from drsn_edge.bundle.manifest import Manifest
    from drsn_edge.gateway.health_gate import Measured


@click.group()
def bundle() -> None:
    """Show, verify, compare and sign bundles.

    \b
    Example:
      drsn-edge bundle sign machine.drsn
      drsn-edge bundle verify machine.drsn --gate
    """


@bundle.command()
@click.argument("file", type=PathType)
@json_option
def show(file: Path, as_json: bool) -> None:
    """Show the training, the cost and the signer of a bundle.

    \b
    Example:
      drsn-edge bundle show machine.drsn
    """
    from drsn_edge.bundle.bundle import read_bundle

    found = read_bundle(file)
    if as_json:
        manifest_values = json.loads(found.manifest_bytes)
        print_json("bundle", {"manifest": manifest_values, "signature": _signature(found), "sizes": _sizes(found)})
        return
    manifest, contract = found.manifest, found.manifest.contract
    budget = manifest.budget
    signer = _signature(found)
    rows = {
        "bundle": f"{manifest.name} {manifest.version}, by {manifest.generator}",
        "signed by": "nobody" if signer is None else signer["key"],
        "floor": f"{manifest.lowest_version} (once this is confirmed, older versions are refused)",
        "sensor": f"{contract.sample_rate_hz:g} Hz, {','.join(contract.axes)} in {contract.unit}",
        "window": f"{contract.window} samples ({contract.window_s:.3g} s), every {contract.hop_s:.3g} s",
        "labels": ", ".join(manifest.labels),
        "decision": manifest.votes or "the default of the monitor",
        "network": _network_text(manifest),
        "unknown": _unknown_text(manifest),
        "promise": _promise_text(manifest),
        "noise": _noise_text(manifest.noise_limit),
        "operators": _operators_text(manifest),
        "budget": "none" if budget is None else f"{budget.latency_ms:g} ms per window, {budget.memory_mb:g} MB",
        "parts": ", ".join(f"{name} {size / 1000:.1f} kB" for name, size in _sizes(found).items()),
    }
    print_text("\n".join(f"{name:10} {value}" for name, value in rows.items()))


def _network_text(manifest: Manifest) -> str:
    if manifest.input is None:
        resembles = "like a fault, " if manifest.names_changes else ""
        return f"none: a window is {manifest.labels[0]}, {resembles}UNKNOWN or without a verdict, by its novelty alone"
    return f"int8, {counted(len(manifest.labels), 'class', 'classes')}"


def _unknown_text(manifest: Manifest) -> str:
    if manifest.unknown_share is not None:
        return f"{manifest.unknown_share:.1%} of {'held-out' if manifest.has_network else 'healthy'} windows"
    return "never" if manifest.has_network else "share of healthy windows not stated"


def _promise_text(manifest: Manifest) -> str:
    if manifest.promise is None:
        why = "its network was not chosen by inner folds" if manifest.has_network else "it has no network"
        return f"none, so no window is UNSURE ({why})"
    return f"\n{'':10} ".join(manifest.promise.in_words)


def _operators_text(manifest: Manifest) -> str:
    if manifest.operators is None:
        return "not stated" if manifest.has_network else "none, and no runtime is needed"
    return ", ".join(manifest.operators)


def _noise_text(limit: float | None) -> str:
    if limit is None:
        return "no verdict for windows of noise alone, by the monitor's own limit"
    return (
        "not distinguishable from this machine"
        if limit >= 1
        else f"no verdict for windows of noise alone (limit {limit:g})"
    )


@bundle.command()
@click.argument("file", type=PathType)
@click.option(
    "--compiled",
    type=PathType,
    metavar="FILE",
    help="Model that edgetpu_compiler made on another machine.  [default: compile here]",
)
@click.option("--out", type=PathType, metavar="BUNDLE", help="Bundle to write.  [default: replace FILE]")
@json_option
def edgetpu(file: Path, compiled: Path | None, out: Path | None, as_json: bool) -> None:
    """Add the Edge TPU variant to a bundle.

    FILE must have been converted with --target edgetpu. The command needs edgetpu_compiler, which exists for x86-64
    Linux only. On any other machine, extract the model (unzip machine.drsn model.tflite), compile it on an x86-64 Linux
    machine, and add the result with --compiled. Sign the bundle again afterwards.

    \b
    Example:
      drsn-edge bundle edgetpu machine.drsn --compiled model_edgetpu.tflite
    """
    from drsn_edge.bundle.bundle import MAX_MEMBER_BYTES, network_of, read_bundle, write_bundle
    from drsn_edge.bundle.variants import with_edgetpu
    from firmware_bridge.support.regular_file import read_regular
    from quantize.targets.edgetpu_compiler import compile_model

    found = read_bundle(file)
    network = network_of(found, "there is nothing to compile for an Edge TPU")
    if compiled is not None:
        try:
            model = read_regular(compiled, MAX_MEMBER_BYTES)
        except OSError as exc:
            raise click.UsageError(
                f"--compiled {compiled} cannot be read: {exc.strerror}. Name the file that edgetpu_compiler wrote."
            ) from exc
    else:
        made = compile_model(network)
        if made is None:
            raise click.UsageError(
                "edgetpu_compiler is not on the PATH. Install it, or compile elsewhere and add --compiled FILE."
            )
        model = made.model
    size = write_bundle(with_edgetpu(found, model), out or file)
    values = {"bundle": str(out or file), "bytes": size, "model_bytes": len(model)}
    if as_json:
        print_json("edgetpu", values)
    else:
        print_text(f"{out or file} has an Edge TPU variant of {len(model) / 1000:.1f} kB and is not signed")


@bundle.command()
@click.argument("file", type=PathType)
@click.option(
    "--key",
    "key_files",
    type=PathType,
    multiple=True,
    metavar="KEY.pub",
    help="Public key that may have signed the bundle. Repeatable.  [default: the keys that this gateway trusts]",
)
@click.option("--gate", is_flag=True, help="Run the golden vectors of the bundle on this machine, as a gateway does.")
@json_option
def verify(file: Path, key_files: tuple[Path, ...], gate: bool, as_json: bool) -> None:
    """Verify the bytes and the signature of a bundle.

    With --gate, the command also runs the golden vectors, which are windows with their expected logits, and verifies
    that this machine computes the same logits. The golden windows of a bundle without a network have their expected
    novelties instead.

    \b
    Example:
      drsn-edge bundle verify machine.drsn --key signing.key.pub
    """
    from drsn_edge.bundle.bundle import read_bundle
    from drsn_edge.bundle.signing import check_signature, public_path, read_public, trusted_keys
    from drsn_edge.gateway.health_gate import run_gate
    from drsn_edge.gateway.paths import key_path, trust_folder

    found = read_bundle(file)
    own = public_path(key_path())
    trusted = [read_public(path) for path in key_files] or [
        *trusted_keys(trust_folder()),
        *([read_public(own)] if own.is_file() else []),
    ]
    signer = check_signature(found, trusted)
    measured = run_gate(file) if gate else None
    if as_json:
        gate_values = None if measured is None else asdict(measured)
        print_json("verified", {"key": signer.id, "name": signer.name, "gate": gate_values})
        return
    print_text(f"complete, and signed by {signer.id} ({signer.name})")
    if measured is not None:
        print_text(_gate_words(measured))


@bundle.command()
@click.argument("first", type=PathType)
@click.argument("second", type=PathType)
@json_option
@click.pass_context
def diff(ctx: click.Context, first: Path, second: Path, as_json: bool) -> None:
    """Compare two bundles; the exit code is 1 if they differ.

    \b
    Example:
      drsn-edge bundle diff before.drsn after.drsn
    """
    from drsn_edge.bundle.bundle import read_bundle
    from firmware_bridge.support.shown import printable

    one, other = (_flat(read_bundle(path)) for path in (first, second))
    changed = {
        name: [one.get(name), other.get(name)]
        for name in sorted({*one, *other})
        if one.get(name) != other.get(name)
    }  # fmt: skip
    if as_json:
        print_json("difference", {"changed": changed})
    else:
        lines = [printable(f"{name}: {_short(old)} -> {_short(new)}") for name, (old, new) in changed.items()]
        print_text("\n".join(lines) or "no difference")
    ctx.exit(int(bool(changed)))


@bundle.command()
@click.argument("file", type=PathType)
@key_option
@click.option("--out", type=PathType, metavar="BUNDLE", help="Bundle to write.  [default: replace FILE]")
@json_option
def sign(file: Path, key: Path | None, out: Path | None, as_json: bool) -> None:
    """Sign a bundle, so that gateways that trust the key accept it.

    \b
    Example:
      drsn-edge bundle sign machine.drsn
    """
    from drsn_edge.bundle.bundle import read_bundle, write_bundle
    from drsn_edge.bundle.signing import read_private
    from drsn_edge.bundle.signing import sign as signed
    from drsn_edge.gateway.paths import key_path

    result = signed(read_bundle(file), read_private(key or key_path(), passphrase()))
    write_bundle(result, out or file)
    signer = _signature(result)
    assert signer is not None
    if as_json:
        print_json("signed", {"bundle": str(out or file), **signer})
    else:
        print_text(f"{out or file} is signed by {signer['key']}")


@bundle.command()
@click.argument("file", type=PathType)
@click.option(
    "--as", "version", required=True, metavar="VERSION", help="New version MAJOR.MINOR.PATCH, above that of the bundle."
)
@key_option
@click.option(
    "--out", type=PathType, metavar="BUNDLE", help="Bundle to write.  [default: FILE's name with the new version]"
)
@json_option
def reissue(file: Path, version: str, key: Path | None, out: Path | None, as_json: bool) -> None:
    """Sign an older bundle again under a newer version.

    Use this command to go back to an older model after a bad bundle was confirmed. A gateway refuses versions below its
    floor, and the floor never falls. The new version puts the older model above the floor.

    \b
    Example:
      drsn-edge bundle reissue pump-1.0.0.drsn --as 1.2.0
    """
    from drsn_edge.bundle.bundle import read_bundle, write_bundle
    from drsn_edge.bundle.signing import read_private
    from drsn_edge.bundle.signing import reissue as reissued
    from drsn_edge.errors import OutputError
    from drsn_edge.gateway.paths import key_path

    older = read_bundle(file)
    result = reissued(older, version, read_private(key or key_path(), passphrase()))
    path = out or file.with_name(f"{file.stem.removesuffix('-' + older.manifest.version)}-{version}.drsn")
    if out is None and path.exists():
        raise OutputError(f"{path} already exists. Choose another file with --out.", "exists", path=path)
    write_bundle(result, path)
    signer = _signature(result)
    assert signer is not None
    if as_json:
        values = {"bundle": str(path), "name": older.manifest.name, "version": version, **signer}
        print_json("reissued", {"of": older.manifest.version, **values})
    else:
        manifest = older.manifest
        print_text(f"{path} is {manifest.name} {manifest.version} as {version}, signed by {signer['key']}")


def _signature(found: Bundle) -> dict[str, str] | None:
    """Return the key id of the signature that a bundle carries, not verified."""
    from drsn_edge.bundle.signing import signer_id

    if found.signature is None:
        return None
    return {"key": signer_id(found) or "an unreadable signature"}


def _sizes(found: Bundle) -> dict[str, int]:
    model = {} if found.model is None else {"model.tflite": len(found.model)}
    return {**model, **{name: len(data) for name, data in sorted(found.extras.items())}}


def _flat(found: Bundle) -> dict[str, Any]:
    """Return the values of the manifest by path, and the key of the signature."""
    flat: dict[str, Any] = {}

    def add(path: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                add(f"{path}.{key}" if path else key, inner)
        else:
            flat[path] = value

    add("", json.loads(found.manifest_bytes))
    signer = _signature(found)
    return {**flat, "signed by": None if signer is None else signer["key"]}


def _short(value: Any) -> str:
    text = "-" if value is None else value if isinstance(value, str) else json_text(value)
    return text if len(text) <= 40 else f"{text[:12]}..."


def _gate_words(measured: Measured) -> str:
    reference = "cannot run it" if measured.reference_differs is None else "computes the same logits"
    differs = (
        f"NumPy's novelties differ by {measured.worst_novelty:.2g} of the limit at most; "
        if measured.rms_lsb is None
        else f"{measured.runtime} differs by {measured.rms_lsb:.2f} int8 steps RMS, {measured.worst_lsb} at most; "
        f"the reference {reference}; "
    )
    return (
        f"{measured.windows} golden windows: {differs}"
        f"{measured.latency_ms:.3g} ms per window, 99 % below {measured.latency_p99_ms:.3g} ms; "
        f"{measured.memory_mb:.0f} MB"
    )
