"""Every error that firmware_bridge raises on purpose.

FirmwareBridgeError
├── ProtocolError              the peer speaks, but not what this side understands
│   ├── FrameError             the bytes between two delimiters are no frame (damaged on the way, or foreign)
│   └── UnknownCommandError    a command that this version does not have
├── PortError                  a port that cannot be opened
│   ├── PortAbsentError        no such port
│   ├── PortPermissionError    this user may not open it
│   ├── PortBusyError          somebody else holds it
│   └── PortLostError          it went away while it was open; sources make a LinkLost of it
├── FaultScriptError           a script of faults that cannot be read
├── RawLogError                a raw log that cannot be read or written
└── VirtualDeviceError         a virtual accelerometer that cannot be set up or fed

Damaged frames and lost samples are no errors: `StreamDecoder` counts them and goes on.
"""


class FirmwareBridgeError(Exception):
    """Root of firmware_bridge's own errors."""


class ProtocolError(FirmwareBridgeError):
    """A message is complete but makes no sense, or comes from another protocol version."""


class FrameError(ProtocolError):
    """The bytes between two delimiters are not a frame."""


class UnknownCommandError(ProtocolError):
    """A command has an opcode that this version does not have."""


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
