from __future__ import annotations

import pytest
from refusals import refused

from drsn_edge.errors import JobsError
from drsn_edge.jobs.addresses import check_address, is_readable_on_the_way


@pytest.mark.parametrize(
    ("address", "is_readable"),
    [
        ("tcp://127.0.0.1:8786", False), ("tcp://localhost:8786", False), ("tcp://[::1]:8786", False),
        ("tcp://10.0.0.5:8786", True), ("tcp://plant.example:1", True), ("tls://10.0.0.5:8786", False),
    ],
)  # fmt: skip
def test_only_tcp_to_other_machines_can_be_read_on_the_way(address: str, is_readable: bool) -> None:
    check_address(address)
    assert is_readable_on_the_way(address) is is_readable


@pytest.mark.parametrize(
    "address",
    ["", "10.0.0.5", "10.0.0.5:8786", "tcp://10.0.0.5", "tcp://:8786", "tcp://a:99999", "tcp://a:b", "http://a:1",
     "tcp://a:1/x", "tcp://me@a:1", "tcp://[::1:1", "tcp://a:0"],
)  # fmt: skip
def test_anything_else_is_refused(address: str) -> None:
    with refused(JobsError, "not_an_address", address=address):
        check_address(address)
