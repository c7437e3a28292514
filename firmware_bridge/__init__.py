"""The link between sensors, hosts and gateways: wire protocol, sources of samples, virtual sensors, bundle slots.

PROTOCOL.md   every byte on the wire
wire          bytes to frames, messages and events, with an exact count of lost samples; the true sample rate
sources       serial ports, raw logs and lines of numbers as streams of events (needs pyserial)
virtual       an accelerometer on a pseudo-terminal or TCP port, for tests, demos and users without hardware
gateway       the two bundle slots of a gateway, and the agent that changes them
boards        sensor boards and the tools that flash them

This module imports nothing, so that an error of this package can be named without loading NumPy.
"""
