"""paho's MQTT client with limits on what it reads from a broker, and with a thread that no error ends.

paho gathers a packet of up to 256 MB in memory before it processes it, answers any number of packets, and has no
setting for either (the maximum packet size of MQTT 5 is a request to the broker). So each byte is checked when paho
takes it from the socket: a packet that is too long is refused as soon as its length is known.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

CONNACK, PUBLISH, PUBACK, SUBACK, UNSUBACK, PINGRESP = 2, 3, 4, 9, 11, 13
_ANSWERS = frozenset((CONNACK, PUBACK, SUBACK, UNSUBACK, PINGRESP))
_MOST_ANSWER_BYTES = 8
_MOST_MESSAGES = 100
"""Limit of the messages that a broker may send per second."""
_SPARE_ANSWERS = 20
"""Answers allowed beyond one for each packet sent, for repetitions after a lost connection and for pings."""
_MOST_READ = 4096


class TooMuchError(OSError):
    """A broker sent more than a monitor expects; for paho the connection is broken, and it is closed.

    Attributes:
        is_message: Whether it was a message to a topic, which another client may have sent.
    """

    def __init__(self, words: str, *, is_message: bool = False) -> None:
        """Keep the end of a sentence that begins with the broker, such as "sent a message of ..."."""
        super().__init__(words)
        self.is_message = is_message


class Incoming:
    """Checks the received bytes of one connection."""

    def __init__(self, most_bytes: int, now_s: Callable[[], float] = time.monotonic) -> None:
        """Begin; messages of more than `most_bytes`, topic included, are refused."""
        self._most_bytes, self._now_s = most_bytes, now_s
        self._kind: int | None = None
        self._length, self._digits, self._body = 0, 0, 0
        self._began_s, self._messages = now_s(), 0
        self._refilled_s = self._began_s
        self._connected = False
        self.answers = _SPARE_ANSWERS
        """Number of answers that may still arrive."""
        self.bytes = 0
        """Number of received bytes."""

    def take(self, data: bytes) -> None:
        """Check received bytes.

        Raises:
            TooMuchError: If an unexpected packet begins.
        """
        self.bytes += len(data)
        at = 0
        while at < len(data):
            if self._body:
                step = min(self._body, len(data) - at)
                self._body -= step
                at += step
            else:
                self._take_header(data[at])
                at += 1

    def _take_header(self, byte: int) -> None:
        if self._kind is None:
            self._kind, self._length, self._digits = byte, 0, 0
            self._check_kind(byte >> 4, byte >> 1 & 3)
            return
        self._length |= (byte & 127) << 7 * self._digits
        self._digits += 1
        self._check_length(self._kind >> 4)
        if byte < 128:
            self._kind, self._body = None, self._length

    def _check_kind(self, kind: int, qos: int) -> None:
        if not self._connected and kind != CONNACK:
            raise TooMuchError("does not answer like an MQTT broker; if that port is for TLS, use mqtts://")
        self._connected = True
        if kind == PUBLISH and qos < 2:
            self._count_message()
        elif kind in _ANSWERS:
            self._count_answer()
        else:
            raise TooMuchError(f"sent a packet of kind {kind}, which a client that only subscribes never gets")

    def _count_message(self) -> None:
        now_s = self._now_s()
        if now_s - self._began_s >= 1:
            self._began_s, self._messages = now_s, 0
        self._messages += 1
        if self._messages > _MOST_MESSAGES:
            raise TooMuchError(f"sent more than {_MOST_MESSAGES} messages in a second", is_message=True)

    def _count_answer(self) -> None:
        now_s = self._now_s()
        if now_s - self._refilled_s >= 1:
            self._refilled_s, self.answers = now_s, max(self.answers, _SPARE_ANSWERS)
        self.answers -= 1
        if self.answers < 0:
            raise TooMuchError("sent answers without a request")

    def _check_length(self, kind: int) -> None:
        if kind == PUBLISH and self._length > self._most_bytes:
            raise TooMuchError(f"sent a message of more than {self._most_bytes} bytes", is_message=True)
        if kind != PUBLISH and self._length > _MOST_ANSWER_BYTES:
            raise TooMuchError(f"sent an answer of more than {_MOST_ANSWER_BYTES} bytes")


class BoundedClient(paho.Client):
    """paho's client with limits on received data.

    Attributes:
        trouble: Error that ended the last connection or prevented it; None if the broker closed it.
    """

    def __init__(
        self, client_id: str, most_bytes: int, context: Any = None, tick: Callable[[], None] = lambda: None
    ) -> None:
        """Prepare.

        Args:
            client_id: Client id at the broker.
            most_bytes: See `Incoming`.
            context: TLS context, see `drsn_edge.monitor.sinks.broker.tls_context`; None: no TLS.
            tick: Called about once a second in the client's thread while it is connected.
        """
        super().__init__(CallbackAPIVersion.VERSION2, client_id, protocol=paho.MQTTv311, reconnect_on_failure=True)
        self.suppress_exceptions = True  # an error in a callback must not end the thread
        self._most_bytes, self._context, self.tick = most_bytes, context, tick
        self._incoming = Incoming(most_bytes)
        self.trouble: Exception | None = None
        self.began_tls = False
        if context is not None:
            self.tls_set_context(context)

    @property
    def is_bounded(self) -> bool:
        """Whether the bytes of this connection are checked; another version of paho might read them elsewhere."""
        return self._incoming.bytes > 0

    def reconnect(self) -> MQTTErrorCode:
        """Connect again, and keep the error if that fails."""
        self._incoming, self.trouble, self.began_tls = Incoming(self._most_bytes), None, False
        before = getattr(self._context, "handshakes", 0)
        try:
            return super().reconnect()
        except Exception as exc:
            self.trouble, self.began_tls = exc, getattr(self._context, "handshakes", 0) > before
            if isinstance(exc, OSError):
                raise
            raise OSError(str(exc)) from exc  # the only kind of error after which paho retries

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:
        """Read received data; an error ends the connection, not the thread."""
        try:
            return super().loop_read(max_packets)
        except Exception as exc:
            self.trouble = exc
            return MQTTErrorCode.MQTT_ERR_PROTOCOL

    def publish(self, *args: Any, **more: Any) -> paho.MQTTMessageInfo:
        """Publish, and expect one answer."""
        self._incoming.answers += 1
        return super().publish(*args, **more)

    def subscribe(self, *args: Any, **more: Any) -> tuple[MQTTErrorCode, int | None]:
        """Subscribe, and expect one answer."""
        self._incoming.answers += 1
        return super().subscribe(*args, **more)

    def loop_misc(self) -> MQTTErrorCode:
        """Do periodic work, about once a second and after each packet."""
        self.tick()
        return super().loop_misc()

    def _sock_recv(self, bufsize: int) -> bytes:
        try:
            data = super()._sock_recv(min(bufsize, _MOST_READ))
            self._incoming.take(data)
        except BlockingIOError:
            raise
        except OSError as exc:
            self.trouble = exc
            raise
        return data
