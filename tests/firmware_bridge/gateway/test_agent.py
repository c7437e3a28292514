"""A bundle's way across a bad line, and what an agent does with bytes that nobody should send."""

from __future__ import annotations

import hashlib
import json
import pickle
import random
import socket
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from crash_run import RefusedByGateError, bundle, store_on
from crashing import MemoryDisk
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from firmware_bridge.errors import PortAbsentError, PortLostError, RefusedError, TransferError
from firmware_bridge.gateway import client as client_module
from firmware_bridge.gateway import transports
from firmware_bridge.gateway.agent import Agent, serve
from firmware_bridge.gateway.client import RemoteGateway
from firmware_bridge.gateway.protocol import (
    AgentFrame,
    AnswerReader,
    check_answer,
    decode_data,
    decode_request,
    encode_answer,
    encode_data,
    encode_request,
    refusal,
)
from firmware_bridge.sources.byte_link import Received
from firmware_bridge.wire.frames import MAX_PAYLOAD, FrameSplitter, FrameWriter, decode_frame


class LockableMemory(MemoryDisk):
    def locked(self, holder: str, patience_s: float, name: str = "lock") -> Any:
        return nullcontext()


class Rig:
    """An agent and what flashes it, over a line that damages what it is told to."""

    def __init__(self, seed: int = 0, bad: float = 0.0, cuts: int = 0, threads: bool = True) -> None:
        self.disk = LockableMemory()
        self.store = store_on(self.disk)
        self.threads = threads
        self.random, self.bad = random.Random(seed), bad
        self.cut_at = sorted(self.random.sample(range(20, 450), cuts), reverse=True)
        self.frames, self.opened = 0, 0
        self.agent: Agent | None = None

    def open(self) -> Line:
        if self.agent is not None:
            self.agent.close()
        self.opened += 1
        self.agent = Agent(lambda _: self.store, self.disk, {"machine": "a test"}, self.threads)
        return Line(self, self.agent)


class Line:
    patience_s = 0.02

    def __init__(self, rig: Rig, agent: Agent) -> None:
        self._rig, self._agent, self._back, self._gone = rig, agent, b"", False

    def _damaged(self, data: bytes) -> bytes:
        """Drop a frame or change a byte of it, each with the rig's probability."""
        out = []
        for frame in data.split(b"\0"):
            draw = self._rig.random.random()
            if draw < self._rig.bad:
                continue
            if draw < 2 * self._rig.bad and frame:
                place = self._rig.random.randrange(len(frame))
                frame = frame[:place] + bytes([frame[place] ^ 0x55]) + frame[place + 1 :]
            out.append(frame)
        return b"\0".join(out) + (b"\0" if out and out[-1] else b"")

    def write(self, data: bytes) -> None:
        self._rig.frames += 1
        if self._rig.cut_at and self._rig.frames >= self._rig.cut_at[-1]:
            self._rig.cut_at.pop()
            self._gone = True
        if self._gone:
            raise PortLostError("cut")
        self._back += self._damaged(self._agent.feed(self._damaged(data)))

    def read(self) -> Received:
        if self._gone:
            raise PortLostError("cut")
        self._back += self._damaged(self._agent.idle())
        data, self._back = self._back, b""
        return Received(data, True)

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_PAUSE_S", 0.0)


def flash(gateway: RemoteGateway, data: bytes, **options: Any) -> Any:
    return gateway.flash(
        data, **{"dry_run": False, "new_contract": False, "progress": lambda done, total: None, **options}
    )


def test_a_bundle_goes_across_and_runs_on_trial() -> None:
    rig = Rig()
    shown: list[tuple[int, int]] = []
    done = flash(RemoteGateway(rig.open), bundle("1.0.0", 10_000), progress=lambda *at: shown.append(at))
    assert (done.bytes_sent, done.bytes_again, done.resumed_at, done.connections) == (10_000, 0, 0, 1)
    assert shown[0] == (0, 10_000) and shown[-1] == (10_000, 10_000)
    assert rig.store.start().slot.sha256 == hashlib.sha256(bundle("1.0.0", 10_000)).hexdigest()
    assert not [name for name in rig.disk.files if name.endswith(".part")]


