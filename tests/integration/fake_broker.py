"""As much of an MQTT 3.1.1 broker as tests need: it keeps what is published, and sends whatever it is told to."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress


class FakeBroker:
    """Listens at 127.0.0.1.

    Attributes:
        published: Topic and payload of each message, of all connections.
        connections: Those that were accepted, the newest last.
        subscribed: Topic of each subscription, with the number of its connection.
        client_ids: Of each CONNECT.
        confirms: Whether it confirms what is published.
        granted: What it answers to a subscription: the quality of service, or 0x80 for no.
    """

    def __init__(self, connack: bytes = b"\x20\x02\x00\x00") -> None:
        self._connack = connack
        self.published: list[tuple[str, str]] = []
        self.connections: list[socket.socket] = []
        self.subscribed: list[tuple[int, str]] = []
        self.client_ids: list[str] = []
        self.confirms = True
        self.granted = 1
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for each in (self._listener, *self.connections):
            with suppress(OSError):  # whoever has gone already
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def drop(self) -> None:
        """Cut the newest connection."""
        self.connections[-1].shutdown(socket.SHUT_RDWR)

    def send(self, data: bytes) -> None:
        """Send bytes to the newest connection."""
        self.connections[-1].sendall(data)

    def publish(self, topic: str | bytes, payload: bytes, flags: int = 0, claimed: int | None = None) -> None:
        """Send a message, or only its beginning where a length is claimed that it has not."""
        name = topic.encode() if isinstance(topic, str) else topic
        body = len(name).to_bytes(2, "big") + name + (b"\x00\x01" if flags & 6 else b"") + payload
        self.send(bytes([0x30 | flags]) + length_of(len(body) if claimed is None else claimed) + body)

    def wait_for(self, true: Callable[[], object], timeout_s: float = 20.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not true():
            assert time.monotonic() < deadline, f"published {self.published}, subscribed {self.subscribed}"
            time.sleep(0.01)

    def of(self, topic: str) -> list[str]:
        return [payload for at, payload in self.published if at == topic]

    @property
    def retained(self) -> dict[str, str]:
        return {topic: payload for topic, payload in self.published if payload}

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            self.connections.append(accepted)
            threading.Thread(target=self._serve, args=(accepted, len(self.connections)), daemon=True).start()

    def _serve(self, client: socket.socket, number: int) -> None:
        file = client.makefile("rb")
        try:
            while head := file.read(1):
                length = shift = 0
                while True:
                    (digit,) = file.read(1)
                    length |= (digit & 127) << shift
                    shift += 7
                    if digit < 128:
                        break
                self._take(client, number, head[0] >> 4, head[0] >> 1 & 3, file.read(length))
        except (OSError, ValueError):
            return

    def _take(self, client: socket.socket, number: int, kind: int, qos: int, body: bytes) -> None:
        if kind == 1:
            n = int.from_bytes(body[10:12], "big")
            self.client_ids.append(body[12 : 12 + n].decode())
            client.sendall(self._connack)
        elif kind == 3:
            n = 2 + int.from_bytes(body[:2], "big")
            self.published.append((body[2:n].decode(), body[n + 2 * (qos > 0) :].decode()))
            if self.confirms:
                client.sendall(b"\x40\x02" + body[n : n + 2])
        elif kind == 8:
            self.subscribed.append((number, body[4 : 4 + int.from_bytes(body[2:4], "big")].decode()))
            client.sendall(b"\x90\x03" + body[:2] + bytes([self.granted]))
        elif kind == 12:
            client.sendall(b"\xd0\x00")


def length_of(n: int) -> bytes:
    """Return a remaining length as MQTT writes it."""
    digits = bytearray()
    while True:
        digits.append(n & 127 | (128 if n > 127 else 0))
        n >>= 7
        if not n:
            return bytes(digits)
