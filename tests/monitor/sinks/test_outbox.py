"""What waits for a broker: a machine of states against a plain model."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from drsn_edge.monitor.sinks.outbox import Outbox

TOPICS = st.sampled_from(["decision", "state", "alarm/a"])


class Boxes(RuleBasedStateMachine):
    """A broker that may lose its memory: it must end with the present values, and get each event once and in order."""

    def __init__(self) -> None:
        super().__init__()
        self.box = Outbox(10_000, 10_000_000)
        self.number = 0
        self.present: dict[str, str] = {}
        self.events: list[str] = []
        self.got: list[str] = []
        self.kept: dict[str, str] = {}

    @rule(topic=TOPICS, event=st.booleans())
    def say(self, topic: str, event: bool) -> None:
        self.number += 1
        text = f"{topic} {self.number}"
        self.present[topic] = text
        if event:
            self.events.append(text)
        (self.box.add if event else self.box.put)(topic, text)

    @rule()
    def send(self) -> None:
        self.box.sending = self.box.head is not None

    @rule()
    def arrive(self) -> None:
        head = self.box.head
        if self.box.sending and head is not None:
            self.box.sent()
            self.got.append(head.payload)
            self.kept[head.topic] = head.payload

    @rule()
    def lose_memory_and_connect(self) -> None:
        self.kept.clear()
        self.box.renew()

    @rule(topic=TOPICS)
    def forget(self, topic: str) -> None:
        if topic in self.present:
            self.box.forget(topic)
            self.present[topic] = ""

    @invariant()
    def when_all_has_arrived_the_broker_knows_what_holds(self) -> None:
        while (head := self.box.head) is not None and self.number % 7 == 0:
            self.box.sending = True
            self.box.sent()
            self.got.append(head.payload)
            self.kept[head.topic] = head.payload
        if self.box.head is None:
            held = {topic: text for topic, text in self.present.items() if text}
            assert {topic: text for topic, text in self.kept.items() if text} == held
            assert self.box.events == 0 and self.box._bytes == 0 and not self.box._latest
            firsts = list(dict.fromkeys(text for text in self.got if text in set(self.events)))
            assert firsts == self.events


TestBoxes = Boxes.TestCase


def test_the_oldest_events_go_when_there_are_too_many_and_what_is_on_its_way_stays() -> None:
    box = Outbox(3, 10_000)
    box.put("state", "now")
    for number in range(5):
        box.add("decision", str(number))
        box.sending = True
    assert (box.dropped, box.events, len(box)) == (2, 3, 4)
    assert [message.payload for message in box._waiting] == ["now", "2", "3", "4"]


def test_bytes_have_a_bound_as_well() -> None:
    box = Outbox(1000, 100_000)
    for _ in range(50):
        box.add("decision", "x" * 10_000)
    assert box._bytes <= 100_000 and box.events == 9 and box.dropped == 41
    for _ in range(1000):
        box.put("state", "x" * 1000)
    assert len(box) == 10