@pytest.mark.parametrize("seed", range(3))
def test_a_megabyte_goes_over_a_bad_line_with_ten_cuts(seed: int) -> None:
    """1 % of the frames dropped and 1 % damaged, each way."""
    rig, data = Rig(seed, bad=0.01, cuts=10), bundle("1.0.0", 1_000_000)
    done = flash(RemoteGateway(rig.open), data)
    assert done.slot["sha256"] == hashlib.sha256(data).hexdigest() and done.connections == 11
    assert 0 < done.bytes_again < 100_000
    assert rig.store.start().slot.size == 1_000_000


def test_a_flash_that_was_given_up_goes_on_where_it_stopped() -> None:
    rig, data = Rig(cuts=1), bundle("1.0.0", 500_000)
    rig.cut_at = [100]
    gateway = RemoteGateway(rig.open, tries=1)
    with pytest.raises(TransferError):
        flash(gateway, data)
    done = flash(RemoteGateway(rig.open), data)
    assert done.resumed_at > 150_000 and done.bytes_sent == 500_000 - done.resumed_at


def test_what_came_of_another_content_is_thrown_away() -> None:
    """By content, never by size: a disk may have lost what it did not sync."""
    rig, data = Rig(), bundle("1.0.0", 50_000)
    name = f"{hashlib.sha256(data).hexdigest()}.drsn.part"
    rig.disk = LockableMemory({name: bytes(20_000)})
    rig.store = store_on(rig.disk)
    done = flash(RemoteGateway(rig.open), data)
    assert done.resumed_at == 0 and done.changed


def test_the_same_bundle_again_is_not_sent() -> None:
    rig, data = Rig(), bundle("1.0.0", 50_000)
    gateway = RemoteGateway(rig.open)
    flash(gateway, data)
    again = flash(gateway, data)
    assert (again.changed, again.bytes_sent) == (False, 0)


def test_a_dry_run_changes_nothing() -> None:
    rig = Rig()
    done = flash(RemoteGateway(rig.open), bundle("1.0.0"), dry_run=True)
    assert not done.changed and done.slot["floor"] == "1.0.0"
    assert rig.disk.files == {}


def test_what_the_gateway_says_comes_across() -> None:
    rig = Rig()
    gateway = RemoteGateway(rig.open)
    with refused(RefusedError, kind="RefusedByGateError") as caught:
        flash(gateway, bundle("1.1.66"))
    assert str(caught.value) == "too slow"
    with refused(RefusedError, "no_trial", kind="TrialError"):
        gateway.ask("confirm")
    with refused(RefusedError, "unknown_operation", kind="ProtocolError"):
        gateway.ask("dance")
    status = gateway.ask("status")
    assert status["machine"] == "a test" and status["log"][0]["event"] == "refused"


def test_a_refusal_survives_a_pickle() -> None:
    error = refusal({"ok": False, "error": "TrialError", "problem": "no_trial", "message": "No bundle is on trial."})
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is RefusedError and str(again) == "No bundle is on trial."
    assert (again.kind, again.problem, again.facts) == ("TrialError", "no_trial", {"kind": "TrialError"})


@pytest.mark.parametrize("problem", [None, 3, "", "No Trial", "x" * 65, "\x1b[31m", ["no_trial"]])
def test_a_problem_that_is_no_plain_name_is_left_out(problem: Any) -> None:
    answer = {"ok": False, "error": "TrialError", "message": "No."}
    for each in (answer, {**answer, "problem": problem}):
        assert refusal(each).problem == "" and refusal(each).kind == "TrialError"


def test_a_long_log_comes_across_in_parts() -> None:
    rig = Rig()
    for _ in range(30):
        with pytest.raises(RefusedByGateError):
            rig.store.install(bundle("1.1.66"))
    assert len(json.dumps(RemoteGateway(rig.open).ask("status"))) > MAX_PAYLOAD


