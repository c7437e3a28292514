"""Defaults and bounds of sources; help texts use them without loading a source."""

LATENCY_S = 0.2
"""Time in seconds for which the events of a live sensor wait at most until they are handled together."""

MOST_WAITING = 20_000
"""Most events and reads in the queue between the thread that reads a port and the consumer. When the queue is full, the
thread stops reading; then the buffers of device and system fill, and the samples that they drop are counted as lost."""

FASTEST_LINE_BYTES_PER_S = 200_000
"""Bytes that a line of 2 Mbaud carries in a second: ten bits each."""

SMALLEST_FRAME_BYTES = 29
"""Bytes on the wire of a frame of one sample of one axis."""

LONGEST_LATENCY_S = MOST_WAITING * SMALLEST_FRAME_BYTES / FASTEST_LINE_BYTES_PER_S
"""Longest time in seconds for which the queue holds the events of any sensor: it is full of the smallest frames, from
the fastest line, after 2.9 s."""
