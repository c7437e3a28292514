"""Every error that firmware_bridge raises on purpose.

FirmwareBridgeError
├── ProtocolError              the peer speaks, but not what this side understands
│   ├── FrameError             the bytes between two delimiters are no frame (damaged on the way, or foreign)
│   ├── UnknownCommandError    a command that this version does not have
│   └── DescriptionError       a device describes itself by values that cannot be
├── PortError                  a port that cannot be opened
│   ├── PortAbsentError        no such port
│   ├── PortPermissionError    this user may not open it
│   ├── PortBusyError          somebody else holds it
│   └── PortLostError          it went away while it was open; sources make a LinkLost of it
├── FaultScriptError           a script of faults that cannot be read
├── RawLogError                a raw log that cannot be read or written
├── VirtualDeviceError         a virtual accelerometer that cannot be set up or fed
├── FirmwareError              a board that cannot be flashed
└── GatewayError               a gateway's bundles
    ├── StoreError             the slots cannot be read or written as they should be
    │   ├── StoreBusyError     somebody else changes them right now
    │   └── NoBundleError      there is none to run
    ├── VersionFloorError      older than what this gateway still takes
    ├── TrialError             what is asked does not fit the trial that goes on, or there is none
    ├── TransferError          a bundle that did not get across
    └── RefusedError           the gateway says no; `kind` is the name of its own error

Damaged frames and lost samples are no errors: `StreamDecoder` counts them and goes on.
"""


class FirmwareBridgeError(Exception):
    """Root of firmware_bridge's own errors.

    A sentence may be written anew at any time; a program that wants to know what went wrong looks at the class and at
    these attributes.

    Attributes:
        problem: Short name of what went wrong, such as "no_sample_rate"; empty where the class says it all.
        facts: Values that the sentence tells, by name, such as `facts["path"]`.
    """

    def __init__(self, message: str, problem: str = "", /, **facts: object) -> None:
        """Keep the sentence, the problem's name and its facts."""
        super().__init__(message)
        self.problem = problem
        self.facts = facts


class ProtocolError(FirmwareBridgeError):
    """A message is complete but makes no sense, or comes from another protocol version."""


class FrameError(ProtocolError):
    """The bytes between two delimiters are not a frame."""


class UnknownCommandError(ProtocolError):
    """A command has an opcode that this version does not have."""


class DescriptionError(ProtocolError):
    """A device describes itself by values that cannot be; its next description may be sound."""


class PortError(FirmwareBridgeError):
    """A port cannot be opened or set up."""


class PortAbsentError(PortError):
    """The port does not exist."""


class PortPermissionError(PortError):
    """The port exists, but this user may not open it."""


class PortBusyError(PortError):
    """Another program holds the port."""


class PortLostError(PortError):
    """A port that was open is gone."""


class FaultScriptError(FirmwareBridgeError):
    """A line of a script is no fault."""


class RawLogError(FirmwareBridgeError):
    """A raw log cannot be written, read, or is none."""


class VirtualDeviceError(FirmwareBridgeError):
    """A virtual accelerometer cannot be set up, or got samples it cannot send."""


class FirmwareError(FirmwareBridgeError):
    """A board's firmware is not there, cannot be flashed, or is not what was expected."""


class GatewayError(FirmwareBridgeError):
    """Something about the bundles of a gateway."""


class StoreError(GatewayError):
    """The slots cannot be read or written; what ran before still runs."""


class StoreBusyError(StoreError):
    """Somebody else is changing the slots."""


class NoBundleError(StoreError):
    """No slot holds a bundle that can run."""


class VersionFloorError(GatewayError):
    """A bundle is older than what this gateway still takes of its name."""


class TrialError(GatewayError):
    """There is a trial, or none, where the other was expected; or it is another bundle's."""


class TransferError(GatewayError):
    """A bundle did not get across in all the tries that it had."""


class RefusedError(GatewayError):
    """The gateway refused what it was asked.

    Attributes:
        kind: Name of the error there.
    """

    def __init__(self, kind: str, message: str) -> None:
        """Say what the gateway said."""
        super().__init__(message)
        self.kind = kind
