"""This gateway's bundles: the slot store of `firmware_bridge`, with the checks that a bundle must pass here."""

from __future__ import annotations

import getpass
from pathlib import Path

from drsn_edge.bundle.bundle import bundle_from_bytes
from drsn_edge.bundle.signing import check_signed, trusted_keys
from drsn_edge.errors import BundleError, ContractError, KeyFileError
from drsn_edge.gateway.health_gate import run_gate
from drsn_edge.gateway.paths import state_folder, trust_folder
from drsn_edge.runtime.names import AUTO, RuntimeChoice
from drsn_edge.signal.contract import SignalContract, stream_factor
from drsn_edge.support.extras import pip_line
from firmware_bridge.gateway.disk import Disk
from firmware_bridge.gateway.slots import Verifier
from firmware_bridge.gateway.state import Description
from firmware_bridge.gateway.store import SlotStore

FOLDER = "bundles"
_PATIENCE_S = 5.0


def open_store(
    what: str,
    state: Path | None = None,
    trust: Path | None = None,
    choice: RuntimeChoice = AUTO,
    new_contract: bool = False,
    patience_s: float = _PATIENCE_S,
    gated: bool = True,
) -> SlotStore:
    """Return the bundle store of this gateway.

    Args:
        what: Name of the caller, shown to others who want to change the store at the same time.
        state: State folder of the gateway; None: the one of `drsn_edge.gateway.paths`.
        trust: Folder of trusted keys; None: the one of `drsn_edge.gateway.paths`.
        choice: Runtime with which the health gate runs bundles.
        new_contract: Whether to accept a bundle for another sensor than the running bundle's.
        patience_s: Time in seconds to wait for others who change the store.
        gated: Whether a bundle must run on this machine before it is accepted; the monitor runs it again in any case.

    Raises:
        StoreError: If the folder cannot be used.
    """
    disk = Disk((state or state_folder()) / FOLDER)
    holder = f"{what} by {_user()}"
    verify = verifier(trust or trust_folder(), new_contract)

    def gate(path: Path) -> None:
        if gated:
            run_gate(path, choice)

    return SlotStore(disk, lambda: disk.locked(holder, patience_s), verify, gate)


def verifier(trust: Path, new_contract: bool = False) -> Verifier:
    """Return a function that describes a bundle's bytes, and refuses a bundle that must not run here.

    It raises BundleError or a subclass for a file that is not a bundle, is damaged, or is not signed by a trusted key,
    and ContractError for a bundle that was trained for another sensor than the running bundle.
    """

    def verify(data: bytes, active: bytes | None) -> Description:
        manifest = bundle_from_bytes(data, lambda text, signature: _check_signed(text, signature, trust)).manifest
        if active is not None and not new_contract:
            _check_sensor(manifest.contract, active)
        return Description(manifest.name, manifest.version, manifest.lowest_version)

    return verify


def _check_signed(manifest: bytes, signature: bytes | None, trust: Path) -> None:
    try:
        check_signed(manifest, signature, trusted_keys(trust))
    except ModuleNotFoundError as exc:
        raise KeyFileError(
            f"Signatures cannot be verified: {exc.name} is not installed. Type: {pip_line('signing')}",
            "not_installed",
            module=exc.name,
        ) from exc


def _check_sensor(contract: SignalContract, active: bytes) -> None:
    try:
        running = bundle_from_bytes(active).manifest.contract
    except BundleError:
        return  # a damaged bundle tells nothing about the sensor
    try:
        stream_factor(contract, running.sample_rate_hz, running.axes, running.unit, source="bundle that runs here")
    except ContractError as exc:
        words = f"{exc} If this gateway has a new sensor, add --new-contract."
        raise ContractError(words, exc.problem, **exc.facts) from exc


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "an unnamed user"
