"""Addresses of TCP as options take them: HOST:PORT, and a port alone where the host has a default."""

from __future__ import annotations

import click
import pytest

from drsn_edge.cli.options import HostPort


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("127.0.0.1:5555", ("127.0.0.1", 5555)),
        (":0", ("127.0.0.1", 0)),
        ("gateway.local:65535", ("gateway.local", 65535)),
        ("[::1]:9100", ("::1", 9100)),
    ],
)
def test_an_address_is_a_host_and_a_port(text: str, found: tuple[str, int]) -> None:
    for kind in (HostPort(), HostPort(host_optional=True)):
        assert kind.convert(text, None, None) == found
        assert kind.convert(found, None, None) == found


def test_a_port_alone_is_taken_where_the_host_has_a_default() -> None:
    assert HostPort(host_optional=True).convert("9100", None, None) == ("127.0.0.1", 9100)
    with pytest.raises(click.BadParameter):
        HostPort().convert("9100", None, None)


@pytest.mark.parametrize(
    "text", ["", ":", "nowhere", "host:", "host:65536", "host:-1", "host:1e3", "host:٣", "1.5", "h:" + "9" * 5000]
)
@pytest.mark.parametrize("host_optional", [False, True])
def test_what_is_no_address_is_refused_with_what_was_typed(text: str, host_optional: bool) -> None:
    with pytest.raises(click.BadParameter) as refused:
        HostPort(host_optional=host_optional).convert(text, None, None)
    assert refused.value.exit_code == 2 and repr(text) in refused.value.message
