"""The wire between a sensor and a host: frames, messages, accounting, and where the bytes come from.

PROTOCOL.md    every byte on the wire
cobs, frames   bytes <-> frames           messages   payloads <-> values
stream         bytes -> events, with an account of everything lost
events         what a consumer receives   clock      the true sample rate
sources        serial port (needs pyserial; imported only by who uses it)
virtual        an accelerometer on a pseudo-terminal, for tests, demos and users without hardware

Nothing is imported here, so that an error of this package can be named without loading NumPy.
"""