def test_a_gateway_that_was_never_there_is_said_at_once() -> None:
    def nobody() -> Any:
        raise PortAbsentError("no such port")

    with pytest.raises(PortAbsentError):
        RemoteGateway(nobody).ask("status")


def test_a_gateway_that_is_silent_is_said() -> None:
    rig = Rig(bad=1.0)
    with refused(TransferError, "no_answer", connections=1):
        RemoteGateway(rig.open, tries=3).ask("status")


@pytest.mark.parametrize("lost_answer", range(1, 4))
def test_an_installation_whose_answer_was_lost_is_done_once(lost_answer: int) -> None:
    rig, data = Rig(threads=False), bundle("1.0.0", 1000)
    rig.cut_at = [3 + lost_answer]
    done = flash(RemoteGateway(rig.open), data)
    assert done.slot["version"] == "1.0.0" and rig.store.state().sequence == 1


@pytest.mark.parametrize(
    ("request_", "error", "problem"),
    [
        ({"op": "offer", "sha256": "../../etc/passwd", "size": 3}, "ProtocolError", "bad_offer"),
        ({"op": "offer", "sha256": "0" * 64, "size": 1 << 40}, "TransferError", "bad_size"),
        ({"op": "offer", "sha256": "0" * 64, "size": "3"}, "ProtocolError", "bad_offer"),
        ({"op": "offer", "sha256": "0" * 64, "size": -1}, "TransferError", "bad_size"),
        ({"op": "offer", "sha256": "0" * 64, "size": True}, "ProtocolError", "bad_offer"),
        ({"op": "install", "sha256": "0" * 64}, "TransferError", "no_offer"),
        ({"op": "install", "sha256": 7}, "TransferError", "no_offer"),
        ({"op": "rollback", "sha256": "x"}, "ProtocolError", "bad_digest"),
        ({"op": "confirm", "sha256": []}, "ProtocolError", "bad_digest"),
        ({"op": "__class__"}, "ProtocolError", "unknown_operation"),
    ],
)
def test_impossible_requests_are_refused_and_leave_nothing(request_: dict[str, Any], error: str, problem: str) -> None:
    rig = Rig(threads=False)
    answer = said(rig, {"id": "1", **request_})
    assert (answer["ok"], answer["error"], answer["problem"]) == (False, error, problem)
    assert rig.disk.files == {}


def test_a_gateway_without_room_takes_no_offer() -> None:
    rig = Rig(threads=False)
    rig.disk.free = 1000
    answer = said(rig, {"id": "1", "op": "offer", "sha256": "0" * 64, "size": 600})
    assert (answer["error"], answer["problem"]) == ("StoreError", "no_space")


def test_more_than_was_offered_is_not_taken() -> None:
    rig = Rig(threads=False)
    said(rig, {"id": "1", "op": "offer", "sha256": "0" * 64, "size": 10})
    for data in (b"x" * 11, b"x" * 6, b"x" * 6):
        answers(rig, encode_data(FrameWriter(), 0 if len(data) > 6 else rig.agent._operations._upload.have, data))
    assert rig.disk.files["0" * 64 + ".drsn.part"] == b"x" * 6


def said(rig: Rig, request: dict[str, Any]) -> dict[str, Any]:
    if rig.agent is None:
        rig.open()
    return answers(rig, encode_request(FrameWriter(), request))[0]


def answers(rig: Rig, data: bytes) -> list[dict[str, Any]]:
    assert rig.agent is not None
    reader, found = AnswerReader(), []
    for piece in FrameSplitter().feed(rig.agent.feed(data)):
        answer = reader.take(decode_frame(piece).payload)
        found += [] if answer is None else [answer]
    return found


