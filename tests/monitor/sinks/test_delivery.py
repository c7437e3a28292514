"""One message to a broker after the other, over lines that are cut."""

from __future__ import annotations

from drsn_edge.monitor.sinks.delivery import Delivery


class Line:
    """A connection: numbers what is sent on it."""

    def __init__(self, first: int = 1) -> None:
        self.sent: list[str] = []
        self.number = first - 1

    def __call__(self, topic: str, payload: str) -> int:
        self.sent.append(payload)
        self.number += 1
        return self.number


def test_one_message_is_on_its_way_at_a_time_and_events_keep_their_order() -> None:
    delivery, line = Delivery(), Line()
    delivery.add("decision", "before")
    delivery.resume(line)
    for number in range(3):
        delivery.add("decision", str(number))
    assert line.sent == ["before"] and not delivery.is_done.is_set()
    for number in range(1, 5):
        delivery.confirmed(number)
    assert line.sent == ["before", "0", "1", "2"] and delivery.is_done.is_set() and delivery.end() == 0


def test_what_is_on_its_way_when_the_line_is_cut_is_left_to_paho_which_sends_it_again() -> None:
    delivery, line, next_line = Delivery(), Line(), Line(first=2)
    delivery.resume(line)
    delivery.add("decision", "0")
    delivery.add("decision", "1")
    assert delivery.pause() and not delivery.pause()
    delivery.resume(next_line)
    assert (line.sent, next_line.sent) == (["0"], [])
    delivery.confirmed(1)
    assert next_line.sent == ["1"]
    delivery.confirmed(7)  # of another one
    assert not delivery.is_done.is_set() and delivery.end() == 1


def test_a_broker_that_is_back_gets_what_holds_and_each_event_once() -> None:
    delivery, line = Delivery(), Line()
    delivery.put({"status": "online", "state": "old"})
    for number in range(3):
        delivery.put({"state": f"state {number}"})  # while nobody listens: the last one counts
        delivery.add("decision", str(number))
    delivery.put_once({"status": "online"})
    delivery.resume(line)
    while not delivery.is_done.is_set():
        delivery.confirmed(line.number)
    assert line.sent == ["online", "state 2", "0", "1", "2"]
    delivery.forget("state")
    delivery.confirmed(line.number)
    delivery.renew()
    while not delivery.is_done.is_set():
        delivery.confirmed(line.number)
    assert line.sent[5:] == ["", "online", "2"]


def test_nothing_is_sent_after_the_end() -> None:
    delivery, line = Delivery(), Line()
    delivery.resume(line)
    assert delivery.end() == 0
    delivery.add("decision", "late")
    assert line.sent == []
