"""A small HTTP server for pages that are made on request: one thread, and a limit for everything.

It answers one GET per connection and closes it. A client that sends too much or too slowly is disconnected. When all
connections are in use, the oldest is closed for the next, so that idle clients keep nobody out.

http.server of the standard library, and prometheus_client's server on top of it, are not used: they limit
the time of each read, but not of a whole request. A client that sends one byte now and then keeps a thread busy for
ever. The number of connections has no limit either.
"""

from __future__ import annotations

import os
import selectors
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus

from drsn_edge.errors import OutputError

MOST_CONNECTIONS = 32
MOST_REQUEST_BYTES = 8192
REQUEST_S = 5.0
"""Time in seconds in which a complete request must arrive."""
RESPONSE_S = 20.0
"""Time in seconds in which the client must take the complete response."""
_ROUND_S = 0.5
_READ_BYTES = 4096


@dataclass(frozen=True)
class Response:
    """The response of a page.

    Attributes:
        body: Content.
        kind: Content type.
    """

    body: bytes
    kind: str = "text/plain; charset=utf-8"


@dataclass(eq=False)
class _Connection:
    """One client, which sends a request and then takes the response.

    Attributes:
        until_s: Time at which it is disconnected, by the monotonic clock.
        received: Received part of the request.
        response: Part of the response that is still to be sent; None while the request arrives.
    """

    socket: socket.socket
    until_s: float
    received: bytearray = field(default_factory=bytearray)
    response: memoryview | None = None


class HttpServer:
    """Serves pages in a thread of its own."""

    def __init__(self, host: str, port: int, pages: Mapping[str, Callable[[], Response]]) -> None:
        """Listen.

        Args:
            host: Address to listen on.
            port: TCP port; 0 takes a free one, see `port`.
            pages: Functions by path that make a page quickly; the server's thread calls them.

        Raises:
            OutputError: If the port is in use, or this user may not use it.
        """
        try:
            family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
            self._listener = socket.create_server(address[:2], family=family)
        except (OSError, UnicodeError) as exc:
            why = os.strerror(exc.errno) if isinstance(exc, OSError) and exc.errno and exc.errno > 0 else str(exc)
            words = f"Could not serve HTTP at {host}:{port}: {why}. Choose another address or port."
            raise OutputError(words, "cannot_listen", host=host, port=port) from exc
        self._pages = dict(pages)
        self._listener.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._waker, self._woken = socket.socketpair()
        self._selector.register(self._woken, selectors.EVENT_READ, self._woken)
        self._connections: dict[_Connection, None] = {}  # in order of arrival
        self._stopping = threading.Event()
        self.port: int = self._listener.getsockname()[1]
        """The port on which it listens."""
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening; further calls do nothing."""
        self._stopping.set()
        self._waker.close()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            for key, _ in self._selector.select(_ROUND_S):
                if key.data is None:
                    self._accept()
                elif isinstance(key.data, _Connection) and key.data in self._connections:
                    self._serve(key.data)
            now_s = time.monotonic()
            for each in [each for each in self._connections if now_s >= each.until_s]:
                self._end(each)
        for each in list(self._connections):
            self._end(each)
        self._selector.close()
        self._listener.close()
        self._woken.close()

    def _accept(self) -> None:
        try:
            accepted, _ = self._listener.accept()
        except BlockingIOError:
            return
        except OSError:  # no file descriptor is left, or the client has gone
            time.sleep(0.05)
            return
        accepted.setblocking(False)
        if len(self._connections) >= MOST_CONNECTIONS:
            self._end(next(iter(self._connections)))
        connection = _Connection(accepted, time.monotonic() + REQUEST_S)
        self._connections[connection] = None
        self._selector.register(accepted, selectors.EVENT_READ, connection)

    def _serve(self, connection: _Connection) -> None:
        try:
            done = self._receive(connection) if connection.response is None else self._send(connection)
        except BlockingIOError:
            return
        except OSError:
            done = True
        if done:
            self._end(connection)

    def _receive(self, connection: _Connection) -> bool:
        """Receive a part of a request, and answer it once it is complete; return whether the connection is done."""
        data = connection.socket.recv(_READ_BYTES)
        connection.received += data
        if b"\r\n\r\n" in connection.received or b"\n\n" in connection.received:
            response = self._response_to(bytes(connection.received))
        elif len(connection.received) > MOST_REQUEST_BYTES:
            response = _written(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        else:
            return not data
        connection.response, connection.until_s = memoryview(response), time.monotonic() + RESPONSE_S
        self._selector.modify(connection.socket, selectors.EVENT_WRITE, connection)
        return self._send(connection)

    def _send(self, connection: _Connection) -> bool:
        assert connection.response is not None
        connection.response = connection.response[connection.socket.send(connection.response) :]
        return not connection.response

    def _response_to(self, request: bytes) -> bytes:
        words = request.split(b"\n", 1)[0].split()
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
            return _written(HTTPStatus.BAD_REQUEST)
        method, path = words[0], words[1].split(b"?", 1)[0].decode("ascii", "replace")
        if method not in (b"GET", b"HEAD"):
            return _written(HTTPStatus.METHOD_NOT_ALLOWED, more="Allow: GET, HEAD\r\n")
        page = self._pages.get(path)
        if page is None:
            return _written(HTTPStatus.NOT_FOUND)
        try:
            response = page()
        except Exception:  # a page that fails stops neither other pages nor the server
            return _written(HTTPStatus.INTERNAL_SERVER_ERROR)
        return _written(HTTPStatus.OK, response, with_body=method == b"GET")

    def _end(self, connection: _Connection) -> None:
        self._connections.pop(connection, None)
        with suppress(KeyError, ValueError):
            self._selector.unregister(connection.socket)
        connection.socket.close()


def _written(status: HTTPStatus, response: Response | None = None, *, more: str = "", with_body: bool = True) -> bytes:
    response = response or Response(f"{status.value} {status.phrase}\n".encode())
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {response.kind}\r\n"
        f"Content-Length: {len(response.body)}\r\nConnection: close\r\nCache-Control: no-store\r\n"
        f"X-Content-Type-Options: nosniff\r\n{more}\r\n"
    )
    return head.encode("ascii") + (response.body if with_body else b"")