@given(st.lists(st.binary(max_size=60) | st.sampled_from([b"\0", b"\x01\x01\0"]), max_size=20))
def test_no_bytes_disturb_an_agent(pieces: list[bytes]) -> None:
    rig = Rig(threads=False)
    rig.open()
    assert rig.agent is not None
    for piece in pieces:
        rig.agent.feed(piece)
    rig.agent.feed(b"\0")
    assert said(rig, {"id": "1", "op": "status"})["ok"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["0" * 64, "offer", "install"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
REQUESTS = st.fixed_dictionaries(
    {
        "id": st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=5),
        "op": st.sampled_from(["status", "offer", "discard", "install", "confirm", "rollback"]),
    },
    optional={"sha256": JSON, "size": JSON, "why": JSON, "dry_run": JSON, "new_contract": JSON},
)


@given(st.lists(REQUESTS | st.tuples(st.integers(0, 2**32 - 1), st.binary(max_size=30)), max_size=12))
def test_no_requests_disturb_an_agent(requests: list[Any]) -> None:
    rig, writer = Rig(threads=False), FrameWriter()
    rig.open()
    for request in requests:
        data = encode_data(writer, *request) if isinstance(request, tuple) else encode_request(writer, request)
        assert len(answers(rig, data)) == 1
    assert not [name for name in rig.disk.files if name.endswith(".drsn")]


@pytest.mark.parametrize("name", ["id", "op"])
@pytest.mark.parametrize("word", ["", "x" * 65, "two words", "\x1b[31m", "\ud800", "é", "a\n", 3, None, ["a"]])
def test_a_request_is_named_in_plain_letters_or_gets_no_answer(name: str, word: Any) -> None:
    rig = Rig()
    rig.open()
    assert answers(rig, encode_request(FrameWriter(), {"id": "1", "op": "status", name: word})) == []


@pytest.mark.parametrize(
    "why", ["\ud800", "\x1b]0;owned\x07\x1b[31mred", "\u202egnp.exe", "a\r\nb", "x" * 1900, "\x9b31m"]
)
def test_what_is_kept_of_a_reason_is_text(why: str) -> None:
    rig = Rig()
    rig.store.install(bundle("1.0.0"))
    rig.open()
    assert said(rig, {"id": "1", "op": "rollback", "why": why})["ok"]
    kept = str(rig.store.log()[-1]["why"])
    assert kept.isprintable() and 0 < len(kept) <= 400
    status = said(rig, {"id": "2", "op": "status"})
    assert status["log"][-1]["why"] == kept
    kept.encode()


def test_a_log_that_somebody_else_wrote_is_shown_as_text() -> None:
    rig = Rig()
    rig.disk = LockableMemory({"log.jsonl": b'{"event": "x", "why": "\\u001b[31m\\ud800"}\n{"time_s": 1e300}\n[1]\n'})
    rig.store = store_on(rig.disk)
    rig.open()
    assert said(rig, {"id": "1", "op": "status"})["log"][0]["why"] == "\\x1b[31m\\ud800"


SLOT = {"sha256": "0" * 64, "size": 3, "name": "pump", "version": "1.0.0", "floor": "1.0.0"}
STATE = {"slots": {"a": SLOT}, "confirmed": "a", "trial": None, "trial_starts": 0, "floors": {}, "sequence": 1}


@pytest.mark.parametrize(
    ("op", "answer"),
    [
        ("status", {}),
        ("status", {"state": None, "log": []}),
        ("status", {"state": {**STATE, "slots": []}, "log": []}),
        ("status", {"state": {**STATE, "confirmed": "c"}, "log": []}),
        ("status", {"state": {**STATE, "slots": {"a": {**SLOT, "size": "3"}}}, "log": []}),
        ("status", {"state": {**STATE, "slots": {"a": {**SLOT, "name": "x" * 2000}}}, "log": []}),
        ("status", {"state": {**STATE, "floors": {"pump": 3}}, "log": []}),
        ("status", {"state": STATE, "log": ["x"]}),
        ("confirm", {"slot": None}),
        ("rollback", {}),
        ("offer", {"have": -1, "sha256": ""}),
        ("offer", {"have": True, "sha256": ""}),
        ("offer", {"have": 10**30}),
        ("install", {"slot": SLOT, "trial": 1, "changed": True}),
    ],
)
def test_an_answer_of_something_else_is_one_error(op: str, answer: dict[str, Any]) -> None:
    with refused(TransferError, "bad_answer", op=op):
        check_answer(op, answer)
    check_answer("status", {"state": STATE, "log": [{}]})
    check_answer("rollback", {"slot": None})


class Quiet:
    """A link on which bytes come that are no frames, or none at all."""

    def __init__(self, data: bytes) -> None:
        self.data, self.turns = data, 0

    def read(self) -> Received:
        self.turns += 1
        return Received(self.data, False)

    def write(self, data: bytes) -> None:
        raise AssertionError("nobody asked")


@pytest.mark.parametrize("data", [b"", b"\0", b"x" * 100, b"\x01\x01\0"])
def test_an_idle_connection_makes_room_for_the_next(data: bytes) -> None:
    rig = Rig()
    rig.open()
    assert rig.agent is not None
    said(rig, {"id": "1", "op": "offer", "sha256": "0" * 64, "size": 10})
    link = Quiet(data)
    serve(rig.agent, link, idle_s=0.05)
    assert link.turns > 1 and rig.agent._operations._upload is None
    assert "0" * 64 + ".drsn.part" in rig.disk.files  # to go on where it stopped


def test_an_idle_line_stays_and_lets_go_of_what_is_held() -> None:
    rig = Rig()
    rig.open()
    agent = rig.agent
    assert agent is not None
    said(rig, {"id": "1", "op": "offer", "sha256": "0" * 64, "size": 10})
    serve(agent, Quiet(b""), stop=lambda: agent._operations._upload is None, idle_s=0.05, stays=True)
    assert said(rig, {"id": "2", "op": "status"})["ok"]


def test_an_agent_at_work_is_not_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig()
    rig.open()
    assert rig.agent is not None
    monkeypatch.setattr(rig.agent, "_heard_s", -1e9)
    assert rig.agent.idle_s > 1e8
    rig.agent._working_id = "1"
    assert rig.agent.idle_s == 0.0


def test_one_who_reads_nothing_does_not_hold_an_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transports, "_WRITE_S", 0.1)
    ours, theirs = socket.socketpair()
    with ours, theirs, refused(PortLostError, "not_read", seconds=0.1):
        while True:
            transports.DescriptorLink(ours.fileno(), ours.fileno()).write(bytes(1 << 20))


