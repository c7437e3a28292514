"""Every error that firmware_bridge raises on purpose.

FirmwareBridgeError
├── ProtocolError              a message, frame or address that makes no sense to this version
│   ├── FrameError             the bytes between two delimiters are not a frame: damaged on the line, or foreign
│   ├── UnknownCommandError    a command that this version does not know
│   └── DescriptionError       a device describes itself with impossible values
├── PortError                  a port that cannot be opened
│   ├── PortAbsentError        the port does not exist
│   ├── PortPermissionError    this user may not open the port
│   ├── PortBusyError          another program holds the port
│   └── PortLostError          an open port disappeared; sources turn this into a LinkLost event
├── FaultScriptError           a fault script that cannot be read
├── RawLogError                a raw log that cannot be read or written
├── TableError                 a text that is no table of numbers, or a line of one that does not fit
├── VirtualDeviceError         a virtual accelerometer that cannot be set up or fed
├── FirmwareError              a sensor board that cannot be flashed
└── GatewayError               a problem with the bundles of a gateway
    ├── StoreError             the slots cannot be read or written
    │   ├── StoreBusyError     another process is changing the slots
    │   └── NoBundleError      no bundle can run
    ├── VersionFloorError      a bundle below the lowest version that the gateway accepts
    ├── TrialError             the request does not fit the current trial, or there is no trial
    ├── TransferError          a bundle that did not arrive
    └── RefusedError           the gateway refused a request; `kind` and `problem` are those of its own error

Damaged frames and lost samples are not errors: `StreamDecoder` counts them and continues.
"""


class FirmwareBridgeError(Exception):
    """Root of firmware_bridge's own errors.

    The sentence may change at any time. A program that handles an error looks at its class and at these attributes.

    Attributes:
        problem: Short name of the problem, such as "no_hello"; empty if the class says it all.
        facts: Values in the sentence, by name, such as `facts["port"]`.
    """

    def __init__(self, message: str, problem: str = "", /, **facts: object) -> None:
        """Keep the sentence, the problem's name and its facts."""
        super().__init__(message)
        self.problem = problem
        self.facts = facts


class ProtocolError(FirmwareBridgeError):
    """A message is complete, but it makes no sense or comes from another protocol version."""


class FrameError(ProtocolError):
    """The bytes between two delimiters are not a frame."""


class UnknownCommandError(ProtocolError):
    """The opcode of a command is unknown to this version."""


class DescriptionError(ProtocolError):
    """A device describes itself with impossible values; its next description may be valid."""


class PortError(FirmwareBridgeError):
    """A port cannot be opened or set up."""


class PortAbsentError(PortError):
    """The port does not exist."""


class PortPermissionError(PortError):
    """The port exists, but this user may not open it."""


class PortBusyError(PortError):
    """Another program holds the port."""


class PortLostError(PortError):
    """An open port disappeared."""


class FaultScriptError(FirmwareBridgeError):
    """A line of a fault script cannot be read, or its fault cannot be simulated."""


class RawLogError(FirmwareBridgeError):
    """A raw log cannot be written or read, or the file is not a raw log."""


class TableError(FirmwareBridgeError):
    """A text is no table of numbers, or one of its lines does not fit. The sentence does not name the file."""


class VirtualDeviceError(FirmwareBridgeError):
    """A virtual accelerometer cannot be set up, or cannot send the samples it was given."""


class FirmwareError(FirmwareBridgeError):
    """The firmware of a board is missing, cannot be flashed, or has an unexpected version."""


class GatewayError(FirmwareBridgeError):
    """A problem with the bundles of a gateway."""


class StoreError(GatewayError):
    """The slots cannot be read or written; the bundle that ran before still runs."""


class StoreBusyError(StoreError):
    """Another process is changing the slots."""


class NoBundleError(StoreError):
    """No slot holds a bundle that can run."""


class VersionFloorError(GatewayError):
    """The version of a bundle is below the floor that this gateway keeps for its name."""


class TrialError(GatewayError):
    """The request does not fit the current trial: there is one, there is none, or another bundle is on trial."""


class TransferError(GatewayError):
    """A bundle did not arrive at the gateway, or the gateway did not answer as it should."""


class RefusedError(GatewayError):
    """The gateway refused a request. The sentence and the problem are those of the gateway's own error.

    Attributes:
        kind: Class name of the gateway's own error, such as "TrialError"; also among the facts.
    """

    def __init__(self, message: str, problem: str = "", /, *, kind: str = "") -> None:
        """Keep the gateway's sentence, the name of its problem (empty where it named none) and its error class."""
        super().__init__(message, problem, kind=kind)

    @property
    def kind(self) -> str:
        """Class name of the gateway's own error."""
        return str(self.facts["kind"])
