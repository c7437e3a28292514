"""This gateway's bundles: the slot store of `firmware_bridge`, with what a bundle must be and do here."""

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
    """Return the store of this gateway.

    Args:
        what: Who changes it, for others who want to at the same time.
        state: The gateway's state folder; None: as `drsn_edge.gateway.paths` says.
        trust: Folder of trusted keys; likewise.
        choice: What the gate runs bundles with.
        new_contract: Take a bundle for another sensor than that of the one that runs.
        patience_s: How long to wait for others.
        gated: Whether a bundle runs on this machine before it is taken; the monitor runs it once more in any case.

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
    """Return what says what a bundle is, and refuses those that are not for here.

    It raises BundleError or one of its kind for what is no bundle, damaged, or not signed by a trusted key, and
    ContractError for one that was trained for another sensor than the bundle that runs.
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
            f"Expected {exc.name} on this gateway, to check signatures. Type: {pip_line('signing')}"
        ) from exc


def _check_sensor(contract: SignalContract, active: bytes) -> None:
    try:
        running = bundle_from_bytes(active).manifest.contract
    except BundleError:
        return  # what is damaged says nothing of the sensor
    try:
        stream_factor(contract, running.sample_rate_hz, running.axes, running.unit, source="bundle that runs here")
    except (ContractError, ValueError) as exc:
        raise ContractError(f"{exc} If the sensor of this gateway is another one now: --new-contract") from exc


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "an unnamed user"