def test_what_a_gateway_says_beside_the_protocol_is_told_as_text_and_bounded(tmp_path: Path) -> None:
    """ssh passes on what the other side writes to its standard error."""
    told: list[str] = []
    script = "printf '\\033]0;owned\\007 hello\\r\\n' >&2; yes 'and so on' | head -100000 >&2; exit 3"
    link = transports.ProcessLink(["/bin/sh", "-c", script], told.append)
    with refused(PortLostError, "program_ended", program="sh", exit_code=3):
        while True:
            link.read()
    link.close()
    assert told[:2] == ["\\x1b]0;owned\\x07 hello", "and so on"] and len(told) == 200


@pytest.mark.parametrize("decode", [decode_request, decode_data, AnswerReader().take])
@given(data=st.binary(max_size=40) | JSON.map(lambda value: json.dumps(value).encode()))
def test_other_payloads_are_protocol_errors(decode: Callable[[bytes], Any], data: bytes) -> None:
    from firmware_bridge.errors import ProtocolError

    try:
        decode(data)
    except ProtocolError:
        return


def test_answers_come_back_whole_or_not_at_all() -> None:
    values = {"id": "1", "ok": True, "text": "x" * 9000}
    pieces = [decode_frame(piece).payload for piece in FrameSplitter().feed(encode_answer(FrameWriter(), values))]
    reader = AnswerReader()
    assert len(pieces) == 5 and [reader.take(piece) for piece in pieces] == [None] * 4 + [values]
    for missing in range(5):
        assert not any(reader.take(piece) for number, piece in enumerate(pieces) if number != missing)
    assert AgentFrame.REQUEST & AgentFrame.DATA & 0x80 and not AgentFrame.ANSWER & 0x80
