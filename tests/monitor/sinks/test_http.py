"""The HTTP server: what it answers, and what nobody can do to it."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from refusals import refused

from drsn_edge.errors import OutputError
from drsn_edge.monitor.sinks import http
from drsn_edge.monitor.sinks.http import HttpServer, Response

LARGE = b"x" * 20_000_000
"""More than the buffers of a connection hold."""


def fail() -> Response:
    raise RuntimeError("a page that cannot be made")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpServer]:
    monkeypatch.setattr(http, "_ROUND_S", 0.02)
    made = HttpServer(
        "127.0.0.1", 0, {"/a": lambda: Response(b"hello"), "/large": lambda: Response(LARGE), "/bad": fail}
    )
    yield made
    made.close()


def dial(server: HttpServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), 10)


def rest_of(client: socket.socket) -> bytes:
    parts = []
    while part := client.recv(65_536):
        parts.append(part)
    return b"".join(parts)


def ask(server: HttpServer, request: bytes) -> bytes:
    with dial(server) as client:
        client.sendall(request)
        return rest_of(client)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        (b"GET /a?b=c HTTP/1.0\n\n", 200),
        (b"HEAD /a HTTP/1.1\r\n\r\n", 200),
        (b"GET /absent HTTP/1.1\r\n\r\n", 404),
        (b"GET /bad HTTP/1.1\r\n\r\n", 500),
        (b"POST /a HTTP/1.1\r\n\r\n", 405),
        (b"\x16\x03\x01\r\n\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\n\r\n", 404),
        (b"GET /a HTTP/1.1\r\nX: " + b"x" * 10_000, 431),
    ],
)
def test_every_request_is_answered_and_the_next_one_as_well(server: HttpServer, request_: bytes, status: int) -> None:
    answer = ask(server, request_)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status) and b"Connection: close" in head
    assert body == (b"hello" if request_.startswith(b"GET") and status == 200 else body if status != 200 else b"")
    assert ask(server, b"GET /a HTTP/1.1\r\n\r\n").endswith(b"hello")


def test_a_large_page_arrives_whole_and_a_client_that_goes_amid_ends_nothing(server: HttpServer) -> None:
    with dial(server) as gone:
        gone.sendall(b"GET /large HTTP/1.1\r\n\r\n")
        gone.recv(10)
    assert ask(server, b"GET /large HTTP/1.1\r\n\r\n").endswith(LARGE)


def test_idle_connections_keep_nobody_out_and_are_never_more_than_may_be(server: HttpServer) -> None:
    with ExitStack() as stack:
        idle = [stack.enter_context(dial(server)) for _ in range(3 * http.MOST_CONNECTIONS)]
        assert ask(server, b"GET /a HTTP/1.1\r\n\r\n").endswith(b"hello")
        assert len(server._connections) <= http.MOST_CONNECTIONS
        assert idle[0].recv(1) == b""  # the oldest gave way


def test_a_request_that_trickles_is_cut_off_though_it_never_pauses(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "REQUEST_S", 0.3)
    began = time.monotonic()
    with dial(server) as slow, pytest.raises(OSError):
        while True:
            slow.sendall(b"x")
            time.sleep(0.02)
            assert time.monotonic() - began < 10


def test_who_does_not_take_the_answer_is_cut_off(server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "RESPONSE_S", 0.3)
    with dial(server) as slow:
        slow.sendall(b"GET /large HTTP/1.1\r\n\r\n")
        slow.recv(10)
        deadline = time.monotonic() + 10
        while server._connections and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not server._connections and time.monotonic() < deadline
        slow.settimeout(5)
        try:
            got = len(rest_of(slow))
        except OSError:
            got = 0
        assert got < len(LARGE)


@pytest.mark.parametrize("host", ["127.0.0.1", "256.0.0.1", "a" * 64])
def test_where_it_cannot_listen(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with refused(OutputError, "cannot_listen", host=host, port=port):
            HttpServer(host, port, {})
