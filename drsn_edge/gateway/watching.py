"""The service that `drsn-edge learn --service` leaves behind: a monitor with this site's own bundle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from drsn_edge.errors import OutputError
from drsn_edge.gateway.paths import SYSTEM_STATE, state_folder
from drsn_edge.gateway.systemd_host import Host
from drsn_edge.gateway.systemd_unit import install, place_of, unit_name, unit_text


@dataclass(frozen=True)
class Left:
    """A service that was left behind.

    Attributes:
        unit: Name of the unit.
        path: File of the unit.
        started: Whether the service runs; False where systemd does not run, such as in an image of a gateway.
        made_user: Whether the user of the services was made for it.
    """

    unit: str
    path: Path
    started: bool
    made_user: bool


@dataclass(frozen=True)
class Watching:
    """A service that watches a sensor with this site's own bundle.

    Attributes:
        name: Name of the service, as for `drsn-edge service install`.
        arguments: Arguments of `monitor`.
        host: Machine that it runs on.
    """

    name: str
    arguments: tuple[str, ...]
    host: Host

    def check(self) -> None:
        """Refuse a service that could not be installed after an hour of learning.

        Raises:
            OutputError: If the name is invalid, systemd is missing, this user may not install services, or the bundle
                would not lie where services look for it.
        """
        place_of(self.name, self.host.units)
        self._text("")
        state = state_folder()
        if state != SYSTEM_STATE:
            words = f"The service would look for the bundle in {SYSTEM_STATE}, but it is written to {state}. Run the "
            words += "command with sudo, and without DRSN_EDGE_STATE."
            raise OutputError(words, "other_state", got=state, expected=SYSTEM_STATE)

    def leave(self, version: str) -> Left:
        """Install the service, and start it now and at every boot.

        Args:
            version: Version of drsn-edge.

        Raises:
            OutputError: If the user of the services cannot be made, the unit cannot be written, or the service cannot
                be started.
        """
        made_user = self.host.make_user()
        path = install(self.name, self._text(version), self.host.units)
        return Left(unit_name(self.name), path, self.host.start(self.name), made_user)

    def _text(self, version: str) -> str:
        return unit_text(self.name, self.arguments, version)
