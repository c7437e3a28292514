"""A coverage-guided fuzz of the agent. Needs atheris 3.0.0, which has wheels for Python 3.11.

    python tests/runs/fuzz_agent.py -max_total_time=60 -rss_limit_mb=512 -timeout=5

What comes in is a mixture of requests with fuzzed fields, pieces of bundles, and fuzzed bytes between them. Whatever it
is: nothing is raised, what is on the disk stays within what was offered, and no bundle is active that the verifier does
not know.
"""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext
from typing import Any

import atheris

with atheris.instrument_imports(include=["firmware_bridge"]):
    from firmware_bridge.gateway.agent import Agent
    from firmware_bridge.gateway.protocol import AgentFrame, encode_data
    from firmware_bridge.wire.frames import MAX_PAYLOAD, FrameWriter

from crash_run import bundle, store_on, verify
from crashing import MemoryDisk

GOOD = bundle("1.0.0", 120)
OPS = ("status", "offer", "discard", "install", "confirm", "rollback", "other")


class Disk(MemoryDisk):
    def locked(self, holder: str, patience_s: float, name: str = "lock") -> Any:
        return nullcontext()


def one_input(data: bytes) -> None:
    import hashlib

    given = atheris.FuzzedDataProvider(data)
    disk = Disk()
    store = store_on(disk)
    agent, writer = Agent(lambda _: store, disk, {}, in_thread=False), FrameWriter()
    digests = [hashlib.sha256(GOOD).hexdigest(), "0" * 64]
    offered = 0
    for number in range(given.ConsumeIntInRange(1, 10)):
        kind = given.ConsumeIntInRange(0, 3)
        if kind == 0:
            agent.feed(given.ConsumeBytes(given.ConsumeIntInRange(0, 40)))
        elif kind == 1:
            piece = GOOD if given.ConsumeBool() else given.ConsumeBytes(60)
            agent.feed(encode_data(writer, given.ConsumeIntInRange(0, 200), piece))
        elif kind == 2:
            agent.feed(writer.encode(AgentFrame.REQUEST, given.ConsumeBytes(given.ConsumeIntInRange(0, 80))))
        else:
            request: dict[str, Any] = {"id": str(number), "op": OPS[given.ConsumeIntInRange(0, len(OPS) - 1)]}
            request["sha256"] = (*digests, given.ConsumeUnicodeNoSurrogates(8), 3)[given.ConsumeIntInRange(0, 3)]
            size = (len(GOOD), given.ConsumeInt(8), "x")[given.ConsumeIntInRange(0, 2)]
            request |= {"size": size, "dry_run": given.ConsumeBool(), "why": given.ConsumeUnicodeNoSurrogates(8)}
            offered = max(offered, size if isinstance(size, int) else 0)
            text = json.dumps(request).encode()
            if len(text) <= MAX_PAYLOAD:
                assert agent.feed(b"\0" + writer.encode(AgentFrame.REQUEST, text)), request
    for name, content in disk.files.items():
        assert not name.endswith(".part") or len(content) <= offered
    running = store.state().running
    if running is not None:
        verify(disk.files[running.file], None)


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
